#!/usr/bin/env bats
# davit-init itself is killed, where it is not PID 1: what runs is taken over by the next one, and never started twice.
load common

units() {
    local u
    for u in steady ends stops again; do
        unit "$u.container" <<'U'
[Container]
Image=busybox
StopTimeout=60
Exec=/bin/sh -c 'trap "echo stopping; exit 9" TERM; i=0; while :; do i=$((i + 1)); echo "beat $i"; sleep 0.05; done'
U
    done
    printf '[Service]\nRestart=always\nRestartSec=100ms\n' >>"$D/units/again.container"
    unit slow.container <<'U'
[Container]
Image=busybox
StopTimeout=1
Exec=/bin/sh -c 'while :; do sleep 0.1; done'
[Service]
ExecStartPre=/bin/sh -c 'echo pre >>@D@/pre; until [ -e @D@/go ]; do sleep 0.05; done'
U
    sed -i "s,@D@,$D,g" "$D/units/slow.container"
}
setup_file() { fleet_setup; }
teardown_file() { fleet_teardown; }

gone() { ! grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null; }
kill_init() {
    local manager
    manager=$(manager_pid)
    kill -9 "$(cat "$D/pid")"
    wait_for 5 gone "$manager"
}
start_init() {
    davit_start
    echo "$DAVIT_PID" >"$D/pid"
}

@test 'davitd ends with it, containers go on, and the next one has them with the same pids' {
    davit start steady ends stops again
    for u in steady ends stops again; do show "$u" pid >"$D/pid.$u"; done
    show steady invocation >"$D/invocation"
    kill_init
    for u in steady ends stops again; do refute gone "$(cat "$D/pid.$u")"; done
    start_init
    for u in steady ends stops again; do
        is_state "$u" running
        [ "$(show "$u" pid)" = "$(cat "$D/pid.$u")" ]
        [ "$(show "$u" restarts)" -eq 0 ]
    done
    [ "$(show steady invocation)" = "$(cat "$D/invocation")" ]
    grep -q 'taking over what runs' "$D/init.log"
}

@test 'starting them again makes no second copy' {
    davit start steady ends
    for u in steady ends; do [ "$(show "$u" pid)" = "$(cat "$D/pid.$u")" ]; done
    [ "$(grep -cx "$(cat "$D/pid.steady")" "$(group_file steady.container cgroup.procs)")" -eq 1 ]
}

@test 'their output is still read' {
    before=$(text_of steady | tail -n 1)
    later() { [ "$(text_of steady | tail -n 1)" != "$before" ]; }
    wait_for 5 later
}

@test 'an end is noticed; how it ended is told, or said to be unknown' {
    kill -9 "$(cat "$D/pid.ends")"
    wait_for 10 is_state ends failed
    case $(show ends exit.code) in
    unknown) has_result ends protocol ;;
    killed) [ "$(show ends exit.status)" -eq 9 ] ;; # Linux 6.15 and later tells
    *) show ends exit; false ;;
    esac
    nothing_left ends.container
}

@test 'one that is to be restarted is, once' {
    kill -9 "$(cat "$D/pid.again")"
    # In this order: a unit whose end has not been noticed yet still runs.
    restarted() { [ "$(show again restarts)" -ge 1 ] && is_state again running; }
    wait_for 10 restarted
    [ "$(show again restarts)" -eq 1 ]
    [ "$(show again pid)" != "$(cat "$D/pid.again")" ]
}

@test 'a stop works as ever' {
    davit stop stops
    is_state stops inactive || is_state stops failed
    has_line stops stopping
    nothing_left stops.container
}

@test 'the next davitd still knows that it cannot reap them' {
    old=$(manager_pid)
    kill -9 "$old"
    another() { new=$(manager_pid) && [ "$new" != "$old" ]; }
    wait_for 10 another
    [ "$(show steady pid)" = "$(cat "$D/pid.steady")" ]
    kill -9 "$(cat "$D/pid.steady")"
    wait_for 10 is_state steady failed
    nothing_left steady.container
}

@test 'a start that was under way goes on, or is begun anew after its processes are gone' {
    davit start --no-block slow
    wait_for 5 is_state slow starting
    wait_for 5 test -s "$D/pre"
    kill_init
    start_init
    touch "$D/go"
    wait_for 20 is_state slow running
    [ "$(wc -l <"$D/pre")" -le 2 ] # once where the kernel tells how the hook ended
    davit stop slow
}

@test 'killed ten times in a row: one copy of each' {
    davit start steady
    pid=$(show steady pid)
    for n in $(seq 10); do : "$n"
        kill_init
        start_init
    done
    is_state steady running
    [ "$(show steady pid)" = "$pid" ]
}

@test 'where nothing has survived, all begins anew' {
    kill_init
    cgroups=$(group_file steady.container cgroup.procs) other=$(group_file again.container cgroup.procs)
    # shellcheck disable=SC2046
    kill -9 $(cat "$cgroups" "$other")
    empty() { [ -z "$(cat "$cgroups" "$other")" ]; }
    wait_for 5 empty
    start_init
    grep -q 'nothing of it runs' "$D/init.log"
    is_state steady inactive
    nothing_left steady.container
}
