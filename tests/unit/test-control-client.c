/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-api.c; without: manager cli */
/* The client's end of the control socket, against a davitd that dies over what it is asked. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/str.h"
#include "control/client.h"
#include "control/methods.h"

#define PATIENCE (60 * USEC_PER_SEC)

static struct fixture {
    char directory[32], path[64];
    int listener;
    pid_t davitd;
    struct client *client;
    struct counts {
        unsigned asked, deaths; /* requests so far; davitds that are still to die over one */
    } * shared;
} f;

/* A davitd after the other: each connection is answered until there is one more death to die. */
static _noreturn_ void serve(void) {
    for (;;) {
        int fd = accept(f.listener, NULL, NULL);
        char c;
        while (fd >= 0 && read(fd, &c, 1) == 1) {
            if (c != '\0')
                continue;
            f.shared->asked++;
            if (f.shared->deaths > 0) {
                f.shared->deaths--;
                break;
            }
            static const char answer[] = "{\"parameters\":{\"well\":true}}";
            (void)!write(fd, answer, sizeof(answer));
        }
        (void)close(fd);
    }
}

static int setup(void **state _unused_) {
    struct sockaddr_un address;
    struct error e = {};
    socklen_t n;

    (void)strcpy(f.directory, "/tmp/davit-client-XXXXXX");
    assert_non_null(mkdtemp(f.directory));
    (void)snprintf(f.path, sizeof(f.path), "%s/control", f.directory);
    assert_int_equal(socket_address(f.path, &address, &n), 0);
    f.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f.listener, (struct sockaddr *)&address, n), 0);
    assert_int_equal(listen(f.listener, 8), 0);
    f.shared = mmap(NULL, sizeof(*f.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(f.shared != MAP_FAILED);
    f.davitd = fork();
    assert_true(f.davitd >= 0);
    if (f.davitd == 0)
        serve();
    assert_int_equal(client_open(f.directory, false, &f.client, &e), 0);
    return 0;
}

static int teardown(void **state _unused_) {
    client_free(f.client);
    (void)kill(f.davitd, SIGKILL);
    (void)waitpid(f.davitd, NULL, 0);
    (void)close(f.listener);
    (void)munmap(f.shared, sizeof(*f.shared));
    (void)unlink(f.path);
    (void)rmdir(f.directory);
    return 0;
}

static int call(const char *method, struct error *e) {
    struct client_reply reply;

    int r = client_call(f.client, method, json_pack("{ss}", "unit", "web"), PATIENCE, &reply, e);
    if (r >= 0) {
        assert_true(json_is_true(json_object_get(reply.parameters, "well")));
        client_reply_done(&reply);
    }
    return r;
}

static void ask_while_davitds_die(const char *method, bool question) {
    struct error e = {};

    f.shared->asked = 0;
    f.shared->deaths = 3;
    int r = call(method, &e);
    if (r != (question ? 0 : -ECONNRESET))
        fail_msg("%s: %d, %s", method, r, e.text);
    assert_int_equal(f.shared->asked, question ? 4 : 1);
}

static bool is_question(const struct method *m) {
    bool writes =
        (m->flags & METHOD_WRITES) && !(streq(m->interface, "io.davit.Manager") && streq(m->name, "Reload"));

    return startswith(m->interface, "io.davit.") && !writes && !(m->flags & METHOD_NEEDS_MORE);
}

static void questions_are_asked_of_the_next_davitd_and_nothing_else_is(void **state) {
    for (size_t i = 0; i < n_methods; i++) {
        _cleanup_free_ char *name = strf("%s.%s", methods[i].interface, methods[i].name);

        ask_while_davitds_die(name, is_question(&methods[i]));
        teardown(state); /* what has died over something else has closed the connection */
        setup(state);
    }
}

static void a_question_that_kills_every_davitd_is_given_up(void **state _unused_) {
    struct error e = {};

    f.shared->deaths = 1000;
    assert_int_equal(call("io.davit.Manager.GetStatus", &e), -ECONNRESET);
    assert_in_range(f.shared->asked, 2, 50);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(questions_are_asked_of_the_next_davitd_and_nothing_else_is),
        TEST(a_question_that_kills_every_davitd_is_given_up),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
