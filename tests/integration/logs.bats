#!/usr/bin/env bats
# What containers write: each line once, in order, whole, with its priority, in files that do not grow for ever.
# shellcheck disable=SC2016
load common

units() {
    printf 'log_sink = "file";\nlog_max_size = 1048576;\nlog_max_files = 8;\n' >"$D/davit.conf"
    unit priorities.container <<'U'
[Container]
Image=busybox
Exec=/bin/sh -c 'echo "<3>bad"; echo "<7>fine detail"; echo plain; echo "<9>no priority"; echo "<3 no end"; echo to stderr >&2'
[Service]
Type=oneshot
U
    unit partial.container <<'U'
[Container]
Image=busybox
Exec=/bin/sh -c 'printf "begin "; sleep 0.3; printf "middle "; sleep 0.3; printf "end\n"; printf "no newline at the end"'
[Service]
Type=oneshot
U
    unit long.container <<'U'
[Container]
Image=busybox
Exec=/bin/sh -c 'head -c 200000 /dev/zero | tr "\\000" x; echo; echo after'
[Service]
Type=oneshot
U
    unit odd.container <<'U'
[Container]
Image=busybox
Exec=/bin/sh -c 'printf "a\\000b\n"; printf "\\377\\376 no utf8\n"; printf "tab\\there\\033[31mred\n"; echo; echo last'
[Service]
Type=oneshot
U
    unit many.container <<'U'
[Container]
Image=busybox
Exec=/bin/payload lines 100000 number
[Service]
Type=oneshot
U
    unit two-writers.container <<'U'
[Container]
Image=busybox
Exec=/bin/sh -c 'payload lines 3000 left & payload lines 3000 right >&2; wait'
[Service]
Type=oneshot
U
    unit beat.container <<'U'
[Container]
Image=busybox
Exec=/bin/sh -c 'i=0; while :; do i=$((i + 1)); echo "beat $i"; sleep 0.1; done'
RunInit=yes
U
    unit 'odd:name_1.2-x@.container' <<'U'
[Container]
Image=busybox
Exec=/bin/sh -c 'echo "this is %i"'
[Service]
Type=oneshot
U
    unit host.service <<'U'
[Service]
Type=oneshot
ExecStartPre=/bin/sh -c 'echo from pre'
ExecStart=/bin/sh -c 'echo from main'
U
}
setup_file() { fleet_setup; }
teardown_file() { fleet_teardown; }

# Starts oneshots, and waits for the end of their clean-up: a start is over with the program, and its last lines may not be
# in the log yet.
ran() {
    local unit
    davit start "$@"
    for unit; do wait_for 60 is_state "$unit" inactive; done
}

@test 'the prefix <N> is taken off, what only looks like one stays' {
    ran priorities
    [ "$(text_of priorities | tr '\n' '|')" = 'bad|fine detail|plain|<9>no priority|<3 no end|to stderr|' ]
}

@test 'a line that comes in parts is one line; the last one needs no end' {
    ran partial
    [ "$(text_of partial | tr '\n' '|')" = 'begin middle end|no newline at the end|' ]
}

@test 'a line of 200,000 characters is whole' {
    ran long
    [ "$(text_of long | head -n 1 | tr -d '\n' | wc -c)" -eq 200000 ]
    [ "$(text_of long | tail -n 1)" = after ]
}

@test 'bytes that are no text do not end the log, nor reach a terminal' {
    ran odd
    [ "$(text_of odd | wc -l)" -eq 5 ]
    davit logs -o json odd | jq -es 'length == 5'
    script -qec "'$DAVIT_BUILD/davit' logs odd" /dev/null </dev/null >"$D/terminal"
    refute grep -q $'there\033\[31mred' "$D/terminal"
}

