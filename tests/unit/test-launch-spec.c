/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The message between davitd and the launcher: what goes in comes out, and nothing else gets in. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "launch/spec.h"

static char *copy(const char *s) {
    char *c = strdup(s);
    assert_non_null(c);
    return c;
}

static char **list(const char *a, const char *b) {
    char **l = NULL;
    assert_int_equal(strv_append(&l, a), 0);
    if (b)
        assert_int_equal(strv_append(&l, b), 0);
    return l;
}

#define ARRAY_OF(field, n) \
    do { \
        (field) = calloc((n), sizeof(*(field))); \
        assert_non_null(field); \
    } while (0)

/* Every field differs from what spec_init() leaves. */
static void fill(struct container_spec *s) {
    spec_init(s);
    s->kind = SPEC_CONTAINER;
    s->request = 0x1122334455667788;
    s->unit = copy("web.container");
    s->invocation = copy("0123456789abcdef0123456789abcdef");
    s->namespaces = NS_MOUNT | NS_USER | NS_PID;
    s->join_pidfd = 1;
    ARRAY_OF(s->uid_map, 2);
    s->n_uid_map = 2;
    s->uid_map[0] = (struct spec_id_range){0, 100000, 1000};
    s->uid_map[1] = (struct spec_id_range){1000, 5, 1};
    ARRAY_OF(s->gid_map, 1);
    s->n_gid_map = 1;
    s->gid_map[0] = (struct spec_id_range){0, 200000, 65536};
    s->cgroup_unified = copy("/sys/fs/cgroup/unified/davit/web");
    s->cgroup_v1_tasks = list("/sys/fs/cgroup/pids/davit/web/tasks", NULL);
    s->layers = list("/layers/a", "/layers/b");
    s->upper_dir = copy("/upper/web");
    s->read_only = s->volatile_upper = true;
    ARRAY_OF(s->files, 1);
    s->n_files = 1;
    s->files[0] = (struct spec_file){copy("/etc/hosts"), copy("127.0.0.1 localhost\n"), 0644};
    ARRAY_OF(s->mounts, 2);
    s->n_mounts = 2;
    s->mounts[0] = (struct spec_mount){
        MOUNT_BIND, MOUNT_READ_ONLY | MOUNT_IDMAP, copy("/srv"), copy("/data"), NULL, 1, 2};
    s->mounts[1] = (struct spec_mount){
        MOUNT_TMPFS, MOUNT_UNBINDABLE, NULL, copy("/tmp"), copy("size=1m"), SPEC_ID_UNSET, SPEC_ID_UNSET};
    ARRAY_OF(s->devices, 1);
    s->n_devices = 1;
    s->devices[0] = (struct spec_device){copy("/dev/fuse"), copy("/dev/fuse"), 0666, true};
    s->masked_paths = list("/proc/kcore", NULL);
    s->read_only_paths = list("/proc/sys", "/proc/irq");
    ARRAY_OF(s->sysctls, 1);
    s->n_sysctls = 1;
    s->sysctls[0] = (struct spec_sysctl){copy("net.ipv4.ip_forward"), copy("1")};
    s->shm_size = 65536;
    s->hostname = copy("web");
    s->notify_socket = copy("/run/davit/notify/web");
    s->argv = list("/bin/sh", "");
    s->environment = list("A=b", "C=");
    s->program = copy("/bin/busybox");
    s->working_dir = copy("/srv");
    s->user = copy("www");
    s->group = copy("33");
    s->groups = list("audio", NULL);
    s->capabilities = UINT64_MAX;
    s->ambient_capabilities = 1;
    s->no_new_privileges = s->run_init = s->ignore_sigpipe = true;
    ARRAY_OF(s->rlimits, 1);
    s->n_rlimits = 1;
    s->rlimits[0] = (struct spec_rlimit){RLIMIT_NOFILE, 1024, UINT64_MAX};
    s->oom_score_adjust = -500;
    s->nice = -7;
    s->cpu_policy = SCHED_RR;
    s->cpu_priority = 50;
    s->io_priority = 2 << 13 | 6;
    s->umask = 077;
    ARRAY_OF(s->seccomp, 16);
    s->seccomp_size = 16;
    s->seccomp[15] = 7;
    s->stdin_fd = 0;
    s->stdout_fd = 1;
    s->stderr_fd = 2;
    s->terminal_fd = 3;
    s->pass_fd = 4;
}

