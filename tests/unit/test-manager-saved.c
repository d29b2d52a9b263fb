/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-core.c */
/* Saved state: what is written is what is read, and nothing else is believed. */
#include "fake-core.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"

static struct managed_unit *busy_unit(void) {
    struct managed_unit *u = fake_unit("web.container", "[Container]\nImage=/\nExec=true\n");

    u->state = STATE_RUNNING;
    u->step = STEP_START_POST;
    u->result = RESULT_OOM_KILL;
    u->pending_result = RESULT_SIGNAL;
    u->status_text = strdup("line one\nline = two\\n");
    struct error e = {};
    error_set_step(&e, "rootfs");
    (void)error_set(&e, ENOSPC, "disk\\full | and more");
    unit_set_error(u, &e);
    u->state_since = 123456789;
    u->timeout_at = USEC_INFINITY;
    id128_random(u->invocation);
    u->restarts = 7;
    u->needs_limit = (struct start_limit){.window_begin = 8, .count = 9};
    u->backoff_until = 99;
    u->transient = u->stop_requested = true;
    u->oom_kills = 3;
    u->main_code = 2;
    u->main_status = 9;
    u->saved_job = -1;
    u->watchdog_usec = 5 * USEC_PER_SEC;
    u->resources.cgroup = true;
    u->resources.upper_dir = strdup("/var/lib/davit/containers/web.container/x");
    u->resources.id_base = 524288;
    u->resources.id_count = 65536;
    assert_int_equal(strv_append(&u->resources.anonymous_volumes, "one"), 0);
    assert_int_equal(strv_append(&u->resources.anonymous_volumes, "two"), 0);
    return u;
}

static struct managed_unit *blank(const char *name) {
    return fake_unit(name, "[Container]\nImage=/\nExec=true\n");
}

static void what_is_written_is_read_back(void **state) {
    (void)state;
    struct managed_unit *u = busy_unit();
    struct process p = {.request = 77, .pid = 4242, .stage = PROCESS_STARTED, .begun_at = 5};
    u->main = &p;
    _cleanup_free_ char *text = saved_format(u);
    u->main = NULL;
    assert_non_null(text);

    struct managed_unit *v = blank("other.container");
    (void)hashmap_remove(fake->m.units, "other.container");
    free(v->name);
    v->name = strdup("web.container");
    assert_int_equal(saved_parse(v, text), 0);
    assert_int_equal(v->state, STATE_RUNNING);
    assert_int_equal(v->step, STEP_START_POST);
    assert_int_equal(v->result, RESULT_OOM_KILL);
    assert_int_equal(v->pending_result, RESULT_SIGNAL);
    assert_string_equal(v->status_text, u->status_text);
    assert_int_equal(unit_error(v)->number, ENOSPC);
    assert_string_equal(unit_error(v)->step, "rootfs");
    assert_string_equal(unit_error(v)->text, "disk\\full | and more");
    assert_int_equal(v->state_since, 123456789);
    assert_true(v->timeout_at == USEC_INFINITY);
    assert_string_equal(v->invocation, u->invocation);
    assert_int_equal(v->restarts, 7);
    assert_int_equal(v->needs_limit.window_begin, 8);
    assert_int_equal(v->needs_limit.count, 9);
    assert_true(v->transient && v->stop_requested && !v->frozen);
    assert_int_equal(v->main_status, 9);
    assert_int_equal(v->saved_job, -1);
    assert_int_equal(v->watchdog_usec, 5 * USEC_PER_SEC);
    assert_int_equal(v->recovered_main.request, 77);
    assert_int_equal(v->recovered_main.pid, 4242);
    assert_int_equal(v->recovered_main.stage, PROCESS_STARTED);
    assert_int_equal(v->recovered_control.request, 0);
    assert_null(v->recovered_sessions);
    assert_string_equal(v->resources.upper_dir, u->resources.upper_dir);
    assert_int_equal(v->resources.id_count, 65536);
    assert_int_equal(strv_length(v->resources.anonymous_volumes), 2);

    free(v->status_text);
    free(v->error);
    resources_free(v);
    unit_free(v->config);
    free(v->name);
    free(v);
}

/* Any single byte changed, cut anywhere: refused. */
static void a_damaged_file_is_refused(void **state) {
    (void)state;
    struct managed_unit *u = busy_unit();
    _cleanup_free_ char *text = saved_format(u);
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i++) {
        _cleanup_free_ char *cut = strndup(text, i);
        assert_true(saved_parse(u, cut) < 0);
        _cleanup_free_ char *changed = strdup(text);
        changed[i] = changed[i] == 'x' ? 'y' : 'x';
        assert_true(saved_parse(u, changed) < 0);
    }
    assert_true(saved_parse(u, "") < 0);
    assert_true(saved_parse(u, "sum=0000000000000000\n") < 0);
}

