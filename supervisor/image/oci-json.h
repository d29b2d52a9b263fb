/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading members of JSON documents that outsiders wrote. Private to image/ and worker/. Every function says
 * which member is wrong; a member that is missing or null is left at NULL or 0.
 */
#pragma once

#include "base/json.h"

#include "image/oci.h"

#define _cleanup_json_ _cleanup_(json_decrefp) /* jansson has the function */

/* An object, strictly parsed, of at most max bytes. */
int oci_json_parse(const char *text, size_t n, size_t max, const char *what, json_t **ret, struct error *e);
/* *ret must be NULL before; a string without NUL. An empty one becomes NULL, unless keep_empty. */
int oci_json_string(json_t *object, const char *name, bool keep_empty, char **ret, struct error *e);
int oci_json_u64(json_t *object, const char *name, uint64_t *ret, struct error *e);
int oci_json_bool(json_t *object, const char *name, bool *ret, struct error *e);
/* An array of strings; *ret is NULL if it is missing. An array that is there and empty gives an allocated,
 * empty one. */
int oci_json_strings(json_t *object, const char *name, char ***ret, struct error *e);
/* The names of an object's members, sorted (sets in Go's JSON). */
int oci_json_names(json_t *object, const char *name, char ***ret, struct error *e);
/* An object of strings as NAME=VALUE, sorted. */
int oci_json_pairs(json_t *object, const char *name, char ***ret, struct error *e);
/* A member that must be an object or missing (*ret NULL); borrowed. */
int oci_json_object(json_t *object, const char *name, json_t **ret, struct error *e);
/* The same for an array. */
int oci_json_array(json_t *object, const char *name, size_t max, json_t **ret, struct error *e);
/* A descriptor: mediaType, digest and size are checked. */
int oci_json_descriptor(json_t *object, struct oci_descriptor *ret, struct error *e);
