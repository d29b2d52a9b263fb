/* link: launch-harness.c */
/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes, tmpfs, devices and sockets: what is mounted, whose it is, and what a missing source does. */
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

static void assert_made_with_owner(struct rig *r, const char *source, uint32_t flags) {
    struct container_spec s;
    struct stat st;

    container_script(r, &s, true, "stat -c '%u %g' /vol; touch /vol/x");
    struct spec_mount *m = add_mount(&s, MOUNT_BIND, MOUNT_CREATE_SOURCE | flags, source, "/vol");
    m->owner_uid = 33;
    m->owner_gid = 34;
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_exit(&o, 0);
    assert_string_equal(o.output, "33 34\n");
    assert_int_equal(stat(source, &st), 0);
    assert_int_equal(st.st_uid, ID_BASE + 33);
}

static void test_volume_without_map_and_with_owner(void **state) {
    struct rig *r = RIG(state);
    _cleanup_free_ char *source = rig_path(r, "owned");

    assert_made_with_owner(r, source, MOUNT_CHOWN);
}

/* As one leaves it that dies when it has made the directory. */
static void test_volume_of_a_launcher_that_died_gets_its_owner(void **state) {
    struct rig *r = RIG(state);
    _cleanup_free_ char *source = rig_path(r, "half"), *left = rig_path(r, "half.davit-new");

    assert_int_equal(mkdir(left, 0755), 0);
    assert_made_with_owner(r, source, 0);
    assert_int_equal(access(left, F_OK), -1);
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

int main(void) {
    static const struct CMUnitTest tests[] = {
        TEST(test_tmpfs),
        TEST(test_volume),
        TEST(test_volume_without_map_and_with_owner),
        TEST(test_volume_of_a_launcher_that_died_gets_its_owner),
        TEST(test_file_as_volume),
        TEST(test_volume_through_link_of_image_stays_inside),
        TEST(test_copy_up_fills_empty_volume_once),
        TEST(test_missing_sources),
        TEST(test_extra_devices),
        TEST(test_notify_socket),
    };
    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
