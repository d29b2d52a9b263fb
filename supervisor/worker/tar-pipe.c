/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread that writes a tar stream, and the source that reads it: what is made here goes through the same
 * door as what comes from elsewhere. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>

#include "base/fs.h"
#include "worker/tar-write.h"

#define PIPE_SIZE (1024 * 1024)

struct tar_pipe {
    int (*produce)(void *userdata, const struct tar_sink *sink, struct error *e);
    void *userdata;
    int read_fd, write_fd;
    pthread_t thread;
    struct error error; /* of the producer; read after the pipe's end */
    struct layer_source source;
    char buffer[STREAM_BLOCK];
};

static int on_write(void *userdata, const void *data, size_t n, struct error *e) {
    struct tar_pipe *p = userdata;

    int r = write_all(p->write_fd, data, n);
    return r < 0 ? error_set_errno(e, r, "pipe") : 0;
}

static void *run(void *userdata) {
    struct tar_pipe *p = userdata;
    const struct tar_sink sink = {.write = on_write, .userdata = p};

    /* A working directory of its own: attributes of links are read by name from inside their directory. */
    int r = unshare(CLONE_FS) < 0 ? negative_errno() : p->produce(p->userdata, &sink, &p->error);
    if (r >= 0 && r != TAR_HAS_END)
        r = tar_end(&sink, &p->error);
    if (r < 0 && p->error.number == 0)
        (void)error_set_errno(&p->error, r, "reading the tree");
    close_and_reset(&p->write_fd);
    return NULL;
}

static ssize_t on_read(void *userdata, const void **ret_data, struct error *e) {
    struct tar_pipe *p = userdata;
    ssize_t n;

    do
        n = read(p->read_fd, p->buffer, sizeof(p->buffer));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_set_errno(e, errno, "pipe");
    /* The end: the producer has set its error before it closed the pipe. */
    if (n == 0 && p->error.number != 0) {
        if (e)
            *e = p->error;
        return -p->error.number;
    }
    *ret_data = p->buffer;
    return n;
}

int tar_pipe_open(int (*produce)(void *userdata, const struct tar_sink *sink, struct error *e),
    void *userdata, struct tar_pipe **ret, struct error *e) {
    _cleanup_free_ struct tar_pipe *p = calloc(1, sizeof(*p));
    int fds[2];

    if (!p || pipe2(fds, O_CLOEXEC) < 0)
        return error_set_errno(e, p ? errno : ENOMEM, "pipe");
    *p = (struct tar_pipe){.produce = produce, .userdata = userdata, .read_fd = fds[0], .write_fd = fds[1]};
    p->source = (struct layer_source){.read = on_read, .userdata = p};
    (void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE); /* fewer switches; smaller is only slower */
    int r = pthread_create(&p->thread, NULL, run, p);
    if (r != 0) {
        closep(&p->read_fd);
        closep(&p->write_fd);
        return error_set_errno(e, r, "starting a thread");
    }
    *ret = TAKE_PTR(p);
    return 0;
}

const struct layer_source *tar_pipe_source(struct tar_pipe *p) {
    return &p->source;
}

void tar_pipe_close(struct tar_pipe *p) {
    /* A producer that still writes gets EPIPE (SIGPIPE is ignored), and ends. */
    close_and_reset(&p->read_fd);
    (void)pthread_join(p->thread, NULL);
    closep(&p->write_fd);
    free(p);
}
