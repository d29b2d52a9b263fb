/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* without: launch manager control cli log worker image unit cgroup boot */
/* What davit-shutdown does to processes, mounts, devices and the root, done: in namespaces of their own, where the kernel
 * refuses whatever is not theirs. */
#include "private-root.h"

#include <linux/capability.h>
#include <linux/loop.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "init/mounts.h"
#include "shutdown/mounts.h"
#include "shutdown/shutdown.h"

/* ---- processes ---- */

static pid_t start_child(bool ignores_term, const char *argv0) {
    int ends[2];
    char byte;

    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGTERM, ignores_term ? SIG_IGN : SIG_DFL);
        if (argv0)
            (void)execl("/bin/sleep", argv0, "1000", (char *)NULL); /* whose end of the pipe that closes */
        (void)close(ends[0]);
        (void)!write(ends[1], "x", 1);
        for (;;)
            (void)pause();
    }
    CHECK(pid > 0);
    (void)close(ends[1]);
    (void)!read(ends[0], &byte, 1);
    (void)close(ends[0]);
    return pid;
}

static bool is_gone(pid_t pid) {
    return kill(pid, 0) < 0 && errno == ESRCH;
}

static void kill_steps(void) {
    pid_t polite = start_child(false, NULL), stubborn = start_child(true, NULL),
          stopped = start_child(false, NULL), marked = start_child(true, "@sleep");

    CHECK(kill(stopped, SIGSTOP) == 0);
    kill_everything(200 * USEC_PER_MSEC, 60 * USEC_PER_SEC);
    CHECK(is_gone(polite) && is_gone(stubborn) && is_gone(stopped));
    CHECK(kill(marked, 0) == 0); /* the root file system may live on it */
    CHECK(kill(marked, SIGKILL) == 0 && waitpid(marked, NULL, 0) == marked);
    kill_everything(60 * USEC_PER_SEC, 60 * USEC_PER_SEC); /* nobody is left: no time passes */
}

static void everybody_ends_but_who_is_marked(void **state _unused_) {
    PRIVATELY(kill_steps);
}

/* ---- the seed ---- */

static void save_steps(void) {
    struct stat st;

    save_for_next_boot(); /* nowhere to save it */
    CHECK(access("/var/lib/davit", F_OK) < 0);
    CHECK(mkdir("/var/lib/davit", 0755) == 0);
    save_for_next_boot();
    CHECK(stat("/var/lib/davit/random-seed", &st) == 0 && st.st_size == 512 && (st.st_mode & 0777) == 0600);
}

static void a_seed_is_left_where_there_is_a_place_for_it(void **state _unused_) {
    PRIVATELY(save_steps);
}

/* ---- mounts ---- */

/* Children say something too: all of it goes to a file. */
static int said_fd = -1;

static void note(_unused_ int priority, const char *text, _unused_ char *const *fields) {
    (void)dprintf(said_fd, "%s\n", text);
}

static bool was_said(const char *part) {
    _cleanup_free_ char *all = NULL;

    return lseek(said_fd, 0, SEEK_SET) == 0 && fd_read_all(said_fd, 1024 * 1024, &all, NULL) >= 0 &&
           strstr(all, part);
}

