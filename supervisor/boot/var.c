/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A /var that can be written to, whatever the root is: from the device that `davit.var=` names, or in memory.
 * In memory nothing lasts; images that the read-only root carries in /var/lib/davit/images are seen there
 * still. The same for /tmp.
 */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/log.h"
#include "boot/boot.h"
#include "boot/mounting.h"
#include "init/mounts.h"

#define IMAGES "/var/lib/davit/images"

static bool is_writable(const char *directory) {
    return access(directory, W_OK) == 0;
}

static int mount_memory(const char *target, const char *options) {
    return mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0 ? negative_errno() : 0;
}

/* The images of the root below, if there are any, at the same place of the new /var. */
static void bring_images(int images_fd) {
    if (images_fd < 0)
        return;
    int r = mkdir_parents(AT_FDCWD, IMAGES, 0755);
    if (r >= 0 && move_mount(images_fd, "", AT_FDCWD, IMAGES, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        r = negative_errno();
    if (r < 0)
        (void)log_errno(LOG_WARNING, r, IMAGES " of the read-only root is hidden");
}

static void var_in_memory(struct boot_context *c) {
    _cleanup_close_ int images_fd = open_tree(AT_FDCWD, IMAGES, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    int r = mount_memory("/var", "mode=0755,size=50%,nr_inodes=1m");
    if (r < 0) {
        boot_emergency(c, "/var cannot be written to, and not be kept in memory: %s", errno_text(r));
        return;
    }
    bring_images(images_fd);
    log_notice("/var is kept in memory: what is written there is gone after a reboot");
}

static void var_from_device(struct boot_context *c) {
    char line[BOOT_NAME_MAX + 64];
    _cleanup_(fstab_entry_done) struct fstab_entry f = {};
    struct error e = {};

    (void)snprintf(line, sizeof line, "%s /var auto nosuid,nodev", c->options.var);
    int r = fstab_parse_line(line, &f, &e);
    if (r > 0)
        r = fstab_mount(&f, now_monotonic(), &e);
    if (r < 0)
        boot_emergency(c, "davit.var=%s: %s", c->options.var, e.text);
}

static void make_directories(void) {
    static const struct {
        const char *path;
        mode_t mode;
    } table[] = {{"/run/lock", 01777}, {"/var/lib", 0755}, {"/var/log", 0755}, {"/var/cache", 0755},
        {"/var/tmp", 01777}};

    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (mkdir(table[i].path, 0755) == 0)
            (void)chmod(table[i].path, table[i].mode);
    (void)!symlink("/run", "/var/run");
    (void)!symlink("/run/lock", "/var/lock");
}

void step_var(struct boot_context *c) {
    if (*c->options.var && !streq(c->options.var, "tmpfs"))
        var_from_device(c);
    if (streq(c->options.var, "tmpfs") || !is_writable("/var"))
        var_in_memory(c);
    if (!is_writable("/tmp") && mount_memory("/tmp", "mode=1777,size=50%,nr_inodes=1m") < 0)
        boot_problem(c, "/tmp cannot be written to: %s", errno_text(errno));
    make_directories();
}
