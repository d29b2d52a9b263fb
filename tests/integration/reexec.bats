#!/usr/bin/env bats
# `davit daemon-reexec`: all of davit's programs are replaced in place, and nobody notices.
load common

units() {
    unit beats.container <<'U'
[Container]
Image=busybox
StopTimeout=1
Exec=/bin/sh -c 'i=0; while :; do i=$((i + 1)); echo "beat $i"; sleep 0.02; done'
RunInit=yes
U
    unit slow.container <<U
[Container]
Image=busybox
StopTimeout=1
Exec=/bin/sh -c 'trap "exit 0" TERM; while :; do sleep 0.1; done'
[Service]
ExecStartPre=/bin/sh -c 'until [ -e $D/go ]; do sleep 0.05; done'
U
    unit leaves.container <<'U'
[Container]
Image=busybox
Exec=/bin/sh -c 'sleep 1; exit 42'
U
}
setup_file() { fleet_setup; }
teardown_file() { fleet_teardown; }

init_pid() { cat "$D/pid"; }
replaced() { grep -c 'replaced in place' "$D/init.log"; }
is_replaced() { [ "$(replaced)" -ge "$1" ]; }

@test 'davitd is another one, davit-init the same process, the container undisturbed' {
    davit start beats
    pid=$(show beats pid) old=$(manager_pid)
    davit daemon-reexec
    [ "$(manager_pid)" != "$old" ]
    wait_for 60 is_replaced 1
    kill -0 "$(init_pid)"
    is_state beats running
    [ "$(show beats pid)" = "$pid" ]
    refute grep -q 'starting it again' "$D/init.log"
}

@test 'ten times in a row, each line is there once' {
    local n
    pid=$(show beats pid)
    for n in $(seq 10); do : "$n"; davit daemon-reexec; done
    [ "$(show beats pid)" = "$pid" ]
    davit stop beats
    text_of beats | grep -o 'beat [0-9]*' >"$D/beats"
    [ -z "$(sort "$D/beats" | uniq -d)" ]
    [ "$(wc -l <"$D/beats")" -eq "$(tail -n 1 "$D/beats" | cut -d' ' -f2)" ]
}

@test 'who waits for a start goes on waiting' {
    davit start slow &
    client=$!
    wait_for 60 is_state slow starting
    davit daemon-reexec
    is_state slow starting
    touch "$D/go"
    wait "$client"
    is_state slow running
}

@test 'who waits for a restart waits for that one, and makes no second' {
    before=$(show slow invocation)
    rm "$D/go"
    davit restart slow &
    client=$!
    wait_for 60 is_state slow starting
    during=$(show slow invocation)
    davit daemon-reexec
    touch "$D/go"
    wait "$client"
    is_state slow running
    [ "$(show slow invocation)" = "$during" ]
    [ "$before" != "$during" ]
    davit stop slow
}

@test 'an exit while davit is being replaced is learned, with its status' {
    davit start leaves
    for n in $(seq 20); do : "$n"
        davit daemon-reexec
        if is_state leaves failed; then break; fi
    done
    wait_for 60 is_state leaves failed
    [ "$(show leaves exit.status)" -eq 42 ]
}

@test 'SIGRTMIN+25 to davit-init is the same' {
    old=$(manager_pid) count=$(replaced)
    kill -s RTMIN+25 "$(init_pid)"
    wait_for 60 is_replaced $((count + 1))
    wait_for 60 has_other_manager "$old"
}
