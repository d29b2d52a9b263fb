/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* davit-image: the worker that touches foreign data. What it does is in worker/. */
#include "worker/worker.h"

int main(int argc, char **argv) {
    return worker_main(argc, argv);
}
