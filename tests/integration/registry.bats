#!/usr/bin/env bats
# davit image pull and davit login against real registries (docker-registry), filled by skopeo.

# shellcheck source=tests/integration/registry.bash
. "$BATS_TEST_DIRNAME/registry.bash"

setup_file() {
    registry_setup
    copy_image web team/open/web
    registry_certificates
    # shellcheck disable=SC2016 # a salt
    printf 'user:%s\n' "$(perl -e 'print crypt("secret", q($2y$05$abcdefghijklmnopqrstuu))')" >"$D/htpasswd"
    registry_start tls "  tls: {certificate: $D/certs/server.crt, key: $D/certs/server.key}"
    registry_start basic "  tls: {certificate: $D/certs/server.crt, key: $D/certs/server.key}
auth: {htpasswd: {realm: test, path: $D/htpasswd}}"
    registry_start client "  tls: {certificate: $D/certs/server.crt, key: $D/certs/server.key, clientcas: [$D/certs/ca.crt]}"
    python3 "$BATS_TEST_DIRNAME/registry-token.py" "$D/issuer.port" "$D/certs/server.key" "$D/certs/server.crt" "$D/issuer.log" \
        >"$D/issuer.out" 2>&1 </dev/null 3>&- &
    remember $!
    wait_for 60 test -s "$D/issuer.port"
    registry_start token "auth: {token: {realm: 'http://127.0.0.1:$(port issuer)/token', service: test, issuer: test issuer, rootcertbundle: $D/certs/ca.crt}}"
    export HOME=$D/home
    mkdir -p "$HOME"
}
teardown_file() { registry_teardown; }
setup() {
    PULL=(--retry 2 --retry-delay 50ms)
    configure
    fresh_store
    rm -rf "$HOME"/.docker "$D/auth.json"
}

@test 'pull by tag: the ID is printed, and the image is there' {
    run -0 davit image pull --quiet "127.0.0.1:$(port plain)/team/web:1"
    [[ $output =~ ^[0-9a-f]{64}$ ]]
    has_image "127.0.0.1:$(port plain)/team/web:1"
    [ "$(file_of_image web)" = web ]
    no_leftovers
    # The archives of unpacked layers are of no use any more.
    [ "$(find "$D/state/images/blobs/sha256" -type f | wc -l)" = 2 ]
}

@test 'pull by digest: what has another digest is not that image' {
    digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://127.0.0.1:$(port plain)/team/web:1")
    davit image pull "127.0.0.1:$(port plain)/team/web@$digest"
    has_image "127.0.0.1:$(port plain)/team/web@$digest"
    run -1 davit image pull "${PULL[@]}" "127.0.0.1:$(port plain)/team/web@sha256:$(printf 'f%.0s' {1..64})"
    says "$output" 'does not have it'
}

@test 'an image that is not there, and a registry that is not: errors that say so' {
    run -1 davit image pull "${PULL[@]}" "127.0.0.1:$(port plain)/team/none:1"
    says "$output" 'MANIFEST_UNKNOWN'
    run -1 davit image pull "${PULL[@]}" 127.0.0.1:1/team/web:1
    says "$output" 'trying again'
    says "$output" 'Failed to connect to 127.0.0.1 port 1'
    run -1 davit image pull "${PULL[@]}" registry.invalid/team/web:1
    says "$output" 'Could not resolve host'
    run -1 davit image pull nothing-to-search
    says "$output" 'names no registry'
    run -1 davit image pull 'BAD NAME'
    no_leftovers
}

@test 'two images share a layer: it is fetched and stored once' {
    davit image pull "127.0.0.1:$(port plain)/team/web:1" "127.0.0.1:$(port plain)/team/other:1"
    [ "$(layers)" = 3 ]
}

# Archives are not synced while they come, and the file system may have their length and not their bytes.
@test 'what a power cut has spoiled of a download is fetched anew' {
    for size in 1000 whole; do
        fresh_store
        mkdir -p "$D/state/images/work"
        skopeo inspect --tls-verify=false --raw "docker://127.0.0.1:$(port plain)/team/web:1" | jq -r '.layers[] | "\(.digest[7:55]) \(.size)"' >"$D/web-layers"
        while read -r name whole; do
            n=$((size == whole ? whole : size < whole ? size : whole - 1))
            head -c $n /dev/zero >"$D/state/images/work/blob-$name"
        done <"$D/web-layers"
        davit image pull --quiet "127.0.0.1:$(port plain)/team/web:1"
        [ "$(file_of_image web)" = web ]
        [ -z "$(ls "$D/state/images/work")" ]
    done
}

