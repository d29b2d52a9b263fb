#!/usr/bin/env bats
# Units whose image has to be fetched first: the state preparing, one download for many, and what happens when one of the parts is
# killed or the registry is not there.

# shellcheck source=tests/integration/registry.bash
. "$BATS_TEST_DIRNAME/registry.bash"

setup_file() {
    registry_setup
    # What goes through it can be held back: "hold" in $D/gate stops blobs until it is gone.
    fake_start gate --proxy "$(port plain)" --gate "$D/gate"
    printf 'log_sink = "file";\nstart_concurrency = 1;\nregistries = { search = []; registry = (\n  { prefix = "127.0.0.1:%s"; plain_http = true; },\n  { prefix = "gate.test"; location = "127.0.0.1:%s"; plain_http = true; },\n  { prefix = "away.test"; location = "127.0.0.1:1"; plain_http = true; } ); };\n' \
        "$(port plain)" "$(port gate)" >"$D/davit.conf"
    unit 'plain.container' <<<"[Container]
Image=127.0.0.1:$(port plain)/team/web:1
Exec=/bin/sh -c 'cat /web; exec sleep 1000'
StopSignal=SIGKILL"
    for name in one two; do
        unit "$name.container" <<<"[Container]
Image=gate.test/team/big:1
Exec=/bin/sleep 1000
StopSignal=SIGKILL"
    done
    unit quick.container <<<"[Container]
Image=busybox
Exec=/bin/sleep 1000
StopSignal=SIGKILL"
    davit_image
    davit_start
    echo "$DAVIT_PID" >"$D/pid"
}
teardown_file() {
    DAVIT_PID=$(cat "$D/pid" 2>/dev/null || true)
    registry_teardown
}
setup() { rm -f "$D/gate"; }
hold() { echo hold >"$D/gate"; : >"$D/gate.requests"; }
go_on() { rm -f "$D/gate"; }
# Everything that is in the store goes, and what runs is stopped.
empty() {
    davit stop plain one two 2>/dev/null || true
    wait_for 60 no_workers # gc may still be at it after an image has come in
    rm -rf "$D"/state/images/{blobs,layers,references,work,uses,lock}
}
blob_requests() { grep -c '^GET .*/blobs/' "$D/gate.requests" || true; }
is_fetching() { says "$(davit status "$1")" 'Fetching'; }
workers() { pgrep -f "^$DAVIT_BUILD/davit-image .*--store=$D/" || true; }
has_workers() { [ -n "$(workers)" ]; }
no_workers() { [ -z "$(workers)" ]; }

