/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-core.c */
/* Ranges of user ids: each unit its own, the same for ever, given back when the unit is gone. */
#include "fake-core.h"

#include <fcntl.h>

#include "base/fs.h"

static uint32_t get(const char *unit, uint32_t size) {
    struct error e = {};
    uint32_t base = 0;

    if (idmap_get(&fake->m, unit, size, &base, &e) < 0)
        fail_msg("%s: %s", unit, e.text);
    return base;
}

static void reopen(void) {
    struct error e = {};

    idmaps_free(&fake->m);
    assert_int_equal(idmaps_new(&fake->m, &e), 0);
}

static void ranges_do_not_overlap(void **state) {
    (void)state;
    enum { COUNT = 300 };
    static uint32_t bases[COUNT];

    fake->m.settings.userns_count = 512;
    for (unsigned i = 0; i < COUNT; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "unit-%u.container", i);
        bases[i] = get(name, 65536);
        assert_true(bases[i] >= 524288 && (bases[i] - 524288) % 65536 == 0);
        assert_true((bases[i] - 524288) / 65536 < 512);
        for (unsigned j = 0; j < i; j++)
            assert_int_not_equal(bases[i], bases[j]);
    }
}

static void a_unit_keeps_its_range(void **state) {
    (void)state;
    uint32_t a = get("a.container", 65536), b = get("b.container", 65536);

    reopen();
    assert_int_equal(get("b.container", 65536), b);
    assert_int_equal(get("a.container", 65536), a);
    /* Also without the file, as long as nobody else is in its place. */
    assert_int_equal(unlinkat(fake->m.state_fd, "idmaps", 0), 0);
    reopen();
    assert_int_equal(get("a.container", 65536), a);
}

static void larger_ranges_take_several_slots(void **state) {
    (void)state;
    fake->m.settings.userns_count = 8;
    uint32_t large = get("large.container", 4 * 65536);

    for (int i = 0; i < 4; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "small-%d.container", i);
        uint32_t base = get(name, 65536);
        assert_true(base + 65536 <= large || base >= large + 4 * 65536);
    }
    struct error e = {};
    uint32_t base;
    /* Full of units that exist. */
    fake_unit("large.container", "[Container]\nImage=/\n");
    for (int i = 0; i < 4; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "small-%d.container", i);
        fake_unit(name, "[Container]\nImage=/\n");
    }
    assert_int_equal(idmap_get(&fake->m, "one-more.container", 65536, &base, &e), -ENOSPC);
    assert_non_null(strstr(e.text, "65536"));
}

static void ranges_of_vanished_units_are_used_again(void **state) {
    (void)state;
    fake->m.settings.userns_count = 2;
    uint32_t a = get("a.container", 65536);
    uint32_t b = get("b.container", 65536);

    fake_unit("b.container", "[Container]\nImage=/\n");
    assert_int_equal(get("c.container", 65536), a);
    assert_int_equal(get("b.container", 65536), b);
    idmap_release(&fake->m, "c.container");
    assert_int_equal(get("d.container", 65536), a);
}

static void another_size_means_another_range(void **state) {
    (void)state;
    (void)get("a.container", 65536);
    uint32_t base = get("a.container", 131072);
    reopen();
    assert_int_equal(get("a.container", 131072), base);
}

static void bad_lines_are_passed_over(void **state) {
    (void)state;
    const char *text = "a.container 524288 65536\n"
                       "b.container 524288 65536\n"     /* taken */
                       "c.container 0 65536\n"          /* the host's own ids */
                       "d.container 4294900000 65536\n" /* beyond the end */
                       "e.container 655360 0\n"
                       "../f 655360 65536\n"
                       "nonsense\n"
                       "g.container 655360 65536";

    assert_int_equal(file_write_atomic(fake->m.state_fd, "idmaps", text, strlen(text), 0600, false), 0);
    reopen();
    assert_int_equal(get("a.container", 65536), 524288);
    assert_int_equal(get("g.container", 65536), 655360);
    assert_int_not_equal(get("b.container", 65536), 524288);
    assert_true(get("c.container", 65536) >= 524288);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ranges_do_not_overlap, fake_core_setup, fake_core_teardown),
        cmocka_unit_test_setup_teardown(a_unit_keeps_its_range, fake_core_setup, fake_core_teardown),
        cmocka_unit_test_setup_teardown(
            larger_ranges_take_several_slots, fake_core_setup, fake_core_teardown),
        cmocka_unit_test_setup_teardown(
            ranges_of_vanished_units_are_used_again, fake_core_setup, fake_core_teardown),
        cmocka_unit_test_setup_teardown(
            another_size_means_another_range, fake_core_setup, fake_core_teardown),
        cmocka_unit_test_setup_teardown(bad_lines_are_passed_over, fake_core_setup, fake_core_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
