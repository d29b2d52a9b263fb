/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/logd.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/str.h"
#include "log/protocol.h"

#define EVENTS_MAX 64
#define TRIM_MSEC 1000
#define NAP_BUSY_USEC 1000ULL /* data again within this time: under load */
#define NAP_MIN_USEC 50ULL
#define NAP_MAX_USEC 800ULL
#define NAP_LITTLE_BYTES ((size_t)8 * 1024)
#define NAP_MUCH_BYTES ((size_t)32 * 1024)
#define MESSAGES_TURN 256           /* of davitd, before the streams have their turn again */
#define END_USEC (5 * USEC_PER_SEC) /* after SIGTERM; davit-init waits longer than that */
#define PROBLEM_USEC (30 * USEC_PER_SEC)
/* Less than davitd waits for the last lines of a unit: it is to know that not we are what hangs. */
#define JOURNAL_PATIENCE (2 * USEC_PER_SEC)
#define STATS_USEC (10 * USEC_PER_SEC) /* at most so often, and only when something was written */

void logd_problem(struct logd *l, const char *fmt, ...) {
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    /* A full disk fails for every unit: one of them speaks for all. */
    usec_t now = now_monotonic();
    if (l->has_problem && now - l->problem_at < PROBLEM_USEC)
        return;
    l->has_problem = true;
    l->problem_at = now;
    log_warning("%s", text);
    server_problem(l, text);
}

static void problem_over(struct logd *l) {
    if (!l->has_problem || l->n_failing > 0 || l->journal_retry_at != USEC_INFINITY)
        return;
    l->has_problem = false;
    log_notice("output is written again");
    server_problem(l, "");
}

/* ---- which stream, when ---- */

void logd_ready(struct logd *l, struct stream *s) {
    /* A failing stream waits for its time, not for more data. */
    if (list_empty(&s->ready) && s->retry_at == USEC_INFINITY)
        list_append(&l->ready, &s->ready);
}

int logd_add(struct logd *l, struct stream *s) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = s};

    s->slot = state_slot_get(&l->state, s->fifo_id);
    if (!s->slot)
        return -ENOSPC;
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, s->fifo, &event) < 0) {
        int r = negative_errno();
        state_slot_free(&l->state, s->slot);
        return r;
    }
    list_append(&l->streams, &s->link);
    logd_ready(l, s);
    return 0;
}

static void set_journal_full(struct logd *l, bool full) {
    l->journal_full = full;
    l->journal_silent = full ? usec_add(now_monotonic(), JOURNAL_PATIENCE) : USEC_INFINITY;
}

static void wait_for_journal(struct logd *l) {
    struct epoll_event event = {.events = EPOLLOUT | EPOLLONESHOT, .data.ptr = &l->journal};

    set_journal_full(l, true);
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, l->journal.fd, &event) < 0 &&
        epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->journal.fd, &event) < 0) {
        set_journal_full(l, false);
        l->journal_retry_at = usec_add(now_monotonic(), RETRY_FIRST);
    }
}

static usec_t next_delay(usec_t delay) {
    return delay == 0 ? RETRY_FIRST : MIN(delay * 2, RETRY_MAX);
}

/* The journal fails for all streams alike; a file (a limit, an odd owner) may fail for one only. */
static void sink_failed(struct logd *l, struct stream *s, int error) {
    usec_t now = now_monotonic();

    if (l->sink == SINK_JOURNAL) {
        if (error == -EAGAIN) {
            wait_for_journal(l);
            return;
        }
        l->journal_delay = next_delay(l->journal_delay);
        l->journal_retry_at = usec_add(now, l->journal_delay);
        logd_problem(l, "cannot write to the journal: %s", errno_text(error));
        return;
    }
    if (s->retry_delay == 0)
        l->n_failing++;
    list_remove(&s->ready);
    s->retry_delay = next_delay(s->retry_delay);
    s->retry_at = usec_add(now, s->retry_delay);
    logd_problem(l, "cannot write output of %s to %s: %s", s->unit,
        l->directory ? l->directory : "(no directory)", errno_text(error));
}

static void sink_works(struct logd *l, struct stream *s) {
    if (s->retry_delay > 0) {
        s->retry_delay = 0;
        l->n_failing--;
    }
    if (l->sink == SINK_JOURNAL)
        l->journal_delay = 0;
    problem_over(l);
}

