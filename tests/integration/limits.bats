#!/usr/bin/env bats
# Limits arrive in the kernel's files, hold, and what this machine cannot do is said.
# shellcheck disable=SC2016
load common

units() {
    unit limited.container <<U
[Container]
Image=busybox
RunInit=yes
Exec=/bin/sleep infinity
MemoryMax=64M
TasksMax=40
CPUQuota=50%
CPUWeight=50
AllowedCPUs=0
IOReadBandwidthMax=$D 10M
IOWriteIOPSMax=$D 1000
OOMScoreAdjust=200
Nice=-5
IOSchedulingClass=idle
ShmSize=8m
Ulimit=nofile=2000:3000
Ulimit=core=0
Sysctl=net.ipv4.ip_unprivileged_port_start=80 kernel.msgmax=9000
U
    unit in-service.container <<'U'
[Container]
Image=busybox
RunInit=yes
Exec=/bin/sleep infinity
[Service]
MemoryMax=48M
TasksMax=33
CPUQuota=150%
CPUQuotaPeriodSec=50ms
U
    unit host.service <<'U'
[Service]
ExecStart=/bin/sleep infinity
MemoryMax=48M
TasksMax=5
OOMScoreAdjust=300
Nice=3
CPUSchedulingPolicy=batch
IOSchedulingPriority=6
U
    unit plain.container <<'U'
[Container]
Image=busybox
RunInit=yes
Exec=/bin/sleep infinity
U
    unit forks.container <<'U'
[Container]
Image=busybox
PidsLimit=10
Exec=/bin/sh -c 'sh -c "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do sleep 100 & done"; echo held; exec sleep 100'
StopTimeout=1
U
    unit eats.container <<'U'
[Container]
Image=busybox
MemoryMax=24M
MemorySwapMax=0
Exec=/bin/payload eat 200
[Service]
Restart=on-failure
RestartSec=50ms
[Unit]
StartLimitBurst=2
StartLimitIntervalSec=60
U
    unit child-eats.container <<'U'
[Container]
Image=busybox
MemoryMax=24M
MemorySwapMax=0
Exec=/bin/sh -c 'payload eat 200; echo "child ended: $?"; exec sleep 100'
StopTimeout=1
U
    for policy in stop kill; do
        unit "oom-$policy.container" <<U
[Container]
Image=busybox
MemoryMax=24M
MemorySwapMax=0
OOMPolicy=$policy
Exec=/bin/sh -c 'payload eat 200; sleep 100'
StopTimeout=1
U
    done
    unit high.container <<'U'
[Container]
Image=busybox
MemoryHigh=32M
RunInit=yes
Exec=/bin/sleep infinity
U
    unit fuse.container <<'U'
[Container]
Image=busybox
AddDevice=/dev/fuse
AddDevice=-/dev/davit-has-no-such-device
RunInit=yes
Exec=/bin/sleep infinity
U
    unit fuse-reader.container <<'U'
[Container]
Image=busybox
AddDevice=/dev/fuse:/dev/other-name:r
RunInit=yes
Exec=/bin/sleep infinity
U
    unit maker.container <<'U'
[Container]
Image=busybox
UserNS=host
AddCapability=CAP_MKNOD
DeviceAllow=/dev/loop-control r
RunInit=yes
Exec=/bin/sleep infinity
U
    unit closed.service <<U
[Service]
Type=oneshot
DevicePolicy=closed
DeviceAllow=/dev/fuse rw
ExecStart=/bin/sh -c ': </dev/null && : </dev/fuse && echo allowed > $D/closed; (: </dev/kmsg) 2>/dev/null || echo denied >> $D/closed'
U
}
setup_file() { fleet_setup; }
teardown_file() { fleet_teardown; }

# The groups are one for each hierarchy on version 1 and hybrid machines, one for all on version 2.
controller() { grep -q "^$1[[:space:]].*1$" /proc/cgroups || skip "no $1 controller"; }

@test 'MemoryMax' {
    controller memory
    davit start limited in-service host
    [ "$(value limited.container memory.max memory.limit_in_bytes)" -eq $((64 << 20)) ]
    [ "$(value in-service.container memory.max memory.limit_in_bytes)" -eq $((48 << 20)) ]
    [ "$(value host.service memory.max memory.limit_in_bytes)" -eq $((48 << 20)) ]
    [ "$(show limited resources.memory_max)" -eq $((64 << 20)) ]
}

@test 'TasksMax, PidsLimit, and the default of 2048' {
    controller pids
    davit start limited in-service plain
    [ "$(value limited.container pids.max)" -eq 40 ]
    [ "$(value in-service.container pids.max)" -eq 33 ]
    [ "$(value plain.container pids.max)" -eq 2048 ]
}

@test 'a program that forks too much is held, and nobody else' {
    controller pids
    davit start forks
    wait_for 60 has_line forks held
    has_line forks 'fork'
    [ "$(value forks.container pids.current)" -le 10 ]
    [ "$(show forks resources.tasks)" -le 10 ]
    davit start plain
    davit stop forks
}

