/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

static struct termios saved;
static int saved_fd = -1;

/* Whichever of our standard descriptors is a terminal, or -1. */
static int own_terminal(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (isatty(fd))
            return fd;
    return -1;
}

int terminal_new(int *ret_master, int *ret_slave) {
    struct termios settings;
    int ours = own_terminal();

    _cleanup_close_ int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        return negative_errno();
    /* By the master's descriptor: /dev/pts here need not be the one that the master belongs to. */
    _cleanup_close_ int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return negative_errno();
    if (ours >= 0 && tcgetattr(ours, &settings) == 0)
        (void)tcsetattr(slave, TCSANOW, &settings);
    terminal_resize(master);
    *ret_master = TAKE_FD(master);
    *ret_slave = TAKE_FD(slave);
    return 0;
}

void terminal_resize(int master) {
    struct winsize size;
    int ours = own_terminal();
    if (ours >= 0 && ioctl(ours, TIOCGWINSZ, &size) == 0)
        (void)ioctl(master, TIOCSWINSZ, &size);
}

int terminal_raw(int fd) {
    static bool registered;
    struct termios raw;

    if (!isatty(fd) || tcgetattr(fd, &saved) < 0)
        return 0;
    if (!registered && atexit(terminal_restore) != 0)
        return -ENOMEM;
    registered = true;
    saved_fd = fd;
    raw = saved;
    cfmakeraw(&raw);
    return tcsetattr(fd, TCSADRAIN, &raw) < 0 ? negative_errno() : 0;
}

void terminal_restore(void) {
    if (saved_fd >= 0)
        (void)tcsetattr(saved_fd, TCSADRAIN, &saved);
    saved_fd = -1;
}

char terminal_eof(int master) {
    struct termios settings;
    return tcgetattr(master, &settings) == 0 ? (char)settings.c_cc[VEOF] : 4;
}