@test '100,000 lines: each once and in order, in rotated files' {
    ran many
    text_of many >"$D/many.txt"
    [ "$(wc -l <"$D/many.txt")" -eq 100000 ]
    seq -f 'number %.0f' 100000 | cmp - "$D/many.txt"
    [ "$(find "$D/log" -name 'many.container.log*' | wc -l)" -gt 2 ]
    [ "$(find "$D/log" -name 'many.container.log*' -size +1100k | wc -l)" -eq 0 ]
    [ "$(find "$D/log" -name 'many.container.log*' | wc -l)" -le 8 ]
}

@test 'rotation throws away the oldest, never what is in between' {
    ran many
    ran many
    [ "$(find "$D/log" -name 'many.container.log*' | wc -l)" -le 8 ]
    text_of many | awk '$1 == "number" {if (last && $2 != last + 1 && $2 != 1) {print "gap", last, $2; bad = 1} last = $2} END {exit bad || last != 100000}'
}

@test 'a file in the CRI format, readable to its owner' {
    ran priorities
    head -n 1 "$D/log/priorities.container.log" | grep -qE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]+) (stdout|stderr) F bad$'
    [ "$(($(stat -c %#a "$D/log/priorities.container.log") & 022))" -eq 0 ]
}

@test 'two processes that write at once: no line torn, none lost' {
    ran two-writers
    [ "$(text_of two-writers | grep -cE '^(left|right) [0-9]+$')" -eq 6000 ]
    [ "$(text_of two-writers | sort -u | wc -l)" -eq 6000 ]
}

@test 'logs -n' {
    ran priorities
    [ "$(davit logs -n 1 -o cat priorities)" = 'to stderr' ]
    [ "$(davit logs -n 2 -o cat priorities | head -n 1)" = '<3 no end' ]
    [ -z "$(davit logs -n 0 -o cat priorities)" ]
}

@test 'logs --since and --until' {
    davit start beat
    wait_for 60 has_line beat 'beat 5'
    sleep 1.2
    since=$(date '+%Y-%m-%d %H:%M:%S')
    wait_for 60 has_since "$since"
    first=$(davit logs --since "$since" -o cat beat | head -n 1 | cut -d' ' -f2)
    echo "first $first"
    [ "$first" -gt 5 ]
    last=$(davit logs --until "$since" -o cat beat | tail -n 1 | cut -d' ' -f2)
    [ "$last" -lt "$first" ]
    [ $((first - last)) -eq 1 ]
    [ -z "$(davit logs --since '+1h' -o cat beat)" ] || [ -z "$(davit logs --since tomorrow -o cat beat)" ]
    davit stop beat
}

has_since() { davit logs --since "$1" -o cat beat | grep -q .; }

# follow UNIT LINES: begins to write to $D/follow what UNIT logs from now on, and the last LINES before
follow() {
    : >"$D/follow"
    "$DAVIT_BUILD/davit" logs -f -n "$2" -o cat "$1" >"$D/follow" 3>&- &
    follower=$!
    wait_for 60 test -s "$D/follow"
}
has_followed() { [ "$(grep -c . "$D/follow")" -ge "$1" ]; }
unfollow() {
    kill "$follower"
    wait "$follower" || [ $? -eq $((128 + 15)) ]
}

@test 'logs -f shows what was, and what comes, and ends when told' {
    davit start beat
    wait_for 60 has_line beat 'beat 3'
    follow beat 3
    wait_for 60 has_followed 9
    unfollow
    davit stop beat
    awk '{if (last && $2 != last + 1 && $2 != 1) {print "gap", last, $2; exit 1} last = $2}' "$D/follow"
}

@test 'logs -f goes on over a rotation' {
    # The last line of the time before, so that it is seen to be there.
    ran many
    follow many 1
    ran many
    wait_for 60 has_followed 100001
    unfollow
    seq -f 'number %.0f' 100000 | cmp - <(tail -n +2 "$D/follow")
}

@test 'logs of several units are merged by time; of all, too' {
    ran priorities partial
    says "$(davit logs priorities partial | head -n 1)" priorities
    [ "$(davit logs -o cat priorities partial | wc -l)" -ge 8 ]
    davit logs -n 5 >/dev/null
}

