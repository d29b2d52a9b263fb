#!/usr/bin/env bats
# Mistakes in unit files, requests that are none, and machines that are full: each ends in an explained state, davitd
# goes on, and nothing half made is left.
# shellcheck disable=SC2034
load common

units() {
    ln -s /nowhere/at/all "$D/dangling"
    mkdir "$D/outside"
    echo untouched >"$D/outside/file"
    ln -s ../../../../../../../../etc "$D/state/images/busybox/trap"

    unit good.container <<'U'
[Container]
Image=busybox
RunInit=yes
Exec=/bin/sleep infinity
U
    unit typo.container <<'U'
[Unit]
Description=Two mistakes

[Container]
Image=busybox
Memry=100M
User=a b
Exec=/bin/true
U
    unit no-image.container <<'U'
[Container]
Image=nosuchimage
Pull=never
Exec=/bin/true
U
    unit no-root.container <<'U'
[Container]
Exec=/bin/true
U
    unit dangling.container <<U
[Container]
Image=busybox
Volume=$D/dangling:/data
Exec=/bin/true
U
    unit no-source.container <<U
[Container]
Image=busybox
Volume=$D/missing/deep:/data
Exec=/bin/true
U
    unit trap.container <<U
[Container]
Image=busybox
Volume=$D/outside:/trap/davit-test-mount
RunInit=yes
Exec=/bin/sleep infinity
U
    unit ghost.container <<'U'
[Container]
Image=busybox
User=ghost
Exec=/bin/true
U
    unit ghost-group.container <<'U'
[Container]
Image=busybox
User=www
Group=ghosts
Exec=/bin/true
U
    unit no-program.container <<'U'
[Container]
Image=busybox
Exec=/bin/nothing-there
U
    unit no-workdir.container <<'U'
[Container]
Image=busybox
WorkingDir=/etc/passwd/below
Exec=/bin/true
U
    unit no-device.container <<'U'
[Container]
Image=busybox
AddDevice=/dev/davit-has-no-such-device
Exec=/bin/true
U
    unit no-volume-unit.container <<'U'
[Container]
Image=busybox
Volume=nowhere.volume:/data
Exec=/bin/true
U
    unit no-env.container <<'U'
[Container]
Image=busybox
EnvironmentFile=/no/such/environment
Exec=/bin/true
U
    unit file-as-dir.container <<U
[Container]
Image=busybox
Volume=$D/outside/file:/etc
Exec=/bin/true
U
    unit many.container <<'U'
[Container]
Image=busybox
Notify=yes
User=ghost
Volume=data:/data
Exec=/bin/true
U
    local n next
    for n in 1 2 3 4; do
        next=$((n % 4 + 1))
        unit "ring-$n.container" <<U
[Unit]
BindsTo=ring-$next.container
After=ring-$next.container
[Container]
Image=busybox
Exec=/bin/true
U
    done
    unit own-tail.container <<'U'
[Unit]
After=own-tail.container
Requires=own-tail.container
[Container]
Image=busybox
Exec=/bin/true
U
    printf '[Container]\nImage=busy\0box\nExec=/bin/true\n' >"$D/units/nul.container"
    head -c 65536 /dev/urandom >"$D/units/noise.container"
    { printf '[Container]\nImage=busybox\nEnvironment=BIG='; head -c 1048576 /dev/zero | tr '\0' x; printf '\nExec=/bin/true\n'; } \
        >"$D/units/longline.container"
    { printf '[Container]\n'; yes '[Container]' | head -c 5000000; } >"$D/units/huge.container"
    ln -s /dev/null "$D/units/masked.container"
    ln -s nowhere-at-all "$D/units/broken-link.container"
    mkdir "$D/units/directory.container"
    mkfifo "$D/units/pipe.container"
}
setup_file() { fleet_setup; }
teardown_file() { fleet_teardown; }

# finds LINE WHERE PATTERN <<U ...: `davit check` names file, line, section and key, and has the pattern in its text or hint
finds() {
    local line=$1 where=$2 pattern=$3 output
    mkdir -p "$D/check"
    cat >"$D/check/${TYPE:-x.container}"
    output=$(davit check --strict "$D/check/${TYPE:-x.container}" 2>&1) || true
    if ! grep -F -- "${TYPE:-x.container}:$line: " <<<"$output" | grep -F -- "$where" | grep -qF -- "$pattern"; then
        printf 'wanted :%s: %s ... %s, got\n%s\n' "$line" "$where" "$pattern" "$output"
        return 1
    fi
}
# key LINE-OF-TEXT WHERE PATTERN: the same for one line below [Container]
key() { printf '[Container]\nImage=busybox\n%s\nExec=/bin/true\n' "$1" | finds 3 "$2" "$3"; }
service() { printf '[Container]\nImage=busybox\nExec=/bin/true\n[Service]\n%s\n' "$1" | finds 5 "$2" "$3"; }

