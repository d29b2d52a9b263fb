# A real systemd as PID 1 of fresh namespaces on this machine, with davit installed in it: what runs in tests/integration/systemd*.bats.
# Its root is an overlay over this machine's own, on a tmpfs that goes with the namespaces; it takes half a second. In a
# booted machine it is the same; what the machine has of controllers systemd gets as well.
#
#   systemd_prepare   makes the test's directories; what is put into $S/etc will be below /etc of the new system
#   systemd_start     starts it
#   sd COMMAND...     runs a command in there
#   systemd_stop      ends it, leaves nothing behind
# shellcheck shell=bash
# shellcheck disable=SC2016 # scripts for a shell or awk in there

# shellcheck source=tests/lib.bash
source "${BASH_SOURCE%/*}/../lib.bash"

SOURCE=$(cd "${BASH_SOURCE%/*}/../.." && pwd)

systemd_missing() {
    [ -x /lib/systemd/systemd ] || { echo "there is no systemd here"; return 0; }
    [ "$(id -u)" = 0 ] || { echo "only root can do this"; return 0; }
    [ -w "$(systemd_hierarchy)/cgroup.procs" ] || { echo "there is no control group for systemd here"; return 0; }
    unshare --mount --uts --ipc --net --cgroup --pid --fork bash -c 'mount -t tmpfs tmpfs /mnt && mkdir /mnt/{u,w,r} &&
        mount -t overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w overlay /mnt/r' 2>/dev/null ||
        { echo "no new namespaces, or no overlay over this root"; return 0; }
    return 1
}

# The hierarchy that systemd is to have: the unified one, alone.
systemd_hierarchy() {
    local p
    for p in /sys/fs/cgroup/unified /sys/fs/cgroup; do
        if [ -e "$p/cgroup.controllers" ]; then echo "$p"; return; fi
    done
    return 1
}