@test 'events: progress up to the end, then the image' {
    run -0 davit --json image pull "127.0.0.1:$(port plain)/team/big:1"
    [ "$(jq -rs 'map(select(.event == "progress")) | last | .done == .total' <<<"$output")" = true ]
    [ "$(jq -rs 'map(select(.event == "progress" or .event == "image")) | last | .event' <<<"$output")" = image ]
}

@test 'an index: the manifest for this machine, or the one that is wanted' {
    davit image pull "127.0.0.1:$(port plain)/team/multi:1"
    case $(uname -m) in x86_64) [ "$(file_of_image platform)" = amd64 ] ;; aarch64) [ "$(file_of_image platform)" = arm64/v8 ] ;; esac
    davit image pull --platform linux/arm/v7 "127.0.0.1:$(port plain)/team/multi:1"
    says "$(file_of_image platform)" 'arm/v7'
    fresh_store
    davit image pull --arch arm64 "127.0.0.1:$(port plain)/team/multi:1"
    [ "$(file_of_image platform)" = arm64/v8 ]
    run -1 davit image pull --platform linux/s390x "127.0.0.1:$(port plain)/team/multi:1"
    says "$output" 'there is none for linux/s390x; there is: linux/arm64/v8, linux/amd64, linux/arm/v7'
}

@test 'all tags' {
    skopeo --insecure-policy copy -q --dest-tls-verify=false "oci:$D/layout:other" "docker://127.0.0.1:$(port plain)/team/tags:two"
    skopeo --insecure-policy copy -q --dest-tls-verify=false "oci:$D/layout:web" "docker://127.0.0.1:$(port plain)/team/tags:one"
    davit image pull --all-tags "127.0.0.1:$(port plain)/team/tags"
    has_image "127.0.0.1:$(port plain)/team/tags:one"
    has_image "127.0.0.1:$(port plain)/team/tags:two"
    run -1 davit image pull --all-tags "127.0.0.1:$(port plain)/team/tags:one"
    says "$output" 'all tags are wanted, and one is named'
}

@test 'policies: never, missing, always, newer' {
    image=127.0.0.1:$(port plain)/team/moving:1
    skopeo --insecure-policy copy -q --dest-tls-verify=false "oci:$D/layout:web" "docker://$image"
    run -1 davit image pull --policy never "$image"
    says "$output" 'may not be fetched'
    first=$(davit image pull -q --policy missing "$image")
    skopeo --insecure-policy copy -q --dest-tls-verify=false "oci:$D/layout:other" "docker://$image"
    [ "$(davit image pull -q --policy never "$image")" = "$first" ]
    [ "$(davit image pull -q --policy missing "$image")" = "$first" ]
    second=$(davit image pull -q --policy newer "$image")
    [ "$second" != "$first" ]
    [ "$(davit image pull -q --policy always "$image")" = "$second" ]
    # Without a connection newer makes do with what is here, and always does not.
    printf 'registries = { registry = ( { prefix = "%s"; location = "127.0.0.1:1"; plain_http = true; } ); };\n' "${image%%/*}" >"$D/davit.conf"
    [ "$(davit image pull -q "${PULL[@]}" --policy newer "$image")" = "$second" ]
    run -1 davit image pull -q "${PULL[@]}" --policy always "$image"
    run -1 davit image pull --policy sometimes "$image"
    says "$output" 'always, missing, newer or never'
}

@test 'TLS: an authority that nobody knows is refused, one that is named is taken' {
    image=localhost:$(port tls)/team/web:1
    run -1 davit image pull "${PULL[@]}" "$image"
    says "$output" 'certificate*certs in davit.conf'
    [ "$(layers)" = 0 ]
    davit image pull --tls-verify=false "$image"
    fresh_store
    mkdir -p "$D/cert-dir" "$D/certs.d/localhost:$(port tls)"
    cp "$D/certs/ca.crt" "$D/cert-dir/"
    davit image pull --cert-dir "$D/cert-dir" "$image"
    fresh_store
    configure "{ prefix = \"localhost:$(port tls)\"; ca = \"$D/certs/ca.crt\"; }"
    davit image pull "$image"
    fresh_store
    cp "$D/certs/ca.crt" "$D/certs.d/localhost:$(port tls)/ca.crt"
    configure '' "certs = [ \"$D/certs.d\" ];"
    davit image pull "$image"
    # The name has to be right as well.
    sed -i "s/localhost:$(port tls)/127.0.0.2:$(port tls)/" "$D/davit.conf"
    run -1 davit image pull "${PULL[@]}" --cert-dir "$D/cert-dir" "127.0.0.2:$(port tls)/team/web:1"
}

