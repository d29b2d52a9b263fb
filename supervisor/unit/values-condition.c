/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Condition...= and Assert...=: systemd.unit(5). They are asked for at each start, in manager/condition.c. */
#include "base/fs.h"
#include "base/parse.h"
#include "unit/key.h"
#include "unit/limits.h"

enum argument { ARGUMENT_PATH, ARGUMENT_TEXT, ARGUMENT_SIZE, ARGUMENT_NUMBER };

static const struct {
    const char *name;
    enum argument argument;
} kinds[_CONDITION_COUNT] = {
    [CONDITION_PATH_EXISTS] = {"PathExists", ARGUMENT_PATH},
    [CONDITION_PATH_EXISTS_GLOB] = {"PathExistsGlob", ARGUMENT_PATH},
    [CONDITION_PATH_IS_DIRECTORY] = {"PathIsDirectory", ARGUMENT_PATH},
    [CONDITION_PATH_IS_SYMBOLIC_LINK] = {"PathIsSymbolicLink", ARGUMENT_PATH},
    [CONDITION_PATH_IS_MOUNT_POINT] = {"PathIsMountPoint", ARGUMENT_PATH},
    [CONDITION_PATH_IS_READ_WRITE] = {"PathIsReadWrite", ARGUMENT_PATH},
    [CONDITION_DIRECTORY_NOT_EMPTY] = {"DirectoryNotEmpty", ARGUMENT_PATH},
    [CONDITION_FILE_NOT_EMPTY] = {"FileNotEmpty", ARGUMENT_PATH},
    [CONDITION_FILE_IS_EXECUTABLE] = {"FileIsExecutable", ARGUMENT_PATH},
    [CONDITION_KERNEL_COMMAND_LINE] = {"KernelCommandLine", ARGUMENT_TEXT},
    [CONDITION_KERNEL_VERSION] = {"KernelVersion", ARGUMENT_TEXT},
    [CONDITION_ARCHITECTURE] = {"Architecture", ARGUMENT_TEXT},
    [CONDITION_HOST] = {"Host", ARGUMENT_TEXT},
    [CONDITION_MEMORY] = {"Memory", ARGUMENT_SIZE},
    [CONDITION_CPUS] = {"CPUs", ARGUMENT_NUMBER},
    [CONDITION_ENVIRONMENT] = {"Environment", ARGUMENT_TEXT},
};

const char *condition_name(enum condition_kind k) {
    return kinds[k].name;
}

/* Which kind a row of the key table is about, by its name. */
static enum condition_kind kind_of(const struct key *k) {
    const char *name = startswith(k->name, "Condition") ?: startswith(k->name, "Assert");
    int kind = 0;

    while (kind < _CONDITION_COUNT - 1 && !streq_ptr(kinds[kind].name, name))
        kind++;
    return (enum condition_kind)kind;
}

/* ">= 4": a comparison with what there is. */
static int check_amount(struct assignment *a, const char *text, enum argument kind) {
    const char *number = text + strspn(text, "<>=!");
    uint64_t n;

    number += strspn(number, " \t");
    int r = kind == ARGUMENT_SIZE ? parse_size(number, 1024, &n) : parse_uint(number, 0, UINT32_MAX, &n);
    return r >= 0 ? 0
                  : assignment_fail(a, NULL, "\"%s\" is no %s with <, <=, =, !=, >= or > before it", text,
                        kind == ARGUMENT_SIZE ? "size" : "number");
}

static int check_argument(struct assignment *a, const char *text, enum argument kind) {
    switch (kind) {
    case ARGUMENT_PATH:
        return path_is_absolute(text)
                   ? 0
                   : assignment_fail(a, "it has to start with /", "\"%s\" is not an absolute path", text);
    case ARGUMENT_SIZE:
    case ARGUMENT_NUMBER:
        return check_amount(a, text, kind);
    case ARGUMENT_TEXT:
        return *text ? 0 : assignment_fail(a, NULL, "there is nothing behind the mark");
    }
    return 0;
}

static int parse_condition(struct assignment *a, void *field, const char *value) {
    struct condition_list *l = field;
    struct condition c = {.kind = kind_of(a->key)};
    _cleanup_free_ char *argument = NULL;

    for (; *value == '|' || (*value == '!' && value[1] != '='); value++)
        *(*value == '|' ? &c.trigger : &c.negate) = true;
    int r = assignment_expand(a, value + strspn(value, " \t"), &argument);
    if (r == 0)
        r = check_argument(a, argument, kinds[c.kind].argument);
    if (r == 0)
        r = assignment_room(a, l->n);
    if (r < 0)
        return r;
    struct condition *room = ARRAY_APPEND(l->list, l->n);
    if (!room)
        return -ENOMEM;
    c.argument = TAKE_PTR(argument);
    *room = c;
    return 0;
}

static int show_conditions(const struct key *k, const void *field, char ***values) {
    const struct condition_list *l = field;
    int r = 0;

    for (size_t i = 0; r == 0 && i < l->n; i++)
        if (l->list[i].kind == kind_of(k))
            r = strv_consume(values, strf("%s%s%s", l->list[i].trigger ? "|" : "",
                                         l->list[i].negate ? "!" : "", l->list[i].argument));
    return r;
}

/* An empty assignment of any kind takes all of them back: systemd.unit(5). */
static void clear_conditions(void *field) {
    struct condition_list *l = field;

    for (size_t i = 0; i < l->n; i++)
        free(l->list[i].argument);
    free(l->list);
    *l = (struct condition_list){};
}

const struct value_type value_conditions = {
    "[|][!]argument", parse_condition, show_conditions, clear_conditions};
