/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where units come from: search path, drop-ins, templates, links; enabling and disabling; the units that
 * ship. */
#include "unit-support.h"

#include <fcntl.h>

#include "base/fs.h"

/* Three directories as in real life: run, etc, lib below one temporary directory. */
struct place {
    char root[64], run[80], etc[80], lib[80];
    char *path[4];
    struct unit_environment env;
};

static int make_place(void **state) {
    struct place *p = calloc(1, sizeof(*p));
    strcpy(p->root, "/tmp/davit-test-units-XXXXXX");
    if (!mkdtemp(p->root))
        return -1;
    static const char *const names[] = {"run", "etc", "lib"};
    char *const buffers[] = {p->run, p->etc, p->lib};
    for (size_t i = 0; i < 3; i++) {
        snprintf(buffers[i], sizeof(p->run), "%s/%s", p->root, names[i]);
        p->path[i] = buffers[i];
        if (mkdir(buffers[i], 0755) < 0)
            return -1;
    }
    p->env = (struct unit_environment){.unit_path = p->path, .runtime_dir = p->run};
    *state = p;
    return 0;
}

static int remove_place(void **state) {
    struct place *p = *state;
    int r = remove_tree(AT_FDCWD, p->root);
    free(p);
    return r;
}

/* name: "etc/web.container.d/a.conf"; directories are made. */
static void put(const struct place *p, const char *name, const char *text) {
    _cleanup_free_ char *path = strf("%s/%s", p->root, name);
    _cleanup_free_ char *parent = strndup(path, (size_t)(path_basename(path) - path));
    assert_int_equal(mkdir_parents(AT_FDCWD, parent, 0755), 0);
    assert_int_equal(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, false), 0);
}

static void put_link(const struct place *p, const char *name, const char *target) {
    _cleanup_free_ char *path = strf("%s/%s", p->root, name);
    _cleanup_free_ char *parent = strndup(path, (size_t)(path_basename(path) - path));
    assert_int_equal(mkdir_parents(AT_FDCWD, parent, 0755), 0);
    assert_int_equal(symlink(target, path), 0);
}

static struct unit *load(const struct place *p, const char *name) {
    struct unit *u = NULL;
    struct error e = {0};
    if (unit_load(&p->env, name, &u, &e) < 0)
        fail_msg("%s: %s", name, e.text);
    return u;
}

static void check_shown(
    const struct place *p, const char *name, const char *section, const char *key, const char *expected) {
    _cleanup_(unit_freep) struct unit *u = load(p, name);
    _cleanup_free_ char *value = shown(u, section, key);
    check_no_problems(u);
    if (!streq_ptr(value, expected))
        fail_msg("%s: %s= is \"%s\", not \"%s\"", name, key, value ?: "(none)", expected);
}

static char *list(const struct place *p) {
    _cleanup_strv_free_ char **names = NULL;
    struct error e = {0};
    assert_int_equal(unit_list_names(&p->env, &names, &e), 0);
    return strv_join(names, " ");
}

static void check_list(const struct place *p, const char *expected) {
    _cleanup_free_ char *names = list(p);
    assert_string_equal(names, expected);
}

#define CONTAINER(description) "[Unit]\nDescription=" description "\n[Container]\nImage=x\n"

/* ---- search path ---- */

static void test_first_directory_wins(void **state) {
    const struct place *p = *state;
    put(p, "lib/web.container", CONTAINER("lib"));
    check_shown(p, "web.container", "Unit", "Description", "lib");
    put(p, "etc/web.container", CONTAINER("etc"));
    check_shown(p, "web.container", "Unit", "Description", "etc");
    put(p, "run/web.container", CONTAINER("run"));
    check_shown(p, "web.container", "Unit", "Description", "run");
    check_list(p, "web.container");
}

