/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The device program against a plain reading of its rules: an interpreter of the few instructions it uses
 * runs it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <linux/bpf.h>

#include "cgroup/internal.h"

/* What an instruction would do to the registers. Fails the test on one that the program has no business to
 * contain. */
static uint64_t run(const struct bpf_insn *insns, size_t n, const struct bpf_cgroup_dev_ctx *ctx) {
    uint64_t r[11] = {0};

    for (size_t pc = 0; pc < n; pc++) {
        const struct bpf_insn *i = &insns[pc];

        switch (i->code) {
        case BPF_LDX | BPF_MEM | BPF_W:
            assert_int_equal(i->src_reg, BPF_REG_1);
            r[i->dst_reg] = *(const uint32_t *)(const void *)((const char *)ctx + i->off);
            break;
        case BPF_ALU | BPF_MOV | BPF_X:
            r[i->dst_reg] = (uint32_t)r[i->src_reg];
            break;
        case BPF_ALU64 | BPF_MOV | BPF_K:
            r[i->dst_reg] = (uint64_t)(int64_t)i->imm;
            break;
        case BPF_ALU | BPF_RSH | BPF_K:
            r[i->dst_reg] = (uint32_t)r[i->dst_reg] >> i->imm;
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            r[i->dst_reg] = (uint32_t)r[i->dst_reg] & (uint32_t)i->imm;
            break;
        case BPF_JMP | BPF_JNE | BPF_K:
            assert_true(i->off >= 0);
            if (r[i->dst_reg] != (uint64_t)(int64_t)i->imm)
                pc += (size_t)i->off;
            break;
        case BPF_JMP | BPF_EXIT:
            return r[0];
        default:
            fail_msg("instruction %zu has code 0x%x", pc, i->code);
        }
    }
    fail_msg("the program runs off its end");
    return 0;
}

static bool allowed(const struct cgroup_device_rule *rules, size_t n, char type, uint32_t major,
    uint32_t minor, uint8_t access) {
    for (size_t i = 0; i < n; i++)
        if ((rules[i].type == 'a' || rules[i].type == type) &&
            (rules[i].major < 0 || rules[i].major == major) &&
            (rules[i].minor < 0 || rules[i].minor == minor) && (access & ~rules[i].access) == 0)
            return true;
    return false;
}

static bool asks(
    const struct bpf_insn *insns, size_t n, char type, uint32_t major, uint32_t minor, uint8_t access) {
    uint32_t bits = ((access & DEVICE_READ) ? BPF_DEVCG_ACC_READ : 0) |
                    ((access & DEVICE_WRITE) ? BPF_DEVCG_ACC_WRITE : 0) |
                    ((access & DEVICE_MKNOD) ? BPF_DEVCG_ACC_MKNOD : 0);
    struct bpf_cgroup_dev_ctx ctx = {
        .access_type = bits << 16 | (type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR),
        .major = major,
        .minor = minor};

    return run(insns, n, &ctx) == 1;
}

/* The kernel loads no program with an instruction that no path leads to; jumps go forward only. */
static void expect_all_reached(const struct bpf_insn *insns, size_t n) {
    _cleanup_free_ bool *reached = calloc(n + 1, sizeof(bool));

    reached[0] = true;
    for (size_t pc = 0; pc < n; pc++) {
        if (!reached[pc])
            fail_msg("instruction %zu of %zu is never reached", pc, n);
        if (insns[pc].code == (BPF_JMP | BPF_JNE | BPF_K))
            reached[pc + 1 + (size_t)insns[pc].off] = true;
        if (insns[pc].code != (BPF_JMP | BPF_EXIT))
            reached[pc + 1] = true;
    }
    assert_false(reached[n]);
}

/* Every question over small numbers must be answered as the rules read. */
static void compare(const struct cgroup_device_rule *rules, size_t n_rules) {
    _cleanup_free_ struct bpf_insn *insns = NULL;
    size_t n;

    assert_int_equal(device_program_build(rules, n_rules, &insns, &n), 0);
    expect_all_reached(insns, n);
    for (uint32_t major = 0; major < 4; major++)
        for (uint32_t minor = 0; minor < 4; minor++)
            for (uint8_t access = 1; access < 8; access++)
                for (const char *type = "bc"; *type; type++)
                    if (asks(insns, n, *type, major, minor, access) !=
                        allowed(rules, n_rules, *type, major, minor, access))
                        fail_msg("%c %u:%u access %u", *type, major, minor, access);
}

static void no_rules_deny_all(void **state) {
    (void)state;
    compare(NULL, 0);
}

static void everything_allowed(void **state) {
    const struct cgroup_device_rule all = {.type = 'a', .major = -1, .minor = -1, .access = 7};

    (void)state;
    compare(&all, 1);
}

/* The rules behind it, and the denial at the end, can never be reached. */
static void everything_allowed_in_the_middle(void **state) {
    static const struct cgroup_device_rule rules[] = {{'c', 1, 3, 1}, {'a', -1, -1, 7}, {'b', 1, 1, 7}};

    (void)state;
    compare(rules, ARRAY_SIZE(rules));
}

static void usual_rules(void **state) {
    static const struct cgroup_device_rule rules[] = {{'c', 1, 3, 7}, {'c', 1, 2, DEVICE_READ},
        {'c', -1, -1, DEVICE_MKNOD}, {'b', 2, -1, DEVICE_READ | DEVICE_WRITE}};
    (void)state;
    compare(rules, ARRAY_SIZE(rules));
}

static void random_rules(void **state) {
    unsigned seed = 20261121;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct cgroup_device_rule rules[6];
        size_t n = (size_t)rand_r(&seed) % (ARRAY_SIZE(rules) + 1);

        for (size_t i = 0; i < n; i++)
            rules[i] = (struct cgroup_device_rule){.type = "abc"[rand_r(&seed) % 3],
                .major = rand_r(&seed) % 5 - 1,
                .minor = rand_r(&seed) % 5 - 1,
                .access = (uint8_t)(rand_r(&seed) % 8)};
        compare(rules, n);
    }
}

static void bad_rules(void **state) {
    static const struct cgroup_device_rule bad[] = {
        {'x', 1, 1, 7}, {'c', 1, 1, 8}, {'c', 1LL << 40, 1, 7}, {'c', 1, 1LL << 31, 7}};
    _cleanup_free_ struct cgroup_device_rule *many = calloc(2000, sizeof(*many));
    struct bpf_insn *insns = NULL;
    size_t n;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(device_program_build(&bad[i], 1, &insns, &n), -EINVAL);
    for (size_t i = 0; i < 2000; i++)
        many[i] = (struct cgroup_device_rule){'c', 1, 1, 1};
    assert_int_equal(device_program_build(many, 2000, &insns, &n), -E2BIG);
    assert_null(insns);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_rules_deny_all),
        cmocka_unit_test(everything_allowed),
        cmocka_unit_test(everything_allowed_in_the_middle),
        cmocka_unit_test(usual_rules),
        cmocka_unit_test(random_rules),
        cmocka_unit_test(bad_rules),
    };

    return cmocka_run_group_tests_name("cgroup devices", tests, NULL, NULL);
}
