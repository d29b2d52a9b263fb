/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgroup-fake.h"

#include <fcntl.h>

int fake_setup(void **state) {
    struct fake *f = calloc(1, sizeof(*f));
    char template[] = "/tmp/davit-test-cgroup-XXXXXX";

    assert_non_null(f);
    assert_non_null(mkdtemp(template));
    f->directory = strdup(template);
    f->self = strdup("");
    f->cgroups = strdup("");
    *state = f;
    return 0;
}

int fake_teardown(void **state) {
    struct fake *f = *state;

    cgroup_tree_free(f->tree);
    assert_int_equal(remove_tree(AT_FDCWD, f->directory), 0);
    strbuf_free(&f->mountinfo);
    free(f->directory);
    free(f->self);
    free(f->cgroups);
    free(f);
    return 0;
}

void fake_directory(struct fake *f, const char *path) {
    _cleanup_free_ char *full = path_join(f->directory, path);

    assert_int_equal(mkdir_parents(AT_FDCWD, full, 0755), 0);
}

void fake_mount(struct fake *f, const char *type, const char *point, const char *root, const char *super) {
    f->mounts++;
    strbuf_printf(&f->mountinfo, "%u 1 0:%u %s %s rw shared:3 - %s %s %s\n", 20 + f->mounts, f->mounts, root,
        point, type, type, super);
    fake_directory(f, point);
}

void fake_unified(struct fake *f, const char *base) {
    static const char all[] = "cpuset cpu io memory hugetlb pids\n";
    _cleanup_free_ char *controllers = strf("/unified/%s/cgroup.controllers", base);
    _cleanup_free_ char *enabled = strf("/unified/%s/cgroup.subtree_control", base);

    fake_mount(f, "cgroup2", "/unified", "/", "rw,nsdelegate");
    fake_put(f, "/unified/cgroup.controllers", all);
    fake_put(f, "/unified/cgroup.subtree_control", all);
    fake_put(f, controllers, all);
    fake_put(f, enabled, all);
}

void fake_put(struct fake *f, const char *path, const char *text) {
    _cleanup_free_ char *full = path_join(f->directory, path), *parent = strdup(full);

    *strrchr(parent, '/') = '\0';
    assert_int_equal(mkdir_parents(AT_FDCWD, parent, 0755), 0);
    assert_int_equal(file_write_atomic(AT_FDCWD, full, text, strlen(text), 0644, false), 0);
}

void fake_expect(struct fake *f, const char *path, const char *text) {
    _cleanup_free_ char *full = path_join(f->directory, path), *is = NULL;
    int r = file_read(AT_FDCWD, full, 65536, &is, NULL);

    if (r < 0 || !streq(is, text))
        fail_msg("%s is \"%s\" (%d), expected \"%s\"", path, is ? is : "", r, text);
}

bool fake_exists(struct fake *f, const char *path) {
    _cleanup_free_ char *full = path_join(f->directory, path);

    return access(full, F_OK) == 0;
}

int fake_open(struct fake *f, const char *base, struct error *e) {
    _cleanup_free_ char *proc = path_join(f->directory, "/proc");
    struct cgroup_environment env = {.mountinfo = f->mountinfo.data ? f->mountinfo.data : "",
        .self_cgroup = f->self,
        .cgroups = f->cgroups,
        .prefix = f->directory,
        .proc = proc};

    return cgroup_tree_open_at(&env, base, &f->tree, e);
}

void fake_open_ok(struct fake *f, const char *base) {
    struct error e = {0};

    if (fake_open(f, base, &e) < 0)
        fail_msg("opening the tree: %s", e.text);
}
