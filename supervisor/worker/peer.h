/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Certificates for a registry: what davit.conf and the certs.d directories of podman and docker say of it
 * (containers-certs.d(5)). Read before the worker locks itself in. */
#pragma once

#include "image/registries.h"
#include "worker/http.h"

/* certs_dir: a directory that holds for this one alone (--cert-dir, CertDir=), NULL = none; certs:
 * directories of HOST[:PORT]/. tls_verify: 0 no, 1 yes, -1 as davit.conf says. -EINVAL, -ENOENT, ... with *e.
 */
int peer_load(const struct registry_endpoint *place, char *const *certs, const char *certs_dir,
    int tls_verify, struct http_peer *ret, struct error *e);
