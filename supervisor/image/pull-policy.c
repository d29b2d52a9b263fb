/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/pull-policy.h"

#include <strings.h>

static const struct {
    const char *name;
    enum pull_policy policy;
} names[] = {
    /* the first of each is its own name */
    {"missing", PULL_MISSING},
    {"always", PULL_ALWAYS},
    {"newer", PULL_NEWER},
    {"never", PULL_NEVER},
    {"ifnotpresent", PULL_MISSING},
    {"ifmissing", PULL_MISSING},
    {"ifnewer", PULL_NEWER},
};

int pull_policy_parse(const char *s, enum pull_policy *ret) {
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcasecmp(names[i].name, s) != 0)
            continue;
        *ret = names[i].policy;
        return 0;
    }
    return -EINVAL;
}

const char *pull_policy_name(enum pull_policy p) {
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i].policy == p)
            return names[i].name;
    return "?";
}

enum pull_decision pull_decide(enum pull_policy p, bool have_local) {
    switch (p) {
    case PULL_ALWAYS:
    case PULL_NEWER:
        return PULL_ASK;
    case PULL_NEVER:
        return have_local ? PULL_USE_LOCAL : PULL_FAIL;
    default:
        return have_local ? PULL_USE_LOCAL : PULL_ASK;
    }
}
