#!/usr/bin/env bats
# shellcheck disable=SC2016 # scripts for a shell or awk in there
# Containers that a real systemd supervises itself: davit-container@.service and `davit launch`.

bats_require_minimum_version 1.5.0
load systemd

# What fails stays so, to be looked at.
setup_file() { systemd_file_start davit-container@.service Restart=no; }
teardown_file() { systemd_file_stop; }
setup() { [ -z "$SD_MISSING" ] || skip "$SD_MISSING"; }
teardown() { systemd_failed_journal; }

# A container that says hello and then waits; one that has been started and has said it.
sleeper() { script_unit "$1.container" 'trap "exit 0" TERM; echo hello from $HOSTNAME; while :; do sleep 0.1; done'; }
start_sleeper() {
    sleeper "$1"
    sd systemctl start "davit-container@$1"
    wait_for 60 has_journal "davit-container@$1" "hello from $1"
}

# script_unit NAME SCRIPT [LINE...]: a container that runs a shell script (without single quotes)
script_unit() {
    local name=$1 script=$2
    shift 2
    { printf '[Container]\nImage=busybox\nExec=/bin/sh -c '\''%s'\''\n' "$script"; printf '%s\n' "$@"; } | sd_unit "$name"
}

@test "the main process of the service is the container's own first process, a child of systemd" {
    start_sleeper web
    pid=$(main_pid davit-container@web)
    [ "$(sd awk '/^PPid:/ {print $2}' "/proc/$pid/status")" = 1 ]
    [ "$(sd awk '/^NSpid:/ {print $3}' "/proc/$pid/status")" = 1 ]
    # In a user namespace of its own, in a group below the service's, and with no process of davit's beside it.
    [ "$(sd awk '{print $2}' "/proc/$pid/uid_map")" -ge 524288 ]
    sd cat "/proc/$pid/cgroup" | grep -q 'davit-container@web.service/web.container$'
    no_launch() { ! sd pgrep -f 'davit launch' && [ "$(sd sh -c 'cat /sys/fs/cgroup/system.slice/system-davit*/davit-container@web.service/.davit/cgroup.procs')" = '' ]; }
    wait_for 60 no_launch
    sd systemctl status --no-pager davit-container@web | grep -q "Main PID: $pid (sh)"
    sd systemctl stop davit-container@web
    has_property davit-container@web Result success
}

@test "its output is in the journal under the right unit, with the container's name" {
    start_sleeper logs
    id=$(property davit-container@logs InvocationID)
    [ "$(journal _SYSTEMD_UNIT=davit-container@logs.service CONTAINER_NAME=systemd-logs "_SYSTEMD_INVOCATION_ID=$id" "_PID=$(main_pid davit-container@logs)")" = 'hello from logs' ]
    sd systemctl stop davit-container@logs
}

@test "a program that ends at once ends as the main process, with its own status" {
    script_unit seven.container 'exit 7'
    printf '[Container]\nImage=busybox\nExec=/bin/true\n' | sd_unit true.container
    for _ in 1 2 3 4 5; do
        sd systemctl start davit-container@seven || true
        wait_for 60 has_active davit-container@seven failed
        has_property davit-container@seven ExecMainStatus 7
        sd systemctl start davit-container@true || true
        wait_for 60 has_active davit-container@true inactive
        has_property davit-container@true Result success
    done
}

@test "a program that has ended before davit says READY=1 ends after it all the same" {
    command -v strace >/dev/null || skip 'there is no strace'
    local service=davit-container@late.service file
    printf '[Container]\nImage=busybox\nExec=/bin/true\n' | sd_unit late.container
    # What davit launch sends is sent half a second later: -D, so that it stays the child of systemd.
    file=/run/systemd/system/$service.d/late.conf
    sd mkdir -p "${file%/*}"
    printf '[Service]\nExecStart=\nExecStart=%s -D -qq -o /run/late -e inject=sendto:delay_enter=500000 %s\n' "$(command -v strace)" \
        "$(property davit-container@late ExecStart | sed -E 's/.*argv\[\]=([^;]*) ;.*/\1/')" | sd tee "$file" >/dev/null
    sd systemctl daemon-reload
    sd systemctl start davit-container@late
    wait_for 60 sd grep -q READY=1 /run/late
    wait_for 60 has_active davit-container@late inactive
    has_property davit-container@late Result success
}

@test "systemctl kill reaches the container, and how it died is known" {
    script_unit kill.container 'trap "echo hangup" HUP; echo trapped; while :; do sleep 0.1; done'
    sd systemctl start davit-container@kill
    wait_for 60 has_journal davit-container@kill trapped
    sd systemctl kill --kill-whom=main -s HUP davit-container@kill
    wait_for 60 has_journal davit-container@kill hangup
    has_active davit-container@kill active
    sd systemctl kill -s KILL davit-container@kill
    wait_for 60 has_active davit-container@kill failed
    has_property davit-container@kill Result signal
    has_property davit-container@kill ExecMainStatus 9
}

@test "without a program the start fails with 127, and systemctl and journal say why" {
    printf '[Container]\nImage=busybox\nExec=/bin/nothing-there\n' | sd_unit none.container
    run sd systemctl start davit-container@none
    [ "$status" -ne 0 ]
    wait_for 60 has_journal davit-container@none 'execve /bin/nothing-there'
    has_property davit-container@none ExecMainStatus 127
}

@test "a missing image, a mistake in the unit file: status 125, the reason in status, nothing left" {
    printf '[Container]\nImage=not-there\nPull=never\n' | sd_unit noimage.container
    run sd systemctl start davit-container@noimage
    [ "$status" -ne 0 ]
    [ "$(property davit-container@noimage ExecMainStatus)" = 125 ]
    [[ $(property davit-container@noimage StatusText) == *not-there* ]]
    printf '[Container]\nImage=busybox\nVolume=nonsense:\n' | sd_unit wrong.container
    run sd systemctl start davit-container@wrong
    [ "$status" -ne 0 ]
    wait_for 60 has_journal davit-container@wrong 'wrong.container:3'
    run sd systemctl start davit-container@nowhere
    [ "$status" -ne 0 ]
    wait_for 60 has_journal davit-container@nowhere 'there is no unit nowhere'
    [ "$(sd sh -c 'ls /var/lib/davit/launched 2>/dev/null')" = '' ]
}

@test "an image that is missing is fetched, and the root made as the storage driver does it, before the launch" {
    sd sh -c 'mkdir -p /usr/share/davit/images && tar -C /var/lib/davit/images/busybox -cf /usr/share/davit/images/fetched.tar . &&
        echo "storage_driver = \"vfs\";" >>/etc/davit/davit.conf'
    printf '[Container]\nImage=fetched\nRunInit=yes\nExec=/bin/sleep infinity\n' | sd_unit fetched.container
    sd systemctl start davit-container@fetched
    has_property davit-container@fetched ActiveState active
    sd sh -c 'test -x /var/lib/davit/launched/fetched.container/*/root/bin/busybox'
    [ "$(sd awk '{print $2}' "/proc/$(main_pid davit-container@fetched)/uid_map")" -ge 524288 ]
    sd systemctl stop davit-container@fetched
    [ "$(sd sh -c 'ls /var/lib/davit/launched/fetched.container 2>/dev/null')" = '' ]
    sd sed -i /storage_driver/d /etc/davit/davit.conf
}

@test "Image=NAME.image is the image that this unit names, fetched as it says" {
    sd sh -c 'mkdir -p /usr/share/davit/images && tar -C /var/lib/davit/images/busybox -cf /usr/share/davit/images/other.tar .'
    printf '[Image]\nImage=other\nPolicy=missing\n' | sd_unit named.image
    printf '[Container]\nImage=named.image\nRunInit=yes\nExec=/bin/sleep infinity\n' | sd_unit named.container
    sd systemctl start davit-container@named
    has_property davit-container@named ActiveState active
    [[ $(sd ls /var/lib/davit/images/references) == *other* ]]
    sd systemctl stop davit-container@named
    sd rm /etc/davit/units/named.image
    run sd systemctl start davit-container@named
    [ "$status" -ne 0 ]
    [[ $(property davit-container@named StatusText) == *'named.image does not exist'* ]]
    printf '[Image]\nPolicy=sometimes\n' | sd_unit named.image
    run sd systemctl start davit-container@named
    [ "$status" -ne 0 ]
    [[ $(property davit-container@named StatusText) == *named.image* ]]
}

@test "from a shell it is refused" {
    sleeper shell
    run sd davit launch shell
    [ "$status" = 125 ]
    [[ $output == *NOTIFY_SOCKET* ]]
    [ "$(sd sh -c 'ls /var/lib/davit/launched 2>/dev/null')" = '' ]
}

@test "Notify=yes: the service is ready when the container says so" {
    script_unit notify.container 'while [ ! -e /test/go ]; do sleep 0.05; done; exec payload serve 0' 'Notify=yes' 'Volume=/run/test:/test'
    sd mkdir -p /run/test
    sd systemctl start --no-block davit-container@notify
    wait_for 60 has_property davit-container@notify SubState start
    wait_for 60 sd pgrep -f test/go
    [ "$(sd systemctl is-active davit-container@notify)" = activating ]
    sd touch /run/test/go
    wait_for 60 has_active davit-container@notify active
    wait_for 60 has_property davit-container@notify StatusText serving
    sd systemctl kill -s KILL davit-container@notify
    wait_for 60 has_property davit-container@notify Result signal
}

@test "WatchdogSec= of the unit file is watched by systemd" {
    script_unit dog.container 'exec payload serve 0' 'Notify=yes' '[Service]' 'WatchdogSec=1'
    sd systemctl start davit-container@dog
    wait_for 60 has_property davit-container@dog Result watchdog
    wait_for 60 has_active davit-container@dog failed
}

@test "a restart begins with a fresh upper layer, the same id range and the same volume" {
    script_unit again.container 'ls /scratch; touch /scratch; echo x >>/kept/n; trap "exit 0" TERM; echo run $(wc -l </kept/n); while :; do sleep 0.1; done' 'Volume=kept:/kept' 'Volume=/anonymous'
    sd systemctl start davit-container@again
    wait_for 60 has_journal davit-container@again 'run 1'
    range=$(sd cat "/proc/$(main_pid davit-container@again)/uid_map")
    sd systemctl restart davit-container@again
    wait_for 60 has_journal davit-container@again 'run 2'
    [ "$(sd cat "/proc/$(main_pid davit-container@again)/uid_map")" = "$range" ]
    [ "$(journal -u davit-container@again | grep -c -x /scratch)" = 0 ]
    [ "$(sd ls /var/lib/davit/launched/again.container | wc -l)" = 1 ]
    sd systemctl stop davit-container@again
    [ "$(sd sh -c 'ls /var/lib/davit/launched')" = '' ]
    # The named volume stays, the one without a name goes.
    [ "$(sd ls /var/lib/davit/volumes)" = kept ]
}

@test "StopSignal= is what ends it" {
    script_unit signal.container 'trap "echo got usr2; exit 0" USR2; trap "echo got term" TERM; echo trapped; while :; do sleep 0.1; done' 'StopSignal=USR2'
    sd systemctl start davit-container@signal
    wait_for 60 has_journal davit-container@signal trapped
    sd systemctl stop davit-container@signal
    wait_for 60 has_journal davit-container@signal 'got usr2'
    run ! has_journal davit-container@signal 'got term'
    has_property davit-container@signal Result success
}

@test "systemctl daemon-reexec, a restart and a kill of journald: the container goes on, and writes on" {
    script_unit lines.container 'i=0; while [ ! -e /test/end ]; do echo line $i; i=$((i+1)); sleep 0.01; done; echo end; sleep 1000' 'Volume=/run/lines:/test'
    last_line() { journal -u davit-container@lines | awk '$1 == "line" {n = $2} END {print n}'; }
    has_line_after() { [ "$(last_line)" -gt "$1" ]; }
    sd mkdir -p /run/lines
    sd systemctl start davit-container@lines
    pid=$(main_pid davit-container@lines)
    wait_for 60 has_journal davit-container@lines 'line 20'
    sd systemctl daemon-reexec
    sd systemctl restart systemd-journald
    sd systemctl kill -s KILL systemd-journald
    sd systemctl daemon-reexec
    wait_for 60 has_line_after "$(last_line)"
    sd touch /run/lines/end
    wait_for 60 has_journal davit-container@lines end
    [ "$(main_pid davit-container@lines)" = "$pid" ]
    # What journald had read from the stream, and not written yet, went with it: the lines of two moments, and no others.
    journal -u davit-container@lines | awk '$1 == "line" {if ($2 != n) gaps++; n = $2 + 1} END {exit n == 0 || gaps > 2}'
    [ "$(journal -u davit-container@lines | sort | uniq -d | grep '^line ')" = '' ]
    sd systemctl kill -s KILL davit-container@lines
    sd systemctl stop davit-container@lines
}

@test "what the host's files say gets in, and where ids cannot be mapped it runs without a user namespace" {
    sd mkdir -p /srv/shared
    sd sh -c 'echo nameserver 192.0.2.7 >/etc/resolv.conf; echo FROM_FILE=yes >/srv/env'
    # The root here is an overlay, which cannot be id-mapped: found out by the launcher.
    script_unit host.container 'cat /etc/resolv.conf; touch /v/made; echo from file: $FROM_FILE; exec payload serve 0' 'Volume=/srv/shared:/v' 'EnvironmentFile=/srv/env'
    sd systemctl start davit-container@host
    wait_for 60 has_journal davit-container@host 'from file: yes'
    has_journal davit-container@host 'nameserver 192.0.2.7'
    wait_for 60 has_journal davit-container@host "UserNS: runs in the host's user namespace"
    [ "$(sd awk '{print $2}' "/proc/$(main_pid davit-container@host)/uid_map")" = 0 ]
    [ "$(sd stat -c %u /srv/shared/made)" = 0 ]
    id=$(property davit-container@host InvocationID)
    sd sh -c "tr '\\0' '\n' </proc/$(main_pid davit-container@host)/environ" | grep -qx "INVOCATION_ID=$id"
    sd systemctl stop davit-container@host
}

@test "many started at once get ranges of their own" {
    for i in 1 2 3 4 5 6 7 8; do sleeper "many$i"; done
    sd systemctl start davit-container@many{1..8}
    ranges=$(for i in 1 2 3 4 5 6 7 8; do sd awk '{print $2}' "/proc/$(main_pid "davit-container@many$i")/uid_map"; done)
    [ "$(sort -u <<<"$ranges" | wc -l)" = 8 ]
    sd systemctl stop davit-container@many{1..8}
}

@test "the clean-up also works when the unit file is gone" {
    start_sleeper gone
    sd rm /etc/davit/units/gone.container
    sd systemctl stop davit-container@gone
    [ "$(sd sh -c 'ls /var/lib/davit/launched')" = '' ]
    has_property davit-container@gone Result success
}
