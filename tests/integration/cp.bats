#!/usr/bin/env bats
# davit cp: into a running container and out of it, whatever the container does with its links meanwhile.
# shellcheck disable=SC2016
bats_require_minimum_version 1.5.0
load common

units() {
    unit box.container <<'U'
[Container]
Image=busybox
Volume=data1:/data1
RunInit=yes
Exec=/bin/sh -c 'mkdir -p /in/deep; echo inside >/in/file; echo deep >/in/deep/file; chown 33:33 /in/file; chmod 4755 /in/deep/file; ln -s file /in/link; ln -s / /up; ln -s /etc /abs; mkfifo /in/fifo; echo ready >/data1/ready; sleep infinity'
U
    # Changes a directory into a link that leads out of everything, and back, as fast as it can.
    unit swap.container <<'U'
[Container]
Image=busybox
Exec=/bin/sh -c 'mkdir /real; echo mine >/real/target; ln -s ../../../../../../..%E /out; while :; do mv /real /d 2>/dev/null; mv /d /real 2>/dev/null; mv /out /d 2>/dev/null; mv /d /out 2>/dev/null; done'
U
}
setup_file() {
    fleet_setup
    davit start box
    wait_for 20 test -e "$D/state/volumes/data1/_data/ready"
    mkdir "$D/host"
}
teardown_file() { fleet_teardown; }

inside() { davit exec box "$@"; }

@test "a file goes in and belongs to the container's root" {
    echo hello >"$D/host/hello"
    chown 1234:1234 "$D/host/hello"
    chmod 640 "$D/host/hello"
    davit cp "$D/host/hello" box:/in/
    [ "$(inside cat /in/hello)" = hello ]
    [ "$(inside stat -c '%u:%g %a' /in/hello)" = '0:0 640' ]
    davit cp "$D/host/hello" box:/in/other
    [ "$(inside cat /in/other)" = hello ]
    davit cp -a "$D/host/hello" box:/in/kept
    [ "$(inside stat -c %u:%g /in/kept)" = 1234:1234 ]
}

@test "a file goes into a volume, where it belongs to root on disk" {
    echo v >"$D/host/v"
    davit cp "$D/host/v" box:/data1/v
    [ "$(stat -c %u:%g "$D/state/volumes/data1/_data/v")" = 0:0 ]
    [ "$(inside stat -c %u:%g /data1/v)" = 0:0 ]
}

@test "a directory comes out as a whole, or its content alone" {
    davit cp box:/in "$D/host" 2>"$D/said"
    [ "$(cat "$D/host/in/deep/file")" = deep ]
    [ "$(readlink "$D/host/in/link")" = file ]
    [ "$(stat -c '%u:%g' "$D/host/in/file")" = 0:0 ]
    [ "$(stat -c %a "$D/host/in/deep/file")" = 755 ]
    [ ! -e "$D/host/in/fifo" ]
    says "$(cat "$D/said")" 'not copied'
    mkdir "$D/host/content"
    davit cp -q box:/in/. "$D/host/content"
    [ "$(cat "$D/host/content/file")" = inside ]
    davit cp -q -a box:/in "$D/host/fresh"
    [ "$(stat -c '%u:%g' "$D/host/fresh/file")" = 33:33 ]
}

@test "a directory goes in" {
    mkdir -p "$D/host/tree/a/b"
    echo 1 >"$D/host/tree/a/b/one"
    davit cp "$D/host/tree" box:/in/tree
    [ "$(inside cat /in/tree/a/b/one)" = 1 ]
    davit cp "$D/host/tree" box:/in/deep
    [ "$(inside cat /in/deep/tree/a/b/one)" = 1 ]
    davit cp "$D/host/tree/." box:/in/deep
    [ "$(inside cat /in/deep/a/b/one)" = 1 ]
}

