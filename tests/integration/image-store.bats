#!/usr/bin/env bats
# Images in and out of the store: made by umoci, skopeo and buildah, compared with what umoci unpacks.
# shellcheck disable=SC2030,SC2031,SC2016,SC2012 # each test is a subshell; text for other shells; names that are ours
load common

STORE() { echo "$D/state/images"; }

# An image of three layers with one of everything, as umoci writes it, and what umoci unpacks it to.
make_image() {
    local r
    cd "$D" || return 1
    umoci init --layout oci
    umoci new --image oci:base
    umoci unpack --image oci:base b1 >/dev/null
    r=b1/rootfs
    mkdir -p $r/bin $r/etc $r/root $r/var/lib/x $r/usr/share/doc $r/tmp $r/home/u/d
    cp "$(command -v busybox)" $r/bin/busybox
    ln -s busybox $r/bin/sh
    chmod 700 $r/root
    chmod 1777 $r/tmp
    echo a >$r/etc/a
    ln $r/etc/a $r/etc/a2
    ln -s /etc/a $r/etc/link
    echo s >$r/root/secret
    mknod $r/etc/null c 1 3
    mknod $r/etc/block b 7 0
    mkfifo $r/etc/fifo
    chown 33:33 $r/etc/a
    setfattr -n user.k -v v $r/etc/a
    cp $r/bin/busybox $r/bin/ping
    chmod 4755 $r/bin/busybox
    setcap cap_net_raw+ep $r/bin/ping
    chown -R 1000:1000 $r/home/u
    # An ACL (user 7 may read), and a default one, which what is in the directory does not have.
    echo acl >$r/etc/acl
    setfattr -n system.posix_acl_access -v 0x0200000001000600ffffffff020004000700000004000400ffffffff10000400ffffffff20000400ffffffff $r/etc/acl
    mkdir -p $r/srv/d
    echo f >$r/srv/f
    mknod -m 664 $r/srv/null c 1 3
    setfattr -n system.posix_acl_default -v 0x0200000001000700ffffffff020005000700000004000500ffffffff10000500ffffffff20000000ffffffff $r/srv
    echo x >"$r/etc/$(printf 'n%.0s' $(seq 200))"
    mkdir -p "$r/$(printf 'd%.0s/' $(seq 60))$(printf 'e%.0s' $(seq 150))"
    echo q >$r/etc/$'sp ace\ttab'
    truncate -s 5M $r/var/lib/x/sparse
    echo end >>$r/var/lib/x/sparse
    touch -d '1999-01-02 03:04:05.678901234' $r/etc/a
    touch -d '1980-01-01' $r/var/lib
    umoci repack --image oci:one b1 >/dev/null
    umoci unpack --image oci:one b2 >/dev/null
    r=b2/rootfs
    rm $r/etc/link
    rm -r "${r:?}/usr/share"
    mkdir -p $r/usr/share/new
    echo n >$r/usr/share/new/f
    echo k >$r/root/key
    rm $r/etc/fifo
    mkdir $r/etc/fifo
    echo z >$r/etc/fifo/z
    umoci repack --image oci:two b2 >/dev/null
    umoci unpack --image oci:two b3 >/dev/null
    r=b3/rootfs
    rm $r/root/secret
    echo 2 >$r/root/key2
    umoci repack --image oci:three b3 >/dev/null
    # umoci writes whole seconds and no holes; GNU tar does both.
    mkdir -p extra/opt/d
    echo t >extra/opt/d/time
    ln extra/opt/d/time extra/opt/also
    touch -d '2001-02-03 04:05:06.678901234' extra/opt/d/time extra/opt/d
    : >extra/opt/old
    touch -d '1960-01-02 03:04:05.25' extra/opt/old
    truncate -s 3M extra/opt/hole
    echo end >>extra/opt/hole
    mkfifo -m 622 extra/opt/fifo
    tar -C extra --format=posix --sparse --owner=3:3 --group=4:4 -cf extra.tar opt
    umoci raw add-layer --image oci:three extra.tar
    umoci unpack --image oci:three reference >/dev/null
    skopeo copy -q oci:oci:three oci:layout:three
    tar -C reference/rootfs --xattrs --xattrs-include='*' -cf root.tar .
    rm -rf b1 b2 b3
}

