/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Users and groups of a root file system that wishes us ill. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/fs.h"
#include "launch/internal.h"

struct tree {
    char directory[64];
    int fd;
};

static void put(struct tree *t, const char *name, const char *text) {
    int fd = openat(t->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
    close(fd);
}

static int setup(void **state) {
    static struct tree t;

    strcpy(t.directory, "/tmp/davit-users-XXXXXX");
    assert_non_null(mkdtemp(t.directory));
    t.fd = open(t.directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(t.fd, "etc", 0755), 0);
    put(&t, "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\n"
        "\n"
        "short:x:1\n"
        "1000:x:0:0::/:/bin/sh\n"
        "www:x:33:34:web:/srv/www:/bin/sh\n"
        "evil:x:4294967295:4294967295::/:/bin/sh\n"
        "huge:x:4294967296:0::/:/bin/sh\n"
        "text:x:abc:0::/:/bin/sh\n"
        "minus:x:-1:0::/:/bin/sh\n"
        "relative:x:77:78::home:/bin/sh\n"
        "last:x:99:98::/last:/bin/sh");
    put(&t, "etc/group",
        "root:x:0:\nwww:x:34:\naudio:x:29:a,www,b\nvideo:x:44:wwwx,xwww\nbad:x:4294967295:www\nother:x:50:"
        "www\n");
    *state = &t;
    return 0;
}

static int teardown(void **state) {
    struct tree *t = *state;
    int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    close(t->fd);
    (void)remove_tree(fd, path_basename(t->directory));
    close(fd);
    return 0;
}

static int look_up(struct tree *t, const char *user, const char *group, struct identity *i, struct error *e) {
    struct container_spec s;

    spec_init(&s);
    s.kind = SPEC_CONTAINER;
    s.user = (char *)user;
    s.group = (char *)group;
    *i = (struct identity){};
    return identity_lookup(t->fd, &s, i, e);
}

static void test_accepted(void **state) {
    static const struct {
        const char *user, *group;
        uid_t uid;
        gid_t gid;
        size_t n_groups;
        const char *home;
    } cases[] = {
        {NULL, NULL, 0, 0, 0, "/root"},
        {"root", NULL, 0, 0, 0, "/root"},
        {"0", NULL, 0, 0, 0, "/root"},
        {"www", NULL, 33, 34, 2, "/srv/www"},
        {"33", NULL, 33, 34, 2, "/srv/www"},
        {"www", "50", 33, 50, 0, "/srv/www"},
        {"www", "audio", 33, 29, 0, "/srv/www"},
        /* CVE-2016-3697: a number is a number */
        {"1000", NULL, 1000, 0, 0, "/"},
        {"4294967294", "4294967294", UINT32_MAX - 1, UINT32_MAX - 1, 0, "/"},
        {"2147483648", NULL, 2147483648u, 0, 0, "/"},
        {"relative", NULL, 77, 78, 0, "/"},
        {"last", NULL, 99, 98, 0, "/last"},
        {NULL, "www", 0, 34, 0, "/root"},
    };

    for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
        _cleanup_(identity_done) struct identity i;
        struct error e = {};

        if (look_up(*state, cases[k].user, cases[k].group, &i, &e) < 0)
            fail_msg("case %zu: %s", k, e.text);
        assert_int_equal(i.uid, cases[k].uid);
        assert_int_equal(i.gid, cases[k].gid);
        assert_int_equal(i.n_groups, cases[k].n_groups);
        assert_string_equal(i.home, cases[k].home);
    }
}

static void test_refused(void **state) {
    static const char *const users[] = {"4294967295", "4294967296", "99999999999", "18446744073709551616",
        "-1", "-0", " 1", "1 ", "1:2", ":2", "x", "", "root:x", "short", "evil", "huge", "text", "minus",
        "0x0", "+0"};

    for (size_t k = 0; k < ARRAY_SIZE(users); k++) {
        struct identity i;
        struct error e = {};

        if (look_up(*state, users[k], NULL, &i, &e) >= 0)
            fail_msg("user \"%s\" became %u", users[k], i.uid);
        assert_true(e.text[0] != '\0');
        if (look_up(*state, NULL, users[k], &i, &e) >= 0)
            fail_msg("group \"%s\" became %u", users[k], i.gid);
    }
}