@test 'TLS: plain HTTP is not spoken unless it is said' {
    printf '' >"$D/davit.conf"
    run -1 davit image pull "${PULL[@]}" "127.0.0.1:$(port plain)/team/web:1"
    says "$output" 'plain_http = true in davit.conf'
    [ "$(layers)" = 0 ]
    # podman's --tls-verify=false falls back to it.
    davit image pull --tls-verify=false "127.0.0.1:$(port plain)/team/web:1"
}

@test 'a certificate of our own' {
    image=localhost:$(port client)/team/web:1
    run -1 davit image pull "${PULL[@]}" --cert-dir "$D/cert-dir" "$image"
    openssl req -newkey rsa:2048 -nodes -subj '/CN=client' -keyout "$D/client.key" -out "$D/client.csr" 2>/dev/null
    openssl x509 -req -in "$D/client.csr" -CA "$D/certs/ca.crt" -CAkey "$D/certs/ca.key" -CAcreateserial -days 2 -out "$D/client.crt" \
        -extfile <(printf 'extendedKeyUsage=clientAuth\n') 2>/dev/null
    mkdir -p "$D/own"
    cp "$D/certs/ca.crt" "$D/own/"
    cp "$D/client.crt" "$D/own/me.cert"
    run -1 davit image pull --cert-dir "$D/own" "$image"
    says "$output" 'me.key'
    cp "$D/client.key" "$D/own/me.key"
    davit image pull --cert-dir "$D/own" "$image"
}

@test 'basic authentication: credentials are asked for, checked, and forgotten' {
    image=localhost:$(port basic)/team/web:1
    configure "{ prefix = \"localhost:$(port basic)\"; ca = \"$D/certs/ca.crt\"; }"
    run -1 davit image pull "$image"
    says "$output" "davit login localhost:$(port basic)"
    run -1 davit image pull --creds user:wrong "$image"
    says "$output" 'does not let the credentials of the command line in'
    run -1 davit login -u user --password-stdin "localhost:$(port basic)" <<<wrong
    [ ! -e "$D/auth.json" ]
    run -0 davit login -u user --password-stdin "localhost:$(port basic)" <<<secret
    says "$output" 'Login Succeeded'
    [ "$(stat -c %a "$D/auth.json")" = 600 ]
    davit image pull "$image"
    fresh_store
    # The tool that others use reads the same file.
    skopeo inspect --authfile "$D/auth.json" --tls-verify=false "docker://$image" >/dev/null
    run -0 davit logout "localhost:$(port basic)"
    run -1 davit logout "localhost:$(port basic)"
    says "$output" 'not logged in'
    run -1 davit image pull "$image"
    davit image pull --creds user:secret "$image"
}

@test 'credential files of docker and podman' {
    image=localhost:$(port basic)/team/web:1
    configure "{ prefix = \"localhost:$(port basic)\"; ca = \"$D/certs/ca.crt\"; }"
    skopeo login --authfile "$D/podman.json" --tls-verify=false -u user -p secret "localhost:$(port basic)" >/dev/null
    REGISTRY_AUTH_FILE=$D/podman.json davit image pull "$image"
    fresh_store
    davit image pull --authfile "$D/podman.json" "$image"
    fresh_store
    mkdir -p "$HOME/.docker"
    cp "$D/podman.json" "$HOME/.docker/config.json"
    davit image pull "$image"
    fresh_store
    # A longer key that is wrong wins over a shorter one that is right.
    jq ".auths[\"localhost:$(port basic)/team\"] = {auth: \"eDp5\"}" "$D/podman.json" >"$D/longer.json"
    run -1 davit image pull --authfile "$D/longer.json" "$image"
    says "$output" "longer.json (localhost:$(port basic)/team)"
    run -1 davit image pull --authfile "$D/none.json" "$image"
    says "$output" 'none.json'
    printf '{"credsStore": "pass"}' >"$HOME/.docker/config.json"
    run -1 davit image pull "$image"
    says "$output" 'config.json leaves it to a credential helper'
    says "$output" 'davit login'
    printf '{"credHelpers": {"localhost:%s": "pass"}, "auths": {"localhost:%s": {}}}' "$(port basic)" "$(port basic)" >"$HOME/.docker/config.json"
    run -1 davit image pull "$image"
    says "$output" 'davit login'
    # One for another registry is nobody's trouble, and podman's file comes first.
    mkdir -p "$HOME/.config/containers"
    cp "$D/podman.json" "$HOME/.config/containers/auth.json"
    davit image pull "$image"
    rm "$HOME/.config/containers/auth.json"
}

