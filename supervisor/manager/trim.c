/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An idle manager holds on to nothing: a few seconds after something happened (the answer to a `davit status`
 * of a thousand units needs megabytes for a moment) free memory goes back to the kernel, and so do pages of
 * code and constants, which come back from the page cache when they are used again. One wake-up after each
 * burst of activity, none while nothing happens.
 */
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>

#include "base/log.h"
#include "manager/rooms.h"

#define QUIET_TIME (3 * USEC_PER_SEC)

static struct {
    sd_event_source *timer;
    bool armed, ignore;
} state;

/* Segments that are mapped from a file and never written to. */
static int drop_code(struct dl_phdr_info *info, _unused_ size_t size, _unused_ void *data) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    if (info->dlpi_name && startswith(info->dlpi_name, "linux-vdso"))
        return 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        if (h->p_type != PT_LOAD || (h->p_flags & PF_W))
            continue;
        uintptr_t from = (info->dlpi_addr + h->p_vaddr) / page * page;
        uintptr_t to = (info->dlpi_addr + h->p_vaddr + h->p_memsz + page - 1) / page * page;
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
    }
    return 0;
}

static int on_quiet(_unused_ sd_event_source *s, _unused_ uint64_t usec, _unused_ void *userdata) {
    state.armed = false;
    state.ignore = true;
    (void)malloc_trim(0);
    (void)dl_iterate_phdr(drop_code, NULL);
    return 0;
}

void trim_after_turn(void) {
    if (state.ignore) {
        state.ignore = false;
        return;
    }
    if (!state.armed && sd_event_source_set_time_relative(state.timer, QUIET_TIME) >= 0)
        state.armed = sd_event_source_set_enabled(state.timer, SD_EVENT_ONESHOT) >= 0;
}

void trim_ignore_this_turn(void) {
    state.ignore = true;
}

int trim_new(struct manager *m, struct error *e) {
    int r = sd_event_add_time_relative(
        m->event, &state.timer, CLOCK_MONOTONIC, QUIET_TIME, USEC_PER_SEC, on_quiet, m);
    if (r < 0)
        return error_set_errno(e, r, "timer");
    state.armed = true;
    return 0;
}
