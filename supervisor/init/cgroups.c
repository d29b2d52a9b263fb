/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hierarchies of control groups at boot. Unified: one at /sys/fs/cgroup. Hybrid: a tmpfs there, one v1
 * hierarchy a controller beside /sys/fs/cgroup/unified, which has none, as systemd lays it out. Legacy: the
 * same without the unified one.
 */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/log.h"
#include "init/mounts.h"

#define ROOT "/sys/fs/cgroup"
#define OWN_GROUP "init.scope" /* the name by which others know it */
#define SAFE (MS_NOSUID | MS_NOEXEC | MS_NODEV)
#define CONTROLLERS_MAX 4096

/* Controllers that have shared one hierarchy since there are distributions. */
static const struct {
    const char *first, *second, *together;
} pairs[] = {
    {"cpu", "cpuacct", "cpu,cpuacct"},
    {"net_cls", "net_prio", "net_cls,net_prio"},
};

static int enter_own_group(const char *root) {
    char path[64];

    (void)snprintf(path, sizeof path, "%s/" OWN_GROUP, root);
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return negative_errno();
    (void)snprintf(path, sizeof path, "%s/" OWN_GROUP "/cgroup.procs", root);
    return file_write(AT_FDCWD, path, "0");
}

static void mount_controller(const char *name) {
    char directory[64], link[64];
    const char *second = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        if (streq(name, pairs[i].second))
            return; /* came with the first */
        if (streq(name, pairs[i].first)) {
            second = pairs[i].second;
            name = pairs[i].together;
            break;
        }
    }
    (void)snprintf(directory, sizeof directory, ROOT "/%s", name);
    (void)mkdir(directory, 0755);
    if (mount("cgroup", directory, "cgroup", SAFE, name) < 0) {
        (void)log_errno(LOG_WARNING, errno, "no v1 hierarchy for %s", name);
        (void)rmdir(directory);
        return;
    }
    if (!second)
        return;
    (void)snprintf(link, sizeof link, ROOT "/%s", second);
    (void)!symlink(name, link);
    (void)snprintf(link, sizeof link, ROOT "/%.*s", (int)strcspn(name, ","), name);
    (void)!symlink(name, link);
}

/* "#subsys_name hierarchy num_cgroups enabled" */
static int mount_controllers(struct error *e) {
    char text[CONTROLLERS_MAX], *rest = text, *line;

    _cleanup_close_ int fd = open("/proc/cgroups", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0)
        return error_set_errno(e, errno, "/proc/cgroups");
    text[n] = '\0';
    while ((line = strsep(&rest, "\n"))) {
        size_t length = strlen(line);
        if (line[0] == '#' || length < 2 || !streq(line + length - 2, "\t1"))
            continue;
        line[strcspn(line, "\t")] = '\0';
        if (strlen(line) < 32)
            mount_controller(line);
    }
    return 0;
}

int cgroups_make(enum cgroup_layout layout, struct error *e) {
    const char *unified = ROOT;

    if (layout != CGROUP_UNIFIED) {
        unified = ROOT "/unified";
        if (umount(ROOT) < 0 || mount("tmpfs", ROOT, "tmpfs", SAFE | MS_STRICTATIME, "mode=0755,size=4m") < 0)
            return error_set_errno(e, errno, "cannot lay out v1 control groups at " ROOT);
        int r = mount_controllers(e);
        if (r < 0)
            return r;
        if (layout == CGROUP_LEGACY)
            return 0;
        (void)mkdir(unified, 0755);
        if (mount("cgroup2", unified, "cgroup2", SAFE, "nsdelegate") < 0)
            return error_set_errno(e, errno, "cannot mount cgroup2 on %s", unified);
    }
    int r = enter_own_group(unified);
    return r < 0 ? error_set_errno(e, r, "davit-init has no control group of its own") : 0;
}
