/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the demo's and the tests' containers run where busybox has no word for it. Static, libc only.
 *
 *   payload notify TEXT...     sends each TEXT to $NOTIFY_SOCKET ("READY=1")
 *   payload serve SECONDS      works for a while, says READY=1, then waits for SIGTERM and leaves with 0
 *   payload eat MEGABYTES      takes memory, a megabyte at a time, and touches it; says how far it got
 *   payload lines N WORD       writes N numbered lines
 *   payload exit STATUS | payload signal NUMBER
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int notify(const char *text) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof to.sun_path)
        return -1;
    strcpy(to.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    ssize_t n = sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof to);
    close(fd);
    return n < 0 ? -1 : 0;
}

static void leave(int number) {
    (void)number;
    static const char goodbye[] = "asked to stop, leaving\n";
    (void)!write(1, goodbye, sizeof goodbye - 1);
    _exit(0);
}

static void serve(int seconds) {
    struct sigaction action = {.sa_handler = leave};
    sigaction(SIGTERM, &action, NULL);
    printf("opening the books, %d s\n", seconds);
    sleep((unsigned)seconds);
    if (notify("READY=1\nSTATUS=serving") < 0)
        perror("notify");
    printf("ready\n");
    for (;;)
        pause();
}

static int eat(int megabytes) {
    for (int i = 1; i <= megabytes; i++) {
        char *p = malloc(1 << 20);
        if (!p)
            return 1;
        memset(p, i, 1 << 20);
        if (i % 8 == 0)
            printf("took %d MiB\n", i);
    }
    return 0;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *verb = argc > 1 ? argv[1] : "";
    int number = argc > 2 ? atoi(argv[2]) : 0;
    if (strcmp(verb, "notify") == 0) {
        for (int i = 2; i < argc; i++)
            if (notify(argv[i]) < 0)
                return 1;
        return 0;
    }
    if (strcmp(verb, "serve") == 0)
        serve(number);
    if (strcmp(verb, "eat") == 0)
        return eat(number);
    if (strcmp(verb, "exit") == 0)
        return number;
    if (strcmp(verb, "signal") == 0)
        return raise(number);
    if (strcmp(verb, "lines") == 0) {
        for (int i = 1; i <= number; i++)
            printf("%s %d\n", argc > 3 ? argv[3] : "line", i);
        return 0;
    }
    fprintf(stderr, "usage: payload notify|serve|eat|lines|exit|signal ...\n");
    return 2;
}
