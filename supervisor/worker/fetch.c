/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/fetch.h"

#include "image/blob.h"

#define BUSY_RETRY (200 * USEC_PER_MSEC)
#define REPORT_INTERVAL (200 * USEC_PER_MSEC)
#define SHORT_MAX 3 /* answers that end early although the server calls them whole */

struct fetch {
    const struct oci_descriptor *blob;
    struct blob_writer writer;
    struct http_transfer *transfer;
    struct error error; /* of the sink */
    usec_t not_before;  /* another process has it: then it is looked at again */
    unsigned short_answers;
    bool resumed; /* a part of it is what an earlier writer left */
    bool done;
};

struct fetches {
    struct registry *registry;
    const struct store *store;
    struct fetch *list;
    size_t n;
    unsigned parallel, running;
    const struct fetch_progress *progress;
    const struct fetch_receiver *receiver; /* may be NULL */
    usec_t reported_at;
};

static int take(void *userdata, const void *data, size_t n) {
    struct fetch *f = userdata;

    return blob_write(&f->writer, data, n, &f->error);
}

static void report(struct fetches *all, bool now) {
    uint64_t done = 0, total = 0;

    if (!all->progress->report || (!now && now_monotonic() < all->reported_at + REPORT_INTERVAL))
        return;
    all->reported_at = now_monotonic();
    for (size_t i = 0; i < all->n; i++) {
        total += all->list[i].blob->size;
        done += all->list[i].done ? all->list[i].blob->size : all->list[i].writer.offset;
    }
    all->progress->report(all->progress->userdata, done, total);
}

/* fd: of the blob, which the receiver gets if there is one. */
static void set_done(struct fetches *all, struct fetch *f, int fd) {
    f->done = true;
    if (all->receiver)
        all->receiver->arrived(all->receiver->userdata, (size_t)(f - all->list), fd);
    else
        closep(&fd);
}

static int start_transfer(struct fetches *all, struct fetch *f, struct error *e) {
    return registry_blob_start(all->registry, f->blob->digest, take, f, &f->writer.offset, &f->transfer, e);
}

static int finish(struct fetches *all, struct fetch *f, struct error *e) {
    char digest[DIGEST_TEXT];
    int fd = -1;

    int r = all->receiver ? blob_end(&f->writer, &fd, e) : blob_commit(&f->writer, digest, e);
    if (r == -ENODATA && ++f->short_answers <= SHORT_MAX)
        return start_transfer(all, f, e);
    all->running--;
    if (r == -EBADMSG && f->resumed) {
        /* What was taken up was never synced, and a power cut may have spoiled it. It is gone now. */
        f->writer = BLOB_WRITER_NONE;
        return 0;
    }
    if (r < 0)
        return r;
    set_done(all, f, fd);
    report(all, true);
    return 0;
}

/* In the store, or in the hands of another process and whole: then nothing is fetched. */
static int find_blob(struct fetches *all, const struct fetch *f, int why) {
    if (why == -EEXIST)
        return blob_open(all->store, f->blob->digest, NULL, NULL);
    return all->receiver && all->receiver->shares
               ? blob_open_whole(all->store, f->blob->digest, f->blob->size)
               : -EBUSY;
}

static int begin(struct fetches *all, struct fetch *f, struct error *e) {
    int r = blob_begin(all->store, f->blob->digest, f->blob->size, &f->writer, e);

    if (r == -EEXIST || r == -EBUSY) {
        int fd = find_blob(all, f, r);
        if (fd >= 0)
            set_done(all, f, fd);
        else
            f->not_before = usec_add(now_monotonic(), BUSY_RETRY);
        return 0;
    }
    if (r < 0)
        return r;
    all->running++;
    f->resumed = f->writer.offset > 0;
    /* All of it was there, only its name was not; or there is nothing to fetch. */
    return f->writer.offset == f->blob->size ? finish(all, f, e) : start_transfer(all, f, e);
}

static int check_transfer(struct fetches *all, struct fetch *f, struct error *e) {
    int r = registry_blob_result(all->registry, f->transfer, f->blob->digest, e);

    if (r < 0 && f->error.number != 0) {
        *e = f->error;
        r = -e->number;
    }
    http_transfer_free(TAKE_PTR(f->transfer));
    if (r == -EAGAIN)
        return start_transfer(all, f, e);
    return r < 0 ? r : finish(all, f, e);
}

/* True when there is nothing left to do. */
static int turn(struct fetches *all, struct error *e) {
    bool open = false;
    usec_t now = now_monotonic();
    int r = 0;

    if (all->receiver && all->receiver->stops(all->receiver->userdata))
        return error_set(e, ECANCELED, "nothing more is wanted");
    for (size_t i = 0; i < all->n && r >= 0; i++) {
        struct fetch *f = &all->list[i];

        if (!f->done && f->transfer && http_is_done(f->transfer))
            r = check_transfer(all, f, e);
        else if (!f->done && !f->transfer && all->running < all->parallel && f->not_before <= now)
            r = begin(all, f, e);
        open |= !f->done;
    }
    return r < 0 ? r : !open;
}

static void forget(struct fetches *all) {
    for (size_t i = 0; i < all->n; i++) {
        http_transfer_free(all->list[i].transfer);
        blob_abort(&all->list[i].writer, true);
    }
    free(all->list);
}

int fetch_blobs(struct registry *r, const struct store *s, const struct oci_descriptor *const *wanted,
    size_t n, unsigned parallel, const struct fetch_progress *progress, const struct fetch_receiver *receiver,
    struct error *e) {
    struct fetches all = {
        .registry = r, .store = s, .n = n, .parallel = parallel, .progress = progress, .receiver = receiver};
    int q = 0;

    all.list = calloc(n + 1, sizeof(*all.list));
    if (!all.list)
        return error_set_errno(e, ENOMEM, "fetching blobs");
    for (size_t i = 0; i < n; i++)
        all.list[i] = (struct fetch){.blob = wanted[i], .writer = BLOB_WRITER_NONE};
    while (q >= 0 && (q = turn(&all, e)) == 0) {
        q = http_step(r->http, e);
        report(&all, false);
    }
    forget(&all);
    return MIN(q, 0);
}
