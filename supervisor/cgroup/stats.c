/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Statistics of a group: a table of where each figure is in v2 and in v1. A figure that cannot be read is
 * left unset; status is no place to fail. */
#include "base/parse.h"
#include "cgroup/internal.h"

struct source {
    const char *file; /* NULL = this version does not have it */
    const char *key;  /* NULL = the file is one number */
    uint64_t divisor; /* file's unit to ours */
};
static const struct figure {
    enum cgroup_controller controller;
    size_t offset;
    struct source v2, v1;
} figures[] = {
    {CONTROLLER_MEMORY, offsetof(struct cgroup_stats, memory_current), {"memory.current", NULL, 1},
        {"memory.usage_in_bytes", NULL, 1}},
    {CONTROLLER_MEMORY, offsetof(struct cgroup_stats, memory_peak), {"memory.peak", NULL, 1},
        {"memory.max_usage_in_bytes", NULL, 1}},
    /* v1 tells memory and swap together; read_stats() takes the memory off. */
    {CONTROLLER_MEMORY, offsetof(struct cgroup_stats, memory_swap_current), {"memory.swap.current", NULL, 1},
        {"memory.memsw.usage_in_bytes", NULL, 1}},
    {CONTROLLER_PIDS, offsetof(struct cgroup_stats, tasks_current), {"pids.current", NULL, 1},
        {"pids.current", NULL, 1}},
    {CONTROLLER_CPUACCT, offsetof(struct cgroup_stats, cpu_usage_usec), {"cpu.stat", "usage_usec", 1},
        {"cpuacct.usage", NULL, NSEC_PER_USEC}},
};

static uint64_t read_figure(const struct cgroup_hierarchy *h, const char *name, const struct source *s) {
    uint64_t value;
    int r;

    if (!s->file)
        return CGROUP_UNSET;
    r = s->key ? cgroup_group_read_key(h, name, s->file, s->key, &value)
               : cgroup_group_read_number(h, name, s->file, &value);
    return r < 0 ? CGROUP_UNSET : value / s->divisor;
}

static void add(uint64_t *sum, const char *digits) {
    size_t n = strspn(digits, "0123456789");
    char text[24];
    uint64_t value;

    if (n == 0 || n >= sizeof(text))
        return;
    memcpy(text, digits, n);
    text[n] = '\0';
    if (parse_uint(text, 0, UINT64_MAX, &value) >= 0)
        *sum += value;
}

/* v2 io.stat: "M:m rbytes=N wbytes=N rios=..." a line for each device.
 * v1 blkio.throttle.io_service_bytes_recursive: "M:m Read N", "M:m Write N", ..., "Total N". */
static void read_io(const struct cgroup_hierarchy *h, const char *name, struct cgroup_stats *s) {
    const char *const mark_read = h->unified ? " rbytes=" : " Read ", *const mark_write =
                                                                          h->unified ? " wbytes=" : " Write ";
    _cleanup_free_ char *text = NULL;

    if (cgroup_group_read(
            h, name, h->unified ? "io.stat" : "blkio.throttle.io_service_bytes_recursive", &text) < 0)
        return;
    s->io_read_bytes = s->io_write_bytes = 0;
    for (const char *p = text; (p = strstr(p, mark_read)); p++)
        add(&s->io_read_bytes, p + strlen(mark_read));
    for (const char *p = text; (p = strstr(p, mark_write)); p++)
        add(&s->io_write_bytes, p + strlen(mark_write));
}

void cgroup_stats(struct cgroup_tree *t, const char *name, struct cgroup_stats *ret) {
    struct cgroup_hierarchy *memory = cgroup_home(t, CONTROLLER_MEMORY), *io = cgroup_home(t, CONTROLLER_IO);
    struct cgroup_stats s;

    memset(&s, 0xff, sizeof(s)); /* CGROUP_UNSET throughout */
    for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
        struct cgroup_hierarchy *h = cgroup_home(t, figures[i].controller);

        /* cpu.stat has the time in every unified group, with or without a cpu controller. */
        if (figures[i].controller == CONTROLLER_CPUACCT && t->unified)
            h = t->unified;
        if (h)
            *(uint64_t *)(void *)((char *)&s + figures[i].offset) =
                read_figure(h, name, h->unified ? &figures[i].v2 : &figures[i].v1);
    }
    if (memory && !memory->unified && s.memory_swap_current != CGROUP_UNSET &&
        s.memory_current != CGROUP_UNSET)
        s.memory_swap_current -= MIN(s.memory_swap_current, s.memory_current);
    if (io)
        read_io(io, name, &s);
    s.oom_kills = cgroup_oom_kills(t, name);
    *ret = s;
}
