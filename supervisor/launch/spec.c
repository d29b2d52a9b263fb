/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A spec as a value and as a message. One table lists the fields; freeing, writing and reading all walk it,
 * so they cannot disagree. Offsets are into struct container_spec or into one element of an array in it.
 *
 * The message: magic, request (so that a launcher can name the request of a message it cannot read), then the
 * fields in the order of the table.
 */
#include "launch/spec.h"

#include "base/wire.h"

/* "DVS" and the version, which changes with every change of the tables below. What comes before them stays. */
enum { SPEC_MAGIC = 0x44565300, SPEC_VERSION = '2', SPEC_VERSION_MASK = 0xff };

enum field_type { FIELD_U32, FIELD_U64, FIELD_BOOL, FIELD_STRING, FIELD_STRV, FIELD_BYTES, FIELD_ARRAY };

struct record;
struct field {
    enum field_type type;
    uint32_t offset;
    uint32_t count_offset;       /* FIELD_BYTES, FIELD_ARRAY: the uint32_t that counts */
    const struct record *record; /* FIELD_ARRAY: what one element is */
};
struct record {
    size_t size; /* in memory */
    const struct field *fields;
    size_t n_fields;
};

#define RECORD(type, table) \
    { sizeof(type), table, ARRAY_SIZE(table) }

static const struct field mount_fields[] = {
    {FIELD_U32, offsetof(struct spec_mount, kind), 0, NULL},
    {FIELD_U32, offsetof(struct spec_mount, flags), 0, NULL},
    {FIELD_STRING, offsetof(struct spec_mount, source), 0, NULL},
    {FIELD_STRING, offsetof(struct spec_mount, target), 0, NULL},
    {FIELD_STRING, offsetof(struct spec_mount, options), 0, NULL},
    {FIELD_U32, offsetof(struct spec_mount, owner_uid), 0, NULL},
    {FIELD_U32, offsetof(struct spec_mount, owner_gid), 0, NULL},
};
static const struct record mount_record = RECORD(struct spec_mount, mount_fields);

static const struct field device_fields[] = {
    {FIELD_STRING, offsetof(struct spec_device, source), 0, NULL},
    {FIELD_STRING, offsetof(struct spec_device, target), 0, NULL},
    {FIELD_U32, offsetof(struct spec_device, mode), 0, NULL},
    {FIELD_BOOL, offsetof(struct spec_device, optional), 0, NULL},
};
static const struct record device_record = RECORD(struct spec_device, device_fields);

static const struct field file_fields[] = {
    {FIELD_STRING, offsetof(struct spec_file, path), 0, NULL},
    {FIELD_STRING, offsetof(struct spec_file, content), 0, NULL},
    {FIELD_U32, offsetof(struct spec_file, mode), 0, NULL},
};
static const struct record file_record = RECORD(struct spec_file, file_fields);

static const struct field id_range_fields[] = {
    {FIELD_U32, offsetof(struct spec_id_range, inside), 0, NULL},
    {FIELD_U32, offsetof(struct spec_id_range, outside), 0, NULL},
    {FIELD_U32, offsetof(struct spec_id_range, count), 0, NULL},
};
static const struct record id_range_record = RECORD(struct spec_id_range, id_range_fields);

static const struct field rlimit_fields[] = {
    {FIELD_U32, offsetof(struct spec_rlimit, resource), 0, NULL},
    {FIELD_U64, offsetof(struct spec_rlimit, soft), 0, NULL},
    {FIELD_U64, offsetof(struct spec_rlimit, hard), 0, NULL},
};
static const struct record rlimit_record = RECORD(struct spec_rlimit, rlimit_fields);

static const struct field sysctl_fields[] = {
    {FIELD_STRING, offsetof(struct spec_sysctl, key), 0, NULL},
    {FIELD_STRING, offsetof(struct spec_sysctl, value), 0, NULL},
};
static const struct record sysctl_record = RECORD(struct spec_sysctl, sysctl_fields);

#define ONE(type, name) \
    { type, offsetof(struct container_spec, name), 0, NULL }
