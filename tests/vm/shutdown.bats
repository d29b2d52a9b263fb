#!/usr/bin/env bats
# The end of a machine: in order, by force, and with everything in the way that can be.
bats_require_minimum_version 1.5.0
load lib

# machine: a busybox machine with the helper, whose script on standard input runs as a unit after the boot
machine() {
    vm_new
    gcc -static -O1 -o "$V/root/usr/bin/helper" "$VM_SOURCE/helper.c"
    mkdir -p "$V/root/data"
    {
        cat <<'S'
#!/bin/sh
export PATH=/usr/sbin:/usr/bin
# What belongs to no unit, and so is stopped by none.
outside() { setsid sh -c 'echo $$ >/sys/fs/cgroup/cgroup.procs; exec "$@"' outside "$@" & }
S
        cat
    } | vm_file /script 755
    vm_unit script.service <<'U'
[Unit]
Description=What the test does
[Service]
Type=oneshot
ExecStart=/script
[Install]
WantedBy=multi-user.target
U
    vm_enable script.service
}

# is_clean DISK: no journal is left to be replayed
is_clean() {
    local features
    features=$(debugfs -R 'show_super_stats -h' "$(vm_part "$1")" 2>/dev/null | grep '^Filesystem features:')
    [[ $features == *has_journal* && $features != *needs_recovery* ]]
}

# stubborn: a unit that does not end by being asked, and has all the time in the world
stubborn() {
    vm_unit stubborn.service <<'U'
[Service]
Type=exec
ExecStart=/bin/sh -c 'trap "" TERM; while :; do sleep 1; done'
TimeoutStopSec=infinity
[Install]
WantedBy=multi-user.target
U
    vm_enable stubborn.service
}

@test 'power-off in order: units, file systems, the seed for the next boot' {
    machine <<'S'
mount LABEL=data /data
echo kept >/data/file
davit poweroff --message "for tea"
S
    vm_disk data 64M
    vm_unit db.service <<'U'
[Service]
Type=exec
ExecStart=/bin/sh -c 'trap "echo db-stops >/dev/ttyS1; exit 0" TERM; while :; do sleep 0.1; done'
[Install]
WantedBy=multi-user.target
U
    vm_unit web.service <<'U'
[Unit]
After=db.service
[Service]
Type=exec
ExecStart=/bin/sh -c 'trap "sleep 0.5; echo web-stops >/dev/ttyS1; exit 0" TERM; while :; do sleep 0.1; done'
[Install]
WantedBy=multi-user.target
U
    vm_enable db.service web.service
    vm_boot
    vm_ended poweroff
    [ "$(vm_report | grep -xE '(db|web)-stops' | tr '\n' ' ')" = 'web-stops db-stops ' ]
    vm_said 'davit-shutdown: poweroff'
    vm_said 'all file systems are unmounted'
    [ "$(vm_get /file data)" = kept ]
    # Unmounted, and not only written.
    is_clean data
    is_clean root
    vm_list /var/lib/davit | grep -qx random-seed
}

@test 'halt, and reboot with one more hook than works' {
    machine <<'S'
if grep -q way=halt /proc/cmdline; then davit halt; else davit reboot; fi
S
    # In the middle of a long write to the console when the other one ends: nothing of what davit-shutdown says is lost.
    vm_file /usr/lib/davit/shutdown.d/10-says 755 <<'H'
#!/bin/sh
: >/run/writes
dd if=/usr/lib/davit/shutdown.d/text of=/dev/console bs=64k 2>/dev/null
echo "hook says $1" >/dev/console
H
    seq 3000 | vm_file /usr/lib/davit/shutdown.d/text
    vm_file /usr/lib/davit/shutdown.d/20-fails 755 <<'H'
#!/bin/sh
until [ -e /run/writes ]; do sleep 0.01; done
sleep 0.05
exit 3
H
    vm_boot --append way=halt
    vm_ended halt
    vm_said 'hook says halt'
    vm_said '20-fails ended with status 3'
    is_clean root
    vm_boot --append way=reboot
    vm_ended reboot
    vm_said 'hook says reboot'
}

