/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davitd's end of the launchers' sockets (launch/protocol.h): which request goes to which launcher and when,
 * and what an answer means. An answer is peeked at, acted on, saved, and only then consumed: at whatever
 * instruction davitd dies, the next one finds it again.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "manager/process_internal.h"

#define SOCKET_BUFFER (4 * 1024 * 1024)

/* ---- sending ---- */

void launchers_dispatch_soon(struct processes *ps) {
    if (ps->dispatch)
        (void)sd_event_source_set_enabled(ps->dispatch, SD_EVENT_ONESHOT);
}

void launcher_drop(struct process *p) {
    struct processes *ps = p->manager->processes;

    if (p->sent && p->launcher < ps->n_launchers && !list_empty(&p->by_launcher) && p->message) {
        ps->launchers[p->launcher].n_in_flight--;
        if (!list_empty(&ps->queue)) /* the next can go */
            launchers_dispatch_soon(ps);
    }
    list_remove(&p->by_launcher);
}

/* Of equally busy ones the next in turn. */
static struct launcher *least_busy(struct processes *ps) {
    struct launcher *best = NULL;

    for (unsigned i = 0; i < ps->n_launchers; i++) {
        struct launcher *l = &ps->launchers[(ps->turn + i) % ps->n_launchers];
        if (l->blocked || l->leaving || l->n_in_flight >= LAUNCHER_WINDOW)
            continue;
        if (!best || l->n_in_flight < best->n_in_flight)
            best = l;
    }
    return best;
}

