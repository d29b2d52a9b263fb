/* link: ../integration/launch-harness.c */
/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Published attacks on container launchers, each against a real davit-launch. A canary on the host, made per
 * test, must be unread and unchanged, and what the attack wanted must not have happened; a refusal names the
 * path.
 */
#include "../integration/launch-harness.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/fs.h"

#define SECRET "canary of the host\n"

/* A directory on the host with one file, outside of the image. */
static char *make_canary(struct rig *r) {
    char *directory = rig_path(r, "canary");
    _cleanup_free_ char *file = rig_path(r, "canary/file");

    make_directory(directory, 0777);
    write_file(file, SECRET);
    return directory;
}

/* Only the file is there, as it was; removes the canary. */
static void check_canary(struct rig *r, char *directory) {
    _cleanup_free_ char *file = rig_path(r, "canary/file");
    _cleanup_free_ char *text = read_file(file);
    _cleanup_free_ char *command = strf("test \"$(ls -A %s)\" = file", directory);

    assert_string_equal(text, SECRET);
    if (system(command) != 0)
        fail_msg("something was made in the canary directory");
    unlink(file);
    rmdir(directory);
    free(directory);
}

/* Swaps image/NAME for a symbolic link to target; link_undo() puts it back. */
static void link_instead(struct rig *r, const char *name, const char *target) {
    _cleanup_free_ char *path = rig_path(r, "image/%s", name), *kept = rig_path(r, "kept");

    (void)rename(path, kept);
    assert_int_equal(symlink(target, path), 0);
}

static void link_undo(struct rig *r, const char *name) {
    _cleanup_free_ char *path = rig_path(r, "image/%s", name), *kept = rig_path(r, "kept");

    assert_int_equal(unlink(path), 0);
    (void)rename(kept, path);
}

/* ---- the image's own /proc, /sys, /dev ---- */

static void check_link_is_refused(struct rig *r, const char *name) {
    struct container_spec s;

    BOTH(u) {
        char *canary = make_canary(r);
        link_instead(r, name, canary);
        container_script(r, &s, u, "true");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        link_undo(r, name);
        check_canary(r, canary);
        assert_false(o.begun);
        assert_contains(o.error.text, name);
        assert_contains(o.error.text, "directory");
    }
}

static void test_cve_2019_19921_proc_is_a_link(void **state) {
    check_link_is_refused(RIG(state), "proc");
}

static void test_sys_is_a_link(void **state) {
    check_link_is_refused(RIG(state), "sys");
}

static void test_cve_2026_41579_dev_is_a_link_to_the_host(void **state) {
    check_link_is_refused(RIG(state), "dev");
}

/* The same, put there by an earlier life of the container in an upper directory that was kept. */
static void test_dev_is_a_link_in_a_kept_upper_directory(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    static const char *const names[] = {"dev", "proc", "sys"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        BOTH(u) {
            char *canary = make_canary(r);
            container_script(r, &s, u, "true");
            _cleanup_free_ char *command =
                strf("mkdir -p %s/upper && ln -s %s %s/upper/%s && chown -R %u:%u %s/upper", s.upper_dir,
                    canary, s.upper_dir, names[i], u ? ID_BASE : 0, u ? ID_BASE : 0, s.upper_dir);
            assert_int_equal(system(command), 0);
            _cleanup_outcome_ struct outcome o = run(r, &s);
            check_canary(r, canary);
            assert_exit(&o, LAUNCH_EXIT_SETUP);
            assert_string_equal(o.error.step, names[i]);
        }
    }
}

static void test_cve_2025_31133_dev_null_is_a_link(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    _cleanup_free_ char *link = rig_path(r, "image/dev/null");

    assert_int_equal(symlink("/proc/sys/kernel/core_pattern", link), 0);
    BOTH(u) {
        container_script(r, &s, u,
            "stat -c %t:%T /dev/null /proc/keys; (echo '|/x' >/proc/sys/kernel/core_pattern) 2>&1 | grep -c "
            "'Read-only\\|denied'");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_string_equal(o.output, "1:3\n1:3\n1\n");
    }
    unlink(link);
}

