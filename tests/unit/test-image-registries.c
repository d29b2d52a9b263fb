/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/registries.h"

#include <fcntl.h>
#include <setjmp.h>

#include <cmocka.h>

#include "base/fs.h"

static int read_text(const char *text, struct registries *ret, struct error *e) {
    char path[] = "/tmp/test-registries-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
    (void)close(fd);
    int r = registries_read(path, ret, e);
    assert_int_equal(unlink(path), 0);
    return r;
}

static const char configuration[] =
    "log_level = \"info\";\n"
    "registries = {\n"
    "  search = [\"registry.example.com\", \"docker.io\"];\n"
    "  aliases = ( { name = \"base\"; image = \"registry.example.com/os/base\"; } );\n"
    "  certs = [\"/etc/davit/certs.d\"];\n"
    "  parallel = 5;\n"
    "  registry = (\n"
    "    { prefix = \"docker.io\"; mirrors = ( { location = \"10.0.0.5:5000/hub\"; plain_http = true; },\n"
    "                                          { location = \"mirror.example.com\"; } ); },\n"
    "    { prefix = \"docker.io/secret\"; blocked = true; },\n"
    "    { location = \"plain.example.com:5000\"; insecure = true; ca = \"/etc/x.pem\"; },\n"
    "    { prefix = \"old.example.com/a\"; location = \"new.example.com/b/c\"; }\n"
    "  );\n"
    "};\n";

/* "host repository" of each place, joined by "|"; the error's number where there is none. */
static void check_places(const struct registries *r, const char *name, const char *expected, int number) {
    _cleanup_(reference_done) struct reference reference = {0};
    _cleanup_strbuf_ struct strbuf b = {};
    struct registry_endpoint *list = NULL;
    size_t n = 0;

    assert_int_equal(reference_parse(name, &reference, NULL), 0);
    int q = registries_endpoints(r, &reference, &list, &n, NULL);
    assert_int_equal(q, number);
    for (size_t i = 0; i < n; i++)
        strbuf_printf(&b, "%s%s %s", i ? "|" : "", list[i].host, list[i].repository);
    registry_endpoints_free(list, n);
    _cleanup_free_ char *text = strbuf_take(&b);
    assert_string_equal(text, expected);
}

static void check_names(const struct registries *r, const char *name, const char *expected) {
    _cleanup_(reference_done) struct reference reference = {0};
    _cleanup_strv_free_ char **list = NULL;

    assert_int_equal(reference_parse(name, &reference, NULL), 0);
    assert_int_equal(registries_candidates(r, &reference, &list, NULL), 0);
    _cleanup_free_ char *text = strv_join(list, " ");
    assert_string_equal(text, expected);
}

static void mirrors_come_before_the_registry(void **state) {
    _cleanup_(registries_done) struct registries r;
    (void)state;

    assert_int_equal(read_text(configuration, &r, NULL), 0);
    assert_int_equal(r.parallel, 5);
    check_places(&r, "docker.io/nginx",
        "10.0.0.5:5000 hub/library/nginx|mirror.example.com library/nginx|registry-1.docker.io library/nginx",
        0);
    check_places(&r, "plain.example.com:5000/x/y", "plain.example.com:5000 x/y", 0);
    assert_true(r.entries[2].primary.insecure);
    assert_string_equal(r.entries[2].primary.ca, "/etc/x.pem");
    check_places(&r, "other.example.com/x", "other.example.com x", 0);
}

static void the_longest_prefix_counts(void **state) {
    _cleanup_(registries_done) struct registries r;
    (void)state;

    assert_int_equal(read_text(configuration, &r, NULL), 0);
    check_places(&r, "docker.io/secret/x", "", -EPERM);
    check_places(&r, "docker.io/secrets/x",
        "10.0.0.5:5000 hub/secrets/x|mirror.example.com secrets/x|registry-1.docker.io secrets/x", 0);
}

static void a_prefix_is_replaced_by_its_location(void **state) {
    _cleanup_(registries_done) struct registries r;
    (void)state;

    assert_int_equal(read_text(configuration, &r, NULL), 0);
    check_places(&r, "old.example.com/a/x", "new.example.com b/c/x", 0);
    check_places(&r, "old.example.com/b/x", "old.example.com b/x", 0);
}

static void short_names_are_searched_for(void **state) {
    _cleanup_(registries_done) struct registries r, none;
    (void)state;

    assert_int_equal(read_text(configuration, &r, NULL), 0);
    check_names(&r, "nginx", "registry.example.com/nginx:latest docker.io/library/nginx:latest");
    check_names(&r, "team/nginx:2", "registry.example.com/team/nginx:2 docker.io/team/nginx:2");
    check_names(&r, "base:3", "registry.example.com/os/base:3");
    check_names(&r, "x.example/y", "x.example/y:latest");
    check_names(&r, "docker.io/nginx", "docker.io/library/nginx:latest");
    assert_int_equal(read_text("", &none, NULL), 0);
    check_names(&none, "nginx", "docker.io/library/nginx:latest");
}

static void the_search_list_may_be_empty(void **state) {
    _cleanup_(reference_done) struct reference reference = {0};
    _cleanup_(registries_done) struct registries r;
    char **list = NULL;
    struct error e = {0};
    (void)state;

    assert_int_equal(read_text("registries = { search = []; };", &r, NULL), 0);
    assert_int_equal(reference_parse("nginx", &reference, NULL), 0);
    assert_int_equal(registries_candidates(&r, &reference, &list, &e), -ENOENT);
    assert_non_null(strstr(e.text, "search"));
}

static void defaults_without_a_file(void **state) {
    _cleanup_(registries_done) struct registries r;
    (void)state;

    assert_int_equal(registries_read("/nonexistent/davit.conf", &r, NULL), 0);
    assert_string_equal(r.search[0], "docker.io");
    assert_string_equal(r.certs[0], "/etc/containers/certs.d");
    assert_int_equal(r.parallel, 3);
}

static void mistakes_name_their_line(void **state) {
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"registries = 7;", ":1:"},
        {"registries = {\n serach = [];\n};", ":2: registries: unknown setting serach"},
        {"registries = { search = [\"https://x\"]; };", "search"},
        {"registries = { certs = [\"x\"]; };", "absolute"},
        {"registries = { parallel = 0; };", "1 to 16"},
        {"registries = { registry = ( { blocked = true; } ); };", "prefix"},
        {"registries = { registry = ( { prefix = \"a/../b\"; } ); };", "prefix"},
        {"registries = { registry = ( { prefix = \"a\"; tls = true; } ); };", "unknown setting tls"},
        {"registries = { registry = ( { prefix = \"a\"; mirrors = ( { insecure = true; } ); } ); };",
            "location"},
        {"registries = { registry = ( { prefix = \"a\"; mirrors = ( { location = \"b?c\"; } ); } ); };",
            "location"},
        {"registries = { aliases = ( { name = \"a\"; } ); };", "aliases"},
        {"registries = {", ":1:"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct registries r;
        struct error e = {0};

        assert_int_equal(read_text(bad[i].text, &r, &e), -EINVAL);
        if (!strstr(e.text, bad[i].part))
            print_error("%s\n", e.text);
        assert_non_null(strstr(e.text, bad[i].part));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mirrors_come_before_the_registry),
        cmocka_unit_test(the_longest_prefix_counts),
        cmocka_unit_test(a_prefix_is_replaced_by_its_location),
        cmocka_unit_test(short_names_are_searched_for),
        cmocka_unit_test(the_search_list_may_be_empty),
        cmocka_unit_test(defaults_without_a_file),
        cmocka_unit_test(mistakes_name_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
