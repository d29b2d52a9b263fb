/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-logd: one thread, one epoll. Reads the FIFOs of all containers and writes their lines to the journal
 * or to files. Lines leave a FIFO only when the sink has them (log/state.h); a sink that refuses them makes
 * the FIFOs fill up and, in the end, the containers wait: nothing is dropped.
 *
 *   server.c   what davitd says (log/protocol.h)
 *   logd.c     the loop: which stream is served when
 *   batch.c    one stream's data from FIFO to sink
 */
#pragma once

#include "log/fifo.h"
#include "log/journal.h"
#include "log/stream.h"

enum sink { SINK_NONE, SINK_JOURNAL, SINK_FILE };

struct logd {
    int epoll_fd, signal_fd, socket;
    int spare_fd;   /* a number kept free for the FIFO that a message may bring */
    enum sink sink; /* SINK_NONE until CONFIG has come */
    struct state state;
    struct fifo_peeker peeker;

    struct file_sink files;
    char *directory; /* for messages */
    struct journal journal;
    usec_t journal_retry_at; /* no journal there: the next attempt, else USEC_INFINITY */
    usec_t journal_delay;

    struct list streams; /* all */
    struct list ready;
    uint64_t lines, lines_told; /* written so far; as of the last STATS */
    usec_t told_at, problem_at;

    /* Rest between two turns under load, see nap(). */
    size_t most_bytes; /* of one stream, in this turn */
    usec_t nap_usec, last_data;

    unsigned n_failing;
    bool journal_full;     /* EAGAIN: waits for EPOLLOUT */
    usec_t journal_silent; /* when that is to be told; USEC_INFINITY: not full, or told already */
    bool has_problem;      /* the last PROBLEM was not "" */
    bool privileges_dropped;
    bool trimmed; /* memory was given back since data last came */
    bool ending;  /* SIGTERM */
};

/* ---- batch.c ---- */
/* Finishes or undoes what a predecessor left for this FIFO. 0 or -errno (to be tried again). */
int batch_recover(struct logd *l, struct stream *s);
/* Moves what the FIFO has, at most FIFO_PEEK_MAX bytes, to the sink. 1: there may be more; 0: the FIFO is
 * empty; -errno: the sink did not take it all, the rest is where it was (-EAGAIN: the journal is busy). */
int batch_serve(struct logd *l, struct stream *s);
/* Writes the rest as well: as the last line of a stream that has ended, or as a piece (partial) whose end
 * will follow. The FIFO has been found empty. 0 or -errno. */
int batch_flush(struct logd *l, struct stream *s, bool partial);

/* Gives the buffers' memory back. */
void batch_trim(void);

/* ---- logd.c ---- */
int logd_run(void);
void logd_ready(struct logd *l, struct stream *s);
/* Nothing can be written at the moment, and nothing may be tried: what ends the wait for a journal that is
 * full is an event of its socket, which a new connection would not have. */
bool logd_sink_blocked(const struct logd *l);
/* Adds to the epoll and recovers. 0 or -errno. */
int logd_add(struct logd *l, struct stream *s);
void logd_problem(struct logd *l, const char *fmt, ...) _printf_(2, 3);
/* Serves one ready or failing stream and puts it where it belongs afterwards. The stream may be gone then. */
void logd_serve(struct logd *l, struct stream *s);

/* ---- server.c ---- */
void server_hello(struct logd *l);
/* Takes one message. False when there is none, or davitd's end is closed. */
bool server_receive(struct logd *l);
void server_removed(struct logd *l, uint64_t stream);
void server_problem(struct logd *l, const char *text);
void server_stats(struct logd *l);

/* ---- privileges.c ---- */
#define LOGD_USER "davit-log"
#define LOGD_NOBODY 65534
/* Gives the log directory (-1: none) to davit-log and becomes that user, for good: no capability, no way to
 * gain one. Does nothing but the latter when it is not root. 0 or -errno. */
int privileges_drop(int directory);
