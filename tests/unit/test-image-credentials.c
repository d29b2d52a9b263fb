/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/credentials.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/fs.h"

/* base64 of one:1, two:2, three:3, four:4 */
static const char file[] = "{\"auths\": {"
                           "\"registry.example.com\": {\"auth\": \"b25lOjE=\"},"
                           "\"registry.example.com/team\": {\"auth\": \"dHdvOjI=\"},"
                           "\"registry.example.com/team/web\": {\"auth\": \"dGhyZWU6Mw==\"},"
                           "\"https://index.docker.io/v1/\": {\"auth\": \"Zm91cjo0\"},"
                           "\"empty.example.com\": {},"
                           "\"token.example.com\": {\"identitytoken\": \"secret\"}},"
                           "\"credHelpers\": {\"helped.example.com\": \"pass\"}}";

static void check(const char *name, const char *user, const char *password) {
    _cleanup_(credentials_done) struct credentials c = {0};
    int r = credentials_find(file, strlen(file), "auth.json", name, NULL, &c, NULL);

    if ((r == 1) != (user != NULL))
        print_error("%s: %d\n", name, r);
    assert_int_equal(r, user ? 1 : 0);
    if (!user)
        return;
    assert_string_equal(c.user, user);
    assert_string_equal(c.password, password);
}

static void the_longest_prefix_wins(void **state) {
    (void)state;

    check("registry.example.com/x", "one", "1");
    check("registry.example.com", "one", "1");
    check("registry.example.com/team/x/y", "two", "2");
    check("registry.example.com/team/web", "three", "3");
    check("registry.example.com/team/web/x", "three", "3");
    /* a prefix ends at a slash */
    check("registry.example.com/teammates/x", "one", "1");
    check("registry.example.com/team/website", "two", "2");
    check("registry.example.com:5000/team", NULL, NULL);
    check("evil.registry.example.com/team", NULL, NULL);
    check("registry.example.com.evil.org/team", NULL, NULL);
}

static void old_keys_stand_for_their_host(void **state) {
    (void)state;

    check("docker.io/library/debian", "four", "4");
    check("empty.example.com/x", NULL, NULL);
}

static void an_identity_token_needs_no_password(void **state) {
    _cleanup_(credentials_done) struct credentials c = {0};
    (void)state;

    assert_int_equal(
        credentials_find(file, strlen(file), "auth.json", "token.example.com/x", NULL, &c, NULL), 1);
    assert_string_equal(c.identity_token, "secret");
    assert_null(c.user);
}

static void helpers_are_noticed_and_not_run(void **state) {
    _cleanup_(credentials_done) struct credentials c = {0};
    bool helper = false;
    (void)state;

    assert_int_equal(
        credentials_find(file, strlen(file), "auth.json", "helped.example.com/x", &helper, &c, NULL), 0);
    assert_true(helper);
}

static void damaged_files_say_where(void **state) {
    static const char *const bad[] = {
        "",
        "[]",
        "{\"auths\": {\"a\": {\"auth\": \"%%%\"}}}",
        "{\"auths\": {\"a\": {\"auth\": \"bm9jb2xvbg==\"}}}",
        "{\"auths\": {\"a\": {}, \"a\": {}}}",
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        _cleanup_(credentials_done) struct credentials c = {0};
        struct error e = {0};

        assert_int_equal(
            credentials_find(bad[i], strlen(bad[i]), "/x/auth.json", "a", NULL, &c, &e), -EBADMSG);
        assert_non_null(strstr(e.text, "/x/auth.json"));
        assert_null(strstr(e.text, "%%%"));
    }
}

