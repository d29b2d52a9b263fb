/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tracking: kill all, freeze, empty or not. The unified hierarchy does each with one file and without a
 * controller; on a legacy machine the v1 freezer stands in.
 */
#include <signal.h>

#include "cgroup/internal.h"

/* ---- unified ---- */

static int unified_freeze(struct cgroup_tree *t, const char *name, bool freeze) {
    return cgroup_group_write(t->unified, name, "cgroup.freeze", freeze ? "1" : "0");
}

/* Not by cgroup.kill: the kernel counts the kills of a group and lets clone3(CLONE_INTO_CGROUP) compare the
 * count with that of the caller's own group (measured on 6.18; the check is of 2025, "cgroup: fix race
 * between fork and cgroup.kill"). So a group that was killed once kills whatever is started in it ever after:
 * ExecStopPost=, the next start. Frozen processes cannot fork away from the signals either, and die of
 * SIGKILL without being thawed. */
static int unified_kill_all(struct cgroup_tree *t, const char *name) {
    int r;

    (void)unified_freeze(t, name, true);
    r = cgroup_kill_except(t, name, SIGKILL, 0);
    (void)unified_freeze(t, name, false);
    return r;
}

static int unified_is_populated(struct cgroup_tree *t, const char *name) {
    uint64_t populated;
    int r = cgroup_group_read_key(t->unified, name, "cgroup.events", "populated", &populated);

    if (r == -ENODEV) /* removed between open and read */
        r = -ENOENT;
    return r < 0 ? r : populated != 0;
}

const struct cgroup_tracking cgroup_tracking_unified = {
    .name = "unified",
    .kill_all = unified_kill_all,
    .freeze = unified_freeze,
    .is_populated = unified_is_populated,
};

/* ---- v1 ---- */

static int v1_freeze(struct cgroup_tree *t, const char *name, bool freeze) {
    struct cgroup_hierarchy *freezer = cgroup_home(t, CONTROLLER_FREEZER);

    if (!freezer)
        return -EOPNOTSUPP;
    return cgroup_group_write(freezer, name, "freezer.state", freeze ? "FROZEN" : "THAWED");
}

/* A frozen process cannot fork away from the signal, but dies of it only once it is thawed. Without a freezer
 * the rounds of cgroup_kill_except() have to do. */
static int v1_kill_all(struct cgroup_tree *t, const char *name) {
    int r;

    (void)v1_freeze(t, name, true);
    r = cgroup_kill_except(t, name, SIGKILL, 0);
    (void)v1_freeze(t, name, false);
    return r;
}

static int v1_is_populated(struct cgroup_tree *t, const char *name) {
    _cleanup_pids_ struct cgroup_pids p = {0};
    int r = cgroup_procs_collect(t->tracking, name, &p);

    return r < 0 ? r : p.n > 0;
}

const struct cgroup_tracking cgroup_tracking_v1 = {
    .name = "v1",
    .kill_all = v1_kill_all,
    .freeze = v1_freeze,
    .is_populated = v1_is_populated,
};

/* ---- either ---- */

int cgroup_kill(struct cgroup_tree *t, const char *name, int signal) {
    return signal == SIGKILL ? t->track->kill_all(t, name) : cgroup_kill_except(t, name, signal, 0);
}

int cgroup_freeze(struct cgroup_tree *t, const char *name, bool freeze) {
    return t->track->freeze(t, name, freeze);
}

int cgroup_is_populated(struct cgroup_tree *t, const char *name) {
    return t->track->is_populated(t, name);
}
