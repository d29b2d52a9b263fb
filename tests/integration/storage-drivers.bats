#!/usr/bin/env bats
# The same image, the same container and the same questions for each storage driver. btrfs is on a loop device.
# shellcheck disable=SC2034 # OTHER is for teardown
bats_require_minimum_version 1.5.0
load common

setup() { [ "$(id -u)" = 0 ] || skip 'needs root'; }

# What web and twin do when they are told to. Times do not depend on when it runs: the same changes are the same layer.
changes() {
    cat <<'S'
#!/bin/sh
while [ ! -e /run/go ]; do sleep 0.05; done
echo new >/etc/new; chown 33:33 /etc/new; ln -s new /etc/link; ln /etc/new /etc/twin
rm /etc/group; echo x >>/etc/passwd; chmod 700 /root; rm -r /data
touch -h -d '2024-01-02 03:04:05' /etc/new /etc/passwd /etc/link /root /etc /
touch /run/done
sleep infinity
S
}
# What a container of the image that became of it finds.
looks() {
    cat <<'S'
#!/bin/sh
cat /etc/new; ls /etc/group /data; stat -c %h:%u /etc/twin
sleep infinity
S
}
units() {
    for name in web twin; do
        unit $name.container <<U
[Container]
Image=localhost/box
Volume=data1:/mnt/data
RunInit=yes
Exec=/bin/changes
U
    done
    unit host.container <<'U'
[Container]
Image=localhost/box
UserNS=host
ReadOnly=yes
RunInit=yes
Exec=/bin/sleep infinity
U
}

