/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking over from an earlier davitd: saved state and the keeper's descriptors become managed units again.
 *
 * A unit whose state cannot be read is never started a second time: if its group has processes, the oldest
 * child of our keeper among them is its main process, and the unit is taken to be running. A container of `davit
 * run` that has ended meanwhile is not run once more for its client. What belongs to nobody is swept afterwards
 * (sweep.c).
 *
 * If davit-init itself was killed (which cannot happen where it is PID 1), what it had launched runs on,
 * below somebody else's init. The state is true all the same: units are taken over as ever, only that the
 * feed will not tell how their processes end (foreign.c), and that a launch that was under way is not asked
 * about but ended and begun anew.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>

#include "base/fs.h"
#include "base/log.h"
#include "init/keeper.h"
#include "manager/rooms.h"

#define FILE_MAX (64 * 1024)
#define GROUP_PIDS_MAX 4096

/* ---- descriptors and directories ---- */

static int take_named(struct manager *m, char kind, uint64_t id) {
    char name[KEEPER_NAME_MAX];

    (void)snprintf(name, sizeof(name), "%c-%" PRIx64, kind, id);
    return keeper_take(m, name);
}

static void take_resources(struct managed_unit *u) {
    struct unit_resources *res = &u->resources;

    res->notify_fd = take_named(u->manager, 'n', res->id);
    res->log_fd = take_named(u->manager, 'l', res->id);
    if (res->log_fd < 0 && u->recovered_main.request != 0) {
        _cleanup_free_ char *path = NULL;
        if (logs_path(u, &path) >= 0)
            res->log_fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        if (res->log_fd >= 0)
            logs_store(u);
    }
}

/* ---- adoption by control group ---- */

struct candidate {
    pid_t pid;
    uint64_t started; /* clock ticks since boot */
};

/* Who launched the first process of a group is not in it. */
static bool is_parent_of_main(const struct managed_unit *u, pid_t parent) {
    if (u->manager->keeper_changed)
        return cgroup_has_pid(u->manager->cgroups, u->name, parent) <= 0;
    return parent == getppid();
}

static int find_main(struct managed_unit *u, struct candidate *ret) {
    _cleanup_free_ pid_t *pids = malloc(GROUP_PIDS_MAX * sizeof(pid_t));
    struct candidate best = {};

    if (!pids)
        return -ENOMEM;
    ssize_t n = cgroup_pids(u->manager->cgroups, u->name, pids, GROUP_PIDS_MAX);
    for (ssize_t i = 0; i < n; i++) {
        uint64_t started;
        pid_t parent;
        if (proc_stat_read(pids[i], &parent, &started) < 0 || !is_parent_of_main(u, parent))
            continue;
        if (best.pid == 0 || started < best.started)
            best = (struct candidate){pids[i], started};
    }
    if (best.pid == 0)
        return -ESRCH;
    *ret = best;
    return 0;
}