@test 'an unknown key is reported with file, line, section, and the nearest key' {
    key 'Memry=100M' '[Container] Memry=' 'Memory='
    key 'exec=/bin/true' '[Container] exec=' 'Exec='
    key 'Entry point=/bin/true' '[Container] Entry point=' 'Entrypoint='
    service 'Restrat=always' '[Service] Restrat=' 'Restart='
    service 'Xyzzyplugh=1' '[Service] Xyzzyplugh=' 'unknown'
}

@test 'an unknown key is a warning, and the unit loads' {
    mkdir -p "$D/check"
    printf '[Container]\nImage=busybox\nMemry=1G\nExec=/bin/true\n' >"$D/check/warn.container"
    run davit check "$D/check/warn.container"
    echo "$output"
    [ "$status" -eq 0 ]
    says "$output" 'warn.container:3: [[]Container] Memry='
}

@test 'a section that is unknown, or in the wrong place, is named' {
    finds 3 '[Contaner]' 'Container' <<<$'[Container]\nImage=busybox\n[Contaner]\nMemory=1G'
    TYPE=x.service finds 3 '[Container]' 'container' <<<$'[Service]\nExecStart=/bin/true\n[Container]\nImage=a'
    finds 2 '' 'bracket' <<<$'[Container]\n[Service'
    finds 1 '' 'section' <<<$'Image=busybox\n[Container]\nImage=busybox'
    finds 1 '' 'bracket' <<<$'[Container] # here\nImage=busybox'
}

@test 'a line that is no assignment is named' {
    key 'Environment' '[Container]' 'Key=value'
    key '=value' '[Container]' 'no key'
}

@test 'values of the wrong kind are refused with what would be right' {
    key 'Memory=lots' '[Container] Memory=' 'lots'
    key 'PidsLimit=many' '[Container] PidsLimit=' 'many'
    key 'ReadOnly=perhaps' '[Container] ReadOnly=' 'perhaps'
    key 'User=a b' '[Container] User=' 'a b'
    key 'Volume=data' '[Container] Volume=' 'absolute'
    key 'Volume=data:/a:rw:what' '[Container] Volume=' 'colon'
    key 'Volume=data:/a:sometimes' '[Container] Volume=' 'sometimes'
    key 'Volume=/etc:/' '[Container] Volume=' '/'
    key 'Mount=type=bind,source=/etc' '[Container] Mount=' 'destination'
    key 'Mount=type=cloud,destination=/a' '[Container] Mount=' 'cloud'
    key 'Tmpfs=tmp' '[Container] Tmpfs=' 'absolute'
    key 'AddCapability=CAP_FLY' '[Container] AddCapability=' 'CAP_FLY'
    key 'Ulimit=nofile' '[Container] Ulimit=' 'nofile'
    key 'Ulimit=nofiles=3' '[Container] Ulimit=' 'nofile'
    key 'Ulimit=nofile=10:5' '[Container] Ulimit=' 'soft'
    key 'Sysctl=kernel.panic=1' '[Container] Sysctl=' 'host'
    key 'Sysctl=net.ipv4.ip_forward' '[Container] Sysctl=' '='
    key 'UserNS=mine' '[Container] UserNS=' 'auto'
    key 'AddDevice=dev/null' '[Container] AddDevice=' 'absolute'
    key 'AddDevice=/dev/null:xyz' '[Container] AddDevice=' 'xyz'
    key 'AddHost=here' '[Container] AddHost=' 'here'
    key 'AddHost=here:there' '[Container] AddHost=' 'there'
    key 'DNS=nine' '[Container] DNS=' 'nine'
    key 'StopSignal=SIGNOTHING' '[Container] StopSignal=' 'SIGNOTHING'
    key 'Timezone=../../etc/passwd' '[Container] Timezone=' 'time zone'
    key 'HostName=a b' '[Container] HostName=' 'a b'
    key 'WorkingDir=tmp' '[Container] WorkingDir=' 'absolute'
    key 'ContainerName=../x' '[Container] ContainerName=' 'letters'
    key 'ShmSize=big' '[Container] ShmSize=' 'big'
    key 'Environment="A=b' '[Container] Environment=' 'quotes'
    key 'Rootfs=relative' '[Container] Rootfs=' '/'
    key 'Unmask=proc' '[Container] Unmask=' 'absolute'
    key 'Memory=%Z' '[Container] Memory=' '%Z'
}

