/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who the machine is: host name and machine-id (hostname(5), machine-id(5)); and its way to talk to itself.
 */
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "base/fs.h"
#include "base/id128.h"
#include "base/log.h"
#include "boot/boot.h"
#include "init/mounts.h"

#define DEFAULT_HOSTNAME "localhost"
#define HOSTNAME_MAX 64

/* ---- host name ---- */

static bool hostname_is_valid(const char *s) {
    size_t n = strlen(s);

    return n > 0 && n <= HOSTNAME_MAX && s[0] != '-' && s[0] != '.' &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n;
}

/* First line of /etc/hostname that is no comment. */
static char *hostname_from_file(void) {
    _cleanup_free_ char *text = NULL;

    if (file_read(AT_FDCWD, "/etc/hostname", 4096, &text, NULL) < 0)
        return NULL;
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        line = strstrip(line);
        if (*line && *line != '#')
            return strdup(line);
    }
    return NULL;
}

void step_hostname(struct boot_context *c) {
    _cleanup_free_ char *name = *c->options.hostname ? strdup(c->options.hostname) : hostname_from_file();
    const char *chosen = name ? name : DEFAULT_HOSTNAME;

    if (!hostname_is_valid(chosen)) {
        boot_problem(c, "\"%s\" cannot be a host name: " DEFAULT_HOSTNAME " is used", chosen);
        chosen = DEFAULT_HOSTNAME;
    }
    if (sethostname(chosen, strlen(chosen)) < 0)
        boot_problem(c, "the host name cannot be set: %s", errno_text(errno));
}

/* ---- machine-id ---- */

static int write_machine_id(const char *id) {
    char line[ID128_TEXT + 1];

    int n = snprintf(line, sizeof line, "%s\n", id);
    return file_write_atomic(AT_FDCWD, "/etc/machine-id", line, (size_t)n, 0444, true);
}

/* On a read-only root: good for this boot, in /run, and seen where everybody looks for it. */
static int bind_machine_id(const char *id) {
    char line[ID128_TEXT + 1];

    int n = snprintf(line, sizeof line, "%s\n", id);
    int r = file_write_atomic(AT_FDCWD, "/run/machine-id", line, (size_t)n, 0444, false);
    if (r < 0)
        return r;
    if (mount("/run/machine-id", "/etc/machine-id", NULL, MS_BIND, NULL) < 0)
        return negative_errno();
    (void)mount(NULL, "/etc/machine-id", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL);
    return 0;
}

void step_machine_id(struct boot_context *c) {
    char id[ID128_TEXT];

    if (id128_machine(id) >= 0 && (!*c->options.machine_id || streq(id, c->options.machine_id)))
        return;
    if (*c->options.machine_id)
        (void)snprintf(id, sizeof id, "%s", c->options.machine_id);
    else
        id128_random(id);
    int r = write_machine_id(id);
    if (r >= 0)
        return;
    int transient = bind_machine_id(id);
    if (transient >= 0)
        log_notice("/etc/machine-id cannot be written (%s): it is %s for this boot only", errno_text(r), id);
    else if (transient == -ENOENT)
        boot_problem(
            c, "/etc is read-only and has no machine-id: add an empty file /etc/machine-id to the image");
    else
        boot_problem(c, "no machine-id: %s", errno_text(transient));
}

/* ---- loopback ---- */

/* The kernel gives lo its addresses, 127.0.0.1/8 and ::1, when it comes up. */
void step_loopback(struct boot_context *c) {
    struct {
        struct nlmsghdr header;
        struct ifinfomsg info;
    } request = {
        .header = {.nlmsg_len = sizeof request,
            .nlmsg_type = RTM_NEWLINK,
            .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
            .nlmsg_seq = 1},
        .info = {.ifi_family = AF_UNSPEC,
            .ifi_index = (int)if_nametoindex("lo"),
            .ifi_flags = IFF_UP,
            .ifi_change = IFF_UP},
    };
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        char rest[256];
    } answer = {};

    _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    int r = 0;
    if (fd < 0 || send(fd, &request, sizeof request, 0) < 0 || recv(fd, &answer, sizeof answer, 0) < 0)
        r = negative_errno();
    else if (answer.header.nlmsg_type == NLMSG_ERROR)
        r = answer.error.error;
    if (r < 0)
        boot_problem(c, "the loopback interface cannot be set up: %s", errno_text(r));
}
