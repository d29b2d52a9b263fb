/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The signals of davit-init(8) are those of the table in init/signals.c, and do what it says. */
#include <ctype.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/parse.h"
#include "init/signals.h"

#define RULES_MAX 32

/* "*SIGRTMIN+3*, *+4*" and the lines below it */
struct entry {
    const struct signal_rule *rules[RULES_MAX];
    size_t n;
    const char *text; /* in small letters, of one line */
};
static struct entry entries[RULES_MAX];
static size_t n_entries;
static char *manual;

static const struct signal_rule *rule_named(const char *name) {
    static const struct {
        const char *name;
        int number;
    } names[] = {{"SIGTERM", SIGTERM}, {"SIGINT", SIGINT}, {"SIGPWR", SIGPWR}, {"SIGHUP", SIGHUP},
        {"SIGUSR1", SIGUSR1}, {"SIGUSR2", SIGUSR2}, {"SIGWINCH", SIGWINCH}};
    const char *offset = startswith(name, "SIGRTMIN+") ?: startswith(name, "+");
    uint64_t n;

    if (offset)
        return parse_uint(offset, 0, 30, &n) < 0 ? NULL : signal_rule_find(SIGRTMIN + (int)n);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (streq(names[i].name, name))
            return signal_rule_find(names[i].number);
    return NULL;
}

static void read_signals(struct entry *e, char *line) {
    (void)strsep(&line, "*");
    for (char *name; (name = strsep(&line, "*")); (void)strsep(&line, "*")) {
        const struct signal_rule *rule = rule_named(name);
        if (!rule)
            fail_msg("davit-init(8) names %s, which is not in the table", name);
        assert_true(e->n < RULES_MAX);
        e->rules[e->n++] = rule;
    }
}

/* Entries of "# SIGNALS": a line of signals, then lines that begin with a tab. */
static int read_manual(void **state _unused_) {
    _cleanup_free_ char *path = strf("%s/docs/davit-init.8.scd", getenv("DAVIT_SOURCE") ?: ".");
    struct entry *e = NULL;

    if (file_read(AT_FDCWD, path, 1024 * 1024, &manual, NULL) < 0)
        return -1;
    char *text = strstr(manual, "\n# SIGNALS\n"), *end = text ? strstr(text + 3, "\n# ") : NULL;
    if (!end)
        return -1;
    *end = '\0';
    for (char *line; (line = strsep(&text, "\n"));) {
        if (startswith(line, "*SIG")) {
            e = &entries[n_entries++];
            read_signals(e, line);
        } else if (*line == '\t' && e) {
            for (char *p = line; *p; p++)
                *p = (char)tolower(*p);
            if (e->text) /* goes on: what was cut off is put together again */
                line[-1] = ' ';
            else
                e->text = line;
        }
    }
    return 0;
}

static int free_manual(void **state _unused_) {
    free(manual);
    return 0;
}

static void each_signal_of_the_table_is_in_the_manual_once(void **state _unused_) {
    for (size_t i = 0; i < n_signal_rules; i++) {
        const struct signal_rule *rule = &signal_rules[i];
        size_t found = 0;
        for (size_t k = 0; k < n_entries; k++)
            for (size_t n = 0; n < entries[k].n; n++)
                found += entries[k].rules[n] == rule;
        size_t wanted = rule->number == SIGCHLD && !rule->realtime ? 0 : 1; /* the kernel's alone */
        if (found != wanted)
            fail_msg("%zu times in davit-init(8): the signal of \"%s\"", found, rule->meaning);
    }
}

static bool rule_has(const struct signal_rule *rule, enum signal_action action, enum ending_kind ending) {
    for (enum init_role role = ROLE_MACHINE; role <= ROLE_PROCESS; role++) {
        const struct signal_meaning *m = &rule->by_role[role];
        if (m->action == action && (ending == ENDING_NONE || m->ending == ending))
            return true;
    }
    return false;
}

static bool entry_has(const struct entry *e, enum signal_action action, enum ending_kind ending) {
    for (size_t i = 0; i < e->n; i++)
        if (rule_has(e->rules[i], action, ending))
            return true;
    return false;
}

static void check(const struct entry *e, bool says, bool does, const char *what) {
    if (says != does)
        fail_msg("\"%s\": %s says \"%s\", and %s does not", e->text, says ? "davit-init(8)" : "the table",
            what, says ? "the table" : "davit-init(8)");
}

static void each_ending_of_the_table_is_in_the_manual(void **state _unused_) {
    static const struct {
        enum ending_kind kind;
        const char *word;
    } words[] = {{ENDING_HALT, "halt"}, {ENDING_POWEROFF, "power off"}, {ENDING_REBOOT, " reboot"},
        {ENDING_KEXEC, "kexec"}, {ENDING_SOFT_REBOOT, "soft-reboot"}, {ENDING_EXIT, "then end"}};
    const struct entry *before = NULL;

    for (size_t i = 0; i < n_entries; before = &entries[i++]) {
        const struct entry *e = &entries[i];
        bool forced = entry_has(e, SIGNAL_FORCE, ENDING_NONE);
        check(e, strstr(e->text, "killed") != NULL, forced, "units are killed");
        if (strstr(e->text, "the same")) { /* endings, in that order, as those before */
            assert_non_null(before);
            assert_int_equal(e->n, before->n);
            for (size_t n = 0; n < e->n; n++)
                assert_int_equal(e->rules[n]->by_role[ROLE_MACHINE].ending,
                    before->rules[n]->by_role[ROLE_MACHINE].ending);
            continue;
        }
        for (size_t w = 0; w < ARRAY_SIZE(words); w++)
            check(e, strstr(e->text, words[w].word) != NULL, entry_has(e, SIGNAL_STOP, words[w].kind),
                words[w].word);
    }
}

static void each_action_of_the_table_is_in_the_manual(void **state _unused_) {
    /* What davitd does with what is passed on to it: the table has it in words. */
    static const char *const topics[] = {"unit files", "control sockets", "state", "kbrequest.target",
        "default target", "rescue.target", "emergency.target", "debug messages"};

    for (size_t i = 0; i < n_entries; i++) {
        const struct entry *e = &entries[i];
        check(e, strstr(e->text, "execute") != NULL, entry_has(e, SIGNAL_REEXEC, ENDING_NONE),
            "programs are executed again");
        for (size_t t = 0; t < ARRAY_SIZE(topics); t++) {
            bool does = false;
            for (size_t n = 0; n < e->n; n++)
                does |= strstr(e->rules[n]->meaning, topics[t]) != NULL;
            check(e, strstr(e->text, topics[t]) != NULL, does, topics[t]);
        }
    }
    /* No action is left to these words that they do not know. */
    for (size_t i = 0; i < n_signal_rules; i++) {
        size_t known = !rule_has(&signal_rules[i], SIGNAL_FORWARD, ENDING_NONE);
        for (size_t t = 0; t < ARRAY_SIZE(topics); t++)
            known += strstr(signal_rules[i].meaning, topics[t]) != NULL;
        assert_int_equal(known, 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_signal_of_the_table_is_in_the_manual_once),
        cmocka_unit_test(each_ending_of_the_table_is_in_the_manual),
        cmocka_unit_test(each_action_of_the_table_is_in_the_manual),
    };
    return cmocka_run_group_tests_name("signals in the manual", tests, read_manual, free_manual);
}