static void test_subdirectories_belong_to_their_directory(void **state) {
    const struct place *p = *state;
    put(p, "etc/app/deep/web.container", CONTAINER("deep"));
    put(p, "lib/web.container", CONTAINER("lib"));
    put(p, "etc/app/web.container.d/a.conf", "[Unit]\nDescription=dropin\n");
    check_shown(p, "web.container", "Unit", "Description", "dropin");
    put(p, "etc/.hidden/b.container", CONTAINER("hidden"));
    put(p, "etc/x.d/c.container", CONTAINER("no"));
    check_list(p, "web.container");
}

static void test_missing_and_invalid(void **state) {
    const struct place *p = *state;
    struct unit *u = NULL;
    struct error e = {0};
    assert_int_equal(unit_load(&p->env, "web.container", &u, &e), -ENOENT);
    assert_non_null(strstr(e.text, "web.container"));
    assert_int_equal(unit_load(&p->env, "../etc/passwd", &u, &e), -EINVAL);
    assert_int_equal(unit_load(&p->env, "web", &u, &e), -EINVAL);
    assert_null(u);
    check_list(p, "");
}

static void test_files_that_are_no_units_are_skipped(void **state) {
    const struct place *p = *state;
    put(p, "etc/README", "x");
    put(p, "etc/web.container~", "x");
    put(p, "etc/.web.container.swp", "x");
    put(p, "etc/a b.container", "x");
    put(p, "etc/ok.target", "[Unit]\nDescription=x\n");
    put(p, "etc/dir.container/x", "x");
    check_list(p, "ok.target");
}

static void test_masked_units(void **state) {
    const struct place *p = *state;
    put(p, "lib/web.container", CONTAINER("lib"));
    put_link(p, "etc/web.container", "/dev/null");
    check_list(p, "");
    _cleanup_(unit_freep) struct unit *u = load(p, "web.container");
    assert_true(u->has_errors);
    assert_non_null(strstr(u->problems->text, "masked"));
    assert_string_equal(unit_enable_state(&p->env, u), "masked");
}

/* A mask lies above what it hides, and takes nothing away. */
static void test_mask_and_revert(void **state) {
    const struct place *p = *state;
    _cleanup_strv_free_ char **changes = NULL;
    struct error e = {0};
    put(p, "lib/web.container", CONTAINER("lib"));
    put(p, "etc/own.container", CONTAINER("etc"));

    assert_int_equal(unit_mask(&p->env, "web.container", false, &changes, &e), 0);
    check_list(p, "own.container");
    assert_int_equal(unit_mask(&p->env, "own.container", false, &changes, &e), -EEXIST);
    assert_non_null(strstr(e.text, "--runtime"));
    assert_int_equal(unit_mask(&p->env, "own.container", true, &changes, &e), 0);
    check_list(p, "");
    assert_int_equal(unit_unmask(&p->env, "web.container", false, &changes, &e), 0);
    assert_int_equal(unit_unmask(&p->env, "own.container", false, &changes, &e), 0); /* no mask there */
    check_list(p, "web.container");
    assert_int_equal(unit_unmask(&p->env, "own.container", true, &changes, &e), 0);
    check_list(p, "own.container web.container");

    put(p, "etc/web.container", CONTAINER("copy"));
    put(p, "etc/web.container.d/a.conf", "[Container]\nMemory=1G\n");
    put(p, "run/own.container.d/a.conf", "[Container]\nMemory=1G\n");
    put_link(p, "run/web.container", "/dev/null");
    assert_int_equal(unit_revert(&p->env, "web.container", &changes, &e), 0);
    assert_int_equal(unit_revert(&p->env, "own.container", &changes, &e), 0);
    _cleanup_(unit_freep) struct unit *web = load(p, "web.container"), *own = load(p, "own.container");
    assert_non_null(strstr(web->fragment, "/lib/"));
    assert_null(web->dropins);
    assert_non_null(strstr(own->fragment, "/etc/")); /* the only one there is: not a copy of anything */
    assert_null(own->dropins);
    assert_int_equal(strv_length(changes), 8);
}

