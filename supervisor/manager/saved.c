/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Saved state: <runtime>/state/UNIT, one small text file a unit, so that a davitd that comes back knows what
 * the one before it knew. Written whole (temporary file, rename), closed by a checksum, and checked when read
 * back.
 *
 *   version=1
 *   unit=web.container
 *   state=running
 *   ...
 *   sum=0123456789abcdef
 *
 * One table says which field is which key. Which files there are to read, and what becomes of units whose
 * file cannot be read, is in recover.c.
 */
#include <fcntl.h>
#include <inttypes.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/words.h"
#include "manager/rooms.h"

#define FORMAT_VERSION 1
#define RETRY_DELAY USEC_PER_SEC
#define FILE_MAX (64 * 1024)
#define FOREIGN "foreign" /* a process that is no child of davit-init */

enum field_type {
    FIELD_STATE,
    FIELD_STEP,
    FIELD_RESULT,
    FIELD_TEXT,
    FIELD_ARRAY, /* char in the struct */
    FIELD_UNSIGNED,
    FIELD_U32,
    FIELD_U64,
    FIELD_INT,
    FIELD_BOOL,
    FIELD_PROCESS,
    FIELD_ERROR, /* NUMBER|STEP|TEXT */
    FIELD_STRV,  /* one line an element */
};

#define FIELD(key, type, member) \
    { key, type, offsetof(struct managed_unit, member), sizeof(((struct managed_unit *)0)->member) }

static const struct field {
    const char *key;
    enum field_type type;
    size_t offset, size;
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
    FIELD("timeout_at", FIELD_U64, timeout_at),
    FIELD("invocation", FIELD_ARRAY, invocation),
    FIELD("restarts", FIELD_UNSIGNED, restarts),
    FIELD("backoff_step", FIELD_UNSIGNED, backoff_step),
    FIELD("backoff_until", FIELD_U64, backoff_until),
    FIELD("start_limit_begin", FIELD_U64, start_limit.window_begin),
    FIELD("start_limit_count", FIELD_UNSIGNED, start_limit.count),
    FIELD("gone", FIELD_BOOL, gone),
    FIELD("transient", FIELD_BOOL, transient),
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
    FIELD("job", FIELD_INT, saved_job),
    FIELD("will_restart", FIELD_BOOL, will_restart),
    FIELD("start_again", FIELD_BOOL, start_again),
    FIELD("returns_with_dependency", FIELD_BOOL, returns_with_dependency),
    FIELD("exec_failed", FIELD_BOOL, exec_failed),
    FIELD("stop_by_notify", FIELD_BOOL, stop_by_notify),
    FIELD("watchdog_usec", FIELD_U64, watchdog_usec),
    FIELD("main", FIELD_PROCESS, recovered_main),
    FIELD("control", FIELD_PROCESS, recovered_control),
    FIELD("cgroup", FIELD_BOOL, resources.cgroup),
    FIELD("upper", FIELD_TEXT, resources.upper_dir),
    FIELD("stop_signal", FIELD_INT, image_stop_signal),
    FIELD("stop_signal_sent", FIELD_INT, stop_signal_sent),
    FIELD("stopped_in_backoff", FIELD_BOOL, stopped_in_backoff),
    FIELD("id_base", FIELD_U32, resources.id_base),
    FIELD("id_count", FIELD_U32, resources.id_count),
    FIELD("volume", FIELD_STRV, resources.anonymous_volumes),
};

static const char *const stage_names[] = {
    [PROCESS_REQUESTED] = "requested",
    [PROCESS_BEGUN] = "begun",
    [PROCESS_STARTED] = "started",
    [PROCESS_ENDED] = "ended",
};

/* ---- formatting ---- */

/* One line a value: newline and backslash are escaped. */
static void put_text(struct strbuf *b, const char *key, const char *value) {
    strbuf_printf(b, "%s=", key);
    for (; *value; value++) {
        if (*value == '\n' || *value == '\\')
            strbuf_putc(b, '\\');
        strbuf_putc(b, *value == '\n' ? 'n' : *value);
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
        strbuf_printf(b, "%s=%u\n", f->key, *(const unsigned *)v);
        break;
    case FIELD_U32:
        strbuf_printf(b, "%s=%" PRIu32 "\n", f->key, *(const uint32_t *)v);
        break;
    case FIELD_U64:
        strbuf_printf(b, "%s=%" PRIu64 "\n", f->key, *(const uint64_t *)v);
        break;
    case FIELD_INT:
        strbuf_printf(b, "%s=%d\n", f->key, *(const int *)v);
        break;
    case FIELD_BOOL:
        strbuf_printf(b, "%s=%s\n", f->key, *(const bool *)v ? "yes" : "no");
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
    }
}

char *saved_format(const struct managed_unit *u) {
    _cleanup_strbuf_ struct strbuf b = {};

    strbuf_printf(&b, "version=%d\n", FORMAT_VERSION);
    put_text(&b, "unit", u->name);
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        put_field(&b, u, &fields[i]);
    if (strbuf_failed(&b))
        return NULL;
    strbuf_printf(&b, "sum=%016" PRIx64 "\n", siphash_stable(b.data, b.length));
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
    if (f->type == FIELD_STRV)
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
    case FIELD_U32:
        r = parse_uint(value, 0, UINT32_MAX, &number);
        *(uint32_t *)v = (uint32_t)number;
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
        return streq(value, "1") ? 0 : -EPROTONOSUPPORT;
    if (streq(line, "unit"))
        return streq(value, u->name) ? 0 : -EBADMSG;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (streq(line, fields[i].key))
            return get_field(u, &fields[i], value) < 0 ? -EBADMSG : 0;
    }
    return 0;
}