static void mount_steps(void) {
    static const char *const ours[] = {"/mnt/a", "/mnt/a/b", "/mnt/a/b/c", "/mnt/ro"};
    size_t left = 0, nothing = 0;

    said_fd = memfd_create("said", MFD_CLOEXEC);
    CHECK(said_fd >= 0 && fcntl(said_fd, F_SETFL, O_APPEND) == 0);
    log_set_sink(note);
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
        CHECK(mkdir_parents(AT_FDCWD, ours[i], 0755) >= 0);
        CHECK(mount("tmpfs", ours[i], "tmpfs", streq(ours[i], "/mnt/ro") ? MS_RDONLY : 0, NULL) >= 0);
    }
    /* Memory that cannot be unmounted would be nothing to talk of. */
    static const char *const parts[] = {"/mnt/parts/l", "/mnt/parts/u", "/mnt/parts/w", "/mnt/busy"};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        CHECK(mkdir_parents(AT_FDCWD, parts[i], 0755) >= 0);
    if (mount("overlay", "/mnt/busy", "overlay", 0,
            "lowerdir=/mnt/parts/l,upperdir=/mnt/parts/u,workdir=/mnt/parts/w,userxattr") < 0)
        leave(PRIVATE_SKIP); /* Linux 5.11 */
    int ends[2];
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    pid_t holder = fork();
    if (holder == 0) {
        int fd = open("/mnt/busy/file", O_CREAT | O_RDWR, 0600);
        (void)!write(ends[1], "x", 1);
        for (;;)
            (void)(pause(), fd);
    }
    char byte;
    CHECK(holder > 0 && read(ends[0], &byte, 1) == 1);

    CHECK(mounts_take_apart(false, &left) >= 4 && left >= 1);
    CHECK(access("/mnt/busy/file", F_OK) == 0);
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        CHECK(!is_mount_point(ours[i]));
    (void)mounts_take_apart(true, &left);
    CHECK(was_said("left: /mnt/busy (overlay): "));
    CHECK(was_said("has open /mnt/busy/file"));
    CHECK(kill(holder, SIGKILL) == 0 && waitpid(holder, NULL, 0) == holder);
    CHECK(mounts_take_apart(false, &nothing) >= 1 && nothing < left);
    CHECK(access("/mnt/busy/file", F_OK) < 0);
    /* Who cannot see what is mounted must not say that nothing is. */
    CHECK(mount("tmpfs", "/proc", "tmpfs", 0, NULL) == 0);
    CHECK(mounts_take_apart(false, &left) == 0 && left > 0);
    CHECK(was_said("cannot read what is mounted") && umount("/proc") == 0);
    log_set_sink(NULL);
}

static void mounts_are_taken_apart_and_who_holds_one_is_named(void **state _unused_) {
    PRIVATELY(mount_steps);
}

/* ---- devices ---- */

static char loop_name[32]; /* "loop7", made by the test itself: the rest of this machine's are not ours */

static void device_steps(void) {
    _cleanup_free_ char *link = strf("/sys/block/%s", loop_name),
                        *target = strf("/sys/class/block/%s", loop_name),
                        *backing = strf("%s/loop/backing_file", target);
    size_t left = 0;

    /* All that can be seen is that one. */
    CHECK(mount("tmpfs", "/sys/block", "tmpfs", 0, NULL) >= 0 && symlink(target, link) == 0);
    CHECK(access(backing, F_OK) == 0);
    CHECK(devices_detach(false, &left) == 1);
    for (int n = 0; n < 6000 && access(backing, F_OK) == 0; n++)
        (void)usleep(10000);
    CHECK(access(backing, F_OK) < 0);
    CHECK(devices_detach(true, &left) == 0);
}

static void a_loop_device_is_detached(void **state _unused_) {
    char path[64];

    _cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC),
                        file = memfd_create("disk", MFD_CLOEXEC);
    int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0)
        skip(); /* no loop devices here */
    (void)snprintf(loop_name, sizeof loop_name, "loop%d", number);
    (void)snprintf(path, sizeof path, "/dev/%s", loop_name);
    _cleanup_close_ int device = open(path, O_RDWR | O_CLOEXEC);
    if (device < 0 || ftruncate(file, 1024 * 1024) < 0 || ioctl(device, LOOP_SET_FD, file) < 0)
        skip(); /* another was quicker, or this is not root */
    (void)close(TAKE_FD(device));
    int status = run_private(device_steps);
    if (status != EXIT_SUCCESS) { /* whatever happened, it does not stay */
        _cleanup_close_ int again = open(path, O_RDWR | O_CLOEXEC);
        (void)ioctl(again, LOOP_CLR_FD, 0);
    }
    if (status == PRIVATE_SKIP)
        skip();
    assert_int_equal(status, EXIT_SUCCESS);
}

/* ---- the next root ---- */

