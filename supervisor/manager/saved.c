/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Saved state: <runtime>/state/UNIT, one small text file a unit, so that a davitd that comes back knows what
 * the one before it knew.
 *
 *   version=1
 *   unit=web.container
 *   state=running
 *   ...
 *   sum=0123456789abcdef
 *
 * The sum closes a state and is checked when it is read back; what has its initial value is left out. A unit
 * changes several times in a row, and a new file for each of them would be the dearest part of a start: so a
 * state is appended to those before it until FILE_SIZE is reached, and only then a new file takes the place
 * of the old one, by rename. The last state that is whole counts. What a dying davitd had begun to append is
 * without its sum, and was never acted upon.
 *
 * One table says which field is which key. Which files there are to read, and what becomes of units whose
 * file cannot be read, is in recover.c; what is saved besides units in saved_manager.c.
 */
#include <fcntl.h>
#include <inttypes.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/words.h"
#include "manager/rooms.h"

#define FORMAT_VERSION "1"
#define RETRY_DELAY USEC_PER_SEC
#define FILE_SIZE 4096    /* a page of /run, which is all that a file costs */
#define FOREIGN "foreign" /* a process that is no child of davit-init */

enum field_type {
    FIELD_STATE,
    FIELD_STEP,
    FIELD_RESULT,
    FIELD_TEXT,
    FIELD_ARRAY,    /* char in the struct */
    FIELD_UNSIGNED, /* uint32_t is the same */
    FIELD_U64,
    FIELD_INT,
    FIELD_BOOL,
    FIELD_PROCESS,
    FIELD_ERROR, /* NUMBER|STEP|TEXT */
    FIELD_STRV,  /* one line an element */
    FIELD_EXEC,  /* one line a command; read into a FIELD_STRV */
};

#define FIELD_FROM(key, type, member, initial) \
    { key, type, offsetof(struct managed_unit, member), sizeof(((struct managed_unit *)0)->member), initial }
#define FIELD(key, type, member) FIELD_FROM(key, type, member, 0)

static const struct field {
    const char *key;
    enum field_type type;
    size_t offset, size;
    uint64_t initial; /* of a number: what managed_unit_new() gives it */
} fields[] = {
    FIELD("state", FIELD_STATE, state),
    FIELD("step", FIELD_STEP, step),
    FIELD("result", FIELD_RESULT, result),
    FIELD("pending_result", FIELD_RESULT, pending_result),
    FIELD("status_text", FIELD_TEXT, status_text),
    FIELD("error", FIELD_ERROR, error),
    FIELD("state_since", FIELD_U64, state_since),
    FIELD("active_since", FIELD_U64, active_since),
    FIELD("activating_since", FIELD_U64, activating_since),
    FIELD("state_since_realtime", FIELD_U64, state_since_realtime),
    FIELD_FROM("timeout_at", FIELD_U64, timeout_at, USEC_INFINITY),
    FIELD("invocation", FIELD_ARRAY, invocation),
    FIELD("restarts", FIELD_UNSIGNED, restarts),
    FIELD("backoff_step", FIELD_UNSIGNED, backoff_step),
    FIELD("backoff_until", FIELD_U64, backoff_until),
    FIELD("start_limit_begin", FIELD_U64, start_limit.window_begin),
    FIELD("start_limit_count", FIELD_UNSIGNED, start_limit.count),
    FIELD("needs_limit_begin", FIELD_U64, needs_limit.window_begin),
    FIELD("needs_limit_count", FIELD_UNSIGNED, needs_limit.count),
    FIELD("gone", FIELD_BOOL, gone),
    FIELD("transient", FIELD_BOOL, transient),
    FIELD("run_key", FIELD_TEXT, run_key),
    FIELD("run_attached", FIELD_BOOL, run_attached),
    FIELD("stop_requested", FIELD_BOOL, stop_requested),
    FIELD("stop_by_dependency", FIELD_BOOL, stop_by_dependency),
    FIELD("frozen", FIELD_BOOL, frozen),
    FIELD("start_limited", FIELD_BOOL, start_limited),
    FIELD("ready_received", FIELD_BOOL, ready_received),
    FIELD("oom_kills_seen", FIELD_U64, oom_kills_seen),
    FIELD("oom_kills", FIELD_UNSIGNED, oom_kills),
    FIELD("main_code", FIELD_INT, main_code),
    FIELD("main_status", FIELD_INT, main_status),
    FIELD("control_index", FIELD_U64, control_index),
    FIELD("main_index", FIELD_U64, main_index),
    FIELD_FROM("job", FIELD_INT, saved_job, UINT64_MAX), /* -1 */
    FIELD("job_running", FIELD_BOOL, saved_job_running),
    FIELD("will_restart", FIELD_BOOL, will_restart),
    FIELD("start_again", FIELD_BOOL, start_again),
    FIELD("returns_with_dependency", FIELD_BOOL, returns_with_dependency),
    FIELD("exec_failed", FIELD_BOOL, exec_failed),
    FIELD("hook_lost", FIELD_BOOL, hook_lost),
    FIELD("stop_by_notify", FIELD_BOOL, stop_by_notify),
    FIELD("watchdog_usec", FIELD_U64, watchdog_usec),
    FIELD("main", FIELD_PROCESS, recovered_main),
    FIELD("control", FIELD_PROCESS, recovered_control),
    FIELD("cgroup", FIELD_BOOL, resources.cgroup),
    FIELD("upper", FIELD_TEXT, resources.upper_dir),
    FIELD("stop_signal", FIELD_INT, image_stop_signal),
    FIELD("stop_signal_sent", FIELD_INT, stop_signal_sent),
    FIELD("stopped_in_backoff", FIELD_BOOL, stopped_in_backoff),
    FIELD("id_base", FIELD_UNSIGNED, resources.id_base),
    FIELD("id_count", FIELD_UNSIGNED, resources.id_count),
    FIELD("volume", FIELD_STRV, resources.anonymous_volumes),
    FIELD("exec", FIELD_EXEC, recovered_sessions),
};