static void *encode(const struct container_spec *s, size_t *ret_size) {
    struct error e;
    void *data = NULL;

    assert_int_equal(spec_encode(s, &data, ret_size, &e), 0);
    return data;
}

static void test_round_trip(void **state) {
    _cleanup_(spec_done) struct container_spec in, out;
    struct error e;
    size_t size, size2;

    (void)state;
    fill(&in);
    spec_init(&out);
    _cleanup_free_ void *data = encode(&in, &size);
    assert_int_equal(spec_decode(data, size, 5, &out, &e), 0);
    /* Encoding walks every field, so equal messages mean equal values. */
    _cleanup_free_ void *again = encode(&out, &size2);
    assert_int_equal(size, size2);
    assert_memory_equal(data, again, size);

    assert_int_equal(out.request, in.request);
    assert_string_equal(out.unit, "web.container");
    assert_int_equal(out.uid_map[1].outside, 5);
    assert_string_equal(out.layers[1], "/layers/b");
    assert_null(out.mounts[0].options);
    assert_string_equal(out.mounts[1].options, "size=1m");
    assert_int_equal(out.mounts[1].owner_uid, SPEC_ID_UNSET);
    assert_true(out.devices[0].optional);
    assert_string_equal(out.argv[1], "");
    assert_int_equal(out.rlimits[0].hard, UINT64_MAX);
    assert_int_equal(out.oom_score_adjust, -500);
    assert_int_equal(out.nice, -7);
    assert_int_equal(out.cpu_policy, SCHED_RR);
    assert_int_equal(out.cpu_priority, 50);
    assert_int_equal(out.io_priority, 2 << 13 | 6);
    assert_int_equal(out.seccomp[15], 7);
    assert_int_equal(out.pass_fd, 4);
}

static void test_empty_spec(void **state) {
    _cleanup_(spec_done) struct container_spec in, out;
    struct error e;
    size_t size;

    (void)state;
    spec_init(&in);
    spec_init(&out);
    in.kind = SPEC_PROCESS;
    in.argv = list("true", NULL);
    _cleanup_free_ void *data = encode(&in, &size);
    assert_int_equal(spec_decode(data, size, 0, &out, &e), 0);
    assert_int_equal(out.stdin_fd, -1);
    assert_int_equal(out.oom_score_adjust, INT32_MIN);
    assert_int_equal(out.nice, INT32_MIN);
    assert_int_equal(out.umask, UINT32_MAX);
    assert_null(out.seccomp);
    assert_null(out.working_dir);
}

static void test_truncation_at_every_byte(void **state) {
    struct container_spec in, out;
    struct error e;
    size_t size;

    (void)state;
    fill(&in);
    _cleanup_free_ uint8_t *data = encode(&in, &size);
    spec_done(&in);
    for (size_t n = 0; n < size; n++) {
        /* A copy of exactly n bytes: the sanitizer sees every read past them. */
        _cleanup_free_ uint8_t *part = malloc(MAX(n, (size_t)1));
        memcpy(part, data, n);
        memset(&out, 0xaa, sizeof(out));
        assert_int_equal(spec_decode(part, n, 5, &out, &e), -EBADMSG);
        assert_int_equal(((uint8_t *)&out)[0], 0xaa); /* untouched */
    }
    uint8_t *longer = malloc(size + 1);
    memcpy(longer, data, size);
    longer[size] = 0;
    assert_int_equal(spec_decode(longer, size + 1, 5, &out, &e), -EBADMSG);
    free(longer);
}

