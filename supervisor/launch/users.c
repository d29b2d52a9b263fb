/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Users and groups of a root file system that somebody else filled, read from its /etc/passwd and /etc/group
 * as files: no NSS, whose modules would be the container's code in our process (CVE-2019-14271). The files
 * are regular, resolved inside the root, at most 1 MiB; a FIFO in their place does not stop us.
 *
 * A number is a number first: a line "1000:x:0:0:..." does not make User=1000 root (CVE-2016-3697).
 * 4294967295 is refused everywhere: setresuid(2) takes it as "leave as it is", and the program would run as
 * root.
 */
#include "base/fs.h"
#include "base/parse.h"
#include "launch/internal.h"
#include "launch/resolve.h"

enum { MAX_FILE = 1024 * 1024, MAX_GROUPS = 1024, MAX_COLUMNS = 7 };

/* "" if there is no such file. NULL on failure: then e, which must be there, says why. */
static char *read_database(int root_fd, const char *path, struct error *e) {
    struct stat st;
    char *text = NULL;

    _cleanup_close_ int fd = root_open(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && fd != -ENOENT) {
        error_set_errno(e, fd, "open %s", path);
        return NULL;
    }
    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
        error_set(e, EINVAL, "%s is not a regular file", path);
        return NULL;
    }
    if (fd < 0) {
        text = strdup("");
        if (!text)
            error_set(e, ENOMEM, "out of memory");
        return text;
    }
    int r = fd_read_all(fd, MAX_FILE, &text, NULL);
    if (r < 0)
        error_set_errno(e, r, "read %s", path);
    return text;
}

/* Splits the next line at its colons, in place. Returns the number of columns, -1 at the end. */
static int next_line(char **position, char *columns[static MAX_COLUMNS]) {
    char *line = *position;
    int n = 0;

    if (*line == '\0')
        return -1;
    *position = line + strcspn(line, "\n");
    if (**position == '\n')
        *(*position)++ = '\0';
    for (char *p = line; p && n < MAX_COLUMNS; n++) {
        columns[n] = p;
        p = strchr(p, ':');
        if (p)
            *p++ = '\0';
    }
    return n;
}

static bool is_number(const char *s) {
    return *s && strspn(s, "0123456789") == strlen(s);
}

static void copy_text(char *to, size_t size, const char *from) {
    snprintf(to, size, "%s", from);
}

/* passwd(5): name, password, uid, gid, comment, home, shell. Looks for a name, or if that is NULL for a uid.
 */
static int find_user(
    char *text, const char *name, uid_t uid, struct identity *i, bool *ret_found, struct error *e) {
    char *column[MAX_COLUMNS];
    uint32_t line_uid, line_gid;
    int n;

    while ((n = next_line(&text, column)) >= 0) {
        if (n < 4 || (name && !streq(column[0], name)))
            continue;
        bool valid = parse_id(column[2], &line_uid) >= 0 && parse_id(column[3], &line_gid) >= 0;
        if (name && !valid)
            return error_set(e, EINVAL, "user \"%s\" has a bad id in /etc/passwd", name);
        if (!valid || (!name && line_uid != uid))
            continue;
        i->uid = line_uid;
        i->gid = line_gid;
        copy_text(i->name, sizeof(i->name), column[0]);
        copy_text(i->home, sizeof(i->home), n > 5 ? column[5] : "");
        *ret_found = true;
        return 0;
    }
    return 0;
}

static int look_up_user(int root_fd, const char *user, struct identity *i, struct error *e) {
    bool found = false;
    uint32_t uid = 0;

    if (is_number(user)) {
        if (parse_id(user, &uid) < 0)
            return error_set(e, ERANGE, "user id %s is out of range (0 to 4294967294)", user);
        i->uid = uid;
        user = NULL;
    }
    _cleanup_free_ char *text = read_database(root_fd, "/etc/passwd", e);
    if (!text)
        return -e->number;
    int r = find_user(text, user, uid, i, &found, e);
    if (r >= 0 && user && !found)
        r = error_set(e, ENOENT, "user \"%s\" is not in /etc/passwd", user);
    return r;
}

