/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tables of verbs and options hang together, and the completion and the manual page know the same ones.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/fs.h"
#include "cli/cli.h"
#include "cli/output.h"

static char *source_file(const char *name) {
    const char *top = getenv("DAVIT_SOURCE");
    _cleanup_free_ char *path = path_join(top ?: ".", name);
    char *text = NULL;
    if (!path || file_read(AT_FDCWD, path, 1024 * 1024, &text, NULL) < 0)
        return NULL;
    return text;
}

static void each_verb_option_exists(void **state _unused_) {
    for (size_t i = 0; i < n_verbs; i++) {
        const struct verb *v = &verbs[i];
        assert_ptr_equal(verb_find(v->name), v);
        assert_non_null(v->function);
        size_t listed = 0, known = 0;
        for (const char *p = v->options ?: ""; *p; p += strspn(p, " ")) {
            p += strcspn(p, " ");
            listed++;
        }
        for (size_t k = 0; k < n_options; k++)
            known += !option_table[k].general && verb_takes(v, &option_table[k]);
        if (listed != known)
            fail_msg("%s names an option that is not in the table", v->name);
    }
}

/* -f is --follow for one verb and --force for another; no verb takes both. */
static bool can_be_mistaken(const struct option_info *a, const struct option_info *b) {
    if (!a->letter || !streq_ptr(a->letter, b->letter))
        return false;
    for (size_t v = 0; v < n_verbs; v++)
        if (verb_takes(&verbs[v], a) && verb_takes(&verbs[v], b))
            return true;
    return false;
}

static void each_option_is_of_use_and_unmistakable(void **state _unused_) {
    for (size_t i = 0; i < n_options; i++) {
        bool used = option_table[i].general;
        for (size_t v = 0; v < n_verbs; v++)
            used = used || verb_takes(&verbs[v], &option_table[i]);
        if (!used)
            fail_msg("no verb takes --%s", option_table[i].name);
        assert_int_equal(option_table[i].argument != NULL,
            option_table[i].kind != OPTION_FLAG && option_table[i].kind != OPTION_COUNT);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(option_table[i].name, option_table[k].name);
            assert_false(can_be_mistaken(&option_table[i], &option_table[k]));
            assert_true(option_table[i].offset != option_table[k].offset);
        }
    }
}

static void the_completion_knows_the_same_words(void **state _unused_) {
    _cleanup_free_ char *text = source_file("packaging/completions/davit");
    if (!text) {
        print_message("skipped: no source tree here (DAVIT_SOURCE)\n");
        skip();
    }
    for (size_t i = 0; i < n_verbs; i++) {
        struct strbuf b = {};
        strbuf_printf(&b, "\n    [%s]='", verbs[i].name);
        bool first = true;
        for (size_t k = 0; k < n_options; k++) {
            if (option_table[k].general || !verb_takes(&verbs[i], &option_table[k]))
                continue;
            strbuf_printf(&b, "%s--%s", first ? "" : " ", option_table[k].name);
            first = false;
        }
        strbuf_puts(&b, "'\n");
        _cleanup_free_ char *line = strbuf_take(&b);
        if (!strstr(text, line))
            fail_msg("the completion lacks:%s", line);
    }
    /* And no verb more. */
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, "\n    [")); p++)
        n++;
    assert_int_equal(n, n_verbs);

    struct strbuf with_value = {};
    strbuf_puts(&with_value, "\n_davit_with_value='");
    bool first = true;
    for (size_t k = 0; k < n_options; k++)
        if (option_table[k].argument) {
            strbuf_printf(&with_value, "%s--%s", first ? "" : " ", option_table[k].name);
            if (option_table[k].letter)
                strbuf_printf(&with_value, " -%s", option_table[k].letter);
            first = false;
        }
    strbuf_puts(&with_value, "'\n");
    _cleanup_free_ char *line = strbuf_take(&with_value);
    if (!strstr(text, line))
        fail_msg("the completion lacks:%s", line);
}

/* Verbs of a family have a page of their own, davit-FAMILY(1). */
static char *page_of(const char *verb) {
    size_t n = strcspn(verb, " ");
    _cleanup_free_ char *name =
        verb[n] ? strf("docs/davit-%.*s.1.scd", (int)n, verb) : strdup("docs/davit.1.scd");
    return source_file(name);
}

static void the_manual_pages_describe_all_of_them(void **state _unused_) {
    _cleanup_free_ char *top = source_file("docs/davit.1.scd");
    if (!top) {
        print_message("skipped: no docs/davit.1.scd here (DAVIT_SOURCE)\n");
        skip();
    }
    for (size_t i = 0; i < n_verbs; i++) {
        _cleanup_free_ char *text = page_of(verbs[i].name), *word = strf("*%s*", verbs[i].name);
        if (!text || !strstr(text, word))
            fail_msg("no manual page has the verb %s", word);
        for (size_t k = 0; k < n_options; k++) {
            _cleanup_free_ char *option = strf("--%s", option_table[k].name);
            if (verb_takes(&verbs[i], &option_table[k]) && !strstr(text, option) && !strstr(top, option))
                fail_msg("the manual page of %s does not have %s", verbs[i].name, option);
        }
    }
}

static void a_family_is_known_by_its_first_word(void **state _unused_) {
    assert_true(verb_is_family("image"));
    assert_false(verb_is_family("imag"));
    assert_false(verb_is_family("status"));
    assert_null(verb_find("image"));
    assert_non_null(verb_find("image list"));
}

