/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/registries.h"

#include <ctype.h>

#include "base/fs.h"
#include "image/config-file.h"

#define PARALLEL_DEFAULT 3
#define PARALLEL_MAX 16
#define DOCKER_HUB "docker.io"
#define DOCKER_HUB_HOST "registry-1.docker.io"

void registries_init(struct registries *r) {
    *r = (struct registries){.parallel = PARALLEL_DEFAULT};
}

static void location_done(struct registry_location *l) {
    free(l->location);
    free(l->ca);
    free(l->client_cert);
    free(l->client_key);
}

static void entry_done(struct registry_entry *entry) {
    free(entry->prefix);
    location_done(&entry->primary);
    for (size_t i = 0; i < entry->n_mirrors; i++)
        location_done(&entry->mirrors[i]);
    free(entry->mirrors);
}

void registries_done(struct registries *r) {
    strv_free(r->search);
    strv_free(r->aliases);
    strv_free(r->certs);
    for (size_t i = 0; i < r->n_entries; i++)
        entry_done(&r->entries[i]);
    free(r->entries);
    *r = (struct registries){0};
}

/* ---- reading ---- */

struct reader {
    const char *path;
    struct error *error;
};

static int bad(const struct reader *in, const config_setting_t *s, const char *expected) {
    const char *name = config_setting_name(s);

    return error_set(in->error, EINVAL, "%s:%u: registries: %s%s%s is expected", in->path,
        config_setting_source_line(s), name ? name : "", name ? ": " : "", expected);
}

static int no_memory(const struct reader *in) {
    return error_set(in->error, ENOMEM, "out of memory");
}

/* "host[:port][/path]": what is put into URLs must not bring a part of its own along. */
static bool location_is_valid(const char *s) {
    if (!isalnum((unsigned char)*s) && *s != '[')
        return false;
    for (const char *p = s; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr(".-_:/[]", *p))
            return false;
    return s[strlen(s) - 1] != '/' && !strstr(s, "//") && !strstr(s, "..");
}

static int read_text(const struct reader *in, const config_setting_t *s, char **field) {
    const char *value = config_setting_get_string(s);

    if (isempty(value))
        return bad(in, s, "a string");
    return free_and_strdup(field, value) < 0 ? no_memory(in) : 0;
}

static int read_location(const struct reader *in, const config_setting_t *s, char **field) {
    int r = read_text(in, s, field);

    return r < 0 ? r : location_is_valid(*field) ? 0 : bad(in, s, "\"HOST[:PORT][/PATH]\" without a scheme");
}

static int read_path(const struct reader *in, const config_setting_t *s, char **field) {
    int r = read_text(in, s, field);

    return r < 0 ? r : path_is_normalized(*field) ? 0 : bad(in, s, "an absolute path");
}

static int read_bool(const struct reader *in, const config_setting_t *s, bool *field) {
    if (config_setting_type(s) != CONFIG_TYPE_BOOL)
        return bad(in, s, "true or false");
    *field = config_setting_get_bool(s);
    return 0;
}

static int read_list(const struct reader *in, const config_setting_t *s, bool paths, char ***field) {
    const char *expected =
        paths ? "a list of absolute paths, [\"/a\", \"/b\"]," : "a list of registries, [\"docker.io\"],";

    if (!config_setting_is_aggregate(s) || config_setting_is_group(s))
        return bad(in, s, expected);
    /* An empty list is one as well: nothing is searched, instead of the default. */
    if (!*field && !(*field = calloc(1, sizeof(**field))))
        return no_memory(in);
    for (int i = 0; i < config_setting_length(s); i++) {
        const char *value = config_setting_get_string_elem(s, i);

        if (!value || (paths ? !path_is_normalized(value) : !location_is_valid(value)))
            return bad(in, s, expected);
        if (strv_append(field, value) < 0)
            return no_memory(in);
    }
    return 0;
}

