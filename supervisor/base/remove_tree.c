/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * remove_tree(): the part of fs.h that deletes.
 *
 * What it deletes was written by a container: it may be deep beyond any limit on paths, descriptors or stack,
 * and names may be swapped for symbolic links meanwhile. So the walk keeps its own stack on the heap, opens
 * each directory by one name from its parent's descriptor (openat2, no symbolic links, no mounts), and keeps
 * the descriptors of the first levels only. Deeper parents are found again by "..", and taken only if device
 * and inode are those that were left.
 *
 * A directory is read in batches. Everything in a batch that is no directory is unlinked at once; the names
 * of its directories are pending and get walked into one after the other. After a batch that had room for
 * more nobody asks whether there is more: that the directory can be removed says so.
 *
 * An entry that cannot be removed does not stop the walk: as much space as possible is freed, and the first
 * error is returned.
 *
 * remove_small_tree() is the same walk for somebody who has no time: it ends when the tree turns out to be
 * larger.
 */
#include "base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include "base/subvolume.h"

/* Levels whose descriptor stays open while the walk is below them. More saves little: wide directories are
 * near the top. */
#define OPEN_LEVELS 32
#define BATCH_SIZE 32768
#define SMALL_BATCH_SIZE 2048
/* Freeing the blocks of a file takes long; of one below this (in units of 512 bytes) it does not. */
#define SMALL_FILE_BLOCKS 2048
#define UNLIMITED UINT_MAX
/* How often a directory that keeps filling up is read again. */
#define PASSES_MAX 16

struct level {
    char *name;
    int fd; /* -1 while it is closed for the sake of levels below */
    dev_t device;
    ino_t inode;
    struct strbuf pending; /* names of directories still to walk into, each with its NUL */
    size_t next;           /* position in pending */
    unsigned passes;
    bool failed;   /* something in it stays */
    bool ending;   /* its last batch had room for more entries: it was the last, most likely */
    bool reopened; /* reading starts from the top again, and shows what failed once more */
};

struct walk {
    int root; /* directory that holds the tree: borrowed */
    struct level *levels;
    size_t n_levels, room;
    int first_error;
    unsigned entries_left; /* UNLIMITED, or what may still be looked at */
    size_t batch_size;
    char batch[] __attribute__((aligned(__alignof__(struct dirent64))));
};

static void level_done(struct level *l) {
    free(l->name);
    close_and_reset(&l->fd);
    strbuf_free(&l->pending);
}

static void walk_free(struct walk *w) {
    for (size_t i = 0; i < w->n_levels; i++)
        level_done(&w->levels[i]);
    free(w->levels);
    free(w);
}
DEFINE_CLEANUP(struct walk *, walk_free)

/* The directory that the walk is in; there is one while n_levels > 0. */
static struct level *top(struct walk *w) {
    return &w->levels[w->n_levels - 1];
}

static void note_failure(struct walk *w, struct level *parent, int error) {
    if (w->first_error == 0)
        w->first_error = error;
    if (parent)
        parent->failed = true;
}

/* Opens a directory that is no mount point; -EBUSY, as from rmdir(2), if it is one. */
static int open_directory(int parent, const char *name) {
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
    };
    int fd;
    do
        fd = (int)syscall(SYS_openat2, parent, name, &how, sizeof(how));
    while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    if (fd < 0)
        return errno == EXDEV ? -EBUSY : negative_errno();
    return fd;
}

/* Puts a directory on the stack. Takes fd, also on failure. */
static int push(struct walk *w, const char *name, int fd, const struct stat *st) {
    _cleanup_close_ int owned = fd;

    if (w->n_levels == w->room) {
        size_t room = MAX(w->room * 2, (size_t)OPEN_LEVELS);
        struct level *grown = reallocarray(w->levels, room, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        w->levels = grown;
        w->room = room;
    }
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;

    if (w->n_levels > OPEN_LEVELS)
        close_and_reset(&top(w)->fd);
    w->levels[w->n_levels++] =
        (struct level){.name = copy, .fd = TAKE_FD(owned), .device = st->st_dev, .inode = st->st_ino};
    return 0;
}

/* Removes name from the directory parent_fd, which is level parent (NULL for the root), or goes into it. */
static int visit(struct walk *w, struct level *parent, int parent_fd, const char *name) {
    struct stat st;

    int fd = open_directory(parent_fd, name);
    if (fd >= 0 && fstat(fd, &st) < 0) {
        int r = negative_errno();
        close(fd);
        return r;
    }
    /* One with others in it is walked into first, like any directory. */
    if (fd >= 0 && is_subvolume(fd, &st) && subvolume_remove(parent_fd, name) == 0) {
        close(fd);
        return 0;
    }
    if (fd >= 0)
        return push(w, name, fd, &st);
    if (fd == -ENOENT)
        return 0;
    /* Directories stopped by limits of ours, not by something in the tree, would all fail: give up instead.
     */
    if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
        return fd;
    if (fd == -ENOTDIR || fd == -ELOOP) {
        /* Changed into something else since it was listed. */
        if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT)
            return 0;
        fd = negative_errno();
    } else if (fd == -EACCES && unlinkat(parent_fd, name, AT_REMOVEDIR) == 0)
        return 0; /* may not be read, but was empty */
    note_failure(w, parent, fd);
    return 0;
}