static void stream_gone(struct logd *l, struct stream *s) {
    if (s->id != STREAM_REPLACED)
        server_removed(l, s->id);
    state_slot_free(&l->state, s->slot);
    if (s->retry_delay > 0) {
        l->n_failing--;
        problem_over(l);
    }
    /* Closing alone does not do it: others hold the same open file, and an event would come for what is gone. */
    (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, s->fifo, NULL);
    stream_free(s);
}

void logd_serve(struct logd *l, struct stream *s) {
    int r = 0;

    s->retry_at = USEC_INFINITY;
    if (!s->recovered) {
        r = batch_recover(l, s);
        s->recovered = r >= 0;
    }
    if (r >= 0)
        r = batch_serve(l, s);
    if (r > 0 && s->removing && s->left == 0)
        r = 0;
    if (r == 0 && s->removing)
        r = batch_flush(l, s, false);

    if (r < 0) {
        sink_failed(l, s, r);
        return;
    }
    sink_works(l, s);
    list_remove(&s->ready);
    if (r > 0)
        list_append(&l->ready, &s->ready); /* behind the others: one batch each, in turn */
    else if (s->removing)
        stream_gone(l, s);
}

bool logd_sink_blocked(const struct logd *l) {
    return l->sink == SINK_NONE ||
           (l->sink == SINK_JOURNAL && (l->journal_full || l->journal_retry_at != USEC_INFINITY));
}

/* One batch for each stream that is ready now. */
static void serve_ready(struct logd *l) {
    struct list round = LIST_INIT(round);

    /* Those that are not done come back onto the list behind these. */
    if (list_empty(&l->ready))
        return;
    list_append(&l->ready, &round);
    while (l->ready.next != &round && !logd_sink_blocked(l))
        logd_serve(l, LIST_ENTRY(l->ready.next, struct stream, ready));
    list_remove(&round);
}

static void retry_due(struct logd *l) {
    usec_t now = now_monotonic();

    if (l->journal_retry_at <= now)
        l->journal_retry_at = USEC_INFINITY;
    if (l->journal_silent <= now) {
        l->journal_silent = USEC_INFINITY;
        logd_problem(l, "systemd-journald takes nothing: output waits");
    }
    if (l->n_failing == 0)
        return;
    LIST_FOREACH (s, &l->streams, struct stream, link) {
        if (s->retry_at <= now) {
            s->retry_at = USEC_INFINITY;
            logd_ready(l, s);
        }
    }
}

/* Milliseconds for epoll_wait(2): -1 unless something is ready or will be tried again. */
static int time_to_sleep(const struct logd *l) {
    usec_t due = MIN(l->journal_retry_at, l->journal_silent);

    if (!list_empty(&l->ready) && !logd_sink_blocked(l))
        return 0;
    if (l->n_failing > 0)
        LIST_FOREACH (s, &l->streams, struct stream, link)
            due = MIN(due, s->retry_at);
    if (due == USEC_INFINITY)
        return -1;
    usec_t now = now_monotonic();
    return due <= now ? 0 : (int)((due - now) / USEC_PER_MSEC + 1);
}

static void tell_stats(struct logd *l) {
    usec_t now;

    if (l->lines == l->lines_told || (now = now_monotonic()) - l->told_at < STATS_USEC)
        return;
    l->lines_told = l->lines;
    l->told_at = now;
    server_stats(l);
}

/* A container that writes line by line would wake us for each one, at ten times the cost of the line. When
 * turns follow each other quickly and bring little, sleep a little between them and let lines gather: longer
 * while they are few, shorter before a FIFO fills and its writer has to wait. A line that comes alone is
 * never delayed. */
static void nap(struct logd *l) {
    if (l->most_bytes == 0)
        return;
    l->trimmed = false;
    usec_t now = now_monotonic();
    if (now - l->last_data > NAP_BUSY_USEC + l->nap_usec)
        l->nap_usec = 0;
    else if (l->most_bytes < NAP_LITTLE_BYTES)
        l->nap_usec = CLAMP(l->nap_usec * 2, NAP_MIN_USEC, NAP_MAX_USEC);
    else if (l->most_bytes > NAP_MUCH_BYTES)
        l->nap_usec = l->nap_usec / 2;
    l->last_data = now;
    l->most_bytes = 0;
    if (l->nap_usec >= NAP_MIN_USEC)
        (void)usleep((useconds_t)l->nap_usec);
}

