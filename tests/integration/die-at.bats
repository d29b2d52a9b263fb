#!/usr/bin/env bats
# The short form of `make soak`'s second half: a process of davit ends at one of its system calls, or the call fails.

setup() {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    [ "$(uname -m)" = x86_64 ] || skip 'registers are known for x86-64 only'
    export DAVIT_BUILD=${DAVIT_BUILD:-$BATS_TEST_DIRNAME/../../build}
}
die_at() {
    run "$BATS_TEST_DIRNAME/../soak/die-at" "$@" 3>&-
    echo "$output"
    [ "$status" -ne 77 ] || skip 'no ptrace here'
    [ "$status" -eq 0 ]
}

@test 'davitd killed at system calls of its life: one run, one end, each line once' {
    die_at davitd --first $((RANDOM % 197 + 1)) --stride 197
}

@test 'davit-logd and davit-launch killed at system calls of their lives: one run, one end, each line once' {
    die_at davit-logd --first $((RANDOM % 97 + 1)) --stride 97
    die_at davit-launch --first $((RANDOM % 97 + 1)) --stride 97
}

@test 'davitd killed at system calls of its life with a davit exec: the command runs once, and its status is told' {
    die_at exec --first $((RANDOM % 53 + 1)) --stride 53
}

@test 'davitd killed at system calls of its life with a davit run: it runs once, reads and writes, and its status is told' {
    die_at run --first $((RANDOM % 97 + 1)) --stride 97
}

@test 'davitd killed at system calls of its life with a davit run --detach: it runs once, and its name is told' {
    die_at detach --first $((RANDOM % 197 + 1)) --stride 197
}

@test 'davit-init killed at system calls of its replacement: the next one has the same container' {
    die_at init --first $((RANDOM % 97 + 1)) --stride 97 --last 300
}

@test 'system calls fail during the replacement of davit-init: it goes on' {
    die_at errors --last 22 --stride 3
}
