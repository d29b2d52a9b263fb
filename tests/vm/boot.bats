#!/usr/bin/env bats
# davit-init as the first process of a machine: what it sets up, and what it does when something is missing or broken.
# Each test ends in a running or an explained state.
bats_require_minimum_version 1.5.0
load lib

# probe NAME [AFTER] < script: runs on the machine, and ends it when it has ended. What it prints is vm_report's; what it prints
# to 3 goes where a unit's output goes.
probe() {
    {
        cat <<'S'
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec 3>&1 >/dev/ttyS1 2>&1
S
        cat
        echo 'davit poweroff --force 2>/dev/null || kill -s 38 1 # RTMIN+4, a name that busybox has not'
    } | vm_file "/$1" 755
    vm_unit "$1.service" <<U
[Unit]
After=${2:-basic.target}
[Service]
Type=exec
ExecStart=/$1
[Install]
WantedBy=multi-user.target
U
    vm_enable "$1.service"
}

@test 'a boot to 20 running containers, and what the machine looks like then' {
    vm_new
    local i
    for i in $(seq 20); do
        vm_unit "c$i.container" <<'U'
[Container]
Image=busybox
Exec=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
U
    done
    echo overlay | vm_file /etc/modules-load.d/overlay.conf
    printf 'net.ipv4.ip_forward = 1\n-no.such.key = 1\nkernel.panic=17\n' | vm_file /etc/sysctl.d/10-test.conf
    probe check <<'S'
until davit list --plain | grep -c 'container  *running' >/tmp/running && grep -qx 20 /tmp/running; do sleep 0.2; done
cat /tmp/running
cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/panic /etc/hostname /proc/sys/kernel/hostname
ip addr show lo
cat /proc/1/cgroup /proc/1/oom_score_adj
mount
ls -l /dev/fd /dev/stdin /dev/core
grep -E '^(Anonymous|Private_Dirty)' /proc/1/smaps_rollup
# davitd's last words about the boot may still be on their way: some three seconds must pass without any.
for i in 1 2 3 4 5 6 7 8; do
    before=$(grep ^voluntary /proc/1/status)
    sleep 3
    if [ "$before" = "$(grep ^voluntary /proc/1/status)" ]; then echo 'sleeps while idle'; break; fi
done
davit analyze time
davit logs -k davit-init | sed 's/^/said: /'
dmesg | grep 'failed to clone lowerpath'
vm-status 0
S
    vm_boot
    vm_ended poweroff 0
    vm_report >"$V/out"
    [ "$(head -n1 "$V/out")" = 20 ]
    [ "$(sed -n 2,5p "$V/out" | tr '\n' ' ')" = '1 17 davit-vm davit-vm ' ]
    grep -q 'inet 127.0.0.1/8' "$V/out"
    grep -q 'inet6 ::1/128' "$V/out"
    grep -qx '0::/init.scope' "$V/out"
    grep -qx -- -1000 "$V/out"
    grep -q 'cgroup2 on /sys/fs/cgroup type cgroup2 (.*nsdelegate,memory_recursiveprot' "$V/out"
    grep -q 'tmpfs on /run type tmpfs (.*nosuid,nodev.*mode=755' "$V/out"
    grep -q 'devpts on /dev/pts type devpts (.*gid=5,mode=620,ptmxmode=666' "$V/out"
    grep -q '/dev/fd -> /proc/self/fd' "$V/out"
    # PID 1 is small, and asleep when nothing happens.
    [ "$(awk '/^Anonymous/ {print $2}' "$V/out")" -lt 100 ]
    grep -qx 'sleeps while idle' "$V/out"
    grep -qE "^Own work up to the first unit's process: [0-9a-z. ]+ of processor time$" "$V/out"
    # From its first words on.
    grep -q '^said: .* davit-init: davit-init [^ ]* is the first process of this machine' "$V/out"
    run ! vm_said 'davit-(init|boot): .*(cannot|problem)'
    run ! vm_reported 'failed to clone lowerpath'
}

