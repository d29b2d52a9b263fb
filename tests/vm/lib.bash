# A machine of one test: a directory tree made into a disk, booted under QEMU (software emulation) with davit-init as
# process 1. tests/vm/README.md has an example and the list of what to call. All files are below $V, and QEMU dies with the
# shell that started it: nothing stays when a test fails or is killed.
# shellcheck shell=bash

DAVIT_BUILD=${DAVIT_BUILD:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build}
VM_SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${DAVIT_VM_CACHE:=$DAVIT_BUILD/vm}" "${VM_KERNEL:=6.12}"
export DAVIT_BUILD DAVIT_VM_CACHE

# vm_new [busybox|debian|systemd]: a machine with that base tree
vm_new() {
    local kind=${1:-busybox} fetch=()
    [ "$kind" = busybox ] || fetch=("$kind")
    "$VM_SOURCE/fetch" "$VM_KERNEL" "${fetch[@]}"
    V=$(mktemp -d "${BATS_TEST_TMPDIR:-${TMPDIR:-/tmp}}/vm-XXXXXX")
    "$VM_SOURCE/base" "$DAVIT_BUILD" "$kind" "$V/root"
    VM_SIZE=512M VM_DISKS=() VM_OFFSETS=()
    [ "$kind" = busybox ] || VM_SIZE=2G
}

# vm_adopt IMAGE NAME:OFFSET...: a machine whose disk has been made elsewhere, with these file systems at these bytes
vm_adopt() {
    "$VM_SOURCE/fetch" "$VM_KERNEL"
    V=$(mktemp -d "${BATS_TEST_TMPDIR:-${TMPDIR:-/tmp}}/vm-XXXXXX")
    cp --sparse=always "$1" "$V/disk.img"
    VM_DISKS=() VM_OFFSETS=("${@:2}")
}