static void test_cve_2025_52565_console_is_a_link(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    char name[64];
    char *canary = make_canary(r);
    _cleanup_free_ char *link = rig_path(r, "image/dev/console"), *file = rig_path(r, "canary/file");

    assert_int_equal(symlink(file, link), 0);
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
    int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    container_script(r, &s, true, "test -c /dev/console && echo owned >/dev/console");
    s.terminal_fd = 0;
    _cleanup_outcome_ struct outcome o = launch(r, &s, &slave, 1);
    finish(&o);
    assert_exit(&o, 0);
    spec_done(&s);
    close(slave);
    close(master);
    unlink(link);
    check_canary(r, canary);
}

/* ---- files the launcher writes or reads in the image ---- */

static void test_cve_2025_24965_hosts_is_a_link(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    static const char *const names[] = {"etc/hosts", "etc/hostname", "etc/resolv.conf"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        BOTH(u) {
            char *canary = make_canary(r);
            _cleanup_free_ char *file = rig_path(r, "canary/file");
            link_instead(r, names[i], file);
            _cleanup_free_ char *script = strf("echo written >>/%s; cat /%s", names[i], names[i]);
            container_script(r, &s, u, script);
            _cleanup_outcome_ struct outcome o = run(r, &s);
            link_undo(r, names[i]);
            check_canary(r, canary);
            assert_exit(&o, 0);
            assert_lacks(o.output, "canary");
            assert_contains(o.output, "written");
        }
    }
}

static void test_etc_is_a_link(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    BOTH(u) {
        char *canary = make_canary(r);
        link_instead(r, "etc", canary);
        container_script(r, &s, u, "true");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        link_undo(r, "etc");
        check_canary(r, canary);
        assert_false(o.begun);
        assert_string_equal(o.error.step, "init-layer");
    }
}

static void test_run_host_is_a_link(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    _cleanup_free_ char *run_directory = rig_path(r, "image/run"), *link = rig_path(r, "image/run/host");

    BOTH(u) {
        char *canary = make_canary(r);
        make_directory(run_directory, 0755);
        assert_int_equal(symlink(canary, link), 0);
        container_script(r, &s, u, "ls -d /run/host");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        unlink(link);
        rmdir(run_directory);
        check_canary(r, canary);
    }
}

static void check_passwd(struct rig *r, const char *command_format) {
    struct container_spec s;
    _cleanup_free_ char *passwd = rig_path(r, "image/etc/passwd"), *kept = rig_path(r, "passwd.kept");

    assert_int_equal(rename(passwd, kept), 0);
    _cleanup_free_ char *command = strf("%s %s", command_format, passwd);
    assert_int_equal(system(command), 0);
    container_script(r, &s, true, "id -u");
    set(&s.user, "daemon"); /* known to the host */
    alarm(60);
    _cleanup_outcome_ struct outcome o = run(r, &s);
    alarm(RIG_SECONDS);
    unlink(passwd);
    assert_int_equal(rename(kept, passwd), 0);
    assert_exit(&o, LAUNCH_EXIT_SETUP);
    assert_string_equal(o.error.step, "user");
}

static void test_cve_2024_9676_passwd_is_not_a_file(void **state) {
    struct rig *r = RIG(state);

    check_passwd(r, "mkfifo");
    check_passwd(r, "ln -s /../../../../../../etc/passwd");
    check_passwd(r, "ln -s /proc/1/root/etc/passwd");
    check_passwd(r, "truncate -s 1G");
    check_passwd(r, "mknod -m 666 /dev/null c 1 5 2>/dev/null; ln -s /dev/zero");
}

/* ---- mounts ---- */

