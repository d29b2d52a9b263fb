/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The real davit-init with parts that do as they are told: the test program is davitd, davit-launch and
 * davit-logd as well, by the name it is called by. Each of them connects to a socket of the test, says who it
 * is, and then takes one command a message.
 */
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "init/keeper.h"
#include "launch/protocol.h"

#define MESSAGE_MAX 65536
#define WAIT_MSEC 60000 /* only a failure waits so long; a machine under emulation can take seconds */
#define EXITS_MAX 80000

/* What "spawn" writes to the file "spawned". */
struct ended {
    int32_t pid, status;
};

extern struct rig {
    char directory[64], program[512];
    int listener, up;
    pid_t pid;
    struct part_seen {
        int fd;
        pid_t pid;
    } manager, logd, launchers[LAUNCH_COUNT];
    int log; /* its stderr */
} rig;

/* First of all in main(): returns in the test only. */
void be_part_if_called_so(char **argv);

/* A message to $NOTIFY_SOCKET, fd -1 = without one. */
void notify(const char *text, int fd);

int setup(void **state);
int teardown(void **state);
bool logged(const char *wanted);
unsigned count_logged(const char *wanted);
/* Waits until it is there so often. */
bool comes_to_be_logged(const char *wanted, unsigned count);
void forget(struct part_seen *p);

/* Becomes davit-init, in a child. */
_noreturn_ void exec_init(void);
void start_init(void);
void start_init_with(int clone_flags);
/* The next message of a part; NULL when none comes in time, or it has gone. */
char *hear_for(const struct part_seen *p, int msec);
char *hear(const struct part_seen *p);
void tell(const struct part_seen *p, const char *text);
char *ask(const struct part_seen *p, const char *text);
/* Takes the next part that says hello. False when none does in time. */
bool meet_for(int msec, struct part_seen **ret);
void meet(struct part_seen *wanted);
void meet_all(void);
int wait_end(void);
void stop_by(int signal, int wanted_status);
/* At most max records that are there now. */
size_t read_feed(struct feed_record *records, size_t max);
/* Waits until there are at least so many. */
size_t wait_feed(struct feed_record *records, size_t max, size_t wanted);
int by_pid(const void *a, const void *b);
