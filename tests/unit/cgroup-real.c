/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgroup-real.h"

#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

struct cgroup_tree *tree;
char why_not[600];
unsigned *shared;

void sleep_ms(unsigned ms) {
    (void)usleep(ms * 1000);
}

/* ---- children ---- */

/* Enters the group as davit-launch does: born in the unified group, then "0" to each v1 tasks file. */
pid_t spawn(const char *name, int (*run)(void)) {
    _cleanup_free_ char *unified = NULL;
    _cleanup_strv_free_ char **tasks = NULL;
    _cleanup_close_ int fd = -1;
    struct clone_args args = {.exit_signal = SIGCHLD};
    pid_t pid;

    assert_int_equal(cgroup_paths(tree, name, &unified, &tasks), 0);
    if (unified) {
        fd = open(unified, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)fd;
    }
    pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    (void)alarm(300); /* should the test die, its children do not stay */
    STRV_FOREACH (file, tasks)
        if (file_write(AT_FDCWD, *file, "0") < 0)
            _exit(99);
    _exit(run());
}

int end_of(pid_t pid) {
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

int wait_for_ever(void) {
    __atomic_store_n(&shared[0], 1, __ATOMIC_SEQ_CST);
    while (pause() < 0)
        ;
    return 0;
}

void wait_until_started(void) {
    WAIT_UNTIL(__atomic_load_n(&shared[0], __ATOMIC_SEQ_CST) == 1);
}

void wait_until_empty(const char *name) {
    WAIT_UNTIL(cgroup_is_populated(tree, name) == 0);
}

/* ---- the tree, and a group for each test ---- */

void remove_all(void) {
    _cleanup_strv_free_ char **names = NULL;

    if (!tree || cgroup_tree_list(tree, &names) < 0)
        return;
    STRV_FOREACH (name, names) {
        (void)cgroup_freeze(tree, *name, false);
        (void)cgroup_kill(tree, *name, SIGKILL);
        for (usec_t end = now_monotonic() + PATIENCE;
             cgroup_remove(tree, *name) == -EBUSY && now_monotonic() < end;) {
            while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
            sleep_ms(2);
        }
    }
}

int real_group_setup(void **state) {
    _cleanup_free_ char *base = strf("davit-test-%d", (int)getpid());
    struct error e = {0};

    (void)state;
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return -1;
    if (geteuid() != 0)
        (void)snprintf(why_not, sizeof(why_not), "needs root");
    else if (cgroup_tree_open(base, &tree, &e) < 0)
        (void)snprintf(why_not, sizeof(why_not), "no usable control groups: %s", e.text);
    return 0;
}

int real_group_teardown(void **state) {
    int r = 0;

    (void)state;
    remove_all();
    if (tree)
        r = cgroup_tree_remove(tree);
    cgroup_tree_free(tree);
    return r;
}

int real_setup(void **state) {
    struct error e = {0};

    (void)state;
    memset(shared, 0, 4096);
    if (tree && cgroup_create(tree, GROUP, &e) < 0) {
        print_error("%s\n", e.text);
        return -1;
    }
    return 0;
}

int real_teardown(void **state) {
    (void)state;
    remove_all();
    return 0;
}

void apply_to(const char *name, const struct cgroup_limits *l) {
    struct cgroup_problem problems[CGROUP_MAX_PROBLEMS];
    size_t n = CGROUP_MAX_PROBLEMS;

    (void)cgroup_apply(tree, name, l, problems, &n);
    if (n > 0)
        fail_msg("%s: %s", problems[0].key, problems[0].error.text);
}
