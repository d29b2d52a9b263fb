#!/usr/bin/env bats
# A machine with 20 running containers, taken down in each way that there is: every one of them is asked to stop, gets its time, and
# what it wrote last is on the disk.
# shellcheck disable=SC2016 # scripts for the machine's shell
bats_require_minimum_version 1.5.0
load lib

CONTAINERS=20

fleet() {
    local i
    vm_new
    vm_disk data 64M
    echo 'LABEL=data /data ext4 defaults 0 2' | vm_file /etc/fstab
    for i in $(seq $CONTAINERS); do
        vm_unit "c$i.container" <<U
[Container]
Image=busybox
Volume=/data:/data
Exec=/bin/sh -c 'echo up >>/data/c$i; trap "echo down >>/data/c$i; exit 0" TERM; while :; do sleep 1; done'
[Install]
WantedBy=multi-user.target
U
    done
    vm_agent
}

all_run() {
    vm_run "for n in \$(seq 300); do [ \"\$(davit list --plain | grep -c 'container  *running')\" = $CONTAINERS ] && exit 0; sleep 0.2; done; davit list; exit 1"
}

# Each container has run N times, and has been asked to stop each time.
all_have_stopped() {
    local i want
    want=$(yes $'up\ndown' | head -n $((2 * $1)))
    for i in $(seq $CONTAINERS); do
        [ "$(vm_get "/c$i" data)" = "$want" ] || { echo "c$i: $(vm_get "/c$i" data)"; return 1; }
    done
    vm_fsck data >/dev/null
    vm_fsck >/dev/null
}

# down COMMAND WAY
down() {
    all_run
    vm_run "$1" || true
    vm_wait
    vm_ended "$2"
    vm_said "davit-shutdown: $2"
    vm_said 'all file systems are unmounted'
}

# bats test_tags=long
@test 'power-off, and reboot, with 20 running containers' {
    fleet
    vm_boot --background
    down 'davit poweroff' poweroff
    all_have_stopped 1
    vm_boot --background
    down 'davit reboot' reboot
    all_have_stopped 2
}

# bats test_tags=long
@test 'kexec with 20 running containers: they run again under the new kernel' {
    fleet
    gcc -static -O1 -o "$V/root/usr/bin/helper" "$VM_SOURCE/helper.c"
    cp "$DAVIT_VM_CACHE/kernel-$VM_KERNEL/vmlinuz" "$V/root/vmlinuz"
    vm_boot --background
    all_run
    local before
    before=$(vm_run 'cat /proc/sys/kernel/random/boot_id')
    vm_run 'helper kexec-load /vmlinuz "$(cat /proc/cmdline) life=second"'
    vm_begin 'davit kexec'
    # The same serial port: the agent of the second life says the same word again.
    vm_wait_reported '^VM-AGENT' 2
    vm_said 'davit-shutdown: kexec'
    all_run
    vm_run 'grep -o life=second /proc/cmdline'
    [ "$(vm_run 'cat /proc/sys/kernel/random/boot_id')" != "$before" ]
    vm_run 'davit poweroff' || true
    vm_wait
    vm_ended poweroff
    all_have_stopped 2
}
