/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager/boot.h"

#include <fcntl.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "init/boot.h"
#include "manager/graph.h"
#include "manager/job.h"
#include "manager/rooms.h"

#define REPORT_MAX (64 * 1024)

void boot_read_environment(struct manager_boot *b) {
    const char *target = getenv(BOOT_TARGET_VARIABLE), *level = getenv(BOOT_LOG_VARIABLE),
               *times = getenv(BOOT_TIMES_VARIABLE);

    *b = (struct manager_boot){.log_level = -1};
    if (!isempty(target))
        b->target = strdup(target);
    if (level && log_level_parse(level, &b->log_level) >= 0)
        log_set_level(b->log_level);
    if (times && boot_times_parse(times, &b->times) < 0)
        log_warning("%s=%s makes no sense", BOOT_TIMES_VARIABLE, times);
}

void manager_boot_done(struct manager_boot *b) {
    free(b->target);
    *b = (struct manager_boot){.log_level = -1};
}

void boot_check_finished(struct manager *m) {
    if (m->boot.times.finish != 0 || m->jobs->count > 0 || m->phase != PHASE_RUNNING)
        return;
    m->boot.times.finish = now_monotonic();
    keeper_notify(m, "X_DAVIT_FINISHED=%llu", (unsigned long long)m->boot.times.finish);
    images_collect_left(m);
}

/* ---- for clients ---- */

static void set_time(json_t *o, const char *key, usec_t t) {
    if (t > 0)
        (void)json_object_set_new(o, key, json_integer((json_int_t)MIN(t, (usec_t)INT64_MAX)));
}

/* Calls take() for each line of davit-boot's report: a small file in /run, written whole. */
static void read_report(struct manager *m, void (*take)(void *userdata, const char *line), void *userdata) {
    _cleanup_free_ char *text = NULL;

    (void)file_read(m->runtime_fd, BOOT_REPORT_NAME, REPORT_MAX, &text, NULL);
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
        take(userdata, line);
}

static void take_work(void *userdata, const char *line) {
    static const char *const names[] = {"boot_work", "boot_other_work"};
    const char *value = startswith(line, BOOT_REPORT_WORK);
    _cleanup_free_ char *copy = value ? strdup(value) : NULL;
    char *rest = copy;
    uint64_t usec;

    for (size_t i = 0; rest && i < ARRAY_SIZE(names); i++)
        if (parse_uint(strsep(&rest, " "), 0, INT64_MAX, &usec) >= 0)
            set_time(userdata, names[i], usec);
}

static json_t *times_json(struct manager *m) {
    const struct manager_boot *b = &m->boot;
    json_t *o = json_object();

    set_time(o, "userspace", b->times.userspace);
    set_time(o, "mounts", b->times.mounts);
    set_time(o, "boot", b->times.boot);
    set_time(o, "manager", b->times.manager);
    set_time(o, "units_load_start", b->units_load);
    set_time(o, "units_load_finish", b->units_loaded);
    set_time(o, "ready", b->times.ready);
    set_time(o, "finish", b->times.finish);
    set_time(o, "first_start", b->first_start);
    set_time(o, "init_work", b->times.init_work);
    read_report(m, take_work, o);
    set_time(o, "manager_work", b->work);
    return o;
}

struct report_parts {
    json_t *problems, *reasons;
};

static void take_problem(void *userdata, const char *line) {
    static const struct {
        const char *word, *level; /* level NULL: a reason */
    } kinds[] = {{"reason ", NULL}, {"problem ", "warning"}, {"emergency ", "error"}};
    struct report_parts *to = userdata;

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const char *said = startswith(line, kinds[i].word);
        if (!said)
            continue;
        /* What is no UTF-8 leaves the line out. */
        if (kinds[i].level)
            (void)json_array_append_new(
                to->problems, json_pack("{ss ss}", "level", kinds[i].level, "text", said));
        else
            (void)json_array_append_new(to->reasons, json_string(said));
    }
}

void boot_add_report(struct manager *m, json_t *problems, json_t *reasons) {
    read_report(m, take_problem, &(struct report_parts){problems, reasons});
}

/* What a unit's start took: from the moment that it began (not: that it was asked for) to the moment that
 * others could go on; of one that is over already, to its end. */
static json_t *unit_json(const struct managed_unit *u) {
    usec_t end = u->active_since >= u->activating_since                   ? u->active_since
                 : u->state == STATE_INACTIVE || u->state == STATE_FAILED ? u->state_since
                                                                          : 0;
    json_t *o = json_pack("{ss sI}", "name", u->name, "begin", (json_int_t)u->activating_since),
           *after = json_array();

    set_time(o, "end", end);
    for (struct managed_unit **d = graph_dependencies(u, DEP_AFTER); d && *d; d++)
        (void)json_array_append_new(after, json_string((*d)->name));
    (void)json_object_set_new(o, "after", after);
    return o;
}

json_t *api_boot_json(struct manager *m) {
    json_t *o = json_object(), *units = json_array();
    struct managed_unit *u;

    (void)json_object_set_new(o, "target", json_string(manager_default_target(m)));
    (void)json_object_set_new(o, "times", times_json(m));
    HASHMAP_FOREACH (u, m->units)
        if (u->activating_since > 0)
            (void)json_array_append_new(units, unit_json(u));
    (void)json_object_set_new(o, "units", units);
    return o;
}
