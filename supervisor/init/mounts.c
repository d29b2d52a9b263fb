/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "base/log.h"
#include "base/str.h"

#define SAFE (MS_NOSUID | MS_NOEXEC | MS_NODEV)

/* In this order: a target below another comes after it. gid 5 is "tty" wherever Debian's or Fedora's numbers
 * are used; the kernel resolves no names. */
const struct boot_mount boot_mounts[] = {
    {"/proc", "proc", SAFE, NULL, NULL, MOUNT_FATAL},
    {"/sys", "sysfs", SAFE, NULL, NULL, MOUNT_FATAL},
    {"/dev", "devtmpfs", MS_NOSUID | MS_STRICTATIME, "mode=0755,size=4m,nr_inodes=1m", NULL, MOUNT_WANTED},
    {"/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=0755,size=4m,nr_inodes=64k", NULL, MOUNT_FATAL},
    {"/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_STRICTATIME, "mode=01777", NULL, MOUNT_FATAL},
    {"/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666", "mode=0620,ptmxmode=0666",
        MOUNT_WANTED},
    {"/dev/mqueue", "mqueue", SAFE, NULL, NULL, MOUNT_OPTIONAL},
    {"/run", "tmpfs", MS_NOSUID | MS_NODEV | MS_STRICTATIME, "mode=0755,size=20%,nr_inodes=800k", NULL,
        MOUNT_FATAL},
    {"/sys/fs/cgroup", "cgroup2", SAFE, "nsdelegate,memory_recursiveprot", "", MOUNT_FATAL},
    {"/sys/kernel/security", "securityfs", SAFE, NULL, NULL, MOUNT_OPTIONAL},
    {"/sys/fs/pstore", "pstore", SAFE, NULL, NULL, MOUNT_OPTIONAL},
    {"/sys/fs/bpf", "bpf", SAFE, "mode=0700", NULL, MOUNT_OPTIONAL},
    {"/sys/firmware/efi/efivars", "efivarfs", SAFE, NULL, NULL, MOUNT_OPTIONAL},
    {"/sys/kernel/tracing", "tracefs", SAFE, NULL, NULL, MOUNT_OPTIONAL},
    {"/sys/kernel/config", "configfs", SAFE, NULL, NULL, MOUNT_OPTIONAL},
};
const size_t n_boot_mounts = ARRAY_SIZE(boot_mounts);

static const struct {
    const char *target, *name;
} dev_links[] = {
    {"/proc/self/fd", "/dev/fd"},
    {"/proc/self/fd/0", "/dev/stdin"},
    {"/proc/self/fd/1", "/dev/stdout"},
    {"/proc/self/fd/2", "/dev/stderr"},
    {"/proc/kcore", "/dev/core"},
};

/* devices.txt of the kernel's documentation. */
static const struct {
    const char *name;
    mode_t mode;
    unsigned major, minor;
} dev_nodes[] = {
    {"/dev/null", 0666, 1, 3},
    {"/dev/zero", 0666, 1, 5},
    {"/dev/full", 0666, 1, 7},
    {"/dev/random", 0666, 1, 8},
    {"/dev/urandom", 0666, 1, 9},
    {"/dev/kmsg", 0644, 1, 11},
    {"/dev/tty", 0666, 5, 0},
    {"/dev/console", 0600, 5, 1},
};

bool is_mount_point(const char *path) {
    struct statx st = {};

    return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &st) == 0 &&
           (st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) && (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int mount_one(const struct boot_mount *m) {
    if (is_mount_point(m->target))
        return 0;
    /* On a read-only root the directory has to be there. */
    if (m->need != MOUNT_OPTIONAL)
        (void)mkdir(m->target, 0755);
    if (mount(m->type, m->target, m->type, m->flags, m->options) == 0)
        return 0;
    if (errno == EINVAL && m->older_options &&
        mount(m->type, m->target, m->type, m->flags, m->older_options) == 0)
        return 0;
    return negative_errno();
}

/* A root that is the initramfs itself cannot be pivoted away from, and that is what launchers and containers
 * do. On top of itself it can. /run is only a directory to do it with: nothing is mounted yet. */
static int leave_first_mount(void) {
    struct statfs fs;

    if (statfs("/", &fs) < 0 || (fs.f_type != RAMFS_MAGIC && fs.f_type != TMPFS_MAGIC))
        return 0;
    (void)mkdir("/run", 0755);
    if (is_mount_point("/run"))
        return 0;
    if (mount("/", "/run", NULL, MS_BIND, NULL) < 0 || chdir("/run") < 0 ||
        mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return negative_errno();
    return 0;
}

/* What is there already is right: devtmpfs has the nodes, an initramfs may have made the links. */
static void populate_dev(void) {
    mode_t mask = umask(0);

    for (size_t i = 0; i < ARRAY_SIZE(dev_nodes); i++)
        (void)!mknod(
            dev_nodes[i].name, S_IFCHR | dev_nodes[i].mode, makedev(dev_nodes[i].major, dev_nodes[i].minor));
    (void)umask(mask);
    for (size_t i = 0; i < ARRAY_SIZE(dev_links); i++)
        (void)!symlink(dev_links[i].target, dev_links[i].name);
    /* The multiplexer of this machine's devpts, not of the kernel's first one. */
    (void)!symlink("pts/ptmx", "/dev/ptmx");
}

void mounts_make_in_container(void) {
    struct statfs fs;

    for (size_t i = 0; i < n_boot_mounts; i++) {
        const struct boot_mount *m = &boot_mounts[i];
        if (!streq(m->type, "cgroup2"))
            continue;
        /* sysfs: an empty directory. Anything else, a tmpfs with v1 hierarchies for one, was put there. */
        if (statfs(m->target, &fs) < 0 || fs.f_type != SYSFS_MAGIC)
            return;
        int r = mount_one(m);
        if (r < 0)
            (void)log_errno(LOG_WARNING, r, "cannot mount %s on %s", m->type, m->target);
        return;
    }
}

int mounts_make(struct error *e) {
    int r = leave_first_mount();

    if (r < 0)
        (void)log_errno(LOG_WARNING, r, "the initramfs stays the kernel's first mount: containers will fail");
    for (size_t i = 0; i < n_boot_mounts; i++) {
        const struct boot_mount *m = &boot_mounts[i];
        r = mount_one(m);
        if (r >= 0)
            continue;
        if (m->need == MOUNT_FATAL)
            return error_set_errno(e, r, "cannot mount %s on %s", m->type, m->target);
        if (m->need == MOUNT_WANTED)
            (void)log_errno(LOG_WARNING, r, "cannot mount %s on %s", m->type, m->target);
    }
    populate_dev();
    if (mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
        (void)log_errno(LOG_WARNING, errno, "/ cannot become a shared mount");
    return 0;
}
