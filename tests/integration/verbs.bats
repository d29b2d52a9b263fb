#!/usr/bin/env bats
# Verbs as those type them who come from systemctl, podman and docker, on units that run.
# shellcheck disable=SC2016
load common

units() {
    local n
    for n in web-1 web-2 db; do
        unit $n.container <<<$'[Container]\nImage=busybox\nRunInit=yes\nMemory=64M\nExec=/bin/sleep infinity'
    done
    unit reloads.service <<U
[Service]
ExecStart=/bin/sh -c 'trap "echo again >>$D/reloads" HUP; echo trapped; while :; do sleep 0.1; done'
ExecReload=/bin/kill -HUP \$MAINPID
U
    unit short.container <<<$'[Container]\nImage=busybox\nExec=/bin/sh -c "read x </data/go; exit 7"\nVolume=go:/data'
}
setup_file() {
    fleet_setup
    mkdir -p "$D/state/volumes/go/_data"
    mkfifo "$D/state/volumes/go/_data/go"
}
teardown_file() { fleet_teardown; }

@test 'a pattern stops what runs, and does not start what does not' {
    davit start 'web-*' db
    davit stop 'web-*'
    is_state web-1 inactive
    is_state web-2 inactive
    is_state db running
    run davit restart 'web-*'
    [ "$status" = 0 ]
    says "$output" 'No active or failed unit matches web-*.'
    is_state web-1 inactive
    davit start 'web-?'
    [ "$(davit list --plain --state=running -t container 'web*' | wc -l)" = 2 ]
}

@test 'wait: the status of the program, also when davitd dies meanwhile' {
    davit start short
    davit wait short >"$D/waited" 2>"$D/waited.err" 3>&- &
    waiter=$!
    replace_davitd
    echo >"$D/state/volumes/go/_data/go"
    wait $waiter
    [ "$(cat "$D/waited")" = 7 ] || { cat "$D/waited" "$D/waited.err"; false; }
    manager_pid >"$D/manager"
}

@test 'reload-or-restart: the same process where it can reload, another one where it cannot' {
    davit start reloads db
    wait_for 60 has_line reloads trapped
    reloads=$(show reloads pid) db=$(show db pid)
    davit reload-or-restart reloads db
    [ "$(show reloads pid)" = "$reloads" ]
    [ "$(show db pid)" != "$db" ]
    wait_for 60 grep -q again "$D/reloads"
    davit stop reloads
    davit try-reload-or-restart reloads
    is_state reloads inactive
}

# Its small init has started the program.
sleeps() { [ "$(davit top "$1" | awk '$NF == "infinity" {print $2}')" = 2 ]; }

@test 'stats and top: numbers of the kernel, and pids as the host and the container see them' {
    davit start db
    wait_for 60 sleeps db
    stats=$(davit stats --no-stream --json db)
    [ "$(jq -r '.[0].name' <<<"$stats")" = db.container ]
    [ "$(jq -r '.[0].resources.tasks' <<<"$stats")" = 2 ]
    if memory_controller; then [ "$(jq -r '.[0].resources.memory_max' <<<"$stats")" = 67108864 ]; fi
    says "$(davit stats --no-stream | head -1)" UNIT
    top=$(davit top db)
    [ "$(awk '$NF == "infinity" {print $2}' <<<"$top")" = 2 ]
    [ "$(awk '$2 == 1 {print $1}' <<<"$top")" = "$(show db pid)" ]
    run davit top web-none
    [ "$status" = 4 ]
    davit stop db
    run davit top db
    [ "$status" = 3 ]
}

@test 'edit --stdin is in force at the next start, and revert takes it back' {
    printf '[Container]\nEnvironment=EDITED=yes\n' | davit edit --stdin db
    davit restart db
    [ "$(davit exec db sh -c 'echo $EDITED')" = yes ]
    davit revert db
    davit restart db
    [ -z "$(davit exec db sh -c 'echo $EDITED')" ]
    run davit edit --stdin db <<<$'[Container]\nMemory=lots'
    [ "$status" = 1 ]
    says "$output" 'override.conf:2: *Memory='
    davit revert db
    is_state db running
    same_manager
}

@test 'a reader that leaves early ends davit quietly' {
    davit start db
    out=$( (davit list --all; echo "status $?" >&2) 2>&1 >/dev/null | head -1)
    [ "$out" = 'status 0' ]
    [ "$(davit show db 2>&1 | head -1)" = Id=db.container ]
}
