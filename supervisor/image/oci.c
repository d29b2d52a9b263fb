/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/oci.h"

#include <sys/utsname.h>

#include "image/oci-json.h"

/* ---- owners ---- */

void oci_descriptor_done(struct oci_descriptor *d) {
    free(d->media_type);
    free(d->architecture);
    free(d->os);
    free(d->variant);
    strv_free(d->annotations);
    *d = (struct oci_descriptor){};
}

static void descriptors_free(struct oci_descriptor *d, size_t n) {
    for (size_t i = 0; i < n; i++)
        oci_descriptor_done(&d[i]);
    free(d);
}

void oci_index_done(struct oci_index *i) {
    descriptors_free(i->manifests, i->n_manifests);
    *i = (struct oci_index){};
}

void oci_manifest_done(struct oci_manifest *m) {
    oci_descriptor_done(&m->config);
    descriptors_free(m->layers, m->n_layers);
    strv_free(m->annotations);
    *m = (struct oci_manifest){};
}

/* ---- index and manifest ---- */

static int read_descriptors(
    json_t *root, const char *name, size_t max, struct oci_descriptor **ret, size_t *ret_n, struct error *e) {
    json_t *array, *value;
    size_t i;

    int r = oci_json_array(root, name, max, &array, e);
    if (r < 0)
        return r;
    if (!array)
        return error_set(e, EINVAL, "there is no \"%s\"", name);
    *ret = calloc(MAX(json_array_size(array), (size_t)1), sizeof(**ret));
    if (!*ret)
        return error_set(e, ENOMEM, "out of memory");
    JSON_ARRAY_FOREACH (i, value, array) {
        r = oci_json_descriptor(value, &(*ret)[i], e);
        if (r < 0)
            return error_prefix(e, r, "%s[%zu]", name, i);
        *ret_n = i + 1;
    }
    return 0;
}

/* Which of the two a document is by what it contains; its mediaType, if it has one, must say the same. */
static int check_kind(json_t *root, enum oci_kind *ret, struct error *e) {
    static const char *const types[][2] = {
        [OCI_INDEX] = {OCI_MEDIA_INDEX, DOCKER_MEDIA_INDEX},
        [OCI_MANIFEST] = {OCI_MEDIA_MANIFEST, DOCKER_MEDIA_MANIFEST},
    };
    bool index = json_object_get(root, "manifests");
    bool manifest = json_object_get(root, "layers") || json_object_get(root, "config");
    json_t *version = json_object_get(root, "schemaVersion"), *type = json_object_get(root, "mediaType");
    enum oci_kind kind = index ? OCI_INDEX : OCI_MANIFEST;

    if (index && manifest)
        return error_set(e, EINVAL, "it has manifests like an index and layers or config like a manifest");
    if (json_object_get(root, "fsLayers") || json_integer_value(version) == 1)
        return error_set(e, EINVAL, "a manifest of Docker's schema 1, which nothing protects, is not taken");
    if (!index && !manifest)
        return error_set(e, EINVAL, "it is neither an index nor an image manifest");
    if (!json_is_integer(version) || json_integer_value(version) != 2)
        return error_set(e, EINVAL, "\"schemaVersion\" is not 2");
    if (type && !json_is_string(type))
        return error_set(e, EINVAL, "\"mediaType\" is not a string");
    if (type && !streq(json_string_value(type), types[kind][0]) &&
        !streq(json_string_value(type), types[kind][1]))
        return error_set(e, EINVAL, "its mediaType is %s, but it has the members of %s",
            json_string_value(type), kind == OCI_INDEX ? "an index" : "a manifest");
    *ret = kind;
    return 0;
}

int oci_kind_of(const char *text, size_t n, const char *what, enum oci_kind *ret, struct error *e) {
    _cleanup_json_ json_t *root = NULL;

    int r = oci_json_parse(text, n, OCI_MANIFEST_MAX, what, &root, e);
    if (r < 0)
        return r;
    r = check_kind(root, ret, e);
    return r < 0 ? error_prefix(e, r, "%s", what) : 0;
}

