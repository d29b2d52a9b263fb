#!/usr/bin/env bats
# What the keys of [Container] mean inside: who the program is, what it sees, what it may do.
# shellcheck disable=SC2016
load common

units() {
    local image=$D/state/images/busybox
    mkdir -p "$image/seed" "$image/etc/skel" "$image/app"
    echo from-image >"$image/seed/file"
    chown 33:33 "$image/seed/file"
    echo zone-of-image >"$image/etc/localtime"
    mkdir -p "$D/share/below" "$D/share/ro" "$D/env"
    echo hello >"$D/share/file"
    cp "$image/bin/busybox" "$D/share/true"
    printf 'FROM_FILE=file\nBOTH=file\n# comment\nQUOTED="a b"\n' >"$D/units/vars.env"
    printf 'BOTH=service-file\nARG=expanded words\n' >"$D/units/service.env"

    unit plain.container <<'U'
[Container]
Image=busybox
RunInit=yes
Exec=/bin/sleep infinity
U
    unit www.container <<'U'
[Container]
Image=busybox
User=www
GroupAdd=audio
GroupAdd=4242
RunInit=yes
Exec=/bin/sleep infinity
U
    unit www-nogroup.container <<'U'
[Container]
Image=busybox
User=www
Group=nogroup
RunInit=yes
Exec=/bin/sleep infinity
U
    unit numbers.container <<'U'
[Container]
Image=busybox
User=1234:5678
RunInit=yes
Exec=/bin/sleep infinity
U
    unit onhost.container <<U
[Container]
Image=busybox
UserNS=host
Volume=$D/share:/share
RunInit=yes
Exec=/bin/sleep infinity
U
    unit auto.container <<U
[Container]
Image=busybox
UserNS=auto:size=100000
Volume=$D/share:/share
RunInit=yes
Exec=/bin/sleep infinity
U
    unit readonly.container <<'U'
[Container]
Image=busybox
ReadOnly=yes
RunInit=yes
Exec=/bin/sleep infinity
U
    unit reallyreadonly.container <<'U'
[Container]
Image=busybox
ReadOnly=yes
ReadOnlyTmpfs=no
Tmpfs=/data:size=1m,mode=1777
RunInit=yes
Exec=/bin/sleep infinity
U
    unit mounts.container <<U
[Container]
Image=busybox
RunInit=yes
Exec=/bin/sleep infinity
Volume=$D/share:/v-rw
Volume=$D/share:/v-ro:ro,z
Volume=$D/share:/v-noexec:noexec,Z
Volume=$D/share:/v-exec:exec,dev,suid
Volume=./vars.env:/beside
Volume=plainname:/named
Volume=unit.volume:/from-unit
Volume=/anonymous
Mount=type=bind,source=$D/share,destination=/m-bind,ro
Mount=type=tmpfs,destination=/m-tmpfs,tmpfs-size=2m,tmpfs-mode=0700
Mount=type=volume,source=plainname,destination=/m-volume,readonly
Mount=type=devpts,destination=/m-pts
Tmpfs=/t:size=3m,noexec
Tmpfs=/t/nested
U
    unit unit.volume <<'U'
[Volume]
VolumeName=chosen-name
UID=33
GID=33
Label=a=b
U
    unit seeded.container <<'U'
[Container]
Image=busybox
RunInit=yes
Exec=/bin/sleep infinity
Volume=seeded.volume:/seed
Volume=unseeded.volume:/app
Volume=bare:/seed2
U
    unit seeded.volume <<<'[Volume]'
    unit unseeded.volume <<<$'[Volume]\nCopy=no'
    unit names.container <<'U'
[Container]
Image=busybox
HostName=box.example
AddHost=db:10.1.2.3
AddHost=v6;v6alias:[2001:db8::1]
DNS=9.9.9.9
DNS=2001:db8::53
DNSSearch=example.org
DNSOption=ndots:3
RunInit=yes
Exec=/bin/sleep infinity
U
    unit zone.container <<'U'
[Container]
Image=busybox
Timezone=Europe/Berlin
RunInit=yes
Exec=/bin/sleep infinity
U
    unit env@.container <<'U'
[Container]
Image=busybox
Environment=PLAIN=1 "SPACED=a b" INSTANCE=%i
Environment=BOTH=key PERCENT=100%% NAME=%n PREFIX=%p
Environment=DAVIT_CGROUP
EnvironmentFile=vars.env
EnvironmentFile=-missing.env
Exec=/bin/sh -c 'env; echo "arg=$$0"; exec sleep infinity' ${ARG}
RunInit=yes
[Service]
EnvironmentFile=%Y/service.env
U
    unit command.container <<'U'
[Container]
Image=busybox
Entrypoint=["/bin/sh", "-c"]
Exec="echo one 'two  three'; pwd; exec sleep infinity"
WorkingDir=/app
RunInit=yes
U
    unit dropped.container <<'U'
[Container]
Image=busybox
Environment=FIRST=base
Exec=/bin/false
RunInit=yes
U
    unit dropped.container.d/20-more.conf <<'U'
[Container]
Environment=SECOND=dropin
Exec=
Exec=/bin/sleep infinity
U
    unit container.d/10-all.conf <<'U'
[Container]
Environment=EVERY=one
U
    unit masks.container <<'U'
[Container]
Image=busybox
Mask=/etc/passwd:/root
Unmask=/proc/sys /proc/keys
RunInit=yes
Exec=/bin/sleep infinity
U
    unit caps.container <<'U'
[Container]
Image=busybox
AddCapability=CAP_NET_ADMIN sys_time
DropCapability=CAP_CHOWN
NoNewPrivileges=yes
RunInit=yes
Exec=/bin/sleep infinity
U
    unit nocaps.container <<'U'
[Container]
Image=busybox
DropCapability=all
RunInit=yes
Exec=/bin/sleep infinity
U
    unit first.container <<'U'
[Container]
Image=busybox
Exec=/bin/sh -c 'trap "exit 0" TERM; while :; do sleep 0.1; done'
U
    unit hostnet.container <<'U'
[Container]
Image=busybox
Network=host
RunInit=yes
Exec=/bin/sleep infinity
U
    unit nonet.container <<'U'
[Container]
Image=busybox
Network=none
RunInit=yes
Exec=/bin/sleep infinity
U
    unit labels.container <<'U'
[Container]
Image=busybox
Label=com.example.a=1 "com.example.b=two words"
Annotation=run.oci.x=y
ContainerName=chosen
RunInit=yes
Exec=/bin/sleep infinity
U
    unit usr1.container <<'U'
[Container]
Image=busybox
StopSignal=SIGUSR1
Exec=/bin/sh -c 'trap "echo got usr1; exit 0" USR1; trap "echo got term; exit 1" TERM; echo set; while :; do sleep 0.1; done'
U
    unit fds.container <<'U'
[Container]
Image=busybox
Exec=/bin/sh -c 'ls /proc/self/fd; echo again > /dev/stdout; echo on stderr > /dev/stderr; exec sleep infinity'
RunInit=yes
U
    unit orphans.container <<'U'
[Container]
Image=busybox
Exec=/bin/sh -c 'for i in 1 2 3 4 5; do (sleep 0.1 &) ; done; while set -- /proc/[0-9]*; [ $$# -gt 2 ]; do sleep 0.1; done; echo reaped; exec sleep infinity'
RunInit=yes
U
    unit rootfs.container <<U
[Container]
Rootfs=$D/state/images/busybox
RunInit=yes
Exec=/bin/sleep infinity
U
    unit layers.container <<U
[Container]
Image=$D/state/images/busybox:$D/layer1:$D/layer2
RunInit=yes
Exec=/bin/sleep infinity
U
    mkdir -p "$D/layer1/app" "$D/layer2/app"
    echo one >"$D/layer1/app/which"
    echo two >"$D/layer2/app/which"
    echo kept >"$D/layer1/app/only-one"
    mknod "$D/layer2/app/only-one" c 0 0
}
setup_file() { fleet_setup; }
teardown_file() { fleet_teardown; }