static const char *const stage_names[] = {
    [PROCESS_REQUESTED] = "requested",
    [PROCESS_BEGUN] = "begun",
    [PROCESS_STARTED] = "started",
    [PROCESS_ENDED] = "ended",
};

/* What closes a state. */
#define SUM "sum="
#define SUM_LINE strlen(SUM "0123456789abcdef\n")

/* ---- formatting ---- */

/* One line a value: newline and backslash are escaped. */
static void put_text(struct strbuf *b, const char *key, const char *value) {
    strbuf_puts(b, key);
    strbuf_putc(b, '=');
    for (;;) {
        size_t plain = strcspn(value, "\n\\");

        strbuf_append(b, value, plain);
        value += plain;
        if (!*value)
            break;
        strbuf_putc(b, '\\');
        strbuf_putc(b, *value++ == '\n' ? 'n' : '\\');
    }
    strbuf_putc(b, '\n');
}

/* What runs is in u->main and u->control; the recovered_* fields only carry it from the file to
 * unit_recover(). */
static void put_process(struct strbuf *b, const char *key, const struct process *p) {
    if (p && p->stage != PROCESS_ENDED)
        strbuf_printf(b, "%s=%" PRIu64 " %d %s %" PRIu64 "%s\n", key, p->request, (int)p->pid,
            stage_names[p->stage], p->begun_at, p->foreign ? " " FOREIGN : "");
}

static void put_error(struct strbuf *b, const char *key, const struct error *e) {
    _cleanup_free_ char *text = e ? strf("%d|%s|%s", e->number, e->step, e->text) : NULL;

    if (text)
        put_text(b, key, text);
}

/* Sign-extended, so that each has one form. */
static uint64_t number_of(const struct field *f, const void *v) {
    switch (f->type) {
    case FIELD_UNSIGNED:
        return *(const unsigned *)v;
    case FIELD_INT:
        return (uint64_t) * (const int *)v;
    case FIELD_BOOL:
        return *(const bool *)v;
    default:
        return *(const uint64_t *)v;
    }
}

/* By hand: most of a file are numbers, and printf(3) takes longer for them than the kernel does for the rest.
 */