@test 'tokens: for nobody, for a user, and not for a wrong password' {
    configure "{ prefix = \"127.0.0.1:$(port token)\"; plain_http = true; }"
    davit image pull "127.0.0.1:$(port token)/team/open/web:1"
    fresh_store
    run -1 davit image pull "127.0.0.1:$(port token)/team/web:1"
    says "$output" 'asks for credentials'
    run -1 davit image pull --creds user:wrong "127.0.0.1:$(port token)/team/web:1"
    says "$output" 'incorrect username or password'
    : >"$D/issuer.log"
    davit image pull --creds user:secret "127.0.0.1:$(port token)/team/web:1"
    # One token for all of it, and for nothing else.
    [ "$(cat "$D/issuer.log")" = "user ['repository:team/web:pull']" ]
    run -0 davit login -u user --password-stdin "127.0.0.1:$(port token)" <<<secret
    run -1 davit login -u user --password-stdin "127.0.0.1:$(port token)" <<<wrong
}

@test 'mirrors: asked first, passed over where they fail' {
    image=main.invalid/team/web:1
    configure "{ prefix = \"main.invalid\"; location = \"127.0.0.1:1\"; plain_http = true;
        mirrors = ( { location = \"127.0.0.1:2\"; plain_http = true; }, { location = \"127.0.0.1:$(port plain)\"; plain_http = true; } ); }"
    run -0 davit image pull "${PULL[@]}" "$image"
    says "$output" 'mirror 127.0.0.1:2: '
    has_image "$image"
    run -1 davit image pull "${PULL[@]}" main.invalid/team/none:1
    says "$output" 'port 1'
}

@test 'names without a registry, aliases, and blocked prefixes' {
    copy_image web short
    configure "{ prefix = \"127.0.0.1:$(port plain)/secret\"; blocked = true; }" \
        "search = [ \"127.0.0.1:1\", \"127.0.0.1:$(port plain)\" ]; aliases = ( { name = \"mine\"; image = \"127.0.0.1:$(port plain)/team/other\"; } );"
    sed -i 's/search = \[\];//; s/^registries = {/registries = { /' "$D/davit.conf"
    run -1 davit image pull "127.0.0.1:$(port plain)/secret/web:1"
    says "$output" 'is blocked'
    davit image pull --tls-verify=false "${PULL[@]}" short:1
    has_image "127.0.0.1:$(port plain)/short:1"
    davit image pull mine:1
    has_image "127.0.0.1:$(port plain)/team/other:1"
}

@test 'a davit.conf with a mistake: file, line and what' {
    printf 'registries = {\n  registry = ( { prefix = "a"; tls = true; } );\n};\n' >"$D/davit.conf"
    run -1 davit image pull a/b:1
    says "$output" 'davit.conf:2: registries: unknown setting tls'
}

@test 'a platform that is asked for is not what lies here for another' {
    davit image pull --arch arm64 "127.0.0.1:$(port plain)/team/multi:1"
    davit image pull --policy missing --arch amd64 "127.0.0.1:$(port plain)/team/multi:1"
    says "$(file_of_image platform)" amd64
}

@test 'fsck: a damaged image is fetched again, the same one, whatever its tag leads to now' {
    copy_image web team/moving
    name=127.0.0.1:$(port plain)/team/moving:1
    davit image pull --quiet "$name"
    before=$(davit image inspect "$name" | jq -r '.[0].Digest')
    copy_image other team/moving
    find "$D/state/images/layers" -path '*/tree/*' -type f -exec sh -c 'echo damage >>"$1"' - {} \; -quit
    run -1 davit image fsck
    davit image fsck --repair
    davit image fsck
    [ "$(davit image inspect "$name" | jq -r '.[0].Digest')" = "$before" ]
    # A manifest that is gone as well.
    rm "$D/state/images/blobs/sha256/${before#sha256:}"
    davit image fsck --repair
    davit image fsck
    [ "$(davit image inspect "$name" | jq -r '.[0].Digest')" = "$before" ]
    no_leftovers
}

@test 'fsck: what the registry does not have any more is lost, and said to be' {
    name=127.0.0.1:$(port plain)/team/web:1
    davit image pull --quiet "$name"
    find "$D/state/images/layers" -path '*/tree/*' -type f -exec sh -c 'echo damage >>"$1"' - {} \; -quit
    printf 'log_sink = "file";\nregistries = { search = []; registry = ({ prefix = "127.0.0.1:%s"; plain_http = true; blocked = true; }); };\n' "$(port plain)" >"$D/davit.conf"
    run -1 davit image fsck --repair
    says "$output" "image $name is lost: it could not be fetched"
}
