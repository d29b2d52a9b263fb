#!/usr/bin/env bats
# --json, -o json and --format json of all that looks at images and at the files of containers: it is JSON, and has the
# names that podman has for the same things.
bats_require_minimum_version 1.5.0
load common

units() {
    unit web.container <<'U'
[Container]
Image=localhost/box
RunInit=yes
Exec=/bin/sh -c 'echo new >/etc/new; echo x >>/etc/passwd; rm /etc/group; sleep infinity'
[Install]
WantedBy=default.target
U
}
setup_file() {
    fleet_setup
    davit image import "$D/state/images/busybox" box >"$D/import"
    davit image tag box other
    davit start web
    wait_for 20 davit exec web test ! -e /etc/group
    davit commit -q web layered
}
teardown_file() { fleet_teardown; }

id_of() { davit image inspect "$1" | jq -r '.[0].Id'; }

# is FILTER COMMAND...: what davit COMMAND prints with each of the three ways to say it is JSON for which the
# filter holds, and nothing else.
is() {
    local filter=$1 how
    shift
    for how in --json '-o json' '--format json'; do
        # shellcheck disable=SC2086
        davit $how "$@" >"$D/json" || return 1
        jq -se "length == 1 and (.[0] | $filter)" "$D/json" >/dev/null || { echo "$how $*: $(cat "$D/json")"; return 1; }
    done
}
# lines FILTER COMMAND...: an event a line, for all of which together the filter holds
lines() {
    local filter=$1
    shift
    davit "$@" --json >"$D/json" || return 1
    jq -se "all(has(\"event\")) and ($filter)" "$D/json" >/dev/null || { echo "$*: $(cat "$D/json")"; return 1; }
}

@test 'what shows images' {
    is 'any(.Names == ["localhost/box:latest"] and (.Id | length) == 64 and .Size > 0 and .ReadOnly == false)' image list
    is 'length == 1 and .[0].Names[0] == "localhost/other:latest"' images other
    is ".[0] | .Id == \"$(id_of box)\" and .RepoTags[0] == \"localhost/box:latest\"" image inspect box
    is "(.[0] | .id == \"$(id_of layered)\" and .tags == [\"localhost/layered:latest\"] and has(\"CreatedBy\") and .EmptyLayer == false) and
        (.[-1].id == \"<missing>\") and ([.[].size] | add) > 0" image history layered
    is '(.Layers | length) == 2 and .Names == ["localhost/layered:latest"] and .Layers[0].Size > 0 and .Size > .Layers[1].Size' image tree layered
    is '.deleted == ["/etc/group"] and (.added | contains(["/etc/new"])) and (.changed | contains(["/etc", "/etc/passwd"]))' image diff layered
    is '. == {"changed": [], "added": [], "deleted": []}' image diff box other
    is '(.Images | map(select(.Repository == "localhost/layered"))[0] | .Tag == "latest" and .Size == .SharedSize + .UniqueSize) and .LayersSize > 0' image du
}

@test 'what shows containers' {
    is '.[0].Name == "web.container" and .[0].State.Running' inspect web
    is 'length == 2 and .[1].RepoTags[0] == "localhost/layered:latest"' inspect web layered
    is '.deleted == ["/etc/group"]' diff web
    is 'any(.name == "web.container")' list
    is '.[0].unit == "web" and .[0].state == "generated"' is-enabled web
    is '.[0].active == "active"' is-active web
}

@test 'what is mounted, here and elsewhere, until it is not' {
    is '. == []' image mount
    davit image mount box
    mkdir "$D/mnt"
    davit image mount --json layered "$D/mnt" | jq -e ".[0].mountpoint == \"$D/mnt\" and .[0].Names == [\"localhost/layered:latest\"]"
    is "length == 2 and (map(select(.id == \"$(id_of box)\"))[0] | .Names == [\"localhost/box:latest\", \"localhost/other:latest\"] and .Repositories == .Names) and
        any(.mountpoint == \"$D/mnt\")" image mount
    says "$(davit image mount)" "localhost/layered:latest  $D/mnt"
    umount "$D/mnt" # not by davit
    is "length == 1 and .[0].id == \"$(id_of box)\"" image mount
    davit image mount layered "$D/mnt"
    davit image unmount "$D/mnt"
    davit image unmount box
    is '. == []' image mount
    [ "$(find "$D/run/images" -type d -mindepth 1 | wc -l)" = 0 ]
}

@test 'what works on images says it an event a line' {
    lines 'any(.event == "image" and .name == "localhost/third:latest" and (.id | startswith("sha256:")))' image import "$D/state/images/busybox" third
    lines 'any(.event == "image" and .name == "localhost/made:latest")' image create --from box --config Cmd=/bin/true made
    lines 'any(.event == "image" and .name == "localhost/committed:latest")' commit web committed
    lines 'map(select(.event == "freed")) | length == 1 and (.[0] | has("images") and has("layers") and has("bytes"))' image gc
    lines '.[-1] == {"event": "checked", "problems": 0, "restored": 0, "lost": 0}' image fsck
    davit image remove --json third made | jq -e '.Untagged == ["localhost/third:latest", "localhost/made:latest"]'
}

@test 'an error is an event as well, and on standard error for people' {
    run -1 --separate-stderr davit image import --json "$D/nosuch" x
    jq -e '.event == "error" and .number == 2 and (.text | contains("nosuch"))' <<<"$output"
    # shellcheck disable=SC2154 # run sets it
    says "$stderr" "$D/nosuch"
}

@test 'IDs alone: each once, as podman has them' {
    [ "$(davit images -q | wc -l)" = "$(davit images -q | sort -u | wc -l)" ]
    davit images -q | grep -qx "$(id_of box | cut -c 1-12)"
    davit images -q --no-trunc | grep -qx "sha256:$(id_of box)"
    says "$(davit images --no-trunc box)" "sha256:$(id_of box)"
}

@test 'a name that is not there is met with the one that may be meant, and nothing is said to be done that is not' {
    run -1 davit tag boxx new
    says "$output" 'did you mean localhost/box:latest?'
    run -1 davit rmi ohter
    says "$output" 'did you mean localhost/other:latest?'
    says "$(davit image gc --dry-run 2>&1)" 'would be removed'
    says "$(davit image fsck 2>&1)" 'No problems found'
}

@test 'a template is refused with what to do instead' {
    run -1 davit images --format '{{.ID}}'
    says "$output" 'jq'
    run -1 davit image tree -o yaml box
    says "$output" 'text or json'
}
