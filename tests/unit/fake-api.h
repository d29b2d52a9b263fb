/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A manager that only remembers what it was asked: stands in for manager/ in tests of control/. Units are the
 * fixed table in fake-api.c. Jobs wait until the test finishes them with fake_finish_jobs(), unless
 * fake.immediate is set: then they call back from inside api_queue_job(), which the server has to survive
 * too.
 */
#pragma once

#include "manager/api.h"
#include "manager/manager.h"

#define FAKE_CALLBACKS 64

struct fake_job {
    char unit[64];
    enum job_type type;
    enum job_mode mode;
    job_done_t done;
    void *userdata;
};

struct fake_exec {
    exec_started_t started;
    exec_exited_t exited;
    void *userdata;
    int fds[4];
    char *text; /* argv joined, or unit text */
};

struct fake {
    bool immediate, exec_fails, last_again;
    int exec_status;         /* of an immediate exec */
    const char *exec_output; /* what an immediate exec writes to its terminal or standard output */
    struct fake_job jobs[FAKE_CALLBACKS];
    size_t n_jobs;
    struct fake_exec execs[FAKE_CALLBACKS];
    size_t n_execs;
    struct {
        event_listener_t listener;
        void *userdata;
    } listeners[FAKE_CALLBACKS];
    size_t n_listeners;
    int last_signal, last_exec_signal, exit_status;
    enum kill_whom last_whom;
    unsigned forgotten, resets, reexecutions;
    bool frozen, exit_keep;
    struct ending ending;
    usec_t end_when;
    bool end_no_wall, end_is_deadly;
    char end_argument[64], end_message[64];
    const char *details;   /* JSON that Describe answers with instead */
    size_t status_padding; /* bytes that GetStatus is made longer by */
};
extern struct fake fake;

void fake_reset(void);
/* Ends all jobs that wait, with this result. */
void fake_finish_jobs(enum job_result result, const char *message);
void fake_exec_started(size_t i, pid_t pid, const struct error *e);
void fake_exec_exited(size_t i, int code, int status);
void fake_event(json_t *event); /* taken over */
