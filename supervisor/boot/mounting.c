/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /etc/fstab carried out. Each line is done by a child of its own, which may hang on its device or in the
 * kernel for as long as it likes: davit-boot waits for it until the line's time-outs are over and goes on.
 *
 * A line that must work and does not makes the boot an emergency, as with systemd. With "nofail" it is told
 * and no more; and when the device of such a line is not even there, nobody waits: its child stays behind,
 * and mounts it should it turn up in time. Lines that make no sense are told and passed over. Where
 * the sixth field asks for it a file system is checked first (fsck.h).
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "boot/boot.h"
#include "boot/fsck.h"
#include "boot/fstab.h"
#include "boot/modules.h"
#include "boot/mounting.h"
#include "boot/network_mounts.h"
#include "boot/superblock.h"
#include "init/mounts.h"

#define FILE_SYSTEMS "/proc/filesystems"
#define DEVICE_POLL_FIRST (20 * USEC_PER_MSEC)
#define DEVICE_POLL_MAX (500 * USEC_PER_MSEC)

/* ---- in the child ---- */

static int find_source(const struct fstab_entry *f, char **ret) {
    if (!fstab_needs_device(f) || f->source[0] == '/') {
        if (fstab_needs_device(f) && access(f->source, F_OK) < 0)
            return negative_errno();
        *ret = strdup(f->source);
        return *ret ? 0 : -ENOMEM;
    }
    return superblock_find(f->source, ret);
}

static int wait_for_source(const struct fstab_entry *f, usec_t begin, char **ret, struct error *e) {
    usec_t pause = DEVICE_POLL_FIRST, end = usec_add(begin, f->device_timeout);

    for (;;) {
        int r = find_source(f, ret);
        if (r != -ENOENT)
            return r < 0 ? error_set_errno(e, r, "%s", f->source) : 0;
        if (now_monotonic() >= end)
            return error_set(e, ENODEV, "%s did not appear", f->source);
        (void)usleep((useconds_t)pause);
        pause = MIN(2 * pause, DEVICE_POLL_MAX);
    }
}

static bool kernel_knows(const char *file_systems, const char *type) {
    size_t n = strlen(type);

    for (const char *p = file_systems; (p = strstr(p, type)); p += n)
        if (p > file_systems && p[-1] == '\t' && (p[n] == '\n' || !p[n]))
            return true;
    return false;
}

/* The kernel would ask /sbin/modprobe for the driver, which may not be there. */
static void load_driver(const char *type) {
    _cleanup_free_ char *known = NULL;
    struct error e = {};

    if (file_read(AT_FDCWD, FILE_SYSTEMS, FSTAB_MAX_BYTES, &known, NULL) >= 0 && !kernel_knows(known, type))
        (void)module_load(type, &e);
}

/* File systems that need a program of their own (NFS, FUSE): mount(8)'s convention. Returns only where there
 * is none. */
static void exec_helper(const struct fstab_entry *f, const char *source, const char *type) {
    _cleanup_free_ char *path = strf("/sbin/mount.%s", type);

    if (!path || access(path, X_OK) < 0)
        return;
    (void)execl(path, path, source, f->target, "-o", *f->data ? f->data : "defaults",
        f->flags & MS_RDONLY ? "-r" : NULL, (char *)NULL);
}

static int bind_source(const struct fstab_entry *f, struct error *e) {
    if (mount(f->source, f->target, NULL, MS_BIND | (f->recursive ? MS_REC : 0), NULL) < 0)
        return error_set_errno(e, errno, "binding %s to %s", f->source, f->target);
    /* The flags of a bind mount are taken only when it is there already. */
    if (f->flags != 0 && mount(NULL, f->target, NULL, MS_BIND | MS_REMOUNT | f->flags, NULL) < 0)
        return error_set_errno(e, errno, "options of %s", f->target);
    return 0;
}

static int mount_device(const struct fstab_entry *f, const char *source, struct error *e) {
    const char *type = f->type;
    struct superblock s;

    if (streq(type, "auto")) {
        int x = superblock_read(source, &s);
        if (x < 0)
            return error_set(e, -x, "%s has no file system that is known here: name its type", source);
        type = s.type;
    }
    int r = f->check && fstab_needs_device(f) ? fsck_run(source, type, e) : 0;
    if (r < 0)
        return r;
    load_driver(type);
    exec_helper(f, source, type);
    if (mount(source, f->target, type, f->flags, f->data) < 0)
        return errno == ENODEV
                   ? error_set(e, ENODEV, "this kernel does not know the file system type \"%s\"", type)
                   : error_set_errno(e, errno, "mounting %s on %s", source, f->target);
    return 0;
}

