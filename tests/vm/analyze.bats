#!/usr/bin/env bats
# davit analyze about a real boot: kernel, userspace, units.
bats_require_minimum_version 1.5.0
load lib

@test 'davit analyze: time, blame, critical-chain, and plot as an SVG with the units in it' {
    vm_new
    vm_unit slow.service <<'U'
[Service]
Type=oneshot
ExecStart=/sbin/sleep 1.5
RemainAfterExit=yes
[Install]
WantedBy=multi-user.target
U
    vm_unit 'after.service' <<'U'
[Unit]
Description=<&> "last"
After=slow.service
[Service]
ExecStart=/sbin/sleep infinity
[Install]
WantedBy=multi-user.target
U
    vm_enable slow.service after.service
    vm_unit web.container <<'U'
[Container]
Image=busybox
Exec=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
U
    vm_agent
    vm_boot --background
    vm_wait_said 'startup finished in'

    vm_run 'davit analyze time' >"$V/time"
    cat "$V/time"
    grep -qE '^Startup finished in .*[0-9]m?s \(kernel\) \+ .*[0-9]m?s \(userspace\) = .*[0-9]m?s$' "$V/time"

    vm_run 'davit analyze blame' >"$V/blame"
    cat "$V/blame"
    python3 - "$V/blame" <<'P'
import re
import sys

UNITS = {"h": 3600, "min": 60, "s": 1, "ms": 1e-3, "us": 1e-6}
seconds = {}
for line in open(sys.argv[1], encoding="utf-8"):
    *span, name = line.split()
    seconds[name] = sum(float(n) * UNITS[u] for n, u in re.findall(r"([0-9.]+)([a-z]+)", " ".join(span)))
assert seconds["slow.service"] >= 1.5, seconds
assert "web.container" in seconds, seconds
assert list(seconds.values()) == sorted(seconds.values(), reverse=True), "the longest comes first"
P

    vm_run 'davit analyze critical-chain' >"$V/chain"
    cat "$V/chain"
    grep -q 'multi-user\.target' "$V/chain"
    vm_run 'davit analyze critical-chain after.service' >"$V/chain"
    cat "$V/chain"
    grep -qE 'after\.service' "$V/chain"
    grep -qE 'slow\.service .*\+.*[0-9]m?s$' "$V/chain"

    vm_run 'davit analyze plot >/var/lib/boot.svg'
    vm_run 'davit poweroff' || true
    vm_wait
    vm_ended poweroff
    vm_get /var/lib/boot.svg >"$V/boot.svg"
    python3 - "$V/boot.svg" <<'P'
import sys
import xml.etree.ElementTree as tree

root = tree.parse(sys.argv[1]).getroot()
svg = "{http://www.w3.org/2000/svg}"
assert root.tag == svg + "svg", root.tag
text = [t.text or "" for t in root.iter(svg + "text")]
for name in ("slow.service", "after.service", "web.container", "multi-user.target"):
    assert any(name in t for t in text), (name, text)
bars = [r for r in root.iter(svg + "rect") if float(r.get("width", "0").rstrip("%")) > 0]
assert len(bars) >= 4, len(bars)
P
}