/* What `touch data.volume` makes is a mask by systemd's rule, and one that nobody meant. */
static void test_empty_file_says_so(void **state) {
    const struct place *p = *state;
    put(p, "etc/data.volume", "");
    _cleanup_(unit_freep) struct unit *u = load(p, "data.volume");
    assert_true(u->has_errors);
    assert_non_null(strstr(u->problems->text, "empty"));
    assert_non_null(strstr(u->problems->hint, "[Volume]"));
}

static void test_all_files_are_listed(void **state) {
    const struct place *p = *state;
    struct error e = {0};
    char **names = NULL;
    put(p, "lib/a@.container", CONTAINER("lib"));
    put(p, "lib/b.container", CONTAINER("lib"));
    put(p, "etc/b.container", CONTAINER("etc"));
    put_link(p, "etc/c.service", "/dev/null");
    put(p, "etc/README", "no unit");
    assert_int_equal(unit_list_files(&p->env, &names, &e), 0);
    _cleanup_free_ char *all = strv_join(names, " ");
    strv_free(names);
    assert_string_equal(all, "a@.container b.container c.service");
}

static void test_unreadable_file_is_a_problem(void **state) {
    const struct place *p = *state;
    put_link(p, "etc/web.container", "/nonexistent/web.container");
    _cleanup_(unit_freep) struct unit *u = load(p, "web.container");
    assert_true(u->has_errors);
    assert_non_null(strstr(u->problems->text, "cannot be read"));
}

static void test_large_file_is_refused(void **state) {
    const struct place *p = *state;
    _cleanup_strbuf_ struct strbuf b = {0};
    strbuf_puts(&b, CONTAINER("x"));
    while (b.length <= UNIT_FILE_MAX)
        strbuf_puts(&b, "# filler filler filler filler filler filler filler filler\n");
    put(p, "etc/web.container", b.data);
    _cleanup_(unit_freep) struct unit *u = load(p, "web.container");
    assert_true(u->has_errors);
    assert_non_null(strstr(u->problems->text, "4 MiB"));
}

static void test_aliases(void **state) {
    const struct place *p = *state;
    put(p, "etc/web.container", CONTAINER("real"));
    put_link(p, "etc/www.container", "web.container");
    put(p, "outside/other.container", CONTAINER("outside"));
    _cleanup_free_ char *outside = strf("%s/outside/other.container", p->root);
    put_link(p, "etc/mine.container", outside);

    _cleanup_(unit_freep) struct unit *u = load(p, "www.container");
    assert_string_equal(u->name, "web.container");
    check_list(p, "mine.container web.container"); /* an alias is no unit of its own, a linked file is */
    _cleanup_(unit_freep) struct unit *linked = load(p, "mine.container");
    assert_string_equal(linked->name, "mine.container");
    assert_string_equal(unit_enable_state(&p->env, linked), "linked");
}

/* ---- drop-ins ---- */

static void test_drop_in_order(void **state) {
    const struct place *p = *state;
    put(p, "etc/a-b.container", CONTAINER("file"));
    put(p, "lib/container.d/50-x.conf", "[Container]\nGroupAdd=type\n");
    put(p, "lib/a-.container.d/40-x.conf", "[Container]\nGroupAdd=dash\n");
    put(p, "lib/a-b.container.d/60-x.conf", "[Container]\nGroupAdd=name\n");
    /* file names decide the order, not directories */
    check_shown(p, "a-b.container", "Container", "GroupAdd", "dash|type|name");

    /* the same file name: the more specific directory wins, wherever it is */
    put(p, "lib/a-b.container.d/50-x.conf", "[Container]\nGroupAdd=name50\n");
    put(p, "run/container.d/50-x.conf", "[Container]\nGroupAdd=run-type\n");
    check_shown(p, "a-b.container", "Container", "GroupAdd", "dash|name50|name");

    /* equally specific: the higher directory wins */
    put(p, "etc/a-b.container.d/50-x.conf", "[Container]\nGroupAdd=etc50\n");
    check_shown(p, "a-b.container", "Container", "GroupAdd", "dash|etc50|name");

    /* masked by name */
    put_link(p, "run/a-b.container.d/50-x.conf", "/dev/null");
    check_shown(p, "a-b.container", "Container", "GroupAdd", "dash|name");

    /* only *.conf; others are not ours */
    put(p, "etc/a-b.container.d/99-x.bak", "[Container]\nGroupAdd=bak\n");
    put(p, "etc/a-b.service.d/99-x.conf", "[Container]\nGroupAdd=service\n");
    check_shown(p, "a-b.container", "Container", "GroupAdd", "dash|name");
}

