#!/usr/bin/env bats
# davit-generator: by hand with directories of the test's own, and as a real systemd runs it.
# shellcheck disable=SC2016,SC2154 # scripts for a shell in there; $stderr is run's

bats_require_minimum_version 1.5.0
load systemd

setup() {
    G=$(mktemp -d "${TMPDIR:-/tmp}/davit-generator-XXXXXX")
    mkdir "$G/units" "$G/out"
    export DAVIT_SYSTEMD_UNITS=$G/units DAVIT_GENERATOR_NO_KMSG=1
}
teardown() {
    if [ -n "${SD_PID:-}" ] && [ "${BATS_TEST_COMPLETED:-}" != 1 ]; then sd journalctl -n 40 --no-pager -o short; fi
    if [ -n "${SD_GROUP:-}" ]; then systemd_stop; fi
    rm -rf "$G"
}
generate() { run --separate-stderr "$DAVIT_BUILD/davit-generator" "$G/out" "$G/out" "$G/out"; }
has() { grep -qxF -- "$2" "$G/out/$1"; }

@test "the sections go over, units have systemd's names, limits become properties" {
    cat >"$G/units/web.container" <<'U'
[Unit]
Description=Web of %n
After=db.container data.volume network-online.target
PropagatesStopTo=proxy.container
ReloadPropagatedFrom=db.container site.target
[Container]
Image=busybox
ContainerName=web
Memory=100M
ReloadSignal=SIGUSR1
Nice=5
PidsLimit=77
StopTimeout=30
Volume=data.volume:/data
Notify=yes
[Service]
Restart=always
ExecStartPre=/bin/echo before
WatchdogSec=5
RestartResetSec=5
[Install]
WantedBy=multi-user.target
Alias=www.container
UpheldBy=site.target
Also=db.container
U
    generate
    [ "$status" = 0 ]
    [ "$stderr" = '' ]
    has web.service 'Description=Web of %n'
    has web.service 'After=db.service network-online.target'
    has web.service 'PropagatesStopTo=proxy.service'
    has web.service 'ReloadPropagatedFrom=db.service site.target'
    has web.service 'ExecStart=/usr/bin/davit launch --no-limits web.container'
    has web.service 'MemoryMax=104857600'
    has web.service 'TasksMax=77'
    has web.service 'ExecReload=/bin/kill -10 $MAINPID'
    has web.service 'Nice=5'
    has web.service 'TimeoutStopSec=30000000us'
    has web.service 'Restart=always'
    has web.service 'ExecStartPre=/bin/echo before'
    has web.service 'LogExtraFields=CONTAINER_NAME=web'
    run ! grep -E 'WatchdogSec|RestartResetSec|data.volume' "$G/out/web.service"
    [ "$(readlink "$G/out/multi-user.target.wants/web.service")" = ../web.service ]
    [ "$(readlink "$G/out/site.target.upholds/web.service")" = ../web.service ]
    has web.service 'Also=db.service'
    [ "$(readlink "$G/out/www.service")" = web.service ]
}

@test "drop-ins count, and a template becomes a template" {
    printf '[Container]\nImage=busybox\nHostName=%%i\n' >"$G/units/shell@.container"
    mkdir "$G/units/shell@.container.d"
    printf '[Unit]\nWants=time-sync.target\n[Container]\nMemoryHigh=50M\nReloadCmd=/bin/true\n' >"$G/units/shell@.container.d/more.conf"
    generate
    has 'shell@.service' 'ExecStart=/usr/bin/davit launch --no-limits shell@%i.container'
    has 'shell@.service' 'Wants=time-sync.target'
    has 'shell@.service' 'MemoryHigh=52428800'
    [[ $stderr = *shell@.container*ReloadCmd=* ]]
    run ! grep -q ExecReload "$G/out/shell@.service"
}

@test "a file with a mistake costs its own service only, and is named with line and key" {
    printf '[Container]\nImage=busybox\n' >"$G/units/good.container"
    printf '[Container]\nImage=busybox\nMemory=lots\n' >"$G/units/bad.container"
    printf '[Container]\nImage=busybox\n[Service]\nType=oneshot\n' >"$G/units/once.container"
    printf '[Container]\nImage=busybox\n[Service]\nUser=www\n' >"$G/units/user.container"
    printf '\0\377' >"$G/units/binary.container"
    mkdir "$G/units/directory.container"
    ln -s /nowhere "$G/units/dangling.container"
    generate
    [ "$status" = 0 ]
    [[ $stderr == *"bad.container:3"*"Memory="* ]]
    [[ $stderr == *"once.container: Type=oneshot"* ]]
    [[ $stderr == *"user.container:4"*"User="* ]]
    [ "$(ls "$G/out")" = good.service ]
}

@test "no directory of units is no mistake; nowhere to write is one" {
    rmdir "$G/units"
    generate
    [ "$status" = 0 ]
    mkdir "$G/units"
    printf '[Container]\nImage=busybox\n' >"$G/units/good.container"
    run "$DAVIT_BUILD/davit-generator" /proc/nowhere /proc/nowhere /proc/nowhere
    [ "$status" = 0 ] || [ "$status" = 1 ]
    [[ $output == *good.service* ]]
    run "$DAVIT_BUILD/davit-generator"
    [ "$status" = 1 ]
}

@test "a real systemd starts, lists and stops what was generated; a template's instance too" {
    if missing=$(systemd_missing); then skip "$missing"; fi
    systemd_prepare
    mkdir -p "$S/etc/davit/systemd"
    printf '[Unit]\nDescription=Web server\nRequires=db.container\nAfter=db.container\n[Container]\nImage=busybox\nExec=/bin/sh -c '\''trap "exit 0" TERM; echo trapped; while :; do sleep 0.1; done'\''\nMemory=64M\n[Install]\nWantedBy=davit-test.target\n' >"$S/etc/davit/systemd/web.container"
    printf '[Container]\nImage=busybox\nExec=/bin/payload serve 0\nNotify=yes\n' >"$S/etc/davit/systemd/db.container"
    printf '[Container]\nImage=busybox\nHostName=%%i\nExec=/bin/sh -c "hostname; exec payload serve 0"\n' >"$S/etc/davit/systemd/shell@.container"
    systemd_start
    # Wanted by the target that systemd has booted to, after what it requires.
    wait_for 60 has_active web.service active
    has_active db.service active
    has_property web.service Description 'Web server'
    has_property web.service MemoryMax 67108864
    has_property web.service SourcePath /etc/davit/systemd/web.container
    has_property web.service UnitFileState generated
    sd systemd-analyze verify --man=no /run/systemd/generator/web.service
    sd systemctl set-property --runtime web.service MemoryMax=32M
    has_property web.service MemoryMax 33554432
    sd systemctl start shell@one
    wait_for 60 has_journal shell@one one
    wait_for 60 has_journal web.service trapped
    sd systemctl stop db
    wait_for 60 has_active web.service inactive
    sd systemctl stop shell@one
    [ "$(sd ls /var/lib/davit/launched)" = '' ]
}
