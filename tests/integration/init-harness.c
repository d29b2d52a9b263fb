/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init-harness.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/fs.h"
#include "init/signals.h"
#include "log/protocol.h"

/* ---- the parts ---- */

static int fd_named(const char *name) {
    char *names = getenv("LISTEN_FDNAMES");
    _cleanup_free_ char *copy = names ? strdup(names) : NULL;
    int fd = 3;
    for (char *rest = copy, *p; rest && (p = strsep(&rest, ":")); fd++)
        if (streq(p, name))
            return fd;
    return -1;
}

void notify(const char *text, int fd) {
    struct sockaddr_un address;
    socklen_t length;
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || socket_address(path, &address, &length) < 0)
        return;
    int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (connect(s, (struct sockaddr *)&address, length) == 0)
        (void)socket_send_fds(s, text, strlen(text), &fd, fd >= 0 ? 1 : 0, 0);
    (void)close(s);
}

static int child_exits(void *status) {
    _exit((int)(intptr_t)status);
}

/* As a launcher: the child is davit-init's. */
static pid_t spawn(int status) {
    static char stack[16384] __attribute__((aligned(16)));
    pid_t pid;
    while ((pid = clone(child_exits, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_PARENT | SIGCHLD,
                (void *)(intptr_t)status)) < 0)
        (void)usleep(1000);
    return pid;
}

/* count children with statuses 0..99 in turn; who they were goes into the shared file. */
static void command_spawn(unsigned count) {
    _cleanup_close_ int fd = open("spawned", O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
    for (unsigned i = 0; i < count; i++) {
        struct ended e = {.status = (int)(i % 100)};
        e.pid = spawn(e.status);
        (void)!write(fd, &e, sizeof e);
    }
}

/* As command_spawn(), while davit-init is replaced as often as it can be. */
static void command_churn(unsigned count) {
    for (unsigned i = 0; i < count; i += 20) {
        notify("X_DAVIT_REEXEC=1", -1);
        command_spawn(20);
        (void)usleep(1000);
    }
}

static void command_orphan(void) {
    pid_t child = fork();
    if (child == 0) {
        if (fork() == 0) {
            while (getppid() != 1 && getppid() == (pid_t)atoi(getenv("TEST_NOBODY")))
                (void)usleep(1000);
            (void)usleep(50000);
            _exit(77);
        }
        _exit(0);
    }
    (void)waitpid(child, NULL, 0);
}

static void reply(int socket, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void reply(int socket, const char *fmt, ...) {
    char text[MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)send(socket, text, (size_t)n, MSG_NOSIGNAL);
}

static void do_command(int socket, char *text) {
    char *argument = strchr(text, ' ');
    if (argument)
        *argument++ = '\0';

    if (streq(text, "exit"))
        _exit(atoi(argument));
    else if (streq(text, "abort"))
        abort();
    else if (streq(text, "hang"))
        for (;;)
            (void)pause();
    else if (streq(text, "notify"))
        notify(argument, -1);
    else if (streq(text, "store")) {
        char message[200];
        int fd = memfd_create(argument, MFD_CLOEXEC);
        (void)!write(fd, argument, strlen(argument));
        (void)snprintf(message, sizeof message, "FDSTORE=1\nFDNAME=%s\n", argument);
        notify(message, fd);
        (void)close(fd);
    } else if (streq(text, "store-and-remove")) {
        char message[200];
        do_command(socket, strcpy(message, "store short"));
        notify("FDSTOREREMOVE=1\nFDNAME=short", -1);
    } else if (streq(text, "flood")) {
        for (int i = atoi(argument); i > 0; i--)
            notify("STATUS=again", -1);
    } else if (streq(text, "names"))
        reply(socket, "%s", getenv("LISTEN_FDNAMES"));
    else if (streq(text, "content")) {
        char content[200] = "";
        (void)!pread(fd_named(argument), content, sizeof content - 1, 0);
        reply(socket, "%s", content);
    } else if (streq(text, "getenv"))
        reply(socket, "%s", getenv(argument) ? getenv(argument) : "(unset)");
    else if (streq(text, "limit")) {
        struct rlimit limit;
        (void)getrlimit(RLIMIT_NOFILE, &limit);
        reply(socket, "%llu", (unsigned long long)limit.rlim_cur);
    } else if (streq(text, "write")) /* to our end of a pair */
        (void)send(atoi(argument) > 0 ? atoi(argument) : fd_named(argument), "x", 1, MSG_DONTWAIT);
    else if (streq(text, "spawn")) {
        command_spawn((unsigned)atoi(argument));
        reply(socket, "done");
    } else if (streq(text, "churn")) {
        command_churn((unsigned)atoi(argument));
        reply(socket, "done");
    } else if (streq(text, "receive")) { /* from a descriptor by number */
        char content[200] = "";
        (void)recv(atoi(argument), content, sizeof content - 1, MSG_DONTWAIT);
        reply(socket, "%s", content);
    } else if (streq(text, "orphan")) {
        command_orphan();
        reply(socket, "done");
    } else if (streq(text, "read")) { /* argument records, at most, of the feed */
        struct feed_record records[1024];
        ssize_t n = read(fd_named("feed"), records, (size_t)atoi(argument) * sizeof records[0]);
        (void)send(socket, records, n > 0 ? (size_t)n : 1, MSG_NOSIGNAL);
    } else if (streq(text, "fds")) {
        char path[64], target[256];
        size_t count = 0;
        for (int fd = 3; fd < 1000; fd++) {
            (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
            ssize_t n = readlink(path, target, sizeof target - 1);
            count += n > 0 && fd != socket;
        }
        reply(socket, "%zu", count);
    }
}

static volatile sig_atomic_t got_term;
static void on_term(int signal _unused_) {
    got_term = 1;
}

/* davitd: its signals came blocked, and are taken when it is ready for them. SIGTERM answers "TERM" to the
 * test. */
static _noreturn_ void be_part(const char *name) {
    struct sockaddr_un address;
    socklen_t length;
    char text[MESSAGE_MAX];
    sigset_t none;

    if (chdir(getenv("TEST_DIRECTORY")) < 0 || socket_address("socket", &address, &length) < 0)
        _exit(99);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, length) < 0)
        _exit(98);
    (void)signal(SIGPIPE, SIG_IGN);
    if (streq(name, "davitd")) {
        const struct sigaction action = {.sa_handler = on_term};
        (void)sigaction(SIGTERM, &action, NULL);
    }
    reply(fd, "%s %d", name, getpid());
    sigemptyset(&none);
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (ppoll(&p, 1, NULL, &none) < 0) {
            if (got_term)
                reply(fd, "TERM");
            got_term = 0;
            continue;
        }
        ssize_t n = recv(fd, text, sizeof text - 1, 0);
        if (n <= 0)
            _exit(0);
        text[n] = '\0';
        do_command(fd, text);
    }
}

