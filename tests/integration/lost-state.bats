#!/usr/bin/env bats
# What davitd knew is lost in part: nothing is started twice, nothing that runs loses its files, nothing stays behind.
load common

units() {
    local u
    for u in damaged missing removed newer strange known; do
        unit "$u.container" <<'U'
[Container]
Image=busybox
StopTimeout=60
Volume=/kept
Exec=/bin/sh -c 'trap "exit 7" TERM; echo here >/kept/file; while :; do sleep 0.1; done'
U
    done
}
setup_file() { fleet_setup; }
teardown_file() { fleet_teardown; }

# They write it a moment after they have been started.
has_kept_file() { [ "$(davit exec "$1" cat /kept/file)" = here ]; }

@test 'a unit with damaged state, and one with none, are taken over from their control groups' {
    davit start damaged missing
    for u in damaged missing; do wait_for 60 has_kept_file $u; done
    damaged=$(show damaged pid) missing=$(show missing pid)
    without_davitd
    echo garbage >"$DAVIT_RUNTIME_DIR/state/damaged.container"
    rm "$DAVIT_RUNTIME_DIR/state/missing.container"
    with_davitd
    wait_for 60 is_state damaged running
    wait_for 60 is_state missing running
    [ "$(show damaged pid)" = "$damaged" ]
    [ "$(show missing pid)" = "$missing" ]
}

@test 'their anonymous volumes are still theirs' {
    has_kept_file damaged
    has_kept_file missing
}

@test 'they are stopped as any other, and nothing of them stays' {
    davit stop damaged missing
    for u in damaged missing; do [ "$(show $u exit.code) $(show $u exit.status)" = 'exited 7' ]; done
    is_gone damaged.container
    is_gone missing.container
    [ -z "$(find "$D/state/volumes" -mindepth 1 -maxdepth 1)" ]
}

# as_saved UNIT SED: its last state as another davitd would have written it, with the right sum.
as_saved() { python3 "$BATS_TEST_DIRNAME/saved-state.py" "$DAVIT_RUNTIME_DIR/state/$1.container" "$2" "$3"; }

@test 'state of a newer davitd, after a downgrade: what can be read counts, the rest leads to the control group, never to a second copy' {
    local -A pids
    davit start newer strange known
    for u in newer strange known; do
        wait_for 60 has_kept_file $u
        pids[$u]=$(show "$u" pid)
    done
    without_davitd
    as_saved newer '^version=1$' 'version=2'
    as_saved strange '^state=running$' 'state=contemplating'
    as_saved known '^version=1$' $'version=1\nsomething_new=of a later time'
    with_davitd
    for u in newer strange known; do
        wait_for 60 is_state "$u" running
        [ "$(show "$u" pid)" = "${pids[$u]}" ]
        has_kept_file "$u"
        davit start "$u"
        [ "$(show "$u" pid)" = "${pids[$u]}" ]
    done
    for u in newer strange; do grep -q "$u.container: no saved state, taking over process ${pids[$u]} from its control group" "$D/init.log"; done
    refute grep -q 'known.container: .*state' "$D/init.log"
    davit stop newer strange known
    for u in newer strange known; do [ "$(show $u exit.code) $(show $u exit.status)" = 'exited 7' ]; done
    is_gone newer.container
    is_gone strange.container
}

@test 'a unit whose file is gone runs on, and can be stopped' {
    davit start removed
    wait_for 60 has_kept_file removed
    pid=$(show removed pid)
    rm "$D/units/removed.container"
    replace_davitd
    wait_for 60 is_state removed running
    [ "$(show removed pid)" = "$pid" ]
    davit stop removed
    is_gone removed.container
}

