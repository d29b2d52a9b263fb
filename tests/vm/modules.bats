#!/usr/bin/env bats
# What modprobe.d(5) says of the modules that a boot loads by name.
bats_require_minimum_version 1.5.0
load lib

# bats test_tags=long
@test 'an alias, soft dependencies before and after, and an alias in a circle' {
    vm_new
    printf 'my-net\nround\n' | vm_file /etc/modules-load.d/test.conf
    vm_file /etc/modprobe.d/test.conf <<'M'
alias my_ne? dummy
softdep dummy pre: no-such-module softdog post: vsock
options dummy numdummies=3
alias round about
alias about round
M
    vm_agent
    vm_boot --background
    vm_run 'cd /sys/module && ls -d dummy softdog vsock && ls -d /sys/class/net/dummy2'
    vm_run 'davit status' | tee "$V/status"
    grep -q 'alias or softdep of modprobe.d lead in a circle' "$V/status"
    run ! grep -q no-such-module "$V/status"
    vm_run 'davit poweroff' || true
    vm_wait
    vm_ended poweroff
}
