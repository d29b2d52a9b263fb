/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image fsck: the worker looks, and brings back what this machine still has; what it reports as lost then is
 * fetched here, by another worker, from the registry that the image is named after: by its digest, so that it
 * is the same image and not the one that the name leads to now.
 */
#include "base/str.h"
#include "cli/image-worker.h"
#include "cli/images.h"
#include "cli/output.h"
#include "image/reference.h"

struct lost {
    char **names, **digests; /* of the same length; "" for a digest that nobody knows any more */
    bool failed;
};

static void lost_done(struct lost *l) {
    strv_free(l->names);
    strv_free(l->digests);
}

static void on_event(void *userdata, json_t *event) {
    struct lost *l = userdata;

    if (!streq(json_text(event, "event"), "lost"))
        return;
    if (strv_append(&l->names, json_text(event, "name")) < 0 ||
        strv_append(&l->digests, json_text(event, "digest")) < 0)
        l->failed = true;
}

/* An image that was made here is in no registry. */
static bool can_be_fetched(const char *name, const char *digest) {
    return *digest && !startswith(name, REFERENCE_LOCAL "/");
}

static int fetch_lost(struct cli *c, const struct lost *l) {
    int status = l->failed ? EXIT_FAILURE : EXIT_SUCCESS;

    for (size_t i = 0; l->names && l->names[i]; i++) {
        const char *name = l->names[i], *digest = l->digests[i];

        if (can_be_fetched(name, digest) && image_fetch_again(c, name, digest) == EXIT_SUCCESS)
            continue;
        cli_error("image %s is lost: %s", name,
            can_be_fetched(name, digest) ? "it could not be fetched" : "import or pull it again");
        status = EXIT_FAILURE;
    }
    return status;
}

int verb_image_fsck(struct cli *c, char **arguments _unused_, size_t n _unused_) {
    _cleanup_strv_free_ char **options = NULL;
    _cleanup_(lost_done) struct lost lost = {};

    if (images_add_roots(c, &options) < 0 ||
        image_worker_option(&options, "repair", c->options.repair ? "yes" : NULL) < 0 ||
        image_worker_option(&options, "quick", c->options.quick ? "yes" : NULL) < 0) {
        cli_error("out of memory");
        return EXIT_FAILURE;
    }
    int status = image_worker_watch(c, "fsck", options, on_event, &lost);
    return status == EXIT_SUCCESS ? fetch_lost(c, &lost) : status;
}
