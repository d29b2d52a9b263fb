/* link: launch-harness.c */
/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a process finds when davit-launch has started it: the container seen from inside, and what is left
 * outside. */
#include "launch-harness.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/fs.h"

#define RIG(state) \
    ({ \
        if (!*(state)) \
            skip(); \
        (struct rig *)*(state); \
    })
/* Runs the body without and with a user namespace. */
#define BOTH(u) for (int u = 0; u < 2; u++)

/* ---- seen from inside ---- */

static void test_identity_of_container(void **state) {
    struct rig *r = RIG(state);

    BOTH(u) {
        _cleanup_free_ char *out =
            script_output(r, u, "hostname; echo $$; id -u; id -g; id -G; echo $container; pwd");
        assert_string_equal(out, "boat\n1\n0\n0\n0\ndavit\n/\n");
    }
}

static void test_mount_table_has_nothing_of_host(void **state) {
    struct rig *r = RIG(state);
    static const char *const allowed[] = {"/", "/proc", "/sys", "/dev"};

    BOTH(u) {
        _cleanup_free_ char *out = script_output(r, u, "cut -d' ' -f5 /proc/self/mountinfo");
        for (char *save = NULL, *line = strtok_r(out, "\n", &save); line;
             line = strtok_r(NULL, "\n", &save)) {
            bool known = false;
            for (size_t i = 0; i < ARRAY_SIZE(allowed) && !known; i++) {
                const char *rest = startswith(line, allowed[i]);
                known = rest && (*rest == '\0' || (*rest == '/' && i > 0));
            }
            if (!known)
                fail_msg("%s is mounted", line);
        }
    }
}

static void test_no_descriptor_leaks_in(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    int leak = open("/", O_RDONLY); /* not close-on-exec, as a careless parent would have it */
    rig_restart(r);
    BOTH(u) {
        /* 3 is the directory that ls reads */
        container_init(r, &s, u);
        set_argv(&s, "/bin/ls", "/proc/self/fd", NULL);
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_string_equal(o.output, "0\n1\n2\n3\n");
    }
    close(leak);
}

static void test_capabilities(void **state) {
    struct rig *r = RIG(state);

    BOTH(u) {
        _cleanup_free_ char *out =
            script_output(r, u, "grep -E 'Cap|NoNewPrivs' /proc/self/status | tr -d '\\t'");
        assert_string_equal(out, "CapInh:0000000000000000\nCapPrm:00000000800405fb\nCapEff:00000000800405fb\n"
                                 "CapBnd:00000000800405fb\nCapAmb:0000000000000000\nNoNewPrivs:1\n");
    }
}

static void test_no_capabilities_for_user(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    BOTH(u) {
        container_script(r, &s, u, "grep -E 'CapInh|CapPrm|CapEff|CapAmb' /proc/self/status | tr -d '\\t'");
        set(&s.user, "1000");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_string_equal(o.output,
            "CapInh:0000000000000000\nCapPrm:0000000000000000\nCapEff:0000000000000000\n"
            "CapAmb:0000000000000000\n");
    }
}

static void test_ambient_capabilities_on_request(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    container_script(r, &s, true, "grep -E 'CapPrm|CapAmb' /proc/self/status | tr -d '\\t'");
    set(&s.user, "www");
    s.ambient_capabilities = 1 << 10; /* NET_BIND_SERVICE */
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_exit(&o, 0);
    assert_string_equal(o.output, "CapPrm:0000000000000400\nCapAmb:0000000000000400\n");
}

static void test_devices_work(void **state) {
    struct rig *r = RIG(state);

    BOTH(u) {
        _cleanup_free_ char *out = script_output(r, u,
            "echo x >/dev/null && head -c3 /dev/zero | od -An -tx1 && head -c4 /dev/urandom | wc -c;"
            "head -c4 /dev/random | wc -c; (echo x >/dev/full) 2>&1 | grep -c 'No space';"
            "readlink /dev/fd; readlink /dev/stdin; readlink /dev/core; readlink /dev/ptmx; ls /dev/pts;"
            "touch /dev/shm/a && ls /dev/shm; test -d /dev/mqueue && echo mqueue; ls -ld /dev/shm | cut "
            "-c1-10");
        assert_string_equal(out,
            " 00 00 00\n4\n4\n1\n/proc/self/fd\n/proc/self/fd/0\n/proc/kcore\npts/ptmx\nptmx\na\n"
            "mqueue\ndrwxrwxrwt\n");
    }
}

static void test_masks_and_read_only_paths(void **state) {
    struct rig *r = RIG(state);

    BOTH(u) {
        _cleanup_free_ char *out = script_output(r, u,
            "cat /proc/interrupts /proc/timer_list; ls /sys/firmware; (echo 1 >/proc/sys/kernel/panic) 2>&1 "
            "| grep -c "
            "'Read-only\\|denied'; (touch /sys/x) 2>&1 | grep -c 'Read-only'; (mkdir /sys/fs/cgroup/x) 2>&1 "
            "| grep -c "
            "'Read-only'");
        assert_string_equal(out, "1\n1\n1\n");
    }
}

static void test_loopback_is_up_and_alone(void **state) {
    struct rig *r = RIG(state);

    BOTH(u) {
        _cleanup_free_ char *out =
            script_output(r, u, "ip -o link | grep -c .; ip -o link | grep -c 'LOOPBACK,UP'");
        assert_string_equal(out, "1\n1\n");
    }
}

static void test_files_of_init_layer(void **state) {
    struct rig *r = RIG(state);

    BOTH(u) {
        _cleanup_free_ char *out = script_output(r, u,
            "cat /etc/hosts /etc/hostname /etc/resolv.conf /run/host/container-manager; stat -c '%u %g %a' "
            "/etc/hosts;"
            "stat -c '%u %g %a' /etc; cat /etc/passwd | wc -l; echo more >>/etc/hosts && tail -n1 /etc/hosts "
            "2>/dev/null "
            "|| sed -n '$p' /etc/hosts; mv /etc/hosts /etc/hosts.old && echo moved");
        assert_string_equal(out,
            "127.0.0.1 localhost boat\nboat\nnameserver 192.0.2.1\ndavit\n0 0 644\n0 0 755\n3\nmore\n"
            "moved\n");
    }
    /* In a layer of its own: the image knows nothing of it. */
    _cleanup_free_ char *hosts = rig_path(r, "image/etc/hosts");
    assert_int_equal(access(hosts, F_OK), -1);
}

