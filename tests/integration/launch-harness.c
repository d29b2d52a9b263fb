/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "launch-harness.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/fs.h"

/* Begun and not yet reaped; a full table only means less tidiness after a failure. */
static pid_t alive[32];

static void note_alive(pid_t from, pid_t to) {
    for (size_t i = 0; i < ARRAY_SIZE(alive); i++) {
        if (alive[i] == from) {
            alive[i] = to;
            return;
        }
    }
}

/* podman's eleven */
#define DEFAULT_CAPABILITIES \
    ((1u << 0) | (1u << 1) | (1u << 3) | (1u << 4) | (1u << 5) | (1u << 6) | (1u << 7) | (1u << 8) | \
        (1u << 10) | (1u << 18) | (1u << 31))

static const char *const masked[] = {"/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys",
    "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
    "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/selinux"};
static const char *const read_only[] = {
    "/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

/* ---- files ---- */

char *rig_path(struct rig *r, const char *format, ...) {
    char name[512];
    va_list ap;

    va_start(ap, format);
    vsnprintf(name, sizeof(name), format, ap);
    va_end(ap);
    char *path = strf("%s/%s", r->directory, name);
    assert_non_null(path);
    return path;
}

void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        fail_msg("create %s: %s", path, strerror(errno));
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
    close(fd);
}

char *read_file(const char *path) {
    char *text = NULL;
    int r = file_read(AT_FDCWD, path, 1 << 20, &text, NULL);
    if (r < 0)
        fail_msg("read %s: %s", path, strerror(-r));
    return text;
}

void make_directory(const char *path, mode_t mode) {
    if (mkdir(path, mode) < 0 || chmod(path, mode) < 0)
        fail_msg("mkdir %s: %s", path, strerror(errno));
}

static void make_image(struct rig *r) {
    static const char *const directories[] = {"bin", "etc", "proc", "sys", "dev", "tmp", "root", "data"};
    static const char *const applets[] = {"sh", "cat", "ls", "id", "stat", "rm", "touch", "mkdir", "mount",
        "umount", "echo", "env", "sleep", "true", "false", "hostname", "readlink", "ip", "head", "dd",
        "chmod", "chown", "grep", "wc", "mknod", "sed", "kill", "ps", "test", "pwd", "tr", "cut", "od",
        "sort", "mv", "ln", "tty", "nc", "cp"};

    r->image = rig_path(r, "image");
    make_directory(r->image, 0755);
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        _cleanup_free_ char *path = rig_path(r, "image/%s", directories[i]);
        make_directory(path, streq(directories[i], "tmp") ? 01777 : 0755);
    }
    _cleanup_free_ char *busybox = rig_path(r, "image/bin/busybox");
    _cleanup_free_ char *command = strf("cp \"$(command -v busybox)\" %s", busybox);
    assert_int_equal(system(command), 0);
    for (size_t i = 0; i < ARRAY_SIZE(applets); i++) {
        _cleanup_free_ char *path = rig_path(r, "image/bin/%s", applets[i]);
        assert_int_equal(symlink("busybox", path), 0);
    }
    _cleanup_free_ char *passwd = rig_path(r, "image/etc/passwd");
    write_file(
        passwd, "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34:www:/srv/www:/bin/sh\n1000:x:0:0::/:/bin/sh\n");
    _cleanup_free_ char *group = rig_path(r, "image/etc/group");
    write_file(group, "root:x:0:\nwww:x:34:\naudio:x:29:pulse,www\nvideo:x:44:wwwx,xwww\nstaff:x:50:\n");
}

/* ---- the launcher ---- */

static void start_launcher(struct rig *r, int end) {
    const char *build = getenv("DAVIT_BUILD");
    _cleanup_free_ char *program = strf("%s/davit-launch", build ? build : "build");

    r->launcher = fork();
    assert_true(r->launcher >= 0);
    if (r->launcher == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int copy = fcntl(end, F_DUPFD, 100);
        dup2(copy, LAUNCH_FD_SOCKET);
        close_range(LAUNCH_FD_SOCKET + 1, ~0U, 0);
        execl(program, "davit-launch", "0", NULL);
        _exit(127);
    }
}

static bool receive(struct rig *r, struct launch_answer *a, int *fds, size_t *n_fds) {
    struct pollfd p = {.fd = r->socket, .events = POLLIN};

    if (poll(&p, 1, ANSWER_MSEC) <= 0)
        fail_msg("no answer from davit-launch");
    return socket_recv_fds(r->socket, a, sizeof(*a), fds, n_fds, 0) == sizeof(*a);
}

