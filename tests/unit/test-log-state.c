/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/state.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "log/fifo.h"

static int memory;

static int setup(void **state _unused_) {
    memory = memfd_create("test", MFD_CLOEXEC);
    return memory < 0;
}

static int teardown(void **state _unused_) {
    return close(memory);
}

/* As a new process does after a kill: the same memory, nothing else. */
static struct state *reopen(void) {
    static struct state s;
    assert_int_equal(state_open(&s, memory), 0);
    return &s;
}

static struct fifo_id id(uint64_t inode) {
    return (struct fifo_id){.device = 1, .inode = inode};
}

static void store(struct state *s, struct state_slot *slot, const char *text, size_t n) {
    struct state_batch *b = s->current;
    memcpy(b->rest, text, n);
    b->rest_length = (uint32_t)n;
    b->rest_continued = 1;
    b->rest_priority = 3;
    b->fifo = slot->fifo;
    state_phase(b, BATCH_STORING);
    state_store_rest(s, b, slot);
}

static void test_rests_outlive_the_process(void **state _unused_) {
    char big[LINE_MAX_BYTES];
    memset(big, 'b', sizeof big);
    struct state *s = reopen();
    store(s, state_slot_get(s, id(5)), "short", 5);
    store(s, state_slot_get(s, id(6)), big, sizeof big);

    s = reopen();
    struct state_slot *small = state_slot_get(s, id(5)), *large = state_slot_get(s, id(6));
    assert_int_equal(small->length, 5);
    assert_int_equal(small->continued, 1);
    assert_int_equal(small->priority, 3);
    assert_memory_equal(state_slot_text(s, small), "short", 5);
    assert_int_equal(large->length, sizeof big);
    assert_memory_equal(state_slot_text(s, large), big, sizeof big);

    /* The large block is free again afterwards, and its pages are gone. */
    store(s, large, "now short", 9);
    struct stat st;
    assert_int_equal(fstat(memory, &st), 0);
    assert_true(st.st_blocks * 512 < 100000);
    s = reopen();
    large = state_slot_get(s, id(6));
    assert_int_equal(large->large, 0);
    assert_memory_equal(state_slot_text(s, large), "now short", 9);
    state_slot_free(s, large);
    s = reopen();
    assert_int_equal(state_slot_get(s, id(6))->length, 0);
}

static void test_large_blocks_run_out(void **state _unused_) {
    char big[1000] = {};
    struct state *s = reopen();
    for (uint64_t i = 1; i <= STATE_LARGE; i++) {
        struct state_slot *slot = state_slot_get(s, id(i));
        assert_true(state_slot_fits(s, slot, sizeof big));
        store(s, slot, big, sizeof big);
    }
    struct state_slot *slot = state_slot_get(s, id(9999));
    assert_false(state_slot_fits(s, slot, sizeof big));
    assert_true(state_slot_fits(s, slot, STATE_SMALL_BYTES));
    assert_true(state_slot_fits(s, state_slot_get(s, id(1)), sizeof big)); /* has one */
    s = reopen();
    assert_false(state_slot_fits(s, state_slot_get(s, id(9999)), sizeof big));
    state_slot_free(s, state_slot_get(s, id(7)));
    assert_true(state_slot_fits(s, state_slot_get(s, id(9999)), sizeof big));
}

static void test_the_last_large_block_is_for_who_was_cut_off(void **state _unused_) {
    char big[1000];
    memset(big, 'b', sizeof big);
    struct state *s = reopen();
    (void)state_slot_get(s, id(5));
    for (uint64_t i = 10; i < 9 + STATE_LARGE; i++)
        store(s, state_slot_get(s, id(i)), big, sizeof big);
    memset(s->current->rest, 'r', sizeof big);
    s->current->rest_length = sizeof big;
    s->current->fifo = id(5);
    state_phase(s->current, BATCH_STORING);

    s = reopen();
    assert_false(state_slot_fits(s, state_slot_get(s, id(9999)), sizeof big));
    struct state_slot *slot = state_slot_get(s, id(5));
    state_store_rest(s, state_unfinished(s, id(5)), slot);
    assert_int_equal(slot->length, sizeof big);
    assert_int_equal(state_slot_text(s, slot)[0], 'r');
    for (uint64_t i = 10; i < 9 + STATE_LARGE; i++)
        assert_memory_equal(state_slot_text(s, state_slot_get(s, id(i))), big, sizeof big);
}

