/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* analyze: where the time of a boot went, in the words of systemd-analyze(1). */
#include "cli/analyze.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "unit/unit.h"

/* A target is ready in the same moment as the last unit that it waited for, give or take a turn of the loop.
 */
#define SAME_MOMENT (20 * USEC_PER_MSEC)
#define CHAIN_MAX 64

/* ---- data ---- */

static usec_t time_of(json_t *o, const char *name) {
    int64_t t = json_number(o, name, 0);

    return t > 0 ? (usec_t)t : 0;
}

static int by_begin(const void *a, const void *b) {
    const struct unit_start *x = a, *y = b;

    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return strcmp(x->name, y->name);
}

int boot_data_read(json_t *reply, struct boot_data *ret) {
    json_t *times = json_object_get(reply, "times"), *units = json_object_get(reply, "units"), *u;
    struct boot_data b = {.target = json_text(reply, "target"),
        .times = {.userspace = time_of(times, "userspace"),
            .mounts = time_of(times, "mounts"),
            .boot = time_of(times, "boot"),
            .manager = time_of(times, "manager"),
            .ready = time_of(times, "ready"),
            .finish = time_of(times, "finish")},
        .load = time_of(times, "units_load_start"),
        .loaded = time_of(times, "units_load_finish"),
        .first_start = time_of(times, "first_start"),
        .work = {.init = time_of(times, "init_work"),
            .boot = time_of(times, "boot_work"),
            .boot_other = time_of(times, "boot_other_work"),
            .manager = time_of(times, "manager_work")}};
    size_t i;

    b.machine = b.times.mounts > 0; /* only there davit-init mounts anything */
    b.starts = calloc(json_array_size(units) + 1, sizeof(*b.starts));
    if (!b.starts)
        return -ENOMEM;
    JSON_ARRAY_FOREACH (i, u, units)
        b.starts[b.n_starts++] = (struct unit_start){.name = json_text(u, "name"),
            .begin = time_of(u, "begin"),
            .end = time_of(u, "end"),
            .after = json_object_get(u, "after")};
    qsort(b.starts, b.n_starts, sizeof(*b.starts), by_begin);
    *ret = b;
    return 0;
}

void boot_data_done(struct boot_data *b) {
    free(b->starts);
    *b = (struct boot_data){};
}

const struct unit_start *boot_data_find(const struct boot_data *b, const char *name) {
    for (size_t i = 0; i < b->n_starts; i++)
        if (streq(b->starts[i].name, name))
            return &b->starts[i];
    return NULL;
}

const struct unit_start *boot_data_before(const struct boot_data *b, const struct unit_start *s) {
    const struct unit_start *latest = NULL;
    size_t i;
    json_t *name;

    JSON_ARRAY_FOREACH (i, name, s->after) {
        const struct unit_start *other = boot_data_find(b, json_string_value(name) ?: "");
        if (other && other != s && other->end > 0 && other->end <= s->begin + SAME_MOMENT &&
            (!latest || other->end > latest->end))
            latest = other;
    }
    return latest;
}

/* ---- time ---- */

static const char *span(usec_t t, char buffer[static TIMESPAN_MAX]) {
    return timespan_format(t, USEC_PER_MSEC, buffer);
}

static void print_step(const char *what, usec_t from, usec_t to) {
    char text[TIMESPAN_MAX];

    if (from > 0 && to >= from)
        (void)printf("  %-34s %s\n", what, span(to - from, text));
}

/* Up to the first unit's start: what davit itself has done for it, whoever else the machine was waiting for
 * meanwhile (disks, drivers, other processes). */
static void print_work(const struct boot_data *b) {
    const struct boot_work *w = &b->work;
    const struct {
        const char *what;
        usec_t work;
    } parts[] = {{"davit-init", w->init}, {"davit-boot", w->boot}, {"davitd, with its linking", w->manager}};
    usec_t sum = 0;
    char text[TIMESPAN_MAX];

    if (w->manager == 0)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        sum += parts[i].work;
    (void)printf("\nOwn work up to the first unit's process: %s of processor time\n", span(sum, text));
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (parts[i].work > 0)
            (void)printf("  %-34s %s\n", parts[i].what, span(parts[i].work, text));
    if (w->boot_other > 0)
        (void)printf(
            "and for davit-boot by the kernel and others (modules, mounts): %s\n", span(w->boot_other, text));
}

