/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking away what a start made: control group, upper layer, anonymous volumes, notify socket, FIFO. Trees
 * are removed in chores of the launcher, since a big one takes long; a group that is still busy is tried
 * again.
 *
 * A restart keeps group, socket and FIFO, and does not wait for the old upper layer: the next run has one of
 * its own.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/log.h"
#include "image/image.h"
#include "init/keeper.h"
#include "manager/rooms.h"

#define FIRST_RETRY USEC_PER_MSEC
#define LAST_RETRY (100 * USEC_PER_MSEC)
/* For davit-logd to drain the FIFO, and for the next one that takes its place then. When it is down for longer, lines
 * are lost rather than the unit stuck. */
#define LOG_TIMEOUT (5 * USEC_PER_SEC)

struct chore {
    struct list link; /* in cleanup->chores; unlinked when nobody waits */
    struct cleanup *cleanup;
    char *directory, *name;
};

struct cleanup {
    struct managed_unit *unit;
    struct list chores;
    sd_event_source *retry, *log_timeout;
    usec_t delay;
    bool group, log;  /* still there */
    bool second_logd; /* its time is running */
    bool building;    /* parts that end at once must not end the whole before all are begun */
};

static void check_done(struct cleanup *c);

/* ---- chores ---- */

static void chore_free(struct chore *c) {
    list_remove(&c->link);
    free(c->directory);
    free(c->name);
    free(c);
}

/* <state>/containers/UNIT stays while the unit may start again: a directory that is made and removed with
 * each start costs ext4 a search among the inodes that were freed lately, which is dear when a fleet starts.
 * What is left of a unit that has gone the next davitd sweeps. */
static bool directory_goes(struct manager *m, const char *directory) {
    const struct managed_unit *u = manager_find(m, path_basename(directory));

    return startswith(directory, m->paths.state) && !endswith(directory, "/volumes") && (!u || u->transient);
}

static void chore_ended(struct process *p, const char *problem) {
    struct chore *c = p->userdata;
    struct cleanup *waiting = c->cleanup;

    if (problem)
        log_warning(
            "Removing %s/%s: %s; it is tried again when davitd starts", c->directory, c->name, problem);
    else if (directory_goes(p->manager, c->directory))
        (void)unlinkat(AT_FDCWD, c->directory, AT_REMOVEDIR);
    process_free(p);
    chore_free(c);
    if (waiting)
        check_done(waiting);
}

static void chore_failed(struct process *p, const struct error *e) {
    if (p->pid == 0)
        chore_ended(p, e->text);
    else
        log_warning("Removing a tree: %s", e->text);
}

static void chore_exited(struct process *p, const struct process_exit *x) {
    chore_ended(p, x->code == CLD_EXITED && x->status == 0 ? NULL : "the chore failed");
}

static const struct process_callbacks chore_calls = {.failed = chore_failed, .exited = chore_exited};

static void start_chore(struct manager *m, struct cleanup *waiting, const char *directory, const char *name) {
    struct chore *c = calloc(1, sizeof(*c));
    struct container_spec spec;
    struct error e = {};
    struct process *p;

    if (!c)
        return;
    list_init(&c->link);
    c->directory = strdup(directory);
    c->name = strdup(name);
    char *arguments[] = {c->directory, c->name, NULL};
    spec_init(&spec);
    spec.kind = SPEC_TASK;
    spec.task = TASK_REMOVE_TREE;
    spec.argv = arguments;
    int r = c->directory && c->name
                ? process_start(m, NULL, PROCESS_CHORE, &spec, NULL, 0, &chore_calls, c, &p, &e)
                : error_set(&e, ENOMEM, "out of memory");
    if (r < 0) {
        log_warning("Removing %s/%s: %s", directory, name, e.text);
        chore_free(c);
        return;
    }
    if (waiting) {
        c->cleanup = waiting;
        list_append(&waiting->chores, &c->link);
    }
}

void cleanup_remove_tree(struct manager *m, const char *directory, const char *name) {
    start_chore(m, NULL, directory, name);
}

static void remove_upper(struct managed_unit *u, struct cleanup *waiting) {
    _cleanup_free_ char *path = TAKE_PTR(u->resources.upper_dir);
    if (!path)
        return;
    char *slash = strrchr(path, '/');
    *slash = '\0';
    start_chore(u->manager, waiting, path, slash + 1);
}

static void remove_volumes(struct managed_unit *u, struct cleanup *waiting) {
    _cleanup_strv_free_ char **names = TAKE_PTR(u->resources.anonymous_volumes);
    _cleanup_free_ char *directory = names ? strf("%s/volumes", u->manager->paths.state) : NULL;

    if (!directory)
        return;
    STRV_FOREACH (name, names)
        start_chore(u->manager, waiting, directory, *name);
}

/* ---- the group ---- */

static void remove_group(struct cleanup *c);

static int on_retry(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
    struct cleanup *c = userdata;

    remove_group(c);
    check_done(c);
    return 0;
}

