/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* davit.conf, checked: what the manager itself is told. Parsed with libconfig in a short-lived worker (davitd
 * --read-config, started through a launcher), because that library wraps integers and exits when memory is
 * short. */
#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"

struct settings {
    char **unit_path; /* added behind the built-in directories */
    char **image_roots;
    char *storage_driver; /* a name of image/driver.h */
    char *image_limit;    /* for davit-image, which reads davit.conf itself (image/gc-policy.h) */
    usec_t image_unused_for;
    bool image_gc;
    bool image_keep_archives;
    uint64_t image_memory; /* the same (image/memory.h) */
    int log_level;         /* LOG_INFO */
    char *log_sink;        /* "auto", "journal", "file" */
    uint64_t log_max_size;
    uint32_t log_max_files;
    bool strict;
    bool allow_missing_limits;  /* start also where MemoryMax= and its kin cannot be applied */
    uint32_t start_concurrency; /* launches in flight; 0 = twice the CPUs */
    usec_t default_timeout_start, default_timeout_stop, default_restart_sec;
    usec_t watchdog_timeout, watchdog_reboot_timeout, watchdog_kexec_timeout; /* of the hardware; 0 = off */
    usec_t shutdown_timeout; /* for stopping all units together; 0 = what shutdown.target says */
    bool keep_trying; /* appliance: a start limit raises an alarm and goes on at the cap instead of giving up
                       */
    uint32_t userns_base, userns_size; /* host ids for UserNS=auto: 524288, 65536 each */
    uint32_t userns_count;
    uint32_t max_units, max_clients_per_uid;
    char *default_target;
};
void settings_init(struct settings *s); /* built-in defaults */
void settings_done(struct settings *s);
/* Worker side: reads path with libconfig, writes the wire form to fd; returns the exit status. */
int settings_worker(const char *path, int fd);
int settings_encode(const struct settings *s, const struct error *e, void **ret, size_t *ret_size);
/* -EBADMSG, or the worker's own error in *e (file, line, key). */
int settings_decode(const void *data, size_t n, struct settings *ret, struct error *e);
