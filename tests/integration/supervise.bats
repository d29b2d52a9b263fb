#!/usr/bin/env bats
# Restart, readiness, order, time-outs, watchdog: what a supervisor is for.
load common

units() {
    unit ready.container <<'U'
[Container]
Image=busybox
Notify=yes
Volume=gate:/gate
Exec=/bin/sh -c 'until [ -e /gate/open ]; do sleep 0.05; done; exec payload serve 0'
U
    unit needs.container <<'U'
[Unit]
Requires=ready.container
After=ready.container
[Container]
Image=busybox
Exec=/bin/sleep infinity
RunInit=yes
U
    unit crash.container <<'U'
[Unit]
StartLimitBurst=3
StartLimitIntervalSec=60
[Container]
Image=busybox
Exec=/bin/payload exit 3
[Service]
Restart=on-failure
RestartSec=50ms
U
    unit backoff.container <<'U'
[Unit]
StartLimitIntervalSec=0
[Container]
Image=busybox
Exec=/bin/payload exit 3
[Service]
Restart=always
RestartSec=100ms
RestartSteps=3
RestartMaxDelaySec=30s
U
    unit mute.container <<'U'
[Container]
Image=busybox
Notify=yes
Exec=/bin/sleep infinity
RunInit=yes
[Service]
TimeoutStartSec=1
U
    unit stubborn.container <<'U'
[Container]
Image=busybox
StopTimeout=1
Exec=/bin/sh -c 'trap "" TERM; while :; do sleep 1; done'
[Service]
TimeoutStopSec=300
U
    unit watched.container <<'U'
[Container]
Image=busybox
Notify=yes
Exec=/bin/sh -c 'payload notify READY=1; exec sleep infinity'
RunInit=yes
[Service]
WatchdogSec=1
TimeoutStopSec=1
U
    unit bound.container <<'U'
[Unit]
BindsTo=leader.container
After=leader.container
[Container]
Image=busybox
Exec=/bin/sleep infinity
RunInit=yes
U
    unit leader.container <<'U'
[Unit]
OnFailure=alarm.service
[Container]
Image=busybox
Exec=/bin/sleep infinity
RunInit=yes
U
    unit alarm.service <<U
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo rung > $D/alarm'
U
    unit hooks.service <<U
[Service]
ExecStartPre=/bin/sh -c 'echo pre >> $D/hooks'
ExecStart=/bin/sleep 1000
ExecStartPost=/bin/sh -c 'echo post >> $D/hooks'
ExecStop=/bin/sh -c 'echo stop >> $D/hooks'
ExecStopPost=/bin/sh -c 'echo stoppost \$SERVICE_RESULT \$EXIT_CODE \$EXIT_STATUS >> $D/hooks'
ExecReload=/bin/sh -c 'echo reload \$MAINPID >> $D/hooks'
U
    export FLEET=north
    unit reloads.container <<U
[Container]
Image=busybox
RunInit=yes
Exec=/bin/sh -c 'trap "echo told" USR1; while :; do sleep 0.1; done'
ReloadCmd=/bin/sh -c 'echo inside \$HOSTNAME; [ ! -e /refuse ]; exit \$?'
[Service]
ExecReload=/bin/sh -c 'echo host >> $D/host-reload'
U
    unit pass.service <<U
[Service]
Type=oneshot
PassEnvironment=FLEET NOT_THERE
ExecStart=/bin/sh -c 'echo \$FLEET \${NOT_THERE-unset} > $D/pass'
U
    unit once.service <<U
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStart=/bin/sh -c 'echo once >> $D/once'
U
    unit skipped.container <<'U'
[Unit]
ConditionPathExists=/nonexistent
[Container]
Image=busybox
Exec=/bin/true
U
    unit missing.container <<'U'
[Unit]
Requires=nowhere.container
After=nowhere.container
[Container]
Image=busybox
Exec=/bin/true
U
    for n in a b c; do
        case $n in a) after=b ;; b) after=c ;; c) after=a ;; esac
        unit cycle-$n.container <<U
[Unit]
Requires=cycle-$after.container
After=cycle-$after.container
[Container]
Image=busybox
Exec=/bin/true
U
    done
}
setup_file() { fleet_setup; }
teardown_file() { fleet_teardown; }

