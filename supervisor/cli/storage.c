/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/storage.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "base/fs.h"
#include "base/parse.h"
#include "cli/output.h"
#include "image/store.h"

#define FILESYSTEMS_MAX (64 * 1024)

/* Whether /proc/filesystems has it: a line "nodev\tNAME" or "\tNAME". A module that is not loaded yet is not
 * there. */
static bool kernel_has(const char *filesystems, const char *name) {
    _cleanup_free_ char *line = strf("\t%s\n", name);
    return filesystems && line && strstr(filesystems, line);
}

static size_t count_images(const char *path) {
    _cleanup_(store_done) struct store s = {.fd = -1};
    struct store_reference *l = NULL;
    size_t n = 0;

    if (store_open(path, false, &s, NULL) >= 0 && store_reference_list(&s, &l, &n, NULL) >= 0)
        store_references_free(l, n);
    return n;
}

json_t *storage_describe(const char *state_dir) {
    _cleanup_free_ char *path = path_join(state_dir, "images"), *filesystems = NULL;
    struct statvfs fs = {};
    struct utsname name = {};

    if (!path)
        return NULL;
    (void)file_read(AT_FDCWD, "/proc/filesystems", FILESYSTEMS_MAX, &filesystems, NULL);
    (void)statvfs(state_dir, &fs);
    (void)uname(&name);
    long landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:I, s:b, s:b}", "driver", "overlay", "path", path,
        "size", (json_int_t)fs.f_blocks * (json_int_t)fs.f_frsize, "free",
        (json_int_t)fs.f_bavail * (json_int_t)fs.f_frsize, "images", (json_int_t)count_images(path), "kernel",
        name.release, "landlock", (json_int_t)MAX(landlock, 0L), "erofs",
        (int)kernel_has(filesystems, "erofs"), "squashfs", (int)kernel_has(filesystems, "squashfs"));
}

void storage_print(json_t *s) {
    char size[16], available[16];

    (void)printf("%18s: %s, %lld images in %s\n", "Storage driver", json_text(s, "driver"),
        (long long)json_number(s, "images", 0), json_text(s, "path"));
    (void)printf("%18s: %s free of %s\n", "Disk", size_format((uint64_t)json_number(s, "free", 0), available),
        size_format((uint64_t)json_number(s, "size", 0), size));
    (void)printf("%18s: %s, Landlock %lld%s%s\n", "Kernel", json_text(s, "kernel"),
        (long long)json_number(s, "landlock", 0), json_flag(s, "erofs") ? ", erofs" : "",
        json_flag(s, "squashfs") ? ", squashfs" : "");
}
