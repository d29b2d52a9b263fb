/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/memory.h"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>

#include "base/macro.h"

extern const ElfW(Ehdr) __ehdr_start; /* set by the linker: where this program's file is mapped */

#define STACK_BYTES (256 * 1024)
#define OWN_STACK_BYTES 1024

/* What lies below our own frame was left by deeper calls that are over. A little stays for what this function
 * itself uses; where the stack has never reached there is nothing to give back. */
static void trim_stack(void) {
    const uintptr_t page = 4096;
    uintptr_t end = ((uintptr_t)__builtin_frame_address(0) - OWN_STACK_BYTES) / page * page;

    (void)madvise((void *)(end - STACK_BYTES), STACK_BYTES, MADV_DONTNEED);
}

void memory_trim(void) {
    const uintptr_t page = 4096, start = (uintptr_t)&__ehdr_start;
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)(start + __ehdr_start.e_phoff);
    uintptr_t base = 0;

    for (size_t i = __ehdr_start.e_phnum; i-- > 0;) /* of the first segment, which begins with the header */
        if (headers[i].p_type == PT_LOAD)
            base = start - headers[i].p_vaddr;
    for (size_t i = 0; i < __ehdr_start.e_phnum; i++) {
        if (headers[i].p_type != PT_LOAD || (headers[i].p_flags & PF_W))
            continue;
        /* Code and constants: mapped from the file and never changed, so nothing can be lost. */
        uintptr_t from = (base + headers[i].p_vaddr) / page * page,
                  to = base + headers[i].p_vaddr + headers[i].p_memsz;
        (void)madvise((void *)from, (to - from + page - 1) / page * page, MADV_DONTNEED);
    }
    trim_stack();
}
