/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/chain.h"

#include <fcntl.h>

#include "base/fs.h"
#include "image/driver.h"

void chain_path(const char *digest, char ret[static CHAIN_PATH]) {
    (void)snprintf(ret, CHAIN_PATH, "chains/%s/tree", digest_hex(digest));
}

int chain_open(const struct store *s, const char *digest, struct error *e) {
    char path[CHAIN_PATH];

    chain_path(digest, path);
    int fd = openat(s->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? error_set_errno(e, errno, "what the container is a copy of, %s/%s", s->path, path) : fd;
}

int chain_compare(
    const struct store *s, int upper, const char *const *without, struct tree_changes *ret, struct error *e) {
    _cleanup_free_ char *digest = NULL;
    struct stat st;

    int r = file_read_line(upper, TREE_CHAIN, &digest);
    if (r < 0 || fstatat(upper, TREE_CHAIN, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_set_errno(e, r < 0 ? r : errno, "the container's directory");
    if (!digest_is_valid(digest))
        return error_set(e, EBADMSG, "the container's directory: there is no digest in \"" TREE_CHAIN "\"");
    _cleanup_close_ int chain = chain_open(s, digest, e);
    if (chain < 0)
        return chain;
    _cleanup_close_ int tree = openat(upper, TREE_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (tree < 0)
        return error_set_errno(e, errno, "the container's tree");
    const struct tree_compare_options options = {.without = without, .copied = st.st_mtim};
    return tree_compare(chain, tree, &options, ret, e);
}
