/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "launch/mount.h"

#include <string.h>

#include "base/str.h"

/* Fills e from the context's message log, which names the option that the kernel did not like ("e overlay:
 * ..."). */
static int filesystem_error(int fs_fd, int number, const char *what, const char *detail, struct error *e) {
    char message[256];

    ssize_t n = read(fs_fd, message, sizeof(message) - 1);
    if (n <= 2)
        return error_set_errno(e, number, "%s %s", what, detail);
    message[n] = '\0';
    message[strcspn(message, "\n")] = '\0';
    return error_set_errno(e, number, "%s %s: %s", what, detail, message + 2);
}

int filesystem_open(const char *type, struct error *e) {
    int fd = fsopen(type, FSOPEN_CLOEXEC);
    return fd < 0 ? error_set_errno(e, errno, "fsopen %s", type) : fd;
}

int filesystem_set(int fs_fd, const char *key, const char *value, struct error *e) {
    unsigned command = value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;

    if (fsconfig(fs_fd, command, key, value, 0) < 0)
        return filesystem_error(fs_fd, errno, "mount option", key, e);
    return 0;
}

int filesystem_set_options(int fs_fd, const char *options, struct error *e) {
    while (options && *options) {
        char option[256];
        size_t n = strcspn(options, ",");

        if (n >= sizeof(option))
            return error_set(e, EINVAL, "mount option is longer than %zu bytes", sizeof(option) - 1);
        memcpy(option, options, n);
        option[n] = '\0';
        options += n + (options[n] == ',');
        if (n == 0)
            continue;

        char *value = strchr(option, '=');
        if (value)
            *value++ = '\0';
        int r = filesystem_set(fs_fd, option, value, e);
        if (r < 0)
            return r;
    }
    return 0;
}

int filesystem_mount(int fs_fd, unsigned attributes, struct error *e) {
    if (fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return filesystem_error(fs_fd, errno, "fsconfig", "create", e);
    int fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, attributes);
    if (fd < 0)
        return filesystem_error(fs_fd, errno, "fsmount", "", e);
    return fd;
}

int mount_new(const char *type, const char *options, unsigned attributes, struct error *e) {
    _cleanup_close_ int fs_fd = filesystem_open(type, e);
    if (fs_fd < 0)
        return fs_fd;
    int r = filesystem_set_options(fs_fd, options, e);
    if (r >= 0)
        r = filesystem_mount(fs_fd, attributes, e);
    return r < 0 ? error_prefix(e, r, "%s", type) : r;
}

int mount_clone(int dirfd, const char *path, bool recursive) {
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path ? 0 : AT_EMPTY_PATH);
    return result_or_errno(open_tree(dirfd, path, flags | (recursive ? AT_RECURSIVE : 0)));
}

int mount_set(int fd, bool recursive, uint64_t set, uint64_t clear, uint64_t propagation, int userns_fd) {
    struct mount_attr a = {
        .attr_set = set | (userns_fd >= 0 ? MOUNT_ATTR_IDMAP : 0),
        .attr_clr = clear,
        .propagation = propagation,
        .userns_fd = userns_fd >= 0 ? (uint64_t)userns_fd : 0,
    };
    unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    return result_or_errno(mount_setattr(fd, "", flags, &a, sizeof(a)));
}

int mount_attach(int fd, int target_fd, const char *name) {
    unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (*name ? 0 : MOVE_MOUNT_T_EMPTY_PATH);
    return result_or_errno(move_mount(fd, "", target_fd, name, flags));
}

int mount_overlay_numbers(
    const int *layers, size_t n, const char *more, const char *where, unsigned long flags, struct error *e) {
    _cleanup_strbuf_ struct strbuf b = {};

    for (size_t i = 0; i < n; i++)
        strbuf_printf(&b, "%s%d", i == 0 ? "lowerdir=" : ":", layers[i]);
    strbuf_puts(&b, more);
    if (strbuf_failed(&b))
        return error_set(e, ENOMEM, "out of memory");
    if (b.length >= (size_t)sysconf(_SC_PAGESIZE))
        return error_set(e, E2BIG, "%zu layers are too many for this kernel", n);
    if (chdir("/proc/self/fd") < 0)
        return error_set_errno(e, errno, "chdir /proc/self/fd");
    int r = mount("davit", where, "overlay", flags, b.data) < 0 ? negative_errno() : 0;
    (void)!chdir("/");
    return r < 0 ? error_set_errno(e, r, "mount overlay of %zu layers", n) : 0;
}
