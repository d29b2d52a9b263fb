/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/fstab.h"

#include <sys/mount.h>

#include "base/fs.h"
#include "base/parse.h"

void fstab_entry_done(struct fstab_entry *f) {
    free(f->source);
    free(f->target);
    free(f->type);
    free(f->data);
    *f = (struct fstab_entry){};
}

#define FSTAB_FIELDS 6

/* ---- options ---- */

/* mount(8), "filesystem-independent mount options". */
static const struct {
    const char *name;
    unsigned long set, clear;
} flag_options[] = {
    {"defaults", 0, 0},
    {"ro", MS_RDONLY, 0},
    {"rw", 0, MS_RDONLY},
    {"nosuid", MS_NOSUID, 0},
    {"suid", 0, MS_NOSUID},
    {"nodev", MS_NODEV, 0},
    {"dev", 0, MS_NODEV},
    {"noexec", MS_NOEXEC, 0},
    {"exec", 0, MS_NOEXEC},
    {"sync", MS_SYNCHRONOUS, 0},
    {"async", 0, MS_SYNCHRONOUS},
    {"dirsync", MS_DIRSYNC, 0},
    {"noatime", MS_NOATIME, 0},
    {"atime", 0, MS_NOATIME},
    {"nodiratime", MS_NODIRATIME, 0},
    {"diratime", 0, MS_NODIRATIME},
    {"relatime", MS_RELATIME, 0},
    {"norelatime", 0, MS_RELATIME},
    {"strictatime", MS_STRICTATIME, 0},
    {"lazytime", MS_LAZYTIME, 0},
    {"silent", MS_SILENT, 0},
    {"user", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0},
    {"users", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0},
    {"owner", MS_NOSUID | MS_NODEV, 0},
    {"group", MS_NOSUID | MS_NODEV, 0},
    {"nouser", 0, 0},
    {"auto", 0, 0},
};

static int take_time(const char *value, usec_t *to, const char *option, struct error *e) {
    return timespan_parse(value, to) < 0 ? error_set(e, EINVAL, "%s is no time", option) : 1;
}

/* For others, or said by the type already. */
static bool is_passed_over(const struct fstab_entry *f, const char *option) {
    return startswith(option, "x-") || startswith(option, "comment=") ||
           (f->kind == FSTAB_SWAP && streq(option, "sw"));
}

/* Those of systemd.mount(5) that would do something to the file system, or wait for something, and that are not
 * carried out here: worth a word. The rest of "x-systemd." is about its units. */
static const char *find_unmade(const char *option) {
    static const char *const names[] = {"x-systemd.makefs", "x-systemd.growfs",
        "x-systemd.requires=", "x-systemd.requires-mounts-for=", "x-systemd.after=", "x-systemd.before="};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (startswith(option, names[i]))
            return names[i];
    return NULL;
}

/* 1 = taken, 0 = none of these, -EINVAL. */
static int take_swap_option(struct fstab_entry *f, const char *option, struct error *e) {
    const char *value = startswith(option, "pri=");
    int64_t priority;

    if (streq(option, "discard") || startswith(option, "discard=")) {
        f->discard = true;
        return 1;
    }
    if (!value)
        return 0;
    if (parse_int(value, 0, 32767, &priority) < 0)
        return error_set(e, EINVAL, "%s: a priority is a number from 0 to 32767", option);
    f->priority = (int)priority;
    return 1;
}

/* 1 = taken, 0 = for the file system, -EINVAL. */
static int take_option(struct fstab_entry *f, const char *option, struct error *e) {
    const char *value;

    for (size_t i = 0; i < ARRAY_SIZE(flag_options); i++)
        if (streq(option, flag_options[i].name)) {
            f->flags = (f->flags & ~flag_options[i].clear) | flag_options[i].set;
            return 1;
        }
    if (streq(option, "noauto"))
        f->no_auto = true;
    else if (streq(option, "nofail"))
        f->no_fail = true;
    else if (streq(option, "_netdev"))
        f->network = true;
    else if (streq(option, "x-systemd.automount"))
        f->automount = true;
    else if (find_unmade(option))
        f->unmade = find_unmade(option);
    else if (streq(option, "bind") || streq(option, "rbind")) {
        f->kind = FSTAB_BIND;
        f->recursive = option[0] == 'r';
    } else if ((value = startswith(option, "x-systemd.device-timeout=")))
        return take_time(value, &f->device_timeout, option, e);
    else if ((value = startswith(option, "x-systemd.mount-timeout=")))
        return take_time(value, &f->mount_timeout, option, e);
    else if (!is_passed_over(f, option))
        return f->kind == FSTAB_SWAP ? take_swap_option(f, option, e) : 0;
    return 1;
}

