#!/usr/bin/env bats
# packaging/appliance: a machine with nothing in it but davit and an image boots to its containers, cannot change its root, and
# keeps /var.
bats_require_minimum_version 1.5.0
load lib
# shellcheck source=tests/lib.bash
. "$BATS_TEST_DIRNAME/../lib.bash"

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
    "$BATS_TEST_DIRNAME/../../packaging/appliance/build" --build "$DAVIT_BUILD" --units "$work/units" --rootfs "$work/box.tar" --out "$work/out"
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
    "$BATS_TEST_DIRNAME/../../packaging/appliance/build" --build "$DAVIT_BUILD" --units "$work/units" --out "$work/out"
    vm_adopt "$work/out/disk.img"
    vm_boot --no-root --initrd "$work/out/initramfs" --append 'root=/dev/sdz1 rootflags=x-systemd.device-timeout=1s' --memory 256
    vm_said 'root=/dev/sdz1: .*did not appear'
    vm_said 'there is no root file system; the machine is started again'
    vm_ended reboot
}
