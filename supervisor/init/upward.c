/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/upward.h"

#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/str.h"
#include "init/run.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

size_t upward_inherited(void) {
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    uint64_t number, n;

    if (!pid || !count || parse_uint(pid, 1, INT32_MAX, &number) < 0 || (pid_t)number != getpid() ||
        parse_uint(count, 0, KEEPER_MAX_FDS + 1, &n) < 0)
        return 0;
    return (size_t)n;
}

/* Kept above already, so nothing is said of it, but its removal will be. */
static void take_one(struct keeper *k, int fd, const char *name) {
    (void)fd_set_cloexec(fd, true);
    if (streq(name, UPWARD_LOGD_STATE) && k->context.state_fd < 0) {
        k->context.state_fd = fd;
        k->upward.logd_state = true;
        return;
    }
    int r = store_add(&k->store, fd, name);
    if (r < 0)
        (void)log_errno(LOG_WARNING, r, "cannot keep descriptor \"%.*s\"", KEEPER_NAME_MAX, name);
    else
        k->store.entries[k->store.count - 1].above = k->upward.on;
}

void upward_open(struct keeper *k) {
    const char *kept = getenv("FDSTORE"), *names = getenv("LISTEN_FDNAMES");
    size_t n = upward_inherited();
    uint64_t most = 0;

    k->upward.on = k->up.fd >= 0 && kept && parse_uint(kept, 0, UINT64_MAX, &most) >= 0 && most > 0;
    for (size_t i = 0; i < n; i++) {
        char name[KEEPER_NAME_MAX + 1] = "unknown";
        if (names) {
            size_t length = strcspn(names, ":");
            (void)snprintf(name, sizeof name, "%.*s", (int)MIN(length, (size_t)KEEPER_NAME_MAX), names);
            names += length + (names[length] == ':');
        }
        take_one(k, FIRST_FD + (int)i, name);
    }
    if (n > 0)
        log_info("%zu descriptors are back from the davit-init before", n);
}

void upward_changed(struct keeper *k) {
    if (k->upward.on && k->upward.at == USEC_INFINITY)
        k->upward.at = usec_add(now_monotonic(), UPWARD_DELAY);
}

/* False when there is no room above at the moment. Any other failure is not worth a second try: the
 * descriptor is still here, and only missed if davit-init is killed. */
static bool say(struct keeper *k, const char *word, const char *name, int fd) {
    char text[64 + KEEPER_NAME_MAX];

    (void)snprintf(text, sizeof text, "%s=1\nFDNAME=%s\n%s", word, name, fd >= 0 ? "FDPOLL=0\n" : "");
    int r = notify_target_send_fd(&k->up, text, fd);
    return r != -EAGAIN && r != -ENOBUFS && r != -ENOMEM && r != -ETOOMANYREFS;
}

static bool tell_entry(struct keeper *k, struct store_entry *e) {
    bool wanted = !e->removed;

    if (e->above == wanted)
        return true;
    if (!say(k, wanted ? "FDSTORE" : "FDSTOREREMOVE", e->name, e->fd))
        return false;
    e->above = wanted;
    return true;
}

void upward_tell(struct keeper *k) {
    bool all = true;

    k->upward.at = USEC_INFINITY;
    if (!k->upward.logd_state && k->context.state_fd >= 0)
        all = k->upward.logd_state = say(k, "FDSTORE", UPWARD_LOGD_STATE, k->context.state_fd);
    /* In the order of arrival: a name may have been removed and stored again. */
    for (size_t i = 0; all && i < k->store.count; i++)
        all = tell_entry(k, &k->store.entries[i]);
    store_forget(&k->store);
    if (!all)
        upward_changed(k);
}
