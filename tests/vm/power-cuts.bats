#!/usr/bin/env bats
# The power goes while davit does something to what lasts: /var/lib/davit and the links of enabled units. The next boot ends in a
# running state, or says why not.
# shellcheck disable=SC2016 # scripts for the machine's shell
bats_require_minimum_version 1.5.0
load lib

# A container with a volume that takes a second to stop, and one that is not enabled.
fleet() {
    vm_unit web.container <<'U'
[Container]
Image=busybox
Volume=data:/data
Exec=/bin/sh -c 'trap "sleep 1; exit 0" TERM; echo up >>/data/starts; while :; do sleep 0.1; done'
[Install]
WantedBy=multi-user.target
U
    vm_unit extra.service <<'U'
[Service]
ExecStart=/sbin/sleep infinity
[Install]
WantedBy=multi-user.target
U
    vm_agent
}

# On the machine: until the container runs; else why it does not.
up='for n in $(seq 300); do davit status web | grep -q running && exit; sleep 0.3; done; davit status; davit status web; exit 1'

# Boots what the power cut has left, and looks at it from inside and from outside.
comes_up_whole() {
    vm_boot --background
    vm_run "$up" || return 1
    # Nothing of a boot before: one upper layer, one line of idmaps a unit.
    [ "$(vm_run 'ls /var/lib/davit/containers/web.container | wc -l')" = 1 ] || return 1
    [ -z "$(vm_run 'cut -d" " -f1 /var/lib/davit/idmaps | sort | uniq -d')" ] || return 1
    vm_run 'davit poweroff' || true
    vm_wait
    vm_ended poweroff || return 1
    vm_fsck >/dev/null
}

@test 'the power goes in each phase: booting, starting, running, stopping, shutting down' {
    vm_new
    fleet

    vm_boot --background
    vm_wait_said 'davit-init'
    vm_kill
    vm_boot --background
    vm_wait_reported '^VM-AGENT'
    vm_kill
    comes_up_whole

    vm_boot --background
    vm_run "$up"
    vm_kill
    vm_boot --background
    vm_run "$up"
    vm_run 'davit stop --no-block web'
    vm_kill
    vm_boot --background
    vm_run "$up"
    vm_begin 'davit poweroff'
    vm_wait_said 'davit-shutdown'
    vm_kill
    comes_up_whole
}

# What the machine had acknowledged when the power went is on the disk, in both directions; nothing is half made.
links_are_as_told() {
    local told link=/etc/davit/units/multi-user.target.wants/extra.service
    vm_fsck >/dev/null || return 1
    told=$(vm_get /told told)
    tellings+="$told "
    # "enabling" and "disabling" may have happened or not.
    case $told in
    enabled) vm_list "${link%/*}" | grep -qx extra.service || { echo 'enabled, and there is no link'; return 1; } ;;
    disabled) if vm_list "${link%/*}" | grep -qx extra.service; then echo 'disabled, and there is a link'; return 1; fi ;;
    esac
}

@test 'the power goes at any write: what davit enable and disable have told is so' {
    vm_new
    vm_disk told 16M
    fleet
    vm_file /toggle 755 <<'S'
#!/bin/sh
tell() { echo "$1" >/mnt/told; sync /mnt/told; }
for n in 1 2 3 4; do
    for verb in enable disable; do
        tell "${verb%e}ing"
        davit $verb extra.service
        # So often that some of the power cuts come in between.
        for _ in 1 2 3; do tell "${verb}d"; done
    done
done
S
    vm_boot --background --record
    vm_run 'mount /dev/nvme0n1p2 /mnt'
    local from tellings=''
    from=$(vm_writes)
    vm_run /toggle
    vm_kill
    vm_crashpoints 20 links_are_as_told "$from"
    [[ $tellings == *enabled* && $tellings == *disabled* ]]
}

# bats test_tags=long
@test 'the power goes at any write: /var/lib/davit is whole after the next boot' {
    vm_new
    fleet
    vm_boot --background --record
    vm_run "$up"
    vm_run 'davit restart web; davit run --rm --name once busybox /bin/true'
    vm_kill
    vm_crashpoints 3 comes_up_whole "$(($(vm_writes) / 3))"
}
