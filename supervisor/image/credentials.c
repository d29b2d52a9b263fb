/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/credentials.h"

#include <ctype.h>
#include <fcntl.h>
#include <jansson.h>

#include "base/base64.h"
#include "base/fs.h"

#define DOCKER_HUB "docker.io"

static void wipe(char *s) {
    if (s)
        explicit_bzero(s, strlen(s));
    free(s);
}

void credentials_done(struct credentials *c) {
    free(c->user);
    wipe(c->password);
    wipe(c->identity_token);
    free(c->source);
    *c = (struct credentials){0};
}

/* ---- one file ---- */

char *credentials_key(const char *written) {
    const char *rest = startswith(written, "https://");
    bool legacy;

    if (!rest)
        rest = startswith(written, "http://");
    legacy = rest != NULL;
    if (!rest)
        rest = written;
    /* With a scheme it is docker's form, where the path is that of the API. */
    size_t n = legacy ? strcspn(rest, "/") : strlen(rest);
    while (n > 0 && rest[n - 1] == '/')
        n--;
    char *key = strndup(rest, n);
    for (char *p = key; p && *p && *p != '/'; p++)
        *p = (char)tolower((unsigned char)*p);
    if (key && (streq(key, "index.docker.io") || streq(key, "registry-1.docker.io"))) {
        free(key);
        key = strdup(DOCKER_HUB);
    }
    return key;
}

/* The length of key if it is name or what stands before one of its slashes; else 0. */
static size_t match_length(const char *key, const char *name) {
    size_t n = strlen(key);

    return n > 0 && strncmp(key, name, n) == 0 && (name[n] == '\0' || name[n] == '/') ? n : 0;
}

/* An entry under its plain key wins over one of the same length in docker's older form, as in podman. */
static json_t *find_entry(json_t *auths, const char *name, const char **ret_key) {
    const char *key;
    json_t *value, *best = NULL;
    size_t best_length = 0;

    json_object_foreach(auths, key, value) {
        _cleanup_free_ char *plain = credentials_key(key);
        size_t n = plain ? match_length(plain, name) : 0;
        bool better = n > best_length || (n > 0 && n == best_length && plain && streq(plain, key));

        if (!better || !json_is_object(value))
            continue;
        best = value;
        best_length = n;
        *ret_key = key;
    }
    return best;
}

static int split_user(char *text, struct credentials *c) {
    char *colon = strchr(text, ':');

    if (!colon || colon == text)
        return -EINVAL;
    c->user = strndup(text, (size_t)(colon - text));
    c->password = strdup(colon + 1);
    return c->user && c->password ? 0 : -ENOMEM;
}

static int entry_decode(
    json_t *entry, const char *path, const char *key, struct credentials *c, struct error *e) {
    const char *auth = json_string_value(json_object_get(entry, "auth"));
    const char *token = json_string_value(json_object_get(entry, "identitytoken"));
    char *text = NULL;
    int r = 0;

    if (!isempty(token)) {
        c->identity_token = strdup(token);
        if (!c->identity_token)
            return error_set_errno(e, ENOMEM, "%s", path);
    }
    if (!isempty(auth)) {
        r = base64_decode(auth, &text, NULL);
        if (r >= 0)
            r = split_user(text, c);
        wipe(text);
    } else if (!c->identity_token) {
        return 0; /* docker leaves an empty entry where a helper program has the secret */
    }
    /* Beside an identity token the user may stand without a password. */
    if (r == -EINVAL && !c->identity_token)
        return error_set(e, EBADMSG, "%s: \"auth\" of %s is not the base64 form of USER:PASSWORD", path, key);
    if (r == -ENOMEM)
        return error_set_errno(e, ENOMEM, "%s", path);
    c->source = strf("%s (%s)", path, key);
    return c->source ? 1 : error_set_errno(e, ENOMEM, "%s", path);
}

static json_t *load(const char *text, size_t n, const char *path, struct error *e) {
    json_error_t where;
    json_t *file = json_loadb(text, n, JSON_REJECT_DUPLICATES, &where);

    if (!file || !json_is_object(file)) {
        if (file)
            (void)error_set(e, EBADMSG, "%s: not a JSON object", path);
        else
            (void)error_set(e, EBADMSG, "%s:%d: %s", path, where.line, where.text);
        json_decref(file);
        return NULL;
    }
    return file;
}

/* A program is named for all registries, or for this one. */
static bool has_helper(json_t *file, const char *name) {
    const char *key;
    json_t *value;

    if (!isempty(json_string_value(json_object_get(file, "credsStore"))))
        return true;
    json_object_foreach(json_object_get(file, "credHelpers"), key, value) {
        _cleanup_free_ char *plain = credentials_key(key);

        if (plain && match_length(plain, name) > 0)
            return true;
    }
    return false;
}

int credentials_find(const char *text, size_t n, const char *path, const char *name, bool *helper,
    struct credentials *ret, struct error *e) {
    _cleanup_(credentials_done) struct credentials c = {0};
    const char *key = NULL;
    json_t *file = load(text, n, path, e), *entry;
    int r = 0;

    if (!file)
        return -EBADMSG;
    entry = find_entry(json_object_get(file, "auths"), name, &key);
    if (entry)
        r = entry_decode(entry, path, key, &c, e);
    if (r == 0 && helper && has_helper(file, name))
        *helper = true;
    json_decref(file);
    if (r <= 0)
        return r;
    *ret = c;
    c = (struct credentials){0};
    return 1;
}

