/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The seed: bytes that the last boot left are mixed into the kernel's random generator, and new ones take
 * their place at once, so that no two boots begin with the same seed, whatever happens to this one. It is not
 * credited as entropy: an image that is copied to many machines carries one seed to all of them.
 */
#include "boot/seed.h"

#include <fcntl.h>

#include "base/fs.h"
#include "base/id128.h"
#include "base/log.h"
#include "boot/boot.h"

#define SEED_BYTES 512
#define SEED_DIRECTORY "/var/lib/davit"

static void load(void) {
    _cleanup_free_ char *seed = NULL;
    size_t n = 0;

    int r = file_read(AT_FDCWD, SEED_FILE, SEED_BYTES, &seed, &n);
    if (r == -ENOENT)
        return;
    _cleanup_close_ int fd = r < 0 ? -1 : open("/dev/urandom", O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (r >= 0)
        r = fd < 0 ? negative_errno() : write_all(fd, seed, n);
    if (r < 0)
        (void)log_errno(LOG_WARNING, r, SEED_FILE);
}

void step_seed(struct boot_context *c) {
    char seed[SEED_BYTES];

    load();
    random_bytes(seed, sizeof seed);
    int r = mkdir_parents(AT_FDCWD, SEED_DIRECTORY, 0700);
    if (r >= 0)
        r = file_write_atomic(
            AT_FDCWD, SEED_FILE, seed, sizeof seed, 0600, false); /* the boot waits for no disk */
    if (r < 0)
        boot_problem(c, "the seed for the next boot cannot be saved in " SEED_FILE ": %s", errno_text(r));
}