static void expect_hello(struct rig *r) {
    struct launch_answer a;
    size_t n_fds = 0;

    if (!receive(r, &a, NULL, &n_fds))
        fail_msg("davit-launch did not start");
    assert_int_equal(a.type, LAUNCH_HELLO);
    assert_int_equal(a.pid, r->launcher);
    assert_int_equal(a.request, 0);
}

static void connect_launcher(struct rig *r) {
    int ends[2], size = 1 << 20;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    r->socket = ends[0];
    start_launcher(r, ends[1]);
    close(ends[1]);
    expect_hello(r);
}

void rig_open(struct rig *r) {
    *r = (struct rig){.directory = "/tmp/davit-launch-XXXXXX"};
    assert_non_null(mkdtemp(r->directory));
    assert_int_equal(chmod(r->directory, 0755), 0);
    make_image(r);
#ifdef DAVIT_COVERAGE
    /* Children in user namespaces write there too. */
    assert_int_equal(system("chmod -R a+rwX \"$DAVIT_BUILD/supervisor\""), 0);
#endif
    connect_launcher(r);
}

/* The end of its socket is a launcher's end. */
static void stop_launcher(struct rig *r) {
    close(r->socket);
    for (int i = 0; i < ANSWER_MSEC / 10; i++) {
        if (waitpid(r->launcher, NULL, WNOHANG) == r->launcher)
            return;
        usleep(10000);
    }
    kill(r->launcher, SIGKILL);
    waitpid(r->launcher, NULL, 0);
}

void rig_restart(struct rig *r) {
    stop_launcher(r);
    connect_launcher(r);
}

/* What a failed test left behind: containers, which are our children, and mounts. */
static const char *const scratch_mounts[] = {"other", "tmpfs"};

static void end_children(void) {
    for (size_t i = 0; i < ARRAY_SIZE(alive); i++) {
        if (alive[i] <= 0)
            continue;
        kill(alive[i], SIGKILL);
        waitpid(alive[i], NULL, 0);
        alive[i] = 0;
    }
}

void rig_close(struct rig *r) {
    int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    stop_launcher(r);
    end_children();
    for (size_t i = 0; i < ARRAY_SIZE(scratch_mounts); i++) {
        _cleanup_free_ char *path = rig_path(r, "%s", scratch_mounts[i]);
        (void)umount2(path, MNT_DETACH);
    }
    (void)remove_tree(fd, path_basename(r->directory));
    close(fd);
    free(r->image);
}

int rig_setup(void **state) {
    static struct rig r;

    alarm(RIG_SECONDS);
    if (geteuid() != 0 || system("command -v busybox >/dev/null") != 0) {
        print_message("skipped: needs root and busybox-static\n");
        return 0;
    }
    rig_open(&r);
    *state = &r;
    return 0;
}

int rig_teardown(void **state) {
    if (*state)
        rig_close(*state);
    return 0;
}

/* ---- specs ---- */

void set(char **field, const char *value) {
    assert_int_equal(free_and_strdup(field, value), 0);
}

void set_argv(struct container_spec *s, const char *first, ...) {
    va_list ap;

    strv_free(s->argv);
    s->argv = NULL;
    va_start(ap, first);
    for (const char *a = first; a; a = va_arg(ap, const char *))
        assert_int_equal(strv_append(&s->argv, a), 0);
    va_end(ap);
}

static void *grow(void *array, uint32_t *n, size_t size) {
    char *p = realloc(array, (*n + 1) * size);
    assert_non_null(p);
    memset(p + *n * size, 0, size);
    (*n)++;
    return p;
}

struct spec_mount *add_mount(struct container_spec *s, enum spec_mount_kind kind, uint32_t flags,
    const char *source, const char *target) {
    s->mounts = grow(s->mounts, &s->n_mounts, sizeof(*s->mounts));
    struct spec_mount *m = &s->mounts[s->n_mounts - 1];
    m->kind = kind;
    m->flags = flags;
    m->owner_uid = m->owner_gid = SPEC_ID_UNSET;
    if (source)
        set(&m->source, source);
    set(&m->target, target);
    return m;
}

void add_file(struct container_spec *s, const char *path, const char *content) {
    s->files = grow(s->files, &s->n_files, sizeof(*s->files));
    struct spec_file *f = &s->files[s->n_files - 1];
    set(&f->path, path);
    set(&f->content, content);
    f->mode = 0644;
}

void add_sysctl(struct container_spec *s, const char *key, const char *value) {
    s->sysctls = grow(s->sysctls, &s->n_sysctls, sizeof(*s->sysctls));
    set(&s->sysctls[s->n_sysctls - 1].key, key);
    set(&s->sysctls[s->n_sysctls - 1].value, value);
}