/* CAP_SYS_ADMIN in a user namespace of its own is not that of the host: what the host's directory was mounted
 * with stays, by remount, by mount_setattr, and for a copy of it. */
static void test_a_read_only_volume_cannot_be_made_writable(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    char *canary = make_canary(r);

    container_script(r, &s, true,
        "for o in remount,bind,rw remount,rw remount,bind,exec remount,bind,dev; do"
        "  mount -o $o /v 2>/dev/null && echo $o; mount -o $o /f 2>/dev/null && echo file $o; done;"
        "mkdir /tmp/copy; mount --bind /v /tmp/copy && mount -o remount,bind,rw /tmp/copy 2>/dev/null && "
        "echo copy;"
        "echo evil 2>/dev/null >>/v/file; echo evil 2>/dev/null >>/f; touch /v/new 2>/dev/null; cat /v/file");
    s.capabilities |= UINT64_C(1) << CAP_SYS_ADMIN;
    uint32_t flags = MOUNT_IDMAP | MOUNT_READ_ONLY | MOUNT_NOEXEC | MOUNT_NODEV | MOUNT_NOSUID;
    _cleanup_free_ char *file = rig_path(r, "canary/file");
    add_mount(&s, MOUNT_BIND, flags, canary, "/v");
    add_mount(&s, MOUNT_BIND, flags, file, "/f");
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_exit(&o, 0);
    assert_string_equal(o.output, SECRET);
    check_canary(r, canary);
}

/* ---- identity ---- */

static void test_uid_4294967295_is_not_root(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    static const char *const users[] = {"4294967295", "4294967296", "-1", "99999999999"};

    for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
        BOTH(u) {
            container_script(r, &s, u, "id -u");
            set(&s.user, users[i]);
            _cleanup_outcome_ struct outcome o = run(r, &s);
            assert_exit(&o, LAUNCH_EXIT_SETUP);
            assert_string_equal(o.error.step, "user");
            assert_string_equal(o.output, "");
        }
    }
}

static void test_cve_2016_3697_numeric_name(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    /* the image's passwd has "1000:x:0:0" */
    container_script(r, &s, false, "id -u");
    set(&s.user, "1000");
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_exit(&o, 0);
    assert_string_equal(o.output, "1000\n");
}

static void test_user_outside_of_the_id_map(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    container_script(r, &s, true, "id -u");
    set(&s.user, "70000");
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_exit(&o, LAUNCH_EXIT_SETUP);
    assert_string_equal(o.error.step, "user");
    assert_contains(o.error.text, "70000");
}

/* ---- descriptors ---- */

static void test_cve_2024_21626_working_directory_is_a_descriptor(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    int leak = open("/", O_RDONLY | O_DIRECTORY); /* into the launcher, and not close-on-exec */
    rig_restart(r);
    for (int n = 3; n < 32; n++) {
        _cleanup_free_ char *path = strf("/proc/self/fd/%d", n);
        container_script(r, &s, n % 2, "ls; cat etc/shadow");
        set(&s.working_dir, path);
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, LAUNCH_EXIT_SETUP);
        assert_string_equal(o.error.step, "working-directory");
        assert_string_equal(o.output, "");
    }
    close(leak);
}

/* The image's own link to a descriptor is no better. */
static void test_working_directory_links_to_a_descriptor(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    _cleanup_free_ char *link = rig_path(r, "image/wd");

    for (int n = 3; n < 24; n++) {
        _cleanup_free_ char *target = strf("/proc/self/fd/%d/../../", n);
        assert_int_equal(symlink(target, link), 0);
        container_script(r, &s, n % 2, "pwd; ls");
        set(&s.working_dir, "/wd");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        unlink(link);
        assert_exit(&o, LAUNCH_EXIT_SETUP);
    }
}

/* ---- volumes ---- */

