/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One container unit without davitd: what stands between "a name of a unit" and "a complete container_spec"
 * when another service manager (systemd) does the supervising. `davit launch` is the user.
 *
 * It reads davit.conf and the unit files itself, prepares what davitd would (image, control group below our
 * own, id range, upper directory, volumes), and hands out the spec. There is no loop, no saved state and no
 * output of davit's own; it may block, and runs davit-image where an image is missing. It never looks at
 * [Unit], [Install], Restart= and hooks: those are the service manager's.
 *
 * What it makes has names of its own, so that a davitd on the same machine leaves it alone:
 *     <state>/launched/UNIT/INVOCATION   the upper directory
 *     <state>/volumes/NAME/launched      marks an anonymous volume; the file has the unit's name
 * Volumes, images and the table of id ranges are shared with davitd.
 */
#pragma once

#include "base/clock.h"
#include "base/paths.h"
#include "launch/spec.h"

struct standalone;

struct standalone_options {
    const char *invocation;    /* 32 hexadecimal digits */
    const char *notify_socket; /* path of the service manager's; NULL = it has none */
    /* The unit's resource limits are properties of the service already. What a container may do with devices
     * is never left out. */
    bool no_limits;
    int stdout_fd, stderr_fd; /* borrowed; what the container writes to */
    /* While davit-image fetches the image or makes the root: what it does, each time that it is heard of.
     * NULL: at the beginning and the end. */
    void (*busy)(void *userdata, const char *what);
    void *userdata;
};

/* Loads the unit ("web" or "web.container"). -ENOENT, -EINVAL (not a container; its first mistake). */
int standalone_open(const struct paths *paths, const char *unit, const struct standalone_options *options,
    struct standalone **ret, struct error *e);
void standalone_free(struct standalone *s);
DEFINE_CLEANUP(struct standalone *, standalone_free)

const struct unit *standalone_config(const struct standalone *s);
/* Makes what a start needs, after removing what an earlier one left. The unit must not be running. */
int standalone_prepare(struct standalone *s, struct error *e);
/* The spec, and descriptors that the caller closes. */
int standalone_spec(struct standalone *s, struct container_spec *ret, int fds[static SPEC_MAX_FDS],
    size_t *ret_n_fds, struct error *e);
/* After a launch that failed with *e: true if it is worth another standalone_spec(), now in the host's user
 * namespace (UserNS= is not set, and something cannot be id-mapped). */
bool standalone_fall_back(struct standalone *s, const struct error *e);
/* Problems that do not keep it from starting ("UserNS: runs in ..."), one string each; NULL = none. */
char **standalone_remarks(const struct standalone *s);
/* What asks its main process to end, StopSignal= or the image's; and how long that may take (StopTimeout=).
 */
int standalone_stop_signal(struct standalone *s, usec_t *ret_timeout);
/* Removes what standalone_prepare() made: upper directories, anonymous volumes. Also of a unit whose file is
 * gone or broken by now. The unit must not be running. */
int standalone_cleanup(const struct paths *paths, const char *unit, struct error *e);
