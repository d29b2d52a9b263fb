/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a name to a struct unit: finds the files, reads them in order into one unit, fills in the rest. */
#include <fcntl.h>
#include <limits.h>

#include "base/fs.h"
#include "unit/dirs.h"
#include "unit/key.h"
#include "unit/load.h"
#include "unit/name.h"
#include "unit/reader.h"

/* ---- the unit itself ---- */

void unit_free(struct unit *u) {
    if (!u)
        return;
    keys_clear(u);
    for (size_t i = 0; i < _DEP_COUNT; i++)
        strv_free(u->unit.dependencies[i]);
    free(u->name);
    free(u->instance);
    free(u->template);
    free(u->fragment);
    strv_free(u->dropins);
    problems_free(u->problems);
    free(u->container);
    free(u->volume);
    free(u->image);
    free(u);
}

char **unit_files(const struct unit *u) {
    _cleanup_strv_free_ char **files = NULL;
    if ((u->fragment && strv_append(&files, u->fragment) < 0) || strv_extend(&files, u->dropins) < 0)
        return NULL;
    return TAKE_PTR(files);
}

void unit_images(const struct unit *u, const char *ret[static UNIT_IMAGES]) {
    ret[0] = u->container ? u->container->image : NULL;
    ret[1] = u->image ? u->image->image : NULL;
    ret[2] = u->image ? u->image->image_tag : NULL;
}

const char *dependency_name(enum dependency_kind k) {
    static const char *const names[_DEP_COUNT] = {"After", "Before", "Requires", "Wants", "BindsTo", "PartOf",
        "Requisite", "Conflicts", "OnFailure", "OnSuccess", "WantedBy", "RequiredBy", "Upholds", "UpheldBy",
        "PropagatesStopTo", "StopPropagatedFrom", "PropagatesReloadTo", "ReloadPropagatedFrom"};
    return names[k];
}

const char *dependency_inverse_name(enum dependency_kind k) {
    static const char *const names[_DEP_COUNT] = {
        [DEP_BINDS_TO] = "BoundBy",
        [DEP_PART_OF] = "ConsistsOf",
        [DEP_REQUISITE] = "RequisiteOf",
        [DEP_CONFLICTS] = "ConflictedBy",
        [DEP_ON_FAILURE] = "OnFailureOf",
        [DEP_ON_SUCCESS] = "OnSuccessOf",
    };
    return names[k];
}

bool unit_type_installs_itself(enum unit_type t) {
    return t == UNIT_CONTAINER || t == UNIT_VOLUME || t == UNIT_IMAGE;
}

static int fill_name(struct unit *u, const char *name) {
    struct name_parts parts;
    if (name_split(name, &parts) < 0)
        return -EINVAL;
    u->type = parts.type;
    u->name = strdup(name);
    if (!u->name)
        return -ENOMEM;
    if (!parts.instance || parts.instance_length == 0)
        return 0;
    u->instance = strndup(parts.instance, parts.instance_length);
    u->template = name_template(name);
    return u->instance && u->template ? 0 : -ENOMEM;
}

/* A unit with nothing but its name and the table's defaults. */
static int unit_new(struct load *l, const char *name) {
    _cleanup_(unit_freep) struct unit *u = calloc(1, sizeof(*u));
    if (!u)
        return -ENOMEM;
    int r = fill_name(u, name);
    if (r < 0)
        return r;
    if (u->type == UNIT_CONTAINER && !(u->container = calloc(1, sizeof(*u->container))))
        return -ENOMEM;
    if (u->type == UNIT_VOLUME && !(u->volume = calloc(1, sizeof(*u->volume))))
        return -ENOMEM;
    if (u->type == UNIT_IMAGE && !(u->image = calloc(1, sizeof(*u->image))))
        return -ENOMEM;
    l->u = u;
    r = keys_init(l);
    if (r < 0) {
        l->u = NULL;
        return r;
    }
    if (l->env) {
        /* A change of these is a change of the unit. */
        const usec_t defaults[] = {
            l->env->default_timeout_start, l->env->default_timeout_stop, l->env->default_restart_sec};
        u->content_hash = siphash_stable(defaults, sizeof(defaults));
    }
    (void)TAKE_PTR(u);
    return 0;
}

