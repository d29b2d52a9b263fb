/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /etc/hosts, /etc/hostname and /etc/resolv.conf of a container: made from its own settings, with the host's
 * as default where they make sense.
 */
#include <fcntl.h>

#include "base/fs.h"
#include "manager/spec_internal.h"

#define HOST_FILE_MAX (256 * 1024)

static int add_file(struct container_spec *s, const char *path, uint32_t mode, char *content) {
    if (!content)
        return -ENOMEM;
    struct spec_file *grown = reallocarray(s->files, s->n_files + 1, sizeof(*grown));
    if (!grown) {
        free(content);
        return -ENOMEM;
    }
    s->files = grown;
    struct spec_file *f = &grown[s->n_files];
    *f = (struct spec_file){.path = strdup(path), .content = content, .mode = mode};
    s->n_files++;
    return f->path ? 0 : -ENOMEM;
}

/* AddHost=NAME[;NAME...]:ADDRESS. The first colon ends the names; an IPv6 address has more of them. */
static int add_host(struct strbuf *b, const char *entry, struct error *e) {
    const char *address = strchr(entry, ':');

    if (!address || address == entry || !address[1])
        return error_set(e, EINVAL, "AddHost=%s: NAME:ADDRESS is expected", entry);
    size_t n = strlen(address + 1);
    bool brackets = address[1] == '[' && address[n] == ']';
    strbuf_printf(b, "%.*s\t", (int)(brackets ? n - 2 : n), address + 1 + brackets);
    for (const char *p = entry; p < address; p++)
        strbuf_putc(b, *p == ';' ? ' ' : *p);
    strbuf_putc(b, '\n');
    return 0;
}

static int make_hosts(struct managed_unit *u, const char *hostname, char **ret, struct error *e) {
    const struct container_section *c = u->config->container;
    _cleanup_strbuf_ struct strbuf b = {};
    _cleanup_free_ char *host = NULL;

    STRV_FOREACH (entry, c->add_host) {
        int r = add_host(&b, *entry, e);
        if (r < 0)
            return r;
    }
    /* In the host's network the host's names hold. */
    if (c->network == NETWORK_HOST && file_read(AT_FDCWD, "/etc/hosts", HOST_FILE_MAX, &host, NULL) >= 0) {
        strbuf_puts(&b, host);
        if (b.length > 0 && b.data[b.length - 1] != '\n')
            strbuf_putc(&b, '\n');
    } else {
        strbuf_puts(&b, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    }
    strbuf_printf(&b, "127.0.1.1\t%s\n", hostname);
    *ret = strbuf_take(&b);
    return *ret ? 0 : error_set(e, ENOMEM, "out of memory");
}

/* A name server at a loopback address answers in the host's network only. */
static bool is_loopback(const char *address) {
    return startswith(address, "127.") || streq(address, "::1");
}

/* Calls put for each "KEY rest" line of the host's resolv.conf. */
static void copy_lines(struct strbuf *b, const char *host, const char *key, bool skip_loopback) {
    size_t n = strlen(key);

    for (const char *line = host; line && *line;) {
        size_t length = strcspn(line, "\n");
        if (length > n && strncmp(line, key, n) == 0 && strchr(" \t", line[n])) {
            const char *value = line + n + strspn(line + n, " \t");
            if (!skip_loopback || !is_loopback(value))
                strbuf_printf(b, "%.*s\n", (int)length, line);
        }
        line += length + (line[length] == '\n');
    }
}

static void put_list(struct strbuf *b, const char *key, char *const *values) {
    strbuf_puts(b, key);
    STRV_FOREACH (v, values)
        strbuf_printf(b, " %s", *v);
    strbuf_putc(b, '\n');
}

/* The host's, read again when it is another file or was written to. "" if there is none. */
static const char *host_resolv_conf(void) {
    static struct stat last;
    static char *text;
    struct stat now;

    if (stat("/etc/resolv.conf", &now) < 0)
        return "";
    if (text && now.st_dev == last.st_dev && now.st_ino == last.st_ino && now.st_size == last.st_size &&
        now.st_mtim.tv_sec == last.st_mtim.tv_sec && now.st_mtim.tv_nsec == last.st_mtim.tv_nsec)
        return text;
    free(TAKE_PTR(text));
    if (file_read(AT_FDCWD, "/etc/resolv.conf", HOST_FILE_MAX, &text, NULL) < 0)
        return "";
    last = now;
    return text;
}

static char *make_resolv_conf(const struct container_section *c) {
    _cleanup_strbuf_ struct strbuf b = {};
    const char *host = host_resolv_conf();
    /* DNSSearch=. means "no search list", as in podman. */
    if (c->dns_search) {
        if (!streq(c->dns_search[0], "."))
            put_list(&b, "search", c->dns_search);
    } else {
        copy_lines(&b, host, "search", false);
    }
    STRV_FOREACH (server, c->dns)
        strbuf_printf(&b, "nameserver %s\n", *server);
    if (!c->dns)
        copy_lines(&b, host, "nameserver", c->network != NETWORK_HOST);
    if (c->dns_option)
        put_list(&b, "options", c->dns_option);
    else
        copy_lines(&b, host, "options", false);
    return strbuf_take(&b);
}

int files_of_container(
    struct managed_unit *u, const char *hostname, struct container_spec *s, struct error *e) {
    const struct container_section *c = u->config->container;
    char *hosts = NULL;

    int r = make_hosts(u, hostname, &hosts, e);
    if (r < 0)
        return r;
    r = add_file(s, "/etc/hosts", 0644, hosts);
    if (r >= 0)
        r = add_file(s, "/etc/hostname", 0644, strf("%s\n", hostname));
    if (r >= 0)
        r = add_file(s, "/etc/resolv.conf", 0644, make_resolv_conf(c));
    return r < 0 ? error_set_errno(e, r, "files of the container") : 0;
}
