/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit's own programs as davit-init's children ("parts"): how each is started, what it inherits, and when it
 * is started again after it died. Containers are davit-init's children as well, but nothing here knows of
 * them.
 *
 * Every launcher and davit-logd has a SOCK_SEQPACKET pair with davitd. davit-init holds both ends, so what
 * one side has sent stays there while the other is dead.
 *
 * When davit-init itself is killed, its parts must not stay behind beside those of its successor: davitd is
 * killed with it (SIGKILL, since SIGTERM would tell it to stop all containers), launchers and davit-logd get
 * SIGTERM. Containers go on, and the next one takes them over (manager/recover.c).
 */
#pragma once

#include <signal.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "init/boot.h"
#include "init/feed.h"
#include "init/store.h"
#include "launch/protocol.h"

enum part_index {
    PART_MANAGER, /* davitd */
    PART_LOGD,
    PART_LAUNCHER, /* and LAUNCH_COUNT - 1 more */
    PART_COUNT = PART_LAUNCHER + LAUNCH_COUNT,
};

struct part {
    const char *program; /* file name in the libexec directory */
    char label[24];      /* for people: "davit-launch 1" */
    char number[8];      /* argument 1 of a launcher, else "" */
    pid_t pid;           /* 0 = not running */
    usec_t started;
    usec_t start_at;           /* due time of the next start; USEC_INFINITY = none wanted */
    unsigned quick_deaths;     /* what the next delay comes from */
    bool replaced;             /* told to end, so that its new program file takes its place */
    int manager_end, part_end; /* of the socket pair; -1 for davitd */
};

/* What parts inherit, beside the environment. */
struct parts_context {
    const char *libexec;
    const char *notify_address; /* for davitd */
    usec_t watchdog_usec;       /* for davitd; 0 = none */
    const struct feed *feed;
    const struct store *store;
    const struct boot *boot; /* for davitd */
    int state_fd;            /* the memory that outlives davit-logd (log/protocol.h), -1 = none */
    int null_fd;
    struct rlimit
        files; /* RLIMIT_NOFILE as davit-init found it: what launchers, and so containers, start from */
    char oom_score_adj[8]; /* as davit-init found it; "" = unknown */
};

/* Fills the table; there are no socket pairs yet. */
void parts_init(struct part parts[static PART_COUNT]);
/* Makes the socket pairs that are missing. 0 or -errno. */
int parts_open(struct part parts[static PART_COUNT]);
/* Forks and executes one. A program that cannot be executed shows as exit status 127 (the child has said why
 * on stderr). 0 or -errno (fork failed). */
int part_start(struct part *parts, struct part *p, const struct parts_context *context);
struct part *part_find(struct part *parts, pid_t pid);

/*
 * When to start a part again. The first death is answered at once; quick deaths in a row make the delay grow:
 * 100 ms (DAVIT_RESTART_USEC in the environment: a test that kills ten thousand times cannot wait so long),
 * doubling to 30 s. Five seconds of running forgive one, sixty forgive all. SIGKILL comes from outside (a
 * person, the OOM killer) and says nothing against the program: it never makes the delay grow beyond twice
 * the first.
 */
#define RESTART_DELAY_FIRST (100 * USEC_PER_MSEC)
#define RESTART_DELAY_MAX (30 * USEC_PER_SEC)
#define RESTART_STABLE_USEC (60 * USEC_PER_SEC)
#define RESTART_FORGIVE_USEC (5 * USEC_PER_SEC)
#define RESTART_KILLED_MAX 2
#define RESTART_KEEPS_DYING 5 /* so many quick deaths and davit-init raises its voice */
/* The count after one more death of a part that had ran for so long. */
unsigned part_restart_count(unsigned quick_deaths, usec_t ran, bool killed);
/* The delay before the start that follows death number quick_deaths; first: what the first delay is. */
usec_t part_restart_delay(unsigned quick_deaths, usec_t first);
