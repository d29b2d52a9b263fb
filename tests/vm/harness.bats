#!/usr/bin/env bats
# The harness itself: each way in which a machine can end is told from the others, and nothing is left of it.
bats_require_minimum_version 1.5.0
load lib

# script: what the machine runs as its process 1, after the usual mounts
script() { { echo '#!/bin/sh'; cat; } | vm_file /script 755; }
run_script() { vm_boot --init /sbin/vm-preinit --append '-- /script' "$@"; }

@test 'a machine that powers off: its status, its files, its console' {
    vm_new
    script <<'S'
echo 'it says so'
echo 'and reports' >/dev/ttyS1
echo kept >/var/lib/here
vm-status 7
sync
busybox poweroff -f
S
    run_script
    vm_ended poweroff 7
    vm_said '^it says so$'
    vm_reported '^and reports$'
    [ "$(vm_get /var/lib/here)" = kept ]
    run ! vm_get /var/lib/not-here
    vm_list /var/lib | grep -qx here
    vm_fsck
}

# Without a machine, its console being made up.
no_machine() {
    V=$BATS_TEST_TMPDIR/machine
    mkdir "$V"
}

@test 'half a line is none while the machine runs; what it said last counts when it has ended' {
    no_machine
    printf 'first\r\nlast wor' >"$V/console"
    vm_wait_said '^first$'
    run ! vm_said last
    printf 'ds' >>"$V/console"
    : >"$V/result"
    vm_wait_said '^last words$'
    run ! vm_wait_said first 2
}

# bats test_tags=long
@test 'reboot, halt, panic, time-out and a power cut are told apart' {
    vm_new
    script <<'S'
word=$(sed 's/.*way=\([a-z]*\).*/\1/' /proc/cmdline)
case $word in
reboot) busybox reboot -f ;;
halt) busybox halt -f ;;
panic) exit 3 ;;
esac
echo waiting
sleep 1000
S
    local way
    for way in reboot halt panic; do
        vm_boot --init /sbin/vm-preinit --append "way=$way -- /script"
        vm_ended $way
    done
    run_script --timeout 4
    vm_ended timeout
    run_script --background
    vm_wait_said '^waiting$'
    vm_kill
    vm_ended killed
}

@test 'files can be put between two boots, and the disk keeps what it had' {
    vm_new
    script <<'S'
cat /new/file >/dev/ttyS1
date >>/var/lib/boots
sync
busybox poweroff -f
S
    run_script
    echo 'from outside' | vm_file /new/file
    run_script
    vm_reported '^from outside$'
    [ "$(vm_get /var/lib/boots | wc -l)" = 2 ]
    vm_fsck
}

@test 'a second file system is a partition with what was put on it' {
    vm_new
    mkdir "$V/tree"
    echo 'on the second' >"$V/tree/file"
    vm_disk data 64M "$V/tree"
    script <<'S'
mount /dev/nvme0n1p2 /mnt
cat /mnt/file >/dev/ttyS1
echo back >/mnt/answer
umount /mnt
busybox poweroff -f
S
    run_script
    vm_reported '^on the second$'
    [ "$(vm_get /answer data)" = back ]
}

# In the file "count" stands a number; what the last acknowledgement says is that it had been made durable.
sound_and_not_behind() {
    local acknowledged count
    vm_fsck >/dev/null || return 1
    acknowledged=$(vm_get /last acknowledged || echo 0)
    count=$(vm_get /var/lib/count || echo 0)
    if [ "${acknowledged:-0}" -gt "${count:-0}" ]; then
        echo "acknowledged $acknowledged, there is $count"
        return 1
    fi
    seen+=("$count")
}

# Counts to 40, with SYNC after each step of replacing the file.
count_with() {
    script <<S
mount /dev/nvme0n1p2 /mnt
for n in \$(seq 40); do
    echo \$n >/var/lib/new
    $1 /var/lib/new
    mv /var/lib/new /var/lib/count
    $1 /var/lib
    echo \$n >/mnt/last
    sync /mnt/last
done
busybox poweroff -f
S
    vm_boot --init /sbin/vm-preinit --append '-- /script' --record
    vm_ended poweroff
}

@test 'a power cut at any write: what was made durable is there' {
    vm_new
    vm_disk acknowledged 16M
    count_with sync
    local seen=()
    vm_crashpoints 15 sound_and_not_behind
    [ "$(printf '%s\n' "${seen[@]}" | sort -u | wc -l)" -ge 5 ]
    [ "$(vm_get /var/lib/count)" = 40 ]
}

# bats test_tags=long
@test 'a power cut at any write: a program that makes nothing durable is found out' {
    vm_new
    vm_disk acknowledged 16M
    count_with true
    run ! vm_crashpoints 15 sound_and_not_behind
    [[ $output == *'acknowledged '*', there is '*"VM_CRASH='"* ]]
}

@test 'keys, and text typed at the console, reach the machine' {
    vm_new
    script <<'S'
trap 'echo "got ctrl-alt-del"; vm-status 3; busybox poweroff -f' INT
echo 0 >/proc/sys/kernel/ctrl-alt-del
echo 'type'
read -r line
echo "got $line"
while :; do sleep 0.1; done
S
    run_script --background
    vm_wait_said '^type$'
    vm_type 'a word'
    vm_wait_said '^got a word$'
    vm_key ctrl-alt-delete
    vm_wait
    vm_ended poweroff 3
    vm_said 'got ctrl-alt-del'
}

@test 'davit-init as process 1 starts a unit' {
    vm_new
    vm_unit hello.container <<'U'
[Container]
Image=busybox
Exec=/bin/echo "hello from the container"
[Service]
Type=oneshot
StandardOutput=tty
[Install]
WantedBy=multi-user.target
U
    vm_unit end.service <<'U'
[Unit]
After=hello.container
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'davit status hello.container; vm-status 0; sync; echo o >/proc/sysrq-trigger'
[Install]
WantedBy=multi-user.target
U
    vm_enable end.service
    vm_boot --preinit
    vm_ended poweroff 0
}