inside() { davit exec "$@"; }
mount_options() { inside "$1" awk -v m="$2" '$5 == m {print $6}' /proc/self/mountinfo; }

@test 'User by name, with the groups of the container and GroupAdd' {
    davit start www
    pid=$(inside www sh -c 'echo $PPID')
    [ "$(inside www id -u)" -eq 33 ]
    [ "$(inside www id -g)" -eq 33 ]
    groups=" $(inside www id -G) "
    says "$groups" ' 29 '
    says "$groups" ' 4242 '
    [ "$(inside www sh -c 'echo $HOME')" = /tmp ]
    echo "$pid"
}

@test 'Group, and users and groups by number that no file knows' {
    davit start www-nogroup numbers
    [ "$(inside www-nogroup id -g)" -eq 65534 ]
    [ "$(inside numbers id -u)" -eq 1234 ]
    [ "$(inside numbers id -g)" -eq 5678 ]
}

@test 'the first process is the user of the unit, not only what exec starts' {
    davit start www
    [ "$(inside www awk '/^Uid:/ {print $2}' /proc/2/status)" -eq 33 ]
    [ "$(inside www awk '/^CapEff:/ {print $2}' /proc/2/status)" = 0000000000000000 ]
}

@test 'UserNS=host has the ids of the host, and none of its other namespaces' {
    davit start onhost
    [ "$(inside onhost awk '{print $1, $2}' /proc/self/uid_map)" = '0 0' ]
    for ns in mnt pid uts ipc net cgroup; do
        [ "$(inside onhost readlink /proc/self/ns/$ns)" != "$(readlink /proc/self/ns/$ns)" ]
    done
    inside onhost sh -c 'echo x > /share/by-host-root'
    [ "$(stat -c %u "$D/share/by-host-root")" -eq 0 ]
}