setup_file() {
    if lacks umoci skopeo mksquashfs mkfs.erofs setfattr setcap; then return; fi
    fleet_setup
    (make_image) >"$D/make.log" 2>&1 || { cat "$D/make.log"; return 1; }
    davit image import "$D/layout" web
}
setup() { has_all_tools; }
teardown_file() { [ -n "$LACKS" ] || fleet_teardown; }

blob() { cat "$(STORE)/blobs/sha256/${1#sha256:}"; }
manifest_of() { jq -r .digest "$(STORE)/references/localhost+$1:latest"; }
config_of() { blob "$(manifest_of "$1")" | jq -r .config.digest; }
diff_ids() { blob "$(config_of "$1")" | jq -r '.rootfs.diff_ids[]'; }

# An image's layers mounted as the launcher does it: tree_of NAME FILE
tree_of() {
    local lower id
    for id in $(diff_ids "$1"); do lower=$(STORE)/layers/${id#sha256:}/tree${lower:+:$lower}; done
    mkdir -p "$D/mnt"
    mount -t overlay overlay -o "ro,lowerdir=$lower${lower##*[!:]*}" "$D/mnt" 2>/dev/null ||
        mount -t overlay overlay -o "ro,lowerdir=$lower:$D/mnt" "$D/mnt"
    python3 "$BATS_TEST_DIRNAME/tree.py" "$D/mnt" >"$2"
    umount "$D/mnt"
}
work_is_empty() { [ -z "$(ls -A "$(STORE)/work")" ] || { ls "$(STORE)/work"; return 1; }; }
# No layer, no name, no unfinished work.
is_bare() { [ -z "$(find "$1/work" "$1/layers" "$1/references" -mindepth 1 -print -quit)" ]; }
# refused PATTERN PATH: the import fails with this in its message, and leaves nothing
refused() {
    local output
    if output=$(davit image import "$2" refused 2>&1); then echo "imported: $2"; return 1; fi
    says "$output" "$1" || return 1
    work_is_empty && [ ! -e "$(STORE)/references/localhost+refused:latest" ]
}

@test "an unpacked image is what umoci unpacks, in every attribute" {
    tree_of web "$D/ours"
    python3 "$BATS_TEST_DIRNAME/tree.py" "$D/reference/rootfs" >"$D/theirs"
    diff "$D/ours" "$D/theirs"
    # What must be in it for that to mean anything.
    for what in posix_acl_access posix_acl_default security.capability user.k "'etc/a2' .* etc/a " "'etc/block' .* 7:0" 678901234; do
        grep -q -e "$what" "$D/theirs" || { echo "no $what"; return 1; }
    done
}

@test "the same image as an archive, plain or compressed, is the same image" {
    tar -C "$D/layout" -cf "$D/layout.tar" .
    gzip -k1 "$D/layout.tar"
    davit image import "$D/layout.tar" web2
    davit image import - web3 <"$D/layout.tar.gz"
    [ "$(manifest_of web2)" = "$(manifest_of web)" ]
    [ "$(manifest_of web3)" = "$(manifest_of web)" ]
    work_is_empty
}

@test "an archive as docker save writes it keeps ID and layers, and the names inside" {
    skopeo copy -q "oci:$D/layout:three" "docker-archive:$D/docker.tar:registry.example/team/web:1"
    before=$(ls "$(STORE)/layers")
    run davit image import "$D/docker.tar"
    [ "$status" -eq 0 ]
    [ "$output" = registry.example/team/web:1 ]
    [ "$(ls "$(STORE)/layers")" = "$before" ]
    id=$(blob "$(jq -r .digest "$(STORE)/references/registry.example+team+web:1")" | jq -r .config.digest)
    [ "$id" = "$(config_of web)" ]
}

@test "an archive with several images brings them all" {
    mkdir "$D/several"
    tar -C "$D/several" -xf "$D/docker.tar"
    jq '[.[0], (.[0] | .RepoTags = ["second:2", "third:3"])]' "$D/several/manifest.json" >"$D/m.json"
    mv "$D/m.json" "$D/several/manifest.json"
    tar -C "$D/several" -cf "$D/several.tar" manifest.json .
    run davit image import "$D/several.tar"
    [ "$status" -eq 0 ]
    says "$output" localhost/second:2
    says "$output" localhost/third:3
    run davit image import "$D/several.tar" name
    [ "$status" -ne 0 ]
    says "$output" 'bring names of their own'
}

@test "a root file system is one layer, whatever its archive is packed with" {
    local c
    for c in gzip:gz bzip2:bz2 xz:xz zstd:zst; do
        "${c%:*}" -kq "$D/root.tar"
        davit image import --config 'Cmd=/bin/sh -c "echo from the image"' "$D/root.tar.${c#*:}" "root-${c#*:}"
        rm "$D/root.tar.${c#*:}"
        [ "$(manifest_of "root-${c#*:}")" = "$(manifest_of root-gz)" ]
    done
    [ "$(blob "$(config_of root-gz)" | jq -c .config.Cmd)" = '["/bin/sh","-c","echo from the image"]' ]
    tree_of root-gz "$D/ours"
    diff "$D/ours" "$D/theirs"
}

@test "a directory comes in as it is, twice with the same digest" {
    davit image import "$D/reference/rootfs" tree
    davit image import "$D/reference/rootfs" tree2
    [ "$(manifest_of tree)" = "$(manifest_of tree2)" ]
    tree_of tree "$D/ours"
    diff "$D/ours" "$D/theirs"
}

@test "containers run from layers, from a squashfs and from an erofs" {
    mksquashfs "$D/reference/rootfs" "$D/fs.squashfs" -quiet -no-progress >/dev/null
    mkfs.erofs "$D/fs.erofs" "$D/reference/rootfs" >/dev/null 2>&1
    davit image import "$D/fs.squashfs" squash
    davit image import "$D/fs.erofs" erofs
    for image in web squash erofs; do
        run davit run --rm $image /bin/busybox cat /root/key2
        [ "$status" -eq 0 ] || { echo "$image: $output"; false; }
        [ "$output" = 2 ]
    done
    davit run --rm squash /bin/sh -c 'echo new >/etc/a; busybox cat /etc/a' | grep -qx new
}

@test "an image is made of a directory and files, always with the same digest" {
    mkdir -p "$D/small"
    cp "$(command -v busybox)" "$D/small/sh"
    echo hello >"$D/greeting"
    for n in made made2; do
        davit image create $n --from "$D/small" --copy "$D/greeting:/etc/greeting" --config 'Entrypoint=/sh' --config Env=A=1
    done
    [ "$(manifest_of made)" = "$(manifest_of made2)" ]
    run davit run --rm made -c 'read -r x </etc/greeting; echo "$x $A"'
    [ "$output" = 'hello 1' ]
    davit image create on-top --from made --copy "$D/greeting:/second"
    [ "$(diff_ids on-top | head -2)" = "$(diff_ids made)" ]
    run davit image create wrong --from made --config Nonsense=1
    [ "$status" -ne 0 ]
    says "$output" 'with one of Cmd, Entrypoint'
}

@test "gc removes what nothing leads to, and keeps what a unit ran before" {
    davit image import "$D/root.tar" doomed
    davit image import "$D/layout" kept
    mkdir -p "$(STORE)/uses"
    manifest=$(manifest_of doomed)
    davit image untag doomed
    layers=$(ls "$(STORE)/layers" | wc -l)
    davit image gc
    [ "$(ls "$(STORE)/layers" | wc -l)" -eq "$layers" ] # younger than an hour
    printf 'current %s\nprevious %s\n' "$(manifest_of kept)" "$manifest" >"$(STORE)/uses/web.container"
    davit image untag root-gz root-bz2 root-xz root-zst
    # No unit has that name, but it was used lately.
    davit image gc
    [ -e "$(STORE)/blobs/sha256/${manifest#sha256:}" ]
    rm -f "$(STORE)/uses/web.container"
    davit image gc --unused-for 0s
    [ ! -e "$(STORE)/blobs/sha256/${manifest#sha256:}" ]
    davit image gc --all --unused-for 0s --dry-run
    davit image exists web
    davit image fsck
}

@test "fsck finds what is damaged, and a second import heals it" {
    davit image fsck
    id=$(diff_ids web | head -1)
    rm "$(STORE)/layers/${id#sha256:}/tree/etc/a2"
    run davit image fsck
    [ "$status" -ne 0 ]
    says "$output" "layer $id is damaged"
    says "$output" 'localhost/web:latest is not whole'
    run davit image fsck --repair
    [ "$status" -ne 0 ]
    davit image import "$D/layout" web
    davit image fsck
    config=$(config_of web)
    echo >>"$(STORE)/blobs/sha256/${config#sha256:}"
    run davit image fsck --repair
    [ "$status" -ne 0 ]
    says "$output" "blob $config is damaged"
    davit image import "$D/layout" web
    davit image import "$D/layout" kept
    davit image import "$D/layout" web2
    davit image import "$D/layout" web3
    davit image import "$D/docker.tar"
    davit image import "$D/several.tar"
    davit image fsck
}

@test "a disk that gets full is an error, and its space comes back" {
    mkdir "$D/full"
    mount -t tmpfs -o size=3m tmpfs "$D/full"
    run "$DAVIT_BUILD/davit-image" import --store="$D/full/images" --name=k "$D/layout"
    [ "$status" -ne 0 ]
    says "$output" 'layer 1/4: entry'
    is_bare "$D/full/images"
    [ "$(df --output=used -k "$D/full" | tail -1)" -lt 200 ]
    umount "$D/full"
}

@test "the worker has few privileges left while it reads" {
    mkfifo "$D/input"
    "$DAVIT_BUILD/davit-image" import --store="$(STORE)" --name=fifo - <"$D/input" >"$D/worker.log" 2>&1 &
    pid=$!
    exec 7>"$D/input"
    wait_for 10 grep -q '^Seccomp:.2' /proc/$pid/status
    # chown, dac_override, fowner, fsetid, sys_admin, mknod, setfcap
    grep -q '^CapEff:.0000000088200*1b$' /proc/$pid/status || [ "$(awk '/^CapEff/ {print $2}' /proc/$pid/status)" = 000000008820001b ]
    grep -q '^NoNewPrivs:.1' /proc/$pid/status
    exec 7>&-
    local status=0
    wait $pid || status=$?
    [ "$status" -ne 0 ]
    work_is_empty
}

@test "archives that are up to no good end in an error that names the entry" {
    mkdir "$D/canary"
    echo safe >"$D/canary/file"
    python3 - "$D" <<'END'
import io, sys, tarfile
d = sys.argv[1]


def archive(name, *entries):
    with tarfile.open(f'{d}/{name}.tar', 'w', format=tarfile.PAX_FORMAT) as t:
        for path, kind, extra in entries:
            i = tarfile.TarInfo(path)
            i.type = kind
            if kind in (tarfile.LNKTYPE, tarfile.SYMTYPE):
                i.linkname = extra
            if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
                i.devmajor, i.devminor = extra
            if isinstance(extra, dict):
                i.pax_headers = extra
            data = b'evil' if kind == tarfile.REGTYPE else b''
            i.size = len(data)
            t.addfile(i, io.BytesIO(data))


R, L, S, D, C = tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE
archive('up', ('a/../../canary/file', R, None))
archive('linked', ('a', S, d + '/canary'), ('a/file', R, None))
archive('swap', ('a', D, None), ('a/b', R, None), ('a', S, d + '/canary'), ('a/file', R, None))
archive('hard', ('a', L, '../canary/file'))
archive('hard-through', ('a', S, d + '/canary'), ('b', L, 'a/file'))
archive('hard-missing', ('a', L, 'b'))
archive('hard-self', ('a', R, None), ('a', L, 'a'))
archive('root-link', ('./', S, d + '/canary'), ('file', R, None))
archive('root-file', ('.', R, None))
archive('bare', ('a/.wh.', R, None))
archive('dots', ('a/.wh...', R, None))
archive('below', ('.wh.a/b', R, None))
archive('mark', ('a', C, (0, 0)))
archive('long', ('a/' * 2100 + 'b', R, None))
archive('component', ('n' * 300, R, None))
archive('overlay', ('a', R, {'SCHILY.xattr.trusted.overlay.opaque': 'y'}))
archive('owner', ('a', R, {'uid': '4294967295'}))
END
    refused 'entry a/../../canary/file: ".." in its name' "$D/up.tar"
    refused 'entry a/file: its directory a is a symbolic link' "$D/linked.tar"
    refused 'entry a/file: its directory a is a symbolic link' "$D/swap.tar"
    refused 'entry a: target of the hard link: ".."' "$D/hard.tar"
    refused 'entry b: a hard link to a/file' "$D/hard-through.tar"
    refused 'entry a: a hard link to b' "$D/hard-missing.tar"
    refused 'entry a: a hard link to itself' "$D/hard-self.tar"
    refused 'the root of a layer is a directory' "$D/root-link.tar"
    refused 'the root of a layer is a directory' "$D/root-file.tar"
    refused 'entry a/.wh.: a whiteout of no name' "$D/bare.tar"
    refused 'entry a/.wh...: a whiteout of no name' "$D/dots.tar"
    refused 'entry .wh.a/b: it lies below a whiteout' "$D/below.tar"
    refused 'entry a: a character device 0:0' "$D/mark.tar"
    refused 'its name has more than 4095 bytes' "$D/long.tar"
    refused 'a component of its name has more than 255 bytes' "$D/component.tar"
    refused 'trusted.overlay.opaque is not for images to set' "$D/overlay.tar"
    refused 'entry a: user 4294967295' "$D/owner.tar"
    head -c 1000000 "$D/root.tar" >"$D/short.tar"
    refused 'Truncated tar archive' "$D/short.tar"
    head -c 5000 /dev/urandom >"$D/noise"
    refused 'neither a directory, a tar archive' "$D/noise"
    [ "$(cat "$D/canary/file")" = safe ]
    [ "$(ls "$D/canary")" = file ]
}

@test "a layer whose content is another than its digest is refused" {
    cp -r "$D/layout" "$D/forged"
    layer=$(blob "$(manifest_of web)" | jq -r '.layers[2].digest')
    file=$D/forged/blobs/sha256/${layer#sha256:}
    size=$(stat -c %s "$file")
    printf x | dd of="$file" bs=1 seek=$((size - 1)) conv=notrunc status=none
    OTHER_STORE=$D/forged-store
    run "$DAVIT_BUILD/davit-image" import --store="$OTHER_STORE" --name=k "$D/forged"
    [ "$status" -ne 0 ]
    says "$output" 'layer 3/4'
    [ -z "$(ls "$OTHER_STORE/references")" ]
    [ "$(ls "$OTHER_STORE/layers" | wc -l)" -eq 2 ] # what came whole is kept for the next try
}

@test "whiteouts and opaque directories hide what is below, in either order" {
    mkdir -p "$D/lower/dir/sub" "$D/lower/gone"
    touch "$D/lower/dir/old" "$D/lower/dir/sub/old" "$D/lower/gone/x" "$D/lower/file"
    davit image import "$D/lower" lower
    python3 - "$D" <<'END'
import hashlib, io, json, os, sys, tarfile
d = sys.argv[1]
b = io.BytesIO()
with tarfile.open(fileobj=b, mode='w') as t:
    for path, kind in (('dir/new', tarfile.REGTYPE), ('dir/.wh..wh..opq', tarfile.REGTYPE), ('.wh.gone', tarfile.REGTYPE),
                       ('gone', tarfile.DIRTYPE), ('gone/y', tarfile.REGTYPE), ('.wh.file', tarfile.REGTYPE),
                       ('.wh..wh.plnk/1.2', tarfile.REGTYPE), ('.wh..wh.aufs', tarfile.REGTYPE), ('aufs', tarfile.LNKTYPE)):
        i = tarfile.TarInfo(path)
        i.type, i.mode = kind, 0o755
        i.linkname = '.wh..wh.plnk/1.2' if kind == tarfile.LNKTYPE else ''
        t.addfile(i)
store = f'{d}/state/images'
read = lambda digest: json.load(open(f'{store}/blobs/sha256/{digest[7:]}'))
config = read(read(json.load(open(f'{store}/references/localhost+lower:latest'))['digest'])['config']['digest'])
lower = read(json.load(open(f'{store}/references/localhost+lower:latest'))['digest'])['layers'][0]
os.makedirs(f'{d}/stacked/blobs/sha256')


def put(data):
    h = hashlib.sha256(data).hexdigest()
    open(f'{d}/stacked/blobs/sha256/{h}', 'wb').write(data)
    return {'digest': 'sha256:' + h, 'size': len(data)}


layer = put(b.getvalue())
config['rootfs']['diff_ids'].append(layer['digest'])
media = 'application/vnd.oci.image.'
c = dict(put(json.dumps(config).encode()), mediaType=media + 'config.v1+json')
m = put(json.dumps({'schemaVersion': 2, 'config': c, 'layers': [lower, dict(layer, mediaType=media + 'layer.v1.tar')]}).encode())
json.dump({'schemaVersion': 2, 'manifests': [dict(m, mediaType=media + 'manifest.v1+json')]}, open(f'{d}/stacked/index.json', 'w'))
open(f'{d}/stacked/oci-layout', 'w').write('{"imageLayoutVersion": "1.0.0"}')
END
    davit image import "$D/stacked" stacked
    tree_of stacked "$D/ours"
    [ "$(awk '{print $1}' "$D/ours" | sort | tr -d "b'" | tr '\n' ' ')" = '. aufs dir dir/new gone gone/y ' ]
}

@test "a unit's image, and the one it ran before, stay in the store" {
    unit rolling.container <<'END'
[Container]
Image=rolling
Exec=/bin/busybox sleep 1000
StopSignal=SIGKILL
END
    davit image import "$D/layout" rolling
    davit daemon-reload
    davit start rolling
    before=$(manifest_of rolling)
    davit image create rolling --from rolling --copy "$D/make.log:/second"
    davit restart rolling
    after=$(manifest_of rolling)
    [ "$before" != "$after" ]
    grep -qx "current $after" "$(STORE)/uses/rolling.container"
    grep -qx "previous $before" "$(STORE)/uses/rolling.container"
    davit image gc --all --unused-for 0s
    davit image fsck
    [ -e "$(STORE)/blobs/sha256/${before#sha256:}" ]
    [ -e "$(STORE)/blobs/sha256/${after#sha256:}" ]
    davit restart rolling
    davit stop rolling
}

@test "gc while davitd is away: what a one-off container runs from stays" {
    unit other.container <<<$'[Container]\nImage=web' # of whom nothing is known is taken for known where no unit is
    davit image create lone --from web --copy "$D/make.log:/lone"
    davit run --detach --name lone lone /bin/busybox sleep 1000
    davit image untag lone
    manifest=$(sed -n 's/^current //p' "$(STORE)/uses/lone.container")
    mv "$D/run/control" "$D/run/away" # nobody can be asked
    run davit image gc --unused-for 0s
    mv "$D/run/away" "$D/run/control"
    [ "$status" -eq 0 ]
    [ -e "$(STORE)/blobs/sha256/${manifest#sha256:}" ]
    davit kill --signal=KILL lone
    wait_for 60 test ! -e "$D/run/transient/lone.container"
    davit image gc --unused-for 0s
    [ ! -e "$(STORE)/blobs/sha256/${manifest#sha256:}" ]
}

@test "info shows the storage driver, the kernel and free space" {
    run davit info
    says "$output" 'Storage driver: overlay'
    says "$output" "$(uname -r)"
    says "$output" 'free of'
    [ "$(davit info --json | jq -r .storage.driver)" = overlay ]
}
