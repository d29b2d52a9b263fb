#!/usr/bin/env bats
# SIGKILL of each part of davit while a unit is in each of its states: it stays there, and comes to where it was going, once.
# The state preparing, and davit-image, are in registry-units.bats.
load common

setup() {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    davit_new
    davit_image
    # What a test holds goes on when $D/gate/STEP is gone.
    mkdir "$D/gate"
    hold() { echo "while [ -e $1/$2 ]; do sleep 0.02; done"; }
    unit first.service <<<"[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c '$(hold "$D/gate" waiting)'"
    unit states.container <<U
[Unit]
StartLimitIntervalSec=0
Requires=first.service
After=first.service
[Container]
Image=busybox
Notify=yes
StopTimeout=60
Volume=$D/gate:/gate
Exec=/bin/sh -c 'trap "$(hold /gate stop-sigterm); exit 7" TERM; echo started; $(hold /gate start); payload notify READY=1; until [ -e /gate/fail ]; do sleep 0.05; done; rm /gate/fail; exit 3'
[Service]
NotifyAccess=all
Restart=on-failure
RestartSec=5s
RestartRandomizedDelaySec=0
ExecStartPre=/bin/sh -c '$(hold "$D/gate" start-pre)'
ExecStartPost=/bin/sh -c '$(hold "$D/gate" start-post)'
ExecReload=/bin/sh -c '$(hold "$D/gate" reload)'
ExecStop=/bin/sh -c '$(hold "$D/gate" stop)'
ExecStopPost=/bin/sh -c '$(hold "$D/gate" stop-post); echo \$\$EXIT_CODE \$\$EXIT_STATUS >>$D/ends'
U
    unit steady.container <<'U'
[Container]
Image=busybox
RunInit=yes
StopTimeout=1
Exec=/bin/sleep infinity
U
    DAVIT_RESTART_USEC=1000 davit_start
    davit start steady
    steady=$(show steady pid)
}
teardown() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] || { echo '--- init.log'; tail -n 40 "$D/init.log"; davit status states; } 2>/dev/null
    davit_stop
}

is_there() { [ -n "$(part_pids "$1")" ]; }
is_sub() { [ "$(show states sub)" = "$1" ]; }
is_frozen() { [ "$(show states frozen)" = true ]; }
is_over() { case $(show states state) in inactive | failed) ;; *) return 1 ;; esac; }

# enter STATE: the unit is there, and stays until leave STATE
enter() {
    touch "$D/gate/$1"
    case $1 in
    waiting) davit start --no-block states; wait_for 30 is_state states waiting; return ;;
    start-pre | start | start-post) davit start --no-block states ;;
    running) davit start states ;;
    frozen) davit start states; davit freeze states; wait_for 30 is_frozen; return ;;
    reload) davit start states; davit reload --no-block states ;;
    stop | stop-sigterm | stop-post) davit start states; davit stop --no-block states ;;
    auto-restart) davit start states; touch "$D/gate/fail" ;;
    esac
    wait_for 30 is_sub "$1"
}
# What must still be so when the part is there again, while it is held.
stays() {
    case $1 in
    waiting) is_state states waiting ;;
    frozen) is_frozen ;;
    auto-restart) is_sub auto-restart || is_sub running ;; # its time may have come meanwhile
    *) is_sub "$1" ;;
    esac
}
leave() {
    rm "$D/gate/$1"
    case $1 in
    frozen) davit thaw states ;;
    stop | stop-sigterm | stop-post) wait_for 30 is_over; return ;;
    esac
    wait_for 30 is_sub running
    davit stop states
    is_over
}

all_states=(waiting start-pre start start-post running frozen reload stop stop-sigterm stop-post auto-restart)

# kill_in_states PART STATE...
kill_in_states() {
    local state ends expected
    for state in "${@:2}"; do
        echo "$1 in $state"
        : >"$D/ends"
        davit stop first
        davit logs -n 1000000 -o cat states >"$D/before"
        enter "$state"
        # shellcheck disable=SC2046
        kill -KILL $(part_pids "$1")
        wait_for 30 is_there "$1"
        wait_for 30 stays "$state"
        leave "$state"
        # One run and one end, and after auto-restart two of each.
        expected='exited 7'
        if [ "$state" = auto-restart ]; then expected=$'exited 3\nexited 7'; fi
        ends=$(cat "$D/ends")
        [ "$ends" = "$expected" ] || { echo "$state: $ends"; return 1; }
        ran() { [ "$(text_of states | grep -c started)" = $(($(grep -c started "$D/before") + $(wc -l <<<"$expected"))) ]; }
        wait_for 20 ran
    done
    is_state steady running
    [ "$(show steady pid)" = "$steady" ]
    [ "$(show steady restarts)" -eq 0 ]
}

@test 'SIGKILL of each part while a unit starts, reloads and stops: one run, one end' {
    kill_in_states davitd start reload stop-post
    kill_in_states davit-launch start-pre
    kill_in_states davit-logd stop-sigterm
}

# bats test_tags=long
@test 'SIGKILL of davitd in each state of a unit: one run, one end' {
    kill_in_states davitd "${all_states[@]}"
}

# bats test_tags=long
@test 'SIGKILL of davit-launch in each state of a unit: one run, one end' {
    kill_in_states davit-launch "${all_states[@]}"
}

# bats test_tags=long
@test 'SIGKILL of davit-logd in each state of a unit: one run, one end' {
    kill_in_states davit-logd "${all_states[@]}"
}
