# Shared by all bats files: one private davit a file, taken away again whatever happened.
# shellcheck shell=bash
# shellcheck source=tests/lib.bash
. "$BATS_TEST_DIRNAME/../lib.bash"

fleet_setup() {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    davit_new
    davit_image
    declare -F units >/dev/null && units
    davit_start
    echo "$DAVIT_PID" >"$D/pid"
    manager_pid >"$D/manager"
}
fleet_teardown() {
    DAVIT_PID=$(cat "$D/pid" 2>/dev/null || true)
    if [ -n "${SHOW_INIT_LOG:-}" ]; then cat "$D/init.log" >&3; fi
    davit_stop
}
# What davit said, when a test fails.
teardown() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] || { echo '--- init.log'; tail -n 40 "$D/init.log"; } 2>/dev/null
    if [ -n "${OTHER:-}" ]; then davit_stop; fi
}

# other_fleet UNITS [DIRECTORY OPTIONS]: a davit for one test alone, with the units that the function UNITS writes;
# its DIRECTORY is a tmpfs with these options. teardown takes it away.
other_fleet() {
    OTHER=1
    davit_new
    if [ $# -gt 1 ]; then
        mkdir -p "$D/$2"
        mount -t tmpfs -o "$3" tmpfs "$(realpath "$D/$2")"
        mkdir -p "$D/state/images"
    fi
    davit_image
    "$1"
    davit_start
    manager_pid >"$D/manager"
}

# steady_unit NAME: a container that runs until it is stopped
steady_unit() {
    unit "$1.container" <<'U'
[Container]
Image=busybox
StopTimeout=1
Exec=/bin/sh -c 'while :; do sleep 0.1; done'
RunInit=yes
U
}

# `! command` does not end a bats test unless it stands last; this does.
refute() {
    if "$@"; then echo "should have failed: $*"; return 1; fi
}
# says TEXT PATTERN: TEXT has the pattern (as case has it) in it
says() {
    # shellcheck disable=SC2254
    case $1 in *$2*) ;; *) printf 'no "%s" in: %s\n' "$2" "$1"; return 1 ;; esac
}

logs_of() { davit logs -n 1000000 "$@"; }
# The lines alone, without time and name.
text_of() { davit logs -n 1000000 -o cat "$@"; }
has_line() { logs_of "$1" | grep -qF -- "$2"; }
memory_controller() { grep -q '^memory' /proc/cgroups; }
# Fails where there is none, as well.
manager_pid() { davit status --json | jq -r .pid | grep .; }
# Kills davitd, and waits until the next one answers.
replace_davitd() {
    local old
    old=$(manager_pid)
    kill -KILL "$old"
    wait_for 60 has_other_manager "$old"
}
# What happens between these two, no davitd sees: davit-init stands still, and starts no new one.
without_davitd() {
    kill -STOP "${DAVIT_PID:=$(cat "$D/pid")}"
    kill -KILL "$(manager_pid)"
}
with_davitd() {
    kill -CONT "$DAVIT_PID"
    wait_for 60 manager_pid
}
has_other_manager() { local new; new=$(manager_pid) && [ "$new" != "$1" ]; }
# part_pids NAME: davitd, davit-launch or davit-logd. What a launcher has just cloned is a child of davit-init and has the launcher's name
# as well: it is in the launcher's session, or in the group of a unit.
part_pids() {
    local p
    for p in $(pgrep -P "$DAVIT_PID" -x "$1"); do
        if [ "$(ps -o sid= -p "$p" | tr -d ' ')" = "$p" ] && ! grep -qsF "/$DAVIT_NAME" "/proc/$p/cgroup"; then echo "$p"; fi
    done
}
same_manager() { [ "$(manager_pid)" = "$(cat "$D/manager")" ] || { echo 'davitd is not the one of the beginning'; return 1; }; }

# group_file UNIT FILE...: path of the first of these files that a control group of the unit has, in any hierarchy
group_file() {
    local unit=$1 f g
    shift
    for f in "$@"; do
        for g in /sys/fs/cgroup/*/"$DAVIT_NAME/$unit" /sys/fs/cgroup/"$DAVIT_NAME/$unit"; do
            if [ -e "$g/$f" ]; then echo "$g/$f"; return 0; fi
        done
    done
    return 1
}
# value UNIT FILE...: what that file says
value() { cat "$(group_file "$@")"; }

# A start that is over, or failed, leaves no group, upper layer, FIFO, socket or mount.
is_gone() {
    [ -z "$(find /sys/fs/cgroup -maxdepth 3 -path "*/$DAVIT_NAME/$1")" ] || { echo "control group of $1"; return 1; }
    [ -z "$(find "$D/state/containers/$1" -mindepth 1 -print -quit 2>/dev/null)" ] || { echo "upper layer of $1"; return 1; }
    [ ! -e "$D/run/log/$1" ] || { echo "FIFO of $1"; return 1; }
    [ ! -e "$D/run/notify/$1" ] || { echo "notify socket of $1"; return 1; }
    ! grep -qF "$D/state/containers/$1" /proc/self/mountinfo || { echo "mount of $1"; return 1; }
}
nothing_left() { wait_for 10 is_gone "$1" || { is_gone "$1"; false; }; }

# cannot_start UNIT PATTERN...: the start fails, `start` and `status` say why, the unit is in a state with a result, and
# nothing half made is left.
cannot_start() {
    local unit=$1 pattern output
    shift
    if output=$(davit start "$unit" 2>&1); then echo "$unit started"; return 1; fi
    output+=$'\n'$(davit status "$unit" 2>&1 || true)
    for pattern in "$@"; do says "$output" "$pattern" || return 1; done
    case $(show "$unit" state) in
    failed | inactive) ;;
    *) echo "state $(show "$unit" state)"; return 1 ;;
    esac
    nothing_left "$(show "$unit" name)" && same_manager
}