static void test_cve_2019_18837_volume_target_through_a_link(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    _cleanup_free_ char *source = rig_path(r, "source"), *link = rig_path(r, "image/vol");
    static const char *const targets[] = {"/vol/sub", "/vol", "/vol/x/y"};

    make_directory(source, 0755);
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        BOTH(u) {
            char *canary = make_canary(r);
            _cleanup_free_ char *relative = strf("../../../../../..%s", canary);
            assert_int_equal(symlink(u ? relative : canary, link), 0);
            container_script(r, &s, u, "cut -d' ' -f5 /proc/self/mountinfo");
            add_mount(&s, MOUNT_BIND, 0, source, targets[i]);
            add_mount(&s, MOUNT_TMPFS, 0, NULL, targets[i]);
            _cleanup_outcome_ struct outcome o = run(r, &s);
            unlink(link);
            check_canary(r, canary);
        }
    }
}

static void test_cve_2019_16884_volume_over_proc(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    _cleanup_free_ char *source = rig_path(r, "fake-proc");
    static const char *const targets[] = {
        "/proc", "/proc/self/attr", "/proc/sys/net", "/proc/1", "/data/../proc"};

    make_directory(source, 0755);
    for (size_t i = 0; i < 4; i++) {
        BOTH(u) {
            container_script(r, &s, u, "true");
            add_mount(&s, i % 2 ? MOUNT_TMPFS : MOUNT_BIND, 0, source, targets[i]);
            _cleanup_outcome_ struct outcome o = run(r, &s);
            assert_exit(&o, LAUNCH_EXIT_SETUP);
            assert_string_equal(o.error.step, "mounts");
            assert_contains(o.error.text, targets[i]);
        }
    }
    container_script(r, &s, true, "true");
    add_mount(&s, MOUNT_BIND, 0, source, targets[4]);
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_false(o.begun); /* ".." is no part of any path */
}

/* Swaps a directory and a link in a shared volume for as long as it lives. */
static pid_t start_swapping(const char *a, const char *b) {
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            (void)renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
    }
    return pid;
}

static void test_cve_2021_30465_mount_target_race(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    _cleanup_free_ char *volume = rig_path(r, "shared"), *a = rig_path(r, "shared/a"),
                        *b = rig_path(r, "shared/b");
    _cleanup_free_ char *source = rig_path(r, "race-source");
    char *canary = make_canary(r);

    make_directory(volume, 0777);
    make_directory(source, 0777);
    make_directory(a, 0777);
    assert_int_equal(symlink(canary, b), 0);
    pid_t swapper = start_swapping(a, b);
    for (int i = 0; i < 150; i++) {
        container_script(r, &s, i % 2,
            "touch /vol/a/sub/hit 2>/dev/null; cut -d' ' -f5 /proc/self/mountinfo | grep canary; true");
        add_mount(&s, MOUNT_BIND, 0, volume, "/vol");
        add_mount(&s, MOUNT_BIND, 0, source, "/vol/a/sub");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        /* Whether it starts depends on the moment; where it goes does not. */
        if (exit_code(&o) != 0 && exit_code(&o) != LAUNCH_EXIT_SETUP)
            fail_msg("status %d", exit_code(&o));
    }
    kill(swapper, SIGKILL);
    waitpid(swapper, NULL, 0);
    check_canary(r, canary);
}

static void test_host_mounts_are_out_of_reach(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    BOTH(u) {
        container_script(r, &s, u,
            "umount /proc/keys; umount /; umount -l /; mount -t tmpfs none /data; ls /.. /proc/1/root/ | "
            "grep -c "
            "davit-launch; cat /proc/1/root/etc/shadow; true");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_contains(o.output, "0\n");
        assert_lacks(o.output, "root:$");
    }
}

/* ---- the launcher itself ---- */