static void set_blocked(struct launcher *l, bool blocked) {
    l->blocked = blocked;
    (void)sd_event_source_set_io_events(l->source, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* 0 sent; -EAGAIN the launcher's queue is full; else the request can never be sent. */
static int send_request(struct launcher *l, struct process *p) {
    ssize_t n = socket_send_fds(l->fd, p->message, p->message_size, p->fds, p->n_fds, MSG_DONTWAIT);
    if (n < 0)
        return (int)n;

    list_remove(&p->by_launcher);
    list_append(&l->in_flight, &p->by_launcher);
    l->n_in_flight++;
    /* Each start is followed by a chore that removes what it made: if both counted, one launcher would do all
     * starts. */
    if (p->role != PROCESS_CHORE)
        p->manager->processes->turn = l->index + 1;
    p->launcher = l->index;
    p->order = ++l->sent;
    p->sent = true;
    p->attempts++;
    return 0;
}

static void fail_withdrawn(struct processes *ps) {
    for (bool found = true; found;) {
        found = false;
        LIST_FOREACH (p, &ps->queue, struct process, by_launcher) {
            struct error e = {};
            if (!p->withdrawn)
                continue;
            (void)error_set(&e, ECANCELED, "given up before it was launched");
            process_has_failed(p, &e);
            found = true; /* the call may have changed the list */
            break;
        }
    }
}

/* ---- room for the descriptors of answers ---- */

static unsigned in_flight(const struct processes *ps) {
    unsigned n = 0;

    for (unsigned i = 0; i < ps->n_launchers; i++)
        n += ps->launchers[i].n_in_flight;
    return n;
}

/* False when davitd has no descriptors left to learn of one more start. */
static bool reserve_room(struct processes *ps) {
    unsigned wanted = MIN((in_flight(ps) + 1) * BEGUN_FDS, (unsigned)RESERVED_FDS);

    while (ps->n_reserved < wanted) {
        int fd = fcntl(ps->launchers[0].fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return false;
        ps->reserved[ps->n_reserved++] = fd;
    }
    return true;
}

static void release_room(struct processes *ps, unsigned n) {
    for (; n > 0 && ps->n_reserved > 0; n--)
        (void)close(ps->reserved[--ps->n_reserved]);
}

static int probe_one(struct manager *m, struct launcher *l);

/* Its queue may be full, of what earlier davitds have sent: asked again when there is room. */
static void ask(struct launcher *l) {
    int r = probe_one(l->manager, l);

    l->unsure = r < 0;
    if (r == -EAGAIN)
        set_blocked(l, true);
}

static void ask_unsure(struct processes *ps) {
    for (unsigned i = 0; i < ps->n_launchers; i++) {
        struct launcher *l = &ps->launchers[i];
        if (l->unsure && !l->blocked)
            ask(l);
    }
}

static bool any_is_unsure(const struct processes *ps) {
    for (unsigned i = 0; i < ps->n_launchers; i++)
        if (ps->launchers[i].unsure)
            return true;
    return false;
}

static int on_dispatch(_unused_ sd_event_source *s, void *userdata) {
    struct manager *m = userdata;
    struct processes *ps = m->processes;

    fail_withdrawn(ps);
    ask_unsure(ps);
    if (list_empty(&ps->queue))
        return 0;

    saved_flush(m);
    while (!list_empty(&ps->queue)) {
        struct launcher *l = least_busy(ps);
        if (!l)
            break;
        struct process *p = LIST_ENTRY(ps->queue.next, struct process, by_launcher);
        int r = reserve_room(ps) ? send_request(l, p) : -EMFILE;
        if (r == -EAGAIN) {
            set_blocked(l, true);
        } else if (r < 0) {
            struct error e = {};
            (void)error_set_errno(
                &e, r, "sending the request (%zu bytes) to launcher %u", p->message_size, l->index);
            process_has_failed(p, &e);
        }
    }
    return 0;
}

/* ---- answers ---- */

static struct process *by_request(struct processes *ps, uint64_t request) {
    for (unsigned i = 0; i < ps->n_launchers; i++) {
        LIST_FOREACH (p, &ps->launchers[i].in_flight, struct process, by_launcher) {
            if (p->request == request)
                return p;
        }
    }
    LIST_FOREACH (p, &ps->unassigned, struct process, by_launcher) {
        if (p->request == request)
            return p;
    }
    return NULL;
}

/* Before its first probe was answered, what a launcher is at may be of an earlier davitd. */
static bool may_be_at(const struct launcher *l, const struct process *p) {
    const struct process *oldest = NULL;
    bool probed = l->unsure;

    LIST_FOREACH (other, &l->in_flight, struct process, by_launcher) {
        probed |= other->probe;
        oldest = oldest || other->probe ? oldest : other;
    }
    return p->order == 0 ? probed : oldest == p;
}

unsigned launchers_at(const struct process *p) {
    const struct processes *ps = p->manager->processes;
    unsigned set = 0;

    for (unsigned i = 0; i < ps->n_launchers && p->sent; i++)
        set |= (unsigned)may_be_at(&ps->launchers[i], p) << i;
    return set;
}

/* It came to nothing at that launcher, and is the next to be sent, unless the error holds for any other try as well. */
static void send_again(struct processes *ps, struct launcher *l, struct process *p, const struct error *e) {
    list_remove(&p->by_launcher);
    l->n_in_flight--;
    p->sent = false;
    if (p->probe || (p->pending_signal == 0 && p->attempts >= MAX_ATTEMPTS)) {
        process_has_failed(p, e);
        return;
    }
    p->withdrawn = p->pending_signal != 0;
    list_prepend(&ps->queue, &p->by_launcher);
    launchers_dispatch_soon(ps);
}

/* Consumed, but neither begun nor failed when its launcher died: no child runs (protocol.h says why). */
static void request_lost(struct processes *ps, struct launcher *l, struct process *p) {
    struct error e = {};

    log_notice("Launcher %u died on a request of %s", l->index, p->unit ? p->unit->name : "davitd");
    (void)error_set(&e, EIO, "the launcher died %u times while it prepared this", p->attempts);
    send_again(ps, l, p, &e);
}

/* What was sent to l before the request of that order, which has been answered, and was not answered itself.
 */
static void find_lost(struct processes *ps, struct launcher *l, uint64_t order) {
    while (!list_empty(&l->in_flight)) {
        struct process *p = LIST_ENTRY(l->in_flight.next, struct process, by_launcher);
        if (p->order >= order)
            return;
        request_lost(ps, l, p);
    }
}

/* One that died has left what it was at unanswered. What still waits in the socket the next one does. */
static void on_hello(struct processes *ps, struct launcher *l) {
    l->unsure = !list_empty(&l->in_flight);
    l->renewed |= l->leaving;
    l->leaving = false;
    launchers_dispatch_soon(ps);
}

static void on_begun(
    struct manager *m, struct process *p, const struct launch_answer *a, int *fds, size_t n_fds) {
    if (!p) {
        /* Either handled before davitd died, then only the descriptors may have been lost on the way to the
         * store, or asked for by a davitd that is gone and by nobody any more. */
        p = process_by_pid(m->processes, a->pid);
        if (!p || p->request != a->request || p->pidfd >= 0)
            return;
        p->pidfd = n_fds > 0 ? TAKE_FD(fds[0]) : -1;
        return;
    }
    process_has_begun(p, a->pid, n_fds > 0 ? TAKE_FD(fds[0]) : -1, n_fds > 1 ? TAKE_FD(fds[1]) : -1);
}

static int ask_again(struct process *p, struct error *e);

static void on_failed(struct process *p, const struct launch_answer *a) {
    struct processes *ps = p->manager->processes;
    struct error e = a->error;

    if (p->role == PROCESS_MAIN && p->unit && p->pending_signal == 0 &&
        prepare_fall_back(p->unit, &a->error)) {
        /* Under a number of its own: this answer may be read again by the next davitd. */
        launcher_drop(p);
        process_drop_message(p);
        p->request = ps->next_request++;
        if (ask_again(p, &e) >= 0)
            return;
    }
    process_has_failed(p, &e);
}

static void settle(struct process *p);

/* The file that we were executed from is no longer what is installed. */
static bool was_replaced_on_disk(const struct manager *m) {
    _cleanup_free_ char *path = path_join(m->paths.libexec, "davitd");
    struct stat ours, installed;

    return path && stat("/proc/self/exe", &ours) >= 0 && stat(path, &installed) >= 0 &&
           (ours.st_dev != installed.st_dev || ours.st_ino != installed.st_ino);
}

/* The programs were replaced on disk, and the launcher is from before or we are. A new launcher is from there, so if it
 * cannot read what we write either, then we are not. */
static int find_common_version(struct launcher *l) {
    struct manager *m = l->manager;

    if (l->leaving)
        return 0;
    if (!l->renewed) {
        log_notice("Launcher %u is of another version, having it replaced", l->index);
        keeper_notify(m, "X_DAVIT_KILL_LAUNCHER=%u", l->index);
        l->leaving = true;
        return 0;
    }
    if (m->phase >= PHASE_STOPPING || !was_replaced_on_disk(m))
        return -EPROTONOSUPPORT; /* what is installed does not fit together */
    if (!saved_flush_all(m))
        return -ENOSPC; /* the next one would know less */
    m->reexecute = true;
    return 0;
}

static void on_unreadable(struct launcher *l, struct process *p, const struct error *e) {
    if (p->order == 0) {
        settle(p); /* written by an earlier davitd */
    } else if (find_common_version(l) < 0) {
        process_has_failed(p, e);
    } else {
        p->attempts--;
        send_again(l->manager->processes, l, p, e);
    }
}

static void act_on(
    struct manager *m, struct launcher *l, const struct launch_answer *a, int *fds, size_t n_fds) {
    struct processes *ps = m->processes;
    struct process *p = by_request(ps, a->request);

    /* One that an earlier davitd had sent has no order. */
    if (p && p->sent && p->order > 0) {
        find_lost(ps, l, p->order);
        p = by_request(ps, a->request); /* calls were made */
    }
    switch (a->type) {
    case LAUNCH_HELLO:
        on_hello(ps, l);
        break;
    case LAUNCH_BEGUN:
        on_begun(m, p, a, fds, n_fds);
        break;
    case LAUNCH_FAILED:
        if (p)
            on_failed(p, a);
        break;
    case LAUNCH_DONE:
        if (p)
            process_was_done(p);
        break;
    case LAUNCH_UNREADABLE:
        if (p)
            on_unreadable(l, p, &a->error);
        break;
    default:
        log_warning("Launcher %u sent an answer of unknown type %" PRIu32, l->index, a->type);
    }
}

/* One answer. False when there is none. */
static bool handle_answer(struct manager *m, struct launcher *l) {
    struct launch_answer a;
    int fds[2] = {-1, -1};
    size_t n_fds = ARRAY_SIZE(fds);

    ssize_t n = socket_recv_fds(l->fd, &a, sizeof(a), fds, &n_fds, MSG_PEEK | MSG_DONTWAIT);
    if (n == -EXFULL) {
        release_room(m->processes, BEGUN_FDS);
        n_fds = ARRAY_SIZE(fds);
        n = socket_recv_fds(l->fd, &a, sizeof(a), fds, &n_fds, MSG_PEEK | MSG_DONTWAIT);
    }
    if (n == -EAGAIN || n == -EINTR)
        return false;
    if (n == 0 || (n < 0 && n != -EMSGSIZE && n != -EXFULL)) {
        /* davit-init keeps the other end open, so this cannot be; a socket that is always ready would spin.
         */
        log_error("Socket of launcher %u: %s", l->index, n == 0 ? "closed" : errno_text((int)n));
        (void)sd_event_source_set_enabled(l->source, SD_EVENT_OFF);
        l->blocked = true;
        return false;
    }
    if (n == (ssize_t)sizeof(a)) {
        a.error.step[sizeof(a.error.step) - 1] = '\0';
        a.error.text[sizeof(a.error.text) - 1] = '\0';
        act_on(m, l, &a, fds, n_fds);
        saved_flush(m);
    } else {
        log_warning("Launcher %u sent a message of %zd bytes", l->index, n);
    }
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        closep(&fds[i]);
    /* Consumed: without room for them the kernel drops the descriptors that were peeked at. */
    (void)recv(l->fd, &a, sizeof(a), MSG_DONTWAIT);
    return true;
}

static int on_launcher(_unused_ sd_event_source *s, _unused_ int fd, uint32_t events, void *userdata) {
    struct launcher *l = userdata;

    if (events & EPOLLOUT) {
        set_blocked(l, false);
        launchers_dispatch_soon(l->manager->processes);
    }
    while (handle_answer(l->manager, l))
        ;
    return 0;
}

void launchers_drain(struct manager *m) {
    struct processes *ps = m->processes;

    for (unsigned i = 0; i < ps->n_launchers; i++)
        while (handle_answer(m, &ps->launchers[i]))
            ;
}

/* ---- requests of an earlier davitd ---- */

static int lost_spec(
    struct process *p, struct container_spec *ret, int *fds, size_t *n_fds, struct error *e) {
    const struct exec_command *hook;

    if (p->unit && p->role == PROCESS_MAIN)
        return prepare_main_spec(p->unit, ret, fds, n_fds, e);
    if (p->unit && p->role == PROCESS_CONTROL && (hook = unit_current_hook(p->unit)))
        return prepare_control_spec(p->unit, hook, ret, fds, n_fds, e);
    return error_set(e, ECONNRESET, "the request was lost when davitd was restarted");
}

/* The program of a start, and a hook, are simply asked for again, under the same number: what they are is
 * known from the unit's state. Anything else served somebody who is gone. */
static int ask_again(struct process *p, struct error *e) {
    struct processes *ps = p->manager->processes;
    struct container_spec spec;
    int fds[SPEC_MAX_FDS];
    size_t n_fds = 0;

    spec_init(&spec);
    int r = lost_spec(p, &spec, fds, &n_fds, e);
    spec.request = p->request;
    if (r >= 0)
        r = spec_encode(&spec, &p->message, &p->message_size, e);
    for (size_t i = 0; i < n_fds; i++) /* ours now, see spec_hand_over() */
        p->fds[p->n_fds++] = fds[i];
    spec_done(&spec);
    if (r < 0)
        return r;
    list_remove(&p->by_launcher);
    p->sent = false;
    list_append(&ps->queue, &p->by_launcher);
    launchers_dispatch_soon(ps);
    return 0;
}

/* One of them, of which it is known that it came to nothing. */
static void settle(struct process *p) {
    struct error e = {};

    if (p->pending_signal != 0)
        (void)error_set(&e, ECANCELED, "given up before it was launched");
    else if (ask_again(p, &e) >= 0)
        return;
    process_has_failed(p, &e);
}

static void settle_unassigned(struct processes *ps) {
    while (!list_empty(&ps->unassigned))
        settle(LIST_ENTRY(ps->unassigned.next, struct process, by_launcher));
}

static void probe_answered(struct process *p) {
    struct processes *ps = p->manager->processes;

    if (!p->probe)
        return;
    p->probe = false;
    if (--ps->probes == 0 && !any_is_unsure(ps))
        settle_unassigned(ps);
}
static void probe_failed(struct process *p, _unused_ const struct error *e) {
    probe_answered(p);
    if (p->pid == 0)
        process_free(p);
}
static void probe_exited(struct process *p, _unused_ const struct process_exit *x) {
    probe_answered(p); /* it needed no process */
    process_free(p);
}
static const struct process_callbacks probe_calls = {
    .begun = probe_answered,
    .failed = probe_failed,
    .exited = probe_exited,
};

static int probe_one(struct manager *m, struct launcher *l) {
    char *arguments[] = {m->paths.runtime, (char *)(uintptr_t) ".no-such-file", NULL};
    struct container_spec spec;
    struct process *p;

    spec_init(&spec);
    spec.kind = SPEC_TASK;
    spec.task = TASK_REMOVE_TREE;
    spec.argv = arguments;
    int r = process_start(m, NULL, PROCESS_CHORE, &spec, NULL, 0, &probe_calls, NULL, &p, NULL);
    if (r < 0)
        return r;
    p->probe = true;
    m->processes->probes++;
    r = send_request(l, p);
    if (r < 0) {
        m->processes->probes--;
        process_free(p);
    }
    return r;
}

void launcher_probe(struct manager *m) {
    struct processes *ps = m->processes;

    if (ps->probes > 0)
        return;
    for (unsigned i = 0; i < ps->n_launchers; i++)
        ask(&ps->launchers[i]);
}

/* ---- making ---- */

int launchers_new(struct manager *m, struct error *e) {
    struct processes *ps = m->processes;
    int size = SOCKET_BUFFER;

    for (unsigned i = 0; i < MAX_LAUNCHERS; i++) {
        char name[KEEPER_NAME_MAX];
        (void)snprintf(name, sizeof(name), "launch%u", i);
        int fd = keeper_take(m, name);
        if (fd < 0)
            break;
        struct launcher *l = &ps->launchers[ps->n_launchers++];
        *l = (struct launcher){.manager = m, .fd = fd, .index = i};
        list_init(&l->in_flight);
        /* The largest request has to fit as one message. Unprivileged, the plain call does what it may. */
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
            (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        int r = sd_event_add_io(m->event, &l->source, fd, EPOLLIN, on_launcher, l);
        if (r < 0)
            return error_set_errno(e, r, "watching launcher %u", i);
        (void)sd_event_source_set_priority(l->source, PRIORITY_LAUNCHER);
        (void)sd_event_source_set_enabled(l->source, SD_EVENT_OFF);
    }
    if (ps->n_launchers == 0)
        return error_set(e, ENOENT, "no launcher was passed in: davitd is started by davit-init");

    int r = sd_event_add_defer(m->event, &ps->dispatch, on_dispatch, m);
    if (r < 0)
        return error_set_errno(e, r, "dispatch source");
    /* Behind the run queue, so that all starts of one round are saved together, and then sent. */
    (void)sd_event_source_set_priority(ps->dispatch, PRIORITY_RUN_QUEUE + 5);
    (void)sd_event_source_set_enabled(ps->dispatch, SD_EVENT_OFF);
    return 0;
}

void launchers_free(struct processes *ps) {
    release_room(ps, ps->n_reserved);
    for (unsigned i = 0; i < ps->n_launchers; i++) {
        (void)sd_event_source_unref(ps->launchers[i].source);
        closep(&ps->launchers[i].fd);
    }
    ps->dispatch = sd_event_source_unref(ps->dispatch);
    ps->n_launchers = 0;
}
