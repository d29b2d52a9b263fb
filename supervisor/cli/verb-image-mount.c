/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image mount, unmount: an image's root file system, read-only, on the host; and where they are mounted. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/parse.h"
#include "cli/images.h"
#include "cli/output.h"
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

/* For kernels before that: all at once. */
static int mount_layers_by_number(char *const *layers, const char *target, struct error *e) {
    _cleanup_close_ int target_fd = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
    size_t n = strv_length(layers), n_open = 0;
    char where[16];
    _cleanup_free_ int *fds = calloc(n, sizeof(*fds));
    int r = 0;

    if (!fds)
        return error_set(e, ENOMEM, "out of memory");
    if (target_fd < 0)
        return error_set_errno(e, errno, "open %s", target);
    for (; n_open < n && r >= 0; n_open++) {
        const char *layer = layers[n - 1 - n_open]; /* topmost first */
        fds[n_open] = open(layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fds[n_open] < 0)
            r = error_set_errno(e, errno, "open layer %s", layer);
    }
    (void)snprintf(where, sizeof(where), "%d", target_fd);
    if (r >= 0)
        r = mount_overlay_numbers(fds, n, "", where, MS_RDONLY | MS_NOSUID | MS_NODEV, e);
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

/* ---- what is mounted ---- */

/*
 * <runtime>/images has a directory HEX, an image's ID, for each image that is mounted there, and a link
 * HEX.MOUNT for each that is mounted elsewhere: it leads there, and MOUNT is the kernel's number of the mount.
 * Both are only believed if something is mounted there (and it is that mount): a reboot or an umount(8) undoes
 * them without a word.
 */
static uint64_t mount_number(const char *path) {
    struct statx st;

    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_MNT_ID, &st) < 0 ||
        !(st.stx_attributes & STATX_ATTR_MOUNT_ROOT))
        return 0;
    return st.stx_mnt_id;
}

static void note_mount(struct cli *c, const struct store_image *i, const char *target) {
    _cleanup_free_ char *where = realpath(target, NULL);
    _cleanup_free_ char *link =
        strf("%s.%" PRIu64, digest_hex(i->manifest.config.digest), where ? mount_number(where) : 0);
    _cleanup_free_ char *directory = path_join(c->paths.runtime, "images"), *path = NULL;

    if (where && link && directory && (path = path_join(directory, link)) &&
        mkdir_parents(AT_FDCWD, directory, 0700) >= 0 && symlink(where, path) < 0)
        cli_remark(c, "%s: %s; 'davit image mount' will not list it", path, errno_text(errno));
}

/* Where the entry says that an image is mounted; NULL if it is not, any more. */
static char *mounted_at(const char *directory, const char *entry) {
    _cleanup_free_ char *path = path_join(directory, entry), *where = NULL;
    const char *dot = strchr(entry, '.');
    char target[PATH_MAX];
    uint64_t number;

    if (!path)
        return NULL;
    if (!dot)
        return mount_number(path) != 0 ? TAKE_PTR(path) : NULL;
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    if (n < 0 || parse_uint(dot + 1, 1, UINT64_MAX, &number) < 0)
        return NULL;
    target[n] = '\0';
    where = strdup(target);
    return where && mount_number(where) == number ? TAKE_PTR(where) : NULL;
}

/* The link of what was mounted there, which is not mounted any more. */
static void forget_mount(struct cli *c, uint64_t number) {
    _cleanup_free_ char *directory = path_join(c->paths.runtime, "images"), *end = strf(".%" PRIu64, number);
    DIR *l = directory && end ? opendir(directory) : NULL;

    for (const struct dirent *entry; l && (entry = readdir(l));)
        if (endswith(entry->d_name, end))
            (void)unlinkat(dirfd(l), entry->d_name, 0);
    if (l)
        (void)closedir(l);
}

