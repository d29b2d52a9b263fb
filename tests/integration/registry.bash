# Real registries (docker-registry) and false ones (registry-fake.py) on loopback, for the tests of fetching images. All of it is
# below $D and ends with registry_teardown.
# shellcheck shell=bash
bats_require_minimum_version 1.5.0
# shellcheck source=tests/integration/common.bash
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

# The program of Debian's package, without installing it: that would start its service.
registry_program() {
    if command -v docker-registry; then return; fi
    mkdir -p "$D/package"
    (cd "$D/package" && apt-get -qq download docker-registry && dpkg-deb -x docker-registry_*.deb .) >&2 || return 1
    echo "$D/package/usr/bin/docker-registry"
}

# Below those that the kernel gives to whoever connects somewhere: it is still free when it is wanted.
free_port() {
    python3 - <<'P'
import random, socket
while True:
    port = random.randrange(10000, 30000)
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
            break
        except OSError:
            pass
print(port)
P
}

# An authority of our own, and a certificate of it for localhost.
registry_certificates() {
    local c=$D/certs
    mkdir -p "$c"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=test authority' -keyout "$c/ca.key" -out "$c/ca.crt" 2>/dev/null
    openssl req -newkey rsa:2048 -nodes -subj '/CN=localhost' -keyout "$c/server.key" -out "$c/server.csr" 2>/dev/null
    openssl x509 -req -in "$c/server.csr" -CA "$c/ca.crt" -CAkey "$c/ca.key" -CAcreateserial -days 2 -out "$c/server.crt" \
        -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n') 2>/dev/null
}

# Remembers a process for registry_teardown.
remember() { echo "$1" >>"$D/servers"; }

# registry_start NAME [MORE YAML]: a docker-registry on the port that the kernel gives it, which goes to $D/NAME.port
registry_start() {
    printf 'version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp:\n  addr: 127.0.0.1:0\n%s\n' \
        "$D/registry-data" "${2:-}" >"$D/$1.yml"
    "$(cat "$D/registry-program")" serve "$D/$1.yml" >"$D/$1.log" 2>&1 </dev/null 3>&- &
    remember $!
    wait_for 20 grep -q 'listening on' "$D/$1.log"
    sed -nE 's/.*listening on 127\.0\.0\.1:([0-9]+).*/\1/p' "$D/$1.log" >"$D/$1.port"
}
port() { cat "$D/$1.port"; }

# fake_start NAME ARGUMENT...: registry-fake.py
fake_start() {
    local name=$1
    shift
    python3 "$BATS_TEST_DIRNAME/registry-fake.py" "$D/$name.port" "$D/$name.requests" "$@" >"$D/$name.log" 2>&1 </dev/null 3>&- &
    echo $! >"$D/$name.pid"
    remember $!
    wait_for 60 test -s "$D/$name.port"
}
requests() { cat "$D/$1.requests"; }

# The layout, the authority, and one registry without TLS that has the images: $D/plain.port
registry_setup() {
    [ "$(id -u)" = 0 ] || skip 'needs root'
    davit_new
    registry_program >"$D/registry-program" || skip 'docker-registry cannot be had'
    python3 "$BATS_TEST_DIRNAME/oci-layout.py" "$D/layout" "$(command -v busybox)"
    registry_start plain
    local tag
    for tag in web other big defaults; do copy_image "$tag" "team/$tag"; done
    copy_image multi team/multi --all
}
copy_image() {
    skopeo --insecure-policy copy -q ${3:+"$3"} --dest-tls-verify=false "oci:$D/layout:$1" "docker://127.0.0.1:$(port plain)/$2:1"
}

# configure TEXT: davit.conf with these registries, besides the plain one
configure() {
    printf 'log_sink = "file";\nregistries = { search = []; registry = (\n  { prefix = "127.0.0.1:%s"; plain_http = true; }%s\n); %s };\n' \
        "$(port plain)" "${1:+,
  $1}" "${2:-}" >"$D/davit.conf"
}

registry_teardown() {
    local p
    [ -n "${D:-}" ] || return 0
    while read -r p; do kill "$p" 2>/dev/null; done <"$D/servers"
    davit_stop
}

# An empty store for each test.
fresh_store() { rm -rf "$D/state/images"; mkdir -p "$D/state/images"; }
has_image() { davit image exists "$1"; }
layers() { find "$D/state/images/layers" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l; }
# Nothing half done is left but what a pull may go on with.
no_leftovers() { local l; l=$(find "$D/state/images/work" -mindepth 1 ! -name 'blob-*' 2>/dev/null); [ -z "$l" ] || { echo "left: $l"; return 1; }; }
# lowest FILE: contents of a file of the image in the store
file_of_image() { cat "$D"/state/images/layers/*/tree/"$1"; }
