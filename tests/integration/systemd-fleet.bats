#!/usr/bin/env bats
# davit.service under a real systemd: what systemd sees of the fleet, and that nothing it does loses a container or a line.
# shellcheck disable=SC2016 # scripts for a shell or awk in there

bats_require_minimum_version 1.5.0
load systemd

file_prepare() {
    printf '[Container]\nImage=busybox\nExec=/bin/sh -c '\''trap "exit 0" TERM; while :; do sleep 0.1; done'\''\n[Install]\nWantedBy=multi-user.target\n' >"$S/etc/davit/units/web.container"
}
setup_file() { systemd_file_start davit.service WatchdogSec=2min; }
teardown_file() { systemd_file_stop; }
setup() {
    [ -z "$SD_MISSING" ] || skip "$SD_MISSING"
    sd systemctl start davit
    wait_for 60 unit_is web running
}
teardown() { systemd_failed_journal; }

fleet() { sd davit status --json "$1" | jq -r "(if type == \"array\" then .[0] else . end) | .$2"; }
unit_is() { [ "$(fleet "$1" state)" = "$2" ]; }
# Writes $1 lines, and then waits.
lines_unit() { printf '[Container]\nImage=busybox\nExec=/bin/sh -c "payload lines %s word; exec payload serve 0"\n' "$2" | sd_unit "$1.container"; sd davit daemon-reload; }
has_last() { journal "UNIT=$1.container" | grep -q "^word $2\$"; }
part_pid() { sd pgrep -P "$(main_pid davit)" -f "^$1"; }
part_is_new() { local pid; pid=$(part_pid "$1") && [ "$pid" != "$2" ]; }

@test "systemctl status shows the fleet, and what it says of it" {
    wait_for 60 has_property davit StatusText '1 running'
    sd systemctl status --no-pager davit | grep -q 'web.container'
    has_property davit ActiveState active
}

@test "davit.service is what davit-systemd(7) says of it" {
    local setting
    while read -r setting; do has_property davit "${setting%%=*}" "${setting#*=}"; done <<'S'
Type=notify
NotifyAccess=main
Delegate=yes
FileDescriptorStoreMax=8192
KillMode=mixed
OOMPolicy=continue
Restart=on-failure
TimeoutStopUSec=3min
RuntimeDirectoryPreserve=yes
NoNewPrivileges=no
S
    [ "$(sd systemctl cat davit.service | sed -n 's/^WatchdogSec=//p')" = $'3min\n2min' ] # the second is of this file
}

@test "the units that are installed have no mistakes, and their exposure is the stated one" {
    sd systemd-analyze verify --man=no /usr/lib/systemd/system/davit.service /usr/lib/systemd/system/davit-container@web.service
    [[ $(sd systemd-analyze security --no-pager --offline=yes davit.service | tail -1) == *' 8.1 '* ]]
    [[ $(sd systemd-analyze security --no-pager --offline=yes davit-container@.service | tail -1) == *' 8.'[0-3]' '* ]]
}

@test "systemctl reload is davit daemon-reload, and a failure of it is seen" {
    printf '[Container]\nImage=busybox\nExec=/bin/true\n' | sd_unit new.container
    sd systemctl reload davit
    [ "$(fleet new state)" = inactive ]
    has_property davit ActiveState active
}

# Of the entry with that message, which fields davit has written, in the order of the alphabet.
own_fields() { jq -r --arg message "$2" 'select(.MESSAGE == $message) | keys | map(select(startswith("_") | not)) | join(" ")' "$1"; }