/* ---- reading one file ---- */

/* Types that have a name and no engine yet. */
static const struct {
    enum unit_type type;
    const char *text, *hint;
} not_run[] = {
    {UNIT_POD, "pods are not supported yet", NULL},
    {UNIT_NETWORK, "networks are not supported yet", "containers with Network=host need none"},
    {UNIT_TIMER, "timers are not supported yet", NULL},
    {UNIT_SOCKET, "socket units are not supported yet", NULL},
    {UNIT_KUBE, "not run by davit", "write a .container for each container"},
    {UNIT_BUILD, "not run by davit", "build the image elsewhere, and name it with Image="},
    {UNIT_ARTIFACT, "not run by davit", NULL},
};

struct file_reading {
    struct load *l;
    const char *file;
    enum key_section section; /* 0 = one to be passed over */
};

/* Sections of other types of units, Quadlet's and systemd's: known, but not here. */
static const char *const foreign_sections[] = {"Pod", "Network", "Kube", "Build", "Artifact", "Timer",
    "Socket", "Path", "Mount", "Automount", "Swap", "Slice", "Scope", "Match", "Link"};

static const char *nearest_section(const char *name) {
    const char *nearest = NULL;
    unsigned best = 3;
    for (size_t i = 0; i < _SECTION_COUNT; i++) {
        const char *known = section_name(1u << i);
        unsigned distance = strcasecmp(known, name) == 0 ? 0 : edit_distance(known, name);
        if (distance < best) {
            best = distance;
            nearest = known;
        }
    }
    return nearest;
}

static int report_section(struct file_reading *f, unsigned line, const char *name, enum key_section section) {
    enum problem_level level = f->l->env && f->l->env->strict ? PROBLEM_ERROR : PROBLEM_WARNING;
    const char *suffix = unit_type_suffix(f->l->u->type);
    _cleanup_free_ char *hint = NULL;

    if (section)
        return load_problem(f->l, PROBLEM_ERROR, f->file, line, name, NULL,
            section == SECTION_CONTAINER ? "name the file NAME.container"
            : section == SECTION_VOLUME  ? "name the file NAME.volume"
            : section == SECTION_IMAGE   ? "name the file NAME.image"
                                         : "leave it out",
            "this section has no place in a %s", suffix);
    for (size_t i = 0; i < ARRAY_SIZE(foreign_sections); i++)
        if (streq(name, foreign_sections[i]))
            return load_problem(f->l, level, f->file, line, name, NULL, NULL,
                "this section has no meaning in a %s, ignored", suffix);
    const char *nearest = nearest_section(name);
    if (nearest && !(hint = strf("did you mean [%s]?", nearest)))
        return -ENOMEM;
    return load_problem(f->l, level, f->file, line, name, NULL, hint, "unknown section, ignored");
}

/* [Quadlet] has one key, DefaultDependencies=, about network-online.target: davit waits for no network. */
static bool section_is_silent(const char *name) {
    return startswith(name, "X-") || streq(name, "Quadlet");
}

static int enter_section(struct file_reading *f, unsigned line, const char *name) {
    enum unit_type type = f->l->u->type;
    enum key_section section = section_from_name(name);
    bool is_ours = false;

    f->section = 0;
    for (size_t i = 0; i < ARRAY_SIZE(not_run); i++)
        if (not_run[i].type == type)
            return 0; /* one problem says it all */
    for (size_t i = 0; section && !is_ours && i < n_keys; i++)
        is_ours = key_applies(&keys[i], type, section);
    if (is_ours) {
        f->section = section;
        return 0;
    }
    return section_is_silent(name) ? 0 : report_section(f, line, name, section);
}

static int take_event(const struct reader_event *event, void *data) {
    struct file_reading *f = data;

    switch (event->kind) {
    case READER_SECTION:
        return enter_section(f, event->line, event->section);
    case READER_KEY:
        return f->section ? key_assign(f->l, f->file, event->line, f->section, event->key, event->value) : 0;
    case READER_ERROR:
        if (event->value)
            return load_problem(f->l, PROBLEM_ERROR, f->file, event->line, event->section, event->key,
                event->hint, "%s: \"%.100s\"", event->text, event->value);
        return load_problem(f->l, PROBLEM_ERROR, f->file, event->line, event->section, event->key,
            event->hint, "%s", event->text);
    }
    return 0;
}

