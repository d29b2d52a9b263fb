#!/usr/bin/env bats
# Unit files change under a running fleet: what runs goes on, what is good is taken, what is bad is said.
# shellcheck disable=SC2016
load common

sleeper() { # NAME [LINE...]: a container that sleeps, with more lines below [Container]
    local name=$1
    shift
    { printf '[Container]\nImage=busybox\nRunInit=yes\nExec=/bin/sleep infinity\n'; printf '%s\n' "$@"; } >"$D/units/$name"
}

units() {
    sleeper steady.container 'Environment=VERSION=1'
    sleeper changed.container 'Environment=VERSION=1'
    sleeper removed.container
    sleeper extended.container 'Environment=VERSION=1'
    sleeper templated@.container 'Environment=VERSION=1 NAME=%i'
    sleeper wanted.container $'[Install]\nWantedBy=late.target'
    sleeper plain.container
    unit late.target <<<$'[Unit]\nDescription=Started by hand'
    unit job.service <<U
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=late.target
Alias=other-job.service
U
    unit pool@.service <<U
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=late.target
DefaultInstance=one
U
}
setup_file() { fleet_setup; }
teardown_file() { fleet_teardown; }

version() { davit exec "$1" sh -c 'echo $VERSION'; }
reload() { davit daemon-reload; }

@test 'a file that no longer parses: the container and its settings stay, status shows file and line' {
    davit start steady
    pid=$(show steady pid)
    sleeper steady.container 'Environment=VERSION=2' 'Memory=lots'
    reload
    is_state steady running
    [ "$(show steady pid)" = "$pid" ]
    says "$(davit status steady)" 'steady.container:6:'
    says "$(davit status steady)" lots
    says "$(davit show steady)" VERSION=1
    same_manager
}

@test 'it is also restarted after a crash with its old settings' {
    is_state steady running || davit start steady
    sleeper steady.container 'Environment=VERSION=1' $'[Service]\nRestart=always\nRestartSec=50ms'
    reload
    davit restart steady
    sleeper steady.container 'Environment=VERSION=3' 'Bogus line'
    reload
    pid=$(show steady pid)
    davit kill -s KILL steady
    has_new_pid() { is_state steady running && [ "$(show steady pid)" != "$pid" ]; }
    wait_for 60 has_new_pid || { davit status steady; false; }
    [ "$(version steady)" = 1 ]
    says "$(davit status steady)" 'steady.container:6:'
}

@test 'once the file is right again the problem is gone, and the next start takes it' {
    sleeper steady.container 'Environment=VERSION=4'
    reload
    refute says "$(davit status steady)" 'steady.container:'
    davit restart steady
    [ "$(version steady)" = 4 ]
}

@test 'a changed file is taken at the next start, not before' {
    davit start changed
    pid=$(show changed pid)
    sleeper changed.container 'Environment=VERSION=2'
    reload
    [ "$(show changed pid)" = "$pid" ]
    [ "$(version changed)" = 1 ]
    [ "$(show changed outdated)" = true ]
    davit restart changed
    [ "$(version changed)" = 2 ]
    [ "$(show changed outdated)" = false ]
}

@test 'a removed file: the container goes on, can be stopped, and is gone then' {
    davit start removed
    pid=$(show removed pid)
    rm "$D/units/removed.container"
    reload
    [ "$(show removed pid)" = "$pid" ]
    [ "$(show removed load)" = gone ]
    davit stop removed
    reload
    run davit start removed
    [ "$status" -eq 5 ]
    run davit status removed
    [ "$status" -eq 4 ]
    nothing_left removed.container
}

@test 'a new unit can be started, a new drop-in and a changed template are taken' {
    sleeper new.container 'Environment=VERSION=9'
    mkdir -p "$D/units/extended.container.d"
    printf '[Container]\nEnvironment=VERSION=5\n' >"$D/units/extended.container.d/version.conf"
    davit start templated@a
    sleeper templated@.container 'Environment=VERSION=6 NAME=%i'
    reload
    davit start new extended templated@b
    [ "$(version new)" = 9 ]
    [ "$(version extended)" = 5 ]
    [ "$(version templated@a)" = 1 ]
    [ "$(version templated@b)" = 6 ]
}

@test 'a unit file that came without a reload is found by start' {
    sleeper late.container 'Environment=VERSION=7'
    run davit start late
    echo "$output"
    if [ "$status" -ne 0 ]; then
        says "$output" late
        reload
        davit start late
    fi
    [ "$(version late)" = 7 ]
}

