/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The clock never starts before a time that is certainly over: when this program was installed, and when this
 * machine last saved its seed. A machine without a real-time clock, or with an empty battery, then starts
 * where it left off and not in 1970, so that certificates are valid and file dates go forward. The real-time
 * clock, which the kernel may have been too early to read, only ever moves it upward.
 */
#include <fcntl.h>
#include <linux/rtc.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "boot/boot.h"
#include "boot/seed.h"

static time_t hardware_clock(void) {
    struct rtc_time t = {};

    _cleanup_close_ int fd = open("/dev/rtc0", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, RTC_RD_TIME, &t) < 0)
        return 0;
    struct tm utc = {.tm_sec = t.tm_sec,
        .tm_min = t.tm_min,
        .tm_hour = t.tm_hour,
        .tm_mday = t.tm_mday,
        .tm_mon = t.tm_mon,
        .tm_year = t.tm_year};
    return timegm(&utc);
}

static time_t floor_time(void) {
    static const char *const files[] = {"/proc/self/exe", SEED_FILE, CLOCK_FILE};
    time_t latest = 0;
    struct stat st;

    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        if (stat(files[i], &st) == 0)
            latest = MAX(latest, st.st_mtime);
    return latest;
}

void step_clock(struct boot_context *c) {
    time_t lowest = floor_time(), now = time(NULL);

    if (now >= lowest)
        return;
    time_t best = MAX(hardware_clock(), lowest);
    struct timespec wanted = {.tv_sec = best};
    char text[TIMESTAMP_MAX];
    if (clock_settime(CLOCK_REALTIME, &wanted) < 0) {
        boot_problem(c, "the clock is wrong and cannot be set: %s", errno_text(errno));
        return;
    }
    log_notice("the clock was behind the last time this machine is known to have run: set to %s",
        timestamp_format((usec_t)wanted.tv_sec * USEC_PER_SEC, text));
}