static int read_text(struct load *l, const char *file, const char *text, size_t n) {
    struct file_reading f = {.l = l, .file = file};
    uint64_t chain[] = {l->u->content_hash, siphash_stable(file, strlen(file)), siphash_stable(text, n)};

    l->u->content_hash = siphash_stable(chain, sizeof(chain));
    return reader_parse(text, n, take_event, &f);
}

/* An empty file is a mask by systemd's rule, but hardly ever meant as one: `touch data.volume` looks like a volume. */
static int report_mask(struct load *l) {
    const char *file = l->u->fragment, *type = unit_type_suffix(l->u->type) + 1;
    _cleanup_free_ char *hint = NULL;
    struct stat st;

    if (lstat(file, &st) < 0 || S_ISLNK(st.st_mode))
        return load_problem(
            l, PROBLEM_ERROR, file, 0, NULL, NULL, "`davit unmask` takes that back", "the unit is masked");
    hint = strf("write at least [%c%s] into it", *type - 'a' + 'A', type + 1);
    if (!hint)
        return -ENOMEM;
    return load_problem(
        l, PROBLEM_ERROR, file, 0, NULL, NULL, hint, "the file is empty, and so the unit is masked");
}

/* A file that cannot be read is a problem of the unit, so that `status` can show it. */
static int read_file(struct load *l, const char *path) {
    _cleanup_free_ char *text = NULL;
    size_t n;

    int r = file_read(AT_FDCWD, path, UNIT_FILE_MAX, &text, &n);
    if (r == -ENOMEM)
        return r;
    if (r == -EFBIG)
        return load_problem(
            l, PROBLEM_ERROR, path, 0, NULL, NULL, "this is not a unit file?", "larger than 4 MiB");
    if (r < 0)
        return load_problem(l, PROBLEM_ERROR, path, 0, NULL, NULL, NULL, "cannot be read: %s", errno_text(r));
    return read_text(l, path, text, n);
}

static int report_not_run(struct load *l) {
    const struct unit *u = l->u;
    for (size_t i = 0; i < ARRAY_SIZE(not_run); i++)
        if (not_run[i].type == u->type)
            return load_problem(l, PROBLEM_ERROR, u->fragment ?: u->name, 0, NULL, NULL, not_run[i].hint,
                "%s: %s", unit_type_suffix(u->type), not_run[i].text);
    return 0;
}

/* ---- links and [Install] ---- */

static int add_names(char ***list, char *const *names) {
    STRV_FOREACH (name, names)
        if (!strv_contains(*list, *name)) {
            int r = strv_append(list, *name);
            if (r < 0)
                return r;
        }
    return 0;
}

/* An instance that is only named somewhere has a template's file and none of its own: its [Install] says
 * nothing about it unless it is the default instance. Quadlet's rule. */
static bool exists_by_itself(const struct unit *u) {
    return !u->instance || streq(path_basename(u->fragment), u->name) ||
           streq_ptr(u->instance, u->install.default_instance);
}

/* What pulls this unit in: links, and for Quadlet's types [Install] itself unless a link to /dev/null forbids
 * it. */
static int apply_install(struct unit *u, const struct dependency_links *links) {
    bool installs_itself = unit_type_installs_itself(u->type) && exists_by_itself(u);
    int r = 0;

    u->enabled = false;
    for (size_t i = 0; i < LINK_KINDS && r == 0; i++) {
        const struct link_kind *kind = &link_kinds[i];
        char ***who_pulls = &u->unit.dependencies[kind->inverse];

        r = add_names(&u->unit.dependencies[kind->forward], links->forward[i]);
        if (r == 0)
            r = add_names(who_pulls, links->inverse[i]);
        if (r == 0 && installs_itself) {
            r = add_names(who_pulls, unit_install_list(u, kind));
            STRV_FOREACH (who, links->masked)
                if (*who_pulls)
                    strv_remove(*who_pulls, *who);
        }
        u->enabled |= strv_length(*who_pulls) > 0;
    }
    return r;
}

/* ---- the doors ---- */