static bool is_dot_or_dot_dot(const char *name) {
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* Is there time for this entry? 0 or -EFBIG. */
static int check_size(struct walk *w, const struct level *l, const struct dirent64 *entry) {
    struct stat st;

    if (w->entries_left == UNLIMITED)
        return 0;
    if (w->entries_left-- == 0)
        return -EFBIG;
    if (entry->d_type == DT_DIR || fstatat(l->fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return st.st_blocks > SMALL_FILE_BLOCKS ? -EFBIG : 0;
}

/* Reads one batch of the directory, unlinks its files and makes its directories pending. 1, 0 at the end, or
 * an error that ends the walk. */
static int read_batch(struct walk *w, struct level *l) {
    ssize_t n = getdents64(l->fd, w->batch, w->batch_size);
    if (n < 0 && errno != ENOENT) /* ENOENT: the directory itself was removed meanwhile */
        note_failure(w, l, negative_errno());
    l->ending = false;
    if (n <= 0)
        return 0;

    strbuf_free(&l->pending);
    l->next = 0;
    l->ending = (size_t)n + sizeof(struct dirent64) <= w->batch_size;
    for (ssize_t i = 0; i < n;) {
        const struct dirent64 *entry = (const struct dirent64 *)(const void *)(w->batch + i);
        i += entry->d_reclen;
        if (is_dot_or_dot_dot(entry->d_name))
            continue;
        int r = check_size(w, l, entry);
        if (r < 0)
            return r;

        bool directory = entry->d_type == DT_DIR;
        if (!directory && unlinkat(l->fd, entry->d_name, 0) < 0 && errno != ENOENT) {
            /* DT_UNKNOWN, or changed since. POSIX has EPERM here, Linux EISDIR. */
            directory = errno == EISDIR;
            if (!directory)
                note_failure(w, l, negative_errno());
        }
        if (directory)
            strbuf_append(&l->pending, entry->d_name, strlen(entry->d_name) + 1);
    }
    return strbuf_failed(&l->pending) ? -ENOMEM : 1;
}

/* Opens the parent of the top level again, if it was closed. */
static int reopen_parent(struct walk *w) {
    struct level *child = top(w), *parent = child - 1;
    struct stat st;

    if (parent->fd >= 0)
        return 0;
    _cleanup_close_ int fd = openat(child->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return negative_errno();
    /* Somebody moved the child out of the tree while we were in it. */
    if (st.st_dev != parent->device || st.st_ino != parent->inode)
        return -ESTALE;
    parent->fd = TAKE_FD(fd);
    parent->reopened = true;
    return 0;
}

/* The top level has nothing left to try: removes it, or reads on if that was not its end, or again if it
 * filled up meanwhile. */
static int leave(struct walk *w) {
    struct level *l = top(w);
    struct level *parent = NULL;
    bool read_to_end = !l->ending;
    int parent_fd = w->root, r;

    l->ending = false;
    if (w->n_levels > 1) {
        r = reopen_parent(w);
        if (r < 0)
            return r;
        parent = l - 1;
        parent_fd = parent->fd;
    }
    if (unlinkat(parent_fd, l->name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
        r = negative_errno();
        if (r == -ENOTEMPTY && !read_to_end)
            return 0;
        if (r == -ENOTEMPTY && !l->failed && l->passes++ < PASSES_MAX)
            return lseek(l->fd, 0, SEEK_SET) < 0 ? negative_errno() : 0;
        note_failure(w, parent, r);
    }
    level_done(l);
    w->n_levels--;
    return 0;
}

static int step(struct walk *w) {
    struct level *l = top(w);

    if (l->next < l->pending.length) {
        const char *name = l->pending.data + l->next;
        l->next += strlen(name) + 1;
        return visit(w, l, l->fd, name);
    }

    /* A directory that was closed is read from its beginning. With something in it that stays, that would
     * never end. */
    if (l->reopened && l->failed)
        return leave(w);
    if (l->ending && !l->failed)
        return leave(w);
    int r = read_batch(w, l);
    return r == 0 ? leave(w) : MIN(r, 0);
}

static int remove_directory(int root, const char *name, unsigned entries) {
    size_t batch_size = entries == UNLIMITED ? BATCH_SIZE : SMALL_BATCH_SIZE;
    _cleanup_(walk_freep) struct walk *w = malloc(sizeof(*w) + batch_size);
    if (!w)
        return -ENOMEM;
    *w = (struct walk){.root = root, .entries_left = entries, .batch_size = batch_size};

    int r = visit(w, NULL, root, name);
    while (r == 0 && w->n_levels > 0)
        r = step(w);
    if (r == -EFBIG)
        return r;
    /* The first thing that went wrong explains the rest. */
    return w->first_error < 0 ? w->first_error : r;
}

static int remove_within(int dirfd, const char *name, unsigned entries) {
    _cleanup_close_ int parent = -1;
    const char *base = path_basename(name);

    if (*base == '\0' || streq(base, ".") || streq(base, ".."))
        return -EINVAL;
    if (base != name) {
        _cleanup_free_ char *path = strndup(name, (size_t)(base - name));
        if (!path)
            return -ENOMEM;
        parent = openat(dirfd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0)
            return errno == ENOENT ? 0 : negative_errno();
        dirfd = parent;
    }

    if (unlinkat(dirfd, base, 0) == 0 || errno == ENOENT)
        return 0;
    return errno == EISDIR ? remove_directory(dirfd, base, entries) : negative_errno();
}

int remove_tree(int dirfd, const char *name) {
    return remove_within(dirfd, name, UNLIMITED);
}

int remove_small_tree(int dirfd, const char *name, unsigned entries) {
    return remove_within(dirfd, name, entries);
}
