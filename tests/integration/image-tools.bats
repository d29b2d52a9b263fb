#!/usr/bin/env bats
# Images that other tools make, with every member of a configuration: in by all ways, out by all ways, through a real
# registry, and back. What a tool wrote is there to the end, and digests stay.
# shellcheck disable=SC2016 # text for other shells
load registry

setup_file() {
    if lacks buildah skopeo; then return; fi
    davit_new
    if ! registry_program >"$D/registry-program"; then LACKS="needs docker-registry"; return; fi
    davit_image
    echo '{}' >"$D/no-auth.json"
    registry_start plain
    configure
    (make_images) >"$D/make.log" 2>&1 || { cat "$D/make.log"; return 1; }
    davit_start
    echo "$DAVIT_PID" >"$D/pid"
}
setup() { has_all_tools; }
teardown_file() {
    [ -z "$LACKS" ] || return 0
    DAVIT_PID=$(cat "$D/pid" 2>/dev/null || true)
    registry_teardown
}

# In directories of its own, without namespaces, and without anybody's credentials.
buildah() { REGISTRY_AUTH_FILE=$D/no-auth.json STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot command buildah --root "$D/bh" --runroot "$D/bhr" "$@"; }
# The same image in both forms: only docker's has a health check.
make_images() {
    local c
    mkdir -p "$D/data"
    echo in >"$D/data/file"
    c=$(buildah from scratch)
    buildah copy "$c" "$D/state/images/busybox" /
    buildah copy "$c" "$D/data" /data
    buildah config --cmd '["sh","-c","while :; do sleep 1; done"]' --entrypoint '["/bin/busybox"]' --env A=1 --env 'B=x y' \
        --user 33:33 --port 80/tcp --port 53/udp --volume /data --stop-signal SIGINT --label 'l=a b' --workingdir /tmp \
        --healthcheck 'CMD /bin/true' --healthcheck-interval 5s --healthcheck-timeout 2s --healthcheck-retries 2 "$c"
    buildah commit -q --format docker "$c" made:docker
    buildah commit -q --format oci "$c" made:oci
    buildah push -q made:docker "docker-archive:$D/made-docker.tar:made:docker"
    buildah push -q made:oci "oci-archive:$D/made-oci.tar:made:oci"
    buildah push -q made:oci "oci:$D/made-oci:one"
    buildah push -q --tls-verify=false made:docker "docker://127.0.0.1:$(port plain)/made:docker"
    buildah push -q --tls-verify=false made:oci "docker://127.0.0.1:$(port plain)/made:oci"
}
image_field() { davit image inspect "$1" | jq -cS ".[0].$2"; }
push() { skopeo copy -q --insecure-policy --preserve-digests --dest-tls-verify=false "$1" "docker://127.0.0.1:$(port plain)/$2"; }

@test 'what buildah makes comes in by every way, and is the same image' {
    davit image import "$D/made-docker.tar"
    davit image import "$D/made-oci.tar"
    davit image import "$D/made-oci" made:layout
    davit image pull -q "127.0.0.1:$(port plain)/made:docker" "127.0.0.1:$(port plain)/made:oci"
    for form in docker oci; do
        id=$(buildah inspect --type image "made:$form" | jq -r .FromImageID)
        [ "$(image_field "localhost/made:$form" Id)" = "\"$id\"" ]
        [ "$(image_field "127.0.0.1:$(port plain)/made:$form" Id)" = "\"$id\"" ]
    done
    [ "$(image_field made:layout Id)" = "$(image_field localhost/made:oci Id)" ]
    # One layer on the disk, whichever way it came.
    [ "$(layers)" = 1 ]
    [ "$(image_field "127.0.0.1:$(port plain)/made:docker" ManifestType)" = '"application/vnd.docker.distribution.manifest.v2+json"' ]
}

