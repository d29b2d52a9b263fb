/* link: launch-harness.c */
/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A container seen from inside, whose its files are, and what its overlay leaves in the layers. */
#include "launch-harness.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/fs.h"

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
        /* Nor do options of the overlay say where anything is. */
        _cleanup_free_ char *all = script_output(r, u, "cat /proc/self/mountinfo");
        assert_null(strstr(all, r->directory));
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

/* The launcher keeps the layer for the next start. What a container did to its files is in its upper
 * directory only, and a file or an image that has changed makes another layer. */
static void test_init_layer_of_the_next_start(void **state) {
    struct rig *r = RIG(state);
    static const char script[] = "cat /etc/motd; stat -c %a /etc; echo mine >/etc/motd; chmod 700 /etc";
    _cleanup_free_ char *etc = rig_path(r, "image/etc");

    BOTH(u) {
        for (int i = 0; i < 4; i++) {
            struct container_spec s;
            container_script(r, &s, u, script);
            add_file(&s, "/etc/motd", i < 3 ? "first\n" : "second\n");
            assert_int_equal(chmod(etc, i < 2 ? 0755 : 0711), 0);
            _cleanup_outcome_ struct outcome o = run(r, &s);
            assert_exit(&o, 0);
            assert_string_equal(o.output, i < 2 ? "first\n755\n" : i == 2 ? "first\n711\n" : "second\n711\n");
        }
        assert_int_equal(chmod(etc, 0755), 0);
    }
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

/* Below the clone of the layers' common directory neither is what it is by its path. */
static void test_layers_that_lie_elsewhere(void **state) {
    struct rig *r = RIG(state);
    BOTH(u) {
        struct container_spec s;
        _cleanup_free_ char *all = rig_path(r, "all"), *away = rig_path(r, "away");
        _cleanup_free_ char *linked = rig_path(r, "all/7"), *target = rig_path(r, "away/7");
        _cleanup_free_ char *mounted = rig_path(r, "all/8"), *source = rig_path(r, "away/8");
        _cleanup_free_ char *command = strf("rm -rf %s %s", all, away);

        make_directory(all, 0755);
        make_directory(away, 0755);
        container_script(r, &s, u, "cat /layer-1 /layer-7 /layer-8; stat -c '%u %g' /layer-7 /layer-8");
        add_layer(r, &s, "all", 1);
        add_layer(r, &s, "away", 7);
        add_layer(r, &s, "away", 8);
        assert_int_equal(free_and_strdup(&s.layers[strv_length(s.layers) - 2], linked), 0);
        assert_int_equal(free_and_strdup(&s.layers[strv_length(s.layers) - 1], mounted), 0);
        assert_int_equal(symlink(target, linked), 0);
        make_directory(mounted, 0755);
        assert_int_equal(mount(source, mounted, NULL, MS_BIND, NULL), 0);
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_int_equal(umount2(mounted, MNT_DETACH), 0);
        assert_int_equal(system(command), 0);
        assert_exit(&o, 0);
        assert_string_equal(o.output, "1\n7\n8\n0 0\n0 0\n");
    }
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

static void test_upper_that_a_dying_launcher_gave_to_nobody(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    BOTH(u) {
        container_script(r, &s, u, "touch /new && stat -c '%u %g' /");
        _cleanup_free_ char *upper = strf("%s/upper", s.upper_dir);
        make_directory(s.upper_dir, 0711);
        make_directory(upper, 0755);
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_string_equal(o.output, "0 0\n");
    }
}

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
        TEST(test_init_layer_of_the_next_start),
        TEST(test_systemd_does_not_see_host_as_container),
        TEST(test_owners_inside_and_outside),
        TEST(test_namespaces_can_be_shared),
        TEST(test_whiteout_and_copy_up),
        TEST(test_two_layers),
        TEST(test_layers_that_lie_elsewhere),
        TEST(test_many_layers),
        TEST(test_many_layers_on_older_kernels),
        TEST(test_layer_on_a_mount_of_its_own),
        TEST(test_layer_that_cannot_be_mapped_says_so),
        TEST(test_read_only_root),
        TEST(test_upper_on_tmpfs_and_volatile),
        TEST(test_upper_that_a_dying_launcher_gave_to_nobody),
    };
    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
