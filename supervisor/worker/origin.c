/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/origin.h"

#include "image/hash.h"

int origin_check_bytes(const char *text, size_t n, const char *digest, struct error *e) {
    char actual[DIGEST_TEXT];

    hash_data(text, n, actual);
    return streq(actual, digest) ? 0 : error_set(e, EBADMSG, "what should be %s is %s", digest, actual);
}

int origin_check_manifest(
    const char *text, size_t n, const char *digest, const struct oci_manifest *m, struct error *e) {
    _cleanup_(oci_manifest_done) struct oci_manifest origin = {};

    int r = origin_check_bytes(text, n, digest, e);
    if (r >= 0)
        r = oci_manifest_parse(text, n, digest, &origin, e);
    if (r < 0)
        return r;
    return streq(origin.config.digest, m->config.digest) && origin.n_layers == m->n_layers
               ? 0
               : error_set(e, EBADMSG, "%s is the manifest of another image", digest);
}

int origin_check_index(
    const char *text, size_t n, const char *digest, const char *manifest_digest, struct error *e) {
    _cleanup_(oci_index_done) struct oci_index index = {};

    int r = origin_check_bytes(text, n, digest, e);
    if (r >= 0)
        r = oci_index_parse(text, n, digest, &index, e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < index.n_manifests; i++)
        if (streq(index.manifests[i].digest, manifest_digest))
            return 0;
    return error_set(e, EBADMSG, "index %s does not list %s", digest, manifest_digest);
}

bool origin_claims(const struct oci_descriptor *entry, const char *digest) {
    return streq(entry->digest, digest) ||
           streq_ptr(strv_env_get(entry->annotations, ORIGIN_MANIFEST), digest) ||
           streq_ptr(strv_env_get(entry->annotations, ORIGIN_INDEX), digest);
}