@test 'kexec into the kernel that was loaded; without one it is a reboot, and says so' {
    machine <<'S'
grep -q try=second /proc/cmdline && { echo 'second kernel' >/dev/ttyS1; davit poweroff; exit; }
if grep -q way=load /proc/cmdline; then helper kexec-load /vmlinuz "$(cat /proc/cmdline) try=second" >/dev/ttyS1 2>&1; fi
davit kexec
S
    cp "$DAVIT_VM_CACHE/kernel-$VM_KERNEL/vmlinuz" "$V/root/vmlinuz"
    vm_boot --append way=load
    vm_said 'davit-shutdown: kexec'
    vm_reported '^second kernel$'
    vm_ended poweroff
    vm_boot
    vm_ended reboot
    vm_said 'no kernel is loaded for kexec.*rebooting instead'
}

@test 'soft-reboot: the same kernel, a new userspace, in the next root; logins that an end ahead has forbidden come back' {
    machine <<'S'
echo boot >>/var/lib/boots
nologin() { echo "nologin $1: $(cat /run/nologin 2>/dev/null || echo none)" >/dev/ttyS1; }
case $(wc -l </var/lib/boots) in
1) echo "before $(cat /proc/sys/kernel/random/boot_id) $(cat /proc/1/oom_score_adj)" >/dev/ttyS1
   outside sleep 1000
   davit poweroff --when=+1h; nologin early
   davit poweroff --when=+301s
   while [ ! -e /run/nologin ]; do sleep 0.2; done
   davit poweroff --when=show | grep -q poweroff && nologin ahead
   cp /run/nologin /run/kept
   davit poweroff --when=cancel; nologin cancelled
   # As a davitd that was killed leaves it.
   mv /run/kept /run/nologin; nologin stale
   davit soft-reboot ;;
2) echo "between $(cat /proc/sys/kernel/random/boot_id) $(cat /proc/1/oom_score_adj)" >/dev/ttyS1
   pidof sleep >/dev/null && echo 'somebody is left' >/dev/ttyS1
   nologin booted
   mkdir -p /run/nextroot
   mount LABEL=next /run/nextroot
   davit soft-reboot ;;
*) davit reboot ;;
esac
S
    # The next root is another file system, with the same programs and another script.
    cp -a "$V/root" "$V/next"
    { echo '#!/bin/sh'; echo 'PATH=/usr/sbin:/usr/bin'
      # shellcheck disable=SC2016 # for the machine
      echo 'echo "after $(cat /proc/sys/kernel/random/boot_id), root $(mountpoint -d /)" >/dev/ttyS1; davit poweroff'; } >"$V/next/script"
    vm_disk next 200M "$V/next"
    rm -rf "$V/next"
    vm_boot
    vm_ended poweroff
    local boots
    boots=$(vm_report | grep -oE '^(before|between|after) [0-9a-f-]{36}')
    [ "$(wc -l <<<"$boots")" = 3 ]
    [ "$(cut -d' ' -f2 <<<"$boots" | sort -u | wc -l)" = 1 ]
    [ "$(vm_report | sed -n 's/^nologin \([a-z]*\): \(....\).*/\1 \2/p' | tr '\n' ' ')" = 'early none ahead The  cancelled none stale The  booted none ' ]
    vm_said 'the next root is /run/nextroot'
    run ! vm_reported 'somebody is left'
    # What containers start from is what the first davit-init has found.
    [ "$(vm_report | grep -E '^(before|between) ' | awk '{print $3}' | sort -u | wc -l)" = 1 ]
    is_clean next
    is_clean root
}

@test 'five thousand mounts are taken apart' {
    machine <<'S'
mkdir /data/m
mount -t tmpfs -o nr_inodes=100k tmpfs /data/m
helper mounts 5000 /data/m
echo "mounts: $(wc -l </proc/self/mountinfo)" >/dev/ttyS1
davit poweroff
S
    vm_boot --memory 768
    vm_ended poweroff
    [ "$(vm_report | grep -oE '^mounts: [0-9]+' | cut -d' ' -f2)" -gt 5000 ]
    vm_said 'all file systems are unmounted'
    is_clean root
}

@test 'what lies on top of each other is taken apart: swap, a file system on dm on loop on a file' {
    machine <<'S'
modprobe loop
modprobe dm-mod
mount LABEL=data /data
dd if=/dev/zero of=/data/image bs=1M count=16
dd if=/dev/zero of=/swap bs=1M count=8
mkswap /swap && swapon /swap
losetup /dev/loop3 /data/image
node=$(helper linear /dev/loop3 stack 32768)
mke2fs "$node"
mkdir -p /data/stack
mount -t ext2 "$node" /data/stack || mount -t ext4 "$node" /data/stack
echo x >/data/stack/file
echo "stack: $(wc -l </proc/swaps) $(cat /sys/block/loop3/loop/backing_file) $(grep -c "$node /data/stack" /proc/mounts)" >/dev/ttyS1
davit poweroff
S
    vm_disk data 64M
    vm_boot
    vm_ended poweroff
    vm_reported '^stack: 2 /data/image 1'
    vm_said 'all devices detached'
    is_clean data
    is_clean root
}

