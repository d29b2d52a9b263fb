#!/usr/bin/env bats
# What should not happen: each test breaks what its name says, and davit is there afterwards.
load common

teardown() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] || { echo '--- init.log'; tail -n 40 "$D/init.log"; } 2>/dev/null
    [ -z "${PID_MAX:-}" ] || echo "$PID_MAX" >/proc/sys/kernel/pid_max
    davit_stop
    if [ -n "${POOL:-}" ]; then rmdir "$POOL" 2>/dev/null || true; fi
}
setup() { [ "$(id -u)" = 0 ] || skip 'needs root'; }

fleet() {
    davit_new
    davit_image
    steady_unit steady
}
undisturbed() { is_state steady running && [ "$(show steady pid)" = "$steady" ] && [ "$(show steady restarts)" -eq 0 ]; }

@test 'no process can be forked: the container goes on, davit says so, and comes back' {
    fleet
    hierarchy=/sys/fs/cgroup/pids
    if [ ! -d $hierarchy ]; then # pure version 2: only where the top group is the test's to change
        hierarchy=/sys/fs/cgroup
        [ -n "${DAVIT_VM:-}" ] || skip 'the top control group is not ours'
        echo +pids >$hierarchy/cgroup.subtree_control
    fi
    davit_start
    davit start steady
    steady=$(show steady pid)
    POOL=$hierarchy/$DAVIT_NAME-pool
    mkdir "$POOL"
    echo "$DAVIT_PID" >"$POOL/cgroup.procs"
    echo 1 >"$POOL/pids.max"
    old=$(manager_pid)
    kill -9 "$old"
    wait_for 5 grep -q 'cannot fork for davitd' "$D/init.log"
    kill -0 "$steady"
    echo max >"$POOL/pids.max"
    wait_for 10 manager_pid
    undisturbed
    davit stop steady
    davit start steady
}

@test 'descriptors run out: what cannot start says why, the others go on' {
    local n
    fleet
    for n in $(seq 40); do steady_unit "more-$n"; done
    ulimit -Sn 90
    ulimit -Hn 90
    davit_start
    davit start steady
    steady=$(show steady pid)
    # shellcheck disable=SC2046
    run davit start $(seq -f 'more-%g' 40)
    [ "$status" -ne 0 ]
    says "$output" '*open files*'
    undisturbed
    for n in $(seq 10); do wait_for 20 davit stop "more-$n"; done # one connection at a time
    davit start more-1
    is_state more-1 running
    undisturbed
}

@test 'writing to the console is an error: nobody minds' {
    fleet
    cat >"$D/console.py" <<'P'
import os, pty, sys
master, slave = pty.openpty()
if os.fork() == 0:
    os.close(master)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(slave, 1)
    os.dup2(slave, 2)
    os.setsid()
    os.execv(sys.argv[1], sys.argv[1:])
os.close(slave)
os.read(master, 1)
print(os.getpid(), flush=True)
os.close(master)
P
    # davit-init itself is what is waited for
    python3 "$D/console.py" "$DAVIT_BUILD/davit-init" 3>&- >/dev/null
    wait_for 10 manager_pid
    DAVIT_PID=$(awk '/^PPid:/ {print $2}' "/proc/$(manager_pid)/status")
    refute sh -c "echo x >/proc/$DAVIT_PID/fd/2" # that is the error
    davit start steady
    steady=$(show steady pid)
    old=$(manager_pid)
    kill -9 "$old"
    another() { new=$(manager_pid) && [ "$new" != "$old" ]; }
    wait_for 10 another
    undisturbed
}

@test 'nobody reads what davit says, and then its reader is gone: it goes on' {
    fleet
    mkfifo "$D/said"
    exec 7<>"$D/said"
    head -c 65536 /dev/zero >&7 # a pipe takes no more
    "$DAVIT_BUILD/davit-init" >"$D/said" 2>&1 </dev/null 3>&- 7>&- &
    DAVIT_PID=$!
    wait_for 10 manager_pid
    old=$(manager_pid)
    printf '[Nothing]\nNo=such section\n' >"$D/units/broken.service"
    davit daemon-reload # says what is wrong with it
    davit start steady
    steady=$(show steady pid)
    exec 7>&-
    davit daemon-reload
    undisturbed
    [ "$(manager_pid)" = "$old" ]
}

@test 'a davitd that keeps dying: the container goes on, and it is said' {
    fleet
    mkdir "$D/libexec"
    ln -s "$DAVIT_BUILD"/davit-launch "$DAVIT_BUILD"/davit-logd "$DAVIT_BUILD"/davitd "$D/libexec"
    export DAVIT_LIBEXEC_DIR=$D/libexec
    socat -u "UNIX-RECV:$D/up" "CREATE:$D/reports" 3>&- &
    socat=$!
    wait_for 5 test -S "$D/up"
    DAVIT_RESTART_USEC=20000 NOTIFY_SOCKET=$D/up davit_start
    davit start steady
    steady=$(show steady pid)
    for part in davitd davit-logd davit-launch; do
        old=$(part_pids $part)
        ln -sf /bin/false "$D/libexec/$part"
        # shellcheck disable=SC2086
        kill -9 $old
        wait_for 20 grep -q "$part.* keeps dying" "$D/init.log"
        wait_for 5 grep -aq "STATUS=$part.* keeps dying" "$D/reports"
        kill -0 "$steady"
        ln -sf "$DAVIT_BUILD/$part" "$D/libexec/$part"
        is_back() { [ -n "$(part_pids "$part")" ]; }
        wait_for 40 is_back
    done
    wait_for 10 manager_pid
    undisturbed
    kill $socat
}

