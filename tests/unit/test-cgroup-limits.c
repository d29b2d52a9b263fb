/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: cgroup-fake.c */
/* Which text a limit writes to which file, in v2 and in v1; and what is said of limits that cannot be had. */
#include "cgroup-fake.h"

#include <sys/sysmacros.h>

#define GROUP "web.container"

static const char *const v2_files[] = {"memory.max", "memory.high", "memory.low", "memory.min",
    "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max", "cpu.weight", "cpu.idle", "cpuset.cpus",
    "cpuset.mems", "io.weight", "io.max"};
static const struct {
    const char *point, *super, *file;
} v1_files[] = {
    {"/memory", "rw,memory", "memory.limit_in_bytes"},
    {"/memory", NULL, "memory.memsw.limit_in_bytes"},
    {"/pids", "rw,pids", "pids.max"},
    {"/cpu", "rw,cpu", "cpu.cfs_quota_us"},
    {"/cpu", NULL, "cpu.cfs_period_us"},
    {"/cpu", NULL, "cpu.shares"},
    {"/cpu", NULL, "cpu.idle"},
    {"/cpuset", "rw,cpuset", "cpuset.cpus"},
    {"/cpuset", NULL, "cpuset.mems"},
    {"/blkio", "rw,blkio", "blkio.bfq.weight"},
    {"/blkio", NULL, "blkio.throttle.read_bps_device"},
    {"/blkio", NULL, "blkio.throttle.write_bps_device"},
    {"/blkio", NULL, "blkio.throttle.read_iops_device"},
    {"/blkio", NULL, "blkio.throttle.write_iops_device"},
};

/* Files of the group as the kernel would make them with the directory, but empty. */
static void open_v2(struct fake *f) {
    fake_unified(f, "davit");
    for (size_t i = 0; i < ARRAY_SIZE(v2_files); i++) {
        _cleanup_free_ char *path = strf("/unified/davit/" GROUP "/%s", v2_files[i]);

        fake_put(f, path, "");
    }
    fake_open_ok(f, NULL);
}

static void open_v1(struct fake *f) {
    fake_put(f, "/cpuset/cpuset.cpus", "0-3\n");
    fake_put(f, "/cpuset/cpuset.mems", "0\n");
    fake_put(f, "/cpuset/davit/cpuset.cpus", "0-3\n");
    fake_put(f, "/cpuset/davit/cpuset.mems", "0\n");
    for (size_t i = 0; i < ARRAY_SIZE(v1_files); i++) {
        _cleanup_free_ char *path = strf("%s/davit/" GROUP "/%s", v1_files[i].point, v1_files[i].file);

        if (v1_files[i].super)
            fake_mount(f, "cgroup", v1_files[i].point, "/", v1_files[i].super);
        fake_put(f, path, "");
    }
    fake_open_ok(f, NULL);
}

/* The device filter has its own test; here there is none, and none is asked for. */
static int apply(struct fake *f, const struct cgroup_limits *l, struct cgroup_problem *problems, size_t *n) {
    return cgroup_apply(f->tree, GROUP, l, problems, n);
}

static void apply_clean(struct fake *f, const struct cgroup_limits *l) {
    struct cgroup_problem problems[CGROUP_MAX_PROBLEMS];
    size_t n = CGROUP_MAX_PROBLEMS;

    assert_int_equal(apply(f, l, problems, &n), 0);
    if (n > 0)
        fail_msg("%s: %s", problems[0].key, problems[0].error.text);
}

/* One limit, what it writes in v2 and in v1. A file is named below the group; NULL = nothing is to be
 * written. */
