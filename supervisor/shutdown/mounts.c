/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shutdown/mounts.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "base/fs.h"
#include "base/log.h"
#include "shutdown/shutdown.h"

/* A disk that has stopped answering: each mount on it costs this much. */
#define UMOUNT_USEC (15 * USEC_PER_SEC)
#define MOUNTINFO_MAX ((size_t)64 * 1024 * 1024) /* some 100,000 mounts */

/* ---- reading ---- */

bool device_number_parse(const char *s, unsigned *ret_major, unsigned *ret_minor) {
    char *colon, *end;
    unsigned long major = strtoul(s, &colon, 10);

    if (colon == s || *colon != ':')
        return false;
    unsigned long minor = strtoul(colon + 1, &end, 10);
    if (end == colon + 1 || *end != '\0' || major > UINT32_MAX || minor > UINT32_MAX)
        return false;
    *ret_major = (unsigned)major;
    *ret_minor = (unsigned)minor;
    return true;
}

static bool is_or_is_below(const char *path, const char *directory) {
    const char *rest = startswith(path, directory);
    return rest && (*rest == '\0' || *rest == '/');
}

static bool is_kept(const char *path) {
    static const char *const kept[] = {"/proc", "/sys", "/dev"};

    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        if (is_or_is_below(path, kept[i]))
            return true;
    return streq(path, "/") || streq(path, "/run") || is_or_is_below(path, INITRAMFS_ROOT);
}

static bool has_option(const char *options, const char *name) {
    size_t n = strlen(name);

    for (const char *p = options; *p; p += strspn(p, ",")) {
        size_t length = strcspn(p, ",");
        if (length == n && strncmp(p, name, n) == 0)
            return true;
        p += length;
    }
    return false;
}

/* "36 35 98:0 /root /mnt rw,noatime shared:1 - ext4 /dev/sda1 rw": false if it is not of that form. */
static bool parse_line(char *line, struct mount_point *ret) {
    char *fields[6], *rest = line;

    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (!(fields[i] = strsep(&rest, " ")))
            return false;
    char *separator = !rest ? NULL : startswith(rest, "- ") ? rest : strstr(rest, " - ");
    if (!separator || !device_number_parse(fields[2], &ret->major, &ret->minor))
        return false;
    rest = strchr(separator, '-') + 2; /* before it: optional fields, perhaps none */
    char *type = strsep(&rest, " ");
    (void)strsep(&rest, " "); /* the source */
    if (!type || !rest)
        return false;
    (void)octal_unescape(fields[4]);
    (void)octal_unescape(type);
    ret->path = strdup(fields[4]);
    ret->type = strdup(type);
    ret->network = fs_type_is_network(type);
    ret->read_only = has_option(rest, "ro"); /* of the file system, whatever the mount says */
    ret->keep = is_kept(fields[4]);
    return true;
}

void mount_list_done(struct mount_list *l) {
    for (size_t i = 0; i < l->n; i++) {
        free(l->points[i].path);
        free(l->points[i].type);
    }
    free(l->points);
    *l = (struct mount_list){};
}

static size_t count_lines(const char *text) {
    size_t n = 1;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

int mount_list_parse(char *text, struct mount_list *ret) {
    struct mount_list l = {.points = calloc(count_lines(text), sizeof *l.points)};

    if (!l.points)
        return -ENOMEM;
    for (char *line; (line = strsep(&text, "\n"));) {
        struct mount_point p = {};
        if (!parse_line(line, &p))
            continue;
        l.points[l.n++] = p;
        if (!p.path || !p.type) {
            mount_list_done(&l);
            return -ENOMEM;
        }
    }
    for (size_t i = 0, j = l.n; i + 1 < j; i++) {
        struct mount_point p = l.points[i];
        l.points[i] = l.points[--j];
        l.points[j] = p;
    }
    *ret = l;
    return 0;
}

int mount_list_read(struct mount_list *ret) {
    _cleanup_free_ char *text = NULL;
    int r = file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL);

    return r < 0 ? r : mount_list_parse(text, ret);
}

/* ---- taking apart; in a child (bounded.c) ---- */

/* The file system itself, with all its options as they are: fspick(2), so that nothing has to be said again.
 */
