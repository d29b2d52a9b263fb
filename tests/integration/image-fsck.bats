#!/usr/bin/env bats
# davit image fsck: each kind of damage is found and named; --repair brings back what can be had.
# shellcheck disable=SC2030,SC2031 # each test is a subshell
bats_require_minimum_version 1.5.0
load common

STORE() { echo "$D/state/images"; }
FSCK() { "$DAVIT_BUILD/davit-image" fsck --store="$(STORE)" "$@"; }
manifest_of() { jq -r .digest "$(STORE)/references/localhost+$1:latest"; }
document() { echo "$(STORE)/blobs/sha256/${1#sha256:}"; }
config_of() { jq -r .config.digest "$(document "$(manifest_of "$1")")"; }
layer_of() { jq -r '.rootfs.diff_ids[0]' "$(document "$(config_of "$1")")"; }
tree_of() { local id; id=$(layer_of "$1"); echo "$(STORE)/layers/${id#sha256:}/tree"; }

# One of everything that a seal says something of; a sparse file, and a name that comes twice, for layers whose archive cannot be
# put together again.
setup_file() {
    davit_new
    local r=$D/root
    mkdir -p "$r/etc/d" "$r/bin"
    echo content >"$r/etc/file"
    echo other >"$r/etc/zz"
    setfattr -n user.k -v v "$r/etc/file"
    ln "$r/etc/zz" "$r/etc/link"
    ln -s file "$r/etc/symlink"
    mknod "$r/etc/null" c 1 3
    mkfifo "$r/etc/fifo"
    echo 'a b' >"$r/etc/"$'odd \n\xff'
    tar -C "$r" --xattrs --xattrs-include='*' -cf "$D/plain.tar" .
    truncate -s 1T "$r/etc/sparse"
    echo end >>"$r/etc/sparse"
    tar -C "$r" --sparse -cf "$D/sparse.tar" .
    echo 1 >"$D/twice"
    tar -C "$D" -cf "$D/twice.tar" twice
    echo second >"$D/twice"
    tar -C "$D" -rf "$D/twice.tar" twice
    mkdir "$D/pristine"
    for name in plain sparse twice; do
        timeout 60 "$DAVIT_BUILD/davit-image" import --store="$D/pristine" --name=$name "$D/$name.tar"
    done
}
teardown_file() { davit_stop; }
setup() {
    rm -rf "$(STORE)"
    mkdir -p "$D/state"
    cp -a "$D/pristine" "$(STORE)"
}

# found PATH WHAT: exactly that, and nothing else
found() {
    run -1 davit image fsck
    says "$output" "$1: $2" || return 1
    says "$output" '1 difference' || return 1
    run -1 davit image fsck --quick
    says "$output" "$1: $2"
}

@test "a sound store has no problems, however it is looked at" {
    davit image fsck
    davit image fsck --quick
    davit image fsck --repair
    run -0 FSCK
    [ -z "$output" ]
}

@test "a byte that flipped in a file" {
    printf C | dd of="$(tree_of plain)/etc/file" conv=notrunc status=none
    touch -r "$D/root/etc/file" "$(tree_of plain)/etc/file"
    run -1 davit image fsck
    says "$output" "layer $(layer_of plain) is damaged: etc/file is not any more what it was when the layer came in"
    says "$output" 'image localhost/plain:latest is not whole'
    davit image fsck --quick # does not look at contents
}

@test "a byte that flipped in a layer whose archive is not to be had again" {
    for name in sparse twice; do
        case $name in sparse) f=$(tree_of sparse)/etc/sparse at=1099511627776 ;; twice) f=$(tree_of twice)/twice at=0 ;; esac
        time=$(stat -c %y "$f")
        printf E | dd of="$f" bs=1 seek="$at" conv=notrunc status=none
        touch -d "$time" "$f"
        run -1 davit image fsck
        says "$output" "$(basename "$f"): its content is another"
    done
}

@test "a mode, an owner and a time that changed" {
    chmod 600 "$(tree_of plain)/etc/zz"
    run -1 davit image fsck
    says "$output" 'etc/link: its mode is another'
    says "$output" 'etc/zz: its mode is another'
    chmod 644 "$(tree_of plain)/etc/zz"
    davit image fsck
    chown -h 7 "$(tree_of plain)/etc/symlink"
    found etc/symlink 'its owner is another'
    chown -h 0 "$(tree_of plain)/etc/symlink"
    touch -d @5 "$(tree_of plain)/etc/d"
    found etc/d 'its time is another'
}

