#!/usr/bin/env bats
# How much images may take: limits of davit.conf, kept by gc whenever an image comes in.
bats_require_minimum_version 1.5.0
load common

setup() {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    davit_new
    unit kept.container <<'U'
[Container]
Image=localhost/kept
U
}
teardown() { davit_stop; }

# An image of 2 MiB that no other shares anything with.
image() {
    mkdir -p "$D/root"
    head -c 2M /dev/urandom >"$D/root/file"
    davit image import "$D/root" "$1" >/dev/null
}
names() { davit image list --json | jq -r '.[].Names[]' | sed 's|localhost/||; s|:latest||' | sort | tr '\n' ' '; }
# References are as old as they were written; gc compares whole seconds.
older() { touch -d "-$2 seconds" "$D/state/images/references/localhost+$1:latest"; }

@test 'over image_limit the oldest image that no unit names goes when another comes in' {
    printf 'image_limit = "5M";\nimage_unused_for = "0s";\n' >>"$D/davit.conf"
    image kept && older kept 300
    image first && older first 200
    [ "$(names)" = 'first kept ' ]
    image second && older second 100
    [ "$(names)" = 'kept second ' ]
    davit image fsck
    # What was used lately is not touched, whatever the limit is.
    sed -i s/0s/1h/ "$D/davit.conf"
    image third
    [ "$(names)" = 'kept second third ' ]
}

@test 'image_gc = false leaves it to people, who get the same limits' {
    printf 'image_limit = "5M";\nimage_unused_for = "0s";\nimage_gc = false;\n' >>"$D/davit.conf"
    for name in kept first second; do image $name && older $name 100; done
    [ "$(names)" = 'first kept second ' ]
    davit image gc
    [[ $(names) =~ ^(first\ kept|kept\ second)\ $ ]]
}

@test 'a limit is a size or a part of the disk' {
    for limit in 4G 40% 12.5% ''; do
        printf 'image_limit = "%s";\n' "$limit" >"$D/davit.conf"
        "$DAVIT_BUILD/davitd" --read-config "$D/davit.conf" --print | grep -qF "image_limit = \"$limit\""
    done
    echo 'image_limit = "much";' >"$D/davit.conf"
    run ! "$DAVIT_BUILD/davitd" --read-config "$D/davit.conf" --print
    says "$output" 'davit.conf:1: image_limit: a size'
}

# What a template names nobody runs yet; an instance that ran is told by its template.
@test 'the images of templates stay, whoever does gc' {
    printf 'image_limit = "1M";\nimage_unused_for = "0s";\nimage_gc = false;\n' >>"$D/davit.conf"
    unit made@.container <<'U'
[Container]
Image=localhost/template
U
    for name in kept template first; do image $name && older $name 100; done
    davit image gc --dry-run
    davit image gc
    [ "$(names)" = 'kept template ' ]
    # At boot davitd does it, where the last one has left something.
    image first && older first 100
    mkdir "$D/state/images/work/left"
    sed -i 's/image_gc = false/image_gc = true/' "$D/davit.conf"
    davit_image
    davit_start
    wait_for 20 test ! -e "$D/state/images/work/left"
    wait_for 20 refute_image first
    [ "$(names)" = 'kept template ' ]
}
refute_image() { ! davit image exists "$1"; }

@test 'a disk that is too full for an image: gc first, an error only if that does not help' {
    mount -t tmpfs -o size=12M tmpfs "$D/state/images"
    printf 'image_unused_for = "0s";\n' >>"$D/davit.conf"
    image first
    image second
    davit image untag first
    local size available
    read -r size available < <(df -k --output=size,avail "$D/state/images" | tail -n 1)
    head -c "$((available - size / 20 - 256))K" /dev/zero >"$D/state/images/filler"
    mkdir -p "$D/root"
    head -c 2M /dev/urandom >"$D/root/file"
    run -0 davit image import "$D/root" third
    says "$output" 'trying again'
    [ "$(names)" = 'second third ' ]
    davit image fsck
    run ! davit image import "$D/root/.." fourth
    says "$output" 'No space left'
    [ "$(names)" = 'second third ' ]
    [ -z "$(ls "$D/state/images/work")" ]
}
