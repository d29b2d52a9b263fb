#!/usr/bin/env bats
# An empty volume is filled from the image by a process of its own, while the unit is being prepared: it holds up nobody
# else, can be given up, and leaves all or nothing.
# shellcheck disable=SC2016
load common

setup_file() { fleet_setup; }
teardown_file() { fleet_teardown; }

units() {
    local image=$D/state/images/busybox n
    mkdir -p "$image/seed/below"
    for n in 1 2 3 4; do head -c 200000 /dev/urandom >"$image/seed/file-$n"; done
    echo word >"$image/seed/below/word"
    for n in held both-a both-b cut small lost; do
        local volume=${n%-[ab]}
        unit "$n.container" <<U
[Container]
Image=busybox
Volume=$volume:/seed
RunInit=yes
Exec=sleep infinity
U
    done
    unit anonymous.container <<'U'
[Container]
Image=busybox
Volume=/seed
RunInit=yes
Exec=sleep infinity
U
    for n in 1 2 3 4 5; do
        unit "other-$n.container" <<'U'
[Container]
Image=busybox
RunInit=yes
Exec=sleep infinity
U
    done
}

volume() { echo "$D/state/volumes/$1/_data"; }
# While the test holds the lock of the volume, whoever fills it waits.
hold() {
    mkdir -p "$(volume "$1")"
    exec 8<"$(volume "$1")"
    flock 8
}
let_go() { exec 8<&-; }
fills() { is_state "$1" preparing && says "$(show "$1" status_text)" 'Filling'; }
is_filled() { diff -r "$D/state/images/busybox/seed" "$(volume "$1")" && [ ! -e "$(volume "$1").filling" ]; }
# Whoever waits for the lock of a volume, by its inode.
is_free() { ! grep -q -- "-> .*:$(stat -c %i "$(volume "$1")") " /proc/locks; }

@test 'a volume that is being filled keeps nobody else from starting, and a stop does not wait for it' {
    hold held
    davit start --no-block held
    wait_for 60 fills held
    davit start other-1 other-2 other-3 other-4 other-5
    fills held
    davit stop held
    is_state held inactive
    is_free held
    is_gone held.container
    let_go
    davit start held
    is_filled held
    davit stop held other-1 other-2 other-3 other-4 other-5
}

@test 'a start whose volume is not filled in time has failed' {
    hold held-2
    unit held-2.container <<'U'
[Container]
Image=busybox
Volume=held-2:/seed
Exec=sleep infinity
[Service]
TimeoutPrepareSec=1
U
    davit daemon-reload
    refute davit start held-2
    has_result held-2 timeout
    is_free held-2
    is_gone held-2.container
    let_go
}

@test 'two containers that fill one volume at once' {
    hold both
    davit start --no-block both-a both-b
    wait_for 60 fills both-a
    wait_for 60 fills both-b
    let_go
    davit start both-a both-b
    is_filled both
    davit stop both-a both-b
}

@test 'what was copied by a process that died is not taken for the whole' {
    mkdir -p "$(volume cut)/file-1"
    echo part >"$(volume cut)/file-2"
    : >"$(volume cut).filling"
    davit start cut
    is_filled cut
    # And what a container has made of it is not touched again.
    davit exec cut rm -r /seed/below
    davit restart cut
    [ ! -e "$(volume cut)/below" ]
    davit stop cut
}

@test 'a volume that the image does not fit into: the start fails and says so, and nothing of it stays' {
    mkdir -p "$(volume small)"
    mount -t tmpfs -o size=500k tmpfs "$(realpath "$(volume small)")"
    refute davit start small
    has_result small resources
    says "$(show small error)" 'No space left'
    says "$(show small error)" volumes
    [ -z "$(ls -A "$(volume small)")" ]
    [ ! -e "$(volume small).filling" ]
    is_gone small.container
    mount -o remount,size=4m "$(realpath "$(volume small)")"
    davit reset-failed small
    davit start small
    is_filled small
    davit stop small
    umount "$(realpath "$(volume small)")"
}

@test 'an anonymous volume goes with its run, whether it was filled or not' {
    davit start anonymous
    davit exec anonymous cat /seed/below/word
    davit stop anonymous
    [ -z "$(find "$D/state/volumes" -name anonymous)" ]
}

@test 'davitd is killed while a volume is being filled' {
    hold lost
    davit start --no-block lost
    wait_for 60 fills lost
    kill -KILL "$(manager_pid)"
    wait_for 60 davit status --json
    wait_for 60 fills lost
    let_go
    davit start lost
    is_filled lost
    davit stop lost
    manager_pid >"$D/manager"
}

@test 'the one davitd is still there, and well' { same_manager; }