@test 'UserNS=auto: a range of its own of the size asked for; files are root inside and on disk' {
    davit start auto plain
    read -r inside outside count < <(inside auto cat /proc/self/uid_map)
    [ "$inside" -eq 0 ]
    [ "$outside" -ge 100000 ]
    [ "$count" -eq 100000 ]
    read -r _ other size < <(inside plain cat /proc/self/uid_map)
    [ "$size" -eq 65536 ]
    [ $((other + size)) -le "$outside" ] || [ $((outside + count)) -le "$other" ]
    inside auto sh -c 'echo x > /share/by-auto-root; chown 33:33 /share/by-auto-root; echo y > /share/second'
    [ "$(stat -c %u:%g "$D/share/by-auto-root")" = 33:33 ]
    [ "$(stat -c %u:%g "$D/share/second")" = 0:0 ]
    [ "$(inside auto stat -c %u:%g /share/by-auto-root)" = 33:33 ]
    [ "$(stat -c %u "/proc/$(show auto pid)")" -ge 100000 ]
}

@test 'the range of ids stays over restarts' {
    davit start plain
    before=$(inside plain cat /proc/self/uid_map)
    davit restart plain
    [ "$(inside plain cat /proc/self/uid_map)" = "$before" ]
}

@test 'ReadOnly: the root cannot be written to, /tmp /run /var/tmp can; ReadOnlyTmpfs=no takes these too' {
    davit start readonly reallyreadonly
    refute inside readonly touch /file
    refute inside readonly touch /etc/file
    inside readonly touch /tmp/a /run/a /dev/shm/a
    refute inside reallyreadonly touch /tmp/a
    refute inside reallyreadonly touch /run/a
    inside reallyreadonly touch /data/a
    [ "$(inside reallyreadonly df -k /data | awk 'END {print $2}')" -eq 1024 ]
    [ "$(inside readonly hostname)" != "$(hostname)" ]
    inside readonly grep -q localhost /etc/hosts
}

