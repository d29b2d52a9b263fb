/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an image was called where it came from: the digest of its manifest there, and of the index that led to
 * it. Whoever writes NAME@sha256:... means one of these, and the image in the store has to go on answering to it
 * when it has been saved and imported on a machine without a network, although the archive has its layers
 * uncompressed and so another manifest.
 *
 * The digests cannot just be said: an archive could say what it likes. So the documents themselves go along, as
 * blobs that no tool looks for, and annotations of the archive's entry name them. A manifest is the image's own if
 * it hashes to that digest and names the same configuration; that names every layer by the digest of its
 * uncompressed archive, which unpacking checks. An index is if it hashes to that digest and lists the manifest.
 */
#pragma once

#include "image/oci.h"

#define ORIGIN_MANIFEST "io.davit.image.manifest"
#define ORIGIN_INDEX "io.davit.image.index"

/* n bytes that should be the document `digest`: -EBADMSG. */
int origin_check_bytes(const char *text, size_t n, const char *digest, struct error *e);
/* Also those of a manifest for the same image as m. */
int origin_check_manifest(
    const char *text, size_t n, const char *digest, const struct oci_manifest *m, struct error *e);
/* And those of an index with this manifest in it. */
int origin_check_index(
    const char *text, size_t n, const char *digest, const char *manifest_digest, struct error *e);
/* Whether an archive says of an entry that it is the image with this digest. */
bool origin_claims(const struct oci_descriptor *entry, const char *digest);
