/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "shutdown/shutdown.h"

/* A disk on which nothing has moved for this long is not going to. */
#define STALL_USEC (10 * USEC_PER_SEC)

static uint64_t field_of(const char *meminfo, const char *name) {
    for (const char *line = meminfo; line && *line;
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        const char *value = startswith(line, name);
        if (value)
            return strtoull(value, NULL, 10);
    }
    return 0;
}

uint64_t sync_dirty_of(const char *meminfo) {
    return field_of(meminfo, "Dirty:") + field_of(meminfo, "Writeback:");
}

static uint64_t dirty_now(void) {
    _cleanup_free_ char *text = NULL;

    return file_read(AT_FDCWD, "/proc/meminfo", 65536, &text, NULL) < 0 ? 0 : sync_dirty_of(text);
}

static int do_sync(_unused_ void *context, _unused_ size_t i) {
    sync();
    return 0;
}

int sync_bounded(void) {
    uint64_t before = dirty_now();

    /* Each round waits for as long as a stall is; as long as pages get fewer, there is another one. */
    for (;;) {
        int r = bounded_call(do_sync, NULL, STALL_USEC);
        if (r != -ETIMEDOUT)
            return r;
        uint64_t now = dirty_now();
        if (now >= before) {
            log_error("sync: no progress in %u s, %llu kB are not written; going on",
                (unsigned)(STALL_USEC / USEC_PER_SEC), (unsigned long long)now);
            return -ETIMEDOUT;
        }
        log_notice("sync: %llu kB left", (unsigned long long)now);
        before = now;
    }
}