@test 'a busy file system names its holder, and the machine ends all the same' {
    machine <<'S'
mount LABEL=data /data
# As a program that the root file system lives on marks itself: it is not killed.
outside helper hold @holder /data/file 1000
while ! [ -e /data/file ]; do sleep 0.1; done
davit reboot
S
    vm_disk data 64M
    vm_boot
    vm_ended reboot
    vm_said 'left: /data \(ext4\)'
    vm_said 'held by process [0-9]+ \(exe\): has open /data/file'
}

@test 'a unit that hangs: the time for all is over, and it is killed' {
    machine <<'S'
davit poweroff
S
    stubborn
    echo 'shutdown_timeout = "2s";' | vm_file /etc/davit/davit.conf
    vm_boot
    vm_ended poweroff
    is_clean root
}

@test 'asked seven times within two seconds: nothing is waited for any more' {
    machine <<'S'
# A slow machine may take seven for too far apart, and two for one: the next are one more chance.
outside sh -c 'while :; do kill -INT 1; sleep 0.1; done'
sleep 1000
S
    stubborn
    vm_boot
    vm_ended reboot
    is_clean root
}

@test 'without davitd: davit-init is asked by signal, and forced twice is at once' {
    machine <<'S'
mount --bind /dev/null /usr/lib/davit/davitd
davitd=$(pidof davitd)
kill -KILL "$davitd"
while [ -e "/proc/$davitd" ]; do sleep 0.1; done
if grep -q way=twice /proc/cmdline; then davit reboot --force --force; else davit poweroff --force; fi
S
    stubborn
    vm_boot
    vm_ended poweroff
    vm_said 'davit-shutdown: poweroff'
    is_clean root
    vm_boot --append way=twice
    vm_ended reboot
    run ! vm_said 'davit-shutdown:'
}

@test 'FailureAction=, and an action that waits for nothing' {
    machine <<'S'
if grep -q way=now /proc/cmdline; then davit start now.service; else davit start fails.service; fi
S
    vm_unit fails.service <<'U'
[Unit]
FailureAction=reboot-force
[Service]
ExecStart=/bin/sh -c 'sleep 0.2; exit 1'
U
    vm_unit now.service <<'U'
[Unit]
SuccessAction=poweroff-immediate
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'sync'
U
    stubborn
    vm_boot
    vm_ended reboot
    vm_said 'davit-shutdown: reboot'
    vm_boot --append way=now
    vm_ended poweroff
    run ! vm_said 'davit-shutdown:'
}

@test 'the hardware watchdog is handed over, with its own time-out' {
    machine <<'S'
davit reboot
S
    local driver=i6300esb
    [ "$VM_KERNEL" = 6.12 ] || driver=softdog # there is no other in 6.1
    echo $driver | vm_file /etc/modules-load.d/watchdog.conf
    vm_boot --watchdog --append 'davit.watchdog=60s'
    vm_ended reboot
    vm_said 'davit-shutdown: hardware watchdog: [0-9]+ s'
}

# bats test_tags=long
@test 'a soft-reboot: the hardware watchdog of the life before does not end the next one' {
    machine <<'S'
echo boot >>/var/lib/boots
[ "$(wc -l </var/lib/boots)" != 1 ] || { davit soft-reboot; exit; }
echo "second life: $(ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c /dev/watchdog)" >/dev/ttyS1
sleep 20
davit poweroff
S
    local driver=i6300esb
    [ "$VM_KERNEL" = 6.12 ] || driver=softdog
    echo $driver | vm_file /etc/modules-load.d/watchdog.conf
    echo 'watchdog_timeout = "60s";' | vm_file /etc/davit/davit.conf
    vm_boot --watchdog --append 'davit.watchdog_reboot=10s'
    vm_ended poweroff
    vm_reported '^second life: 1$' # davit-init's, which it has opened anew
    run ! vm_said 'no hardware watchdog'
}

