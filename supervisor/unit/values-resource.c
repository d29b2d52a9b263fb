/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Value types of resource control (systemd.resource-control(5)) and podman's two: Memory= and PidsLimit=. */
#include <fcntl.h>

#include "base/fs.h"
#include "base/parse.h"
#include "base/words.h"
#include "unit/key.h"
#include "unit/limits.h"

#define PERMYRIAD 10000u
#define CPUS_MAX 8192
#define BANDWIDTH_BASE \
    1000 /* systemd.resource-control(5): IO bandwidths, and only they, count in thousands */

static void clear_limit(void *field) {
    *(uint64_t *)field = LIMIT_UNSET;
}

static int show_limit(const struct key *k _unused_, const void *field, char ***values) {
    uint64_t n = *(const uint64_t *)field;
    if (n == LIMIT_UNSET)
        return 0;
    if (n == LIMIT_INFINITY)
        return strv_append(values, "infinity");
    return strv_consume(values, strf("%llu", (unsigned long long)n));
}

/* ---- memory ---- */

static uint64_t scale(uint64_t whole, uint64_t permyriad) {
    return (uint64_t)((unsigned __int128)whole * permyriad / PERMYRIAD);
}

static int parse_memory(struct assignment *a, uint64_t *field, const char *value, bool zero_is_fine) {
    uint64_t n, share;

    if (streq(value, "infinity")) {
        n = LIMIT_INFINITY;
    } else if (parse_permyriad(value, PERMYRIAD, &share) == 0) {
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        n = scale((uint64_t)sysconf(_SC_PHYS_PAGES), share) * page;
    } else if (parse_size(value, 1024, &n) < 0 || n >= LIMIT_INFINITY) {
        return assignment_fail(a, "bytes, a size such as 512M or 1.5G, a share such as 20%, or infinity",
            "\"%s\" is not an amount of memory", value);
    }
    if (n == 0 && !zero_is_fine)
        return assignment_fail(a, "infinity takes the limit away", "a limit of 0 lets nothing run");
    *field = n;
    return 0;
}

static int parse_memory_limit(struct assignment *a, void *field, const char *value) {
    return parse_memory(a, field, value, false);
}

static int parse_memory_guarantee(struct assignment *a, void *field, const char *value) {
    return parse_memory(a, field, value, true);
}

/* podman's --memory: a number and one of b k m g; 0 is "no limit". */
static int parse_memory_podman(struct assignment *a, void *field, const char *value) {
    uint64_t n;
    if (strchr(value, '%') || streq(value, "infinity") || parse_size(value, 1024, &n) < 0 ||
        n >= LIMIT_INFINITY)
        return assignment_fail(a,
            "a number with b, k, m or g behind it; MemoryMax= takes shares such as 20% as well",
            "\"%s\" is not a size as podman has it", value);
    *(uint64_t *)field = n == 0 ? LIMIT_INFINITY : n;
    return 0;
}

const struct value_type value_memory_limit = {"size", parse_memory_limit, show_limit, clear_limit};
const struct value_type value_memory_guarantee = {"size", parse_memory_guarantee, show_limit, clear_limit};
const struct value_type value_memory_podman = {"size", parse_memory_podman, show_limit, clear_limit};

/* ---- processor ---- */

static int parse_quota(struct assignment *a, void *field, const char *value) {
    uint64_t share;
    if (parse_permyriad(value, UINT32_MAX, &share) < 0)
        return assignment_fail(a, "percent of one CPU: 50%, or 200% for two", "\"%s\" is not a share", value);
    if (share == 0)
        return assignment_fail(
            a, "an empty CPUQuota= takes the limit away", "a quota of 0%% lets nothing run");
    *(uint64_t *)field = share;
    return 0;
}

static int show_quota(const struct key *k _unused_, const void *field, char ***values) {
    uint64_t n = *(const uint64_t *)field;
    if (n == LIMIT_UNSET)
        return 0;
    if (n % 100 == 0)
        return strv_consume(values, strf("%llu%%", (unsigned long long)n / 100));
    return strv_consume(values, strf("%llu.%02u%%", (unsigned long long)n / 100, (unsigned)(n % 100)));
}

