/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Input and output: weights, and limits for a disk. The kernel throttles whole disks, named by device number,
 * so a path is followed to the file system's device and from a partition to its disk.
 *
 * v1 throttles what a process reads and what it writes directly or synchronously; delayed writes are the
 * kernel's own there.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/sysmacros.h>

#include "base/parse.h"
#include "cgroup/internal.h"

#define MOUNTINFO_MAX (16U * 1024 * 1024)

/* A file system without a device of its own number (btrfs) names its device as the mount's source. */
static int device_of_mount_source(dev_t anonymous, dev_t *ret) {
    _cleanup_free_ char *text = NULL, *wanted = strf(" %u:%u ", major(anonymous), minor(anonymous));
    char *rest, *line;
    struct stat st;
    int r = file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL);

    if (r < 0)
        return r;
    if (!wanted)
        return -ENOMEM;
    for (rest = text; (line = strsep(&rest, "\n"));) {
        char *source = strstr(line, wanted) ? strstr(line, " - ") : NULL, *end;

        if (!source || !(source = strchr(source + 3, ' '))) /* past the type */
            continue;
        source++;
        if ((end = strchr(source, ' ')))
            *end = '\0';
        if (*source == '/' && stat(source, &st) == 0 && S_ISBLK(st.st_mode)) {
            *ret = st.st_rdev;
            return 0;
        }
    }
    return -ENODEV;
}

static int whole_disk(dev_t device, dev_t *ret) {
    _cleanup_free_ char *partition = strf("/sys/dev/block/%u:%u/partition", major(device), minor(device));
    _cleanup_free_ char *disk = strf("/sys/dev/block/%u:%u/../dev", major(device), minor(device));
    _cleanup_free_ char *line = NULL;
    uint64_t number[2];
    char *colon;
    int r;

    if (!partition || !disk)
        return -ENOMEM;
    if (access(partition, F_OK) < 0) {
        *ret = device;
        return 0;
    }
    r = file_read_line(AT_FDCWD, disk, &line);
    if (r < 0)
        return r;
    if (!(colon = strchr(line, ':')))
        return -EBADMSG;
    *colon = '\0';
    if (parse_uint(line, 0, UINT32_MAX, &number[0]) < 0 ||
        parse_uint(colon + 1, 0, UINT32_MAX, &number[1]) < 0)
        return -EBADMSG;
    *ret = makedev((unsigned)number[0], (unsigned)number[1]);
    return 0;
}

int block_device_of(const char *path, dev_t *ret, struct error *e) {
    struct stat st;
    dev_t device;
    int r = 0;

    if (stat(path, &st) < 0)
        return error_set_errno(e, errno, "%s", path);
    device = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
    if (major(device) == 0)
        r = device_of_mount_source(device, &device);
    if (r < 0)
        return error_set(e, ENODEV, "%s is on a file system without a block device", path);
    r = whole_disk(device, ret);
    return r < 0 ? error_set_errno(e, r, "the disk of %s cannot be found", path) : 0;
}

static uint64_t io_number(const struct limit_call *call, size_t i) {
    uint64_t value;

    memcpy(&value, (const char *)&call->limits->io[i] + call->row->offset, sizeof(value));
    return value;
}

/* Writes one line for each path that has the row's field. v2: io.max "M:m rbps=N"; a word left out stays as
 * it is. v1: a file a word, "M:m N". One bad path does not cost the others; its error is what is returned. */
static int apply_io_max(const struct limit_call *call, const struct limit_backend *b, bool v2) {
    int result = 0;

    for (size_t i = 0; i < call->limits->n_io; i++) {
        uint64_t value = io_number(call, i);
        char number[24], text[80];
        dev_t device = 0;
        int r;

        if (value == CGROUP_UNSET)
            continue;
        r = block_device_of(call->limits->io[i].path, &device, call->error);
        if (r < 0) {
            result = r == -ENOENT ? -ENXIO : r; /* ENOENT is for a file that the kernel lacks */
            continue;
        }
        (void)snprintf(number, sizeof(number), "%" PRIu64, value);
        (void)snprintf(text, sizeof(text), "%u:%u %s%s%s", major(device), minor(device), v2 ? b->file : "",
            v2 ? "=" : "", value == CGROUP_INFINITY ? b->infinity : number);
        r = limit_write(call, v2 ? "io.max" : b->file, text);
        if (r < 0)
            result = r;
    }
    return result;
}

int limit_apply_io_max_v2(const struct limit_call *call) {
    return apply_io_max(call, &call->row->v2, true);
}

int limit_apply_io_max_v1(const struct limit_call *call) {
    return apply_io_max(call, &call->row->v1, false);
}

/* The BFQ scheduler's weights go to 1000. Both scales have 100 in the middle, so each half is stretched by
 * itself. */
static uint64_t bfq_weight(uint64_t weight) {
    if (weight <= 100)
        return MAX(weight, 1U);
    return 100 + (MIN(weight, 10000U) - 100) * (1000 - 100) / (10000 - 100);
}

/* Which file there is depends on how the kernel was built: tries them in turn. */
static int write_first_present(const struct limit_call *call, const char *const files[][2], size_t n) {
    for (size_t i = 0; i < n; i++) {
        int r = limit_write(call, files[i][0], files[i][1]);

        if (r != -ENOENT && r != -EOPNOTSUPP)
            return r;
    }
    return error_set(call->error, EOPNOTSUPP,
        "no scheduler of this kernel weighs input and output (BFQ or io.cost needed)");
}

static int apply_io_weight(const struct limit_call *call, bool v2) {
    uint64_t weight = limit_number(call) == CGROUP_INFINITY ? 100 : limit_number(call);
    char exact[32], bfq[24];
    const char *const v2_files[][2] = {{"io.weight", exact}, {"io.bfq.weight", bfq}};
    const char *const v1_files[][2] = {{"blkio.bfq.weight", bfq}, {"blkio.weight", bfq}};

    (void)snprintf(exact, sizeof(exact), "default %" PRIu64, weight);
    (void)snprintf(bfq, sizeof(bfq), "%" PRIu64, bfq_weight(weight));
    if (v2) /* both may be there, and the disk's scheduler decides which one counts */
        (void)cgroup_group_write(call->home, call->name, "io.bfq.weight", bfq);
    return v2 ? write_first_present(call, v2_files, ARRAY_SIZE(v2_files))
              : write_first_present(call, v1_files, ARRAY_SIZE(v1_files));
}

int limit_apply_io_weight_v2(const struct limit_call *call) {
    return apply_io_weight(call, true);
}

int limit_apply_io_weight_v1(const struct limit_call *call) {
    return apply_io_weight(call, false);
}
