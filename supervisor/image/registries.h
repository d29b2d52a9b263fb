/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where images are fetched from: the group "registries" of davit.conf, in the terms of
 * containers-registries.conf(5). Read with libconfig, by the worker that fetches and by the one that checks
 * davit.conf; davitd itself keeps nothing of it.
 *
 *   registries = {
 *       search = ["docker.io"];                     // for names without a registry
 *       aliases = ( { name = "alpine"; image = "registry.example.com/base/alpine"; } );
 *       certs = ["/etc/containers/certs.d"];        // directories of HOST[:PORT]/{*.crt,*.cert,*.key}
 *       registry = ( {
 *           prefix = "docker.io";                   // of names; the longest one counts
 *           location = "mirror.example.com/hub";    // what stands in its place; default: the prefix
 *           insecure = true;                        // certificates are not looked at; plain HTTP as last
 * resort plain_http = true;                      // plain HTTP only blocked = true; // refused ca =
 * "/etc/davit/ca.pem";               // further authorities: a file or directory client_cert = "...";
 * client_key = "..."; mirrors = ( { location = "10.0.0.5:5000"; plain_http = true; } );  // tried first, in
 * order } ); parallel = 3;                               // blobs at a time
 *   };
 */
#pragma once

#include "base/error.h"
#include "base/str.h"
#include "image/reference.h"

#define REGISTRIES_MAX 256
#define REGISTRY_MIRRORS_MAX 16

struct registry_location {
    char *location; /* "host[:port][/path]" */
    bool insecure, plain_http;
    char *ca, *client_cert, *client_key; /* NULL = what certs has */
};
struct registry_entry {
    char *prefix;
    bool blocked;
    struct registry_location primary, *mirrors;
    size_t n_mirrors;
};
struct registries {
    char **search;
    char **aliases; /* "name=image" */
    char **certs;   /* most wanted first */
    struct registry_entry *entries;
    size_t n_entries;
    uint32_t parallel;
};
void registries_init(struct registries *r);
void registries_done(struct registries *r);

/* s is the setting "registries" (a config_setting_t of libconfig) of the file path. 0, or -EINVAL, -ERANGE
 * with *e: "davit.conf:7: ...". ret may be half filled after a failure. */
struct config_setting_t;
int registries_parse(
    const struct config_setting_t *s, const char *path, struct registries *ret, struct error *e);
/* The group of a whole davit.conf; a missing file or group gives the defaults. */
int registries_read(const char *path, struct registries *ret, struct error *e);

/* One place to ask for one image. */
struct registry_endpoint {
    char *host;                               /* with port: the authority of URLs */
    char *repository;                         /* there */
    const struct registry_location *location; /* NULL = nothing is set for it */
    bool is_mirror;
};
void registry_endpoints_free(struct registry_endpoint *list, size_t n);
/* The fully qualified names that a written name may mean, best first: itself; an alias; or NAME in each
 * registry to search. -ENOENT where there is nothing to search. */
int registries_candidates(
    const struct registries *r, const struct reference *name, char ***ret, struct error *e);
/* Where to ask for a fully qualified name: mirrors, then the registry. -EPERM if it is blocked. */
int registries_endpoints(const struct registries *r, const struct reference *name,
    struct registry_endpoint **ret, size_t *ret_n, struct error *e);
