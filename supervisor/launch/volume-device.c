/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Volumes that are file systems of their own: a block device, or an image file behind a loop device. Mounted
 * by the launcher as a detached mount that the child attaches, so the host's mount table never has it, and it
 * goes with the last container that uses it. A loop device frees itself then (LO_FLAGS_AUTOCLEAR).
 *
 * The kernel gives all who mount one block device the same super block. Two loop devices of one file would be
 * two, and the end of the file system in it: so one that is there already is used again.
 */
#include <dirent.h>
#include <linux/loop.h>
#include <sys/file.h>
#include <sys/ioctl.h>

#include "base/fs.h"
#include "launch/internal.h"
#include "launch/loop.h"
#include "launch/mount.h"

/* ---- loop devices ---- */

static bool shows_file(int loop_fd, const struct stat *image) {
    struct loop_info64 info;

    /* Whose file is written over with an offset or a size is not the whole of it. */
    return ioctl(loop_fd, LOOP_GET_STATUS64, &info) >= 0 && info.lo_device == image->st_dev &&
           info.lo_inode == image->st_ino && info.lo_offset == 0 && info.lo_sizelimit == 0;
}

/* The open loop device of that file, its path in path; -ENOENT if it has none. */
static int loop_find(const struct stat *image, char path[static LOOP_PATH_MAX]) {
    DIR *d = opendir("/sys/block");
    int found = -ENOENT;

    if (!d)
        return negative_errno();
    for (const struct dirent *entry = readdir(d); entry && found < 0; entry = readdir(d)) {
        if (!startswith(entry->d_name, "loop") || strlen(entry->d_name) > 16)
            continue;
        snprintf(path, LOOP_PATH_MAX, "/dev/%.16s", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && shows_file(fd, image))
            found = fd;
        else
            close_and_reset(&fd);
    }
    (void)closedir(d);
    return found;
}

/* The caller keeps what is returned until it is mounted: then the mount keeps the loop device. */
static int loop_open(const char *image, bool read_only, char path[static LOOP_PATH_MAX], struct error *e) {
    struct stat st;

    _cleanup_close_ int file = open(image, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (file < 0 || fstat(file, &st) < 0)
        return error_set_errno(e, errno, "open %s", image);
    /* Another launcher may be at the same file: between its look and its loop device there must be none of
     * ours. An open file of its own, since the loop device would keep the lock with the other one. */
    _cleanup_close_ int lock = open(image, O_RDONLY | O_CLOEXEC);
    if (lock < 0)
        return error_set_errno(e, errno, "open %s", image);
    (void)flock(lock, LOCK_EX); /* some file systems know no locks */
    int fd = loop_find(&st, path);
    if (fd != -ENOENT)
        return fd < 0 ? error_set_errno(e, fd, "loop device of %s", image) : fd;
    fd = loop_new(file, read_only, path, e);
    return fd < 0 ? error_prefix(e, fd, "%s", image) : fd;
}

/* ---- options ---- */

/* Words of Options= that are about the mount and not the file system, or for mount(8) alone. */
static const struct {
    const char *word;
    uint32_t flag;
} mount_words[] = {
    {"nosuid", MOUNT_NOSUID},
    {"nodev", MOUNT_NODEV},
    {"noexec", MOUNT_NOEXEC},
    {"noatime", MOUNT_NOATIME},
    {"defaults", 0},
    {"rw", 0},
    {"suid", 0},
    {"dev", 0},
    {"exec", 0},
    {"atime", 0},
    {"relatime", 0},
    {"auto", 0},
    {"noauto", 0},
    {"nofail", 0},
    {"loop", 0},
};

static bool has_word(const char *options, const char *word) {
    size_t n = strlen(word);

    for (const char *p = options; *p; p += strcspn(p, ","), p += *p == ',')
        if (strncmp(p, word, n) == 0 && (p[n] == ',' || p[n] == '\0'))
            return true;
    return false;
}

/* Takes the words above out of options, in place. */
static uint32_t take_mount_words(char *options) {
    char *to = options, *rest = options, *word;
    uint32_t flags = 0;

    while ((word = strsep(&rest, ","))) {
        size_t i = 0;
        while (i < ARRAY_SIZE(mount_words) && !streq(mount_words[i].word, word))
            i++;
        if (i < ARRAY_SIZE(mount_words)) {
            flags |= mount_words[i].flag;
            continue;
        }
        size_t n = strlen(word);
        if (to != options)
            *to++ = ',';
        memmove(to, word, n);
        to += n;
    }
    *to = '\0';
    return flags;
}

/* ---- mounting ---- */

/* In the host's mount namespace. type is cut off the options: "ext4,noatime". */
int volume_mount_device(const struct spec_mount *m, uint32_t *ret_flags, struct error *e) {
    _cleanup_free_ char *type = strdup(m->options);
    _cleanup_close_ int loop = -1;
    const char *source = m->source;
    char loop_path[LOOP_PATH_MAX];
    struct stat st;

    if (!type)
        return error_set(e, ENOMEM, "out of memory");
    char *options = type + strcspn(type, ",");
    if (*options)
        *options++ = '\0';
    bool read_only = has_word(options, "ro");
    uint32_t flags = m->flags | take_mount_words(options);
    if (stat(source, &st) < 0)
        return error_set_errno(e, errno, "%s", source);
    if (S_ISREG(st.st_mode)) {
        loop = loop_open(source, read_only, loop_path, e);
        if (loop < 0)
            return loop;
        source = loop_path;
    } else if (!S_ISBLK(st.st_mode)) {
        return error_set(e, ENOTBLK, "%s is neither a block device nor an image file", source);
    }
    _cleanup_close_ int fs = filesystem_open(type, e);
    int r = fs < 0 ? fs : filesystem_set(fs, "source", source, e);
    if (r >= 0)
        r = filesystem_set_options(fs, options, e);
    r = r < 0 ? r : filesystem_mount(fs, (unsigned)mount_attributes(flags), e);
    if (r < 0)
        return error_prefix(e, r, "%s", m->source);
    *ret_flags = flags;
    return r;
}
