/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A real davit-launch with this test as its davitd and its davit-init: the test holds the other end of its
 * socket, and as the launcher's parent it gets the launcher's children (CLONE_PARENT) to reap.
 *
 * A rig has a temporary directory with a root file system made of busybox-static. Each run gets a fresh upper
 * directory.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "launch/launch.h"

#define ANSWER_MSEC 60000 /* only a failure waits so long */
#define RIG_SECONDS 550
#define ID_BASE 1000000
#define ID_COUNT 65536

struct rig {
    char directory[64];
    char *image; /* <directory>/image: the layer with busybox */
    int socket;
    pid_t launcher;
    unsigned runs;
    uint64_t request;
};

/* What became of one request. */
struct outcome {
    bool begun;
    bool done; /* a chore that the launcher did itself */
    pid_t pid;
    int pidfd, status_fd;
    struct error error; /* of FAILED, or what came through the status pipe */
    int status;         /* as waitpid gives it, once ended */
    char *output;       /* stdout and stderr */
};

void rig_open(struct rig *r);
void rig_close(struct rig *r);
/* Kills the launcher and starts another one. */
void rig_restart(struct rig *r);
/* cmocka set-up and tear-down; *state is the rig. Skips where the machine cannot. */
int rig_setup(void **state);
int rig_teardown(void **state);

/* A container of one layer with everything that a default unit has. Strings may be replaced with set(). */
void container_init(struct rig *r, struct container_spec *s, bool user_namespace);
/* The same for a shell script as its program. */
void container_script(struct rig *r, struct container_spec *s, bool user_namespace, const char *script);
void set(char **field, const char *value);
void set_argv(struct container_spec *s, const char *first, ...) __attribute__((sentinel));
struct spec_mount *add_mount(struct container_spec *s, enum spec_mount_kind kind, uint32_t flags,
    const char *source, const char *target);
void add_file(struct container_spec *s, const char *path, const char *content);
void add_sysctl(struct container_spec *s, const char *key, const char *value);

/* Sends, waits for BEGUN or FAILED. fds are those the spec's positions mean. */
struct outcome launch(struct rig *r, const struct container_spec *s, const int *fds, size_t n_fds);
/* Waits for the end and the status pipe. */
void finish(struct outcome *o);
/* launch() with a pipe as stdout and stderr, everything read, finish(). s is freed. */
struct outcome run(struct rig *r, struct container_spec *s);
void outcome_done(struct outcome *o);
#define _cleanup_outcome_ _cleanup_(outcome_done)
/* Runs a script in a fresh default container and returns its output; fails the test if it fails. */
char *script_output(struct rig *r, bool user_namespace, const char *script);
/* Exit status, -1 if it did not exit. */
int exit_code(const struct outcome *o);

/* Text of a message for assertions: status, error, output. */
#define assert_exit(o, code) \
    do { \
        if (exit_code(o) != (code)) \
            fail_msg("exit status %d instead of %d, error \"%s: %s\", output \"%s\"", exit_code(o), (code), \
                (o)->error.step, (o)->error.text, (o)->output ? (o)->output : ""); \
    } while (0)
#define assert_contains(text, part) \
    do { \
        if (!strstr((text), (part))) \
            fail_msg("\"%s\" is not in \"%s\"", (part), (text)); \
    } while (0)
#define assert_lacks(text, part) \
    do { \
        if (strstr((text), (part))) \
            fail_msg("\"%s\" is in \"%s\"", (part), (text)); \
    } while (0)

/* ---- files of the rig ---- */
char *rig_path(struct rig *r, const char *format, ...) _printf_(2, 3);
void write_file(const char *path, const char *text);
char *read_file(const char *path);
void make_directory(const char *path, mode_t mode);

/* ---- tests ---- */

/* The rig of a test; skips where there is none. */
#define RIG(state) \
    ({ \
        if (!*(state)) \
            skip(); \
        (struct rig *)*(state); \
    })
/* Runs the body without and with a user namespace (or whatever else has two ways). */
#define BOTH(u) for (int u = 0; u < 2; u++)
#define TEST(name) cmocka_unit_test(name)
