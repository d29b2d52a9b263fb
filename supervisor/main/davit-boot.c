/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* davit-boot: run once by davit-init on a machine, before davitd (boot/boot.h); and, as the program of
 * services, a shell on the console (boot/shell.h), and mounts that need the network (boot/network_mounts.h). */
#include "base/log.h"
#include "base/str.h"
#include "boot/boot.h"
#include "boot/network_mounts.h"
#include "boot/shell.h"

int main(int argc, char **argv) {
    if (argc == 2 && streq(argv[1], "--version")) {
        (void)puts("davit-boot " DAVIT_VERSION);
        return EXIT_SUCCESS;
    }
    log_open("davit-boot");
    const char *shell = argc == 2 ? startswith(argv[1], "--shell=") : NULL;
    if (shell)
        return shell_run(shell);
    if (argc == 2 && streq(argv[1], "--mount-network"))
        return network_mounts_start();
    if (argc == 2 && streq(argv[1], "--unmount-network"))
        return network_mounts_stop();
    if (argc > 1 || getppid() != 1) {
        (void)fputs(
            "davit-boot is started by davit-init, once, when a machine boots.\n"
            "  davit-boot --shell=rescue|emergency|console   a shell on the console, for a service\n"
            "  davit-boot --mount-network, --unmount-network           what /etc/fstab has of that kind\n"
            "  davit-boot --version\n",
            stderr);
        return EXIT_FAILURE;
    }
    return boot_run();
}
