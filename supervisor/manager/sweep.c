/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * After a davitd has come up and taken over what it knows: whatever else an earlier one left behind goes.
 * Groups that belong to no unit are emptied and removed, upper layers and anonymous volumes that no run uses
 * as well, sockets and FIFOs that nobody holds, and the texts of one-off containers, which have a minute.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>

#include "base/fs.h"
#include "base/log.h"
#include "manager/rooms.h"

#define RETRY (50 * USEC_PER_MSEC)
#define RETRIES_MAX 200

/* ---- groups ---- */

struct sweep {
    struct manager *manager;
    char **groups;
    unsigned tries;
};

static bool group_is_wanted(struct manager *m, const char *name) {
    const struct managed_unit *u = manager_find(m, name);
    return name[0] == '.' || (u && u->resources.cgroup);
}

static void remove_groups(struct sweep *s) {
    size_t kept = 0;

    for (size_t i = 0; s->groups[i]; i++) {
        /* A unit may have been started under that name meanwhile. */
        int r =
            group_is_wanted(s->manager, s->groups[i]) ? 0 : cgroup_remove(s->manager->cgroups, s->groups[i]);
        if (r == -EBUSY && !group_is_wanted(s->manager, s->groups[i])) {
            (void)cgroup_kill(s->manager->cgroups, s->groups[i], SIGKILL);
            s->groups[kept++] = s->groups[i];
            continue;
        }
        if (r < 0)
            (void)log_errno(LOG_WARNING, r, "Removing control group %s", s->groups[i]);
        free(s->groups[i]);
    }
    s->groups[kept] = NULL;
}

static int on_retry(sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
    struct sweep *s = userdata;

    remove_groups(s);
    if (s->groups[0] && ++s->tries < RETRIES_MAX) {
        (void)sd_event_source_set_time_relative(source, RETRY);
        (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
    }
    STRV_FOREACH (name, s->groups)
        log_warning("Control group %s stays: its processes cannot be killed", *name);
    strv_free(s->groups);
    free(s);
    (void)sd_event_source_unref(source);
    return 0;
}

static void sweep_groups(struct manager *m) {
    struct sweep *s = calloc(1, sizeof(*s));
    sd_event_source *source = NULL;

    if (!s)
        return;
    s->manager = m;
    int r = cgroup_tree_list(m->cgroups, &s->groups);
    if (r < 0 || !s->groups) {
        free(s);
        return;
    }
    remove_groups(s);
    if (s->groups[0])
        r = sd_event_add_time_relative(m->event, &source, CLOCK_MONOTONIC, RETRY, 0, on_retry, s);
    if (!s->groups[0] || r < 0) {
        strv_free(s->groups);
        free(s);
    }
}

/* ---- directories ---- */

typedef void (*visit_t)(struct manager *m, const char *directory, const char *name);

static void each_entry(struct manager *m, const char *directory, visit_t visit) {
    DIR *d = opendir(directory);

    if (!d)
        return;
    for (const struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
            visit(m, directory, entry->d_name);
    }
    (void)closedir(d);
}

/* <state>/containers/UNIT/INVOCATION */
static void visit_upper(struct manager *m, const char *directory, const char *name) {
    const struct managed_unit *u = manager_find(m, path_basename(directory));
    _cleanup_free_ char *path = path_join(directory, name);

    if (path && !(u && streq_ptr(u->resources.upper_dir, path)))
        cleanup_remove_tree(m, directory, name);
}

static void visit_unit_directory(struct manager *m, const char *directory, const char *name) {
    _cleanup_free_ char *path = path_join(directory, name);

    /* Already empty, or not. */
    if (path && unlinkat(AT_FDCWD, path, AT_REMOVEDIR) < 0 && errno == ENOTEMPTY)
        each_entry(m, path, visit_upper);
}

static void visit_volume(struct manager *m, const char *directory, const char *name) {
    _cleanup_free_ char *mark = strf("%s/%s/" VOLUME_MARK, directory, name);
    struct managed_unit *u;

    if (!mark || access(mark, F_OK) < 0)
        return;
    HASHMAP_FOREACH (u, m->units) {
        if (strv_contains(u->resources.anonymous_volumes, name))
            return;
    }
    volume_remove(m, name);
}

static void visit_socket(struct manager *m, const char *directory, const char *name) {
    _cleanup_free_ char *path = path_join(directory, name);
    struct managed_unit *u = manager_find(m, name);

    if (u && u->resources.notify_fd >= 0)
        return;
    HASHMAP_FOREACH (u, m->units) { /* its name is too long for a socket's */
        _cleanup_free_ char *used = NULL;
        if (u->resources.notify_fd >= 0 && notify_path(u, &used) >= 0 && streq_ptr(used, path))
            return;
    }
    if (path)
        (void)unlink(path);
}

static void visit_fifo(struct manager *m, const char *directory, const char *name) {
    const struct managed_unit *u = manager_find(m, name);
    _cleanup_free_ char *path = path_join(directory, name);

    if (path && !(u && u->resources.log_fd >= 0))
        (void)unlink(path);
}

static void visit_text(struct manager *m, _unused_ const char *directory, const char *name) {
    if (!manager_find(m, name))
        run_keep_text(m, name);
}

/* A descriptor that nobody took: "l-<id>" means a stream that davit-logd still reads. */
static void dropped(struct manager *m, const char *name) {
    const char *id = startswith(name, "l-");
    char *end;

    if (!id)
        return;
    uint64_t number = strtoull(id, &end, 16);
    if (end != id && *end == '\0')
        logs_remove_stream(m, number);
}

void cleanup_sweep(struct manager *m) {
    const struct {
        const char *base, *directory;
        visit_t visit;
    } table[] = {
        {m->paths.state, UPPER_DIRECTORY, visit_unit_directory},
        {m->paths.state, "volumes", visit_volume},
        {m->paths.runtime, "notify", visit_socket},
        {m->paths.runtime, "log", visit_fifo},
        {m->paths.runtime, RUN_TEXTS, visit_text},
    };

    keeper_drop_leftovers(m, dropped);
    sweep_groups(m);
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        _cleanup_free_ char *directory = path_join(table[i].base, table[i].directory);
        if (directory)
            each_entry(m, directory, table[i].visit);
    }
}