static int swap_on(const struct fstab_entry *f, const char *source, struct error *e) {
    int flags = f->discard ? SWAP_FLAG_DISCARD : 0;

    if (f->priority >= 0)
        flags |= SWAP_FLAG_PREFER | f->priority;
    return swapon(source, flags) < 0 && errno != EBUSY ? error_set_errno(e, errno, "swap on %s", source) : 0;
}

static int carry_out(const struct fstab_entry *f, usec_t begin, struct error *e) {
    _cleanup_free_ char *source = NULL;

    if (f->network && f->target && is_mount_point(f->target))
        return 0; /* by an earlier try */
    int r = wait_for_source(f, begin, &source, e);
    if (r < 0)
        return r;
    if (f->kind == FSTAB_SWAP)
        return swap_on(f, source, e);
    /* systemd makes missing mount points too; on a read-only root they have to be there. */
    (void)mkdir_parents(AT_FDCWD, f->target, 0755);
    return f->kind == FSTAB_BIND ? bind_source(f, e) : mount_device(f, source, e);
}

/* A mount that is not there is as good as one that has gone. Nothing of the path is asked for: its server may be
 * gone. */
static int take_back(const struct fstab_entry *f, _unused_ usec_t begin, struct error *e) {
    _cleanup_free_ char *source = NULL;

    if (f->kind == FSTAB_SWAP) {
        int r = find_source(f, &source);
        return r < 0 || swapoff(source) >= 0 || errno == EINVAL
                   ? 0
                   : error_set_errno(e, errno, "swap on %s", f->source);
    }
    return umount2(f->target, UMOUNT_NOFOLLOW) >= 0 || errno == EINVAL || errno == ENOENT
               ? 0
               : error_set_errno(e, errno, "unmounting %s", f->target);
}

/* ---- in davit-boot ---- */

typedef int (*act_t)(const struct fstab_entry *f, usec_t begin, struct error *e);