static void test_drop_in_overrides(void **state) {
    const struct place *p = *state;
    put(p, "etc/web.container", "[Container]\nImage=x\nEnvironment=A=1\nVolume=/a:/b\nMemoryMax=1M\n");
    put(p, "etc/web.container.d/a.conf",
        "[Container]\nVolume=\nVolume=/c:/d\nMemoryMax=2M\nEnvironment=B=2\n[Install]\nWantedBy=x.target\n");
    check_shown(p, "web.container", "Container", "Volume", "/c:/d:nosuid,nodev");
    check_shown(p, "web.container", "Container", "MemoryMax", "2097152");
    check_shown(p, "web.container", "Container", "Environment", "A=1|B=2");
    check_shown(p, "web.container", "Install", "WantedBy", "x.target");

    _cleanup_(unit_freep) struct unit *u = load(p, "web.container");
    _cleanup_strv_free_ char **files = unit_files(u);
    assert_int_equal(strv_length(files), 2);
    assert_non_null(endswith(files[0], "/web.container"));
    assert_non_null(endswith(files[1], "/a.conf"));
}

static void test_problem_in_a_drop_in_names_it(void **state) {
    const struct place *p = *state;
    put(p, "etc/web.container", CONTAINER("x"));
    put(p, "etc/web.container.d/a.conf", "[Container]\n\nMemoryMax=x\n");
    _cleanup_(unit_freep) struct unit *u = load(p, "web.container");
    assert_non_null(endswith(u->problems->file, "web.container.d/a.conf"));
    assert_int_equal(u->problems->line, 3);
    assert_true(u->has_errors);
}

static void test_content_hash_covers_drop_ins(void **state) {
    const struct place *p = *state;
    put(p, "etc/web.container", CONTAINER("x"));
    _cleanup_(unit_freep) struct unit *before = load(p, "web.container");
    put(p, "etc/container.d/a.conf", "[Unit]\nDescription=y\n");
    _cleanup_(unit_freep) struct unit *after = load(p, "web.container");
    assert_true(before->content_hash != after->content_hash);
}

/* ---- templates ---- */

static void test_instances(void **state) {
    const struct place *p = *state;
    put(p, "etc/w-x@.container", "[Container]\nImage=x\nHostName=%i\nGroupAdd=file\n");
    put(p, "lib/w-x@blue.container.d/10.conf", "[Container]\nGroupAdd=instance\n");
    put(p, "lib/w-x@.container.d/20.conf", "[Container]\nGroupAdd=template\n");
    put(p, "lib/w-@.container.d/30.conf", "[Container]\nGroupAdd=dash-template\n");
    put(p, "lib/w-.container.d/40.conf", "[Container]\nGroupAdd=dash\n");
    put(p, "lib/container.d/50.conf", "[Container]\nGroupAdd=type\n");
    check_shown(p, "w-x@blue.container", "Container", "HostName", "blue");
    check_shown(
        p, "w-x@blue.container", "Container", "GroupAdd", "file|instance|template|dash-template|dash|type");
    check_shown(p, "w-x@red.container", "Container", "GroupAdd", "file|template|dash-template|dash|type");
    check_list(p, ""); /* a bare template is no unit */

    /* instances exist by link or by being wanted */
    put_link(p, "etc/w-x@green.container", "w-x@.container");
    put_link(p, "etc/multi-user.target.wants/w-x@red.container", "../w-x@.container");
    put_link(p, "etc/multi-user.target.wants/nowhere@red.container", "../x");
    check_list(p, "w-x@green.container w-x@red.container");
    check_shown(p, "w-x@green.container", "Container", "HostName", "green");

    /* a file of its own goes before the template */
    put(p, "lib/w-x@own.container", CONTAINER("own"));
    check_shown(p, "w-x@own.container", "Unit", "Description", "own");
}

