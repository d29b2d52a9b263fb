/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/oci-json.h"

/* Sizes and counts beyond this are nobody's; jansson's integers end at 2^63. */
#define MEMBER_TEXT_MAX (1024U * 1024)

int oci_json_parse(const char *text, size_t n, size_t max, const char *what, json_t **ret, struct error *e) {
    json_error_t problem;

    if (n > max)
        return error_set(e, EFBIG, "%s: a document of more than %zu bytes", what, max);
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &problem);
    if (!root)
        return error_set(e, EINVAL, "%s: line %d: %s", what, problem.line, problem.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return error_set(e, EINVAL, "%s: not a JSON object", what);
    }
    *ret = root;
    return 0;
}

/* NULL for a member that is missing or null, which Go writes for empty ones. */
static json_t *member(json_t *object, const char *name) {
    json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

static int wrong_type(const char *name, const char *wanted, struct error *e) {
    return error_set(e, EINVAL, "\"%s\" is not %s", name, wanted);
}

int oci_json_string(json_t *object, const char *name, bool keep_empty, char **ret, struct error *e) {
    json_t *value = member(object, name);

    if (!value)
        return 0;
    if (!json_is_string(value))
        return wrong_type(name, "a string", e);
    if (json_string_length(value) > MEMBER_TEXT_MAX)
        return error_set(e, E2BIG, "\"%s\" is longer than %u bytes", name, MEMBER_TEXT_MAX);
    if (json_string_length(value) == 0 && !keep_empty)
        return 0;
    *ret = strdup(json_string_value(value));
    return *ret ? 0 : error_set(e, ENOMEM, "out of memory");
}

int oci_json_u64(json_t *object, const char *name, uint64_t *ret, struct error *e) {
    json_t *value = member(object, name);

    if (!value)
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return wrong_type(name, "a number from 0 on", e);
    *ret = (uint64_t)json_integer_value(value);
    return 0;
}

int oci_json_bool(json_t *object, const char *name, bool *ret, struct error *e) {
    json_t *value = member(object, name);

    if (!value)
        return 0;
    if (!json_is_boolean(value))
        return wrong_type(name, "true or false", e);
    *ret = json_is_true(value);
    return 0;
}

int oci_json_object(json_t *object, const char *name, json_t **ret, struct error *e) {
    json_t *value = member(object, name);

    if (value && !json_is_object(value))
        return wrong_type(name, "an object", e);
    *ret = value;
    return 0;
}

int oci_json_array(json_t *object, const char *name, size_t max, json_t **ret, struct error *e) {
    json_t *value = member(object, name);

    if (value && !json_is_array(value))
        return wrong_type(name, "an array", e);
    if (json_array_size(value) > max)
        return error_set(e, E2BIG, "\"%s\" has more than %zu elements", name, max);
    *ret = value;
    return 0;
}

int oci_json_strings(json_t *object, const char *name, char ***ret, struct error *e) {
    _cleanup_strv_free_ char **l = NULL;
    json_t *array = NULL, *value;
    size_t i;

    int r = oci_json_array(object, name, OCI_STRINGS_MAX, &array, e);
    if (r < 0 || !array)
        return r;
    l = calloc(1, sizeof(*l));
    if (!l)
        return error_set(e, ENOMEM, "out of memory");
    JSON_ARRAY_FOREACH (i, value, array) {
        if (!json_is_string(value))
            return wrong_type(name, "an array of strings", e);
        if (strv_append(&l, json_string_value(value)) < 0)
            return error_set(e, ENOMEM, "out of memory");
    }
    *ret = TAKE_PTR(l);
    return 0;
}

int oci_json_names(json_t *object, const char *name, char ***ret, struct error *e) {
    _cleanup_strv_free_ char **l = NULL;
    json_t *set = NULL, *value;
    const char *key;

    int r = oci_json_object(object, name, &set, e);
    if (r < 0 || !set)
        return r;
    if (json_object_size(set) > OCI_STRINGS_MAX)
        return error_set(e, E2BIG, "\"%s\" has more than %d members", name, OCI_STRINGS_MAX);
    JSON_OBJECT_FOREACH (key, value, set) {
        if (strv_append(&l, key) < 0)
            return error_set(e, ENOMEM, "out of memory");
    }
    if (l)
        strv_sort(l);
    *ret = TAKE_PTR(l);
    return 0;
}

int oci_json_pairs(json_t *object, const char *name, char ***ret, struct error *e) {
    _cleanup_strv_free_ char **l = NULL;
    json_t *map = NULL, *value;
    const char *key;

    int r = oci_json_object(object, name, &map, e);
    if (r < 0 || !map)
        return r;
    if (json_object_size(map) > OCI_STRINGS_MAX)
        return error_set(e, E2BIG, "\"%s\" has more than %d members", name, OCI_STRINGS_MAX);
    JSON_OBJECT_FOREACH (key, value, map) {
        if (!json_is_string(value) || !*key || strchr(key, '='))
            return wrong_type(name, "an object of strings", e);
        if (strv_consume(&l, strf("%s=%s", key, json_string_value(value))) < 0)
            return error_set(e, ENOMEM, "out of memory");
    }
    if (l)
        strv_sort(l);
    *ret = TAKE_PTR(l);
    return 0;
}

static int read_descriptor(json_t *object, struct oci_descriptor *d, struct error *e) {
    _cleanup_free_ char *digest = NULL;
    json_t *platform = NULL;
    int r;

    if (!json_is_object(object))
        return error_set(e, EINVAL, "a descriptor is not an object");
    r = oci_json_string(object, "mediaType", true, &d->media_type, e);
    if (r >= 0 && !d->media_type) {
        d->media_type = strdup("");
        r = d->media_type ? 0 : error_set(e, ENOMEM, "out of memory");
    }
    if (r >= 0)
        r = oci_json_string(object, "digest", false, &digest, e);
    if (r < 0)
        return r;
    if (!digest || !digest_is_valid(digest))
        return error_set(e, EINVAL, "\"digest\" is not sha256: and 64 lower-case digits");
    memcpy(d->digest, digest, sizeof(d->digest));
    if (!json_is_integer(json_object_get(object, "size")))
        return error_set(e, EINVAL, "a descriptor has no \"size\"");
    r = oci_json_u64(object, "size", &d->size, e);
    if (r >= 0)
        r = oci_json_pairs(object, "annotations", &d->annotations, e);
    if (r >= 0)
        r = oci_json_object(object, "platform", &platform, e);
    if (r < 0 || !platform)
        return r;
    r = oci_json_string(platform, "architecture", false, &d->architecture, e);
    if (r >= 0)
        r = oci_json_string(platform, "os", false, &d->os, e);
    return r < 0 ? r : oci_json_string(platform, "variant", false, &d->variant, e);
}

int oci_json_descriptor(json_t *object, struct oci_descriptor *ret, struct error *e) {
    struct oci_descriptor d = {};

    int r = read_descriptor(object, &d, e);
    if (r < 0) {
        oci_descriptor_done(&d);
        return r;
    }
    *ret = d;
    return 0;
}
