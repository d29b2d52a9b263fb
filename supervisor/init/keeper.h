/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What davit-init gives to davitd, davit-launch and davit-logd, and what it expects back.
 *
 * Environment of davitd: NOTIFY_SOCKET, WATCHDOG_USEC/WATCHDOG_PID (if a watchdog is wanted), LISTEN_PID,
 * LISTEN_FDS, LISTEN_FDNAMES as sd_listen_fds_with_names(3) reads them, and all DAVIT_* variables. The first
 * names are fixed:
 *
 *   feed        read end of the exit feed: struct feed_record after struct feed_record
 *   launch0 ... launch<N-1>   davitd's end of each launcher's SOCK_SEQPACKET pair
 *   logd        davitd's end of davit-logd's SOCK_SEQPACKET pair
 *
 * then come the descriptors that an earlier davitd stored with FDSTORE=1 / FDNAME= (at most KEEPER_MAX_FDS;
 * names of at most KEEPER_NAME_MAX-1 bytes). FDSTOREREMOVE=1 with FDNAME= closes all of that name. FDPOLL=0
 * is always in force.
 *
 * davit-launch has its socket as fd 3, davit-logd as well. Argument 1 of davit-launch is its number.
 * davit-logd's fd 4 is a memfd that outlives it (log/protocol.h).
 *
 * davitd starts with the signals that davit-init passes on blocked (SIGTERM: stop all units and exit with
 * MANAGER_EXIT_DONE; the FORWARD and REEXEC rules of init/signals.h), so that one sent early waits. Only
 * messages of the davitd that runs now are listened to.
 *
 * The exit feed. davit-init peeks at a dead child (waitid WNOWAIT), appends a record, and only then reaps it:
 * while davitd has not read that far the pid can be reused, but no record is ever lost, and never written
 * twice. If the feed is full the child stays a zombie until there is room. The ends of davitd, launchers and
 * davit-logd are not in it. davitd must *copy* records
 * (tee(2)), act, save its state, and then consume them; sequence numbers tell a record that was handled
 * before a crash from a new one.
 */
#pragma once

#include <stdint.h>

struct feed_record {
    uint64_t sequence; /* one more than that of the record before */
    uint64_t usec;     /* CLOCK_MONOTONIC when davit-init saw it */
    int32_t pid;
    int32_t code;   /* CLD_EXITED, CLD_KILLED, CLD_DUMPED */
    int32_t status; /* exit status or signal number */
    uint32_t uid;
};
_Static_assert(sizeof(struct feed_record) == 32, "divides PIPE_BUF, so a record is written whole");

#define KEEPER_MAX_FDS 6144
#define KEEPER_NAME_MAX 24

/* Exit statuses of davitd that davit-init understands; anything else is a crash and it is started again. */
enum {
    MANAGER_EXIT_DONE = 0,    /* asked to stop: davit-init ends too, with the status in EXIT_STATUS= or 0 */
    MANAGER_EXIT_REEXEC = 64, /* start again at once, not counted as a crash */
};
/*
 * Besides sd_notify's words davitd may send:
 *
 *   EXIT_STATUS=<0..255>       what davit-init shall exit with once davitd is done
 *   X_DAVIT_END=<word>         how all is to end: a word of base/ending.h. davit-init then behaves as if the
 *                              signal for it had come, and tells davitd with SIGTERM to stop the units
 *   X_DAVIT_END_ARGUMENT=<s>   of a reboot, for reboot(2)
 *   X_DAVIT_KILL_LAUNCHER=<n>  that launcher hangs, or is of another version: kill and restart it
 *   X_DAVIT_KILL_LOGD=1        davit-logd hangs: likewise
 *   X_DAVIT_REEXEC=1           davit's programs were perhaps replaced on disk: davit-init executes itself
 * again, and starts launchers and davit-logd anew; davitd itself ends with MANAGER_EXIT_REEXEC
 *   X_DAVIT_FINISHED=<usec>    when the default target was reached, CLOCK_MONOTONIC
 *   X_DAVIT_WATCHDOG=<run>,<reboot>,<kexec>
 *                              hardware watchdog, from davit.conf, in microseconds; 0 = off
 */
