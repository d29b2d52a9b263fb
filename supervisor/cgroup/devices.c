/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which devices a group may use. In the unified hierarchy that is a BPF program on the group
 * (BPF_PROG_TYPE_CGROUP_DEVICE), which the kernel runs at each open and mknod of a device node: 1 allows, 0
 * is EPERM. It works on hybrid machines too, where the devices controller is on v1. The v1 controller is the
 * fallback.
 *
 * The program is a chain of comparisons, one block a rule, and denies at its end. Most units of a fleet have
 * the same rules, so programs are kept by their text: loaded and verified once, attached many times.
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>

#include "cgroup/internal.h"

/* Eight a rule at most, eight around them; the kernel takes a million for root. */
#define RULE_INSNS_MAX 8
#define FRAME_INSNS 8
#define DEVICE_RULES_MAX 1024
#define ATTACHED_MAX 64

/* ---- building ---- */

struct program {
    struct bpf_insn *insns;
    size_t n;
};

static void emit(struct program *p, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm) {
    p->insns[p->n++] =
        (struct bpf_insn){.code = code, .dst_reg = dst & 0xf, .src_reg = src & 0xf, .off = off, .imm = imm};
}

/* Jump to the end of the block when the register differs; the distance is filled in when the block is
 * complete. */
static void emit_unless_equal(struct program *p, uint8_t reg, int32_t value) {
    emit(p, BPF_JMP | BPF_JNE | BPF_K, reg, 0, 0, value);
}

static int32_t kernel_access(uint8_t access) {
    return ((access & DEVICE_READ) ? BPF_DEVCG_ACC_READ : 0) |
           ((access & DEVICE_WRITE) ? BPF_DEVCG_ACC_WRITE : 0) |
           ((access & DEVICE_MKNOD) ? BPF_DEVCG_ACC_MKNOD : 0);
}

/* Registers: R2 type, R3 access wanted, R4 major, R5 minor. True if the rule has no condition, so that
 * nothing that comes after it is reached. */
