#!/usr/bin/env bats
# Layers that images share over different layers: directories that such a layer needs and does not describe look in each image as
# the layers below say, as umoci unpacks it.
# shellcheck disable=SC2030,SC2031 # each test is a subshell
bats_require_minimum_version 1.5.0
load common

STORE() { echo "$D/state/images"; }

setup_file() {
    if lacks umoci; then return; fi
    davit_new
    python3 "$BATS_TEST_DIRNAME/shared-layout.py" "$D/layout"
    davit image import "$D/layout"
}
teardown_file() { [ -n "$LACKS" ] || davit_stop; }
setup() { has_all_tools; }
teardown() { [ -n "$LACKS" ] || for m in "$D"/mnt*; do if mountpoint -q "$m"; then umount "$m"; fi; done; }

manifest_of() { jq -r .digest "$(STORE)/references/localhost+layout:$1"; }
config_of() { jq -r .config.digest "$(STORE)/blobs/sha256/$(manifest_of "$1" | cut -d: -f2)"; }
on_top() { echo "$(STORE)/layers/$(config_of "$1" | cut -d: -f2)"; }
layers() { find "$(STORE)/layers" -mindepth 1 -maxdepth 1 | wc -l; }

# tree NAME FILE: what a container of it sees
tree() {
    local where
    where=$(davit image mount "layout:$1")
    python3 "$BATS_TEST_DIRNAME/tree.py" "$where" >"$2"
    davit image unmount "layout:$1"
}
# as_umoci NAME
as_umoci() {
    rm -rf "$D/bundle"
    umoci unpack --image "$D/layout:$1" "$D/bundle" >/dev/null
    python3 "$BATS_TEST_DIRNAME/tree.py" "$D/bundle/rootfs" >"$D/theirs"
    tree "$1" "$D/ours"
    diff "$D/ours" "$D/theirs"
}

@test "two images that share a layer over different bases: each is what umoci unpacks, in every attribute" {
    as_umoci first
    as_umoci second
    # What must be in it for that to mean anything.
    grep -q 'user.base' "$D/theirs"
    davit image mount layout:first "$D/mnt1"
    davit image mount layout:second "$D/mnt2"
    [ "$(stat -c '%a %u %Y' "$D/mnt1/data")" = '700 10 1000000000' ]
    [ "$(stat -c '%a %u %Y' "$D/mnt2/data")" = '1777 20 1100000000' ]
    davit image unmount "$D/mnt1"
    davit image unmount "$D/mnt2"
}

@test "the shared layer is stored once, and only the image that needs it has a layer on top, of directories alone" {
    [ ! -e "$(on_top first)" ]
    [ -d "$(on_top second)/tree" ]
    [ -z "$(find "$(on_top second)/tree" ! -type d)" ]
    [ "$(cd "$(on_top second)/tree" && find . | sort | tr '\n' ' ')" = '. ./data ./data/deep ' ]
    davit image fsck
}

@test "a base below a base, a layer that comes twice, and directories that were begun anew" {
    for name in both twice; do as_umoci $name; done
    # umoci gives those that nobody describes the time of now.
    for name in alone anew; do
        tree $name "$D/ours"
        davit image mount "layout:$name" "$D/mnt"
        [ "$(stat -c '%a %u' "$D/mnt/data" "$D/mnt/data/deep" | tr '\n' ' ')" = '755 0 755 0 ' ]
        [ -e "$D/mnt/data/deep/file" ] && [ ! -e "$D/mnt/data/of-base" ]
        run ! getfattr -h -n user.base "$D/mnt/data"
        davit image unmount "$D/mnt"
    done
}

@test "an opaque directory keeps what the layers below say of it, and nothing of what is in it" {
    tree opaque "$D/ours"
    run cat "$D/ours"
    says "$output" "b'data' 0o41777 20 21 1100000000000000000   user.base=7365636f6e64"
    says "$output" "b'data/deep' 0o40755 0 0 "
    refute grep -q of-base "$D/ours"
}

@test "the layer on top goes with its image, and stays while that does" {
    davit image tag layout:second layout:kept
    davit image remove layout:second
    "$DAVIT_BUILD/davit-image" gc --store="$(STORE)" --unused-for=0 --all=1 --keep=layout:kept
    [ -d "$(on_top kept)/tree" ]
    before=$(on_top kept)
    davit image remove layout:kept
    "$DAVIT_BUILD/davit-image" gc --store="$(STORE)" --unused-for=0
    [ ! -e "$before" ]
    davit image import "$D/layout"
}

@test "the first image goes, and comes back over the layer that has stayed" {
    davit image remove layout:first
    davit image import "$D/layout"
    as_umoci first
    as_umoci second
}

@test "fsck: a layer on top that is damaged or wrong is made anew" {
    chmod 711 "$(on_top second)/tree/data"
    run -1 davit image fsck
    says "$output" 'data: its mode is another'
    davit image fsck --repair
    as_umoci second
    rm -r "$(on_top second)"
    "$DAVIT_BUILD/davit-image" fsck --store="$(STORE)" --repair=1
    as_umoci second
    davit image fsck
}

@test "what is committed from such a container, and saved and imported again, is the same image" {
    davit image save --format oci -o "$D/saved.tar" layout:second
    id=$(config_of second)
    fresh=$D/fresh
    timeout 60 "$DAVIT_BUILD/davit-image" import --store="$fresh" "$D/saved.tar"
    [ -e "$fresh/blobs/sha256/${id#sha256:}" ]
    # There nothing else shares the layer: it is right as it is.
    [ ! -e "$fresh/layers/${id#sha256:}" ]
}