@test 'CPUQuota, CPUQuotaPeriodSec and CPUWeight' {
    controller cpu
    davit start limited in-service
    if f=$(group_file limited.container cpu.max); then
        [ "$(cat "$f")" = '50000 100000' ]
        [ "$(value in-service.container cpu.max)" = '75000 50000' ]
        [ "$(value limited.container cpu.weight)" -eq 50 ]
    else
        [ "$(value limited.container cpu.cfs_quota_us)" -eq 50000 ]
        [ "$(value limited.container cpu.cfs_period_us)" -eq 100000 ]
        [ "$(value in-service.container cpu.cfs_quota_us)" -eq 75000 ]
        [ "$(value in-service.container cpu.cfs_period_us)" -eq 50000 ]
        [ "$(value limited.container cpu.shares)" -eq 512 ]
    fi
}

@test 'CPUQuota holds' {
    controller cpu
    davit start limited
    local begin before used passed
    begin=$EPOCHREALTIME before=$(show limited resources.cpu_usec)
    davit exec limited timeout 1 sh -c 'while :; do :; done' || true
    used=$(($(show limited resources.cpu_usec) - before)) passed=$((${EPOCHREALTIME/[.,]/} - ${begin/[.,]/}))
    echo "used $used us of cpu time in $passed"
    # Half of it, and two periods' worth for where they begin and end.
    [ "$used" -lt $((passed / 2 + 100000)) ]
}

@test 'AllowedCPUs' {
    controller cpuset
    davit start limited
    [ "$(value limited.container cpuset.cpus)" = 0 ]
    [ "$(davit exec limited sh -c 'grep Cpus_allowed_list /proc/self/status' | tr -d '[:space:]')" = Cpus_allowed_list:0 ]
}

@test 'IOReadBandwidthMax and IOWriteIOPSMax' {
    controller blkio
    [ -b "$(findmnt -no SOURCE -T "$D")" ] || skip 'not on a disk'
    davit start limited
    device=$(findmnt -no MAJ:MIN -T "$D")
    if f=$(group_file limited.container io.max); then
        says "$(cat "$f")" "rbps=10000000"
        says "$(cat "$f")" "wiops=1000"
    else
        says "$(value limited.container blkio.throttle.read_bps_device)" '* 10000000'
        says "$(value limited.container blkio.throttle.write_iops_device)" '* 1000'
    fi
    echo "device $device"
}

@test 'OOMScoreAdjust' {
    davit start limited host plain
    [ "$(davit exec limited cat /proc/1/oom_score_adj)" -eq 200 ]
    [ "$(cat "/proc/$(show host pid)/oom_score_adj")" -eq 300 ]
}

@test 'Nice, CPUSchedulingPolicy and IOSchedulingClass, also upwards within a user namespace' {
    davit start limited host plain
    local pid
    pid=$(show limited pid)
    [ "$(nice_of "$pid")" -eq -5 ]
    [ "$(ionice -p "$pid")" = idle ]
    pid=$(show host pid)
    [ "$(nice_of "$pid")" -eq 3 ]
    says "$(chrt -p "$pid")" SCHED_BATCH
    [ "$(ionice -p "$pid")" = 'best-effort: prio 6' ]
    [ "$(nice_of "$(show plain pid)")" -eq "$(nice_of "$(manager_pid)")" ]
}
nice_of() { ps -o ni= -p "$1"; }

@test 'ShmSize, and 64m without it' {
    davit start limited plain
    [ "$(davit exec limited df -k /dev/shm | awk 'END {print $2}')" -eq 8192 ]
    [ "$(davit exec plain df -k /dev/shm | awk 'END {print $2}')" -eq 65536 ]
    davit exec limited sh -c 'dd if=/dev/zero of=/dev/shm/x bs=1M count=20 2>/dev/null; [ $(wc -c </dev/shm/x) -le 8388608 ]'
}

@test 'Ulimit' {
    davit start limited
    pid=$(show limited pid)
    [ "$(awk '/^Max open files/ {print $4, $5}' "/proc/$pid/limits")" = '2000 3000' ]
    [ "$(awk '/^Max core file size/ {print $5, $6}' "/proc/$pid/limits")" = '0 0' ]
}

@test 'Sysctl, in the container alone' {
    davit start limited plain
    [ "$(davit exec limited cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" -eq 80 ]
    [ "$(davit exec limited cat /proc/sys/kernel/msgmax)" -eq 9000 ]
    [ "$(davit exec plain cat /proc/sys/kernel/msgmax)" -ne 9000 ]
    [ "$(cat /proc/sys/kernel/msgmax)" -ne 9000 ]
}

oom_was_counted() { [ "$(show "$1" oom_kills)" -ge 1 ]; }

