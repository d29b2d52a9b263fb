/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/power_key.h"

#include <fcntl.h>
#include <linux/input.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "base/str.h"

/* Nodes have no gaps but those that unplugging leaves. */
#define NODES_MAX 32
#define INPUT "/dev/input"
#define WORD_BITS (8 * sizeof(unsigned long))

/* As sysfs has it: words of hexadecimal digits, the last one is the lowest. Without opening the device, which can take its
 * time to wake up, for nothing if it is a mouse. */
static bool has_power_key(int node) {
    char path[64], text[512], *word;

    (void)snprintf(path, sizeof path, "/sys/class/input/event%d/device/capabilities/key", node);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return false;
    text[n] = '\0';
    for (unsigned lower = KEY_POWER / WORD_BITS; lower > 0; lower--) {
        if (!(word = strrchr(text, ' ')))
            return false;
        *word = '\0';
    }
    word = strrchr(text, ' ');
    return strtoul(word ? word + 1 : text, NULL, 16) >> KEY_POWER % WORD_BITS & 1;
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

static bool is_open(const struct power_keys *p, int node) {
    for (int i = 0; i < p->n; i++)
        if (p->nodes[i] == node)
            return true;
    return false;
}

static int add_to_epoll(const struct power_keys *p, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void open_all(struct power_keys *p) {
    for (int i = 0; i < NODES_MAX && p->n < POWER_KEYS_MAX; i++) {
        char path[32];
        if (is_open(p, i) || !has_power_key(i))
            continue;
        (void)snprintf(path, sizeof path, INPUT "/event%d", i);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || !ask_for_nothing_else(fd) || add_to_epoll(p, fd) < 0)
            continue;
        log_info("the power key of %s powers off", path);
        p->nodes[p->n] = i;
        p->fds[p->n++] = TAKE_FD(fd);
    }
}

/* The directory comes with its first node, and goes with its last: then /dev tells when it is there again. */
static void watch(struct power_keys *p) {
    if (inotify_add_watch(p->watch_fd, INPUT, IN_CREATE | IN_ONLYDIR) < 0)
        p->dev_watch = inotify_add_watch(p->watch_fd, "/dev", IN_CREATE | IN_ONLYDIR);
    else if (p->dev_watch > 0) {
        (void)inotify_rm_watch(p->watch_fd, p->dev_watch);
        p->dev_watch = 0;
    }
}

void power_keys_open(struct power_keys *p, int epoll_fd) {
    if (p->watch_fd > 0)
        return;
    p->epoll_fd = epoll_fd;
    p->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (p->watch_fd < 0 || add_to_epoll(p, p->watch_fd) < 0)
        (void)log_errno(LOG_WARNING, errno, "power keys that are plugged in later do not count");
    watch(p); /* before looking: what comes in between is seen twice rather than never */
    open_all(p);
}

bool power_keys_have(const struct power_keys *p, int fd) {
    if (p->watch_fd > 0 && fd == p->watch_fd)
        return true;
    for (int i = 0; i < p->n; i++)
        if (p->fds[i] == fd)
            return true;
    return false;
}

static void forget(struct power_keys *p, int fd) {
    for (int i = 0; i < p->n; i++)
        if (p->fds[i] == fd) {
            p->fds[i] = p->fds[--p->n];
            p->nodes[i] = p->nodes[p->n];
            (void)close(fd); /* and with it out of the epoll */
            return;
        }
}

/* Which one came does not matter: looking is cheap, and devices seldom come. */
static void look_again(struct power_keys *p) {
    char events[512];

    while (read(p->watch_fd, events, sizeof events) > 0)
        ;
    watch(p);
    open_all(p);
}

bool power_keys_read(struct power_keys *p, int fd) {
    struct input_event events[4];
    bool pressed = false;
    ssize_t n;

    if (fd == p->watch_fd) {
        look_again(p);
        return false;
    }
    while ((n = read(fd, events, sizeof events)) > 0)
        for (size_t i = 0; i < (size_t)n / sizeof events[0]; i++)
            pressed |= events[i].type == EV_KEY && events[i].code == KEY_POWER && events[i].value == 1;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        forget(p, fd);
    return pressed;
}