@test 'bad values of supervision and limits are refused too' {
    service 'Restart=unless-stopped' '[Service] Restart=' 'always'
    service 'RestartSec=soon' '[Service] RestartSec=' 'soon'
    service 'TimeoutStartSec=-1' '[Service] TimeoutStartSec=' '-1'
    service 'KillMode=gently' '[Service] KillMode=' 'gently'
    service 'KillSignal=99' '[Service] KillSignal=' '99'
    service 'ExecStartPre=./true' '[Service] ExecStartPre=' './true'
    service 'SuccessExitStatus=999' '[Service] SuccessExitStatus=' '999'
    service 'CPUQuota=much' '[Service] CPUQuota=' 'much'
    service 'CPUWeight=0' '[Service] CPUWeight=' '1'
    service 'AllowedCPUs=a-b' '[Service] AllowedCPUs=' 'a-b'
    service 'MemoryMax=-3' '[Service] MemoryMax=' '-3'
    service 'IOReadBandwidthMax=/dev/sda' '[Service] IOReadBandwidthMax=' '/dev/sda'
    service 'DeviceAllow=/dev/null xyz' '[Service] DeviceAllow=' 'xyz'
    service 'OOMScoreAdjust=5000' '[Service] OOMScoreAdjust=' '1000'
    service 'OOMPolicy=panic' '[Service] OOMPolicy=' 'panic'
    service 'EnvironmentFile=relative' '[Service] EnvironmentFile=' 'absolute'
}

@test 'a comment behind a value is recognised as what it is' {
    service 'Restart=always # keep it up' '[Service] Restart=' 'line of their own'
}

@test 'what Quadlet knows and davit cannot do safely is refused with a way out' {
    key 'PublishPort=80:80' '[Container] PublishPort=' 'Network=host'
    key 'Secret=key' '[Container] Secret=' 'not supported'
    key 'PodmanArgs=--privileged' '[Container] PodmanArgs=' 'podman'
    key 'Pod=a.pod' '[Container] Pod=' 'pods'
}

@test 'a continued line counts from where it begins, and CRLF and a byte order mark do no harm' {
    finds 3 '[Container] Memry=' 'Memory=' <<<$'[Container]\nImage=busybox\nMemry=1 \\\n# between\n 2\nExec=/bin/true'
    printf '\xef\xbb\xbf[Container]\r\nImage=busybox\r\nExec=/bin/true\r\n' >"$D/check/crlf.container"
    davit check --strict "$D/check/crlf.container"
}

@test 'keys that fit together badly are reported' {
    finds 0 '' 'root file system' <<<$'[Container]\nExec=/bin/true' || davit check "$D/check/x.container" 2>&1 | grep -F 'root file system'
    printf '[Container]\nImage=busybox\nRootfs=/\n' >"$D/check/x.container"
    run davit check "$D/check/x.container"
    [ "$status" -ne 0 ]
    says "$output" 'Rootfs='
    printf '[Container]\nImage=busybox\nVolume=a:/x\nTmpfs=/x\n' >"$D/check/x.container"
    run davit check "$D/check/x.container"
    [ "$status" -ne 0 ]
    says "$output" '/x'
    printf '[Container]\nImage=busybox\nNetwork=host\nSysctl=net.ipv4.ip_forward=1\n' >"$D/check/x.container"
    run davit check "$D/check/x.container"
    [ "$status" -ne 0 ]
    says "$output" 'host'
}

@test 'a fleet with broken files has come up, and start and status name file and line' {
    davit start good
    cannot_start typo 'typo.container:7: [[]Container] User='
    run davit status typo
    says "$output" 'typo.container:6: [[]Container] Memry='
    says "$output" 'Memory='
}

@test 'NUL bytes, noise, a line of 1 MiB and a file of 5 MB are refused with a reason' {
    cannot_start nul 'nul.container:2:' 'NUL'
    cannot_start noise 'noise.container:'
    cannot_start longline 'longline.container:3:' '1 MiB'
    cannot_start huge 'huge.container' '4 MiB'
    davit check "$D/units/good.container"
    for f in nul noise longline huge; do
        run davit check "$D/units/$f.container"
        [ "$status" -ne 0 ] && [ "$status" -lt 124 ]
    done
}

@test 'masked files, links to nowhere, directories and pipes as unit files' {
    cannot_start masked 'masked'
    for u in broken-link directory pipe; do
        run timeout 60 "$DAVIT_BUILD/davit" start "$u"
        echo "$u: $output"
        [ "$status" -ne 0 ] && [ "$status" -ne 124 ]
        says "$output" "$u"
    done
    same_manager
}