static void test_systemd_does_not_see_host_as_container(void **state) {
    struct rig *r = RIG(state);
    _cleanup_free_ char *out =
        script_output(r, true, "stat -c '%F %a' /run/host/container-manager; ls /run/host");
    assert_string_equal(out, "regular file 444\ncontainer-manager\n");
}

/* ---- owners ---- */

static void test_owners_inside_and_outside(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    struct stat st;

    BOTH(u) {
        container_script(
            r, &s, u, "touch /data/new; chown 33:34 /data/new; stat -c '%u %g' /bin/busybox /data/new");
        _cleanup_free_ char *made = strf("%s/upper/data/new", s.upper_dir);
        _cleanup_free_ char *upper = strf("%s/upper", s.upper_dir);
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_string_equal(o.output, "0 0\n33 34\n");
        assert_int_equal(stat(made, &st), 0);
        assert_int_equal(st.st_uid, 33 + (u ? ID_BASE : 0));
        assert_int_equal(st.st_gid, 34 + (u ? ID_BASE : 0));
        assert_int_equal(stat(upper, &st), 0);
        assert_int_equal(st.st_uid, u ? ID_BASE : 0);
    }
    /* The image was not touched. */
    _cleanup_free_ char *busybox = rig_path(r, "image/bin/busybox");
    assert_int_equal(stat(busybox, &st), 0);
    assert_int_equal(st.st_uid, 0);
}

static void test_namespaces_can_be_shared(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    BOTH(u) {
        container_script(r, &s, u,
            "ip -o link | grep -c .; hostname; test -d /sys/class/net && test -d /proc/1 && echo ok");
        s.namespaces &= ~(uint32_t)(NS_NETWORK | NS_UTS | NS_PID | NS_IPC | NS_CGROUP);
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        char host[256];
        gethostname(host, sizeof(host));
        assert_contains(o.output, host);
        assert_contains(o.output, "ok\n");
    }
}

/* ---- overlay ---- */

static void test_whiteout_and_copy_up(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    struct stat st;

    BOTH(u) {
        _cleanup_free_ char *lower = rig_path(r, "image/data/lower");
        _cleanup_free_ char *other = rig_path(r, "image/data/other");
        write_file(lower, "lower\n");
        write_file(other, "other\n");
        container_script(r, &s, u, "rm /data/lower; echo changed >>/data/other; ls /data; cat /data/other");
        _cleanup_free_ char *whiteout = strf("%s/upper/data/lower", s.upper_dir);
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_string_equal(o.output, "other\nother\nchanged\n");
        assert_int_equal(lstat(whiteout, &st), 0);
        assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0);
        _cleanup_free_ char *text = read_file(lower), *text2 = read_file(other);
        assert_string_equal(text, "lower\n");
        assert_string_equal(text2, "other\n");
        unlink(lower);
        unlink(other);
    }
}

static void add_layer(struct rig *r, struct container_spec *s, const char *parent, unsigned n) {
    _cleanup_free_ char *layer = rig_path(r, "%s/%u", parent, n);
    _cleanup_free_ char *file = rig_path(r, "%s/%u/layer-%u", parent, n, n);
    _cleanup_free_ char *top = rig_path(r, "%s/%u/top", parent, n);
    _cleanup_free_ char *number = strf("%u\n", n);

    make_directory(layer, 0755);
    write_file(file, number);
    write_file(top, number);
    assert_int_equal(strv_append(&s->layers, layer), 0);
}

static void check_many_layers(struct rig *r, const char *parent, unsigned n, bool user_namespace) {
    struct container_spec s;
    _cleanup_free_ char *directory = rig_path(r, "%s", parent);
    _cleanup_free_ char *expected = strf("%u\n%u\n0 0\n", n, n);

    make_directory(directory, 0755);
    container_script(r, &s, user_namespace, "ls / | grep -c layer-; cat /top; stat -c '%u %g' /top");
    for (unsigned i = 1; i <= n; i++)
        add_layer(r, &s, parent, i);
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_exit(&o, 0);
    assert_string_equal(o.output, expected);
    _cleanup_free_ char *command = strf("rm -rf %s", directory);
    assert_int_equal(system(command), 0);
}

static void test_two_layers(void **state) {
    struct rig *r = RIG(state);
    BOTH(u)
    check_many_layers(r, "two", 1, u);
}

static void test_many_layers(void **state) {
    struct rig *r = RIG(state);
    BOTH(u)
    check_many_layers(r, "many", 120, u);
}

/* Kernels before 6.15 and before 6.7 want layers in other ways; here the newer ones are made to take those.
 */
static void test_many_layers_on_older_kernels(void **state) {
    struct rig *r = RIG(state);
    static const char *const methods[] = {"append", "mount"};

    struct utsname kernel;
    unsigned major = 0, minor = 0;

    assert_int_equal(uname(&kernel), 0);
    assert_int_equal(sscanf(kernel.release, "%u.%u", &major, &minor), 2);
    for (size_t i = major > 6 || (major == 6 && minor >= 7) ? 0 : 1; i < ARRAY_SIZE(methods); i++) {
        setenv("DAVIT_LAUNCH_OVERLAY", methods[i], 1);
        rig_restart(r);
        unsetenv("DAVIT_LAUNCH_OVERLAY");
        BOTH(u) {
            check_many_layers(r, "many", 120, u);
            _cleanup_free_ char *out = script_output(r, u,
                "echo x >>/etc/passwd; touch /new; cut -d' ' -f5 "
                "/proc/self/mountinfo | grep -c scratch; echo done");
            assert_string_equal(out, "0\ndone\n");
        }
    }
    rig_restart(r);
}

static void test_layer_on_a_mount_of_its_own(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    _cleanup_free_ char *layer = rig_path(r, "other");
    _cleanup_free_ char *file = rig_path(r, "other/file");

    make_directory(layer, 0755);
    assert_int_equal(mount("tmpfs", layer, "tmpfs", 0, "size=1m"), 0);
    write_file(file, "on tmpfs\n");
    BOTH(u) {
        container_script(r, &s, u, "cat /file; stat -c %u /file /bin/busybox");
        assert_int_equal(strv_append(&s.layers, layer), 0);
        _cleanup_outcome_ struct outcome o = run(r, &s);
        if (exit_code(&o) != 0 && strstr(o.error.text, "cannot be id-mapped"))
            continue; /* tmpfs before 6.3 */
        assert_exit(&o, 0);
        assert_string_equal(o.output, "on tmpfs\n0\n0\n");
    }
    assert_int_equal(umount2(layer, MNT_DETACH), 0);
    rmdir(layer);
}