@test "the journal has the fields of units and of their output, and no others" {
    printf '[Container]\nImage=busybox\nContainerName=speaker\nExec=/bin/sh -c "echo one line; exit 3"\n' | sd_unit fields.container
    sd davit daemon-reload
    sd davit start fields
    wait_for 60 unit_is fields failed
    has_line() { [ "$(journal UNIT=fields.container CONTAINER_NAME=speaker)" != '' ] && journal CONTAINER_NAME=speaker | grep -q '^one line$'; }
    wait_for 60 has_line
    has_end() { journal CONTAINER_NAME=speaker | grep -qx "fields.container: Failed with result 'exit-code'\."; }
    wait_for 60 has_end
    sd journalctl -o json --no-pager CONTAINER_NAME=speaker >"$BATS_TEST_TMPDIR/all"
    id=$(jq -r 'select(.MESSAGE == "one line") | .INVOCATION_ID' "$BATS_TEST_TMPDIR/all")
    [ "${#id}" = 32 ]
    [ "$(jq -r 'select(.MESSAGE == "one line") | ._SYSTEMD_UNIT' "$BATS_TEST_TMPDIR/all")" = davit.service ]
    [ "$(own_fields "$BATS_TEST_TMPDIR/all" 'one line')" = 'CONTAINER_NAME INVOCATION_ID MESSAGE PRIORITY SYSLOG_IDENTIFIER UNIT' ]
    [ "$(jq -r 'select(.MESSAGE == "one line") | "\(.SYSLOG_IDENTIFIER) \(.PRIORITY)"' "$BATS_TEST_TMPDIR/all")" = 'fields 6' ]
    [ "$(own_fields "$BATS_TEST_TMPDIR/all" "fields.container: Failed with result 'exit-code'.")" = \
        'CONTAINER_NAME EXIT_CODE EXIT_STATUS INVOCATION_ID MESSAGE MESSAGE_ID PRIORITY RESTART_COUNT RESULT SYSLOG_FACILITY SYSLOG_IDENTIFIER UNIT' ]
    jq -e "select(.MESSAGE_ID == \"d9b373ed55a64feb8242e02dbe79a49c\" and .RESULT == \"exit-code\" and .INVOCATION_ID == \"$id\")" "$BATS_TEST_TMPDIR/all"
}

# A davitd that gets no processor for a while hangs, too, so this is short for one test alone. What watches davitd is davit-init.
@test "a davitd that hangs is replaced: the service and the containers do not notice" {
    sd sh -c 'printf "[Service]\nEnvironment=DAVIT_WATCHDOG_USEC=1000000\n" >/etc/systemd/system/davit.service.d/zz-short.conf
        systemctl daemon-reload && systemctl restart davit'
    wait_for 60 unit_is web running
    pid=$(fleet web pid) davitd=$(part_pid davitd) service=$(main_pid davit)
    sd kill -STOP "$davitd"
    wait_for 60 part_is_new davitd "$davitd"
    web_is() { [ "$(fleet web 'state + " \(.pid)"')" = "running $1" ]; }
    wait_for 60 web_is "$pid"
    [ "$(main_pid davit)" = "$service" ]
    has_property davit NRestarts 0
    sd sh -c 'rm /etc/systemd/system/davit.service.d/zz-short.conf; systemctl daemon-reload && systemctl restart davit'
}

@test "journald is stopped for a while: nothing of davit blocks, and no line is lost" {
    lines_unit quiet 2000
    journald=$(main_pid systemd-journald)
    sd kill -STOP "$journald"
    sd davit start quiet
    wait_for 60 unit_is quiet running
    sd timeout 60 davit status >/dev/null
    sd davit kill --signal=KILL web
    wait_for 60 unit_is web failed
    sd kill -CONT "$journald"
    wait_for 60 has_last quiet 2000
    [ "$(journal UNIT=quiet.container | grep -c '^word ')" = 2000 ]
    sd davit stop quiet
    sd davit start web
}

@test "journald is restarted and killed while containers write: each line is there once, but for one that journald had in hand" {
    lines_unit steady 20000
    sd davit start steady
    sd systemctl restart systemd-journald
    sd systemctl kill -s KILL systemd-journald
    wait_for 60 has_last steady 20000
    journal UNIT=steady.container | grep '^word ' >"$BATS_TEST_TMPDIR/words"
    # It takes one line at a time from its socket, and nobody but it knows of it then.
    [ "$(wc -l <"$BATS_TEST_TMPDIR/words")" -ge 19999 ]
    [ "$(sort "$BATS_TEST_TMPDIR/words" | uniq -d)" = '' ]
    sd davit stop steady
}

