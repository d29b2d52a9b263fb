/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inspect: all that is known of containers and images, in the members that docker-inspect(1) and
 * podman-inspect(1) share, for the programs that read those. `davit status --json` has more, in davit's own
 * words.
 */
#include <fcntl.h>

#include "base/parse.h"
#include "base/subvolume.h"
#include "base/words.h"
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
        "FinishedAt", time_json(running || !exit ? 0 : (usec_t)json_number(details, "since", 0)));
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
static json_t *mounts_json(const struct container *c, const struct image *image) {
    json_t *all = json_array(), *value, *volumes = container_setting(c, "Container.Volume");
    _cleanup_strv_free_ char **targets = NULL;
    size_t i;

    JSON_ARRAY_FOREACH (i, value, volumes) {
        _cleanup_free_ char *text = strdup(json_string_value(value) ?: "");
        char *rest = text, *a = strsep(&rest, ":"), *b = strsep(&rest, ":");
        bool named = b && a && *a != '/' && *a != '.';
        _cleanup_free_ char *options = strf(",%s,", rest ?: "");
        (void)json_array_append_new(all,
            json_pack("{ss ss ss sb}", "Type", b && !named ? "bind" : "volume", "Source", b ? a : "",
                "Destination", b ? b : a ?: "", "RW", (int)!(options && strstr(options, ",ro,"))));
        (void)strv_append(&targets, b ? b : a ?: "");
    }
    /* The image's own volumes, where the unit has put nothing else. */
    STRV_FOREACH (target, image->volumes)
        if (!strv_contains(targets, *target))
            (void)json_array_append_new(all,
                json_pack("{ss ss ss sb}", "Type", "volume", "Source", "", "Destination", *target, "RW", 1));
    return all;
}

/* ---- Config: the image's, where the unit says nothing else ---- */

/* {"80/tcp": {}}, as docker has sets. */
static json_t *names(char *const *l) {
    json_t *o = json_object();

    STRV_FOREACH (s, l)
        set(o, *s, json_object());
    return o;
}

/* NAME=VALUE each: those of the unit take the place of the image's. */
static char **merge(char *const *image, json_t *unit) {
    _cleanup_strv_free_ char **all = NULL;
    json_t *value;
    size_t i;

    (void)strv_extend(&all, image);
    JSON_ARRAY_FOREACH (i, value, unit) {
        const char *pair = json_string_value(value) ?: "", *equals = strchr(pair, '=');
        _cleanup_free_ char *name = equals ? strndup(pair, (size_t)(equals - pair)) : NULL;
        if (name)
            (void)strv_env_set(&all, name, equals + 1);
    }
    return TAKE_PTR(all);
}

/* Words as the unit writes them; specifiers and variables are not resolved. */
static json_t *words_json(const char *text) {
    _cleanup_strv_free_ char **words = NULL;

    (void)words_split(text, WORDS_UNQUOTE | WORDS_CUNESCAPE, &words);
    return json_texts(words);
}

static json_t *healthcheck_json(const struct oci_healthcheck *h) {
    const struct {
        const char *member;
        uint64_t value;
    } numbers[] = {{"Interval", h->interval_ns}, {"Timeout", h->timeout_ns},
        {"StartPeriod", h->start_period_ns}, {"StartInterval", h->start_interval_ns},
        {"Retries", h->retries}};
    json_t *o = h->test ? json_object() : NULL;

    if (!o)
        return NULL;
    set(o, "Test", json_texts(h->test));
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        if (numbers[i].value > 0)
            set(o, numbers[i].member, json_integer((json_int_t)numbers[i].value));
    return o;
}

/* The value of a key that is set to something; NULL if it is not. */
static const char *written(const struct container *c, const char *key) {
    const char *value = json_string_value(json_array_get(container_setting(c, key), 0));

    return isempty(value) ? NULL : value;
}

static json_t *text_json(const struct container *c, const char *key, const char *otherwise) {
    return json_string(written(c, key) ?: otherwise ?: "");
}

static json_t *config_json(const struct container *c, const struct image *image) {
    const char *exec = written(c, "Container.Exec"), *entrypoint = written(c, "Container.Entrypoint");
    json_t *o = json_object();
    _cleanup_strv_free_ char **env = merge(image->environment, container_setting(c, "Container.Environment")),
                             **labels = merge(image->labels, container_setting(c, "Container.Label"));
    char buffer[16];

    set(o, "Image", json_string(c->image ?: c->rootfs ?: ""));
    set(o, "Hostname", text_json(c, "Container.HostName", NULL));
    set(o, "User", text_json(c, "Container.User", image->user));
    set(o, "WorkingDir", text_json(c, "Container.WorkingDir", image->working_dir));
    set(o, "StopSignal",
        text_json(c, "Container.StopSignal",
            image->stop_signal > 0 ? signal_name(image->stop_signal, buffer) : NULL));
    set(o, "Env", json_texts(env));
    /* With another entry point the image's Cmd is not used (davit-units(5), Entrypoint=). */
    set(o, "Entrypoint", entrypoint ? words_json(entrypoint) : json_texts(image->entrypoint));
    set(o, "Cmd", exec ? words_json(exec) : entrypoint ? json_array() : json_texts(image->cmd));
    set(o, "Labels", json_pairs(labels));
    set(o, "Volumes", names(image->volumes));
    set(o, "ExposedPorts", names(image->exposed_ports));
    set(o, "Healthcheck", healthcheck_json(&image->healthcheck));
    return o;
}

/* ---- the container ---- */

/* It may be another than davit.conf has by now. */
static const char *tree_driver_name(const char *tree) {
    _cleanup_close_ int fd = open(tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    return fd >= 0 && fstat(fd, &st) >= 0 && is_subvolume(fd, &st) ? "btrfs" : "vfs";
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
        mounts_json(container, &image), "Config", config_json(container, &image), "Pid", (json_int_t)container->pid);
}

/* A container if there is one of that name, else an image, as docker and podman look. */
static int inspect_one(struct cli *c, const struct images *images, const char *name, json_t *all) {
    _cleanup_(container_done) struct container container = {};
    _cleanup_(store_image_done) struct store_image image = {};
    struct error no_container = {}, no_image = {};
    const struct store *s;

    int found = container_find(c, name, &container, &no_container);
    if (found >= 0) {
        (void)json_array_append_new(all, container_json(c, &container));
        return 0;
    }
    int r = images_look_up(images, name, &image, &s, &no_image);
    if (r >= 0)
        (void)json_array_append_new(all, image_inspect(c, s, &image));
    else if (r != -ENOENT)
        cli_error("%s", no_image.text);
    else if (found == -ENOENT)
        cli_error("there is no container and no image \"%s\"; 'davit list --all' and 'davit images' show "
                  "what there is",
            name);
    else
        cli_error("no container: %s; no image: %s", no_container.text, no_image.text);
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
