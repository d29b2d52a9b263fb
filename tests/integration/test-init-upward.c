/* link: init-harness.c */
/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* davit-init below somebody who keeps descriptors for it, as systemd does: what survives its own death. */
#include "init-harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/fd.h"

#define KEPT_MAX 64

/* What a manager above has been given and not been told to drop. */
static struct {
    size_t count, stores, removals;
    int fds[KEPT_MAX];
    char names[KEPT_MAX][KEEPER_NAME_MAX];
} kept;

static void drop(const char *name) {
    size_t left = 0;

    for (size_t i = 0; i < kept.count; i++) {
        if (streq(kept.names[i], name)) {
            (void)close(kept.fds[i]);
            continue;
        }
        kept.fds[left] = kept.fds[i];
        memmove(kept.names[left++], kept.names[i], KEEPER_NAME_MAX);
    }
    kept.count = left;
}

/* One message from below; false when none comes in time. */
static bool take_one(int msec) {
    struct pollfd p = {.fd = rig.up, .events = POLLIN};
    char text[5000], *name;
    int fd = -1;
    size_t n_fds = 1;

    if (poll(&p, 1, msec) != 1)
        return false;
    ssize_t n = socket_recv_fds(rig.up, text, sizeof text - 1, &fd, &n_fds, 0);
    assert_true(n > 0);
    text[n] = '\0';
    if (!(name = strstr(text, "FDNAME=")))
        return true;
    name += strlen("FDNAME=");
    name[strcspn(name, "\n")] = '\0';
    if (startswith(text, "FDSTOREREMOVE=1")) {
        kept.removals++;
        drop(name);
    } else {
        assert_true(startswith(text, "FDSTORE=1"));
        assert_int_equal(n_fds, 1);
        assert_true(kept.count < KEPT_MAX);
        kept.stores++;
        kept.fds[kept.count] = fd;
        (void)snprintf(kept.names[kept.count++], KEEPER_NAME_MAX, "%s", name);
    }
    return true;
}

static bool is_kept(const char *name) {
    for (size_t i = 0; i < kept.count; i++)
        if (streq(kept.names[i], name))
            return true;
    return false;
}

static void wait_kept(const char *name, bool wanted) {
    while (is_kept(name) != wanted)
        assert_true(take_one(WAIT_MSEC));
}

/* As systemd starts a main process: what it keeps is 3, 4, ... there. */
static void start_below(const char *fdstore) {
    char path[128], names[KEPT_MAX * KEEPER_NAME_MAX] = "", count[16], pid[16];

    (void)snprintf(path, sizeof path, "%s/up", rig.directory);
    for (size_t i = 0; i < kept.count; i++)
        (void)snprintf(
            names + strlen(names), sizeof names - strlen(names), "%s%s", i > 0 ? ":" : "", kept.names[i]);
    rig.pid = fork();
    assert_true(rig.pid >= 0);
    if (rig.pid > 0)
        return;
    /* Out of the way first. */
    rig.log = fcntl(rig.log, F_DUPFD_CLOEXEC, 200);
    for (size_t i = 0; i < kept.count; i++)
        kept.fds[i] = fcntl(kept.fds[i], F_DUPFD_CLOEXEC, 200);
    for (size_t i = 0; i < kept.count; i++)
        (void)dup2(kept.fds[i], 3 + (int)i);
    (void)snprintf(count, sizeof count, "%zu", kept.count);
    (void)snprintf(pid, sizeof pid, "%d", getpid());
    (void)setenv("NOTIFY_SOCKET", path, 1);
    if (fdstore)
        (void)setenv("FDSTORE", fdstore, 1);
    if (kept.count > 0) {
        (void)setenv("LISTEN_PID", pid, 1);
        (void)setenv("LISTEN_FDS", count, 1);
        (void)setenv("LISTEN_FDNAMES", names, 1);
    }
    exec_init();
}

static int setup_above(void **state) {
    char path[128];
    struct sockaddr_un address;
    socklen_t length;

    (void)setup(state);
    kept.count = kept.stores = kept.removals = 0;
    (void)snprintf(path, sizeof path, "%s/up", rig.directory);
    assert_int_equal(socket_address(path, &address, &length), 0);
    rig.up = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(rig.up, (struct sockaddr *)&address, length), 0);
    return 0;
}

static int teardown_above(void **state) {
    while (kept.count > 0)
        drop(kept.names[0]);
    return teardown(state);
}

static void die(void) {
    (void)kill(rig.pid, SIGKILL);
    (void)wait_end();
}

