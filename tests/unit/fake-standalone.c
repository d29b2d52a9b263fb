/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stands in for manager/standalone.c in tests of the command line that have no manager: there is no unit. */
#include "manager/standalone.h"

int standalone_open(const struct paths *paths _unused_, const char *unit,
    const struct standalone_options *options _unused_, struct standalone **ret _unused_, struct error *e) {
    return error_set(e, ENOENT, "there is no unit %s", unit);
}
void standalone_free(struct standalone *s _unused_) {}
const struct unit *standalone_config(const struct standalone *s _unused_) {
    return NULL;
}
int standalone_prepare(struct standalone *s _unused_, struct error *e _unused_) {
    return -ENOENT;
}
int standalone_spec(struct standalone *s _unused_, struct container_spec *ret _unused_,
    int fds[static SPEC_MAX_FDS] _unused_, size_t *ret_n_fds _unused_, struct error *e _unused_) {
    return -ENOENT;
}
bool standalone_fall_back(struct standalone *s _unused_, const struct error *e _unused_) {
    return false;
}
char **standalone_remarks(const struct standalone *s _unused_) {
    return NULL;
}
int standalone_stop_signal(struct standalone *s _unused_, usec_t *ret_timeout) {
    *ret_timeout = 0;
    return 15;
}
int standalone_cleanup(
    const struct paths *paths _unused_, const char *unit _unused_, struct error *e _unused_) {
    return 0;
}