static bool emit_rule(struct program *p, const struct cgroup_device_rule *rule) {
    const int32_t all = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD;
    int32_t access = kernel_access(rule->access);
    size_t start = p->n, end;

    if (rule->type != 'a')
        emit_unless_equal(p, BPF_REG_2, rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    if (access != all) {
        /* Anything wanted beyond what the rule grants? */
        emit(p, BPF_ALU | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0);
        emit(p, BPF_ALU | BPF_AND | BPF_K, BPF_REG_1, 0, 0, all & ~access);
        emit_unless_equal(p, BPF_REG_1, 0);
    }
    if (rule->major >= 0)
        emit_unless_equal(p, BPF_REG_4, (int32_t)rule->major);
    if (rule->minor >= 0)
        emit_unless_equal(p, BPF_REG_5, (int32_t)rule->minor);
    end = p->n;
    emit(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1);
    emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    for (size_t i = start; i < end; i++)
        if (p->insns[i].code == (BPF_JMP | BPF_JNE | BPF_K))
            p->insns[i].off = (int16_t)(p->n - i - 1);
    return end == start;
}

static bool rule_is_valid(const struct cgroup_device_rule *rule) {
    return (rule->type == 'a' || rule->type == 'b' || rule->type == 'c') && rule->major <= INT32_MAX &&
           rule->minor <= INT32_MAX && (rule->access & ~(DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD)) == 0;
}

int device_program_build(
    const struct cgroup_device_rule *rules, size_t n, struct bpf_insn **ret, size_t *ret_n) {
    struct program p = {0};
    bool complete = false;

    if (n > DEVICE_RULES_MAX)
        return -E2BIG;
    for (size_t i = 0; i < n; i++)
        if (!rule_is_valid(&rules[i]))
            return -EINVAL;
    p.insns = calloc(n * RULE_INSNS_MAX + FRAME_INSNS, sizeof(*p.insns));
    if (!p.insns)
        return -ENOMEM;
    emit(&p, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1,
        offsetof(struct bpf_cgroup_dev_ctx, access_type), 0);
    emit(&p, BPF_ALU | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
    emit(&p, BPF_ALU | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16);
    emit(&p, BPF_ALU | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff);
    emit(&p, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_4, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, major), 0);
    emit(&p, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_5, BPF_REG_1, offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
    /* The kernel refuses a program with instructions that cannot be reached (EINVAL). */
    for (size_t i = 0; i < n && !complete; i++)
        complete = emit_rule(&p, &rules[i]);
    if (!complete) {
        emit(&p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0);
        emit(&p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    }
    *ret = p.insns;
    *ret_n = p.n;
    return 0;
}

/* ---- loading, by text ---- */

static int bpf(int command, union bpf_attr *attr) {
    long r = syscall(SYS_bpf, command, attr, sizeof(*attr));

    return r < 0 ? negative_errno() : (int)r;
}

static int load(const struct bpf_insn *insns, size_t n, uint32_t *ret_id) {
    union bpf_attr attr = {
        .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
        .insns = (uintptr_t)insns,
        .insn_cnt = (uint32_t)n,
        .license = (uintptr_t) "LGPL",
        .prog_name = "davit_devices",
    };
    _cleanup_close_ int fd = bpf(BPF_PROG_LOAD, &attr);
    struct bpf_prog_info info = {0};
    int r;

    if (fd < 0)
        return fd;
    attr = (union bpf_attr){
        .info = {.bpf_fd = (uint32_t)fd, .info_len = sizeof(info), .info = (uintptr_t)&info}};
    r = bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
    if (r < 0)
        return r;
    *ret_id = info.id;
    return TAKE_FD(fd);
}

static void program_done(struct device_program *p) {
    free(p->insns);
    closep(&p->fd);
    *p = (struct device_program){.fd = -1};
}

void device_programs_done(struct cgroup_tree *t) {
    for (size_t i = 0; i < DEVICE_PROGRAM_CACHE; i++)
        program_done(&t->programs[i]);
}

/* The loaded program of this text: from the cache, or loaded into the place that was not used for longest. */
static int program_get(
    struct cgroup_tree *t, const struct cgroup_limits *l, const struct device_program **ret) {
    _cleanup_free_ struct bpf_insn *insns = NULL;
    struct device_program *place = &t->programs[0];
    uint32_t id;
    size_t n;
    int fd, r = device_program_build(l->devices, l->n_devices, &insns, &n);

    if (r < 0)
        return r;
    for (size_t i = 0; i < DEVICE_PROGRAM_CACHE; i++) {
        struct device_program *p = &t->programs[i];

        if (p->n_insns == n && memcmp(p->insns, insns, n * sizeof(*insns)) == 0) {
            p->used = ++t->program_clock;
            *ret = p;
            return 0;
        }
        if (p->used < place->used)
            place = p;
    }
    fd = load(insns, n, &id);
    if (fd < 0)
        return fd;
    program_done(place);
    *place = (struct device_program){
        .insns = TAKE_PTR(insns), .n_insns = n, .fd = fd, .id = id, .used = ++t->program_clock};
    *ret = place;
    return 0;
}

/* ---- attaching ---- */

static int attached(int group_fd, uint32_t ids[static ATTACHED_MAX], uint32_t *ret_n) {
    union bpf_attr attr = {.query = {.target_fd = (uint32_t)group_fd,
                               .attach_type = BPF_CGROUP_DEVICE,
                               .prog_ids = (uintptr_t)ids,
                               .prog_cnt = ATTACHED_MAX}};
    int r = bpf(BPF_PROG_QUERY, &attr);

    if (r >= 0)
        *ret_n = attr.query.prog_cnt;
    return r;
}

static int detach(int group_fd, uint32_t id) {
    union bpf_attr attr = {.prog_id = id};
    _cleanup_close_ int fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr);

    if (fd < 0)
        return fd;
    attr = (union bpf_attr){
        .target_fd = (uint32_t)group_fd, .attach_bpf_fd = (uint32_t)fd, .attach_type = BPF_CGROUP_DEVICE};
    return bpf(BPF_PROG_DETACH, &attr);
}

static int attach(int group_fd, const struct device_program *p) {
    union bpf_attr attr = {.target_fd = (uint32_t)group_fd,
        .attach_bpf_fd = (uint32_t)p->fd,
        .attach_type = BPF_CGROUP_DEVICE,
        .attach_flags = BPF_F_ALLOW_MULTI};

    return bpf(BPF_PROG_ATTACH, &attr);
}

/* With several programs on a group all must allow. So the new one is attached before the old ones go: there
 * is no moment without a filter. -EOPNOTSUPP on a kernel that cannot even be asked for such programs. */
static int apply_unified(struct cgroup_tree *t, const char *name, const struct cgroup_limits *l) {
    _cleanup_close_ int fd = cgroup_group_open(t->unified, name, "", O_RDONLY | O_DIRECTORY);
    uint32_t ids[ATTACHED_MAX] = {0}, n = 0, wanted = 0; /* ids of programs begin at 1 */
    bool there = false;
    int r;

    if (fd < 0)
        return fd;
    if (attached(fd, ids, &n) < 0)
        return -EOPNOTSUPP;
    if (l->device_filter) {
        const struct device_program *program;

        r = program_get(t, l, &program);
        if (r < 0)
            return r;
        wanted = program->id;
        for (uint32_t i = 0; i < n; i++)
            there = there || ids[i] == wanted;
        r = there ? 0 : attach(fd, program);
        if (r < 0)
            return r;
    }
    r = 0;
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] != wanted) {
            int k = detach(fd, ids[i]);

            if (k < 0 && k != -ENOENT)
                r = k;
        }
    return r;
}