/* The kernel takes 1 ms to 1 s; systemd moves other values to the nearer end, and so do we. */
static int parse_period(struct assignment *a, void *field, const char *value) {
    usec_t t;
    if (timespan_parse(value, &t) < 0)
        return assignment_fail(a, "a time span from 1ms to 1s", "\"%s\" is not a time span", value);
    *(usec_t *)field = CLAMP(t, USEC_PER_MSEC, USEC_PER_SEC);
    return 0;
}

static int show_period(const struct key *k, const void *field, char ***values) {
    return value_time.show(k, field, values);
}

static void clear_period(void *field) {
    *(usec_t *)field = 100 * USEC_PER_MSEC;
}

static int parse_weight(struct assignment *a, uint64_t *field, const char *value) {
    uint64_t n;
    if (parse_uint(value, 1, 10000, &n) < 0)
        return assignment_fail(a, NULL, "\"%s\" is not a number from 1 to 10000", value);
    *field = n;
    return 0;
}

static int parse_cpu_weight(struct assignment *a, void *field, const char *value) {
    if (streq(value, "idle")) {
        *(uint64_t *)field = 0;
        return 0;
    }
    return parse_weight(a, field, value);
}

static int show_cpu_weight(const struct key *k, const void *field, char ***values) {
    return *(const uint64_t *)field == 0 ? strv_append(values, "idle") : show_limit(k, field, values);
}

static int parse_io_weight(struct assignment *a, void *field, const char *value) {
    return parse_weight(a, field, value);
}

const struct value_type value_quota = {"percent of one CPU", parse_quota, show_quota, clear_limit};
const struct value_type value_quota_period = {"time span", parse_period, show_period, clear_period};
const struct value_type value_cpu_weight = {
    "1 to 10000, or idle", parse_cpu_weight, show_cpu_weight, clear_limit};
const struct value_type value_io_weight = {"1 to 10000", parse_io_weight, show_limit, clear_limit};

/* Checked here, kept as text in the kernel's form: commas, no blanks. */
static int parse_cpus(struct assignment *a, void *field, const char *value) {
    uint8_t bitmap[CPUS_MAX / 8] = {0};
    _cleanup_free_ char *text = NULL;
    _cleanup_strbuf_ struct strbuf b = {0};

    int r = assignment_expand(a, value, &text);
    if (r < 0)
        return r;
    if (parse_cpu_list(text, bitmap, CPUS_MAX) < 0)
        return assignment_fail(a, "numbers and ranges: 0-3,5", "\"%s\" is not a list of numbers", text);
    for (char *save, *part = strtok_r(text, ", \t", &save); part; part = strtok_r(NULL, ", \t", &save))
        strbuf_printf(&b, "%s%s", b.length > 0 ? "," : "", part);
    return value_replace(field, strbuf_take(&b));
}

static int show_cpus(const struct key *k, const void *field, char ***values) {
    return value_string.show(k, field, values);
}

const struct value_type value_cpu_list = {"list of numbers and ranges", parse_cpus, show_cpus, clear_string};

/* ---- tasks ---- */

uint64_t machine_tasks_max(void) {
    static const char *const files[] = {"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"};
    uint64_t most = 32768, n;

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        _cleanup_free_ char *line = NULL;
        if (file_read_line(AT_FDCWD, files[i], &line) == 0 && parse_uint(line, 1, UINT32_MAX, &n) == 0)
            most = i == 0 ? n : MIN(most, n);
    }
    return most;
}

static int parse_tasks(struct assignment *a, void *field, const char *value) {
    uint64_t n, share;

    if (streq(value, "infinity"))
        n = LIMIT_INFINITY;
    else if (parse_permyriad(value, PERMYRIAD, &share) == 0)
        n = scale(machine_tasks_max(), share);
    else if (parse_uint(value, 0, INT64_MAX, &n) < 0)
        return assignment_fail(
            a, "a number, a share such as 10%, or infinity", "\"%s\" is not a number of tasks", value);
    if (n == 0)
        return assignment_fail(a, "infinity takes the limit away", "a limit of 0 lets nothing run");
    *(uint64_t *)field = n;
    return 0;
}

static int parse_pids(struct assignment *a, void *field, const char *value) {
    int64_t n;
    if (parse_int(value, -1, INT64_MAX, &n) < 0)
        return assignment_fail(
            a, "a number; -1 takes the limit away", "\"%s\" is not a number of tasks", value);
    *(uint64_t *)field = n <= 0 ? LIMIT_INFINITY : (uint64_t)n;
    return 0;
}

