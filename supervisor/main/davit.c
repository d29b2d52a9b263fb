/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line. Everything is in cli/. */
#include "cli/cli.h"

int main(int argc, char **argv) {
    return cli_main(argc, argv);
}