@test 'Volume: paths of the host, ro, noexec, exec dev suid, relative to the unit file' {
    davit start mounts
    [ "$(inside mounts cat /v-rw/file)" = hello ]
    inside mounts sh -c 'echo more > /v-rw/new'
    [ "$(cat "$D/share/new")" = more ]
    refute inside mounts touch /v-ro/x
    refute inside mounts /v-noexec/true
    inside mounts /v-exec/true
    says "$(mount_options mounts /v-rw)" nosuid
    says "$(mount_options mounts /v-rw)" nodev
    refute says "$(mount_options mounts /v-exec)" nosuid
    says "$(inside mounts cat /beside)" FROM_FILE
}

@test 'Volume: by name, by unit, anonymous' {
    davit start mounts
    inside mounts sh -c 'echo n > /named/n; echo u > /from-unit/u; echo a > /anonymous/a'
    [ "$(cat "$D/state/volumes/plainname/_data/n")" = n ]
    [ "$(cat "$D/state/volumes/chosen-name/_data/u")" = u ]
    owner=$(stat -c %u:%g "$D/state/volumes/chosen-name/_data")
    [ "$owner" = 33:33 ] || { echo "owner $owner"; false; }
    is_state unit.volume running
    count=$(find "$D/state/volumes" -mindepth 1 -maxdepth 1 | wc -l)
    davit stop mounts
    wait_for 5 sh -c "[ \$(find '$D/state/volumes' -mindepth 1 -maxdepth 1 | wc -l) -lt $count ]"
    [ -e "$D/state/volumes/plainname/_data/n" ]
    davit start mounts
    [ "$(inside mounts cat /named/n)" = n ]
    refute inside mounts test -e /anonymous/a
}

@test 'Mount and Tmpfs, nested ones too' {
    davit start mounts
    [ "$(inside mounts cat /m-bind/file)" = hello ]
    refute inside mounts touch /m-bind/x
    [ "$(inside mounts df -k /m-tmpfs | awk 'END {print $2}')" -eq 2048 ]
    [ "$(inside mounts stat -c %a /m-tmpfs)" = 700 ]
    [ "$(inside mounts stat -c %a /t)" = 1777 ] || [ "$(inside mounts stat -c %a /t)" = 755 ]
    refute inside mounts touch /m-volume/x
    inside mounts test -e /m-pts/ptmx
    [ "$(inside mounts df -k /t | awk 'END {print $2}')" -eq 3072 ]
    says "$(mount_options mounts /t)" noexec
    inside mounts touch /t/nested/x
    refute test -e "$D/state/images/busybox/t"
}

@test 'an empty volume is filled from the image, with owners; Copy=no leaves it empty' {
    davit start seeded
    [ "$(inside seeded cat /seed/file)" = from-image ]
    [ "$(inside seeded stat -c %u /seed/file)" -eq 33 ]
    [ "$(stat -c %u "$D/state/volumes/systemd-seeded/_data/file")" -eq 33 ]
    inside seeded sh -c 'echo changed > /seed/file'
    davit restart seeded
    [ "$(inside seeded cat /seed/file)" = changed ]
    [ "$(cat "$D/state/images/busybox/seed/file")" = from-image ]
}

@test 'HostName, AddHost, DNS, DNSSearch, DNSOption' {
    davit start names
    [ "$(inside names hostname)" = box.example ]
    [ "$(inside names cat /etc/hostname)" = box.example ]
    hosts=$(inside names cat /etc/hosts | tr -s '[:blank:]' ' ')
    says "$hosts" '10.1.2.3 db'
    says "$hosts" '2001:db8::1 v6'
    says "$hosts" v6alias
    says "$hosts" localhost
    says "$hosts" box.example
    resolv=$(inside names cat /etc/resolv.conf)
    says "$resolv" 'nameserver 9.9.9.9'
    says "$resolv" 'nameserver 2001:db8::53'
    says "$resolv" 'search example.org'
    says "$resolv" 'ndots:3'
    inside names sh -c 'echo "10.9.9.9 mine" >> /etc/hosts'
    [ ! -e "$D/state/images/busybox/etc/hosts" ]
}

