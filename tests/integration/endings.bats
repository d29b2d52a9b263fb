#!/usr/bin/env bats
# davit-init as the first process of a container, as docker, podman, systemd-nspawn and LXC start and end one: what each signal
# shellcheck disable=SC2030,SC2031 # each test starts a davit of its own
# does, and what the manager of the container sees. And as a process below another init.
bats_require_minimum_version 1.5.0
load common

setup() {
    davit_new
    davit_image
    unit sleeper.container <<'U'
[Container]
Image=busybox
Exec=/bin/sleep infinity
RunInit=yes
[Install]
WantedBy=multi-user.target
U
}
teardown() { davit_stop; }

# contain [NAME=VALUE...]: davit-init becomes PID 1 of a pid namespace, with these in its environment. $FIRST: its pid here
contain() {
    env "$@" unshare --pid --fork --mount-proc --kill-child "${UNPRIVILEGED[@]}" "$DAVIT_BUILD/davit-init" >"$D/init.log" 2>&1 </dev/null 3>&- &
    OUTSIDE=$!
    wait_for 10 first_process
    wait_for 10 davit status sleeper
}
first_process() {
    FIRST=$(pgrep -P "$OUTSIDE" | head -1)
    [ -n "$FIRST" ]
}
# ended STATUS: as a shell has it: 128 + N where PID 1 died of signal N
ended() {
    local status=0
    wait_for 20 gone "$FIRST"
    wait "$OUTSIDE" || status=$?
    [ "$status" = "$1" ] && return
    echo "status $status, wanted $1"
    cat "$D/init.log"
    return 1
}
gone() { ! kill -0 "$1" 2>/dev/null; }
rt() { echo $(($(kill -l RTMIN) + $1)); }

@test 'docker, podman: SIGTERM ends it with 0, SIGINT too' {
    contain container=docker
    kill -TERM "$FIRST"
    ended 0
    contain container=podman
    kill -INT "$FIRST"
    ended 0
}

@test 'poweroff and halt are 0, reboot is 133, whoever asks' {
    local n
    for n in 3 4; do
        contain
        kill "-$(rt $n)" "$FIRST"
        ended 0
    done
    contain
    kill "-$(rt 5)" "$FIRST"
    ended 133
    contain
    davit reboot
    ended 133
    contain
    davit poweroff --force
    ended 0
    contain
    davit exit 7
    ended 7
}

@test 'LXC: SIGPWR and SIGINT, answered by reboot(2)' {
    contain container=lxc
    kill -PWR "$FIRST"
    ended $((128 + 2)) # SIGINT: it is down
    contain container=lxc
    kill -INT "$FIRST"
    ended $((128 + 1)) # SIGHUP: it wants to be started again
}

@test 'systemd-nspawn: SIGRTMIN+3, +4, +5 and machinectl reboot, answered by reboot(2)' {
    contain container=systemd-nspawn
    kill "-$(rt 4)" "$FIRST"
    ended $((128 + 2))
    contain container=systemd-nspawn
    kill "-$(rt 5)" "$FIRST"
    ended $((128 + 1))
}

# nspawn SIGNAL: the real one, with davit-init in it and nothing else; its exit status is $NSPAWN_STATUS
nspawn() {
    local root=$D/state/images/busybox first=''
    cp "$DAVIT_BUILD/davit-init" "$root/bin/davit-init"
    # Under systemd-nspawn@.service it runs with --keep-unit, and says 133 when the container is to be started again.
    env -i PATH="$PATH" SYSTEMD_LOG_LEVEL=err systemd-nspawn --quiet --register=no --keep-unit --machine="$DAVIT_NAME" -D "$root" \
        /bin/davit-init --libexec-dir=/bin >"$D/init.log" 2>&1 </dev/null 3>&- &
    local outside=$!
    wait_for 10 grep -q 'cannot start /bin/davitd' "$D/init.log"
    first=$(pgrep -P "$outside" -x davit-init)
    kill "-$1" "$first"
    NSPAWN_STATUS=0
    wait "$outside" || NSPAWN_STATUS=$?
    rm -rf "/run/systemd/nspawn/propagate/$DAVIT_NAME" "/run/systemd/nspawn/unix-export/$DAVIT_NAME"
}

