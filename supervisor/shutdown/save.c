/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the next boot wants to have from this one: 512 bytes of randomness. The time of the file is of use as
 * well: a machine without a battery for its clock starts no earlier than that (boot/clock.c). Where /var is
 * read-only or gone there is nowhere to save it, and nothing is said.
 */
#include <fcntl.h>
#include <sys/random.h>

#include "base/fs.h"
#include "base/log.h"
#include "shutdown/shutdown.h"

#define STATE_DIRECTORY "/var/lib/davit"
#define SEED_BYTES 512
#define SAVE_USEC (5 * USEC_PER_SEC)

static int save(_unused_ void *context, _unused_ size_t i) {
    unsigned char seed[SEED_BYTES];
    _cleanup_close_ int directory = open(STATE_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (directory < 0)
        return 0;
    int r = -EAGAIN;
    if (getrandom(seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed)
        r = file_write_atomic(directory, "random-seed", seed, sizeof seed, 0600, false);
    return r == -EROFS ? 0 : r;
}

void save_for_next_boot(void) {
    int r = bounded_call(save, NULL, SAVE_USEC);

    if (r < 0)
        (void)log_errno(LOG_WARNING, r, "cannot save a random seed in " STATE_DIRECTORY);
}
