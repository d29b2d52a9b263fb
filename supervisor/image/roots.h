/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where images are on this machine, for those who work without davitd (which has its own settings). */
#pragma once

#include "base/error.h"

/* In the order in which a name is looked for (davit.conf(5)): image_roots of the file conf, then own, which is
 * <state>/images, then what came with the system. *ret_own is the index of own. A file that is missing says
 * nothing; -EINVAL with *e for one that cannot be read, or has something else there. */
int image_roots_read(const char *conf, const char *own, char ***ret, size_t *ret_own, struct error *e);
