#!/usr/bin/env bats
# `davit logs` from the journal: a journald of the test's own, in a mount namespace with its own /run and /var/log.

setup_file() {
    export DAVIT_BUILD=${DAVIT_BUILD:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)/build}
}
setup() {
    [ -x /lib/systemd/systemd-journald ] || skip 'no systemd-journald'
    [ -s /etc/machine-id ] || skip 'no machine id'
}

# in_journal COMMANDS: runs them where web and db have written to a journal.
in_journal() {
    # shellcheck disable=SC2016
    unshare -m --propagation private bash -c '
        mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/log || exit 99
        mkdir -p /run/systemd/journal /run/log/journal
        /lib/systemd/systemd-journald >/dev/null 2>&1 3>&- & journald=$!
        trap "kill $journald" EXIT
        for n in $(seq 600); do [ -S /run/systemd/journal/socket ] && break; sleep 0.1; done
        say() { printf "MESSAGE=%s\nUNIT=%s\nPRIORITY=%s\nSYSLOG_IDENTIFIER=%s\n" "$@" | logger --journald; }
        davit() { DAVIT_LOG_DIR=/nonexistent "$DAVIT_BUILD/davit" "$@" --runtime-dir=/nonexistent; }
        for n in 1 2 3; do say "line $n" web.container 6 web; say "row $n" db.container 4 db; done
        say "Started web" web.container 6 davitd
        for n in $(seq 600); do [ "$(davit logs web | wc -l)" = 4 ] && break; sleep 0.1; done
        '"$1"
}

@test 'the lines of one unit, and what davitd said of it' {
    run in_journal 'davit logs -o cat web'
    [ "$status" -eq 0 ]
    [ "$output" = $'line 1\nline 2\nline 3\nStarted web' ]
}

@test 'the last lines, of one unit and of two' {
    run in_journal 'davit logs -o cat -n 2 web; echo --; davit logs -o cat -n 3 web db; echo --; davit logs -n 0 web; davit logs -o cat -n 100 db'
    [ "$status" -eq 0 ]
    [ "$output" = $'line 3\nStarted web\n--\nline 3\nrow 3\nStarted web\n--\nrow 1\nrow 2\nrow 3' ]
}

@test 'bounds in time, and priorities in JSON' {
    run in_journal 'davit logs --until=-1h web; davit logs --since=-1h --json -n 1 db | jq -r "[.unit, .priority, .message] | @csv"'
    [ "$status" -eq 0 ]
    [ "$output" = '"db.container",4,"row 3"' ]
}

@test 'new lines are followed' {
    # shellcheck disable=SC2016
    run in_journal 'export DAVIT_LOG_DIR=/nonexistent
        "$DAVIT_BUILD/davit" logs -f -o cat -n 1 --runtime-dir=/nonexistent web >/run/out 3>&- & f=$!
        for n in $(seq 600); do grep -q "Started web" /run/out && break; sleep 0.1; done
        say new web.container 6 web; say other db.container 6 db
        for n in $(seq 600); do grep -q new /run/out && break; sleep 0.1; done
        kill $f; cat /run/out'
    [ "$output" = $'Started web\nnew' ]
}
