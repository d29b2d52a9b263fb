#!/usr/bin/env bats
# Who is logged in hears of an ending: when it is scheduled, when it is taken back, when it comes.
bats_require_minimum_version 1.5.0
load common

setup() { davit_new; }
teardown() {
    if [ -n "${TERMINAL_PID:-}" ]; then kill "$TERMINAL_PID" 2>/dev/null || true; fi
    davit_stop
}

# log_in: a terminal with somebody at it, in a utmp of its own that davit sees in place of the machine's. What it hears is
# in $D/heard
log_in() {
    command -v python3 >/dev/null || skip 'no python3'
    python3 - "$D" 3>&- <<'P' &
import os, struct, sys
terminal, side = os.openpty()
name = os.ttyname(side)[len("/dev/"):].encode()
# struct utmp (utmp(5)): USER_PROCESS, pid, line, id, user, host, exit status, session, time, address, reserve
entry = struct.pack("hi32s4s32s256shhiii4i20x", 7, os.getpid(), name, name[-4:], b"me", b"", 0, 0, 0, 0, 0, 0, 0, 0, 0)
with open(sys.argv[1] + "/utmp", "wb") as f:
    f.write(entry)
with open(sys.argv[1] + "/heard", "ab", buffering=0) as f:
    while True:
        f.write(os.read(terminal, 4096))
P
    TERMINAL_PID=$!
    wait_for 60 test -s "$D/utmp"
    wait_for 60 test -e "$D/heard"
}
# Starts davit where /run is private and has that utmp. Its own runtime directory is elsewhere.
start_with_utmp() {
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount --propagation private sh -c 'mount -t tmpfs none /run && cp "$D/utmp" /run/utmp && exec "$0"' \
        "$DAVIT_BUILD/davit-init" >"$D/init.log" 2>&1 </dev/null 3>&- &
    DAVIT_PID=$!
    wait_for 60 davit status
}
# shutdown ARGUMENT...: davit under that name
shutdown() {
    ln -sf "$DAVIT_BUILD/davit" "$D/shutdown"
    "$D/shutdown" "$@"
}

@test 'shutdown +5 MESSAGE and shutdown -c are heard at every terminal; --no-wall and davitd killed meanwhile' {
    log_in
    start_with_utmp
    shutdown -r +5 back in a minute
    wait_for 60 grep -q 'The system goes down for reboot at ' "$D/heard"
    wait_for 60 grep -q 'back in a minute' "$D/heard"
    grep -q '^WARN_WALL=1$' "$D/run/scheduled"
    kill -KILL "$(davit info --json | jq -r .pid)"
    wait_for 60 davit reboot --when=show
    shutdown -c
    wait_for 60 grep -q 'The reboot that was scheduled is cancelled' "$D/heard"

    shutdown --no-wall -P +5
    grep -q '^WARN_WALL=0$' "$D/run/scheduled"
    shutdown -c
    # What is heard comes in order: this is heard, so nothing else has been.
    davit poweroff --when=+2s --message 'good night'
    wait_for 60 grep -q 'The system goes down for poweroff at ' "$D/heard"
    wait_for 60 grep -q 'The system goes down for poweroff now!' "$D/heard"
    run ! grep -q 'The poweroff that was scheduled is cancelled' "$D/heard"
    [ "$(grep -c 'Broadcast message' "$D/heard")" = 4 ]
    wait "$DAVIT_PID"
    DAVIT_PID=
}

@test 'shutdown -k only tells' {
    davit_start
    shutdown -k +5 'only a test'
    run -1 davit poweroff --when=show
    shutdown -k now
    davit status
}
