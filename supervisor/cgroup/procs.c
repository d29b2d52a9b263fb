/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The processes of a group: listing them with those of groups below it, signalling them, moving them.
 *
 * A pid that was read from cgroup.procs may be another process by the time it is signalled, so signals go
 * through a pidfd, opened first and then checked to be of the group. For SIGKILL to a whole group it is
 * frozen first (track.c).
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>

#include "base/parse.h"
#include "cgroup/internal.h"

/* A fork between reading the pids and signalling them is seen in the next round. A fork bomb may win for a
 * while: the caller looks again anyway until the group is empty. */
#define SIGNAL_ROUNDS 16
#define FOLLOW_ROUNDS 64
/* Nested groups, as deep as a group may be by default on v1 with 4096-byte paths. */
#define PROCS_MAX_DEPTH 256

void cgroup_pids_done(struct cgroup_pids *p) {
    free(p->pids);
    *p = (struct cgroup_pids){0};
}

static int pids_append(struct cgroup_pids *p, pid_t pid) {
    if (p->n == p->size) {
        size_t size = p->size ? p->size * 2 : 64;
        pid_t *pids = reallocarray(p->pids, size, sizeof(*pids));

        if (!pids)
            return -ENOMEM;
        p->pids = pids;
        p->size = size;
    }
    p->pids[p->n++] = pid;
    return 0;
}

static bool pids_contain(const struct cgroup_pids *p, pid_t pid) {
    for (size_t i = 0; i < p->n; i++)
        if (p->pids[i] == pid)
            return true;
    return false;
}

