/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/container.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "cli/output.h"
#include "image/driver.h"

#define UID_MAP_MAX 4096
#define DESCRIBE_TIMEOUT (60 * USEC_PER_SEC)

void container_done(struct container *c) {
    free(c->unit);
    free(c->directory);
    free(c->upper);
    free(c->tree);
    free(c->image);
    free(c->rootfs);
    json_decref(c->details);
    *c = (struct container){};
}

/* The first line of uid_map: "INSIDE OUTSIDE COUNT" (user_namespaces(7)). What maps all ids to themselves is
 * the host's. */
static void read_ids(struct container *c) {
    char path[64];
    _cleanup_free_ char *text = NULL;
    unsigned inside, outside, count;

    (void)snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)c->pid);
    if (file_read(AT_FDCWD, path, UID_MAP_MAX, &text, NULL) < 0)
        return;
    // NOLINTNEXTLINE(cert-err34-c): the kernel wrote it
    if (sscanf(text, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 && outside != 0) {
        c->id_base = outside;
        c->id_count = count;
    }
}

json_t *container_setting(const struct container *c, const char *key) {
    return json_object_get(json_object_get(c->details, "settings"), key);
}

static const char *first(const struct container *c, const char *key) {
    return json_string_value(json_array_get(container_setting(c, key), 0));
}

static int take_directory(struct container *c, const char *directory) {
    if (!(c->directory = strdup(directory)) || !(c->tree = path_join(directory, TREE_NAME)))
        return -ENOMEM;
    if (access(c->tree, F_OK) == 0)
        return 0;
    free(TAKE_PTR(c->tree));
    c->upper = path_join(directory, "upper");
    return c->upper ? 0 : -ENOMEM;
}

static int take(json_t *details, struct container *ret, struct error *e) {
    _cleanup_(container_done) struct container c = {.details = json_incref(details)};
    const char *directory = json_text(details, "upper_dir");

    c.pid = (pid_t)json_number(details, "pid", 0);
    if (free_and_strdup(&c.unit, json_text(details, "name")) < 0 ||
        free_and_strdup(&c.image, first(&c, "Container.Image")) < 0 ||
        free_and_strdup(&c.rootfs, first(&c, "Container.Rootfs")) < 0 ||
        (*directory && take_directory(&c, directory) < 0))
        return error_set(e, ENOMEM, "out of memory");
    if (c.pid > 0)
        read_ids(&c);
    *ret = c;
    c = (struct container){};
    return 0;
}

int container_find(struct cli *c, const char *name, struct container *ret, struct error *e) {
    struct client_reply reply;

    int r = c->client ? 0 : client_open(c->paths.runtime, true, &c->client, e);
    if (r >= 0)
        r = client_call(
            c->client, "io.davit.Unit.Describe", unit_parameter(name), DESCRIBE_TIMEOUT, &reply, e);
    if (r < 0)
        return r;
    json_t *details = json_object_get(reply.parameters, "unit");
    if (reply.error)
        r = error_set(e, -cli_reply_number(&reply), "%s", client_reply_message(&reply));
    else if (!streq(json_text(details, "type"), "container"))
        r = error_set(e, EINVAL, "%s is no container", json_text(details, "name"));
    else
        r = take(details, ret, e);
    client_reply_done(&reply);
    return r;
}

int container_open(struct cli *c, const char *name, struct container *ret) {
    struct error e = {};

    int r = container_find(c, name, ret, &e);
    if (r < 0)
        cli_error("%s", e.text);
    return r;
}

int container_open_running(struct cli *c, const char *name, struct container *ret) {
    int r = container_open(c, name, ret);

    if (r >= 0 && ret->pid <= 0) {
        cli_error("%s does not run: what it wrote to its root file system is gone", ret->unit);
        container_done(ret);
        return -ESRCH;
    }
    return r;
}

int container_root(const struct container *c) {
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/root", (int)c->pid);
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        int r = negative_errno();
        cli_error("the root directory of %s: %s", c->unit, errno_text(r));
        return r;
    }
    return fd;
}

/* The manifest that the unit was last started with, as davitd has noted it; "" if it has not. */
static void noted_manifest(
    const struct container *c, const struct images *images, char ret[static DIGEST_TEXT]) {
    *ret = '\0';
    for (size_t i = 0; i < images->n && *ret == '\0'; i++) {
        struct store_use use;
        if (store_use_get(&images->stores[i], c->unit, &use, NULL) >= 0)
            memcpy(ret, use.current, sizeof(use.current));
    }
}

int container_resolve(struct cli *c, const struct container *container, struct image *ret) {
    const char *name = container->image ?: container->rootfs ?: "";
    _cleanup_(images_done) struct images images = {};
    _cleanup_(image_done) struct image named = {};
    char manifest[DIGEST_TEXT] = "";

    /* A plain directory comes before any image of its name, and nothing is noted of it. */
    bool plain = images_find_layers(c, name, &named, NULL) >= 0 && *named.manifest == '\0';
    if (!plain && container->image) {
        int r = images_open(c, false, &images);
        if (r < 0)
            return r;
        noted_manifest(container, &images, manifest);
    }
    return images_resolve(c, *manifest ? manifest : name, ret);
}

int container_image(struct cli *c, const struct container *container, const struct images *images,
    struct store_image *ret, const struct store **ret_store) {
    _cleanup_(image_done) struct image image = {};

    if (!container->image) {
        cli_error("%s has no image: its root file system is a plain directory (Rootfs=)", container->unit);
        return -ENOENT;
    }
    int r = container_resolve(c, container, &image);
    return r < 0 ? r
                 : images_load(images, *image.manifest ? image.manifest : container->image, ret, ret_store);
}
