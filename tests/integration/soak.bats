#!/usr/bin/env bats
# The short form of tests/soak/soak: 20 kills among 30 containers that come and go.

@test 'davitd, davit-launch and davit-logd are killed 20 times: every exit status, every line, nobody disturbed' {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    export DAVIT_BUILD=${DAVIT_BUILD:-$BATS_TEST_DIRNAME/../../build}
    run "$BATS_TEST_DIRNAME/../soak/soak" --kills 20 3>&-
    echo "$output"
    [ "$status" -eq 0 ]
}
