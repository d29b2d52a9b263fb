#!/usr/bin/env bats
# The classic exercise, "Docker in a few shell scripts", by unit files and by `davit run`.
# shellcheck disable=SC2016
bats_require_minimum_version 1.5.0
load common

units() {
    unit dreamland.container <<'U'
[Container]
Image=busybox
HostName=dreamland
Memory=100M
Volume=data1:/data1
Exec=/bin/sleep infinity
RunInit=yes
U
    unit hog.container <<'U'
[Container]
Image=busybox
MemoryMax=100M
MemorySwapMax=0
Exec=/bin/payload eat 300
U
    unit twin@.container <<'U'
[Container]
Image=busybox
Exec=/bin/sh -c 'rm /etc/group; echo %i > /who; exec sleep infinity'
RunInit=yes
U
    unit write.container <<'U'
[Container]
Image=busybox
Volume=data1:/data1
Exec=/bin/sh -c 'echo kept >> /data1/file; cat /data1/file'
[Service]
Type=oneshot
U
}
setup_file() { fleet_setup; }
teardown_file() { fleet_teardown; }

@test 'the host name is the one in the unit' {
    davit start dreamland
    [ "$(davit exec dreamland hostname)" = dreamland ]
    [ "$(hostname)" != dreamland ]
}

@test 'process number 1 is its own, and the host is not seen' {
    davit start dreamland
    run davit exec dreamland ps -o pid,args
    [ "$status" -eq 0 ]
    [[ $output == *"1 "* ]]
    [[ $output != *davitd* ]]
    [ "$(davit exec dreamland sh -c 'ls /proc | grep -c "^[0-9]"')" -lt 8 ]
}

@test 'the mount table is free of host mounts' {
    davit start dreamland
    run davit exec dreamland awk '{print $5}' /proc/self/mountinfo
    [ "$status" -eq 0 ]
    refute grep -vE '^(/|/data1|/run/host.*|/(proc|sys|dev)(/.*)?)$' <<<"$output"
    refute grep -q "$D/state/containers" /proc/self/mountinfo
}

@test 'a program that takes 300M is held at 100M and named oom-kill' {
    memory_controller || skip 'no memory controller'
    run davit start hog
    wait_for 20 is_state hog failed
    [ "$(show hog result)" = oom-kill ]
    has_line hog 'took 64 MiB'
    refute has_line hog 'took 160 MiB'
    [ "$(show hog oom_kills)" -ge 1 ]
}

@test 'two containers from one image: copy-up and whiteouts stay apart, the image is untouched' {
    davit start twin@a twin@b
    wait_for 5 davit exec twin@a test -s /who
    wait_for 5 davit exec twin@b test -s /who
    [ "$(davit exec twin@a cat /who)" = a ]
    [ "$(davit exec twin@b cat /who)" = b ]
    run davit exec twin@a ls /etc/group
    [ "$status" -ne 0 ]
    [ -e "$D/state/images/busybox/etc/group" ]
    [ ! -e "$D/state/images/busybox/who" ]
}

@test 'what is written to a volume survives, what is written elsewhere does not' {
    davit start write
    davit start write
    thrice() { [ "$(logs_of write | grep -c kept)" -ge 3 ]; }
    wait_for 10 thrice # its start is over when its program has ended, not when its output has been read
    davit stop twin@a
    davit start twin@a
    wait_for 5 davit exec twin@a test -s /who
}

@test 'root in the container owns its files on disk as root on volumes and by its own range elsewhere' {
    davit start write
    [ "$(stat -c %u "$D/state/volumes/data1/_data/file")" -eq 0 ]
    davit start dreamland
    map=$(davit exec dreamland cat /proc/self/uid_map | awk '{print $2}')
    [ "$map" -ge 100000 ]
    [ "$(davit exec dreamland stat -c %u /bin/busybox)" -eq 0 ]
}

is_forgotten() { local r=0; davit status "$1" || r=$?; [ "$r" -eq 4 ]; }

@test 'davit run: name, memory, volume, program, exit status' {
    run davit run -m 100M --name dream -v data1:/data1 busybox /bin/sh -c 'hostname; cat /data1/file | head -n 1; exit 7'
    echo "$output"
    [ "$status" -eq 7 ]
    [ "${lines[0]}" = dream ]
    [ "${lines[1]}" = kept ]
    wait_for 5 is_forgotten dream
}

@test 'davit run passes standard input and keeps outputs apart' {
    [ "$(echo hello | davit run -i busybox cat 2>/dev/null)" = hello ]
    [ "$(davit run busybox sh -c 'echo no >&2' 2>/dev/null)" = '' ]
    [ "$(davit run -u www busybox sh -c 'echo again > /dev/stdout')" = again ]
    davit start dreamland
    [ "$(davit exec dreamland sh -c 'echo again > /dev/stderr' 2>&1)" = again ]
}

@test 'davit run: missing program 127, not executable 126, no such image 125' {
    run -127 davit run busybox /bin/nothing
    run -126 davit run busybox /etc/passwd
    run -125 davit run nosuchimage true
    [[ $output == *nosuchimage* ]]
}

@test 'everything a start made is gone after the stop' {
    davit start dreamland
    davit stop dreamland
    wait_for 5 sh -c "! ls $D/state/containers/dreamland.container/* 2>/dev/null | grep -q ."
    [ ! -e "$D/run/log/dreamland.container" ]
    [ ! -e "$D/run/notify/dreamland.container" ]
    [ -z "$(find /sys/fs/cgroup -maxdepth 3 -path "*$DAVIT_NAME/dreamland.container")" ]
    refute grep -q "$D" /proc/self/mountinfo
}

@test 'a Debian root made by debootstrap runs' {
    command -v mmdebstrap >/dev/null || command -v debootstrap >/dev/null || skip 'no debootstrap'
    [ -n "${DAVIT_TEST_DEBIAN:-}" ] || skip 'takes half a minute and the network: set DAVIT_TEST_DEBIAN=1'
    mmdebstrap --variant=minbase bookworm "$D/state/images/debian" >/dev/null 2>&1
    run davit run debian /bin/bash -c '. /etc/os-release; echo $ID'
    [ "$output" = debian ]
}
