#!/usr/bin/env bats
# Registries that fail, lie and attack (registry-fake.py): each ends in an error that says what is wrong, or in the right image,
# with nothing left behind and no secret told to anybody else.

# shellcheck source=tests/integration/registry.bash
. "$BATS_TEST_DIRNAME/registry.bash"

setup_file() {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    davit_new
    python3 "$BATS_TEST_DIRNAME/oci-layout.py" "$D/layout" "$(command -v busybox)"
    fake_start fake --layout "$D/layout" --gate "$D/gate"
    printf 'registries = { search = []; registry = ( { prefix = "127.0.0.1:%s"; plain_http = true; } ); };\n' "$(port fake)" >"$D/davit.conf"
}
teardown_file() { registry_teardown; }
setup() {
    fresh_store
    rm -f "$D/gate"
    : >"$D/fake.requests"
}
teardown() { rm -f "$D/gate"; }
# fetch CASE [OPTION...]
fetch() {
    local case=$1
    shift
    run timeout 200 "$DAVIT_BUILD/davit" image pull --retry 2 --retry-delay 20ms "$@" "127.0.0.1:$(port fake)/$case:1"
}
# refused CASE TEXT [OPTION...]: with that in the message, and an empty store
refused() {
    local case=$1 text=$2
    shift 2
    fresh_store
    fetch "$case" "$@"
    [ "$status" = 1 ] || { echo "$case: status $status: $output"; return 1; }
    says "$output" "$text"
    [ "$(layers)" = 0 ]
    no_leftovers
    [ -z "$(ls "$D/state/images/references")" ]
}
taken() {
    fetch "$@"
    if [ "$status" != 0 ]; then echo "$output"; return 1; fi
}

@test 'answers 503 and 429 pass by themselves' {
    taken flaky
    [ "$(requests fake | grep -c /manifests/)" = 3 ]
    says "$output" 'answers 503; trying again'
    refused down 'answers 503'
}

@test 'a connection that is cut: the download goes on where it was' {
    taken cut
    says "$output" 'trying again'
    requests fake | grep -q 'range=bytes=[1-9]'
}

@test 'a server that does not know ranges, and one that sends another range than it was asked for' {
    taken cut-no-range
    refused wrong-range 'asked for the bytes from'
}

@test 'a blob with another digest' { refused wrong-blob 'a blob should be sha256:'; }
@test 'a manifest with another digest than the registry says' { refused lying-digest 'and said that it is'; }
@test 'a blob that is larger than announced' { refused larger 'larger than the'; }
@test 'a blob that is smaller than announced' { refused smaller 'bytes have come'; }
@test 'a layer that fits on no disk' { refused huge-layer 'the last 5 %'; }
@test 'a configuration of a terabyte' { refused huge-config 'more than 8388608 bytes'; }
@test '501 layers' { refused many-layers '498'; }
@test 'a manifest that never ends' { refused endless 'the answer is larger than 4194304 bytes'; }
@test 'a digest that is a path' { refused no-digest 'digest'; }
@test 'an index that leads to an index' { refused index-of-index 'leads to another index'; }
@test 'a document that is index and manifest at once' { refused two-kinds 'manifest'; }
@test 'a manifest that is no JSON, and one of the old schema' {
    refused not-json 'manifest'
    refused schema1 'schema 1'
}
@test 'foreign layers are not followed' {
    refused foreign 'is kept elsewhere'
    refute grep -q elsewhere "$D/fake.requests"
}
@test 'a layer of an unknown type' { refused unknown-type 'of a type that davit does not know'; }

@test 'redirects: in circles, and to a file' {
    refused loop 'more than 10 redirects'
    refused to-file 'is not https'
}

@test 'a redirect to another host gets no credentials' {
    taken redirected
    requests fake | grep -q 'localhost:.*moved'
    : >"$D/fake.requests"
    fresh_store
    # The same with a password for the first host.
    taken basic --creds user:secret
    requests fake | grep 127.0.0.1 | grep -q 'authorization=Basic'
    refute grep -q 'localhost.*authorization=B' "$D/fake.requests"
}

@test 'credentials go along on the way to the registry, and not from there to another host' {
    taken token-redirected --creds user:secret
    grep -q '127.0.0.1.*/token/.*authorization=Basic' "$D/fake.requests"
    grep -q '127.0.0.1.*blobs.*authorization=Bearer' "$D/fake.requests"
    grep -q 'localhost.*moved.*authorization=None' "$D/fake.requests"
    refute grep -q 'blobs.*authorization=Basic' "$D/fake.requests"
}