static int remount_read_only(const char *path) {
    int fd = (int)syscall(SYS_fspick, AT_FDCWD, path, FSPICK_CLOEXEC | FSPICK_NO_AUTOMOUNT);
    if (fd < 0)
        return negative_errno();
    int r = 0;
    if (syscall(SYS_fsconfig, fd, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
        syscall(SYS_fsconfig, fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
        r = negative_errno();
    (void)close(fd);
    return r;
}

static int unmount_one(void *context, size_t i) {
    const struct mount_list *l = context;
    const struct mount_point *p = &l->points[i];

    if (umount2(p->path, UMOUNT_NOFOLLOW) == 0)
        return 0;
    int r = negative_errno();
    if (r == -EINVAL || r == -ENOENT)
        return 0; /* gone with another one */
    return p->network && umount2(p->path, UMOUNT_NOFOLLOW | MNT_FORCE | MNT_DETACH) == 0 ? 0 : r;
}

static int remount_one(void *context, size_t i) {
    const struct mount_list *l = context;

    return remount_read_only(l->points[i].path);
}

static int remount_root(_unused_ void *context, _unused_ size_t i) {
    return remount_read_only("/");
}

/* ---- rounds ---- */

static bool is_api(const struct mount_point *p) {
    return is_or_is_below(p->path, "/proc") || is_or_is_below(p->path, "/sys") ||
           is_or_is_below(p->path, "/dev");
}

/* Memory, and what is read-only already, loses nothing. */
static bool is_worth_a_remount(const struct mount_point *p) {
    return !p->read_only && !p->network && !is_api(p) && !streq(p->type, "tmpfs") &&
           !streq(p->type, "ramfs") && !streq(p->type, "rootfs") && !streq(p->type, "autofs");
}

/* Those of all that select() wants, as a list of their own that shares the strings. */
static int subset(
    const struct mount_list *all, bool (*wanted)(const struct mount_point *p), struct mount_list *ret) {
    ret->points = calloc(all->n + 1, sizeof *ret->points);
    ret->n = 0;
    if (!ret->points)
        return -ENOMEM;
    for (size_t i = 0; i < all->n; i++)
        if (wanted(&all->points[i]))
            ret->points[ret->n++] = all->points[i];
    return 0;
}

static bool is_to_be_unmounted(const struct mount_point *p) {
    return !p->keep;
}

static size_t run_round(const struct mount_list *all, bool (*wanted)(const struct mount_point *p),
    int (*function)(void *context, size_t i), struct mount_list *ret_part, int **ret_results) {
    size_t went = 0;

    *ret_results = NULL;
    if (subset(all, wanted, ret_part) < 0)
        return 0;
    int *results = calloc(ret_part->n + 1, sizeof *results);
    if (results)
        bounded_run(ret_part->n, function, ret_part, UMOUNT_USEC, results);
    for (size_t i = 0; results && i < ret_part->n; i++)
        went += results[i] == 0;
    *ret_results = results;
    return went;
}

static void report_left(const struct mount_list *part, const int *results) {
    for (size_t i = 0; results && i < part->n; i++) {
        const struct mount_point *p = &part->points[i];
        if (results[i] == 0)
            continue;
        log_warning("left: %s (%s): %s", p->path, p->type, errno_text(results[i]));
        holders_report(p->path, p->major, p->minor);
    }
}

size_t mounts_take_apart(bool report, size_t *ret_left) {
    _cleanup_(mount_list_done) struct mount_list all = {};
    struct mount_list part = {};
    int *results;

    *ret_left = 1; /* the root, as long as nothing else is known */
    int r = mount_list_read(&all);
    if (r < 0) {
        (void)log_errno(LOG_ERR, r, "cannot read what is mounted");
        (void)bounded_call(remount_root, NULL, UMOUNT_USEC);
        return 0;
    }
    size_t went = run_round(&all, is_to_be_unmounted, unmount_one, &part, &results);
    free(part.points);
    free(results);
    mount_list_done(&all);

    /* What does not go is at least made clean. That is no progress: another round would do the same. */
    if (mount_list_read(&all) < 0)
        return went;
    (void)run_round(&all, is_worth_a_remount, remount_one, &part, &results);
    if (results)
        *ret_left = 0;
    for (size_t i = 0; results && i < part.n; i++)
        *ret_left += results[i] != 0;
    if (report)
        report_left(&part, results);
    free(part.points);
    free(results);
    return went;
}
