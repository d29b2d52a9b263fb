/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nobody but root logs in any more in the last five minutes before an ending that was scheduled: nologin(5), as
 * systemd-logind and shutdown(8) have it. Only where davit is the init of a machine; in a fleet below somebody else's
 * init logins are not its affair.
 */
#include <fcntl.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "manager/manager.h"
#include "manager/rooms.h"

#define BEFORE (5 * USEC_PER_MINUTE)

/* By this line the file is known for ours: one that an administrator has made stays. */
static const char text[] = "The system is going down: only root can log in.\n";

void nologin_remove(struct manager *m) {
    _cleanup_free_ char *is = NULL;

    if (m->nologin && file_read(AT_FDCWD, m->nologin, sizeof text, &is, NULL) >= 0 && streq(is, text))
        (void)unlink(m->nologin);
}

static void forbid(struct manager *m) {
    _cleanup_close_ int fd = open(m->nologin, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

    if (fd < 0 ? errno != EEXIST : write_all(fd, text, sizeof text - 1) < 0)
        (void)log_errno(LOG_WARNING, errno, "%s: users can still log in", m->nologin);
}

static int on_time(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
    forbid(userdata);
    return 0;
}

int nologin_plan(struct manager *m, usec_t when, sd_event_source **ret) {
    usec_t now = now_realtime();

    nologin_remove(m);
    if (!m->nologin)
        return 0;
    if (when > usec_add(now, BEFORE))
        return sd_event_add_time(m->event, ret, CLOCK_REALTIME, when - BEFORE, USEC_PER_SEC, on_time, m);
    forbid(m);
    return 0;
}
