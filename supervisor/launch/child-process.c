/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The last steps: standard streams, working directory, identity, privileges, and the program itself. */
#include <grp.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#include "base/fs.h"
#include "launch/coverage.h"
#include "launch/internal.h"
#include "launch/resolve.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* ---- standard streams ---- */

static int null_fd(struct child *c) {
    /* The container's own, so that no descriptor of ours gets in. */
    return c->dev_fd >= 0 ? openat(c->dev_fd, "null", O_RDWR | O_CLOEXEC) : c->p->null_fd;
}

int step_stdio(struct child *c, struct error *e) {
    unsigned first_closed = 3;

    if (c->p->terminal_fd >= 0 && ioctl(c->p->terminal_fd, TIOCSCTTY, 0) < 0)
        return error_set_errno(e, errno, "make the terminal the controlling one");
    for (int i = 0; i < 3; i++) {
        int fd = c->p->standard[i] >= 0 ? c->p->standard[i] : null_fd(c);
        if (fd < 0)
            return error_set_errno(e, errno, "open /dev/null");
        if (dup2(fd, i) < 0)
            return error_set_errno(e, errno, "dup2 of standard stream %d", i);
    }
    if (c->p->pass_fd >= 0) {
        if (dup2(c->p->pass_fd, 3) < 0)
            return error_set_errno(e, errno, "dup2 of the passed descriptor");
        first_closed = 4;
    }
    /* Rule R5. All of them are close-on-exec from birth; this is for the one that somebody forgot. */
    if (close_range(first_closed, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        return error_set_errno(e, errno, "close_range");
    return 0;
}

/* ---- working directory ---- */

/* As docker and podman do with an image's WorkingDir. Before the root turns read-only. */
int step_make_working_directory(struct child *c, struct error *e) {
    if (!c->spec->working_dir)
        return 0;
    _cleanup_close_ int fd = root_open(c->root_fd, c->spec->working_dir, O_PATH | O_DIRECTORY);
    if (fd != -ENOENT)
        return fd < 0 ? error_set_errno(e, fd, "open %s", c->spec->working_dir) : 0;
    fd = root_make_directory(c->root_fd, c->spec->working_dir, 0755);
    return fd < 0 ? error_set_errno(e, fd, "make %s", c->spec->working_dir) : 0;
}

int step_working_directory(struct child *c, struct error *e) {
    const char *path = c->spec->working_dir ? c->spec->working_dir : "/";
    char where[PATH_MAX];

    _cleanup_close_ int fd = root_open(c->root_fd, path, O_PATH | O_DIRECTORY);
    if (fd < 0)
        return error_set_errno(e, fd, "open %s", path);
    if (fchdir(fd) < 0)
        return error_set_errno(e, errno, "chdir %s", path);
    /* CVE-2024-21626: a directory outside of the root shows up as "(unreachable)...". */
    int r = sys_getcwd(where, sizeof(where));
    if (r < 0)
        return error_set_errno(e, r, "getcwd in %s", path);
    if (where[0] != '/')
        return error_set(e, EXDEV, "%s is outside of the root file system", path);
    return 0;
}

/* ---- identity and privileges ---- */

int step_user(struct child *c, struct error *e) {
    struct identity *i = &c->identity;

    int r = identity_lookup(c->root_fd, c->spec, i, e);
    if (r < 0)
        return r;
    if (c->p->terminal_fd >= 0)
        (void)!fchown(c->p->terminal_fd, i->uid, (gid_t)-1);
    /* So that the next step can still drop what is to be dropped; ends with execve. */
    if (i->uid != 0 && prctl(PR_SET_KEEPCAPS, 1) < 0)
        return error_set_errno(e, errno, "keep capabilities");
    if (setgroups(i->n_groups, i->groups) < 0)
        return error_set_errno(e, errno, "setgroups (%zu groups)", i->n_groups);
    if (setresgid(i->gid, i->gid, i->gid) < 0)
        return error_set_errno(e, errno, "setresgid %u", i->gid);
    if (setresuid(i->uid, i->uid, i->uid) < 0)
        return error_set_errno(e, errno, "setresuid %u", i->uid);
    return 0;
}

int step_capabilities(struct child *c, struct error *e) {
    int r = capabilities_apply(c->spec->capabilities, c->spec->ambient_capabilities, c->identity.uid == 0,
        c->p->launcher->last_capability, e);
    if (r < 0)
        return r;
    if (c->spec->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set_errno(e, errno, "no_new_privs");
    return 0;
}

static int install_filter(const struct container_spec *s, struct error *e) {
    struct sock_fprog program = {
        .len = (unsigned short)(s->seccomp_size / sizeof(struct sock_filter)),
        .filter = (struct sock_filter *)(void *)s->seccomp,
    };

    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        return error_set_errno(e, errno, "install the system call filter of %u instructions", program.len);
    return 0;
}

/* Without no_new_privs only CAP_SYS_ADMIN may install a filter: that must be before it is dropped. The filter
 * then has to let the remaining steps through. */
int step_seccomp_privileged(struct child *c, struct error *e) {
    return c->spec->seccomp && !c->spec->no_new_privileges ? install_filter(c->spec, e) : 0;
}

int step_seccomp(struct child *c, struct error *e) {
    return c->spec->seccomp && c->spec->no_new_privileges ? install_filter(c->spec, e) : 0;
}

/* ---- the program ---- */

/* All signals as a new program expects them; ours are not the container's business. */
static void reset_signals(const struct child *c) {
    sigset_t none;

    for (int i = 1; i <= SIGRTMAX; i++)
        if (sigismember(&c->p->launcher->ignored, i) == 1 && !(i == SIGPIPE && c->spec->ignore_sigpipe))
            (void)signal(i, SIG_DFL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What follows from looking up the user, where the spec does not say otherwise. */
static int complete_environment(struct child *c, char ***ret) {
    const struct identity *i = &c->identity;
    const struct {
        const char *name, *value;
        bool wanted;
    } extra[] = {
        {"HOME", i->home, true},
        {"USER", i->name, c->spec->kind == SPEC_PROCESS && c->spec->user},
        {"LOGNAME", i->name, c->spec->kind == SPEC_PROCESS && c->spec->user},
    };
    size_t n = strv_length(c->spec->environment);

    char **env = calloc(n + ARRAY_SIZE(extra) + 1, sizeof(char *));
    if (!env)
        return -ENOMEM;
    if (n > 0)
        memcpy(env, c->spec->environment, n * sizeof(char *));
    for (size_t k = 0; k < ARRAY_SIZE(extra); k++) {
        if (!extra[k].wanted || isempty(extra[k].value) || strv_env_get(c->spec->environment, extra[k].name))
            continue;
        env[n] = strf("%s=%s", extra[k].name, extra[k].value);
        if (!env[n++])
            return -ENOMEM;
    }
    *ret = env;
    return 0;
}

static int execute_failed(const char *path, int number, struct error *e) {
    struct stat st;

    error_set_step(e, "execve");
    if (number == ENOENT && stat(path, &st) >= 0)
        error_set(e, ENOENT, "%s: its interpreter is missing", path);
    else
        error_set_errno(e, number, "execve %s", path);
    return -number;
}

/* As execvp(3), without its shell for files of no format. */
static int search_and_execute(const struct container_spec *s, char **env, struct error *e) {
    const char *path = strv_env_get(env, "PATH");
    char candidate[PATH_MAX];
    int denied = 0;

    for (const char *p = isempty(path) ? DEFAULT_PATH : path;; p++) {
        size_t n = strcspn(p, ":");
        if (n > 0 && *p == '/' && n + strlen(s->argv[0]) + 2 <= sizeof(candidate)) {
            memcpy(candidate, p, n);
            snprintf(candidate + n, sizeof(candidate) - n, "/%s", s->argv[0]);
            (void)execve(candidate, s->argv, env);
            if (errno == EACCES)
                denied = errno;
            else if (errno != ENOENT && errno != ENOTDIR)
                return execute_failed(candidate, errno, e);
            else if (access(candidate, F_OK) == 0)
                return execute_failed(candidate, ENOENT, e);
        }
        p += n;
        if (*p == '\0')
            break;
    }
    error_set_step(e, "execve");
    return error_set(e, denied ? EACCES : ENOENT, "%s: %s in $PATH", s->argv[0],
        denied ? "not executable" : "no such program");
}

int child_execute(struct child *c, struct error *e) {
    char **env = NULL;

    if (complete_environment(c, &env) < 0) {
        error_set(e, ENOMEM, "out of memory");
        error_set_step(e, "environment");
        return -ENOMEM;
    }
    umask(c->spec->umask == UINT32_MAX ? 0022 : c->spec->umask);
    reset_signals(c);
    const char *program = c->spec->program ? c->spec->program : c->spec->argv[0];
    if (!strchr(program, '/'))
        return search_and_execute(c->spec, env, e);
    (void)execve(program, c->spec->argv, env);
    return execute_failed(program, errno, e);
}
