#!/usr/bin/env bats
# davit as the first process of a real LXC container, of a real systemd-nspawn one, of one that podman makes, and of one that crun makes alone: it boots a fleet in there, is ended by what each
# sends, and what an earlier start has left in its /run does no harm. What each signal means by itself is in endings.bats.
# shellcheck disable=SC2030,SC2031 # each test has a container of its own
bats_require_minimum_version 1.5.0
load common

# root: a root file system with davit in it, which starts web.container
make_root() {
    local library
    R=$D/machine
    mkdir -p "$R"
    make -s -C "$BATS_TEST_DIRNAME/../.." O="$DAVIT_BUILD" DESTDIR="$R" install-programs
    ldd "$DAVIT_BUILD"/davit{,d,-image} | awk '$2 == "=>" { print $3 } $1 ~ /^\// && NF == 2 { print $1 }' | sort -u | while read -r library; do
        mkdir -p "$R$(dirname "$library")"
        cp -L "$library" "$R$library"
    done
    cp -a "$D/state/images/busybox/." "$R/"
    mkdir -p "$R"/{etc/davit/units,var/log,var/lib/davit/images,usr/lib/os}
    printf 'ID=davit-test\n' >"$R/etc/os-release"
    cp -a "$D/state/images/busybox" "$R/var/lib/davit/images/"
    # This machine may have no controllers in the hierarchy that the container sees.
    printf 'allow_missing_limits = true;\nlog_sink = "file";\n' >"$R/etc/davit/davit.conf"
    cat >"$R/etc/davit/units/web.container" <<'U'
[Container]
Image=busybox
UserNS=host
Exec=/bin/sh -c 'trap "echo stopped; exit 0" TERM; echo started; while :; do sleep 0.1; done'
[Install]
WantedBy=multi-user.target
U
}

setup() {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    davit_new
    davit_image
    make_root
    MACHINE=$DAVIT_NAME STARTS=0
}
teardown() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] || { cat "$D/lxc.log" "$D/console"; inside /usr/bin/davit status web; } 2>/dev/null | tail -n 40
    if [ -n "${OUTSIDE:-}" ]; then
        if [ "${FIRST:-0}" -gt 1 ]; then kill -KILL "$FIRST" 2>/dev/null; fi # 0 would be ourselves
        wait_for 20 gone "$OUTSIDE" || kill -KILL "$OUTSIDE"
    fi
    davit_stop
    return 0
}
gone() { ! kill -0 "$1" 2>/dev/null; }
# clean COMMAND...: without the variables of the test's own davit
clean() { env -i PATH="$PATH" "$@" 3>&-; }
# inside COMMAND...: in all namespaces of the container
inside() { clean nsenter --target "$FIRST" --mount --uts --ipc --net --cgroup --pid --root --wd "$@"; }
# JSON of one unit in there
inner() { inside /usr/bin/davit status --json web | jq -r "(if type == \"array\" then .[0] else . end) | .$1"; }
# begun: it is started once more; web_runs: and has said so, so that it can be asked to stop
begun() { STARTS=$((STARTS + 1)); }
web_runs() { [ "$(inner state)" = running ] && web_said started "$STARTS"; }
web_lines() { grep -c " $1\$" "$R/var/log/davit/web.container.log"; }
web_said() { [ "$(web_lines "$1")" = "$2" ]; }

lxc_missing() {
    command -v lxc-start >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends lxc >&2 || return 0
    ! command -v lxc-start >/dev/null
}
lxc() { clean "lxc-$1" -P "$D/lxc" -n "$MACHINE" "${@:2}"; }
lxc_start() {
    mkdir -p "$D/lxc/mnt" "$D/lxc/$MACHINE"
    cat >"$D/lxc/$MACHINE/config" <<C
lxc.uts.name = davit-test
lxc.rootfs.path = dir:$R
lxc.rootfs.mount = $D/lxc/mnt
lxc.init.cmd = /usr/sbin/davit-init
lxc.net.0.type = empty
lxc.mount.auto = proc:rw sys:rw
lxc.apparmor.profile = unconfined
lxc.console.logfile = $D/console
lxc.log.file = $D/lxc.log
C
    lxc start -F </dev/null >"$D/lxc.out" 2>&1 &
    OUTSIDE=$!
    wait_for 30 lxc_first
    begun
    wait_for 60 web_runs
}
# lxc-start forgets to answer who asks while it starts the container anew.
lxc_first() { FIRST=$(clean timeout 10 lxc-info -P "$D/lxc" -n "$MACHINE" -pH 2>/dev/null) && [ "$FIRST" -gt 1 ] && [ "$(cat "/proc/$FIRST/comm")" = davit-init ]; }
lxc_has_ended() { [ "$(lxc info -sH)" = STOPPED ]; }

