#!/usr/bin/env bats
# shellcheck disable=SC2016 # for the machine's shell
# The clock is set, forward and back, while units run: what lasts a while takes as long as before, what is meant for a time of
# day comes at that time.
bats_require_minimum_version 1.5.0
load lib

# bats test_tags=long
@test 'the clock is set years forward and back: restarts, watchdogs, time-outs, logs and a planned power-off' {
    vm_new
    vm_agent
    vm_unit lives.container <<'U'
[Container]
Image=busybox
StopSignal=KILL
Notify=yes
Exec=/bin/sh -c 'payload notify READY=1; i=0; while :; do i=$$((i + 1)); echo beat $$i; payload notify WATCHDOG=1; sleep 0.5; done'
[Service]
NotifyAccess=all
WatchdogSec=60
RuntimeMaxSec=1h
U
    vm_unit again.service <<'U'
[Unit]
StartLimitIntervalSec=0
[Service]
Restart=always
RestartSec=10
ExecStart=/bin/sh -c 'cut -d" " -f1 /proc/uptime >>/var/lib/runs'
U
    vm_unit slow.service <<'U'
[Service]
Type=oneshot
TimeoutStartSec=30
ExecStart=/bin/sh -c 'sleep 1000'
U
    vm_boot --background --timeout 900
    vm_run 'davit start lives && davit start --no-block again'
    local pid since jump
    pid=$(vm_run 'davit status --json lives | grep -o "\"pid\": *[0-9]*"')
    since=$(vm_run 'davit status --json lives | grep -o "\"since\": *[0-9]*"')
    for jump in '2035-01-01 00:00:00' '2029-03-01 12:00:00'; do
        # While one unit waits for its restart, and another for its time-out. Reckoned by the clock that is set, that would be
        # over at once or not at all.
        vm_run "davit start --no-block slow; sleep 1; date -u -s '$jump'; sleep 2; davit status slow | grep activating" >/dev/null
        vm_run 'n=0; until davit status slow | grep -q "result: timeout"; do n=$((n + 1)); [ $n -lt 100 ] || break; sleep 1; done; [ $n -lt 100 ]'
        vm_run 'davit status --json lives | grep -q "\"state\": *\"running\""'
    done
    [ "$(vm_run 'davit status --json lives | grep -o "\"pid\": *[0-9]*"')" = "$pid" ]
    [ "$(vm_run 'davit status --json lives | grep -o "\"since\": *[0-9]*"')" = "$since" ]
    vm_run 'davit status --json lives | grep -q "\"restarts\": *0[,}]"'
    # Also a davitd that comes after the jump counts on from the same moments.
    vm_run 'kill -KILL $(pidof davitd); sleep 2; davit status --json lives | grep -q "\"state\": *\"running\""'

    vm_run 'davit kill --signal=KILL lives'

    # A time of day comes when the clock says so, not when as much time has passed.
    vm_run 'davit poweroff --when "2030-01-01 00:00:00"'
    vm_run "date -u -s '2029-12-31 23:59:50'"
    vm_wait
    vm_ended poweroff

    # Each line once, in the order of its writing, though the times go back; the last has the time of the last jump.
    vm_get /var/log/davit/lives.container.log >"$V/log"
    [ "$(grep -o 'beat [0-9]*' "$V/log" | cut -d' ' -f2)" = "$(seq "$(wc -l <"$V/log")")" ]
    grep -q '^2035-01-01T' "$V/log"
    tail -n 1 "$V/log" | grep -q '^2029-03-01T'
    vm_get /var/lib/runs >"$V/runs"
    [ "$(wc -l <"$V/runs")" -ge 4 ]
    # Ten seconds between two runs, by the clock that nobody sets; a slow machine makes it more.
    awk 'NR > 1 && $1 - last < 9.9 { print "after " $1 - last " s"; bad = 1 } { last = $1 } END { exit bad }' "$V/runs"
}
