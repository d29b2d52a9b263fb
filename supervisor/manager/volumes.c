/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Named volumes: directories <state>/volumes/NAME/_data, made when they are first needed and never removed by
 * davit; anonymous ones, which go with the run that made them.
 *
 * The root directory of a volume belongs to the ids that the .volume unit names. These are the container's
 * ids and those on disk at once: the launcher mounts volumes through the container's id map.
 */
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "manager/rooms.h"

#define VOLUME_NAME_MAX 200

/* As podman names things: what becomes part of a path is checked here, whoever wrote it. */
static bool volume_name_is_valid(const char *name) {
    if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9')))
        return false;
    for (const char *p = name; *p; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                strchr("_.-", *p)))
            return false;
    }
    return strlen(name) <= VOLUME_NAME_MAX;
}

/* Makes <state>/volumes/NAME/_data. The owner is set on a new directory only: afterwards it is the data's own
 * affair. */
static int make_directory(struct manager *m, const char *name, uint32_t uid, uint32_t gid, struct error *e) {
    _cleanup_free_ char *parent = strf("volumes/%s", name), *path = strf("volumes/%s/_data", name);

    if (!parent || !path)
        return error_set(e, ENOMEM, "out of memory");
    int r = mkdir_parents(m->state_fd, parent, 0700);
    if (r < 0)
        return error_set_errno(e, r, "volume %s: making %s/%s", name, m->paths.state, parent);
    if ((uid == 0 || uid == UINT32_MAX) && (gid == 0 || gid == UINT32_MAX))
        r = mkdirat(m->state_fd, path, 0755) < 0 && errno != EEXIST ? negative_errno() : 0;
    else
        r = mkdir_owned(m->state_fd, path, 0755, uid, gid);
    return r < 0 ? error_set_errno(e, r, "volume %s: making %s/%s for %" PRIu32 ":%" PRIu32, name,
                       m->paths.state, path, uid, gid)
                 : 0;
}

static uint32_t user_by_name(const char *name) {
    _cleanup_fclose_ FILE *f = fopen("/etc/passwd", "re");

    for (struct passwd *entry; f && (entry = fgetpwent(f));)
        if (streq(entry->pw_name, name))
            return entry->pw_uid;
    return UINT32_MAX;
}

static uint32_t group_by_name(const char *name) {
    _cleanup_fclose_ FILE *f = fopen("/etc/group", "re");

    for (struct group *entry; f && (entry = fgetgrent(f));)
        if (streq(entry->gr_name, name))
            return entry->gr_gid;
    return UINT32_MAX;
}

/* UID= or GID=, else User= or Group=: a number, or a name of the host's, as podman has it. The host's files
 * are read themselves, since name services may be containers of ours. */
static int owner(const char *key, uint32_t id, const char *text, uint32_t (*by_name)(const char *name),
    uint32_t *ret, struct error *e) {
    *ret = id != UINT32_MAX ? id : 0;
    if (id != UINT32_MAX || isempty(text) || parse_id(text, ret) >= 0)
        return 0;
    *ret = by_name(text);
    return *ret != UINT32_MAX ? 0
                              : error_set(e, ENOENT, "%s=%s: the host's %s does not have it", key, text,
                                    by_name == user_by_name ? "/etc/passwd" : "/etc/group");
}

static bool has_option(const char *options, const char *option) {
    size_t n = strlen(option);

    for (const char *p = options; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        if (strncmp(p, option, n) == 0 && (p[n] == '\0' || p[n] == ','))
            return true;
    }
    return false;
}

/* Device=, Type= and Options=: a tmpfs, a bind of a directory, or a file system that the launcher mounts.
 * None of them is ever in the host's own mount table. */
static int resolve_device(
    const char *name, const struct volume_section *v, struct volume_source *ret, struct error *e) {
    if (streq_ptr(v->type, "tmpfs")) {
        ret->options = strdup(v->options ? v->options : "");
        return ret->options ? 0 : error_set(e, ENOMEM, "out of memory");
    }
    bool bind = !v->type || streq(v->type, "bind") || streq(v->type, "none") ||
                has_option(v->options, "bind") || has_option(v->options, "rbind");
    if (isempty(v->device) || !path_is_normalized(v->device))
        return error_set(
            e, EINVAL, "volume %s: Device=%s is not an absolute path", name, v->device ? v->device : "");
    if (!bind && strchr(v->type, ','))
        return error_set(e, EINVAL, "volume %s: Type=%s is not the name of a file system", name, v->type);
    ret->path = strdup(v->device);
    ret->copy = false;
    ret->device = !bind;
    if (ret->device) {
        ret->options = isempty(v->options) ? strdup(v->type) : strf("%s,%s", v->type, v->options);
        if (!ret->options)
            return error_set(e, ENOMEM, "out of memory");
    }
    return ret->path ? 0 : error_set(e, ENOMEM, "out of memory");
}

