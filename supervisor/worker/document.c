/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/document.h"

#include "base/parse.h"
#include "base/words.h"
#include "image/blob.h"

json_t *config_new(void) {
    const char *variant, *architecture = oci_architecture(&variant);

    return json_pack("{s:s, s:s, s:s*, s:{}, s:{s:s, s:[]}, s:[]}", "architecture", architecture, "os",
        "linux", "variant", variant, "config", "rootfs", "type", "layers", "diff_ids", "history");
}

char *document_text(json_t *document) {
    return json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
}

/* ---- changes ---- */

static int no_memory(struct error *e) {
    return error_set(e, ENOMEM, "out of memory");
}

static int set_member(json_t *object, const char *name, json_t *value, struct error *e) {
    return json_object_set_new(object, name, value) < 0 ? no_memory(e) : 0;
}

static int change_text(json_t *object, const char *name, const char *value, struct error *e) {
    if (*value == '\0') {
        (void)json_object_del(object, name);
        return 0;
    }
    return set_member(object, name, json_string(value), e);
}

/* Words as in a unit file, or a JSON array as in a Containerfile. */
static int change_words(json_t *object, const char *name, const char *value, struct error *e) {
    _cleanup_strv_free_ char **words = NULL;
    _cleanup_json_ json_t *array = NULL;

    if (*value == '\0')
        return change_text(object, name, value, e);
    if (*value == '[')
        array = json_loads(value, 0, NULL);
    else if (words_split(value, WORDS_UNQUOTE | WORDS_CUNESCAPE, &words) >= 0) {
        array = json_array();
        STRV_FOREACH (word, words)
            (void)json_array_append_new(array, json_string(*word));
    }
    json_t *word;
    size_t i;
    if (!json_is_array(array) || (words && json_array_size(array) != strv_length(words)))
        return error_set(e, EINVAL, "%s=%s: expected words, or a JSON array of strings", name, value);
    JSON_ARRAY_FOREACH (i, word, array) {
        if (!json_is_string(word))
            return error_set(e, EINVAL, "%s=%s: expected words, or a JSON array of strings", name, value);
    }
    return set_member(object, name, TAKE_PTR(array), e);
}

static json_t *member_of(json_t *object, const char *name, json_t *empty) {
    json_t *value = json_object_get(object, name);

    if (value && json_typeof(value) == json_typeof(empty)) {
        json_decref(empty);
        return value;
    }
    return json_object_set_new(object, name, empty) < 0 ? NULL : empty;
}

static int change_environment(json_t *object, const char *name, const char *value, struct error *e) {
    size_t n = strcspn(value, "="), i;
    json_t *list, *old;

    if (*value == '\0')
        return change_text(object, name, value, e);
    if (n == 0 || value[n] == '\0')
        return error_set(e, EINVAL, "%s=%s: expected NAME=VALUE", name, value);
    list = member_of(object, name, json_array());
    if (!list)
        return no_memory(e);
    JSON_ARRAY_FOREACH (i, old, list) {
        if (json_is_string(old) && strncmp(json_string_value(old), value, n + 1) == 0)
            return json_array_set_new(list, i, json_string(value)) < 0 ? no_memory(e) : 0;
    }
    return json_array_append_new(list, json_string(value)) < 0 ? no_memory(e) : 0;
}

static int change_pair(json_t *object, const char *name, const char *value, struct error *e) {
    size_t n = strcspn(value, "=");

    if (*value == '\0')
        return change_text(object, name, value, e);
    if (n == 0 || value[n] == '\0')
        return error_set(e, EINVAL, "%s=%s: expected NAME=VALUE", name, value);
    _cleanup_free_ char *key = strndup(value, n);
    json_t *map = key ? member_of(object, name, json_object()) : NULL;
    return map ? set_member(map, key, json_string(value + n + 1), e) : no_memory(e);
}

static int change_set(json_t *object, const char *name, const char *value, struct error *e) {
    if (*value == '\0')
        return change_text(object, name, value, e);
    json_t *set = member_of(object, name, json_object());
    return set ? set_member(set, value, json_object(), e) : no_memory(e);
}

/* ---- what a container would stumble over later is refused now ---- */

