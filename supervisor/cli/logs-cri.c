/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files of one unit, read as one stream while davit-logd goes on writing and rotating them. A place in
 * the stream is (inode, offset): names move on under us, files do not.
 */
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/parse.h"
#include "base/str.h"
#include "cli/logs.h"

enum {
    BUFFER_STEP = 64 * 1024,
    LINE_MAX_LENGTH = 16 * 1024 * 1024, /* far above what davit-logd writes; a longer line is cut */
    FILES_MAX = 1000,                   /* numbers of rotated files, as davit-logd has them */
    GAP_MAX = 3,                        /* missing numbers: a rotation under way leaves one */
};

/* ---- records ---- */

/* "2026-11-21T05:46:11.123456000Z stdout F text" */
void cri_parse(const char *line, size_t length, struct log_entry *ret, bool *ret_partial) {
    const char *end = line + length, *stream, *tag, *text;
    char stamp[TIMESTAMP_MAX];
    usec_t time;

    *ret = (struct log_entry){.text = line, .length = length, .priority = LOG_INFO};
    *ret_partial = false;
    if (!(stream = memchr(line, ' ', length)) || (size_t)(stream - line) >= sizeof(stamp))
        return;
    memcpy(stamp, line, (size_t)(stream - line));
    stamp[stream - line] = '\0';
    stream++;
    if (!(tag = memchr(stream, ' ', (size_t)(end - stream))) || timestamp_parse(stamp, 0, &time) < 0)
        return;
    size_t stream_length = (size_t)(tag - stream);
    tag++;
    text = memchr(tag, ' ', (size_t)(end - tag)) ?: end;
    /* Tags may have more parts, divided by colons: the first one is ours. */
    if (text == tag || (tag[0] != 'P' && tag[0] != 'F') || (text - tag > 1 && tag[1] != ':'))
        return;
    ret->time = time;
    ret->stream = stream_length == 6 && memcmp(stream, "stderr", 6) == 0 ? "stderr" : "stdout";
    *ret_partial = tag[0] == 'P';
    ret->text = text < end ? text + 1 : end;
    ret->length = (size_t)(end - ret->text);
}

/* ---- files ---- */

struct numbered {
    unsigned number; /* 0 = the current one */
    ino_t inode;
    usec_t modified;
};

/* A unit's name is shorter than a file's; one that is not has no files. */
static void file_name(const char *unit, unsigned number, char ret[static NAME_MAX + 1]) {
    if (number == 0)
        (void)snprintf(ret, NAME_MAX + 1, "%s.log", unit);
    else
        (void)snprintf(ret, NAME_MAX + 1, "%s.log.%u", unit, number);
}

/* All files of the unit, oldest first. */
static int list_files(int directory, const char *unit, struct numbered **ret, size_t *ret_n) {
    _cleanup_free_ struct numbered *files = NULL;
    size_t n = 0;

    for (unsigned number = 0, gap = 0; number < FILES_MAX && gap < GAP_MAX; number++) {
        struct stat st;
        char name[NAME_MAX + 1];
        file_name(unit, number, name);
        gap++;
        if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        gap = 0;
        struct numbered *more = reallocarray(files, n + 1, sizeof(*files));
        if (!more)
            return -ENOMEM;
        files = more;
        memmove(files + 1, files, n++ * sizeof(*files));
        files[0] = (struct numbered){.number = number,
            .inode = st.st_ino,
            .modified =
                (usec_t)st.st_mtim.tv_sec * USEC_PER_SEC + (usec_t)st.st_mtim.tv_nsec / NSEC_PER_USEC};
    }
    *ret = TAKE_PTR(files);
    *ret_n = n;
    return 0;
}

