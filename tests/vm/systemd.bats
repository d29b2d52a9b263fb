#!/usr/bin/env bats
# A booted machine with systemd as its init and all controllers: davit.service, davit-container@.service and the generator.
# The same with more cases, but without controllers, is tests/integration/systemd-*.bats.
load lib

# check.service runs /check once the machine is up: NAME COMMAND... there is "ok NAME" or "not ok NAME" here.
systemd_machine() {
    vm_new systemd
    mkdir -p "$V/root/usr/lib/systemd/system-generators" "$V/root/etc/davit/systemd" "$V/root/var/lib/davit/images"
    make -s -C "$VM_SOURCE/../.." O="$DAVIT_BUILD" DESTDIR="$V/root" install-programs
    "$VM_SOURCE/base" "$DAVIT_BUILD" busybox
    cp -a "$DAVIT_BUILD/vm/base-busybox/var/lib/davit/images/." "$V/root/var/lib/davit/images/"
    vm_file /etc/systemd/system/check.service <<'U'
[Unit]
After=davit.service
[Service]
Type=oneshot
ExecStart=/check
ExecStopPost=/bin/systemctl poweroff --no-block
TimeoutStartSec=infinity
U
    mkdir -p "$V/root/etc/systemd/system/multi-user.target.wants"
    ln -s /etc/systemd/system/check.service "$V/root/etc/systemd/system/multi-user.target.wants/"
    ln -s /usr/lib/systemd/system/davit.service "$V/root/etc/systemd/system/multi-user.target.wants/"
    local unit
    for unit in getty.target systemd-networkd.service systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer \
        systemd-firstboot.service systemd-udev-settle.service console-getty.service serial-getty@.service; do
        ln -sf /dev/null "$V/root/etc/systemd/system/$unit"
    done
    echo 4e2b6e3f0c5d4a8e9f10213243546576 >"$V/root/etc/machine-id"
    { cat <<'S'
#!/bin/bash
result() { echo "$1 $2" >>/var/lib/result; }
check() { local name=$1; shift; if "$@"; then result ok "$name"; else result 'not ok' "$name: $*"; fi; }
property() { systemctl show --value -p "$2" "$1"; }
has() { local n; for n in $(seq 200); do [[ $(property "$1" "$2") == $3 ]] && return; sleep 0.5; done; property "$1" "$2" >>/var/lib/result; return 1; }
eventually() { local n; for n in $(seq 200); do "$@" && return; sleep 0.5; done; return 1; }
unit_has() { local n; for n in $(seq 200); do [ "$(davit status --json "$1" | jq -r "(if type == \"array\" then .[0] else . end) | .$2")" = "$3" ] && return; sleep 0.5; done; return 1; }
S
        cat
        echo 'result end end; sync'
    } | vm_file /check 755
}

# bats test_tags=long
@test 'systemd boots, containers of both kinds run, MemoryMax= ends one of each, and all of it stops' {
    systemd_machine <<'S'
has davit ActiveState active && result ok service
check fleet unit_has web state running
check status has davit StatusText '1 running*'
main=$(property davit MainPID)

# An own control group with its own limit, by davitd and by systemd: who eats too much is ended, and it is named.
davit start --no-block eater
check 'fleet oom' unit_has eater result oom-kill
check 'fleet goes on' unit_has web state running
check 'service goes on' has davit MainPID "$main"
systemctl start davit-container@hungry
check 'launched oom' has davit-container@hungry Result oom-kill
systemctl start davit-container@calm
systemctl set-property --runtime davit-container@calm MemoryMax=40M
group=/sys/fs/cgroup$(property davit-container@calm ControlGroup)
check 'set-property' test "$(cat "$group/memory.max")" = 41943040
check 'limit of the unit file' test "$(cat "$group/calm.container/pids.max")" = 77

# Generated at boot from /etc/davit/systemd; its limit is the service's.
check generated has generated ActiveState active
check 'generated limit' has generated MemoryMax 50331648
check 'exposure' grep -q 'Overall exposure level for davit.service: 8.1' <(systemd-analyze security --no-pager davit.service)

systemctl daemon-reexec
systemctl restart systemd-journald
check 'after reexec' unit_has web state running
check 'main process after reexec' has davit MainPID "$main"
systemctl stop davit
check stopped has davit ActiveState inactive
check 'stopped result' has davit Result success
S
    printf '[Container]\nImage=busybox\nExec=/bin/sh -c '\''trap "exit 0" TERM; while :; do sleep 1; done'\''\n[Install]\nWantedBy=multi-user.target\n' | vm_unit web.container
    # dd as pid 1: what is killed for memory is the container. Memory that counts and needs no program of its own: a file in /dev/shm.
    printf '[Container]\nImage=busybox\nMemory=16M\nExec=/bin/dd if=/dev/zero of=/dev/shm/x bs=1M count=60\n[Service]\nRestart=no\n' | vm_unit eater.container
    printf '[Container]\nImage=busybox\nMemory=16M\nExec=/bin/dd if=/dev/zero of=/dev/shm/x bs=1M count=60\n' | vm_unit hungry.container
    vm_file '/etc/systemd/system/davit-container@hungry.service.d/once.conf' <<<$'[Service]\nRestart=no'
    printf '[Container]\nImage=busybox\nPidsLimit=77\nExec=/bin/sleep 1000\n' | vm_unit calm.container
    vm_file /etc/davit/systemd/generated.container <<<$'[Container]\nImage=busybox\nMemory=48M\nExec=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target'
    vm_boot --init /sbin/init --memory 768 --timeout 500
    vm_get /var/lib/result
    vm_ended poweroff
    [ "$(vm_get /var/lib/result | grep -c '^ok ')" = 16 ]
    [ "$(vm_get /var/lib/result | tail -1)" = 'end end' ]
}

# bats test_tags=long
@test 'journald is stopped and restarted while containers write: nothing hangs, and each line is there once; killed it takes along at most one' {
    systemd_machine <<'S'
words() { journalctl -o cat --no-pager "UNIT=$1.container" | grep '^word '; }
has_last() { [ "$(journalctl -o cat --no-pager -n 1 "UNIT=$1.container" MESSAGE="word $2")" = "word $2" ]; }
# Each once, and in the order in which they were written; $3: but for so many.
all_words() {
    diff <(words "$1") <(seq -f 'word %.0f' "$2") | grep '^[<>]' | head -n 20 >/tmp/differs
    [ "$(wc -l </tmp/differs)" -le "${3:-0}" ] && ! grep -q '^<' /tmp/differs || { cat /tmp/differs >>/var/lib/result; return 1; }
}
unit_has steady state running
unit_has web state running
check 'lines come' eventually has_last steady 100
main=$(property davit MainPID) davitd=$(pidof davitd) logd=$(pidof davit-logd)

# Stopped: what is written now fills the FIFOs, and waits in them.
journald=$(property systemd-journald MainPID)
kill -STOP "$journald"
check 'start burst' timeout 60 davit start burst
check 'status' timeout 60 davit status
check 'burst runs' unit_has burst state running
check 'kill' timeout 60 davit kill --signal=KILL web
check 'end seen' unit_has web state failed
check 'reload' timeout 60 davit daemon-reload
check 'start other' timeout 60 davit start other
check 'other runs' unit_has other state running
check 'stop other' timeout 60 davit stop other
check 'journald stands still' grep -q '^State:.*stopped' "/proc/$journald/status"
kill -CONT "$journald"
check 'burst is there' eventually has_last burst 10000
check 'no line of burst is lost' all_words burst 10000

# Restarted while lines come.
last() { touch "/srv/talk/enough-$1"; unit_has "$1" state inactive; cat "/srv/talk/last-$1"; }
check 'restart' timeout 100 systemctl restart systemd-journald
check 'restart again' timeout 100 systemctl restart systemd-journald
n=$(last steady)
check 'steady has written' test "$n" -gt 200
check 'steady is there' eventually has_last steady "$n"
check 'no line of steady is lost' all_words steady "$n"

# Killed: what it has taken from its socket, and not written yet, is one line.
davit start second
systemctl kill -s KILL systemd-journald
check 'journald again' has systemd-journald ActiveState active
n=$(last second)
check 'second is there' eventually has_last second "$n"
check 'no line of second is lost' all_words second "$n" 1
check 'the same processes' test "$main $davitd $logd" = "$(property davit MainPID) $(pidof davitd) $(pidof davit-logd)"
S
    # More than the journal takes from one service in 30 s, and than the memory of /run has room for.
    printf '[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\n' | vm_file /etc/systemd/journald.conf.d/all.conf
    vm_file /srv/talk/writer <<'S'
i=0
until [ -e "/talk/enough-$1" ]; do
    i=$((i + 1))
    echo "word $i"
    [ $((i % 20)) != 0 ] || sleep 0.1
done
echo "$i" >"/talk/last-$1"
S
    printf '[Container]\nImage=busybox\nVolume=/srv/talk:/talk\nExec=/bin/sh /talk/writer second\n[Service]\nRestart=no\n' | vm_unit second.container
    printf '[Container]\nImage=busybox\nVolume=/srv/talk:/talk\nExec=/bin/sh /talk/writer steady\n[Service]\nRestart=no\n[Install]\nWantedBy=multi-user.target\n' | vm_unit steady.container
    printf '[Container]\nImage=busybox\nExec=/bin/sh -c "payload lines 10000 word; exec sleep 1000"\nStopSignal=KILL\n' | vm_unit burst.container
    printf '[Container]\nImage=busybox\nExec=/bin/sleep 1000\n[Service]\nRestart=no\n[Install]\nWantedBy=multi-user.target\n' | vm_unit web.container
    printf '[Container]\nImage=busybox\nExec=/bin/sleep 1000\nStopSignal=KILL\n' | vm_unit other.container
    vm_boot --init /sbin/init --memory 768 --timeout 500
    vm_get /var/lib/result
    vm_ended poweroff
    [ "$(vm_get /var/lib/result | grep -c '^ok ')" = 22 ]
    [ "$(vm_get /var/lib/result | tail -1)" = 'end end' ]
}