# The registry's own log has it when the answer is out. Manifest, configuration, two layers.
was_asked() { [ "$(grep -c 'uri="\?/v2/team/web/.*useragent=davit' "$D/plain.log")" = "$1" ]; }
@test 'from cold to running: the image is fetched, and the container runs from it; the second start asks nobody' {
    empty
    davit start plain
    is_state plain running
    wait_for 60 has_line plain web
    wait_for 60 was_asked 4
    davit stop plain
    davit start plain
    davit stop plain
    was_asked 4
}

@test 'preparing: seen in the status, others start meanwhile, and a stop ends it' {
    empty
    hold
    davit start --no-block one
    wait_for 60 is_state one preparing
    wait_for 60 is_fetching one
    # start_concurrency is 1: a fetch must not hold the one slot.
    timeout 200 "$DAVIT_BUILD/davit" start quick
    davit stop quick
    davit stop one
    is_state one inactive
    wait_for 60 no_workers
    go_on
    davit start one
    davit stop one
}

@test 'two units, one image: one download' {
    empty
    hold
    davit start --no-block one two
    wait_for 60 is_fetching one
    wait_for 60 is_fetching two
    [ "$(workers | wc -l)" = 1 ]
    go_on
    davit start one two
    is_state one running
    is_state two running
    # configuration and two layers, each once
    [ "$(blob_requests)" = 3 ]
    davit stop one two
}

@test 'a worker that is killed: the unit goes on with another, where the first one was' {
    empty
    hold
    davit start --no-block one
    wait_for 60 is_fetching one
    wait_for 60 has_workers
    # shellcheck disable=SC2046 # one word a process
    kill -KILL $(workers)
    go_on
    davit start one
    is_state one running
    wait_for 60 no_workers
    davit image gc >/dev/null # takes what the killed one has left
    no_leftovers
    davit stop one
}

# bats test_tags=long
@test 'preparing: SIGKILL of davit-launch and davit-logd while an image is fetched, the unit runs' {
    local part pid
    for part in davit-launch davit-logd; do
        empty
        hold
        davit start --no-block one
        wait_for 60 is_fetching one
        for pid in $(pgrep -P "$(cat "$D/pid")"); do
            if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = $part ]; then kill -KILL "$pid"; fi
        done
        wait_for 60 is_fetching one
        go_on
        wait_for 60 is_state one running
        wait_for 60 no_workers
        no_leftovers
        davit stop one
    done
}

@test 'davitd is killed while an image is fetched: it is not fetched twice, and the unit runs' {
    empty
    hold
    davit start --no-block one
    wait_for 60 is_fetching one
    wait_for 60 has_workers
    first=$(workers)
    kill -KILL "$(manager_pid)"
    wait_for 60 is_state one preparing
    kill -0 "$first"
    go_on
    wait_for 60 is_state one running
    [ "$(blob_requests)" = 3 ]
    wait_for 60 no_workers
    no_leftovers
    davit stop one
}

@test 'Pull=never, an image that is nowhere, and a name that is none: failures that say so' {
    unit never.container <<<"[Container]
Image=127.0.0.1:$(port plain)/team/other:1
Pull=never"
    unit nowhere.container <<<"[Container]
Image=127.0.0.1:$(port plain)/team/nowhere:1"
    unit odd.container <<<"[Container]
Image=127.0.0.1:$(port plain)/BAD"
    davit daemon-reload
    run -1 davit start never
    has_result never resources
    says "$(davit status never || true)" 'no image'
    run -1 davit start nowhere
    says "$(davit status nowhere || true)" 'does not have it'
    run -1 davit start odd
}

@test 'no network: tried again until TimeoutPrepareSec= is over' {
    unit away.container <<<"[Container]
Image=away.test/team/web:1
Retry=0
[Service]
TimeoutPrepareSec=4s"
    davit daemon-reload
    local begin=$EPOCHREALTIME
    run -1 davit start away
    [ $((${EPOCHREALTIME/[.,]/} - ${begin/[.,]/})) -gt 1000000 ] # the first time that it is tried again
    is_state away failed
    says "$(davit status away || true)" 'Failed to connect'
}
says_failure() { says "$(davit status "$1" || true)" "$2"; }

@test 'a registry that comes up late: the unit starts by itself' {
    empty
    late=$(free_port)
    unit late.container <<<"[Container]
Image=late.test/team/web:1
Exec=/bin/sleep 1000
Retry=0
StopSignal=SIGKILL"
    sed -i "s|{ prefix = \"away|{ prefix = \"late.test\"; location = \"127.0.0.1:$late\"; plain_http = true; },\n { prefix = \"away|" "$D/davit.conf"
    davit daemon-reload
    davit start --no-block late
    wait_for 60 says_failure late 'Failed to connect'
    fake_start later --proxy "$(port plain)" --port "$late"
    wait_for 60 is_state late running
    davit stop late
}

# fill KIB: the store's disk, up to so much above the last 5 %
fill() {
    local size available
    read -r size available < <(df -k --output=size,avail "$D/state/images" | tail -n 1)
    head -c "$((available - size / 20 - $1))K" /dev/zero >>"$D/state/images/filler"
}
# What nothing leads to any more is all that may go: here it is enough.
@test 'a disk that is too full for an image: gc first, and the unit runs' {
    empty
    davit stop quick
    cp -a "$D/state/images/busybox" "$D/box"
    mount -t tmpfs -o size=24M tmpfs "$D/state/images"
    echo 'image_unused_for = "0s";' >>"$D/davit.conf"
    mkdir "$D/garbage"
    head -c 8M /dev/urandom >"$D/garbage/file"
    davit image import "$D/garbage" garbage
    davit image untag garbage
    # The layer of garbage is there, and next to nothing is left above the last 5 %.
    fill 256
    [ "$(layers)" = 1 ]
    davit start plain
    is_state plain running
    [ -z "$(find "$D/state/images/layers" -path '*/tree/file')" ]
    davit stop plain
    # Where it does not help, that is the end of it.
    empty
    fill 256
    run ! davit start plain
    says "$(davit status plain)" 'the last 5 %'
    davit reset-failed plain
    wait_for 60 umount "$D/state/images" # gc may still be at it
    cp -a "$D/box" "$D/state/images/busybox"
    sed -i '/image_unused_for/d' "$D/davit.conf"
}

@test 'an .image unit: fetched once, before the container that names it' {
    empty
    unit base.image <<<"[Image]
Image=127.0.0.1:$(port plain)/team/web:1"
    unit based.container <<<"[Container]
Image=base.image
Exec=/bin/sh -c 'cat /web; exec sleep 1000'
StopSignal=SIGKILL"
    davit daemon-reload
    davit start based
    is_state base.image running
    is_state based running
    wait_for 60 has_line based web
    davit stop based base.image
    # Policy=always: without a registry it fails, and takes the container along; missing does not.
    unit gone.image <<<"[Image]
Image=away.test/team/web:1
Retry=0
[Service]
TimeoutPrepareSec=2s"
    unit needs.container <<<"[Container]
Image=gone.image"
    unit kept.image <<<"[Image]
Image=127.0.0.1:$(port plain)/team/web:1
Policy=missing
ImageTag=127.0.0.1:$(port plain)/team/web:1"
    davit daemon-reload
    run -1 davit start needs
    has_result needs dependency
    davit start kept.image
    davit stop kept.image
}

@test 'what the image says holds where the unit says nothing' {
    unit defaults.container <<<"[Container]
Image=127.0.0.1:$(port plain)/team/defaults:1
StopTimeout=1"
    unit overrides.container <<<"[Container]
Image=127.0.0.1:$(port plain)/team/defaults:1
User=33
WorkingDir=/tmp
Environment=FROM=unit
Volume=/etc:/data:ro
Exec=\"pwd; id -u; env; ls /data/hostname; exec sleep 1000\"
StopSignal=SIGKILL"
    davit daemon-reload
    davit start defaults
    wait_for 60 has_line defaults kept
    text=$(text_of defaults)
    for word in image /made/by/image www audio FROM=image HOME=/tmp; do says "$text" "$word"; done
    # The volume is one of its own, filled from the image, and gone with the container.
    volume=$(find "$D/state/volumes" -name from-image)
    says "$volume" "$D/state/volumes/"
    davit stop defaults
    [ ! -e "$volume" ]
    # StopSignal=SIGUSR1 of the image: sh has no handler, pid 1 ignores it; it went out all the same.
    davit start overrides
    wait_for 60 has_line overrides /data/hostname
    text=$(text_of overrides)
    for word in /tmp 33 FROM=unit; do says "$text" "$word"; done
    davit stop overrides
}

@test 'davit run fetches as well' {
    empty
    run -0 davit run --rm "127.0.0.1:$(port plain)/team/web:1" cat /web
    [ "${lines[-1]}" = web ]
    run -125 davit run --rm --pull never "127.0.0.1:$(port plain)/team/other:1" cat /other
}