static int read_kind(
    const char *text, size_t n, const char *what, enum oci_kind wanted, json_t **ret, struct error *e) {
    _cleanup_json_ json_t *root = NULL;
    enum oci_kind kind = wanted;

    int r = oci_json_parse(text, n, OCI_MANIFEST_MAX, what, &root, e);
    if (r < 0)
        return r;
    r = check_kind(root, &kind, e);
    if (r >= 0 && kind != wanted)
        r = error_set(e, EINVAL,
            kind == OCI_INDEX ? "an index where a manifest is expected"
                              : "a manifest where an index is expected");
    if (r < 0)
        return error_prefix(e, r, "%s", what);
    *ret = TAKE_PTR(root);
    return 0;
}

int oci_index_parse(const char *text, size_t n, const char *what, struct oci_index *ret, struct error *e) {
    _cleanup_(oci_index_done) struct oci_index i = {};
    _cleanup_json_ json_t *root = NULL;

    int r = read_kind(text, n, what, OCI_INDEX, &root, e);
    if (r < 0)
        return r;
    r = read_descriptors(root, "manifests", OCI_INDEX_MAX, &i.manifests, &i.n_manifests, e);
    if (r < 0)
        return error_prefix(e, r, "%s", what);
    *ret = i;
    i = (struct oci_index){};
    return 0;
}

static int read_manifest(json_t *root, struct oci_manifest *m, struct error *e) {
    int r = oci_json_descriptor(json_object_get(root, "config"), &m->config, e);
    if (r < 0)
        return error_prefix(e, r, "config");
    if (m->config.size > OCI_CONFIG_MAX)
        return error_set(e, EFBIG, "config: a document of more than %u bytes", OCI_CONFIG_MAX);
    /* An artifact that only looks like an image: its "config" is not one. */
    if (*m->config.media_type && !streq(m->config.media_type, OCI_MEDIA_CONFIG) &&
        !streq(m->config.media_type, DOCKER_MEDIA_CONFIG))
        return error_set(e, EINVAL, "config is of type %s: this is no container image", m->config.media_type);
    m->docker = streq(m->config.media_type, DOCKER_MEDIA_CONFIG);
    r = read_descriptors(root, "layers", OCI_LAYERS_MAX, &m->layers, &m->n_layers, e);
    return r < 0 ? r : oci_json_pairs(root, "annotations", &m->annotations, e);
}

int oci_manifest_parse(
    const char *text, size_t n, const char *what, struct oci_manifest *ret, struct error *e) {
    _cleanup_(oci_manifest_done) struct oci_manifest m = {};
    _cleanup_json_ json_t *root = NULL;

    int r = read_kind(text, n, what, OCI_MANIFEST, &root, e);
    if (r < 0)
        return r;
    r = read_manifest(root, &m, e);
    if (r < 0)
        return error_prefix(e, r, "%s", what);
    *ret = m;
    m = (struct oci_manifest){};
    return 0;
}

/* ---- platforms ---- */

const char *oci_architecture(const char **ret_variant) {
    static const struct {
        const char *machine, *architecture, *variant;
    } table[] = {
        {"x86_64", "amd64", NULL},
        {"aarch64", "arm64", "v8"},
        {"armv7l", "arm", "v7"},
        {"armv6l", "arm", "v6"},
        {"i686", "386", NULL},
        {"riscv64", "riscv64", NULL},
        {"ppc64le", "ppc64le", NULL},
        {"s390x", "s390x", NULL},
        {"loongarch64", "loong64", NULL},
    };
    static struct utsname name;

    if (ret_variant)
        *ret_variant = NULL;
    if (uname(&name) < 0)
        return "unknown";
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (streq(name.machine, table[i].machine)) {
            if (ret_variant)
                *ret_variant = table[i].variant;
            return table[i].architecture;
        }
    return name.machine;
}

const struct oci_descriptor *oci_index_choose(const struct oci_index *i) {
    const char *variant, *architecture = oci_architecture(&variant);
    const struct oci_descriptor *near = NULL, *silent = NULL;

    for (size_t k = 0; k < i->n_manifests; k++) {
        const struct oci_descriptor *d = &i->manifests[k];

        if (!d->architecture && !d->os) {
            silent = silent ? silent : d;
            continue;
        }
        if (!streq_ptr(d->architecture, architecture) || !streq_ptr(d->os, "linux"))
            continue;
        if (!d->variant || streq_ptr(d->variant, variant))
            return d;
        near = near ? near : d;
    }
    /* arm64 alone has variants that programs do not care about; on arm v7 does not run on v6. */
    if (near && streq(architecture, "arm"))
        near = NULL;
    return near ? near : silent;
}