static void test_layer_that_cannot_be_mapped_says_so(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    container_script(r, &s, true, "true");
    strv_free(s.layers);
    s.layers = NULL;
    assert_int_equal(strv_append(&s.layers, "/proc/sys"), 0);
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_false(o.begun);
    assert_int_equal(o.error.number, EOPNOTSUPP);
    assert_string_equal(o.error.step, "layers");
    assert_contains(o.error.text, "/proc/sys");
}

static void test_read_only_root(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    BOTH(u) {
        for (int upper = 0; upper < 2; upper++) {
            container_script(r, &s, u,
                "(touch /x) 2>&1 | grep -c Read-only; (touch /etc/x) 2>&1 | grep -c Read-only;"
                "cat /etc/hostname; touch /scratch/deep/x && ls /scratch/deep; touch /run/y && echo y");
            s.read_only = true;
            if (!upper)
                set(&s.upper_dir, NULL);
            add_mount(&s, MOUNT_TMPFS, 0, NULL, "/scratch/deep");
            add_mount(&s, MOUNT_TMPFS, 0, NULL, "/run");
            _cleanup_outcome_ struct outcome o = run(r, &s);
            assert_exit(&o, 0);
            assert_string_equal(o.output, "1\n1\nboat\nx\ny\n");
        }
    }
}

static void test_upper_on_tmpfs_and_volatile(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    _cleanup_free_ char *directory = rig_path(r, "tmpfs");

    make_directory(directory, 0755);
    assert_int_equal(mount("tmpfs", directory, "tmpfs", 0, "size=8m"), 0);
    BOTH(u) {
        container_script(r, &s, u, "echo x >>/etc/passwd && touch /new && rm /etc/group && echo done");
        free(s.upper_dir);
        s.upper_dir = rig_path(r, "tmpfs/upper-%d", u);
        s.volatile_upper = true;
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_string_equal(o.output, "done\n");
    }
    assert_int_equal(umount2(directory, MNT_DETACH), 0);
    rmdir(directory);
}

/* ---- mounts ---- */

static void test_tmpfs(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    BOTH(u) {
        container_script(r, &s, u,
            "stat -f -c %T /data /new; stat -c '%a %u' /new; mount | grep ' /new ' | grep -c noexec;"
            "cat /etc/passwd | wc -l; touch /etc/x; (touch /new/x) 2>&1 | grep -c Read-only");
        add_mount(&s, MOUNT_TMPFS, MOUNT_NOSUID | MOUNT_NODEV, NULL, "/data");
        struct spec_mount *m = add_mount(&s, MOUNT_TMPFS, MOUNT_NOEXEC | MOUNT_READ_ONLY, NULL, "/new");
        set(&m->options, "size=64k,mode=700,uid=33");
        add_mount(&s, MOUNT_TMPFS, MOUNT_COPY_UP, NULL, "/etc");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_string_equal(o.output, "tmpfs\ntmpfs\n700 33\n1\n3\n1\n");
    }
}

static void test_volume(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    struct stat st;

    BOTH(u) {
        _cleanup_free_ char *source = rig_path(r, "volume-%d", u);
        _cleanup_free_ char *file = rig_path(r, "volume-%d/kept", u);
        container_script(r, &s, u,
            "echo data >/vol/kept; chown 33 /vol/kept; stat -c %u /vol /vol/kept; cat /ro/kept;"
            "(touch /ro/x) 2>&1 | grep -c Read-only; mount | grep ' /ro ' | grep -c nosuid");
        uint32_t flags = MOUNT_IDMAP | MOUNT_RECURSIVE;
        add_mount(&s, MOUNT_BIND, flags | MOUNT_CREATE_SOURCE, source, "/vol");
        add_mount(&s, MOUNT_BIND, flags | MOUNT_READ_ONLY | MOUNT_NOSUID, source, "/ro");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_string_equal(o.output, "0\n33\ndata\n1\n1\n");
        /* On disk as inside: no ownership puzzles. */
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(st.st_uid, 33);
        assert_int_equal(stat(source, &st), 0);
        assert_int_equal(st.st_uid, 0);
    }
}

static void test_volume_without_map_and_with_owner(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    struct stat st;
    _cleanup_free_ char *source = rig_path(r, "owned");

    container_script(r, &s, true, "stat -c '%u %g' /vol; touch /vol/x");
    struct spec_mount *m = add_mount(&s, MOUNT_BIND, MOUNT_CREATE_SOURCE | MOUNT_CHOWN, source, "/vol");
    m->owner_uid = 33;
    m->owner_gid = 34;
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_exit(&o, 0);
    assert_string_equal(o.output, "33 34\n");
    assert_int_equal(stat(source, &st), 0);
    assert_int_equal(st.st_uid, ID_BASE + 33);
}

static void test_file_as_volume(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    _cleanup_free_ char *source = rig_path(r, "config");

    write_file(source, "setting\n");
    BOTH(u) {
        container_script(r, &s, u, "cat /etc/app/config /etc/passwd; stat -c %u /etc/app");
        add_mount(&s, MOUNT_BIND, MOUNT_READ_ONLY, source, "/etc/app/config");
        add_mount(&s, MOUNT_BIND, MOUNT_READ_ONLY, source, "/etc/passwd");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_string_equal(o.output, "setting\nsetting\n0\n");
    }
}

static void test_volume_through_link_of_image_stays_inside(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    _cleanup_free_ char *source = rig_path(r, "linked"), *link = rig_path(r, "image/var-run");

    make_directory(source, 0755);
    assert_int_equal(symlink("/data/real", link), 0);
    _cleanup_free_ char *real = rig_path(r, "image/data/real");
    make_directory(real, 0755);
    BOTH(u) {
        container_script(r, &s, u, "cut -d' ' -f5 /proc/self/mountinfo | grep /data");
        add_mount(&s, MOUNT_BIND, 0, source, "/var-run/sub");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_string_equal(o.output, "/data/real/sub\n");
    }
    unlink(link);
    rmdir(real);
}