static int change_path(json_t *object, const char *name, const char *value, struct error *e) {
    return *value == '\0' || *value == '/'
               ? change_text(object, name, value, e)
               : error_set(e, EINVAL, "%s=%s: expected an absolute path", name, value);
}

static int change_signal(json_t *object, const char *name, const char *value, struct error *e) {
    int number;

    return *value == '\0' || parse_signal(value, &number) >= 0
               ? change_text(object, name, value, e)
               : error_set(e, EINVAL, "%s=%s: there is no such signal", name, value);
}

static int change_volumes(json_t *object, const char *name, const char *value, struct error *e) {
    return *value == '\0' || *value == '/'
               ? change_set(object, name, value, e)
               : error_set(e, EINVAL, "%s: \"%s\" is no absolute path", name, value);
}

/* "80" is "80/tcp", as docker writes it. */
static int change_ports(json_t *object, const char *name, const char *value, struct error *e) {
    size_t n = strcspn(value, "/");
    _cleanup_free_ char *digits = strndup(value, n),
                        *whole = strf("%s/%s", digits ?: "", n < strlen(value) ? value + n + 1 : "tcp");
    uint64_t port;

    if (*value == '\0')
        return change_text(object, name, value, e);
    if (!digits || !whole)
        return no_memory(e);
    if (parse_uint(digits, 1, UINT16_MAX, &port) < 0 ||
        (!endswith(whole, "/tcp") && !endswith(whole, "/udp") && !endswith(whole, "/sctp")))
        return error_set(e, EINVAL, "%s: \"%s\" is no port: expected 80, 80/tcp, 53/udp, ...", name, value);
    return change_set(object, name, whole, e);
}

/* ---- the health check (it has an object of its own) ---- */

static json_t *healthcheck_of(json_t *object) {
    return member_of(object, "Healthcheck", json_object());
}

/* As podman's --health-cmd: a command for the image's shell, a JSON array of words, or "none". Without a
 * command the times mean nothing, so taking it away takes all. */
static int change_health_command(json_t *object, const char *name, const char *value, struct error *e) {
    if (*value == '\0')
        return change_text(object, "Healthcheck", value, e);
    json_t *health = healthcheck_of(object);
    if (!health)
        return no_memory(e);
    if (strcasecmp(value, "none") == 0)
        return set_member(health, name, json_pack("[s]", "NONE"), e);
    if (*value != '[')
        return set_member(health, name, json_pack("[ss]", "CMD-SHELL", value), e);
    int r = change_words(health, name, value, e);
    json_t *words = json_object_get(health, name);
    const char *kind = json_string_value(json_array_get(words, 0)) ?: "";
    if (r >= 0 && !streq(kind, "CMD") && !streq(kind, "CMD-SHELL") && !streq(kind, "NONE") &&
        json_array_insert_new(words, 0, json_string("CMD")) < 0)
        r = no_memory(e);
    return r;
}

/* Images have nanoseconds. */
static int change_health_time(json_t *object, const char *name, const char *value, struct error *e) {
    json_t *health = healthcheck_of(object);
    usec_t t;

    if (!health)
        return no_memory(e);
    if (*value == '\0')
        return change_text(health, name, value, e);
    if (timespan_parse(value, &t) < 0 || t > INT64_MAX / NSEC_PER_USEC)
        return error_set(e, EINVAL, "%s of the health check: \"%s\" is no time", name, value);
    return set_member(health, name, json_integer((json_int_t)(t * NSEC_PER_USEC)), e);
}

static int change_health_retries(json_t *object, const char *name, const char *value, struct error *e) {
    json_t *health = healthcheck_of(object);
    uint64_t n;

    if (!health)
        return no_memory(e);
    if (*value == '\0')
        return change_text(health, name, value, e);
    if (parse_uint(value, 1, UINT32_MAX, &n) < 0)
        return error_set(e, EINVAL, "%s of the health check: \"%s\" is no number", name, value);
    return set_member(health, name, json_integer((json_int_t)n), e);
}

/* ---- the words ---- */