static const struct numeric_case {
    const char *name;
    size_t offset;
    uint64_t value;
    const char *v2_file, *v2_text, *v1_path, *v1_text;
} cases[] = {
#define OF(field) #field, offsetof(struct cgroup_limits, field)
    {OF(memory_max), 100 << 20, "memory.max", "104857600", "/memory/memory.limit_in_bytes", "104857600"},
    {OF(memory_max), 0, "memory.max", "0", "/memory/memory.limit_in_bytes", "0"},
    {OF(memory_max), CGROUP_INFINITY, "memory.max", "max", "/memory/memory.limit_in_bytes", "-1"},
    {OF(memory_swap_max), CGROUP_INFINITY, "memory.swap.max", "max", NULL, NULL},
    {OF(memory_swap_max), 4096, "memory.swap.max", "4096", NULL, NULL},
    {OF(memory_high), 4096, "memory.high", "4096", NULL, NULL},
    {OF(memory_low), 4096, "memory.low", "4096", NULL, NULL},
    {OF(memory_min), CGROUP_INFINITY, "memory.min", "max", NULL, NULL},
    {OF(tasks_max), 17, "pids.max", "17", "/pids/pids.max", "17"},
    {OF(tasks_max), CGROUP_INFINITY, "pids.max", "max", "/pids/pids.max", "max"},
    {OF(cpu_quota_permyriad), 15000, "cpu.max", "150000 100000", "/cpu/cpu.cfs_quota_us", "150000"},
    {OF(cpu_quota_permyriad), CGROUP_INFINITY, "cpu.max", "max 100000", "/cpu/cpu.cfs_quota_us", "-1"},
    /* Half a percent of 100 ms is under the kernel's least quota: a longer period keeps the share. */
    {OF(cpu_quota_permyriad), 50, "cpu.max", "1000 200000", "/cpu/cpu.cfs_quota_us", "1000"},
    {OF(cpu_quota_permyriad), 1, "cpu.max", "1000 1000000", "/cpu/cpu.cfs_quota_us", "1000"},
    {OF(cpu_weight), 100, "cpu.weight", "100", "/cpu/cpu.shares", "1024"},
    {OF(cpu_weight), 1, "cpu.weight", "1", "/cpu/cpu.shares", "10"},
    {OF(cpu_weight), 10000, "cpu.weight", "10000", "/cpu/cpu.shares", "102400"},
    {OF(cpu_weight), 0, "cpu.idle", "1", "/cpu/cpu.idle", "1"},
    {OF(io_weight), 100, "io.weight", "default 100", "/blkio/blkio.bfq.weight", "100"},
    {OF(io_weight), 10000, "io.weight", "default 10000", "/blkio/blkio.bfq.weight", "1000"},
    {OF(io_weight), 5, "io.weight", "default 5", "/blkio/blkio.bfq.weight", "5"},
#undef OF
};

static void set_case(const struct numeric_case *c, struct cgroup_limits *l) {
    cgroup_limits_init(l);
    memcpy((char *)l + c->offset, &c->value, sizeof(c->value));
}

static void numbers_v2(void **state) {
    struct fake *f = *state;

    open_v2(f);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *path = strf("/unified/davit/" GROUP "/%s", cases[i].v2_file);
        struct cgroup_limits l;

        fake_put(f, path, "");
        set_case(&cases[i], &l);
        apply_clean(f, &l);
        fake_expect(f, path, cases[i].v2_text);
    }
}

static void numbers_v1(void **state) {
    struct fake *f = *state;

    open_v1(f);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *file = cases[i].v1_path ? strchr(cases[i].v1_path + 1, '/') : NULL;
        _cleanup_free_ char *path = NULL;
        struct cgroup_limits l;

        if (!file)
            continue;
        path = strf("%.*s/davit/" GROUP "%s", (int)(file - cases[i].v1_path), cases[i].v1_path, file);
        fake_put(f, path, "");
        set_case(&cases[i], &l);
        apply_clean(f, &l);
        fake_expect(f, path, cases[i].v1_text);
    }
}

static void nothing_asked_nothing_written(void **state) {
    struct fake *f = *state;
    struct cgroup_limits l;

    open_v2(f);
    cgroup_limits_init(&l);
    apply_clean(f, &l);
    for (size_t i = 0; i < ARRAY_SIZE(v2_files); i++) {
        _cleanup_free_ char *path = strf("/unified/davit/" GROUP "/%s", v2_files[i]);

        /* But for the flag, which a reload may have to take back. */
        fake_expect(f, path, streq(v2_files[i], "memory.oom.group") ? "0" : "");
    }
}

static void period(void **state) {
    struct fake *f = *state;
    struct cgroup_limits l;

    open_v1(f);
    cgroup_limits_init(&l);
    l.cpu_quota_permyriad = 2000;
    l.cpu_quota_period = 20 * USEC_PER_MSEC;
    apply_clean(f, &l);
    fake_expect(f, "/cpu/davit/" GROUP "/cpu.cfs_period_us", "20000");
    fake_expect(f, "/cpu/davit/" GROUP "/cpu.cfs_quota_us", "4000");
}

