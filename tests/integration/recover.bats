#!/usr/bin/env bats
# Every part of davit may be killed at any time.
load common

units() {
    unit steady.container <<'U'
[Container]
Image=busybox
StopTimeout=1
Exec=/bin/sh -c 'i=0; while :; do i=$((i + 1)); echo "beat $i"; sleep 0.05; done'
RunInit=yes
U
    cp "$D/units/steady.container" "$D/units/beats.container"
    unit short.container <<'U'
[Unit]
StartLimitIntervalSec=0
[Container]
Image=busybox
Exec=/bin/sh -c 'sleep 0.3; exit 4'
RunInit=yes
[Service]
Restart=always
RestartSec=100ms
U
    unit leaves.container <<'U'
[Container]
Image=busybox
Exec=/bin/sh -c 'sleep 1.5; exit 42'
U
}
setup_file() { fleet_setup; }
teardown_file() { fleet_teardown; }

part_pid() { # davitd, davit-launch, davit-logd: a child of davit-init by name
    local p
    for p in $(pgrep -P "$(cat "$D/pid")"); do
        if [ "$(cat "/proc/$p/comm" 2>/dev/null)" = "$1" ]; then echo "$p"; return; fi
    done
    return 1
}

@test 'kill -9 of davitd: the container goes on with the same pid' {
    davit start steady
    pid=$(show steady pid)
    echo "$pid" >"$D/steady"
    old=$(manager_pid)
    kill -9 "$old"
    wait_for 10 sh -c "[ \"\$($DAVIT_BUILD/davit status --json | jq -r .pid)\" != $old ]"
    wait_for 5 is_state steady running
    [ "$(show steady pid)" = "$pid" ]
}

@test 'an exit while davitd is dead is learned, with its status' {
    davit start leaves
    kill -STOP "$(cat "$D/pid")" # davit-init cannot start a new one meanwhile
    kill -9 "$(part_pid davitd)"
    sleep 2
    kill -CONT "$(cat "$D/pid")"
    wait_for 10 is_state leaves failed
    [ "$(show leaves exit.status)" -eq 42 ]
}

@test 'kill -9 of the launchers: starts go on' {
    for n in 1 2 3; do : "$n"
        wait_for 5 part_pid davit-launch
        kill -9 "$(part_pid davit-launch)"
        davit start short
        davit stop short
    done
}

@test 'kill -9 of davit-logd: each line is there once' {
    davit start beats
    for n in 1 2 3 4 5; do : "$n"
        wait_for 5 part_pid davit-logd
        kill -9 "$(part_pid davit-logd)"
        sleep 0.4
    done
    davit stop beats
    logs_of beats | grep -o 'beat [0-9]*' >"$D/beats"
    [ "$(sort "$D/beats" | uniq -d | wc -l)" -eq 0 ] || { sort "$D/beats" | uniq -d | head; false; }
    last=$(tail -n 1 "$D/beats" | cut -d' ' -f2)
    [ "$(wc -l <"$D/beats")" -eq "$last" ]
}

@test 'a container that ran through all this was not disturbed' {
    is_state steady running
    [ "$(show steady pid)" = "$(cat "$D/steady")" ]
    [ "$(show steady restarts)" -eq 0 ]
}

@test 'SIGTERM ends everything and leaves nothing' {
    davit start steady
    kill -TERM "$(cat "$D/pid")"
    wait_for 15 sh -c "! kill -0 $(cat "$D/pid") 2>/dev/null"
    [ -z "$(davit_pids)" ]
    [ -z "$(find /sys/fs/cgroup -maxdepth 3 -path "*$DAVIT_NAME/*.container")" ]
    refute grep -q "$D" /proc/self/mountinfo
}
