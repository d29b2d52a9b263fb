/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "generator/generator.h"

#include <fcntl.h>

#include "base/fs.h"
#include "unit/dirs.h"
#include "unit/load.h"
#include "unit/name.h"
#include "unit/reader.h"

/* ---- names ---- */

char *generator_service_name(const char *unit) {
    const char *suffix = endswith(unit, ".container");
    return suffix ? strf("%.*s.service", (int)(suffix - unit), unit) : strdup(unit);
}

/* Types of units that systemd has no service for: davit makes what they describe when it is needed. */
static bool is_made_on_demand(const char *name) {
    static const char *const suffixes[] = {".volume", ".network", ".image", ".build"};

    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
        if (endswith(name, suffixes[i]))
            return true;
    return false;
}

/* A list of units with systemd's names. */
static int translate_list(const char *value, char **ret) {
    _cleanup_strbuf_ struct strbuf b = {};

    for (const char *p = value + strspn(value, " \t"); *p; p += strspn(p, " \t")) {
        size_t n = strcspn(p, " \t");
        _cleanup_free_ char *word = strndup(p, n);
        _cleanup_free_ char *name = word ? generator_service_name(word) : NULL;
        if (!name)
            return -ENOMEM;
        if (!is_made_on_demand(name))
            strbuf_printf(&b, "%s%s", b.length > 0 ? " " : "", name);
        p += n;
    }
    *ret = strbuf_take(&b);
    return *ret ? 0 : -ENOMEM;
}

/* ---- keys that do not go over as they are ---- */

enum treatment {
    UNITS,    /* a list of units */
    LEFT_OUT, /* davit's own, or something that `davit launch` sees to */
    REFUSED,  /* would mean something else to systemd */
};

static const struct {
    const char *section, *key;
    enum treatment treatment;
} special_keys[] = {
    {"Unit", "After", UNITS},
    {"Unit", "Before", UNITS},
    {"Unit", "Requires", UNITS},
    {"Unit", "Wants", UNITS},
    {"Unit", "BindsTo", UNITS},
    {"Unit", "PartOf", UNITS},
    {"Unit", "Requisite", UNITS},
    {"Unit", "Conflicts", UNITS},
    {"Unit", "OnFailure", UNITS},
    {"Unit", "OnSuccess", UNITS},
    {"Unit", "Upholds", UNITS},
    {"Unit", "PropagatesStopTo", UNITS},
    {"Unit", "StopPropagatedFrom", UNITS},
    {"Unit", "PropagatesReloadTo", UNITS},
    {"Unit", "ReloadPropagatedFrom", UNITS},
    {"Install", "WantedBy", UNITS},
    {"Install", "RequiredBy", UNITS},
    {"Install", "UpheldBy", UNITS},
    {"Install", "Alias", UNITS},
    {"Install", "Also", UNITS},
    {"Service", "Type", LEFT_OUT},
    {"Service", "NotifyAccess", LEFT_OUT},
    {"Service", "WatchdogSec", LEFT_OUT}, /* handed on by `davit launch`, where the container can answer */
    {"Service", "TimeoutPrepareSec", LEFT_OUT},
    {"Service", "RestartResetSec", LEFT_OUT},
    {"Service", "RestartRandomizedDelaySec", LEFT_OUT},
    {"Service", "DevicePolicy", LEFT_OUT},
    {"Service", "DeviceAllow", LEFT_OUT},
    /* Of the hooks only; systemd would run davit itself so. */
    {"Service", "User", REFUSED},
    {"Service", "Group", REFUSED},
    {"Service", "WorkingDirectory", REFUSED},
};

/* Written from what the unit means, whichever of its sections said so. */
static const char *const resource_keys[] = {
    "MemoryMax",
    "MemoryHigh",
    "MemoryLow",
    "MemoryMin",
    "MemorySwapMax",
    "CPUQuota",
    "CPUQuotaPeriodSec",
    "CPUWeight",
    "AllowedCPUs",
    "AllowedMemoryNodes",
    "TasksMax",
    "IOWeight",
    "IOReadBandwidthMax",
    "IOWriteBandwidthMax",
    "IOReadIOPSMax",
    "IOWriteIOPSMax",
    "OOMPolicy",
    "OOMScoreAdjust",
    "Nice",
    "CPUSchedulingPolicy",
    "CPUSchedulingPriority",
    "IOSchedulingClass",
    "IOSchedulingPriority",
};

static bool is_resource_key(const char *key) {
    for (size_t i = 0; i < ARRAY_SIZE(resource_keys); i++)
        if (streq(resource_keys[i], key))
            return true;
    return false;
}

/* ---- one section ---- */

struct section {
    const char *name, *file;
    struct strbuf *text;
    struct error *error;
};