@test 'Timezone' {
    [ -e /usr/share/zoneinfo/Europe/Berlin ] || skip 'no zoneinfo here'
    davit start zone
    inside zone head -c 4 /etc/localtime | grep -q TZif
    [ "$(cat "$D/state/images/busybox/etc/localtime")" = zone-of-image ]
}

@test 'Environment, EnvironmentFile, specifiers, template: each from where it is said, the later wins' {
    davit start env@left
    wait_for 5 has_line env@left arg=
    env=$(text_of env@left)
    echo "$env"
    for line in PLAIN=1 'SPACED=a b' INSTANCE=left PERCENT=100% NAME=env@left.container PREFIX=env FROM_FILE=file 'QUOTED=a b' BOTH=key \
        container=davit 'arg=expanded words' DAVIT_CGROUP="$DAVIT_CGROUP"; do
        grep -qxF -- "$line" <<<"$env"
    done
    grep -qE '^INVOCATION_ID=[0-9a-f]{32}$' <<<"$env"
    grep -qE '^container_uuid=[0-9a-f-]{36}$' <<<"$env"
    grep -q '^PATH=.*/bin' <<<"$env"
    refute grep -qE '^(DAVIT_RUNTIME_DIR|DAVIT_STATE_DIR|NOTIFY_SOCKET|SECRET|LISTEN_FDS|TEST_)' <<<"$env"
}

@test 'Entrypoint as a JSON list, Exec with quotes, WorkingDir' {
    davit start command
    wait_for 5 has_line command /app
    [ "$(text_of command | head -n 2 | tr '\n' '|')" = 'one two  three|/app|' ]
}

@test 'drop-ins: of the unit and of the type, in order of their names' {
    davit start dropped
    [ "$(inside dropped sh -c 'echo $FIRST $SECOND $EVERY')" = 'base dropin one' ]
    says "$(davit cat dropped)" 20-more.conf
    [ "$(show dropped 'dropins | length')" -eq 2 ]
}

@test 'Mask and Unmask, and what is masked by default' {
    davit start masks plain
    refute inside masks grep -q root /etc/passwd
    [ -z "$(inside masks ls /root)" ]
    [ -z "$(inside plain ls -A /sys/firmware 2>/dev/null)" ]
    [ -z "$(inside plain cat /proc/keys /proc/timer_list /proc/kcore 2>/dev/null | head -c 100)" ]
    refute inside plain sh -c 'echo 1 > /proc/sys/kernel/hostname'
    says "$(mount_options plain /proc/sys)" ro
    [ -z "$(mount_options masks /proc/sys)" ]
    refute inside plain sh -c 'echo b > /proc/sysrq-trigger'
    refute inside plain mount -t tmpfs tmpfs /tmp
}

@test 'capabilities: eleven by default, added, dropped, none; nothing inheritable or ambient' {
    davit start plain caps nocaps
    status() { inside "$1" cat /proc/1/status; }
    [ "$(status plain | awk '/^CapEff/ {print $2}')" = 00000000800405fb ]
    [ "$(status plain | awk '/^CapBnd/ {print $2}')" = 00000000800405fb ]
    for set in CapInh CapAmb; do [ "$(status plain | awk "/^$set/ {print \$2}")" = 0000000000000000 ]; done
    [ "$(status caps | awk '/^CapEff/ {print $2}')" = 00000000820415fa ]
    [ "$(status caps | awk '/^NoNewPrivs/ {print $2}')" = 1 ]
    [ "$(status plain | awk '/^NoNewPrivs/ {print $2}')" = 0 ]
    [ "$(status nocaps | awk '/^CapEff/ {print $2}')" = 0000000000000000 ]
    [ "$(inside nocaps awk '/^CapBnd/ {print $2}' /proc/self/status)" = 0000000000000000 ]
    [ "$(inside caps awk '/^NoNewPrivs/ {print $2}' /proc/self/status)" = 1 ]
}