/* INVOCATION_ID= of the running program: it leads to the upper layer, which has its name. */
static void find_invocation(struct managed_unit *u, pid_t pid) {
    _cleanup_free_ char *text = NULL;
    char path[64];
    size_t n;

    (void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    if (file_read(AT_FDCWD, path, 1024 * 1024, &text, &n) < 0)
        return;
    for (const char *p = text; p < text + n; p += strlen(p) + 1) {
        const char *id = startswith(p, "INVOCATION_ID=");
        if (id && id128_is_valid(id))
            (void)snprintf(u->invocation, sizeof(u->invocation), "%s", id);
    }
    if (u->invocation[0] && u->config && u->config->type == UNIT_CONTAINER)
        u->resources.upper_dir = strf("%s/containers/%s/%s", u->manager->paths.state, u->name, u->invocation);
}

/* The anonymous volumes of the run, which have the unit's name in their mark. In the order of their names:
 * which is mounted where is known to the running container only, and the next start makes new ones. */
static void find_volumes(struct managed_unit *u) {
    int fd = openat(u->manager->state_fd, "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

    if (!d) {
        closep(&fd);
        return;
    }
    for (const struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        _cleanup_free_ char *mark = strf("%s/" VOLUME_MARK, entry->d_name), *unit = NULL;
        if (mark && file_read(dirfd(d), mark, UNIT_NAME_MAX, &unit, NULL) >= 0 && streq(unit, u->name))
            (void)strv_append(&u->resources.anonymous_volumes, entry->d_name);
    }
    (void)closedir(d);
}

/* By the kernel's clock for processes, which goes on while a machine sleeps, as ours does not. */
static usec_t age_of(const struct candidate *c) {
    usec_t started = (usec_t)c->started * (USEC_PER_SEC / (usec_t)sysconf(_SC_CLK_TCK));
    usec_t now = clock_usec(CLOCK_BOOTTIME);

    return now - MIN(started, now);
}

static bool adopt_by_cgroup(struct managed_unit *u) {
    struct candidate found;

    if (cgroup_is_populated(u->manager->cgroups, u->name) <= 0 || find_main(u, &found) < 0)
        return false;
    log_warning("%s: no saved state, taking over process %d from its control group", u->name, (int)found.pid);
    u->state = STATE_RUNNING;
    u->step = STEP_NONE;
    u->result = RESULT_SUCCESS;
    u->resources.cgroup = true;
    u->state_lost = true;
    usec_t age = age_of(&found), now = now_monotonic();
    u->state_since = u->active_since = now - MIN(age, now);
    u->state_since_realtime = now_realtime() - age;
    u->recovered_main = (struct recovered_process){
        .request = clock_usec(CLOCK_BOOTTIME),
        .pid = found.pid,
        .stage = PROCESS_STARTED,
        .begun_at = u->state_since,
        .foreign = u->manager->keeper_changed,
    };
    find_invocation(u, found.pid);
    find_volumes(u);
    return true;
}

/* ---- reading ---- */

/* Parsed aside: a file that turns out bad in its last line must leave nothing behind. */
static int parse_into(struct managed_unit *u, const char *text) {
    struct managed_unit *copy = calloc(1, sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    copy->name = u->name;
    int r = saved_parse(copy, text);
    if (r >= 0)
        r = saved_parse(u, text);
    free(copy->status_text);
    free(copy->error);
    free(copy->run_key);
    free(copy->resources.upper_dir);
    strv_free(copy->resources.anonymous_volumes);
    strv_free(copy->recovered_sessions);
    free(copy);
    return r;
}

static bool read_one(struct manager *m, struct managed_unit *u) {
    _cleanup_free_ char *text = NULL, *name = strf("state/%s", u->name);

    int r = name ? file_read(m->runtime_fd, name, FILE_MAX, &text, NULL) : -ENOMEM;
    if (r >= 0)
        r = parse_into(u, text);
    if (r >= 0)
        return true;
    if (r != -ENOENT)
        (void)log_errno(LOG_WARNING, r, "%s: saved state is unreadable", u->name);
    u->state_lost = r != -ENOENT || (u->transient && run_may_have_begun(m, u->name));
    return adopt_by_cgroup(u);
}

/* State of a time of which nothing runs any more. */
static void discard_all(struct manager *m) {
    int fd = openat(m->runtime_fd, "state", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

    if (!d) {
        closep(&fd);
        return;
    }
    for (const struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        if (entry->d_name[0] != '.')
            (void)unlinkat(dirfd(d), entry->d_name, 0);
    }
    (void)closedir(d);
}

static bool anything_runs(struct manager *m) {
    _cleanup_strv_free_ char **groups = NULL;

    if (cgroup_tree_list(m->cgroups, &groups) < 0)
        return false;
    STRV_FOREACH (name, groups) {
        if (cgroup_is_populated(m->cgroups, *name) > 0)
            return true;
    }
    return false;
}

/* Units that run although their files are gone: made again, so that their end is handled as any other. */
static void add_unknown(struct manager *m, const char *directory) {
    int fd = openat(m->runtime_fd, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

    if (!d) {
        closep(&fd);
        return;
    }
    for (const struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        struct managed_unit *u;
        if (entry->d_name[0] == '.' || !unit_name_is_valid(entry->d_name) || manager_find(m, entry->d_name))
            continue;
        int r = manager_add_unit(m, entry->d_name, &u);
        if (r < 0)
            (void)log_errno(LOG_WARNING, r, "%s: is in %s/%s but cannot be taken over", entry->d_name,
                m->paths.runtime, directory);
    }
    (void)closedir(d);
}

bool saved_exists(struct manager *m) {
    bool found = faccessat(m->runtime_fd, "state/.manager", F_OK, 0) == 0;
    int fd = openat(m->runtime_fd, "state", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

    if (!d) {
        closep(&fd);
        return found;
    }
    for (const struct dirent *entry = readdir(d); entry && !found; entry = readdir(d))
        found = entry->d_name[0] != '.';
    (void)closedir(d);
    return found;
}

int saved_read_all(struct manager *m) {
    struct managed_unit *u;
    uint64_t sequence;

    int position = saved_feed_position(m, &sequence);
    if (position == -ESTALE || (position == -EOWNERDEAD && !anything_runs(m))) {
        log_notice("Saved state is of an earlier davit-init, and nothing of it runs: starting anew");
        discard_all(m);
        return saved_write_feed_sequence(m, 0);
    }
    if (position == -EOWNERDEAD) {
        log_warning("davit-init is another one: taking over what runs, though it cannot be reaped");
        m->keeper_changed = true;
    }
    add_unknown(m, "state");
    add_unknown(m, RUN_TEXTS); /* of which the state is lost */
    HASHMAP_FOREACH (u, m->units) {
        if (!read_one(m, u)) {
            if (u->gone) /* to be forgotten; what it has left is nobody's, and swept */
                (void)unit_recover(u);
            continue;
        }
        take_resources(u);
        if (u->resources.log_fd >= 0)
            (void)logs_add(u);
        int r = unit_recover(u);
        if (r < 0)
            (void)log_errno(LOG_ERR, r, "%s: taking it over", u->name);
        (void)notify_watch(u);
    }
    return 0;
}
