/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The key table for others: `davit show`, completion, the manual page. */
#include "unit/key.h"

/* One entry for each key in each of its sections; made at the first call. */
static struct key_info *infos;
static size_t n_infos;

static int make_infos(void) {
    struct key_info *list = calloc(n_keys * 2, sizeof(*list));
    size_t n = 0;

    if (!list)
        return -ENOMEM;
    for (size_t s = 0; s < _SECTION_COUNT; s++)
        for (size_t i = 0; i < n_keys; i++) {
            const struct key *k = &keys[i];
            if ((k->flags & KEY_OLD_NAME) || !(k->sections & 1u << s))
                continue;
            list[n++] = (struct key_info){
                .section = section_name(1u << s),
                .name = k->name,
                .type = k->type->name,
                .default_text = k->default_shown ?: k->default_text,
                .documentation = k->documentation,
            };
        }
    infos = list;
    n_infos = n;
    return 0;
}

size_t unit_keys(const struct key_info **ret) {
    if (!infos)
        (void)make_infos(); /* without memory there are no keys to show */
    *ret = infos;
    return n_infos;
}

int unit_show_key(const struct unit *u, const char *section, const char *key, char ***ret_values) {
    _cleanup_strv_free_ char **values = NULL;
    enum key_section s = section_from_name(section);
    const struct key *k = s ? key_find(s, key) : NULL;

    if (!k || (k->flags & KEY_OLD_NAME) || !key_applies(k, u->type, s)) {
        *ret_values = NULL;
        return 0;
    }
    if (!(k->flags & KEY_SHOWN_ELSEWHERE)) {
        const void *field = key_field(k, (struct unit *)u); /* only read */
        int r = field ? k->type->show(k, field, &values) : 0;
        if (r < 0)
            return r;
    }
    if (!values) { /* the key exists and has no value: an empty array, not none */
        values = calloc(1, sizeof(*values));
        if (!values)
            return -ENOMEM;
    }
    *ret_values = TAKE_PTR(values);
    return 0;
}
