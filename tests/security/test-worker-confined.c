/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What whoever has taken over a davit-image can reach from it (worker/confine.h): each row is an attempt, and whether
 * it has to fail. */
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/fs.h"
#include "worker/confine.h"

static int make_socket(int family, int type, int protocol) {
    int fd = socket(family, type, protocol);
    return fd < 0 ? negative_errno() : close(fd);
}
static int internet(void) {
    return make_socket(AF_INET, SOCK_STREAM, 0);
}
static int internet6(void) {
    int r = make_socket(AF_INET6, SOCK_STREAM, 0);
    return r == -EAFNOSUPPORT ? 0 : r; /* a machine without */
}
static int routes(void) {
    return make_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}
static int davitd(void) {
    return make_socket(AF_UNIX, SOCK_STREAM, 0);
}
static int audit(void) {
    return make_socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);
}
static int crypto(void) {
    return make_socket(38 /* AF_ALG */, SOCK_SEQPACKET, 0);
}
static int hypervisor(void) {
    return make_socket(40 /* AF_VSOCK */, SOCK_STREAM, 0);
}
static int packets(void) {
    return make_socket(AF_PACKET, SOCK_RAW, 0);
}
static int keystrokes(void) {
    return ioctl(STDIN_FILENO, TIOCSTI, "x") < 0 ? negative_errno() : 0;
}
static int ready(void) {
    int n, fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return negative_errno();
    int r = ioctl(fds[0], FIONREAD, &n) < 0 ? negative_errno() : 0;
    (void)close(fds[0]);
    (void)close(fds[1]);
    return r;
}
static int mounting(void) {
    return mount("none", "/", "tmpfs", 0, NULL) < 0 ? negative_errno() : 0;
}
static int namespaces(void) {
    return unshare(CLONE_NEWUSER) < 0 ? negative_errno() : 0;
}
static int tracing(void) {
    return ptrace(PTRACE_ATTACH, getppid(), 0, 0) < 0 ? negative_errno() : 0;
}
static int execution(void) {
    char *argv[] = {(char[]){"true"}, NULL};
    return execv("/bin/true", argv) < 0 ? negative_errno() : 0;
}
static int handles(void) {
    return syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, O_RDONLY) < 0 ? negative_errno() : 0;
}

struct attempt {
    const char *name;
    int (*run)(void);
    enum confinement confinement;
    bool works;
};
static const struct attempt attempts[] = {
    {"what fetches reaches the Internet", internet, CONFINE_FETCH, true},
    {"what fetches reaches the Internet by IPv6", internet6, CONFINE_FETCH, true},
    {"the resolver asks for the machine's addresses", routes, CONFINE_FETCH, true},
    {"what fetches asks how much there is to read", ready, CONFINE_FETCH, true},
    {"what fetches has no word with davitd", davitd, CONFINE_FETCH, false},
    {"what fetches does not reach the kernel by other netlink", audit, CONFINE_FETCH, false},
    {"what fetches does not reach the kernel's ciphers", crypto, CONFINE_FETCH, false},
    {"what fetches does not reach the hypervisor", hypervisor, CONFINE_FETCH, false},
    {"what fetches sends no packets of its own making", packets, CONFINE_FETCH, false},
    {"what fetches types nothing on a terminal", keystrokes, CONFINE_FETCH, false},
    {"what unpacks reaches nobody", internet, CONFINE_UNPACK, false},
    {"what unpacks has no word with davitd", davitd, CONFINE_UNPACK, false},
    {"what makes trees reaches nobody", internet, CONFINE_TREE, false},
    {"what makes trees types nothing on a terminal", keystrokes, CONFINE_TREE, false},
    {"nothing is mounted", mounting, CONFINE_FETCH, false},
    {"no namespace is made", namespaces, CONFINE_FETCH, false},
    {"nobody is traced", tracing, CONFINE_FETCH, false},
    {"nothing is executed", execution, CONFINE_FETCH, false},
    {"no file is opened by its handle", handles, CONFINE_FETCH, false},
};

static void run_attempt(void **state) {
    const struct attempt *a = *state;
    const struct worker_command command = {.name = "test", .confinement = a->confinement};
    struct worker w = {.command = &command, .store.fd = -1, .output = -1, .progress_fd = -1};
    struct error e = {};
    int status;

    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (confine(&w, USEC_PER_SEC * 60, &e) < 0)
            _exit(255);
        int r = a->run();
        _exit(a->works ? -r : r == -EPERM ? 0 : r == 0 ? 254 : -r);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
    struct CMUnitTest tests[ARRAY_SIZE(attempts)];

    if (getuid() != 0) {
        printf("1..1\nok 1 - confined # SKIP needs root\n");
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(attempts); i++)
        tests[i] =
            (struct CMUnitTest){attempts[i].name, run_attempt, NULL, NULL, (void *)(uintptr_t)&attempts[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