/* Nothing to do for a while: code and buffers that a burst of output needed go back. */
static void trim(struct logd *l) {
    batch_trim();
    memory_trim();
    l->trimmed = true;
}

static void turn(struct logd *l) {
    struct epoll_event events[EVENTS_MAX];
    struct signalfd_siginfo info;
    bool message = false;

    int sleep = time_to_sleep(l);
    int n = epoll_wait(l->epoll_fd, events, ARRAY_SIZE(events), sleep < 0 && !l->trimmed ? TRIM_MSEC : sleep);
    if (n == 0 && sleep < 0)
        trim(l);
    for (int i = 0; i < n; i++) {
        void *source = events[i].data.ptr;
        if (source == &l->socket)
            message = true;
        else if (source == &l->signal_fd)
            l->ending = read(l->signal_fd, &info, sizeof info) > 0 || l->ending;
        else if (source == &l->journal)
            set_journal_full(l, false);
        else
            logd_ready(l, source);
    }
    retry_due(l);
    serve_ready(l);
    if (message)
        l->trimmed = false;
    /* Last, since a stream may go here that an event above was about. */
    for (int i = 0; message && i < MESSAGES_TURN; i++)
        message = server_receive(l);
    tell_stats(l);
    nap(l);
}

/* ---- start and end ---- */

/* SIGTERM: what the containers have written so far is written out. What they write from now on waits in the
 * FIFOs for the next davit-logd, if there is one. */
static void drain(struct logd *l) {
    usec_t deadline = usec_add(now_monotonic(), END_USEC);

    LIST_FOREACH (s, &l->streams, struct stream, link)
        logd_ready(l, s);
    while (!list_empty(&l->ready) && !logd_sink_blocked(l) && now_monotonic() < deadline)
        serve_ready(l);
    LIST_FOREACH (s, &l->streams, struct stream, link)
        if (s->recovered && !logd_sink_blocked(l) && s->retry_at == USEC_INFINITY)
            (void)batch_flush(l, s, true);
    server_stats(l);
}

static int open_signal(struct logd *l) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &l->signal_fd};
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error like a full disk */
    if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
        return negative_errno();
    l->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (l->signal_fd < 0 || epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->signal_fd, &event) < 0)
        return negative_errno();
    return 0;
}

static int open_all(struct logd *l) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &l->socket};

    list_init(&l->streams);
    list_init(&l->ready);
    list_init(&l->files.open);
    l->files.directory = -1;
    l->journal = JOURNAL_INIT;
    l->journal_retry_at = l->journal_silent = USEC_INFINITY;
    l->socket = LOGD_FD_SOCKET;
    l->spare_fd = -1;

    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0)
        return log_errno(LOG_ERR, errno, "epoll_create1");
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->socket, &event) < 0)
        return log_errno(LOG_ERR, errno, "no socket to davitd: davit-logd is started by davit-init");
    int r = open_signal(l);
    if (r >= 0)
        r = fifo_peeker_open(&l->peeker);
    return r < 0 ? log_errno(LOG_ERR, r, "cannot start") : 0;
}

/* The davit-logd of a davit-init that was killed writes on for a moment (drain()), and the next davit-init
 * may have got this memory back already: two at once would write each line twice. The lock is the process's,
 * not the descriptor's, which all of them share. */
static bool is_ours_alone(int fd) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    usec_t deadline = usec_add(now_monotonic(), 2 * END_USEC);

    while (fcntl(fd, F_SETLK, &whole) < 0) {
        if ((errno != EACCES && errno != EAGAIN) || now_monotonic() >= deadline)
            return false;
        (void)usleep(10 * 1000);
    }
    return true;
}

static int open_state(struct logd *l) {
    struct stat st;
    int fd = LOGD_FD_STATE;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !is_ours_alone(fd)) {
        log_warning("no memory that outlives davit-logd: a line may be doubled when it is killed");
        fd = -1;
    }
    int r = state_open(&l->state, fd);
    return r < 0 ? log_errno(LOG_ERR, r, "cannot map the state memory") : 0;
}

int logd_run(void) {
    static struct logd l;

    /* The state's descriptor first: the number must not be taken by one of ours. */
    if (open_state(&l) < 0 || open_all(&l) < 0)
        return EXIT_FAILURE;
    server_hello(&l);
    while (!l.ending)
        turn(&l);
    drain(&l);
    return EXIT_SUCCESS;
}
