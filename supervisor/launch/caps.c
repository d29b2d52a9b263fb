/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Capabilities (rule R8): the bounding set is dropped first, inheritable and ambient are empty. Only a
 * program that is not root and asks for ambient capabilities gets those, in inheritable too, as
 * capabilities(7) wants it.
 */
#include <sys/prctl.h>

#include "base/fs.h"
#include "base/parse.h"
#include "launch/internal.h"

unsigned capability_last(void) {
    _cleanup_free_ char *line = NULL;
    uint64_t v;

    if (file_read_line(AT_FDCWD, "/proc/sys/kernel/cap_last_cap", &line) < 0 ||
        parse_uint(line, 0, 63, &v) < 0)
        return CAP_LAST_CAP;
    return (unsigned)v;
}

struct capability_sets {
    uint64_t effective, permitted, inheritable;
};

static int sets_read(struct capability_sets *ret) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2];

    int r = sys_capget(&header, d);
    if (r < 0)
        return r;
    *ret = (struct capability_sets){
        .effective = d[0].effective | (uint64_t)d[1].effective << 32,
        .permitted = d[0].permitted | (uint64_t)d[1].permitted << 32,
        .inheritable = d[0].inheritable | (uint64_t)d[1].inheritable << 32,
    };
    return 0;
}

static int sets_write(const struct capability_sets *s) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2] = {
        {(uint32_t)s->effective, (uint32_t)s->permitted, (uint32_t)s->inheritable},
        {(uint32_t)(s->effective >> 32), (uint32_t)(s->permitted >> 32), (uint32_t)(s->inheritable >> 32)},
    };
    return sys_capset(&header, d);
}

static int drop_bounding(uint64_t wanted, unsigned last, struct error *e) {
    for (unsigned i = 0; i <= last; i++)
        if (!(wanted & (UINT64_C(1) << i)) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
            return error_set_errno(e, errno, "drop capability %u from the bounding set", i);
    return 0;
}

int capabilities_apply(uint64_t wanted, uint64_t ambient, bool root, unsigned last, struct error *e) {
    struct capability_sets s;

    int r = sets_read(&s);
    if (r < 0)
        return error_set_errno(e, r, "capget");
    /* Leaving uid 0 emptied the effective set; what is permitted is still ours to use. */
    if (!root) {
        s.effective = s.permitted;
        r = sets_write(&s);
        if (r < 0)
            return error_set_errno(e, r, "capset");
    }
    r = drop_bounding(wanted, last, e);
    if (r < 0)
        return r;

    /* What we do not have ourselves (davit in a container) nobody can be given: the kernel refuses the whole
     * set. */
    uint64_t rest = root ? wanted & s.permitted : wanted & ambient & s.permitted;
    s = (struct capability_sets){.effective = rest, .permitted = rest, .inheritable = root ? 0 : rest};
    r = sets_write(&s);
    if (r < 0)
        return error_set_errno(e, r, "capset 0x%jx", (uintmax_t)rest);
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return error_set_errno(e, errno, "clear ambient capabilities");
    for (unsigned i = 0; !root && i <= last; i++)
        if ((rest & (UINT64_C(1) << i)) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
            return error_set_errno(e, errno, "raise ambient capability %u", i);
    return 0;
}
