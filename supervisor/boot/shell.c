/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/shell.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/paths.h"
#include "init/boot.h"

#define CONSOLE "/dev/console"
#define REPORT_MAX (64 * 1024)

/* What a program before us, or a crash, may have left of the settings. */
static void reset_terminal(int fd) {
    struct termios t;

    if (tcgetattr(fd, &t) < 0)
        return;
    t.c_iflag = (t.c_iflag & ~(tcflag_t)(IGNBRK | INLCR | IGNCR | IUCLC)) | ICRNL | IXON;
    t.c_oflag |= OPOST | ONLCR;
    t.c_cflag |= CREAD;
    t.c_lflag |= ISIG | ICANON | ECHO | ECHOE | ECHOK | IEXTEN;
    (void)tcsetattr(fd, TCSANOW, &t);
    (void)tcflush(fd, TCIFLUSH);
}

/* Standard input and output become the console, and it our controlling terminal, taken from whoever has it:
 * so that Ctrl-C reaches what runs in the shell. */
static int take_console(void) {
    (void)setsid();
    int fd = open(CONSOLE, O_RDWR | O_NOCTTY);
    if (fd < 0)
        return log_errno(LOG_ERR, errno, "no shell: " CONSOLE);
    if (ioctl(fd, TIOCSCTTY, 1) < 0)
        (void)log_errno(LOG_WARNING, errno, "no job control on " CONSOLE);
    reset_terminal(fd);
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
        if (dup2(fd, i) < 0)
            return negative_errno();
    if (fd > STDERR_FILENO)
        (void)close(fd);
    return 0;
}

/* Why we are here, in davit-boot's own words. */
static void print_reasons(void) {
    _cleanup_(paths_done) struct paths paths = {};
    _cleanup_free_ char *text = NULL;

    if (paths_load(&paths) < 0)
        return;
    _cleanup_free_ char *path = path_join(paths.runtime, BOOT_REPORT_NAME);
    if (!path || file_read(AT_FDCWD, path, REPORT_MAX, &text, NULL) < 0)
        return;
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
        if (startswith(line, "emergency ") || startswith(line, "problem "))
            (void)printf("  %s\n", strchr(line, ' ') + 1);
}

static void greet(const char *name, bool returns) {
    (void)printf("\ndavit: %s shell\n", name);
    if (returns) {
        print_reasons();
        (void)puts("\"davit status\" shows what runs, \"davit reboot\" reboots; leave the shell to go on to "
                   "the default "
                   "target.");
    }
    (void)fflush(stdout);
}

/* util-linux's sulogin. The one of busybox, a link to it, knows no --force and refuses a locked root. */
static bool opens_for_everybody(const char *path) {
    _cleanup_free_ char *real = realpath(path, NULL);

    return real && streq(path_basename(real), "sulogin");
}

static _noreturn_ void execute(const char *name) {
    static const char *const sulogins[] = {"/sbin/sulogin", "/usr/sbin/sulogin"};
    static const char *const shells[] = {"/bin/bash", "/bin/sh", "/usr/bin/sh"};

    for (int s = 1; s < SIGRTMIN; s++)
        (void)signal(s, SIG_DFL);
    (void)setenv("HOME", "/root", 1);
    (void)setenv("USER", "root", 1);
    (void)setenv("TERM", "linux", 0);
    if (chdir("/root") < 0)
        (void)!chdir("/");
    for (size_t i = 0; i < ARRAY_SIZE(sulogins); i++)
        if (opens_for_everybody(sulogins[i]))
            (void)execl(sulogins[i], "sulogin", "--force", (char *)NULL);
    for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
        (void)execl(shells[i], "-sh", (char *)NULL);
    (void)log_errno(LOG_ERR, errno, "no %s shell: %s", name, shells[ARRAY_SIZE(shells) - 1]);
    _exit(127);
}

int shell_run(const char *name) {
    bool returns = !streq(name, "console");
    int status = 0;

    if (getppid() != 1) {
        (void)fputs(
            "A shell on the console is for machines and containers of which davit is the first process.\n",
            stderr);
        return SHELL_EXIT_NOT_OURS;
    }
    if (take_console() < 0)
        return EXIT_FAILURE;
    greet(name, returns);
    pid_t pid = fork();
    /* Without another process the shell takes our place: nobody goes on to the default target after it, but
     * somebody can kill what is in the way. */
    if (pid < 0)
        (void)log_errno(LOG_WARNING, errno, "the machine does not go on by itself when the shell is left");
    if (pid <= 0)
        execute(name);
    if (waitpid(pid, &status, 0) < 0)
        return EXIT_FAILURE;
    if (returns && WIFEXITED(status) && WEXITSTATUS(status) != 127) {
        (void)execlp(
            "davit", "davit", "start", "--job-mode=isolate", "--no-block", "default.target", (char *)NULL);
        (void)log_errno(LOG_ERR, errno, "cannot go on: davit");
    }
    return EXIT_FAILURE;
}
