#!/usr/bin/env bats
# What /etc/fstab names: swap, mounts that hang, and mounts that need the network.
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
    vm_run 'until davit is-active multi-user.target; do sleep 0.1; done; davit status; hostname' >"$V/out"
    cat "$V/out"
    grep -qx active "$V/out"
    grep -q '/etc/fstab: /mnt: it takes too long' "$V/out"
    grep -qx davit-vm "$V/out"
    vm_wait_said 'davit-boot: /etc/fstab: /mnt: it takes too long'
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
    vm_run 'until davit is-active multi-user.target; do sleep 0.1; done'
    vm_wait_said 'davit-boot did not end in time \(davit.boot_timeout=\): going on without it'
    vm_run 'davit poweroff' || true
    vm_wait
    vm_ended poweroff
}

@test 'network file systems: mounted when the network is up, as soon as the server is, and unmounted before the network goes' {
    vm_new
    # "server:/a" is a server that comes later than the network; of what needs no network is nothing to be said.
    vm_file /usr/sbin/mount.far 755 <<'S'
#!/bin/sh
if ! [ -e /run/network-is-up ]; then echo "too early for $2" >/dev/ttyS1; exit 1; fi
if ! [ -e "/run/server-$(basename "$2")" ]; then touch "/run/server-$(basename "$2")"; echo "not yet $2" >/dev/ttyS1; exit 32; fi
exec mount -t tmpfs -o size=1m none "$2"
S
    vm_file /etc/fstab <<'F'
server:/a /net/a/below far _netdev 0 0
server:/a /net/a far _netdev 0 0
server:/b /net/b far noauto,x-systemd.automount,_netdev 0 0
server:/c /net/c far noauto,_netdev 0 0
none /data tmpfs x-systemd.growfs 0 0
F
    vm_unit net.service <<'U'
[Unit]
Description=The network of this test
Before=network.target network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'sleep 1; touch /run/network-is-up'
ExecStop=/bin/sh -c 'echo "network goes with $(grep -c " /net/" /proc/mounts) mounts" >/dev/ttyS1'
[Install]
WantedBy=network-online.target
U
    vm_enable net.service
    vm_unit user.service <<'U'
[Unit]
Requires=remote-fs.target
After=remote-fs.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo "user sees $(grep " /net/" /proc/mounts | cut -d" " -f2 | tr "\\n" " ")" >/dev/ttyS1'
[Install]
WantedBy=multi-user.target
U
    vm_enable user.service
    vm_agent
    vm_boot --background
    vm_wait_reported '^user sees'
    [ "$(vm_report | sed -n 's/^user sees //p' | tr ' ' '\n' | sort | tr '\n' ' ' | sed 's/^ //')" = '/net/a /net/a/below /net/b ' ]
    vm_reported '^not yet /net/a/below'
    run ! vm_reported '^too early'
    vm_run 'davit is-active remote-fs.service; davit status' >"$V/out"
    cat "$V/out"
    grep -qx active "$V/out"
    grep -q '/data: x-systemd.growfs is not carried out' "$V/out"
    run ! grep -q '/net/' "$V/out"
    vm_run 'davit poweroff' || true
    vm_wait
    vm_ended poweroff
    vm_reported '^network goes with 0 mounts'
}

# bats test_tags=long
@test 'a server that never answers: told, tried again, and no emergency; without such lines nothing is started' {
    vm_new
    printf '#!/bin/sh\nexit 32\n' | vm_file /usr/sbin/mount.far 755
    echo 'server:/a /net/a far _netdev,x-systemd.device-timeout=2s 0 0' | vm_file /etc/fstab
    vm_agent
    vm_boot --background
    vm_run 'until davit logs remote-fs.service | grep "1 missing: /net/a: it failed .*trying on"; do sleep 0.2; done'
    vm_run 'until davit is-active multi-user.target; do sleep 0.1; done; davit is-active remote-fs.service && ! davit is-active emergency.target'
    vm_run 'davit status remote-fs.service | grep "1 missing: /net/a"'
    # Which is still tried.
    vm_run '{ echo "#!/bin/sh"; echo "exec mount -t tmpfs none /net/a"; } >/usr/sbin/mount.far; until grep -q " /net/a " /proc/mounts; do sleep 0.2; done'
    vm_run 'until davit status remote-fs.service | grep "all are mounted"; do sleep 0.2; done'
    vm_run 'rm /etc/fstab; davit reboot' || true
    vm_wait
    vm_ended reboot
    vm_boot --background
    vm_run 'until davit is-active -q multi-user.target; do sleep 0.1; done; davit is-active remote-fs.service network-online.target' >"$V/out" || true
    cat "$V/out"
    [ "$(tr '\n' ' ' <"$V/out")" = 'inactive inactive ' ]
    vm_run 'davit poweroff' || true
    vm_wait
    vm_ended poweroff
}