# run_unseen LOSE [OPTION...]: `davit run` of a program that runs and ends while there is no davitd, and LOSE happens to the
# saved state. What the client says is in $output, its status in $status.
run_unseen() {
    local lose=$1 client launchers
    shift
    mapfile -t launchers < <(pgrep -P "$(cat "$D/pid")" -x davit-launch)
    mkdir -p "$D/shared"
    : >"$D/shared/runs"
    kill -STOP "${launchers[@]}"
    "$DAVIT_BUILD/davit" run --name once -v "$D/shared:/shared" "$@" busybox /bin/sh -c 'echo ran >>/shared/runs' >"$D/client" 2>&1 3>&- &
    client=$!
    wait_for 60 grep -q '^main=.* requested' "$DAVIT_RUNTIME_DIR/state/once.container"
    without_davitd
    kill -CONT "${launchers[@]}"
    wait_for 60 has_ended_unseen
    "$lose" "$DAVIT_RUNTIME_DIR/state/once.container"
    with_davitd
    status=0
    wait "$client" || status=$?
    output=$(cat "$D/client")
}
# davit-init stands still, so it is there to be seen.
has_ended_unseen() { [ -s "$D/shared/runs" ] && ps -o stat=,comm= --ppid "$(cat "$D/pid")" | awk '$1 ~ /^Z/ && $2 == "sh" {found = 1} END {exit !found}'; }
damage() { echo garbage >"$1"; }

@test 'what ran while no davitd looked is not run a second time for a client that asks again, whatever became of its state' {
    local lose how
    for lose in damage rm; do
        for how in '' --detach; do
            run_unseen "$lose" ${how:+"$how"}
            [ "$status" -eq 125 ]
            says "$output" 'it is not known whether its program ran'
            [ "$(cat "$D/shared/runs")" = ran ]
            nothing_left once.container
        done
    done
    wait_for 60 refute davit status once
    davit run --name once busybox true # the name is free
}

@test 'a one-off container whose state is lost runs on, and is stopped as any other' {
    davit run --detach --name oneoff busybox /bin/sh -c 'trap "exit 9" TERM; while :; do sleep 0.1; done'
    pid=$(show oneoff pid)
    without_davitd
    rm "$DAVIT_RUNTIME_DIR/state/oneoff.container"
    with_davitd
    [ "$(show oneoff pid)" = "$pid" ]
    davit stop oneoff
    nothing_left oneoff.container
}

@test 'state that is from another time is swept at the start' {
    mkdir -p "$D/state/containers/old.container/0123" "$D/state/volumes/left/_data" "$D/state/volumes/mine/_data"
    echo old.container >"$D/state/volumes/left/anonymous"
    touch "$DAVIT_RUNTIME_DIR/log/old.container" "$DAVIT_RUNTIME_DIR/notify/old.container"
    replace_davitd
    nothing_left old.container
    wait_for 60 test ! -e "$D/state/volumes/left"
    [ -d "$D/state/volumes/mine/_data" ]
    rmdir "$D/state/volumes/mine/_data" "$D/state/volumes/mine"
}

# shellcheck disable=SC2034 # OTHER and DAVIT_PID are for teardown
@test 'RuntimeMaxSec= of a unit whose state was lost counts on a machine that has slept, too' {
    unshare --time --boottime 1000000 true || skip 'no time namespaces'
    OTHER=1
    davit_new
    davit_image
    unit short.container <<'U'
[Container]
Image=busybox
StopTimeout=1
Exec=/bin/sh -c 'while :; do sleep 0.1; done'
[Service]
RuntimeMaxSec=600
U
    unshare --time --boottime 1000000 --fork --kill-child "$DAVIT_BUILD/davit-init" >"$D/init.log" 2>&1 </dev/null 3>&- &
    local outside=$!
    wait_for 60 manager_pid
    DAVIT_PID=$(pgrep -P "$outside" -x davit-init)
    davit start short
    without_davitd
    rm "$DAVIT_RUNTIME_DIR/state/short.container"
    # Only now, so that it is not the first davitd that ends it.
    sed -i s/^RuntimeMaxSec=.*/RuntimeMaxSec=2/ "$D/units/short.container"
    with_davitd
    wait_for 60 is_state short failed
    has_result short timeout
}
