#!/usr/bin/env bats
# The power goes at any write of what changes the image store: import, pull, commit, a name given, moved and taken away, gc. One
# machine does all of it, and its disk is recorded. Another is then given the store as it could have been after a power cut at
# each of these writes, mounts it, and looks: what had been told to be there is there, byte for byte; fsck finds nothing;
# gc leaves nothing that no name leads to.
#
#   CUTS=20 bats tests/vm/image-power-cuts.bats    that many of the writes, evenly, instead of every one
# shellcheck disable=SC2016 # scripts for the machine's shell
bats_require_minimum_version 1.5.0
# Its teardown gives way to that of a machine.
# shellcheck source=tests/integration/registry.bash
. "$BATS_TEST_DIRNAME/../integration/registry.bash"
load lib

STORE_MIB=32 # of the file system with the store
BATCH=50     # power cuts that one machine looks at

# Images of a program and a few files, in layers that they share in part: two archives to import, and one image in a registry, whose
# data the machine gets.
setup_file() {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    davit_new
    registry_program >"$D/registry-program" || skip 'docker-registry cannot be had'
    local n
    mkdir -p "$D"/root/{bin,etc}
    cp "$(command -v busybox)" "$D/root/bin/"
    for n in sh sleep cat rm; do ln -s busybox "$D/root/bin/$n"; done
    printf 'root:x:0:0:root:/root:/bin/sh\n' >"$D/root/etc/passwd"
    for n in $(seq 20); do
        mkdir -p "$D/more/d$n"
        head -c $((n * 997)) /dev/urandom >"$D/more/d$n/file"
    done
    davit image import "$D/root" base
    davit image create pulled --from base --copy "$D/more:/more"
    davit image create imported --from pulled --copy "$D/more/d20/file:/again"
    for n in base pulled imported; do davit image save -o "$D/$n.tar" $n; done
    registry_start plain
    skopeo --insecure-policy copy -q --dest-tls-verify=false "oci-archive:$D/pulled.tar" "docker://127.0.0.1:$(port plain)/pulled:1"
}
teardown_file() { registry_teardown; }

# add_program FILE: with the libraries that it is linked with
add_program() {
    local file
    [ -e "$V/root/usr/lib/davit/${1##*/}" ] || cp "$1" "$V/root/usr/bin/"
    ldd "$1" | awk '$2 == "=>" {print $3}' | while read -r file; do
        [ -e "$V/root$file" ] || cp -L --parents "$file" "$V/root"
    done
}

# Each step is told before and after, on a file system of its own, so that telling makes nothing else durable.
new_machine() {
    vm_new
    vm_disk store ${STORE_MIB}M
    vm_disk told 16M
    add_program "$DAVIT_BUILD/davit-image"
    add_program "$(cat "$D/registry-program")"
    cp "$D"/{base,imported}.tar "$V/root/"
    cp -r "$D/registry-data" "$V/root/registry-data"
    mkdir -p "$V"/root/{store,told,cut}
    vm_file /registry.yml <<'Y'
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: /registry-data}, maintenance: {uploadpurging: {enabled: false}}}
http: {addr: 127.0.0.1:5000}
Y
    vm_file /prepare 755 <<'S'
#!/bin/sh
set -e
mount /dev/nvme0n1p2 /store
mount /dev/nvme0n1p3 /told
mkdir /store/images
mkdir -p /var/lib/davit/images
mount --bind /store/images /var/lib/davit/images
davit image import /base.tar base
davit run -d --name web --network none base /bin/sh -c 'echo new >/new; rm /bin/cat; echo changed >/etc/passwd; echo ready; exec sleep 10000'
until davit logs web | grep -q ready; do sleep 0.1; done
setsid docker-registry serve /registry.yml >/dev/null 2>&1 &
until wget -q -O /dev/null http://127.0.0.1:5000/v2/; do sleep 0.1; done
sync
S
    vm_file /work 755 <<'S'
#!/bin/sh
set -e
tell() { echo "$*" >/told/told; sync /told/told; }
step() {
    tell "$1" begun
    "$@"
    tell "$1" done
}
import() { davit image import /imported.tar imported; }
pull() { davit image pull -q --tls-verify=false 127.0.0.1:5000/pulled:1; }
commit() { davit commit web committed; }
tag() { davit image tag imported moving; }
move() { davit commit web moving; }
remove() { davit image remove imported committed; }
gc() { davit image gc --unused-for 0s; }
for verb in import pull commit tag move remove gc; do step $verb; done
S
    vm_agent
}