@test 'oom-kill is the result, is counted, and is restarted as a failure' {
    controller memory
    davit start eats || true
    wait_for 60 is_state eats failed
    [ "$(show eats restarts)" -ge 1 ]
    case $(show eats result) in oom-kill | start-limit-hit) ;; *) show eats result; false ;; esac
    wait_for 60 oom_was_counted eats
    says "$(davit status eats || true)" 'want of memory'
}

@test 'OOMPolicy: continue keeps the container, stop ends it, kill ends all of it' {
    controller memory
    davit start child-eats oom-stop oom-kill
    wait_for 60 has_line child-eats 'child ended: 137'
    is_state child-eats running
    wait_for 60 oom_was_counted child-eats
    wait_for 60 is_state oom-stop failed
    [ "$(show oom-stop result)" = oom-kill ]
    wait_for 60 is_state oom-kill failed
    [ "$(show oom-kill result)" = oom-kill ]
    davit stop child-eats
}

@test 'AddDevice: there, with the rights given and no others; a missing one marked "-" is left out' {
    [ -c /dev/fuse ] || skip 'no /dev/fuse'
    davit start fuse fuse-reader
    davit exec fuse sh -c ': <>/dev/fuse'
    davit exec fuse-reader sh -c ': </dev/other-name'
    refute davit exec fuse-reader sh -c ': >/dev/other-name'
    refute davit exec fuse test -e /dev/davit-has-no-such-device
    davit start plain
    refute davit exec plain test -e /dev/fuse
}

@test 'a node made inside opens only where DeviceAllow says so' {
    [ -c /dev/loop-control ] || skip 'no /dev/loop-control'
    davit start maker
    davit exec maker mknod /dev/k c 1 11
    run davit exec maker sh -c ': </dev/k'
    echo "$output"
    [ "$status" -ne 0 ]
    says "$output" 'not permitted'
    davit exec maker sh -c "mknod /dev/l c $(stat -c '0x%t 0x%T' /dev/loop-control | { read -r a b; echo $((a)) $((b)); }) && : </dev/l"
    refute davit exec maker sh -c ': >/dev/l'
    davit exec maker sh -c ': >/dev/null; : </dev/zero; : </dev/urandom'
}

@test 'DevicePolicy=closed holds for a host service' {
    [ -c /dev/fuse ] || skip 'no /dev/fuse'
    davit start closed
    [ "$(tr '\n' ' ' <"$D/closed")" = 'allowed denied ' ]
}

@test 'status names what this machine could not apply' {
    davit start high
    if group_file high.container memory.high; then
        [ "$(value high.container memory.high)" -eq $((32 << 20)) ]
        skip 'this machine can do MemoryHigh='
    fi
    davit status --json high | jq -e '(if type == "array" then .[0] else . end) | .limits | map(.key) | index("MemoryHigh")'
    says "$(davit status high)" MemoryHigh
}

@test 'MemoryMax without a memory controller is refused, unless davit.conf allows it' {
    [ -d /sys/fs/cgroup/memory ] || skip 'only where the memory controller has a hierarchy of its own'
    export OTHER=1
    davit_new
    davit_image
    unit wants.container <<<$'[Container]\nImage=busybox\nMemoryMax=64M\nExec=/bin/true'
    # a root that has every hierarchy but this one
    run timeout 200 unshare -m --propagation private sh -ec '
        r=$D/root; mkdir "$r"; mount -t tmpfs tmpfs "$r"
        for d in /*; do
            if [ -L "$d" ]; then cp -P "$d" "$r/"; elif [ -d "$d" ] && [ "$d" != /sys ]; then mkdir "$r$d"; mount --bind "$d" "$r$d"; fi
        done
        [ -e "$r$DAVIT_BUILD/davit-init" ] || { on=$(findmnt -no TARGET -T "$DAVIT_BUILD"); mount --rbind "$on" "$r$on"; }
        mount --rbind /proc "$r/proc"; mkdir "$r/sys"; mount --bind /sys "$r/sys"; mount -t tmpfs tmpfs "$r/sys/fs/cgroup"
        for h in /sys/fs/cgroup/*; do
            [ "$h" = /sys/fs/cgroup/memory ] || { mkdir "$r$h"; mount --bind "$h" "$r$h"; }
        done
        exec chroot "$r" sh -c "
            \"\$DAVIT_BUILD/davit-init\" >\"\$D/init.log\" 2>&1 </dev/null &
            for n in \$(seq 600); do \"\$DAVIT_BUILD/davit\" status >/dev/null 2>&1 && break; sleep 0.1; done
            \"\$DAVIT_BUILD/davit\" start wants; echo \"start: \$?\"
            \"\$DAVIT_BUILD/davit\" status wants
            kill \$!; wait \$!; cat \"\$D/init.log\""'
    echo "$output"
    says "$output" 'MemoryMax= cannot be honoured'
    says "$output" allow_missing_limits
    refute says "$output" 'start: 0'
}
