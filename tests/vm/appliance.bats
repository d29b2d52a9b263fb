#!/usr/bin/env bats
# packaging/appliance: a machine with nothing in it but davit and an image boots to its containers, cannot change its root, and
# keeps /var.
bats_require_minimum_version 1.5.0
load lib
# shellcheck source=tests/lib.bash
. "$BATS_TEST_DIRNAME/../lib.bash"

# build OPTIONS: with the kernel that is to boot it
build() {
    "$VM_SOURCE/fetch" "$VM_KERNEL"
    "$VM_SOURCE/../../packaging/appliance/build" --build "$DAVIT_BUILD" --kernel "$DAVIT_VM_CACHE/kernel-$VM_KERNEL" "$@"
}
# appliance GOAL VARIABLE=VALUE...: as somebody calls it whose programs are built
appliance() { env -u MAKEFLAGS -u MAKELEVEL make -s -o programs -C "$VM_SOURCE/../.." O="$DAVIT_BUILD" "$@"; }

# What a boot that has said "startup finished" has synced to /var.
units() {
    mkdir "$1"
    cat >"$1/count.container" <<'U'
[Container]
Image=box
Volume=data:/data
Exec=/bin/sh -c 'echo started >>/data/starts; sync'
[Service]
Type=oneshot
[Install]
WantedBy=multi-user.target
U
    cat >"$1/web.container" <<'U'
[Unit]
After=count.container
[Container]
Image=box
Exec=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
U
}

@test 'an appliance boots to its container, its root stays as it is, /var survives a power cut and a reboot' {
    local work=$BATS_TEST_TMPDIR cmdline before after
    units "$work/units"
    davit_image_in "$work/box"
    tar -C "$work/box" -cf "$work/box.tar" .
    build --units "$work/units" --rootfs "$work/box.tar" --out "$work/out"
    cmdline=$(cat "$work/out/cmdline")
    # The second partition is /var: the last field of "...img2 : start= 24576, size= ..."
    vm_adopt "$work/out/disk.img" "var:$(($(sfdisk -d "$work/out/disk.img" | sed -n 's/.*img2 : start= *\([0-9]*\),.*/\1/p') * 512))"
    part_of_root() { head -c "${VM_OFFSETS[0]#*:}" "$V/disk.img" | sha256sum; }
    before=$(part_of_root)

    vm_boot --no-root --initrd "$work/out/initramfs" --append "$cmdline" --memory 256 --background
    vm_wait_said 'startup finished'
    run ! vm_said 'failed to clone lowerpath'
    vm_kill
    vm_boot --no-root --initrd "$work/out/initramfs" --append "$cmdline" --memory 256 --background
    vm_wait_said 'startup finished'
    vm_key ctrl-alt-delete
    vm_wait
    vm_ended reboot

    [ "$(vm_get /lib/davit/volumes/data/_data/starts var | wc -l)" = 2 ]
    vm_fsck var
    after=$(part_of_root)
    [ "$before" = "$after" ]
}

@test 'an appliance without its root says so and is started again' {
    local work=$BATS_TEST_TMPDIR
    units "$work/units"
    build --units "$work/units" --out "$work/out"
    vm_adopt "$work/out/disk.img"
    vm_boot --no-root --initrd "$work/out/initramfs" --append 'root=/dev/sdz1 rootflags=x-systemd.device-timeout=1s' --memory 256
    vm_said 'root=/dev/sdz1: .*did not appear'
    vm_said 'there is no root file system; the machine is started again'
    vm_ended reboot
}

@test 'an appliance of nothing, or of what is not there, is refused with a hint' {
    local work=$BATS_TEST_TMPDIR
    refused() { run ! appliance "$@" "OUT=$work/out"; echo "$output"; [ ! -e "$work/out" ]; }
    units "$work/units"
    mkdir "$work/empty"
    : >"$work/text"
    echo 'no archive' >"$work/text"
    refused appliance
    [[ $output == *'appliance: UNITS=DIR has to name a directory of unit files'* ]]
    refused appliance "UNITS=$work/empty"
    [[ $output == *"appliance: no unit file is in UNITS=$work/empty"* ]]
    refused appliance "UNITS=$work/units" "ROOTFS=box=$work/nowhere"
    [[ $output == *"there is no $work/nowhere; [NAME=]PATH is a directory, or a tar file of one"* ]]
    refused appliance "UNITS=$work/units" "ROOTFS=$work/text"
    [[ $output == *"$work/text is neither a directory nor a tar file"* ]]
    refused appliance-run
    [[ $output == *"appliance: $work/out has no kernel: make one first, with make appliance UNITS=DIR"* ]]
}

# bats test_tags=long
@test 'make appliance prints size and boot time, make appliance-run shows the console until the machine ends' {
    local work=$BATS_TEST_TMPDIR
    mkdir "$work/units"
    # From the second boot on: make appliance itself boots a copy, and looks no further than to the end of the boot.
    printf '[Service]\nExecStart=/usr/bin/davit poweroff\n[Install]\nWantedBy=multi-user.target\n' >"$work/units/off.service"
    mkdir -p "$work/units/multi-user.target.wants" "$work/box/etc"
    ln -s ../off.service "$work/units/multi-user.target.wants/off.service"
    : >"$work/box/etc/os-release"
    run -0 appliance appliance "UNITS=$work/units" "ROOTFS=box=$work/box" "OUT=$work/out"
    echo "$output"
    [[ $output =~ kernel\ +[0-9.]+[MK]B ]]
    [[ $output =~ initramfs\ +[0-9.]+[MK]B ]]
    [[ $output =~ root\ +[0-9.]+[MK]B ]]
    [[ $output =~ boot\ +[0-9a-z.\ ]+\(kernel\) ]]
    appliance appliance-run "OUT=$work/out" </dev/null >"$work/console"
    grep -q 'davit-init: startup finished' "$work/console"
    grep -q 'davit-shutdown: all file systems are unmounted' "$work/console"
}