static void test_default_instance(void **state) {
    const struct place *p = *state;
    put(p, "etc/w@.container", "[Container]\nImage=x\n[Install]\nWantedBy=x.target\nDefaultInstance=one\n");
    check_list(p, "w@one.container");
    _cleanup_(unit_freep) struct unit *one = load(p, "w@one.container"), *two = load(p, "w@two.container");
    assert_true(one->enabled);
    assert_false(two->enabled);
    _cleanup_(unit_freep) struct unit *bare = load(p, "w@.container");
    assert_string_equal(unit_enable_state(&p->env, bare), "indirect");
}

/* ---- links ---- */

static void test_dependency_links(void **state) {
    const struct place *p = *state;
    put(p, "etc/a.service", "[Service]\nExecStart=/x\n");
    put(p, "etc/x.target", "[Unit]\nDescription=x\n");
    put_link(p, "etc/x.target.wants/a.service", "../a.service");
    put_link(p, "lib/y.target.requires/a.service", "../a.service");
    put_link(p, "lib/a.service.wants/b.service", "../b.service");
    put_link(p, "lib/a.service.requires/c.service", "../c.service");
    put_link(p, "lib/a.service.upholds/d.service", "../d.service");
    put_link(p, "lib/z.target.upholds/a.service", "../a.service");
    check_shown(p, "a.service", "Unit", "Wants", "b.service");
    check_shown(p, "a.service", "Unit", "Requires", "c.service");
    check_shown(p, "a.service", "Unit", "Upholds", "d.service");
    check_shown(p, "x.target", "Unit", "Wants", "a.service");
    check_shown(p, "x.target", "Unit", "After", "a.service");

    _cleanup_(unit_freep) struct unit *u = load(p, "a.service");
    assert_true(u->enabled);
    assert_true(strv_contains(u->unit.dependencies[DEP_WANTED_BY], "x.target"));
    assert_true(strv_contains(u->unit.dependencies[DEP_REQUIRED_BY], "y.target"));
    assert_true(strv_contains(u->unit.dependencies[DEP_UPHELD_BY], "z.target"));
    assert_string_equal(unit_enable_state(&p->env, u), "enabled");

    /* a link to /dev/null in a higher directory takes one in a lower back */
    put_link(p, "run/y.target.requires/a.service", "/dev/null");
    put_link(p, "run/a.service.wants/b.service", "/dev/null");
    check_shown(p, "a.service", "Unit", "Wants", "");
    _cleanup_(unit_freep) struct unit *v = load(p, "a.service");
    assert_int_equal(strv_length(v->unit.dependencies[DEP_REQUIRED_BY]), 0);
}

static char *enable(const struct place *p, const char *name, int expected) {
    _cleanup_strv_free_ char **changes = NULL;
    struct error e = {0};
    assert_int_equal(unit_enable(&p->env, name, &changes, &e), expected);
    assert_true((expected < 0) == (e.text[0] != '\0'));
    return strv_join(changes, " ");
}

static char *disable(const struct place *p, const char *name, int expected) {
    _cleanup_strv_free_ char **changes = NULL;
    struct error e = {0};
    int r = unit_disable(&p->env, name, &changes, &e);
    if (r != expected)
        fail_msg("disable %s: %d %s", name, r, e.text);
    return strv_join(changes, " ");
}