@test 'a missing image is named, with where it was looked for' {
    cannot_start no-image nosuchimage "$D/state/images"
    [ "$(show no-image result)" = resources ]
    cannot_start no-root 'root file system'
}

@test 'a volume source that leads nowhere is named' {
    cannot_start dangling "$D/dangling"
    cannot_start no-source "$D/missing/deep"
    cannot_start no-volume-unit nowhere.volume
    cannot_start file-as-dir /etc
    [ ! -e /nowhere ]
    [ ! -e "$D/missing" ]
}

@test 'a link in the image does not lead a mount out of the container' {
    run davit start trap
    [ ! -e /etc/davit-test-mount ]
    if [ "$status" -eq 0 ]; then
        [ "$(davit exec trap cat /etc/davit-test-mount/file)" = untouched ]
        davit stop trap
    fi
    nothing_left trap.container
    same_manager
}

@test 'a user or group that the container does not have is named' {
    cannot_start ghost ghost
    cannot_start ghost-group ghosts
}

@test 'a missing program, working directory, device or environment file is named' {
    cannot_start no-program /bin/nothing-there
    cannot_start no-workdir /etc/passwd/below
    cannot_start no-device /dev/davit-has-no-such-device
    cannot_start no-env /no/such/environment
}

@test 'a start that fails at its last step leaves no socket, group, upper layer or FIFO' {
    for n in 1 2 3 4 5; do : "$n"; cannot_start many ghost; done
}

@test 'a ring of four is printed with all its members' {
    cannot_start ring-2 ring-1.container ring-2.container ring-3.container ring-4.container
    run davit start own-tail
    same_manager
}

@test 'names that are no unit names' {
    for name in '' . .. / a/b.container 'good.container/..' '-x' "$(head -c 300 /dev/zero | tr '\0' a)" $'a\nb' 'good@' '@x' \
        'good.nothing'; do
        run timeout 60 "$DAVIT_BUILD/davit" start -- "$name"
        echo "'$name' ($status): $output"
        [ "$status" -ne 0 ] && [ "$status" -ne 124 ]
        [ -n "$output" ]
    done
    same_manager
}

# ---- the control socket ----

# davitd ends the connection when all is answered.
ask() { printf '%s\0' "$1" | socat -t60 - "UNIX-CONNECT:$D/run/${2:-control}" | tr '\0' '\n'; }
info='{"method":"org.varlink.service.GetInfo"}'

@test 'requests that are no JSON, or none of ours, get an error or no answer' {
    says "$(ask "$info")" io.davit.Manager
    for text in '' '{' 'null' '[]' '42' '"x"' '{}' '{"method":1}' '{"method":""}' '{"method":"x"}' '{"method":"io.davit.Unit.Start"}' \
        '{"method":"io.davit.Unit.Start","parameters":[]}' '{"method":"io.davit.Unit.Start","parameters":{"unit":{}}}' \
        '{"method":"io.davit.Unit.Start","parameters":{"unit":"a\u0000b"}}' '{"method":"io.davit.Unit.Kill","parameters":{"unit":"good","signal":100000}}' \
        '{"method":"io.davit.Unit.Exec","parameters":{"unit":"good","argv":[],"stdin":7}}' \
        '{"method":"io.davit.Unit.Run","parameters":{"unit_text":"[Container]\n"}}'; do
        run ask "$text"
        [[ $output != *'"pid"'* ]] || { echo "$text: $output"; false; }
    done
    says "$(ask '{"method":"io.davit.Unit.Stop","parameters":{"unit":"good"}}' status)" error
    is_state good running
    same_manager
}

@test 'a request of 2 MiB, garbage, deep nesting and half a request do not disturb others' {
    head -c 2097152 /dev/zero | tr '\0' a | timeout 60 socat -t60 - "UNIX-CONNECT:$D/run/control" || true
    head -c 3000000 /dev/urandom | timeout 60 socat -t60 - "UNIX-CONNECT:$D/run/control" >/dev/null || true
    { head -c 500000 /dev/zero | tr '\0' '['; printf '\0'; } | timeout 60 socat -t60 - "UNIX-CONNECT:$D/run/control" >/dev/null || true
    head -c 100000 /dev/zero | timeout 60 socat -t60 - "UNIX-CONNECT:$D/run/control" >/dev/null || true
    # It stays open until another has been answered.
    { printf '{"method":"org.varlink'; until [ -e "$D/answered" ] || [ ! -e "$D" ]; do sleep 0.05; done; } | socat -t60 - "UNIX-CONNECT:$D/run/control" >/dev/null 3>&- &
    half=$!
    timeout 60 "$DAVIT_BUILD/davit" status >/dev/null
    touch "$D/answered"
    wait "$half" || true
    says "$(ask "$info")" io.davit.Manager
    same_manager
}

