#!/usr/bin/env bats
# Dependencies that go on acting while units run, with real containers and over a death of davitd.
load common

# sleeper NAME [LINE...]: a container that sleeps and tells of each reload, with these lines in [Unit]
sleeper() {
    local name=$1
    shift
    { echo '[Unit]'; printf '%s\n' "$@"; cat; } <<U | unit "$name.container"
[Container]
Image=busybox
Exec=/bin/sleep infinity
RunInit=yes
[Service]
ExecReload=/bin/sh -c 'echo $name >> $D/reloads'
U
}

units() {
    sleeper net PropagatesStopTo=client.container PropagatesReloadTo=client.container
    sleeper client
    sleeper helper StopWhenUnneeded=yes
    for n in first second; do sleeper $n Requires=helper.container After=helper.container; done
    sleeper kept
    printf '%s\n' '[Install]' UpheldBy=keeper.container >>"$D/units/kept.container"
    sleeper keeper
    unit all.target <<'U'
[Unit]
PropagatesReloadTo=net.container
Wants=net.container
U
}
setup_file() { fleet_setup; }
teardown_file() { fleet_teardown; }

@test 'a stop and an end are handed on to what PropagatesStopTo names' {
    davit start net client
    davit stop net
    wait_for 10 is_state client inactive # its stop is a job of its own, in no order to the other
    davit start net client
    davit kill -s KILL net
    wait_for 10 is_state client inactive
    wait_for 10 is_state net failed
}

@test 'a reload goes through a target to containers, as far as they run' {
    davit start all.target
    davit reload all.target
    wait_for 5 grep -q net "$D/reloads"
    davit start client
    : >"$D/reloads"
    davit reload net
    wait_for 5 grep -q client "$D/reloads"
    is_state client running
    davit show net | grep -q 'PropagatesReloadTo=client.container'
    davit stop net
}

@test 'StopWhenUnneeded: what two need stays until the second is gone, over a death of davitd' {
    davit start first second
    davit stop first
    is_state helper running
    pid=$(show helper pid)
    kill -9 "$(manager_pid)"
    wait_for 10 is_state second running
    [ "$(show helper pid)" = "$pid" ]
    davit stop second
    wait_for 10 is_state helper inactive
    davit start first
    davit kill -s KILL first
    wait_for 10 is_state helper inactive
    nothing_left helper.container
}

@test 'UpheldBy: what was stopped or has ended is there again while its upholder runs, over a death of davitd' {
    davit start keeper
    wait_for 10 is_state kept running
    pid=$(show kept pid)
    davit kill -s KILL kept
    wait_for 10 kept_is_new "$pid"
    pid=$(show kept pid)
    davit stop kept
    wait_for 10 kept_is_new "$pid"
    pid=$(show kept pid)
    kill -9 "$(manager_pid)"
    wait_for 10 is_state kept running
    davit kill -s KILL kept
    wait_for 10 kept_is_new "$pid"
    davit stop keeper
    davit stop kept
    is_state kept inactive
}
kept_is_new() { is_state kept running && [ "$(show kept pid)" != "$1" ]; }
