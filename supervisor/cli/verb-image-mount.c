/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image mount, unmount: an image's root file system, read-only, on the host. */
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/fs.h"
#include "cli/images.h"
#include "image/image.h"
#include "launch/mount.h"

#define MOUNT_FLAGS (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

/* <runtime>/images/ID, where no directory is named. */
static char *default_target(struct cli *c, const struct store_image *i) {
    return strf("%s/images/%s", c->paths.runtime, digest_hex(i->manifest.config.digest));
}

/* Overlay wants two layers, or one and an upper directory; a single one is bound. */
static int mount_single(const char *layer, struct error *e) {
    int fd = mount_clone(AT_FDCWD, layer, false);

    if (fd < 0)
        return error_set_errno(e, fd, "open_tree %s", layer);
    int r = mount_set(fd, false, MOUNT_FLAGS, 0, MS_PRIVATE, -1);
    if (r >= 0)
        return fd;
    close(fd);
    return error_set_errno(e, r, "mount_setattr %s", layer);
}

/* One by one, which kernels take from 6.7 on: -EINVAL before, as for what overlay does not want. */
static int mount_layers(char *const *layers, struct error *e) {
    _cleanup_close_ int fs = filesystem_open("overlay", e);
    int r = MIN(fs, 0);

    if (r >= 0)
        r = filesystem_set(fs, "source", "davit", e);
    for (size_t i = strv_length(layers); i-- > 0 && r >= 0;)
        r = filesystem_set(fs, "lowerdir+", layers[i], e);
    return r < 0 ? r : filesystem_mount(fs, MOUNT_FLAGS, e);
}

/* mount(2) takes a page of options. Standing in /proc/self/fd, directories have names of a few digits. */
static int mount_numbers(int target, const int *layers, size_t n, struct error *e) {
    _cleanup_strbuf_ struct strbuf options = {};
    char where[16];

    snprintf(where, sizeof(where), "%d", target);
    for (size_t i = n; i-- > 0;)
        strbuf_printf(&options, "%s%d", i == n - 1 ? "lowerdir=" : ":", layers[i]);
    if (options.failed)
        return error_set(e, ENOMEM, "out of memory");
    if (options.length >= (size_t)sysconf(_SC_PAGESIZE))
        return error_set(e, E2BIG, "%zu layers are too many for this kernel", n);
    if (chdir("/proc/self/fd") < 0)
        return error_set_errno(e, errno, "chdir /proc/self/fd");
    if (mount("davit", where, "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, options.data) < 0)
        return error_set_errno(e, errno, "mounting an overlay of %zu layers", n);
    return 0;
}

/* For kernels before that: all at once. */
static int mount_layers_by_number(char *const *layers, const char *target, struct error *e) {
    _cleanup_close_ int target_fd = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
    size_t n = strv_length(layers), n_open = 0;
    _cleanup_free_ int *fds = calloc(n, sizeof(*fds));
    int r = 0;

    if (!fds)
        return error_set(e, ENOMEM, "out of memory");
    if (target_fd < 0)
        return error_set_errno(e, errno, "open %s", target);
    for (; n_open < n && r >= 0; n_open++) {
        fds[n_open] = open(layers[n_open], O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fds[n_open] < 0)
            r = error_set_errno(e, errno, "open layer %s", layers[n_open]);
    }
    if (r >= 0)
        r = mount_numbers(target_fd, fds, n, e);
    while (n_open-- > 0)
        closep(&fds[n_open]);
    return r;
}

static int mount_image_layers(char *const *layers, const char *target, struct error *e) {
    bool single = strv_length(layers) == 1;
    _cleanup_close_ int fd = single ? mount_single(layers[0], e) : mount_layers(layers, e);

    if (fd == -EINVAL && !single)
        return mount_layers_by_number(layers, target, e);
    if (fd < 0)
        return fd;
    int r = mount_attach(fd, AT_FDCWD, target);
    return r < 0 ? error_set_errno(e, r, "mounting on %s", target) : 0;
}

static int mount_image(
    const struct store *s, const struct store_image *i, const char *target, struct error *e) {
    _cleanup_strv_free_ char **layers = NULL;

    STRV_FOREACH (id, i->config.diff_ids) {
        struct layer_info layer;
        int r = layer_find(s, *id, &layer, e);
        if (r >= 0 && layer.kind != LAYER_TREE)
            r = error_set(
                e, EOPNOTSUPP, "layer %s is a file system image: it is mounted in containers only", *id);
        if (r < 0)
            return r;
        layer_touch(s, *id);
    }
    int r = image_layers(s, i, &layers, e);
    if (r < 0)
        return r;
    if (!layers)
        return error_set(e, EINVAL, "the image has no layer");
    r = mkdir_parents(AT_FDCWD, target, 0700);
    if (r < 0)
        return error_set_errno(e, r, "making %s", target);
    return mount_image_layers(layers, target, e);
}

int verb_image_mount(struct cli *c, char **arguments, size_t n) {
    _cleanup_(store_image_done) struct store_image image = {};
    _cleanup_(images_done) struct images images = {};
    _cleanup_free_ char *target = NULL;
    const struct store *s;
    struct error e = {};

    if (images_open(c, false, &images) < 0 || images_load(&images, arguments[0], &image, &s) < 0)
        return EXIT_FAILURE;
    target = n > 1 ? strdup(arguments[1]) : default_target(c, &image);
    int r = target ? mount_image(s, &image, target, &e) : error_set(&e, ENOMEM, "out of memory");
    if (r < 0) {
        cli_error("%s", e.text);
        return EXIT_FAILURE;
    }
    (void)puts(target);
    return EXIT_SUCCESS;
}

int verb_image_unmount(struct cli *c, char **arguments, size_t n _unused_) {
    _cleanup_(store_image_done) struct store_image image = {};
    _cleanup_(images_done) struct images images = {};
    _cleanup_free_ char *target = NULL;
    bool own = *arguments[0] != '/';
    const struct store *s;

    if (own) {
        if (images_open(c, false, &images) < 0 || images_load(&images, arguments[0], &image, &s) < 0)
            return EXIT_FAILURE;
        target = default_target(c, &image);
    } else
        target = strdup(arguments[0]);
    if (!target || umount2(target, UMOUNT_NOFOLLOW) < 0) {
        if (target && (errno == EINVAL || errno == ENOENT))
            cli_error("%s is not mounted%s%s", arguments[0], own ? " on " : "", own ? target : "");
        else
            cli_error("%s: %s", target ?: arguments[0], errno_text(errno));
        return EXIT_FAILURE;
    }
    if (own)
        (void)rmdir(target);
    return EXIT_SUCCESS;
}