static void check_state(const struct place *p, const char *name, const char *expected) {
    _cleanup_(unit_freep) struct unit *u = load(p, name);
    assert_string_equal(unit_enable_state(&p->env, u), expected);
    assert_true(u->enabled == (streq(expected, "enabled") || streq(expected, "generated")));
}

static void test_enable_and_disable_a_service(void **state) {
    const struct place *p = *state;
    put(p, "lib/a.service",
        "[Service]\nExecStart=/x\n[Install]\nWantedBy=x.target\nRequiredBy=y.target\n"
        "UpheldBy=z.target\nAlias=b.service\n");
    check_state(p, "a.service", "disabled");

    _cleanup_free_ char *made = enable(p, "a.service", 0);
    _cleanup_free_ char *expected = strf("created %s/x.target.wants/a.service -> %s/a.service created "
                                         "%s/y.target.requires/a.service -> %s/a.service created "
                                         "%s/z.target.upholds/a.service -> %s/a.service "
                                         "created %s/b.service -> %s/a.service",
        p->etc, p->lib, p->etc, p->lib, p->etc, p->lib, p->etc, p->lib);
    assert_string_equal(made, expected);
    check_state(p, "a.service", "enabled");
    _cleanup_(unit_freep) struct unit *alias = load(p, "b.service");
    assert_string_equal(alias->name, "a.service");
    check_list(p, "a.service");

    _cleanup_free_ char *again = enable(p, "a.service", 0);
    assert_string_equal(again, "");

    _cleanup_free_ char *gone = disable(p, "a.service", 0);
    assert_non_null(strstr(gone, "removed"));
    check_state(p, "a.service", "disabled");
    _cleanup_free_ char *wants = strf("%s/x.target.wants", p->etc);
    assert_int_equal(access(wants, F_OK), -1);
    _cleanup_free_ char *upholds = strf("%s/z.target.upholds", p->etc);
    assert_int_equal(access(upholds, F_OK), -1);
    _cleanup_free_ char *nothing = disable(p, "a.service", 0);
    assert_string_equal(nothing, "");
}

/* A container with [Install] is in force without a link, as Quadlet has it; disabling needs one. */
static void test_enable_and_disable_a_container(void **state) {
    const struct place *p = *state;
    put(p, "etc/web.container", CONTAINER("x") "[Install]\nWantedBy=x.target\n");
    check_state(p, "web.container", "generated");

    _cleanup_free_ char *masked = disable(p, "web.container", 0);
    _cleanup_free_ char *expected = strf("created %s/x.target.wants/web.container -> /dev/null", p->etc);
    assert_string_equal(masked, expected);
    check_state(p, "web.container", "disabled");
    check_list(p, "web.container");
    _cleanup_free_ char *again = disable(p, "web.container", 0);
    assert_string_equal(again, "");

    _cleanup_free_ char *made = enable(p, "web.container", 0);
    assert_non_null(strstr(made, "created"));
    check_state(p, "web.container", "enabled");
    _cleanup_free_ char *gone = disable(p, "web.container", 0);
    check_state(p, "web.container", "disabled");
}

static void test_units_of_also_are_enabled_and_disabled_too(void **state) {
    const struct place *p = *state;
    put(p, "lib/a.service",
        "[Service]\nExecStart=/x\n[Install]\nWantedBy=x.target\nAlso=b.service c-volume.service\n");
    put(p, "lib/b.service",
        "[Service]\nExecStart=/x\n[Install]\nWantedBy=x.target\nAlso=a.service gone.service\n");
    put(p, "lib/c.volume", "[Volume]\n[Install]\nWantedBy=y.target\n");
    put(p, "lib/only.service", "[Service]\nExecStart=/x\n[Install]\nAlso=b.service\n");
    check_state(p, "only.service", "indirect");

    _cleanup_free_ char *made = enable(p, "a.service", 0);
    check_state(p, "a.service", "enabled");
    check_state(p, "b.service", "enabled");
    check_state(p, "c.volume", "enabled"); /* by the name that Quadlet gives it */
    assert_non_null(strstr(made, "left out: there is no unit file for gone.service"));

    _cleanup_free_ char *gone = disable(p, "only.service", 0);
    assert_non_null(strstr(gone, "x.target.wants/b.service"));
    assert_non_null(strstr(gone, "x.target.wants/a.service")); /* b's, in turn */
    check_state(p, "a.service", "disabled");
    check_state(p, "b.service", "disabled");
    check_state(p, "c.volume", "disabled");

    _cleanup_free_ char *by_it = enable(p, "only.service", 0);
    check_state(p, "b.service", "enabled");
}