static void test_copy_up_fills_empty_volume_once(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    struct stat st;

    _cleanup_free_ char *a = rig_path(r, "image/data/a"), *b = rig_path(r, "image/data/b");
    write_file(a, "from image\n");
    assert_int_equal(chown(a, 33, 34), 0);
    assert_int_equal(link(a, b), 0);
    BOTH(u) {
        _cleanup_free_ char *source = rig_path(r, "filled-%d", u);
        for (int i = 0; i < 2; i++) {
            container_script(
                r, &s, u, i == 0 ? "cat /data/a; stat -c '%u %g %h' /data/b; rm /data/a" : "ls /data");
            add_mount(&s, MOUNT_BIND, MOUNT_CREATE_SOURCE | MOUNT_COPY_UP | MOUNT_IDMAP, source, "/data");
            _cleanup_outcome_ struct outcome o = run(r, &s);
            assert_exit(&o, 0);
            assert_string_equal(o.output, i == 0 ? "from image\n33 34 2\n" : "b\n");
        }
        _cleanup_free_ char *copy = rig_path(r, "filled-%d/b", u);
        assert_int_equal(stat(copy, &st), 0);
        assert_int_equal(st.st_uid, 33);
    }
    unlink(a);
    unlink(b);
}

static void test_missing_sources(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    container_script(r, &s, true, "true");
    add_mount(&s, MOUNT_BIND, MOUNT_OPTIONAL, "/nonexistent-davit", "/vol");
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_exit(&o, 0);

    container_script(r, &s, true, "true");
    add_mount(&s, MOUNT_BIND, 0, "/nonexistent-davit", "/vol");
    _cleanup_outcome_ struct outcome o2 = run(r, &s);
    assert_false(o2.begun);
    assert_string_equal(o2.error.step, "volumes");
    assert_contains(o2.error.text, "/nonexistent-davit");
    assert_int_equal(o2.error.number, ENOENT);
}

static void test_extra_devices(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    BOTH(u) {
        container_script(r, &s, u,
            "stat -c '%t:%T %a %u' /dev/mem2; head -c1 /dev/mem2 | wc -c; ls /dev/none 2>&1 | grep -c No");
        s.devices = calloc(2, sizeof(*s.devices));
        s.n_devices = 2;
        set(&s.devices[0].source, "/dev/zero");
        set(&s.devices[0].target, "/dev/mem2");
        s.devices[0].mode = 0600;
        set(&s.devices[1].source, "/dev/davit-none");
        set(&s.devices[1].target, "/dev/none");
        s.devices[1].optional = true;
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_string_equal(o.output, "1:5 600 0\n1\n1\n");
    }
}

/* Sends to the socket as the container has it. */
static void check_notify(struct rig *r, int receiver, struct container_spec *s) {
    struct sockaddr_un address;
    socklen_t length;
    char message[16] = "";
    struct error e;

    set_argv(s, "/bin/sleep", "1000", NULL);
    _cleanup_outcome_ struct outcome o = launch(r, s, NULL, 0);
    assert_true(o.begun);
    assert_int_equal(read(o.status_fd, &e, sizeof(e)), 0);
    _cleanup_free_ char *inside = strf("/proc/%d/root/run/host/notify", o.pid);
    _cleanup_close_ int sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(socket_address(inside, &address, &length), 0);
    assert_int_equal(sendto(sender, "READY=1", 7, 0, (struct sockaddr *)&address, length), 7);
    assert_int_equal(recv(receiver, message, sizeof(message), 0), 7);
    assert_string_equal(message, "READY=1");
    kill(o.pid, SIGKILL);
    finish(&o);
    spec_done(s);
}

