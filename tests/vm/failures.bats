#!/usr/bin/env bats
# A machine whose davitd or davit-init fails: what the console says, and how it goes on. And its power key.
bats_require_minimum_version 1.5.0
load lib

forever() {
    vm_unit forever.service <<'U'
[Service]
ExecStart=/sbin/sleep 1000
[Install]
WantedBy=multi-user.target
U
    vm_enable forever.service
}

# bats test_tags=long
@test 'the power key powers off in order' {
    [ -n "$(find "${DAVIT_VM_CACHE:-$DAVIT_BUILD/vm}/kernel-$VM_KERNEL/" -name 'button.ko*')" ] || skip "the kernel $VM_KERNEL of the cache was fetched without the module button"
    vm_new
    forever
    vm_boot --background --append davit.log=info,console,kmsg
    vm_wait_said 'startup finished'
    vm_said 'the power key of /dev/input/event[0-9]+ powers off'
    vm_monitor system_powerdown
    vm_wait
    vm_ended poweroff
    vm_said 'stopping: the power key was pressed'

    vm_boot --background --append 'davit.log=info,console,kmsg davit.power_key=no'
    vm_wait_said 'startup finished'
    run ! vm_said 'the power key of'
    vm_key ctrl-alt-delete
    vm_wait
    vm_ended reboot
}

# bats test_tags=long
@test 'a power key that is plugged in later, and again' {
    [ -n "$(find "${DAVIT_VM_CACHE:-$DAVIT_BUILD/vm}/kernel-$VM_KERNEL/" -name 'button.ko*')" ] || skip "the kernel $VM_KERNEL of the cache was fetched without the module button"
    vm_new
    # Nodes of input devices come with the driver evdev: without it there is not even a /dev/input.
    printf 'blacklist evdev\nblacklist button\n' | vm_file /etc/modprobe.d/later.conf
    vm_agent
    vm_boot --background --append davit.log=info,console,kmsg
    vm_run '! ls /dev/input'
    run ! vm_said 'the power key of'
    vm_run 'modprobe evdev && modprobe button'
    vm_wait_said 'the power key of /dev/input/event[0-9]+ powers off'
    # The button is unplugged, and plugged in again: perhaps with the same number.
    local before
    vm_run 'rmmod button'
    before=$(vm_console | grep -c "the power key of")
    vm_run 'modprobe button'
    until [ "$(vm_console | grep -c 'the power key of')" -gt "$before" ]; do
        [ ! -e "$V/result" ]
        sleep 0.2
    done
    vm_monitor system_powerdown
    vm_wait
    vm_ended poweroff
    vm_said 'stopping: the power key was pressed'
}

no_davitd() {
    vm_new
    printf '#!/bin/sh\nexit 3\n' | vm_file /usr/lib/davit/davitd 755
}

# bats test_tags=long
@test 'a davitd that cannot start: a shell on the console, from which the machine can be mended' {
    no_davitd
    mv "$V/root/usr/lib/davit/davitd" "$V/root/usr/lib/davit/broken"
    cp "$DAVIT_BUILD/davitd" "$V/root/usr/lib/davit/whole"
    cp "$V/root/usr/lib/davit/broken" "$V/root/usr/lib/davit/davitd"
    forever
    vm_boot --background
    vm_wait_said 'davitd does not come up: a shell on the console'
    vm_wait_said 'davit: emergency shell'
    vm_type 'mv /usr/lib/davit/whole /usr/lib/davit/davitd; until davit is-active forever.service; do sleep 1; done; davit poweroff'
    vm_wait
    vm_ended poweroff
    vm_said 'startup finished'
}

# bats test_tags=long
@test 'a davitd that cannot start: no shell where there is to be none, and a reboot after davit.manager_lost=' {
    no_davitd
    vm_boot --append 'davit.shell=no davit.manager_lost=5s'
    vm_ended reboot
    vm_said 'davitd keeps dying'
    vm_said 'no davitd has been ready for 5s \(davit.manager_lost=\): rebooting'
    run ! vm_said 'davit: emergency shell'
}

