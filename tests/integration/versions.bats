#!/usr/bin/env bats
# Davit's programs are replaced on disk, as by an upgrade, and nobody says so: some of them start anew, others do not. The other
# version here is this one with another number in what davitd and the launchers write to each other.
load common

units() {
    steady_unit steady
    steady_unit other
    cat >>"$D/units/other.container" <<U
[Service]
ExecStartPost=/bin/sh -c 'echo started >>$D/posts'
ExecStopPost=/bin/sh -c 'echo stopped >>$D/posts'
U
}

# other_version PROGRAM: in D/other. Some processors have such a number in one piece in their instructions, some have not.
other_version() {
    mkdir -p "$D/other"
    python3 - "$DAVIT_BUILD/$1" "$D/other/$1" <<'P'
import os, re, sys
old = open(sys.argv[1], "rb").read()
new = re.sub(rb"[0-9]SVD", b"~SVD", old) # SPEC_MAGIC and SPEC_VERSION, least byte first
if new == old:
    sys.exit(77)
open(sys.argv[2], "wb").write(new)
os.chmod(sys.argv[2], 0o755)
P
}
# install DIRECTORY PROGRAM...: as a package manager does it
install_from() {
    local from=$1 program
    shift
    for program; do
        ln -s "$from/$program" "$D/libexec/.new"
        mv -T "$D/libexec/.new" "$D/libexec/$program"
    done
}
setup() {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    export OTHER=1 # for teardown
    davit_new
    davit_image
    units
    mkdir "$D/libexec"
    install_from "$DAVIT_BUILD" davitd davit-launch davit-logd davit-image
    for program in davitd davit-launch; do
        other_version $program || skip "the number is not in one piece in $program"
    done
    export DAVIT_LIBEXEC_DIR=$D/libexec
    davit_start
    davit start steady
    steady=$(show steady pid)
}
undisturbed() { is_state steady running && [ "$(show steady pid)" = "$steady" ] && [ "$(show steady restarts)" -eq 0 ]; }

@test 'davitd alone is of the new version: the launchers follow, and nothing fails' {
    install_from "$D/other" davitd davit-launch
    replace_davitd
    davit start other
    is_state other running
    davit stop other
    undisturbed
    grep -q 'Launcher . is of another version' "$D/init.log"
    [ "$(cat "$D/posts")" = "$(printf 'started\nstopped')" ]
}

@test 'the launchers alone are of the new version: davitd follows, and nothing fails' {
    local p
    old=$(manager_pid)
    install_from "$D/other" davitd davit-launch
    for p in $(part_pids davit-launch); do kill -9 "$p"; done
    davit start other
    is_state other running
    [ "$(manager_pid)" != "$old" ]
    [ "$(readlink -f "/proc/$(manager_pid)/exe")" = "$D/other/davitd" ]
    davit stop other
    undisturbed
    [ "$(cat "$D/posts")" = "$(printf 'started\nstopped')" ]
}

@test 'a hook that is asked for between two versions is run, once' {
    davit start other
    install_from "$D/other" davitd davit-launch
    replace_davitd
    davit stop other
    [ "$(cat "$D/posts")" = "$(printf 'started\nstopped')" ]
    undisturbed
}

@test 'what is installed does not fit together: a start fails and says so, the others go on' {
    local p
    install_from "$D/other" davit-launch
    for p in $(part_pids davit-launch); do kill -9 "$p"; done
    old=$(manager_pid)
    run davit start other
    [ "$status" -ne 0 ]
    says "$output" 'of another version'
    undisturbed
    [ "$(manager_pid)" = "$old" ]
    install_from "$DAVIT_BUILD" davit-launch
    for p in $(part_pids davit-launch); do kill -9 "$p"; done
    davit start other
    is_state other running
}
