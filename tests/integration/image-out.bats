#!/usr/bin/env bats
# Images out of the store, and containers into it: save, diff, commit, export. Other tools must take what comes out.
# shellcheck disable=SC2016
bats_require_minimum_version 1.5.0
load common

units() {
    unit web.container <<'U'
[Container]
Image=localhost/box
Volume=data1:/data1
RunInit=yes
Exec=/bin/sh -c 'echo new >/etc/new; chown 33:33 /etc/new; ln -s new /etc/link; rm /etc/group; echo x >>/etc/passwd; rm -r /data; mkdir /data; echo in >/data/in; echo volume >/data1/file; sleep infinity'
U
    unit same.container <<'U'
[Container]
Image=localhost/box
ReadOnly=yes
RunInit=yes
Exec=/bin/sleep infinity
U
}
setup_file() {
    fleet_setup
    echo old >"$D/state/images/busybox/data/old"
    davit image import "$D/state/images/busybox" box >"$D/import"
    davit start web same
    wait_for 20 test -e "$D/state/volumes/data1/_data/file"
}
teardown_file() { fleet_teardown; }

id_of() { davit image inspect "$1" | jq -r '.[0].Id'; }
digest_of() { davit image inspect "$1" | jq -r '.[0].Digest'; }

@test "an image keeps its ID through an OCI archive" {
    davit image save -o "$D/box.tar" box
    before=$(id_of box)
    DAVIT_STATE_DIR=$D/second davit image import "$D/box.tar"
    [ "$(DAVIT_STATE_DIR=$D/second id_of box)" = "$before" ]
    [ "$(DAVIT_STATE_DIR=$D/second digest_of box)" = "$(digest_of box)" ]
}

@test "an image keeps its ID through docker's archive" {
    davit image save --format docker-archive box >"$D/docker.tar"
    before=$(id_of box)
    DAVIT_STATE_DIR=$D/third davit image import "$D/docker.tar"
    [ "$(DAVIT_STATE_DIR=$D/third id_of box)" = "$before" ]
}

@test "skopeo and umoci take what is saved" {
    command -v skopeo >/dev/null || skip 'skopeo is not installed'
    davit image save -o "$D/s.tar" box
    davit image save --format docker-archive -o "$D/d.tar" box
    skopeo copy --quiet --insecure-policy "oci-archive:$D/s.tar" "oci:$D/layout:box"
    skopeo copy --quiet --insecure-policy "docker-archive:$D/d.tar" "oci:$D/layout:docker"
    [ "$(skopeo inspect --raw "oci:$D/layout:box" | jq -r .config.digest)" = "sha256:$(id_of box)" ]
    command -v umoci >/dev/null || skip 'umoci is not installed'
    umoci unpack --image "$D/layout:box" "$D/bundle" >/dev/null
    [ "$(cat "$D/bundle/rootfs/data/old")" = old ]
}

@test "a layout in a directory is what is in the archive, and is there as a whole or not at all" {
    davit image save --format oci-dir -o "$D/dir/" box
    davit image save -o "$D/same.tar" box
    mkdir "$D/same"
    tar -C "$D/same" -xf "$D/same.tar"
    diff -r "$D/same" "$D/dir"
    [ "$(stat -c %a "$D/dir")" = 755 ]
    before=$(id_of box)
    DAVIT_STATE_DIR=$D/sixth davit image import "$D/dir"
    [ "$(DAVIT_STATE_DIR=$D/sixth id_of box)" = "$before" ]
    if command -v skopeo >/dev/null; then
        [ "$(skopeo inspect --raw "oci:$D/dir" | jq -r .config.digest)" = "sha256:$before" ]
    fi
    run ! davit image save --format oci-dir -o "$D/dir" box
    says "$output" 'not empty'
    run ! davit image save --format oci-dir box
    says "$output" '--output=DIR'
    mkdir "$D/small"
    mount -t tmpfs -o size=256k tmpfs "$D/small"
    run ! davit image save --format oci-dir -o "$D/small/x" box
    says "$output" 'No space left'
    [ -z "$(ls "$D/small")" ]
    umount "$D/small"
    [ -z "$(find "$D" -maxdepth 1 -name 'dir.*')" ]
}