static int add_entry(const struct reader_event *event, void *data) {
    struct section *s = data;

    /* Mistakes were found when the unit was loaded. */
    if (event->kind != READER_KEY || !streq(event->section, s->name))
        return 0;
    if (streq(s->name, "Service") && is_resource_key(event->key))
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(special_keys); i++) {
        if (!streq(special_keys[i].section, s->name) || !streq(special_keys[i].key, event->key))
            continue;
        if (special_keys[i].treatment == LEFT_OUT)
            return 0;
        if (special_keys[i].treatment == REFUSED)
            return error_set(s->error, EINVAL, "%s:%u: [%s] %s= cannot be carried over to systemd", s->file,
                event->line, s->name, event->key);
        _cleanup_free_ char *list = NULL;
        int r = translate_list(event->value, &list);
        if (r < 0)
            return error_set(s->error, ENOMEM, "out of memory");
        /* An empty value takes back what was said before; a list of which nothing is left does not. */
        if (*list || !*event->value)
            strbuf_printf(s->text, "%s=%s\n", event->key, list);
        return 0;
    }
    strbuf_printf(s->text, "%s=%s\n", event->key, event->value);
    return 0;
}

/* What the unit's files say in that section, fragment and drop-ins in order. */
static int copy_section(const struct unit *u, const char *name, struct strbuf *text, struct error *e) {
    _cleanup_strv_free_ char **files = unit_files(u);

    STRV_FOREACH (file, files) {
        struct section s = {.name = name, .file = *file, .text = text, .error = e};
        _cleanup_free_ char *content = NULL;
        size_t n;

        int r = file_read(AT_FDCWD, *file, UNIT_FILE_MAX, &content, &n);
        if (r < 0)
            return error_set_errno(e, r, "%s", *file);
        r = reader_parse(content, n, add_entry, &s);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- the service ---- */

static const char *default_of(const char *key) {
    const struct key_info *keys;
    size_t n = unit_keys(&keys);

    for (size_t i = 0; i < n; i++)
        if (streq(keys[i].section, "Service") && streq(keys[i].name, key))
            return keys[i].default_text;
    return NULL;
}

static int add_resources(const struct unit *u, struct strbuf *text, struct error *e) {
    for (size_t i = 0; i < ARRAY_SIZE(resource_keys); i++) {
        _cleanup_strv_free_ char **values = NULL;
        const char *otherwise = default_of(resource_keys[i]);

        int r = unit_show_key(u, "Service", resource_keys[i], &values);
        if (r < 0)
            return error_set_errno(e, r, "%s", resource_keys[i]);
        STRV_FOREACH (value, values)
            if (**value && !(otherwise && streq(otherwise, *value)))
                strbuf_printf(text, "%s=%s\n", resource_keys[i], *value);
    }
    return 0;
}

/* "shell@.container" of "shell@a.container": what there is a file of. */
static const char *file_name(const struct unit *u) {
    return path_basename(u->fragment);
}

/* How `davit launch` shall call the unit: an instance by the name that systemd gives it. */
static char *launch_name(const struct unit *u) {
    const char *name = file_name(u), *at = name_is_template(name) ? strchr(name, '@') : NULL;
    return at ? strf("%.*s%%i%s", (int)(at + 1 - name), name, at + 1) : strdup(name);
}

static void add_service_head(
    const struct generator *g, const struct unit *u, const char *name, struct strbuf *text) {
    static const struct {
        const char *key, *arguments;
    } programs[] = {
        {"ExecStart", "--no-limits"},
        {"ExecStop", "--stop"},
        {"ExecStopPost", "--cleanup"},
    };
    const char *container = u->container->container_name;

    strbuf_puts(text, "\n[Service]\nType=notify\nNotifyAccess=all\nDelegate=yes\nKillMode=mixed\n"
                      "SuccessExitStatus=143\nKeyringMode=private\n");
    strbuf_printf(text, "Environment=DAVIT_UNIT_PATH=%s\n", g->source);
    for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
        strbuf_printf(text, "%s=%s%s launch %s %s\n", programs[i].key, i > 0 ? "-" : "", g->davit,
            programs[i].arguments, name);
    if (u->service.reload_signal != 0)
        strbuf_printf(text, "ExecReload=/bin/kill -%d $MAINPID\n", u->service.reload_signal);
    if (!u->instance && container)
        strbuf_printf(text, "LogExtraFields=CONTAINER_NAME=%s\n", container);
    /* The file's own TimeoutStopSec= comes later and wins. */
    if (u->container->stop_timeout != USEC_INFINITY)
        strbuf_printf(text, "TimeoutStopSec=%lluus\n", (unsigned long long)u->container->stop_timeout);
}

int generator_service(const struct generator *g, const struct unit *u, char **ret, struct error *e) {
    _cleanup_strbuf_ struct strbuf text = {};
    _cleanup_free_ char *name = launch_name(u);

    if (!name)
        return error_set(e, ENOMEM, "out of memory");
    if (u->service.type == SERVICE_ONESHOT)
        return error_set(e, EOPNOTSUPP, "%s: Type=oneshot is for davitd only", u->fragment);
    strbuf_printf(&text,
        "# Made by davit-generator from %s\n[Unit]\nSourcePath=%s\nDocumentation=man:davit-systemd(7)\n"
        "RequiresMountsFor=/var/lib/davit\nAfter=local-fs.target network.target\n",
        u->fragment, u->fragment);
    int r = copy_section(u, "Unit", &text, e);
    if (r < 0)
        return r;
    add_service_head(g, u, name, &text);
    r = add_resources(u, &text, e);
    if (r >= 0)
        r = copy_section(u, "Service", &text, e);
    if (r < 0)
        return r;
    strbuf_puts(&text, "\n[Install]\n");
    r = copy_section(u, "Install", &text, e);
    if (r < 0)
        return r;
    *ret = strbuf_take(&text);
    return *ret ? 0 : error_set(e, ENOMEM, "out of memory");
}

/* ---- links: a generator enables by itself what systemctl enable cannot ---- */

static int make_link(const struct generator *g, const char *path, const char *target, struct error *e) {
    _cleanup_free_ char *full = path_join(g->output, path);
    _cleanup_free_ char *parent = full ? strndup(full, (size_t)(path_basename(full) - full)) : NULL;

    if (!parent)
        return error_set(e, ENOMEM, "out of memory");
    int r = mkdir_parents(AT_FDCWD, parent, 0755);
    if (r >= 0 && symlink(target, full) < 0 && errno != EEXIST)
        r = negative_errno();
    return r < 0 ? error_set_errno(e, r, "%s", full) : 0;
}

static int make_links(const struct generator *g, const struct unit *u, const char *service, struct error *e) {
    _cleanup_free_ char *target = strf("../%s", service);

    for (size_t i = 0; i < LINK_KINDS; i++)
        STRV_FOREACH (by, unit_install_list(u, &link_kinds[i])) {
            _cleanup_free_ char *name = generator_service_name(*by);
            _cleanup_free_ char *path = name ? strf("%s%s/%s", name, link_kinds[i].suffix, service) : NULL;
            int r = path && target ? make_link(g, path, target, e) : error_set(e, ENOMEM, "out of memory");
            if (r < 0)
                return r;
        }
    STRV_FOREACH (alias, u->install.alias) {
        _cleanup_free_ char *name = generator_service_name(*alias);
        int r = name ? make_link(g, name, service, e) : error_set(e, ENOMEM, "out of memory");
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- all ---- */

/* A template is read as one of its instances would be: the default one, if it has one. */
static int load(const struct generator *g, const char *file, struct unit **ret, struct error *e) {
    char *const path[] = {(char *)g->source, NULL};
    const struct unit_environment env = {.unit_path = path};
    _cleanup_(unit_freep) struct unit *u = NULL;
    _cleanup_free_ char *name = name_is_template(file) ? name_with_instance(file, "instance") : strdup(file);

    if (!name)
        return error_set(e, ENOMEM, "out of memory");
    int r = unit_load(&env, name, &u, e);
    if (r < 0)
        return e->number != 0 ? r : error_set_errno(e, r, "%s/%s", g->source, file);
    for (const struct problem *p = u->problems; p; p = p->next) {
        _cleanup_free_ char *text = problem_format(p);
        if (p->level == PROBLEM_ERROR)
            return error_set(e, EINVAL, "%s", text ? text : file);
        if (text && p->level == PROBLEM_WARNING)
            g->complain(text);
    }
    if (u->has_errors || !u->container || !u->fragment)
        return error_set(e, EINVAL, "%s/%s has errors", g->source, file);
    if (u->container->reload_cmd) {
        _cleanup_free_ char *text = strf(
            "%s: [Container] ReloadCmd= is for davitd only, systemctl reload does not run it", u->fragment);
        g->complain(text ? text : "ReloadCmd=");
    }
    *ret = TAKE_PTR(u);
    return 0;
}

/* -EINVAL and the like: this unit's own fault. */
static int generate(const struct generator *g, const char *file, struct error *e) {
    _cleanup_free_ char *service = generator_service_name(file), *text = NULL;
    _cleanup_(unit_freep) struct unit *u = NULL;

    int r = service ? load(g, file, &u, e) : error_set(e, ENOMEM, "out of memory");
    if (r < 0 || !u)
        return r;
    r = generator_service(g, u, &text, e);
    if (r < 0 || !text)
        return r;
    _cleanup_free_ char *path = path_join(g->output, service);
    r = path ? file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, false) : -ENOMEM;
    if (r < 0)
        return error_set_errno(e, r, "%s/%s", g->output, service);
    return name_is_template(file) ? 0 : make_links(g, u, service, e);
}

int generator_run(const struct generator *g, struct error *e) {
    _cleanup_strv_free_ char **files = NULL;

    int r = directory_names(g->source, &files);
    if (r < 0)
        return error_set_errno(e, r, "%s", g->source);
    STRV_FOREACH (file, files) {
        struct error mistake = {};
        if (!endswith(*file, ".container"))
            continue;
        r = generate(g, *file, &mistake);
        if (r == -ENOSPC || r == -EROFS || r == -ENOMEM) {
            *e = mistake;
            return r;
        }
        if (r < 0)
            g->complain(mistake.text);
    }
    return 0;
}
