/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cgroup/ on this machine's own control groups: limits that really hold, kills that really kill. Everything
 * is made below one group of this test's own, "davit-test-PID", and taken away again whatever happens.
 *
 * Needs root and a writable hierarchy; a test whose controller is missing says so and is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cgroup/internal.h"

#define GROUP "web.container"
#define PATIENCE (10 * USEC_PER_SEC)

static struct cgroup_tree *tree;
static char why_not[600];
static unsigned *shared; /* one page that children write to */

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

static void sleep_ms(unsigned ms) {
    (void)usleep(ms * 1000);
}

/* ---- children ---- */

/* Enters the group as davit-launch does: born in the unified group, then "0" to each v1 tasks file. */
static pid_t spawn(const char *name, int (*run)(void)) {
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
    (void)alarm(120); /* should the test die, its children do not stay */
    STRV_FOREACH (file, tasks)
        if (file_write(AT_FDCWD, *file, "0") < 0)
            _exit(99);
    _exit(run());
}

static int end_of(pid_t pid) {
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int wait_for_ever(void) {
    shared[0] = 1;
    while (pause() < 0)
        ;
    return 0;
}

static int count(void) {
    while (__atomic_add_fetch(&shared[1], 1, __ATOMIC_RELAXED) < 1000000)
        sleep_ms(1);
    return 0;
}

static void wait_until_started(void) {
    for (usec_t end = now_monotonic() + PATIENCE; !*(volatile unsigned *)&shared[0] && now_monotonic() < end;)
        sleep_ms(1);
    assert_int_equal(shared[0], 1);
}

static void wait_until_empty(const char *name) {
    for (usec_t end = now_monotonic() + PATIENCE;
         cgroup_is_populated(tree, name) > 0 && now_monotonic() < end;)
        sleep_ms(1);
    assert_int_equal(cgroup_is_populated(tree, name), 0);
}

/* ---- the tree, and a group for each test ---- */

static void remove_all(void) {
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

static int group_setup(void **state) {
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

static int group_teardown(void **state) {
    int r = 0;

    (void)state;
    remove_all();
    if (tree)
        r = cgroup_tree_remove(tree);
    cgroup_tree_free(tree);
    return r;
}

static int setup(void **state) {
    struct error e = {0};

    (void)state;
    memset(shared, 0, 4096);
    if (tree && cgroup_create(tree, GROUP, &e) < 0) {
        print_error("%s\n", e.text);
        return -1;
    }
    return 0;
}

static int teardown(void **state) {
    (void)state;
    remove_all();
    return 0;
}

static void apply_to(const char *name, const struct cgroup_limits *l) {
    struct cgroup_problem problems[CGROUP_MAX_PROBLEMS];
    size_t n = CGROUP_MAX_PROBLEMS;

    (void)cgroup_apply(tree, name, l, problems, &n);
    if (n > 0)
        fail_msg("%s: %s", problems[0].key, problems[0].error.text);
}

static void apply(const struct cgroup_limits *l) {
    apply_to(GROUP, l);
}

/* ---- memory ---- */

#define MIB (1024ULL * 1024)

static int eat_200_mib(void) {
    char *p = mmap(NULL, 200 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return 98;
    for (size_t i = 0; i < 200 * MIB; i += 4096)
        ((volatile char *)p)[i] = 1;
    return 0;
}

static void memory_limit_holds_and_is_reported(void **state) {
    _cleanup_close_ int oom = -1;
    struct cgroup_limits l;
    struct pollfd wait;
    uint32_t events = 0;
    int status;

    (void)state;
    REQUIRE_TREE();
    REQUIRE_CONTROLLER(CONTROLLER_MEMORY);
    cgroup_limits_init(&l);
    l.memory_max = 50 * MIB;
    l.memory_swap_max = 0;
    apply(&l);
    oom = cgroup_oom_open(tree, GROUP, &events);
    assert_true(oom >= 0);
    assert_int_equal(cgroup_oom_kills(tree, GROUP), 0);
    wait = (struct pollfd){.fd = oom, .events = events == EPOLLPRI ? POLLPRI : POLLIN};
    if (events == EPOLLPRI) { /* the first poll of a kernfs file arms it: a read does */
        char text[256];

        assert_true(read(oom, text, sizeof(text)) > 0);
    }
    assert_int_equal(poll(&wait, 1, 0), 0);
    status = end_of(spawn(GROUP, eat_200_mib));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(poll(&wait, 1, 5000), 1);
    assert_true(cgroup_oom_kills(tree, GROUP) >= 1);
}

static void no_limit_no_kill(void **state) {
    struct cgroup_stats s;
    struct cgroup_limits l;
    int status;

    (void)state;
    REQUIRE_TREE();
    REQUIRE_CONTROLLER(CONTROLLER_MEMORY);
    cgroup_limits_init(&l);
    l.memory_max = 400 * MIB;
    apply(&l);
    status = end_of(spawn(GROUP, eat_200_mib));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(cgroup_oom_kills(tree, GROUP), 0);
    cgroup_stats(tree, GROUP, &s);
    assert_true(s.memory_peak == CGROUP_UNSET || (s.memory_peak >= 200 * MIB && s.memory_peak <= 400 * MIB));
}

static uint64_t number_in(const char *file) {
    uint64_t value;

    assert_int_equal(cgroup_group_read_number(cgroup_home(tree, CONTROLLER_MEMORY), GROUP, file, &value), 0);
    return value;
}

/* memsw may never be below memory, at no moment: up and down, together and alone. */
static void v1_memory_and_swap_in_any_order(void **state) {
    static const struct {
        uint64_t memory, swap, expect_memory, expect_memsw;
    } steps[] = {
        {50, 10, 50, 60},
        {100, 10, 100, 110},        /* raise both */
        {20, 5, 20, 25},            /* lower both */
        {30, CGROUP_UNSET, 30, 35}, /* raise beyond memsw: as much swap as before */
        {10, CGROUP_UNSET, 10, 35}, /* lower alone: memsw stays as it is */
        {CGROUP_UNSET, 1, 10, 11},  /* swap alone */
        {200, 0, 200, 200},
        {200, 0, 200, 200}, /* again the same */
        {5, 0, 5, 5},
    };
    _cleanup_close_ int memsw = -1;
    struct cgroup_limits l;

    (void)state;
    REQUIRE_TREE();
    REQUIRE(cgroup_home(tree, CONTROLLER_MEMORY) && !cgroup_home(tree, CONTROLLER_MEMORY)->unified,
        "memory is not on v1");
    memsw = cgroup_group_open(
        cgroup_home(tree, CONTROLLER_MEMORY), GROUP, "memory.memsw.limit_in_bytes", O_RDONLY);
    REQUIRE(memsw >= 0, "no swap accounting");
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        cgroup_limits_init(&l);
        l.memory_max = steps[i].memory == CGROUP_UNSET ? CGROUP_UNSET : steps[i].memory * MIB;
        l.memory_swap_max = steps[i].swap == CGROUP_UNSET ? CGROUP_UNSET : steps[i].swap * MIB;
        apply(&l);
        assert_int_equal(number_in("memory.limit_in_bytes"), steps[i].expect_memory * MIB);
        assert_int_equal(number_in("memory.memsw.limit_in_bytes"), steps[i].expect_memsw * MIB);
    }
    cgroup_limits_init(&l);
    l.memory_max = l.memory_swap_max = CGROUP_INFINITY;
    apply(&l);
    assert_true(number_in("memory.limit_in_bytes") > 1ULL << 62);
    assert_true(number_in("memory.memsw.limit_in_bytes") > 1ULL << 62);
}

/* ---- tasks ---- */

static int fork_until_refused(void) {
    for (int n = 0; n < 50; n++) {
        pid_t pid = fork();

        if (pid < 0)
            return errno == EAGAIN ? n : 97;
        if (pid == 0) {
            alarm(60);
            pause();
            _exit(0);
        }
    }
    return 96;
}

static void tasks_limit(void **state) {
    struct cgroup_limits l;
    struct cgroup_stats s;
    int status;

    (void)state;
    REQUIRE_TREE();
    REQUIRE_CONTROLLER(CONTROLLER_PIDS);
    cgroup_limits_init(&l);
    l.tasks_max = 5;
    apply(&l);
    status = end_of(spawn(GROUP, fork_until_refused));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 4);
    cgroup_stats(tree, GROUP, &s);
    assert_int_equal(s.tasks_current, 4);
    assert_int_equal(cgroup_kill(tree, GROUP, SIGKILL), 0);
    wait_until_empty(GROUP);
}

/* ---- CPU ---- */

static int burn_one_second(void) {
    struct rusage u;

    for (usec_t end = now_monotonic() + USEC_PER_SEC; now_monotonic() < end;)
        ;
    getrusage(RUSAGE_SELF, &u);
    return (int)((u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 100 +
                 (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 10000);
}

static void cpu_quota_throttles(void **state) {
    struct cgroup_limits l;
    struct cgroup_stats s;
    int status;

    (void)state;
    REQUIRE_TREE();
    REQUIRE_CONTROLLER(CONTROLLER_CPU);
    cgroup_limits_init(&l);
    l.cpu_quota_permyriad = 1000;
    apply(&l);
    status = end_of(spawn(GROUP, burn_one_second));
    assert_true(WIFEXITED(status));
    assert_in_range(WEXITSTATUS(status), 3, 30); /* per cent of a CPU; 10 asked for */
    cgroup_stats(tree, GROUP, &s);
    assert_in_range(s.cpu_usage_usec, 30000, 400000);
}

static void cpu_weight_and_idle(void **state) {
    static const uint64_t weights[] = {200, 0, 300, 0, CGROUP_INFINITY};
    struct cgroup_limits l;

    (void)state;
    REQUIRE_TREE();
    REQUIRE_CONTROLLER(CONTROLLER_CPU);
    for (size_t i = 0; i < ARRAY_SIZE(weights); i++) {
        cgroup_limits_init(&l);
        l.cpu_weight = weights[i];
        apply(&l);
    }
}

static int affinity(void) {
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return 95;
    return CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set) ? 1 : 2;
}

static void cpuset_binds(void **state) {
    struct cgroup_limits l;

    (void)state;
    REQUIRE_TREE();
    REQUIRE_CONTROLLER(CONTROLLER_CPUSET);
    cgroup_limits_init(&l);
    l.allowed_cpus = "0";
    apply(&l);
    assert_int_equal(WEXITSTATUS(end_of(spawn(GROUP, affinity))), 1);
}

static void cpuset_of_a_running_group(void **state) {
    struct cgroup_limits l;
    cpu_set_t set;
    pid_t pid;

    (void)state;
    REQUIRE_TREE();
    REQUIRE_CONTROLLER(CONTROLLER_CPUSET);
    pid = spawn(GROUP, wait_for_ever);
    wait_until_started();
    cgroup_limits_init(&l);
    l.allowed_cpus = "0";
    apply(&l);
    assert_int_equal(sched_getaffinity(pid, sizeof(set), &set), 0);
    assert_int_equal(CPU_COUNT(&set), 1);
    assert_int_equal(cgroup_kill(tree, GROUP, SIGKILL), 0);
    (void)end_of(pid);
}

static void bad_cpu_list_is_a_problem(void **state) {
    struct cgroup_problem p[CGROUP_MAX_PROBLEMS];
    struct cgroup_limits l;
    size_t n = CGROUP_MAX_PROBLEMS;

    (void)state;
    REQUIRE_TREE();
    REQUIRE_CONTROLLER(CONTROLLER_CPUSET);
    cgroup_limits_init(&l);
    l.allowed_cpus = "nonsense";
    assert_int_equal(cgroup_apply(tree, GROUP, &l, p, &n), 0);
    assert_int_equal(n, 1);
    assert_string_equal(p[0].key, "AllowedCPUs");
    assert_false(p[0].unsupported);
    assert_int_equal(p[0].error.number, EINVAL);
}

/* ---- IO ---- */

static void io_limits_are_taken(void **state) {
    struct cgroup_io_limit io = {.path = (char *)"/",
        .read_bps = 100 * MIB,
        .write_bps = 100 * MIB,
        .read_iops = 1000,
        .write_iops = CGROUP_INFINITY};
    struct cgroup_limits l;
    struct error e;
    dev_t d;

    (void)state;
    REQUIRE_TREE();
    REQUIRE_CONTROLLER(CONTROLLER_IO);
    REQUIRE(block_device_of("/", &d, &e) >= 0, "%s", e.text);
    cgroup_limits_init(&l);
    l.io = &io;
    l.n_io = 1;
    apply(&l);
}

/* ---- freezing and killing ---- */

static bool frozen(const char *name) {
    uint64_t value;

    return cgroup_group_read_key(tree->unified, name, "cgroup.events", "frozen", &value) >= 0 && value == 1;
}

static void frozen_group_stands_still_and_can_be_killed(void **state) {
    unsigned before;
    pid_t pid;
    int status;

    (void)state;
    REQUIRE_TREE();
    REQUIRE(tree->unified, "no unified hierarchy");
    pid = spawn(GROUP, count);
    for (usec_t end = now_monotonic() + PATIENCE;
         __atomic_load_n(&shared[1], __ATOMIC_RELAXED) == 0 && now_monotonic() < end;)
        sleep_ms(1);
    assert_int_equal(cgroup_freeze(tree, GROUP, true), 0);
    for (usec_t end = now_monotonic() + PATIENCE; !frozen(GROUP) && now_monotonic() < end;)
        sleep_ms(1);
    assert_true(frozen(GROUP));
    before = __atomic_load_n(&shared[1], __ATOMIC_RELAXED);
    sleep_ms(50);
    assert_int_equal(__atomic_load_n(&shared[1], __ATOMIC_RELAXED), before);
    assert_int_equal(cgroup_freeze(tree, GROUP, false), 0);
    sleep_ms(50);
    assert_true(__atomic_load_n(&shared[1], __ATOMIC_RELAXED) > before);
    assert_int_equal(cgroup_freeze(tree, GROUP, true), 0);
    assert_int_equal(cgroup_kill(tree, GROUP, SIGKILL), 0);
    status = end_of(pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    wait_until_empty(GROUP);
}

/* Three processes in all. */
static int fork_two_and_wait(void) {
    for (int i = 0; i < 2; i++)
        if (fork() == 0)
            break;
    __atomic_add_fetch(&shared[2], 1, __ATOMIC_SEQ_CST);
    while (pause() < 0)
        ;
    return 0;
}

static void signals_reach_all_or_all_but_one(void **state) {
    pid_t pid, pids[8];
    int status;

    (void)state;
    REQUIRE_TREE();
    pid = spawn(GROUP, fork_two_and_wait);
    for (usec_t end = now_monotonic() + PATIENCE;
         __atomic_load_n(&shared[2], __ATOMIC_SEQ_CST) < 3 && now_monotonic() < end;)
        sleep_ms(1);
    assert_int_equal(cgroup_pids(tree, GROUP, pids, ARRAY_SIZE(pids)), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cgroup_has_pid(tree, GROUP, pids[i]), 1);
    assert_int_equal(cgroup_has_pid(tree, GROUP, getpid()), 0);
    assert_int_equal(cgroup_kill_except(tree, GROUP, SIGTERM, pid), 0);
    sleep_ms(100);
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    assert_int_equal(kill(pid, 0), 0);
    assert_int_equal(cgroup_kill(tree, GROUP, SIGTERM), 0);
    status = end_of(pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    wait_until_empty(GROUP);
}

static void v1_backend_kills_as_well(void **state) {
    const struct cgroup_tracking *track;
    pid_t pid;

    (void)state;
    REQUIRE_TREE();
    track = tree->track;
    pid = spawn(GROUP, fork_two_and_wait);
    for (usec_t end = now_monotonic() + PATIENCE;
         __atomic_load_n(&shared[2], __ATOMIC_SEQ_CST) < 3 && now_monotonic() < end;)
        sleep_ms(1);
    tree->track = &cgroup_tracking_v1;
    assert_int_equal(cgroup_is_populated(tree, GROUP), 1);
    assert_int_equal(cgroup_kill(tree, GROUP, SIGKILL), 0);
    (void)end_of(pid);
    wait_until_empty(GROUP);
    tree->track = track;
}

static void events_tell_of_the_last_process(void **state) {
    _cleanup_close_ int fd = -1;
    struct pollfd wait;
    char text[128];
    pid_t pid;

    (void)state;
    REQUIRE_TREE();
    REQUIRE(tree->unified, "no unified hierarchy");
    pid = spawn(GROUP, wait_for_ever);
    wait_until_started();
    fd = cgroup_events_open(tree, GROUP);
    assert_true(fd >= 0);
    assert_true(pread(fd, text, sizeof(text), 0) > 0);
    wait = (struct pollfd){.fd = fd, .events = POLLPRI};
    assert_int_equal(poll(&wait, 1, 0), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    (void)end_of(pid);
    assert_int_equal(poll(&wait, 1, 5000), 1);
    assert_int_equal(cgroup_is_populated(tree, GROUP), 0);
}

/* ---- devices ---- */

/* Bit 0: /dev/null may be written, bit 1: /dev/zero may be read, bit 2: /dev/null may be read. */
static int try_devices(void) {
    int result = 0;

    result |= open("/dev/null", O_WRONLY | O_CLOEXEC) >= 0 ? 1 : errno == EPERM ? 0 : 64;
    result |= open("/dev/zero", O_RDONLY | O_CLOEXEC) >= 0 ? 2 : errno == EPERM ? 0 : 64;
    result |= open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0 ? 4 : errno == EPERM ? 0 : 64;
    return result;
}

static void expect_devices(const struct cgroup_device_rule *rules, size_t n, int expected) {
    struct cgroup_limits l;

    cgroup_limits_init(&l);
    l.device_filter = rules != NULL;
    l.devices = rules;
    l.n_devices = n;
    apply(&l);
    assert_int_equal(WEXITSTATUS(end_of(spawn(GROUP, try_devices))), expected);
}

static void device_filter(void **state) {
    static const struct cgroup_device_rule null_only[] = {{'c', 1, 3, 7}},
                                           read_only[] = {{'c', 1, -1, DEVICE_READ}},
                                           both[] = {{'c', 1, 3, 7}, {'c', 1, 5, 7}},
                                           all[] = {{'a', -1, -1, 7}};

    (void)state;
    REQUIRE_TREE();
    REQUIRE_CONTROLLER(CONTROLLER_DEVICES);
    expect_devices(NULL, 0, 7);
    expect_devices(null_only, 1, 5);
    expect_devices(null_only, 1, 5); /* again the same */
    expect_devices(read_only, 1, 6);
    expect_devices(both, 2, 7);
    expect_devices(null_only, 0, 0);
    expect_devices(all, 1, 7);
    expect_devices(null_only, 1, 5);
    expect_devices(NULL, 0, 7);
}

/* One program serves all groups with the same rules. */
static void device_programs_are_shared(void **state) {
    static const struct cgroup_device_rule rules[] = {{'c', 1, 7, 7}};
    struct cgroup_limits l;
    size_t loaded = 0;

    (void)state;
    REQUIRE_TREE();
    REQUIRE(tree->unified, "no unified hierarchy");
    device_programs_done(tree);
    cgroup_limits_init(&l);
    l.device_filter = true;
    l.devices = rules;
    l.n_devices = 1;
    assert_int_equal(cgroup_create(tree, "second", NULL), 0);
    apply(&l);
    apply_to("second", &l);
    for (size_t i = 0; i < DEVICE_PROGRAM_CACHE; i++)
        loaded += tree->programs[i].fd >= 0;
    assert_int_equal(loaded, 1);
    /* More policies than places: the oldest go, and what they are attached to keeps them. */
    for (int i = 0; i < DEVICE_PROGRAM_CACHE + 4; i++) {
        struct cgroup_device_rule other = {'c', 200 + i, 1, 7};

        l.devices = &other;
        apply_to("second", &l);
    }
    assert_int_equal(WEXITSTATUS(end_of(spawn(GROUP, try_devices))), 0);
}

static void device_filter_v1(void **state) {
    static const struct cgroup_device_rule null_only[] = {{'c', 1, 3, 7}, {'a', 250, -1, 7}};
    struct cgroup_hierarchy *unified;
    struct cgroup_limits l;

    (void)state;
    REQUIRE_TREE();
    REQUIRE(cgroup_home(tree, CONTROLLER_DEVICES), "no devices controller on v1");
    unified = tree->unified;
    cgroup_limits_init(&l);
    l.device_filter = true;
    l.devices = null_only;
    l.n_devices = 2;
    tree->unified = NULL;
    apply(&l);
    tree->unified = unified;
    assert_int_equal(WEXITSTATUS(end_of(spawn(GROUP, try_devices))), 5);
    tree->unified = NULL;
    l.device_filter = false;
    apply(&l);
    tree->unified = unified;
    assert_int_equal(WEXITSTATUS(end_of(spawn(GROUP, try_devices))), 7);
}

/* ---- removing ---- */

static void busy_group_is_not_removed(void **state) {
    _cleanup_strv_free_ char **names = NULL;
    pid_t pid;

    (void)state;
    REQUIRE_TREE();
    pid = spawn(GROUP, wait_for_ever);
    wait_until_started();
    assert_int_equal(cgroup_remove(tree, GROUP), -EBUSY);
    assert_int_equal(cgroup_is_populated(tree, GROUP), 1);
    assert_int_equal(cgroup_kill(tree, GROUP, SIGKILL), 0);
    (void)end_of(pid);
    wait_until_empty(GROUP);
    assert_int_equal(cgroup_remove(tree, GROUP), 0);
    assert_int_equal(cgroup_is_populated(tree, GROUP), -ENOENT);
    assert_int_equal(cgroup_tree_list(tree, &names), 0);
    assert_int_equal(strv_length(names), 0);
    assert_int_equal(cgroup_remove(tree, GROUP), 0);
}

static void make_below(const char *relative) {
    _cleanup_free_ char *path = strf("%s/" GROUP "/%s", tree->tracking->path, relative);

    assert_int_equal(mkdir_parents(AT_FDCWD, path, 0755), 0);
}

static void nested_groups_are_removed_too(void **state) {
    _cleanup_strbuf_ struct strbuf deep = {0};
    _cleanup_free_ char *name = NULL;

    (void)state;
    REQUIRE_TREE();
    for (int i = 0; i < 40; i++)
        strbuf_printf(&deep, "level-%d/", i);
    strbuf_puts(&deep, "end");
    name = strbuf_take(&deep);
    make_below("a/b/c");
    make_below("a/b/d/e");
    make_below("a/f");
    make_below("g");
    make_below(name);
    assert_int_equal(cgroup_remove(tree, GROUP), 0);
    assert_int_equal(cgroup_is_populated(tree, GROUP), -ENOENT);
}

static int enter_nested(void) {
    _cleanup_free_ char *procs = strf("%s/" GROUP "/inner/deeper/cgroup.procs", tree->tracking->path);

    if (file_write(AT_FDCWD, procs, "0") < 0)
        return 94;
    return wait_for_ever();
}

static void processes_in_nested_groups_count(void **state) {
    pid_t pid, found = 0;

    (void)state;
    REQUIRE_TREE();
    make_below("inner/deeper");
    make_below("inner/empty");
    pid = spawn(GROUP, enter_nested);
    wait_until_started();
    assert_int_equal(cgroup_has_pid(tree, GROUP, pid), 1);
    assert_int_equal(cgroup_pids(tree, GROUP, &found, 1), 1);
    assert_int_equal(found, pid);
    assert_int_equal(cgroup_remove(tree, GROUP), -EBUSY);
    assert_int_equal(cgroup_kill(tree, GROUP, SIGKILL), 0);
    (void)end_of(pid);
    wait_until_empty(GROUP);
    assert_int_equal(cgroup_remove(tree, GROUP), 0);
}

static void delegated_to_the_containers_root(void **state) {
    struct stat directory, procs, freeze;
    _cleanup_free_ char *path = NULL;
    _cleanup_close_ int fd = -1;

    (void)state;
    REQUIRE_TREE();
    REQUIRE(tree->unified, "no unified hierarchy");
    assert_int_equal(cgroup_delegate(tree, GROUP, 100000, 100001), 0);
    fd = cgroup_group_open(tree->unified, GROUP, "", O_RDONLY | O_DIRECTORY);
    assert_int_equal(fstat(fd, &directory), 0);
    assert_int_equal(fstatat(fd, "cgroup.procs", &procs, 0), 0);
    assert_int_equal(fstatat(fd, "cgroup.freeze", &freeze, 0), 0);
    assert_int_equal(directory.st_uid, 100000);
    assert_int_equal(procs.st_gid, 100001);
    assert_int_equal(freeze.st_uid, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(memory_limit_holds_and_is_reported),
        TEST(no_limit_no_kill),
        TEST(v1_memory_and_swap_in_any_order),
        TEST(tasks_limit),
        TEST(cpu_quota_throttles),
        TEST(cpu_weight_and_idle),
        TEST(cpuset_binds),
        TEST(cpuset_of_a_running_group),
        TEST(bad_cpu_list_is_a_problem),
        TEST(io_limits_are_taken),
        TEST(frozen_group_stands_still_and_can_be_killed),
        TEST(signals_reach_all_or_all_but_one),
        TEST(v1_backend_kills_as_well),
        TEST(events_tell_of_the_last_process),
        TEST(device_filter),
        TEST(device_programs_are_shared),
        TEST(device_filter_v1),
        TEST(busy_group_is_not_removed),
        TEST(nested_groups_are_removed_too),
        TEST(processes_in_nested_groups_count),
        TEST(delegated_to_the_containers_root),
    };

    return cmocka_run_group_tests_name("cgroup on this machine", tests, group_setup, group_teardown);
}
