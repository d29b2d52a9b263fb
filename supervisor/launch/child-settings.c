/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names, links, kernel parameters and resource limits. */
#include <ctype.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/fs.h"
#include "launch/internal.h"
#include "launch/resolve.h"

int step_hostname(struct child *c, struct error *e) {
    const char *name = c->spec->hostname;

    if (!name || !(c->spec->namespaces & NS_UTS))
        return 0;
    if (sethostname(name, strlen(name)) < 0)
        return error_set_errno(e, errno, "sethostname %s", name);
    return 0;
}

int step_network(struct child *c, struct error *e) {
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

    if (!(c->spec->namespaces & NS_NETWORK))
        return 0;
    _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno == EAFNOSUPPORT ? 0 : error_set_errno(e, errno, "socket");
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        return error_set_errno(e, errno, "set lo up");
    return 0;
}

/* ---- sysctls ---- */

/* Rule R9: only what a namespace of the container's own holds. Everything else would change the host. */
static const struct {
    const char *prefix;
    enum spec_namespace ns;
} sysctls[] = {
    {"net/", NS_NETWORK},
    {"kernel/msg", NS_IPC},
    {"kernel/sem", NS_IPC},
    {"kernel/shm", NS_IPC},
    {"fs/mqueue/", NS_IPC},
    {"kernel/hostname", NS_UTS},
    {"kernel/domainname", NS_UTS},
};

/* "net.ipv4.ip_forward", or with slashes where a name has dots in it (sysctl.d(5)), to a path below
 * /proc/sys. */
static int sysctl_path(const char *key, char *path, size_t size, struct error *e) {
    bool dots = key[strcspn(key, "./")] == '.';
    size_t n = strlen(key);

    if (n >= size || !isalnum((unsigned char)key[0]))
        return error_set(e, EINVAL, "%s is no kernel parameter", key);
    for (size_t i = 0; i <= n; i++) {
        char ch = key[i];
        if (ch != '\0' && !isalnum((unsigned char)ch) && !strchr("._-/:@", ch))
            return error_set(e, EINVAL, "%s is no kernel parameter", key);
        path[i] = dots && ch == '.' ? '/' : dots && ch == '/' ? '.' : ch;
    }
    if (strstr(path, "..") || strstr(path, "//"))
        return error_set(e, EINVAL, "%s is no kernel parameter", key);
    return 0;
}

static int set_sysctl(struct child *c, const struct spec_sysctl *s, struct error *e) {
    char path[256] = "sys/";
    bool allowed = false;

    int r = sysctl_path(s->key, path + 4, sizeof(path) - 4, e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(sysctls) && !allowed; i++)
        allowed = startswith(path + 4, sysctls[i].prefix) && (c->spec->namespaces & sysctls[i].ns);
    if (!allowed)
        return error_set(e, EPERM, "%s is not in a namespace of the container's own", s->key);

    _cleanup_close_ int fd = root_open_strict(c->proc_fd, path, O_WRONLY);
    if (fd < 0)
        return error_set_errno(e, fd, "%s: open /proc/%s", s->key, path);
    r = write_all(fd, s->value, strlen(s->value));
    return r < 0 ? error_set_errno(e, r, "%s: write \"%s\"", s->key, s->value) : 0;
}

int step_sysctls(struct child *c, struct error *e) {
    for (uint32_t i = 0; i < c->spec->n_sysctls; i++) {
        int r = set_sysctl(c, &c->spec->sysctls[i], e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- resource limits ---- */

static int limit_failed(const struct spec_rlimit *l, int number, struct error *e) {
    return error_set_errno(
        e, number, "set limit %u to %ju:%ju", l->resource, (uintmax_t)l->soft, (uintmax_t)l->hard);
}

/* Raises hard limits of pid (0 = ourselves) where the spec wants more than there is, and touches nothing
 * else: a low limit could keep the steps from working. */
static int raise_limits(pid_t pid, const struct container_spec *s, struct error *e) {
    for (uint32_t i = 0; i < s->n_rlimits; i++) {
        const struct spec_rlimit *l = &s->rlimits[i];
        struct rlimit now;

        if (prlimit(pid, l->resource, NULL, &now) < 0)
            return limit_failed(l, errno, e);
        if (now.rlim_max >= l->hard)
            continue;
        now.rlim_max = l->hard;
        if (prlimit(pid, l->resource, &now, NULL) < 0)
            return limit_failed(l, errno, e);
    }
    return 0;
}

int step_raise_limits(struct child *c, struct error *e) {
    return raise_limits(0, c->spec, e);
}

int step_rlimits(struct child *c, struct error *e) {
    const struct container_spec *s = c->spec;
    /* The launcher raised its own for the sake of many layers. */
    struct rlimit nofile = c->p->launcher->nofile;

    (void)setrlimit(RLIMIT_NOFILE, &nofile);
    for (uint32_t i = 0; i < s->n_rlimits; i++) {
        const struct rlimit l = {.rlim_cur = s->rlimits[i].soft, .rlim_max = s->rlimits[i].hard};
        if (setrlimit((int)s->rlimits[i].resource, &l) < 0)
            return limit_failed(&s->rlimits[i], errno, e);
    }
    return 0;
}

static int set_oom_score(pid_t pid, const struct container_spec *s, struct error *e) {
    char path[64], value[16];

    if (s->oom_score_adjust == INT32_MIN)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
    snprintf(value, sizeof(value), "%d", s->oom_score_adjust);
    int r = file_write(AT_FDCWD, path, value);
    return r < 0 ? error_set_errno(e, r, "set OOMScoreAdjust=%d", s->oom_score_adjust) : 0;
}

static int set_scheduling(pid_t pid, const struct container_spec *s, struct error *e) {
    const struct sched_param parameter = {.sched_priority = (int)s->cpu_priority};

    if (s->nice != INT32_MIN && setpriority(PRIO_PROCESS, (id_t)pid, s->nice) < 0)
        return error_set_errno(e, errno, "set Nice=%d", s->nice);
    if (s->cpu_policy != SCHED_OTHER && sched_setscheduler(pid, (int)s->cpu_policy, &parameter) < 0)
        return error_set_errno(e, errno, "set CPUSchedulingPolicy=");
    if (s->io_priority != 0 && sys_ioprio_set(pid, s->io_priority) < 0)
        return error_set_errno(e, errno, "set IOSchedulingClass=");
    return 0;
}

static int raise_limits_in_namespace(pid_t pid, const struct container_spec *s, struct error *e) {
    return s->kind == SPEC_CONTAINER && (s->namespaces & NS_USER) ? raise_limits(pid, s, e) : 0;
}

int settings_from_outside(pid_t pid, const struct container_spec *s, struct error *e) {
    static const struct {
        const char *step;
        int (*set)(pid_t pid, const struct container_spec *s, struct error *e);
    } settings[] = {
        {"rlimits", raise_limits_in_namespace},
        {"oom-score-adjust", set_oom_score},
        {"scheduling", set_scheduling},
    };

    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        int r = settings[i].set(pid, s, e);
        if (r < 0) {
            error_set_step(e, settings[i].step);
            return r;
        }
    }
    return 0;
}