@test 'a davitd that keeps dying below a davit-init that is PID 1 of a container: the same, with longer and longer delays' {
    fleet
    mkdir "$D/libexec"
    ln -s "$DAVIT_BUILD"/davit-launch "$DAVIT_BUILD"/davit-logd "$DAVIT_BUILD"/davitd "$D/libexec"
    # shellcheck disable=SC2016 # for the shell in there
    container=test DAVIT_LIBEXEC_DIR=$D/libexec DAVIT_RESTART_USEC=20000 unshare --mount --pid --fork --kill-child \
        sh -c 'mount -t proc proc /proc && exec "$0"' "$DAVIT_BUILD/davit-init" >"$D/init.log" 2>&1 3>&- &
    OUTSIDE=$!
    wait_for 10 manager_pid
    DAVIT_PID=$(pgrep -P "$OUTSIDE" -x davit-init)
    davit start steady
    steady=$(show steady pid)
    old=$(part_pids davitd)
    ln -sf /bin/false "$D/libexec/davitd"
    kill -9 "$old"
    wait_for 20 grep -q 'davitd keeps dying (6 times' "$D/init.log"
    ln -sf "$DAVIT_BUILD/davitd" "$D/libexec/davitd"
    # 20 ms, 40 ms, ...: none shorter than the one before
    sed -nE 's/.*davitd .*: starting it again in ([0-9]+)ms$/\1/p' "$D/init.log" >"$D/delays"
    [ "$(wc -l <"$D/delays")" -ge 4 ]
    sort -nuc "$D/delays"
    wait_for 40 manager_pid
    undisturbed
    davit stop steady
}

# pid_max 400 is 300 numbers for what stays and, since the kernel begins anew at 300 (RESERVED_PIDS), 100 for all that comes and goes.
@test 'a pid space of 300: numbers come again and again, and each end is its own' {
    fleet
    # Of a pid namespace since Linux 6.14; before, it is everybody's.
    if ! printf '6.14\n%s\n' "$(uname -r)" | sort -VC; then
        [ -n "${DAVIT_VM:-}" ] || skip 'pid_max is the whole machine'"'"'s here'
        PID_MAX=$(cat /proc/sys/kernel/pid_max)
    fi
    unit short.container <<U
[Unit]
StartLimitIntervalSec=0
[Container]
Image=busybox
Volume=short:/data
Exec=/bin/sh -c 'n=\$\$((\$\$(cat /data/n 2>/dev/null || echo 0) + 1)); echo \$\$n >/data/n; for i in 1 2 3 4 5 6 7 8; do /bin/true; done; exit \$\$((n %% 100))'
[Service]
Restart=always
RestartSec=1ms
ExecStopPost=/bin/sh -c 'echo \$\$EXIT_STATUS >>$D/ends'
U
    cat >"$D/inside" <<I
mount -t proc proc /proc
echo 400 >/proc/sys/kernel/pid_max || exit 77
exec "$DAVIT_BUILD/davit-init"
I
    unshare --mount --pid --fork --kill-child sh "$D/inside" >"$D/init.log" 2>&1 3>&- &
    DAVIT_PID=$!
    wait_for 10 manager_pid
    davit start short
    davit start steady
    steady=$(show steady pid)
    enough() { [ "$(wc -l <"$D/ends")" -ge 40 ]; }
    wait_for 240 enough
    undisturbed
    davit stop short
    awk '{ if ($1 != NR % 100) { print "run " NR " ended with " $1; bad = 1 } } END { exit bad }' <(head -n 40 "$D/ends")
}

@test 'programs that never stop talking: davit answers and starts what it is asked to' {
    fleet
    cat >"$D/talk.py" <<'P'
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
n = 0
while True:
    n += 1
    s.sendto(b"READY=1\nSTATUS=%d" % n, os.environ["NOTIFY_SOCKET"])
P
    local n talkers=() many=20
    [ -z "${DAVIT_VM:-}" ] || many=4 # a share of an emulated processor is little
    for n in $(seq $many); do
        talkers+=("talk$n.service")
        unit "talk$n.service" <<U
[Service]
Type=notify
NotifyAccess=all
ExecStart=python3 $D/talk.py
U
    done
    davit_start
    timeout 200 "$DAVIT_BUILD/davit" start "${talkers[@]}"
    timeout 200 "$DAVIT_BUILD/davit" start steady
    timeout 200 "$DAVIT_BUILD/davit" stop "${talkers[@]}"
    is_state steady running
}
