#!/usr/bin/env bats
# Trees that drivers make of layers (davit-image tree): killed, two at once, on a full disk, where the driver cannot work, and
# what they cost where files can share their data.
bats_require_minimum_version 1.5.0
load common

setup_file() {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    davit_new
    mkdir -p "$D/below/d" "$D/above/d"
    for n in $(seq 300); do echo "$n" >"$D/below/d/$n"; done
    head -c 1M /dev/urandom >"$D/below/large"
    echo above >"$D/above/d/1"
    mknod "$D/above/d/2" c 0 0
    davit image import "$D/below" base
    "$DAVIT_BUILD/davit-image" create --store="$D/state/images" --name=box --from=base --upper="$D/above"
}
teardown_file() { davit_stop; }
setup() { [ "$(id -u)" = 0 ] || skip 'needs root'; }
teardown() {
    if mountpoint -q "$D/disk"; then umount "$D/disk"; fi
    rm -rf "$D/targets"
}

store() { echo "${S:-$D/state/images}"; }
layers() { DAVIT_STATE_DIR=$(dirname "$(store)") davit image inspect box | jq -r '.[0].RootFS.Layers[]'; }
# tree TARGET [DRIVER]
tree() {
    mkdir -p "$1"
    # shellcheck disable=SC2046
    "$DAVIT_BUILD/davit-image" tree --store="$(store)" --driver="${2:-vfs}" --target="$1" --root="$(store)" -- $(layers)
}
# What both layers together are.
is_whole() {
    if [ "$(cat "$1/d/1")" = above ] && [ ! -e "$1/d/2" ] && [ "$(find "$1/d" -type f | wc -l)" = 299 ] &&
        cmp -s "$1/large" "$D/below/large" && [ "$(cat "$1/d/300")" = 300 ]; then return 0; fi
    echo "$1 is not whole"
    return 1
}
gc() { "$DAVIT_BUILD/davit-image" gc --store="$(store)" --unused-for=0s; }
chain() { echo "$(store)"/chains/*/tree; }

@test 'two makers of the same tree, and two for the same container, at once' {
    local pids='' pid
    rm -rf "$(store)"/chains/*
    for target in one two one; do
        tree "$D/targets/$target" &
        pids+=" $!"
    done
    for pid in $pids; do wait "$pid"; done
    is_whole "$(chain)"
    for target in one two; do
        is_whole "$D/targets/$target/root"
        [ "$(ls "$D/targets/$target")" = "$(printf 'chain\nroot')" ]
    done
    [ -z "$(ls "$(store)/work")" ]
}

@test 'killed at any moment: what has its name is whole, the next one succeeds, gc takes the rest' {
    local n pid killed=0
    mkdir -p "$D/targets/t"
    for n in $(seq "${KILLS:-12}"); do
        rm -rf "$(store)"/chains/* "$D/targets/t/root" "$D/targets/t/chain"
        # shellcheck disable=SC2046
        "$DAVIT_BUILD/davit-image" tree --store="$(store)" --driver=vfs --target="$D/targets/t" --root="$(store)" -- $(cat "$D/layers" 2>/dev/null || layers | tee "$D/layers") &
        pid=$!
        sleep "0.0$((n * 7 % 90 + 5))"
        if kill -KILL $pid 2>/dev/null; then killed=$((killed + 1)); fi
        wait $pid || true
        if [ -e "$(chain)" ]; then is_whole "$(chain)"; fi
        if [ -e "$D/targets/t/root" ]; then is_whole "$D/targets/t/root"; fi
    done
    [ $killed -gt 0 ]
    tree "$D/targets/t"
    is_whole "$D/targets/t/root"
    [ "$(ls "$D/targets/t")" = "$(printf 'chain\nroot')" ]
    gc
    [ -z "$(ls "$(store)/work")" ]
    is_whole "$(chain)"
}

@test 'a disk that is full at any stage: an error that says so, nothing half made, and its space comes back' {
    local size used tries=0 done=''
    mkdir -p "$D/disk"
    mount -t tmpfs -o size=64m tmpfs "$D/disk"
    cp -a "$D/state/images" "$D/disk/images"
    rm -rf "$D/disk/images/chains"
    S=$D/disk/images
    gc
    used=$(df --output=used -k "$D/disk" | tail -1)
    for size in $(seq $((used + 40)) 400 $((used + 8000))); do
        mount -o "remount,size=${size}k" "$D/disk"
        if output=$(tree "$D/disk/t" 2>&1); then
            done=1
            break
        fi
        says "$output" 'No space left'
        [ ! -e "$D/disk/t/root" ] && [ ! -e "$D/disk/t/root.new" ]
        [ -z "$(ls "$S/work")" ]
        rm -rf "$S"/chains/* "$D/disk/t" # as gc and the end of the start do
        [ "$(df --output=used -k "$D/disk" | tail -1)" -le $((used + 60)) ]
        tries=$((tries + 1))
    done
    [ -n "$done" ] && [ $tries -gt 2 ]
    is_whole "$D/disk/t/root"
}

@test 'btrfs on a directory that is not: refused, with what it needs' {
    mkdir -p "$D/disk"
    mount -t tmpfs tmpfs "$D/disk"
    cp -a "$D/state/images" "$D/disk/images"
    S=$D/disk/images
    run ! tree "$D/disk/t" btrfs
    says "$output" "needs $D/disk/t to be on btrfs, which it is not"
    says "$output" '"overlay" works on every file system'
    [ -z "$(ls -A "$D/disk/t")" ]
}

@test 'fsck finds what is different from the layers; --repair removes it, and the next start makes it anew' {
    rm -rf "$(store)"/chains/*
    tree "$D/targets/t"
    davit image fsck
    sed -i s/300/003/ "$(chain)/d/300"
    touch "$(chain)/added"
    rm "$(chain)/d/299"
    run -1 davit image fsck
    says "$output" 'd/300: is different'
    says "$output" 'added: is in no layer'
    says "$output" 'd/299: is missing'
    davit image fsck --quick
    davit image fsck --repair
    [ ! -e "$(chain)" ]
    [ -z "$(ls "$(store)/work")" ]
    tree "$D/targets/u"
    is_whole "$D/targets/u/root"
    davit image fsck
    davit image du --json | jq -e '.ChainsSize > 1000000'
    says "$(davit image du)" 'in layers put together'
}

shares_data_on() {
    local tool
    for tool in "mkfs.$1" filefrag; do command -v "$tool" >/dev/null || skip "needs $tool"; done
    truncate -s 500M "$D/image"
    "mkfs.$1" -q -f "$D/image"
    mkdir -p "$D/disk"
    mount -o loop "$D/image" "$D/disk" || skip "this kernel mounts no $1 from a loop device"
    cp -a --reflink=never "$D/state/images" "$D/disk/images"
    rm -rf "$D/disk/images/chains"
    S=$D/disk/images
    tree "$D/disk/t"
    is_whole "$D/disk/t/root"
    sync -f "$D/disk"
    # All extents of the container's copy are the layer's.
    filefrag -v "$D/disk/t/root/large" >"$D/extents"
    [ "$(grep -cE '^ +[0-9]+:.*shared' "$D/extents")" -gt 0 ]
    [ "$(grep -cE '^ +[0-9]+:' "$D/extents")" = "$(grep -cE '^ +[0-9]+:.*shared' "$D/extents")" ]
}
@test 'vfs on btrfs: copies share their data with the layer' { shares_data_on btrfs; }
@test 'vfs on xfs: copies share their data with the layer' { shares_data_on xfs; }
