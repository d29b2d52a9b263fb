/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: cgroup-real.c */
/* Limits and device filters that really hold, on this machine's own control groups. */
#include "cgroup-real.h"

#include <sched.h>
#include <sys/mman.h>

/* ---- memory ---- */

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
    assert_int_equal(poll(&wait, 1, PATIENCE / USEC_PER_MSEC), 1);
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

static int burn(void) {
    while (now_monotonic() > 0)
        ;
    return 0;
}

/* It runs, is held back again and again, and has no more than 30 per cent of a CPU; 10 were asked for. */
static bool is_throttled(usec_t since) {
    struct cgroup_stats s;
    uint64_t times;

    cgroup_stats(tree, GROUP, &s);
    return cgroup_group_read_key(
               cgroup_home(tree, CONTROLLER_CPU), GROUP, "cpu.stat", "nr_throttled", &times) >= 0 &&
           times >= 5 && s.cpu_usage_usec >= 30000 && s.cpu_usage_usec * 10 <= (now_monotonic() - since) * 3;
}

static void cpu_quota_throttles(void **state) {
    struct cgroup_limits l;

    (void)state;
    REQUIRE_TREE();
    REQUIRE_CONTROLLER(CONTROLLER_CPU);
    cgroup_limits_init(&l);
    l.cpu_quota_permyriad = 1000;
    apply(&l);
    usec_t start = now_monotonic();
    pid_t pid = spawn(GROUP, burn);
    /* What the group has at a stretch beyond its share, as on a machine that is held up, the kernel takes back. */
    WAIT_UNTIL(is_throttled(start));
    assert_int_equal(cgroup_kill(tree, GROUP, SIGKILL), 0);
    (void)end_of(pid);
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

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, real_setup, real_teardown)
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
        TEST(device_filter),
        TEST(device_programs_are_shared),
        TEST(device_filter_v1),
    };

    return cmocka_run_group_tests_name("cgroup limits, really", tests, real_group_setup, real_group_teardown);
}