static char *with_sum(const char *text) {
    return strf("%ssum=%016llx\n", text, (unsigned long long)siphash_stable(text, strlen(text)));
}

static void right_sum_but_wrong_content_is_refused(void **state) {
    (void)state;
    struct managed_unit *u = blank("web.container");
    static const char *const texts[] = {
        "version=2\n",
        "version=1\nunit=other.container\n",
        "version=1\nunit=web.container\nstate=strange\n",
        "version=1\nunit=web.container\nrestarts=many\n",
        "version=1\nunit=web.container\nrestarts=-1\n",
        "version=1\nunit=web.container\nmain=1 2\n",
        "version=1\nunit=web.container\nmain=1 -2 started 0\n",
        "version=1\nunit=web.container\nmain=1 2 gone 0\n",
        "version=1\nunit=web.container\ngone=perhaps\n",
        "version=1\nno assignment\n",
        "version=1\nunit=web.container\ninvocation=0123456789012345678901234567890123456789\n",
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        _cleanup_free_ char *text = with_sum(texts[i]);
        assert_true(saved_parse(u, text) < 0);
    }
    /* Keys of a newer davitd are passed over. */
    _cleanup_free_ char *text = with_sum("version=1\nunit=web.container\nsomething_new=1\nrestarts=4\n"
                                         "main=5 6 started 7 foreign and more\n"
                                         "exec=8 9 - and more\nexec=10 0 -\n");
    assert_int_equal(saved_parse(u, text), 0);
    assert_int_equal(strv_length(u->recovered_sessions), 2);
    strv_free(TAKE_PTR(u->recovered_sessions));
    assert_int_equal(u->restarts, 4);
    assert_true(u->recovered_main.foreign);
}