/* Inside, as root, watches for processes that enter and tries to open what they have. */
#define HUNTER \
    "cd /proc; while :; do for p in [0-9]*; do [ $p = 1 ] && continue; " \
    "l=$(readlink $p/exe 2>/dev/null); case $l in *davit*|*memfd*) echo EXE $l;; esac; " \
    "for f in $p/fd/*; do l=$(readlink $f 2>/dev/null); case $l in *canary*|/scratch*|/root*|*davit*) echo " \
    "FD $l;; esac; done; done; done"

static void test_cve_2016_9962_exec_cannot_be_looked_into(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    char *canary = make_canary(r);
    _cleanup_free_ char *file = rig_path(r, "canary/file");
    int pipe_fds[2];

    int leak = open(file, O_RDONLY); /* would be in reach before close_range */
    rig_restart(r);
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
    container_script(r, &s, false, HUNTER);
    s.stdout_fd = 0;
    _cleanup_outcome_ struct outcome box = launch(r, &s, &pipe_fds[1], 1);
    struct error e;
    assert_true(box.begun);
    assert_int_equal(read(box.status_fd, &e, sizeof(e)), 0); /* it runs */
    spec_done(&s);
    for (int i = 0; i < 100; i++) {
        spec_init(&s);
        s.kind = SPEC_EXEC;
        s.request = ++r->request;
        s.join_pidfd = 0;
        set_argv(&s, "/bin/true", NULL);
        s.capabilities = 0x800405fb;
        _cleanup_outcome_ struct outcome o = launch(r, &s, &box.pidfd, 1);
        finish(&o);
        assert_exit(&o, 0);
        spec_done(&s);
    }
    kill(box.pid, SIGKILL);
    finish(&box);
    char found[256] = "";
    ssize_t n = read(pipe_fds[0], found, sizeof(found) - 1);
    if (n > 0)
        fail_msg("seen from inside: %s", found);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    close(leak);
    check_canary(r, canary);
}

/* What stands in the launcher's own tree, before pivot_root, must not become a command's root. */
static void test_exec_into_a_half_made_container(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    unsigned refused = 0;

    /* Whether it is still half made depends on the moment, on a slow machine for many times in a row. */
    for (int i = 0; i < 60 || (refused == 0 && i < 3000); i++) {
        container_init(r, &s, i % 2);
        set_argv(&s, "/bin/sleep", "1000", NULL);
        _cleanup_outcome_ struct outcome box = launch(r, &s, NULL, 0);
        assert_true(box.begun);
        spec_done(&s);

        spec_init(&s);
        s.kind = SPEC_EXEC;
        s.request = ++r->request;
        s.join_pidfd = 0;
        set_argv(&s, "/bin/ls", "/", NULL);
        s.stdout_fd = 1;
        int pipe_fds[2];
        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
        const int fds[] = {box.pidfd, pipe_fds[1]};
        _cleanup_outcome_ struct outcome o = launch(r, &s, fds, 2);
        close(pipe_fds[1]);
        assert_int_equal(fd_read_all(pipe_fds[0], 4096, &o.output, NULL), 0);
        close(pipe_fds[0]);
        finish(&o);
        if (exit_code(&o) == 0) {
            assert_contains(o.output, "etc");
        } else {
            assert_exit(&o, LAUNCH_EXIT_SETUP);
            assert_string_equal(o.error.step, "join");
            refused++;
        }
        spec_done(&s);
        kill(box.pid, SIGKILL);
        finish(&box);
    }
    assert_true(refused > 0);
}

