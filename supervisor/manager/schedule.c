/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An ending that was asked for ahead of its time (`davit poweroff --when=`, shutdown +5): one at most, kept
 * in <runtime>/scheduled so that the next davitd knows of it, in the form of systemd's own file of that name.
 */
#include "base/fs.h"
#include "base/parse.h"
#include "manager/core.h"
#include "manager/rooms.h"

#define FILE_NAME "scheduled"
#define FILE_MAX 4096

struct schedule {
    struct ending ending;
    int status;
    char *argument, *message;
    usec_t when; /* CLOCK_REALTIME */
    sd_event_source *timer;
};

static void schedule_free(struct schedule *s) {
    sd_event_source_disable_unref(s->timer);
    free(s->argument);
    free(s->message);
    free(s);
}
DEFINE_CLEANUP(struct schedule *, schedule_free)

bool api_end_cancel(struct manager *m) {
    if (!m->schedule)
        return false;
    log_notice("The %s that was scheduled is cancelled", ending_format(m->schedule->ending));
    schedule_free(TAKE_PTR(m->schedule));
    (void)unlinkat(m->runtime_fd, FILE_NAME, 0);
    return true;
}

static int on_time(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
    struct manager *m = userdata;
    _cleanup_(schedule_freep) struct schedule *s = TAKE_PTR(m->schedule);

    (void)unlinkat(m->runtime_fd, FILE_NAME, 0);
    manager_end(m, &(struct end_request){.ending = s->ending,
                       .status = s->status,
                       .argument = s->argument,
                       .message = s->message,
                       .reason = "as scheduled"});
    return 0;
}

static int save(struct manager *m, const struct schedule *s) {
    _cleanup_free_ char *text =
        strf("USEC=%llu\nMODE=%s\nSTATUS=%d\nARGUMENT=%s\nWALL_MESSAGE=%s\n", (unsigned long long)s->when,
            ending_format(s->ending), s->status, s->argument ?: "", s->message ?: "");

    return text ? file_write_atomic(m->runtime_fd, FILE_NAME, text, strlen(text), 0644, false) : -ENOMEM;
}

/* Takes s over. */
static int install(struct manager *m, struct schedule *s) {
    _cleanup_(schedule_freep) struct schedule *owned = s;
    int r = sd_event_add_time(m->event, &s->timer, CLOCK_REALTIME, s->when, USEC_PER_SEC, on_time, m);

    if (r < 0)
        return r;
    if (m->schedule)
        schedule_free(m->schedule);
    m->schedule = TAKE_PTR(owned);
    return 0;
}

/* What goes into a file and a datagram of lines has to be a line. */
static bool is_line(const char *s, size_t max) {
    return !s || (strlen(s) < max && !strpbrk(s, "\r\n"));
}

int api_end(struct manager *m, const struct end_request *r, usec_t when, struct error *e) {
    if (m->phase >= PHASE_STOPPING && r->ending.urgency == ENDING_ORDERLY)
        return error_set(e, ESHUTDOWN, "davit is shutting down");
    if (!is_line(r->argument, ENDING_ARGUMENT_MAX) || !is_line(r->message, FILE_MAX / 4))
        return error_set(
            e, EINVAL, "the argument and the message have to be one line each, and not too long");
    if (when <= now_realtime()) {
        (void)api_end_cancel(m);
        manager_end(m, r);
        return 0;
    }
    struct schedule *s = calloc(1, sizeof *s);
    if (!s)
        return error_set_errno(e, ENOMEM, "scheduling");
    *s = (struct schedule){.ending = r->ending, .status = r->status, .when = when};
    int x = free_and_strdup(&s->argument, r->argument);
    if (x >= 0)
        x = free_and_strdup(&s->message, r->message);
    if (x >= 0)
        x = save(m, s);
    if (x < 0) {
        schedule_free(s);
        return error_set_errno(e, x, "keeping the schedule in %s/" FILE_NAME, m->paths.runtime);
    }
    x = install(m, s);
    if (x < 0)
        return error_set_errno(e, x, "scheduling");
    log_notice(
        "Scheduled: %s%s%s", ending_format(r->ending), isempty(r->message) ? "" : ": ", r->message ?: "");
    return 0;
}

json_t *api_end_scheduled(struct manager *m) {
    const struct schedule *s = m->schedule;

    if (!s)
        return json_object();
    json_t *o = json_pack("{ss sI}", "action", ending_format(s->ending), "when", (json_int_t)s->when);
    if (o && s->message)
        (void)json_object_set_new(o, "message", json_string(s->message));
    return o;
}

/* ---- after a restart of davitd ---- */

static int read_line(struct schedule *s, char *line) {
    char *value = strchr(line, '=');
    uint64_t n;

    if (!value)
        return 0;
    *value++ = '\0';
    if (streq(line, "USEC"))
        return parse_uint(value, 1, UINT64_MAX, &s->when);
    if (streq(line, "MODE"))
        return ending_parse(value, &s->ending);
    if (streq(line, "STATUS")) {
        s->status = parse_uint(value, 0, 255, &n) < 0 ? -1 : (int)n;
        return 0;
    }
    if (streq(line, "ARGUMENT"))
        return free_and_strdup(&s->argument, isempty(value) ? NULL : value);
    if (streq(line, "WALL_MESSAGE"))
        return free_and_strdup(&s->message, isempty(value) ? NULL : value);
    return 0;
}

static int schedule_parse(char *text, struct schedule *s) {
    int r = 0;

    for (char *line; r >= 0 && (line = strsep(&text, "\n"));)
        r = read_line(s, line);
    return r < 0 ? r : s->when == 0 || s->ending.kind == ENDING_NONE ? -EBADMSG : 0;
}

void schedule_recover(struct manager *m) {
    _cleanup_free_ char *text = NULL;
    struct schedule *s = NULL;
    int r = file_read(m->runtime_fd, FILE_NAME, FILE_MAX, &text, NULL);

    if (r == -ENOENT)
        return;
    if (r >= 0)
        r = (s = calloc(1, sizeof *s)) ? schedule_parse(text, s) : -ENOMEM;
    if (r >= 0)
        r = install(m, TAKE_PTR(s));
    if (s)
        schedule_free(s);
    if (r < 0)
        (void)log_errno(LOG_ERR, r, "What was scheduled (%s/" FILE_NAME ") is lost", m->paths.runtime);
}

void schedule_forget(struct manager *m) {
    if (m->schedule)
        schedule_free(TAKE_PTR(m->schedule));
    (void)unlinkat(m->runtime_fd, FILE_NAME, 0);
}
