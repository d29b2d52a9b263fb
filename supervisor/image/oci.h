/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * OCI documents as checked values: index, manifest and image configuration (image-spec v1.1), and Docker's
 * schema 2 forms of the same, which differ in their media types only.
 *
 * They come from outsiders: parsing rejects what is no strict JSON (duplicate keys, trailing text, bad
 * UTF-8), what is larger than the limits below, and every member that has not the type the specification
 * says. Members that are not known are ignored, as the specification asks; the original bytes are what is
 * stored and hashed.
 *
 * A document that could be read as two kinds is refused (CVE-2021-41190): an index has no layers and no
 * config, a manifest has no manifests, and a mediaType that is there must be the right one.
 */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"
#include "image/digest.h"

#define OCI_MANIFEST_MAX (4U * 1024 * 1024) /* what registries take */
#define OCI_CONFIG_MAX (8U * 1024 * 1024)
/* Overlay takes 500, and two are ours: one with /etc/hosts and the like, and one with directories that layers do
 * not describe (worker/settle.h). More would come in and never start. */
#define OCI_LAYERS_MAX 498
#define OCI_INDEX_MAX 2000    /* manifests in an index */
#define OCI_STRINGS_MAX 10000 /* environment variables, labels, ... */

#define OCI_MEDIA_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_MEDIA_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_MEDIA_CONFIG "application/vnd.oci.image.config.v1+json"
#define OCI_MEDIA_LAYER "application/vnd.oci.image.layer.v1.tar"
#define OCI_MEDIA_LAYER_GZIP OCI_MEDIA_LAYER "+gzip"
#define OCI_MEDIA_LAYER_ZSTD OCI_MEDIA_LAYER "+zstd"
#define DOCKER_MEDIA_INDEX "application/vnd.docker.distribution.manifest.list.v2+json"
#define DOCKER_MEDIA_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_MEDIA_CONFIG "application/vnd.docker.container.image.v1+json"
#define DOCKER_MEDIA_LAYER_GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"
/* davit's own: a layer that is a file system image. It is mounted, and its diffID is its own digest. */
#define DAVIT_MEDIA_LAYER_SQUASHFS "application/vnd.davit.image.layer.v1.squashfs"
#define DAVIT_MEDIA_LAYER_EROFS "application/vnd.davit.image.layer.v1.erofs"

#define OCI_ANNOTATION_REF_NAME "org.opencontainers.image.ref.name"
/* What skopeo, buildah and containerd write beside it: the whole name, where ref.name is a tag only. */
#define OCI_ANNOTATION_IMAGE_NAME "io.containerd.image.name"

struct oci_descriptor {
    char *media_type; /* "" where the document names none */
    char digest[DIGEST_TEXT];
    uint64_t size;
    char *architecture, *os, *variant; /* of an index's entry; NULL where not said */
    char **annotations;                /* NAME=VALUE; values may contain newlines */
};

struct oci_index {
    struct oci_descriptor *manifests;
    size_t n_manifests;
};

struct oci_manifest {
    bool docker; /* schema 2, not OCI */
    struct oci_descriptor config;
    struct oci_descriptor *layers; /* lowest first */
    size_t n_layers;
    char **annotations;
};

/* Times as written are nanoseconds; 0 = not set. */
struct oci_healthcheck {
    char **test; /* "CMD", "CMD-SHELL" or "NONE" first; NULL = none */
    uint64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns;
    unsigned retries;
};

struct oci_history {
    char *created, *created_by, *comment; /* NULL where not said */
    bool empty_layer;
};

struct oci_config {
    char *architecture, *os, *variant, *created; /* created: RFC 3339, as written */
    char **diff_ids;                             /* valid digests, lowest first */
    char *user, *working_dir, *stop_signal;      /* NULL where empty */
    char **entrypoint, **cmd, **environment;
    char **volumes;       /* paths inside the container */
    char **exposed_ports; /* "80/tcp" */
    char **labels;        /* NAME=VALUE */
    struct oci_healthcheck healthcheck;
    struct oci_history *history;
    size_t n_history;
};

/* what names the document in messages. 0; -EINVAL, -EFBIG, -E2BIG, -ENOMEM. ret is untouched on failure. */
int oci_index_parse(const char *text, size_t n, const char *what, struct oci_index *ret, struct error *e);
int oci_manifest_parse(
    const char *text, size_t n, const char *what, struct oci_manifest *ret, struct error *e);
int oci_config_parse(const char *text, size_t n, const char *what, struct oci_config *ret, struct error *e);
/* Index or manifest: what registries answer with, and what an index may point to. */
enum oci_kind { OCI_INDEX, OCI_MANIFEST };
int oci_kind_of(const char *text, size_t n, const char *what, enum oci_kind *ret, struct error *e);
void oci_descriptor_done(struct oci_descriptor *d);
void oci_index_done(struct oci_index *i);
void oci_manifest_done(struct oci_manifest *m);
void oci_config_done(struct oci_config *c);

/* The architecture of this machine in Go's words ("amd64", "arm64"), and variant ("v8", "v7", or NULL). */
const char *oci_architecture(const char **ret_variant);
/* The index's first entry for this machine, or the first that does not say for which. NULL if there is none.
 */
const struct oci_descriptor *oci_index_choose(const struct oci_index *i);
/* Layers of the manifest and diffIDs of its configuration belong together one by one. */
int oci_check_pair(const struct oci_manifest *m, const struct oci_config *c, struct error *e);