const struct value_type value_tasks_max = {"number or share", parse_tasks, show_limit, clear_limit};
const struct value_type value_pids_limit = {"number", parse_pids, show_limit, clear_limit};

/* ---- input and output: "PATH LIMIT", four keys that fill one array ---- */

static uint64_t *io_field(struct io_limit *l, size_t which) {
    uint64_t *const fields[] = {&l->read_bps, &l->write_bps, &l->read_iops, &l->write_iops};
    return fields[which];
}

static struct io_limit *io_limit_of(struct resource_section *s, const char *path) {
    for (size_t i = 0; i < s->n_io; i++)
        if (streq(s->io[i].path, path))
            return &s->io[i];

    _cleanup_free_ char *copy = strdup(path);
    struct io_limit *l = copy ? ARRAY_APPEND(s->io, s->n_io) : NULL;
    if (l)
        *l = (struct io_limit){.path = TAKE_PTR(copy),
            .read_bps = LIMIT_UNSET,
            .write_bps = LIMIT_UNSET,
            .read_iops = LIMIT_UNSET,
            .write_iops = LIMIT_UNSET};
    return l;
}

static int parse_io(struct assignment *a, const char *value, size_t which) {
    _cleanup_free_ char *word = NULL, *path = NULL;
    const char *p = value;
    uint64_t n;

    int r = words_next(&p, &word, NULL, WORDS_UNQUOTE);
    if (r == -ENOMEM)
        return r;
    p += strspn(p, " \t");
    if (r <= 0 || !*p)
        return assignment_fail(
            a, "a device and a limit: /dev/sda 5M", "\"%s\" is not a path and a limit", value);
    r = assignment_expand(a, word, &path);
    if (r < 0)
        return r;
    if (!path_is_absolute(path))
        return assignment_fail(a, "it has to start with /", "\"%s\" is not an absolute path", path);
    if (parse_size(p, BANDWIDTH_BASE, &n) < 0 || n == 0 || n == LIMIT_INFINITY)
        return assignment_fail(a, "a number, with K, M or G for thousands, millions ..., or infinity",
            "\"%s\" is not a limit", p);

    r = assignment_room(a, a->load->u->resources.n_io);
    if (r < 0)
        return r;
    struct io_limit *l = io_limit_of(&a->load->u->resources, path);
    if (!l)
        return -ENOMEM;
    *io_field(l, which) = n == UINT64_MAX ? LIMIT_INFINITY : n;
    return 0;
}

static int show_io(const void *field, size_t which, char ***values) {
    const struct resource_section *s =
        container_of((struct io_limit *const *)field, struct resource_section, io);
    int r = 0;
    for (size_t i = 0; r == 0 && i < s->n_io; i++) {
        uint64_t n = *io_field(&s->io[i], which);
        if (n == LIMIT_INFINITY)
            r = strv_consume(values, strf("%s infinity", s->io[i].path));
        else if (n != LIMIT_UNSET)
            r = strv_consume(values, strf("%s %llu", s->io[i].path, (unsigned long long)n));
    }
    return r;
}

static bool io_limit_is_empty(struct io_limit *l) {
    for (size_t which = 0; which < 4; which++)
        if (*io_field(l, which) != LIMIT_UNSET)
            return false;
    return true;
}

/* Takes one of the four limits off all paths, and paths without any limit out of the array. */
static void clear_io(void *field, size_t which) {
    struct resource_section *s = container_of((struct io_limit **)field, struct resource_section, io);
    size_t kept = 0;

    for (size_t i = 0; i < s->n_io; i++) {
        *io_field(&s->io[i], which) = LIMIT_UNSET;
        if (io_limit_is_empty(&s->io[i]))
            free(s->io[i].path);
        else
            s->io[kept++] = s->io[i];
    }
    s->n_io = kept;
    if (kept == 0) {
        free(s->io);
        s->io = NULL;
    }
}

#define IO_TYPE(name, which, form) \
    static int parse_##name(struct assignment *a, void *field _unused_, const char *value) { \
        return parse_io(a, value, which); \
    } \
    static int show_##name(const struct key *k _unused_, const void *field, char ***values) { \
        return show_io(field, which, values); \
    } \
    static void clear_##name(void *field) { \
        clear_io(field, which); \
    } \
    const struct value_type value_##name = {form, parse_##name, show_##name, clear_##name};

