/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files and directories, by descriptor where it matters. Nothing here follows a path that a container
 * controls. */
#pragma once

#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"

/* Reads a whole regular file or /proc file of at most max bytes; NUL-terminated, ret_size may be NULL.
 * -EFBIG if larger, -EINVAL or -EISDIR if it is no such file (a FIFO is never waited for). dirfd may be
 * AT_FDCWD. */
int file_read(int dirfd, const char *path, size_t max, char **ret, size_t *ret_size);
/* Reads everything from fd; same limits. */
int fd_read_all(int fd, size_t max, char **ret, size_t *ret_size);
/* First line without its newline; "" of an empty file. -EFBIG if longer than 64 KiB. */
int file_read_line(int dirfd, const char *path, char **ret);
/* One write(2) to an existing file (/proc, cgroup). Never creates. */
int file_write(int dirfd, const char *path, const char *text);
/* Replaces the file as a whole: temporary file beside it ("~.NAME.XXXXXXXX"), optional fsync, rename. mode is
 * not subject to the umask; a symbolic link is replaced, not followed. On failure the old one stays and
 * nothing is left behind; only when the last step, fsync of the directory, fails is the new one there
 * already. */
int file_write_atomic(int dirfd, const char *path, const void *data, size_t n, mode_t mode, bool sync);
/* Creates path and its parents (mode each, less the umask). Existing directories are fine; -ENOTDIR for
 * anything else. */
int mkdir_parents(int dirfd, const char *path, mode_t mode);
/* Creates path, which gets its name when it has its owner (until then PATH.davit-new): whoever finds it there leaves
 * that as it is. Parents as above. Also for two at once. */
int mkdir_owned(int dirfd, const char *path, mode_t mode, uid_t uid, gid_t gid);
/* Removes what name is in dirfd, with everything below it, never following a symbolic link and never crossing
 * into another mount (-EBUSY). Missing = 0. Unlimited depth without recursion on the stack. What cannot be
 * removed stays, all the rest goes, and the first error is returned. name may be a path; then only its last
 * component is guarded like this. */
int remove_tree(int dirfd, const char *name);
/* The same where it is quick: a directory with at most so many entries in all, and no file in it of more than
 * a MiB. -EFBIG if there is more; a part of it is gone then. */
int remove_small_tree(int dirfd, const char *name, unsigned entries);
/* Writes all of it; retries EINTR and short writes. Blocking descriptors only. */
int write_all(int fd, const void *data, size_t n);
/* The same for an O_NONBLOCK descriptor, waiting up to timeout for room: a terminal takes nothing either while
 * another process writes to it. 0, -EAGAIN (a part may be written), -errno. Safe in a signal handler. */
int write_within(int fd, const void *data, size_t n, usec_t timeout);
/* "/a//b/./c/" -> "/a/b/c" in place. Does not touch "..". */
char *path_simplify(char *path);
/* Absolute, no "..", no NUL, at most PATH_MAX-1 bytes. */
bool path_is_normalized(const char *path);
static inline bool path_is_absolute(const char *path) {
    return path[0] == '/';
}
/* a, one slash, b. New string or NULL (out of memory). */
char *path_join(const char *a, const char *b);
/* File systems whose other end is a server: "nfs4", "fuse.sshfs", ... */
bool fs_type_is_network(const char *type);
/* Last component, "" for "/". Points into path. */
const char *path_basename(const char *path);
