/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Value types of [Container] other than mounts: identity, capabilities, limits, devices, network. Quadlet's
 * and podman's rules (podman-systemd.unit(5), podman-run(1)). */
#include <arpa/inet.h>
#include <linux/capability.h>
#include <sys/resource.h>

#include "base/fs.h"
#include "base/parse.h"
#include "base/words.h"
#include "unit/key.h"
#include "unit/limits.h"

/* ---- Rootfs=PATH[:O][:idmap] ---- */

/* What podman takes behind the path. Each start gets a fresh overlay anyway, so O says nothing new. */
static int take_rootfs_options(struct assignment *a, char *path) {
    char *colon;
    while ((colon = strrchr(path, ':'))) {
        if (streq(colon, ":idmap")) {
            /* every container with a user namespace has its root file system id-mapped */
        } else if (!streq(colon, ":O")) {
            return assignment_fail(
                a, "a directory, and :O or :idmap behind it", "\"%s\" is no option", colon + 1);
        }
        *colon = '\0';
    }
    return 0;
}

static int parse_rootfs(struct assignment *a, void *field, const char *value) {
    _cleanup_free_ char *text = NULL, *path = NULL;

    int r = assignment_expand(a, value, &text);
    if (r == 0)
        r = take_rootfs_options(a, text);
    if (r == 0 && *text != '/' && *text != '.')
        r = assignment_fail(a, "it has to start with /, or with . for one beside the unit file",
            "\"%s\" is not a directory's path", text);
    if (r == 0)
        r = assignment_absolute_path(a, text, &path);
    return r < 0 ? r : value_replace(field, TAKE_PTR(path));
}

static int show_text(const struct key *k, const void *field, char ***values) {
    return value_string.show(k, field, values);
}

const struct value_type value_rootfs = {"directory", parse_rootfs, show_text, clear_string};

/* ---- User= (podman's --user takes user:group as well) ---- */

static int parse_user(struct assignment *a, void *field, const char *value) {
    struct container_section *c = container_of((char **)field, struct container_section, user);
    _cleanup_free_ char *text = NULL, *group = NULL;

    int r = assignment_expand(a, value, &text);
    if (r < 0)
        return r;
    char *colon = strchr(text, ':');
    if (colon) {
        *colon = '\0';
        group = strdup(colon + 1);
        if (!group)
            return -ENOMEM;
        r = check_user_name(a, group);
    }
    if (r == 0)
        r = check_user_name(a, text);
    if (r < 0)
        return r;
    if (group)
        (void)value_replace(&c->group, TAKE_PTR(group));
    return value_replace(field, TAKE_PTR(text));
}

const struct value_type value_user = {"user", parse_user, show_text, clear_string};

/* ---- UserNS= ---- */

static int parse_user_namespace_size(struct assignment *a, const char *options, uint32_t *ret) {
    const char *size = startswith(options, "size=");
    uint64_t n;

    if (!size)
        return assignment_fail(a, "auto, or auto:size=65536", "\"%s\" is not supported with auto", options);
    if (parse_uint(size, 1, 1u << 30, &n) < 0)
        return assignment_fail(a, NULL, "\"%s\" is not a number of ids", size);
    *ret = (uint32_t)n;
    return 0;
}

static int parse_user_namespace(struct assignment *a, void *field, const char *value) {
    struct container_section *c =
        container_of((enum user_namespace *)field, struct container_section, user_namespace);
    uint32_t size = 65536;

    const char *options = startswith(value, "auto");
    if (streq(value, "host")) {
        c->user_namespace = USERNS_HOST;
    } else if (options && (*options == '\0' || *options == ':')) {
        if (*options == ':') {
            int r = parse_user_namespace_size(a, options + 1, &size);
            if (r < 0)
                return r;
        }
        c->user_namespace = USERNS_AUTO;
    } else {
        /* Never guessed: which ids own the files of a container is a matter of security. */
        return assignment_fail(a, "auto, auto:size=65536 or host; keep-id and nomap are for rootless podman",
            "UserNS=%s is not supported", value);
    }
    c->user_namespace_size = size;
    return 0;
}