static void swap_on_v1_is_memory_plus_swap(void **state) {
    struct fake *f = *state;
    struct cgroup_limits l;

    open_v1(f);
    cgroup_limits_init(&l);
    l.memory_max = 1000;
    l.memory_swap_max = 234;
    apply_clean(f, &l);
    fake_expect(f, "/memory/davit/" GROUP "/memory.limit_in_bytes", "1000");
    fake_expect(f, "/memory/davit/" GROUP "/memory.memsw.limit_in_bytes", "1234");

    /* Alone, on top of the limit that the group has. */
    cgroup_limits_init(&l);
    l.memory_swap_max = 0;
    fake_put(f, "/memory/davit/" GROUP "/memory.limit_in_bytes", "5000\n");
    fake_put(f, "/memory/davit/" GROUP "/memory.memsw.limit_in_bytes", "");
    apply_clean(f, &l);
    fake_expect(f, "/memory/davit/" GROUP "/memory.memsw.limit_in_bytes", "5000");
}

static void swap_on_v1_without_memory_limit_is_a_problem(void **state) {
    struct fake *f = *state;
    struct cgroup_problem p[CGROUP_MAX_PROBLEMS];
    struct cgroup_limits l;
    size_t n = CGROUP_MAX_PROBLEMS;

    open_v1(f);
    cgroup_limits_init(&l);
    l.memory_swap_max = 4096;
    fake_put(f, "/memory/davit/" GROUP "/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(apply(f, &l, p, &n), 0);
    assert_int_equal(n, 1);
    assert_string_equal(p[0].key, "MemorySwapMax");
    assert_non_null(strstr(p[0].error.text, "MemoryMax="));
    assert_true(p[0].unsupported);
}

static void cpuset(void **state) {
    struct fake *f = *state;
    struct cgroup_limits l;

    open_v1(f);
    cgroup_limits_init(&l);
    l.allowed_cpus = "0,2-3";
    l.allowed_memory_nodes = "0";
    apply_clean(f, &l);
    fake_expect(f, "/cpuset/davit/" GROUP "/cpuset.cpus", "0,2-3");
    fake_expect(f, "/cpuset/davit/" GROUP "/cpuset.mems", "0");
}

static void oom_group(void **state) {
    struct fake *f = *state;
    struct cgroup_limits l;

    open_v2(f);
    cgroup_limits_init(&l);
    l.oom_group = true;
    apply_clean(f, &l);
    fake_expect(f, "/unified/davit/" GROUP "/memory.oom.group", "1");
}

/* A device number to expect, from the directory the test runs in; false where that is on no disk (a tmpfs).
 */
static bool disk(char *ret, size_t size) {
    struct error e;
    dev_t d;

    if (block_device_of(".", &d, &e) < 0)
        return false;
    (void)snprintf(ret, size, "%u:%u", major(d), minor(d));
    return true;
}

static void io_limits_v2(void **state) {
    struct fake *f = *state;
    struct cgroup_io_limit io = {.path = (char *)".",
        .read_bps = CGROUP_UNSET,
        .write_bps = 1000000,
        .read_iops = CGROUP_UNSET,
        .write_iops = CGROUP_UNSET};
    _cleanup_free_ char *expected = NULL;
    struct cgroup_limits l;
    char number[32];

    if (!disk(number, sizeof(number)))
        skip();
    open_v2(f);
    cgroup_limits_init(&l);
    l.io = &io;
    l.n_io = 1;
    apply_clean(f, &l);
    expected = strf("%s wbps=1000000", number);
    fake_expect(f, "/unified/davit/" GROUP "/io.max", expected);
}

static void io_limits_v1(void **state) {
    struct fake *f = *state;
    struct cgroup_io_limit io = {
        .path = (char *)".", .read_bps = 1, .write_bps = 2, .read_iops = 3, .write_iops = CGROUP_INFINITY};
    static const char *const words[] = {"read_bps", "write_bps", "read_iops", "write_iops"};
    struct cgroup_limits l;
    char number[32];

    if (!disk(number, sizeof(number)))
        skip();
    open_v1(f);
    cgroup_limits_init(&l);
    l.io = &io;
    l.n_io = 1;
    apply_clean(f, &l);
    for (int i = 0; i < 4; i++) {
        _cleanup_free_ char *path = strf("/blkio/davit/" GROUP "/blkio.throttle.%s_device", words[i]);
        _cleanup_free_ char *text = strf("%s %d", number, (i + 1) % 4); /* no limit is 0 */

        fake_expect(f, path, text);
    }
}

static void io_path_missing(void **state) {
    struct fake *f = *state;
    struct cgroup_io_limit io = {.path = (char *)"/none/at/all",
        .read_bps = 1,
        .write_bps = CGROUP_UNSET,
        .read_iops = CGROUP_UNSET,
        .write_iops = CGROUP_UNSET};
    struct cgroup_problem p[CGROUP_MAX_PROBLEMS];
    struct cgroup_limits l;
    size_t n = CGROUP_MAX_PROBLEMS;

    open_v2(f);
    cgroup_limits_init(&l);
    l.io = &io;
    l.n_io = 1;
    assert_int_equal(apply(f, &l, p, &n), 0);
    assert_int_equal(n, 1);
    assert_string_equal(p[0].key, "IOReadBandwidthMax");
    assert_non_null(strstr(p[0].error.text, "/none/at/all"));
    assert_false(p[0].unsupported);
    assert_false(p[0].essential);
}

static void missing_controllers_are_problems(void **state) {
    static const char *const keys[] = {"MemoryMax", "MemoryHigh", "TasksMax", "CPUQuota", "AllowedCPUs"};
    struct fake *f = *state;
    struct cgroup_problem p[CGROUP_MAX_PROBLEMS];
    struct cgroup_limits l;
    size_t n = CGROUP_MAX_PROBLEMS;

    fake_mount(f, "cgroup", "/freezer", "/", "rw,freezer");
    fake_directory(f, "/freezer/davit/" GROUP);
    fake_open_ok(f, NULL);
    cgroup_limits_init(&l);
    l.memory_max = l.memory_high = 1 << 20;
    l.tasks_max = 5;
    l.cpu_quota_permyriad = 5000;
    l.allowed_cpus = "0";
    assert_int_equal(apply(f, &l, p, &n), -ENODEV);
    assert_int_equal(n, ARRAY_SIZE(keys));
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(p[i].key, keys[i]);
        assert_true(p[i].unsupported);
        assert_int_equal(p[i].error.number, ENODEV);
        assert_int_equal(p[i].essential, streq(keys[i], "MemoryMax") || streq(keys[i], "TasksMax"));
    }
    /* Less room than problems: the rest is left out, the result stays. */
    n = 1;
    assert_int_equal(apply(f, &l, p, &n), -ENODEV);
    assert_int_equal(n, 1);
    assert_int_equal(apply(f, &l, NULL, NULL), -ENODEV);
}