/* ---- the test's side ---- */

struct rig rig;

int setup(void **state _unused_) {
    char path[128], self[512];
    struct sockaddr_un address;
    socklen_t length;
    static const char *const names[] = {"davitd", "davit-launch", "davit-logd"};
    const char *build = getenv("DAVIT_BUILD");

    rig = (struct rig){.manager.fd = -1, .logd.fd = -1, .up = -1};
    for (size_t i = 0; i < LAUNCH_COUNT; i++)
        rig.launchers[i].fd = -1;
    (void)snprintf(rig.program, sizeof rig.program, "%s/davit-init", build ? build : "build");
    (void)strcpy(rig.directory, "/tmp/davit-test-init-XXXXXX");
    assert_non_null(mkdtemp(rig.directory));
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(n > 0);
    self[n] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", rig.directory, names[i]);
        assert_int_equal(symlink(self, path), 0);
    }
    (void)snprintf(path, sizeof path, "%s/socket", rig.directory);
    assert_int_equal(socket_address(path, &address, &length), 0);
    rig.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(rig.listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(rig.listener, 4096), 0);
    rig.log = openat(AT_FDCWD, "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(rig.log >= 0);
    (void)unsetenv("NOTIFY_SOCKET");
    (void)setenv("DAVIT_WATCHDOG_USEC", "0", 1);
    (void)setenv("TEST_DIRECTORY", rig.directory, 1);
    (void)setenv("TEST_NOBODY", "0", 1);
    return 0;
}