static int resolve_unit(
    struct manager *m, const struct unit *config, struct volume_source *ret, struct error *e) {
    const struct volume_section *v = config->volume;

    if (config->has_errors || !v)
        return error_set(e, EINVAL, "%s has errors, see its status", config->name);
    if (!volume_name_is_valid(v->volume_name))
        return error_set(
            e, EINVAL, "%s: VolumeName=%s is not a name for a volume", config->name, v->volume_name);
    int r = owner("User", v->uid, v->user, user_by_name, &ret->uid, e);
    if (r >= 0)
        r = owner("Group", v->gid, v->group, group_by_name, &ret->gid, e);
    if (r < 0)
        return r;
    ret->copy = v->copy;
    if (v->device || streq_ptr(v->type, "tmpfs"))
        return resolve_device(v->volume_name, v, ret, e);

    r = make_directory(m, v->volume_name, ret->uid, ret->gid, e);
    if (r < 0)
        return r;
    ret->path = strf("%s/volumes/%s/_data", m->paths.state, v->volume_name);
    return ret->path ? 0 : error_set(e, ENOMEM, "out of memory");
}

int volume_resolve(struct manager *m, const char *name, struct volume_source *ret, struct error *e) {
    struct volume_source v = {.copy = true};
    int r;

    if (endswith(name, ".volume")) {
        const struct managed_unit *u = manager_find(m, name);
        r = !u || !u->config ? error_set(e, ENOENT, "volume unit %s does not exist", name)
                             : resolve_unit(m, u->config, &v, e);
    } else if (!volume_name_is_valid(name)) {
        r = error_set(e, EINVAL, "\"%s\" is not a name for a volume", name);
    } else {
        r = make_directory(m, name, 0, 0, e);
        if (r >= 0) {
            v.path = strf("%s/volumes/%s/_data", m->paths.state, name);
            r = v.path ? 0 : error_set(e, ENOMEM, "out of memory");
        }
    }
    if (r < 0) {
        volume_source_done(&v);
        return r;
    }
    *ret = v;
    return 0;
}

void volume_source_done(struct volume_source *v) {
    free(v->path);
    free(v->options);
    *v = (struct volume_source){};
}

int volume_prepare(struct managed_unit *u, struct error *e) {
    struct volume_source v = {};

    int r = resolve_unit(u->manager, u->config, &v, e);
    volume_source_done(&v);
    return r;
}

/* 64 hexadecimal digits, as podman's. */
int volume_new_anonymous(
    struct manager *m, const char *unit, char **ret_name, char **ret_path, struct error *e) {
    char a[ID128_TEXT], b[ID128_TEXT];

    id128_random(a);
    id128_random(b);
    _cleanup_free_ char *name = strf("%s%s", a, b);
    _cleanup_free_ char *path = name ? strf("%s/volumes/%s/_data", m->paths.state, name) : NULL;
    if (!path)
        return error_set(e, ENOMEM, "out of memory");
    int r = make_directory(m, name, 0, 0, e);
    if (r < 0)
        return r;
    /* Only what has this mark is ever removed: a davitd that comes back sweeps what no run uses (sweep.c).
     * The unit's name in it is for one that has lost its saved state (recover.c). */
    _cleanup_free_ char *mark =
        strf("volumes/%s/%s", name, m->without_davitd ? VOLUME_MARK_LAUNCHED : VOLUME_MARK);
    r = mark ? file_write_atomic(m->state_fd, mark, unit, strlen(unit), 0600, false) : -ENOMEM;
    if (r < 0)
        return error_set_errno(e, r, "marking anonymous volume %s", name);
    *ret_name = TAKE_PTR(name);
    *ret_path = TAKE_PTR(path);
    return 0;
}

void volume_remove(struct manager *m, const char *name) {
    _cleanup_free_ char *directory = strf("%s/volumes", m->paths.state);

    if (directory && volume_name_is_valid(name))
        cleanup_remove_tree(m, directory, name);
}