@test "an extended attribute that was lost" {
    setfattr -x user.k "$(tree_of plain)/etc/file"
    found etc/file 'its extended attributes are others'
}

@test "files that are missing, are too many, or are something else" {
    d=$(tree_of plain)/etc
    time=$(stat -c %y "$d")
    rm "$d/fifo"
    touch -d "$time" "$d"
    found etc/fifo 'it is missing'
    mkfifo -m "$(stat -c %a "$D/root/etc/fifo")" "$d/fifo"
    touch -r "$D/root/etc/fifo" "$d/fifo"
    echo >"$d/more"
    touch -d "$time" "$d"
    found etc/more 'it was not there'
    rm "$d/more" "$d/null"
    mknod -m "$(stat -c %a "$D/root/etc/null")" "$d/null" c 1 5
    touch -r "$D/root/etc/null" "$d/null"
    touch -d "$time" "$d"
    found etc/null 'its size, target or device is another'
}

@test "a name with odd bytes is named in one line" {
    rm "$(tree_of plain)/etc/"$'odd \n\xff'
    run -1 davit image fsck
    says "$output" 'etc/odd \\x0a\\xff: it is missing'
}

@test "a seal, a recipe or a layer.json that is damaged" {
    layer=$(dirname "$(tree_of plain)")
    for file in seal recipe layer.json; do
        cp -a "$layer/$file" "$D/kept"
        printf x | dd of="$layer/$file" bs=1 seek=20 conv=notrunc status=none
        run -1 davit image fsck
        says "$output" "layer $(layer_of plain) is damaged"
        cp -a "$D/kept" "$layer/$file"
    done
    davit image fsck
}

@test "a layer of an older davit, without a seal, is known by its contents" {
    layer=$(dirname "$(tree_of plain)")
    rm "$layer/seal" "$layer/sums"
    jq -c 'del(.seal)' "$layer/layer.json" >"$D/old.json"
    cp "$D/old.json" "$layer/layer.json"
    davit image fsck
    printf C | dd of="$layer/tree/etc/file" conv=notrunc status=none
    run -1 davit image fsck
    says "$output" 'it has been changed in the store'
}

@test "documents that are damaged or gone, and references that lead nowhere" {
    manifest=$(document "$(manifest_of plain)")
    cp "$manifest" "$D/kept"
    echo >>"$manifest"
    run -1 davit image fsck
    says "$output" "blob $(manifest_of plain) is damaged"
    says "$output" 'its manifest is damaged'
    rm "$manifest"
    run -1 davit image fsck
    says "$output" 'image localhost/plain:latest is not whole'
    cp "$D/kept" "$manifest"
    echo '{' >"$(STORE)/references/localhost+plain:latest"
    run -1 davit image fsck
    says "$output" 'image localhost/plain:latest cannot be read'
}

@test "repair: what nobody has any more is removed and said to be lost, and can be imported again" {
    echo x >>"$(tree_of plain)/etc/file"
    run -1 davit image fsck --repair
    says "$output" 'image localhost/plain:latest is lost: import or pull it again'
    davit image import "$D/plain.tar" plain
    davit image fsck
}

@test "repair: from a blob that was kept" {
    id=$(layer_of plain)
    cp "$D/plain.tar" "$(document "$id")" # uncompressed: blob and layer have one digest
    echo x >>"$(tree_of plain)/etc/file"
    davit image fsck --repair
    grep -qx content "$(tree_of plain)/etc/file"
    davit image fsck
}

@test "repair: documents and layers from a store that came with the system" {
    cp -a "$D/pristine" "$D/preloaded"
    for name in plain sparse twice; do find "$(tree_of $name)" -mindepth 1 -delete; done
    rm "$(document "$(config_of plain)")"
    run -0 FSCK --repair=yes --root="$D/preloaded"
    diff <(python3 "$BATS_TEST_DIRNAME/tree.py" "$(tree_of plain)") \
        <(python3 "$BATS_TEST_DIRNAME/tree.py" "$D/preloaded/layers/$(basename "$(dirname "$(tree_of plain)")")/tree")
    # A layer with a name that comes twice cannot be given out, so it is lost.
    run -1 davit image fsck
    says "$output" localhost/twice
    run ! grep -e localhost/plain <<<"$output"
    rm -r "$D/preloaded"
}