static void test_cve_2019_5736_launcher_cannot_be_overwritten(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    /* With RunInit pid 1 is the launcher's own program. */
    BOTH(u) {
        container_script(
            r, &s, u, "(echo x >/proc/1/exe) 2>&1; (echo x >>/proc/1/exe) 2>&1; readlink /proc/1/exe; true");
        s.run_init = true;
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_lacks(o.output, "davit");
    }
    /* And from outside it is sealed: not even root can write to it. */
    _cleanup_free_ char *exe = strf("/proc/%d/exe", r->launcher);
    int fd = open(exe, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    int seals = fcntl(fd, F_GET_SEALS), all = F_SEAL_SEAL | F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
    assert_int_equal(seals & all, all);
    close(fd);
    assert_int_equal(open(exe, O_WRONLY | O_CLOEXEC), -1);
}

/* An entry point that makes the kernel run the launcher again: "#!/proc/self/exe". */
static void test_cve_2019_5736_interpreter_is_proc_self_exe(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    _cleanup_free_ char *entry = rig_path(r, "image/entry");

    write_file(entry, "#!/proc/self/exe\n");
    assert_int_equal(chmod(entry, 0755), 0);
    BOTH(u) {
        container_init(r, &s, u);
        set_argv(&s, "/entry", NULL);
        _cleanup_outcome_ struct outcome o = run(r, &s);
        /* The program runs as a nobody without its socket, and says so. */
        assert_true(exit_code(&o) != 0);
    }
    unlink(entry);
}

static void test_cve_2022_0492_release_agent(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    BOTH(u) {
        container_script(r, &s, u,
            "mount -t cgroup -o rdma none /data 2>/dev/null && echo mounted; find / -name release_agent "
            "2>/dev/null; (echo 1 >/sys/fs/cgroup/cgroup.procs) 2>/dev/null && echo moved; true");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_string_equal(o.output, "");
    }
}

static void test_session_keyring_is_its_own(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    const int get_keyring_id = 0, session = -3;

    /* The step is the same for all kinds; a host process has a python to ask with. */
    if (system("python3 -c 'import ctypes' 2>/dev/null") != 0)
        skip();
    long ours = syscall(SYS_keyctl, get_keyring_id, session, 0);
    _cleanup_free_ char *script =
        strf("import ctypes; print(ctypes.CDLL(None).syscall(%d, 0, -3, 0))", (int)SYS_keyctl);
    spec_init(&s);
    s.kind = SPEC_PROCESS;
    s.request = ++r->request;
    set_argv(&s, "python3", "-c", script, NULL);
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_exit(&o, 0);
    assert_true(atol(o.output) > 0);
    assert_int_not_equal(atol(o.output), ours);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        TEST(test_cve_2019_19921_proc_is_a_link),
        TEST(test_sys_is_a_link),
        TEST(test_cve_2026_41579_dev_is_a_link_to_the_host),
        TEST(test_dev_is_a_link_in_a_kept_upper_directory),
        TEST(test_cve_2025_31133_dev_null_is_a_link),
        TEST(test_cve_2025_52565_console_is_a_link),
        TEST(test_cve_2025_24965_hosts_is_a_link),
        TEST(test_etc_is_a_link),
        TEST(test_run_host_is_a_link),
        TEST(test_cve_2024_9676_passwd_is_not_a_file),
        TEST(test_a_read_only_volume_cannot_be_made_writable),
        TEST(test_uid_4294967295_is_not_root),
        TEST(test_cve_2016_3697_numeric_name),
        TEST(test_user_outside_of_the_id_map),
        TEST(test_cve_2024_21626_working_directory_is_a_descriptor),
        TEST(test_working_directory_links_to_a_descriptor),
        TEST(test_cve_2019_18837_volume_target_through_a_link),
        TEST(test_cve_2019_16884_volume_over_proc),
        TEST(test_cve_2021_30465_mount_target_race),
        TEST(test_host_mounts_are_out_of_reach),
        TEST(test_cve_2016_9962_exec_cannot_be_looked_into),
        TEST(test_exec_into_a_half_made_container),
        TEST(test_cve_2019_5736_launcher_cannot_be_overwritten),
        TEST(test_cve_2019_5736_interpreter_is_proc_self_exe),
        TEST(test_cve_2022_0492_release_agent),
        TEST(test_session_keyring_is_its_own),
    };
    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
