/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/memory.h"

#include <sys/mman.h>

#include "base/macro.h"

/* Both are set by the linker: end(3). */
extern char __executable_start[], etext[];

void memory_trim(void) {
    const uintptr_t page = 4096;
    uintptr_t start = (uintptr_t)__executable_start / page * page;
    uintptr_t end = (uintptr_t)etext / page * page;

    /* Read-only mappings of a file: nothing can be lost. */
    (void)madvise((void *)start, end - start, MADV_DONTNEED);
}
