/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The image configuration: https://github.com/opencontainers/image-spec/blob/main/config.md */
#include "image/oci-json.h"

void oci_config_done(struct oci_config *c) {
    free(c->architecture);
    free(c->os);
    free(c->variant);
    free(c->created);
    strv_free(c->diff_ids);
    free(c->user);
    free(c->working_dir);
    free(c->stop_signal);
    strv_free(c->entrypoint);
    strv_free(c->cmd);
    strv_free(c->environment);
    strv_free(c->volumes);
    strv_free(c->exposed_ports);
    strv_free(c->labels);
    strv_free(c->healthcheck.test);
    for (size_t i = 0; i < c->n_history; i++) {
        free(c->history[i].created);
        free(c->history[i].created_by);
        free(c->history[i].comment);
    }
    free(c->history);
    *c = (struct oci_config){};
}

static int read_strings(json_t *object, struct oci_config *c, struct error *e) {
    const struct {
        const char *name;
        char **field;
    } texts[] = {
        {"User", &c->user},
        {"WorkingDir", &c->working_dir},
        {"StopSignal", &c->stop_signal},
    };
    const struct {
        const char *name;
        int (*read)(json_t *object, const char *name, char ***ret, struct error *e);
        char ***field;
    } lists[] = {
        {"Entrypoint", oci_json_strings, &c->entrypoint},
        {"Cmd", oci_json_strings, &c->cmd},
        {"Env", oci_json_strings, &c->environment},
        {"Volumes", oci_json_names, &c->volumes},
        {"ExposedPorts", oci_json_names, &c->exposed_ports},
        {"Labels", oci_json_pairs, &c->labels},
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        int r = oci_json_string(object, texts[i].name, false, texts[i].field, e);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        int r = lists[i].read(object, lists[i].name, lists[i].field, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_healthcheck(json_t *object, struct oci_healthcheck *h, struct error *e) {
    const struct {
        const char *name;
        uint64_t *field;
    } times[] = {
        {"Interval", &h->interval_ns},
        {"Timeout", &h->timeout_ns},
        {"StartPeriod", &h->start_period_ns},
        {"StartInterval", &h->start_interval_ns},
    };
    uint64_t retries = 0;

    int r = oci_json_strings(object, "Test", &h->test, e);
    for (size_t i = 0; i < ARRAY_SIZE(times) && r >= 0; i++)
        r = oci_json_u64(object, times[i].name, times[i].field, e);
    if (r >= 0)
        r = oci_json_u64(object, "Retries", &retries, e);
    if (r >= 0 && retries > UINT32_MAX)
        r = error_set(e, ERANGE, "\"Retries\" is too large");
    h->retries = (unsigned)retries;
    return r < 0 ? error_prefix(e, r, "Healthcheck") : 0;
}

static int read_history(json_t *root, struct oci_config *c, struct error *e) {
    json_t *array, *value;
    size_t i;

    int r = oci_json_array(root, "history", OCI_STRINGS_MAX, &array, e);
    if (r < 0 || json_array_size(array) == 0)
        return r;
    c->history = calloc(json_array_size(array), sizeof(*c->history));
    if (!c->history)
        return error_set(e, ENOMEM, "out of memory");
    JSON_ARRAY_FOREACH (i, value, array) {
        struct oci_history *h = &c->history[i];

        c->n_history = i + 1;
        if (!json_is_object(value))
            return error_set(e, EINVAL, "history[%zu] is not an object", i);
        r = oci_json_string(value, "created", false, &h->created, e);
        if (r >= 0)
            r = oci_json_string(value, "created_by", false, &h->created_by, e);
        if (r >= 0)
            r = oci_json_string(value, "comment", false, &h->comment, e);
        if (r >= 0)
            r = oci_json_bool(value, "empty_layer", &h->empty_layer, e);
        if (r < 0)
            return error_prefix(e, r, "history[%zu]", i);
    }
    return 0;
}

static int read_diff_ids(json_t *root, struct oci_config *c, struct error *e) {
    _cleanup_free_ char *type = NULL;
    json_t *rootfs;

    int r = oci_json_object(root, "rootfs", &rootfs, e);
    if (r < 0)
        return r;
    if (!rootfs)
        return error_set(e, EINVAL, "there is no \"rootfs\"");
    r = oci_json_string(rootfs, "type", false, &type, e);
    if (r < 0)
        return r;
    if (!streq_ptr(type, "layers"))
        return error_set(e, EINVAL, "rootfs.type is not \"layers\"");
    r = oci_json_strings(rootfs, "diff_ids", &c->diff_ids, e);
    if (r < 0)
        return r;
    if (strv_length(c->diff_ids) > OCI_LAYERS_MAX)
        return error_set(e, E2BIG, "more than %d layers", OCI_LAYERS_MAX);
    STRV_FOREACH (id, c->diff_ids)
        if (!digest_is_valid(*id))
            return error_set(e, EINVAL, "rootfs.diff_ids: \"%.80s\" is not a sha256 digest", *id);
    return 0;
}

static int read_config(json_t *root, struct oci_config *c, struct error *e) {
    const struct {
        const char *name;
        char **field;
    } texts[] = {
        {"architecture", &c->architecture},
        {"os", &c->os},
        {"variant", &c->variant},
        {"created", &c->created},
    };
    json_t *config = NULL, *healthcheck = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        int r = oci_json_string(root, texts[i].name, false, texts[i].field, e);
        if (r < 0)
            return r;
    }
    if (c->os && !streq(c->os, "linux"))
        return error_set(e, EINVAL, "an image for \"%s\", not for linux", c->os);
    int r = read_diff_ids(root, c, e);
    if (r >= 0)
        r = read_history(root, c, e);
    if (r >= 0)
        r = oci_json_object(root, "config", &config, e);
    if (r < 0 || !config)
        return r;
    r = read_strings(config, c, e);
    if (r >= 0)
        r = oci_json_object(config, "Healthcheck", &healthcheck, e);
    if (r >= 0 && healthcheck)
        r = read_healthcheck(healthcheck, &c->healthcheck, e);
    return r < 0 ? error_prefix(e, r, "config") : 0;
}

int oci_config_parse(const char *text, size_t n, const char *what, struct oci_config *ret, struct error *e) {
    _cleanup_(oci_config_done) struct oci_config c = {};
    _cleanup_json_ json_t *root = NULL;

    int r = oci_json_parse(text, n, OCI_CONFIG_MAX, what, &root, e);
    if (r < 0)
        return r;
    r = read_config(root, &c, e);
    if (r < 0)
        return error_prefix(e, r, "%s", what);
    *ret = c;
    c = (struct oci_config){};
    return 0;
}

int oci_check_pair(const struct oci_manifest *m, const struct oci_config *c, struct error *e) {
    size_t n = strv_length(c->diff_ids);

    if (n != m->n_layers)
        return error_set(e, EINVAL, "the manifest has %zu layers, its configuration %zu", m->n_layers, n);
    if (n == 0)
        return error_set(e, EINVAL, "the image has no layer");
    return 0;
}
