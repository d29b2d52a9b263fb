/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a struct process, from the request to the end. How requests and answers travel is in
 * launchers.c, where exits come from in feed.c.
 *
 * A process is in exactly one by_manager list: no_pid until BEGUN, then the bucket of its pid, until its last
 * call.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "base/log.h"
#include "manager/process_internal.h"

/* A launcher that has not answered for so long after its request was to be given up hangs: a dead disk,
 * mostly. */
#define LAUNCHER_HANG (5 * USEC_PER_SEC)

/* ---- names in the keeper's store ---- */

/* Only what an adopting davitd asks for is stored: workers and chores end with the davitd they served. */
static bool is_stored(const struct process *p) {
    return p->role == PROCESS_MAIN || p->role == PROCESS_CONTROL || p->role == PROCESS_EXEC;
}

static const char *store_name(const struct process *p, char kind, char buffer[static KEEPER_NAME_MAX]) {
    (void)snprintf(buffer, KEEPER_NAME_MAX, "%c-%" PRIx64, kind, p->request);
    return buffer;
}

static void store_fd(struct process *p, char kind, int fd) {
    char name[KEEPER_NAME_MAX];

    if (is_stored(p) && fd >= 0)
        (void)keeper_store(p->manager, store_name(p, kind, name), fd);
}

static void unstore_fd(struct process *p, char kind) {
    char name[KEEPER_NAME_MAX];

    if (is_stored(p))
        keeper_unstore(p->manager, store_name(p, kind, name));
}

void process_store_pidfd(struct process *p) {
    store_fd(p, 'p', p->pidfd);
}

void process_unstore_pidfd(struct process *p) {
    unstore_fd(p, 'p');
}

/* ---- making and freeing ---- */

struct process *process_new(struct manager *m, struct managed_unit *unit, enum process_role role,
    uint64_t request, const struct process_callbacks *callbacks, void *userdata) {
    struct process *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->manager = m;
    p->unit = unit;
    p->role = role;
    p->request = request;
    p->pidfd = p->status_fd = -1;
    p->callbacks = callbacks;
    p->userdata = userdata;
    list_init(&p->by_launcher);
    list_init(&p->by_manager);
    list_append(&m->processes->no_pid, &p->by_manager);
    return p;
}

static void drop_source(struct process *p, int which) {
    p->sources[which] = sd_event_source_unref(p->sources[which]);
}

/* Source first: closing a descriptor that sd-event still watches aborts the program (sd-event 252). */
static void close_status(struct process *p) {
    drop_source(p, SOURCE_STATUS);
    if (p->status_fd < 0)
        return;
    close_and_reset(&p->status_fd);
    unstore_fd(p, 's');
}

/* What only a request needs; most of a starting process's memory. */
void process_drop_message(struct process *p) {
    free(TAKE_PTR(p->message));
    p->message_size = 0;
    for (unsigned i = 0; i < p->n_fds; i++)
        (void)close(p->fds[i]);
    p->n_fds = 0;
}

void process_free(struct process *p) {
    if (!p)
        return;
    launcher_drop(p);
    list_remove(&p->by_manager);
    process_drop_message(p);
    drop_source(p, SOURCE_HANG);
    drop_source(p, SOURCE_STATUS);
    process_unwatch_foreign(p);
    close_and_reset(&p->status_fd);
    close_and_reset(&p->pidfd);
    free(p);
}

static int copy_fds(struct process *p, const int *fds, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return negative_errno();
        p->fds[p->n_fds++] = fd;
    }
    return 0;
}

int process_start(struct manager *m, struct managed_unit *unit, enum process_role role,
    struct container_spec *spec, const int *fds, size_t n_fds, const struct process_callbacks *callbacks,
    void *userdata, struct process **ret, struct error *e) {
    struct processes *ps = m->processes;

    if (n_fds > SPEC_MAX_FDS)
        return error_set(e, E2BIG, "%zu descriptors for one launch, at most %d", n_fds, SPEC_MAX_FDS);
    struct process *p = process_new(m, unit, role, ps->next_request, callbacks, userdata);
    if (!p)
        return error_set(e, ENOMEM, "out of memory");

    spec->request = p->request;
    int r = spec_encode(spec, &p->message, &p->message_size, e);
    if (r >= 0) {
        r = copy_fds(p, fds, n_fds);
        if (r < 0)
            (void)error_set_errno(e, r, "copying descriptors for the launcher");
    }
    if (r < 0) {
        process_free(p);
        return r;
    }
    ps->next_request++;
    if (unit)
        boot_note_start(&m->boot);
    list_append(&ps->queue, &p->by_launcher);
    launchers_dispatch_soon(ps);
    *ret = p;
    return 0;
}

