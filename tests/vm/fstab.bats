#!/usr/bin/env bats
# What /etc/fstab names: swap, and mounts that hang.
bats_require_minimum_version 1.5.0
load lib

# bats test_tags=long
@test 'swap of fstab, on a partition by its label and in a file, is on after the boot and off before the end' {
    vm_new
    vm_disk swap 16M
    # No holes: the kernel wants none in a swap file.
    head -c 8M /dev/urandom >"$V/root/swapfile"
    chmod 600 "$V/root/swapfile"
    mkswap "$V/root/swapfile" >/dev/null 2>&1
    printf 'LABEL=fast none swap pri=7,discard 0 0\n/swapfile none swap sw 0 0\n' | vm_file /etc/fstab
    vm_agent
    vm_make_disk "$VM_KERNEL"
    truncate -s 16M "$V/swap"
    mkswap -L fast "$V/swap" >/dev/null 2>&1
    local offset
    offset=$(vm_part swap)
    dd if="$V/swap" of="$V/disk.img" bs=1M seek="${offset##*=}" oflag=seek_bytes conv=notrunc status=none
    vm_boot --background
    vm_run 'cat /proc/swaps' >"$V/swaps"
    cat "$V/swaps"
    [ "$(awk '$2 == "partition" {print $5}' "$V/swaps")" = 7 ]
    grep -q '^/swapfile *	*file' "$V/swaps"
    vm_run 'davit poweroff' || true
    vm_wait
    vm_ended poweroff
    vm_said 'all file systems are unmounted'
    vm_fsck >/dev/null
}

# hanging TYPE: a file system whose helper program does not come back
hanging() {
    vm_file "/usr/sbin/mount.$1" 755 <<'S'
#!/bin/sh
exec sleep 100000
S
}

@test 'a mount that hangs: its own time-out ends it, and with nofail the boot goes on and says so' {
    vm_new
    hanging slow
    echo 'somewhere /mnt slow nofail,x-systemd.mount-timeout=2s 0 0' | vm_file /etc/fstab
    vm_agent
    vm_boot --background
    vm_run 'davit is-active multi-user.target; davit status; hostname'  >"$V/out"
    cat "$V/out"
    grep -qx active "$V/out"
    grep -q '/etc/fstab: /mnt: it takes too long' "$V/out"
    grep -qx davit-vm "$V/out"
    vm_said 'davit-boot: /etc/fstab: /mnt: it takes too long'
    vm_run 'davit poweroff' || true
    vm_wait
    vm_ended poweroff
}

# bats test_tags=long
@test 'a mount that hangs past the time of the whole boot: davitd comes up without it, and the console says so' {
    vm_new
    hanging slow
    echo 'somewhere /mnt slow x-systemd.mount-timeout=10min 0 0' | vm_file /etc/fstab
    vm_agent
    vm_boot --background --append davit.boot_timeout=3s
    vm_run 'davit is-active multi-user.target'
    vm_said 'davit-boot did not end in time \(davit.boot_timeout=\): going on without it'
    vm_run 'davit poweroff' || true
    vm_wait
    vm_ended poweroff
}
