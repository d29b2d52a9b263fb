/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* worker/unpack-name.c: what the names of a layer's entries mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "worker/unpack-internal.h"

static void names_say_what_they_are(void **state _unused_) {
    static const struct {
        const char *text;
        enum name_kind kind;
        const char *path, *base;
    } table[] = {
        {"a", NAME_ENTRY, "a", "a"},
        {"./a//b/./c/", NAME_ENTRY, "a/b/c", "c"},
        {"/etc/passwd", NAME_ENTRY, "etc/passwd", "passwd"},
        {"", NAME_ROOT, "", ""},
        {"./", NAME_ROOT, "", ""},
        {"/", NAME_ROOT, "", ""},
        {"...", NAME_ENTRY, "...", "..."},
        {"a/.wh.b", NAME_WHITEOUT, "a/b", "b"},
        {".wh.b", NAME_WHITEOUT, "b", "b"},
        {".wh..b", NAME_WHITEOUT, ".b", ".b"},
        {"a/b/.wh..wh..opq", NAME_OPAQUE, "a/b", "b"},
        {".wh..wh..opq", NAME_OPAQUE, "", ""},
        {".wh..wh.plnk", NAME_IGNORED, NULL, NULL},
        {".wh..wh.plnk/1.2", NAME_AUFS_LINK, ".wh..wh.plnk/1.2", "1.2"},
        {".wh..wh.aufs", NAME_IGNORED, NULL, NULL},
        {"a/.wh..wh.orph", NAME_IGNORED, NULL, NULL},
        {"a/x.wh.b", NAME_ENTRY, "a/x.wh.b", "x.wh.b"},
        {"\377\376", NAME_ENTRY, "\377\376", "\377\376"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        _cleanup_(name_done) struct name n = {};
        struct error e = {};

        if (name_parse(table[i].text, &n, &e) < 0)
            fail_msg("%s: %s", table[i].text, e.text);
        if (n.kind != table[i].kind)
            fail_msg("%s: kind %d", table[i].text, n.kind);
        if (table[i].path) {
            assert_string_equal(n.path, table[i].path);
            assert_string_equal(n.base, table[i].base);
        }
    }
}

static void names_that_lead_out_are_refused(void **state _unused_) {
    static const char *const table[] = {"..", "../a", "a/..", "a/../b", "/..", "./../a", ".wh.", "a/.wh.",
        ".wh..", ".wh...", ".wh.a/b", "a/.wh.b/c", "a/.wh..wh..opq/b"};

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct name n = {.kind = NAME_IGNORED};
        struct error e = {};

        if (name_parse(table[i], &n, &e) != -EINVAL)
            fail_msg("%s was taken", table[i]);
        assert_true(*e.text);
        assert_null(n.path);
    }
}

static void names_have_limits(void **state _unused_) {
    char longest[UNPACK_PATH_MAX + 2], component[300];
    struct name n = {};

    for (size_t i = 0; i < sizeof(longest) - 1; i++)
        longest[i] = i % 2 ? '/' : 'a';
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(name_parse(longest, &n, NULL), -ENAMETOOLONG);
    longest[UNPACK_PATH_MAX] = '\0';
    assert_int_equal(name_parse(longest, &n, NULL), 0);
    name_done(&n);
    memset(component, 'n', sizeof(component));
    component[256] = '\0';
    assert_int_equal(name_parse(component, &n, NULL), -ENAMETOOLONG);
    component[255] = '\0';
    assert_int_equal(name_parse(component, &n, NULL), 0);
    name_done(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_say_what_they_are),
        cmocka_unit_test(names_that_lead_out_are_refused),
        cmocka_unit_test(names_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