static void test_notify_socket(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    struct sockaddr_un address;
    socklen_t length;
    _cleanup_free_ char *path = rig_path(r, "notify");

    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(socket_address(path, &address, &length), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(chmod(path, 0666), 0);
    for (int run_tmpfs = 0; run_tmpfs < 2; run_tmpfs++) {
        BOTH(u) {
            container_script(r, &s, u, "test -S /run/host/notify && cat /run/host/container-manager");
            set(&s.notify_socket, path);
            if (run_tmpfs)
                add_mount(&s, MOUNT_TMPFS, 0, NULL, "/run");
            _cleanup_outcome_ struct outcome o = run(r, &s);
            assert_exit(&o, 0);
            assert_string_equal(o.output, "davit\n");

            container_init(r, &s, u);
            set(&s.notify_socket, path);
            if (run_tmpfs)
                add_mount(&s, MOUNT_TMPFS, 0, NULL, "/run");
            check_notify(r, fd, &s);
        }
    }
    unlink(path);
}

/* ---- the process ---- */

static void check_user(
    struct rig *r, const char *user, const char *group, const char *extra, const char *expected) {
    struct container_spec s;

    BOTH(u) {
        container_script(r, &s, u, "echo $(id -u) $(id -g) $(id -G | tr ' ' '\\n' | sort -n) $HOME");
        if (user)
            set(&s.user, user);
        if (group)
            set(&s.group, group);
        if (extra)
            assert_int_equal(strv_append(&s.groups, extra), 0);
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_string_equal(o.output, expected);
    }
}

static void test_users(void **state) {
    struct rig *r = RIG(state);

    check_user(r, NULL, NULL, NULL, "0 0 0 /root\n");
    check_user(r, "www", NULL, NULL, "33 34 29 34 /srv/www\n");
    check_user(r, "33", NULL, NULL, "33 34 29 34 /srv/www\n");
    check_user(r, "www", "staff", NULL, "33 50 50 /srv/www\n");
    check_user(r, "4711", NULL, NULL, "4711 0 0 /\n");
    check_user(r, "4711", "4712", "audio", "4711 4712 29 4712 /\n");
}

static void test_environment_and_directory(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    BOTH(u) {
        container_script(
            r, &s, u, "echo $HOME; pwd; umask; cat /proc/self/oom_score_adj; ulimit -n; ulimit -c");
        assert_int_equal(strv_append(&s.environment, "HOME=/elsewhere"), 0);
        set(&s.working_dir, "/srv/made/here");
        s.umask = 0077;
        s.oom_score_adjust = 300;
        s.rlimits = calloc(2, sizeof(*s.rlimits));
        s.n_rlimits = 2;
        s.rlimits[0] = (struct spec_rlimit){RLIMIT_NOFILE, 77, 99};
        s.rlimits[1] = (struct spec_rlimit){RLIMIT_CORE, 0, 0};
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_string_equal(o.output, "/elsewhere\n/srv/made/here\n0077\n300\n77\n0\n");
    }
}

static void test_sysctls(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    BOTH(u) {
        container_script(r, &s, u, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start");
        add_sysctl(&s, "net.ipv4.ip_unprivileged_port_start", "80");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_string_equal(o.output, "80\n");
    }
}

static void check_refused_sysctl(struct rig *r, const char *key, int number) {
    struct container_spec s;

    container_script(r, &s, false, "true");
    add_sysctl(&s, key, "1");
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_exit(&o, LAUNCH_EXIT_SETUP);
    assert_string_equal(o.error.step, "sysctls");
    assert_int_equal(o.error.number, number);
    assert_contains(o.error.text, key);
}

static void test_refused_sysctls(void **state) {
    struct rig *r = RIG(state);

    check_refused_sysctl(r, "kernel.core_pattern", EPERM);
    check_refused_sysctl(r, "net.../../kernel.panic", EINVAL);
    check_refused_sysctl(r, "net.ipv4.ip_forward+kernel.panic", EINVAL);
    check_refused_sysctl(r, "vm.overcommit_memory", EPERM);
    check_refused_sysctl(r, "net.ipv4.no_such_thing", ENOENT);
}

static void test_missing_and_unexecutable_program(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    static const struct {
        const char *program;
        int status, number;
    } cases[] = {
        {"no-such-program", LAUNCH_EXIT_NOT_FOUND, ENOENT},
        {"/bin/no-such-program", LAUNCH_EXIT_NOT_FOUND, ENOENT},
        {"/etc/passwd", LAUNCH_EXIT_CANNOT_EXEC, EACCES},
        {"/etc", LAUNCH_EXIT_CANNOT_EXEC, EACCES},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        BOTH(init) {
            container_init(r, &s, true);
            set_argv(&s, cases[i].program, NULL);
            s.run_init = init;
            _cleanup_outcome_ struct outcome o = run(r, &s);
            assert_exit(&o, cases[i].status);
            assert_string_equal(o.error.step, "execve");
            assert_int_equal(o.error.number, cases[i].number);
            assert_contains(o.error.text, cases[i].program);
        }
    }
}

static void test_failing_step_names_path(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    BOTH(u) {
        container_script(r, &s, u, "true");
        set(&s.working_dir, "/bin/busybox");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, LAUNCH_EXIT_SETUP);
        assert_string_equal(o.error.step, "working-directory");
        assert_int_equal(o.error.number, ENOTDIR);
        assert_contains(o.error.text, "/bin/busybox");
    }
    container_script(r, &s, false, "true");
    set(&s.cgroup_unified, "/sys/fs/cgroup/davit-no-such-group");
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_false(o.begun);
    assert_string_equal(o.error.step, "cgroup");
    assert_contains(o.error.text, "davit-no-such-group");
}

static void test_exit_status_and_signals(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    container_script(r, &s, true, "exit 42");
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_exit(&o, 42);
    assert_int_equal(o.error.number, 0);

    /* SIGPIPE is ignored in the launcher and must not be in the program. */
    container_script(r, &s, true,
        "grep SigIgn /proc/self/status | tr -d '\\t'; grep SigBlk /proc/self/status | tr -d '\\t'");
    _cleanup_outcome_ struct outcome o2 = run(r, &s);
    assert_string_equal(o2.output, "SigIgn:0000000000000000\nSigBlk:0000000000000000\n");
    container_script(r, &s, true, "grep SigIgn /proc/self/status | tr -d '\\t'");
    s.ignore_sigpipe = true;
    _cleanup_outcome_ struct outcome o3 = run(r, &s);
    assert_string_equal(o3.output, "SigIgn:0000000000001000\n");
}

static void test_run_init(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    BOTH(u) {
        container_script(r, &s, u,
            "echo $$; cat /proc/1/comm; (sleep 0.1 &); sleep 0.3;"
            "cat /proc/[0-9]*/stat | cut -d' ' -f3 | grep -c Z; exit 7");
        s.run_init = true;
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 7);
        assert_string_equal(o.output, "2\ndavit-init1\n0\n");
    }
}

static void test_run_init_forwards_signals(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    char text[16] = "";
    int pipe_fds[2];

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    container_script(r, &s, true, "trap 'echo got; exit 3' TERM; echo up; while :; do sleep 0.05; done");
    s.run_init = true;
    s.stdout_fd = 0;
    _cleanup_outcome_ struct outcome o = launch(r, &s, &pipe_fds[1], 1);
    close(pipe_fds[1]);
    assert_true(o.begun);
    assert_int_equal(read(pipe_fds[0], text, sizeof(text)), 3);
    assert_int_equal(kill(o.pid, SIGTERM), 0);
    finish(&o);
    assert_exit(&o, 3);
    close(pipe_fds[0]);
    spec_done(&s);
}

static void test_seccomp_filter(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    /* mkdir(2) on x86-64 returns EPERM, all else is allowed. */
    static const struct {
        uint16_t code;
        uint8_t jt, jf;
        uint32_t k;
    } filter[] = {{0x20, 0, 0, 0}, {0x15, 0, 1, 83}, {0x06, 0, 0, 0x00050001}, {0x06, 0, 0, 0x7fff0000}};

#ifndef __x86_64__
    skip();
#endif
    BOTH(nnp) {
        container_script(r, &s, true,
            "grep -E '^Seccomp:|NoNew' /proc/self/status | tr -d '\\t'; mkdir /tmp/x 2>/dev/null || echo no");
        s.no_new_privileges = nnp;
        s.seccomp = malloc(sizeof(filter));
        memcpy(s.seccomp, filter, sizeof(filter));
        s.seccomp_size = sizeof(filter);
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_contains(o.output, "Seccomp:2\n");
        assert_contains(o.output, nnp ? "NoNewPrivs:1\n" : "NoNewPrivs:0\n");
        assert_contains(o.output, "no\n");
    }
}

static void test_terminal(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    char name[64], text[512] = "";

    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
    int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    BOTH(init) {
        BOTH(u) {
            container_script(r, &s, u,
                "test -t 0 && test -c /dev/console && echo hello >/dev/tty && echo ok >/dev/console");
            s.terminal_fd = 0;
            s.run_init = init;
            _cleanup_outcome_ struct outcome o = launch(r, &s, &slave, 1);
            finish(&o);
            assert_exit(&o, 0);
            ssize_t n = read(master, text, sizeof(text) - 1);
            text[MAX(n, 0)] = '\0';
            assert_contains(text, "hello\r\nok\r\n");
            spec_done(&s);
        }
    }
    close(slave);
    close(master);
}

