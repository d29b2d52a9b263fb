/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Things a group tells of itself: empty or not (unified hierarchy) and out of memory (either).
 *
 * A v1 out-of-memory event is sent before the kernel has chosen its victim, and also when the group is
 * removed: it is a reason to read the counter, now and again when a process has ended, and says nothing
 * alone.
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "cgroup/internal.h"

int cgroup_events_open(struct cgroup_tree *t, const char *name) {
    if (!t->unified)
        return -EOPNOTSUPP;
    return cgroup_group_open(t->unified, name, "cgroup.events", O_RDONLY);
}

/* cgroup.event_control takes "EVENTFD CONTROLFD" and keeps what it needs: the control descriptor can go. */
static int oom_eventfd(const struct cgroup_hierarchy *h, const char *name) {
    _cleanup_close_ int control = cgroup_group_open(h, name, "memory.oom_control", O_RDONLY);
    _cleanup_close_ int event = -1;
    char text[32];
    int r;

    if (control < 0)
        return control;
    event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event < 0)
        return negative_errno();
    (void)snprintf(text, sizeof(text), "%d %d", event, control);
    r = cgroup_group_write(h, name, "cgroup.event_control", text);
    return r < 0 ? r : TAKE_FD(event);
}

int cgroup_oom_open(struct cgroup_tree *t, const char *name, uint32_t *ret_epoll_events) {
    struct cgroup_hierarchy *memory = cgroup_home(t, CONTROLLER_MEMORY);
    int fd;

    if (!memory)
        return -EOPNOTSUPP;
    fd = memory->unified ? cgroup_group_open(memory, name, "memory.events", O_RDONLY)
                         : oom_eventfd(memory, name);
    if (fd >= 0)
        *ret_epoll_events = memory->unified ? EPOLLPRI : EPOLLIN;
    return fd;
}

uint64_t cgroup_oom_kills(struct cgroup_tree *t, const char *name) {
    struct cgroup_hierarchy *memory = cgroup_home(t, CONTROLLER_MEMORY);
    uint64_t kills;

    if (!memory)
        return CGROUP_UNSET;
    if (cgroup_group_read_key(
            memory, name, memory->unified ? "memory.events" : "memory.oom_control", "oom_kill", &kills) < 0)
        return CGROUP_UNSET;
    return kills;
}