IO_TYPE(io_read_bandwidth, 0, "device and bytes a second")
IO_TYPE(io_write_bandwidth, 1, "device and bytes a second")
IO_TYPE(io_read_iops, 2, "device and requests a second")
IO_TYPE(io_write_iops, 3, "device and requests a second")

/* ---- devices ---- */

bool parse_device_access(const char *s, bool *read, bool *write, bool *make) {
    bool r = false, w = false, m = false;
    if (!*s)
        return false;
    for (; *s; s++) {
        bool *right = *s == 'r' ? &r : *s == 'w' ? &w : *s == 'm' ? &m : NULL;
        if (!right)
            return false;
        *right = true;
    }
    *read = r;
    *write = w;
    *make = m;
    return true;
}

static int parse_device_allow(struct assignment *a, void *field _unused_, const char *value) {
    struct resource_section *s = &a->load->u->resources;
    struct device_allow d = {0};
    _cleanup_free_ char *word = NULL, *specifier = NULL;
    const char *p = value;

    int r = words_next(&p, &word, NULL, WORDS_UNQUOTE);
    if (r == -ENOMEM)
        return r;
    if (r <= 0)
        return assignment_fail(a, "a device and rights: /dev/fuse rw", "\"%s\" is not a device", value);
    r = assignment_expand(a, word, &specifier);
    if (r < 0)
        return r;
    if (!startswith(specifier, "/dev/") && !startswith(specifier, "char-") &&
        !startswith(specifier, "block-"))
        return assignment_fail(a, "a node below /dev, or a group as in /proc/devices: char-pts, block-loop",
            "\"%s\" is not a device", specifier);
    p += strspn(p, " \t");
    if (!parse_device_access(*p ? p : "rwm", &d.read, &d.write, &d.mknod))
        return assignment_fail(
            a, "letters of r (read), w (write), m (make nodes)", "\"%s\" are no access rights", p);

    r = assignment_room(a, s->n_device_allow);
    if (r < 0)
        return r;
    struct device_allow *room = ARRAY_APPEND(s->device_allow, s->n_device_allow);
    if (!room)
        return -ENOMEM;
    d.specifier = TAKE_PTR(specifier);
    *room = d;
    return 0;
}

static int show_device_allow(const struct key *k _unused_, const void *field, char ***values) {
    const struct resource_section *s =
        container_of((struct device_allow *const *)field, struct resource_section, device_allow);
    int r = 0;
    for (size_t i = 0; r == 0 && i < s->n_device_allow; i++) {
        const struct device_allow *d = &s->device_allow[i];
        r = strv_consume(values,
            strf("%s %s%s%s", d->specifier, d->read ? "r" : "", d->write ? "w" : "", d->mknod ? "m" : ""));
    }
    return r;
}

static void clear_device_allow(void *field) {
    struct resource_section *s =
        container_of((struct device_allow **)field, struct resource_section, device_allow);
    for (size_t i = 0; i < s->n_device_allow; i++)
        free(s->device_allow[i].specifier);
    free(s->device_allow);
    s->device_allow = NULL;
    s->n_device_allow = 0;
}

const struct value_type value_device_allow = {
    "device and rights", parse_device_allow, show_device_allow, clear_device_allow};

/* ---- numbers of a range: whom the kernel kills, and whom it prefers ---- */

static int parse_range(struct assignment *a, void *field, const char *value, int low, int high) {
    int64_t n;
    if (parse_int(value, low, high, &n) < 0)
        return assignment_fail(a, NULL, "\"%s\" is not a number from %d to %d", value, low, high);
    *(int32_t *)field = (int32_t)n;
    return 0;
}

static int show_number(const struct key *k _unused_, const void *field, char ***values) {
    int32_t n = *(const int32_t *)field;
    return n == INT32_MIN ? 0 : strv_consume(values, strf("%d", (int)n));
}

static void clear_number(void *field) {
    *(int32_t *)field = INT32_MIN;
}

#define DEFINE_NUMBER(name, low, high) \
    static int parse_##name(struct assignment *a, void *field, const char *value) { \
        return parse_range(a, field, value, low, high); \
    } \
    const struct value_type value_##name = {"number", parse_##name, show_number, clear_number}
DEFINE_NUMBER(oom_score, -1000, 1000);
DEFINE_NUMBER(nice, -20, 19);
DEFINE_NUMBER(cpu_priority, 1, 99);
DEFINE_NUMBER(io_priority, 0, 7);