/* ---- what happens to it ---- */

struct process *process_by_pid(struct processes *ps, pid_t pid) {
    LIST_FOREACH (p, pid_bucket(ps, pid), struct process, by_manager) {
        if (p->pid == pid)
            return p;
    }
    return NULL;
}

bool process_is_over(int pidfd) {
    return fd_is_readable(pidfd);
}

static void enter_bucket(struct process *p, pid_t pid) {
    list_remove(&p->by_manager);
    p->pid = pid;
    list_append(pid_bucket(p->manager->processes, pid), &p->by_manager);
}

static int on_status_pipe(
    _unused_ sd_event_source *s, _unused_ int fd, _unused_ uint32_t events, void *userdata) {
    process_read_status(userdata);
    return 0;
}

static void watch_status(struct process *p) {
    sd_event_source *s = NULL;

    if (p->status_fd < 0)
        return;
    int r = sd_event_add_io(p->manager->event, &s, p->status_fd, EPOLLIN, on_status_pipe, p);
    if (r < 0) {
        /* Without a watch nobody would learn that it started; its exit is learned from the feed all the same.
         */
        (void)log_errno(LOG_WARNING, r, "Watching the status pipe of a starting process");
        return;
    }
    (void)sd_event_source_set_priority(s, PRIORITY_LAUNCHER + 1);
    p->sources[SOURCE_STATUS] = s;
}

void process_has_begun(struct process *p, pid_t pid, int pidfd, int status_fd) {
    launcher_drop(p);
    process_drop_message(p);
    drop_source(p, SOURCE_HANG);
    enter_bucket(p, pid);
    p->stage = PROCESS_BEGUN;
    p->begun_at = now_monotonic();
    close_and_reset(&p->pidfd);
    p->pidfd = pidfd;
    close_and_reset(&p->status_fd);
    p->status_fd = status_fd;
    store_fd(p, 's', status_fd);
    watch_status(p);
    if (p->pending_signal != 0)
        (void)process_kill(p, p->pending_signal);
    if (p->callbacks && p->callbacks->begun)
        p->callbacks->begun(p);
}

void process_has_failed(struct process *p, const struct error *e) {
    bool last = p->pid == 0;

    if (last) {
        launcher_drop(p);
        process_drop_message(p);
        drop_source(p, SOURCE_HANG);
        p->stage = PROCESS_ENDED;
    }
    if (p->callbacks && p->callbacks->failed)
        p->callbacks->failed(p, e);
    else if (last)
        process_free(p);
}

static void has_started(struct process *p) {
    p->stage = PROCESS_STARTED;
    if (p->callbacks && p->callbacks->started)
        p->callbacks->started(p);
}

static void act_on_status(struct process *p, ssize_t n, struct error e) {
    if (n == 0) {
        has_started(p);
        return;
    }
    if (n != (ssize_t)sizeof(e) || e.number <= 0) {
        e = (struct error){};
        (void)error_set(&e, EPROTO, "the launched process sent an unreadable report");
    }
    e.step[sizeof(e.step) - 1] = '\0';
    e.text[sizeof(e.text) - 1] = '\0';
    process_has_failed(p, &e);
}

/* A copy: what is taken out of the pipe would be lost with a davitd that dies before it has saved what it
 * means, and the empty pipe would then say that all went well. */
static ssize_t copy_status(const struct process *p, struct error *ret) {
    const struct feed *f = &p->manager->processes->feed;

    ssize_t n = tee(p->status_fd, f->copy[1], sizeof(*ret), SPLICE_F_NONBLOCK);
    return n > 0 ? read(f->copy[0], ret, sizeof(*ret)) : n;
}

void process_read_status(struct process *p) {
    struct manager *m = p->manager;
    bool stored = is_stored(p);
    char name[KEEPER_NAME_MAX];
    struct error e = {};

    ssize_t n = copy_status(p, &e);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    drop_source(p, SOURCE_STATUS);
    close_and_reset(&p->status_fd);
    (void)store_name(p, 's', name);
    act_on_status(p, n, e); /* p may be gone */
    /* Saved, and only then forgotten: a davitd that finds neither the pipe nor what it said would wait for it
     * until the start times out. */
    saved_flush(m);
    if (stored)
        keeper_unstore(m, name);
}

