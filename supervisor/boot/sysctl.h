/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sysctl.d(5): "key = value" lines to what is written below /proc/sys. */
#pragma once

#include "base/str.h"

struct sysctl_setting {
    char *path;    /* below /proc/sys: "net/ipv4/ip_forward", maybe with wildcards */
    char *value;   /* NULL: "-key" alone, which keeps wildcards away from it */
    bool optional; /* "-key = value": not worth a word when it cannot be written */
};
struct sysctl_list {
    struct sysctl_setting *settings;
    size_t count;
};
void sysctl_list_done(struct sysctl_list *l);

/* Takes one line. A later line for the same key replaces an earlier one. 0, -EINVAL, -ENOMEM. */
int sysctl_take(struct sysctl_list *l, char *line);
/* "net.ipv4.conf.eth0/1.rp_filter" and "net/ipv4/conf/eth0.1/rp_filter" to the second form: which of '.' and
 * '/' comes first is the separator. In place. */
char *sysctl_normalize(char *key);
/* Whether the line that matches path by wildcard is not to be used, because another names it. */
bool sysctl_is_named(const struct sysctl_list *l, const char *path);