static const struct {
    const char *word, *member;
    bool top; /* beside "config", not in it */
    int (*change)(json_t *object, const char *name, const char *value, struct error *e);
} changes_known[] = {
    {"Cmd", "Cmd", false, change_words},
    {"Entrypoint", "Entrypoint", false, change_words},
    {"Env", "Env", false, change_environment},
    {"Label", "Labels", false, change_pair},
    {"Volume", "Volumes", false, change_volumes},
    {"ExposedPort", "ExposedPorts", false, change_ports},
    {"User", "User", false, change_text},
    {"WorkingDir", "WorkingDir", false, change_path},
    {"StopSignal", "StopSignal", false, change_signal},
    {"HealthCmd", "Test", false, change_health_command},
    {"HealthInterval", "Interval", false, change_health_time},
    {"HealthTimeout", "Timeout", false, change_health_time},
    {"HealthStartPeriod", "StartPeriod", false, change_health_time},
    {"HealthRetries", "Retries", false, change_health_retries},
    {"Author", "author", true, change_text},
    {"Architecture", "architecture", true, change_text},
    {"Created", "created", true, change_text},
};

int config_change(json_t *config, const char *change, struct error *e) {
    size_t n = strcspn(change, "=");
    struct strbuf known = {};

    for (size_t i = 0; i < ARRAY_SIZE(changes_known) && change[n] == '='; i++) {
        if (strlen(changes_known[i].word) != n || strncasecmp(changes_known[i].word, change, n) != 0)
            continue;
        json_t *object = changes_known[i].top ? config : member_of(config, "config", json_object());
        return object ? changes_known[i].change(object, changes_known[i].member, change + n + 1, e)
                      : no_memory(e);
    }
    for (size_t i = 0; i < ARRAY_SIZE(changes_known); i++)
        strbuf_printf(&known, "%s%s", i > 0 ? ", " : "", changes_known[i].word);
    _cleanup_free_ char *words = strbuf_take(&known);
    return error_set(e, EINVAL, "\"%s\": expected KEY=VALUE with one of %s", change, words ? words : "?");
}

int config_change_all(json_t *config, char *const *changes, struct error *e) {
    STRV_FOREACH (change, changes) {
        int r = config_change(config, *change, e);
        if (r < 0)
            return r;
    }
    return 0;
}

int config_add_layer(json_t *config, const char *diff_id, const char *created_by, struct error *e) {
    json_t *rootfs = member_of(config, "rootfs", json_object());
    json_t *diff_ids = rootfs ? member_of(rootfs, "diff_ids", json_array()) : NULL;
    json_t *history = member_of(config, "history", json_array());

    if (!diff_ids || !history || json_array_append_new(diff_ids, json_string(diff_id)) < 0 ||
        json_array_append_new(history, json_pack("{s:s*}", "created_by", created_by)) < 0)
        return no_memory(e);
    return set_member(rootfs, "type", json_string("layers"), e);
}

/* ---- the manifest ---- */

static json_t *descriptor(const char *media_type, const char *digest, uint64_t size) {
    return json_pack("{s:s, s:s, s:I}", "mediaType", media_type, "digest", digest, "size", (json_int_t)size);
}

int document_put(const struct store *s, const char *config, size_t n_config,
    const struct document_layer *layers, size_t n_layers, char ret_config[static DIGEST_TEXT],
    char ret_manifest[static DIGEST_TEXT], struct error *e) {
    _cleanup_json_ json_t *manifest = NULL;
    json_t *list = json_array();

    int r = blob_put(s, config, n_config, ret_config, e);
    if (r < 0) {
        json_decref(list);
        return r;
    }
    for (size_t i = 0; i < n_layers; i++)
        (void)json_array_append_new(list, descriptor(layers[i].media_type, layers[i].digest, layers[i].size));
    bool whole = json_array_size(list) == n_layers;
    manifest = json_pack("{s:i, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType", OCI_MEDIA_MANIFEST,
        "config", descriptor(OCI_MEDIA_CONFIG, ret_config, n_config), "layers", list);
    _cleanup_free_ char *text = manifest && whole ? document_text(manifest) : NULL;
    return text ? blob_put(s, text, strlen(text), ret_manifest, e) : no_memory(e);
}