# fleet DRIVER [FILE SYSTEM]: a private davit whose state is on that file system, with an image of two layers: the upper
# one hides a file of the lower one, and a whole directory but for one new file.
fleet() {
    OTHER=1
    davit_new
    if [ $# -gt 1 ]; then
        command -v "mkfs.$2" >/dev/null || skip "there is no mkfs.$2"
        truncate -s 400M "$D/disk"
        "mkfs.$2" -q "$D/disk"
        mount -o loop "$D/disk" "$D/state" || skip "this kernel mounts no $2 from a loop device"
        mkdir -p "$D/state/images"
    fi
    davit_image
    changes >"$D/state/images/busybox/bin/changes"
    looks >"$D/state/images/busybox/bin/looks"
    chmod +x "$D/state/images/busybox/bin/"{changes,looks}
    mkdir "$D/state/images/busybox/old"
    echo old | tee "$D/state/images/busybox/old/file" "$D/state/images/busybox/data/hidden" >"$D/state/images/busybox/data/kept"
    echo "storage_driver = \"$1\";" >>"$D/davit.conf"
    units
    davit_start
    manager_pid >"$D/manager"
    davit image import "$D/state/images/busybox" base
    rm -rf "$D/up"
    mkdir -p "$D/up/"{upper/data,upper/old}
    mknod "$D/up/upper/data/hidden" c 0 0
    setfattr -n trusted.overlay.opaque -v y "$D/up/upper/old"
    echo new >"$D/up/upper/old/new"
    "$DAVIT_BUILD/davit-image" create --store="$D/state/images" --name=box --from=base --upper="$D/up/upper"
}
in_web() { davit exec web "$@"; }
digest_of() { davit image inspect "$1" | jq -r '.[0].RootFS.Layers[-1]'; }
is_driver() { [ "$(davit inspect "$1" | jq -r '.[0].Driver')" = "$2" ]; }

starts_and_shows_the_image() {
    davit start web twin host
    for unit in web twin host; do is_driver $unit "$1"; done
    [ "$(in_web cat /data/kept)" = old ]
    run ! in_web test -e /data/hidden
    run ! in_web test -e /old/file
    [ "$(in_web cat /old/new)" = new ]
    says "$(in_web cat /etc/hosts)" localhost
    [ -z "$(davit diff web)" ]
    [ "$(in_web stat -c %u:%g:%a / /tmp)" = "$(printf '0:0:755\n0:0:1777')" ]
    run ! davit exec host touch /new
}
keeps_changes_apart() {
    in_web touch /run/go
    wait_for 60 davit exec web test -e /run/done
    davit diff web >"$D/diff"
    diff - "$D/diff" <<'L'
D /data
C /etc
D /etc/group
A /etc/link
A /etc/new
C /etc/passwd
A /etc/twin
C /root
C /run
A /run/done
A /run/go
L
    [ -z "$(davit diff twin)" ]
    [ "$(davit exec twin cat /data/kept)" = old ]
    davit export web | tar tv --numeric-owner >"$D/export"
    grep -qE ' 33/33 .* (\./)?etc/new$' "$D/export"
    refute grep -E 'etc/group|data/kept' "$D/export"
    echo host >"$D/file"
    davit cp "$D/file" web:/run/copied
    [ "$(in_web stat -c %u:%g /run/copied)" = 0:0 ]
    in_web rm /run/copied
}
commits_what_changed() {
    in_web rm -r /run/go /run/done
    in_web touch -d '2024-01-02 03:04:05' /run
    davit commit web changed
    digest_of changed >"$D/digest"
    unit changed.container <<'U'
[Container]
Image=localhost/changed
RunInit=yes
Exec=/bin/looks
U
    davit daemon-reload
    davit start changed
    wait_for 60 has_line changed '2:33'
    has_line changed new
    [ "$(text_of changed | grep -c 'No such file')" = 2 ]
    davit stop changed
}
starts_anew() {
    davit restart web
    [ "$(in_web cat /data/kept)" = old ]
    run ! in_web test -e /etc/new
    davit kill --signal KILL twin
    wait_for 60 is_state twin failed
    davit stop web twin host
    for unit in web twin host; do nothing_left $unit.container; done
}
# What a killed worker leaves in work/, what an image that is gone leaves in chains/.
gc_takes_what_is_left() {
    local store=$D/state/images chains
    chains=$(ls "$store/chains")
    mkdir "$store/work/left"
    if [ "$1" = btrfs ]; then btrfs -q subvolume create "$store/work/left/tree"; else mkdir "$store/work/left/tree"; fi
    echo x >"$store/work/left/tree/file"
    davit image gc --unused-for 0s
    [ -z "$(ls "$store/work")" ]
    [ "$(ls "$store/chains")" = "$chains" ]
    rm "$D/units/"{web,twin,host,changed}.container
    davit daemon-reload
    davit image remove --force changed box base
    davit image gc --all --unused-for 0s
    [ -z "$(find "$store"/{chains,layers,work} -mindepth 1 -print -quit)" ]
}
whole() {
    starts_and_shows_the_image "$1"
    keeps_changes_apart
    commits_what_changed
    starts_anew
}

# The digest of the layer that CHANGES come to: that of overlay is the measure.
same_digest() {
    local file=$BATS_FILE_TMPDIR/digest
    [ -e "$file" ] || cp "$D/digest" "$file"
    [ "$(cat "$D/digest")" = "$(cat "$file")" ]
}

@test 'overlay: start, write, diff, commit, export, restart, remove' {
    fleet overlay
    whole overlay
    same_digest
    [ ! -e "$D/state/images/chains" ] || [ -z "$(ls "$D/state/images/chains")" ]
}

@test 'vfs: start, write, diff, commit, export, restart, remove' {
    fleet vfs
    whole vfs
    same_digest
    gc_takes_what_is_left vfs
}

@test 'btrfs: start, write, diff, commit, export, restart, remove' {
    fleet btrfs btrfs
    whole btrfs
    same_digest
    says "$(davit info)" 'Storage driver: btrfs'
    gc_takes_what_is_left btrfs
    [ -z "$(btrfs subvolume list "$D/state")" ]
}
