/* link: launch-harness.c */
/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The container's process: user, environment, limits, streams, exit status, and how failures are told. */
#include "launch-harness.h"

#include <fcntl.h>
#include <poll.h>
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
            "echo $$; cat /proc/1/comm; (sleep 0.1 & echo $! >/tmp/orphan); read -r orphan </tmp/orphan;"
            "n=0; while [ -e /proc/$orphan ] && [ $n -lt 3000 ]; do sleep 0.02; n=$((n + 1)); done;"
            "[ ! -e /proc/$orphan ] && echo reaped; exit 7");
        s.run_init = true;
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 7);
        assert_string_equal(o.output, "2\ndavit-init1\nreaped\n");
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

/* A terminal hands on in pieces what was written to it. */
static void expect_from_terminal(int master, const char *wanted) {
    char text[512] = "";

    for (size_t n = 0; !strstr(text, wanted);) {
        struct pollfd p = {.fd = master, .events = POLLIN};
        ssize_t got = poll(&p, 1, ANSWER_MSEC) == 1 ? read(master, text + n, sizeof(text) - 1 - n) : 0;
        if (got <= 0)
            fail_msg("\"%s\" has no \"%s\"", text, wanted);
        n += (size_t)got;
    }
}

static void test_terminal(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    char name[64];

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
            expect_from_terminal(master, "hello\r\nok\r\n");
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

int main(void) {
    static const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
