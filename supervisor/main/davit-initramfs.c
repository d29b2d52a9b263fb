/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* davit-initramfs: /init of an initramfs (boot/root.h). */
#include "base/log.h"
#include "base/str.h"
#include "boot/root.h"

int main(int argc, char **argv) {
    if (argc == 2 && streq(argv[1], "--version")) {
        (void)puts("davit-initramfs " DAVIT_VERSION);
        return EXIT_SUCCESS;
    }
    if (getpid() != 1) {
        (void)fputs("davit-initramfs is the first process of an initramfs, and nothing else.\n", stderr);
        return EXIT_FAILURE;
    }
    log_open("davit-initramfs");
    root_run(argv);
}