# bats test_tags=long
@test 'LXC: boots a fleet, mounts its control groups, and lxc-stop ends it in order' {
    if lxc_missing; then skip 'lxc cannot be had'; fi
    lxc_start
    inside grep -q ' /sys/fs/cgroup .* cgroup2 ' /proc/self/mountinfo
    lxc stop --timeout 60
    wait_for 30 gone "$OUTSIDE"
    lxc_has_ended
    web_said stopped 1
    OUTSIDE=''
}

# bats test_tags=long
@test 'LXC: a reboot from inside and from outside starts it anew' {
    local before
    if lxc_missing; then skip 'lxc cannot be had'; fi
    lxc_start
    is_another() { [ "$FIRST" != "$before" ] && web_runs; }
    another() { lxc_first && is_another; }
    before=$FIRST
    begun
    inside /usr/bin/davit reboot
    wait_for 60 another
    web_said stopped 1
    before=$FIRST
    begun
    lxc stop --reboot --nowait
    wait_for 60 another
    web_said stopped 2
    lxc stop --timeout 60
    wait_for 30 gone "$OUTSIDE"
    OUTSIDE=''
}

# bats test_tags=long
@test 'LXC: killed with its /run kept, it starts anew: nothing of the state from before is taken for true' {
    local i pid
    if lxc_missing; then skip 'lxc cannot be had'; fi
    # On its disk, so that it stays.
    mkdir -p "$R/run"
    for i in 1 2 3; do : "$i"
        lxc_start
        pid=$(inner pid)
        inside /bin/kill -0 "$pid"
        inside /bin/sh -c '[ -e /run/davit/state/web.container ]'
        [ "$(inside /bin/sh -c 'ls /var/lib/davit/containers/web.container | wc -l')" = 1 ]
        lxc stop --kill
        wait_for 30 gone "$OUTSIDE"
        [ -e "$R/run/davit/state/web.container" ]
    done
    OUTSIDE=''
}

nspawn_start() {
    # As on a machine with the unified hierarchy alone, whatever this one has.
    clean SYSTEMD_LOG_LEVEL=err SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --register=no --keep-unit --machine="$MACHINE" -D "$R" --capability=all \
        /usr/sbin/davit-init </dev/null >"$D/console" 2>&1 &
    OUTSIDE=$!
    nspawn_first() { FIRST=$(pgrep -P "$(pgrep -P "$OUTSIDE" -x systemd-nspawn || echo "$OUTSIDE")" -x davit-init); }
    wait_for 30 nspawn_first
    begun
    wait_for 60 web_runs
}
nspawn_end() {
    local status=0
    wait_for 60 gone "$FIRST"
    wait "$OUTSIDE" || status=$?
    OUTSIDE=''
    rm -rf "/run/systemd/nspawn/propagate/$MACHINE" "/run/systemd/nspawn/unix-export/$MACHINE"
    [ "$status" = "$1" ] || { echo "status $status, wanted $1"; return 1; }
}

# bats test_tags=long
@test 'systemd-nspawn: boots a fleet; halt is 0, reboot 133, in order each time' {
    command -v systemd-nspawn >/dev/null || skip 'no systemd-nspawn'
    clean systemd-nspawn --quiet --register=no --keep-unit --machine="$MACHINE" -D "$R" /bin/true </dev/null || skip 'systemd-nspawn does not work here'
    nspawn_start
    kill "-$(($(kill -l RTMIN) + 3))" "$FIRST"
    nspawn_end 0
    web_said stopped 1
    nspawn_start
    inside /usr/bin/davit reboot
    nspawn_end 133
    web_said stopped 2
    web_said started 2
}

