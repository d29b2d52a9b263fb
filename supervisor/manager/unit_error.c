/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why a unit failed, kept for those that did. */
#include "manager/manager.h"

void unit_set_error(struct managed_unit *u, const struct error *e) {
    if (!e || e->number == 0) {
        free(TAKE_PTR(u->error));
        return;
    }
    if (!u->error)
        u->error = malloc(sizeof(*u->error));
    if (u->error) /* without memory the result alone must do */
        *u->error = *e;
}

const struct error *unit_error(const struct managed_unit *u) {
    static const struct error none;

    return u->error ? u->error : &none;
}
