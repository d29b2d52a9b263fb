/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An ending that was asked for ahead of its time (`davit poweroff --when=`, shutdown +5): one at most, kept
 * in <runtime>/scheduled so that the next davitd knows of it, in the form of systemd's own file of that name.
 * Those who are logged in are told when it is asked for, again and again as it comes nearer, and when it is
 * taken back; logins end before it (nologin.c).
 */
#include "base/fs.h"
#include "base/parse.h"
#include "base/wall.h"
#include "manager/core.h"
#include "manager/rooms.h"

#define FILE_NAME "scheduled"
#define FILE_MAX 4096
/* A lock that somebody keeps on utmp(5) must not keep the machine from its end. */
#define LAST_WORDS (3 * USEC_PER_SEC)

struct schedule {
    struct ending ending;
    int status;
    char *argument, *message;
    usec_t when; /* CLOCK_REALTIME */
    bool no_wall, is_time;
    sd_event_source *timer, *warning, *nologin;
};

static void schedule_free(struct schedule *s) {
    sd_event_source_disable_unref(s->timer);
    sd_event_source_disable_unref(s->warning);
    sd_event_source_disable_unref(s->nologin);
    free(s->argument);
    free(s->message);
    free(s);
}
DEFINE_CLEANUP(struct schedule *, schedule_free)

/* ---- those who are logged in ---- */

static bool say(struct manager *m, const char *text) {
    struct error e = {};

    int r = text ? wall_start(m, text, &e) : error_set_errno(&e, ENOMEM, "their message");
    if (r < 0)
        log_warning("Those who are logged in cannot be told: %s", e.text);
    return r >= 0;
}

/* False: nobody is told. */
static bool tell(struct manager *m, const struct schedule *s) {
    _cleanup_free_ char *text = s->no_wall ? NULL : wall_text(s->ending.kind, s->when, s->message);

    return !s->no_wall && say(m, text);
}

static int on_warning(sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
    struct manager *m = userdata;
    usec_t next = wall_next(now_realtime(), m->schedule->when);

    (void)tell(m, m->schedule);
    if (next < m->schedule->when && sd_event_source_set_time(source, next) >= 0)
        (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

/* ---- */

bool api_end_cancel(struct manager *m, bool no_wall) {
    if (!m->schedule)
        return false;
    _cleanup_free_ char *text =
        strf("The %s that was scheduled is cancelled", ending_format(m->schedule->ending));
    log_notice("%s", text ?: "");
    if (!no_wall && !m->schedule->no_wall)
        (void)say(m, text);
    schedule_free(TAKE_PTR(m->schedule));
    nologin_remove(m);
    (void)unlinkat(m->runtime_fd, FILE_NAME, 0);
    return true;
}

/* ---- its time ---- */

static void end(struct manager *m) {
    _cleanup_(schedule_freep) struct schedule *s = TAKE_PTR(m->schedule);

    (void)unlinkat(m->runtime_fd, FILE_NAME, 0);
    manager_end(m, &(struct end_request){.ending = s->ending,
                       .status = s->status,
                       .argument = s->argument,
                       .message = s->message,
                       .reason = "as scheduled"});
}

void schedule_told(struct manager *m) {
    if (m->schedule && m->schedule->is_time)
        end(m);
}

/* The last words come first: a fleet without units is gone before a process could be started. */
static int on_time(sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
    struct manager *m = userdata;
    struct schedule *s = m->schedule;

    bool waits = !s->is_time && tell(m, s) &&
                 sd_event_source_set_time(source, usec_add(now_realtime(), LAST_WORDS)) >= 0 &&
                 sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) >= 0;

    s->is_time = true;
    if (!waits)
        end(m);
    return 0;
}

static int save(struct manager *m, const struct schedule *s) {
    _cleanup_free_ char *text =
        strf("USEC=%llu\nWARN_WALL=%d\nMODE=%s\nSTATUS=%d\nARGUMENT=%s\nWALL_MESSAGE=%s\n",
            (unsigned long long)s->when, !s->no_wall, ending_format(s->ending), s->status, s->argument ?: "",
            s->message ?: "");

    return text ? file_write_atomic(m->runtime_fd, FILE_NAME, text, strlen(text), 0644, false) : -ENOMEM;
}

/* Takes s over. */
static int install(struct manager *m, struct schedule *s) {
    _cleanup_(schedule_freep) struct schedule *owned = s;
    usec_t next = wall_next(now_realtime(), s->when);
    int r = sd_event_add_time(m->event, &s->timer, CLOCK_REALTIME, s->when, USEC_PER_SEC, on_time, m);

    if (r >= 0 && next < s->when)
        r = sd_event_add_time(m->event, &s->warning, CLOCK_REALTIME, next, USEC_PER_SEC, on_warning, m);
    if (r >= 0)
        r = nologin_plan(m, s->when, &s->nologin);
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
        (void)api_end_cancel(m, true);
        manager_end(m, r);
        return 0;
    }
    struct schedule *s = calloc(1, sizeof *s);
    if (!s)
        return error_set_errno(e, ENOMEM, "scheduling");
    *s = (struct schedule){.ending = r->ending, .status = r->status, .when = when, .no_wall = r->no_wall};
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
    if (x < 0) {
        /* The one that was scheduled before, if any, goes on; the next davitd must not find another. */
        if (!m->schedule || save(m, m->schedule) < 0)
            (void)unlinkat(m->runtime_fd, FILE_NAME, 0);
        return error_set_errno(e, x, "scheduling");
    }
    log_notice(
        "Scheduled: %s%s%s", ending_format(r->ending), isempty(r->message) ? "" : ": ", r->message ?: "");
    (void)tell(m, m->schedule);
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
    if (streq(line, "WARN_WALL"))
        s->no_wall = streq(value, "0");
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

    nologin_remove(m); /* what a userspace before a soft-reboot has left */
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
