#!/usr/bin/env bats
# An image keeps the digests that it is known by: pulled by one here, saved, and imported where there is no network, it still
# answers to NAME@DIGEST there; and nothing else does.

# shellcheck source=tests/integration/registry.bash
. "$BATS_TEST_DIRNAME/registry.bash"

setup_file() {
    registry_setup
    configure ''
    export WEB MULTI web multi
    WEB=127.0.0.1:$(port plain)/team/web MULTI=127.0.0.1:$(port plain)/team/multi
    web=$(digest_there "$WEB:1") multi=$(digest_there "$MULTI:1")
    davit image pull -q "$WEB:1" "$MULTI@$multi"
    davit image save -o "$D/web.tar" "$WEB:1"
    davit image save -o "$D/multi.tar" "$MULTI@$multi"
}
teardown_file() {
    DAVIT_PID=$(cat "$D/pid" 2>/dev/null || true)
    registry_teardown
}
digest_there() { echo "sha256:$(skopeo inspect --tls-verify=false --raw "docker://$1" | sha256sum | cut -d' ' -f1)"; }
# Where nothing has been before, and no registry can be asked.
appliance() {
    export DAVIT_STATE_DIR=$D/appliance
    rm -rf "$D/appliance"
}
field() { davit image inspect "$1" | jq -r ".[0].$2"; }
# changed ARCHIVE PROGRAM: the archive with another index.json, as jq makes it
changed() {
    rm -rf "$D/changed"
    mkdir "$D/changed"
    tar -C "$D/changed" -xf "$1"
    jq -c "$2" "$D/changed/index.json" >"$D/index.new"
    mv "$D/index.new" "$D/changed/index.json"
}

@test 'what was pulled by tag is known by its digest after save and import' {
    appliance
    davit image import "$D/web.tar"
    has_image "$WEB:1"
    has_image "$WEB@$web"
    [ "$(field "$WEB:1" Digest)" = "$web" ]
    # And again from there.
    davit image save -o "$D/again.tar" "$WEB:1"
    cmp "$D/again.tar" "$D/web.tar"
}

@test 'what was pulled by the digest of an index is known by it, and by that of its manifest' {
    manifest=$(field "$MULTI@$multi" Digest)
    appliance
    davit image import "$D/multi.tar"
    has_image "$MULTI@$multi"
    has_image "$MULTI@$manifest"
    davit image tag "$MULTI@$multi" local:2
    davit image untag "$MULTI@$multi"
    has_image "local@$multi"
    # gc leaves the index, fsck reads it, and it goes on.
    davit image gc --unused-for 0s
    davit image fsck
    davit image save -o "$D/again.tar" local:2
    appliance
    davit image import "$D/again.tar"
    has_image "local@$multi"
    davit image remove local:2
    davit image gc --unused-for 0s
    [ -z "$(ls "$DAVIT_STATE_DIR/images/blobs/sha256")" ]
}

@test 'what skopeo copies with its index is known by the digest of that' {
    rm -rf "$D/copied"
    skopeo --insecure-policy copy -q --all --src-tls-verify=false "docker://$MULTI:1" "oci:$D/copied:$MULTI:1"
    appliance
    davit image import "$D/copied"
    has_image "$MULTI:1"
    has_image "$MULTI@$multi"
}

@test 'skopeo and umoci take an archive with documents that they do not look for' {
    rm -rf "$D/taken" "$D/bundle"
    skopeo --insecure-policy copy -q "oci-archive:$D/multi.tar" "oci:$D/taken:multi"
    if command -v umoci >/dev/null; then
        umoci unpack --image "$D/taken:multi" "$D/bundle" >/dev/null
        [ -e "$D/bundle/rootfs/platform" ]
    fi
}

@test 'a digest that the archive only claims is not taken' {
    appliance
    changed "$D/web.tar" '.manifests[0].annotations["io.davit.image.manifest"] = "sha256:\("f" * 64)"'
    run -0 davit image import "$D/changed"
    says "$output" 'will not be known by that digest'
    has_image "$WEB:1"
    refute has_image "$WEB@sha256:$(printf 'f%.0s' {1..64})"
    refute has_image "$WEB@$web"
    changed "$D/web.tar" '.manifests[0].annotations["io.davit.image.index"] = "../../etc/passwd"'
    run -1 davit image import "$D/changed"
    says "$output" 'no digest'
}

@test 'the manifest or index of another image is refused' {
    other=$(tar -xOf "$D/multi.tar" index.json | jq -r '.manifests[0].annotations["io.davit.image.manifest"]')
    appliance
    changed "$D/web.tar" ".manifests[0].annotations[\"io.davit.image.manifest\"] = \"$other\""
    tar -C "$D/changed" -xf "$D/multi.tar" "blobs/sha256/${other#sha256:}"
    run -1 davit image import "$D/changed"
    says "$output" 'the manifest of another image'
    changed "$D/web.tar" ".manifests[0].annotations[\"io.davit.image.index\"] = \"$multi\""
    tar -C "$D/changed" -xf "$D/multi.tar" "blobs/sha256/${multi#sha256:}"
    run -1 davit image import "$D/changed"
    says "$output" 'does not list'
    # And one whose bytes are others than its name says.
    echo >>"$D/changed/blobs/sha256/${web#sha256:}"
    run -1 davit image import "$D/changed"
    says "$output" "what should be $web is"
    refute has_image "$WEB:1"
}

@test 'nobody gives an image a name with the digest of another' {
    appliance
    false="$WEB@sha256:$(printf 'f%.0s' {1..64})"
    changed "$D/web.tar" ".manifests[0].annotations |= (.[\"org.opencontainers.image.ref.name\"] = \"$false\" | .[\"io.containerd.image.name\"] = \"$false\")"
    run -1 davit image import "$D/changed"
    says "$output" 'is not the name of'
    run -1 davit image import "$D/web.tar" "$false"
    davit image import "$D/web.tar"
    run -1 davit image tag "$WEB:1" "$false"
    refute has_image "$false"
    davit image tag "$WEB:1" "mine@$web"
    has_image "mine@$web"
}

# keeping WORD: a davit.conf that keeps archives, or not
keeping() {
    configure ''
    echo "image_keep_archives = $1;" >>"$D/davit.conf"
}
archives() { jq -r '.layers[].digest' "$DAVIT_STATE_DIR/images/blobs/sha256/${1#sha256:}" | cut -d: -f2 | while read -r d; do ls "$DAVIT_STATE_DIR/images/blobs/sha256/$d"; done 2>/dev/null | wc -l; }

@test 'kept archives: the manifest is the same for everybody, from registry to registry and back' {
    appliance
    keeping true
    davit image pull -q "$WEB:1"
    [ "$(archives "$web")" = 2 ]
    [ -z "$(ls "$DAVIT_STATE_DIR/images/work")" ]
    davit image fsck
    davit image save -o "$D/kept.tar" "$WEB:1"
    skopeo --insecure-policy copy -q --preserve-digests --dest-tls-verify=false "oci-archive:$D/kept.tar" "docker://127.0.0.1:$(port plain)/team/round:1"
    [ "$(digest_there "127.0.0.1:$(port plain)/team/round:1")" = "$web" ]
    # Import keeps them too, and gc, which reads davit.conf, as long as the image stays.
    appliance
    davit image import "$D/kept.tar" round:1
    [ "$(archives "$web")" = 2 ]
    davit image gc --unused-for 0s
    davit image save -o "$D/kept-again.tar" round:1
    [ "$(tar -xOf "$D/kept-again.tar" index.json | jq -r '.manifests[0].digest')" = "$web" ]
    with=$(davit image du --json | jq .LayersSize)
    # What is not kept any more goes, and the image is as whole as before.
    keeping false
    davit image gc --unused-for 0s
    [ "$(archives "$web")" = 0 ]
    plain=$(davit image du --json | jq .LayersSize)
    [ "$with" -gt "$plain" ]
    davit image fsck
    davit image save -o "$D/plain.tar" round:1
    [ "$(tar -xOf "$D/plain.tar" index.json | jq -r '.manifests[0].annotations["io.davit.image.manifest"]')" = "$web" ]
}

@test 'kept archives: an image that is here gets them with the next pull, and goes with them' {
    appliance
    keeping false
    davit image pull -q "$WEB:1"
    [ "$(archives "$web")" = 0 ]
    keeping true
    davit image pull -q "$WEB:1"
    [ "$(archives "$web")" = 2 ]
    davit image remove "$WEB:1"
    davit image gc --unused-for 0s
    [ -z "$(find "$DAVIT_STATE_DIR/images/blobs/sha256" "$DAVIT_STATE_DIR/images/layers" -mindepth 1)" ]
}

@test 'kept archives: one that is damaged does not come out, is found, and the image goes on without it' {
    appliance
    keeping true
    davit image pull -q "$WEB:1"
    blob=$DAVIT_STATE_DIR/images/blobs/sha256/$(jq -r '.layers[1].digest' "$DAVIT_STATE_DIR/images/blobs/sha256/${web#sha256:}" | cut -d: -f2)
    printf X | dd of="$blob" bs=1 seek=30 conv=notrunc status=none
    run -1 davit image save -o "$D/damaged.tar" "$WEB:1"
    says "$output" 'try davit image fsck'
    [ ! -e "$D/damaged.tar" ]
    run ! davit image fsck
    says "$output" 'is damaged'
    davit image fsck --repair
    [ ! -e "$blob" ]
    davit image save -o "$D/repaired.tar" "$WEB:1"
}

@test "kept archives: a manifest of docker's form comes out as it is" {
    skopeo --insecure-policy copy -q --format v2s2 --dest-tls-verify=false "oci:$D/layout:web" "docker://127.0.0.1:$(port plain)/team/v2s2:1"
    digest=$(digest_there "127.0.0.1:$(port plain)/team/v2s2:1")
    appliance
    keeping true
    davit image pull -q "127.0.0.1:$(port plain)/team/v2s2:1"
    davit image save -o "$D/v2s2.tar" "127.0.0.1:$(port plain)/team/v2s2:1"
    skopeo --insecure-policy copy -q --preserve-digests --dest-tls-verify=false "oci-archive:$D/v2s2.tar" "docker://127.0.0.1:$(port plain)/team/v2s2:2"
    [ "$(digest_there "127.0.0.1:$(port plain)/team/v2s2:2")" = "$digest" ]
    appliance
    davit image import "$D/v2s2.tar"
    has_image "127.0.0.1:$(port plain)/team/v2s2@$digest"
}

@test 'one archive for two layers is refused, and not waited for' {
    appliance
    for keep in true false; do
        keeping $keep
        python3 - "http://127.0.0.1:$(port plain)/v2/team/web/manifests" <<'P'
import json, sys, urllib.request
kind = "application/vnd.oci.image.manifest.v1+json"
manifest = json.load(urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/1", headers={"Accept": kind})))
manifest["layers"][1] = {**manifest["layers"][0]}
urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/twice", method="PUT", data=json.dumps(manifest).encode(), headers={"Content-Type": kind}))
P
        run -1 timeout 60 "$DAVIT_BUILD/davit" image pull "$WEB:twice"
        says "$output" 'is there twice'
    done
}

@test 'offline: a unit starts the image that it names by the digest of an index' {
    fresh_store
    mkdir -p "$D/preload"
    cp "$D/web.tar" "$D/preload/any-name.tar"
    printf 'log_sink = "file";\nimage_roots = [ "%s" ];\n' "$D/preload" >"$D/davit.conf"
    unit imported.container <<<"[Container]
Image=$MULTI@$multi
Pull=never
Exec=/bin/sh -c 'cat /platform; echo; exec sleep 1000'
StopSignal=SIGKILL"
    unit preloaded.container <<<"[Container]
Image=$WEB@$web
Exec=/bin/sh -c 'cat /web; exec sleep 1000'
StopSignal=SIGKILL"
    davit image import "$D/multi.tar"
    davit_start
    echo "$DAVIT_PID" >"$D/pid"
    davit start imported
    # From an archive of the system, whose file has not the image's name.
    davit start preloaded
    wait_for 20 has_line preloaded web
    wait_for 20 has_line imported "$(file_of_image platform)"
}
