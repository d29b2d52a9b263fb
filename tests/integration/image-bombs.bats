#!/usr/bin/env bats
# Archives that want more than they should get: memory, disk, sizes. A clear error, and nothing is left.
bats_require_minimum_version 1.5.0
load common

setup_file() {
    davit_new
    tar -cf "$D/small.tar" -C /etc passwd
    python3 - "$D" <<'END'
import gzip, sys
d = sys.argv[1]


def header(name, size, kind=b'0', sparse=None):
    h = bytearray(512)
    h[0:len(name)] = name
    h[100:108] = b'0000644\0'
    h[108:124] = b'0000000\0' * 2
    h[124:136] = b'\x80' + size.to_bytes(11, 'big')
    h[136:148] = b'00000000000\0'
    h[156:157] = kind
    h[257:265] = b'ustar  \0'
    if sparse:  # GNU's old form: one piece of data, at this offset, and the size with the hole
        offset, whole = sparse
        h[386:398] = b'\x80' + offset.to_bytes(11, 'big')
        h[398:410] = b'\x80' + size.to_bytes(11, 'big')
        h[483:495] = b'\x80' + whole.to_bytes(11, 'big')
    h[148:156] = b' ' * 8
    h[148:156] = b'%06o\0 ' % sum(h)
    return bytes(h)


with gzip.open(f'{d}/bomb.tar.gz', 'wb') as f:
    f.write(header(b'bomb', 100 << 30))
    for _ in range(200):
        f.write(bytes(1 << 20))
for name, whole in ('exabytes', (8 << 60) - 1), ('hole', 1 << 40):
    with open(f'{d}/{name}.tar', 'wb') as f:
        f.write(header(b'sparse', 512, b'S', (whole - 512, whole)) + b'x' * 512 + bytes(1024))
END
    gzip -dc "$D/bomb.tar.gz" | zstd -q -1 >"$D/bomb.tar.zst"
}
teardown_file() { davit_stop; }
setup() { rm -rf "$D/state/images"; }
is_bare() { [ -z "$(find "$1/work" "$1/layers" "$1/references" -mindepth 1 -print -quit)" ]; }

@test "a window that is larger than the worker's memory: an error that says so, and --memory" {
    xz -9c "$D/small.tar" >"$D/large.tar.xz"
    zstd -q --long=27 <"$D/small.tar" >"$D/large.tar.zst"
    for archive in large.tar.xz large.tar.zst; do
        run -1 davit image import "$D/$archive" large
        says "$output" 'needs more memory than davit-image may have (--memory, image_memory in davit.conf)'
        is_bare "$D/state/images"
    done
    davit image import --memory=96M "$D/large.tar.xz" large
    davit image import --memory=160M "$D/large.tar.zst" large
    is_bare "$D/state/images" && return 1
    rm -rf "$D/state/images"
    echo 'image_memory = "160M";' >>"$D/davit.conf"
    davit image import "$D/large.tar.zst" large
    davit image import --memory=16M "$D/large.tar.zst" large && return 1
    echo 'image_memory = "1M";' >"$D/davit.conf"
    run -1 davit image import "$D/large.tar.zst" large
    says "$output" 'davit.conf: image_memory: at least 16M'
    : >"$D/davit.conf"
}

# bats test_tags=long
@test "what gzip, zstd -19 and xz -6 write needs no more than the worker has" {
    head -c 12M /dev/urandom >"$D/noise"
    tar -cf "$D/noise.tar" -C "$D" noise
    zstd -q -19 <"$D/noise.tar" >"$D/noise.tar.zst"
    xz -6c "$D/noise.tar" >"$D/noise.tar.xz"
    gzip -1c "$D/noise.tar" >"$D/noise.tar.gz"
    for archive in noise.tar.zst noise.tar.xz noise.tar.gz; do
        davit image import "$D/$archive" noise
        # What it had at most, its program and libraries included.
        /usr/bin/python3 - "$DAVIT_BUILD/davit-image" import "--store=$D/measured" --name=noise "$D/$archive" <<'END'
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
assert kib < 32 * 1024, f'{kib} KiB'
END
        rm -r "$D/measured"
    done
}

@test "layers that side by side want more memory than the worker has come in one after the other" {
    umoci init --layout "$D/oci"
    umoci new --image "$D/oci:x"
    for n in 1 2 3 4; do
        head -c 9M /dev/urandom >"$D/f$n"
        tar -cf "$D/f$n.tar" -C "$D" "f$n"
        umoci raw add-layer --image "$D/oci:x" "$D/f$n.tar"
    done
    skopeo copy -q --dest-compress-format zstd --dest-compress-level 19 "oci:$D/oci:x" "oci:$D/zstd:x"
    davit image import "$D/zstd" four
    davit image fsck
}

@test "a few KiB that become more than the disk holds" {
    mkdir "$D/little"
    mount -t tmpfs -o size=40m tmpfs "$D/little"
    for archive in bomb.tar.gz bomb.tar.zst; do
        run -1 "$DAVIT_BUILD/davit-image" import --store="$D/little/images" --name=bomb "$D/$archive"
        says "$output" 'entry bomb: '
        is_bare "$D/little/images"
        [ "$(df --output=used -k "$D/little" | tail -1)" -lt 200 ]
    done
    umount "$D/little"
}

@test "files with exabytes of holes are harmless, or refused by name" {
    run davit image import "$D/exabytes.tar" exabytes
    if [ "$status" -ne 0 ]; then
        says "$output" 'entry sparse: '
        is_bare "$D/state/images"
    fi
    davit image import "$D/hole.tar" hole
    davit image fsck
    [ "$(du -sk "$D/state/images" | cut -f1)" -lt 2000 ]
}
