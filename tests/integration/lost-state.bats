#!/usr/bin/env bats
# What davitd knew is lost in part: nothing is started twice, nothing that runs loses its files, nothing stays behind.
load common

units() {
    local u
    for u in damaged missing removed steady; do
        unit "$u.container" <<'U'
[Container]
Image=busybox
StopTimeout=1
Volume=/kept
Exec=/bin/sh -c 'trap "exit 9" TERM; echo here >/kept/file; while :; do sleep 0.1; done'
U
    done
}
setup_file() { fleet_setup; }
teardown_file() { fleet_teardown; }

another_davitd() {
    local old
    old=$(manager_pid)
    kill -9 "$old"
    wait_for 10 sh -c "[ \"\$($DAVIT_BUILD/davit status --json 2>/dev/null | jq -r .pid)\" != $old ]"
    manager_pid >"$D/manager"
}
kept_file() { davit exec "$1" cat /kept/file; }

@test 'a unit with damaged state, and one with none, are taken over from their control groups' {
    davit start damaged missing
    damaged=$(show damaged pid) missing=$(show missing pid)
    echo garbage >"$DAVIT_RUNTIME_DIR/state/damaged.container"
    rm "$DAVIT_RUNTIME_DIR/state/missing.container"
    another_davitd
    wait_for 5 is_state damaged running
    wait_for 5 is_state missing running
    [ "$(show damaged pid)" = "$damaged" ]
    [ "$(show missing pid)" = "$missing" ]
}

@test 'their anonymous volumes are still theirs' {
    [ "$(kept_file damaged)" = here ]
    [ "$(kept_file missing)" = here ]
}

@test 'they are stopped as any other, and nothing of them stays' {
    davit stop damaged missing
    [ "$(show damaged exit.status)" -eq 9 ]
    is_gone damaged.container
    is_gone missing.container
    [ -z "$(find "$D/state/volumes" -mindepth 1 -maxdepth 1)" ]
}

@test 'a unit whose file is gone runs on, and can be stopped' {
    davit start removed
    pid=$(show removed pid)
    rm "$D/units/removed.container"
    another_davitd
    [ "$(show removed pid)" = "$pid" ]
    davit stop removed
    is_gone removed.container
}

@test 'state that is from another time is swept at the start' {
    mkdir -p "$D/state/containers/old.container/0123" "$D/state/volumes/left/_data" "$D/state/volumes/mine/_data"
    echo old.container >"$D/state/volumes/left/anonymous"
    touch "$DAVIT_RUNTIME_DIR/log/old.container" "$DAVIT_RUNTIME_DIR/notify/old.container"
    another_davitd
    wait_for 5 sh -c "[ ! -e '$D/state/containers/old.container/0123' ] && [ ! -e '$D/state/volumes/left' ]"
    is_gone old.container
    [ -d "$D/state/volumes/mine/_data" ]
    rmdir "$D/state/volumes/mine/_data" "$D/state/volumes/mine"
}

