#!/usr/bin/env bats
# What changes the image store is killed at random moments, works beside others, and finds the disk full. Whatever happens: fsck
# finds nothing at any time, the old or the new state is there, and gc leaves nothing behind.
#
#   KILLS=1000 bats -f killed tests/integration/image-killed.bats    so many kills of each kind
#   ROUNDS=200 bats -f once tests/integration/image-killed.bats      so many images in and out

# shellcheck source=tests/integration/registry.bash
. "$BATS_TEST_DIRNAME/registry.bash"

# Two images that share a layer, as layouts and in a registry; an upper directory for a commit; and stores to begin with: one with
# an image, one with an image and what another has left.
setup_file() {
    registry_setup
    local n S=$D/begun
    skopeo --insecure-policy copy -q "oci:$D/layout:web" "oci:$D/web:web"
    skopeo --insecure-policy copy -q "oci:$D/layout:other" "oci:$D/other:other"
    mkdir -p "$D/upper/etc"
    for n in $(seq 50); do echo "$n" >"$D/upper/etc/$n"; done
    mknod "$D/upper/web" c 0 0
    worker import --name=web "$D/web"
    cp -a "$S" "$D/with-image"
    worker import --name=other "$D/other"
    rm "$S/references/localhost+other:latest"
    mv "$S" "$D/with-garbage"
}
teardown_file() { registry_teardown; }
setup() {
    S=$D/state-$BATS_TEST_NUMBER/images
    mkdir -p "$S"
    [ -n "${KILLS:-}" ] || KILLS=6
    [ -n "${ROUNDS:-}" ] || ROUNDS=3
    KILLED=0
}

