/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A message to everybody who is logged in, as wall(1) writes it. */
#pragma once

/* To every terminal of utmp(5), without waiting for one that does not take it. */
void wall(const char *text);