/* ---- parsing ---- */

static int parse(struct cli_options *o, const char *verb, const char *const *argv) {
    int argc = 0;
    while (argv[argc])
        argc++;
    return options_parse(o, verb ? verb_find(verb) : NULL, argc, (char **)(uintptr_t)argv);
}

#define ARGV(...) ((const char *[]){__VA_ARGS__, NULL})

static void options_are_read(void **state _unused_) {
    struct cli_options o = {};
    assert_int_equal(parse(&o, "logs", ARGV("logs", "web", "-fn20", "--since=today", "db")), 3);
    assert_true(o.follow);
    assert_string_equal(o.lines, "20");
    assert_string_equal(o.since, "today");
    options_done(&o);
    assert_int_equal(parse(&o, NULL, ARGV("davit", "--json", "status", "--nonsense")), 2);
    assert_true(o.json);
    options_done(&o);
    assert_int_equal(parse(&o, "exec", ARGV("exec", "-it", "-eA=1", "-e", "B", "web", "ls", "-la")), 5);
    assert_true(o.interactive && o.terminal);
    assert_int_equal(strv_length(o.env), 2);
    options_done(&o);
}

static void wrong_options_are_refused(void **state _unused_) {
    struct cli_options o = {};
    assert_int_equal(parse(&o, "start", ARGV("start", "--follow", "web")), -EINVAL);
    assert_int_equal(parse(&o, "start", ARGV("start", "-x", "web")), -EINVAL);
    assert_int_equal(parse(&o, "logs", ARGV("logs", "--lines")), -EINVAL);
    assert_int_equal(parse(&o, "logs", ARGV("logs", "-n")), -EINVAL);
    assert_int_equal(parse(&o, NULL, ARGV("davit", "--lines=1", "logs")), -EINVAL);
    options_done(&o);
}

/* ---- output ---- */

static char *printed(struct table *t, size_t width, bool heading) {
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    assert_int_equal(table_print(t, f, width, heading), 0);
    (void)fclose(f);
    return text;
}

static struct table example(void) {
    static const struct table_column columns[] = {
        {"A", false, true}, {"NUMBER", true, false}, {"TEXT", false, true}};
    struct table t = {.columns = columns, .n_columns = 3};
    const char *const cells[] = {
        "one", "1", "short", "zwölf", "12", "a rather long description", "x", NULL, ""};
    for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
        table_add(&t, COLOR_NONE, cells[i]);
    return t;
}

static void tables_fit(void **state _unused_) {
    struct table t = example();
    _cleanup_free_ char *wide = printed(&t, SIZE_MAX, true);
    assert_string_equal(wide, "A      NUMBER  TEXT\n"
                              "one         1  short\n"
                              "zwölf      12  a rather long description\n"
                              "x           -  -\n");
    t = example();
    _cleanup_free_ char *narrow = printed(&t, 28, false);
    assert_string_equal(narrow, "one     1  short\n"
                                "zwölf  12  a rather long de…\n"
                                "x       -  -\n");
    t = example();
    _cleanup_free_ char *tiny = printed(&t, 1, true); /* headings and ten columns stay */
    assert_non_null(strstr(tiny, "zwölf      12  a rather …\n"));
    t = (struct table){.columns = t.columns, .n_columns = 3};
    _cleanup_free_ char *empty = printed(&t, 80, true);
    assert_string_equal(empty, "A  NUMBER  TEXT\n");
}

static void terminals_are_safe_from_text(void **state _unused_) {
    static const struct {
        const char *text, *printable;
    } cases[] = {
        {"plain é€😀\t.", "plain é€😀\t."},
        {"\033[31mred\r\n", "\\x1b[31mred\\x0d\\x0a"},
        {"\xc2\x9b"
         "31m",
            "\\xc2\\x9b31m"}, /* CSI in one character */
        {"\xff\xc3", "\\xff\\xc3"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* half a surrogate pair */
        {"\x7f", "\\x7f"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *got = text_printable(cases[i].text, strlen(cases[i].text));
        assert_string_equal(got, cases[i].printable);
    }
    _cleanup_free_ char *nul = text_printable("a\0b", 3);
    assert_string_equal(nul, "a\\x00b");
    assert_int_equal(text_width("zwölf€😀"), 7);
}

static void times_are_near_or_far(void **state _unused_) {
    char b[TIMESPAN_MAX + 8];
    usec_t now = 1000000 * USEC_PER_SEC;
    assert_string_equal(time_ago(now - 5 * 60 * USEC_PER_SEC, now, b), "5min ago");
    assert_string_equal(time_ago(now - 3661 * USEC_PER_SEC, now, b), "1h 1min ago");
    assert_string_equal(time_ago(now + 20 * USEC_PER_SEC, now, b), "20s left");
    assert_string_equal(time_ago(now - 26 * 3600 * USEC_PER_SEC, now, b), "1d 2h ago");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_verb_option_exists),
        cmocka_unit_test(each_option_is_of_use_and_unmistakable),
        cmocka_unit_test(the_completion_knows_the_same_words),
        cmocka_unit_test(the_manual_pages_describe_all_of_them),
        cmocka_unit_test(a_family_is_known_by_its_first_word),
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(tables_fit),
        cmocka_unit_test(terminals_are_safe_from_text),
        cmocka_unit_test(times_are_near_or_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