/* The checksum line is the last, and covers everything before it. Returns the length of what it covers. */
static ssize_t check_sum(const char *text) {
    const size_t tail = strlen("sum=0123456789abcdef\n");
    size_t n = strlen(text);
    char *end;

    if (n < tail || !startswith(text + n - tail, "sum="))
        return -EBADMSG;
    n -= tail;
    uint64_t sum = strtoull(text + n + strlen("sum="), &end, 16);
    if (end != text + n + tail - 1 || *end != '\n' || sum != siphash_stable(text, n))
        return -EBADMSG;
    return (ssize_t)n;
}

int saved_parse(struct managed_unit *u, const char *text) {
    ssize_t n = check_sum(text);
    if (n < 0)
        return (int)n;

    _cleanup_free_ char *copy = strndup(text, (size_t)n);
    if (!copy)
        return -ENOMEM;
    char *next = copy;
    while (*next) {
        char *line = next;
        next = strchr(line, '\n');
        if (!next)
            return -EBADMSG;
        *next++ = '\0';
        int r = get_line(u, line);
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
static int replace_file(struct manager *m, const char *name, const void *data, size_t n) {
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

int saved_write(struct managed_unit *u) {
    _cleanup_free_ char *text = saved_format(u), *name = file_name(u->name);

    if (!text || !name)
        return -ENOMEM;
    keeper_status_changed(u->manager);
    return replace_file(u->manager, name, text, strlen(text));
}

void saved_remove(struct managed_unit *u) {
    _cleanup_free_ char *name = file_name(u->name);

    list_remove(&u->save_queue);
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

/* ---- .manager: what is not a unit's ---- */

/* Names the davit-init (or systemd) that numbers our feed: another one starts at 1 again. As the first two
 * lines of the file; found out once, for nothing of it changes while we live. */
static const char *keeper_identity(void) {
    static char text[128];
    char boot[ID128_TEXT] = "";
    uint64_t started = 0;
    pid_t parent;

    if (*text)
        return text;
    (void)proc_stat_read(getppid(), &parent, &started);
    (void)id128_boot(boot);
    (void)snprintf(text, sizeof(text), "keeper=%d:%" PRIu64 "\nboot=%s", (int)getppid(), started, boot);
    return text;
}

int saved_write_feed_sequence(struct manager *m, uint64_t sequence) {
    _cleanup_free_ char *text = strf("%s\nsequence=%" PRIu64 "\n", keeper_identity(), sequence);
    if (!text)
        return -ENOMEM;
    return replace_file(m, "state/.manager", text, strlen(text));
}

/* Nothing outlives a davit-init that is PID 1: with it goes its machine, or its pid namespace. */
static bool is_of_this_boot(const char *keeper_line, const char *boot_line) {
    return !startswith(keeper_line, "keeper=1:") && streq(boot_line, strchr(keeper_identity(), '\n') + 1);
}

int saved_feed_position(struct manager *m, uint64_t *ret_sequence) {
    _cleanup_strv_free_ char **lines = NULL;
    _cleanup_free_ char *text = NULL;

    int r = file_read(m->runtime_fd, "state/.manager", 4096, &text, NULL);
    if (r < 0)
        return r;
    if (words_split(text, WORDS_KEEP_BACKSLASH, &lines) < 0 || strv_length(lines) != 3 ||
        !startswith(lines[2], "sequence="))
        return -EBADMSG;
    _cleanup_free_ char *found = strf("%s\n%s", lines[0], lines[1]);
    if (!found)
        return -ENOMEM;
    if (!streq(found, keeper_identity()))
        return is_of_this_boot(lines[0], lines[1]) ? -EOWNERDEAD : -ESTALE;
    return parse_uint(startswith(lines[2], "sequence="), 0, UINT64_MAX, ret_sequence) < 0 ? -EBADMSG : 0;
}

uint64_t saved_feed_sequence(struct manager *m) {
    uint64_t sequence = 0;

    (void)saved_feed_position(m, &sequence);
    return sequence;
}

/* ---- .settings: davit.conf as it was last read ---- */

/* Their form is the wire's, which is made for two programs of one build: in front of them is of which. */
#define SETTINGS_MARK "davitd " DAVIT_VERSION " settings\n"

int saved_write_settings(struct manager *m) {
    _cleanup_strbuf_ struct strbuf b = {};
    _cleanup_free_ void *data = NULL;
    size_t n;

    int r = settings_encode(&m->settings, NULL, &data, &n);
    if (r < 0)
        return r;
    strbuf_puts(&b, SETTINGS_MARK);
    strbuf_append(&b, data, n);
    return strbuf_failed(&b) ? -ENOMEM : replace_file(m, "state/.settings", b.data, b.length);
}

int saved_read_settings(struct manager *m, struct settings *ret) {
    const size_t mark = strlen(SETTINGS_MARK);
    _cleanup_free_ char *data = NULL;
    struct error e = {};
    size_t n;

    int r = file_read(m->runtime_fd, "state/.settings", FILE_MAX, &data, &n);
    if (r < 0)
        return r;
    if (n < mark || memcmp(data, SETTINGS_MARK, mark) != 0)
        return -EPROTONOSUPPORT;
    return settings_decode(data + mark, n - mark, ret, &e);
}
