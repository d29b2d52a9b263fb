/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of images: [REGISTRY/]REPOSITORY[:TAG][@DIGEST], in the grammar of the OCI distribution
 * specification.
 *
 * The first component is a registry if it has a dot or a colon in it or is "localhost"; otherwise the name is
 * a short one and says nothing about where it comes from. No registry is ever assumed when a name is read.
 * podman's conventions for short names are kept in two places: what is imported or made here under a short
 * name is stored as "localhost/NAME", and a short name is looked up as reference_candidates() says.
 *
 * The canonical form is what the store calls the image: REGISTRY/REPOSITORY:TAG, or
 * REGISTRY/REPOSITORY@DIGEST where a digest was written (a tag beside it only helps people). It is at most
 * REFERENCE_MAX bytes, so that it fits in a file name.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"

#define REFERENCE_MAX 255
#define REFERENCE_LOCAL "localhost"
#define REFERENCE_DEFAULT_TAG "latest"

struct reference {
    char *registry;   /* "registry.example:5000", NULL for a short name */
    char *repository; /* "library/debian" */
    char *tag;        /* NULL if none was written */
    char *digest;     /* "sha256:...", NULL if none was written */
};

/* 0; -EINVAL with what is wrong, -ENAMETOOLONG, -ENOMEM. ret is untouched on failure. */
int reference_parse(const char *text, struct reference *ret, struct error *e);
void reference_done(struct reference *r);
/* The canonical form, with registry (for a short name) put in front of it. NULL on out of memory. */
char *reference_format(const struct reference *r, const char *registry);
/* Parses text and gives the canonical form under which it is stored: a short name under localhost/. */
int reference_canonical(const char *text, char **ret, struct error *e);
/* The canonical forms a name may be stored under, best first: itself, or for a short name localhost/NAME,
 * then docker.io/library/NAME or docker.io/NAME, as podman looks for it without asking. */
int reference_candidates(const struct reference *r, char ***ret);
