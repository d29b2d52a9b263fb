/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From .container files to services of systemd, for davit-generator: what systemd starts before anything else
 * at boot, and at each daemon-reload.
 *
 * It reads one directory of unit files and writes, for each container, NAME.service with `davit launch` as
 * its program. [Unit], [Install] and [Service] go over as they are written (systemd's own keys and
 * specifiers); the resource limits of [Container] become properties of the service. Nothing else is looked
 * at: no image, no network, no davit.conf, no other service. A file with a mistake costs its own service and
 * no other.
 */
#pragma once

#include "base/error.h"
#include "unit/unit.h"

struct generator {
    const char *source;                 /* directory of unit files */
    const char *output;                 /* where systemd wants them: the generator's first argument */
    const char *davit;                  /* program that is executed: "/usr/bin/davit" */
    void (*complain)(const char *text); /* one line for each mistake */
};

/* All of the directory; one that is not there is empty. 0, or -errno with *e when nothing can be written. */
int generator_run(const struct generator *g, struct error *e);
/* The text of one service. For a template (NAME@.container) too. */
int generator_service(const struct generator *g, const struct unit *u, char **ret, struct error *e);
/* "web.container" -> "web.service", "shell@a.container" -> "shell@a.service"; other names as they are. */
char *generator_service_name(const char *unit);