@test 'a dependent waits until READY=1' {
    davit start --no-block needs
    wait_for 60 is_state ready starting
    is_state needs waiting
    touch "$D/state/volumes/gate/_data/open"
    wait_for 60 is_state needs running
    is_state ready running
    [ "$(show ready status_text)" = serving ]
}

@test 'stopping a unit stops what requires it, in reverse order' {
    davit start needs
    davit stop ready
    is_state needs inactive
    is_state ready inactive
}

@test 'a crash is restarted, and given up at the start limit' {
    davit start crash || true
    wait_for 60 is_state crash failed
    [ "$(show crash result)" = start-limit-hit ] || [ "$(show crash result)" = exit-code ]
    [ "$(show crash restarts)" -ge 2 ]
    [ "$(show crash exit.status)" -eq 3 ]
}

@test 'a start by hand is never blocked by the start limit' {
    run davit start crash
    wait_for 60 is_state crash failed
    davit reset-failed crash
    is_state crash inactive
}

@test 'delays between restarts grow' {
    davit start --no-block backoff
    # 0.1 s, 0.7 s, 4.5 s, 30 s
    has_grown() { [ "$(show backoff state)" = backoff ] && [ "$(show backoff 'restarts >= 2 and .restart_at - .since > 3000000')" = true ]; }
    wait_for 60 has_grown
    davit stop backoff
}

@test 'no READY=1 within TimeoutStartSec is a time-out' {
    run davit start mute
    [ "$status" -ne 0 ]
    wait_for 60 is_state mute failed
    [ "$(show mute result)" = timeout ]
}

@test 'a program that ignores SIGTERM is killed after StopTimeout' {
    davit start stubborn
    timeout 120 "$DAVIT_BUILD/davit" stop stubborn # TimeoutStopSec= is more
    is_state stubborn failed
    [ "$(show stubborn exit.code) $(show stubborn exit.status)" = 'killed 9' ]
}

@test 'a watchdog that is not fed ends the program with result watchdog' {
    davit start watched
    wait_for 60 is_state watched failed
    [ "$(show watched result)" = watchdog ]
}

@test 'BindsTo: what is bound goes with its leader, OnFailure is started' {
    davit start bound
    davit kill -s KILL leader
    wait_for 60 is_state bound inactive
    wait_for 60 is_state leader failed
    wait_for 60 test -e "$D/alarm"
}

@test 'hooks of a host service run in order, with what they need to know' {
    davit start hooks
    davit reload hooks
    pid=$(show hooks pid)
    davit stop hooks
    [ "$(tr '\n' ' ' <"$D/hooks")" = "pre post reload $pid stop stoppost success killed TERM " ]
}

@test 'ReloadCmd runs in the container, after ExecReload; its failure fails the reload and nothing else' {
    davit start reloads
    davit reload reloads
    [ "$(cat "$D/host-reload")" = host ]
    wait_for 60 has_line reloads 'inside reloads'
    pid=$(show reloads pid)
    davit exec reloads touch /refuse
    run davit reload reloads
    [ "$status" -ne 0 ]
    is_state reloads running
    [ "$(show reloads pid)" = "$pid" ]
    davit stop reloads
}

@test 'PassEnvironment: a variable of davit itself, and none where there is none' {
    davit start pass
    [ "$(cat "$D/pass")" = 'north unset' ]
}

@test 'oneshot with RemainAfterExit is active without a process' {
    davit start once
    is_state once running
    [ "$(show once sub)" = exited ]
    davit start once
    [ "$(wc -l <"$D/once")" -eq 1 ]
    davit stop once
}

@test 'a false condition skips, and is no failure' {
    run davit start skipped
    [ "$status" -eq 0 ]
    is_state skipped inactive
    [ "$(show skipped result)" = success ]
}

@test 'a required unit that does not exist is named' {
    run davit start missing
    [ "$status" -ne 0 ]
    [[ $output == *nowhere.container* ]]
}

@test 'a cycle is reported with its whole path' {
    run davit start cycle-a
    [ "$status" -ne 0 ]
    [[ $output == *cycle-a.container* && $output == *cycle-b.container* && $output == *cycle-c.container* ]]
}

@test 'freeze and thaw' {
    davit start needs
    davit freeze needs
    [ "$(show needs frozen)" = true ]
    davit thaw needs
    [ "$(show needs frozen)" = false ]
}