# crun has no way with machines that have both hierarchies: in a mount namespace of its own there is one. The container's groups
# are davit-init's own affair.
crun() {
    clean unshare --mount sh -c 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec crun --cgroup-manager=disabled "$@"' sh --root "$D/crun" "$@"
}
# oci_start: as podman starts a --privileged container: an OCI runtime, and nothing between it and davit-init.
oci_start() {
    mkdir -p "$D/bundle"
    jq -n --arg root "$R" '{
        ociVersion: "1.0.2", hostname: "davit-test", root: {path: $root},
        process: {
            args: ["/usr/sbin/davit-init"], cwd: "/", user: {uid: 0, gid: 0}, terminal: false,
            env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "container=oci"],
            capabilities: (["bounding", "effective", "permitted"] | map({(.): $caps}) | add)
        },
        mounts: [
            {destination: "/proc", type: "proc", source: "proc"},
            {destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755"]},
            {destination: "/dev/pts", type: "devpts", source: "devpts", options: ["newinstance", "ptmxmode=0666", "mode=0620"]},
            {destination: "/dev/shm", type: "tmpfs", source: "shm"},
            {destination: "/sys", type: "sysfs", source: "sysfs"},
            {destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup"},
            {destination: "/run", type: "tmpfs", source: "tmpfs", options: ["mode=755"]},
            {destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["mode=1777"]}],
        linux: {
            resources: {devices: [{allow: true, access: "rwm"}]},
            namespaces: (["pid", "ipc", "uts", "mount", "network", "cgroup"] | map({type: .}))
        }
    }' --argjson caps "$(awk '/^CapBnd/ {print $2}' /proc/self/status | capabilities)" >"$D/bundle/config.json"
    crun run --bundle "$D/bundle" "$MACHINE" </dev/null >"$D/console" 2>&1 &
    OUTSIDE=$!
    wait_for 30 oci_first
    begun
    wait_for 60 web_runs
}
# The names of the capabilities in a mask, as JSON.
capabilities() { capsh --decode="$(cat)" | sed 's/.*=//' | tr a-z, 'A-Z\n' | jq -Rn '[inputs | select(. != "")]'; }
oci_first() { FIRST=$(crun state "$MACHINE" 2>/dev/null | jq -r .pid) && [ "$FIRST" -gt 1 ]; }
# oci_end STATUS
oci_end() {
    local status=0
    wait "$OUTSIDE" || status=$?
    OUTSIDE=''
    [ "$status" = "$1" ] || { echo "status $status, wanted $1"; return 1; }
    refute crun state "$MACHINE" 2>/dev/null
}

# bats test_tags=long
@test 'an OCI runtime, as below podman: SIGTERM and SIGRTMIN+3 end it with 0, exit N with N, in order each time' {
    command -v crun >/dev/null || skip 'no crun'
    command -v capsh >/dev/null || skip 'no capsh'
    oci_start
    crun kill "$MACHINE" TERM # what `podman stop` sends
    oci_end 0
    web_said stopped 1
    oci_start
    crun kill "$MACHINE" $(($(kill -l RTMIN) + 3)) # and with --systemd=always
    oci_end 0
    web_said stopped 2
    oci_start
    inside /usr/bin/davit exit 7
    oci_end 7
    web_said stopped 3
    web_said started 3
}

podman_missing() {
    command -v podman >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends podman crun >&2 || return 0
    ! { command -v podman && command -v crun; } >/dev/null
}
# As crun above. Everything that podman keeps is the test's own.
podman() {
    clean unshare --mount sh -c 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec podman "$@"' sh --root "$D/podman" --runroot "$D/podman-run" --tmpdir "$D/podman-tmp" \
        --storage-driver vfs --runtime crun --cgroup-manager cgroupfs --events-backend none "$@"
}
podman_start() { # [OPTION...]
    # Limits that any machine has: podman's own may be higher than ours.
    podman run --name "$MACHINE" --privileged --network none --cgroups disabled --no-hosts --log-driver none --ulimit nofile=1024:4096 --ulimit nproc=1000:1000 "$@" --rootfs "$R" /usr/sbin/davit-init </dev/null >"$D/console" 2>&1 &
    OUTSIDE=$!
    wait_for 30 podman_first
    begun
    wait_for 60 web_runs
}
podman_first() { FIRST=$(podman inspect --format '{{.State.Pid}}' "$MACHINE" 2>/dev/null) && [ "$FIRST" -gt 1 ]; }
# podman_end STATUS: both of what `podman run` returns and what podman has written down
podman_end() {
    local status=0
    wait "$OUTSIDE" || status=$?
    OUTSIDE=''
    [ "$status" = "$1" ] || { echo "status $status, wanted $1"; return 1; }
    [ "$(podman inspect --format '{{.State.ExitCode}}' "$MACHINE")" = "$1" ]
    podman rm "$MACHINE"
}

# bats test_tags=long
@test 'podman: boots a fleet; podman stop, with each stop signal, and podman kill end it with 0, exit N with N, in order each time' {
    if podman_missing; then skip 'podman cannot be had'; fi
    podman_start
    podman stop --time 60 "$MACHINE" # SIGTERM
    podman_end 0
    web_said stopped 1
    podman_start --stop-signal SIGRTMIN+3 # what --systemd=always sets
    podman stop --time 60 "$MACHINE"
    podman_end 0
    web_said stopped 2
    podman_start
    podman kill --signal INT "$MACHINE"
    podman_end 0
    web_said stopped 3
    podman_start
    inside /usr/bin/davit exit 7
    podman_end 7
    web_said stopped 4
    podman_start
    podman kill --signal KILL "$MACHINE"
    podman_end 137
    podman_start # nothing of the state from before is taken for true
    [ "$(inside /bin/sh -c 'ls /var/lib/davit/containers/web.container | wc -l')" = 1 ]
    inside /usr/bin/davit reboot
    podman_end 133
    web_said started 6
}