static void put_number(struct strbuf *b, const struct field *f, uint64_t number) {
    bool negative = f->type == FIELD_INT && (int64_t)number < 0;
    char digits[24], *p = digits + sizeof(digits);

    if (number == f->initial)
        return;
    *--p = '\0';
    for (uint64_t n = negative ? -number : number; n > 0 || !*p; n /= 10)
        *--p = (char)('0' + n % 10);
    if (negative)
        *--p = '-';
    put_text(b, f->key, p);
}

static void put_field(struct strbuf *b, const struct managed_unit *u, const struct field *f) {
    const void *v = (const char *)u + f->offset;

    switch (f->type) {
    case FIELD_STATE:
        put_text(b, f->key, unit_state_name(u->state));
        break;
    case FIELD_STEP:
        put_text(b, f->key, unit_step_name(u->step));
        break;
    case FIELD_RESULT:
        put_text(b, f->key, unit_result_name(*(const enum unit_result *)v));
        break;
    case FIELD_TEXT:
        if (*(char *const *)v)
            put_text(b, f->key, *(char *const *)v);
        break;
    case FIELD_ARRAY:
        if (*(const char *)v)
            put_text(b, f->key, v);
        break;
    case FIELD_UNSIGNED:
    case FIELD_U64:
    case FIELD_INT:
        put_number(b, f, number_of(f, v));
        break;
    case FIELD_BOOL:
        if (*(const bool *)v)
            put_text(b, f->key, "yes");
        break;
    case FIELD_PROCESS:
        put_process(b, f->key, v == &u->recovered_main ? u->main : u->control);
        break;
    case FIELD_ERROR:
        put_error(b, f->key, u->error);
        break;
    case FIELD_STRV:
        STRV_FOREACH (s, *(char **const *)v)
            put_text(b, f->key, *s);
        break;
    case FIELD_EXEC:
        exec_format(u, f->key, b);
        break;
    }
}

char *saved_format(const struct managed_unit *u) {
    _cleanup_strbuf_ struct strbuf b = {};

    strbuf_puts(&b, "version=" FORMAT_VERSION "\n");
    put_text(&b, "unit", u->name);
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        put_field(&b, u, &fields[i]);
    if (strbuf_failed(&b))
        return NULL;
    strbuf_printf(&b, SUM "%016" PRIx64 "\n", siphash_stable(b.data, b.length));
    return strbuf_take(&b);
}

/* ---- parsing ---- */

static char *unescape(const char *s) {
    char *copy = strdup(s), *out = copy;

    for (const char *p = copy; p && *p; p++) {
        if (*p == '\\' && p[1]) {
            p++;
            *out++ = *p == 'n' ? '\n' : *p;
        } else {
            *out++ = *p;
        }
    }
    if (copy)
        *out = '\0';
    return copy;
}

static int get_stage(const char *name, enum process_stage *ret) {
    for (size_t i = 0; i < ARRAY_SIZE(stage_names); i++) {
        if (streq(stage_names[i], name)) {
            *ret = (enum process_stage)i;
            return 0;
        }
    }
    return -EBADMSG;
}

/* REQUEST PID STAGE BEGUN [FOREIGN]; a later version may have more to say */
static int get_process(struct recovered_process *p, const char *value) {
    _cleanup_strv_free_ char **words = NULL;
    uint64_t pid;

    if (words_split(value, WORDS_KEEP_BACKSLASH, &words) < 0 || strv_length(words) < 4)
        return -EBADMSG;
    if (parse_uint(words[0], 1, UINT64_MAX, &p->request) < 0 ||
        parse_uint(words[1], 0, INT32_MAX, &pid) < 0 || parse_uint(words[3], 0, UINT64_MAX, &p->begun_at) < 0)
        return -EBADMSG;
    p->pid = (pid_t)pid;
    p->foreign = words[4] && streq(words[4], FOREIGN);
    return get_stage(words[2], &p->stage);
}