static void add_range(struct spec_id_range **map, uint32_t *n) {
    *map = grow(*map, n, sizeof(**map));
    (*map)[*n - 1] = (struct spec_id_range){0, ID_BASE, ID_COUNT};
}

void container_init(struct rig *r, struct container_spec *s, bool user_namespace) {
    spec_init(s);
    s->kind = SPEC_CONTAINER;
    s->request = ++r->request;
    set(&s->unit, "test.container");
    s->namespaces = NS_MOUNT | NS_UTS | NS_IPC | NS_PID | NS_NETWORK | NS_CGROUP;
    if (user_namespace) {
        s->namespaces |= NS_USER;
        add_range(&s->uid_map, &s->n_uid_map);
        add_range(&s->gid_map, &s->n_gid_map);
    }
    assert_int_equal(strv_append(&s->layers, r->image), 0);
    s->upper_dir = rig_path(r, "run-%u", ++r->runs);
    set(&s->hostname, "boat");
    add_file(s, "/etc/hosts", "127.0.0.1 localhost boat\n");
    add_file(s, "/etc/hostname", "boat\n");
    add_file(s, "/etc/resolv.conf", "nameserver 192.0.2.1\n");
    for (size_t i = 0; i < ARRAY_SIZE(masked); i++)
        assert_int_equal(strv_append(&s->masked_paths, masked[i]), 0);
    for (size_t i = 0; i < ARRAY_SIZE(read_only); i++)
        assert_int_equal(strv_append(&s->read_only_paths, read_only[i]), 0);
    assert_int_equal(strv_append(&s->environment, "PATH=/bin"), 0);
    assert_int_equal(strv_append(&s->environment, "container=davit"), 0);
    s->capabilities = DEFAULT_CAPABILITIES;
    s->no_new_privileges = true;
    s->shm_size = 1 << 20;
}

void container_script(struct rig *r, struct container_spec *s, bool user_namespace, const char *script) {
    container_init(r, s, user_namespace);
    set_argv(s, "sh", "-c", script, NULL);
}

/* ---- requests ---- */

struct outcome launch(struct rig *r, const struct container_spec *s, const int *fds, size_t n_fds) {
    struct outcome o = {.pidfd = -1, .status_fd = -1};
    _cleanup_free_ void *data = NULL;
    size_t size;
    struct launch_answer a;

    assert_int_equal(spec_encode(s, &data, &size, &o.error), 0);
    assert_int_equal(socket_send_fds(r->socket, data, size, fds, n_fds, 0), size);
    int got[2] = {-1, -1};
    size_t n = 2;
    if (!receive(r, &a, got, &n))
        fail_msg("davit-launch died");
    assert_int_equal(a.request, s->request);
    if (a.type == LAUNCH_FAILED) {
        o.error = a.error;
        return o;
    }
    if (a.type == LAUNCH_DONE) {
        o.done = true;
        return o;
    }
    assert_int_equal(a.type, LAUNCH_BEGUN);
    assert_int_equal(n, 2);
    o.begun = true;
    note_alive(0, a.pid);
    o.pid = a.pid;
    o.pidfd = got[0];
    o.status_fd = got[1];
    return o;
}

void finish(struct outcome *o) {
    if (!o->begun)
        return;
    assert_int_equal(waitpid(o->pid, &o->status, 0), o->pid);
    note_alive(o->pid, 0);
    ssize_t n = read(o->status_fd, &o->error, sizeof(o->error));
    assert_true(n == 0 || n == sizeof(o->error));
}

struct outcome run(struct rig *r, struct container_spec *s) {
    int pipe_fds[2];

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    s->stdout_fd = s->stderr_fd = 0;
    struct outcome o = launch(r, s, &pipe_fds[1], 1);
    close(pipe_fds[1]);
    int q = fd_read_all(pipe_fds[0], 1 << 22, &o.output, NULL);
    close(pipe_fds[0]);
    assert_int_equal(q, 0);
    finish(&o);
    spec_done(s);
    return o;
}

int exit_code(const struct outcome *o) {
    if (o->done)
        return 0;
    return o->begun && WIFEXITED(o->status) ? WEXITSTATUS(o->status) : -1;
}

void outcome_done(struct outcome *o) {
    free(o->output);
    o->output = NULL;
    close_and_reset(&o->pidfd);
    close_and_reset(&o->status_fd);
}

char *script_output(struct rig *r, bool user_namespace, const char *script) {
    struct container_spec s;

    container_script(r, &s, user_namespace, script);
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_exit(&o, 0);
    return TAKE_PTR(o.output);
}