static void keys(void **state) {
    static const char *const pairs[][2] = {
        {"Registry.Example.com", "registry.example.com"},
        {"https://Registry.Example.com/v2/", "registry.example.com"},
        {"http://a:5000", "a:5000"},
        {"a/B/c/", "a/B/c"},
        {"index.docker.io", "docker.io"},
        {"https://registry-1.docker.io", "docker.io"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        _cleanup_free_ char *key = credentials_key(pairs[i][0]);
        assert_string_equal(key, pairs[i][1]);
    }
}

static void creds_of_the_command_line(void **state) {
    _cleanup_(credentials_done) struct credentials a = {0}, b = {0};
    (void)state;

    assert_int_equal(credentials_parse("user:pass:word", &a), 0);
    assert_string_equal(a.user, "user");
    assert_string_equal(a.password, "pass:word");
    assert_int_equal(credentials_parse("user", &b), 0);
    assert_string_equal(b.password, "");
    assert_int_equal(credentials_parse(":x", &b), -EINVAL);
}

static void login_and_logout_change_one_entry(void **state) {
    char directory[] = "/tmp/test-credentials-XXXXXX";
    _cleanup_(credentials_done) struct credentials one = {0}, two = {0};
    _cleanup_strv_free_ char **files = NULL;
    struct error e = {0};
    struct stat st;
    (void)state;

    assert_non_null(mkdtemp(directory));
    _cleanup_free_ char *path = path_join(directory, "sub/auth.json");
    assert_int_equal(strv_append(&files, path), 0);
    assert_int_equal(credentials_store(path, "a.example", "ann", "x", &e), 0);
    assert_int_equal(credentials_store(path, "b.example", "bob", "secret", &e), 0);
    assert_int_equal(credentials_store(path, "a.example", "ann", "y:z", &e), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);

    assert_int_equal(credentials_lookup(files, true, "a.example/x", &one, NULL, &e), 0);
    assert_string_equal(one.password, "y:z");
    assert_non_null(strstr(one.source, path));

    assert_int_equal(credentials_store(path, "a.example", NULL, NULL, &e), 0);
    assert_int_equal(credentials_store(path, "a.example", NULL, NULL, &e), -ENOENT);
    assert_int_equal(credentials_lookup(files, true, "a.example/x", &two, NULL, &e), 0);
    assert_false(credentials_set(&two));
    assert_int_equal(credentials_lookup(files, true, "b.example/x", &two, NULL, &e), 0);
    assert_string_equal(two.user, "bob");
    assert_int_equal(remove_tree(AT_FDCWD, directory), 0);
}

static void a_named_file_must_be_there(void **state) {
    _cleanup_(credentials_done) struct credentials c = {0};
    char *files[] = {(char[]){"/nonexistent/auth.json"}, NULL};
    (void)state;

    assert_int_equal(credentials_lookup(files, false, "a/b", &c, NULL, NULL), 0);
    assert_int_equal(credentials_lookup(files, true, "a/b", &c, NULL, NULL), -ENOENT);
}

static void the_files_are_those_of_podman_and_docker(void **state) {
    _cleanup_strv_free_ char **all = NULL, **one = NULL, **set = NULL;
    (void)state;

    (void)unsetenv("REGISTRY_AUTH_FILE");
    (void)unsetenv("DOCKER_CONFIG");
    (void)unsetenv("XDG_RUNTIME_DIR");
    (void)setenv("HOME", "/home/x", 1);
    assert_int_equal(credentials_files(NULL, "/etc/davit/davit.conf", &all), 0);
    _cleanup_free_ char *joined = strv_join(all, " "), *run = strf("/run/containers/%u/auth.json", geteuid());
    assert_ptr_equal(strstr(joined, run), joined);
    assert_non_null(strstr(
        joined, " /etc/davit/auth.json /home/x/.config/containers/auth.json /home/x/.docker/config.json"));

    (void)setenv("REGISTRY_AUTH_FILE", "/y", 1);
    assert_int_equal(credentials_files(NULL, NULL, &set), 0);
    assert_int_equal(strv_length(set), 1);
    assert_string_equal(set[0], "/y");
    assert_int_equal(credentials_files("/z", NULL, &one), 0);
    assert_int_equal(strv_length(one), 1);
    assert_string_equal(one[0], "/z");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_prefix_wins),
        cmocka_unit_test(old_keys_stand_for_their_host),
        cmocka_unit_test(an_identity_token_needs_no_password),
        cmocka_unit_test(helpers_are_noticed_and_not_run),
        cmocka_unit_test(damaged_files_say_where),
        cmocka_unit_test(keys),
        cmocka_unit_test(creds_of_the_command_line),
        cmocka_unit_test(login_and_logout_change_one_entry),
        cmocka_unit_test(a_named_file_must_be_there),
        cmocka_unit_test(the_files_are_those_of_podman_and_docker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