static void test_supplementary_groups(void **state) {
    struct tree *t = *state;
    _cleanup_(identity_done) struct identity i = {};
    struct container_spec s;
    struct error e;
    char *groups[] = {(char[]){"video"}, (char[]){"29"}, (char[]){"audio"}, NULL};

    spec_init(&s);
    s.kind = SPEC_PROCESS;
    s.user = (char[]){"www"};
    s.group = (char[]){"www"};
    s.groups = groups;
    assert_int_equal(identity_lookup(t->fd, &s, &i, &e), 0);
    assert_int_equal(i.gid, 34);
    assert_int_equal(i.n_groups, 3); /* 44, 29 once, 50 by membership; not 4294967295 */
    assert_int_equal(i.groups[0], 44);
    assert_int_equal(i.groups[1], 29);
    assert_int_equal(i.groups[2], 50);

    char *unknown[] = {(char[]){"nosuch"}, NULL};
    struct identity j = {};
    s.groups = unknown;
    assert_int_equal(identity_lookup(t->fd, &s, &j, &e), -ENOENT);
    assert_non_null(strstr(e.text, "nosuch"));
}

static void replace_passwd(struct tree *t, void (*make)(struct tree *t)) {
    assert_int_equal(renameat(t->fd, "etc/passwd", t->fd, "etc/passwd.kept"), 0);
    make(t);
}

static void restore_passwd(struct tree *t) {
    (void)unlinkat(t->fd, "etc/passwd", 0);
    assert_int_equal(renameat(t->fd, "etc/passwd.kept", t->fd, "etc/passwd"), 0);
}

static void make_fifo(struct tree *t) {
    assert_int_equal(mkfifoat(t->fd, "etc/passwd", 0644), 0);
}
static void make_host_link(struct tree *t) {
    assert_int_equal(symlinkat("/../../../../../../../../etc/passwd", t->fd, "etc/passwd"), 0);
}
static void make_magic_link(struct tree *t) {
    assert_int_equal(symlinkat("/proc/self/fd/0", t->fd, "etc/passwd"), 0);
}
static void make_directory(struct tree *t) {
    assert_int_equal(mkdirat(t->fd, "etc/passwd", 0755), 0);
}
static void make_huge(struct tree *t) {
    int fd = openat(t->fd, "etc/passwd", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(ftruncate(fd, 1 << 30), 0);
    close(fd);
}

/* A user by name cannot be found, and nothing hangs. */
static void test_hostile_passwd(void **state) {
    struct tree *t = *state;
    static void (*const makers[])(struct tree * t) = {make_fifo, make_host_link, make_magic_link, make_huge};

    for (size_t k = 0; k < ARRAY_SIZE(makers); k++) {
        struct identity i;
        struct error e = {};

        replace_passwd(t, makers[k]);
        int r = look_up(t, "daemon", NULL, &i, &e);
        restore_passwd(t);
        if (r >= 0)
            fail_msg("maker %zu gave uid %u", k, i.uid);
    }
    struct identity i;
    struct error e = {};
    replace_passwd(t, make_directory);
    int r = look_up(t, "daemon", NULL, &i, &e);
    assert_int_equal(unlinkat(t->fd, "etc/passwd", AT_REMOVEDIR), 0);
    restore_passwd(t);
    assert_true(r < 0);
}

static void test_link_inside_the_root_is_followed(void **state) {
    struct tree *t = *state;
    _cleanup_(identity_done) struct identity i;
    struct error e = {};

    assert_int_equal(renameat(t->fd, "etc/passwd", t->fd, "real"), 0);
    assert_int_equal(symlinkat("/real", t->fd, "etc/passwd"), 0);
    int r = look_up(t, "www", NULL, &i, &e);
    (void)unlinkat(t->fd, "etc/passwd", 0);
    assert_int_equal(renameat(t->fd, "real", t->fd, "etc/passwd"), 0);
    assert_int_equal(r, 0);
    assert_int_equal(i.uid, 33);
}

static void test_id_maps(void **state) {
    static const struct spec_id_range map[] = {{0, 1000, 10}, {100, 5000, 1}};

    (void)state;
    assert_int_equal(idmap_outside(map, 2, 0), 1000);
    assert_int_equal(idmap_outside(map, 2, 9), 1009);
    assert_int_equal(idmap_outside(map, 2, 10), SPEC_ID_UNSET);
    assert_int_equal(idmap_outside(map, 2, 100), 5000);
    assert_int_equal(idmap_inside(map, 2, 1009), 9);
    assert_int_equal(idmap_inside(map, 2, 5000), 100);
    assert_int_equal(idmap_inside(map, 2, 0), SPEC_ID_UNSET);
    assert_int_equal(idmap_outside(NULL, 0, 77), 77);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_supplementary_groups),
        cmocka_unit_test(test_hostile_passwd),
        cmocka_unit_test(test_link_inside_the_root_is_followed),
        cmocka_unit_test(test_id_maps),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
