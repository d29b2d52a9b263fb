/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/packed.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>

#include "base/fd.h"
#include "worker/stream.h"

struct packed {
    struct archive *out;
    int fd;
    char name[16];
};

static void packed_free(struct packed *p) {
    if (p->out)
        (void)archive_write_free(p->out);
    closep(&p->fd);
    free(p);
}
DEFINE_CLEANUP(struct packed *, packed_free)

static int refused(struct packed *p, struct error *e) {
    const char *text = archive_error_string(p->out);
    int number = archive_lacks_memory(p->out) ? ENOMEM : archive_errno(p->out);

    return error_set(
        e, number > 0 ? number : EIO, "writing the layer's %s: %s", p->name, text ? text : "failed");
}

/* The raw format is one entry that is nothing but its data. */
static int open_stream(struct packed *p, struct error *e) {
    struct archive_entry *entry = archive_entry_new();

    p->out = archive_write_new();
    if (!p->out || !entry) {
        archive_entry_free(entry);
        return error_set(e, ENOMEM, "out of memory");
    }
    archive_entry_set_pathname(entry, p->name);
    archive_entry_set_filetype(entry, AE_IFREG);
    bool done = archive_write_set_format_raw(p->out) == ARCHIVE_OK &&
                archive_write_add_filter_zstd(p->out) == ARCHIVE_OK &&
                archive_write_open_fd(p->out, p->fd) == ARCHIVE_OK &&
                archive_write_header(p->out, entry) == ARCHIVE_OK;
    archive_entry_free(entry);
    return done ? 0 : refused(p, e);
}

int packed_create(int directory, const char *name, struct packed **ret, struct error *e) {
    _cleanup_(packed_freep) struct packed *p = calloc(1, sizeof(*p));

    if (!p)
        return error_set(e, ENOMEM, "out of memory");
    (void)snprintf(p->name, sizeof(p->name), "%s", name);
    p->fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (p->fd < 0)
        return error_set_errno(e, errno, "making the layer's %s", name);
    int r = open_stream(p, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(p);
    return 0;
}

int packed_write(struct packed *p, const void *data, size_t n, struct error *e) {
    return n == 0 || archive_write_data(p->out, data, n) == (ssize_t)n ? 0 : refused(p, e);
}

int packed_close(struct packed *p, bool whole, struct error *e) {
    int r = whole && archive_write_close(p->out) != ARCHIVE_OK ? refused(p, e) : 0;

    packed_free(p);
    return r;
}