static int finish(struct load *l, const struct dependency_links *links) {
    int r = report_not_run(l);
    if (r == 0)
        r = apply_install(l->u, links);
    if (r == 0)
        r = defaults_fill(l);
    return r;
}

static void load_done(struct load *l) {
    unit_free(l->u);
}

static int fail(struct error *e, int r, const char *name) {
    if (r == -ENOMEM)
        return error_set(e, ENOMEM, "%s: out of memory", name);
    if (r == -ENOENT)
        return error_set(e, ENOENT, "there is no unit file for %s", name);
    if (r == -EINVAL)
        return error_set(e, EINVAL, "\"%.100s\" is not a unit name", name);
    return error_set_errno(e, r, "cannot load %s", name);
}

static int load_files(struct load *l, const struct unit_dirs *dirs, bool with_links) {
    _cleanup_(dependency_links_done) struct dependency_links links = {0};
    struct unit *u = l->u;

    int r = dirs_find_dropins(dirs, u->name, &u->dropins);
    if (r == 0)
        r = read_file(l, u->fragment);
    STRV_FOREACH (path, u->dropins)
        if (r == 0)
            r = read_file(l, *path);
    if (r == 0 && with_links)
        r = dirs_find_links(dirs, u->name, &links);
    return r < 0 ? r : finish(l, &links);
}

int unit_load_from(const struct unit_environment *env, const struct unit_dirs *dirs, const char *name,
    struct unit **ret, struct error *e) {
    _cleanup_(fragment_done) struct fragment fragment = {0};
    _cleanup_(load_done) struct load l = {.env = env};

    if (!unit_name_is_valid(name))
        return fail(e, -EINVAL, name);
    int r = dirs_find_fragment(dirs, name, &fragment);
    if (r == 0)
        r = unit_new(&l, fragment.name);
    if (r != 0)
        return fail(e, r, name);
    l.u->fragment = TAKE_PTR(fragment.path);
    if (fragment.masked)
        r = report_mask(&l);
    else
        r = load_files(&l, dirs, true);
    if (r < 0)
        return fail(e, r, name);
    *ret = TAKE_PTR(l.u);
    return 0;
}

int unit_load(const struct unit_environment *env, const char *name, struct unit **ret, struct error *e) {
    _cleanup_(unit_dirs_done) struct unit_dirs dirs = {0};

    int r = unit_dirs_scan(env->unit_path, &dirs);
    return r < 0 ? fail(e, r, name) : unit_load_from(env, &dirs, name, ret, e);
}

int unit_load_file(const struct unit_environment *env, const char *path, struct unit **ret, struct error *e) {
    _cleanup_(load_done) struct load l = {.env = env};
    char real[PATH_MAX];
    const char *name = path_basename(path);

    if (!unit_name_is_valid(name))
        return fail(e, -EINVAL, name);
    if (access(path, R_OK) < 0)
        return error_set_errno(e, negative_errno(), "cannot read %s", path);
    int r = unit_new(&l, name);
    if (r < 0)
        return fail(e, r, name);

    /* relative paths in the unit count from its directory, so the fragment's path is made absolute; its last
     * part is kept as written, for a link has the name of the unit */
    _cleanup_free_ char *directory = strndup(path, (size_t)(name - path));
    if (!directory || !realpath(*directory ? directory : ".", real))
        return fail(e, directory ? negative_errno() : -ENOMEM, name);
    l.u->fragment = path_join(real, name);
    char *list[] = {real, NULL};
    struct unit_dirs dirs = {.directories = list};
    r = l.u->fragment ? load_files(&l, &dirs, false) : -ENOMEM;
    if (r < 0)
        return fail(e, r, name);
    *ret = TAKE_PTR(l.u);
    return 0;
}

int unit_parse_text(const struct unit_environment *env, const char *name, const char *file, const char *text,
    size_t n, struct unit **ret, struct error *e) {
    _cleanup_(load_done) struct load l = {.env = env};
    const struct dependency_links links = {0};

    int r = unit_new(&l, name);
    if (r == 0 && !(l.u->fragment = strdup(file)))
        r = -ENOMEM;
    if (r == 0)
        r = read_text(&l, file, text, n);
    if (r == 0)
        r = finish(&l, &links);
    if (r < 0)
        return fail(e, r, name);
    *ret = TAKE_PTR(l.u);
    return 0;
}