@test 'a read-only root: /var in memory, a machine-id for this boot, images of the root' {
    vm_new
    : | vm_file /etc/machine-id
    vm_unit web.container <<'U'
[Container]
Image=busybox
Exec=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
U
    probe check web.container <<'S'
touch /etc/x && echo 'root is writable'
davit is-active web.container
cat /etc/machine-id
mount | grep -E ' /var | /tmp | /etc/machine-id '
echo 'in the log' >&3
until grep 'F in the log$' /var/log/davit/check.service.log; do sleep 0.1; done
vm-status 0
S
    vm_boot --append 'ro davit.log=info'
    vm_ended poweroff 0
    vm_reported '^active$'
    vm_reported '^[0-9a-f]{32}$'
    vm_reported 'tmpfs on /var type tmpfs'
    vm_reported 'F in the log$'
    run ! vm_reported 'root is writable'
    # Two boots, two ids: nothing was written.
    local first
    first=$(vm_report | grep -xE '[0-9a-f]{32}')
    vm_boot --append 'ro davit.log=info'
    vm_ended poweroff 0
    [ "$first" != "$(vm_report | grep -xE '[0-9a-f]{32}')" ]
}

@test 'a read-only root with /var on a second disk, by label' {
    vm_new
    vm_disk data 64M
    printf 'LABEL=data\t/var ext4 nosuid,nodev,x-systemd.device-timeout=60s 0 2\ntmpfs /mnt tmpfs size=1m\n' | vm_file /etc/fstab
    probe check <<'S'
mount | grep -E ' /var | /mnt '
echo kept >/var/lib/kept
vm-status 0
S
    vm_boot --append ro
    vm_ended poweroff 0
    vm_reported 'on /var type ext4 \(rw,nosuid,nodev'
    vm_reported 'tmpfs on /mnt'
    [ "$(vm_get /lib/kept data)" = kept ]
    vm_list /lib/davit data | grep -qx random-seed
    vm_fsck data
}

@test 'no /etc/machine-id on a writable root: a new one, which stays' {
    vm_new
    rm -f "$V/root/etc/machine-id" "$V/root/etc/hostname"
    probe check <<'S'
cat /proc/sys/kernel/hostname
vm-status 0
S
    vm_boot --append 'davit.hostname=from-the-command-line'
    vm_ended poweroff 0
    [ "$(vm_report | head -n1)" = from-the-command-line ]
    local id
    id=$(vm_get /etc/machine-id)
    [[ $id =~ ^[0-9a-f]{32}$ ]]
    vm_boot
    vm_ended poweroff 0
    [ "$(vm_report | head -n1)" = localhost ]
    [ "$(vm_get /etc/machine-id)" = "$id" ]
}

@test 'lines of fstab that make no sense or may fail do not keep the boot' {
    vm_new
    vm_file /etc/fstab <<'F'
what is this
/dev/no-such-disk /mnt ext4 nofail 0 0
tmpfs /srv tmpfs size=lots,nofail
tmpfs relative tmpfs
/dev/no-such-swap none swap nofail
F
    probe check <<'S'
davit status
vm-status 0
S
    vm_boot
    vm_ended poweroff 0
    vm_said 'davit-boot: /etc/fstab:1: .*no absolute path'
    vm_said 'davit-boot: /etc/fstab:4: "relative" is no absolute path'
    vm_said 'davit-boot: /etc/fstab: /srv: '
    vm_reported '/etc/fstab:4: "relative" is no absolute path'
}

@test 'a file system that is required and missing: an emergency shell that says so, and a way on from it' {
    vm_new
    echo '/dev/no-such-disk /srv ext4 x-systemd.device-timeout=1s 0 2' | vm_file /etc/fstab
    probe check <<'S'
vm-status 0
S
    vm_boot --background
    vm_wait_said 'davit: emergency shell'
    vm_wait_said 'cannot|/etc/fstab: /srv: /dev/no-such-disk did not appear'
    run ! vm_reported VM-STATUS
    # shellcheck disable=SC2016  # the machine's shell counts
    vm_type 'echo sum is $((6 * 7)); until davit is-active emergency.target >/dev/ttyS1; do sleep 0.1; done'
    vm_wait_said 'sum is 42'
    vm_wait_reported '^active$'
    # leaving the shell goes on to the default target, whose unit ends the machine
    vm_type exit
    vm_wait
    vm_ended poweroff 0
}

@test 'rescue on the kernel command line: a shell, and nothing of the default target' {
    vm_new
    probe check <<'S'
vm-status 9
S
    vm_boot --append single --background
    vm_wait_said 'davit: rescue shell'
    vm_type 'until davit is-active rescue.target >/dev/ttyS1; do sleep 0.1; done; davit is-active check.service >/dev/ttyS1'
    vm_wait_reported '^active$'
    vm_wait_reported '^inactive$'
    vm_type 'davit poweroff'
    vm_wait
    vm_ended poweroff ''
}