@test "systemctl daemon-reexec and daemon-reload leave the fleet alone" {
    pid=$(fleet web pid) service=$(main_pid davit)
    sd systemctl daemon-reexec
    sd systemctl daemon-reload
    [ "$(main_pid davit)" = "$service" ]
    [ "$(fleet web pid)" = "$pid" ]
    wait_for 60 has_property davit StatusText '1 running*'
}

@test "each part is killed: the parts are there again, the containers the same" {
    pid=$(fleet web pid) launcher=$(part_pid 'davit-launch 0')
    sd kill -KILL "$launcher" "$(part_pid davit-logd)" "$(part_pid davitd)"
    wait_for 60 part_is_new 'davit-launch 0' "$launcher"
    wait_for 60 unit_is web running
    [ "$(fleet web pid)" = "$pid" ]
}

@test "davitd keeps dying: the containers stay, systemctl status and the journal say so, and it is tried again" {
    pid=$(fleet web pid) service=$(main_pid davit) old=$(part_pid davitd)
    sd sh -c 'mv /usr/lib/davit/davitd /usr/lib/davit/away && ln -s /bin/false /usr/lib/davit/davitd'
    sd kill -KILL "$old"
    wait_for 60 has_property davit StatusText 'davitd keeps dying (*'
    wait_for 60 has_journal davit 'davitd keeps dying ('
    # Each time it is waited longer.
    journal -u davit | awk '/davitd exited .*starting it again in/ { print $NF ~ /ms$/ ? $NF + 0 : $NF * 1000 }' >"$BATS_TEST_TMPDIR/delays"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/delays")" -ge 2 ]
    sort -nuc "$BATS_TEST_TMPDIR/delays"
    sd kill -0 "$pid"
    has_property davit ActiveState active
    sd mv /usr/lib/davit/away /usr/lib/davit/davitd
    wait_for 60 unit_is web running
    [ "$(fleet web pid)" = "$pid" ]
    [ "$(main_pid davit)" = "$service" ]
    wait_for 60 has_property davit StatusText '1 running*'
}

# A program of web's own is called like the shell until it is executed.
one_copy() { [ "$(sd pgrep -f '^/bin/sh -c trap' | wc -l)" = 1 ]; }

@test "systemctl kill: HUP is a reload, KILL is a failure that systemd answers, TERM to all is a stop in order" {
    printf '[Container]\nImage=busybox\nExec=/bin/true\n' | sd_unit hup.container
    sd systemctl kill --kill-whom=main -s HUP davit
    is_known() { [ "$(fleet hup state)" = inactive ]; }
    wait_for 60 is_known

    restarts=$(property davit NRestarts)
    sd systemctl kill -s KILL davit
    wait_for 60 has_property davit NRestarts $((restarts + 1))
    wait_for 60 unit_is web running
    wait_for 60 one_copy

    sd systemctl kill davit
    wait_for 60 has_active davit inactive
    has_property davit Result success
    run ! sd pgrep -f '^/bin/sh -c trap'
}

@test "systemctl stop stops the containers, in order, and leaves nothing" {
    sd systemctl stop davit
    has_property davit Result success
    run ! sd pgrep -f 'sleep 0.1'
    wait_for 60 sd test ! -e /sys/fs/cgroup/system.slice/davit.service
    [ "$(sd sh -c 'ls /var/lib/davit/containers/web.container 2>/dev/null')" = '' ]
}