static int show_user_namespace(const struct key *k _unused_, const void *field, char ***values) {
    const struct container_section *c =
        container_of((const enum user_namespace *)field, struct container_section, user_namespace);
    if (c->user_namespace == USERNS_AUTO)
        return strv_consume(values, strf("auto:size=%u", c->user_namespace_size));
    return c->user_namespace == USERNS_HOST ? strv_append(values, "host") : 0;
}

static void clear_user_namespace(void *field) {
    struct container_section *c =
        container_of((enum user_namespace *)field, struct container_section, user_namespace);
    c->user_namespace = USERNS_DEFAULT;
    c->user_namespace_size = 65536;
}

const struct value_type value_user_namespace = {
    "auto[:size=N] or host", parse_user_namespace, show_user_namespace, clear_user_namespace};

/* ---- capabilities: capabilities(7), in the order of their numbers ---- */

static const char *const capability_names[] = {"chown", "dac_override", "dac_read_search", "fowner", "fsetid",
    "kill", "setgid", "setuid", "setpcap", "linux_immutable", "net_bind_service", "net_broadcast",
    "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace",
    "sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod",
    "lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm",
    "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore"};
_Static_assert(ARRAY_SIZE(capability_names) >= CAP_CHECKPOINT_RESTORE + 1, "a capability has no name");
#define ALL_CAPABILITIES UINT64_MAX

static int capability_from_name(const char *name) {
    if (strncasecmp(name, "CAP_", 4) == 0)
        name += 4;
    for (size_t i = 0; i < ARRAY_SIZE(capability_names); i++)
        if (strcasecmp(name, capability_names[i]) == 0)
            return (int)i;
    return -EINVAL;
}

static int parse_capabilities(struct assignment *a, void *field, const char *value) {
    _cleanup_strv_free_ char **words = NULL;
    uint64_t set = *(uint64_t *)field;

    int r = assignment_words(a, value, WORDS_UNQUOTE | WORDS_KEEP_BACKSLASH, &words);
    if (r < 0)
        return r;
    STRV_FOREACH (word, words) {
        int n = capability_from_name(*word);
        if (strcasecmp(*word, "all") == 0)
            set = ALL_CAPABILITIES;
        else if (n >= 0)
            set |= 1ULL << n;
        else
            return assignment_fail(a, "names as in capabilities(7), such as CAP_NET_BIND_SERVICE, or all",
                "\"%s\" is not a capability", *word);
    }
    *(uint64_t *)field = set;
    return 0;
}

static int show_capabilities(const struct key *k _unused_, const void *field, char ***values) {
    uint64_t set = *(const uint64_t *)field;
    int r = 0;

    if (set == ALL_CAPABILITIES)
        return strv_append(values, "all");
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(capability_names); i++) {
        if (!(set >> i & 1))
            continue;
        char *name = strf("CAP_%s", capability_names[i]);
        for (char *c = name; c && *c; c++)
            *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
        r = strv_consume(values, name);
    }
    return r;
}

static void clear_capabilities(void *field) {
    *(uint64_t *)field = 0;
}

const struct value_type value_capabilities = {
    "capabilities", parse_capabilities, show_capabilities, clear_capabilities};

/* ---- Mask=, Unmask=: paths with colons between them ---- */