static void test_enable_templates(void **state) {
    const struct place *p = *state;
    put(p, "lib/w@.service", "[Service]\nExecStart=/x\n[Install]\nWantedBy=x.target\n");
    _cleanup_free_ char *none = enable(p, "w@.service", -EINVAL);
    _cleanup_free_ char *made = enable(p, "w@a.service", 0), *more = enable(p, "w@b.service", 0);
    assert_non_null(strstr(made, "x.target.wants/w@a.service"));
    check_list(p, "w@a.service w@b.service");
    check_state(p, "w@a.service", "enabled");
    _cleanup_free_ char *gone = disable(p, "w@.service", 0);
    check_list(p, "");

    put(p, "etc/w@.service.d/a.conf", "[Install]\nDefaultInstance=dflt\n");
    _cleanup_free_ char *instance = enable(p, "w@.service", 0);
    assert_non_null(strstr(instance, "w@dflt.service"));
}

static void test_enable_without_install(void **state) {
    const struct place *p = *state;
    put(p, "etc/web.container", CONTAINER("x"));
    _cleanup_free_ char *no = enable(p, "web.container", -ENOENT);
    _cleanup_free_ char *none = enable(p, "nothing.container", -ENOENT);
    _cleanup_free_ char *neither = disable(p, "web.container", -ENOENT);
    check_state(p, "web.container", "static");
}

/* The file is gone, its links are left: disabling removes them. */
static void test_disable_a_unit_without_a_file(void **state) {
    const struct place *p = *state;
    put_link(p, "etc/x.target.wants/old.service", "/nonexistent/old.service");
    _cleanup_free_ char *gone = disable(p, "old.service", 0);
    assert_non_null(strstr(gone, "removed"));
    _cleanup_free_ char *nothing = disable(p, "old.service", -ENOENT);
}

static void test_files_are_never_removed(void **state) {
    const struct place *p = *state;
    put(p, "etc/a.service", "[Service]\nExecStart=/x\n[Install]\nWantedBy=x.target\n");
    put(p, "etc/x.target.wants/a.service", "mine");
    _cleanup_free_ char *no = enable(p, "a.service", -EEXIST);
    _cleanup_free_ char *kept = disable(p, "a.service", 0);
    _cleanup_free_ char *path = strf("%s/x.target.wants/a.service", p->etc);
    assert_int_equal(access(path, F_OK), 0);
}

/* ---- one file by its path ---- */

static void test_load_file(void **state) {
    const struct place *p = *state;
    put(p, "here/web.container", CONTAINER("x"));
    put(p, "here/web.container.d/a.conf", "[Unit]\nDescription=dropin\n");
    put(p, "etc/web.container.d/b.conf", "[Unit]\nDescription=elsewhere\n");
    _cleanup_free_ char *path = strf("%s/here/web.container", p->root),
                        *missing = strf("%s/here/a.container", p->root),
                        *odd = strf("%s/here/web.conf", p->root);
    struct error e = {0};
    _cleanup_(unit_freep) struct unit *u = NULL;
    struct unit *none = NULL;
    assert_int_equal(unit_load_file(&p->env, path, &u, &e), 0);
    assert_string_equal(u->unit.description, "dropin");
    assert_string_equal(u->name, "web.container");
    assert_int_equal(unit_load_file(&p->env, missing, &none, &e), -ENOENT);
    assert_int_equal(unit_load_file(&p->env, odd, &none, &e), -EINVAL);
}

