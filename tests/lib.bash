# A private davit in a temporary directory, for tests, demo and bench: own runtime, state, log and unit directories, own
# control groups. davit_stop leaves nothing behind, however the test ended.
#
#   davit_new      makes the directories and exports the DAVIT_* variables; $D is the directory
#   davit_image    makes the demo image "busybox" from busybox-static
#   davit_start    starts davit-init and waits until it answers
#   davit_stop     stops it, ends what is left by pid, removes mounts, groups and files
# shellcheck shell=bash

DAVIT_BUILD=${DAVIT_BUILD:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/build}

davit() { "$DAVIT_BUILD/davit" "$@"; }

# bats 1.8 fails where setup_file skips: `if lacks TOOL...; then return; fi` there, and `has_all_tools` in setup.
lacks() {
    local tool
    export LACKS=''
    for tool; do
        if ! command -v "$tool" >/dev/null; then LACKS="needs $tool"; return 0; fi
    done
    return 1
}
has_all_tools() { [ -z "$LACKS" ] || skip "$LACKS"; }

davit_new() {
    D=$(mktemp -d "${TMPDIR:-/tmp}/davit-XXXXXX")
    DAVIT_NAME=davit-test-$(basename "$D")
    # As on a real machine, the runtime directory is on tmpfs.
    DAVIT_RUNTIME_DIR=$(mktemp -d "/dev/shm/$DAVIT_NAME-XXXXXX")
    ln -s "$DAVIT_RUNTIME_DIR" "$D/run"
    export D DAVIT_NAME DAVIT_RUNTIME_DIR
    export DAVIT_STATE_DIR=$D/state DAVIT_LOG_DIR=$D/log DAVIT_UNIT_PATH=$D/units
    export DAVIT_CONFIG=$D/davit.conf DAVIT_LIBEXEC_DIR=$DAVIT_BUILD DAVIT_CGROUP=$DAVIT_NAME
    export NO_COLOR=1
    mkdir -p "$D/units" "$D/state/images" "$D/log"
    chmod 755 "$D"
    printf 'log_sink = "file";\n' >"$D/davit.conf"
}

davit_image() { davit_image_in "$D/state/images/busybox"; }
davit_image_in() {
    local root=$1 busybox
    busybox=$(command -v busybox)
    mkdir -p "$root"/{bin,etc,proc,sys,dev,tmp,run,root,data}
    cp "$busybox" "$root/bin/busybox"
    chroot "$root" /bin/busybox --install -s /bin # one process, where `ln` would be hundreds
    printf 'root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:www:/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\nwww:x:33:\naudio:x:29:www\nnogroup:x:65534:\n' >"$root/etc/group"
    chmod 1777 "$root/tmp"
    if [ -x "$DAVIT_BUILD/tests/demo/payload" ]; then cp "$DAVIT_BUILD/tests/demo/payload" "$root/bin/payload"; fi
}

# unit NAME: writes the unit file from standard input
unit() { mkdir -p "$(dirname "$D/units/$1")"; cat >"$D/units/$1"; }

davit_start() {
    "$DAVIT_BUILD/davit-init" >"$D/init.log" 2>&1 </dev/null 3>&- &
    DAVIT_PID=$!
    local end=$((SECONDS + 60))
    while [ $SECONDS -lt $end ]; do
        if davit status --json >/dev/null 2>&1; then return 0; fi
        if ! kill -0 "$DAVIT_PID" 2>/dev/null; then break; fi
        sleep 0.1
    done
    echo "davit did not come up:" >&2
    cat "$D/init.log" >&2
    return 1
}

# Every process that carries this fleet's mark: in its control groups, or one of its programs with our directory.
davit_pids() {
    local f p
    {
        cat /sys/fs/cgroup/*/"$DAVIT_NAME"/cgroup.procs /sys/fs/cgroup/*/"$DAVIT_NAME"/*/cgroup.procs \
            /sys/fs/cgroup/"$DAVIT_NAME"/cgroup.procs /sys/fs/cgroup/"$DAVIT_NAME"/*/cgroup.procs 2>/dev/null
        for p in /proc/[0-9]*; do
            f=$(readlink "$p/exe" 2>/dev/null) || continue
            case ${f##*/} in
            davit* | memfd:davit*)
                if tr '\0' '\n' <"$p/environ" 2>/dev/null | grep -qxF "DAVIT_RUNTIME_DIR=$DAVIT_RUNTIME_DIR"; then echo "${p#/proc/}"; fi ;;
            esac
        done
    } | sort -un
}

davit_stop() {
    [ -n "${D:-}" ] && [ -d "$D" ] || return 0
    local n p
    if [ -n "${DAVIT_PID:-}" ] && kill -TERM "$DAVIT_PID" 2>/dev/null; then
        for n in $(seq 300); do kill -0 "$DAVIT_PID" 2>/dev/null || break; sleep 0.1; done
    fi
    for n in $(seq 300); do : "$n"
        p=$(davit_pids)
        [ -n "$p" ] || break
        # shellcheck disable=SC2086
        kill -KILL $p 2>/dev/null || true # it may have ended by itself
        sleep 0.1
    done
    DAVIT_PID=
    davit_groups_remove
    awk -v d="$D" -v r="$DAVIT_RUNTIME_DIR" 'index($5, d) == 1 || index($5, r) == 1 {print $5}' /proc/self/mountinfo | sort -r | while read -r p; do umount -l "$p"; done
    # What has just been killed may make a last file in there while it is removed.
    for n in $(seq 50); do : "$n"
        if rm -rf "$D" "${DAVIT_RUNTIME_DIR:?}" 2>/dev/null; then return 0; fi
        sleep 0.1
    done
    rm -rf "$D" "${DAVIT_RUNTIME_DIR:?}"
}

davit_groups_remove() {
    local d
    for d in /sys/fs/cgroup/*/"$DAVIT_NAME" /sys/fs/cgroup/"$DAVIT_NAME"; do
        [ -d "$d" ] && find "$d" -depth -type d -exec rmdir {} \; 2>/dev/null
    done
    return 0
}

# wait_for SECONDS COMMAND...: until it succeeds. What takes seconds takes many more where the machine is held up: it gets a minute at least.
wait_for() {
    local end=$((SECONDS + ($1 > 60 ? $1 : 60)))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ $SECONDS -ge "$end" ]; then echo "not within time: $*" >&2; return 1; fi
        sleep 0.05
    done
}

# show UNIT FIELD: one field of `davit status --json UNIT`
show() { davit status --json "$1" | jq -r "(if type == \"array\" then .[0] else . end) | .$2"; }
is_state() { [ "$(show "$1" state)" = "$2" ]; }
has_result() { [ "$(show "$1" result)" = "$2" ]; }
