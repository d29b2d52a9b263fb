/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A launcher's equipment and its loop. The loop never ends because of a request: one that cannot be read is
 * answered with FAILED, as is one for which memory, descriptors or processes are missing at the moment.
 */
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/fd.h"
#include "base/fs.h"
#include "base/kernel_version.h"
#include "base/memory.h"
#include "launch/coverage.h"
#include "launch/internal.h"
#include "launch/layer-plan.h"
#include "launch/mount.h"

/* ---- equipment ---- */

#ifdef DAVIT_COVERAGE
int coverage_host_root = -1;
#endif

/* Makes an overlay of two empty directories (of one it is refused anyway) and forgets it. Only its creation
 * tells: before 6.5 overlay's options were not looked at earlier. */
static bool overlay_works(enum overlay_method method) {
    static const char *const directories[] = {"/scratch", "/nodes"};
    int layers[] = {-1, -1};
    struct error ignored;
    char path[32];

    _cleanup_close_ int fs = filesystem_open("overlay", &ignored);
    int r = fs;
    for (size_t i = 0; i < ARRAY_SIZE(layers) && r >= 0; i++) {
        /* Open until the overlay is made: a detached clone is gone with its last descriptor. */
        layers[i] = method == OVERLAY_DETACHED ? mount_clone(AT_FDCWD, directories[i], false)
                                               : open(directories[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", layers[i]);
        r = layers[i] < 0 ? layers[i] : filesystem_set(fs, "lowerdir+", path, &ignored);
    }
    _cleanup_close_ int fd = r < 0 ? r : filesystem_mount(fs, 0, &ignored);
    for (size_t i = 0; i < ARRAY_SIZE(layers); i++)
        close_and_reset(&layers[i]);
    return fd >= 0;
}

static enum overlay_method probe_overlay(void) {
    static const char *const names[] = {"detached", "append", "mount"};
    const char *forced = getenv("DAVIT_LAUNCH_OVERLAY");

    for (size_t i = 0; forced && i < ARRAY_SIZE(names); i++)
        if (streq(forced, names[i]))
            return (enum overlay_method)i;
    /* An older kernel refuses it, and writes "overlayfs: failed to clone lowerpath" to the console. */
    if (!kernel_is_before(6, 15) && overlay_works(OVERLAY_DETACHED))
        return OVERLAY_DETACHED;
    return overlay_works(OVERLAY_APPEND) ? OVERLAY_APPEND : OVERLAY_MOUNT;
}

/* openat2 and close_range came before mount_setattr (5.12), so that one speaks for all. */
static int check_kernel(struct error *e) {
    if (syscall(SYS_mount_setattr, -1, NULL, 0, NULL, 0) < 0 && errno == ENOSYS)
        return error_set(e, ENOSYS, "this kernel is too old: 5.12 or later is needed");
    return 0;
}

/* Room for many layers and volumes at once. A child gets the old limit back. */
static void raise_nofile(struct launcher *l) {
    if (getrlimit(RLIMIT_NOFILE, &l->nofile) < 0)
        return;
    struct rlimit all = {.rlim_cur = l->nofile.rlim_max, .rlim_max = l->nofile.rlim_max};
    (void)setrlimit(RLIMIT_NOFILE, &all);
}

/* Handlers end with execve, but what nohup(1) or a careless parent had us ignore would stay ignored. */
static void note_ignored_signals(struct launcher *l) {
    struct sigaction a;

    (void)signal(SIGPIPE, SIG_IGN); /* a barrier whose child is dead */
    /* Ignored, they would stop the threads of every program from changing their user together. */
    for (int i = 32; i < SIGRTMIN; i++)
        (void)sys_signal_default(i);
    sigemptyset(&l->ignored);
    for (int i = 1; i <= SIGRTMAX; i++)
        if (sigaction(i, NULL, &a) >= 0 && a.sa_handler == SIG_IGN)
            sigaddset(&l->ignored, i);
}

static int equip(struct launcher *l, struct error *e) {
    int r = check_kernel(e);
    if (r < 0)
        return r;
    /* Children take this over: nobody in a container may look into one of them before its execve (rule R6).
     */
    if (prctl(PR_SET_DUMPABLE, 0) < 0)
        return error_set_errno(e, errno, "prctl");
    umask(0);
    note_ignored_signals(l);
    raise_nofile(l);
    l->last_capability = capability_last();
#ifdef DAVIT_COVERAGE
    coverage_host_root = open("/", O_PATH | O_CLOEXEC);
#endif
    r = minimal_enter(l, e);
    if (r < 0)
        return r;
    l->overlay = probe_overlay();
    return 0;
}

int launcher_open(struct launcher **ret, struct error *e) {
    _cleanup_(launcher_closep) struct launcher *l = calloc(1, sizeof(*l));
    if (!l)
        return error_set(e, ENOMEM, "out of memory");
    l->host_mount_ns = l->own_mount_ns = l->own_pid_ns = -1;
    for (size_t i = 0; i < IDMAP_CACHE; i++)
        l->idmaps[i].userns_fd = -1;
    for (size_t i = 0; i < INIT_LAYER_CACHE; i++)
        l->init_layers[i].fd = -1;

    int r = equip(l, e);
    if (r < 0) {
        error_set_step(e, "launcher");
        return r;
    }
    *ret = TAKE_PTR(l);
    return 0;
}

void launcher_close(struct launcher *l) {
    coverage_save();
    idmap_cache_free(l);
    layer_cache_free(l);
    closep(&l->host_mount_ns);
    closep(&l->own_mount_ns);
    closep(&l->own_pid_ns);
    free(l);
}

/* ---- the loop ---- */

/* Most requests fit; larger ones get memory of their own for the moment. */
#define USUAL_SIZE (32u * 1024)
#define QUIET_MSEC 1000

struct message {
    uint8_t usual[USUAL_SIZE];
    uint8_t *data; /* usual or allocated */
    size_t size;
    int fds[SPEC_MAX_FDS];
    size_t n_fds;
};

static void message_done(struct message *m) {
    for (size_t i = 0; i < m->n_fds; i++)
        close(m->fds[i]);
    m->n_fds = 0;
    if (m->data != m->usual)
        free(m->data);
    m->data = NULL;
}

static int answer(int socket_fd, const struct launch_answer *a, const int *fds, size_t n_fds) {
    ssize_t n = socket_send_fds(socket_fd, a, sizeof(*a), fds, n_fds, 0);
    return n < 0 ? (int)n : 0;
}

static int answer_error(
    int socket_fd, enum launch_answer_type type, uint64_t request, const struct error *e) {
    struct launch_answer a = {.type = type, .request = request, .error = *e};
    return answer(socket_fd, &a, NULL, 0);
}

/* Waits for a message and looks at it without taking it. 1 and its size and request (0 if it is unreadable);
 * 0 at the end; -EAGAIN with MSG_DONTWAIT. */
static int peek(int socket_fd, int flags, size_t *ret_size, uint64_t *ret_request) {
    uint8_t header[SPEC_HEADER_SIZE];

    for (;;) {
        ssize_t n = recv(socket_fd, header, sizeof(header), MSG_PEEK | MSG_TRUNC | flags);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return negative_errno();
        if (n == 0)
            return 0;
        *ret_size = (size_t)n;
        *ret_request = 0;
        (void)spec_request(header, MIN((size_t)n, sizeof(header)), ret_request);
        return 1;
    }
}

/* The next message. Nothing to do for a while: code that a start needed goes back. */
static int wait_for_request(int socket_fd, size_t *ret_size, uint64_t *ret_request) {
    struct pollfd p = {.fd = socket_fd, .events = POLLIN};

    int r = peek(socket_fd, MSG_DONTWAIT, ret_size, ret_request);
    if (r != -EAGAIN)
        return r;
    if (poll(&p, 1, QUIET_MSEC) == 0)
        memory_trim();
    return peek(socket_fd, 0, ret_size, ret_request);
}

/* Takes the message, whatever becomes of it: one that stays would be peeked at forever. */
static int consume(int socket_fd, size_t size, struct message *m, struct error *e) {
    static uint8_t nothing[1];

    m->data = size <= sizeof(m->usual) ? m->usual : size <= SPEC_MAX_SIZE ? malloc(size) : NULL;
    m->size = size;
    m->n_fds = SPEC_MAX_FDS;
    if (!m->data) {
        m->n_fds = 0;
        (void)recv(socket_fd, nothing, sizeof(nothing), 0);
        return size > SPEC_MAX_SIZE ? error_set(e, E2BIG, "request of %zu bytes", size)
                                    : error_set(e, ENOMEM, "out of memory for a request of %zu bytes", size);
    }
    ssize_t n = socket_recv_fds(socket_fd, m->data, size, m->fds, &m->n_fds, 0);
    if (n < 0) {
        m->n_fds = 0;
        return error_set_errno(e, (int)n, "receive a request");
    }
    return 0;
}

/* The child may run only once davitd can know of it. */
static int announce(int socket_fd, uint64_t request, struct launched *d, struct error *e) {
    struct launch_answer a = {.type = LAUNCH_BEGUN, .pid = d->pid, .request = request};
    const int fds[] = {d->pidfd, d->status_fd};

    int r = answer(socket_fd, &a, fds, ARRAY_SIZE(fds));
    if (r < 0)
        return error_set_errno(e, r, "report process %d", d->pid);
    launch_release(d);
    return 0;
}

static int handle(
    struct launcher *l, int socket_fd, uint64_t request, const struct message *m, struct error *e) {
    _cleanup_(spec_done) struct container_spec s;
    struct launched d;

    spec_init(&s);
    int r = spec_decode(m->data, m->size, m->n_fds, &s, e);
    if (r < 0) {
        error_set_step(e, "request");
        /* Told here, where it can only mean that: mounting NFS, say, has the same error for its servers. */
        return r == -EPROTONOSUPPORT ? answer_error(socket_fd, LAUNCH_UNREADABLE, request, e) : r;
    }
    if (task_try(l, &s)) {
        struct launch_answer done = {.type = LAUNCH_DONE, .request = s.request};
        r = answer(socket_fd, &done, NULL, 0);
        return r < 0 ? error_set_errno(e, r, "report a chore") : 0;
    }
    r = launch_begin(l, &s, m->fds, LAUNCH_CLONE_PARENT, &d, e);
    if (r < 0)
        return r;
    r = announce(socket_fd, s.request, &d, e);
    launched_done(&d); /* without the byte the child leaves */
    return r;
}

/* 1 to go on, 0 at the end, or the socket's error. */
static int serve_one(struct launcher *l, int socket_fd, struct message *m) {
    struct error error = {};
    uint64_t request = 0;
    size_t size = 0;

    int r = wait_for_request(socket_fd, &size, &request);
    if (r <= 0)
        return r;
    r = consume(socket_fd, size, m, &error);
    if (r >= 0)
        r = handle(l, socket_fd, request, m, &error);
    message_done(m);
    if (r < 0)
        r = answer_error(socket_fd, LAUNCH_FAILED, request, &error);
    return r < 0 ? r : 1;
}

int launcher_serve(struct launcher *l, int socket_fd, struct error *e) {
    static struct message message;
    int size = SPEC_MAX_SIZE * 2;

    (void)setsockopt(socket_fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    (void)setsockopt(socket_fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    struct launch_answer hello = {.type = LAUNCH_HELLO, .pid = getpid()};
    int r = answer(socket_fd, &hello, NULL, 0);
    if (r >= 0) {
        do
            r = serve_one(l, socket_fd, &message);
        while (r > 0);
    }
    return r < 0 ? error_set_errno(e, r, "the socket to davitd") : 0;
}