@test "an archive that cannot be written whole is not there at all" {
    run ! davit image save -o "$D/missing/x.tar" box
    mkdir "$D/full"
    mount -t tmpfs -o size=256k tmpfs "$D/full"
    run ! davit image save -o "$D/full/x.tar" box
    says "$output" 'No space left'
    [ -z "$(ls "$D/full")" ]
    umount "$D/full"
}

@test "a layer that was changed in the store does not come out" {
    DAVIT_STATE_DIR=$D/fourth davit image import "$D/state/images/busybox" box
    tree=$(DAVIT_STATE_DIR=$D/fourth davit image inspect box | jq -r '.[0].GraphDriver.Data.LowerDir')
    echo OLD >"$tree/data/old"
    DAVIT_STATE_DIR=$D/fourth run ! davit image save -o "$D/changed.tar" box
    says "$output" 'data/old is not any more what it was'
    [ ! -e "$D/changed.tar" ]
}

@test "diff says what is new, changed and gone" {
    davit diff web >"$D/diff"
    grep -qx 'A /etc/new' "$D/diff"
    grep -qx 'A /etc/link' "$D/diff"
    grep -qx 'D /etc/group' "$D/diff"
    grep -qx 'C /etc/passwd' "$D/diff"
    grep -qx 'C /etc' "$D/diff"
    grep -qx 'C /data' "$D/diff"
    grep -qx 'A /data/in' "$D/diff"
    grep -qx 'D /data/old' "$D/diff"
    refute grep -E 'hosts|hostname|resolv|/dev|/proc|/data1' "$D/diff"
    [ -z "$(davit diff same)" ]
    davit diff --json web | jq -e '(.deleted | contains(["/etc/group"])) and (.added | contains(["/etc/new"])) and (.changed | contains(["/etc/passwd"]))' 
}

@test "what one image has changed of another, whatever layers they have" {
    local old=$D/state/images/busybox
    mkdir "$D/new"
    cp -a "$old/." "$D/new"
    davit image import "$D/new" old
    touch -r "$old/etc/passwd" "$D/time"
    sed -i s/www/xxx/ "$D/new/etc/passwd" # as large and as old as before
    touch -r "$D/time" "$D/new/etc/passwd"
    rm -r "$D/new/data"
    mkdir "$D/new/data" "$D/new/added"
    echo in >"$D/new/added/in"
    ln -sfn true "$D/new/bin/sh"
    chmod 700 "$D/new/root"
    davit image import "$D/new" new
    davit image diff old new >"$D/diff"
    printf '%s\n' 'A /added' 'A /added/in' 'C /bin' 'C /bin/sh' 'C /data' 'D /data/old' 'C /etc' 'C /etc/passwd' 'C /root' | diff - "$D/diff"
    [ -z "$(davit image diff new new)" ]
    davit image diff --json new old | jq -e '.deleted | contains(["/added"])' 
    # One that stands on another: whiteouts, an opaque directory, and what its topmost layer has made.
    davit commit web changed
    davit image diff box changed | grep -v ' /run' >"$D/diff"
    davit diff web | grep -v ' /run' | diff - "$D/diff"
    davit image diff changed | grep -v ' /run' | diff - "$D/diff"
    davit image diff changed box | grep -qx 'D /etc/new'
    davit image diff changed box | grep -qx 'A /data/old'
    run ! davit image diff box nosuch
}

@test "a container whose image's name has moved on is looked at on what it runs" {
    davit image tag box moving
    davit run -d --name moved localhost/moving /bin/sh -c 'echo x >/only; sleep 1000'
    wait_for 20 davit exec moved test -e /only
    digest=$(digest_of box)
    davit commit moved next
    davit image tag next moving
    davit image untag box
    [ "$(davit diff moved | grep only)" = 'A /only' ]
    [ "$(davit inspect moved | jq -r '.[0].ImageDigest')" = "$digest" ]
    davit commit moved again
    [ "$(digest_of again)" = "$(digest_of next)" ]
    # Nothing but the container leads to it: it can still be given a name.
    davit image tag "$digest" box
    [ "$(digest_of box)" = "$digest" ]
    davit stop moved
}