# names_at STEP STATE: what has to be there once the machine has told this
names_at() {
    local names='base'
    case $* in
    'import begun') ;;
    'import done' | 'pull begun') names='base imported' ;;
    'pull done' | 'commit begun') names='base imported pulled' ;;
    'commit done' | 'tag begun') names='base imported pulled committed' ;;
    'tag done' | 'move '*) names='base imported pulled committed moving' ;;
    'remove '* | 'gc '*) names='base pulled moving' ;;
    esac
    sed -E 's#pulled#127.0.0.1:5000/pulled:1#; s#(^| )([a-z]+)\b#\1localhost/\2:latest#g' <<<"$names"
}

# The machine that looks. /cuts has a line for each store: its place in /dev/vda, where they lie one behind the other, and the
# names that it must have.
checker() {
    vm_file /check 755 <<'S'
#!/bin/sh
store=/cut/images
worker() { verb=$1; shift; /usr/lib/davit/davit-image "$verb" --store=$store "$@" 2>&1; }
fail() { echo "$*"; exit; }
look() {
    said=$(worker fsck) || fail "fsck: $said"
    said=$(worker gc --unused-for=0s) || fail "gc: $said"
    left=$(ls $store/work; find $store -name '~*')
    [ -z "$left" ] || fail "gc left $left"
    for name; do
        [ -e "$store/references/$(echo "$name" | tr / +)" ] || fail "$name is not there"
    done
    # Saving compares each layer with its digest.
    worker save --format=oci $(ls $store/references | tr + /) >/tmp/saved || fail "save: $(tail -c 300 /tmp/saved)"
    rm -f $store/uses/*
    said=$(worker gc --unused-for=0s --all=yes) || fail "gc --all: $said"
    left=$(find $store -mindepth 2 ! -path $store/blobs/sha256)
    [ -z "$left" ] || fail "gc --all left $left"
    echo sound
}
mount -t tmpfs tmpfs /tmp
modprobe -a virtio_pci virtio_blk loop
while read -r offset names; do
    said='it cannot be mounted'
    losetup -o "$offset" /dev/loop0 /dev/vda
    if mount /dev/loop0 /cut; then
        said=$(look $names)
        umount /cut
    fi
    losetup -d /dev/loop0
    echo "CUT $said" >/dev/ttyS1
done </cuts
vm-status 0
busybox poweroff -f
S
}

# For vm_crashpoints: the store goes to cuts.img, and what must be in it to cuts; they are looked at later, many at once.
# shellcheck disable=SC2154 # point and seed are vm_crashpoints'
collect() {
    local part told start
    part=$(vm_part told)
    vm_replay_journal "$part"
    told=$(debugfs -R 'cat /told' "$part" 2>/dev/null)
    start=$(vm_part store)
    dd if="$V/disk.img" of="$V/cuts.img" bs=1M skip=$((${start#*=} >> 20)) seek=$((collected * STORE_MIB)) count=$STORE_MIB \
        conv=sparse,notrunc status=none
    # shellcheck disable=SC2086 # two words
    echo "$((collected * STORE_MIB << 20)) $(names_at $told)" >>"$V/cuts"
    echo "VM_CRASH='$point $seed', after \"$told\"" >>"$V/cuts.of"
    collected=$((collected + 1))
}

# look_at COUNT FROM TO: that many power cuts between these writes, with a machine for each BATCH of them
look_at() {
    local count=$1 from=$2 to=$3 done=0 next collected
    while [ $done -lt "$count" ]; do
        next=$((done + BATCH < count ? done + BATCH : count))
        rm -f "$V"/cuts*
        truncate -s $((BATCH * STORE_MIB))M "$V/cuts.img"
        collected=0
        VM_CRASH_DISK=store vm_crashpoints $((next - done)) collect $((from + (to - from) * done / count)) $((from + (to - from) * next / count))
        vm_file /cuts <"$V/cuts"
        vm_boot --init /sbin/vm-preinit --append '-- /check' --timeout 1200 \
            --qemu "-drive if=none,id=cuts,format=raw,file=$V/cuts.img -device virtio-blk-pci,drive=cuts"
        vm_ended poweroff 0
        vm_report | sed -n 's/^CUT //p' | paste -d'\t' - "$V/cuts.of" >"$V/verdicts"
        [ "$(wc -l <"$V/verdicts")" = "$(wc -l <"$V/cuts.of")" ]
        if grep -v ^sound "$V/verdicts"; then return 1; fi
        looked=$((looked + collected))
        done=$next
        [ -z "${VM_CRASH:-}" ] || break
    done
}

# bats test_tags=long
@test 'the power goes at any write of an import, a pull, a commit, a removal, a gc: the store is whole' {
    new_machine
    checker
    vm_boot --background --record
    vm_run /prepare
    local from to looked=0
    from=$(vm_writes)
    vm_run /work
    to=$(vm_writes)
    vm_kill
    look_at "${CUTS:-$((to - from))}" "$from" "$to"
    echo "# $((to - from)) writes, $looked of them followed by a power cut" >&3
}
