/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why the machine booted, as far as it can be known: what the hardware watchdog remembers, and what the
 * kernel before this one left in pstore when it died. Records are moved from there to /var/lib/davit/pstore,
 * since the store is small and a full one takes no further record.
 */
#include <dirent.h>
#include <fcntl.h>

#include "base/fs.h"
#include "base/id128.h"
#include "base/parse.h"
#include "boot/boot.h"
#include "init/hardware_watchdog.h"

#define PSTORE "/sys/fs/pstore"

DEFINE_CLEANUP(DIR *, closedir)

static void watchdog_reason(struct boot_context *c) {
    _cleanup_free_ char *line = NULL;
    uint64_t flags;

    if (file_read_line(AT_FDCWD, HARDWARE_WATCHDOG_BOOT_STATUS, &line) < 0 ||
        parse_uint(line, 0, UINT32_MAX, &flags) < 0)
        return; /* davit-init asks the device, where it opens it */
    const char *text;
    for (size_t i = 0; (text = hardware_watchdog_reason((unsigned)flags, &i));)
        boot_reason(c, "%s", text);
}

/* ---- pstore ---- */

#define SAVED "/var/lib/davit/pstore"
#define RECORD_MAX (1024 * 1024)

/* Away from the store only when it is safe elsewhere. Records are named by kind and number, which begin anew
 * when the store is empty: the boot's own id keeps them apart. */
static int save_record(const char *name, const char *boot_id, bool *ret_panic) {
    _cleanup_free_ char *from = path_join(PSTORE, name), *directory = path_join(SAVED, boot_id),
                        *to = directory ? path_join(directory, name) : NULL, *text = NULL;
    size_t n = 0;

    if (!from || !to)
        return -ENOMEM;
    int r = file_read(AT_FDCWD, from, RECORD_MAX, &text, &n);
    if (r >= 0)
        r = mkdir_parents(AT_FDCWD, directory, 0700);
    if (r >= 0)
        r = file_write_atomic(AT_FDCWD, to, text, n, 0600, true);
    if (r < 0)
        return r;
    *ret_panic = startswith(name, "dmesg-") && startswith(text, "Panic#") ? true : *ret_panic;
    return unlink(from) < 0 ? negative_errno() : 0;
}

static void pstore_reason(struct boot_context *c) {
    _cleanup_(closedirp) DIR *d = opendir(PSTORE);
    char boot_id[ID128_TEXT];
    unsigned saved = 0;
    bool panic = false;

    if (!d || id128_boot(boot_id) < 0)
        return;
    for (struct dirent *entry; (entry = readdir(d));) {
        if (entry->d_name[0] == '.')
            continue;
        int r = save_record(entry->d_name, boot_id, &panic);
        if (r < 0)
            boot_problem(c, PSTORE "/%s cannot be moved to " SAVED ": %s", entry->d_name, errno_text(r));
        else
            saved++;
    }
    if (saved > 0)
        boot_reason(c, "%s; its last words are in " SAVED "/%s",
            panic ? "the kernel before this one panicked" : "the kernel before this one left a record",
            boot_id);
}

void step_reason(struct boot_context *c) {
    watchdog_reason(c);
    pstore_reason(c);
}
