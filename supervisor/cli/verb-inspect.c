/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inspect: all that is known of containers and images, in the members that docker-inspect(1) and
 * podman-inspect(1) share, for the programs that read those. `davit status --json` has more, in davit's own
 * words.
 */
#include <fcntl.h>

#include "base/subvolume.h"
#include "cli/container.h"
#include "cli/output.h"
#include "image/driver.h"
#include "image/image.h"

static void set(json_t *o, const char *name, json_t *value) {
    if (value)
        (void)json_object_set_new(o, name, value);
}

static void set_path(json_t *o, const char *name, char *path) {
    if (path)
        set(o, name, json_string(path));
    free(path);
}

static json_t *time_json(usec_t t) {
    char text[TIMESTAMP_MAX];

    return json_string(t > 0 ? timestamp_format_rfc3339(t, text) : "0001-01-01T00:00:00Z");
}

static json_t *state_json(const struct container *c) {
    json_t *details = c->details, *exit = json_object_get(details, "exit");
    bool running = c->pid > 0, frozen = json_flag(details, "frozen");
    int status = (int)json_number(exit, "status", 0);

    if (exit && !streq(json_text(exit, "code"), "exited"))
        status += EXIT_SIGNALLED;
    return json_pack("{ss sb sb sb si si so so}", "Status",
        !running ? (exit ? "exited" : "created")
        : frozen ? "paused"
                 : "running",
        "Running", (int)running, "Paused", (int)frozen, "OOMKilled",
        (int)streq(json_text(details, "result"), "oom-kill"), "Pid", (int)c->pid, "ExitCode",
        running ? 0 : status, "StartedAt", time_json((usec_t)json_number(details, "active_since", 0)),
        "FinishedAt", time_json(running ? 0 : (usec_t)json_number(details, "since", 0)));
}

static json_t *driver_json(
    struct cli *c, const struct container *container, const char *name, struct image *image) {
    json_t *data = json_object();

    if (container_resolve(c, container, image) >= 0)
        set_path(data, "LowerDir", images_lower(image->layers));
    if (container->upper) {
        set(data, "UpperDir", json_string(container->upper));
        set_path(data, "WorkDir",
            strf("%.*s/work", (int)(strlen(container->upper) - strlen("/upper")), container->upper));
    }
    if (container->tree)
        set(data, "TreeDir", json_string(container->tree));
    /* It is mounted nowhere but in the container's own mount namespace. */
    if (container->pid > 0)
        set_path(data, "MergedDir", strf("/proc/%d/root", (int)container->pid));
    return json_pack("{ss so}", "Name", name, "Data", data);
}

/* SOURCE:TARGET[:OPTIONS], or TARGET alone, as Volume= has it. */
static json_t *mounts_json(const struct container *c) {
    json_t *all = json_array(), *value, *volumes = container_setting(c, "Container.Volume");
    size_t i;

    JSON_ARRAY_FOREACH (i, value, volumes) {
        _cleanup_free_ char *text = strdup(json_string_value(value) ?: "");
        char *rest = text, *a = strsep(&rest, ":"), *b = strsep(&rest, ":");
        bool named = b && a && *a != '/' && *a != '.';
        _cleanup_free_ char *options = strf(",%s,", rest ?: "");
        (void)json_array_append_new(all,
            json_pack("{ss ss ss sb}", "Type", b && !named ? "bind" : "volume", "Source", b ? a : "",
                "Destination", b ? b : a ?: "", "RW", (int)!(options && strstr(options, ",ro,"))));
    }
    return all;
}

static json_t *config_json(const struct container *c) {
    static const struct {
        const char *member, *key;
        bool list;
    } members[] = {
        {"Hostname", "Container.HostName", false},
        {"User", "Container.User", false},
        {"WorkingDir", "Container.WorkingDir", false},
        {"StopSignal", "Container.StopSignal", false},
        {"Env", "Container.Environment", true},
        {"Cmd", "Container.Exec", true},
        {"Entrypoint", "Container.Entrypoint", true},
        {"Labels", "Container.Label", true},
    };
    json_t *o = json_object();

    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        json_t *values = container_setting(c, members[i].key);
        if (members[i].list)
            set(o, members[i].member, values ? json_incref(values) : json_array());
        else
            set(o, members[i].member, json_string(json_string_value(json_array_get(values, 0)) ?: ""));
    }
    return o;
}

/* It may be another than davit.conf has by now. */
static const char *tree_driver_name(const char *tree) {
    _cleanup_close_ int fd = open(tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && is_subvolume(fd) ? "btrfs" : "vfs";
}

static json_t *container_json(struct cli *c, const struct container *container) {
    _cleanup_(image_done) struct image image = {};
    json_t *details = container->details;
    const char *name = container->tree ? tree_driver_name(container->tree) : STORAGE_DRIVER_DEFAULT;
    json_t *driver = driver_json(c, container, name, &image);

    return json_pack("{ss ss so ss ss ss sI so so so sI}", "Id", json_text(details, "invocation"), "Name",
        container->unit, "State", state_json(container), "ImageName",
        container->image ?: container->rootfs ?: "", "ImageDigest", image.manifest, "Driver", name,
        "RestartCount", (json_int_t)json_number(details, "restarts", 0), "GraphDriver", driver, "Mounts",
        mounts_json(container), "Config", config_json(container), "Pid", (json_int_t)container->pid);
}

/* A container if there is one of that name, else an image, as docker and podman look. */
static int inspect_one(struct cli *c, const struct images *images, const char *name, json_t *all) {
    _cleanup_(container_done) struct container container = {};
    _cleanup_(store_image_done) struct store_image image = {};
    const struct store *s;

    if (container_find(c, name, &container, NULL) >= 0) {
        (void)json_array_append_new(all, container_json(c, &container));
        return 0;
    }
    int r = images_load(images, name, &image, &s);
    if (r >= 0)
        (void)json_array_append_new(all, image_inspect(s, &image));
    return r;
}

int verb_inspect(struct cli *c, char **arguments, size_t n) {
    _cleanup_(images_done) struct images images = {};
    json_t *all = json_array();

    int r = images_open(c, false, &images);
    for (size_t i = 0; i < n && r >= 0; i++)
        r = inspect_one(c, &images, arguments[i], all);
    if (r >= 0)
        json_print(all);
    json_decref(all);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