static void test_slots_run_out_and_strangers_give_way(void **state _unused_) {
    struct state *s = reopen();
    for (uint64_t i = 1; i <= STATE_STREAMS; i++)
        assert_non_null(state_slot_get(s, id(i)));
    assert_null(state_slot_get(s, id(100000)));
    s = reopen(); /* nobody has asked for any of them yet */
    assert_non_null(state_slot_get(s, id(1)));
    assert_non_null(state_slot_get(s, id(100000)));
}

static void test_unfinished_batches_are_found(void **state _unused_) {
    struct state *s = reopen();
    s->current->fifo = id(5);
    s->current->take = 77;
    state_phase(s->current, BATCH_CONSUMING);
    for (int i = 0; i < 2; i++) { /* killed again before anybody asked */
        s = reopen();
        assert_int_equal(s->current->phase, BATCH_IDLE);
        assert_null(state_unfinished(s, id(6)));
        struct state_batch *b = state_unfinished(s, id(5));
        assert_non_null(b);
        assert_int_equal(b->take, 77);
    }
    /* Four that nobody claims do not stop the fifth. */
    for (uint64_t i = 10; i < 20; i++) {
        s = reopen();
        s->current->fifo = id(i);
        state_phase(s->current, BATCH_CONSUMING);
    }
    s = reopen();
    assert_int_equal(s->current->phase, BATCH_IDLE);
}

static void test_sends_are_counted_across_a_kill(void **state _unused_) {
    struct state *s = reopen();
    struct state_batch *b = s->current;
    struct mmsghdr *m = state_sends_begin(b, 0);
    assert_int_equal(state_sends_done(b), 0);
    for (int i = 0; i < BATCH_SENDS; i++)
        m[i].msg_len = 10;
    assert_int_equal(state_sends_done(b), BATCH_SENDS);
    m = state_sends_begin(b, BATCH_SENDS);
    assert_int_equal(state_sends_done(b), BATCH_SENDS);
    m[0].msg_len = m[1].msg_len = 1;
    assert_int_equal(state_sends_done(b), BATCH_SENDS + 2);
}

static void test_strange_memory_is_cleared(void **state _unused_) {
    char junk[100000];
    memset(junk, 0x5a, sizeof junk);
    assert_int_equal(write(memory, junk, sizeof junk), sizeof junk);
    struct state *s = reopen();
    assert_int_equal(state_slot_get(s, id(1))->length, 0);
    assert_int_equal(s->current->phase, BATCH_IDLE);
}

static void test_private_memory_does_too(void **state _unused_) {
    static struct state s;
    assert_int_equal(state_open(&s, -1), 0);
    store(&s, state_slot_get(&s, id(1)), "x", 1);
    assert_int_equal(state_slot_get(&s, id(1))->length, 1);
}

static void test_peek_leaves_and_consume_takes(void **state _unused_) {
    struct fifo_peeker peeker;
    static char in[100000], out[FIFO_PEEK_MAX];
    int ends[2];

    assert_int_equal(fifo_peeker_open(&peeker), 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(fifo_peek(&peeker, ends[0], out, sizeof out), 0);
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (char)rand();
    for (size_t round = 0; round < 200; round++) {
        size_t n = 1 + (size_t)rand() % 20000, front = 1 + (size_t)rand() % n;
        assert_int_equal(write(ends[1], in, n), n);
        assert_int_equal(fifo_peek(&peeker, ends[0], out, sizeof out), n);
        assert_int_equal(fifo_peek(&peeker, ends[0], out, sizeof out), n);
        assert_memory_equal(in, out, n);
        uint8_t last = (uint8_t)~in[front - 1];
        assert_int_equal(fifo_consume(ends[0], front, &last), 0);
        assert_int_equal(last, (uint8_t)in[front - 1]);
        assert_int_equal(fifo_peek(&peeker, ends[0], out, sizeof out), n - front);
        assert_memory_equal(in + front, out, n - front);
        if (n > front)
            assert_int_equal(fifo_consume(ends[0], n - front, &last), 0);
    }
    assert_int_equal(write(ends[1], in, 10), 10);
    uint8_t last = 0;
    assert_int_equal(fifo_consume(ends[0], 11, &last), -EIO);
    for (size_t i = 0; i < 2; i++) {
        (void)close(ends[i]);
        (void)close(peeker.ends[i]);
    }
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_rests_outlive_the_process),
        T(test_large_blocks_run_out),
        T(test_the_last_large_block_is_for_who_was_cut_off),
        T(test_slots_run_out_and_strangers_give_way),
        T(test_unfinished_batches_are_found),
        T(test_sends_are_counted_across_a_kill),
        T(test_strange_memory_is_cleared),
        T(test_private_memory_does_too),
        T(test_peek_leaves_and_consume_takes),
    };
    return cmocka_run_group_tests_name("log/state, log/fifo", tests, NULL, NULL);
}
