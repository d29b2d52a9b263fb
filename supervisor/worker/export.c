/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-image export DIRECTORY: a container's root file system, as it sees it, as a tar archive on standard
 * output. What is mounted in it stays out, but for the mount points.
 */
#include <fcntl.h>

#include "base/parse.h"
#include "worker/tar-write.h"
#include "worker/worker.h"

int export_prepare(struct worker *w, struct error *e) {
    if (w->n_arguments != 1)
        return error_set(e, EINVAL, "export takes one directory");
    int fd = open(w->arguments[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? error_set_errno(e, errno, "%s", w->arguments[0]) : worker_add_input(w, fd, e);
}

struct export {
    struct worker *worker;
    uint64_t bytes;
};

static int on_write(void *userdata, const void *data, size_t n, struct error *e) {
    struct export *x = userdata;

    int r = worker_output(data, n, e);
    x->bytes += n;
    worker_progress(x->worker, "archive", x->bytes, 0);
    return r;
}

int export_run(struct worker *w, struct error *e) {
    struct export x = {.worker = w};
    const struct tar_sink sink = {.write = on_write, .userdata = &x};
    struct tar_options options = {.one_file_system = true};

    int r = worker_ids(w, &options.id_base, &options.id_count, e);
    if (r >= 0)
        r = tar_write_tree(w->inputs[0], &options, &sink, e);
    return r < 0 ? r : tar_end(&sink, e);
}
