#!/usr/bin/env bats
# The short form of `make soak`: 120 kills of davitd and some of the others among 30 containers that come and go.

@test 'davitd is killed 120 times, davit-launch and davit-logd 20 times, all are replaced 10 times: every exit status, every line, nobody disturbed' {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    export DAVIT_BUILD=${DAVIT_BUILD:-$BATS_TEST_DIRNAME/../../build}
    run "$BATS_TEST_DIRNAME/../soak/soak" --kills 120 --logd 20 --launch 20 --replace 10 3>&-
    echo "$output"
    [ "$status" -eq 0 ]
}
