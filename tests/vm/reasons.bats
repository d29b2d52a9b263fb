#!/usr/bin/env bats
# Why the machine booted: what the hardware watchdog remembers, and what a kernel that died has left in pstore.
# shellcheck disable=SC2016 # scripts for the machine's shell
bats_require_minimum_version 1.5.0
load lib

# The machine resets within the same QEMU, whose memory and devices live on.
RESETS='-action reboot=reset'

# once_and_then SCRIPT: a unit that does SCRIPT in the first life, and tells what davit knows in the second
once_and_then() {
    vm_script twice <<S
if [ ! -e /var/lib/first ]; then
    touch /var/lib/first
    sync
    $1
    sleep 1000
fi
davit status | grep -A1 Booted >/dev/ttyS1
find /var/lib/davit/pstore -type f >/dev/ttyS1
echo "records in the store: \$(ls /sys/fs/pstore | wc -l)" >/dev/ttyS1
davit poweroff
S
}

# bats test_tags=long
@test 'the hardware watchdog has reset the machine: the next boot says so' {
    [ "$VM_KERNEL" = 6.12 ] || skip 'no i6300esb in this kernel'
    vm_new
    echo i6300esb | vm_file /etc/modules-load.d/watchdog.conf
    once_and_then 'mkdir /sys/fs/cgroup/frozen; echo 1 >/sys/fs/cgroup/frozen/cgroup.procs; echo 1 >/sys/fs/cgroup/frozen/cgroup.freeze'
    vm_boot --watchdog --qemu "$RESETS" --append 'davit.watchdog=2'
    vm_ended watchdog # what it noticed first; it went on
    vm_reported 'Booted: *the hardware watchdog reset the machine'
}

# bats test_tags=long
@test 'the kernel has panicked: its last words are kept, told, and away from the store' {
    vm_new
    # 1 MiB of memory that no kernel touches (the machine has 512 MiB), for records that outlive a reset.
    echo ramoops | vm_file /etc/modules-load.d/ramoops.conf
    once_and_then 'echo "davit says: the end is near" >/dev/kmsg; echo c >/proc/sysrq-trigger'
    vm_boot --qemu "$RESETS" \
        --append 'memmap=1M$0x1c000000 ramoops.mem_address=0x1c000000 ramoops.mem_size=0x100000 ramoops.record_size=0x20000 ramoops.ecc=1'
    vm_ended panic # there is one on the console; it went on
    vm_reported 'Booted: *the kernel before this one panicked; its last words are in /var/lib/davit/pstore/'
    local record
    record=$(vm_report | grep -oE '^/var/lib/davit/pstore/.*dmesg-ramoops-[0-9]+$' | head -n1)
    vm_get "$record" | grep -q 'davit says: the end is near'
    vm_reported '^records in the store: 0$'
}