@test 'a reload with nothing changed changes nothing' {
    davit start changed
    before=$(davit list --json | jq -c '[.[] | {name, state, pid}]')
    for n in 1 2 3 4 5; do : "$n"; reload; done
    [ "$(davit list --json | jq -c '[.[] | {name, state, pid}]')" = "$before" ]
    same_manager
}

@test 'a unit path that has become empty, and one that is gone, take nothing away' {
    davit start changed plain
    pid=$(show changed pid)
    mv "$D/units" "$D/away"
    reload || true
    is_state changed running
    [ "$(show changed pid)" = "$pid" ]
    mv "$D/away" "$D/units"
    reload
    is_state changed running
    [ "$(show changed load)" = loaded ]
}

@test 'a davit.conf that is broken is reported with its line, and the old settings hold' {
    cp "$D/davit.conf" "$D/good.conf"
    printf 'log_sink = "file";\nmax_units = "many;\n' >"$D/davit.conf"
    run davit daemon-reload
    said="$output $(davit status 2>&1 || true) $(tail -n 5 "$D/init.log")"
    says "$said" davit.conf
    davit start changed
    cp "$D/good.conf" "$D/davit.conf"
    reload
    same_manager
}

@test 'enable and disable make links, and a target then pulls the unit in' {
    run davit is-enabled job
    [ "$output" = disabled ]
    says "$(davit enable job 2>&1)" late.target.wants/job.service
    [ -L "$D/units/late.target.wants/job.service" ]
    [ "$(davit is-enabled job)" = enabled ]
    davit start late.target
    wait_for 60 is_state job.service running
    davit stop job.service
    davit start other-job.service
    is_state job.service running
    says "$(davit disable job 2>&1)" 'emoved'
    [ ! -e "$D/units/late.target.wants/job.service" ]
    [ ! -e "$D/units/other-job.service" ]
    run davit is-enabled job
    [ "$status" -ne 0 ]
    is_state job.service running
}

@test 'enable and disable go on to the units of Also=, and tell of one that is not there' {
    unit first.service <<'U'
[Service]
ExecStart=/bin/sleep 1000
[Install]
WantedBy=app.target
Also=second.service nowhere.service
U
    unit second.service <<'U'
[Service]
ExecStart=/bin/sleep 1000
[Install]
WantedBy=app.target
U
    run davit enable first
    [ "$status" -eq 0 ]
    says "$output" 'eft out: there is no unit file for nowhere.service'
    [ "$(davit is-enabled second.service)" = enabled ]
    davit disable first
    run davit is-enabled second.service
    [ "$output" = disabled ]
}

@test 'enable --now, the default instance of a template, and that a template itself is none' {
    davit enable pool@
    [ -L "$D/units/late.target.wants/pool@one.service" ]
    run davit start pool@
    [ "$status" -ne 0 ]
    says "$output" template
    davit enable --now pool@one
    is_state pool@one.service running
    davit disable --now pool@one
    is_state pool@one.service inactive
}

@test 'a container with [Install] is wanted without being enabled, as with Quadlet, until it is disabled' {
    davit start late.target
    wait_for 60 is_state wanted running
    davit stop wanted late.target
    davit disable wanted
    davit start late.target
    sleep 0.3
    is_state wanted inactive
    davit enable wanted
    davit stop late.target
    davit start late.target
    wait_for 60 is_state wanted running
}

@test 'a unit without [Install] says so' {
    run davit enable changed
    [ "$status" -ne 0 ]
    says "$output" Install
}

@test 'davit.conf: defaults for units that say nothing, and strictness, are taken at a reload' {
    cp "$D/davit.conf" "$D/good.conf"
    sleeper sloppy.container 'Memry=1G'
    printf '[Container]\nImage=busybox\nExec=/bin/sleep infinity\nRunInit=yes\n[Service]\nTimeoutStopSec=7\n' >"$D/units/own.container"
    sleeper silent.container
    reload
    davit start sloppy
    davit stop sloppy
    says "$(davit show own)" TimeoutStartSec=1min
    printf 'default_timeout_start = "33s";\ndefault_timeout_stop = "44s";\ndefault_restart_sec = "55s";\nstrict = true;\n' >>"$D/davit.conf"
    reload
    says "$(davit show own)" TimeoutStartSec=33s
    says "$(davit show own)" TimeoutStopSec=7s
    says "$(davit show own)" RestartSec=55s
    says "$(davit show silent)" TimeoutStopSec=44s
    cannot_start sloppy 'Memry='
    cp "$D/good.conf" "$D/davit.conf"
    reload
    says "$(davit show silent)" RestartSec=100ms
    davit start sloppy
}