static int take_options(struct fstab_entry *f, char *options, struct error *e) {
    _cleanup_strbuf_ struct strbuf data = {};

    for (char *rest = options, *option; (option = strsep(&rest, ","));) {
        if (!*option)
            continue;
        int r = take_option(f, option, e);
        if (r < 0)
            return r;
        if (r == 0)
            strbuf_printf(&data, "%s%s", data.length > 0 ? "," : "", option);
    }
    /* Whoever says so wants no boot that waits; "noauto" beside it means: not before somebody looks. */
    if (f->automount) {
        f->no_fail = true;
        f->no_auto = false;
    }
    f->data = strbuf_take(&data);
    return f->data ? 0 : error_set_errno(e, ENOMEM, "options");
}

/* ---- a line ---- */

static int parse_fields(char *field[static FSTAB_FIELDS], struct fstab_entry *f, struct error *e) {
    const char *type = field[2] ? field[2] : "auto";

    if (!field[1])
        return error_set(e, EINVAL, "a line needs at least a device and a directory");
    *f = (struct fstab_entry){.device_timeout = FSTAB_TIMEOUT,
        .mount_timeout = FSTAB_TIMEOUT,
        .priority = -1,
        .network = fs_type_is_network(type),
        .check = field[5] && !streq(field[5], "0"),
        .kind = streq(type, "swap") ? FSTAB_SWAP : FSTAB_MOUNT};
    f->source = strdup(octal_unescape(field[0]));
    f->type = strdup(type);
    if (!f->source || !f->type)
        return error_set_errno(e, ENOMEM, "fstab");
    if (f->kind != FSTAB_SWAP) {
        char *target = path_simplify(octal_unescape(field[1]));
        if (!path_is_normalized(target))
            return error_set(e, EINVAL, "\"%s\" is no absolute path", target);
        f->target = strdup(target);
        if (!f->target)
            return error_set_errno(e, ENOMEM, "fstab");
    }
    char nothing[] = "";
    int r = take_options(f, field[3] ? field[3] : nothing, e);
    if (r >= 0 && f->kind == FSTAB_BIND && f->source[0] != '/')
        return error_set(e, EINVAL, "\"%s\" cannot be bound: no absolute path", f->source);
    return r;
}

int fstab_parse_line(const char *line, struct fstab_entry *ret, struct error *e) {
    _cleanup_free_ char *copy = strdup(line);
    _cleanup_(fstab_entry_done) struct fstab_entry f = {};
    char *field[FSTAB_FIELDS] = {};
    size_t n = 0;

    if (!copy)
        return error_set_errno(e, ENOMEM, "fstab");
    for (char *rest = strstrip(copy), *word; n < ARRAY_SIZE(field) && (word = strsep(&rest, " \t"));)
        if (*word)
            field[n++] = word;
    if (n == 0 || field[0][0] == '#')
        return 0;
    int r = parse_fields(field, &f, e);
    if (r < 0)
        return r;
    *ret = f;
    f = (struct fstab_entry){};
    return 1;
}

bool fstab_needs_device(const struct fstab_entry *f) {
    static const char *const tags[] = {"/dev/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL="};

    for (size_t i = 0; f->kind != FSTAB_BIND && i < ARRAY_SIZE(tags); i++)
        if (startswith(f->source, tags[i]))
            return true;
    return false;
}

/* ---- order ---- */

static bool is_below(const char *path, const char *parent) {
    const char *rest = startswith(path, parent);

    return !streq(path, parent) && rest && (streq(parent, "/") || *rest == '/');
}

bool fstab_must_follow(const struct fstab_entry *a, const struct fstab_entry *b) {
    if (!a->target || !b->target) /* swap */
        return !a->target && b->target;
    return is_below(a->target, b->target) || (a->kind == FSTAB_BIND && is_below(a->source, b->target));
}

/* A few dozen lines at most: each is moved in front of the first one that has to follow it. */
void fstab_sort(struct fstab_entry *entries, size_t n) {
    for (size_t i = 1; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (fstab_must_follow(&entries[k], &entries[i])) {
                struct fstab_entry moved = entries[i];
                memmove(&entries[k + 1], &entries[k], (i - k) * sizeof moved);
                entries[k] = moved;
                break;
            }
}

/* ---- a file ---- */

#define LINES_MAX 1024

void fstab_list_done(struct fstab_list *l) {
    for (size_t i = 0; i < l->n; i++)
        fstab_entry_done(&l->entries[i]);
    free(l->entries);
    *l = (struct fstab_list){};
}

int fstab_parse(char *text, void (*bad)(void *userdata, unsigned line, const char *why), void *userdata,
    struct fstab_list *ret) {
    struct fstab_list l = {.entries = calloc(LINES_MAX, sizeof *l.entries)};
    unsigned number = 0;

    if (!l.entries)
        return -ENOMEM;
    for (char *line; l.n < LINES_MAX && (line = strsep(&text, "\n"));) {
        struct error e = {};
        int r = fstab_parse_line(line, &l.entries[l.n], &e);
        number++;
        if (r < 0)
            bad(userdata, number, e.text);
        else
            l.n += (size_t)r;
    }
    fstab_sort(l.entries, l.n);
    *ret = l;
    return 0;
}
