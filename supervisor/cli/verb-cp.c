/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cp: files into a running container and out of it, by docker-cp(1)'s rules.
 *
 * Paths inside the container are resolved by the kernel below the container's root (openat2 RESOLVE_IN_ROOT):
 * a link leads where it would lead inside, and a directory that is swapped for a link meanwhile leads nowhere
 * else (CVE-2018-15664). Nothing of the container's is executed (CVE-2019-14271).
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/fs.h"
#include "cli/container.h"
#include "cli/copy.h"

/* One of the two ends. */
struct place {
    const char *written; /* for messages */
    char *path;
    int root; /* of the container; -1: the host */
    struct container container;
};

static void place_done(struct place *p) {
    free(p->path);
    closep(&p->root);
    container_done(&p->container);
}

static int open_in(const struct place *p, const char *path, int flags) {
    if (p->root < 0) {
        int fd = open(path, flags | O_CLOEXEC);
        return fd < 0 ? negative_errno() : fd;
    }
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    int fd = (int)syscall(SYS_openat2, p->root, path, &how, sizeof(how));
    return fd < 0 ? negative_errno() : fd;
}

/* "web:/path" is inside; what has a slash or a dot before its first colon is a path of the host. */
static int place_open(struct cli *c, const char *written, struct place *ret) {
    size_t n = strcspn(written, ":/");

    *ret = (struct place){.written = written, .root = -1};
    if (written[n] != ':' || *written == '.') {
        ret->path = strdup(written);
        return ret->path ? 0 : -ENOMEM;
    }
    _cleanup_free_ char *name = strndup(written, n);
    const char *path = written + n + 1;
    ret->path = strdup(*path ? path : "/");
    if (!name || !ret->path)
        return -ENOMEM;
    int r = container_open_running(c, name, &ret->container);
    if (r < 0)
        return r;
    ret->root = container_root(&ret->container);
    return MIN(ret->root, 0);
}

/* What is written to a container is written as its root: file systems of a user namespace take nobody else's
 * files. The capabilities that go with root's fsuid are raised again (capabilities(7)). */
static int become_writer(const struct container *c) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2];

    if (c->id_count == 0)
        return 0;
    (void)setfsgid(c->id_base);
    (void)setfsuid(c->id_base);
    if (syscall(SYS_capget, &header, d) < 0)
        return negative_errno();
    d[0].effective = d[0].permitted;
    d[1].effective = d[1].permitted;
    return syscall(SYS_capset, &header, d) < 0 ? negative_errno() : 0;
}

/* The last component of a path; "." for "/", "." and "..", which have no name of their own. */
static const char *last_name(char *path) {
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/')
        path[--n] = '\0';
    const char *base = path_basename(path);
    return *base && !streq(base, ".") && !streq(base, "..") ? base : ".";
}

static int complain(const char *written, int number) {
    cli_error("%s: %s", written, errno_text(number));
    return number;
}

struct target {
    int directory;
    char *name; /* in it */
};

/* Where the copy goes, and under what name. */
static int find_target(
    const struct place *to, const char *source_name, bool source_is_directory, struct target *ret) {
    size_t n = strlen(to->path);
    bool must_be_directory = n > 0 && to->path[n - 1] == '/';

    int fd = open_in(to, to->path, O_RDONLY | O_DIRECTORY);
    if (fd >= 0) {
        *ret = (struct target){fd, strdup(source_name)};
        return ret->name ? 0 : -ENOMEM;
    }
    if (fd != -ENOENT && fd != -ENOTDIR)
        return complain(to->written, fd);
    if (fd == -ENOTDIR && source_is_directory)
        return complain(to->written, -ENOTDIR);
    if (must_be_directory && !source_is_directory)
        return complain(to->written, fd);
    _cleanup_free_ char *path = strdup(to->path);
    if (!path)
        return -ENOMEM;
    const char *name = last_name(path);
    ret->name = strdup(name);
    _cleanup_free_ char *parent = strndup(path, (size_t)(path_basename(path) - path));
    if (!ret->name || !parent)
        return -ENOMEM;
    ret->directory = open_in(to, *parent ? parent : to->root < 0 ? "." : "/", O_RDONLY | O_DIRECTORY);
    return ret->directory < 0 ? complain(to->written, ret->directory) : 0;
}

static int copy(struct cli *c, struct place *from, const struct place *to) {
    struct copy_owners owners = {.uid = UINT32_MAX,
        .gid = UINT32_MAX,
        .keep = c->options.archive,
        .from_base = from->container.id_base,
        .from_count = from->container.id_count,
        .to_base = to->container.id_base,
        .to_count = to->container.id_count};
    bool content = endswith(from->path, "/.") || streq(from->path, ".");
    struct target target = {.directory = -1};
    unsigned skipped = 0;
    struct error e = {};
    struct stat st;

    /* A link that is named is copied itself, but "dir/." and what is behind a link on the way is followed. */
    const char *name = last_name(from->path);
    _cleanup_free_ char *parent = strndup(from->path, (size_t)(path_basename(from->path) - from->path));
    if (!parent)
        return -ENOMEM;
    bool whole = streq(name, ".");
    const char *above = whole ? from->path : *parent ? parent : from->root < 0 ? "." : "/";
    _cleanup_close_ int source = open_in(from, above, O_RDONLY | O_DIRECTORY);
    if (source < 0 || fstatat(source, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return complain(from->written, source < 0 ? source : -errno);
    int r = find_target(to, whole ? "." : name, S_ISDIR(st.st_mode), &target);
    if (r >= 0 && to->root >= 0 && (r = become_writer(&to->container)) < 0)
        complain(to->written, r);
    if (r >= 0 && content && streq(target.name, "."))
        r = copy_content(source, target.directory, &owners, &skipped, &e);
    else if (r >= 0)
        r = copy_entry(source, name, target.directory, target.name, &owners, &skipped, &e);
    if (e.number != 0)
        cli_error("%s to %s: %s", from->written, to->written, e.text);
    if (skipped > 0)
        cli_remark(c, "%u device nodes, FIFOs and sockets were not copied.", skipped);
    closep(&target.directory);
    free(target.name);
    return r;
}

int verb_cp(struct cli *c, char **arguments, size_t n _unused_) {
    _cleanup_(place_done) struct place from = {.root = -1}, to = {.root = -1};

    if (place_open(c, arguments[0], &from) < 0 || place_open(c, arguments[1], &to) < 0)
        return EXIT_FAILURE;
    if ((from.root < 0) == (to.root < 0)) {
        cli_error("one of the two has to be in a container: UNIT:PATH");
        return EXIT_FAILURE;
    }
    return copy(c, &from, &to) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
