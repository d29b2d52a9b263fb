#!/usr/bin/env bats
# Years in short: what one life, one client, one reload or one rotated file leaves behind in davit's processes adds up. Each test does a thing
# once for warming up, then a few thousand times, and compares the descriptors and the memory that only they have.
load common

units() {
    # 256 KiB is the least: rotated once in 64 runs of `talks`.
    printf 'log_sink = "file";\nlog_max_size = 262144;\nlog_max_files = 2;\n' >"$D/davit.conf"
    local n
    for n in 1 2 3 4; do
        unit "lives$n.container" <<'U'
[Unit]
StartLimitIntervalSec=0
[Container]
Image=busybox
Exec=/bin/echo one life
Volume=/anonymous
[Service]
Restart=always
RestartSec=0
U
    done
    unit talks.service <<'U'
[Unit]
StartLimitIntervalSec=0
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'head -c 4096 /dev/zero | tr "\\0" x; echo'
U
    unit ready.container <<'U'
[Container]
Image=busybox
Notify=yes
StopTimeout=1
RunInit=yes
Exec=/bin/payload notify READY=1
U
    unit fails.container <<'U'
[Container]
Image=busybox
Exec=/no/such/program
U
}
setup_file() { fleet_setup; }
teardown_file() { fleet_teardown; }
setup() { DAVIT_PID=$(cat "$D/pid"); }

parts() { echo "$DAVIT_PID"; pgrep -P "$DAVIT_PID" -x 'davitd|davit-launch|davit-logd'; }

# weigh FILE: a line for each of davit's processes: pid, name, descriptors, KiB that only it has
weigh() {
    local p
    for p in $(parts); do
        printf '%s %s %s %s\n' "$p" "$(cat "/proc/$p/comm")" "$(find "/proc/$p/fd" -mindepth 1 | wc -l)" \
            "$(awk '/^(Private_Dirty|Swap):/ {n += $2} END {print n}' "/proc/$p/smaps_rollup")"
    done >"$1"
}
# Nothing of them runs any more, and davitd has given back what it needed (manager/trim.c, three seconds; davit-logd: one).
settle() {
    wait_for 30 quiet_now
    sleep 4.5
}
quiet_now() { davit status --json | jq -e '.jobs == 0 and .units.running == 2 and (.units | del(.inactive, .failed) | add) == 2'; } # two targets

# grows KIB COMMAND...: after COMMAND there are as many descriptors as before it, and no process has grown by more than KIB.
grows() {
    local limit=$1
    shift
    settle
    weigh "$D/before"
    "$@"
    settle
    same_manager
    wait_for 30 has_not_grown "$limit" || has_not_grown "$limit"
}
has_not_grown() {
    weigh "$D/after"
    paste -d ' ' "$D/before" "$D/after"
    paste -d ' ' "$D/before" "$D/after" | awk -v limit="$1" '
        $1 != $5 { print "another process: " $0; bad = 1 }
        $3 != $7 { print "descriptors: " $0; bad = 1 }
        $8 - $4 > limit { print "memory: " $0; bad = 1 }
        END { exit bad }'
}

lives() { # so many lives in all
    local wanted=$1
    davit start lives{1,2,3,4}
    wait_for $((60 + wanted / 10)) enough_lives "$wanted"
    davit stop lives{1,2,3,4}
}
enough_lives() {
    [ "$(davit status --json lives{1,2,3,4} | jq 'map(.restarts) | add')" -ge "$1" ]
}
repeat() {
    local times=$1 n
    shift
    for ((n = 0; n < times; n++)); do "$@" >/dev/null 2>&1 || true; done
}

# bats test_tags=long
@test '2,000 lives of containers leave nothing in any process' {
    lives 200
    grows 128 lives 2000
}

# bats test_tags=long
@test '500 starts and stops with a notify socket, and 500 that fail, leave nothing in any process' {
    both() { davit start ready; davit stop ready; davit start fails; }
    repeat 50 both
    grows 96 repeat 500 both
}

# bats test_tags=long
@test '1,000 reloads of all units leave nothing in any process' {
    repeat 50 davit daemon-reload
    grows 96 repeat 1000 davit daemon-reload
}

# bats test_tags=long
@test '2,000 clients, and 200 that leave in the middle, leave nothing in any process' {
    clients() {
        repeat "$1" davit status lives1
        for ((n = 0; n < $1 / 10; n++)); do
            timeout -s KILL 0.02 davit events >/dev/null 2>&1 || true
            printf '{"method":"io.davit.Unit.Start","para' | timeout -s KILL 0.02 socat -t0 - "UNIX-CONNECT:$DAVIT_RUNTIME_DIR/control" || true
        done
    }
    clients 100
    grows 96 clients 2000
}

# bats test_tags=long
@test '2,000 runs that write to a log file which is rotated again and again leave nothing in any process' {
    repeat 100 davit start talks
    grows 96 repeat 2000 davit start talks
    [ "$(find "$D/log" -name 'talks.service.log*' | wc -l)" -le 2 ]
}