/* With the members of `podman image mount --format json`. */
static void add_mount(const struct images *images, json_t *all, const char *id, const char *where) {
    _cleanup_(store_image_done) struct store_image image = {};
    _cleanup_strv_free_ char **names = NULL;
    const struct store *s;

    /* An image may have been removed below a mount. */
    if (images_look_up(images, id, &image, &s, NULL) >= 0)
        (void)image_names(s, image.manifest_digest, &names);
    json_t *list = json_texts(names);
    (void)json_array_append_new(
        all, json_pack("{ss so sO ss}", "id", id, "Names", list, "Repositories", list, "mountpoint", where));
}

static int list_mounts(struct cli *c, const struct images *images, json_t *all) {
    _cleanup_free_ char *directory = path_join(c->paths.runtime, "images");
    struct dirent **entries;

    if (!directory)
        return -ENOMEM;
    int n = scandir(directory, &entries, NULL, alphasort);
    if (n < 0)
        return errno == ENOENT ? 0 : negative_errno();
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        _cleanup_free_ char *where = *name == '.' ? NULL : mounted_at(directory, name);
        _cleanup_free_ char *id = strndup(name, strcspn(name, "."));
        if (where && id)
            add_mount(images, all, id, where);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

static void print_mounts(struct cli *c, json_t *all) {
    json_t *mount;
    size_t i;

    if (c->options.json) {
        json_print(all);
        return;
    }
    JSON_ARRAY_FOREACH (i, mount, all) {
        const char *name = json_string_value(json_array_get(json_object_get(mount, "Names"), 0));
        (void)printf("%s  %s\n", name ?: json_text(mount, "id"), json_text(mount, "mountpoint"));
    }
}

/* ---- the verbs ---- */

static int list(struct cli *c, const struct images *images) {
    json_t *all = json_array();

    int r = list_mounts(c, images, all);
    if (r >= 0)
        print_mounts(c, all);
    else
        cli_error("%s/images: %s", c->paths.runtime, errno_text(r));
    json_decref(all);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void print_mount(
    struct cli *c, const struct images *images, const struct store_image *i, const char *where) {
    json_t *all = json_array();

    if (c->options.json) {
        add_mount(images, all, digest_hex(i->manifest.config.digest), where);
        json_print(all);
    } else
        (void)puts(where);
    json_decref(all);
}

int verb_image_mount(struct cli *c, char **arguments, size_t n) {
    _cleanup_(store_image_done) struct store_image image = {};
    _cleanup_(images_done) struct images images = {};
    _cleanup_free_ char *target = NULL;
    const struct store *s;
    struct error e = {};

    if (images_open(c, false, &images) < 0)
        return EXIT_FAILURE;
    if (n == 0)
        return list(c, &images);
    if (images_load(&images, arguments[0], &image, &s) < 0)
        return EXIT_FAILURE;
    target = n > 1 ? strdup(arguments[1]) : default_target(c, &image);
    int r = target ? mount_image(s, &image, target, &e) : error_set(&e, ENOMEM, "out of memory");
    if (r < 0) {
        cli_error("%s", e.text);
        return EXIT_FAILURE;
    }
    if (n > 1)
        note_mount(c, &image, target);
    print_mount(c, &images, &image, target);
    return EXIT_SUCCESS;
}

int verb_image_unmount(struct cli *c, char **arguments, size_t n _unused_) {
    _cleanup_(store_image_done) struct store_image image = {};
    _cleanup_(images_done) struct images images = {};
    _cleanup_free_ char *target = NULL;
    bool own = *arguments[0] != '/' && *arguments[0] != '.';
    const struct store *s;

    if (own) {
        if (images_open(c, false, &images) < 0 || images_load(&images, arguments[0], &image, &s) < 0)
            return EXIT_FAILURE;
        target = default_target(c, &image);
    } else
        target = strdup(arguments[0]);
    uint64_t number = target && !own ? mount_number(target) : 0;
    if (!target || umount2(target, UMOUNT_NOFOLLOW) < 0) {
        if (target && (errno == EINVAL || errno == ENOENT))
            cli_error("%s is not mounted%s%s", arguments[0], own ? " on " : "", own ? target : "");
        else
            cli_error("%s: %s", target ?: arguments[0], errno_text(errno));
        return EXIT_FAILURE;
    }
    if (own)
        (void)rmdir(target);
    else if (number > 0)
        forget_mount(c, number);
    return EXIT_SUCCESS;
}
