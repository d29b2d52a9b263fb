/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits: one row a unit key, one column a version of the kernel's interface. The walk over the table knows
 * nothing of any key; what cannot be said as "this number to that file" is a function (here, or in
 * limits-memory.c and limits-io.c).
 *
 * The kernel's texts: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/. The keys:
 * systemd.resource-control(5).
 */
#include <inttypes.h>

#include "cgroup/internal.h"

#define CPU_PERIOD_DEFAULT (100 * USEC_PER_MSEC)
/* The kernel takes periods of 1 ms to 1 s and no quota below 1 ms (kernel/sched/core.c,
 * tg_set_cfs_bandwidth()). */
#define CPU_PERIOD_MIN (1 * USEC_PER_MSEC)
#define CPU_PERIOD_MAX (1 * USEC_PER_SEC)
#define CPU_QUOTA_MIN (1 * USEC_PER_MSEC)
#define PERMYRIAD 10000
#define CPU_SHARES_MIN 2U
#define CPU_SHARES_MAX 262144U
#define CPU_SHARES_DEFAULT 1024
#define CPU_WEIGHT_DEFAULT 100

static int apply_cpu_quota_v2(const struct limit_call *call);
static int apply_cpu_quota_v1(const struct limit_call *call);
static int apply_cpu_weight_v2(const struct limit_call *call);
static int apply_cpu_weight_v1(const struct limit_call *call);
static int apply_string(const struct limit_call *call);
static int apply_flag(const struct limit_call *call);
static int apply_nothing(const struct limit_call *call);

#define OF(field) offsetof(struct cgroup_limits, field)
#define OF_IO(field) offsetof(struct cgroup_io_limit, field)
#define IO_MAX(unit_key, field, v2_word, v1_file) \
    { \
        unit_key, CONTROLLER_IO, false, LIMIT_IO, OF_IO(field), CGROUP_INFINITY, \
            {limit_apply_io_max_v2, v2_word, "max"}, { \
            limit_apply_io_max_v1, v1_file, "0" \
        } \
    }