static int print_time(const struct boot_data *b) {
    const struct boot_times *t = &b->times;
    char kernel[TIMESPAN_MAX], userspace[TIMESPAN_MAX], sum[TIMESPAN_MAX];
    usec_t first = b->n_starts > 0 ? b->starts[0].begin : 0;

    if (t->userspace == 0) {
        cli_error("davitd was not started by davit-init: nothing is known of the boot");
        return EXIT_FAILURE;
    }
    if (t->finish == 0) {
        cli_error("Startup is not finished yet: 'davit jobs' shows what is under way");
        return EXIT_FAILURE;
    }
    if (b->machine)
        (void)printf("Startup finished in %s (kernel) + %s (userspace) = %s\n", span(t->userspace, kernel),
            span(t->finish - t->userspace, userspace), span(t->finish, sum));
    else
        (void)printf("Startup finished in %s\n", span(t->finish - t->userspace, userspace));
    const struct unit_start *target = boot_data_find(b, b->target);
    if (target && target->end >= t->userspace)
        (void)printf("%s reached after %s in userspace.\n", b->target, span(target->end - t->userspace, sum));

    (void)puts("");
    if (b->machine) {
        print_step("davit-init: its mounts", t->userspace, t->mounts);
        print_step("davit-boot", t->mounts, t->boot);
        print_step("davitd: start", t->boot, b->load);
    } else
        print_step("davitd: start", t->userspace, b->load);
    print_step("davitd: reading unit files", b->load, b->loaded);
    print_step("hand-over to first unit's start", t->userspace, first);
    print_step("hand-over to first unit's process", t->userspace, b->first_start);
    print_work(b);
    return EXIT_SUCCESS;
}

/* ---- blame ---- */

static int by_duration(const void *a, const void *b) {
    usec_t x = start_duration(*(const struct unit_start *const *)a),
           y = start_duration(*(const struct unit_start *const *)b);

    return x < y ? 1 : x > y ? -1 : 0;
}

static int print_blame(const struct boot_data *b) {
    _cleanup_free_ const struct unit_start **sorted = calloc(b->n_starts + 1, sizeof(*sorted));
    char text[TIMESPAN_MAX];
    size_t n = 0;

    if (!sorted)
        return EXIT_FAILURE;
    for (size_t i = 0; i < b->n_starts; i++)
        if (start_duration(&b->starts[i]) > 0)
            sorted[n++] = &b->starts[i];
    qsort(sorted, n, sizeof(*sorted), by_duration);
    for (size_t i = 0; i < n; i++)
        (void)printf("%12s %s\n", span(start_duration(sorted[i]), text), sorted[i]->name);
    return EXIT_SUCCESS;
}

/* ---- critical-chain ---- */

static void print_link(const struct boot_data *b, const struct unit_start *s, int depth) {
    usec_t origin = b->machine ? 0 : b->times.userspace, at = s->end > 0 ? s->end : s->begin;
    char text[TIMESPAN_MAX];

    (void)printf("%*s%s%s @%s", MAX(2 * (depth - 1), 0), "", depth > 0 ? "└─" : "", s->name,
        span(at > origin ? at - origin : 0, text));
    if (start_duration(s) >= USEC_PER_MSEC)
        (void)printf(
            " %s+%s%s", color_start(COLOR_RED), span(start_duration(s), text), color_start(COLOR_NONE));
    (void)puts("");
}

static int print_chain(const struct boot_data *b, const char *name) {
    const struct unit_start *s = boot_data_find(b, name);

    if (!s) {
        cli_error("%s was not started", name);
        return EXIT_FAILURE;
    }
    (void)puts(
        "The time when a unit was ready is printed after \"@\", the time it took to start after \"+\".\n");
    for (int depth = 0; s && depth < CHAIN_MAX; depth++) {
        print_link(b, s, depth);
        s = boot_data_before(b, s);
    }
    return EXIT_SUCCESS;
}

/* ---- the verb ---- */

static int run(struct cli *c, const struct boot_data *b, const char *what, const char *unit) {
    if (streq(what, "time"))
        return print_time(b);
    if (streq(what, "blame"))
        return print_blame(b);
    if (streq(what, "plot"))
        return boot_plot(b, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    _cleanup_free_ char *name = NULL;
    struct unit_environment env;
    if (unit && boot_data_find(b, unit) == NULL && cli_unit_environment(c, &env) >= 0 &&
        cli_unit_resolve(&env, unit, &name) < 0)
        name = NULL;
    return print_chain(b, name ? name : unit ? unit : b->target);
}

int verb_analyze(struct cli *c, char **arguments, size_t n) {
    static const char *const words[] = {"time", "blame", "critical-chain", "plot"};
    const char *what = n > 0 ? arguments[0] : words[0];
    _cleanup_(boot_data_done) struct boot_data b = {};
    struct client_reply reply;
    bool known = false;

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        known = known || streq(what, words[i]);
    if (!known || (n > 1 && !streq(what, "critical-chain"))) {
        cli_error("analyze: \"%s\" is none of time, blame, critical-chain [UNIT], plot", arguments[n - 1]);
        return EXIT_FAILURE;
    }
    if (cli_connect(c, true) < 0 || cli_call(c, "io.davit.Manager.GetBoot", NULL, &reply) < 0)
        return EXIT_FAILURE;
    int status = EXIT_FAILURE;
    if (c->options.json) {
        json_print(reply.parameters);
        status = EXIT_SUCCESS;
    } else if (boot_data_read(reply.parameters, &b) >= 0)
        status = run(c, &b, what, n > 1 ? arguments[1] : NULL);
    client_reply_done(&reply);
    return status;
}
