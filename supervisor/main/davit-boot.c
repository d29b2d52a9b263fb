/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* davit-boot: run once by davit-init on a machine, before davitd (boot/boot.h). */
#include "base/log.h"
#include "base/str.h"
#include "boot/boot.h"

int main(int argc, char **argv) {
    if (argc == 2 && streq(argv[1], "--version")) {
        (void)puts("davit-boot " DAVIT_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc > 1) {
        (void)fputs("davit-boot is started by davit-init, once, when a machine boots.\n", stderr);
        return EXIT_FAILURE;
    }
    log_open("davit-boot");
    return boot_run();
}