@test 'Network: private and none have a loopback that is up, host is that of the host' {
    davit start plain nonet hostnet
    for u in plain nonet; do
        [ "$(inside $u ls /sys/class/net)" = lo ]
        says "$(inside $u wget -O - http://127.0.0.1:1/ 2>&1 || true)" refused
        [ "$(inside $u cat /sys/class/net/lo/flags)" = 0x9 ]
    done
    [ "$(inside hostnet readlink /proc/self/ns/net)" = "$(readlink /proc/self/ns/net)" ]
    [ "$(inside hostnet hostname)" != "$(hostname)" ]
}

@test 'Label, Annotation and ContainerName are taken, and shown' {
    davit start labels
    says "$(davit show labels -p Container.Label)" 'com.example.b=two words' || davit show labels | grep -F 'com.example.b=two words'
    davit show labels | grep -F 'run.oci.x=y'
    davit show labels | grep -F chosen
}

@test 'RunInit=no: the program itself is process 1; RunInit=yes: orphans are reaped' {
    davit start first orphans
    says "$(inside first cat /proc/1/cmdline | tr '\0' ' ')" 'trap'
    wait_for 5 has_line orphans reaped
    davit stop first
    is_state first inactive
}

@test 'StopSignal is what asks the program to stop' {
    davit start usr1
    wait_for 5 has_line usr1 set
    davit stop usr1
    has_line usr1 'got usr1'
    refute has_line usr1 'got term'
    is_state usr1 inactive
    [ "$(show usr1 exit.status)" -eq 0 ]
}

@test 'no descriptor leaks in: not to the program, not to its init, not to exec' {
    davit start fds
    wait_for 5 has_line fds 'on stderr'
    [ "$(text_of fds | head -n 4 | tr '\n' ' ')" = '0 1 2 3 ' ] # 3 is what ls reads the directory with
    [ "$(inside fds sh -c 'ls /proc/self/fd | wc -l')" -eq 4 ]
    for p in /proc/"$(show fds pid)"/fd/*; do
        case ${p##*/} in 0 | 1 | 2) ;; *) case $(readlink "$p") in *"$D"* | /work/* | *cgroup* | */control) readlink "$p"; false ;; esac ;; esac
    done
    [ "$(inside fds readlink /proc/2/fd/0)" = /dev/null ]
}

@test '/dev/stdout and /dev/stderr can be opened again' {
    davit start fds
    wait_for 5 has_line fds 'on stderr'
    has_line fds again
}

@test '/dev has what is needed and nothing of the host; /proc and /sys are its own' {
    davit start plain
    inside plain sh -c 'for d in null zero full random urandom tty ptmx pts shm mqueue; do [ -e /dev/$d ] || { echo no $d; exit 1; }; done'
    refute inside plain sh -c 'ls /dev | grep -E "^(sd|vd|nvme|loop|kmsg|mem|kvm)"'
    inside plain sh -c 'head -c 3 /dev/zero | wc -c | grep -q 3; echo > /dev/null'
    refute inside plain sh -c 'echo x > /sys/kernel/uevent_seqnum'
    [ "$(inside plain sh -c 'cd /proc && ls -d [0-9]* | wc -l')" -lt 8 ]
    [ "$(inside plain sed 's/.*://' /proc/self/cgroup | sort -u)" = / ]
}

@test 'Rootfs, and Image as a list of layers: the later covers, a whiteout hides' {
    davit start rootfs layers
    inside rootfs test -x /bin/busybox
    inside rootfs touch /new
    [ ! -e "$D/state/images/busybox/new" ]
    [ "$(inside layers cat /app/which)" = two ]
    refute inside layers test -e /app/only-one
}

@test 'files outside: the container leaves none on the host, and its mounts are its own' {
    davit start mounts
    refute grep -qE "$D/(state|share).* (overlay|ext4|tmpfs)" /proc/self/mountinfo
    [ "$(inside mounts grep -c " / " /proc/self/mountinfo)" -ge 1 ]
    refute inside mounts sh -c "ls $D"
}