static int add_group(struct identity *i, gid_t gid, struct error *e) {
    for (size_t k = 0; k < i->n_groups; k++)
        if (i->groups[k] == gid)
            return 0;
    if (i->n_groups >= MAX_GROUPS)
        return error_set(e, E2BIG, "more than %d supplementary groups", MAX_GROUPS);
    gid_t *grown = realloc(i->groups, (i->n_groups + 1) * sizeof(gid_t));
    if (!grown)
        return error_set(e, ENOMEM, "out of memory");
    i->groups = grown;
    i->groups[i->n_groups++] = gid;
    return 0;
}

static bool has_member(const char *members, const char *name) {
    size_t n = strlen(name);

    for (const char *p = members; *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == n && strncmp(p, name, n) == 0)
            return true;
    return false;
}

/* group(5): name, password, gid, members. text is consumed. */
static int add_memberships(char *text, struct identity *i, struct error *e) {
    char *column[MAX_COLUMNS];
    uint32_t gid;
    int n;

    while ((n = next_line(&text, column)) >= 0) {
        if (n < 4 || !has_member(column[3], i->name) || parse_id(column[2], &gid) < 0)
            continue;
        int r = add_group(i, gid, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int look_up_group(char *text, const char *group, gid_t *ret, struct error *e) {
    char *column[MAX_COLUMNS];
    uint32_t gid;
    int n;

    if (is_number(group)) {
        if (parse_id(group, &gid) < 0)
            return error_set(e, ERANGE, "group id %s is out of range (0 to 4294967294)", group);
        *ret = gid;
        return 0;
    }
    while ((n = next_line(&text, column)) >= 0) {
        if (n < 3 || !streq(column[0], group))
            continue;
        if (parse_id(column[2], &gid) < 0)
            return error_set(e, EINVAL, "group \"%s\" has a bad id in /etc/group", group);
        *ret = gid;
        return 0;
    }
    return error_set(e, ENOENT, "group \"%s\" is not in /etc/group", group);
}

/* The main group if one is named, and the supplementary ones. Each look-up cuts a fresh copy of the text to
 * pieces. */
static int look_up_groups(int root_fd, const struct container_spec *s, struct identity *i, struct error *e) {
    /* A container's user with an explicit group has that one only, as with podman; a host service is in all
     * of its user's groups, as with systemd. */
    bool memberships = i->name[0] && (!s->group || s->kind == SPEC_PROCESS);

    if (!s->group && !s->groups && !memberships)
        return 0;
    _cleanup_free_ char *text = read_database(root_fd, "/etc/group", e);
    if (!text)
        return -e->number;
    int r = 0;
    for (char *const *g = s->groups; r >= 0 && g && *g; g++) {
        _cleanup_free_ char *copy = strdup(text);
        gid_t gid = 0;
        r = copy ? look_up_group(copy, *g, &gid, e) : error_set(e, ENOMEM, "out of memory");
        if (r >= 0)
            r = add_group(i, gid, e);
    }
    if (r >= 0 && s->group) {
        _cleanup_free_ char *copy = strdup(text);
        r = copy ? look_up_group(copy, s->group, &i->gid, e) : error_set(e, ENOMEM, "out of memory");
    }
    if (r >= 0 && memberships)
        r = add_memberships(text, i, e);
    return r;
}

void identity_done(struct identity *i) {
    free(i->groups);
    *i = (struct identity){};
}

int identity_lookup(int root_fd, const struct container_spec *s, struct identity *ret, struct error *e) {
    _cleanup_(identity_done) struct identity i = {};

    int r = s->user ? look_up_user(root_fd, s->user, &i, e) : 0;
    if (r >= 0)
        r = look_up_groups(root_fd, s, &i, e);
    if (r < 0)
        return r;
    if (i.home[0] != '/')
        copy_text(i.home, sizeof(i.home), i.uid == 0 ? "/root" : "/");
    *ret = i;
    i = (struct identity){};
    return 0;
}