# What the configuration of made:docker has to be, wherever it has been.
has_config() {
    [ "$(image_field "$1" 'Config | {User, WorkingDir, StopSignal, Entrypoint, Env, Volumes, ExposedPorts, Healthcheck, l: .Labels.l}')" = \
        '{"Entrypoint":["/bin/busybox"],"Env":["A=1","B=x y"],"ExposedPorts":{"53/udp":{},"80/tcp":{}},"Healthcheck":{"Interval":5000000000,"Retries":2,"Test":["CMD","/bin/true"],"Timeout":2000000000},"StopSignal":"SIGINT","User":"33:33","Volumes":{"/data":{}},"WorkingDir":"/tmp","l":"a b"}' ] ||
        { davit image inspect "$1"; return 1; }
}

@test 'a configuration goes through import, create, commit, save and inspect, and into the container' {
    has_config localhost/made:docker
    davit image create copied --from localhost/made:docker --copy "$D/data/file:/etc/more"
    has_config copied
    for format in oci-archive oci-dir docker-archive; do
        davit image save --format $format -o "$D/config-$format" copied
        DAVIT_STATE_DIR=$D/second davit image import "$D/config-$format" "back-$format"
        DAVIT_STATE_DIR=$D/second has_config "back-$format"
    done
    unit made.container <<'U'
[Container]
Image=localhost/made:docker
Environment=A=2 C=3
Label=m=n
RunInit=yes
U
    davit daemon-reload
    davit start made
    davit inspect made >"$D/inspect"
    jq -e '.[0].Config | .User == "33:33" and .WorkingDir == "/tmp" and .StopSignal == "SIGINT" and .Entrypoint == ["/bin/busybox"]
        and .Cmd[0] == "sh" and (.Env | sort) == ["A=2", "B=x y", "C=3"] and .Labels.l == "a b" and .Labels.m == "n"
        and .Volumes == {"/data": {}} and .ExposedPorts == {"53/udp": {}, "80/tcp": {}} and .Healthcheck.Retries == 2
        and .Image == "localhost/made:docker"' "$D/inspect" || { cat "$D/inspect"; return 1; }
    jq -e '.[0].Mounts == [{Type: "volume", Source: "", Destination: "/data", RW: true}]' "$D/inspect"
    [ "$(davit exec made sh -c 'id -u; pwd; echo $A; cat /data/file' | tr '\n' ' ')" = '33 /tmp 2 in ' ]
    davit commit made committed --config Label=committed=yes
    has_config committed
    [ "$(image_field committed Config.Labels.committed)" = '"yes"' ]
    davit stop made
}

@test 'every member of a configuration can be set, taken away, and is checked' {
    davit image create set --from localhost/made:oci --config 'HealthCmd=test -e /x' --config HealthInterval=1min30s --config HealthTimeout=500ms \
        --config HealthStartPeriod=5s --config HealthRetries=4 --config StopSignal=HUP --config ExposedPort=443 --config Volume=/v --config User=www \
        --config WorkingDir=/etc --config Label=x=y=z --config 'Cmd=a "b c"' --config 'Entrypoint=["/e"]' --config Author=me
    [ "$(image_field set Config.Healthcheck)" = '{"Interval":90000000000,"Retries":4,"StartPeriod":5000000000,"Test":["CMD-SHELL","test -e /x"],"Timeout":500000000}' ]
    [ "$(image_field set 'Config | [.StopSignal, .User, .WorkingDir, .Cmd[1], .Entrypoint[0], .Labels.x, .ExposedPorts["443/tcp"], .Volumes["/v"]]')" = \
        '["HUP","www","/etc","b c","/e","y=z",{},{}]' ]
    davit image create unset --from set --config HealthCmd= --config Cmd= --config User= --config ExposedPort=
    [ "$(image_field unset 'Config | [has("Healthcheck", "Cmd", "User", "ExposedPorts")]')" = '[false,false,false,false]' ]
    davit image create none --from set --config HealthCmd=none
    [ "$(image_field none Config.Healthcheck.Test)" = '["NONE"]' ]
    davit image create exec --from set --config 'HealthCmd=["/bin/true","x"]'
    [ "$(image_field exec Config.Healthcheck.Test)" = '["CMD","/bin/true","x"]' ]
    for wrong in StopSignal=NOSUCH Volume=relative WorkingDir=relative ExposedPort=0 ExposedPort=80/icmp HealthInterval=often HealthRetries=0 'Env=novalue' 'Cmd=["a",1]'; do
        run ! davit image create wrong --from set --config "$wrong"
        says "$output" "${wrong#*=}"
    done
    run ! davit image exists wrong
}