static void test_fifo_is_opened_again(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    char text[64] = "";
    _cleanup_free_ char *path = rig_path(r, "fifo");

    assert_int_equal(mkfifo(path, 0622), 0);
    assert_int_equal(chmod(path, 0622), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int writer = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    BOTH(u) {
        /* Blocking for the program although ours is not, and open to who opens /dev/stdout anew. */
        container_script(r, &s, u, "grep flags /proc/self/fdinfo/1 >/dev/stdout");
        s.stdout_fd = 0;
        _cleanup_outcome_ struct outcome o = launch(r, &s, &writer, 1);
        finish(&o);
        assert_exit(&o, 0);
        assert_true(read(reader, text, sizeof(text) - 1) > 0);
        assert_lacks(text, "4000");
        spec_done(&s);
    }
    close(reader);
    close(writer);
    unlink(path);
}

/* ---- other kinds ---- */

static struct outcome start_sleeper(struct rig *r, bool user_namespace, bool init) {
    struct container_spec s;

    container_init(r, &s, user_namespace);
    set_argv(&s, "/bin/sleep", "1000", NULL);
    s.run_init = init;
    struct outcome o = launch(r, &s, NULL, 0);
    struct error e;
    assert_true(o.begun);
    assert_int_equal(read(o.status_fd, &e, sizeof(e)), 0);
    spec_done(&s);
    return o;
}

static void exec_init(struct rig *r, struct container_spec *s, const char *script) {
    spec_init(s);
    s->kind = SPEC_EXEC;
    s->request = ++r->request;
    s->join_pidfd = 0;
    set_argv(s, "sh", "-c", script, NULL);
    assert_int_equal(strv_append(&s->environment, "PATH=/bin"), 0);
    s->capabilities = 0x00000000800405fb;
    s->no_new_privileges = true;
}

static void test_exec_joins_everything(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    char text[1024] = "";
    int pipe_fds[2];

    BOTH(init){BOTH(u){_cleanup_outcome_ struct outcome box = start_sleeper(r, u, init);
    exec_init(r, &s,
        "hostname; id -u; ls /proc/self/fd | wc -l; grep CapPrm /proc/self/status | cut -f2; ls /proc | grep "
        "-c "
        "'^1$'; for n in mnt uts ipc net pid user cgroup; do test $(readlink /proc/1/ns/$n) = $(readlink "
        "/proc/self/ns/$n) || echo $n; done; id -u; pwd");
    set(&s.user, "www");
    set(&s.working_dir, "/tmp");
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    const int fds[] = {box.pidfd, pipe_fds[1]};
    s.stdout_fd = 1;
    _cleanup_outcome_ struct outcome o = launch(r, &s, fds, 2);
    close(pipe_fds[1]);
    if (!o.begun)
        fail_msg("%s: %s", o.error.step, o.error.text);
    _cleanup_free_ char *out = NULL;
    assert_int_equal(fd_read_all(pipe_fds[0], 4096, &out, NULL), 0);
    close(pipe_fds[0]);
    finish(&o);
    o.output = TAKE_PTR(out);
    assert_exit(&o, 0);
    assert_contains(o.output, "boat\n33\n4\n0000000000000000\n1\n");
    assert_contains(o.output, "33\n/tmp\n");
    spec_done(&s);
    kill(box.pid, SIGKILL);
    finish(&box);
    /* A container that is gone. */
    exec_init(r, &s, "true");
    _cleanup_outcome_ struct outcome late = launch(r, &s, &box.pidfd, 1);
    assert_false(late.begun);
    assert_string_equal(late.error.step, "join");
    assert_int_equal(late.error.number, ESRCH);
    spec_done(&s);
}
}
(void)text;
}

static void process_init(struct rig *r, struct container_spec *s) {
    spec_init(s);
    s->kind = SPEC_PROCESS;
    s->request = ++r->request;
    s->capabilities = UINT64_MAX;
}

static void test_host_process(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    process_init(r, &s);
    set_argv(&s, "sh", "-c",
        "cat $0/mark; id -u; pwd; echo $HOME; ls /proc/self/fd | wc -l; cut -d' ' -f5 /proc/self/mountinfo | "
        "grep -c '^/$'",
        r->directory, NULL);
    set(&s.working_dir, "/usr");
    set(&s.user, "daemon");
    _cleanup_free_ char *mark = rig_path(r, "mark");
    write_file(mark, "of the host\n");
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_exit(&o, 0);
    assert_contains(o.output, "of the host\n1\n/usr\n/usr/sbin\n4\n");
}

static void test_pass_fd(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    char text[16] = "";
    int pipe_fds[2];

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    process_init(r, &s);
    set_argv(&s, "/bin/sh", "-c", "echo result >&3", NULL);
    s.pass_fd = 0;
    _cleanup_outcome_ struct outcome o = launch(r, &s, &pipe_fds[1], 1);
    finish(&o);
    assert_exit(&o, 0);
    assert_int_equal(read(pipe_fds[0], text, sizeof(text)), 7);
    assert_string_equal(text, "result\n");
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    spec_done(&s);
}

static struct outcome run_task(struct rig *r, enum spec_task task, const char *a, const char *b) {
    struct container_spec s;

    spec_init(&s);
    s.kind = SPEC_TASK;
    s.task = task;
    s.request = ++r->request;
    set_argv(&s, a, b, NULL);
    return run(r, &s);
}

static void test_remove_tree_task(void **state) {
    struct rig *r = RIG(state);
    _cleanup_free_ char *command =
        strf("mkdir -p %s/tree/a/b/c && touch %s/tree/a/b/f && ln -s / %s/tree/a/root", r->directory,
            r->directory, r->directory);
    _cleanup_free_ char *tree = rig_path(r, "tree");

    assert_int_equal(system(command), 0);
    _cleanup_outcome_ struct outcome o = run_task(r, TASK_REMOVE_TREE, r->directory, "tree");
    assert_exit(&o, 0);
    assert_int_equal(access(tree, F_OK), -1);
    /* Not there: done. A path instead of a name: refused. */
    _cleanup_outcome_ struct outcome o2 = run_task(r, TASK_REMOVE_TREE, r->directory, "tree");
    assert_exit(&o2, 0);
    _cleanup_outcome_ struct outcome o3 = run_task(r, TASK_REMOVE_TREE, r->directory, "image/bin");
    assert_exit(&o3, 1);
    assert_contains(o3.output, "image/bin");
    assert_int_equal(access(r->image, F_OK), 0);
}

static void test_copy_tree_task(void **state) {
    struct rig *r = RIG(state);
    _cleanup_free_ char *from = rig_path(r, "from"), *to = rig_path(r, "to");
    _cleanup_free_ char *command = strf(
        "mkdir -p %s/d %s && cd %s && echo x >f && ln f d/hard && ln -s /etc l && mkfifo p && mknod n c 1 3 "
        "&& chmod 4711 f && chown 5:6 f d && touch -d '2001-02-03' f d && setfattr -n user.k -v v f "
        "2>/dev/null; true",
        from, to, from);
    assert_int_equal(system(command), 0);
    _cleanup_outcome_ struct outcome o = run_task(r, TASK_COPY_TREE, from, to);
    assert_exit(&o, 0);
    _cleanup_free_ char *compare = strf(
        "cd %s && find . -printf '%%P %%M %%U %%G %%l %%n %%T@\\n' | sort >../a && cd %s && find . -printf "
        "'%%P %%M %%U %%G %%l %%n %%T@\\n' | sort >../b && cmp ../a ../b && diff -r --no-dereference "
        "--exclude=p --exclude=n %s %s",
        from, to, from, to);
    assert_int_equal(system(compare), 0);
}

static void test_control_groups(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    static const char *const bases[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};
    struct statfs fs;
    const char *base = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(bases) && !base; i++)
        if (statfs(bases[i], &fs) == 0 && fs.f_type == 0x63677270)
            base = bases[i];
    _cleanup_free_ char *group = base ? strf("%s/davit-test-%d-launch", base, getpid()) : NULL;
    _cleanup_free_ char *v1 = strf("/sys/fs/cgroup/pids/davit-test-%d-launch", getpid());
    _cleanup_free_ char *tasks = strf("%s/tasks", v1);
    if (!base || mkdir(group, 0755) < 0)
        skip();
    bool has_v1 = mkdir(v1, 0755) == 0;
    BOTH(u) {
        container_script(r, &s, u, "cat /proc/self/cgroup");
        set(&s.cgroup_unified, group);
        if (has_v1)
            assert_int_equal(strv_append(&s.cgroup_v1_tasks, tasks), 0);
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_contains(o.output, "0::/\n");
        if (has_v1)
            assert_contains(o.output, ":pids:/\n");
    }
    for (int i = 0; i < 100 && rmdir(group) < 0; i++)
        usleep(10000);
    for (int i = 0; has_v1 && i < 100 && rmdir(v1) < 0; i++)
        usleep(10000);
    assert_int_equal(access(group, F_OK), -1);
}

