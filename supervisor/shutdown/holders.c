/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who keeps a file system busy. Only links of /proc are read: nothing on the file system itself is touched,
 * as it may be the very one that does not answer.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "shutdown/mounts.h"
#include "shutdown/shutdown.h"

#define NAMED_MAX 10
#define MOUNTINFO_MAX ((size_t)16 * 1024 * 1024)

struct search {
    const char *path;
    unsigned major, minor;
    size_t named;
};

/* Behind what the process has open there is no more of interest: one line a process. */
static void name_holder(struct search *s, int process, const char *pid, const char *how, const char *what) {
    _cleanup_free_ char *comm = NULL;

    (void)file_read_line(process, "comm", &comm);
    if (s->named++ < NAMED_MAX)
        log_warning("  held by process %s (%s): %s %s", pid, comm ?: "?", how, what);
}

/* True if the link leads to a place on the file system. */
static bool link_leads_there(const struct search *s, int dirfd, const char *name, char *target, size_t size) {
    ssize_t n = readlinkat(dirfd, name, target, size - 1);
    if (n <= 0)
        return false;
    target[n] = '\0';
    const char *rest = startswith(target, s->path);
    return rest && (*rest == '\0' || *rest == '/' || streq(s->path, "/"));
}

static bool look_at_links(struct search *s, int process, const char *pid) {
    static const struct {
        const char *name, *how;
    } links[] = {{"cwd", "is in"}, {"root", "has as its root"}, {"exe", "executes"}};
    char target[4096];

    for (size_t i = 0; i < ARRAY_SIZE(links); i++)
        if (link_leads_there(s, process, links[i].name, target, sizeof target)) {
            name_holder(s, process, pid, links[i].how, target);
            return true;
        }
    return false;
}

static bool look_at_directory(
    struct search *s, int process, const char *pid, const char *name, const char *how) {
    char target[4096];
    int fd = openat(process, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    bool found = false;

    if (!d) {
        closep(&fd);
        return false;
    }
    for (struct dirent *e; !found && (e = readdir(d));)
        found = link_leads_there(s, dirfd(d), e->d_name, target, sizeof target);
    if (found)
        name_holder(s, process, pid, how, target);
    (void)closedir(d);
    return found;
}

/* A mount namespace of its own has a copy of every mount. */
static void look_at_namespace(struct search *s, int process, const char *pid) {
    _cleanup_(mount_list_done) struct mount_list l = {};
    _cleanup_free_ char *text = NULL;
    char own[64], other[64];

    ssize_t n = readlink("/proc/self/ns/mnt", own, sizeof own),
            m = readlinkat(process, "ns/mnt", other, sizeof other);
    if (n <= 0 || m <= 0 || (n == m && memcmp(own, other, (size_t)n) == 0))
        return;
    if (file_read(process, "mountinfo", MOUNTINFO_MAX, &text, NULL) < 0 || mount_list_parse(text, &l) < 0)
        return;
    for (size_t i = 0; i < l.n; i++)
        if (l.points[i].major == s->major && l.points[i].minor == s->minor) {
            name_holder(s, process, pid, "has it mounted at", l.points[i].path);
            return;
        }
}

/* It executes no file. All of them are in "/", and none is in the way. */
static bool is_kernel_thread(int process) {
    char target[2];

    return readlinkat(process, "exe", target, sizeof target) < 0 && errno == ENOENT;
}

static int look(void *context, _unused_ size_t i) {
    struct search *s = context;
    DIR *proc = opendir("/proc");

    for (struct dirent *e; proc && (e = readdir(proc));) {
        uint64_t pid;
        if (parse_uint(e->d_name, 2, INT32_MAX, &pid) < 0 || (pid_t)pid == getpid())
            continue;
        _cleanup_close_ int process = openat(dirfd(proc), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (process < 0 || is_kernel_thread(process))
            continue;
        if (!look_at_links(s, process, e->d_name) &&
            !look_at_directory(s, process, e->d_name, "fd", "has open") &&
            !look_at_directory(s, process, e->d_name, "map_files", "has mapped"))
            look_at_namespace(s, process, e->d_name);
    }
    if (proc)
        (void)closedir(proc);
    if (s->named > NAMED_MAX)
        log_warning("  and %zu more", s->named - NAMED_MAX);
    return 0;
}

void holders_report(const char *path, unsigned major, unsigned minor) {
    struct search s = {.path = path, .major = major, .minor = minor};

    (void)bounded_call(look, &s, 5 * USEC_PER_SEC);
}
