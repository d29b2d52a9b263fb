/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/id128.h"

#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/hashmap.h"

#ifndef GRND_INSECURE
#define GRND_INSECURE 0x0004
#endif

#define ID128_DIGITS (ID128_TEXT - 1)

/* What is left where getrandom(2) is forbidden by a system call filter: unique enough for a name. */
static void weak_random_bytes(uint8_t *p, size_t n) {
    static uint64_t counter;
    for (size_t i = 0; i < n; i++) {
        uint64_t seed[] = {
            clock_usec(CLOCK_MONOTONIC), clock_usec(CLOCK_REALTIME), (uint64_t)getpid(), counter++};
        p[i] = (uint8_t)siphash_stable(seed, sizeof(seed));
    }
}

void random_bytes(void *data, size_t n) {
    uint8_t *p = data;
    unsigned flags = GRND_NONBLOCK;

    while (n > 0) {
        ssize_t got = getrandom(p, n, flags);
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        } else if (errno == EAGAIN && flags == GRND_NONBLOCK) {
            /* Early boot. PID 1 waiting for entropy would be waiting for itself (see random(7), and the boots
             * that hung on Linux 5.3-rc). */
            flags = GRND_INSECURE;
        } else if (errno != EINTR) {
            weak_random_bytes(p, n);
            return;
        }
    }
}

void id128_random(char ret[static ID128_TEXT]) {
    static const char digits[] = "0123456789abcdef";
    uint8_t id[ID128_DIGITS / 2];

    random_bytes(id, sizeof(id));
    /* A version 4 UUID (RFC 9562, 5.4), as systemd makes them: other tools read these as UUIDs. */
    id[6] = (uint8_t)((id[6] & 0x0F) | 0x40);
    id[8] = (uint8_t)((id[8] & 0x3F) | 0x80);
    for (size_t i = 0; i < sizeof(id); i++) {
        ret[2 * i] = digits[id[i] >> 4];
        ret[2 * i + 1] = digits[id[i] & 0x0F];
    }
    ret[ID128_DIGITS] = '\0';
}

bool id128_is_valid(const char *s) {
    return strspn(s, "0123456789abcdef") == ID128_DIGITS && s[ID128_DIGITS] == '\0';
}

static int read_id(const char *path, char ret[static ID128_TEXT]) {
    _cleanup_free_ char *line = NULL;
    char id[ID128_TEXT] = "";
    size_t n = 0;

    int r = file_read_line(AT_FDCWD, path, &line);
    if (r < 0)
        return r;
    for (const char *p = line; *p; p++) {
        if (*p == '-')
            continue;
        if (n == ID128_DIGITS)
            return -EINVAL;
        id[n++] = *p;
    }
    if (!id128_is_valid(id))
        return -EINVAL;
    memcpy(ret, id, sizeof(id));
    return 0;
}

int id128_machine(char ret[static ID128_TEXT]) {
    return read_id("/etc/machine-id", ret);
}

int id128_boot(char ret[static ID128_TEXT]) {
    return read_id("/proc/sys/kernel/random/boot_id", ret);
}