@test 'a token that has expired in the middle is asked for anew' {
    taken expired
    grep -q 'blobs.*authorization=Bearer good' "$D/fake.requests"
}

@test 'challenges that are none' {
    refused no-challenge 'asks for credentials'
    refused odd-challenge 'not how to sign in'
    refused file-realm 'file'
    refused always-401 'asks for credentials'
}

@test 'tokens that are none' {
    refused token-none 'has no token'
    refused token-line 'token is not one'
    refused token-text 'not JSON'
    refused token-huge 'larger than'
    refute grep -qi 'x-evil' "$D/fake.requests"
}

@test 'what a registry writes into messages cannot play tricks on a terminal' {
    fetch escapes
    says "$output" '?[2Jgone?<3>forged'
}

@test 'lists of tags: elsewhere, without end, and with names that are none' {
    run timeout 200 "$DAVIT_BUILD/davit" image pull --all-tags "127.0.0.1:$(port fake)/tags-away"
    says "$output" 'elsewhere'
    run timeout 200 "$DAVIT_BUILD/davit" image pull --all-tags "127.0.0.1:$(port fake)/tags-endless"
    says "$output" 'more than 10000 tags'
    run timeout 200 "$DAVIT_BUILD/davit" image pull --all-tags "127.0.0.1:$(port fake)/tags-odd"
    says "$output" 'that is none'
    refute grep -q leak "$D/fake.requests"
}

@test 'what was fetched before a failure is gone on with' {
    fetch wrong-range-again
    [ "$status" = 1 ]
    [ -n "$(find "$D/state/images/work" -name 'blob-*' -size +100k)" ]
    # The same layer, from somebody who sends it.
    taken cut
    grep 'blobs.*range=bytes=[1-9]' "$D/fake.requests" | grep -q '/cut/'
}

# ---- a layer is unpacked while others are on their way ----

# fetch_held CASE: begins a pull whose second blob stops in the middle; $puller
fetch_held() {
    touch "$D/gate"
    "$DAVIT_BUILD/davit" image pull --retry 0 "127.0.0.1:$(port fake)/$1:1" >"$D/held.log" 2>&1 3>&- &
    puller=$!
}
# A recipe is written to its end when its layer's unpacking is over.
first_unpacked() {
    local recipe
    for recipe in "$D"/state/images/work/*/recipe; do
        if zstd -qt "$recipe" 2>/dev/null && [ -e "${recipe%recipe}tree/bin/sh" ]; then return 0; fi
    done
    return 1
}
half_there() { [ -n "$(find "$D/state/images/work" -name 'blob-*' -size +1900k)" ]; }

@test 'the first layer is unpacked before the second blob has come to its end' {
    fetch_held held
    wait_for 60 first_unpacked
    wait_for 60 half_there
    [ -e "$D/gate" ]
    [ "$(layers)" = 0 ]
    rm "$D/gate"
    wait "$puller" || { cat "$D/held.log"; false; }
    [ "$(layers)" = 2 ]
    no_leftovers
    [ "$(find "$D/state/images/blobs/sha256" -type f | wc -l)" = 2 ] # manifest and configuration: no archive is kept
}

@test 'a layer that cannot be unpacked ends the fetching of the others' {
    fetch_held held-no-tar
    status=0
    wait "$puller" || status=$?
    [ -e "$D/gate" ] # the second blob has not ended by itself
    [ "$status" = 1 ]
    says "$(cat "$D/held.log")" "layer sha256:$(python3 -c 'import hashlib; print(hashlib.sha256(b"no archive" * 1000).hexdigest())')"
    says "$(cat "$D/held.log")" 'no tar archive'
    [ "$(layers)" = 0 ]
    no_leftovers
}

@test 'a blob that does not come ends the unpacking of the others, and the next pull goes on' {
    fetch_held held-lost
    wait_for 60 first_unpacked
    rm "$D/gate"
    status=0
    wait "$puller" || status=$?
    [ "$status" = 1 ]
    says "$(cat "$D/held.log")" 'held-lost/blobs/sha256:'
    [ "$(layers)" = 0 ]
    no_leftovers
    half_there
    taken cut
    [ "$(layers)" = 2 ]
    [ "$(grep -c '/cut/blobs/' "$D/fake.requests")" -le 3 ] # the configuration and the first layer were there
}