/* Whatever arrives: an answer, no crash, nothing leaked, and what is accepted can be sent on. */
static void test_random_corruption(void **state) {
    struct container_spec in, out;
    struct error e;
    size_t size;
    unsigned accepted = 0;

    (void)state;
    srandom(4711);
    fill(&in);
    _cleanup_free_ uint8_t *data = encode(&in, &size);
    spec_done(&in);
    for (int round = 0; round < 20000; round++) {
        _cleanup_free_ uint8_t *bad = malloc(size);
        memcpy(bad, data, size);
        for (long n = 1 + random() % 4; n > 0; n--)
            bad[random() % (long)size] = random() % 3 == 0 ? 0xff : (uint8_t)random();
        spec_init(&out);
        if (spec_decode(bad, size, 5, &out, &e) < 0)
            continue;
        void *again;
        size_t size2;
        accepted++;
        assert_int_equal(spec_encode(&out, &again, &size2, &e), 0);
        free(again);
        spec_done(&out);
    }
    assert_true(accepted > 0);
}

static void test_request_of_unreadable_message(void **state) {
    _cleanup_(spec_done) struct container_spec in;
    struct container_spec out;
    uint64_t request = 0;
    struct error e = {};
    size_t size;

    (void)state;
    fill(&in);
    _cleanup_free_ void *data = encode(&in, &size);
    assert_int_equal(spec_request(data, SPEC_HEADER_SIZE, &request), 0);
    assert_int_equal(request, in.request);
    assert_int_equal(spec_request(data, SPEC_HEADER_SIZE - 1, &request), -EBADMSG);
    ((uint8_t *)data)[0] ^= 1; /* the version */
    assert_int_equal(spec_decode(data, size, 3, &out, &e), -EPROTONOSUPPORT);
    request = 0;
    assert_int_equal(spec_request(data, size, &request), 0);
    assert_int_equal(request, in.request);
    assert_int_equal(spec_request("garbage garbage", 15, &request), -EBADMSG);
}

static void test_too_large(void **state) {
    _cleanup_(spec_done) struct container_spec in;
    struct error e;
    void *data = NULL;
    size_t size;

    (void)state;
    fill(&in);
    char *big = malloc(SPEC_MAX_SIZE + 1);
    memset(big, 'x', SPEC_MAX_SIZE);
    big[SPEC_MAX_SIZE] = '\0';
    assert_int_equal(strv_consume(&in.environment, big), 0);
    assert_int_equal(spec_encode(&in, &data, &size, &e), -E2BIG);
    assert_null(data);
    assert_non_null(strstr(e.text, "web.container"));
}

/* ---- checks ---- */

static void set(char **field, const char *value) {
    assert_int_equal(free_and_strdup(field, value), 0);
}