# bats test_tags=long
@test 'without a davit-shutdown that can be executed: davit-init kills, syncs and ends the machine itself' {
    machine <<'S'
rm /usr/lib/davit/davit-shutdown
outside sleep 1000
echo kept >/var/lib/kept
davit reboot
S
    vm_boot
    vm_ended reboot
    vm_said 'davit-init: cannot execute /usr/lib/davit/davit-shutdown'
    [ "$(vm_get /var/lib/kept)" = kept ]
}

# bats test_tags=long
@test 'a frozen file system, with a writer that cannot be killed, ends in an explained state' {
    machine <<'S'
mount LABEL=data /data
helper freeze /data
outside sh -c 'echo x >/data/file'
outside dd if=/dev/zero of=/data/big bs=1M count=8
sleep 0.5
davit poweroff
S
    vm_disk data 64M
    vm_boot --timeout 300
    vm_ended poweroff
    vm_said 'left: process [0-9]+ \(dd\)'
    vm_said 'left: /data \(ext4\)'
    is_clean root
}

# bats test_tags=long
@test 'a container in D state: its stop ends and says so, and so does the machine' {
    machine <<'S'
mount LABEL=data /data
davit start stuck
helper freeze /data
touch /run/frozen
dead() { grep -qs '^State:.*D' "/proc/$(davit status --json stuck | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | head -n 1)/status"; }
until dead; do sleep 0.1; done
davit stop stuck
davit status stuck | sed 's/^/stuck: /' >/dev/ttyS1
# It is still there, and must not be started a second time.
davit start stuck 2>&1 | sed 's/^/again: /' >/dev/ttyS1
davit start well && echo 'others start' >/dev/ttyS1
davit poweroff
S
    vm_unit stuck.container <<'U'
[Container]
Image=busybox
Volume=/data:/data
Volume=/run:/host
Exec=/bin/sh -c 'until [ -e /host/frozen ]; do sleep 0.1; done; exec dd if=/dev/zero of=/data/big bs=1M count=8'
[Service]
TimeoutStopSec=2
U
    vm_unit well.container <<<$'[Container]\nImage=busybox\nExec=/bin/sleep 1000\nStopSignal=KILL'
    vm_disk data 64M
    vm_boot --timeout 300
    vm_ended poweroff
    vm_reported '^stuck: .*(failed|timeout)'
    vm_reported '^again: .*cannot be killed yet'
    vm_reported '^others start'
    vm_said 'left: process [0-9]+ \(dd\)'
    # Its own mounts cannot be taken from it, so the root stays busy; and it is named for that, no kernel thread is.
    vm_said 'left: / \(ext4\)'
    vm_said 'held by process [0-9]+ \(dd\)'
    run ! vm_said 'held by process [0-9]+ \((kthreadd|davit-shutdown)\)'
}

# bats test_tags=long
@test 'back into the initramfs: its own shutdown program has the last word' {
    machine <<'S'
mkdir -p /run/initramfs/bin
cp /usr/bin/busybox /run/initramfs/bin/busybox
cat >/run/initramfs/shutdown <<'I'
#!/bin/busybox sh
/bin/busybox echo "initramfs: $1, old root is $(/bin/busybox ls /oldroot | /bin/busybox grep -c script)" >/dev/console
/bin/busybox umount /oldroot && /bin/busybox echo 'the root is unmounted' >/dev/console
/bin/busybox reboot -f
I
chmod 755 /run/initramfs/shutdown
mkdir -p /run/initramfs/bin && ln -s busybox /run/initramfs/bin/sh
davit reboot
S
    vm_boot
    vm_ended reboot
    vm_said 'returning to the initramfs'
    vm_said 'initramfs: reboot, old root is 1'
}

# bats test_tags=long
@test 'Ctrl-Alt-Delete seven times at the keyboard: nothing is waited for any more' {
    machine <<'S'
echo 'script runs' >/dev/ttyS1
S
    stubborn
    vm_boot --background
    vm_wait_reported '^script runs'
    # A slow machine may take the seven for too far apart: the next burst is one more chance.
    until [ -e "$V/result" ]; do
        vm_monitor "$(yes 'sendkey ctrl-alt-delete' | head -n 7)" >/dev/null || true
        sleep 2
    done
    vm_wait
    vm_ended reboot
    vm_said 'asked to stop 7 times'
    vm_said 'davit-shutdown: reboot'
    is_clean root
}