static void flush_writes_and_keeps_what_it_cannot_write(void **state) {
    (void)state;
    struct managed_unit *u = blank("web.container");
    struct stat st;

    unit_mark_dirty(u);
    saved_flush(&fake->m);
    assert_true(list_empty(&fake->m.save_queue));
    assert_int_equal(fstatat(fake->m.runtime_fd, "state/web.container", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);

    saved_remove(u);
    assert_int_equal(fstatat(fake->m.runtime_fd, "state/web.container", &st, 0), -1);

    /* No directory to write into: the unit waits in the queue and is written when there is one again. */
    assert_int_equal(unlinkat(fake->m.runtime_fd, "state", AT_REMOVEDIR), 0);
    unit_mark_dirty(u);
    saved_flush(&fake->m);
    assert_false(list_empty(&fake->m.save_queue));
    assert_int_equal(mkdir_parents(fake->m.runtime_fd, "state", 0700), 0);
    saved_flush(&fake->m);
    assert_true(list_empty(&fake->m.save_queue));
    assert_int_equal(fstatat(fake->m.runtime_fd, "state/web.container", &st, 0), 0);
}

static char *file_text(void) {
    char *text;

    assert_int_equal(file_read(fake->m.runtime_fd, "state/web.container", 65536, &text, NULL), 0);
    return text;
}

/* The last state that is whole counts, wherever the file ends. */
static void a_state_is_appended_to_the_one_before(void **state) {
    (void)state;
    struct managed_unit *u = blank("web.container"), *v = blank("other.container");
    size_t first = 0;

    for (u->restarts = 1; u->restarts <= 2; u->restarts++) {
        assert_int_equal(saved_write(u), 0);
        _cleanup_free_ char *text = file_text();
        first = u->restarts == 1 ? strlen(text) : first;
    }
    _cleanup_free_ char *text = file_text();
    assert_true(strlen(text) > first);
    (void)hashmap_remove(fake->m.units, "web.container");
    free(v->name);
    v->name = strdup("web.container");
    for (size_t n = first; n <= strlen(text); n++) {
        _cleanup_free_ char *cut = strndup(text, n);
        assert_int_equal(saved_parse(v, cut), 0);
        assert_int_equal(v->restarts, n < strlen(text) ? 1 : 2);
    }
    text[first + 1] ^= 1; /* it was whole, so it was acted upon: the one before is not what is so */
    assert_true(saved_parse(v, text) < 0);
    resources_free(u);
    unit_free(u->config);
    free(u->name);
    free(u);
}

static void a_state_file_does_not_grow_for_ever(void **state) {
    (void)state;
    struct managed_unit *u = blank("web.container");
    size_t longest = 0;

    for (u->restarts = 1; u->restarts <= 200; u->restarts++) {
        assert_int_equal(saved_write(u), 0);
        _cleanup_free_ char *text = file_text(), *last = strf("\nrestarts=%u\n", u->restarts);
        assert_non_null(strstr(text, last));
        longest = MAX(longest, strlen(text));
    }
    assert_in_range(longest, 1000, 4096);
    /* What this davitd has not written it does not append to. */
    u->saved_size = 0;
    assert_int_equal(file_write_atomic(fake->m.runtime_fd, "state/web.container", "x", 1, 0600, false), 0);
    assert_int_equal(saved_write(u), 0);
    _cleanup_free_ char *text = file_text();
    assert_true(startswith(text, "version="));
    /* Nor to one that has gone. */
    assert_int_equal(unlinkat(fake->m.runtime_fd, "state/web.container", 0), 0);
    assert_int_equal(saved_write(u), 0);
    free(text);
    text = file_text();
    assert_true(startswith(text, "version="));
}

static void the_feed_sequence_belongs_to_one_keeper(void **state) {
    (void)state;
    struct manager *m = &fake->m;
    uint64_t sequence = 0;

    assert_false(saved_exists(m));
    assert_int_equal(saved_feed_sequence(m), 0);
    assert_int_equal(saved_write_feed_sequence(m, 4711), 0);
    assert_true(saved_exists(m));
    assert_int_equal(saved_feed_sequence(m), 4711);

    const char *other = "keeper=1:1\nboot=0123456789abcdef0123456789abcdef\nsequence=99\n";
    assert_int_equal(
        file_write_atomic(m->runtime_fd, "state/.manager", other, strlen(other), 0600, false), 0);
    assert_int_equal(saved_feed_position(m, &sequence), -ESTALE);
    assert_int_equal(saved_feed_sequence(m), 0);
    /* Of this boot, and not of PID 1, with which all would be gone. */
    char boot[ID128_TEXT];
    assert_int_equal(id128_boot(boot), 0);
    _cleanup_free_ char *killed = strf("keeper=4711:1\nboot=%s\nsequence=99\n", boot),
                        *first = strf("keeper=1:1\nboot=%s\nsequence=99\n", boot);
    assert_int_equal(
        file_write_atomic(m->runtime_fd, "state/.manager", killed, strlen(killed), 0600, false), 0);
    assert_int_equal(saved_feed_position(m, &sequence), -EOWNERDEAD);
    assert_int_equal(
        file_write_atomic(m->runtime_fd, "state/.manager", first, strlen(first), 0600, false), 0);
    assert_int_equal(saved_feed_position(m, &sequence), -ESTALE);
    assert_int_equal(file_write_atomic(m->runtime_fd, "state/.manager", "?", 1, 0600, false), 0);
    assert_int_equal(saved_feed_position(m, &sequence), -EBADMSG);
}

static void settings_survive(void **state) {
    (void)state;
    struct manager *m = &fake->m;
    struct settings s;

    assert_true(saved_read_settings(m, &s) < 0);
    m->settings.max_units = 17;
    m->settings.keep_trying = true;
    assert_int_equal(strv_append(&m->settings.image_roots, "/srv/a"), 0);
    assert_int_equal(saved_write_settings(m), 0);
    assert_int_equal(saved_read_settings(m, &s), 0);
    assert_int_equal(s.max_units, 17);
    assert_true(s.keep_trying);
    assert_string_equal(s.image_roots[0], "/srv/a");
    settings_done(&s);
    assert_int_equal(file_write_atomic(m->runtime_fd, "state/.settings", "abc", 3, 0600, false), 0);
    assert_true(saved_read_settings(m, &s) < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read_back, fake_core_setup, fake_core_teardown),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_refused, fake_core_setup, fake_core_teardown),
        cmocka_unit_test_setup_teardown(
            right_sum_but_wrong_content_is_refused, fake_core_setup, fake_core_teardown),
        cmocka_unit_test_setup_teardown(
            flush_writes_and_keeps_what_it_cannot_write, fake_core_setup, fake_core_teardown),
        cmocka_unit_test_setup_teardown(
            a_state_is_appended_to_the_one_before, fake_core_setup, fake_core_teardown),
        cmocka_unit_test_setup_teardown(
            a_state_file_does_not_grow_for_ever, fake_core_setup, fake_core_teardown),
        cmocka_unit_test_setup_teardown(
            the_feed_sequence_belongs_to_one_keeper, fake_core_setup, fake_core_teardown),
        cmocka_unit_test_setup_teardown(settings_survive, fake_core_setup, fake_core_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