/* "No limit" and other things that hold by themselves. */
static void what_holds_anyway_is_no_problem(void **state) {
    struct fake *f = *state;
    struct cgroup_limits l;

    fake_mount(f, "cgroup", "/freezer", "/", "rw,freezer");
    fake_directory(f, "/freezer/davit/" GROUP);
    fake_open_ok(f, NULL);
    cgroup_limits_init(&l);
    l.memory_max = l.memory_high = l.memory_swap_max = l.tasks_max = l.cpu_quota_permyriad = CGROUP_INFINITY;
    l.memory_low = l.memory_min = 0;
    l.cpu_weight = l.io_weight = 100;
    apply_clean(f, &l);
}

static void high_on_v1_is_unsupported(void **state) {
    struct fake *f = *state;
    struct cgroup_problem p[CGROUP_MAX_PROBLEMS];
    struct cgroup_limits l;
    size_t n = CGROUP_MAX_PROBLEMS;

    open_v1(f);
    cgroup_limits_init(&l);
    l.memory_high = 1 << 20;
    l.oom_group = true; /* on v1 the manager's business */
    assert_int_equal(apply(f, &l, p, &n), 0);
    assert_int_equal(n, 1);
    assert_string_equal(p[0].key, "MemoryHigh");
    assert_true(p[0].unsupported);
}

/* A limit that the kernel refuses does not cost the others. */
static void one_refused_the_rest_applied(void **state) {
    struct fake *f = *state;
    struct cgroup_problem p[CGROUP_MAX_PROBLEMS];
    struct cgroup_limits l;
    size_t n = CGROUP_MAX_PROBLEMS;
    _cleanup_free_ char *path = NULL;

    open_v2(f);
    path = path_join(f->directory, "/unified/davit/" GROUP "/memory.max");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/full", path), 0);
    cgroup_limits_init(&l);
    l.memory_max = 1;
    l.tasks_max = 9;
    assert_int_equal(apply(f, &l, p, &n), -ENOSPC);
    assert_int_equal(n, 1);
    assert_string_equal(p[0].key, "MemoryMax");
    assert_false(p[0].unsupported);
    assert_true(p[0].essential);
    assert_non_null(strstr(p[0].error.text, "/davit/" GROUP "/memory.max"));
    fake_expect(f, "/unified/davit/" GROUP "/pids.max", "9");
}