@test 'the real systemd-nspawn: its own status is 133 where the container asks for a reboot' {
    command -v systemd-nspawn >/dev/null || skip 'no systemd-nspawn'
    mkdir -p "$D/state/images/busybox/usr" # what it takes for the mark of an operating system
    env -i PATH="$PATH" systemd-nspawn --quiet --register=no --keep-unit --machine="$DAVIT_NAME" -D "$D/state/images/busybox" /bin/true </dev/null 3>&- ||
        skip 'systemd-nspawn does not work here'
    nspawn "$(rt 15)"
    [ "$NSPAWN_STATUS" = 133 ]
    nspawn "$(rt 14)"
    [ "$NSPAWN_STATUS" = 0 ]
}

@test 'where reboot(2) is forbidden the exit status says it' {
    UNPRIVILEGED=(setpriv --bounding-set=-sys_boot)
    contain container=lxc
    davit reboot
    ended 133
    contain container=systemd-nspawn
    davit halt
    ended 0
}

@test 'the status of a unit is the status of the container' {
    unit main.service <<'U'
[Unit]
SuccessAction=exit
FailureAction=exit
[Service]
Type=exec
ExecStart=/bin/sh -c 'while ! [ -s %t/davit-go ]; do sleep 0.05; done; read status <%t/davit-go; exit $status'
[Install]
WantedBy=multi-user.target
U
    sed -i "s|%t/davit-go|$D/go|g" "$D/units/main.service"
    davit enable main.service
    local status
    for status in 0 3; do
        rm -f "$D/go"
        contain
        wait_for 10 is_state main.service running
        echo "$status" >"$D/go"
        ended "$status"
    done
}

@test 'soft-reboot in a container: PID 1 stays, everything else is new' {
    contain
    local davitd sleeper
    davitd=$(pgrep -P "$FIRST" -x davitd)
    sleeper=$(pgrep -P "$FIRST" -x davit-init1)
    davit soft-reboot
    wait_for 20 gone "$davitd"
    wait_for 20 gone "$sleeper"
    wait_for 20 is_state sleeper running
    [ "$(pgrep -P "$OUTSIDE")" = "$FIRST" ]
    davit exit 5
    ended 5
}

@test 'a process below another init ends with a status, and leaves the machine alone' {
    davit_start
    davit reboot
    local status=0
    wait "$DAVIT_PID" || status=$?
    [ "$status" = 133 ]
    davit_start
    davit halt
    wait "$DAVIT_PID"
    DAVIT_PID=
}

@test 'an ending that is scheduled outlives davitd, and can be taken back' {
    davit_start
    davit poweroff --when=+1h --message='for the night'
    kill -KILL "$(davit status --json >/dev/null; show_pid)"
    wait_for 10 davit poweroff --when=show
    run -0 davit poweroff --when=show
    [[ $output == *'for the night'* ]]
    davit poweroff --when=cancel
    run -1 davit poweroff --when=show
    davit exit --force
    wait "$DAVIT_PID"
    DAVIT_PID=
}
show_pid() { davit info --json | jq -r .pid; }

@test 'the stop of all units has a time-out, and what is left is killed' {
    echo 'shutdown_timeout = "1s";' >>"$D/davit.conf"
    unit stubborn.service <<'U'
[Service]
Type=exec
ExecStart=/bin/sh -c 'trap "" TERM; while :; do sleep 1; done'
TimeoutStopSec=infinity
[Install]
WantedBy=multi-user.target
U
    davit enable stubborn.service
    davit_start
    wait_for 10 is_state stubborn.service running
    local pid
    pid=$(show stubborn.service pid)
    davit exit 4
    local status=0
    wait "$DAVIT_PID" || status=$?
    DAVIT_PID=
    [ "$status" = 4 ]
    wait_for 5 gone "$pid"
}

@test 'signals for davitd: rescue, default target, state in the log, sockets opened again' {
    # Not the one that ships: that one wants the machine's console for its shell.
    printf '[Unit]\nDescription=Rescue\n' | unit rescue.target
    davit_start
    wait_for 10 is_state sleeper running
    kill "-$(rt 1)" "$DAVIT_PID"
    wait_for 10 is_state rescue.target running
    wait_for 10 is_state sleeper inactive # in no order to the other
    kill "-$(rt 0)" "$DAVIT_PID"
    wait_for 10 is_state sleeper running
    kill -USR2 "$DAVIT_PID"
    wait_for 10 grep -q 'sleeper.container: running' "$D/init.log"
    rm "$D/run/control" "$D/run/status"
    kill -USR1 "$DAVIT_PID"
    wait_for 10 davit list
}
