/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "shutdown/shutdown.h"

#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */
/* Numbers of proc(5)'s stat; the name, field 2, ends with a bracket. */
enum { FIELD_STATE = 3, FIELD_FLAGS = 9 };
#define LOOK_USEC (50 * USEC_PER_MSEC)
#define NAMED_MAX 20 /* so many of those who are left are named */

bool kill_is_exempt(const struct process_facts *p, pid_t self) {
    return p->pid == self || p->kernel_thread || (p->marked && p->uid == 0);
}

/* A small file of /proc/PID. */
static int read_proc(int proc, pid_t pid, const char *name, char **ret) {
    char path[64];

    (void)snprintf(path, sizeof path, "%d/%s", pid, name);
    return file_read(proc, path, 16384, ret, NULL);
}

/* State and flags of proc(5)'s stat, counted from behind the name, which may contain anything. */
static int read_stat(int proc, pid_t pid, char *ret_state, unsigned *ret_flags) {
    _cleanup_free_ char *text = NULL;
    int r = read_proc(proc, pid, "stat", &text);

    if (r < 0)
        return r;
    char *rest = strrchr(text, ')'), *word;
    if (!rest)
        return -EBADMSG;
    for (int field = FIELD_STATE - 1; (word = strsep(&rest, " ")); field++)
        if (field == FIELD_STATE)
            *ret_state = *word;
        else if (field == FIELD_FLAGS) {
            *ret_flags = (unsigned)strtoul(word, NULL, 10);
            return 0;
        }
    return -EBADMSG;
}

/* The real user id. Not the owner of /proc/PID: that is root for everybody who is not dumpable. */
static uid_t read_uid(int proc, pid_t pid) {
    _cleanup_free_ char *text = NULL;
    const char *line = read_proc(proc, pid, "status", &text) < 0 ? NULL : strstr(text, "\nUid:");

    return line ? (uid_t)strtoul(line + strlen("\nUid:"), NULL, 10) : (uid_t)-1;
}

static bool is_marked(int proc, pid_t pid) {
    char path[32], first = '\0';

    (void)snprintf(path, sizeof path, "%d/cmdline", pid);
    _cleanup_close_ int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, &first, 1) == 1 && first == '@';
}

/* -ESRCH: it is gone, or a zombie, which needs no signal and holds nothing. */
static int read_facts(int proc, const char *name, struct process_facts *ret) {
    uint64_t number;
    unsigned flags = 0;
    char state = '?';

    if (parse_uint(name, 1, INT32_MAX, &number) < 0)
        return -EINVAL;
    pid_t pid = (pid_t)number;
    if (read_stat(proc, pid, &state, &flags) < 0 || state == 'Z' || state == 'X')
        return -ESRCH;
    *ret = (struct process_facts){.pid = pid,
        .kernel_thread = flags & PF_KTHREAD,
        .marked = is_marked(proc, pid),
        .uid = read_uid(proc, pid)};
    return 0;
}

static void name_process(int proc, pid_t pid) {
    char path[32];
    _cleanup_free_ char *comm = NULL, *where = NULL;

    (void)snprintf(path, sizeof path, "%d/comm", pid);
    (void)file_read_line(proc, path, &comm);
    (void)snprintf(path, sizeof path, "%d/wchan", pid); /* where in the kernel it sits */
    (void)file_read_line(proc, path, &where);
    log_warning("left: process %d (%s)%s%s", pid, comm ?: "?", where ? " in " : "", where ?: "");
}

/* Signals all that are not exempt (0: none, only counts). Returns how many there are. */
static size_t signal_all(int signal, bool name_them) {
    DIR *d = opendir("/proc");
    size_t n = 0;

    if (!d) /* no /proc: then all but ourselves, without exception */
        return kill(-1, signal) == 0 ? 1 : 0;
    for (struct dirent *e; (e = readdir(d));) {
        struct process_facts p;
        if (read_facts(dirfd(d), e->d_name, &p) < 0 || kill_is_exempt(&p, getpid()))
            continue;
        n++;
        if (signal != 0)
            (void)kill(p.pid, signal);
        if (name_them && n <= NAMED_MAX)
            name_process(dirfd(d), p.pid);
    }
    (void)closedir(d);
    return n;
}

/* All stand still while they are signalled, so that none can start another behind our back; then those that
 * are to end, and those that are not, go on. */
static size_t broadcast(int signal) {
    (void)kill(-1, SIGSTOP);
    size_t n = signal_all(signal, false);
    (void)kill(-1, SIGCONT);
    return n;
}

static bool wait_until_gone(usec_t timeout) {
    usec_t deadline = usec_add(now_monotonic(), timeout);

    for (;;) {
        bounded_pause(LOOK_USEC);
        if (signal_all(0, false) == 0)
            return true;
        if (now_monotonic() >= deadline)
            return false;
    }
}

void kill_everything(usec_t term_usec, usec_t kill_usec) {
    size_t n = broadcast(SIGTERM);

    if (n == 0)
        return;
    log_info("asking %zu process%s to end", n, n == 1 ? "" : "es");
    if (wait_until_gone(term_usec))
        return;
    n = broadcast(SIGKILL);
    log_notice("killing %zu process%s", n, n == 1 ? "" : "es");
    if (wait_until_gone(kill_usec))
        return;
    (void)signal_all(0, true);
}