@test '200 connections that say nothing, and one that does not read' {
    python3 - "$D/run/status" "$D/run/control" <<'P'
import socket, sys, time
held = []
for n in range(200):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(sys.argv[1 + n % 2])
    held.append(s)
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.setblocking(False)
try:
    for n in range(5000):
        s.send(b'{"method":"io.davit.Manager.ListUnits"}\0')
except OSError:
    pass
time.sleep(0.5)
P
    wait_for 5 davit status
    same_manager
}

@test 'a client that leaves while its job runs does not take the job with it' {
    davit stop good
    printf '{"method":"io.davit.Unit.Start","parameters":{"unit":"good"}}\0' | socat -u - "UNIX-CONNECT:$D/run/control"
    wait_for 10 is_state good running
    same_manager
}

# ---- full disks, no rights: each with a fleet of its own ----

one() {
    unit one.container <<'U'
[Container]
Image=busybox
RunInit=yes
Volume=data:/data
Exec=/bin/sleep infinity
U
}

@test 'a full disk: the start fails with the path, and works again when there is room' {
    other_fleet one state size=24m,nr_inodes=2000
    davit start one
    davit stop one
    n=0
    while : >"$D/state/filler-$n"; do n=$((n + 1)); done 2>/dev/null
    [ "$n" -gt 100 ]
    cannot_start one 'No space left' "$D/state"
    find "$D/state" -maxdepth 1 -name 'filler-*' -delete
    davit start one
    is_state one running
    davit stop one
    nothing_left one.container
    # no inode is short now, but no block is left: what a container writes is its own affair
    dd if=/dev/zero of="$D/state/filler" bs=64k 2>/dev/null || true
    davit start one 2>/dev/null || true
    case $(show one state) in running | failed) ;; *) false ;; esac
    davit stop one
    nothing_left one.container
    same_manager
}

@test 'a full /run: the start fails with the path, running ones go on, and it works again' {
    other_fleet one run size=4m,nr_inodes=400,mode=700
    unit two.container <<'U'
[Container]
Image=busybox
Notify=yes
Exec=/bin/payload serve 0
U
    davit daemon-reload
    davit start one
    pid=$(show one pid)
    n=0
    while : >"$D/run/filler-$n"; do n=$((n + 1)); done 2>/dev/null
    cannot_start two 'No space left' "$DAVIT_RUNTIME_DIR"
    is_state one running
    [ "$(show one pid)" = "$pid" ]
    find "$D/run/" -maxdepth 1 -name 'filler-*' -delete
    davit start two
    is_state two running
    # no room for saved state: said, and not fatal
    dd if=/dev/zero of="$D/run/filler" bs=4k 2>/dev/null || true
    davit stop one
    davit start one || true
    same_manager
    rm -f "$D/run/filler"
    davit start one
    is_state one running
}

@test 'without the right to make control groups davit says so and makes nothing' {
    OTHER=1
    davit_new
    davit_image
    unit one.container <<<$'[Container]\nImage=busybox\nExec=/bin/true'
    # shellcheck disable=SC2016
    run timeout 120 unshare -m --propagation private sh -c '
        for m in $(awk "\$9 ~ /^cgroup/ || \$10 ~ /^cgroup/ {print \$5}" /proc/self/mountinfo); do mount -o bind,remount,ro "$m"; done
        "$DAVIT_BUILD/davit-init" >"$D/init.log" 2>&1 </dev/null &
        init=$!
        for n in $(seq 600); do grep -q "Cannot start" "$D/init.log" && break; sleep 0.1; done
        "$DAVIT_BUILD/davit" start one 2>&1
        echo "start: $?"
        "$DAVIT_BUILD/davit" status one 2>&1
        kill "$init"; wait "$init"; cat "$D/init.log"'
    echo "$output"
    says "$output" cgroup
    says "$output" 'Read-only'
    refute says "$output" 'start: 0'
    [ -z "$(find /sys/fs/cgroup -maxdepth 2 -name "$DAVIT_NAME")" ]
}

@test 'an ordinary user is told what is missing' {
    OTHER=1
    davit_new
    chmod 777 "$D" "$D"/*
    run timeout 60 setpriv --reuid 65534 --regid 65534 --clear-groups "$DAVIT_BUILD/davit-init"
    echo "$output"
    [ "$status" -ne 0 ]
    [ "$status" -ne 124 ]
    [ -n "$output" ]
}
