/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-image: a short-lived program for whatever touches data that others wrote. Started by `davit image`
 * and by davitd; never by hand.
 *
 *   davit-image COMMAND --store=DIR [--progress-fd=N] [--timeout=SECONDS] [--memory=BYTES] [OPTION...]
 * [ARGUMENT...]
 *
 * A command is a row in the table of worker.c. It runs in three steps: `prepare` opens what it needs outside
 * the store (inputs), with the privileges of whoever started it; then the process is confined (confine.h);
 * then `run` does the work.
 *
 * It reports on the progress descriptor, in lines of JSON, each an object with "event":
 *   {"event":"progress","what":"20 layers","done":BYTES,"total":BYTES}  some times a second at most
 *   {"event":"image","name":NAME,"manifest":DIGEST,"id":DIGEST}          an image that is in the store now
 *   {"event":"stored","name":NAME}                                       a pull that has brought the store
 * something
 *   {"event":"freed","images":N,"layers":N,"blobs":N,"bytes":N}          what gc took away
 *   {"event":"lost","name":NAME,"digest":DIGEST,"why":TEXT}              fsck: an image that is not whole
 *   {"event":"checked","problems":N,"restored":N,"lost":N}               what fsck has found
 *   {"event":"note","text":TEXT}                                         worth saying, not an error
 *   {"event":"error","number":ERRNO,"step":STEP,"text":TEXT}             the last line of a run that failed
 * and by its exit status: 0, or 1 with an error event (also on stderr when there is no progress descriptor).
 */
#pragma once

#include "base/json.h"
#include "image/store.h"

struct worker;

/* How much of the system a command's `run` can reach; see confine.h. */
enum confinement {
    CONFINE_UNPACK, /* files of any owner and kind, in the store only */
    CONFINE_FETCH,  /* the same, and the network */
    CONFINE_TREE,   /* the same as the first in one more directory, and file systems' ways to copy */
};

struct worker_option {
    const char *name; /* "--name=VALUE" on the command line */
    size_t offset;    /* in struct worker_options: a char *, or a char ** for those that may be repeated */
    bool repeated;
};

struct worker_options {
    char *store, *progress_fd, *timeout, *memory;
    char **names, **config, **copy; /* --name, --config, --copy */
    char *from;
    char *tree;                       /* of a container whose root is one: create */
    char *upper, *id_base, *id_count; /* of a container: create, export */
    char *format, *output;            /* save */
    char *driver, *target;            /* tree */
    char *limit, *unused_for;
    char **units, **keep; /* names of all units; images that they name */
    char *all, *repair, *quick, *dry_run, *automatic;
    char **roots; /* --root: where images are looked for, besides the store: pull, fsck */
    char *platform, *conf, *policy, *digest, *auth_file, *cert_dir, *tls_verify, *all_tags, *retry,
        *retry_delay; /* pull */
};

struct worker_command {
    const char *name;
    enum confinement confinement;
    const char *const
        *readable; /* paths outside the store that stay readable, NULL at the end; may be NULL */
    int (*prepare)(struct worker *w, struct error *e); /* may be NULL */
    int (*run)(struct worker *w, struct error *e);
    bool makes; /* images: they hold the lock of rule 5, store.h */
};

struct worker {
    const struct worker_command *command;
    struct worker_options options;
    char **arguments; /* borrowed from argv */
    size_t n_arguments;
    struct store store;
    int makers;         /* the lock that says so, -1 = none */
    uint64_t memory;    /* bytes that it may allocate; 0 = no limit of its own */
    bool keep_archives; /* of layers, as they came */
    int progress_fd;    /* -1 = none */
    usec_t shown;       /* when progress was last reported */
    int output;  /* a directory that `run` may write to, -1 = none; opened by prepare, closed by worker_main()
                  */
    int *inputs; /* opened by prepare, closed by worker_main() */
    size_t n_inputs;
    void *data; /* what prepare has made for run */
    /* Of an import: only images that may be stored under one of these names, or have this digest, and how many
     * there were; NULL = all. */
    char *const *wanted;
    const char *wanted_digest;
    unsigned found;
};

/* Where davit.conf is, unless --conf says else. */
#define WORKER_CONF "/etc/davit/davit.conf"

/* The whole of main(). */
int worker_main(int argc, char **argv);

/* Keeps a descriptor that prepare has opened, as w->inputs[n_inputs++]. Takes it, also on failure. */
int worker_add_input(struct worker *w, int fd, struct error *e);

/* --id-base and --id-count: a user namespace, as struct tar_options has it. */
int worker_ids(const struct worker *w, uint32_t *ret_base, uint32_t *ret_count, struct error *e);
/* A piece of what goes to standard output: the result of commands that make a file. */
int worker_output(const void *data, size_t n, struct error *e);

/* ---- events ---- */

/* Writes the object in one line and frees it. A reader that has gone is nobody's trouble. */
void worker_event(struct worker *w, json_t *event);
void worker_note(struct worker *w, const char *fmt, ...) _printf_(2, 3);
/* At most ten a second, and always when done equals total. */
void worker_progress(struct worker *w, const char *what, uint64_t done, uint64_t total);
void worker_image(struct worker *w, const char *name, const char *manifest, const char *id);

/* ---- commands ---- */

int import_prepare(struct worker *w, struct error *e);
int import_run(struct worker *w, struct error *e);
int create_prepare(struct worker *w, struct error *e);
int create_run(struct worker *w, struct error *e);
int export_prepare(struct worker *w, struct error *e);
int export_run(struct worker *w, struct error *e);
int save_prepare(struct worker *w, struct error *e);
int save_run(struct worker *w, struct error *e);
int tree_prepare(struct worker *w, struct error *e);
int tree_run(struct worker *w, struct error *e);
int gc_prepare(struct worker *w, struct error *e);
int gc_run(struct worker *w, struct error *e);
int fsck_prepare(struct worker *w, struct error *e);
int fsck_run(struct worker *w, struct error *e);
int command_pull_prepare(struct worker *w, struct error *e);
int command_pull_run(struct worker *w, struct error *e);
int command_login_prepare(struct worker *w, struct error *e);
int command_login_run(struct worker *w, struct error *e);
