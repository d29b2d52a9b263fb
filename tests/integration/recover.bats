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
[Service]
ExecReload=/bin/true
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

setup() { DAVIT_PID=$(cat "$D/pid"); }
has_part() { [ -n "$(part_pids "$1")" ]; }
# kill_part NAME: one of them
kill_part() { local pids; pids=$(part_pids "$1") && kill -KILL "${pids%%$'\n'*}"; }

@test 'kill -9 of davitd: the container goes on with the same pid' {
    davit start steady
    pid=$(show steady pid)
    echo "$pid" >"$D/steady"
    replace_davitd
    wait_for 60 is_state steady running
    [ "$(show steady pid)" = "$pid" ]
}

@test 'an exit while davitd is dead is learned, with its status' {
    davit start leaves
    kill -STOP "$DAVIT_PID" # davit-init cannot start a new one meanwhile
    kill_part davitd
    sleep 2
    kill -CONT "$DAVIT_PID"
    wait_for 60 is_state leaves failed
    [ "$(show leaves exit.status)" -eq 42 ]
}

@test 'davit exec goes on when davitd dies: output, signals and exit status are those of the command' {
    mkfifo "$D/go"
    { davit exec -i steady sh -c 'echo begun; head -n 1; exit 7' <"$D/go" >"$D/exec-out" && echo 0 >"$D/exec-status" || echo $? >"$D/exec-status"; } 3>&- &
    exec 9>"$D/go"
    wait_for 60 grep -q begun "$D/exec-out"
    replace_davitd
    replace_davitd
    echo word >&9
    exec 9>&-
    wait_for 60 test -s "$D/exec-status"
    [ "$(cat "$D/exec-status")" = 7 ]
    [ "$(cat "$D/exec-out")" = $'begun\nword' ]

    { davit exec steady sh -c 'trap "exit 9" TERM; echo waiting; while :; do sleep 0.1; done' >"$D/exec-out" && echo 0 >"$D/exec-status2" || echo $? >"$D/exec-status2"; } 3>&- &
    wait_for 60 grep -q waiting "$D/exec-out"
    replace_davitd
    # One that comes before the next davitd has answered is dropped.
    wait_for 60 sh -c "pkill -TERM -P $! -x davit; sleep 0.2; test -s '$D/exec-status2'"
    [ "$(cat "$D/exec-status2")" = 9 ]
}

@test 'davit exec: the end of the command while no davitd is there is learned' {
    { davit exec steady sh -c 'echo begun; sleep 1; exit 5' >"$D/exec-out" && echo 0 >"$D/exec-status3" || echo $? >"$D/exec-status3"; } 3>&- &
    wait_for 60 grep -q begun "$D/exec-out"
    kill -STOP "$DAVIT_PID" # davit-init cannot start a new one meanwhile
    kill_part davitd
    sleep 1.5
    kill -CONT "$DAVIT_PID"
    wait_for 60 test -s "$D/exec-status3"
    [ "$(cat "$D/exec-status3")" = 5 ]
}

@test 'kill -9 of the launchers: starts go on' {
    for n in 1 2 3; do : "$n"
        wait_for 60 kill_part davit-launch
        davit start short
        davit stop short
    done
}

# of its last run
each_beat_once() {
    logs_of beats | grep -o 'beat [0-9]*' | awk '$2 == 1 {n = 0} {line[++n] = $0} END {for (i = 1; i <= n; i++) print line[i]}' >"$D/beats"
    seq -f 'beat %g' "$(wc -l <"$D/beats")" | diff - "$D/beats"
}

@test 'kill -9 of davit-logd: each line is there once' {
    davit start beats
    for n in 1 2 3 4 5; do : "$n"
        wait_for 60 kill_part davit-logd
        sleep 0.4
    done
    davit stop beats
    each_beat_once
}

@test 'a davit-logd that hangs: another one writes the last lines of what stops, each once' {
    wait_for 60 has_part davit-logd
    davit start beats
    old=$(part_pids davit-logd)
    kill -STOP "$old"
    davit stop beats
    refute kill -0 "$old"
    wait_for 60 has_part davit-logd
    grep -q 'davit-logd does not answer, having it replaced' "$D/init.log"
    refute grep -q 'may be lost' "$D/init.log"
    each_beat_once
}

# Far more than a FIFO holds, so that they wait.
two_writers() {
    unit one.container <<'U'
[Container]
Image=busybox
StopTimeout=1
Exec=/bin/sh -c 'until [ -e /go ]; do sleep 0.1; done; seq 30000; echo end; while :; do sleep 1; done'
RunInit=yes
U
    cp "$D/units/one.container" "$D/units/other.container"
}
@test 'a davit-logd that hangs while nothing stops is replaced: containers write on, each line is there once' {
    export DAVIT_WATCHDOG_USEC=2000000
    other_fleet two_writers
    davit start one other
    pids="$(show one pid) $(show other pid)"
    wait_for 60 has_part davit-logd
    old=$(part_pids davit-logd)
    kill -STOP "$old"
    davit exec one touch /go
    davit exec other touch /go
    wait_for 60 has_line one end
    wait_for 60 has_line other end
    refute kill -0 "$old"
    grep -q 'davit-logd does not answer, having it replaced' "$D/init.log"
    [ "$(show one pid) $(show other pid)" = "$pids" ]
    for writer in one other; do { seq 30000; echo end; } | diff - <(text_of $writer); done
}