/* clang-format off */
static const struct limit rows[] = {
    /* key, controller, essential, kind, offset, no effect,
     *     v2: function, file, infinity;
     *     v1: function, file, infinity */
    {"MemoryMax", CONTROLLER_MEMORY, true, LIMIT_NUMBER, OF(memory_max), CGROUP_INFINITY,
        {limit_apply_number, "memory.max", "max"},
        {limit_apply_memory_max_v1, "memory.limit_in_bytes", "-1"}},
    {"MemorySwapMax", CONTROLLER_MEMORY, false, LIMIT_NUMBER, OF(memory_swap_max), CGROUP_INFINITY,
        {limit_apply_number, "memory.swap.max", "max"},
        {limit_apply_memory_swap_v1, "memory.memsw.limit_in_bytes", "-1"}},
    {"MemoryHigh", CONTROLLER_MEMORY, false, LIMIT_NUMBER, OF(memory_high), CGROUP_INFINITY,
        {limit_apply_number, "memory.high", "max"}, {NULL, NULL, NULL}},
    {"MemoryLow", CONTROLLER_MEMORY, false, LIMIT_NUMBER, OF(memory_low), 0,
        {limit_apply_number, "memory.low", "max"}, {NULL, NULL, NULL}},
    {"MemoryMin", CONTROLLER_MEMORY, false, LIMIT_NUMBER, OF(memory_min), 0,
        {limit_apply_number, "memory.min", "max"}, {NULL, NULL, NULL}},
    /* v1 kills one process; the manager, told by cgroup_oom_open(), ends the rest of the group. */
    {"OOMPolicy", CONTROLLER_MEMORY, false, LIMIT_FLAG, OF(oom_group), 0,
        {apply_flag, "memory.oom.group", NULL}, {apply_nothing, NULL, NULL}},
    {"TasksMax", CONTROLLER_PIDS, true, LIMIT_NUMBER, OF(tasks_max), CGROUP_INFINITY,
        {limit_apply_number, "pids.max", "max"},
        {limit_apply_number, "pids.max", "max"}},
    {"CPUQuota", CONTROLLER_CPU, false, LIMIT_NUMBER, OF(cpu_quota_permyriad), CGROUP_INFINITY,
        {apply_cpu_quota_v2, "cpu.max", "max"},
        {apply_cpu_quota_v1, "cpu.cfs_quota_us", "-1"}},
    {"CPUWeight", CONTROLLER_CPU, false, LIMIT_NUMBER, OF(cpu_weight), CPU_WEIGHT_DEFAULT,
        {apply_cpu_weight_v2, "cpu.weight", NULL},
        {apply_cpu_weight_v1, "cpu.shares", NULL}},
    {"AllowedCPUs", CONTROLLER_CPUSET, false, LIMIT_STRING, OF(allowed_cpus), 0,
        {apply_string, "cpuset.cpus", NULL}, {apply_string, "cpuset.cpus", NULL}},
    {"AllowedMemoryNodes", CONTROLLER_CPUSET, false, LIMIT_STRING, OF(allowed_memory_nodes), 0,
        {apply_string, "cpuset.mems", NULL}, {apply_string, "cpuset.mems", NULL}},
    {"IOWeight", CONTROLLER_IO, false, LIMIT_NUMBER, OF(io_weight), 100,
        {limit_apply_io_weight_v2, NULL, NULL}, {limit_apply_io_weight_v1, NULL, NULL}},
    IO_MAX("IOReadBandwidthMax", read_bps, "rbps", "blkio.throttle.read_bps_device"),
    IO_MAX("IOWriteBandwidthMax", write_bps, "wbps", "blkio.throttle.write_bps_device"),
    IO_MAX("IOReadIOPSMax", read_iops, "riops", "blkio.throttle.read_iops_device"),
    IO_MAX("IOWriteIOPSMax", write_iops, "wiops", "blkio.throttle.write_iops_device"),
};
/* clang-format on */
_Static_assert(ARRAY_SIZE(rows) + 1 <= CGROUP_MAX_PROBLEMS, "each key and DevicePolicy may have a problem");

void cgroup_limits_init(struct cgroup_limits *l) {
    *l = (struct cgroup_limits){
        .memory_max = CGROUP_UNSET,
        .memory_high = CGROUP_UNSET,
        .memory_low = CGROUP_UNSET,
        .memory_min = CGROUP_UNSET,
        .memory_swap_max = CGROUP_UNSET,
        .cpu_quota_permyriad = CGROUP_UNSET,
        .cpu_quota_period = CGROUP_UNSET,
        .cpu_weight = CGROUP_UNSET,
        .tasks_max = CGROUP_UNSET,
        .io_weight = CGROUP_UNSET,
    };
}

/* ---- what a row's function works with ---- */

static const void *field(const struct limit_call *call) {
    return (const char *)call->limits + call->row->offset;
}

uint64_t limit_number(const struct limit_call *call) {
    return *(const uint64_t *)field(call);
}

const char *limit_string(const struct limit_call *call) {
    return *(const char *const *)field(call);
}

static const struct limit_backend *backend(const struct limit_call *call) {
    return call->home->unified ? &call->row->v2 : &call->row->v1;
}

int limit_write(const struct limit_call *call, const char *file, const char *text) {
    int r = cgroup_group_write(call->home, call->name, file, text);

    return r < 0 ? error_set_errno(
                       call->error, r, "writing \"%s\" to %s/%s/%s", text, call->home->path, call->name, file)
                 : 0;
}

int limit_apply_number(const struct limit_call *call) {
    uint64_t value = limit_number(call);
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    return limit_write(call, backend(call)->file, value == CGROUP_INFINITY ? backend(call)->infinity : text);
}

