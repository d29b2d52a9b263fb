/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The power key of a machine: KEY_POWER of an input device (the ACPI button, a GPIO key, a keyboard). Of each
 * device nothing but this key is asked for (EVIOCSMASK), so that typing wakes nobody.
 *
 * Devices are looked for once, when davit-boot has loaded their drivers; one that is plugged in later does
 * not count. `davit.power_key=no` leaves the key to others.
 */
#pragma once

#include <stdbool.h>

#define POWER_KEYS_MAX 8

struct power_keys {
    int n;
    int fds[POWER_KEYS_MAX];
};

/* Opens what there is and adds it to the epoll: events carry the descriptor. Does nothing the second time. */
void power_keys_open(struct power_keys *p, int epoll_fd);
/* Whether fd is one of them. */
bool power_keys_have(const struct power_keys *p, int fd);
/* Takes what fd has to say: true if the key went down. A device that is gone is closed. */
bool power_keys_read(struct power_keys *p, int fd);