/* ---- what ships ---- */

static void check_directory(const char *directory, size_t at_least) {
    _cleanup_strv_free_ char **names = NULL;
    size_t n = 0;
    assert_int_equal(directory_names(directory, &names), 0);
    STRV_FOREACH (name, names) {
        if (!unit_name_is_valid(*name))
            continue;
        _cleanup_free_ char *path = strf("%s/%s", directory, *name);
        const struct unit_environment env = {.strict = true};
        _cleanup_(unit_freep) struct unit *u = NULL;
        struct error e = {0};
        assert_int_equal(unit_load_file(&env, path, &u, &e), 0);
        check_no_problems(u);
        n++;
    }
    assert_true(n >= at_least);
}

static void test_shipped_units_have_no_problems(void **state _unused_) {
    const char *source = getenv("DAVIT_SOURCE") ?: ".";
    _cleanup_free_ char *units = strf("%s/units", source), *examples = strf("%s/units/examples", source);
    if (access(units, R_OK) < 0)
        skip();
    check_directory(units, 8);
    check_directory(examples, 6);
}

/* ---- many ---- */

static void test_a_thousand_units(void **state) {
    const struct place *p = *state;
    put(p, "etc/container.d/all.conf", "[Service]\nRestart=always\n");
    for (int i = 0; i < 1000; i++) {
        _cleanup_free_ char *name = strf("etc/unit-%d.container", i);
        put(p, name,
            CONTAINER(
                "many") "Exec=/bin/sleep "
                        "1000\nEnvironment=A=1\nMemoryMax=10M\n[Install]\nWantedBy=multi-user.target\n");
    }
    _cleanup_strv_free_ char **names = NULL;
    struct error e = {0};
    usec_t start = now_monotonic();
    assert_int_equal(unit_list_names(&p->env, &names, &e), 0);
    assert_int_equal(strv_length(names), 1000);
    STRV_FOREACH (name, names) {
        _cleanup_(unit_freep) struct unit *u = load(p, *name);
        assert_int_equal(u->service.restart, RESTART_ALWAYS);
    }
    usec_t spent = now_monotonic() - start;
    print_message("1000 units listed and loaded in %llu ms\n", (unsigned long long)(spent / USEC_PER_MSEC));
    assert_true(spent < 60 * USEC_PER_SEC);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_PLACE(test_first_directory_wins),
        IN_PLACE(test_subdirectories_belong_to_their_directory),
        IN_PLACE(test_missing_and_invalid),
        IN_PLACE(test_files_that_are_no_units_are_skipped),
        IN_PLACE(test_masked_units),
        IN_PLACE(test_mask_and_revert),
        IN_PLACE(test_empty_file_says_so),
        IN_PLACE(test_all_files_are_listed),
        IN_PLACE(test_unreadable_file_is_a_problem),
        IN_PLACE(test_large_file_is_refused),
        IN_PLACE(test_aliases),
        IN_PLACE(test_drop_in_order),
        IN_PLACE(test_drop_in_overrides),
        IN_PLACE(test_problem_in_a_drop_in_names_it),
        IN_PLACE(test_content_hash_covers_drop_ins),
        IN_PLACE(test_instances),
        IN_PLACE(test_default_instance),
        IN_PLACE(test_dependency_links),
        IN_PLACE(test_enable_and_disable_a_service),
        IN_PLACE(test_enable_and_disable_a_container),
        IN_PLACE(test_units_of_also_are_enabled_and_disabled_too),
        IN_PLACE(test_enable_templates),
        IN_PLACE(test_enable_without_install),
        IN_PLACE(test_disable_a_unit_without_a_file),
        IN_PLACE(test_files_are_never_removed),
        IN_PLACE(test_load_file),
        cmocka_unit_test(test_shipped_units_have_no_problems),
        IN_PLACE(test_a_thousand_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
