/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where davit keeps things (docs/design.md, "Files on a machine"). Each directory can be moved by an
 * environment variable, which davit-init passes on to its children, so a test, a demo or a second fleet needs
 * no other machine:
 *
 *   DAVIT_CONFIG       /etc/davit/davit.conf
 *   DAVIT_RUNTIME_DIR  /run/davit             control socket, saved state, notify sockets, FIFOs
 *   DAVIT_STATE_DIR    /var/lib/davit         images, upper layers, volumes, id ranges
 *   DAVIT_LOG_DIR      /var/log/davit         container logs where journald is not the sink
 *   DAVIT_UNIT_PATH    colon list, highest precedence first (default: units/ in the runtime directory, then
 *                      /etc/davit/units, then /usr/lib/davit/units)
 *   DAVIT_LIBEXEC_DIR  directory of davitd, davit-launch, davit-logd (default: /usr/lib/davit, by build
 * PREFIX) DAVIT_CGROUP       cgroup below which everything is made (default: see cgroup/cgroup.h)
 */
#pragma once

#include "base/str.h"

struct paths {
    char *config;
    char *runtime, *state, *log, *libexec;
    char **unit_path;
    char *cgroup; /* NULL = choose */
};
/* Fills ret from the environment and the built-in defaults. 0, -ENOMEM, -EINVAL (a relative path). */
int paths_load(struct paths *ret);
void paths_done(struct paths *p);
