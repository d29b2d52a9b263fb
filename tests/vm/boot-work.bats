#!/usr/bin/env bats
# What davit itself does from the kernel's hand-over to its first unit, counted in instructions.
bats_require_minimum_version 1.5.0
load lib

# One instruction a nanosecond is a slow CPU; no other load on this machine is in the figure.
# bats test_tags=long
@test "own work up to the first unit's process is less than 50 ms" {
    vm_new
    echo overlay | vm_file /etc/modules-load.d/overlay.conf
    vm_unit web.container <<'U'
[Container]
Image=busybox
Exec=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
U
    vm_file /check 755 <<'S'
#!/bin/sh
until davit analyze time >/dev/null 2>&1; do sleep 0.1; done
davit analyze time >/var/time
davit analyze --json >/var/times.json
sync
davit poweroff --force
S
    vm_unit check.service <<'U'
[Unit]
After=web.container
[Service]
ExecStart=/check
[Install]
WantedBy=multi-user.target
U
    vm_enable check.service
    vm_boot --own-time
    vm_ended poweroff
    vm_get /var/time | tee /dev/stderr >"$V/time"
    grep -qE "^Own work up to the first unit's process: [0-9]+ms of processor time$" "$V/time"
    [ "$(sed '1,/^Own work/d' "$V/time" | grep -cE '^  (davit-init|davit-boot|davitd, with its linking) +[0-9]+ms$')" = 3 ]
    grep -qE '^and for davit-boot by the kernel and others \(modules, mounts\): [0-9]+ms$' "$V/time"
    [ "$(sed -n "s/^Own work.*: \([0-9]*\)ms.*/\1/p" "$V/time")" -lt 50 ]
    vm_get /var/times.json | python3 -c '
import json, sys
t = json.load(sys.stdin)["times"]
assert 0 < t["userspace"] < t["mounts"] < t["boot"] <= t["manager"] < t["units_load_start"] < t["first_start"] <= t["finish"], t
assert 0 < sum(t[k] for k in ("init_work", "boot_work", "manager_work")) < 50000, t
# What was used cannot be more than what has passed.
assert t["init_work"] + t["boot_work"] + t["boot_other_work"] + t["manager_work"] <= t["first_start"] - t["userspace"], t'
}