@test 'a unit with an odd name has a log, and one that does not exist has none' {
    davit start 'odd:name_1.2-x@a\x2db.container'
    wait_for 60 has_line 'odd:name_1.2-x@a\x2db' 'this is a'
    run davit logs nothing-of-that-name
    [ "$status" -ne 0 ] || [ -z "$output" ] || { echo "$output"; false; }
}

@test 'a host service and its hooks' {
    ran host
    [ "$(text_of host | tr '\n' '|')" = 'from pre|from main|' ]
}

@test 'a full log disk stops nobody for good, and is said' {
    other_fleet tiny_units log size=400k
    printf 'log_sink = "file";\nlog_max_size = 262144;\nlog_max_files = 1;\n' >"$D/davit.conf"
    davit daemon-reload
    dd if=/dev/zero of="$D/log/filler" bs=4k 2>/dev/null || true
    davit start --no-block writes
    wait_for 60 grep -q 'davit-logd: cannot write output of writes.container .*No space left' "$D/init.log"
    davit status >/dev/null
    rm "$D/log/filler"
    wait_for 60 has_line writes 'line 5000'
    wait_for 60 grep -q 'davit-logd can write again' "$D/init.log"
    refute grep -q 'having it replaced' "$D/init.log" # it was none that hangs
    [ "$(manager_pid)" = "$(cat "$D/manager")" ]
    text_of writes | awk '{if (last && $2 != last + 1) {print "gap", last, $2; exit 1} last = $2}'
}
tiny_units() {
    unit writes.container <<<$'[Container]\nImage=busybox\nExec=/bin/payload lines 5000\n[Service]\nType=oneshot'
}

# A journal of our own, at the journal's place, in a mount namespace of its own.
@test 'the journal gets priority, unit and message' {
    export OTHER=1
    davit_new
    davit_image
    printf 'log_sink = "journal";\n' >"$D/davit.conf"
    unit priorities.container <<'U'
[Container]
Image=busybox
Exec=/bin/sh -c 'echo "<3>bad"; echo "<7>fine detail"; echo plain'
[Service]
Type=oneshot
U
    cat >"$D/journal.py" <<'P'
import os, socket, sys
os.makedirs('/run/systemd/journal')
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind('/run/systemd/journal/socket')
os.chmod('/run/systemd/journal/socket', 0o666)
out = open(sys.argv[1], 'ab', 0)
while True:
    out.write(s.recv(1 << 20) + b'\n')
P
    # The unit's output comes from davit-logd, what is said of it from davitd.
    run timeout 200 unshare -m --propagation private sh -ec '
        mount -t tmpfs tmpfs /run
        soon() { for n in $(seq 600); do if "$@" >/dev/null 2>&1; then break; fi; sleep 0.1; done; }
        setpriv --pdeathsig KILL python3 "$D/journal.py" "$D/journal" & journal=$!
        soon test -S /run/systemd/journal/socket
        "$DAVIT_BUILD/davit-init" >"$D/init.log" 2>&1 </dev/null & init=$!
        soon "$DAVIT_BUILD/davit" status
        "$DAVIT_BUILD/davit" start priorities || true
        soon grep "^MESSAGE=plain" "$D/journal"
        soon grep "^MESSAGE_ID=39f53479d3a045ac8e11786248231fbf" "$D/journal"
        kill "$init"; wait "$init" || true; kill "$journal"'
    cat "$D/journal"
    entry() { awk -v RS= -v m="MESSAGE=$1" 'index($0 "\n", m "\n")' "$D/journal"; }
    says "$(entry bad)" PRIORITY=3
    says "$(entry 'fine detail')" PRIORITY=7
    says "$(entry plain)" PRIORITY=6
    says "$(entry plain)" UNIT=priorities.container
    says "$(entry plain)" CONTAINER_NAME=systemd-priorities
    grep -q '^MESSAGE_ID=39f53479d3a045ac8e11786248231fbf' "$D/journal"
    grep -qE '^INVOCATION_ID=[0-9a-f]{32}' "$D/journal"
}
