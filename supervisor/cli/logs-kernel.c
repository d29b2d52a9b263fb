/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's log of this boot, in which davit-init, davit-boot and, without a journal, davitd write as well: what a
 * machine has to say before anything else could keep it. Records of /dev/kmsg as the kernel documents them
 * (Documentation/ABI/testing/dev-kmsg). */
#include <fcntl.h>
#include <poll.h>

#include "base/parse.h"
#include "base/str.h"
#include "cli/logs.h"

#define KERNEL_LOG "/dev/kmsg"
#define RECORD_MAX 8192 /* the kernel's own limit, CONSOLE_EXT_LOG_MAX */

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What is not printable ASCII comes as \xNN. In place; the new length. */
static size_t unescape(char *s, size_t n) {
    size_t to = 0;

    for (size_t i = 0; i < n; i++, to++) {
        int high = i + 3 < n && s[i] == '\\' && s[i + 1] == 'x' ? hex_digit(s[i + 2]) : -1;
        int low = high >= 0 ? hex_digit(s[i + 3]) : -1;
        s[to] = low >= 0 ? (char)(high * 16 + low) : s[i];
        i += low >= 0 ? 3 : 0;
    }
    return to;
}

/* "davitd: text" of a program. The kernel's own lines have no sender but the kernel. */
static void split_sender(char *text, size_t n, bool of_kernel, struct log_entry *e) {
    char *colon = of_kernel ? NULL : memmem(text, n, ": ", 2);

    *e = (struct log_entry){
        .unit = "kernel", .text = text, .length = n, .priority = e->priority, .time = e->time};
    if (!of_kernel)
        e->unit = "-";
    if (!colon || colon == text || memchr(text, ' ', (size_t)(colon - text)))
        return;
    *colon = '\0';
    e->unit = text;
    e->text = colon + 2;
    e->length = n - (size_t)(e->text - text);
}

bool kernel_record_parse(char *record, size_t n, usec_t boot_time, struct log_entry *ret) {
    char *text = memchr(record, ';', n), *fields[3], *rest = record;
    uint64_t prefix, usec;

    if (!text)
        return false;
    *text++ = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) /* priority and facility, sequence number, microseconds */
        if (!(fields[i] = strsep(&rest, ",")))
            return false;
    if (parse_uint(fields[0], 0, UINT32_MAX, &prefix) < 0 || parse_uint(fields[2], 0, UINT64_MAX, &usec) < 0)
        return false;
    n -= (size_t)(text - record);
    char *end = memchr(text, '\n', n); /* after it: what the kernel's own lines say of devices */
    *ret = (struct log_entry){.priority = LOG_PRI((int)prefix), .time = usec_add(boot_time, usec)};
    split_sender(text, unescape(text, end ? (size_t)(end - text) : n), prefix >> 3 == 0, ret);
    return true;
}

/* ---- */

struct reading {
    const struct log_query *query;
    log_sink_function sink;
    void *userdata;
    usec_t boot_time;
    size_t seen, skip; /* of what is wanted */
};

static bool is_wanted(const struct log_query *q, const struct log_entry *e) {
    if (e->time < q->since || e->time > q->until)
        return false;
    STRV_FOREACH (unit, q->units)
        if (streq(*unit, e->unit))
            return true;
    return !q->units;
}

/* 1: the sink has had enough, 0: the end as of now. Records that are overwritten meanwhile (EPIPE) are gone. */
static int read_all(int fd, struct reading *r) {
    char record[RECORD_MAX];
    struct log_entry e;

    for (;;) {
        ssize_t n = read(fd, record, sizeof record);
        if (n < 0 && (errno == EPIPE || errno == EINTR))
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : negative_errno();
        if (n == 0)
            return 0;
        if (!kernel_record_parse(record, (size_t)n, r->boot_time, &e) || !is_wanted(r->query, &e))
            continue;
        if (++r->seen > r->skip && r->sink && r->sink(r->userdata, &e) != 0)
            return 1;
    }
}

int logs_read_kernel(const struct log_query *query, log_sink_function sink, void *userdata, struct error *e) {
    struct reading r = {.query = query, .boot_time = now_realtime() - now_monotonic()};
    struct pollfd p = {.events = POLLIN};
    int x = 0;

    _cleanup_close_ int fd = open(KERNEL_LOG, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(e, errno, KERNEL_LOG);
    if (query->lines != SIZE_MAX) { /* how many there are, then again from the beginning */
        x = read_all(fd, &r);
        if (x < 0 || lseek(fd, 0, SEEK_SET) < 0)
            return error_set_errno(e, x < 0 ? -x : errno, KERNEL_LOG);
        r.skip = r.seen > query->lines ? r.seen - query->lines : 0;
        r.seen = 0;
    }
    r.sink = sink;
    r.userdata = userdata;
    p.fd = fd;
    do
        x = read_all(fd, &r);
    while (x == 0 && query->follow && poll(&p, 1, -1) > 0);
    return x < 0 ? error_set_errno(e, -x, KERNEL_LOG) : 0;
}