static void test_what_is_stored_survives_the_death_of_davit_init(void **state _unused_) {
    start_below("100");
    meet_all();
    tell(&rig.manager, "store kept");
    tell(&rig.manager, "store dropped");
    wait_kept("logd-state", true);
    wait_kept("kept", true);
    wait_kept("dropped", true);
    tell(&rig.manager, "notify FDSTOREREMOVE=1\nFDNAME=dropped");
    wait_kept("dropped", false);
    /* What was said once is not said again for a davitd that is another one. */
    size_t stores = kept.stores;
    (void)kill(rig.manager.pid, SIGKILL);
    meet(&rig.manager);
    assert_string_equal(ask(&rig.manager, "content kept"), "kept");

    die();
    while (take_one(0))
        ;
    assert_int_equal(kept.stores, stores);
    start_below("100");
    meet_all();
    assert_true(logged("2 descriptors are back"));
    assert_string_equal(ask(&rig.manager, "names"), "feed:launch0:launch1:logd:kept");
    assert_string_equal(ask(&rig.manager, "content kept"), "kept");
    assert_string_equal(ask(&rig.manager, "getenv FDSTORE"), "(unset)");
    /* Back again is not new; the removal of what came back is said. */
    tell(&rig.manager, "store later");
    wait_kept("later", true);
    assert_int_equal(kept.stores, stores + 1);
    tell(&rig.manager, "notify FDSTOREREMOVE=1\nFDNAME=kept");
    wait_kept("kept", false);
    stop_by(SIGTERM, 0);
}

static void test_davit_logd_has_its_memory_back(void **state _unused_) {
    struct stat before, after;
    char path[64];

    start_below("1");
    meet_all();
    wait_kept("logd-state", true);
    (void)snprintf(path, sizeof path, "/proc/%d/fd/4", rig.logd.pid);
    assert_int_equal(stat(path, &before), 0);
    die();
    start_below("1");
    meet_all();
    (void)snprintf(path, sizeof path, "/proc/%d/fd/4", rig.logd.pid);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_string_equal(ask(&rig.manager, "names"), "feed:launch0:launch1:logd");
}

static void test_nothing_goes_up_where_nobody_keeps_it(void **state _unused_) {
    static const char *const values[] = {NULL, "0", "many"};

    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        start_below(values[i]);
        meet_all();
        tell(&rig.manager, "store kept");
        tell(&rig.manager, "notify STATUS=stored");
        (void)usleep(300000);
        while (take_one(0))
            ;
        assert_int_equal(kept.stores, 0);
        stop_by(SIGTERM, 0);
    }
}

static void test_what_is_gone_again_at_once_never_goes_up(void **state _unused_) {
    int status;

    start_below("100");
    meet_all();
    wait_kept("logd-state", true);
    /* davit-init finds all of it when it looks, however long davitd takes in between. */
    assert_int_equal(kill(rig.pid, SIGSTOP), 0);
    assert_int_equal(waitpid(rig.pid, &status, WUNTRACED), rig.pid);
    assert_true(WIFSTOPPED(status));
    tell(&rig.manager, "store-and-remove short");
    tell(&rig.manager, "store long");
    assert_string_equal(ask(&rig.manager, "getenv FDSTORE"), "(unset)");
    assert_int_equal(kill(rig.pid, SIGCONT), 0);
    wait_kept("long", true);
    assert_int_equal(kept.removals, 0);
    assert_int_equal(kept.stores, 2); /* davit-logd's memory is the other one */
}

/* The queue of a socket holds about 278 small messages (net.core.wmem_default), or fewer. */
static void test_a_full_queue_above_loses_nothing(void **state _unused_) {
    start_below("1000");
    meet_all();
    wait_kept("logd-state", true);
    tell(&rig.manager, "store first");
    tell(&rig.manager, "flood 2000"); /* STATUS=, passed on at once */
    tell(&rig.manager, "store last");
    assert_string_equal(ask(&rig.manager, "getenv FDSTORE"), "(unset)");
    (void)usleep(300000);
    wait_kept("first", true);
    wait_kept("last", true);
    tell(&rig.manager, "flood 2000");
    tell(&rig.manager, "notify FDSTOREREMOVE=1\nFDNAME=first");
    (void)usleep(300000);
    wait_kept("first", false);
    assert_true(is_kept("last"));
}

static void test_a_replacement_in_place_tells_nothing_twice(void **state _unused_) {
    start_below("100");
    meet_all();
    tell(&rig.manager, "store kept");
    wait_kept("kept", true);
    wait_kept("logd-state", true);
    size_t stores = kept.stores;
    tell(&rig.manager, "notify X_DAVIT_REEXEC=1");
    assert_true(comes_to_be_logged("replaced in place", 1));
    tell(&rig.manager, "store later");
    wait_kept("later", true);
    assert_int_equal(kept.stores, stores + 1);
    tell(&rig.manager, "notify FDSTOREREMOVE=1\nFDNAME=kept");
    wait_kept("kept", false);
    assert_true(is_kept("logd-state"));
}

int main(int argc _unused_, char **argv) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup_above, teardown_above)
    const struct CMUnitTest tests[] = {
        T(test_what_is_stored_survives_the_death_of_davit_init),
        T(test_davit_logd_has_its_memory_back),
        T(test_nothing_goes_up_where_nobody_keeps_it),
        T(test_what_is_gone_again_at_once_never_goes_up),
        T(test_a_full_queue_above_loses_nothing),
        T(test_a_replacement_in_place_tells_nothing_twice),
    };
    be_part_if_called_so(argv);
    return cmocka_run_group_tests_name("davit-init, upward", tests, NULL, NULL);
}