bool cri_exists(int directory, const char *unit) {
    struct stat st;
    char name[NAME_MAX + 1];
    file_name(unit, 0, name);
    return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

int cri_reader_init(struct cri_reader *r, int directory, const char *unit) {
    *r = (struct cri_reader){.directory = directory, .fd = -1, .unit = strdup(unit)};
    return r->unit ? 0 : -ENOMEM;
}

void cri_reader_done(struct cri_reader *r) {
    free(r->unit);
    free(r->buffer);
    strbuf_free(&r->partial);
    close_and_reset(&r->fd);
    *r = (struct cri_reader){.fd = -1};
}

/* -ESTALE if its name has moved on since it was listed, and stands for a newer one or, at that moment, for none. */
static int open_file(struct cri_reader *r, const struct numbered *file) {
    struct stat st;
    char name[NAME_MAX + 1];
    file_name(r->unit, file->number, name);
    int fd = openat(r->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? -ESTALE : negative_errno();
    int k = fstat(fd, &st) < 0 ? negative_errno() : st.st_ino != file->inode ? -ESTALE : 0;
    if (k < 0) {
        (void)close(fd);
        return k;
    }
    close_and_reset(&r->fd);
    r->fd = fd;
    r->inode = st.st_ino;
    r->final = false;
    return 0;
}

/* Goes on to the file after this one, or to the first. 1, 0 if this is the newest, or -ESTALE as above. */
static int try_next_file(struct cri_reader *r) {
    _cleanup_free_ struct numbered *files = NULL;
    size_t n = 0, at = 0;
    int k = list_files(r->directory, r->unit, &files, &n);
    if (k < 0)
        return k;
    if (n == 0)
        return 0;
    if (r->fd >= 0) {
        for (at = 0; at < n && files[at].inode != r->inode; at++)
            ;
        if (at == n)
            at = 0; /* ours is gone for good: go on with the oldest that is left */
        else if (at == n - 1)
            return 0;
        else
            at++;
    } else
        while (at < n - 1 && files[at].modified < r->since)
            at++;
    k = open_file(r, &files[at]);
    return k < 0 ? k : 1;
}

static int next_file(struct cri_reader *r) {
    int k;
    do
        k = try_next_file(r);
    while (k == -ESTALE);
    return k;
}

/* True if our file is no longer the one that is written to. In the middle of a rotation there is none. */
static bool was_rotated(const struct cri_reader *r) {
    struct stat st;
    char name[NAME_MAX + 1];
    file_name(r->unit, 0, name);
    return fstatat(r->directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? errno == ENOENT
                                                                     : st.st_ino != r->inode;
}

/* ---- the stream ---- */

/* More bytes from the file. 1, 0 at its end. */
static int fill(struct cri_reader *r) {
    if (r->start > 0) {
        memmove(r->buffer, r->buffer + r->start, r->end - r->start);
        r->end -= r->start;
        r->start = 0;
    }
    if (r->end == r->size) {
        char *buffer = realloc(r->buffer, r->size + BUFFER_STEP);
        if (!buffer)
            return -ENOMEM;
        r->buffer = buffer;
        r->size += BUFFER_STEP;
    }
    ssize_t n = read(r->fd, r->buffer + r->end, r->size - r->end);
    if (n < 0)
        return errno == EINTR ? 1 : negative_errno();
    r->end += (size_t)n;
    return n > 0;
}

/* One physical line. 1, 0 at the end of everything. */
static int next_line(struct cri_reader *r, const char **ret, size_t *ret_length) {
    size_t scanned = 0;
    for (;;) {
        size_t left = r->end - r->start;
        char *newline = left > scanned ? memchr(r->buffer + r->start + scanned, '\n', left - scanned) : NULL;
        if (newline || left > LINE_MAX_LENGTH) {
            *ret = r->buffer + r->start;
            *ret_length = newline ? (size_t)(newline - *ret) : left;
            r->start += *ret_length + (newline ? 1 : 0);
            return 1;
        }
        scanned = left;
        int k = r->fd >= 0 ? fill(r) : 0;
        if (k > 0 || k < 0) {
            if (k < 0)
                return k;
            continue;
        }
        /* A file that was rotated while we looked may have got its last lines after our last read. */
        if (r->fd >= 0 && !r->final && was_rotated(r)) {
            r->final = true;
            continue;
        }
        if (r->fd >= 0 && !r->final)
            return 0;
        if (left > 0) { /* a record that was never finished: what there is of it */
            *ret = r->buffer + r->start;
            *ret_length = left;
            r->start = r->end;
            return 1;
        }
        k = next_file(r);
        if (k <= 0)
            return k;
    }
}

static void entry_of_partial(struct cri_reader *r, struct log_entry *ret) {
    ret->time = r->partial_time;
    ret->text = r->partial.data;
    ret->length = r->partial.length;
}

int cri_reader_next(struct cri_reader *r, struct log_entry *ret) {
    const char *line;
    size_t length;
    int k;

    while ((k = next_line(r, &line, &length)) > 0) {
        bool partial;
        cri_parse(line, length, ret, &partial);
        ret->unit = r->unit;
        if (ret->time == 0)
            ret->time = r->last_time;
        r->last_time = ret->time;
        /* The buffer is kept filled until the piece that starts the next line, so that an entry made of it
         * stays valid. */
        bool continued = r->partial_time > 0;
        if (!continued && !partial)
            return 1;
        if (!continued) {
            r->partial.length = 0;
            r->partial_time = ret->time;
        }
        strbuf_append(&r->partial, ret->text, ret->length);
        if (strbuf_failed(&r->partial))
            return -ENOMEM;
        if (partial && r->partial.length < LINE_MAX_LENGTH)
            continue;
        entry_of_partial(r, ret);
        r->partial_time = 0;
        return 1;
    }
    return k;
}

int cri_reader_rest(struct cri_reader *r, struct log_entry *ret) {
    if (r->partial_time == 0)
        return 0;
    *ret = (struct log_entry){.unit = r->unit, .stream = "stdout", .priority = LOG_INFO};
    entry_of_partial(r, ret);
    r->partial_time = 0;
    return 1;
}

/* ---- the end ---- */

static bool line_ends_entry(const char *line, size_t length) {
    struct log_entry e;
    bool partial;
    cri_parse(line, length, &e, &partial);
    return !partial;
}

/* Where the last n entries of the file begin, reading it from the end in growing pieces. *ret_found: how many
 * there are, at most n; where there are fewer, they begin at 0. */
static int tail_offset(int fd, size_t n, off_t *ret_offset, size_t *ret_found) {
    _cleanup_free_ char *data = NULL;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return negative_errno();
    for (off_t window = BUFFER_STEP;; window *= 4) {
        window = MIN(window, st.st_size);
        char *more = realloc(data, (size_t)window + 1);
        if (!more)
            return -ENOMEM;
        data = more;
        ssize_t got = pread(fd, data, (size_t)window, st.st_size - window);
        if (got < 0)
            return negative_errno();

        size_t found = 0, end = (size_t)got;
        while (end > 0 && data[end - 1] != '\n')
            end--; /* a record that is being written */
        while (end > 0) {
            char *before = memrchr(data, '\n', end - 1);
            size_t begin = before ? (size_t)(before - data) + 1 : 0;
            if (!before && window < st.st_size)
                break; /* this line begins before the window */
            if (line_ends_entry(data + begin, end - 1 - begin) && ++found > n) {
                *ret_offset = st.st_size - window + (off_t)end;
                *ret_found = n;
                return 0;
            }
            end = begin;
        }
        if (window == st.st_size) {
            *ret_offset = 0;
            *ret_found = found;
            return 0;
        }
    }
}

static int try_seek_tail(struct cri_reader *r, size_t n) {
    _cleanup_free_ struct numbered *files = NULL;
    size_t n_files = 0;
    int k = list_files(r->directory, r->unit, &files, &n_files);

    for (size_t i = n_files; k >= 0 && i-- > 0;) {
        off_t offset = 0;
        size_t found = 0;
        k = open_file(r, &files[i]);
        if (k >= 0)
            k = tail_offset(r->fd, n, &offset, &found);
        if (k >= 0 && lseek(r->fd, offset, SEEK_SET) < 0)
            k = negative_errno();
        n -= MIN(found, n);
        if (k >= 0 && (offset > 0 || n == 0))
            return 0;
    }
    return k;
}

int cri_reader_seek_tail(struct cri_reader *r, size_t n) {
    int k;
    do
        k = try_seek_tail(r, n);
    while (k == -ESTALE);
    return k;
}
