/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/boot_times.h"

#include "base/parse.h"

static const struct {
    const char *name;
    size_t offset;
} time_names[] = {
    {"userspace", offsetof(struct boot_times, userspace)},
    {"mounts", offsetof(struct boot_times, mounts)},
    {"boot", offsetof(struct boot_times, boot)},
    {"manager", offsetof(struct boot_times, manager)},
    {"ready", offsetof(struct boot_times, ready)},
    {"finish", offsetof(struct boot_times, finish)},
    {"init_work", offsetof(struct boot_times, init_work)},
};

void boot_times_format(const struct boot_times *t, char buffer[static BOOT_TIMES_TEXT_MAX]) {
    size_t n = 0;

    _Static_assert(ARRAY_SIZE(time_names) * (sizeof "userspace= " + 20) <= BOOT_TIMES_TEXT_MAX, "fits");
    for (size_t i = 0; i < ARRAY_SIZE(time_names); i++)
        n += (size_t)snprintf(buffer + n, BOOT_TIMES_TEXT_MAX - n, "%s%s=%llu", n > 0 ? " " : "",
            time_names[i].name,
            (unsigned long long)*(const usec_t *)((const char *)t + time_names[i].offset));
}

int boot_times_parse(const char *text, struct boot_times *ret) {
    struct boot_times t = {};

    while (*text) {
        char digits[24];
        const char *value = strchr(text, '=');
        size_t n = value ? strcspn(value + 1, " ") : 0;
        uint64_t number;
        if (!value || n >= sizeof digits)
            return -EINVAL;
        memcpy(digits, value + 1, n);
        digits[n] = '\0';
        if (parse_uint(digits, 0, UINT64_MAX, &number) < 0)
            return -EINVAL;
        for (size_t i = 0; i < ARRAY_SIZE(time_names); i++)
            if (strlen(time_names[i].name) == (size_t)(value - text) && startswith(text, time_names[i].name))
                *(usec_t *)((char *)&t + time_names[i].offset) = number;
        text = value + 1 + n;
        text += strspn(text, " ");
    }
    *ret = t;
    return 0;
}
