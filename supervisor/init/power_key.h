/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The power key of a machine: KEY_POWER of an input device (the ACPI button, a GPIO key, a keyboard). Of each
 * device nothing but this key is asked for (EVIOCSMASK), so that typing wakes nobody.
 *
 * Devices are looked for when davit-boot has loaded their drivers, and again whenever a node appears in /dev/input: the
 * kernel itself makes them (devtmpfs), so that inotify is enough. `davit.power_key=no` leaves the key to others.
 */
#pragma once

#include <stdbool.h>

#define POWER_KEYS_MAX 8

struct power_keys {
    int n;
    int fds[POWER_KEYS_MAX], nodes[POWER_KEYS_MAX];
    int epoll_fd;
    int watch_fd;  /* inotify; 0 = not opened */
    int dev_watch; /* of /dev, while there is no /dev/input; 0 = none */
};

/* *p is all zero. Opens what there is and what is to come, and adds it to the epoll: events carry the descriptor.
 * Does nothing the second time. */
void power_keys_open(struct power_keys *p, int epoll_fd);
/* Whether fd is one of them. */
bool power_keys_have(const struct power_keys *p, int fd);
/* Takes what fd has to say: true if the key went down. A device that is gone is closed, one that has come opened. */
bool power_keys_read(struct power_keys *p, int fd);
