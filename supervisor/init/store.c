/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/store.h"

#include "base/str.h"

bool store_name_is_valid(const char *name) {
    size_t n = strnlen(name, KEEPER_NAME_MAX);

    if (n == 0 || n >= KEEPER_NAME_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (name[i] <= ' ' || name[i] > '~' || name[i] == ':')
            return false;
    return true;
}

int store_add(struct store *s, int fd, const char *name) {
    _cleanup_close_ int owned = fd;

    if (!store_name_is_valid(name))
        return -EINVAL;
    size_t bytes = strlen(name) + 1;
    if (s->count >= KEEPER_MAX_FDS || s->name_bytes + bytes > STORE_NAMES_MAX)
        return -ENOSPC;

    struct store_entry *e = &s->entries[s->count++];
    *e = (struct store_entry){.fd = TAKE_FD(owned)};
    memcpy(e->name, name, bytes);
    s->name_bytes += bytes;
    return 0;
}

size_t store_remove(struct store *s, const char *name) {
    size_t removed = 0;

    for (size_t i = 0; i < s->count; i++) {
        struct store_entry *e = &s->entries[i];
        if (e->removed || !streq(e->name, name))
            continue;
        close_and_reset(&e->fd);
        e->removed = true;
        removed++;
    }
    if (removed > 0)
        store_forget(s);
    return removed;
}

void store_forget(struct store *s) {
    size_t kept = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct store_entry *e = &s->entries[i];
        if (e->removed && !e->above) {
            s->name_bytes -= strlen(e->name) + 1;
            continue;
        }
        if (kept != i)
            s->entries[kept] = *e;
        kept++;
    }
    s->count = kept;
}
