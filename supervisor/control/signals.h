/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What davit-init passes on to davitd (init/signals.h): a client that can only say one word. */
#pragma once

struct manager;

/* Takes them from now on. All of them now and never again: sd-event 252 aborts when signal sources change
 * later. 0 or -errno. */
int signals_watch(struct manager *m);
/* What SIGHUP does: a reload whose outcome only the log is told. */
void reload_and_log(struct manager *m);