static int apply_string(const struct limit_call *call) {
    return limit_write(call, backend(call)->file, limit_string(call));
}

static int apply_flag(const struct limit_call *call) {
    return limit_write(call, backend(call)->file, *(const bool *)field(call) ? "1" : "0");
}

static int apply_nothing(const struct limit_call *call) {
    (void)call;
    return 0;
}

/* ---- CPU ---- */

/* Quota and period in µs; a quota too small for the kernel gets a longer period, so that the share stays
 * right. */
static uint64_t cpu_quota(const struct cgroup_limits *l, uint64_t *ret_period) {
    uint64_t permyriad = l->cpu_quota_permyriad, period = l->cpu_quota_period;

    if (period == CGROUP_UNSET || period == 0)
        period = CPU_PERIOD_DEFAULT;
    if (permyriad != CGROUP_INFINITY && permyriad > 0)
        period = MAX(period, (CPU_QUOTA_MIN * PERMYRIAD + permyriad - 1) / permyriad);
    *ret_period = period = CLAMP(period, CPU_PERIOD_MIN, CPU_PERIOD_MAX);
    if (permyriad == CGROUP_INFINITY || permyriad > UINT64_MAX / CPU_PERIOD_MAX)
        return CGROUP_INFINITY;
    return MAX(period * permyriad / PERMYRIAD, CPU_QUOTA_MIN);
}

static int apply_cpu_quota_v2(const struct limit_call *call) {
    uint64_t period, quota = cpu_quota(call->limits, &period);
    char text[48];

    if (quota == CGROUP_INFINITY)
        (void)snprintf(text, sizeof(text), "max %" PRIu64, period);
    else
        (void)snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, quota, period);
    return limit_write(call, "cpu.max", text);
}

static int apply_cpu_quota_v1(const struct limit_call *call) {
    uint64_t period, quota = cpu_quota(call->limits, &period);
    char text[24];
    int r;

    (void)snprintf(text, sizeof(text), "%" PRIu64, period);
    r = limit_write(call, "cpu.cfs_period_us", text);
    if (r < 0)
        return r;
    (void)snprintf(text, sizeof(text), "%" PRIu64, quota);
    return limit_write(call, "cpu.cfs_quota_us", quota == CGROUP_INFINITY ? "-1" : text);
}

/* "idle" is a switch of its own (Linux 5.15), and while it is on the kernel refuses a weight with EINVAL. */
static int write_cpu_weight(const struct limit_call *call, const char *file, uint64_t value) {
    char text[24];
    int r;

    if (limit_number(call) == 0)
        return limit_write(call, "cpu.idle", "1");
    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    r = limit_write(call, file, text);
    if (r == -EINVAL && cgroup_group_write(call->home, call->name, "cpu.idle", "0") >= 0)
        r = limit_write(call, file, text);
    return r;
}

static int apply_cpu_weight_v2(const struct limit_call *call) {
    uint64_t weight = limit_number(call);

    return write_cpu_weight(call, "cpu.weight", weight == CGROUP_INFINITY ? CPU_WEIGHT_DEFAULT : weight);
}

static int apply_cpu_weight_v1(const struct limit_call *call) {
    uint64_t weight = limit_number(call);

    weight = weight == CGROUP_INFINITY ? CPU_WEIGHT_DEFAULT : MIN(weight, 10000U);
    return write_cpu_weight(call, "cpu.shares",
        CLAMP(weight * CPU_SHARES_DEFAULT / CPU_WEIGHT_DEFAULT, CPU_SHARES_MIN, CPU_SHARES_MAX));
}

/* ---- the walk ---- */