/* ---- v1 ---- */

static int v1_rule_text(const struct cgroup_device_rule *rule, char *text, size_t size) {
    char major[24] = "*", minor[24] = "*";

    if (!rule_is_valid(rule))
        return -EINVAL;
    if (rule->major >= 0)
        (void)snprintf(major, sizeof(major), "%d", (int)rule->major);
    if (rule->minor >= 0)
        (void)snprintf(minor, sizeof(minor), "%d", (int)rule->minor);
    (void)snprintf(text, size, "%c %s:%s %s%s%s", rule->type, major, minor,
        (rule->access & DEVICE_READ) ? "r" : "", (rule->access & DEVICE_WRITE) ? "w" : "",
        (rule->access & DEVICE_MKNOD) ? "m" : "");
    return 0;
}

/* "a" to devices.deny empties the list, "a" to devices.allow lifts it. v1 reads a rule of type "a" as
 * "everything", whatever stands behind it, so such a rule is written once for each type. */
static int apply_v1(
    struct cgroup_tree *t, struct cgroup_hierarchy *h, const char *name, const struct cgroup_limits *l) {
    int r;

    if (!l->device_filter) {
        if (faccessat(h->fd, name, F_OK, 0) < 0)
            return 0;
        return cgroup_group_write(h, name, "devices.allow", "a");
    }
    r = cgroup_group_make(h, name);
    if (r > 0)
        r = cgroup_procs_follow(t->tracking, h, name);
    if (r >= 0)
        r = cgroup_group_write(h, name, "devices.deny", "a");
    for (size_t i = 0; r >= 0 && i < l->n_devices; i++) {
        struct cgroup_device_rule rule = l->devices[i];
        const char *types = rule.type == 'a' ? "bc" : (const char[]){rule.type, '\0'};

        for (; r >= 0 && *types && rule.access != 0; types++) {
            char text[64];

            rule.type = *types;
            r = v1_rule_text(&rule, text, sizeof(text));
            if (r >= 0)
                r = cgroup_group_write(h, name, "devices.allow", text);
        }
    }
    return r;
}

int cgroup_apply_devices(struct cgroup_tree *t, const char *name, const struct cgroup_limits *l,
    bool *ret_unsupported, struct error *e) {
    struct cgroup_hierarchy *v1 = cgroup_home(t, CONTROLLER_DEVICES);
    int r = t->unified ? apply_unified(t, name, l) : -EOPNOTSUPP;

    /* BPF may be missing from the kernel or be forbidden to us; the v1 controller does the same for less. */
    if (v1 && (r == -EOPNOTSUPP || r == -EPERM))
        r = apply_v1(t, v1, name, l);
    *ret_unsupported = r == -EOPNOTSUPP || r == -EPERM;
    if (r >= 0 || (!l->device_filter && *ret_unsupported))
        return 0;
    return error_set_errno(e, r, "the device filter of group %s cannot be set", name);
}