static int get_string(const struct field *f, void *v, const char *value) {
    _cleanup_free_ char *text = unescape(value);

    if (!text)
        return -ENOMEM;
    if (f->type == FIELD_STRV || f->type == FIELD_EXEC)
        return strv_append(v, text);
    if (f->type == FIELD_ARRAY) {
        if (strlen(text) >= f->size)
            return -EBADMSG;
        memcpy(v, text, strlen(text) + 1);
        return 0;
    }
    return free_and_strdup(v, text);
}

static int get_error(struct managed_unit *u, const char *value) {
    _cleanup_free_ char *line = unescape(value);
    char *step = line ? strchr(line, '|') : NULL, *text = step ? strchr(step + 1, '|') : NULL;
    struct error e = {};
    int64_t number;

    if (!text)
        return line ? -EBADMSG : -ENOMEM;
    *step++ = *text++ = '\0';
    if (parse_int(line, 1, INT32_MAX, &number) < 0)
        return -EBADMSG;
    error_set_step(&e, step);
    (void)error_set(&e, (int)number, "%s", text);
    unit_set_error(u, &e);
    return 0;
}

static int get_number(const struct field *f, void *v, const char *value) {
    uint64_t number = 0;
    int64_t integer = 0;
    int r;

    switch (f->type) {
    case FIELD_UNSIGNED:
        r = parse_uint(value, 0, UINT32_MAX, &number);
        *(unsigned *)v = (unsigned)number;
        return r;
    case FIELD_U64:
        r = parse_uint(value, 0, UINT64_MAX, &number);
        *(uint64_t *)v = number;
        return r;
    default:
        r = parse_int(value, INT32_MIN, INT32_MAX, &integer);
        *(int *)v = (int)integer;
        return r;
    }
}

static int get_field(struct managed_unit *u, const struct field *f, const char *value) {
    void *v = (char *)u + f->offset;
    int r;

    switch (f->type) {
    case FIELD_STATE:
        r = unit_state_from_name(value);
        if (r >= 0)
            u->state = (enum unit_state)r;
        return r;
    case FIELD_STEP:
        r = unit_step_from_name(value);
        if (r >= 0)
            u->step = (enum unit_step)r;
        return r;
    case FIELD_RESULT:
        r = unit_result_from_name(value);
        if (r >= 0)
            *(enum unit_result *)v = (enum unit_result)r;
        return r;
    case FIELD_TEXT:
    case FIELD_ARRAY:
    case FIELD_STRV:
    case FIELD_EXEC:
        return get_string(f, v, value);
    case FIELD_BOOL:
        return parse_boolean(value, v);
    case FIELD_ERROR:
        return get_error(u, value);
    case FIELD_PROCESS:
        return get_process(v, value);
    default:
        return get_number(f, v, value);
    }
}

/* A key that this davitd does not know was written by a newer one: passed over. */
static int get_line(struct managed_unit *u, char *line) {
    char *value = strchr(line, '=');

    if (!value)
        return -EBADMSG;
    *value++ = '\0';
    if (streq(line, "version"))
        return streq(value, FORMAT_VERSION) ? 0 : -EPROTONOSUPPORT;
    if (streq(line, "unit"))
        return streq(value, u->name) ? 0 : -EBADMSG;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (streq(line, fields[i].key))
            return get_field(u, &fields[i], value) < 0 ? -EBADMSG : 0;
    }
    return 0;
}

/* The line behind the state of n bytes at text is its sum. */
static bool sum_is_right(const char *text, size_t n) {
    char *end;

    uint64_t sum = strtoull(text + n + strlen(SUM), &end, 16);
    return end == text + n + SUM_LINE - 1 && *end == '\n' && sum == siphash_stable(text, n);
}

/* The last state in text that has its sum: where it begins and how long it is. */
static int last_state(const char *text, const char **ret, size_t *ret_n) {
    size_t found = 0;

    for (const char *begin = text, *line = text; *line;) {
        const char *next = strchr(line, '\n');
        if (!next)
            break;
        next++;
        if (startswith(line, SUM)) {
            found = (size_t)(line - begin);
            if (!sum_is_right(begin, found))
                return -EBADMSG;
            *ret = begin;
            *ret_n = found;
            begin = next;
        }
        line = next;
    }
    return found > 0 ? 0 : -EBADMSG;
}

