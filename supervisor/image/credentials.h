/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of credentials, as podman and docker write them (containers-auth.json(5)):
 *
 *   {"auths": {"registry.example.com/team": {"auth": "<base64 of USER:PASSWORD>"}}}
 *
 * The longest key that is the image's name or a prefix of it up to a slash wins; docker's older keys with a
 * scheme ("https://index.docker.io/v1/") stand for their host. Programs that keep secrets ("credsStore",
 * "credHelpers") are not run.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"

#define CREDENTIALS_FILE_MAX (1024U * 1024)

struct credentials {
    char *user, *password;
    char *identity_token; /* instead of a password: a token server changes it into an access token */
    char *source;         /* the file and key, for messages */
};
void credentials_done(struct credentials *c); /* wipes what is secret */
static inline bool credentials_set(const struct credentials *c) {
    return c->user || c->identity_token;
}

/* Looks name ("registry.example.com:5000/team/web") up in one file's text. 1 found, 0 not, -EBADMSG with *e.
 * helper (may be NULL) is set to true where the file names a program for it instead. */
int credentials_find(const char *text, size_t n, const char *path, const char *name, bool *helper,
    struct credentials *ret, struct error *e);

/* The files that are looked into, in order: file alone if it is given; else $REGISTRY_AUTH_FILE alone if it
 * is set; else /run/containers/UID/auth.json (or $XDG_RUNTIME_DIR/containers/auth.json), auth.json beside
 * davit.conf, ~/.config/containers/auth.json, ~/.docker/config.json (or $DOCKER_CONFIG/config.json). */
int credentials_files(const char *file, const char *config, char ***ret);
/* The first that knows name. 0 also where none does (then ret is empty). A file that was named and is missing
 * is -ENOENT. note, if not NULL, gets a hint where only a helper program knows (new string). */
int credentials_lookup(
    char *const *files, bool named, const char *name, struct credentials *ret, char **note, struct error *e);
/* "USER:PASSWORD", or "USER" alone with an empty password, as --creds= has it. -EINVAL. */
int credentials_parse(const char *text, struct credentials *ret);

/* For login and logout: the file with one entry changed, everything else in it kept. user NULL removes. key
 * is a registry or a prefix of names. -ENOENT if there is nothing to remove. */
int credentials_store(
    const char *path, const char *key, const char *user, const char *password, struct error *e);
/* "https://Registry.Example.com/v2/" to "registry.example.com"; "host/path" keeps its path. New string. */
char *credentials_key(const char *written);
