/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Id maps. An idmapped mount needs a user namespace with the wanted map before the container, and with it its
 * own user namespace, exists. So one is made that nobody lives in: a process is cloned into it, its map is
 * written, the namespace is kept by a descriptor and the process ends. One for each different map, kept for
 * the next start of that container.
 */
#include <sys/wait.h>

#include "base/fs.h"
#include "launch/internal.h"

uint32_t idmap_outside(const struct spec_id_range *map, uint32_t n, uint32_t inside) {
    for (uint32_t i = 0; i < n; i++)
        if (inside >= map[i].inside && inside - map[i].inside < map[i].count)
            return map[i].outside + (inside - map[i].inside);
    return n == 0 ? inside : SPEC_ID_UNSET;
}

uint32_t idmap_inside(const struct spec_id_range *map, uint32_t n, uint32_t outside) {
    for (uint32_t i = 0; i < n; i++)
        if (outside >= map[i].outside && outside - map[i].outside < map[i].count)
            return map[i].inside + (outside - map[i].outside);
    return n == 0 ? outside : SPEC_ID_UNSET;
}

static int write_map(
    pid_t pid, const char *name, const struct spec_id_range *map, uint32_t n, struct error *e) {
    _cleanup_strbuf_ struct strbuf text = {};
    char path[64];

    for (uint32_t i = 0; i < n; i++)
        strbuf_printf(&text, "%u %u %u\n", map[i].inside, map[i].outside, map[i].count);
    _cleanup_free_ char *s = strbuf_take(&text);
    if (!s)
        return error_set(e, ENOMEM, "out of memory");
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    int r = file_write(AT_FDCWD, path, s);
    return r < 0 ? error_set_errno(e, r, "write %s (%u ranges, the first %u:%u:%u)", name, n, map->inside,
                       map->outside, map->count)
                 : 0;
}

/* setgroups stays allowed: we are privileged, and the container's programs may drop groups as on any system.
 */
int idmap_write(pid_t pid, const struct container_spec *s, struct error *e) {
    int r = write_map(pid, "uid_map", s->uid_map, s->n_uid_map, e);
    return r < 0 ? r : write_map(pid, "gid_map", s->gid_map, s->n_gid_map, e);
}

/* The user namespace's only inhabitant: waits until its maker is done with it, or gone. */
static void _noreturn_ inhabit(int wait_fd) {
    char c;
    (void)!read(wait_fd, &c, 1);
    _exit(0);
}

static int make_userns(const struct container_spec *s, struct error *e) {
    char path[64];
    int pipe_fds[2];

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_set_errno(e, errno, "pipe");
    _cleanup_close_ int wait_fd = pipe_fds[0];
    _cleanup_close_ int end_fd = pipe_fds[1];
    struct clone_request request = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    pid_t pid = sys_clone3(&request);
    if (pid < 0)
        return error_set_errno(e, pid, "clone into a user namespace");
    if (pid == 0) {
        close(end_fd);
        inhabit(wait_fd);
    }

    int fd = -1;
    int r = idmap_write(pid, s, e);
    if (r >= 0) {
        snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            r = error_set_errno(e, errno, "open %s", path);
    }
    close_and_reset(&end_fd);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return r < 0 ? r : fd;
}

static bool same_map(
    const struct spec_id_range *a, uint32_t n_a, const struct spec_id_range *b, uint32_t n_b) {
    return n_a == n_b && memcmp(a, b, n_a * sizeof(*a)) == 0;
}

static void idmap_forget(struct idmap *m) {
    free(m->uid_map);
    free(m->gid_map);
    if (m->userns_fd >= 0)
        close(m->userns_fd);
    *m = (struct idmap){.userns_fd = -1};
}

void idmap_cache_free(struct launcher *l) {
    for (size_t i = 0; i < IDMAP_CACHE; i++)
        idmap_forget(&l->idmaps[i]);
}

static struct spec_id_range *copy_map(const struct spec_id_range *map, uint32_t n) {
    struct spec_id_range *copy = malloc(n * sizeof(*map));
    if (copy)
        memcpy(copy, map, n * sizeof(*map));
    return copy;
}

int idmap_userns(struct launcher *l, const struct container_spec *s, struct error *e) {
    struct idmap *oldest = &l->idmaps[0];

    for (size_t i = 0; i < IDMAP_CACHE; i++) {
        struct idmap *m = &l->idmaps[i];
        if (m->used > 0 && same_map(m->uid_map, m->n_uid_map, s->uid_map, s->n_uid_map) &&
            same_map(m->gid_map, m->n_gid_map, s->gid_map, s->n_gid_map)) {
            m->used = ++l->idmap_counter;
            return m->userns_fd;
        }
        if (m->used < oldest->used)
            oldest = m;
    }

    _cleanup_free_ struct spec_id_range *uid_map = copy_map(s->uid_map, s->n_uid_map);
    _cleanup_free_ struct spec_id_range *gid_map = copy_map(s->gid_map, s->n_gid_map);
    if (!uid_map || !gid_map)
        return error_set(e, ENOMEM, "out of memory");
    int fd = make_userns(s, e);
    if (fd < 0)
        return fd;
    idmap_forget(oldest);
    *oldest = (struct idmap){
        .uid_map = TAKE_PTR(uid_map),
        .gid_map = TAKE_PTR(gid_map),
        .n_uid_map = s->n_uid_map,
        .n_gid_map = s->n_gid_map,
        .userns_fd = fd,
        .used = ++l->idmap_counter,
    };
    return fd;
}
