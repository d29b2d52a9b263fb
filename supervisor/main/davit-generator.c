/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-generator: run by systemd early at boot and at daemon-reload, with three directories; the first is
 * for what is neither to win over nor to lose against an administrator's own units. Nothing runs yet, the
 * journal neither: complaints go to the kernel's log. See davit-generator(8).
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/str.h"
#include "generator/generator.h"

#ifndef DAVIT_SYSCONF_DIR
#define DAVIT_SYSCONF_DIR "/etc"
#endif
#ifndef DAVIT_BIN_DIR
#define DAVIT_BIN_DIR "/usr/bin"
#endif

static int kmsg_fd = -1;

static void complain(const char *text) {
    if (kmsg_fd >= 0)
        dprintf(kmsg_fd, "<4>davit-generator: %s\n", text); /* one write, one record */
    (void)fprintf(stderr, "davit-generator: %s\n", text);
}

int main(int argc, char **argv) {
    const char *source = getenv("DAVIT_SYSTEMD_UNITS");
    struct error e = {};

    if (argc != 4) {
        (void)fputs("Usage: davit-generator NORMAL-DIR EARLY-DIR LATE-DIR\n"
                    "Is run by systemd; see davit-generator(8).\n",
            stderr);
        return EXIT_FAILURE;
    }
    (void)umask(0022);
    if (isempty(getenv("DAVIT_GENERATOR_NO_KMSG")))
        kmsg_fd = open("/dev/kmsg", O_WRONLY | O_NOCTTY | O_CLOEXEC);
    const struct generator g = {
        .source = isempty(source) ? DAVIT_SYSCONF_DIR "/davit/systemd" : source,
        .output = argv[1],
        .davit = DAVIT_BIN_DIR "/davit",
        .complain = complain,
    };
    if (generator_run(&g, &e) >= 0)
        return EXIT_SUCCESS;
    complain(e.text);
    return EXIT_FAILURE;
}
