/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: documents of images and names of images and layer entries, which registries and archives send.
 * The first byte chooses which. Whatever the text, it is refused with a reason, or what comes out keeps the
 * promises of image/oci.h, image/reference.h and worker/unpack.h.
 */
#include "fuzz.h"
#include "image/oci.h"
#include "image/platform.h"
#include "image/reference.h"
#include "worker/unpack-internal.h"

/* A refusal names a reason; an acceptance leaves no error behind. */
static bool accepted(int r, const struct error *e) {
    expect(r < 0 ? e->number == -r && *e->text : r == 0);
    return r == 0;
}

static void fuzz_index(const char *text, size_t n) {
    struct oci_index index = {};
    struct error e = {};

    if (!accepted(oci_index_parse(text, n, "index", &index, &e), &e))
        return;
    expect(index.n_manifests <= OCI_INDEX_MAX);
    for (size_t i = 0; i < index.n_manifests; i++)
        expect(digest_is_valid(index.manifests[i].digest) && index.manifests[i].media_type);
    const struct oci_descriptor *d = oci_index_choose(&index);
    expect(!d || (d >= index.manifests && d < index.manifests + index.n_manifests));
    oci_index_done(&index);
}

static void fuzz_manifest(const char *text, size_t n) {
    struct oci_manifest manifest = {};
    struct oci_config config = {};
    struct error e = {};

    if (!accepted(oci_manifest_parse(text, n, "manifest", &manifest, &e), &e))
        return;
    expect(digest_is_valid(manifest.config.digest) && manifest.n_layers <= OCI_LAYERS_MAX);
    for (size_t i = 0; i < manifest.n_layers; i++)
        expect(digest_is_valid(manifest.layers[i].digest));
    expect(oci_check_pair(&manifest, &config, NULL) < 0); /* no layers, or not as many */
    oci_manifest_done(&manifest);
}

static void fuzz_config(const char *text, size_t n) {
    struct oci_config config = {};
    struct error e = {};

    if (!accepted(oci_config_parse(text, n, "config", &config, &e), &e))
        return;
    expect(strv_length(config.diff_ids) <= OCI_LAYERS_MAX);
    STRV_FOREACH (id, config.diff_ids)
        expect(digest_is_valid(*id));
    oci_config_done(&config);
}

/* A document is of one kind, never of two (CVE-2021-41190). */
static void fuzz_kind(const char *text, size_t n) {
    struct oci_manifest manifest = {};
    struct oci_index index = {};
    enum oci_kind kind;

    bool is_index = oci_index_parse(text, n, "x", &index, NULL) >= 0;
    bool is_manifest = oci_manifest_parse(text, n, "x", &manifest, NULL) >= 0;
    expect(!(is_index && is_manifest));
    if (oci_kind_of(text, n, "x", &kind, NULL) >= 0)
        expect(kind == OCI_INDEX ? !is_manifest : !is_index);
    oci_index_done(&index);
    oci_manifest_done(&manifest);
}

static void fuzz_reference(const char *text) {
    struct reference r = {}, again = {};
    struct error e = {};

    if (!accepted(reference_parse(text, &r, &e), &e))
        return;
    char *canonical = reference_format(&r, r.registry ? NULL : REFERENCE_LOCAL);
    if (canonical && strlen(canonical) <= REFERENCE_MAX) {
        expect(!strstr(canonical, "..") || strchr(canonical, '/'));
        expect(!strstr(canonical, "/../") && !strchr(canonical, '+'));
        expect(reference_parse(canonical, &again, NULL) == 0);
        char *twice = reference_format(&again, NULL);
        expect(twice && streq(twice, canonical));
        free(twice);
        reference_done(&again);
    }
    free(canonical);
    reference_done(&r);
}

static void fuzz_entry_name(const char *text) {
    struct name name = {};
    struct error e = {};

    if (!accepted(name_parse(text, &name, &e), &e))
        return;
    expect(name.path && name.path[0] != '/');
    for (const char *p = name.path; *p; p += strcspn(p, "/"), p += *p == '/') {
        size_t n = strcspn(p, "/");
        expect(n > 0 && !(n == 1 && *p == '.') && !(n == 2 && p[0] == '.' && p[1] == '.'));
    }
    name_done(&name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const documents[])(const char *text, size_t n) = {
        fuzz_index, fuzz_manifest, fuzz_config, fuzz_kind};
    static void (*const names[])(const char *text) = {fuzz_reference, fuzz_entry_name};

    if (size == 0)
        return 0;
    size_t which = data[0] % (ARRAY_SIZE(documents) + ARRAY_SIZE(names));
    char *text = strndup((const char *)data + 1, size - 1);
    if (!text)
        return 0;
    if (which < ARRAY_SIZE(documents))
        documents[which]((const char *)data + 1, size - 1);
    else
        names[which - ARRAY_SIZE(documents)](text);
    free(text);
    return 0;
}