# Runs in the new namespaces, as their PID 1, and becomes systemd.
systemd_become() {
    local t=$S/tmpfs root=$S/tmpfs/root n
    set -e
    mount --make-rprivate /
    mkdir -p "$t"
    mount -t tmpfs -o mode=755 tmpfs "$t"
    mkdir "$t"/{upper,work,root}
    mount -t overlay -o "lowerdir=/,upperdir=$t/upper,workdir=$t/work" overlay "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    mount -t tmpfs -o mode=755,dev tmpfs "$root/dev"
    for n in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "$root/dev/${n%:*}" c 1 "${n#*:}"; done
    mknod -m 666 "$root/dev/tty" c 5 0
    mknod -m 600 "$root/dev/kmsg" c 1 11
    mkdir "$root/dev/pts" "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    mkdir -p "$root/var/lib/davit"
    mount -t tmpfs -o mode=700 tmpfs "$root/var/lib/davit"
    cp -a "$D/state/images" "$root/var/lib/davit/"
    # Only what the test starts: none of this machine's own services.
    rm -rf "$root"/etc/systemd/system "$root"/lib/systemd/system/*.target.wants "$root"/lib/systemd/system/*.target.requires \
        "$root"/lib/systemd/system-generators "$root"/etc/systemd/system-generators "$root"/etc/davit "$root"/var/log/journal
    mkdir -p "$root"/etc/systemd/system
    make -s -C "$SOURCE" O="$DAVIT_BUILD" DESTDIR="$root" install-programs
    printf '[Unit]\nDefaultDependencies=no\nWants=systemd-journald.socket systemd-journald-dev-log.socket\n' >"$root/etc/systemd/system/davit-test.target"
    printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nForwardToWall=no\nReadKMsg=no\n' >"$root/etc/systemd/journald.conf"
    printf '[Manager]\nDefaultTimeoutStartSec=90\nDefaultTimeoutStopSec=60\n' >"$root/etc/systemd/system.conf"
    cp -a "$S/etc/." "$root/etc/"
    ip link set lo up 2>/dev/null || true
    cd "$root"
    mkdir -p mnt/old
    pivot_root . mnt/old
    umount -l /mnt/old
    exec env -i container=davit-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=davit-test.target \
        --log-target=journal --show-status=no </dev/null >"$S/console" 2>&1
}

# Where all tests of a file share one system: setup_file calls this, with a unit and lines for its [Service]; a function file_prepare of the
# file is called before the start. teardown_file and teardown call the other two.
systemd_file_start() {
    export SD_MISSING=''
    if SD_MISSING=$(systemd_missing); then return; fi
    systemd_prepare
    mkdir -p "$S/etc/systemd/system/$1.d"
    # A test starts it as often as it likes.
    printf '[Unit]\nStartLimitIntervalSec=0\n[Service]\n%s\n' "$2" >"$S/etc/systemd/system/$1.d/test.conf"
    if declare -F file_prepare >/dev/null; then file_prepare; fi
    systemd_start
    export SD_PID SD_UNSHARE SD_GROUP D DAVIT_NAME
}
systemd_file_stop() { [ -n "$SD_MISSING" ] || systemd_stop; }
systemd_failed_journal() { if [ "${BATS_TEST_COMPLETED:-}" != 1 ] && [ -z "$SD_MISSING" ]; then sd journalctl -n 40 --no-pager -o short; fi; }

# What is to be below /etc of the new system is put into $S/etc before.
systemd_prepare() {
    davit_new
    davit_image
    S=$D/systemd
    export S
    mkdir -p "$S"/etc/davit/units "$S/etc/systemd/system"
    # The namespaces on this machine come without controllers.
    echo 'allow_missing_limits = true;' >"$S/etc/davit/davit.conf"
    SD_GROUP=$(systemd_hierarchy)/$DAVIT_NAME-systemd
    mkdir "$SD_GROUP"
}

systemd_start() {
    export -f systemd_become
    export SOURCE DAVIT_BUILD
    # In its group before the namespace is made, so that the group is the root of what it sees.
    bash -c 'echo $$ >"$1/cgroup.procs" && exec unshare --mount --uts --ipc --net --cgroup --pid --fork --kill-child bash -c systemd_become' \
        - "$SD_GROUP" >"$S/log" 2>&1 3>&- &
    SD_UNSHARE=$!
    if ! wait_for 90 systemd_is_up; then cat "$S/log" "$S/console" >&2; return 1; fi
}

# shellcheck disable=SC2015
systemd_is_up() {
    SD_PID=$(pgrep -P "$SD_UNSHARE") && sd systemctl is-active davit-test.target && sd journalctl -n1 >/dev/null
}

sd() { nsenter --target "$SD_PID" --mount --uts --ipc --net --cgroup --pid --root --wd env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb "$@"; }

systemd_stop() {
    local n
    if [ -n "${SD_PID:-}" ]; then kill -KILL "$SD_PID" 2>/dev/null; fi
    if [ -n "${SD_UNSHARE:-}" ]; then
        kill -KILL "$SD_UNSHARE" 2>/dev/null
        wait "$SD_UNSHARE" 2>/dev/null
    fi
    SD_PID='' SD_UNSHARE=''
    for n in $(seq 300); do : "$n"
        [ -d "${SD_GROUP:-}" ] || break
        find "$SD_GROUP" -depth -type d -exec rmdir {} \; 2>/dev/null
        sleep 0.1
    done
    davit_stop
}

# property UNIT NAME
property() { sd systemctl show --value -p "$2" "$1"; }
# has_property UNIT NAME PATTERN
# shellcheck disable=SC2053 # a pattern
has_property() { [[ $(property "$1" "$2") == $3 ]]; }
# journal MATCH...: the messages alone
journal() { sd journalctl -o cat --no-pager "$@"; }
has_active() { [ "$(sd systemctl is-active "$1")" = "$2" ]; }
has_journal() { journal -u "$1" | grep -qF -- "$2"; }
# sd_unit NAME: writes a unit file of davit's from standard input
sd_unit() { sd sh -c 'cat >"/etc/davit/units/$1"' - "$1"; }
main_pid() { property "$1" MainPID; }