/* ---- the launcher's own life ---- */

static void test_bad_messages_are_answered(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    _cleanup_free_ void *data = NULL;
    size_t size;
    struct launch_answer a;
    size_t n_fds = 0;

    /* Garbage: FAILED for request 0. */
    assert_int_equal(send(r->socket, "garbage", 7, 0), 7);
    do
        assert_int_equal(socket_recv_fds(r->socket, &a, sizeof(a), NULL, &n_fds, 0), sizeof(a));
    while (a.type == LAUNCH_TAKEN);
    assert_int_equal(a.type, LAUNCH_FAILED);
    assert_int_equal(a.request, 0);

    /* A truncated spec: FAILED for its request. */
    container_script(r, &s, true, "true");
    assert_int_equal(spec_encode(&s, &data, &size, NULL), 0);
    assert_int_equal(send(r->socket, data, size - 5, 0), size - 5);
    do
        assert_int_equal(socket_recv_fds(r->socket, &a, sizeof(a), NULL, &n_fds, 0), sizeof(a));
    while (a.type == LAUNCH_TAKEN);
    assert_int_equal(a.type, LAUNCH_FAILED);
    assert_int_equal(a.request, s.request);
    assert_int_equal(a.error.number, EBADMSG);
    spec_done(&s);

    _cleanup_free_ char *out = script_output(r, true, "echo alive");
    assert_string_equal(out, "alive\n");
}

static void test_large_request(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    container_script(r, &s, true, "echo ${#LARGE0}");
    for (int i = 0; i < 4; i++) {
        _cleanup_free_ char *value = strf("LARGE%d=%0*d", i, 100000, 0);
        assert_int_equal(strv_append(&s.environment, value), 0);
    }
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_exit(&o, 0);
    assert_string_equal(o.output, "100000\n");
}

/* Descriptors of one request must not stay behind for the next. */
static void test_launcher_keeps_no_descriptors(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    _cleanup_free_ char *count = strf("ls /proc/%d/fd | wc -l", r->launcher);
    char before[16] = "", after[16] = "";

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 5; i++) {
            _cleanup_free_ char *out = script_output(r, true, "true");
            container_script(r, &s, true, "true");
            add_mount(&s, MOUNT_BIND, 0, "/nonexistent-davit", "/vol");
            _cleanup_outcome_ struct outcome o = run(r, &s);
            assert_false(o.begun);
        }
        FILE *f = popen(count, "r");
        assert_non_null(fgets(round == 0 ? before : after, sizeof(before), f));
        pclose(f);
    }
    assert_string_equal(before, after);
}

/* Missing descriptors are this request's failure and nobody else's. */
static void test_launcher_survives_want_of_descriptors(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    struct rlimit old, low;

    assert_int_equal(prlimit(r->launcher, RLIMIT_NOFILE, NULL, &old), 0);
    for (rlim_t n = 4; n < 40; n += 2) {
        low = (struct rlimit){.rlim_cur = n, .rlim_max = old.rlim_max};
        assert_int_equal(prlimit(r->launcher, RLIMIT_NOFILE, &low, NULL), 0);
        container_script(r, &s, n % 4 == 0, "true");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        if (!o.begun)
            assert_int_not_equal(o.error.number, 0);
    }
    assert_int_equal(prlimit(r->launcher, RLIMIT_NOFILE, &old, NULL), 0);
    _cleanup_free_ char *out = script_output(r, true, "echo alive");
    assert_string_equal(out, "alive\n");
}

/* A child that is killed at a random moment of its steps: the launcher goes on, its status pipe ends. */
static void test_child_killed_at_any_moment(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    for (int i = 0; i < 60; i++) {
        container_script(r, &s, i % 2, "exit 5");
        _cleanup_outcome_ struct outcome o = launch(r, &s, NULL, 0);
        assert_true(o.begun);
        usleep((useconds_t)(i * 40));
        kill(o.pid, SIGKILL);
        finish(&o);
        assert_true(exit_code(&o) == 5 || (WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGKILL));
        spec_done(&s);
    }
    _cleanup_free_ char *out = script_output(r, true, "echo alive");
    assert_string_equal(out, "alive\n");
}