@test "links of the container lead where they lead inside it" {
    echo x >"$D/host/x"
    davit cp "$D/host/x" box:/up/tmp/x
    [ "$(inside cat /tmp/x)" = x ]
    [ ! -e /tmp/x ] || [ "$(cat /tmp/x)" != x ]
    davit cp box:/abs/passwd "$D/host/passwd"
    cmp "$D/host/passwd" "$D/state/images/busybox/etc/passwd"
    davit cp box:/abs "$D/host/abs"
    [ "$(readlink "$D/host/abs")" = /etc ]
}

@test "a link in place of the target is replaced, not written through" {
    inside ln -s /etc/passwd /in/trap
    echo harmless >"$D/host/trap"
    davit cp "$D/host/trap" box:/in/trap
    [ "$(inside cat /in/trap)" = harmless ]
    refute inside grep -q harmless /etc/passwd
}

@test "CVE-2018-15664: a directory that is swapped for a link out meanwhile" {
    mkdir "$D/prey"
    echo safe >"$D/prey/target"
    sed -i "s|%E|$D/prey|" "$D/units/swap.container"
    davit daemon-reload
    davit start swap
    echo overwritten >"$D/host/target"
    for i in $(seq 60); do : "$i"
        davit cp -q "$D/host/target" swap:/d/target 2>/dev/null || true
        davit cp -q swap:/d/target "$D/host/got" 2>/dev/null || true
        [ "$(cat "$D/prey/target")" = safe ]
        [ ! -e "$D/host/got" ] || refute grep -q safe "$D/host/got"
    done
    davit stop swap || true
    [ "$(ls "$D/prey")" = target ]
}

@test "what cannot be copied is told" {
    run ! davit cp box:/nowhere "$D/host"
    says "$output" 'box:/nowhere: No such file'
    run ! davit cp "$D/host/hello" "$D/host/else"
    says "$output" 'UNIT:PATH'
    run ! davit cp box:/in "$D/host/hello"
    says "$output" 'Not a directory'
    run ! davit cp "$D/host/hello" box:/no/such/dir/
    run ! davit cp nosuch:/x "$D/host"
}

# A container with a volume of 300 KiB.
full_volume() {
    mkdir -p "$D/state/volumes/full/_data"
    mount -t tmpfs -o size=300k tmpfs "$D/state/volumes/full/_data"
    unit full.container <<'U'
[Container]
Image=busybox
Volume=full:/full
UserNS=host
RunInit=yes
Exec=/bin/sleep infinity
U
    davit daemon-reload
    davit start full
}

@test "a full disk: what is there stays, nothing half copied is left, and the message says where" {
    full_volume
    local inside=$D/state/volumes/full/_data
    echo old >"$inside/file"
    dd if=/dev/zero of="$D/host/large" bs=1k count=1000 status=none
    mkdir -p "$D/host/tree/below"
    echo small >"$D/host/tree/small"
    cp "$D/host/large" "$D/host/tree/below"
    # into the container
    run -1 davit cp "$D/host/large" full:/full/file
    says "$output" 'full:/full/file'
    says "$output" 'No space left'
    [ "$(ls -A "$inside")" = file ]
    [ "$(cat "$inside/file")" = old ]
    run -1 davit cp "$D/host/tree" full:/full/
    says "$output" 'tree/below/large'
    [ "$(ls -A "$inside")" = file ]
    # out of it
    davit cp "$D/host/tree/." full:/tmp
    mkdir "$D/small"
    mount -t tmpfs -o size=300k tmpfs "$D/small"
    echo old >"$D/small/large"
    run -1 davit cp full:/tmp/below/large "$D/small"
    says "$output" "$D/small"
    [ "$(cat "$D/small/large")" = old ]
    run -1 davit cp full:/tmp/below "$D/small/new"
    [ "$(ls -A "$D/small")" = large ]
    # an archive of it
    run -1 davit export -o "$D/small/archive.tar" full
    says "$output" 'No space left'
    says "$output" "$D/small/archive.tar was not written"
    [ "$(ls -A "$D/small")" = large ]
    [ "$(show full frozen)" = false ]
    davit stop full
    umount "$D/small" "$inside"
}
