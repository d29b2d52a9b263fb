/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: a layer's archive, unpacked for real into a store on tmpfs. Whatever the bytes, they are
 * refused with a reason and nothing is left, or the layer comes out again as the very same bytes.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "fuzz.h"
#include "worker/recipe.h"
#include "worker/unpack.h"

static struct store store;
static char directory[] = "/dev/shm/davit-fuzz-XXXXXX";

static void remove_store(void) {
    store_done(&store);
    (void)remove_tree(AT_FDCWD, directory);
}

static void make_store(void) {
    if (store.path)
        return;
    expect(mkdtemp(directory) && store_open(directory, true, &store, NULL) >= 0);
    (void)atexit(remove_store);
}

struct input {
    const uint8_t *data;
    size_t n;
};

static ssize_t on_read(void *userdata, const void **ret_data, struct error *e _unused_) {
    struct input *in = userdata;
    size_t n = MIN(in->n, (size_t)1000); /* in pieces, as a network gives it */

    *ret_data = in->data;
    in->data += n;
    in->n -= n;
    return (ssize_t)n;
}

static int on_write(void *userdata, const void *data, size_t n, struct error *e _unused_) {
    struct hash *h = userdata;
    hash_update(h, data, n);
    return 0;
}

static bool is_empty(const char *name) {
    _cleanup_free_ char *path = path_join(directory, name);
    return path && (rmdir(path) < 0 ? false : mkdir(path, 0700) == 0);
}

static void check_layer(struct layer_info *info) {
    struct hash hash;
    const struct tar_sink sink = {on_write, &hash};
    char digest[DIGEST_TEXT];

    hash_init(&hash);
    int r = recipe_write_archive(&store, info, &sink, NULL);
    /* A name that comes twice in an archive is there once: then it says so. */
    expect(r == 0 || r == -EBADMSG);
    if (r == 0) {
        hash_digest(&hash, digest);
        expect(streq(digest, info->diff_id) && hash.size == info->archive_size);
    }
    _cleanup_free_ char *path = strf("%s/layers/%s", directory, digest_hex(info->diff_id));
    expect(path && remove_tree(AT_FDCWD, path) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct unpack_expected expected = {.blob_size = UINT64_MAX};
    struct input input = {data, size};
    const struct layer_source source = {on_read, &input};
    struct unpacked unpacked = UNPACKED_NONE;
    struct error e = {};

    make_store();
    int r = layer_unpack(&store, &source, &expected, NULL, NULL, &unpacked, &e);
    if (r < 0) {
        expect(*e.text);
        expect(is_empty("work"));
        return 0;
    }
    struct layer_info info = unpacked.writer.info;
    char *diff_ids[] = {info.diff_id, NULL};
    expect(unpacked_commit(&store, diff_ids, &unpacked, 1, &e) >= 0);
    expect(is_empty("work"));
    check_layer(&info);
    return 0;
}
