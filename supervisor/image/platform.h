/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which of an index's manifests is meant: operating system, architecture and variant, in the words that
 * images use (those of the Go language: "amd64", "arm64", "arm"/"v7"). Without any wish it is this machine's.
 */
#pragma once

#include "image/oci.h"

struct platform {
    char *os, *architecture, *variant; /* variant NULL = the best there is for the architecture */
};
void platform_done(struct platform *p);
/* "linux/arm64/v8", "arm64", "linux/amd64". -EINVAL with *e. */
int platform_parse(const char *text, struct platform *ret, struct error *e);
/* This machine's, with what is not NULL replaced. -ENOMEM. */
int platform_host(const char *os, const char *architecture, const char *variant, struct platform *ret);
/* "linux/arm/v7". NULL on out of memory. */
char *platform_format(const struct platform *p);
/* The index's manifest to take. -ENOENT with a list of what there is. */
int platform_choose(const struct oci_index *index, const struct platform *wanted,
    const struct oci_descriptor **ret, struct error *e);