void process_has_exited(struct process *p, const struct process_exit *x) {
    /* What it told before it died comes first. */
    if (p->status_fd >= 0)
        process_read_status(p);
    if (p->unit && p->role == PROCESS_MAIN && p->unit->notify_source)
        notify_drain(p->unit);

    close_status(p);
    p->stage = PROCESS_ENDED;
    list_remove(&p->by_manager);
    process_unwatch_foreign(p);
    close_and_reset(&p->pidfd);
    if (p->foreign)
        unstore_fd(p, 'p');
    if (p->callbacks && p->callbacks->exited)
        p->callbacks->exited(p, x);
    else
        process_free(p);
}

void process_was_done(struct process *p) {
    launcher_drop(p);
    process_drop_message(p);
    drop_source(p, SOURCE_HANG);
    process_has_exited(p, &(struct process_exit){CLD_EXITED, 0, now_monotonic()});
}

/* ---- signals ---- */

static int on_hang(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
    struct process *p = userdata;

    drop_source(p, SOURCE_HANG);
    unsigned hanging = p->pid == 0 ? launchers_at(p) : 0;
    for (unsigned i = 0; hanging >> i != 0; i++) {
        if (!(hanging >> i & 1))
            continue;
        log_warning("Launcher %u does not answer, having it replaced", i);
        keeper_notify(p->manager, "X_DAVIT_KILL_LAUNCHER=%u", i);
    }
    return 0;
}

/* The launcher may be in the middle of preparing it. Usually BEGUN comes and the child is killed then. */
static int kill_before_begun(struct process *p, int signal) {
    p->pending_signal = signal;
    if (signal != SIGKILL && signal != SIGTERM)
        return 0;
    if (!p->sent) {
        p->withdrawn = true;
        launchers_dispatch_soon(p->manager->processes);
        return 0;
    }
    if (p->sources[SOURCE_HANG])
        return 0;
    sd_event_source *s = NULL;
    int r = sd_event_add_time_relative(p->manager->event, &s, CLOCK_MONOTONIC, LAUNCHER_HANG, 0, on_hang, p);
    if (r >= 0)
        p->sources[SOURCE_HANG] = s;
    return 0;
}

int process_kill(struct process *p, int signal) {
    if (p->stage == PROCESS_ENDED)
        return -ESRCH;
    if (p->pid == 0)
        return kill_before_begun(p, signal);
    /* Not execve'd yet, it would be pid 1 of its namespace without a handler: every signal but SIGKILL would
     * be dropped. */
    if (p->stage == PROCESS_BEGUN && p->status_fd >= 0) {
        process_read_status(p);
        if (p->stage == PROCESS_BEGUN && (signal == SIGTERM || signal == SIGINT || signal == SIGQUIT))
            signal = SIGKILL;
    }
    /* Never by pid: until its exit was read from the feed the number may have been given to another process.
     */
    if (p->pidfd < 0)
        return -ESRCH;
    return syscall(SYS_pidfd_send_signal, p->pidfd, signal, NULL, 0) < 0 ? negative_errno() : 0;
}

void process_abandon(struct process *p) {
    p->callbacks = NULL;
    p->userdata = NULL;
    p->unit = NULL;
    if (p->stage == PROCESS_ENDED)
        process_free(p);
}

/* ---- taking over from an earlier davitd ---- */

bool process_is_for_keeper(pid_t pid) {
    uint64_t started;
    pid_t parent;

    return proc_stat_read(pid, &parent, &started) >= 0 && parent == getppid();
}

/* By its number, and yet for certain: davit-init keeps a number from being given away until the end of its
 * process is in the feed, so what was opened before a look at the feed that finds nothing is the process
 * itself. */
static int find_pidfd(struct manager *m, pid_t pid) {
    _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    return fd >= 0 && process_is_for_keeper(pid) && !feed_has_end(m, pid) ? TAKE_FD(fd) : -ESRCH;
}