#define MANY(name, record) \
    { \
        FIELD_ARRAY, offsetof(struct container_spec, name), offsetof(struct container_spec, n_##name), \
            &(record) \
    }

static const struct field spec_fields[] = {
    ONE(FIELD_U32, kind),
    ONE(FIELD_U32, task),
    ONE(FIELD_STRING, unit),
    ONE(FIELD_STRING, invocation),
    ONE(FIELD_U32, namespaces),
    ONE(FIELD_U32, join_pidfd),
    MANY(uid_map, id_range_record),
    MANY(gid_map, id_range_record),
    ONE(FIELD_STRING, cgroup_unified),
    ONE(FIELD_STRV, cgroup_v1_tasks),
    ONE(FIELD_STRV, layers),
    ONE(FIELD_STRING, tree),
    ONE(FIELD_STRING, upper_dir),
    ONE(FIELD_BOOL, read_only),
    ONE(FIELD_BOOL, volatile_upper),
    MANY(files, file_record),
    MANY(mounts, mount_record),
    MANY(devices, device_record),
    ONE(FIELD_STRV, masked_paths),
    ONE(FIELD_STRV, read_only_paths),
    MANY(sysctls, sysctl_record),
    ONE(FIELD_U64, shm_size),
    ONE(FIELD_STRING, hostname),
    ONE(FIELD_STRING, notify_socket),
    ONE(FIELD_STRV, argv),
    ONE(FIELD_STRV, environment),
    ONE(FIELD_STRING, program),
    ONE(FIELD_STRING, working_dir),
    ONE(FIELD_STRING, user),
    ONE(FIELD_STRING, group),
    ONE(FIELD_STRV, groups),
    ONE(FIELD_U64, capabilities),
    ONE(FIELD_U64, ambient_capabilities),
    ONE(FIELD_BOOL, no_new_privileges),
    ONE(FIELD_BOOL, run_init),
    ONE(FIELD_BOOL, ignore_sigpipe),
    MANY(rlimits, rlimit_record),
    ONE(FIELD_U32, oom_score_adjust),
    ONE(FIELD_U32, nice),
    ONE(FIELD_U32, cpu_policy),
    ONE(FIELD_U32, cpu_priority),
    ONE(FIELD_U32, io_priority),
    ONE(FIELD_U32, umask),
    {FIELD_BYTES, offsetof(struct container_spec, seccomp), offsetof(struct container_spec, seccomp_size),
        NULL},
    ONE(FIELD_U32, stdin_fd),
    ONE(FIELD_U32, stdout_fd),
    ONE(FIELD_U32, stderr_fd),
    ONE(FIELD_U32, terminal_fd),
    ONE(FIELD_U32, pass_fd),
};
static const struct record spec_record = RECORD(struct container_spec, spec_fields);

_Static_assert(
    sizeof(enum spec_kind) == 4 && sizeof(enum spec_task) == 4 && sizeof(enum spec_mount_kind) == 4,
    "enums travel as FIELD_U32");

static uint32_t count_of(const struct field *f, const void *base) {
    return *(const uint32_t *)(const void *)((const char *)base + f->count_offset);
}

/* ---- value ---- */

void spec_init(struct container_spec *s) {
    *s = (struct container_spec){
        .join_pidfd = -1,
        .oom_score_adjust = INT32_MIN,
        .nice = INT32_MIN,
        .umask = UINT32_MAX,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = -1,
        .terminal_fd = -1,
        .pass_fd = -1,
    };
}

static void record_free(const struct record *r, void *base) {
    for (size_t i = 0; i < r->n_fields; i++) {
        const struct field *f = &r->fields[i];
        void **p = (void **)(void *)((char *)base + f->offset);

        switch (f->type) {
        case FIELD_STRV:
            strv_free((char **)*p);
            break;
        case FIELD_ARRAY:
            for (uint32_t n = 0; *p && n < count_of(f, base); n++)
                record_free(f->record, (char *)*p + n * f->record->size);
            free(*p);
            break;
        case FIELD_STRING:
        case FIELD_BYTES:
            free(*p);
            break;
        default:
            break;
        }
    }
}

void spec_done(struct container_spec *s) {
    record_free(&spec_record, s);
    spec_init(s);
}

/* ---- writing ---- */

static void record_write(const struct record *r, const void *base, struct wire_writer *w) {
    for (size_t i = 0; i < r->n_fields; i++) {
        const struct field *f = &r->fields[i];
        const void *p = (const char *)base + f->offset;

        switch (f->type) {
        case FIELD_U32:
            wire_put_u32(w, *(const uint32_t *)p);
            break;
        case FIELD_U64:
            wire_put_u64(w, *(const uint64_t *)p);
            break;
        case FIELD_BOOL:
            wire_put_u8(w, *(const bool *)p);
            break;
        case FIELD_STRING:
            wire_put_string(w, *(char *const *)p);
            break;
        case FIELD_STRV:
            wire_put_strv(w, *(char *const *const *)p);
            break;
        case FIELD_BYTES:
            wire_put_bytes(w, *(const void *const *)p, count_of(f, base));
            break;
        case FIELD_ARRAY:
            wire_put_u32(w, count_of(f, base));
            for (uint32_t n = 0; n < count_of(f, base); n++)
                record_write(f->record, *(const char *const *)p + n * f->record->size, w);
            break;
        }
    }
}

int spec_encode(const struct container_spec *s, void **ret, size_t *ret_size, struct error *e) {
    _cleanup_(wire_writer_free) struct wire_writer w = {};

    wire_put_u32(&w, SPEC_MAGIC | SPEC_VERSION);
    wire_put_u64(&w, s->request);
    record_write(&spec_record, s, &w);
    if (strbuf_failed(&w.out))
        return error_set(e, ENOMEM, "out of memory");
    if (w.out.length > SPEC_MAX_SIZE)
        return error_set(e, E2BIG,
            "%s takes %zu bytes to launch, more than %u: too much environment or too many mounts",
            s->unit ? s->unit : "it", w.out.length, SPEC_MAX_SIZE);
    *ret_size = w.out.length;
    *ret = strbuf_take(&w.out);
    return 0;
}

/* ---- reading ---- */

/* The least number of bytes that one element takes in a message: for refusing forged counts before
 * allocating. */
static size_t record_wire_min(const struct record *r) {
    size_t n = 0;
    for (size_t i = 0; i < r->n_fields; i++)
        n += r->fields[i].type == FIELD_BOOL ? 1 : r->fields[i].type == FIELD_U64 ? 8 : 4;
    return n;
}

static void record_read(const struct record *r, void *base, struct wire_reader *w);

static void array_read(const struct field *f, void *base, struct wire_reader *w) {
    uint32_t *count = (uint32_t *)(void *)((char *)base + f->count_offset);
    char **elements = (char **)(void *)((char *)base + f->offset);
    uint32_t n = wire_get_count(w, record_wire_min(f->record));

    if (n == 0)
        return;
    *elements = calloc(n, f->record->size);
    if (!*elements) {
        w->error = -ENOMEM;
        return;
    }
    *count = n;
    for (uint32_t i = 0; i < n && w->error == 0; i++)
        record_read(f->record, *elements + i * f->record->size, w);
}

static void bool_read(bool *ret, struct wire_reader *w) {
    uint8_t v = wire_get_u8(w);
    if (v > 1 && w->error == 0)
        w->error = -EBADMSG;
    *ret = v == 1;
}

static void record_read(const struct record *r, void *base, struct wire_reader *w) {
    for (size_t i = 0; i < r->n_fields && w->error == 0; i++) {
        const struct field *f = &r->fields[i];
        void *p = (char *)base + f->offset;

        switch (f->type) {
        case FIELD_U32:
            *(uint32_t *)p = wire_get_u32(w);
            break;
        case FIELD_U64:
            *(uint64_t *)p = wire_get_u64(w);
            break;
        case FIELD_BOOL:
            bool_read(p, w);
            break;
        case FIELD_STRING:
            *(char **)p = wire_get_string(w);
            break;
        case FIELD_STRV:
            *(char ***)p = wire_get_strv(w);
            break;
        case FIELD_BYTES:
            *(void **)p = wire_get_bytes(w, (uint32_t *)(void *)((char *)base + f->count_offset));
            break;
        case FIELD_ARRAY:
            array_read(f, base, w);
            break;
        }
    }
}

static bool is_spec(uint32_t magic) {
    return (magic & ~(uint32_t)SPEC_VERSION_MASK) == SPEC_MAGIC;
}

int spec_request(const void *data, size_t size, uint64_t *ret) {
    struct wire_reader r = {.data = data, .length = size};
    uint32_t magic = wire_get_u32(&r);
    uint64_t request = wire_get_u64(&r);

    if (r.error != 0 || !is_spec(magic))
        return -EBADMSG;
    *ret = request;
    return 0;
}

int spec_decode(const void *data, size_t size, size_t n_fds, struct container_spec *ret, struct error *e) {
    _cleanup_(spec_done) struct container_spec s;
    struct wire_reader r = {.data = data, .length = size};

    spec_init(&s);
    uint32_t magic = wire_get_u32(&r);
    s.request = wire_get_u64(&r);
    if (r.error != 0 || !is_spec(magic))
        return error_set(e, EBADMSG, "not a launch request");
    if (magic != (SPEC_MAGIC | SPEC_VERSION))
        return error_set(e, EPROTONOSUPPORT,
            "a launch request of another version: davitd and davit-launch have to be of one");
    record_read(&spec_record, &s, &r);
    int q = r.error == 0 ? wire_reader_finish(&r) : r.error;
    if (q == -ENOMEM)
        return error_set(e, ENOMEM, "out of memory");
    if (q < 0)
        return error_set(e, EBADMSG, "broken launch request (at byte %zu of %zu)", r.position, size);
    q = spec_check(&s, n_fds, e);
    if (q < 0)
        return q;

    /* An empty blob came as one allocated byte: nobody wants to tell it from none. */
    if (s.seccomp_size == 0) {
        free(s.seccomp);
        s.seccomp = NULL;
    }
    *ret = s;
    spec_init(&s);
    return 0;
}
