/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/str.h"
#include "log/logd.h"

/* By reading the file itself: name services may be containers of ours. */
static void find_user(uid_t *uid, gid_t *gid) {
    _cleanup_fclose_ FILE *f = fopen("/etc/passwd", "re");
    struct passwd *entry;

    *uid = *gid = LOGD_NOBODY;
    while (f && (entry = fgetpwent(f)))
        if (streq(entry->pw_name, LOGD_USER)) {
            *uid = entry->pw_uid;
            *gid = entry->pw_gid;
            return;
        }
}

/* While there is CAP_SETPCAP still; without it there is little to drop. */
static void drop_bounding(void) {
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        (void)prctl(PR_CAPBSET_DROP, cap);
}

static int drop_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};

    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &header, none) < 0 ? negative_errno() : 0;
}

static int become(uid_t uid, gid_t gid) {
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return negative_errno();
    return 0;
}

int privileges_drop(int directory) {
    pid_t parent = getppid();
    struct stat st;
    uid_t uid;
    gid_t gid;
    int r;

    if (geteuid() == 0) {
        find_user(&uid, &gid);
        /* One that belongs to somebody else has been given to them on purpose. */
        if (directory >= 0 && fstat(directory, &st) == 0 && st.st_uid == 0 && fchown(directory, uid, gid) < 0)
            return negative_errno();
        drop_bounding();
        r = become(uid, gid);
        if (r < 0)
            return r;
    }
    r = drop_capabilities();
    if (r < 0)
        return r;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return negative_errno();
    /* A change of user has cleared what davit-init set: to go when it goes. */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        return negative_errno();
    return getppid() == parent ? 0 : -ESRCH;
}
