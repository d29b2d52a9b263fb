/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An empty volume is filled from the image before the container that mounts it is launched. That may be a
 * copy of any size, so it is a process of its own (SPEC_FILL), for which the unit gives its launch slot away
 * as it does for an image that is fetched. It is given up by a kill, at any time: what was copied carries a
 * mark until all of it is there (launch/volumes.c), and the next start begins anew.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/log.h"
#include "manager/spec_internal.h"

struct fill {
    struct managed_unit *unit; /* NULL: it was freed */
    struct process *process;
    struct error error;
    bool canceled;
    bool cleanup_waits, restart_follows; /* arguments of a prepare_cleanup() that is to follow */
};

/* ---- the end ---- */

static void finish(struct fill *f) {
    struct managed_unit *u = f->unit;
    struct fill end = *f;

    process_free(f->process);
    free(f);
    if (!u)
        return;
    u->fill = NULL;
    unit_set_status_text(u, NULL);
    u->volumes_filled = end.error.number == 0;
    if (end.cleanup_waits)
        prepare_cleanup(u, end.restart_follows);
    else if (!end.canceled && (u->volumes_filled || prepare_can_fall_back(u, &end.error)))
        unit_slot_request(u); /* the launch fails in the same way, falls back, and then fills them itself */
    else if (!end.canceled) {
        u->fill_tried = false;
        prepare_failed(u, &end.error);
    }
}

static void on_failed(struct process *p, const struct error *e) {
    struct fill *f = p->userdata;

    f->error = *e;
    if (p->pid == 0)
        finish(f);
}

static void on_exited(struct process *p, const struct process_exit *x) {
    struct fill *f = p->userdata;

    if (f->error.number == 0 && (x->code != CLD_EXITED || x->status != 0)) {
        error_set_step(&f->error, "volumes");
        (void)error_set(&f->error, ECHILD, "the process that fills volumes from the image was killed");
    }
    finish(f);
}

static const struct process_callbacks calls = {.failed = on_failed, .exited = on_exited};

/* ---- the beginning ---- */

/* Volumes are directories of the state directory: davitd itself may look. */
static bool is_unfilled(const char *path) {
    _cleanup_free_ char *mark = strf("%s" VOLUME_FILLING, path);
    if (mark && access(mark, F_OK) == 0)
        return true;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    bool empty = d;

    if (!d) {
        closep(&fd);
        return false;
    }
    for (const struct dirent *entry; empty && (entry = readdir(d));)
        empty = streq(entry->d_name, ".") || streq(entry->d_name, "..");
    (void)closedir(d);
    return empty;
}

static bool is_needed(const struct container_spec *s) {
    for (uint32_t i = 0; i < s->n_mounts; i++)
        if (s->mounts[i].kind == MOUNT_BIND && (s->mounts[i].flags & MOUNT_COPY_UP) &&
            is_unfilled(s->mounts[i].source))
            return true;
    return false;
}

static bool may_have_volumes(const struct managed_unit *u) {
    const struct image *image = u->resources.image;

    return u->config->container->n_volumes > 0 || !image || strv_length(image->volumes) > 0;
}

static int start(struct managed_unit *u, struct container_spec *s, struct error *e) {
    struct fill *f = calloc(1, sizeof(*f));

    if (!f)
        return error_set(e, ENOMEM, "out of memory");
    f->unit = u;
    /* davit's own work, not the container's: none of its groups, nothing of its standard streams. */
    s->kind = SPEC_FILL;
    s->stdin_fd = s->stdout_fd = s->stderr_fd = s->terminal_fd = s->pass_fd = -1;
    free(TAKE_PTR(s->cgroup_unified));
    strv_free(TAKE_PTR(s->cgroup_v1_tasks));
    int r = process_start(u->manager, NULL, PROCESS_CHORE, s, NULL, 0, &calls, f, &f->process, e);
    if (r < 0) {
        free(f);
        return r;
    }
    u->fill = f;
    return 1;
}

int fill_start(struct managed_unit *u, struct error *e) {
    struct container_spec spec;
    int fds[SPEC_MAX_FDS], r;
    size_t n_fds = 0;

    if (u->config->type != UNIT_CONTAINER || u->manager->without_davitd || u->fill_tried)
        return 0;
    error_set_step(e, "volumes");
    /* Also where the new settings have no volume any more: its end cleans up what is there then. */
    if (u->fill)
        return error_set(e, EBUSY, "the process that filled its volumes cannot be ended yet");
    if (!may_have_volumes(u))
        return 0;
    spec_init(&spec);
    r = prepare_main_spec(u, &spec, fds, &n_fds, e);
    if (r >= 0)
        r = is_needed(&spec) ? start(u, &spec, e) : 0;
    for (size_t i = 0; i < n_fds; i++)
        (void)close(fds[i]);
    spec_done(&spec);
    if (r < 0)
        return r;
    u->fill_tried = true;
    u->volumes_filled = r == 0;
    if (r > 0)
        unit_set_status_text(u, "Filling volumes from the image");
    return 0;
}

void fill_cancel(struct managed_unit *u) {
    if (!u->fill || u->fill->canceled)
        return;
    u->fill->canceled = true;
    (void)process_kill(u->fill->process, SIGKILL);
}

bool fill_delays_cleanup(struct managed_unit *u, bool restart_follows) {
    if (!u->fill)
        return false;
    fill_cancel(u);
    u->fill->cleanup_waits = true;
    u->fill->restart_follows = restart_follows;
    return true;
}

void fill_forget(struct managed_unit *u) {
    if (!u->fill)
        return;
    fill_cancel(u);
    TAKE_PTR(u->fill)->unit = NULL;
}
