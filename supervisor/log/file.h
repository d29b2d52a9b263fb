/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file sink: DIRECTORY/UNIT.log, rotated by size to UNIT.log.1, UNIT.log.2, ... A batch of records is
 * appended whole or not at all, and always lies within one file.
 */
#pragma once

#include "base/list.h"
#include "base/macro.h"

#define FILE_SIZE_DEFAULT (16 * 1024 * 1024)
#define FILE_SIZE_MIN (256 * 1024) /* a batch must fit in */
#define FILE_COUNT_DEFAULT 5
#define FILE_COUNT_MAX 1000

struct file_sink {
    int directory; /* -1: none was given */
    uint64_t max_size;
    unsigned max_files; /* the current one included */
    struct list open;   /* files with a descriptor, least recently used first */
};

struct log_file {
    char *name; /* "UNIT.log" */
    int fd;     /* -1: closed, opened again when needed */
    uint64_t inode;
    struct list open_link;
};

/* A unit's name must be usable as a file name: -EINVAL if not. -ENOMEM. */
int log_file_init(struct log_file *f, const char *unit);
void log_file_done(struct log_file *f);
/* Closes the descriptor: after a REOPEN, another directory, or to make room. */
void log_file_close(struct log_file *f);
/* Makes the file ready for n more bytes: opens it, rotates when it would grow beyond its limit. Tells where
 * those bytes will be. 0 or -errno. */
int log_file_prepare(
    struct file_sink *sink, struct log_file *f, size_t n, uint64_t *ret_inode, uint64_t *ret_offset);
/* Appends; what could not be written whole is cut off again. 0 or -errno. */
int log_file_append(struct log_file *f, uint64_t offset, const char *data, size_t n);
/* After a kill: true if the n bytes at offset of file inode have been written whole; if not, what there is of
 * them is cut off. Looks at the current file and the one rotated last. -errno if it cannot be seen. */
int log_file_written(struct file_sink *sink, struct log_file *f, uint64_t inode, uint64_t offset, uint64_t n);
