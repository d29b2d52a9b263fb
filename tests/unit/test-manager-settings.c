/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-core.c */
/* davit.conf, good and bad, through the worker in a child as davitd has it: what comes back, is checked or an
 * error. */
#include "fake-core.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <syslog.h>

#include "base/fs.h"
#include "manager/settings_keys.h"

/* The worker's answer to a file with that content; text NULL = there is no file. */
static int read_through_worker(const char *text, size_t n, struct settings *ret, struct error *e) {
    _cleanup_free_ char *answer = NULL;
    size_t size = 0;
    int pipefd[2];

    (void)unlink(fake->m.paths.config);
    if (text)
        assert_int_equal(file_write_atomic(AT_FDCWD, fake->m.paths.config, text, n, 0644, false), 0);
    assert_int_equal(pipe(pipefd), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(pipefd[0]);
        _exit(settings_worker(fake->m.paths.config, pipefd[1]));
    }
    (void)close(pipefd[1]);
    assert_int_equal(fd_read_all(pipefd[0], 1024 * 1024, &answer, &size), 0);
    (void)close(pipefd[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return settings_decode(answer, size, ret, e);
}

static void a_missing_file_means_the_defaults(void **state) {
    (void)state;
    struct settings s;
    struct error e = {};

    assert_int_equal(read_through_worker(NULL, 0, &s, &e), 0);
    assert_string_equal(s.default_target, "default.target");
    assert_int_equal(s.userns_base, 524288);
    assert_int_equal(s.default_timeout_start, 90 * USEC_PER_SEC);
    assert_false(s.strict);
    settings_done(&s);
}

static void every_setting_is_taken(void **state) {
    (void)state;
    const char *text =
        "// a comment\n"
        "unit_path = [ \"/a\", \"/b c\" ];\n"
        "image_roots = ( \"/srv/images\" )\n"
        "default_target = \"multi-user.target\";\n"
        "strict = true; allow_missing_limits = \"yes\"; keep_trying = TRUE;\n"
        "storage_driver = \"vfs\"; image_limit = \"40%\"; image_unused_for = \"1h\"; image_gc = false; "
        "image_keep_archives = true;\n"
        "image_memory = \"64M\";\n"
        "start_concurrency = 8; max_units = 100; max_clients_per_uid = \"7\";\n"
        "log_level = \"debug\"; log_sink = \"file\"; log_max_size = \"1M\"; log_max_files = 2;\n"
        "default_timeout_start = \"2min\"; default_timeout_stop = 5; default_restart_sec = \"250ms\";\n"
        "userns_base = 1000000; userns_size = 100000; userns_count = 10;\n"
        "/* 5000000000 in a comment, and \"5000000000\" in a string, are no numbers */\n";
    struct settings s;
    struct error e = {};

    if (read_through_worker(text, strlen(text), &s, &e) < 0)
        fail_msg("%s", e.text);
    assert_string_equal(s.unit_path[1], "/b c");
    assert_string_equal(s.image_roots[0], "/srv/images");
    assert_string_equal(s.default_target, "multi-user.target");
    assert_string_equal(s.storage_driver, "vfs");
    assert_string_equal(s.image_limit, "40%");
    assert_int_equal(s.image_unused_for, 3600 * USEC_PER_SEC);
    assert_false(s.image_gc);
    assert_true(s.image_keep_archives);
    assert_int_equal(s.image_memory, 64 * 1024 * 1024);
    assert_true(s.strict && s.allow_missing_limits && s.keep_trying);
    assert_int_equal(s.start_concurrency, 8);
    assert_int_equal(s.max_clients_per_uid, 7);
    assert_int_equal(s.log_level, LOG_DEBUG);
    assert_string_equal(s.log_sink, "file");
    assert_int_equal(s.log_max_size, 1024 * 1024);
    assert_int_equal(s.default_timeout_start, 120 * USEC_PER_SEC);
    assert_int_equal(s.default_timeout_stop, 5 * USEC_PER_SEC);
    assert_int_equal(s.default_restart_sec, 250 * USEC_PER_MSEC);
    assert_int_equal(s.userns_size, 100000);
    settings_done(&s);
}

/* The error names file and line (where there is one), and says what is wrong. */
static void bad_files_are_refused_with_a_place(void **state) {
    (void)state;
    static const struct {
        const char *text, *expected;
        unsigned line;
    } table[] = {
        {"max_unitz = 5;", "did you mean max_units?", 1},
        {"\n\nlog_levle = \"info\";", "unknown setting log_levle (did you mean log_level?)", 3},
        {"nothing_like_it = 1;", "unknown setting nothing_like_it", 1},
        {"log: { level = 5; };", "unknown setting log", 1},
        {"registries = {\n serach = [];\n};", "unknown setting serach", 2},
        {"strict: { a = 1; };", "true or false", 1},
        {"max_units = \"many\";", "a number", 1},
        {"max_units = 0;", "from 1 to 65536", 1},
        {"max_units = -5;", "from 1 to 65536", 1},
        {"max_units = 1.5;", "a number", 1},
        {"max_units = 5000000000;", "too large", 1},
        {"max_units = 99999999999999999999L;", "too large", 1},
        {"max_units = 5000000000L;", "from 1 to 65536", 1},
        {"max_units = 0x100000001;", "too large", 1},
        {"max_units = [ 1 ];", "a number", 1},
        {"strict = 1;", "true or false", 1},
        {"strict = \"perhaps\";", "true or false", 1},
        {"unit_path = \"/a\";", "a list of absolute paths", 1},
        {"unit_path = [ \"a\" ];", "a list of absolute paths", 1},
        {"unit_path = [ \"/a/../b\" ];", "a list of absolute paths", 1},
        {"unit_path = [ 1 ];", "a list of absolute paths", 1},
        {"unit_path: { };", "a list of absolute paths", 1},
        {"default_target = \"\";", "the name of a unit", 1},
        {"default_target = 1;", "the name of a unit", 1},
        {"default_target = \"a/b.target\";", "the name of a unit", 1},
        {"log_level = \"loud\";", "a log level", 1},
        {"storage_driver = \"zfs\";", "\"zfs\" is not supported: put /var/lib/davit on", 1},
        {"storage_driver = \"devicemapper\";", "a file system of a logical volume", 1},
        {"storage_driver = \"aufs\";", "the kernel has overlay instead", 1},
        {"storage_driver = \"floppy\";", "\"overlay\", \"btrfs\" or \"vfs\" is expected", 1},
        {"log_sink = \"syslog\";", "\"journal\"", 1},
        {"log_max_size = \"big\";", "a size", 1},
        {"log_max_size = \"1K\";", "from 65536", 1},
        {"default_timeout_start = \"soon\";", "a time span", 1},
        {"default_timeout_start = -1;", "a time span", 1},
        {"userns_base = 0;", "from 65536", 1},
        {"userns_base = 2000000000; userns_size = 1000000; userns_count = 60000;", "beyond the last user id",
            0},
        {"max_units = 1;\nmax_units = 2;", "duplicate", 2},
        {"a = ;", "syntax error", 1},
        {"strict: {", "syntax error", 1},
        {"\n/* no end", "a comment does not end", 2},
        {"\n\ndefault_target = \"a", "a string does not end", 3},
        {"@include \"/etc/passwd\"", "@include", 1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct settings s;
        struct error e = {};
        if (read_through_worker(table[i].text, strlen(table[i].text), &s, &e) >= 0)
            fail_msg("taken: %s", table[i].text);
        if (!strstr(e.text, table[i].expected))
            fail_msg("%s: \"%s\" has no \"%s\"", table[i].text, e.text, table[i].expected);
        if (table[i].line > 0) {
            _cleanup_free_ char *place = strf("davit.conf:%u: ", table[i].line);
            if (!strstr(e.text, place))
                fail_msg("%s: \"%s\" has no \"%s\"", table[i].text, e.text, place);
        }
    }
}

static void strange_files_are_refused(void **state) {
    (void)state;
    struct settings s;
    struct error e = {};

    assert_true(read_through_worker("strict = true;\0 max_units = 1;", 29, &s, &e) < 0);
    assert_non_null(strstr(e.text, "NUL"));

    size_t n = 2 * 1024 * 1024;
    _cleanup_free_ char *large = malloc(n);
    memset(large, ' ', n);
    assert_true(read_through_worker(large, n, &s, &e) < 0);

    /* Nesting that libconfig's parser gives up on, and bytes that are no text. */
    memset(large, '(', 100000);
    assert_true(read_through_worker(large, 100000, &s, &e) < 0);
    for (size_t i = 0; i < 1000; i++)
        large[i] = (char)(i * 7 % 255 + 1);
    assert_true(read_through_worker(large, 1000, &s, &e) < 0);
}

static void wire_form_is_checked(void **state) {
    (void)state;
    _cleanup_free_ void *data = NULL;
    struct settings s;
    struct error e = {}, sent = {};
    size_t n;

    settings_init(&s);
    assert_int_equal(settings_encode(&s, NULL, &data, &n), 0);
    settings_done(&s);
    for (size_t i = 0; i < n; i++)
        assert_true(settings_decode(data, i, &s, &e) < 0);

    (void)error_set(&sent, EINVAL, "davit.conf:3: no");
    free(data);
    settings_init(&s);
    assert_int_equal(settings_encode(&s, &sent, &data, &n), 0);
    settings_done(&s);
    assert_int_equal(settings_decode(data, n, &s, &e), -EINVAL);
    assert_string_equal(e.text, "davit.conf:3: no");
}

static void the_table_has_no_doubles(void **state) {
    (void)state;
    size_t n;
    const struct setting_key *keys = setting_keys(&n);

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(keys[i].name, keys[j].name);
            assert_true(keys[i].offset != keys[j].offset);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_missing_file_means_the_defaults, fake_core_setup, fake_core_teardown),
        cmocka_unit_test_setup_teardown(every_setting_is_taken, fake_core_setup, fake_core_teardown),
        cmocka_unit_test_setup_teardown(
            bad_files_are_refused_with_a_place, fake_core_setup, fake_core_teardown),
        cmocka_unit_test_setup_teardown(strange_files_are_refused, fake_core_setup, fake_core_teardown),
        cmocka_unit_test_setup_teardown(wire_form_is_checked, fake_core_setup, fake_core_teardown),
        cmocka_unit_test(the_table_has_no_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
