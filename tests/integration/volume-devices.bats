#!/usr/bin/env bats
# Volumes that are file systems of their own: [Volume] Type= and Device=, and owners by name.
load common

setup_file() {
    export NO_LOOP=''
    if [ ! -e /dev/loop-control ] || ! command -v mke2fs >/dev/null; then NO_LOOP='no loop devices or no mke2fs here'; return; fi
    fleet_setup
}
teardown_file() { [ -n "$NO_LOOP" ] || fleet_teardown; }
setup() { [ -z "$NO_LOOP" ] || skip "$NO_LOOP"; }

units() {
    truncate -s 8M "$D/image" "$D/other" "$D/garbage" "$D/owned"
    mke2fs -q -t ext4 "$D/image"
    mke2fs -q -t ext4 "$D/other"
    mke2fs -q -t ext4 "$D/owned"
    unit image.volume <<U
[Volume]
Type=ext4
Device=$D/image
Options=noatime,nodev
U
    unit ro.volume <<U
[Volume]
Type=ext4
Device=$D/other
Options=ro
U
    unit garbage.volume <<U
[Volume]
Type=ext4
Device=$D/garbage
U
    unit named.volume <<U
[Volume]
Type=ext4
Device=$D/owned
User=daemon
Group=daemon
U
    unit nobody.volume <<U
[Volume]
Type=ext4
Device=$D/owned
User=no-such-user-here
U
    unit writer.container <<'U'
[Container]
Image=busybox
Volume=image.volume:/v
Exec=/bin/sh -c 'echo word >/v/file; stat -c %%u /v/file; exec sleep infinity'
StopTimeout=1
U
    unit reader.container <<'U'
[Container]
Image=busybox
Volume=image.volume:/v:ro
StopTimeout=1
Exec=sleep infinity
U
    unit fixed.container <<'U'
[Container]
Image=busybox
Volume=ro.volume:/v
StopTimeout=1
Exec=sleep infinity
U
    printf '[Container]\nImage=busybox\nVolume=garbage.volume:/v\nStopTimeout=1\nExec=sleep infinity\n' | unit broken.container
    printf '[Container]\nImage=busybox\nVolume=named.volume:/v\nStopTimeout=1\nExec=sleep infinity\n' | unit owned.container
    printf '[Container]\nImage=busybox\nVolume=nobody.volume:/v\nExec=sleep infinity\n' | unit stranger.container
}
# Loop devices of that file.
loops() { losetup -j "$1" | wc -l; }
has_loops() { [ "$(loops "$1")" = "$2" ]; }

@test 'an image file is mounted in the container alone, for two of them the same file system, and freed at the end' {
    davit start writer
    davit start reader
    wait_for 60 davit exec reader test -s /v/file
    [ "$(davit exec reader cat /v/file)" = word ]
    run davit exec reader sh -c 'echo more >/v/file'
    [ "$status" -ne 0 ]
    davit exec writer grep ' /v ext4 ' /proc/mounts >"$BATS_TEST_TMPDIR/mount"

    [[ $(cat "$BATS_TEST_TMPDIR/mount") == *rw,*nodev,noatime* ]]
    [ "$(davit exec writer stat -c %u /v/file)" = 0 ]
    # One loop device, and nothing of it in this machine's mounts.
    has_loops "$D/image" 1
    run ! grep "^$(losetup -j "$D/image" | cut -d: -f1) " /proc/mounts
    davit stop writer
    [ "$(davit exec reader cat /v/file)" = word ]
    davit stop reader
    wait_for 60 has_loops "$D/image" 0
    e2fsck -fn "$D/image" >/dev/null
    # Owners on disk are those inside.
    [ "$(debugfs -R 'stat /file' "$D/image" 2>/dev/null | awk '/User:/ {print $2}')" = 0 ]
    davit start reader
    [ "$(davit exec reader cat /v/file)" = word ]
    davit stop reader
}

@test 'Options=ro: the file system itself is read-only' {
    davit start fixed
    run davit exec fixed touch /v/x
    [ "$status" -ne 0 ]
    davit exec fixed grep -q ' /v ext4 ro' /proc/mounts
    davit stop fixed
    wait_for 60 has_loops "$D/other" 0
}

@test 'no file system in the image: the start fails, says so, and the loop device is free again' {
    run davit start broken
    [ "$status" -ne 0 ]
    [[ $output == *"$D/garbage"* ]]
    wait_for 60 has_loops "$D/garbage" 0
}

@test 'User= and Group= of a volume may be names of the host' {
    davit start owned
    [ "$(davit exec owned stat -c %u:%g /v)" = "$(id -u daemon):$(id -g daemon)" ]
    davit stop owned
    run davit start stranger
    [ "$status" -ne 0 ]
    [[ $(davit status nobody.volume) == *'User=no-such-user-here'*'/etc/passwd'* ]]
}

@test 'two launchers at one image file take turns: two loop devices would end the file system' {
    waits() { grep -q -- "-> FLOCK .*:$(stat -c %i "$D/image") " /proc/locks; }
    exec 8<"$D/image"
    flock 8 # as another launcher does between its look and its loop device
    davit start reader 8<&- 3>&- &
    wait_for 60 waits
    has_loops "$D/image" 0
    exec 8<&-
    wait "$!"
    has_loops "$D/image" 1
    davit start writer # the lock is not kept
    has_loops "$D/image" 1
    davit stop reader writer
    wait_for 60 has_loops "$D/image" 0
}