# vm_file PATH [MODE]: that file of the machine, from standard input. Before the first boot, and between boots.
vm_file() {
    if [ -d "$V/root" ]; then
        install -Dm"${2:-644}" /dev/stdin "$V/root$1"
    else
        cat >"$V/new-file"
        vm_replay_journal "$(vm_part root)"
        {
            local parent=$1 parents=()
            while parent=${parent%/*} && [ -n "$parent" ]; do parents=("mkdir $parent" "${parents[@]}"); done
            printf '%s\n' "${parents[@]}" "rm $1" "write $V/new-file $1" "set_inode_field $1 mode 0100${2:-644}"
        } | debugfs -w -f - "$(vm_part root)" >/dev/null 2>&1
        rm "$V/new-file"
    fi
}

# vm_unit NAME: that unit file. vm_enable NAME...: as `davit enable` on the machine, before the first boot
vm_unit() { vm_file "/etc/davit/units/$1"; }
vm_enable() {
    DAVIT_UNIT_PATH=$V/root/etc/davit/units:$V/root/usr/lib/davit/units "$DAVIT_BUILD/davit" enable "$@" >/dev/null 2>"$V/enable.log" ||
        { cat "$V/enable.log" >&2; return 1; }
    # The links were made on this machine, for that one.
    find "$V/root/etc/davit/units" -type l -lname "$V/root/*" | while read -r link; do
        ln -sfn "$(readlink "$link" | sed "s|^$V/root||")" "$link"
    done
}

# vm_script NAME: a service that runs the script from standard input when the machine is up
vm_script() {
    { printf '#!/bin/sh\nexport PATH=/usr/sbin:/usr/bin\n'; cat; } | vm_file "/$1" 755
    printf '[Service]\nExecStart=/%s\n[Install]\nWantedBy=multi-user.target\n' "$1" | vm_unit "$1.service"
    vm_enable "$1.service"
}

# vm_disk NAME SIZE [TREE]: one more file system beside the root, ext4 with that label: /dev/nvme0n1p2, then p3, p4. They are
# partitions, because which of two disks is nvme0 changes from boot to boot.
vm_disk() {
    mkdir -p "$V/trees/$1"
    [ $# -lt 3 ] || cp -a "$3/." "$V/trees/$1"
    VM_DISKS+=("$1:$2")
}

# The disk is made of the trees at the first boot; from then on it is what counts.
vm_make_disk() {
    [ -d "$V/root" ] || return 0
    local disk name size start=1048576 table='label: dos'
    mkdir -p "$V/root/usr/lib/modules"
    cp -r "$DAVIT_VM_CACHE/kernel-$1/lib/modules/." "$V/root/usr/lib/modules/"
    mkdir -p "$V/trees"
    mv "$V/root" "$V/trees/root"
    : >"$V/disk.img"
    for disk in "root:$VM_SIZE" "${VM_DISKS[@]}"; do
        name=${disk%%:*} size=$(numfmt --from=iec "${disk#*:}")
        truncate -s $((start + size)) "$V/disk.img"
        mke2fs -qF -t ext4 -L "$name" -J size=4 -E "offset=$start,lazy_itable_init=1,root_owner=0:0" -d "$V/trees/$name" \
            "$V/disk.img" $((size / 1024))k 2>"$V/mke2fs.log" || { cat "$V/mke2fs.log" >&2; return 1; }
        table+=$'\n'"start=$((start / 512)), size=$((size / 512)), type=83"
        VM_OFFSETS+=("$name:$start")
        start=$((start + size))
    done
    sfdisk -q --no-reread --no-tell-kernel "$V/disk.img" <<<"$table" >/dev/null 2>&1
    rm -rf "$V/trees"
}
# vm_part NAME [IMAGE]: as e2fsprogs call that file system
vm_part() {
    local part
    for part in "${VM_OFFSETS[@]}"; do
        if [ "${part%%:*}" = "$1" ]; then echo "${2:-$V/disk.img}?offset=${part#*:}"; return; fi
    done
    echo "vm: no disk $1" >&2
    return 1
}

# vm_boot [OPTIONS]: boots the machine, for the first time or again, and waits for its end, which is in VM_END, VM_STATUS and
# VM_SECONDS (tests/vm/machine).
#
#   --kernel 6.1|6.12    --init PATH           --append WORDS      for the kernel's command line, in addition
#   --memory MIB         --preinit             davit-init past its own boot code (guest/vm-preinit)
#   --timeout SECONDS    --watchdog            an i6300esb, which resets the machine
#   --initrd FILE        --no-root             the kernel's command line names no root file system
#   --smp N              --background          does not wait: vm_wait does
#   --own-time           the machine's clock is the number of its instructions, one a nanosecond, and jumps over what it sleeps:
#                        no other load on this machine makes it late
#   --qemu "ARGUMENTS"   --record              for vm_crashpoints: each write to the disk is kept
vm_boot() {
    local kernel=$VM_KERNEL append='' init=/sbin/davit-init memory=512 smp=1 limit=${VM_TIMEOUT:-300} background='' record='' initrd=() extra=() words
    local root='root=/dev/nvme0n1p1 rw'
    while [ $# -gt 0 ]; do
        case $1 in
        --kernel) kernel=$2; shift 2 ;;
        --append) append=$2; shift 2 ;;
        --init) init=$2; shift 2 ;;
        --preinit) init=/sbin/vm-preinit; shift ;;
        --memory) memory=$2; shift 2 ;;
        --smp) smp=$2; shift 2 ;;
        --timeout) limit=$2; shift 2 ;;
        --initrd) initrd=(-initrd "$2"); shift 2 ;;
        --no-root) root=''; shift ;;
        --own-time) extra+=(-icount 'shift=0,sleep=off'); shift ;;
        --watchdog) extra+=(-device i6300esb -action 'watchdog=reset'); shift ;;
        --qemu) read -ra words <<<"$2"; extra+=("${words[@]}"); shift 2 ;;
        --record) record=1; shift ;;
        --background) background=1; shift ;;
        *) echo "vm_boot: unknown option $1" >&2; return 2 ;;
        esac
    done
    "$VM_SOURCE/fetch" "$kernel"
    vm_make_disk "$kernel"
    rm -f "$V"/{result,pid,monitor,console.in,console.out,report,report.in,report.out}
    [ ! -e "$V/console" ] || mv "$V/console" "$V/console.$(find "$V" -name 'console*' | wc -l)"
    local disk=(-blockdev "driver=file,node-name=file,filename=$V/disk.img,discard=unmap")
    if [ -n "$record" ]; then
        cp --sparse=always "$V/disk.img" "$V/start.img"
        : >"$V/writes"
        disk+=(-blockdev "driver=file,node-name=writes,filename=$V/writes" -blockdev 'driver=blklogwrites,node-name=disk,file=file,log=writes')
    else
        disk+=(-blockdev 'driver=raw,node-name=disk,file=file,discard=unmap')
    fi
    # One thread: several corrupt guests with more than one CPU in QEMU 7.2 (Debian 12), and never kvm, which is broken on
    # some hosts that offer it.
    setpriv --pdeathsig TERM "$VM_SOURCE/machine" "$V" "$limit" qemu-system-x86_64 -accel tcg,thread=single -M q35 -cpu max -smp "$smp" \
        -m "$memory" -nodefaults -no-user-config -display none -no-reboot \
        -monitor "unix:$V/monitor,server=on,wait=off" \
        -kernel "$DAVIT_VM_CACHE/kernel-$kernel/vmlinux" "${initrd[@]}" "${extra[@]}" \
        "${disk[@]}" -device nvme,serial=davit,drive=disk \
        -append "console=ttyS0 $root init=$init panic=-1 loglevel=3 audit=0 mitigations=off no_timer_check lsm=landlock,bpf $append" \
        2>"$V/qemu.log" </dev/null 3>&- &
    VM_MACHINE=$!
    [ -n "$background" ] || vm_wait
}

# vm_wait: until the machine has ended
vm_wait() {
    wait "$VM_MACHINE" || true
    VM_MACHINE=''
    # shellcheck disable=SC2034  # for tests
    VM_END=broken VM_STATUS='' VM_SECONDS=0
    # shellcheck source=/dev/null
    if [ -e "$V/result" ]; then . "$V/result"; fi
    if [ "$VM_END" = broken ]; then cat "$V/qemu.log" >&2; return 1; fi
    vm_counters
}
# Of `make coverage`: what the programs have counted is on the machine's disk, below the same path as here. It is put beside the
# build, which adds it up when all tests are over.
vm_counters() {
    [ -e "$DAVIT_BUILD/supervisor/main/davit-init.gcno" ] || return 0
    local to
    mkdir -p "$DAVIT_BUILD/vm/counted"
    to=$(mktemp -d "$DAVIT_BUILD/vm/counted/XXXXXX")
    debugfs -R "rdump \"$DAVIT_BUILD/supervisor\" \"$to\"" "$(vm_snapshot root)" >/dev/null 2>&1 || true
}

# vm_lines PORT: what came from that serial port since the last start. A line that is not whole yet is none, as long as the
# machine may go on with it.
vm_lines() {
    if [ -e "$V/result" ]; then tr -d '\r' <"$V/$1"; else { tr -d '\r' <"$V/$1"; echo; } | sed '$d'; fi
}
# vm_has PORT PATTERN [TIMES]: so many lines there match that extended regular expression
vm_has() { [ "$(vm_lines "$1" 2>/dev/null | grep -cE -- "$2")" -ge "${3:-1}" ]; }
# vm_until_end COMMAND...: until it succeeds, not longer than the machine lives (vm_boot's time-out)
vm_until_end() {
    local ended
    while :; do
        # First: what it said last was said before it had ended.
        [ -e "$V/result" ] && ended=1 || ended=''
        if "$@"; then return 0; fi
        if [ -n "$ended" ]; then return 1; fi
        sleep 0.2
    done
}

# vm_console: what the machine said since its last start. vm_said PATTERN: one of these lines matches
vm_console() { vm_lines console; }
vm_said() { vm_has console "$1"; }
# vm_wait_said PATTERN [TIMES]: waits for so many of them
vm_wait_said() {
    if ! vm_until_end vm_has console "$@"; then echo "the console never said: $*" >&2; return 1; fi
}
# The same of what the test's own programs have written to the second serial port, /dev/ttyS1: no line of the kernel's or
# davit's comes into one there, and vm-status at the end waits until all of it is here.
vm_report() { vm_lines report; }
vm_reported() { vm_has report "$1"; }
vm_wait_reported() {
    if ! vm_until_end vm_has report "$@"; then echo "the report never had: $*" >&2; return 1; fi
}
# vm_ended WAY [STATUS]: the machine has ended so, else the test fails and shows the console
vm_ended() {
    if [ "$VM_END" = "$1" ] && [ "${2:-$VM_STATUS}" = "$VM_STATUS" ]; then return 0; fi
    echo "machine: $VM_END, status ${VM_STATUS:-none}; should be: $1${2:+, status $2}" >&2
    return 1
}

# vm_type TEXT: to the serial console, with a line end. vm_key KEYS: QEMU's sendkey, as ctrl-alt-delete. vm_monitor COMMAND
vm_type() { vm_type_at console "$1"; }
# "<>" waits for nobody: the machine may have ended.
vm_type_at() { printf '%s\n' "$2" 1<>"$V/$1.in"; }
# QEMU closes the connection when it has done it all.
vm_monitor() { printf '%s\n' "$1" | socat -t60 - "UNIX-CONNECT:$V/monitor"; }
vm_key() { vm_monitor "sendkey $1" >/dev/null; }

# vm_agent: the machine has a unit that runs what vm_run says, at the second serial port. vm_run COMMAND: runs it on the machine
# that is up (a line of shell), prints what it says, and returns its status. vm_begin COMMAND: does not wait for its end
vm_agent() {
    vm_unit vm-agent.service <<'U'
[Unit]
Description=Runs commands for the test
[Service]
ExecStart=/usr/sbin/vm-agent
Restart=always
RestartSec=0
[Install]
WantedBy=multi-user.target
U
    vm_enable vm-agent.service
}
# Most callers are in subshells: a file counts what was asked.
vm_begin() {
    vm_wait_reported '^VM-AGENT' || return
    echo "$1" >>"$V/asked"
    vm_type_at report "$(wc -l <"$V/asked") $1"
}
vm_run() {
    local id
    vm_begin "$1" || return
    id=$(wc -l <"$V/asked")
    if ! vm_until_end vm_has report "^VM-END $id "; then echo "the machine has ended before: $1" >&2; return 1; fi
    vm_report | sed -n "s/^VM-OUT $id //p"
    return "$(vm_report | sed -n "s/^VM-END $id //p")"
}

# vm_kill: the power is cut. The disk has what had reached it. A machine that has ended by itself meanwhile is as good.
vm_kill() {
    vm_until_end [ -e "$V/pid" ]
    [ -e "$V/result" ] || kill -KILL "$(cat "$V/pid")" || true
    vm_wait
}

# After a power cut the journal of a file system is the only place of what was written last.
vm_replay_journal() { e2fsck -E journal_only -y "$1" >/dev/null 2>&1 || true; }
# A copy to read from, its journal replayed: the disk itself stays as the machine has left it.
vm_snapshot() {
    local part
    [ "$V/read.img" -nt "$V/disk.img" ] || cp --sparse=always "$V/disk.img" "$V/read.img"
    part=$(vm_part "$1" "$V/read.img")
    vm_replay_journal "$part"
    echo "$part"
}
# vm_get PATH [DISK]: content of a file on the disk "root" or another; fails where there is none. vm_list PATH [DISK]: names
vm_get() {
    local part
    part=$(vm_snapshot "${2:-root}")
    if ! debugfs -R "stat \"$1\"" "$part" 2>/dev/null | grep -q '^Inode:'; then return 1; fi
    debugfs -R "cat \"$1\"" "$part" 2>/dev/null
}
vm_list() {
    local part
    part=$(vm_snapshot "${2:-root}")
    debugfs -R "ls -p \"$1\"" "$part" 2>/dev/null | awk -F/ 'NF > 5 && $6 != "." && $6 != ".." {print $6}'
}
# vm_fsck [DISK]: the file system is sound, after its journal has been replayed
vm_fsck() {
    local part
    part=$(vm_snapshot "${1:-root}")
    e2fsck -fn "$part" 2>&1
}

# vm_writes: how many writes, flushes and discards the recorded boot has made so far
vm_writes() { "$VM_SOURCE/replay" "$V/writes"; }
# vm_crashpoints COUNT CHECK [FROM [TO]]: after a recorded boot, and COUNT times: the disk is made what it could have been after
# a power cut at another of its writes (evenly from FROM to TO, by default all), unflushed blocks dropped at random; then
# CHECK is called, with what reads a disk or boots it. Ends at the first CHECK that fails, which
# VM_CRASH="POINT SEED" repeats alone. With VM_CRASH_DISK=NAME only that disk and those behind it are made, which is quicker.
vm_crashpoints() {
    local count=$1 check=$2 from=${3:-0} to=${4:-$(vm_writes)} n point seed
    local start=0
    if [ -n "${VM_CRASH_DISK:-}" ]; then start=$(vm_part "$VM_CRASH_DISK"); fi
    mv "$V/disk.img" "$V/end.img"
    for ((n = 1; n <= count; n++)); do
        point=$((from + (to - from) * n / count)) seed=$n
        if [ -n "${VM_CRASH:-}" ]; then read -r point seed <<<"$VM_CRASH"; fi
        "$VM_SOURCE/replay" "$V/writes" "$V/start.img" "$V/disk.img" "$point" "$seed" "${start##*=}"
        "$check" || { echo "after a power cut at write $point of $to: VM_CRASH='$point $seed' repeats it" >&2; return 1; }
        [ -z "${VM_CRASH:-}" ] || break
    done
    mv "$V/end.img" "$V/disk.img"
    rm -f "$V/read.img" # of another disk, though it is newer
}

# vm_done: nothing of the machine stays
vm_done() {
    [ -n "${V:-}" ] || return 0
    if [ -n "${VM_MACHINE:-}" ]; then
        kill "$VM_MACHINE" 2>/dev/null || true
        wait "$VM_MACHINE" 2>/dev/null || true
    fi
    rm -rf "$V"
    V=''
}

# For bats: shows the end of what the machine said when a test has failed.
teardown() {
    if [ -z "${BATS_TEST_COMPLETED:-}" ] && [ -e "${V:-}/console" ]; then
        echo "--- machine: ${VM_END:-running}, status ${VM_STATUS:-none}; the console ends with"
        vm_console | tail -n 60
        echo '--- the report with'
        vm_report | tail -n 20
    fi
    vm_done
}