@test "a commit has the changes, owners as the container sees them, and nothing of davit's own" {
    davit commit web saved
    davit image tree saved
    cat >"$D/units/check.container" <<'U'
[Container]
Image=localhost/saved
Exec=/bin/sh -c 'cat /etc/new; stat -c %%u:%%g /etc/new; readlink /etc/link; ls /data; ls /etc/group; cat /etc/hostname; echo over'
[Service]
Type=oneshot
U
    davit daemon-reload
    davit start check || true
    wait_for 20 has_line check over
    text_of check >"$D/said"
    grep -qx new "$D/said"
    grep -qx 33:33 "$D/said"
    grep -qx in "$D/said"
    refute grep -x old "$D/said"
    grep -q 'group: No such file' "$D/said"
    tree=$(davit image inspect saved | jq -r '.[0].GraphDriver.Data.LowerDir' | cut -d: -f1)
    [ ! -e "$tree/etc/hosts" ]
    [ ! -e "$tree/dev" ]
    [ "$(stat -c %u:%g "$tree/etc/new")" = 33:33 ]
    [ "$(stat -c %u:%g "$tree/data")" = 0:0 ]
}

@test "the same container gives the same digests" {
    davit commit web first --config 'Cmd=/bin/true'
    davit commit web second --config 'Cmd=/bin/true'
    [ "$(digest_of first)" = "$(digest_of second)" ]
    [ "$(davit image inspect first | jq -c '.[0].Config.Cmd')" = '["/bin/true"]' ]
    is_state web running
    [ "$(show web frozen)" = false ]
}

@test "what is committed to goes out and comes back the same" {
    davit commit web round
    davit image save -o "$D/round.tar" round
    DAVIT_STATE_DIR=$D/fifth davit image import "$D/round.tar"
    [ "$(DAVIT_STATE_DIR=$D/fifth digest_of round)" = "$(digest_of round)" ]
}

@test "what cannot be committed is told" {
    run ! davit commit nosuch x
    davit run -d --name plain busybox /bin/sleep 100
    run ! davit commit plain x
    says "$output" 'no image'
    davit stop plain
    run ! davit diff plain
}

@test "an export has the files and not what is mounted" {
    davit export -o "$D/export.tar" web
    tar tvf "$D/export.tar" --numeric-owner >"$D/list"
    grep -qE ' 33/33 .* (\./)?etc/new$' "$D/list"
    grep -qE '(\./)?data1/$' "$D/list"
    refute grep -E 'data1/file|proc/1|dev/null|etc/group$|data/old' "$D/list"
    [ "$(tar xOf "$D/export.tar" etc/new 2>/dev/null || tar xOf "$D/export.tar" ./etc/new)" = new ]
    davit export web | tar t >/dev/null
}

@test "inspect has what docker's readers look for" {
    davit inspect web >"$D/inspect"
    [ "$(jq -r '.[0].State.Status' "$D/inspect")" = running ]
    [ "$(jq -r '.[0].State.Pid' "$D/inspect")" = "$(show web pid)" ]
    upper=$(jq -r '.[0].GraphDriver.Data.UpperDir' "$D/inspect")
    [ "$(cat "$upper/etc/new")" = new ]
    [ -d "$(jq -r '.[0].GraphDriver.Data.WorkDir' "$D/inspect")" ]
    [ "$(cat "$(jq -r '.[0].GraphDriver.Data.MergedDir' "$D/inspect")/etc/new")" = new ]
    [ -e "$(jq -r '.[0].GraphDriver.Data.LowerDir' "$D/inspect")/etc/group" ]
    [ "$(jq -r '.[0].Mounts[0].Destination' "$D/inspect")" = /data1 ]
    [ "$(davit inspect box | jq -r '.[0].Id')" = "$(id_of box)" ]
    run ! davit inspect nosuch
    says "$output" 'no container and no image "nosuch"'
}

@test "an image is mounted read-only and unmounted" {
    davit commit web layered
    for image in box layered; do
        where=$(davit image mount $image)
        [ -x "$where/bin/busybox" ]
        run ! touch "$where/x"
        if [ $image = layered ]; then [ ! -e "$where/etc/group" ]; else [ -e "$where/etc/group" ]; fi
        davit image unmount $image
        [ ! -e "$where" ]
    done
    mkdir "$D/mnt"
    [ "$(davit image mount box "$D/mnt")" = "$D/mnt" ]
    davit image unmount "$D/mnt"
    [ -z "$(ls "$D/mnt")" ]
}
