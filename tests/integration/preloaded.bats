#!/usr/bin/env bats
# Images that came with the system: archives, layouts and file system images below an image root, without any network.
# shellcheck disable=SC2016 # a shell inside expands it
bats_require_minimum_version 1.5.0
load common

sleeper() {
    unit "$1.container" <<U
[Container]
Image=$2
RunInit=yes
Exec=/bin/sleep infinity
${3:-}
U
}
units() {
    printf 'image_roots = [ "%s" ];\n' "$D/preload" >>"$D/davit.conf"
    sleeper byfile team/app
    sleeper tagged team/tagged:2 Pull=never
    sleeper inside inside
    sleeper docker localhost/docker:latest
    sleeper layout layout
    sleeper several second
    sleeper missing nosuch:1 Pull=never
    unit inplace.container <<'U'
[Container]
Image=inplace
RunInit=yes
U
}
# Made by a store of its own, as a build machine would.
preload() {
    mkdir -p "$D/preload/team"
    davit_image_in "$D/root"
    tar -C "$D/root" -cJf "$D/preload/team/app.tar.xz" .
    tar -C "$D/root" -cf "$D/preload/team/tagged:2.tar" .
    export DAVIT_STATE_DIR=$D/build
    davit image import "$D/root" inside
    davit image save -o "$D/preload/first.tar" inside
    for name in docker second third layout; do davit image tag inside $name; done
    davit image save --format docker-archive -o "$D/preload/zdocker.tar" docker
    davit image save -o "$D/preload/two.oci" second third
    davit image save --format oci-dir -o "$D/preload/layout" layout
    export DAVIT_STATE_DIR=$D/state
    # What is broken or something else is nobody's trouble.
    echo nonsense >"$D/preload/a-broken.tar"
    tar -C "$D/root" -cf "$D/preload/b-root.tar" ./etc
    mkdir "$D/preload/plain"
}
setup_file() {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    davit_new
    preload
    units
    davit_start
    echo "$DAVIT_PID" >"$D/pid"
    manager_pid >"$D/manager"
}
teardown_file() { fleet_teardown; }

stored() { davit image list --json | jq -r '.[].Names[]' | sort | tr '\n' ' '; }

@test 'a unit starts from an archive of its name, and of a name that is in one' {
    davit start byfile tagged inside docker layout several
    for unit in byfile tagged inside docker layout several; do
        davit exec $unit test -x /bin/busybox
    done
    # Each under the name that was wanted, and nothing else of what lies there.
    [ "$(stored)" = 'localhost/docker:latest localhost/inside:latest localhost/layout:latest localhost/second:latest localhost/team/app:latest localhost/team/tagged:2 ' ]
}

@test 'what is in no archive is said to be missing, and nothing is left of the search' {
    cannot_start missing 'no image "nosuch:1" in '
    [ -z "$(ls "$D/state/images/work")" ]
}

@test 'a squashfs is mounted where it lies, with the defaults beside it' {
    command -v mksquashfs >/dev/null || skip 'there is no mksquashfs'
    mksquashfs "$D/root" "$D/preload/inplace.squashfs" -quiet -no-progress >/dev/null
    printf '[Image]\nCmd=/bin/sleep infinity\nEnvironment=COLOUR=green\n' >"$D/preload/inplace.conf"
    before=$(stored)
    davit start inplace
    [ "$(davit exec inplace sh -c 'echo $COLOUR')" = green ]
    [ "$(stored)" = "$before" ]
    davit stop inplace
}

@test 'always asks the registry, everything else looks here first' {
    pull() { "$DAVIT_BUILD/davit-image" pull --store="$D/state/images" --conf="$D/davit.conf" --root="$D/state/images" --root="$D/preload" "$@"; }
    davit image remove --force inside
    run ! pull --policy=always localhost/inside
    says "$output" 'is in no registry'
    pull --policy=missing inside
    [[ $(stored) == *localhost/inside:latest* ]]
}

@test 'what is in another image root is seen by the verbs, not fetched again and not changed' {
    DAVIT_STATE_DIR=$D/build davit image tag inside other.example/kept:1
    printf 'image_roots = [ "%s", "%s" ];\n' "$D/preload" "$D/build/images" >"$D/roots.conf"
    export DAVIT_CONFIG=$D/roots.conf
    davit image list --json | jq -e 'any(.Names == ["other.example/kept:1"] and .ReadOnly) and any(.Names == ["localhost/team/app:latest"] and (.ReadOnly | not))'
    davit image exists other.example/kept:1
    # There is no such registry.
    davit image pull --retry 0 --policy missing other.example/kept:1
    davit image pull --retry 0 --policy never other.example/kept:1
    run ! davit image pull --retry 0 --policy always other.example/kept:1
    [ ! -e "$D/state/images/references/other.example+kept:1" ]
    run ! davit image remove other.example/kept:1
    says "$output" "is in $D/build/images, which is read-only"
    run ! davit image tag other.example/kept:1 mine
    says "$output" 'read-only'
    # One of the same name that can be changed is the one that is.
    davit image tag localhost/team/app other.example/kept:1
    davit image remove other.example/kept:1
    davit image exists other.example/kept:1
    echo 'image_roots = "/nowhere";' >"$D/roots.conf"
    davit image exists localhost/team/app
    says "$(davit images 2>&1)" 'image_roots is no list'
}