@test 'davitd dies before it has answered: the next one is asked, and nobody minds' {
    local questions=('is-active steady' is-system-running 'status steady' 'status ste*' list 'show steady' 'stats --no-stream steady'
        'logs -n 1 steady' 'list-dependencies steady' version info get-default daemon-reload 'enable --quiet wanted' 'reload-or-restart steady')
    local question i=0 clients=()
    davit reset-failed # is-system-running minds
    printf '[Unit]\nDescription=x\n[Install]\nWantedBy=multi-user.target\n' >"$D/units/wanted.target"
    old=$(manager_pid)
    kill -STOP "$old"
    for question in "${questions[@]}"; do
        # shellcheck disable=SC2086
        (set -f; exec "$DAVIT_BUILD/davit" $question) >"$D/answer-$i" 2>"$D/errors-$i" 3>&- &
        clients+=("$!")
        i=$((i + 1))
    done
    sleep 0.5 # they have asked by then, or ask the next one
    kill -KILL "$old"
    for i in "${!clients[@]}"; do
        wait "${clients[i]}" || echo "davit ${questions[i]}: $?" >>"$D/errors-$i"
        [ ! -s "$D/errors-$i" ] || { cat "$D/errors-$i"; false; }
    done
    grep -qxE 'active|reloading' "$D/answer-0"
}

@test 'davitd does not answer: gc of images says so, and takes nothing that a one-off container may use' {
    old=$(manager_pid)
    kill -STOP "$old"
    run davit image gc --unused-for 0s
    kill -CONT "$old"
    [ "$status" -ne 0 ]
    says "$output" 'which images one-off containers use is not known: '
}

# notifier NAME: a service whose main process is, by its own word, a child of what davit has launched. That ends when $D/orphan-NAME is there,
# the main process with status 5 when $D/end-NAME is.
notifier() {
    unit "$1.service" <<U
[Service]
Type=notify
NotifyAccess=all
ExecStart=/usr/bin/python3 $D/notifier.py $D/orphan-$1 $D/end-$1
U
}
notifiers() {
    cat >"$D/notifier.py" <<'P'
import os, socket, sys, time
orphan, end = sys.argv[1:]
child = os.fork()
if child == 0:
    while not os.path.exists(end):
        time.sleep(0.05)
    os._exit(5)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.sendto(b"MAINPID=%d\nREADY=1" % child, os.environ["NOTIFY_SOCKET"])
while not os.path.exists(orphan):
    os.waitpid(-1, os.WNOHANG)
    time.sleep(0.05)
P
    notifier kept
    notifier orphan
}
has_ended() { case $(ps -o stat= -p "$1") in '' | Z*) ;; *) false ;; esac; }
is_child_of_init() { [ "$(ps -o ppid= -p "$1" | tr -d ' ')" = "$DAVIT_PID" ]; }
@test 'MAINPID= of a process whose parent runs: davitd may die, and its end is noticed' {
    notifiers
    davit daemon-reload
    davit start kept orphan
    kept=$(show kept pid) orphan=$(show orphan pid)
    for pid in "$kept" "$orphan"; do refute is_child_of_init "$pid"; done
    replace_davitd
    replace_davitd
    touch "$D/orphan-orphan" # davit-init gets it, and tells how it ends
    wait_for 60 is_child_of_init "$orphan"
    [ "$(show kept 'pid') $(show kept state)" = "$kept running" ]
    [ "$(show orphan 'pid') $(show orphan state)" = "$orphan running" ]
    without_davitd
    touch "$D/end-orphan" "$D/end-kept"
    for pid in "$kept" "$orphan"; do wait_for 60 has_ended "$pid"; done
    with_davitd
    wait_for 60 is_state orphan failed
    [ "$(show orphan exit.status)" = 5 ]
    has_result orphan exit-code
    wait_for 60 is_state kept failed
    [ "$(show kept exit.code) $(show kept exit.status)" = 'exited 5' ] || has_result kept protocol # before Linux 6.15 nobody knows
}

@test 'a container that ran through all this was not disturbed' {
    is_state steady running
    [ "$(show steady pid)" = "$(cat "$D/steady")" ]
    [ "$(show steady restarts)" -eq 0 ]
}

no_pids() { [ -z "$(davit_pids)" ]; }

@test 'SIGTERM ends everything and leaves nothing' {
    davit start steady
    kill -TERM "$DAVIT_PID"
    wait_for 60 sh -c "! kill -0 $DAVIT_PID 2>/dev/null"
    wait_for 60 no_pids
    [ -z "$(find /sys/fs/cgroup -maxdepth 3 -path "*$DAVIT_NAME/*.container")" ]
    refute grep -q "$D" /proc/self/mountinfo
}