static int parse_masks(struct assignment *a, void *field, const char *value) {
    _cleanup_strv_free_ char **words = NULL;

    int r = assignment_words(a, value, WORDS_UNQUOTE | WORDS_CUNESCAPE, &words);
    if (r < 0)
        return r;
    STRV_FOREACH (word, words) {
        _cleanup_free_ char *text = NULL;
        r = assignment_expand(a, *word, &text);
        if (r < 0)
            return r;
        for (char *save, *path = strtok_r(text, ":", &save); path; path = strtok_r(NULL, ":", &save)) {
            if (!streq(path, "ALL") && !path_is_normalized(path))
                return assignment_fail(a, "absolute paths with colons between them, or ALL",
                    "\"%s\" is not an absolute path", path);
            r = assignment_room(a, strv_length(*(char ***)field)) ?: strv_append(field, path);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

const struct value_type value_masks = {"paths", parse_masks, show_strv, clear_strv};

/* ---- Ulimit=NAME=SOFT[:HARD] ---- */

static const struct {
    const char *name;
    int resource;
} ulimits[] = {
    {"core", RLIMIT_CORE},
    {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},
    {"fsize", RLIMIT_FSIZE},
    {"locks", RLIMIT_LOCKS},
    {"memlock", RLIMIT_MEMLOCK},
    {"msgqueue", RLIMIT_MSGQUEUE},
    {"nice", RLIMIT_NICE},
    {"nofile", RLIMIT_NOFILE},
    {"nproc", RLIMIT_NPROC},
    {"rss", RLIMIT_RSS},
    {"rtprio", RLIMIT_RTPRIO},
    {"rttime", RLIMIT_RTTIME},
    {"sigpending", RLIMIT_SIGPENDING},
    {"stack", RLIMIT_STACK},
};

static int ulimit_number(const char *s, uint64_t *ret) {
    if (streq(s, "-1") || streq(s, "unlimited") || streq(s, "infinity")) {
        *ret = UINT64_MAX;
        return 0;
    }
    return parse_uint(s, 0, INT64_MAX, ret);
}

static int ulimit_set(struct container_section *c, struct ulimit u) {
    for (size_t i = 0; i < c->n_ulimits; i++)
        if (c->ulimits[i].resource == u.resource) {
            c->ulimits[i] = u;
            return 0;
        }
    struct ulimit *room = ARRAY_APPEND(c->ulimits, c->n_ulimits);
    if (!room)
        return -ENOMEM;
    *room = u;
    return 0;
}

static int parse_ulimit(struct assignment *a, void *field _unused_, const char *value) {
    static const char form[] = "NAME=SOFT[:HARD], such as nofile=1024:4096; -1 is no limit";
    struct ulimit u = {.resource = -1};
    _cleanup_free_ char *text = NULL;

    if (streq(value, "host"))
        return assignment_warn(a, form, "\"host\" is not supported, ignored");
    int r = assignment_expand(a, value, &text);
    if (r < 0)
        return r;
    char *equals = strchr(text, '=');
    if (!equals)
        return assignment_fail(a, form, "\"%s\" is not a limit", text);
    *equals = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(ulimits); i++)
        if (strcasecmp(text, ulimits[i].name) == 0)
            u.resource = ulimits[i].resource;
    if (u.resource < 0)
        return assignment_fail(a, "names as in prlimit(1): nofile, nproc, core, memlock, stack ...",
            "there is no limit called \"%s\"", text);
    char *soft = equals + 1, *hard = strchr(soft, ':');
    if (hard)
        *hard++ = '\0';
    if (ulimit_number(soft, &u.soft) < 0 || ulimit_number(hard ?: soft, &u.hard) < 0)
        return assignment_fail(a, form, "\"%s\" is not a limit", value);
    if (u.soft > u.hard)
        return assignment_fail(a, form, "the soft limit is above the hard one");
    return ulimit_set(a->load->u->container, u);
}

static int show_ulimit(const struct key *k _unused_, const void *field, char ***values) {
    const struct container_section *c =
        container_of((struct ulimit *const *)field, struct container_section, ulimits);
    int r = 0;

    for (size_t i = 0; r == 0 && i < c->n_ulimits; i++)
        for (size_t n = 0; r == 0 && n < ARRAY_SIZE(ulimits); n++)
            if (ulimits[n].resource == c->ulimits[i].resource)
                /* printed signed: infinity is -1 */
                r = strv_consume(values, strf("%s=%lld:%lld", ulimits[n].name, (long long)c->ulimits[i].soft,
                                             (long long)c->ulimits[i].hard));
    return r;
}

static void clear_ulimit(void *field) {
    struct container_section *c = container_of((struct ulimit **)field, struct container_section, ulimits);
    free(c->ulimits);
    c->ulimits = NULL;
    c->n_ulimits = 0;
}

const struct value_type value_ulimit = {"name=soft[:hard]", parse_ulimit, show_ulimit, clear_ulimit};

/* ---- Network= ---- */

static int parse_network(struct assignment *a, void *field, const char *value) {
    enum network_mode *mode = field;

    if (streq(value, "host")) {
        *mode = NETWORK_HOST;
    } else if (streq(value, "none")) {
        *mode = NETWORK_NONE;
    } else if (streq(value, "private")) {
        *mode = NETWORK_PRIVATE;
    } else if (startswith(value, "ns:") || startswith(value, "container:") || endswith(value, ".container")) {
        /* Joining another's namespace is a statement about who can reach whom. */
        return assignment_fail(
            a, "host, none or private", "joining a network namespace is not supported yet");
    } else {
        *mode = NETWORK_PRIVATE;
        return assignment_warn(a, "Network=host shares the host's",
            "networks are not supported yet: the container gets loopback only, not \"%s\"", value);
    }
    return 0;
}

static int show_network(const struct key *k _unused_, const void *field, char ***values) {
    static const char *const names[] = {"private", "host", "none"};
    return strv_append(values, names[*(const enum network_mode *)field]);
}

const struct value_type value_network = {"host, none or private", parse_network, show_network, clear_zero32};

/* ---- Notify= ---- */

static int parse_notify(struct assignment *a, void *field, const char *value) {
    if (streq(value, "healthy")) {
        *(bool *)field = false;
        return assignment_warn(a, "Notify=yes where the program itself can say READY=1",
            "health checks are not supported yet: ready as soon as the program runs");
    }
    return value_boolean.parse(a, field, value);
}

static int show_notify(const struct key *k, const void *field, char ***values) {
    return value_boolean.show(k, field, values);
}

static void clear_notify(void *field) {
    *(bool *)field = false;
}

const struct value_type value_notify = {"yes or no", parse_notify, show_notify, clear_notify};

/* ---- AddDevice=[-]HOST[:CONTAINER][:rwm] ---- */

static int split_device(struct assignment *a, char *text, struct device_entry *d) {
    static const char form[] = "HOST[:CONTAINER][:rwm], such as /dev/fuse:/dev/fuse:rw";
    char *parts[3], *save;
    size_t n = 0;

    for (char *part = strtok_r(text, ":", &save); part; part = strtok_r(NULL, ":", &save)) {
        if (n == ARRAY_SIZE(parts))
            return assignment_fail(a, form, "too many colons");
        parts[n++] = part;
    }
    d->read = d->write = d->mknod = true;
    if (n > 1 && parts[n - 1][0] != '/') {
        if (!parse_device_access(parts[n - 1], &d->read, &d->write, &d->mknod))
            return assignment_fail(a, form, "\"%s\" are no access rights", parts[n - 1]);
        n--;
    }
    if (n == 0 || n > 2 || !path_is_normalized(parts[0]) || !path_is_normalized(parts[n - 1]))
        return assignment_fail(a, form, "not a device's absolute path");
    d->source = strdup(path_simplify(parts[0]));
    d->target = strdup(path_simplify(parts[n - 1]));
    return d->source && d->target ? 0 : -ENOMEM;
}

static int add_device(struct assignment *a, const char *word) {
    struct container_section *c = a->load->u->container;
    struct device_entry d = {.optional = *word == '-'};
    _cleanup_free_ char *text = NULL;

    int r = assignment_expand(a, word + d.optional, &text);
    if (r < 0)
        return r;
    if (strchr(text, '=') && *text != '/')
        return assignment_fail(
            a, "name the device nodes: /dev/dri/renderD128", "CDI devices are not supported yet");
    r = assignment_room(a, c->n_devices);
    if (r == 0)
        r = split_device(a, text, &d);
    struct device_entry *room = r == 0 ? ARRAY_APPEND(c->devices, c->n_devices) : NULL;
    if (!room) {
        free(d.source);
        free(d.target);
        return r ?: -ENOMEM;
    }
    *room = d;
    return 0;
}

static int parse_device(struct assignment *a, void *field _unused_, const char *value) {
    _cleanup_strv_free_ char **words = NULL;
    int r = assignment_words(a, value, WORDS_UNQUOTE | WORDS_KEEP_BACKSLASH, &words);

    STRV_FOREACH (word, words) {
        if (r < 0)
            break;
        r = add_device(a, *word);
    }
    return r;
}

static int show_device(const struct key *k _unused_, const void *field, char ***values) {
    const struct container_section *c =
        container_of((struct device_entry *const *)field, struct container_section, devices);
    int r = 0;
    for (size_t i = 0; r == 0 && i < c->n_devices; i++) {
        const struct device_entry *d = &c->devices[i];
        r = strv_consume(values, strf("%s%s:%s:%s%s%s", d->optional ? "-" : "", d->source, d->target,
                                     d->read ? "r" : "", d->write ? "w" : "", d->mknod ? "m" : ""));
    }
    return r;
}

static void clear_device(void *field) {
    struct container_section *c =
        container_of((struct device_entry **)field, struct container_section, devices);
    for (size_t i = 0; i < c->n_devices; i++) {
        free(c->devices[i].source);
        free(c->devices[i].target);
    }
    free(c->devices);
    c->devices = NULL;
    c->n_devices = 0;
}

const struct value_type value_device = {"[-]host[:container][:rwm]", parse_device, show_device, clear_device};

/* ---- AddHost=NAME[;NAME...]:ADDRESS ---- */

static int parse_add_host(struct assignment *a, void *field, const char *value) {
    _cleanup_free_ char *text = NULL;
    struct in6_addr address;

    int r = assignment_expand(a, value, &text);
    if (r < 0)
        return r;
    char *colon = strchr(text, ':');
    if (!colon || colon == text)
        return assignment_fail(a, "NAME:ADDRESS", "\"%s\" is not a name and an address", text);
    *colon++ = '\0';
    if (streq(colon, "host-gateway"))
        return assignment_fail(
            a, "write the address itself", "host-gateway needs networks, which are not supported yet");
    size_t n = strlen(colon);
    if (*colon == '[' && colon[n - 1] == ']') {
        colon[n - 1] = '\0';
        colon++;
    }
    if (inet_pton(AF_INET, colon, &address) != 1 && inet_pton(AF_INET6, colon, &address) != 1)
        return assignment_fail(a, "NAME:ADDRESS", "\"%s\" is not an IP address", colon);
    for (char *save, *name = strtok_r(text, ";", &save); name; name = strtok_r(NULL, ";", &save)) {
        r = check_host_name(a, name);
        if (r == 0)
            r = assignment_room(a, strv_length(*(char ***)field));
        if (r == 0)
            r = strv_consume(field, strf("%s:%s", name, colon));
        if (r < 0)
            return r;
    }
    return 0;
}

const struct value_type value_add_host = {"name:address", parse_add_host, show_strv, clear_strv};

/* ---- ShmSize=, StopTimeout= ---- */

static int parse_shm_size(struct assignment *a, void *field, const char *value) {
    uint64_t n;
    if (streq(value, "infinity") || parse_size(value, 1024, &n) < 0)
        return assignment_fail(a, "a size such as 64m; 0 is no limit", "\"%s\" is not a size", value);
    *(uint64_t *)field = n;
    return 0;
}

static int show_shm_size(const struct key *k _unused_, const void *field, char ***values) {
    return strv_consume(values, strf("%llu", (unsigned long long)*(const uint64_t *)field));
}

static void clear_shm_size(void *field) {
    *(uint64_t *)field = 0;
}

const struct value_type value_shm_size = {"size", parse_shm_size, show_shm_size, clear_shm_size};

static int parse_stop_timeout(struct assignment *a, void *field, const char *value) {
    return value_time.parse(a, field, value);
}

static int show_stop_timeout(const struct key *k, const void *field, char ***values) {
    return *(const usec_t *)field == USEC_INFINITY ? 0 : value_time.show(k, field, values);
}

static void clear_stop_timeout(void *field) {
    *(usec_t *)field = USEC_INFINITY;
}

const struct value_type value_stop_timeout = {
    "time span", parse_stop_timeout, show_stop_timeout, clear_stop_timeout};
