#!/usr/bin/env bats
# Images with many layers: all of them are seen, or there is an error that says that they are too many. Kernels before 6.7
# take the layers in one string of a page, which is room for some hundred.
bats_require_minimum_version 1.5.0
load common

units() {
    for n in 128 129 498; do
        unit many$n.container <<U
[Container]
Image=localhost/many:$n
RunInit=yes
Exec=/bin/sleep infinity
U
    done
}
setup_file() {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    davit_new
    units
    python3 "$BATS_TEST_DIRNAME/oci-layout.py" "$D/layout" "$(command -v busybox)" 128 129 498 499
    for n in 128 129 498; do only $n; davit image import "$D/layout" many:$n; done
    davit_start
    echo "$DAVIT_PID" >"$D/pid"
    manager_pid >"$D/manager"
}
teardown_file() { fleet_teardown; }

# The layout with one image alone.
only() {
    [ -e "$D/index.json" ] || cp "$D/layout/index.json" "$D/index.json"
    jq --arg n "$1" '.manifests |= map(select(.annotations["org.opencontainers.image.ref.name"] == $n))' "$D/index.json" >"$D/layout/index.json"
}
has_all() {
    [ "$(davit exec "many$1" sh -c 'ls /layers' | wc -l)" = $(($1 - 1)) ]
    [ "$(davit exec "many$1" cat /top)" = "$1" ]
}

@test '128 layers and 129 start, and every layer is seen' {
    for n in 128 129; do
        davit start many$n
        has_all $n
        davit stop many$n
    done
}

@test '498 layers, the most that overlay takes beside the two that davit adds, start or are too many for this kernel' {
    if davit start many498; then
        has_all 498
        davit stop many498
    else
        says "$(davit status many498)" 'too many'
        nothing_left many498.container
    fi
}

@test '499 layers, which might come in and not start, are not imported' {
    only 499
    run ! davit image import "$D/layout" many:499
    says "$output" 'layers'
    [ -z "$(ls "$D/state/images/work")" ]
}
