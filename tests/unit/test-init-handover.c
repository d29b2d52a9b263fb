/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What davit-init hands to itself: read as it was written, by other versions too, and refused when it is
 * damaged. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/hashmap.h"
#include "base/str.h"
#include "init/handover.h"

static struct keeper *keeper_new(void) {
    struct keeper *k = calloc(1, sizeof *k);

    assert_non_null(k);
    k->runtime_fd = k->notify_fd = k->feed.read_fd = k->feed.write_fd = k->context.state_fd = -1;
    k->boot.watchdog.fd = k->up.fd = -1;
    parts_init(k->parts);
    return k;
}

static void keeper_done(struct keeper *k) {
    handover_inherit(k, false);
    closep(&k->up.fd);
    for (size_t i = 0; i < k->store.count; i++)
        closep(&k->store.entries[i].fd);
    free(k);
}

/* body: without its sum, and with a pid= that is put right. */
static int sealed(const char *body) {
    const char *pid = strstr(body, "pid=1\n");
    _cleanup_free_ char *text =
        pid ? strf("%.*spid=%d\n%s", (int)(pid - body), body, getpid(), pid + strlen("pid=1\n"))
            : strdup(body);
    _cleanup_free_ char *whole =
        strf("%ssum=%016llx\n", text, (unsigned long long)siphash_stable(text, strlen(text)));
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_int_equal(write_all(fd, whole, strlen(whole)), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
    return fd;
}

static int read_body(const char *body) {
    struct keeper *k = keeper_new();
    int fd = sealed(body);
    int r = handover_read(fd, k);

    (void)close(fd);
    keeper_done(k);
    return r;
}

static int any_fd(void) {
    int fd = memfd_create("any", MFD_CLOEXEC);
    assert_true(fd > 2);
    return fd;
}

static void what_is_written_is_read_back(void **state _unused_) {
    struct keeper *k = keeper_new(), *copy = keeper_new();

    k->phase = KEEPER_STOPPING;
    k->feed = (struct feed){.read_fd = any_fd(), .write_fd = any_fd(), .sequence = UINT64_MAX - 1};
    k->runtime_fd = any_fd();
    k->notify_fd = any_fd();
    k->boot.watchdog.fd = any_fd();
    k->watchdog = (struct watchdog){.period = 5, .deadline = 77, .aborted = true};
    k->exit_status = 255;
    k->ending = (struct ending){ENDING_POWEROFF, ENDING_FORCE};
    (void)strcpy(k->ending_argument, "recovery = yes");
    k->parts[PART_LAUNCHER + 1] = (struct part){.program = "davit-launch",
        .label = "davit-launch 1",
        .number = "1",
        .pid = 4711,
        .started = 1,
        .start_at = USEC_INFINITY,
        .quick_deaths = 9,
        .replaced = true,
        .manager_end = any_fd(),
        .part_end = any_fd()};
    assert_int_equal(store_add(&k->store, any_fd(), "l-1"), 0);
    assert_int_equal(store_add(&k->store, any_fd(), "a=b"), 0);
    for (size_t i = 0; i < SIGNAL_FORCE_COUNT; i++)
        k->stop_requests[i] = 100 + i;
    k->stop_position = 3;
    assert_int_equal(notify_target_open(&k->up, "@abstract/name"), 0);

    int fd = handover_write(k);
    assert_true(fd >= 0);
    handover_inherit(k, true);
    assert_int_equal(fcntl(k->store.entries[0].fd, F_GETFD), 0);
    assert_int_equal(handover_read(fd, copy), 0);
    assert_int_equal(fcntl(k->store.entries[0].fd, F_GETFD), FD_CLOEXEC);

    assert_int_equal(copy->phase, KEEPER_STOPPING);
    assert_true(copy->feed.sequence == k->feed.sequence);
    assert_int_equal(copy->feed.write_fd, k->feed.write_fd);
    assert_int_equal(copy->boot.watchdog.fd, k->boot.watchdog.fd);
    assert_int_equal(copy->context.state_fd, -1);
    assert_memory_equal(&copy->watchdog, &k->watchdog, sizeof k->watchdog);
    assert_int_equal(copy->exit_status, 255);
    assert_string_equal(ending_format(copy->ending), "poweroff-force");
    assert_string_equal(copy->ending_argument, "recovery = yes");
    assert_memory_equal(&copy->parts[PART_LAUNCHER + 1].pid, &k->parts[PART_LAUNCHER + 1].pid, sizeof(pid_t));
    assert_int_equal(copy->parts[PART_LAUNCHER + 1].quick_deaths, 9);
    assert_true(copy->parts[PART_LAUNCHER + 1].replaced);
    assert_int_equal(copy->parts[PART_LAUNCHER + 1].part_end, k->parts[PART_LAUNCHER + 1].part_end);
    assert_int_equal(copy->parts[PART_MANAGER].manager_end, -1);
    assert_int_equal(copy->store.count, 2);
    assert_string_equal(copy->store.entries[1].name, k->store.entries[1].name);
    assert_int_equal(copy->store.name_bytes, k->store.name_bytes);
    assert_int_equal(copy->stop_requests[copy->stop_position], 103); /* the oldest is the next to go */
    assert_int_equal(copy->up.address_length, k->up.address_length);
    assert_memory_equal(&copy->up.address, &k->up.address, k->up.address_length);

    copy->store.count = 0; /* the same descriptors */
    (void)close(fd);
    keeper_done(copy);
    keeper_done(k);
}

/* As in tests/data/state-1/davit-init, which is of version 0.1 and stays as it is. */
static void state_of_an_earlier_version_is_read(void **state _unused_) {
    _cleanup_free_ char *path = strf("%s/tests/data/state-1/davit-init", getenv("DAVIT_SOURCE") ?: ".");
    _cleanup_free_ char *text = NULL;
    struct keeper *k = keeper_new();

    assert_int_equal(file_read(AT_FDCWD, path, 65536, &text, NULL), 0);
    int fd = sealed(text);
    /* Its descriptors are not open here, so only the check can be made. As the check is made by a child: */
    pid_t child = fork();
    if (child == 0) {
        if (handover_check(fd, k) < 0)
            _exit(1);
        _exit(k->phase == KEEPER_STOPPING && k->feed.sequence == 4711 && k->exit_status == 7 &&
                      k->parts[PART_LOGD].pid == 102 && k->parts[PART_LOGD].replaced &&
                      k->parts[PART_MANAGER].quick_deaths == 3 && k->ending.kind == ENDING_REBOOT &&
                      k->stop_requests[6] == 5200000 && k->up.fd >= 0
                  ? 0
                  : 2);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    (void)close(fd);
    keeper_done(k);
}

#define HEAD "davit-init state\nversion=1\npid=1\n"

static void what_a_newer_version_adds_is_passed_over(void **state _unused_) {
    struct keeper *k = keeper_new();
    int fds[6];

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        fds[i] = any_fd();
    _cleanup_free_ char *body =
        strf(HEAD "colour=blue\npart.davit-network=5 6 7 8 9 10\npart.davitd=1 2 3 4 0 more\n"
                  "fd.runtime=%d\nfd.notify=%d\nfd.feed-read=%d\nfd.feed-write=%d\n"
                  "fd.camera=%d\nfd.part-end=%d davit-network\n",
            fds[0], fds[1], fds[2], fds[3], fds[4], fds[5]);
    int fd = sealed(body);
    assert_int_equal(handover_read(fd, k), 0);
    assert_int_equal(k->parts[PART_MANAGER].quick_deaths, 4);
    /* Nobody would ever close these. */
    assert_int_equal(fcntl(fds[4], F_GETFD), -1);
    assert_int_equal(fcntl(fds[5], F_GETFD), -1);
    (void)close(fd);
    for (size_t i = 0; i < 4; i++)
        (void)close(fds[i]);
    free(k);
}

static void what_is_damaged_is_refused(void **state _unused_) {
    static const char *const bodies[] = {
        "",
        "something else\nversion=1\npid=1\n",
        HEAD, /* no descriptors */
        "davit-init state\nversion=1\npid=2\n",
        HEAD "no assignment\n",
        HEAD "phase=many\n",
        HEAD "ending=strange\n",
        HEAD "part.davitd=1 2 3\n",
        HEAD "part.davitd=99999999999 2 3 4 5\n",
        HEAD "fd.runtime=900\n", /* not open */
        HEAD "fd.runtime=0\n",
        HEAD "fd.runtime=-1\n",
        HEAD "oom-score-adj=12345678901234567890\n",
    };
    struct keeper *k = keeper_new();

    for (size_t i = 0; i < ARRAY_SIZE(bodies); i++)
        assert_int_equal(read_body(bodies[i]), -EBADMSG);
    assert_int_equal(read_body("davit-init state\nversion=2\npid=1\n"), -EPROTONOSUPPORT);

    int fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING); /* anybody can write to it */
    assert_int_equal(handover_read(fd, k), -EBADMSG);
    (void)close(fd);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(handover_read(fd, k), -EBADMSG);
    (void)close(fd);
    free(k);
}

static void any_changed_byte_is_noticed(void **state _unused_) {
    static const char body[] = HEAD "phase=1\nfeed-sequence=12\n";
    _cleanup_free_ char *whole =
        strf("%ssum=%016llx\n", body, (unsigned long long)siphash_stable(body, strlen(body)));

    for (size_t i = 0; i < strlen(whole); i++) {
        struct keeper *k = keeper_new();
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        char saved = whole[i];
        whole[i] = saved == 'x' ? 'y' : 'x';
        assert_int_equal(write_all(fd, whole, strlen(whole)), 0);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
        assert_int_equal(handover_check(fd, k), -EBADMSG);
        whole[i] = saved;
        (void)close(fd);
        free(k);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(state_of_an_earlier_version_is_read),
        cmocka_unit_test(what_a_newer_version_adds_is_passed_over),
        cmocka_unit_test(what_is_damaged_is_refused),
        cmocka_unit_test(any_changed_byte_is_noticed),
    };
    return cmocka_run_group_tests_name("init handover", tests, NULL, NULL);
}