# worker COMMAND ARGUMENT...: davit-image, on the store $S
worker() { "$DAVIT_BUILD/davit-image" "$1" --store="$S" "${@:2}"; }
begin_with() {
    rm -rf "$S"
    [ $# -eq 0 ] || cp -a "$1" "$S"
}
has() { [ -e "$S/references/localhost+$1:latest" ]; }
# gc leaves what the names lead to, N layers, and nothing else.
collected_to() {
    worker gc --unused-for=0s
    [ -z "$(find "$S/work" "$S/references" "$S/uses" -mindepth 1 \( -path "$S/work/*" -o -name '~*' \))" ] || { ls "$S"/*; return 1; }
    [ "$(find "$S/layers" -mindepth 1 -maxdepth 1 | wc -l)" = "$1" ] || { ls "$S/layers"; return 1; }
}

# The work that is killed. It replaces the shell that was forked for it, so that its pid is the one to kill.
import() { exec "$DAVIT_BUILD/davit-image" import --store="$S" --name=web "$D/web"; }
pull() { exec "$DAVIT_BUILD/davit-image" pull --store="$S" --tls-verify=no "127.0.0.1:$(port plain)/team/web:1"; }
commit() { exec "$DAVIT_BUILD/davit-image" create --store="$S" --name=new --from=localhost/web --upper="$D/upper"; }
gc() { exec "$DAVIT_BUILD/davit-image" gc --store="$S" --unused-for=0s; }
remove() { DAVIT_STATE_DIR=${S%/*} exec "$DAVIT_BUILD/davit" image remove web; }

# measure COMMAND: in SPAN, how many milliseconds it takes undisturbed
measure() {
    local start=${EPOCHREALTIME/./}
    ("$@" >"$D/measured" 2>&1) || { cat "$D/measured"; return 1; }
    SPAN=$(((${EPOCHREALTIME/./} - start) / 1000 + 1))
}
# strike COMMAND: starts it, and kills it at some moment of its life; whatever it had done, the store is whole
strike() {
    local pid status=0 delay=$((RANDOM % (SPAN + 1)))
    "$@" >/dev/null 2>&1 &
    pid=$!
    sleep "$((delay / 1000)).$(printf %03d $((delay % 1000)))"
    kill -KILL $pid 2>/dev/null || true
    wait $pid 2>/dev/null || status=$?
    [ $status -ne 137 ] || KILLED=$((KILLED + 1))
    if [ -e "$S/lock" ]; then worker fsck; fi
}
report() { [ "$KILLS" -lt 100 ] || echo "# $1: $KILLED of $KILLS killed, the others were through before; $SPAN ms undisturbed" >&3; }

@test "an import that is killed leaves nothing but garbage, and the next one ends it" {
    measure import
    begin_with
    for n in $(seq "$KILLS"); do
        strike import
        if has web; then
            collected_to 2
            begin_with
        elif [ -e "$S/lock" ] && [ $((n % 3)) -eq 0 ]; then collected_to 0; fi
    done
    (import)
    worker fsck
    report import
}

@test "a pull that is killed leaves nothing but garbage, and the next one ends it" {
    measure pull
    begin_with
    local name
    name=$S/references/127.0.0.1:$(port plain)+team+web:1
    for n in $(seq "$KILLS"); do
        strike pull
        if [ -e "$name" ]; then
            collected_to 2
            begin_with
        elif [ -e "$S/lock" ] && [ $((n % 5)) -eq 0 ]; then collected_to 0; fi
    done
    (pull)
    worker fsck
    report pull
}

@test "a commit that is killed leaves nothing but garbage, and the image that it was made of" {
    begin_with "$D/with-image"
    measure commit
    begin_with "$D/with-image"
    for n in $(seq "$KILLS"); do
        strike commit
        has web
        if has new; then
            collected_to 3
            begin_with "$D/with-image"
        elif [ $((n % 3)) -eq 0 ]; then collected_to 2; fi
    done
    (commit)
    worker fsck
    report commit
}

@test "a gc that is killed has not taken what is needed, and the next one ends it" {
    begin_with "$D/with-garbage"
    measure gc
    for n in $(seq "$KILLS"); do
        begin_with "$D/with-garbage"
        strike gc
        has web
        collected_to 2
        worker fsck
    done
    report gc
}

@test "a removal that is killed has happened or not" {
    begin_with "$D/with-image"
    measure remove
    for n in $(seq "$KILLS"); do
        begin_with "$D/with-image"
        strike remove
        if has web; then collected_to 2; else collected_to 0; fi
    done
    report removal
}

is_at_work() { ! flock -n "$S/work" true; }

# What several do at once; each must succeed, whatever the others have taken away meanwhile.
in_and_out() {
    local n
    for n in $(seq "$ROUNDS"); do
        worker "${@:2}" || { echo "round $n: $*"; return 1; }
        DAVIT_STATE_DIR=${S%/*} davit image untag "$1" 2>/dev/null || true
    done
}
beside() {
    while [ ! -e "$D/over" ]; do
        worker "$@" || return 1
        sleep 0.02
    done
}

@test "imports, pulls, commits, removals, gc and fsck at once: none disturbs another" {
    begin_with "$D/with-image"
    local p pids=() name
    name=127.0.0.1:$(port plain)/team/web:1
    rm -f "$D/over"
    beside gc --unused-for=0s >"$D/gc.log" 2>&1 &
    local gc=$!
    beside fsck >"$D/fsck.log" 2>&1 &
    local fsck=$!
    in_and_out other import --name=other "$D/other" >"$D/1.log" 2>&1 &
    pids+=($!)
    in_and_out again import --name=again "$D/other" >"$D/2.log" 2>&1 &
    pids+=($!)
    in_and_out "$name" pull --tls-verify=no "$name" >"$D/3.log" 2>&1 &
    pids+=($!)
    in_and_out new create --name=new --from=localhost/web --upper="$D/upper" >"$D/4.log" 2>&1 &
    pids+=($!)
    local status=0
    for p in "${pids[@]}"; do wait "$p" || status=1; done
    touch "$D/over"
    wait $gc || status=1
    wait $fsck || status=1
    [ $status = 0 ] || { tail -n 5 "$D"/{gc,fsck,1,2,3,4}.log; false; }
    has web
    worker fsck
    collected_to 2
}

@test "while an image is made, gc leaves what has just come, whatever time it is told" {
    begin_with "$D/with-garbage"
    mkfifo "$D/input"
    worker import --name=slow - <"$D/input" >/dev/null 2>&1 &
    local pid=$!
    exec 7>"$D/input"
    wait_for 10 is_at_work
    worker gc --unused-for=0s
    [ "$(find "$S/layers" -mindepth 1 -maxdepth 1 | wc -l)" = 3 ]
    exec 7>&-
    wait $pid || true
    collected_to 2
}

# fits_at_last COMMAND...: on a disk that is too small, and then less so. Each failure says why, leaves a store that is whole, and
# gives back what it took; in the end there is room.
fits_at_last() {
    local size output tries=0 used
    used=$(df --output=used -k "$D/small" | tail -1)
    for size in $(seq $((used + 40)) "${STEP:-400}" 20000); do
        mount -o "remount,size=${size}k" "$D/small"
        if output=$("$@" 2>&1); then
            [ $tries -gt 1 ] || { echo "it fitted in ${size}k"; return 1; }
            return 0
        fi
        case $output in *'No space left'* | *'last 5 %'*) ;; *) echo "at ${size}k: $output"; return 1 ;; esac
        if [ -e "$S/lock" ]; then
            worker fsck
            worker gc --unused-for=0s
        fi
        [ "$(df --output=used -k "$D/small" | tail -1)" -le $((used + 100)) ] || { du -a "$D/small"; return 1; }
        tries=$((tries + 1))
    done
    echo "it never fitted: $output"
    return 1
}
from_a_pipe() { worker import --name=piped - < <(cat "$D/web.tar"); }
# Its result stays, so that the next size is again too small.
saved() { DAVIT_STATE_DIR=${S%/*} davit image save -o "$D/small/saved.tar" web; }
small_disk() {
    mkdir -p "$D/small"
    ! mountpoint -q "$D/small" || umount "$D/small"
    mount -t tmpfs -o size=100k tmpfs "$D/small"
    S=$D/small/images
}

@test "a disk that is full at any stage of an import, a pull, a commit, a save: an error that says so, and its space comes back" {
    small_disk
    fits_at_last worker import --name=web "$D/web"
    STEP=60 fits_at_last worker create --name=new --from=localhost/web --upper="$D/upper"
    fits_at_last saved
    small_disk
    tar -C "$D/web" -cf "$D/web.tar" .
    fits_at_last from_a_pipe
    small_disk
    fits_at_last worker pull --tls-verify=no --retry=0 "127.0.0.1:$(port plain)/team/web:1"
    umount "$D/small"
}