int process_adopt(struct manager *m, struct managed_unit *unit, enum process_role role, uint64_t request,
    pid_t pid, enum process_stage stage, const struct process_callbacks *callbacks, void *userdata,
    struct process **ret) {
    struct processes *ps = m->processes;
    char name[KEEPER_NAME_MAX];

    struct process *p = process_new(m, unit, role, request, callbacks, userdata);
    if (!p)
        return -ENOMEM;
    p->begun_at = now_monotonic();
    p->stage = stage;
    p->pidfd = keeper_take(m, store_name(p, 'p', name)); /* of a foreign one */
    p->status_fd = keeper_take(m, store_name(p, 's', name));
    ps->next_request = MAX(ps->next_request, request + 1);

    if (pid == 0) {
        p->stage = PROCESS_REQUESTED;
        p->sent = true;
        list_append(&ps->unassigned, &p->by_launcher);
        launcher_probe(m);
        *ret = p;
        return 0;
    }
    if (p->pidfd < 0)
        p->pidfd = find_pidfd(m, pid);
    enter_bucket(p, pid);
    if (p->stage == PROCESS_STARTED)
        close_status(p);
    else if (p->status_fd >= 0)
        watch_status(p);
    else
        p->stage = PROCESS_STARTED;
    *ret = p;
    return 0;
}

/* Under a new number, so that every davitd finds in the store what belongs to the saved state that it reads: what goes
 * there is there before that is saved, and what comes out is taken out behind it. */
static void become(struct process *p, pid_t pid, int pidfd, bool foreign) {
    struct manager *m = p->manager;
    bool was_foreign = p->foreign;
    char before[KEEPER_NAME_MAX];

    (void)store_name(p, 'p', before);
    process_unwatch_foreign(p);
    close_and_reset(&p->pidfd);
    p->pidfd = pidfd;
    p->request = m->processes->next_request++;
    p->foreign = false;
    p->foreign_tries = 0;
    enter_bucket(p, pid);
    if (foreign)
        process_set_foreign(p);
    if (p->unit)
        unit_mark_dirty(p->unit);
    saved_flush(m);
    if (was_foreign)
        keeper_unstore(m, before);
}

int process_move(struct process *p, pid_t pid) {
    const struct managed_unit *u = p->unit;

    if (p->pid == pid)
        return 0;
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return negative_errno();
    if (u && cgroup_has_pid(u->manager->cgroups, u->name, pid) <= 0)
        return -ESRCH;
    if (process_by_pid(p->manager->processes, pid))
        return -EPERM;
    if (p->status_fd >= 0)
        return -EBUSY;
    bool foreign = !process_is_for_keeper(pid);
    /* Last. As long as it lives its number is nobody else's, so all that was asked by number was asked of it, and
     * its end is still to come. One that has ended is refused, as systemd does: its record may be one of those
     * that were passed over while nobody knew it. */
    if (process_is_over(pidfd))
        return -ESRCH;
    become(p, pid, TAKE_FD(pidfd), foreign);
    return 0;
}

/* ---- all of them ---- */

int processes_new(struct manager *m, struct error *e) {
    struct processes *ps = calloc(1, sizeof(*ps));

    if (!ps)
        return error_set(e, ENOMEM, "out of memory");
    m->processes = ps;
    list_init(&ps->queue);
    list_init(&ps->unassigned);
    list_init(&ps->no_pid);
    for (size_t i = 0; i < PID_BUCKETS; i++)
        list_init(&ps->by_pid[i]);
    /* Never the number of a request that an earlier davitd made: time has gone on since. */
    ps->next_request = clock_usec(CLOCK_BOOTTIME);
    ps->feed.fd = ps->feed.copy[0] = ps->feed.copy[1] = -1;

    int r = launchers_new(m, e);
    return r < 0 ? r : feed_new(m, e);
}

int processes_go(struct manager *m, struct error *e) {
    struct processes *ps = m->processes;

    for (unsigned i = 0; i < ps->n_launchers; i++)
        (void)sd_event_source_set_enabled(ps->launchers[i].source, SD_EVENT_ON);
    launchers_dispatch_soon(ps);
    return feed_go(m, e);
}

void processes_free(struct manager *m) {
    struct processes *ps = m->processes;

    if (!ps)
        return;
    for (size_t i = 0; i < PID_BUCKETS; i++) {
        LIST_FOREACH (p, &ps->by_pid[i], struct process, by_manager)
            process_free(p);
    }
    LIST_FOREACH (p, &ps->no_pid, struct process, by_manager)
        process_free(p);
    launchers_free(ps);
    feed_free(&ps->feed);
    free(ps);
    m->processes = NULL;
}
