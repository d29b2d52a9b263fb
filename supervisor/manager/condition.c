/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether conditions and asserts hold, asked for anew at each start: systemd.unit(5). Each question is a system call
 * or two about this machine, and nothing that waits for anybody.
 */
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <sched.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include "base/fs.h"
#include "base/parse.h"
#include "manager/core.h"
#include "unit/specifier.h"

/* ---- paths ---- */

static bool path_exists(const char *path) {
    return access(path, F_OK) == 0;
}

static bool glob_matches(const char *pattern) {
    glob_t found = {};
    int r = glob(pattern, GLOB_NOSORT, NULL, &found);
    globfree(&found);
    return r == 0;
}

static bool has_type(const char *path, mode_t type, int flags) {
    struct stat st;
    return fstatat(AT_FDCWD, path, &st, flags) == 0 && (st.st_mode & S_IFMT) == type;
}

static bool is_directory(const char *path) {
    return has_type(path, S_IFDIR, 0);
}

static bool is_symbolic_link(const char *path) {
    return has_type(path, S_IFLNK, AT_SYMLINK_NOFOLLOW);
}

static bool is_mount_point(const char *path) {
    struct statx x;
    return statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, 0, &x) == 0 && (x.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static bool is_read_write(const char *path) {
    struct statvfs s;
    return statvfs(path, &s) == 0 && !(s.f_flag & ST_RDONLY);
}

static bool is_not_empty_directory(const char *path) {
    _cleanup_free_ char *pattern = strf("%s/*", path), *hidden = strf("%s/.[!.]*", path);
    return is_directory(path) && pattern && hidden && (glob_matches(pattern) || glob_matches(hidden));
}

static bool is_not_empty_file(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
}

static bool is_executable(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

/* ---- the machine ---- */

/* "quiet" is there as well as "quiet=1"; "root=/dev/vda" only as it stands. */
static bool is_on_command_line(const char *wanted) {
    _cleanup_free_ char *line = NULL;
    size_t n = strlen(wanted);

    if (file_read_line(AT_FDCWD, "/proc/cmdline", &line) < 0)
        return false;
    char *rest = line, *word;
    while ((word = strsep(&rest, " \t")))
        if (strncmp(word, wanted, n) == 0 && (!word[n] || (word[n] == '=' && !strchr(wanted, '='))))
            return true;
    return false;
}

/* What is before the amount decides; nothing is ">=". difference: of what there is to what is wanted. */
static bool comparison_holds(const char *operator, int difference) {
    static const struct {
        const char *operator;
        bool less, same, more;
    } table[] = {
        {"<=", true, true, false},
        {">=", false, true, true},
        {"!=", true, false, true},
        {"<>", true, false, true},
        {"<", true, false, false},
        {">", false, false, true},
        {"=", false, true, false},
        {"", false, true, true},
    };
    size_t i = 0;
    while (!startswith(operator, table[i].operator))
        i++;
    return difference < 0 ? table[i].less : difference > 0 ? table[i].more : table[i].same;
}

static const char *behind_operator(const char *text) {
    text += strspn(text, "<>=!");
    return text + strspn(text, " \t");
}

static bool amount_holds(const char *text, uint64_t there_is, bool size) {
    const char *number = behind_operator(text);
    uint64_t wanted = 0;

    if ((size ? parse_size(number, 1024, &wanted) : parse_uint(number, 0, UINT32_MAX, &wanted)) < 0)
        return false;
    return comparison_holds(text, there_is < wanted ? -1 : there_is > wanted);
}

static bool has_memory(const char *text) {
    return amount_holds(text, (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE), true);
}

static bool has_cpus(const char *text) {
    cpu_set_t cpus;
    bool known = sched_getaffinity(0, sizeof(cpus), &cpus) == 0;
    return amount_holds(
        text, known ? (uint64_t)CPU_COUNT(&cpus) : (uint64_t)sysconf(_SC_NPROCESSORS_ONLN), false);
}

/* A comparison of versions, or a pattern. */
static bool has_kernel(const char *text) {
    struct utsname u;

    if (uname(&u) < 0)
        return false;
    if (!strchr("<>=!", *text))
        return fnmatch(text, u.release, 0) == 0;
    return comparison_holds(text, strverscmp(u.release, behind_operator(text)));
}

static bool has_architecture(const char *name) {
    const char *own = machine_architecture();
    return own && (streq(name, own) || streq(name, "native"));
}

/* The host's name, or its machine-id. */
static bool is_host(const char *pattern) {
    _cleanup_free_ char *id = NULL;
    struct utsname u;

    if (uname(&u) >= 0 && fnmatch(pattern, u.nodename, FNM_CASEFOLD) == 0)
        return true;
    return file_read_line(AT_FDCWD, "/etc/machine-id", &id) >= 0 && strcasecmp(id, pattern) == 0;
}

static bool has_variable(const char *text) {
    const char *equals = strchr(text, '=');
    _cleanup_free_ char *name = strndup(text, equals ? (size_t)(equals - text) : strlen(text));
    const char *value = name ? getenv(name) : NULL;
    return value && (!equals || streq(value, equals + 1));
}

/* ---- all of them ---- */

static bool (*const questions[_CONDITION_COUNT])(const char *argument) = {
    [CONDITION_PATH_EXISTS] = path_exists,
    [CONDITION_PATH_EXISTS_GLOB] = glob_matches,
    [CONDITION_PATH_IS_DIRECTORY] = is_directory,
    [CONDITION_PATH_IS_SYMBOLIC_LINK] = is_symbolic_link,
    [CONDITION_PATH_IS_MOUNT_POINT] = is_mount_point,
    [CONDITION_PATH_IS_READ_WRITE] = is_read_write,
    [CONDITION_DIRECTORY_NOT_EMPTY] = is_not_empty_directory,
    [CONDITION_FILE_NOT_EMPTY] = is_not_empty_file,
    [CONDITION_FILE_IS_EXECUTABLE] = is_executable,
    [CONDITION_KERNEL_COMMAND_LINE] = is_on_command_line,
    [CONDITION_KERNEL_VERSION] = has_kernel,
    [CONDITION_ARCHITECTURE] = has_architecture,
    [CONDITION_HOST] = is_host,
    [CONDITION_MEMORY] = has_memory,
    [CONDITION_CPUS] = has_cpus,
    [CONDITION_ENVIRONMENT] = has_variable,
};

static bool condition_holds(const struct condition *c) {
    return questions[c->kind](c->argument) != c->negate;
}

/* All plain ones must hold, and of those with '|', if there are any, at least one. */
const struct condition *conditions_first_failed(const struct condition_list *l) {
    const struct condition *trigger = NULL;
    bool triggered = false;

    for (size_t i = 0; i < l->n; i++) {
        const struct condition *c = &l->list[i];

        if (c->trigger) {
            trigger = trigger ?: c;
            triggered = triggered || condition_holds(c);
        } else if (!condition_holds(c))
            return c;
    }
    return triggered ? NULL : trigger;
}

char *condition_format(const struct condition *c, const char *prefix) {
    return strf("%s%s=%s%s%s", prefix, condition_name(c->kind), c->trigger ? "|" : "", c->negate ? "!" : "",
        c->argument);
}
