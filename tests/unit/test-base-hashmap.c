/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/hashmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"

#define N 2000

struct item {
    char key[16];
    unsigned seen;
    struct list link;
};

static struct item *make_items(void) {
    struct item *items = calloc(N, sizeof(*items));
    assert_non_null(items);
    for (unsigned i = 0; i < N; i++)
        (void)snprintf(items[i].key, sizeof(items[i].key), "item-%u", i);
    return items;
}

static void put_get_remove(void **state) {
    (void)state;
    _cleanup_free_ struct item *items = make_items();
    _cleanup_(hashmap_freep) struct hashmap *h = hashmap_new();

    for (unsigned i = 0; i < N; i++)
        assert_int_equal(hashmap_put(h, items[i].key, &items[i]), 0);
    assert_int_equal(hashmap_size(h), N);
    assert_int_equal(hashmap_put(h, "item-7", items), -EEXIST);
    assert_int_equal(hashmap_put(h, "none", NULL), -EINVAL);
    for (unsigned i = 0; i < N; i++)
        assert_ptr_equal(hashmap_get(h, items[i].key), &items[i]);
    assert_null(hashmap_get(h, "item-"));
    assert_null(hashmap_get(h, ""));

    for (unsigned i = 0; i < N; i += 2)
        assert_ptr_equal(hashmap_remove(h, items[i].key), &items[i]);
    assert_null(hashmap_remove(h, "item-0"));
    assert_int_equal(hashmap_size(h), N / 2);
    for (unsigned i = 0; i < N; i++)
        assert_ptr_equal(hashmap_get(h, items[i].key), i % 2 ? &items[i] : NULL);
}

static void null_map_reads_as_empty(void **state) {
    (void)state;
    struct hashmap *none = NULL;
    void *value;

    assert_int_equal(hashmap_size(none), 0);
    assert_null(hashmap_get(none, "x"));
    HASHMAP_FOREACH (value, none)
        fail();
    hashmap_free(none);
}

static void empty_key_is_a_key(void **state) {
    (void)state;
    _cleanup_(hashmap_freep) struct hashmap *h = hashmap_new();
    int a, b;

    assert_int_equal(hashmap_put(h, "x", &b), 0);
    assert_ptr_equal(hashmap_remove(h, "x"), &b);
    assert_int_equal(hashmap_put(h, "", &a), 0);
    assert_ptr_equal(hashmap_get(h, ""), &a);
    assert_ptr_equal(hashmap_remove(h, ""), &a);
    assert_null(hashmap_get(h, ""));
}

static void iteration_sees_each_entry_once(void **state) {
    (void)state;
    _cleanup_free_ struct item *items = make_items();
    _cleanup_(hashmap_freep) struct hashmap *h = hashmap_new();
    struct item *item;

    for (unsigned i = 0; i < N; i++)
        hashmap_put(h, items[i].key, &items[i]);
    HASHMAP_FOREACH (item, h)
        item->seen++;
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(items[i].seen, 1);
}

static void removing_the_current_entry_skips_none(void **state) {
    (void)state;
    _cleanup_free_ struct item *items = make_items();
    _cleanup_(hashmap_freep) struct hashmap *h = hashmap_new();
    struct item *item;
    unsigned n = 0;

    for (unsigned i = 0; i < N; i++)
        hashmap_put(h, items[i].key, &items[i]);
    HASHMAP_FOREACH (item, h) {
        assert_ptr_equal(hashmap_remove(h, item->key), item);
        n++;
    }
    assert_int_equal(n, N);
    assert_int_equal(hashmap_size(h), 0);
}

/* A unit that is loaded and dropped for days must not fill the table with marks: a look-up would never end.
 */
static void endless_churn_stays_small(void **state) {
    (void)state;
    _cleanup_(hashmap_freep) struct hashmap *h = hashmap_new();
    char keys[8][16];

    for (unsigned i = 0; i < 100000; i++) {
        char *key = keys[i % 8];
        if (i >= 8)
            assert_non_null(hashmap_remove(h, key));
        (void)snprintf(key, sizeof(keys[0]), "k%u", i);
        assert_int_equal(hashmap_put(h, key, key), 0);
    }
    assert_int_equal(hashmap_size(h), 8);

    /* Positions end at the number of slots. */
    size_t position = 0;
    while (hashmap_next(h, &position))
        ;
    assert_true(position <= 32);
}

/* Made with a second implementation (Python), which gives the paper's own vector for the paper's key. */
static void siphash_values(void **state) {
    (void)state;

    assert_true(siphash_stable("", 0) == UINT64_C(0x1e924b9d737700d7));
    assert_true(siphash_stable("abc", 3) == UINT64_C(0x3fc884964770eede));
    assert_true(siphash_stable("12345678", 8) == UINT64_C(0x5de7ecc4ba81e998));
    assert_true(siphash_stable("a longer name.container", 23) == UINT64_C(0x435f21271119510a));
    assert_true(siphash("abc", 3) == siphash("abc", 3));
    /* Keyed: predictable with a chance of 2^-64. */
    assert_true(siphash("abc", 3) != siphash_stable("abc", 3));
}

static void lists(void **state) {
    (void)state;
    _cleanup_free_ struct item *items = make_items();
    struct list head = LIST_INIT(head);
    unsigned n = 0;

    assert_true(list_empty(&head));
    for (unsigned i = 0; i < 10; i++)
        list_append(&head, &items[i].link);
    list_init(&items[10].link);
    list_prepend(&head, &items[11].link);
    list_remove(&items[11].link);
    list_remove(&items[11].link);
    list_remove(&items[10].link);

    LIST_FOREACH (i, &head, struct item, link) {
        assert_ptr_equal(i, &items[n]);
        list_remove(&i->link);
        n++;
    }
    assert_int_equal(n, 10);
    assert_true(list_empty(&head));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_get_remove),
        cmocka_unit_test(null_map_reads_as_empty),
        cmocka_unit_test(empty_key_is_a_key),
        cmocka_unit_test(iteration_sees_each_entry_once),
        cmocka_unit_test(removing_the_current_entry_skips_none),
        cmocka_unit_test(endless_churn_stays_small),
        cmocka_unit_test(siphash_values),
        cmocka_unit_test(lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