# bats test_tags=long
@test 'a davitd that keeps dying on a machine that runs: the container goes on, the console says so, and it is tried again with longer and longer delays' {
    vm_new debian
    vm_agent
    vm_unit web.container <<'U'
[Container]
Image=busybox
Exec=/bin/sh -c 'while :; do sleep 1; done'
[Install]
WantedBy=multi-user.target
U
    vm_enable web.container
    vm_boot --background --append davit.log=info,console,kmsg
    vm_wait_said 'startup finished'
    pid=$(vm_run 'davit status --json web | jq -r ".pid // .[0].pid"')
    vm_run 'mv /usr/lib/davit/davitd /usr/lib/davit/whole; ln -s /bin/false /usr/lib/davit/davitd; pkill -KILL -x davitd'
    vm_wait_said 'davitd keeps dying \(6 times in a row, last it exited with status 1\); containers go on'
    vm_console | awk '/davitd exited .*starting it again in/ { print $NF ~ /ms$/ ? $NF + 0 : $NF * 1000 }' >"$V/delays"
    [ "$(wc -l <"$V/delays")" -ge 3 ]
    sort -nc "$V/delays"
    run ! vm_said 'davit: emergency shell' # that is for a machine that has not come up
    vm_run "kill -0 $pid && mv /usr/lib/davit/whole /usr/lib/davit/davitd; until davit is-active -q web; do sleep 0.2; done"
    [ "$(vm_run 'davit status --json web | jq -r ".pid // .[0].pid"')" = "$pid" ]
    [ "$(vm_run 'davit status --json web | jq -r ".restarts // .[0].restarts"')" = 0 ]
    vm_run 'davit poweroff' || true
    vm_wait
    vm_ended poweroff
}

# The kernel lets through to process 1 only the signals that it has a handler for.
# bats test_tags=long
@test 'a fatal signal with davit.crash=freeze: the machine stands still, and a core dump is written' {
    vm_new
    vm_script crash <<'S'
echo '/core.%p' >/proc/sys/kernel/core_pattern
kill -s SEGV 1
sleep 1000
S
    vm_boot --background --append 'davit.crash=freeze davit.crash_core=yes'
    vm_wait_said 'davit-init: caught SIGSEGV'
    vm_wait_said 'davit-init: standing still$'
    # It is still there, and answers to nobody: not even to three fingers.
    vm_key ctrl-alt-delete
    vm_kill
    vm_ended killed
    run ! vm_said 'rebooting|Kernel panic'
    vm_list / | grep -qE '^core\.[0-9]+$'
    vm_get "/$(vm_list / | grep -E '^core\.[0-9]+$' | head -n1)" >"$V/core"
    [ "$(head -c4 "$V/core" | tail -c3)" = ELF ]
}

# bats test_tags=long
@test 'a console that takes nothing: nobody waits for it' {
    vm_new
    vm_script script <<'S'
until davit is-active multi-user.target >/dev/null; do sleep 0.1; done
cat /proc/consoles >/dev/ttyS1
dmesg | grep 'davit-init: ' >/dev/ttyS1
davit poweroff
S
    mkfifo "$V/stuck.in" "$V/stuck.out"
    exec 7<>"$V/stuck.out"
    head -c 65536 /dev/zero >&7 # a pipe takes no more
    vm_boot --append davit.log=info,console,kmsg --qemu "-chardev pipe,id=stuck,path=$V/stuck -serial chardev:stuck"
    exec 7>&-
    vm_ended poweroff
    vm_said '^ttyS0 .*C'
    # close(2) of such a line takes half a minute: each message would.
    vm_console | tr -d '[]' | awk '/is the first process/ {first = $1} /startup finished/ {n++; if ($1 - first > 60) exit 1} END {exit !n}'
}

# bats test_tags=long
@test 'fsck of a file system with errors: corrected before it is mounted, or an emergency that says so' {
    vm_new debian
    vm_disk data 16M
    echo 'LABEL=data /srv ext4 defaults 0 2' | vm_file /etc/fstab
    forever
    vm_boot --background --append 'davit.log=info,console,kmsg'
    vm_wait_said 'startup finished'
    run ! vm_said 'fsck has corrected'
    vm_key ctrl-alt-delete
    vm_wait
    # A wrong count of free blocks, and the mark of a file system with errors.
    debugfs -w -R 'set_super_value free_blocks_count 1' "$(vm_part data)"
    debugfs -w -R 'set_super_value state 2' "$(vm_part data)"
    vm_boot --background --append davit.log=info,console,kmsg
    vm_wait_said 'startup finished'
    vm_said 'davit-boot: checking /dev/nvme0n1p2'
    vm_said 'davit-boot: fsck has corrected errors'
    vm_said '/srv: mounted'
    vm_key ctrl-alt-delete
    vm_wait
    vm_fsck data
    debugfs -w -R 'clri <11>' "$(vm_part data)" # lost+found
    vm_boot --background --append 'fsck.mode=force fsck.repair=no davit.log=info,console,kmsg'
    vm_wait_said 'davit: emergency shell'
    vm_said '/etc/fstab: /srv: fsck leaves errors uncorrected \(status 4\)'
    vm_kill
}

# bats test_tags=long
@test 'fsck of the root: when it was corrected the machine reboots, and then comes up' {
    vm_new debian
    echo '/dev/nvme0n1p1 / ext4 defaults 0 1' | vm_file /etc/fstab
    forever
    vm_boot --background --append 'ro davit.log=info,console,kmsg'
    vm_wait_said 'startup finished'
    vm_said 'davit-boot: checking /dev/nvme0n1p1'
    vm_key ctrl-alt-delete
    vm_wait
    debugfs -w -R 'set_super_value free_blocks_count 1' "$(vm_part root)"
    debugfs -w -R 'set_super_value state 2' "$(vm_part root)"
    vm_boot --append ro
    vm_ended reboot
    vm_said 'davit-boot: / was corrected while it was mounted: rebooting'
    run ! vm_said 'startup finished'
    vm_boot --background --append ro
    vm_wait_said 'startup finished'
    vm_key ctrl-alt-delete
    vm_wait
    vm_ended reboot
    vm_fsck
}