/* Where a shell is that needs nothing else. */
static void make_root(const char *root, const char *program, const char *script) {
    static const char *const places[] = {"/bin/busybox", "/usr/bin/busybox"};
    _cleanup_free_ char *directory = path_join(root, "bin"), *shell = path_join(root, "bin/sh"),
                        *path = path_join(root, program), *text = NULL;
    size_t n = 0;

    CHECK(mkdir_parents(AT_FDCWD, directory, 0755) >= 0);
    for (size_t i = 0; i < ARRAY_SIZE(places) && n == 0; i++)
        (void)file_read(AT_FDCWD, places[i], 16 * 1024 * 1024, &text, &n);
    if (n == 0)
        leave(PRIVATE_SKIP);
    CHECK(file_write_atomic(AT_FDCWD, shell, text, n, 0755, false) >= 0);
    write_text(path, script);
    CHECK(chmod(path, 0755) == 0);
}

static void initramfs_steps(void) {
    const struct shutdown s = {.kind = ENDING_KEXEC};

    root_return_to_initramfs(&s); /* there is none */
    make_root("/run/initramfs", "shutdown",
        "#!/bin/sh\n[ \"$1\" = kexec ] && [ -d /oldroot/usr ] && [ ! -d /usr ] && [ -d /proc/1 ] && exit "
        "42\n");
    root_return_to_initramfs(&s);
    leave(1); /* it came back */
}

static void next_root_steps(void) {
    const struct shutdown s = {.kind = ENDING_SOFT_REBOOT, .init = "/no/such/init"};

    sigset_t all;

    make_root("/run/nextroot", "sbin/init",
        "#!/bin/sh\n"
        "while read -r name value; do [ \"$name\" != SigBlk: ] || mask=$value; done </proc/self/status\n"
        "[ \"$mask\" = 0000000000000000 ] || exit 1\n"
        /* The timer of the life before is stopped by the close after a V, or it would end this one. */
        "read -r said </run/watchdog; [ \"$said\" = V ] && [ ! -e /proc/self/fd/77 ] || exit 2\n"
        "[ ! -d /usr ] && [ -d /proc/1 ] && [ -d /run/nextroot ] && exit 43\n");
    int fd = open("/run/watchdog", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    watchdog_take(fcntl(fd, F_DUPFD, 77));
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)root_start_again(&s);
    leave(1);
}

static void no_next_root_steps(void) {
    const struct shutdown s = {.kind = ENDING_SOFT_REBOOT, .init = "/run/init"};

    make_root("/run", "init", "#!/bin/sh\n[ -d /usr ] && exit 44\n");
    (void)root_start_again(&s);
    leave(1);
}

static void the_next_root_is_entered_and_its_program_executed(void **state _unused_) {
    static const struct {
        void (*steps)(void);
        int status;
    } table[] = {{initramfs_steps, 42}, {next_root_steps, 43}, {no_next_root_steps, 44}};

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        int status = run_private(table[i].steps);
        if (status == PRIVATE_SKIP)
            skip(); /* no namespaces, or no busybox that is static */
        assert_int_equal(status, table[i].status);
    }
}

/* ---- what it is asked for ---- */

static void later_version_steps(void) {
    _cleanup_free_ char *program = strf("%s/davit-shutdown", getenv("DAVIT_BUILD") ?: "build");

    /* Without this it would end by reboot(2), as that is in a pid namespace. */
    CHECK(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT, 0, 0, 0) == 0);
    (void)execl(program, "davit-shutdown", "--of-a-later-version=7", "--container", "--status=45", "dance",
        "more", (char *)NULL);
    leave(1);
}

/* Process 1 that ends with a usage text is a kernel panic. */
static void what_another_version_asks_for_is_a_reboot(void **state _unused_) {
    int status = run_private(later_version_steps);

    if (status == PRIVATE_SKIP)
        skip();
    assert_int_equal(status, 45);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_ends_but_who_is_marked),
        cmocka_unit_test(a_seed_is_left_where_there_is_a_place_for_it),
        cmocka_unit_test(mounts_are_taken_apart_and_who_holds_one_is_named),
        cmocka_unit_test(a_loop_device_is_detached),
        cmocka_unit_test(the_next_root_is_entered_and_its_program_executed),
        cmocka_unit_test(what_another_version_asks_for_is_a_reboot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