int saved_parse(struct managed_unit *u, const char *text) {
    size_t n;

    int r = last_state(text, &text, &n);
    if (r < 0)
        return r;
    _cleanup_free_ char *copy = strndup(text, n);
    if (!copy)
        return -ENOMEM;
    char *next = copy;
    while (*next) {
        char *line = next;
        next = strchr(line, '\n');
        if (!next)
            return -EBADMSG;
        *next++ = '\0';
        r = get_line(u, line);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- files ---- */

static char *file_name(const char *unit) {
    return strf("state/%s", unit);
}

/* A full /run is said once, and once more when it is over. */
static void note_result(struct manager *m, int r) {
    static int last;

    if (r < 0 && r != last)
        (void)log_errno(
            LOG_ERR, r, "Saving state in %s/state; a restart of davitd would not know it", m->paths.runtime);
    else if (r >= 0 && last < 0)
        log_notice("Saving state in %s/state works again", m->paths.runtime);
    last = r < 0 ? r : 0;
}

/* Whole or not at all. One writer and one name for the new file, so it takes four system calls where
 * file_write_atomic() takes eight: this is done several times in each start. */
int saved_replace_file(struct manager *m, const char *name, const void *data, size_t n) {
    static const char new_name[] = "state/.new";

    int fd = openat(m->runtime_fd, new_name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return negative_errno();
    int r = write_all(fd, data, n);
    if (close(fd) < 0 && r >= 0)
        r = negative_errno();
    if (r >= 0 && renameat(m->runtime_fd, new_name, m->runtime_fd, name) < 0)
        r = negative_errno();
    if (r < 0)
        (void)unlinkat(m->runtime_fd, new_name, 0);
    return r;
}

/* -EFBIG: a new file is due. */
static int append_state(struct managed_unit *u, const char *name, const char *text, size_t n) {
    if (u->saved_size == 0 || u->saved_size + n > FILE_SIZE)
        return -EFBIG;
    _cleanup_close_ int fd =
        openat(u->manager->runtime_fd, name, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? negative_errno() : write_all(fd, text, n);
}

int saved_write(struct managed_unit *u) {
    _cleanup_free_ char *text = saved_format(u), *name = file_name(u->name);

    if (!text || !name)
        return -ENOMEM;
    keeper_status_changed(u->manager);
    size_t n = strlen(text);
    int r = append_state(u, name, text, n);
    if (r >= 0) {
        u->saved_size = (uint16_t)(u->saved_size + n);
        return 0;
    }
    r = saved_replace_file(u->manager, name, text, n);
    /* A file in which a part of this state may be is not appended to; nor one that could not be written. */
    u->saved_size = r >= 0 && n <= FILE_SIZE ? (uint16_t)n : 0;
    return r;
}

void saved_remove(struct managed_unit *u) {
    _cleanup_free_ char *name = file_name(u->name);

    list_remove(&u->save_queue);
    u->saved_size = 0;
    if (name)
        (void)unlinkat(u->manager->runtime_fd, name, 0);
}

static int on_retry(_unused_ sd_event_source *s, _unused_ uint64_t usec, void *userdata) {
    saved_flush(userdata);
    return 0;
}

static void retry_later(struct manager *m) {
    static sd_event_source *retry;

    if (retry) {
        (void)sd_event_source_set_time_relative(retry, RETRY_DELAY);
        (void)sd_event_source_set_enabled(retry, SD_EVENT_ONESHOT);
        return;
    }
    (void)sd_event_add_time_relative(
        m->event, &retry, CLOCK_MONOTONIC, RETRY_DELAY, RETRY_DELAY / 4, on_retry, m);
}

/* What cannot be written stays in the queue. The manager goes on: a full /run must not stop the fleet. */
void saved_flush(struct manager *m) {
    int result = 0;

    if (list_empty(&m->save_queue))
        return;
    LIST_FOREACH (u, &m->save_queue, struct managed_unit, save_queue) {
        int r = saved_write(u);
        if (r < 0)
            result = r;
        else
            list_remove(&u->save_queue);
    }
    note_result(m, result);
    if (result < 0)
        retry_later(m);
}