bool logged(const char *wanted) {
    char text[65536];
    ssize_t n = pread(rig.log, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return strstr(text, wanted) != NULL;
}

unsigned count_logged(const char *wanted) {
    static char text[1024 * 1024];
    unsigned n = 0;

    ssize_t size = pread(rig.log, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    for (const char *p = text; (p = strstr(p, wanted)); p++)
        n++;
    return n;
}

bool comes_to_be_logged(const char *wanted, unsigned count) {
    for (int i = 0; i < WAIT_MSEC / 5; i++) {
        if (count_logged(wanted) >= count)
            return true;
        (void)usleep(5000);
    }
    return false;
}

void forget(struct part_seen *p) {
    close_and_reset(&p->fd);
    p->pid = 0;
}

int teardown(void **state _unused_) {
    struct part_seen *parts[] = {&rig.manager, &rig.logd, &rig.launchers[0], &rig.launchers[1]};
    if (rig.pid > 0) {
        (void)kill(rig.pid, SIGKILL);
        (void)waitpid(rig.pid, NULL, 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        forget(parts[i]);
    (void)close(rig.listener);
    (void)close(rig.log);
    close_and_reset(&rig.up);
    (void)remove_tree(AT_FDCWD, rig.directory);
    return 0;
}

_noreturn_ void exec_init(void) {
    char runtime[128], libexec[128];
    (void)snprintf(runtime, sizeof runtime, "--runtime-dir=%s/run/davit", rig.directory);
    (void)snprintf(libexec, sizeof libexec, "--libexec-dir=%s", rig.directory);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(rig.log, STDERR_FILENO);
    (void)execl(rig.program, "davit-init", runtime, libexec, getenv("TEST_WORD"), NULL);
    _exit(127);
}

void start_init_with(int clone_flags) {
    if (clone_flags)
        assert_int_equal(unshare(clone_flags), 0);
    rig.pid = fork();
    assert_true(rig.pid >= 0);
    if (rig.pid == 0)
        exec_init();
}

void start_init(void) {
    start_init_with(0);
}

/* The next message of a part; NULL when none comes in time, or it has gone. */
char *hear_for(const struct part_seen *p, int msec) {
    static char text[MESSAGE_MAX];
    struct pollfd poll_fd = {.fd = p->fd, .events = POLLIN};
    if (poll(&poll_fd, 1, msec) <= 0)
        return NULL;
    ssize_t n = recv(p->fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return NULL;
    text[n] = '\0';
    return text;
}

char *hear(const struct part_seen *p) {
    char *text = hear_for(p, WAIT_MSEC);
    assert_non_null(text);
    return text;
}

void tell(const struct part_seen *p, const char *text) {
    assert_int_equal(send(p->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

char *ask(const struct part_seen *p, const char *text) {
    tell(p, text);
    return hear(p);
}

/* Takes the next part that says hello. False when none does in time. */
bool meet_for(int msec, struct part_seen **ret) {
    struct part_seen p, *known;
    struct pollfd poll_fd = {.fd = rig.listener, .events = POLLIN};
    char name[64], *hello = NULL;

    while (!hello) {
        if (poll(&poll_fd, 1, msec) <= 0)
            return false;
        p.fd = accept4(rig.listener, NULL, NULL, SOCK_CLOEXEC);
        assert_true(p.fd >= 0);
        hello = hear_for(&p, WAIT_MSEC);
        if (!hello) /* it was replaced in the middle of it */
            (void)close(p.fd);
    }
    assert_int_equal(sscanf(hello, "%63s %d", name, &p.pid), 2);
    if (streq(name, "davitd"))
        known = &rig.manager;
    else if (streq(name, "davit-logd"))
        known = &rig.logd;
    else
        known = &rig.launchers[name[12] - '0'];
    forget(known);
    *known = p;
    *ret = known;
    return true;
}

void meet(struct part_seen *wanted) {
    struct part_seen *p;
    do
        assert_true(meet_for(WAIT_MSEC, &p));
    while (p != wanted);
}

void meet_all(void) {
    struct part_seen *p;
    for (size_t i = 0; i < LAUNCH_COUNT; i++)
        forget(&rig.launchers[i]);
    forget(&rig.manager);
    forget(&rig.logd);
    while (rig.manager.fd < 0 || rig.logd.fd < 0 || rig.launchers[0].fd < 0 || rig.launchers[1].fd < 0)
        assert_true(meet_for(WAIT_MSEC, &p));
}

int wait_end(void) {
    int status;
    for (int i = 0; i < WAIT_MSEC / 10; i++) {
        if (waitpid(rig.pid, &status, WNOHANG) == rig.pid) {
            rig.pid = 0;
            return status;
        }
        (void)usleep(10000);
    }
    fail_msg("davit-init does not end");
    return -1;
}

void stop_by(int signal, int wanted_status) {
    (void)kill(rig.pid, signal);
    assert_string_equal(hear(&rig.manager), "TERM");
    tell(&rig.manager, "exit 0");
    int status = wait_end();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), wanted_status);
}

/* At most max records that are there now. */
size_t read_feed(struct feed_record *records, size_t max) {
    size_t count = 0;
    for (;;) {
        tell(&rig.manager, "read 1024");
        struct pollfd p = {.fd = rig.manager.fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, WAIT_MSEC), 1);
        char buffer[1024 * sizeof(struct feed_record)];
        ssize_t n = recv(rig.manager.fd, buffer, sizeof buffer, 0);
        if (n < (ssize_t)sizeof records[0])
            return count;
        size_t got = (size_t)n / sizeof records[0];
        assert_true(count + got <= max);
        memcpy(records + count, buffer, got * sizeof records[0]);
        count += got;
    }
}

size_t wait_feed(struct feed_record *records, size_t max, size_t wanted) {
    size_t n = read_feed(records, max);

    for (int i = 0; i < WAIT_MSEC / 20 && n < wanted; i++) {
        (void)usleep(20000);
        n += read_feed(records + n, max - n);
    }
    return n;
}

int by_pid(const void *a, const void *b) {
    const struct ended *x = a, *y = b;
    return x->pid != y->pid ? x->pid - y->pid : x->status - y->status;
}

void be_part_if_called_so(char **argv) {
    const char *name = path_basename(argv[0]);
    const struct rlimit no_core = {0, 0};

    if (streq(name, "davit-launch")) {
        char full[64];
        (void)snprintf(full, sizeof full, "davit-launch%.8s", argv[1]);
        be_part(full);
    }
    if (streq(name, "davitd") || streq(name, "davit-logd"))
        be_part(name);
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)signal(SIGPIPE, SIG_IGN);
}
