/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests of cgroup/ on this machine's own control groups. Everything is made below one group of the test's
 * own, "davit-test-PID", and taken away again whatever happens. Needs root and a writable hierarchy; a test
 * whose controller is missing says so and is skipped.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "cgroup/internal.h"

#define GROUP "web.container"
#define PATIENCE (60 * USEC_PER_SEC) /* only a failure waits so long */
#define MIB (1024ULL * 1024)

extern struct cgroup_tree *tree;
extern char why_not[600];
extern unsigned *shared; /* one page that children write to */

#define REQUIRE(condition, ...) \
    do { \
        if (!(condition)) { \
            print_message("# skipped: " __VA_ARGS__); \
            print_message("\n"); \
            skip(); \
        } \
    } while (0)
#define REQUIRE_TREE() REQUIRE(tree, "%s", why_not)
#define REQUIRE_CONTROLLER(c) \
    REQUIRE(cgroup_tree_has(tree, c), "no %s controller here", cgroup_controller_name(c))
#define WAIT_UNTIL(condition) \
    do { \
        for (usec_t end_ = now_monotonic() + PATIENCE; !(condition) && now_monotonic() < end_;) \
            sleep_ms(1); \
        assert_true(condition); \
    } while (0)

void sleep_ms(unsigned ms);
/* Runs a function in a child that enters the group as davit-launch does: born in the unified group, then "0"
 * to each v1 tasks file. Its exit status is what the function returns. */
pid_t spawn(const char *name, int (*run)(void));
int end_of(pid_t pid);
/* For spawn(): sets shared[0], then waits for a signal. */
int wait_for_ever(void);
void wait_until_started(void);
void wait_until_empty(const char *name);

/* Opens `tree`, or says in why_not why not; takes all away. */
int real_group_setup(void **state);
int real_group_teardown(void **state);
/* Makes GROUP; kills and removes every group. */
int real_setup(void **state);
int real_teardown(void **state);
void remove_all(void);
/* Applies limits, and fails the test on any problem. */
void apply_to(const char *name, const struct cgroup_limits *l);
static inline void apply(const struct cgroup_limits *l) {
    apply_to(GROUP, l);
}
