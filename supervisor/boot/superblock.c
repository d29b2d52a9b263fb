/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/superblock.h"

#include <dirent.h>
#include <fcntl.h>
#include <strings.h>

#include "base/fs.h"

DEFINE_CLEANUP(DIR *, closedir)

enum uuid_form { UUID_PLAIN, UUID_VFAT };

/* Offsets from the start of the device: each format's own documentation (fs.h, xfs_format.h, ...). */
static const struct format {
    const char *type, *magic;
    size_t magic_length, magic_at, uuid_at, label_at, label_length;
    enum uuid_form form;
} formats[] = {
    {"ext4", "\x53\xEF", 2, 0x438, 0x468, 0x478, 16, UUID_PLAIN}, /* also mounts ext2 and ext3 */
    {"xfs", "XFSB", 4, 0, 32, 108, 12, UUID_PLAIN},
    {"btrfs", "_BHRfS_M", 8, 0x10040, 0x10020, 0x1012B, 64, UUID_PLAIN},
    {"swap", "SWAPSPACE2", 10, 4086, 1036, 1052, 16, UUID_PLAIN},
    {"vfat", "FAT32   ", 8, 82, 67, 71, 11, UUID_VFAT},
    {"vfat", "FAT16   ", 8, 54, 39, 43, 11, UUID_VFAT},
    {"erofs", "\xE2\xE1\xF5\xE0", 4, 1024, 1024 + 48, 1024 + 64, 16, UUID_PLAIN},
    {"squashfs", "hsqs", 4, 0, 0, 0, 0, UUID_PLAIN},
};

static void take_uuid(const struct format *f, const uint8_t *data, char ret[static 40]) {
    const uint8_t *u = data + f->uuid_at;

    if (f->form == UUID_VFAT) {
        (void)snprintf(ret, 40, "%02X%02X-%02X%02X", u[3], u[2], u[1], u[0]);
        return;
    }
    for (size_t i = 0, n = 0; i < 16; i++)
        n += (size_t)snprintf(
            ret + n, 40 - n, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
}

int superblock_parse(const uint8_t *data, size_t n, struct superblock *ret) {
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        const struct format *f = &formats[i];
        size_t needed =
            MAX(f->magic_at + f->magic_length, MAX(f->uuid_at + 16, f->label_at + f->label_length));
        if (n < needed || memcmp(data + f->magic_at, f->magic, f->magic_length) != 0)
            continue;
        struct superblock s = {.type = f->type};
        if (f->uuid_at > 0)
            take_uuid(f, data, s.uuid);
        memcpy(s.label, data + f->label_at, f->label_length);
        if (f->form == UUID_VFAT) { /* padded with blanks */
            (void)strstrip(s.label);
            if (streq(s.label, "NO NAME"))
                s.label[0] = '\0';
        }
        *ret = s;
        return 0;
    }
    return -ENOENT;
}

int superblock_read(const char *device, struct superblock *ret) {
    _cleanup_free_ uint8_t *data = malloc(SUPERBLOCK_BYTES);
    _cleanup_close_ int fd = open(device, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (!data)
        return -ENOMEM;
    if (fd < 0)
        return negative_errno();
    ssize_t n = pread(fd, data, SUPERBLOCK_BYTES, 0);
    return n < 0 ? negative_errno() : superblock_parse(data, (size_t)n, ret);
}

/* ---- tags ---- */

static const struct tag {
    const char *name, *directory; /* udev's links */
    const char *uevent; /* the kernel's own word for it, of partitions (6.9 and later for PARTUUID) */
} tags[] = {
    {"UUID=", "by-uuid", NULL},
    {"LABEL=", "by-label", NULL},
    {"PARTUUID=", "by-partuuid", "PARTUUID="},
    {"PARTLABEL=", "by-partlabel", "PARTNAME="},
};

static bool uevent_has(const char *device, const char *word, const char *value) {
    _cleanup_free_ char *path = strf("/sys/class/block/%s/uevent", device), *text = NULL;

    if (!path || file_read(AT_FDCWD, path, 64 * 1024, &text, NULL) < 0)
        return false;
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        const char *found = startswith(line, word);
        if (found && strcasecmp(found, value) == 0)
            return true;
    }
    return false;
}

static bool matches(const struct tag *t, const char *device, const char *value) {
    struct superblock s;
    _cleanup_free_ char *path = path_join("/dev", device);

    if (t->uevent)
        return uevent_has(device, t->uevent, value);
    if (!path || superblock_read(path, &s) < 0)
        return false;
    return t == &tags[0] ? strcasecmp(s.uuid, value) == 0 : streq(s.label, value);
}

int superblock_find(const char *tag, char **ret) {
    for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
        const char *value = startswith(tag, tags[i].name);
        if (!value || !*value)
            continue;
        _cleanup_free_ char *link = strf("/dev/disk/%s/%s", tags[i].directory, value);
        if (!link)
            return -ENOMEM;
        if (access(link, F_OK) == 0) {
            *ret = TAKE_PTR(link);
            return 0;
        }
        _cleanup_(closedirp) DIR *d = opendir("/sys/class/block");
        for (struct dirent *entry; d && (entry = readdir(d));) {
            if (entry->d_name[0] == '.' || !matches(&tags[i], entry->d_name, value))
                continue;
            *ret = path_join("/dev", entry->d_name);
            return *ret ? 0 : -ENOMEM;
        }
    }
    return -ENOENT;
}
