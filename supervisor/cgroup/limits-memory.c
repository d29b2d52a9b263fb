/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory and swap on v1, where the kernel keeps memory and memory+swap ("memsw") instead, and answers EINVAL
 * to any write that would leave memsw below memory. So the order matters: lowering writes memory first,
 * raising memsw first. In a new group both are infinite, which makes everything a lowering; the raising order
 * is tried when the kernel says EINVAL.
 */
#include <inttypes.h>

#include "cgroup/internal.h"

#define MEMORY_FILE "memory.limit_in_bytes"
#define MEMSW_FILE "memory.memsw.limit_in_bytes"

/* v1 has no word for infinity: it reads back as the greatest multiple of the page size that fits a long. */
#define V1_INFINITY_FROM (1ULL << 62)

static const char *bytes(uint64_t value, char text[static 24]) {
    if (value == CGROUP_INFINITY)
        return "-1";
    (void)snprintf(text, 24, "%" PRIu64, value);
    return text;
}

static int read_bytes(const struct limit_call *call, const char *file, uint64_t *ret) {
    uint64_t value;
    int r = cgroup_group_read_number(call->home, call->name, file, &value);

    if (r < 0)
        return error_set_errno(call->error, r, "reading %s/%s/%s", call->home->path, call->name, file);
    *ret = value >= V1_INFINITY_FROM ? CGROUP_INFINITY : value;
    return 0;
}

static uint64_t sum(uint64_t memory, uint64_t swap) {
    if (memory == CGROUP_INFINITY || swap == CGROUP_INFINITY || memory > V1_INFINITY_FROM ||
        swap > V1_INFINITY_FROM)
        return CGROUP_INFINITY;
    return memory + swap;
}

/* Makes room for a higher memory limit: with a swap limit asked for, to that; else keeps as much swap as
 * there was. */
static int raise_memsw(const struct limit_call *call, uint64_t memory) {
    uint64_t swap = call->limits->memory_swap_max, memory_now = 0, memsw_now = 0;
    char text[24];
    int r;

    if (swap == CGROUP_UNSET) {
        r = read_bytes(call, MEMORY_FILE, &memory_now);
        if (r >= 0)
            r = read_bytes(call, MEMSW_FILE, &memsw_now);
        if (r < 0)
            return r;
        swap = memsw_now == CGROUP_INFINITY ? CGROUP_INFINITY : memsw_now - MIN(memsw_now, memory_now);
    }
    return limit_write(call, MEMSW_FILE, bytes(sum(memory, swap), text));
}

int limit_apply_memory_max_v1(const struct limit_call *call) {
    uint64_t memory = limit_number(call);
    char text[24];
    int r = limit_write(call, MEMORY_FILE, bytes(memory, text));

    if (r == -EINVAL) {
        r = raise_memsw(call, memory);
        if (r >= 0)
            r = limit_write(call, MEMORY_FILE, bytes(memory, text));
    }
    if (r == -EBUSY)
        return error_set(call->error, EBUSY, "%s/%s uses more than %s bytes that cannot be reclaimed",
            call->home->path, call->name, bytes(memory, text));
    return r;
}

/* Runs after MemoryMax. */
int limit_apply_memory_swap_v1(const struct limit_call *call) {
    uint64_t swap = limit_number(call), memory = call->limits->memory_max;
    char text[24];
    int r;

    if (memory == CGROUP_UNSET) {
        r = read_bytes(call, MEMORY_FILE, &memory);
        if (r < 0)
            return r;
    }
    if (memory == CGROUP_INFINITY && swap != CGROUP_INFINITY)
        return error_set(call->error, EOPNOTSUPP,
            "cgroup v1 limits memory and swap together: this needs MemoryMax= as well");
    r = limit_write(call, MEMSW_FILE, bytes(sum(memory, swap), text));
    if (r == -ENOENT)
        return error_set(
            call->error, ENOENT, "this kernel does not account for swap (swapaccount=0, or built without)");
    return r;
}
