/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/power_key.h"

#include <fcntl.h>
#include <linux/input.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "base/str.h"

/* Nodes have no gaps but those that unplugging leaves. */
#define NODES_MAX 32

static bool bit_is_set(const unsigned char *bits, unsigned bit) {
    return bits[bit / 8] & (1U << bit % 8);
}

static bool has_power_key(int fd) {
    unsigned char keys[KEY_CNT / 8] = {};

    return ioctl(fd, EVIOCGBIT(EV_KEY, sizeof keys), keys) >= 0 && bit_is_set(keys, KEY_POWER);
}

/* Of all types of events one key. A kernel without masks (before 4.4) would wake us at each key. */
static bool ask_for_nothing_else(int fd) {
    unsigned char bits[KEY_CNT / 8] = {};

    for (__u32 type = EV_SYN + 1; type < EV_CNT; type++) {
        struct input_mask mask = {
            .type = type, .codes_size = sizeof bits, .codes_ptr = (__u64)(uintptr_t)bits};
        bits[KEY_POWER / 8] = type == EV_KEY ? 1U << KEY_POWER % 8 : 0;
        if (ioctl(fd, EVIOCSMASK, &mask) < 0 && type == EV_KEY)
            return false;
    }
    return true;
}

void power_keys_open(struct power_keys *p, int epoll_fd) {
    if (p->n > 0)
        return;
    for (int i = 0; i < NODES_MAX && p->n < POWER_KEYS_MAX; i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "/dev/input/event%d", i);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (fd < 0 || !has_power_key(fd) || !ask_for_nothing_else(fd) ||
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            continue;
        log_info("the power key of %s powers off", path);
        p->fds[p->n++] = TAKE_FD(fd);
    }
}

bool power_keys_have(const struct power_keys *p, int fd) {
    for (int i = 0; i < p->n; i++)
        if (p->fds[i] == fd)
            return true;
    return false;
}

static void forget(struct power_keys *p, int fd) {
    for (int i = 0; i < p->n; i++)
        if (p->fds[i] == fd) {
            p->fds[i] = p->fds[--p->n];
            (void)close(fd); /* and with it out of the epoll */
            return;
        }
}

bool power_keys_read(struct power_keys *p, int fd) {
    struct input_event events[4];
    bool pressed = false;
    ssize_t n;

    while ((n = read(fd, events, sizeof events)) > 0)
        for (size_t i = 0; i < (size_t)n / sizeof events[0]; i++)
            pressed |= events[i].type == EV_KEY && events[i].code == KEY_POWER && events[i].value == 1;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        forget(p, fd);
    return pressed;
}
