/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* init/cmdline.h: what of the kernel's command line is for davit. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/str.h"
#include "init/cmdline.h"

static void nothing(int priority, const char *text, char *const *fields) {
    (void)priority;
    (void)text;
    (void)fields;
}

static struct boot_options parse(const char *text) {
    struct boot_options o;
    char path[] = "/tmp/davit-cmdline-XXXXXX";

    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    boot_options_init(&o);
    log_set_sink(nothing);
    assert_int_equal(boot_options_read(&o, path), 0);
    log_set_sink(NULL);
    (void)unlink(path);
    return o;
}

static void our_words_are_taken(void **state) {
    (void)state;
    struct boot_options o =
        parse("davit.target=web.target davit.log=debug davit.crash=poweroff davit.crash_delay=3s "
              "davit.watchdog=30 davit.watchdog_device=/dev/watchdog1 davit.var=/dev/vdb davit.cgroup=hybrid "
              "davit.hostname=box davit.boot_timeout=1min davit.power_key=no davit.shell=0 "
              "davit.manager_lost=10min fsck.mode=force fsck.repair=no\n");
    assert_string_equal(o.target, "web.target");
    assert_int_equal(o.log_level, LOG_DEBUG);
    assert_int_equal(o.crash_action, CRASH_POWEROFF);
    assert_int_equal(o.crash_delay, 3 * USEC_PER_SEC);
    assert_int_equal(o.watchdog_usec, 30 * USEC_PER_SEC);
    assert_string_equal(o.watchdog_device, "/dev/watchdog1");
    assert_string_equal(o.var, "/dev/vdb");
    assert_int_equal(o.cgroup, CGROUP_HYBRID);
    assert_string_equal(o.hostname, "box");
    assert_int_equal(o.boot_timeout, 60 * USEC_PER_SEC);
    assert_false(o.power_key || o.shell);
    assert_int_equal(o.manager_lost, 600 * USEC_PER_SEC);
    assert_int_equal(o.fsck_mode, FSCK_FORCE);
    assert_int_equal(o.fsck_repair, FSCK_NO);
    o = parse("fsck.mode=never davit.power_key=maybe");
    assert_true(o.power_key && o.shell);
    assert_int_equal(o.fsck_mode, FSCK_AUTO);
}

static void var_is_a_device_as_fstab_names_it(void **state) {
    (void)state;
    static const char *const names[] = {
        "/dev/vdb", "UUID=ab", "LABEL=var", "PARTUUID=12-02", "PARTLABEL=var"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        _cleanup_free_ char *line = strf("davit.var=%s\n", names[i]);
        struct boot_options o = parse(line);
        assert_string_equal(o.var, names[i]);
    }
}

static void the_words_of_all_inits_name_a_target(void **state) {
    (void)state;
    static const struct {
        const char *word, *target;
    } table[] = {{"rescue", "rescue.target"}, {"single", "rescue.target"}, {"1", "rescue.target"},
        {"s", "rescue.target"}, {"S", "rescue.target"}, {"emergency", "emergency.target"},
        {"-b", "emergency.target"}, {"systemd.unit=a.target", "a.target"}};
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        assert_string_equal(parse(table[i].word).target, table[i].target);
}

static void words_of_others_are_passed_over(void **state) {
    (void)state;
    struct boot_options before,
        after = parse("BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro rescuer emergency.x=1 davit "
                      "davit.no_such=1 quietly debug=on single=2 = == -b=1");
    boot_options_init(&before);
    assert_memory_equal(&after, &before, sizeof before);
}

static void values_without_sense_change_nothing(void **state) {
    (void)state;
    struct boot_options before,
        after = parse("davit.target= davit.target davit.log=loud davit.crash=maybe "
                      "davit.watchdog=soon davit.var=nowhere davit.machine_id=xyz "
                      "davit.cgroup=v3 davit.crash_core=perhaps davit.watchdog_device=w");
    boot_options_init(&before);
    assert_memory_equal(&after, &before, sizeof before);
}

static void the_last_word_wins(void **state) {
    (void)state;
    assert_string_equal(parse("rescue emergency").target, "emergency.target");
    assert_string_equal(parse("emergency davit.target=x.target").target, "x.target");
}

static void quotes_keep_blanks_in_a_word(void **state) {
    (void)state;
    struct boot_options o = parse("other=\"a b rescue\" davit.hostname=\"box\" \"davit.target=a.target\"");
    assert_string_equal(o.hostname, "box");
    assert_string_equal(o.target, "a.target");
}

/* A boot loader with a script language can produce anything: no length may overflow a buffer. */
static void words_longer_than_any_buffer_are_passed_over(void **state) {
    (void)state;
    _cleanup_strbuf_ struct strbuf b = {};
    strbuf_puts(&b, "davit.target=");
    for (size_t i = 0; i < 100000; i++)
        strbuf_putc(&b, 'x');
    strbuf_puts(&b, " davit.hostname=");
    for (size_t i = 0; i < 65; i++)
        strbuf_putc(&b, 'h');
    strbuf_puts(&b, " davit.var=tmpfs ");
    for (size_t i = 0; i < 20000; i++)
        strbuf_puts(&b, "w ");
    strbuf_puts(&b, "rescue");
    _cleanup_free_ char *text = strbuf_take(&b);
    struct boot_options o = parse(text);
    assert_string_equal(o.target, "rescue.target");
    assert_string_equal(o.hostname, "");
    assert_string_equal(o.var, "tmpfs");
}

static void quiet_debug_and_log_choose_what_the_console_shows(void **state) {
    (void)state;
    assert_int_equal(parse("").console_level, LOG_NOTICE);
    assert_int_equal(parse("quiet").console_level, LOG_WARNING);
    assert_int_equal(parse("debug").log_level, LOG_DEBUG);
    struct boot_options o = parse("davit.log=kmsg");
    assert_true(o.log_kmsg);
    assert_false(o.log_console);
    o = parse("davit.log=console,info");
    assert_true(o.log_console);
    assert_false(o.log_kmsg);
    assert_int_equal(o.console_level, LOG_INFO);
    o = parse("davit.log=null");
    assert_false(o.log_console || o.log_kmsg);
}

static void an_empty_command_line_is_fine(void **state) {
    (void)state;
    struct boot_options before, after = parse("");
    boot_options_init(&before);
    assert_memory_equal(&after, &before, sizeof before);
    assert_int_equal(boot_options_read(&after, "/no/such/file"), -ENOENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_words_are_taken),
        cmocka_unit_test(var_is_a_device_as_fstab_names_it),
        cmocka_unit_test(the_words_of_all_inits_name_a_target),
        cmocka_unit_test(words_of_others_are_passed_over),
        cmocka_unit_test(values_without_sense_change_nothing),
        cmocka_unit_test(the_last_word_wins),
        cmocka_unit_test(quotes_keep_blanks_in_a_word),
        cmocka_unit_test(words_longer_than_any_buffer_are_passed_over),
        cmocka_unit_test(quiet_debug_and_log_choose_what_the_console_shows),
        cmocka_unit_test(an_empty_command_line_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