@test 'digests stay through save, skopeo, a registry and pull' {
    davit image import "$D/state/images/busybox" round
    digest=$(image_field round Digest)
    davit image save --format oci-dir -o "$D/round-dir" round
    davit image save -o "$D/round.tar" round
    push "oci:$D/round-dir" round:dir
    push "oci-archive:$D/round.tar" round:archive
    for tag in dir archive; do
        davit image pull -q "127.0.0.1:$(port plain)/round:$tag"
        [ "$(image_field "127.0.0.1:$(port plain)/round:$tag" Digest)" = "$digest" ]
        [ "$(skopeo inspect --tls-verify=false "docker://127.0.0.1:$(port plain)/round:$tag" | jq .Digest)" = "$digest" ]
    done
    # Docker's archives have no manifest, and layers of other tools are compressed: what stays then is the ID, the digest of the
    # configuration with that of every layer in it.
    for image in round localhost/made:docker localhost/made:oci; do
        for format in docker-archive oci-archive; do
            davit image save --format $format -o "$D/again.tar" "$image"
            push "$format:$D/again.tar" round:again
            davit image pull -q "127.0.0.1:$(port plain)/round:again"
            [ "$(image_field "127.0.0.1:$(port plain)/round:again" Id)" = "$(image_field "$image" Id)" ]
        done
    done
}

@test 'slips and habits from elsewhere are answered with what to do' {
    davit image tag localhost/made:oci typing
    run -1 davit image inspect tyqing
    says "$output" 'did you mean localhost/typing:latest?'
    run -1 davit image history nothing-like-it
    refute grep 'did you mean' <<<"$output"
    run -1 davit load -i x.tar
    says "$output" 'davit image import'
    run -1 davit image prune
    says "$output" 'no verb "image prune"'
    says "$output" 'davit image gc'
    run -1 davit push x
    says "$output" 'skopeo copy'
    run -1 davit image unmount typing
    says "$output" 'typing is not mounted'
}

# What a Debian root file system is to its own tools: files, owners and what dpkg thinks of it.
is_debian() {
    [ "$(davit run --rm "$1" cat /etc/os-release | grep -c '^ID=debian')" = 1 ]
    [ "$(davit run --rm "$1" sh -c 'dpkg --audit; dpkg -l base-files | tail -n 1' | cut -c1-2)" = ii ]
    [ "$(davit run --rm "$1" stat -c %a:%U:%G /tmp /usr/bin/su /etc/shadow | tr '\n' ' ')" = '1777:root:root 4755:root:root 640:root:shadow ' ]
}

# bats test_tags=long
@test 'a root file system of mmdebstrap, as archive and as directory' {
    command -v mmdebstrap >/dev/null || skip 'mmdebstrap is not installed'
    mmdebstrap -q --variant=minbase bookworm "$D/debian.tar" || skip 'there is no way to a mirror of Debian'
    davit image import "$D/debian.tar" mm --config Cmd=/bin/bash
    is_debian mm
    mkdir "$D/debian"
    tar -C "$D/debian" -xf "$D/debian.tar"
    davit image import "$D/debian" mmdir
    is_debian mmdir
    xz -T0 -0 "$D/debian.tar"
    davit image import "$D/debian.tar.xz" mmxz
    [ "$(image_field mmxz RootFS.Layers)" = "$(image_field mm RootFS.Layers)" ]
    davit image fsck
}

# bats test_tags=long
@test 'a root file system of debootstrap' {
    command -v debootstrap >/dev/null || skip 'debootstrap is not installed'
    debootstrap --variant=minbase bookworm "$D/deb" >"$D/deb.log" 2>&1 || skip 'there is no way to a mirror of Debian'
    davit image import "$D/deb" deb
    is_debian deb
    davit image save -o "$D/deb-out.tar" deb
    skopeo inspect "oci-archive:$D/deb-out.tar" >/dev/null
}