/* One table for a location's settings, wherever they stand. 1 = it was one of them. */
static int read_location_setting(
    const struct reader *in, const char *name, const config_setting_t *s, struct registry_location *l) {
    const struct {
        const char *name;
        bool *flag;
        char **location, **path;
    } table[] = {
        {"location", NULL, &l->location, NULL},
        {"insecure", &l->insecure, NULL, NULL},
        {"plain_http", &l->plain_http, NULL, NULL},
        {"ca", NULL, NULL, &l->ca},
        {"client_cert", NULL, NULL, &l->client_cert},
        {"client_key", NULL, NULL, &l->client_key},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        if (!streq(table[i].name, name))
            continue;
        int r = table[i].flag       ? read_bool(in, s, table[i].flag)
                : table[i].location ? read_location(in, s, table[i].location)
                                    : read_path(in, s, table[i].path);
        return r < 0 ? r : 1;
    }
    return 0;
}

static int unknown(const struct reader *in, const config_setting_t *s) {
    return error_set(in->error, EINVAL, "%s:%u: registries: unknown setting %s", in->path,
        config_setting_source_line(s), config_setting_name(s));
}

static int read_mirror(const struct reader *in, const config_setting_t *s, struct registry_location *l) {
    if (!config_setting_is_group(s))
        return bad(in, s, "a group, { location = \"...\"; },");
    for (int i = 0; i < config_setting_length(s); i++) {
        const config_setting_t *item = config_setting_get_elem(s, (unsigned)i);
        int r = read_location_setting(in, config_setting_name(item), item, l);

        if (r <= 0)
            return r < 0 ? r : unknown(in, item);
    }
    return l->location ? 0 : bad(in, s, "a location");
}

static int read_mirrors(const struct reader *in, const config_setting_t *s, struct registry_entry *entry) {
    int n = config_setting_is_list(s) ? config_setting_length(s) : -1;

    if (n < 0 || n > REGISTRY_MIRRORS_MAX)
        return bad(in, s, "a list of at most 16 groups, ( { location = \"...\"; } ),");
    entry->mirrors = calloc((size_t)n + 1, sizeof(*entry->mirrors));
    if (!entry->mirrors)
        return no_memory(in);
    for (; entry->n_mirrors < (size_t)n; entry->n_mirrors++) {
        struct registry_location *l = &entry->mirrors[entry->n_mirrors];
        int r = read_mirror(in, config_setting_get_elem(s, (unsigned)entry->n_mirrors), l);

        if (r < 0) {
            location_done(l);
            return r;
        }
    }
    return 0;
}

static int read_entry(const struct reader *in, const config_setting_t *s, struct registry_entry *entry) {
    if (!config_setting_is_group(s))
        return bad(in, s, "a group, { prefix = \"...\"; },");
    for (int i = 0; i < config_setting_length(s); i++) {
        const config_setting_t *item = config_setting_get_elem(s, (unsigned)i);
        const char *name = config_setting_name(item);
        int r = streq(name, "prefix")    ? read_location(in, item, &entry->prefix)
                : streq(name, "blocked") ? read_bool(in, item, &entry->blocked)
                : streq(name, "mirrors") ? read_mirrors(in, item, entry)
                                         : read_location_setting(in, name, item, &entry->primary);
        bool own = streq(name, "prefix") || streq(name, "blocked") || streq(name, "mirrors");

        if (r < 0)
            return r;
        if (r == 0 && !own)
            return unknown(in, item);
    }
    if (!entry->prefix && free_and_strdup(&entry->prefix, entry->primary.location) < 0)
        return no_memory(in);
    return entry->prefix ? 0 : bad(in, s, "a prefix or a location");
}

static int read_entries(const struct reader *in, const config_setting_t *s, struct registries *r) {
    int n = config_setting_is_list(s) ? config_setting_length(s) : -1;

    if (n < 0 || n > REGISTRIES_MAX)
        return bad(in, s, "a list of at most 256 groups, ( { prefix = \"...\"; } ),");
    r->entries = calloc((size_t)n + 1, sizeof(*r->entries));
    if (!r->entries)
        return no_memory(in);
    for (int i = 0; i < n; i++) {
        r->n_entries++;
        int q = read_entry(in, config_setting_get_elem(s, (unsigned)i), &r->entries[i]);
        if (q < 0)
            return q;
    }
    return 0;
}

