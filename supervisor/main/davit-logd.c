/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* davit-logd: see log/logd.h. Started by davit-init, with its descriptors in place; takes no arguments but
 * these. */
#include "base/log.h"
#include "base/str.h"
#include "log/logd.h"

int main(int argc, char **argv) {
    log_open("davit-logd");
    log_never_wait();
    if (argc > 1 && streq(argv[1], "--version")) {
        (void)puts("davit-logd " DAVIT_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc > 1) {
        (void)puts("davit-logd writes the output of davit's containers to the journal or to files.\n"
                   "It is started by davit-init and of no use otherwise; see davit(8).");
        return streq(argv[1], "--help") || streq(argv[1], "-h") ? EXIT_SUCCESS : 2;
    }
    return logd_run();
}
