/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks of single values, named in the key table: called with specifiers expanded. 0, or what
 * assignment_fail() says. */
#include <arpa/inet.h>
#include <limits.h>

#include "base/ending.h"
#include "base/fs.h"
#include "unit/key.h"
#include "unit/name.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool consists_of(const char *s, const char *characters) {
    return *s && s[strspn(s, characters)] == '\0';
}

int check_uri(struct assignment *a, const char *value) {
    static const char *const schemes[] = {"http://", "https://", "file:/", "info:", "man:"};
    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
        if (startswith(value, schemes[i]))
            return 0;
    return assignment_warn(a, "http://, https://, file:/, info: or man:", "\"%s\" is not a reference", value);
}

/* Names of containers and volumes become names of files: podman's rule keeps them harmless. */
int check_object_name(struct assignment *a, const char *value) {
    if (consists_of(value, LETTERS DIGITS "_.-") && !strchr("_.-", *value) && strlen(value) <= NAME_MAX)
        return 0;
    return assignment_fail(
        a, "letters, digits and _ . -, starting with a letter or digit", "\"%s\" cannot be a name", value);
}

int check_host_name(struct assignment *a, const char *value) {
    size_t n = strlen(value);
    if (consists_of(value, LETTERS DIGITS "_.-") && n <= HOST_NAME_MAX && *value != '-' && *value != '.')
        return 0;
    return assignment_fail(
        a, "at most 64 letters, digits and - . _", "\"%s\" cannot be the name of a host", value);
}

int check_user_name(struct assignment *a, const char *value) {
    if (consists_of(value, DIGITS) && (strlen(value) > 10 || strtoull(value, NULL, 10) >= UINT32_MAX))
        return assignment_fail(a, NULL, "%s is too large for a number of a user or group", value);
    if (*value && *value != '-' && !strpbrk(value, ":/ \t\n,") && strlen(value) <= 256)
        return 0;
    return assignment_fail(a, "a name or a number", "\"%s\" cannot be a user or group", value);
}

int check_group_add(struct assignment *a, const char *value) {
    if (streq(value, "keep-groups"))
        return assignment_fail(a, "name the groups", "keep-groups is for rootless podman");
    return check_user_name(a, value);
}

int check_image(struct assignment *a, const char *value) {
    if (endswith(value, ".build"))
        return assignment_fail(a, "name the image or its directory", ".build units are not run by davit");
    if (strpbrk(value, " \t\n"))
        return assignment_fail(a, NULL, "\"%s\" has blanks in it", value);
    if (endswith(value, ".image") && (!unit_name_is_valid(value) || name_is_template(value)))
        return assignment_fail(a, "a name such as web.image", "\"%s\" is not the name of a unit", value);
    return 0;
}

/* What is fetched is no unit and no directory. podman's other transports read what is on this machine. */
int check_image_source(struct assignment *a, const char *value) {
    static const char *const transports[] = {
        "docker-archive:", "oci-archive:", "oci:", "dir:", "docker-daemon:", "containers-storage:"};

    if (endswith(value, ".image") || *value == '/')
        return assignment_fail(a, "[REGISTRY/]NAME[:TAG]", "\"%s\" is not an image of a registry", value);
    for (size_t i = 0; i < ARRAY_SIZE(transports); i++)
        if (startswith(value, transports[i]))
            return assignment_fail(
                a, "davit image import reads archives", "%s is not a registry", transports[i]);
    return check_image(a, value);
}

int check_credentials(struct assignment *a, const char *value) {
    if (*value != ':')
        return 0;
    return assignment_fail(a, "USER:PASSWORD", "there is no user before the colon");
}

int check_time_zone(struct assignment *a, const char *value) {
    if (consists_of(value, LETTERS DIGITS "_+-/") && *value != '/')
        return 0;
    return assignment_fail(a, "a name as in /usr/share/zoneinfo, such as Europe/Berlin, or local",
        "\"%s\" is not a time zone", value);
}

int check_address(struct assignment *a, const char *value) {
    struct in6_addr address;
    if (inet_pton(AF_INET, value, &address) == 1 || inet_pton(AF_INET6, value, &address) == 1)
        return 0;
    return assignment_fail(a, NULL, "\"%s\" is not an IP address", value);
}

/* Only what belongs to a namespace of the container: anything else would be written for the whole host. */
int check_sysctl(struct assignment *a, const char *value) {
    static const char *const namespaced[] = {"net.", "fs.mqueue.", "kernel.shm", "kernel.msg",
        "kernel.sem=", "kernel.hostname=", "kernel.domainname="};
    const char *equals = strchr(value, '=');

    if (!equals || equals == value)
        return assignment_fail(
            a, "name=value, such as net.ipv4.ip_forward=1", "\"%s\" is not a setting", value);
    if (memchr(value, '/', (size_t)(equals - value)) || strstr(value, ".."))
        return assignment_fail(a, "dots between the parts of the name", "\"%s\" is not a setting", value);
    for (size_t i = 0; i < ARRAY_SIZE(namespaced); i++)
        if (startswith(value, namespaced[i]))
            return 0;
    return assignment_fail(a, "net.*, fs.mqueue.*, kernel.shm*, kernel.msg*, kernel.sem, kernel.hostname",
        "\"%.*s\" is not the container's own but the whole host's", (int)(equals - value), value);
}

int check_install_name(struct assignment *a, const char *value) {
    if (name_is_valid_dependency(value))
        return 0;
    return assignment_fail(
        a, "a name with its type, such as default.target", "\"%s\" is not a unit name", value);
}

int check_instance(struct assignment *a, const char *value) {
    _cleanup_free_ char *name = strf("x@%s.service", value);
    if (!name)
        return -ENOMEM;
    if (name_is_instance(name))
        return 0;
    return assignment_fail(
        a, "write other characters as \\xNN, see systemd-escape(1)", "\"%s\" cannot be an instance", value);
}

int check_variable(struct assignment *a, const char *value) {
    if (consists_of(value, LETTERS DIGITS "_") && !strchr(DIGITS, *value))
        return 0;
    return assignment_fail(a, "a name without a value", "\"%s\" is not the name of a variable", value);
}

int check_working_directory(struct assignment *a, const char *value) {
    if (*value == '-')
        return assignment_fail(a, "leave \"-\" out", "a directory that may be missing is not supported");
    if (path_is_normalized(value))
        return 0;
    return assignment_fail(a, "it has to start with /", "\"%s\" is not an absolute path", value);
}

/* reboot(2) takes 256 bytes. Anything else would reach the kernel, or the boot loader behind it, cut off. */
int check_reboot_argument(struct assignment *a, const char *value) {
    if (strlen(value) < ENDING_ARGUMENT_MAX && !strpbrk(value, "\r\n"))
        return 0;
    return assignment_fail(a, NULL, "longer than %d bytes", ENDING_ARGUMENT_MAX - 1);
}