/* The child writes its error to the pipe; the end of the pipe alone is success. */
static pid_t start_child(act_t act, const struct fstab_entry *f, usec_t begin, int *ret_pipe) {
    struct error e = {};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return negative_errno();
    pid_t pid = fork();
    if (pid != 0) {
        int r = pid < 0 ? negative_errno() : (int)pid;
        (void)close(ends[1]);
        if (pid < 0)
            (void)close(ends[0]);
        else
            *ret_pipe = ends[0];
        return r;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    int r = act(f, begin, &e);
    if (r < 0 && write(ends[1], &e, sizeof e) < 0) /* davit-boot is gone: this line was left behind */
        log_warning("%s", e.text);
    _exit(r < 0);
}

void fstab_child_leave(struct fstab_child *c) {
    close_and_reset(&c->pidfd);
    close_and_reset(&c->pipe_fd);
}

static int child_begin(act_t act, const struct fstab_entry *f, usec_t begin, usec_t end,
    struct fstab_child *ret, struct error *e) {
    struct fstab_child c = FSTAB_CHILD_NONE;

    c.pid = start_child(act, f, begin, &c.pipe_fd);
    if (c.pid < 0)
        return error_set_errno(e, c.pid, "no process for it");
    c.end = end;
    c.pidfd = (int)syscall(SYS_pidfd_open, c.pid, 0);
    if (c.pidfd < 0) {
        int r = error_set_errno(e, errno, "its process cannot be watched");
        (void)kill(c.pid, SIGKILL);
        fstab_child_leave(&c);
        return r;
    }
    *ret = c;
    return 0;
}

int fstab_mount_begin(const struct fstab_entry *f, usec_t begin, struct fstab_child *ret, struct error *e) {
    usec_t now = now_monotonic(), end = fstab_needs_device(f) ? usec_add(begin, f->device_timeout) : now,
           timeout = usec_add(f->mount_timeout, f->check ? FSCK_TIMEOUT : 0);

    return child_begin(carry_out, f, begin, usec_add(MAX(end, now), timeout), ret, e);
}

int fstab_unmount_begin(
    const struct fstab_entry *f, usec_t timeout, struct fstab_child *ret, struct error *e) {
    return child_begin(take_back, f, 0, usec_add(now_monotonic(), timeout), ret, e);
}

/* A helper program that took the child's place has closed the pipe, and tells by its exit status. */
static int result_of(const struct fstab_child *c, struct error *e) {
    int status = 0;
    bool told = read(c->pipe_fd, e, sizeof *e) == (ssize_t)sizeof *e;

    bool reaped = waitpid(c->pid, &status, 0) == c->pid;
    if (told)
        return -e->number;
    *e = (struct error){};
    if (reaped && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        return error_set(e, EIO, "it failed (status %d)", status);
    return 0;
}

/* For the end of the process, not for that of the pipe. */
int fstab_child_end(struct fstab_child *c, struct error *e) {
    usec_t now = now_monotonic(), left = c->end > now ? c->end - now : 0;
    struct pollfd p = {.fd = c->pidfd, .events = POLLIN};

    if (poll(&p, 1, left > 0 ? (int)MIN(left / USEC_PER_MSEC + 1, (usec_t)INT32_MAX) : 0) == 0) {
        (void)kill(c->pid, SIGKILL);
        return error_set(e, ETIMEDOUT, "it takes too long");
    }
    int r = result_of(c, e);
    fstab_child_leave(c);
    return r;
}

int fstab_mount(const struct fstab_entry *f, usec_t begin, struct error *e) {
    struct fstab_child c = FSTAB_CHILD_NONE;

    int r = fstab_mount_begin(f, begin, &c, e);
    if (r < 0)
        return r;
    r = fstab_child_end(&c, e);
    fstab_child_leave(&c); /* what hangs in the kernel stays there; nobody waits for it */
    return r;
}

/* Only while nobody can write to it. */
static int check_root(const struct fstab_entry *f, struct error *e) {
    _cleanup_free_ char *source = NULL;
    struct superblock s;
    struct statvfs v;

    if (!f->check || statvfs("/", &v) < 0 || !(v.f_flag & ST_RDONLY) || find_source(f, &source) < 0 ||
        superblock_read(source, &s) < 0)
        return 0;
    return fsck_run(source, s.type, e);
}

/* What the kernel remembers of the root is no longer what is there: nothing may be written on top of it. */
static _noreturn_ void start_again(void) {
    log_notice("/ was corrected while it was mounted: rebooting");
    (void)kill(getppid(), SIGRTMIN + 15); /* davit-init: reboot, there are no units to be stopped */
    for (;;)
        (void)pause();
}

static void remount_root(struct boot_context *c, const struct fstab_entry *f) {
    struct error e = {};

    int r = check_root(f, &e);
    if (r == FSCK_REBOOT)
        start_again();
    if (r < 0) {
        boot_emergency(c, FSTAB_FILE ": /: %s; it stays read-only", e.text);
        return;
    }
    if (mount(NULL, "/", NULL, MS_REMOUNT | f->flags, f->data) < 0)
        boot_problem(c, FSTAB_FILE ": / keeps the options it has: %s", errno_text(errno));
}

static void leave_behind(const struct fstab_entry *f, usec_t begin) {
    int pipe_fd = -1;

    log_notice(FSTAB_FILE ": %s is not there yet; not waiting for it (nofail)", f->source);
    if (start_child(carry_out, f, begin, &pipe_fd) > 0)
        (void)close(pipe_fd);
}

static void do_entry(struct boot_context *c, const struct fstab_entry *f, usec_t begin) {
    const char *name = f->kind == FSTAB_SWAP ? f->source : f->target;
    _cleanup_free_ char *source = NULL;
    struct error e = {};

    if (f->no_auto || (f->kind != FSTAB_SWAP && !streq(name, "/") && is_mount_point(f->target)))
        return;
    if (f->unmade)
        boot_problem(c, FSTAB_FILE ": %s: %s is not carried out", name, f->unmade);
    if (f->automount)
        log_info(FSTAB_FILE ": %s: mounted now, and not when somebody looks (x-systemd.automount)", name);
    if (f->network) {
        network_mounts_ask();
        return;
    }
    if (f->kind != FSTAB_SWAP && streq(name, "/")) {
        remount_root(c, f);
        return;
    }
    if (f->no_fail && find_source(f, &source) == -ENOENT) {
        leave_behind(f, begin);
        return;
    }
    int r = fstab_mount(f, begin, &e);
    if (r >= 0)
        log_info("%s: %s", name, f->kind == FSTAB_SWAP ? "used for swap" : "mounted");
    else if (f->no_fail || f->kind == FSTAB_SWAP)
        boot_problem(c, FSTAB_FILE ": %s: %s", name, e.text);
    else
        boot_emergency(
            c, FSTAB_FILE ": %s: %s (\"nofail\" in its options would let the boot go on)", name, e.text);
}

static void on_bad_line(void *userdata, unsigned line, const char *why) {
    boot_problem(userdata, FSTAB_FILE ":%u: %s: line passed over", line, why);
}

int fstab_load(
    void (*bad)(void *userdata, unsigned line, const char *why), void *userdata, struct fstab_list *ret) {
    _cleanup_free_ char *text = NULL;

    int r = file_read(AT_FDCWD, FSTAB_FILE, FSTAB_MAX_BYTES, &text, NULL);
    return r < 0 ? r : fstab_parse(text, bad, userdata, ret);
}

void step_fstab(struct boot_context *c) {
    _cleanup_(fstab_list_done) struct fstab_list l = {};
    usec_t begin = now_monotonic();

    int r = fstab_load(on_bad_line, c, &l);
    if (r < 0 && r != -ENOENT)
        boot_problem(c, FSTAB_FILE ": %s", errno_text(r));
    for (size_t i = 0; i < l.n; i++)
        do_entry(c, &l.entries[i], begin);
}