static int read_aliases(const struct reader *in, const config_setting_t *s, struct registries *r) {
    static const char form[] = "a list of groups, ( { name = \"...\"; image = \"...\"; } ),";

    if (!config_setting_is_list(s))
        return bad(in, s, form);
    for (int i = 0; i < config_setting_length(s); i++) {
        const config_setting_t *item = config_setting_get_elem(s, (unsigned)i);
        const char *name = NULL, *image = NULL;

        if (!config_setting_is_group(item) || config_setting_length(item) != 2 ||
            !config_setting_lookup_string(item, "name", &name) ||
            !config_setting_lookup_string(item, "image", &image) || !location_is_valid(name) ||
            !location_is_valid(image))
            return bad(in, s, form);
        if (strv_consume(&r->aliases, strf("%s=%s", name, image)) < 0)
            return no_memory(in);
    }
    return 0;
}

static int read_parallel(const struct reader *in, const config_setting_t *s, struct registries *r) {
    int n = config_setting_type(s) == CONFIG_TYPE_INT ? config_setting_get_int(s) : 0;

    if (n < 1 || n > PARALLEL_MAX)
        return bad(in, s, "a number from 1 to 16");
    r->parallel = (uint32_t)n;
    return 0;
}

int registries_parse(const config_setting_t *s, const char *path, struct registries *ret, struct error *e) {
    const struct reader in = {path, e};

    if (!config_setting_is_group(s))
        return bad(&in, s, "a group, registries = { ... },");
    for (int i = 0; i < config_setting_length(s); i++) {
        const config_setting_t *item = config_setting_get_elem(s, (unsigned)i);
        const char *name = config_setting_name(item);
        int r = streq(name, "search")     ? read_list(&in, item, false, &ret->search)
                : streq(name, "certs")    ? read_list(&in, item, true, &ret->certs)
                : streq(name, "aliases")  ? read_aliases(&in, item, ret)
                : streq(name, "registry") ? read_entries(&in, item, ret)
                : streq(name, "parallel") ? read_parallel(&in, item, ret)
                                          : unknown(&in, item);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_defaults(struct registries *r) {
    static const char *const certs[] = {"/etc/containers/certs.d", "/etc/docker/certs.d"};
    int q = r->search ? 0 : strv_append(&r->search, DOCKER_HUB);

    for (size_t i = 0; i < ARRAY_SIZE(certs) && q >= 0; i++)
        if (!strv_contains(r->certs, certs[i]))
            q = strv_append(&r->certs, certs[i]);
    return q;
}

int registries_read(const char *path, struct registries *ret, struct error *e) {
    _cleanup_(registries_done) struct registries list;
    config_t config;

    registries_init(&list);
    int r = config_file_read(path, &config, e);
    const config_setting_t *s = r < 0 ? NULL : config_lookup(&config, "registries");
    if (s)
        r = registries_parse(s, path, &list, e);
    config_destroy(&config);
    if (r >= 0 && add_defaults(&list) < 0)
        r = error_set(e, ENOMEM, "out of memory");
    if (r < 0)
        return r;
    *ret = list;
    registries_init(&list);
    return 0;
}

/* ---- names ---- */

/* docker's own rule for its own registry: a name of one part lies below library/. */
static char *hub_name(const char *registry, const char *repository) {
    bool official = streq(registry, DOCKER_HUB) && *repository && !strchr(repository, '/');

    /* Without a repository it is the registry itself, as for signing in. */
    return strf("%s%s%s%s", registry, *repository ? "/" : "", official ? "library/" : "", repository);
}

static int add_candidate(char ***list, char *name, const struct reference *written) {
    _cleanup_free_ char *base = name;
    const char *tag = written->tag ? written->tag : REFERENCE_DEFAULT_TAG;

    if (!base)
        return -ENOMEM;
    return strv_consume(
        list, written->digest ? strf("%s@%s", base, written->digest) : strf("%s:%s", base, tag));
}

static const char *find_alias(const struct registries *r, const char *name) {
    size_t n = strlen(name);

    STRV_FOREACH (alias, r->aliases)
        if (strncmp(*alias, name, n) == 0 && (*alias)[n] == '=')
            return *alias + n + 1;
    return NULL;
}

int registries_candidates(
    const struct registries *r, const struct reference *name, char ***ret, struct error *e) {
    _cleanup_strv_free_ char **list = NULL;
    const char *alias = name->registry ? NULL : find_alias(r, name->repository);
    int q = 0;

    if (name->registry) {
        q = add_candidate(&list, hub_name(name->registry, name->repository), name);
    } else if (alias) {
        q = add_candidate(&list, strdup(alias), name);
    } else {
        STRV_FOREACH (registry, r->search)
            if (q >= 0)
                q = add_candidate(&list, hub_name(*registry, name->repository), name);
    }
    if (q < 0)
        return error_set_errno(e, q, "image %s", name->repository);
    if (strv_length(list) == 0)
        return error_set(e, ENOENT,
            "\"%s\" names no registry, and davit.conf lists none to search (registries: search)",
            name->repository);
    *ret = TAKE_PTR(list);
    return 0;
}

/* ---- places ---- */

static const struct registry_entry *find_entry(const struct registries *r, const char *name) {
    const struct registry_entry *best = NULL;
    size_t best_length = 0;

    for (size_t i = 0; i < r->n_entries; i++) {
        const char *prefix = r->entries[i].prefix, *rest = startswith(name, prefix);

        if (!rest || (*rest && *rest != '/') || strlen(prefix) <= best_length)
            continue;
        best = &r->entries[i];
        best_length = strlen(prefix);
    }
    return best;
}

/* location, then what of name is behind the prefix. */
static int add_endpoint(struct registry_endpoint *list, size_t *n, const struct registry_location *location,
    const char *where, const char *rest, bool is_mirror) {
    size_t host = strcspn(where, "/");
    const char *path = where[host] ? where + host + 1 : "";
    const char *below = *rest == '/' ? rest + 1 : rest;
    struct registry_endpoint *x = &list[(*n)++];

    x->host = strndup(where, host);
    x->repository = strf("%s%s%s", path, *path && *below ? "/" : "", below);
    x->location = location;
    x->is_mirror = is_mirror;
    if (x->host && streq(x->host, DOCKER_HUB) && free_and_strdup(&x->host, DOCKER_HUB_HOST) < 0)
        return -ENOMEM;
    return x->host && x->repository ? 0 : -ENOMEM;
}

void registry_endpoints_free(struct registry_endpoint *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free(list[i].host);
        free(list[i].repository);
    }
    free(list);
}

int registries_endpoints(const struct registries *r, const struct reference *name,
    struct registry_endpoint **ret, size_t *ret_n, struct error *e) {
    _cleanup_free_ char *full = hub_name(name->registry, name->repository);
    const struct registry_entry *entry = full ? find_entry(r, full) : NULL;
    size_t n = 0, n_mirrors = entry ? entry->n_mirrors : 0;
    struct registry_endpoint *list = calloc(n_mirrors + 1, sizeof(*list));
    int q = full && list ? 0 : -ENOMEM;

    if (q >= 0 && entry && entry->blocked) {
        free(list);
        return error_set(e, EPERM, "%s is blocked in davit.conf", entry->prefix);
    }
    const char *rest = q < 0 ? "" : full + strlen(entry ? entry->prefix : name->registry);
    for (size_t i = 0; i < n_mirrors && q >= 0; i++)
        q = add_endpoint(list, &n, &entry->mirrors[i], entry->mirrors[i].location, rest, true);
    if (q >= 0) {
        const struct registry_location *l = entry ? &entry->primary : NULL;
        q = add_endpoint(list, &n, l,
            l && l->location ? l->location
            : entry          ? entry->prefix
                             : name->registry,
            rest, false);
    }
    if (q < 0) {
        registry_endpoints_free(list, n);
        return error_set_errno(e, q, "registry %s", name->registry);
    }
    *ret = list;
    *ret_n = n;
    return 0;
}