static void retry_later(struct cleanup *c) {
    c->delay = c->delay == 0 ? FIRST_RETRY : MIN(c->delay * 2, LAST_RETRY);
    int r;
    if (c->retry) {
        r = sd_event_source_set_time_relative(c->retry, c->delay);
        if (r >= 0)
            r = sd_event_source_set_enabled(c->retry, SD_EVENT_ONESHOT);
    } else {
        r = sd_event_add_time_relative(
            c->unit->manager->event, &c->retry, CLOCK_MONOTONIC, c->delay, USEC_PER_MSEC, on_retry, c);
    }
    if (r < 0) {
        (void)log_errno(LOG_ERR, r, "%s: timer", c->unit->name);
        c->group = false;
    }
}

/* The exit of its last process is read from the feed before that process is reaped, and on v1 a zombie keeps
 * the group busy: the first try often comes a moment too early. */
static void remove_group(struct cleanup *c) {
    struct managed_unit *u = c->unit;

    int r = cgroup_remove(u->manager->cgroups, u->name);
    if (r == -EBUSY) {
        /* An orphan that a KillMode=none left, or one that was forked in the last moment. */
        if (c->delay >= LAST_RETRY && u->config->service.kill_mode != KILL_NONE)
            (void)cgroup_kill(u->manager->cgroups, u->name, SIGKILL);
        retry_later(c);
        return;
    }
    if (r < 0)
        (void)log_errno(LOG_WARNING, r, "%s: removing its control group", u->name);
    c->group = false;
    u->resources.cgroup = false;
}

/* ---- the FIFO ---- */

static void on_log_removed(struct managed_unit *u) {
    struct cleanup *c = u->resources.cleanup;

    if (!c)
        return;
    c->log = false;
    c->log_timeout = sd_event_source_disable_unref(c->log_timeout); /* other parts may take longer */
    if (!c->building)
        check_done(c);
}

static int on_log_timeout(sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
    struct cleanup *c = userdata;

    if (!c->second_logd && logs_replace_logd(c->unit->manager, LOG_TIMEOUT)) {
        c->second_logd = true;
        if (sd_event_source_set_time_relative(s, LOG_TIMEOUT) >= 0 &&
            sd_event_source_set_enabled(s, SD_EVENT_ONESHOT) >= 0)
            return 0;
    }
    log_warning("%s: davit-logd has not written its last lines, they may be lost", c->unit->name);
    logs_forget(c->unit);
    c->log = false;
    check_done(c);
    return 0;
}

static void remove_log(struct cleanup *c) {
    logs_remove(c->unit, on_log_removed);
    if (c->log)
        (void)sd_event_add_time_relative(
            c->unit->manager->event, &c->log_timeout, CLOCK_MONOTONIC, LOG_TIMEOUT, 0, on_log_timeout, c);
}

/* ---- the whole ---- */

static void cleanup_free(struct cleanup *c) {
    LIST_FOREACH (chore, &c->chores, struct chore, link) {
        chore->cleanup = NULL;
        list_remove(&chore->link);
    }
    (void)sd_event_source_unref(c->retry);
    (void)sd_event_source_unref(c->log_timeout);
    c->unit->resources.cleanup = NULL;
    free(c);
}

static void check_done(struct cleanup *c) {
    struct managed_unit *u = c->unit;

    if (c->building || c->group || c->log || !list_empty(&c->chores))
        return;
    cleanup_free(c);
    unit_mark_dirty(u);
    unit_event(u, EVENT_CLEANED);
}

void cleanup_cancel(struct managed_unit *u) {
    struct cleanup *c = u->resources.cleanup;

    if (!c)
        return;
    if (c->log)
        logs_keep(u);
    cleanup_free(c);
}

static void forget_image(struct managed_unit *u) {
    if (!u->resources.image)
        return;
    image_done(u->resources.image);
    free(TAKE_PTR(u->resources.image));
}

void prepare_cleanup(struct managed_unit *u, bool restart_follows) {
    struct cleanup *c = NULL;

    cleanup_cancel(u);
    if (fill_delays_cleanup(u, restart_follows))
        return;
    forget_image(u);
    if (restart_follows) {
        remove_upper(u, NULL);
        remove_volumes(u, NULL);
        unit_mark_dirty(u);
        unit_event(u, EVENT_CLEANED);
        return;
    }
    c = calloc(1, sizeof(*c));
    if (!c) {
        /* Without memory to wait with: what can be done at once is done, the sweep of the next davitd does
         * the rest. */
        log_error("%s: out of memory while cleaning up", u->name);
        notify_close(u);
        unit_event(u, EVENT_CLEANED);
        return;
    }
    *c = (struct cleanup){
        .unit = u, .building = true, .group = u->resources.cgroup, .log = u->resources.log_fd >= 0};
    list_init(&c->chores);
    u->resources.cleanup = c;
    u->resources.id_base = u->resources.id_count = 0;
    notify_close(u);
    remove_upper(u, c);
    remove_volumes(u, c);
    if (c->group)
        remove_group(c);
    if (c->log)
        remove_log(c);
    c->building = false;
    check_done(c);
}

void resources_free(struct managed_unit *u) {
    cleanup_cancel(u);
    pull_cancel(u);
    tree_cancel(u);
    fill_forget(u);
    notify_close(u);
    logs_forget(u);
    forget_image(u);
    free(TAKE_PTR(u->resources.upper_dir));
    strv_free(TAKE_PTR(u->resources.anonymous_volumes));
}
