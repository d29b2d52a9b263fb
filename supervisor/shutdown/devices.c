/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Swap, loop devices, device-mapper and md: what lies below file systems. One row a kind: how to list, and
 * how to take away. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <linux/raid/md_u.h>
#include <sys/ioctl.h>
#include <sys/swap.h>

#include "base/fs.h"
#include "base/log.h"
#include "shutdown/mounts.h"
#include "shutdown/shutdown.h"

#define DETACH_USEC (30 * USEC_PER_SEC)

/* ---- lists ---- */

/* First column of /proc/swaps, the heading left out. */
static char **list_swaps(void) {
    _cleanup_free_ char *text = NULL;
    char **names = NULL;

    if (file_read(AT_FDCWD, "/proc/swaps", 1024 * 1024, &text, NULL) < 0)
        return NULL;
    char *rest = text;
    (void)strsep(&rest, "\n");
    for (char *line; (line = strsep(&rest, "\n"));) {
        line[strcspn(line, " \t")] = '\0';
        if (*line)
            (void)strv_append(&names, octal_unescape(line));
    }
    return names;
}

/* Block devices whose name begins with prefix and that have the attribute: kernel names. */
static char **list_blocks(const char *prefix, const char *attribute) {
    char **names = NULL;
    DIR *d = opendir("/sys/block");

    for (struct dirent *e; d && (e = readdir(d));) {
        char path[320];
        (void)snprintf(path, sizeof path, "%s/%s", e->d_name, attribute);
        if (startswith(e->d_name, prefix) && faccessat(dirfd(d), path, F_OK, 0) == 0)
            (void)strv_append(&names, e->d_name);
    }
    if (d)
        (void)closedir(d);
    return names;
}

static char **list_loops(void) {
    return list_blocks("loop", "loop/backing_file");
}

static char **list_mappings(void) {
    return list_blocks("dm-", "dm/name");
}

/* An array that was stopped stays in /sys as "clear". */
static char **list_arrays(void) {
    char **all = list_blocks("md", "md/array_state"), **names = NULL;

    STRV_FOREACH (name, all) {
        _cleanup_free_ char *path = strf("/sys/block/%s/md/array_state", *name), *state = NULL;
        if (path && file_read_line(AT_FDCWD, path, &state) >= 0 && !streq(state, "clear"))
            (void)strv_append(&names, *name);
    }
    strv_free(all);
    return names;
}

/* ---- taking away; in a child. 0 or -errno ---- */

static int device_ioctl(const char *name, unsigned long request) {
    _cleanup_free_ char *path = strf("/dev/%s", name);
    _cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;

    if (fd < 0 || ioctl(fd, request, 0) < 0)
        return negative_errno();
    return 0;
}

static int take_swap(const char *name) {
    return swapoff(name) < 0 ? negative_errno() : 0;
}

/* With a user left the kernel only marks it to go with the last one, and says that it is gone. */
static int take_loop(const char *name) {
    _cleanup_free_ char *attribute = strf("/sys/block/%s/loop/backing_file", name);
    int r = device_ioctl(name, LOOP_CLR_FD);

    if (r == -ENXIO)
        return 0;
    return r == 0 && attribute && access(attribute, F_OK) == 0 ? -EBUSY : r;
}

/* ioctl(2) by number; the name is for the kernel's own messages. */
static int take_mapping(const char *name) {
    _cleanup_free_ char *path = strf("/sys/block/%s/dev", name), *number = NULL;
    struct dm_ioctl dm = {.version = {DM_VERSION_MAJOR, 0, 0}, .data_size = sizeof dm};
    unsigned major, minor;

    if (!path || file_read_line(AT_FDCWD, path, &number) < 0 || !device_number_parse(number, &major, &minor))
        return -ENODEV;
    /* As the kernel packs it on this border: 12 bits of major between the minor's two parts. */
    dm.dev = (minor & 0xff) | (major << 8) | ((__u64)(minor & ~0xffU) << 12);
    _cleanup_close_ int fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, DM_DEV_REMOVE, &dm) < 0)
        return negative_errno();
    return 0;
}

static int take_array(const char *name) {
    return device_ioctl(name, STOP_ARRAY);
}

/* ---- */

static const struct kind {
    const char *name;
    char **(*list)(void);
    int (*take)(const char *name);
} kinds[] = {
    {"swap", list_swaps, take_swap},
    {"loop device", list_loops, take_loop},
    {"device-mapper device", list_mappings, take_mapping},
    {"md array", list_arrays, take_array},
};

struct round {
    const struct kind *kind;
    char **names;
};

static int take_one(void *context, size_t i) {
    const struct round *round = context;

    return round->kind->take(round->names[i]);
}

static size_t detach_kind(const struct kind *kind, bool report, size_t *left) {
    struct round round = {.kind = kind, .names = kind->list()};
    size_t n = strv_length(round.names), went = 0;
    _cleanup_free_ int *results = calloc(n + 1, sizeof *results);

    if (n > 0 && results)
        bounded_run(n, take_one, &round, DETACH_USEC, results);
    for (size_t i = 0; results && i < n; i++) {
        went += results[i] == 0;
        if (results[i] == 0)
            continue;
        *left += 1;
        if (report)
            log_warning("left: %s %s: %s", kind->name, round.names[i], errno_text(results[i]));
    }
    strv_free(round.names);
    return went;
}

size_t devices_detach(bool report, size_t *ret_left) {
    size_t went = 0;

    *ret_left = 0;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        went += detach_kind(&kinds[i], report, ret_left);
    return went;
}