@test "davit-init is killed and its containers stay: what systemd keeps for it comes back" {
    sd sh -c 'cp /usr/share/doc/davit/examples/keep-containers.conf /etc/systemd/system/davit.service.d/ && systemctl daemon-reload'
    printf '%s\n' '[Container]' Image=busybox Notify=yes \
        'Exec=/bin/sh -c "payload notify READY=1; i=0; while :; do i=$$((i + 1)); echo beat $$i; payload notify STATUS=$$i WATCHDOG=1; sleep 0.02; done"' \
        '[Service]' NotifyAccess=all WatchdogSec=60 | sd_unit talker.container
    sd davit daemon-reload
    sd davit start talker
    pid=$(fleet talker pid) web=$(fleet web pid)
    kept() { [ "$(property davit NFileDescriptorStore)" -ge "$1" ]; } # two FIFOs, a notify socket, davit-logd's memory
    wait_for 60 kept 4

    restarts=$(property davit NRestarts)
    sd kill -KILL "$(main_pid davit)"
    wait_for 60 has_property davit NRestarts $((restarts + 1))
    wait_for 60 has_active davit active
    wait_for 60 unit_is talker running
    [ "$(fleet talker pid)" = "$pid" ]
    [ "$(fleet web pid)" = "$web" ]
    # It is still heard, over the socket that it has had from the beginning.
    said=$(fleet talker status_text)
    says_more() { [ "$(fleet talker status_text)" -gt "$said" ]; }
    wait_for 60 says_more

    sd davit stop talker
    wait_for 60 has_property davit NFileDescriptorStore 3 # web's FIFO, its pidfd (it is no child of this davit-init), davit-logd's memory
    sd journalctl --sync
    journal UNIT=talker.container | grep '^beat ' >"$BATS_TEST_TMPDIR/beats"
    [ "$(sort "$BATS_TEST_TMPDIR/beats" | uniq -d)" = '' ]
    [ "$(wc -l <"$BATS_TEST_TMPDIR/beats")" = "$(tail -n 1 "$BATS_TEST_TMPDIR/beats" | cut -d' ' -f2)" ]
    sd rm /etc/systemd/system/davit.service.d/keep-containers.conf
    sd systemctl daemon-reload
}

# bats test_tags=long
@test "davit-init hangs: systemd's watchdog ends it, the next one has the containers" {
    sd sh -c 'cp /usr/share/doc/davit/examples/keep-containers.conf /etc/systemd/system/davit.service.d/
        printf "[Service]\nWatchdogSec=4\n" >/etc/systemd/system/davit.service.d/zz-short.conf
        systemctl daemon-reload && systemctl restart davit'
    wait_for 60 unit_is web running
    pid=$(fleet web pid) restarts=$(property davit NRestarts)
    sd kill -STOP "$(main_pid davit)"
    more_restarts() { [ "$(property davit NRestarts)" -gt "$restarts" ]; }
    wait_for 60 more_restarts
    wait_for 60 has_active davit active
    wait_for 60 unit_is web running
    [ "$(fleet web pid)" = "$pid" ]
    sd journalctl --no-pager -u davit | grep -q 'Watchdog timeout'
    sd sh -c 'rm /etc/systemd/system/davit.service.d/{keep-containers,zz-short}.conf; systemctl daemon-reload && systemctl restart davit'
    wait_for 60 unit_is web running
}

@test "with the drop-in keep-containers.conf, a stop and the death of davit-init leave the containers running" {
    sd sh -c 'cp /usr/share/doc/davit/examples/keep-containers.conf /etc/systemd/system/davit.service.d/ && systemctl daemon-reload'
    pid=$(fleet web pid)
    sd systemctl stop davit
    has_property davit ActiveState inactive
    run ! sd pgrep -x davitd
    sd kill -0 "$pid"
    sd systemctl start davit
    wait_for 60 unit_is web running
    [ "$(fleet web pid)" = "$pid" ]

    main=$(main_pid davit)
    sd kill -KILL "$main"
    wait_for 60 has_property davit NRestarts 1
    wait_for 60 has_active davit active
    [ "$(main_pid davit)" != "$main" ]
    wait_for 60 unit_is web running
    [ "$(fleet web pid)" = "$pid" ]
    wait_for 60 one_copy
    sd rm /etc/systemd/system/davit.service.d/keep-containers.conf
}