int credentials_parse(const char *text, struct credentials *ret) {
    _cleanup_(credentials_done) struct credentials c = {0};
    size_t n = strcspn(text, ":");

    if (n == 0)
        return -EINVAL;
    c.user = strndup(text, n);
    c.password = strdup(text[n] ? text + n + 1 : "");
    c.source = strdup("the command line");
    if (!c.user || !c.password || !c.source)
        return -ENOMEM;
    *ret = c;
    c = (struct credentials){0};
    return 0;
}

/* ---- all files ---- */

static int add_file(char ***files, const char *directory, const char *name) {
    return isempty(directory) ? 0 : strv_consume(files, path_join(directory, name));
}

int credentials_files(const char *file, const char *config, char ***ret) {
    _cleanup_strv_free_ char **files = NULL;
    const char *named = !isempty(file) ? file : getenv("REGISTRY_AUTH_FILE"), *home = getenv("HOME");
    const char *docker = getenv("DOCKER_CONFIG"), *runtime = getenv("XDG_RUNTIME_DIR");
    const char *slash = config ? strrchr(config, '/') : NULL;
    _cleanup_free_ char *run = geteuid() != 0 && !isempty(runtime) ? strdup(runtime) : NULL;
    _cleanup_free_ char *beside = slash ? strndup(config, (size_t)(slash - config)) : NULL;
    int r;

    if (!isempty(named)) {
        r = strv_append(&files, named);
    } else {
        r = run ? add_file(&files, run, "containers/auth.json")
                : strv_consume(&files, strf("/run/containers/%u/auth.json", geteuid()));
        if (r >= 0)
            r = add_file(&files, beside, "auth.json");
        if (r >= 0)
            r = add_file(&files, home, ".config/containers/auth.json");
        if (r >= 0)
            r = isempty(docker) ? add_file(&files, home, ".docker/config.json")
                                : add_file(&files, docker, "config.json");
    }
    if (r < 0)
        return r;
    *ret = TAKE_PTR(files);
    return 0;
}

int credentials_lookup(
    char *const *files, bool named, const char *name, struct credentials *ret, char **note, struct error *e) {
    STRV_FOREACH (path, files) {
        _cleanup_free_ char *text = NULL;
        bool helper = false;
        size_t n;

        int r = file_read(AT_FDCWD, *path, CREDENTIALS_FILE_MAX, &text, &n);
        if ((r == -ENOENT || r == -ENOTDIR) && !named)
            continue;
        if (r < 0)
            return error_set_errno(e, r, "credentials: %s", *path);
        r = credentials_find(text, n, *path, name, &helper, ret, e);
        explicit_bzero(text, n);
        if (r != 0)
            return MIN(r, 0);
        if (helper && note && !*note)
            *note = strf("%s leaves it to a credential helper, which davit does not run; 'davit login' "
                         "stores a password",
                *path);
    }
    return 0;
}

/* ---- login, logout ---- */

static int set_entry(json_t *auths, const char *key, const char *user, const char *password) {
    _cleanup_free_ char *pair = strf("%s:%s", user, password);
    _cleanup_free_ char *encoded = pair ? base64_encode(pair, strlen(pair)) : NULL;
    json_t *entry = encoded ? json_pack("{s:s}", "auth", encoded) : NULL;

    if (pair)
        explicit_bzero(pair, strlen(pair));
    return entry && json_object_set_new(auths, key, entry) == 0 ? 0 : -ENOMEM;
}

/* Every key that stands for this registry, in whatever form docker wrote it. */
static int remove_entries(json_t *auths, const char *key) {
    const char *other;
    json_t *value;
    void *next;
    int found = -ENOENT;

    json_object_foreach_safe(auths, next, other, value) {
        _cleanup_free_ char *plain = credentials_key(other);

        if (!plain || !streq(plain, key))
            continue;
        (void)json_object_del(auths, other);
        found = 0;
    }
    return found;
}

static int write_file(const char *path, json_t *file) {
    _cleanup_free_ char *copy = strdup(path);
    char *slash = copy ? strrchr(copy, '/') : NULL;
    char *text = json_dumps(file, JSON_INDENT(4));
    int r = 0;

    if (!copy || !text) {
        free(text);
        return -ENOMEM;
    }
    if (slash && slash != copy) {
        *slash = '\0';
        r = mkdir_parents(AT_FDCWD, copy, 0700);
    }
    if (r >= 0)
        r = file_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, true);
    wipe(text);
    return r;
}

int credentials_store(
    const char *path, const char *key, const char *user, const char *password, struct error *e) {
    _cleanup_free_ char *text = NULL;
    json_t *file, *auths;
    size_t n;

    int r = file_read(AT_FDCWD, path, CREDENTIALS_FILE_MAX, &text, &n);
    if (r < 0 && r != -ENOENT)
        return error_set_errno(e, r, "%s", path);
    file = r == -ENOENT ? json_object() : load(text, n, path, e);
    if (!file)
        return r == -ENOENT ? error_set_errno(e, ENOMEM, "%s", path) : -EBADMSG;
    auths = json_object_get(file, "auths");
    if (!json_is_object(auths)) {
        auths = json_object();
        (void)json_object_set_new(file, "auths", auths);
    }
    r = auths ? remove_entries(auths, key) : -ENOMEM;
    if (user && r != -ENOMEM)
        r = set_entry(auths, key, user, password);
    if (r >= 0)
        r = write_file(path, file);
    json_decref(file);
    if (r == -ENOENT)
        return error_set(e, ENOENT, "not logged in to %s (in %s)", key, path);
    return r < 0 ? error_set_errno(e, r, "%s", path) : 0;
}
