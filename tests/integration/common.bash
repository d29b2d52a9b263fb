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
}
fleet_teardown() {
    DAVIT_PID=$(cat "$D/pid" 2>/dev/null || true)
    if [ -n "${SHOW_INIT_LOG:-}" ]; then cat "$D/init.log" >&3; fi
    davit_stop
}
# What davit said, when a test fails.
teardown() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] || { echo '--- init.log'; tail -n 40 "$D/init.log"; } 2>/dev/null
}

logs_of() { davit logs -n 100000 "$@"; }
has_line() { logs_of "$1" | grep -qF -- "$2"; }
memory_controller() { grep -q '^memory' /proc/cgroups; }
manager_pid() { davit status --json | jq -r .pid; }
