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
#include "image/driver.h"
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

/* The driver, and what it finds. */
static json_t *describe_driver(const char *name, const char *state_dir) {
    const struct storage_driver *driver;
    struct error e = {};

    _cleanup_close_ int fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    json_t *o =
        json_pack("{s:s, s:b}", "driver", name, "shared_data", (int)(fd >= 0 && storage_shares_data(fd)));
    if (fd >= 0 && storage_driver_find(name, &driver, &e) >= 0 && driver->check &&
        driver->check(fd, state_dir, &e) < 0)
        (void)json_object_set_new(o, "problem", json_string(e.text));
    return o;
}

json_t *storage_describe(const char *driver, const char *state_dir) {
    _cleanup_free_ char *path = path_join(state_dir, "images"), *filesystems = NULL;
    struct statvfs fs = {};
    struct utsname name = {};

    if (!path)
        return NULL;
    (void)file_read(AT_FDCWD, "/proc/filesystems", FILESYSTEMS_MAX, &filesystems, NULL);
    (void)statvfs(state_dir, &fs);
    (void)uname(&name);
    long landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:s, s:I, s:b, s:b}", "path", path, "size",
        (json_int_t)fs.f_blocks * (json_int_t)fs.f_frsize, "free",
        (json_int_t)fs.f_bavail * (json_int_t)fs.f_frsize, "images", (json_int_t)count_images(path), "kernel",
        name.release, "landlock", (json_int_t)MAX(landlock, 0L), "erofs",
        (int)kernel_has(filesystems, "erofs"), "squashfs", (int)kernel_has(filesystems, "squashfs"));
    json_t *found = describe_driver(driver, state_dir);
    (void)json_object_update(o, found);
    json_decref(found);
    return o;
}

void storage_print(json_t *s) {
    char size[16], available[16];

    (void)printf("%18s: %s, %lld images in %s\n", "Storage driver", json_text(s, "driver"),
        (long long)json_number(s, "images", 0), json_text(s, "path"));
    if (*json_text(s, "problem"))
        (void)printf("%18s  %s\n", "", json_text(s, "problem"));
    (void)printf("%18s: %s free of %s%s\n", "Disk",
        size_format((uint64_t)json_number(s, "free", 0), available),
        size_format((uint64_t)json_number(s, "size", 0), size),
        json_flag(s, "shared_data") ? ", files can share their data" : "");
    (void)printf("%18s: %s, Landlock %lld%s%s\n", "Kernel", json_text(s, "kernel"),
        (long long)json_number(s, "landlock", 0), json_flag(s, "erofs") ? ", erofs" : "",
        json_flag(s, "squashfs") ? ", squashfs" : "");
}