/* A launcher that dies before it told anybody of the child: the child leaves without having run. */
static void test_child_does_not_run_without_its_launcher(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    struct error e = {};
    int status, report[2];
    pid_t child = 0;
    _cleanup_free_ char *mark = rig_path(r, "volume-mark"), *ran = rig_path(r, "volume-mark/ran");

    make_directory(mark, 0777);
    assert_int_equal(pipe(report), 0);
    container_script(r, &s, false, "touch /vol/ran");
    add_mount(&s, MOUNT_BIND, 0, mark, "/vol");
    pid_t door = fork();
    if (door == 0) {
        struct launcher *l;
        struct launched d;

        if (launcher_open(&l, &e) < 0 || launch_begin(l, &s, NULL, LAUNCH_CLONE_PARENT, &d, &e) < 0)
            _exit(9);
        (void)!write(report[1], &d.pid, sizeof(d.pid));
        _exit(0); /* as if killed: nothing released */
    }
    assert_int_equal(waitpid(door, &status, 0), door);
    assert_int_equal(status, 0);
    assert_int_equal(read(report[0], &child, sizeof(child)), sizeof(child));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == LAUNCH_EXIT_SETUP);
    assert_int_equal(access(ran, F_OK), -1);
    close(report[0]);
    close(report[1]);
    spec_done(&s);
}

/* davit-init keeps both ends of the socket, so requests outlive a launcher. */
static void test_hello_names_the_waiting_request(void **state) {
    struct rig *r = RIG(state);
    (void)r;
    /* covered by the rig for 0; a queue that outlives its launcher is davit-init's to keep, so it is made
     * here */
    int ends[2];
    struct container_spec s;
    _cleanup_free_ void *data = NULL;
    size_t size, n_fds = 0;
    struct launch_answer a;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    container_script(r, &s, true, "true");
    assert_int_equal(spec_encode(&s, &data, &size, NULL), 0);
    assert_int_equal(send(ends[0], data, size, 0), size);
    pid_t pid = fork();
    if (pid == 0) {
        struct launcher *l;
        struct error e;
        close(ends[0]);
        _exit(launcher_open(&l, &e) < 0 || launcher_serve(l, ends[1], &e) < 0);
    }
    close(ends[1]);
    assert_int_equal(socket_recv_fds(ends[0], &a, sizeof(a), NULL, &n_fds, 0), sizeof(a));
    assert_int_equal(a.type, LAUNCH_HELLO);
    assert_int_equal(a.pid, pid);
    assert_int_equal(a.request, s.request);
    assert_int_equal(socket_recv_fds(ends[0], &a, sizeof(a), NULL, &n_fds, 0), sizeof(a));
    assert_int_equal(a.type, LAUNCH_TAKEN);
    assert_int_equal(a.request, s.request);
    int got[2];
    n_fds = 2;
    assert_int_equal(socket_recv_fds(ends[0], &a, sizeof(a), got, &n_fds, 0), sizeof(a));
    assert_int_equal(a.type, LAUNCH_BEGUN);
    assert_int_equal(waitpid(a.pid, NULL, 0), a.pid);
    close(got[0]);
    close(got[1]);
    close(ends[0]); /* the end of the socket is the end of the launcher */
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    spec_done(&s);
}

static void test_host_mount_table_does_not_grow(void **state) {
    struct rig *r = RIG(state);
    _cleanup_free_ char *before = NULL, *after = NULL;

    assert_int_equal(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &before, NULL), 0);
    _cleanup_outcome_ struct outcome box = start_sleeper(r, true, false);
    assert_int_equal(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &after, NULL), 0);
    kill(box.pid, SIGKILL);
    finish(&box);
    assert_string_equal(before, after);
}

#define TEST(name) cmocka_unit_test(name)

int main(void) {
    static const struct CMUnitTest tests[] = {
        TEST(test_identity_of_container),
        TEST(test_mount_table_has_nothing_of_host),
        TEST(test_no_descriptor_leaks_in),
        TEST(test_capabilities),
        TEST(test_no_capabilities_for_user),
        TEST(test_ambient_capabilities_on_request),
        TEST(test_devices_work),
        TEST(test_masks_and_read_only_paths),
        TEST(test_loopback_is_up_and_alone),
        TEST(test_files_of_init_layer),
        TEST(test_systemd_does_not_see_host_as_container),
        TEST(test_owners_inside_and_outside),
        TEST(test_namespaces_can_be_shared),
        TEST(test_whiteout_and_copy_up),
        TEST(test_two_layers),
        TEST(test_many_layers),
        TEST(test_many_layers_on_older_kernels),
        TEST(test_layer_on_a_mount_of_its_own),
        TEST(test_layer_that_cannot_be_mapped_says_so),
        TEST(test_read_only_root),
        TEST(test_upper_on_tmpfs_and_volatile),
        TEST(test_tmpfs),
        TEST(test_volume),
        TEST(test_volume_without_map_and_with_owner),
        TEST(test_file_as_volume),
        TEST(test_volume_through_link_of_image_stays_inside),
        TEST(test_copy_up_fills_empty_volume_once),
        TEST(test_missing_sources),
        TEST(test_extra_devices),
        TEST(test_notify_socket),
        TEST(test_users),
        TEST(test_environment_and_directory),
        TEST(test_sysctls),
        TEST(test_refused_sysctls),
        TEST(test_missing_and_unexecutable_program),
        TEST(test_failing_step_names_path),
        TEST(test_exit_status_and_signals),
        TEST(test_run_init),
        TEST(test_run_init_forwards_signals),
        TEST(test_seccomp_filter),
        TEST(test_terminal),
        TEST(test_fifo_is_opened_again),
        TEST(test_exec_joins_everything),
        TEST(test_host_process),
        TEST(test_pass_fd),
        TEST(test_remove_tree_task),
        TEST(test_copy_tree_task),
        TEST(test_control_groups),
        TEST(test_bad_messages_are_answered),
        TEST(test_large_request),
        TEST(test_launcher_keeps_no_descriptors),
        TEST(test_launcher_survives_want_of_descriptors),
        TEST(test_child_killed_at_any_moment),
        TEST(test_child_does_not_run_without_its_launcher),
        TEST(test_hello_names_the_waiting_request),
        TEST(test_host_mount_table_does_not_grow),
    };
    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