/* Is the row asked for? *ret_harmless: what is asked for holds without a controller as well. */
static bool is_wanted(const struct limit *row, const struct cgroup_limits *l, bool *ret_harmless) {
    const char *at = (const char *)l + row->offset;
    uint64_t value;
    bool wanted = false;

    *ret_harmless = false;
    switch (row->kind) {
    case LIMIT_NUMBER:
        memcpy(&value, at, sizeof(value));
        *ret_harmless = value == row->no_effect;
        return value != CGROUP_UNSET;
    case LIMIT_STRING:
        return !isempty(*(const char *const *)(const void *)at);
    case LIMIT_FLAG:
        /* Also written when off: a reload may have turned it off in a running group. */
        *ret_harmless = !*(const bool *)at;
        return true;
    case LIMIT_IO:
        *ret_harmless = true;
        for (size_t i = 0; i < l->n_io; i++) {
            memcpy(&value, (const char *)&l->io[i] + row->offset, sizeof(value));
            wanted = wanted || value != CGROUP_UNSET;
            *ret_harmless = *ret_harmless && (value == CGROUP_UNSET || value == row->no_effect);
        }
        return wanted;
    }
    return false;
}

/* The group's directory in a hierarchy that not every group is in. A group that runs already takes its
 * processes along. */
static int ensure_group(
    struct cgroup_tree *t, struct cgroup_hierarchy *h, const char *name, struct error *e) {
    int r;

    if (h->always)
        return 0;
    r = cgroup_group_make(h, name);
    if (r > 0)
        r = cgroup_procs_follow(t->tracking, h, name);
    return r < 0 ? error_set_errno(e, r, "control group %s/%s cannot be made", h->path, name) : 0;
}

static int apply_row(const struct limit_call *call, bool harmless, bool *ret_unsupported) {
    struct cgroup_hierarchy *h = call->home;
    int r;

    *ret_unsupported = true;
    if (!h) {
        if (harmless)
            return 0;
        *call->error = call->tree->missing[call->row->controller];
        return -call->error->number;
    }
    if (!backend(call)->apply)
        return harmless ? 0 : error_set(call->error, EOPNOTSUPP, "cgroup v1 has nothing that does this");
    *ret_unsupported = false;
    /* Not for its own sake: a group that is not there has no limit either. */
    if (harmless && !h->always && (!h->used || faccessat(h->fd, call->name, F_OK, 0) < 0))
        return 0;
    r = ensure_group(call->tree, h, call->name, call->error);
    if (r >= 0)
        r = backend(call)->apply(call);
    /* The kernel was built without this file, or lacks it for this kind of group. */
    *ret_unsupported = r == -ENOENT || r == -EOPNOTSUPP;
    return harmless && *ret_unsupported ? 0 : r;
}

struct problem_list {
    struct cgroup_problem *problems;
    size_t room, n;
    int essential; /* errno of the first essential one */
};

static void add_problem(
    struct problem_list *list, const char *key, bool essential, bool unsupported, const struct error *e) {
    if (essential && list->essential == 0)
        list->essential = -e->number;
    if (list->n < list->room)
        list->problems[list->n++] = (struct cgroup_problem){
            .key = key, .error = *e, .unsupported = unsupported, .essential = essential};
}

int cgroup_apply(struct cgroup_tree *t, const char *name, const struct cgroup_limits *l,
    struct cgroup_problem *problems, size_t *n_problems) {
    struct problem_list list = {.problems = problems, .room = n_problems ? *n_problems : 0};
    struct error e = {0};
    bool unsupported, harmless;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct limit_call call = {.tree = t,
            .home = cgroup_home(t, rows[i].controller),
            .name = name,
            .limits = l,
            .row = &rows[i],
            .error = &e};

        if (is_wanted(&rows[i], l, &harmless) && apply_row(&call, harmless, &unsupported) < 0)
            add_problem(&list, rows[i].key, rows[i].essential, unsupported, &e);
    }
    if (cgroup_apply_devices(t, name, l, &unsupported, &e) < 0)
        add_problem(&list, "DevicePolicy", true, unsupported, &e);
    if (n_problems)
        *n_problems = list.n;
    return list.essential;
}
