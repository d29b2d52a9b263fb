#!/usr/bin/env bats
# Control groups as the kernel command line asks for them: containers keep to their limits whichever hierarchy has the controller,
# and where none has it a unit that needs it says so.
# shellcheck disable=SC2016 # scripts for the machine's shell
bats_require_minimum_version 1.5.0
load lib

# A machine with a container in its limits, one that eats more memory than it may, and the agent.
fleet() {
    vm_new
    vm_unit web.container <<'U'
[Container]
Image=busybox
Memory=32M
PidsLimit=50
CPUQuota=40%
Exec=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
U
    # dd as the container's first process, and memory that counts and needs no program of its own: a file in /dev/shm.
    vm_unit eater.container <<'U'
[Container]
Image=busybox
Memory=16M
ShmSize=64M
Exec=/bin/dd if=/dev/zero of=/dev/shm/x bs=1M count=60
[Service]
Restart=no
U
    vm_agent
}

# runs UNIT: until it does, within the machine's time
runs() { vm_run "for n in \$(seq 300); do davit is-active -q $1 && exit 0; sleep 0.2; done; davit status $1; exit 1"; }
# limit FILE...: the first of these that a group of web.container has
limit() { vm_run "cat \$(find /sys/fs/cgroup -path '*/web.container/$1' | head -n1)"; }

# keeps_to_its_limits MEMORY CPU: the names of their files
keeps_to_its_limits() {
    runs web.container
    [ "$(limit "$1")" = 33554432 ]
    [ "$(limit pids.max)" = 50 ]
    [ "$(limit "$2" | cut -d' ' -f1)" = 40000 ]
    vm_run 'davit start eater.container' || true
    vm_run 'for n in $(seq 300); do davit status eater | grep -q oom-kill && exit 0; sleep 0.2; done; davit status eater; exit 1'
    run ! vm_run 'davit is-active eater.container'
    vm_run 'davit stop web; find /sys/fs/cgroup -name web.container' >"$V/left"
    [ ! -s "$V/left" ]
    # A stopped fleet is one command away from the end.
    vm_run 'davit poweroff' || true
    vm_wait
    vm_ended poweroff
}

@test 'hybrid: v1 hierarchies beside an empty v2, limits where their controllers are' {
    fleet
    vm_boot --append systemd.unified_cgroup_hierarchy=0 --background
    runs web.container
    vm_run 'cat /proc/1/cgroup; mount -t cgroup; mount -t cgroup2' >"$V/out"
    cat "$V/out"
    grep -q '^0::/init.scope$' "$V/out"
    grep -q 'on /sys/fs/cgroup/unified type cgroup2 (.*nsdelegate' "$V/out"
    grep -q 'on /sys/fs/cgroup/pids type cgroup ' "$V/out"
    vm_run 'davit status' | grep -q 'CGroups.*hybrid'
    # Linux 6.12 is built without memory's v1 side by Debian: the controller stays in the v2 hierarchy.
    if grep -q 'on /sys/fs/cgroup/memory type cgroup ' "$V/out"; then
        keeps_to_its_limits memory.limit_in_bytes cpu.cfs_quota_us
    else
        keeps_to_its_limits memory.max cpu.cfs_quota_us
    fi
}

# bats test_tags=long
@test 'legacy: v1 alone' {
    fleet
    vm_boot --append davit.cgroup=legacy --background
    vm_run 'mount -t cgroup; mount -t cgroup2; grep memory /proc/self/cgroup' >"$V/out" || true
    cat "$V/out"
    run ! grep -q cgroup2 "$V/out"
    vm_run 'davit status' | grep -q 'CGroups.*legacy'
    if grep -q 'on /sys/fs/cgroup/memory type cgroup ' "$V/out"; then
        keeps_to_its_limits memory.limit_in_bytes cpu.cfs_quota_us
    else
        # There is no memory controller on this machine then: a limit that cannot be kept is no container.
        run ! vm_run 'davit start web.container'
        vm_run 'davit status web.container || true' >"$V/status"
        cat "$V/status"
        grep -qF 'MemoryMax= cannot be honoured (allow_missing_limits in davit.conf lets it start)' "$V/status"
        [ -z "$(vm_run 'pidof sleep || true')" ]
        # Where davit.conf allows it, it starts without that one, keeps to the others, and both is said.
        vm_run 'echo "allow_missing_limits = true;" >>/etc/davit/davit.conf; davit daemon-reload; davit reset-failed; davit start web.container'
        runs web.container
        [ "$(limit pids.max)" = 50 ]
        [ "$(limit cpu.cfs_quota_us)" = 40000 ]
        vm_run 'davit status web.container' | tee "$V/status"
        grep -q 'MemoryMax is not applied' "$V/status"
        vm_run 'davit poweroff' || true
        vm_wait
        vm_ended poweroff
    fi
}