/* Each makes a good spec bad in one way. */
static void bad_kind(struct container_spec *s) {
    s->kind = _SPEC_KIND_COUNT;
}
static void bad_task(struct container_spec *s) {
    s->kind = SPEC_TASK;
    s->task = TASK_NONE;
}
static void bad_namespaces(struct container_spec *s) {
    s->namespaces |= 1 << 20;
}
static void no_mount_namespace(struct container_spec *s) {
    s->namespaces &= ~(uint32_t)NS_MOUNT;
}
static void maps_without_userns(struct container_spec *s) {
    s->namespaces &= ~(uint32_t)NS_USER;
}
static void map_overflow(struct container_spec *s) {
    s->uid_map[0].count = UINT32_MAX;
}
static void map_of_nothing(struct container_spec *s) {
    s->gid_map[0].count = 0;
}
static void map_with_last_id(struct container_spec *s) {
    s->gid_map[0].outside = UINT32_MAX - 65535;
}
static void map_without_root(struct container_spec *s) {
    s->uid_map[0].inside = 1;
}
static void fd_position(struct container_spec *s) {
    s->stderr_fd = 5;
}
static void fd_position_negative(struct container_spec *s) {
    s->pass_fd = -2;
}
static void exec_without_target(struct container_spec *s) {
    s->kind = SPEC_EXEC;
    s->join_pidfd = -1;
}
static void relative_layer(struct container_spec *s) {
    set(&s->layers[0], "layers/a");
}
static void dots_in_layer(struct container_spec *s) {
    set(&s->layers[0], "/layers/../../etc");
}
static void no_layers(struct container_spec *s) {
    strv_free(s->layers);
    s->layers = NULL;
}
static void relative_target(struct container_spec *s) {
    set(&s->mounts[0].target, "data");
}
static void root_target(struct container_spec *s) {
    set(&s->mounts[0].target, "//");
}
static void dots_in_target(struct container_spec *s) {
    set(&s->mounts[1].target, "/a/../../b");
}
static void bind_without_source(struct container_spec *s) {
    set(&s->mounts[0].source, NULL);
}
static void mount_kind(struct container_spec *s) {
    s->mounts[0].kind = 77;
}
static void mount_flags(struct container_spec *s) {
    s->mounts[0].flags = 1u << 31;
}
static void device_target(struct container_spec *s) {
    set(&s->devices[0].target, NULL);
}
static void file_path(struct container_spec *s) {
    set(&s->files[0].path, "etc/hosts");
}
static void file_directory(struct container_spec *s) {
    set(&s->files[0].path, "/etc/");
}
static void long_hostname(struct container_spec *s) {
    set(&s->hostname, "x123456789x123456789x123456789x123456789x123456789x123456789x1234");
}
static void mask_relative(struct container_spec *s) {
    set(&s->masked_paths[0], "proc/kcore");
}
static void sysctl_empty(struct container_spec *s) {
    set(&s->sysctls[0].key, "");
}
static void no_argv(struct container_spec *s) {
    strv_free(s->argv);
    s->argv = NULL;
}
static void empty_program(struct container_spec *s) {
    set(&s->argv[0], "");
}
static void rlimit_resource(struct container_spec *s) {
    s->rlimits[0].resource = 99;
}
static void rlimit_order(struct container_spec *s) {
    s->rlimits[0].hard = 1;
}
static void oom_range(struct container_spec *s) {
    s->oom_score_adjust = -1001;
}
static void nice_range(struct container_spec *s) {
    s->nice = 20;
}
static void cpu_policy(struct container_spec *s) {
    s->cpu_policy = SCHED_DEADLINE;
}
static void cpu_priority(struct container_spec *s) {
    s->cpu_priority = 100;
}
static void cpu_priority_of_no_real_time(struct container_spec *s) {
    s->cpu_policy = SCHED_BATCH;
}
static void io_class(struct container_spec *s) {
    s->io_priority = 4 << 13;
}
static void io_level(struct container_spec *s) {
    s->io_priority = 2 << 13 | 8;
}
static void umask_range(struct container_spec *s) {
    s->umask = 010000;
}
static void seccomp_size(struct container_spec *s) {
    s->seccomp_size = 15;
}
static void cwd_relative(struct container_spec *s) {
    set(&s->working_dir, "srv");
}
static void tasks_relative(struct container_spec *s) {
    set(&s->cgroup_v1_tasks[0], "tasks");
}

static void test_bad_specs_are_refused(void **state) {
    static void (*const spoil[])(struct container_spec * s) = {bad_kind, bad_task, bad_namespaces,
        no_mount_namespace, maps_without_userns, map_overflow, map_of_nothing, map_with_last_id,
        map_without_root, fd_position, fd_position_negative, exec_without_target, relative_layer,
        dots_in_layer, no_layers, relative_target, root_target, dots_in_target, bind_without_source,
        mount_kind, mount_flags, device_target, file_path, file_directory, long_hostname, mask_relative,
        sysctl_empty, no_argv, empty_program, rlimit_resource, rlimit_order, oom_range, nice_range,
        cpu_policy, cpu_priority, cpu_priority_of_no_real_time, io_class, io_level, umask_range, seccomp_size,
        cwd_relative, tasks_relative};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(spoil); i++) {
        _cleanup_(spec_done) struct container_spec s;
        struct container_spec out;
        struct error e = {};
        size_t size;

        fill(&s);
        spoil[i](&s);
        _cleanup_free_ void *data = encode(&s, &size);
        int r = spec_decode(data, size, 5, &out, &e);
        if (r != -EBADMSG)
            fail_msg("case %zu was not refused (%d)", i, r);
        assert_true(e.text[0] != '\0');
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_empty_spec),
        cmocka_unit_test(test_truncation_at_every_byte),
        cmocka_unit_test(test_random_corruption),
        cmocka_unit_test(test_request_of_unreadable_message),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_bad_specs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
