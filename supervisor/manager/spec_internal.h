/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a unit to a container_spec: what spec_build.c, spec_process.c, spec_environment.c, spec_files.c and
 * spec_mounts.c share. Nobody else includes this.
 */
#pragma once

#include "image/image.h"
#include "launch/spec.h"
#include "manager/manager.h"
#include "manager/rooms.h"

/* The image of u, resolved once a start. Owned by u. */
int spec_image(struct managed_unit *u, const struct image **ret, struct error *e);
/* "web" of "web.container", "shell-a" of "shell@a.container": at most 63 of the characters that a host name
 * may have. */
int spec_default_hostname(const char *unit, char **ret);
/* The end of every prepare_*_spec(): with r < 0 the spec is freed, else it goes to *ret, and fds become
 * copies that the caller owns. Returns r or what copying says. */
int spec_hand_over(struct container_spec *s, int r, struct container_spec *ret, int *fds, size_t n_fds,
    size_t *ret_n_fds, struct error *e);
/* Position of fd in fds, added where it is not there yet; -1 for none. */
int32_t spec_add_fd(int fd, int *fds, size_t *n_fds);
/* Group, stdio to the log, OOM score: what main processes and hooks have in common. */
int spec_common(struct managed_unit *u, struct container_spec *s, int *fds, size_t *n_fds, struct error *e);
/* Every capability that this davit itself has. */
uint64_t spec_own_capabilities(void);
int spec_capabilities(const struct container_section *c, uint64_t *ret, struct error *e);
int spec_add_rlimits(struct container_spec *s, const struct ulimit *l, size_t n);

/* ---- spec_process.c ---- */
int spec_of_service(
    struct managed_unit *u, struct container_spec *s, int *fds, size_t *n_fds, struct error *e);

/* ---- spec_environment.c ---- */
int environment_of_container(struct managed_unit *u, const struct image *image, const char *hostname,
    bool terminal, char ***ret, struct error *e);
/* Of a service's main process (command NULL) or of a hook. */
int environment_of_process(struct managed_unit *u, bool hook, char ***ret, struct error *e);
/* What Exec= is expanded with, as systemd expands the ExecStart= that Quadlet makes of it. */
int environment_for_expansion(struct managed_unit *u, char ***ret, struct error *e);

/* ---- spec_files.c ---- */
int files_of_container(
    struct managed_unit *u, const char *hostname, struct container_spec *s, struct error *e);

/* ---- spec_mounts.c ---- */
/* Whether a volume that the image asks for is made: not where the unit itself mounts something. */
bool image_volume_is_used(const struct container_section *c, const char *target);
int mounts_of_container(
    struct managed_unit *u, const struct image *image, struct container_spec *s, struct error *e);
int devices_of_container(const struct container_section *c, struct container_spec *s, struct error *e);
int masks_of_container(const struct container_section *c, struct container_spec *s, struct error *e);
int sysctls_of_container(const struct container_section *c, struct container_spec *s, struct error *e);