static void disk_of_a_partition(void **state) {
    struct error e = {0};
    dev_t d;

    (void)state;
    assert_int_equal(block_device_of("/none", &d, &e), -ENOENT);
    assert_int_equal(block_device_of("/proc", &d, &e), -ENODEV);
    assert_non_null(strstr(e.text, "/proc is on a file system without a block device"));
}

static void stats_v2(void **state) {
    struct fake *f = *state;
    struct cgroup_stats s;

    open_v2(f);
    fake_put(f, "/unified/davit/" GROUP "/memory.current", "4096\n");
    fake_put(f, "/unified/davit/" GROUP "/memory.swap.current", "0\n");
    fake_put(f, "/unified/davit/" GROUP "/memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 1\n");
    fake_put(f, "/unified/davit/" GROUP "/cpu.stat", "usage_usec 123\nuser_usec 23\n");
    fake_put(f, "/unified/davit/" GROUP "/pids.current", "7\n");
    fake_put(f, "/unified/davit/" GROUP "/io.stat",
        "254:0 rbytes=100 wbytes=7 rios=1 wios=1\n8:0 rbytes=11 wbytes=0\n");
    cgroup_stats(f->tree, GROUP, &s);
    assert_int_equal(s.memory_current, 4096);
    assert_true(s.memory_peak == CGROUP_UNSET); /* a kernel before 5.19 */
    assert_int_equal(s.memory_swap_current, 0);
    assert_int_equal(s.cpu_usage_usec, 123);
    assert_int_equal(s.tasks_current, 7);
    assert_int_equal(s.io_read_bytes, 111);
    assert_int_equal(s.io_write_bytes, 7);
    assert_int_equal(s.oom_kills, 2);
}

static void stats_v1(void **state) {
    struct fake *f = *state;
    struct cgroup_stats s;

    fake_mount(f, "cgroup", "/cpuacct", "/", "rw,cpuacct");
    open_v1(f);
    fake_put(f, "/memory/davit/" GROUP "/memory.usage_in_bytes", "4096\n");
    fake_put(f, "/memory/davit/" GROUP "/memory.max_usage_in_bytes", "8192\n");
    fake_put(f, "/memory/davit/" GROUP "/memory.memsw.usage_in_bytes", "5096\n");
    fake_put(
        f, "/memory/davit/" GROUP "/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n");
    fake_put(f, "/cpuacct/davit/" GROUP "/cpuacct.usage", "5000999\n");
    fake_put(f, "/blkio/davit/" GROUP "/blkio.throttle.io_service_bytes_recursive",
        "254:0 Read 100\n254:0 Write 7\n254:0 Sync 107\n254:0 Total 107\n8:0 Read 11\nTotal 118\n");
    cgroup_stats(f->tree, GROUP, &s);
    assert_int_equal(s.memory_current, 4096);
    assert_int_equal(s.memory_peak, 8192);
    assert_int_equal(s.memory_swap_current, 1000);
    assert_int_equal(s.cpu_usage_usec, 5000);
    assert_true(s.tasks_current == CGROUP_UNSET);
    assert_int_equal(s.io_read_bytes, 111);
    assert_int_equal(s.io_write_bytes, 7);
    assert_int_equal(s.oom_kills, 4);
}

static void stats_of_nothing(void **state) {
    struct fake *f = *state;
    struct cgroup_stats s;

    open_v2(f);
    cgroup_stats(f->tree, "none", &s);
    for (size_t i = 0; i < sizeof(s) / sizeof(uint64_t); i++)
        assert_true(((uint64_t *)(void *)&s)[i] == CGROUP_UNSET);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
    const struct CMUnitTest tests[] = {
        TEST(numbers_v2),
        TEST(numbers_v1),
        TEST(nothing_asked_nothing_written),
        TEST(period),
        TEST(swap_on_v1_is_memory_plus_swap),
        TEST(swap_on_v1_without_memory_limit_is_a_problem),
        TEST(cpuset),
        TEST(oom_group),
        TEST(io_limits_v2),
        TEST(io_limits_v1),
        TEST(io_path_missing),
        TEST(missing_controllers_are_problems),
        TEST(what_holds_anyway_is_no_problem),
        TEST(high_on_v1_is_unsupported),
        TEST(one_refused_the_rest_applied),
        TEST(disk_of_a_partition),
        TEST(stats_v2),
        TEST(stats_v1),
        TEST(stats_of_nothing),
    };

    return cmocka_run_group_tests_name("cgroup limits", tests, NULL, NULL);
}