static int append_procs(int fd, struct cgroup_pids *p) {
    _cleanup_free_ char *text = NULL;
    char *rest, *line;
    int r = file_read(fd, "cgroup.procs", CGROUP_FILE_MAX, &text, NULL);

    /* EOPNOTSUPP: a threaded group; its processes are listed in the group above it. ENODEV: removed
     * meanwhile. */
    if (r == -EOPNOTSUPP || r == -ENODEV || r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    for (rest = text; (line = strsep(&rest, "\n"));) {
        uint64_t pid;

        /* 0 is a process of another pid namespace: nothing that we could signal. */
        if (isempty(line) || parse_uint(line, 1, INT32_MAX, &pid) < 0)
            continue;
        r = pids_append(p, (pid_t)pid);
        if (r < 0)
            return r;
    }
    return 0;
}

/* fd is taken over. Depth is bounded, so is the number of descriptors open at once. */
static int collect(int group_fd, unsigned depth, struct cgroup_pids *p) { // NOLINT(misc-no-recursion)
    _cleanup_close_ int fd = group_fd;
    int r = append_procs(fd, p);
    struct stat st;
    DIR *d;

    if (r < 0 || depth == PROCS_MAX_DEPTH)
        return r;
    if (fstat(fd, &st) == 0 && st.st_nlink == 2)
        return 0; /* each group below would be a link: there is none */
    d = fdopendir(fd);
    if (!d)
        return negative_errno();
    fd = -1;
    for (struct dirent *entry; r >= 0 && (entry = readdir(d));) {
        int next;

        if (entry->d_type != DT_DIR || streq(entry->d_name, ".") || streq(entry->d_name, ".."))
            continue;
        next = openat(dirfd(d), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next >= 0)
            r = collect(next, depth + 1, p);
    }
    closedir(d);
    return r;
}

int cgroup_procs_collect(const struct cgroup_hierarchy *h, const char *name, struct cgroup_pids *p) {
    int fd = cgroup_group_open(h, name, "", O_RDONLY | O_DIRECTORY);

    return fd < 0 ? fd : collect(fd, 0, p);
}

int cgroup_procs_follow(
    const struct cgroup_hierarchy *from, const struct cgroup_hierarchy *to, const char *name) {
    _cleanup_pids_ struct cgroup_pids moved = {0};

    for (int round = 0; round < FOLLOW_ROUNDS; round++) {
        _cleanup_pids_ struct cgroup_pids now = {0};
        bool any = false;
        int r = cgroup_procs_collect(from, name, &now);

        for (size_t i = 0; r >= 0 && i < now.n; i++) {
            char text[16];

            if (pids_contain(&moved, now.pids[i]))
                continue;
            any = true;
            (void)snprintf(text, sizeof(text), "%d", (int)now.pids[i]);
            r = cgroup_group_write(to, name, "cgroup.procs", text);
            if (r == -ESRCH)
                r = 0;
            if (r >= 0)
                r = pids_append(&moved, now.pids[i]);
        }
        if (r < 0)
            return r == -ENOENT ? 0 : r;
        if (!any)
            return 0;
    }
    return -EAGAIN;
}

/* Is the process, as its /proc file has it, in the group or below it? */
int cgroup_has_pid(struct cgroup_tree *t, const char *name, pid_t pid) {
    const struct cgroup_hierarchy *h = t->tracking;
    _cleanup_free_ char *text = NULL, *wanted = NULL;
    char file[PATH_MAX];
    const char *path;
    size_t length, n_wanted;
    int r;

    if (pid <= 0 || !cgroup_name_is_valid(name))
        return -EINVAL;
    if (snprintf(file, sizeof(file), "%s/%d/cgroup", t->proc, (int)pid) >= (int)sizeof(file))
        return -ENAMETOOLONG;
    r = file_read(AT_FDCWD, file, CGROUP_FILE_MAX, &text, NULL);
    if (r < 0)
        return r == -ENOENT ? -ESRCH : r;
    wanted = strf("%s/%s", h->group, name);
    if (!wanted)
        return -ENOMEM;
    path = cgroup_line_path(h, text, &length);
    n_wanted = strlen(wanted);
    return path && length >= n_wanted && memcmp(path, wanted, n_wanted) == 0 &&
           (length == n_wanted || path[n_wanted] == '/' || path[n_wanted] == ' '); /* " (deleted)" */
}

static int signal_one(struct cgroup_tree *t, const char *name, pid_t pid, int signal) {
    _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    int r;

    /* A process that is just being reaped is EINVAL before Linux 6.9, as what leads no threads; a group's list has
     * none but leaders. */
    if (fd < 0)
        return errno == ESRCH || errno == EINVAL ? 0 : negative_errno();
    r = cgroup_has_pid(t, name, pid);
    if (r <= 0)
        return r == -ESRCH ? 0 : r;
    if (syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0 && errno != ESRCH)
        return negative_errno();
    return 0;
}

/* Signals each process once; goes on until a round finds no new one. */
int cgroup_kill_except(struct cgroup_tree *t, const char *name, int signal, pid_t except) {
    _cleanup_pids_ struct cgroup_pids done = {0};
    int first_error = 0;

    for (int round = 0; round < SIGNAL_ROUNDS; round++) {
        _cleanup_pids_ struct cgroup_pids now = {0};
        bool any = false;
        int r = cgroup_procs_collect(t->tracking, name, &now);

        if (r < 0)
            return r;
        for (size_t i = 0; i < now.n; i++) {
            if (now.pids[i] == except || pids_contain(&done, now.pids[i]))
                continue;
            any = true;
            r = signal_one(t, name, now.pids[i], signal);
            if (r < 0 && first_error == 0)
                first_error = r;
            r = pids_append(&done, now.pids[i]);
            if (r < 0)
                return r;
        }
        if (!any)
            break;
    }
    return first_error;
}

ssize_t cgroup_pids(struct cgroup_tree *t, const char *name, pid_t *pids, size_t max) {
    _cleanup_pids_ struct cgroup_pids p = {0};
    int r = cgroup_procs_collect(t->tracking, name, &p);

    if (r < 0)
        return r;
    if (p.n > 0 && max > 0)
        memcpy(pids, p.pids, MIN(p.n, max) * sizeof(*pids));
    return (ssize_t)MIN(p.n, max);
}
