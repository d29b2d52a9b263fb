/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When an image is fetched although, or only if, it is not there yet: podman's policies. */
#pragma once

#include "base/macro.h"

enum pull_policy { PULL_MISSING, PULL_ALWAYS, PULL_NEWER, PULL_NEVER, _PULL_POLICY_COUNT };

/* "missing", "always", "newer", "never", and what podman takes for them besides ("ifnotpresent", "ifnewer").
 * -EINVAL. */
int pull_policy_parse(const char *s, enum pull_policy *ret);
const char *pull_policy_name(enum pull_policy p);

enum pull_decision {
    PULL_USE_LOCAL,
    PULL_ASK,  /* the registry, which digest it has */
    PULL_FAIL, /* there is none and none may be fetched */
};
/* Before a registry is asked. */
enum pull_decision pull_decide(enum pull_policy p, bool have_local);
/* The registry has said which digest it has (same: the one that is here), or could not be asked (error, a
 * negative errno). True if the image here is to be used: nothing new, or newer could not find out. */
static inline bool pull_keeps_local(enum pull_policy p, bool have_local, bool same, int error) {
    return have_local && (error < 0 ? p == PULL_NEWER : same);
}
