/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker/peer.h"

#include <dirent.h>
#include <fcntl.h>

#include "base/fs.h"

#define CERTIFICATE_MAX (1024U * 1024)
#define DIRECTORY_MAX 256 /* files in one */

static int read_pem(const char *path, char **ret, struct error *e) {
    size_t n;
    int r = file_read(AT_FDCWD, path, CERTIFICATE_MAX, ret, &n);

    if (r < 0)
        return error_set_errno(e, r, "certificate %s", path);
    if (strlen(*ret) != n || !strstr(*ret, "-----BEGIN "))
        return error_set(e, EINVAL, "%s is not in PEM form", path);
    return 0;
}

static int add_authorities(struct http_peer *peer, const char *path, struct error *e) {
    _cleanup_free_ char *text = NULL;
    int r = read_pem(path, &text, e);

    if (r < 0)
        return r;
    char *joined = strf("%s%s\n", peer->authorities ? peer->authorities : "", text);
    if (!joined)
        return error_set_errno(e, ENOMEM, "%s", path);
    free(peer->authorities);
    peer->authorities = joined;
    return 0;
}

static int set_pair(struct http_peer *peer, const char *certificate, const char *key, struct error *e) {
    free(TAKE_PTR(peer->certificate));
    free(TAKE_PTR(peer->key));
    int r = read_pem(certificate, &peer->certificate, e);
    return r < 0 ? r : read_pem(key, &peer->key, e);
}

/* docker's rule: NAME.crt is an authority; NAME.cert is our own certificate, and NAME.key belongs to it. */
static int take_file(struct http_peer *peer, const char *directory, const char *name, struct error *e) {
    const char *suffix = strrchr(name, '.');
    _cleanup_free_ char *path = path_join(directory, name), *key = NULL;

    if (!path)
        return error_set_errno(e, ENOMEM, "%s", directory);
    if (suffix && streq(suffix, ".crt"))
        return add_authorities(peer, path, e);
    if (!suffix || !streq(suffix, ".cert"))
        return 0;
    key = strf("%.*s.key", (int)(strlen(path) - strlen(suffix)), path);
    return key ? set_pair(peer, path, key, e) : error_set_errno(e, ENOMEM, "%s", directory);
}

static int take_directory(struct http_peer *peer, const char *directory, bool must_be, struct error *e) {
    _cleanup_strv_free_ char **names = NULL;
    DIR *d = opendir(directory);
    struct dirent *entry;
    int r = 0;

    if (!d)
        return !must_be && (errno == ENOENT || errno == ENOTDIR)
                   ? 0
                   : error_set_errno(e, errno, "certificates %s", directory);
    while (r >= 0 && (entry = readdir(d)) && strv_length(names) < DIRECTORY_MAX)
        r = strv_append(&names, entry->d_name);
    (void)closedir(d);
    if (r < 0)
        return error_set_errno(e, r, "certificates %s", directory);
    strv_sort(names);
    STRV_FOREACH (name, names) {
        r = take_file(peer, directory, *name, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int take_location(struct http_peer *peer, const struct registry_location *l, struct error *e) {
    struct stat st;
    int r = 0;

    peer->insecure = l->insecure;
    peer->plain = l->plain_http || l->insecure;
    if (l->ca && stat(l->ca, &st) < 0)
        return error_set_errno(e, errno, "certificate %s", l->ca);
    if (l->ca)
        r = S_ISDIR(st.st_mode) ? take_directory(peer, l->ca, true, e) : add_authorities(peer, l->ca, e);
    if (r >= 0 && l->client_cert)
        r = set_pair(peer, l->client_cert, l->client_key ? l->client_key : l->client_cert, e);
    return r;
}

int peer_load(const struct registry_endpoint *place, char *const *certs, const char *certs_dir,
    int tls_verify, struct http_peer *ret, struct error *e) {
    _cleanup_(http_peer_done) struct http_peer peer = {0};
    int r = 0;

    STRV_FOREACH (root, certs) {
        _cleanup_free_ char *directory = path_join(*root, place->host);

        r = directory ? take_directory(&peer, directory, false, e) : error_set_errno(e, ENOMEM, "%s", *root);
        if (r < 0)
            return r;
    }
    if (place->location)
        r = take_location(&peer, place->location, e);
    if (r >= 0 && certs_dir)
        r = take_directory(&peer, certs_dir, true, e);
    if (r < 0)
        return r;
    if (tls_verify >= 0) {
        peer.insecure = tls_verify == 0;
        peer.plain = tls_verify == 0 || (place->location && place->location->plain_http);
    }
    *ret = peer;
    peer = (struct http_peer){0};
    return 0;
}