@test 'units that cannot be loaded and a target that is not there: the machine comes up and says why' {
    vm_new
    vm_unit broken.container <<'U'
[Container
Image=busybox
U
    vm_unit worse.service <<'U'
[Service]
Type=no-such-type
[Install]
WantedBy=multi-user.target
U
    probe check <<'S'
davit status broken.container worse.service
vm-status 0
S
    vm_boot
    vm_ended poweroff 0
    vm_reported no-such-type
    vm_boot --append 'davit.target=no-such.target loglevel=5' --background
    vm_wait_said 'davit: rescue shell'
    vm_wait_said 'no-such.target: there is no such unit \(kernel command line\)'
    vm_type 'davit poweroff'
    vm_wait
    vm_ended poweroff
}

@test 'a full /var: units run, and so they do at the next boot' {
    vm_new
    vm_disk data 16M
    echo 'LABEL=data /var ext4 defaults 0 2' | vm_file /etc/fstab
    vm_file /fill 755 <<'S'
#!/bin/sh
cat /dev/zero >/var/full 2>/dev/null
exit 0
S
    vm_unit fill.service <<'U'
[Service]
Type=oneshot
ExecStart=/fill
RemainAfterExit=yes
[Install]
WantedBy=basic.target
U
    vm_enable fill.service
    vm_unit sleeper.service <<'U'
[Service]
ExecStart=/sbin/sleep 1000
[Install]
WantedBy=multi-user.target
U
    vm_enable sleeper.service
    probe check sleeper.service <<'S'
davit is-active sleeper.service
vm-status 0
S
    vm_boot
    vm_ended poweroff 0
    vm_reported '^active$'
    # once more with a disk that is full from the start
    vm_boot
    vm_ended poweroff 0
    vm_reported '^active$'
}

@test 'no console, and one that only fails: the machine runs' {
    vm_new
    probe check <<'S'
echo quiet here
vm-status 0
S
    # ttyS7 is no hardware: each write ends in EIO
    vm_boot --append 'console=ttyS7'
    vm_ended poweroff
    vm_reported '^quiet here$'
    vm_boot --append 'console=null davit.log=debug'
    vm_ended poweroff
}

@test 'Ctrl-Alt-Delete is an orderly reboot' {
    vm_new
    vm_unit slow.service <<'U'
[Service]
ExecStart=/sbin/sleep 1000
ExecStop=/bin/sh -c 'echo stopped in order >/dev/console'
[Install]
WantedBy=multi-user.target
U
    vm_enable slow.service
    vm_boot --background --append davit.log=info
    vm_wait_said 'startup finished in'
    vm_key ctrl-alt-delete
    vm_wait
    vm_ended reboot
    vm_said 'stopped in order'
}

@test 'a hardware watchdog is fed while davit-init runs, and resets the machine when it does not' {
    [ "$VM_KERNEL" = 6.12 ] || skip 'no i6300esb in this kernel'
    vm_new
    echo i6300esb | vm_file /etc/modules-load.d/watchdog.conf
    vm_unit freeze.service <<'U'
[Service]
ExecStart=/freeze
[Install]
WantedBy=multi-user.target
U
    vm_file /freeze 755 <<'S'
#!/bin/sh
sleep 9
mkdir -p /sys/fs/cgroup/frozen
echo 1 >/sys/fs/cgroup/frozen/cgroup.procs
echo 1 >/sys/fs/cgroup/frozen/cgroup.freeze
echo 'PID 1 is frozen' >/dev/ttyS1
sleep 60
S
    vm_enable freeze.service
    vm_boot --watchdog --own-time --append 'davit.watchdog=4 davit.log=info,console,kmsg'
    vm_ended watchdog
    vm_said 'hardware watchdog "i6300ESB timer", time-out 4 s'
    vm_reported '^PID 1 is frozen'
}

@test 'a fatal signal: the console says so, and the machine reboots' {
    vm_new
    vm_unit crash.service <<'U'
[Service]
ExecStart=/bin/sh -c 'sleep 1; kill -SEGV 1; sleep 100'
[Install]
WantedBy=multi-user.target
U
    vm_enable crash.service
    vm_boot --append 'davit.crash_delay=1s'
    vm_ended reboot
    vm_said 'davit-init: caught SIGSEGV'
    vm_said 'davit-init: rebooting'
    vm_boot --append 'davit.crash_delay=0 davit.crash=poweroff'
    vm_ended poweroff
}
