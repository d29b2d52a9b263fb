/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-api.c; without: manager cli */
/* What the methods do with the manager, and that the interface files tell the truth about them. */
#include "control-harness.h"

#include <ctype.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "control/client.h"
#include "control/methods.h"

static json_t *ask(struct harness *h, int fd, const char *request) {
    harness_say(fd, request);
    return harness_hear(h, fd);
}

static void expect_error(struct harness *h, int fd, const char *request, const char *error) {
    json_t *r = ask(h, fd, request);
    assert_non_null(r);
    assert_non_null(reply_error(r));
    assert_string_equal(reply_error(r), error);
    json_decref(r);
}

static void expect_success(struct harness *h, int fd, const char *request) {
    json_t *r = ask(h, fd, request);
    assert_non_null(r);
    assert_null(reply_error(r));
    json_decref(r);
}

#define UNIT(method, parameters) "{\"method\":\"io.davit.Unit." method "\",\"parameters\":{" parameters "}}"
#define MANAGER(method, parameters) \
    "{\"method\":\"io.davit.Manager." method "\",\"parameters\":{" parameters "}}"

/* ---- the interface files ---- */

/* "NAME(a: int, b: ?string) -> (...)" after the word `method`: the parameters as in struct method, "!a b",
 * sorted as written. */
static char *parameters_of(const char *p) {
    struct strbuf b = {};
    p = strchr(p, '(') + 1;
    while (*p && *p != ')') {
        p += strspn(p, " ,\n");
        if (*p == ')')
            break;
        size_t n = strcspn(p, ": ");
        const char *type = p + n + strspn(p + n, ": ");
        if (b.length > 0)
            strbuf_putc(&b, ' ');
        if (*type != '?')
            strbuf_putc(&b, '!');
        strbuf_append(&b, p, n);
        unsigned depth = 0; /* enumerations have brackets of their own */
        for (p = type; *p && (depth > 0 || (*p != ',' && *p != ')')); p++)
            depth += (*p == '(') - (*p == ')');
    }
    return strbuf_take(&b);
}

static char *parameters_in_table(const struct method *m) {
    struct strbuf b = {};
    for (size_t i = 0; i < METHOD_PARAMETERS_MAX && m->parameters[i]; i++)
        strbuf_printf(&b, "%s%s", i ? " " : "", m->parameters[i]);
    return strbuf_take(&b);
}

static void what_the_files_promise_is_kept(void **state _unused_) {
    size_t in_files = 0;
    for (size_t i = 0; interface_name(i); i++) {
        const char *name = interface_name(i), *text = interface_text(name);
        assert_non_null(text);
        _cleanup_free_ char *header = strf("\ninterface %s\n", name);
        assert_non_null(strstr(text, header));
        for (const char *p = strstr(text, "\nmethod "); p; p = strstr(p, "\nmethod ")) {
            p += strlen("\nmethod ");
            size_t n = strcspn(p, "(");
            const struct method *found = NULL;
            for (size_t k = 0; k < n_methods; k++)
                if (streq(methods[k].interface, name) && strlen(methods[k].name) == n &&
                    strncmp(methods[k].name, p, n) == 0)
                    found = &methods[k];
            if (!found)
                fail_msg("%s.%.*s is in the file only", name, (int)n, p);
            _cleanup_free_ char *promised = parameters_of(p), *kept = parameters_in_table(found);
            assert_string_equal(kept, promised);
            in_files++;
        }
    }
    assert_int_equal(in_files, n_methods);
}

static void the_service_describes_itself(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    json_t *r = ask(&h, h.client, "{\"method\":\"org.varlink.service.GetInfo\"}"), *interface;
    size_t i;
    assert_int_equal(json_array_size(reply_get(r, "interfaces")), 4);
    json_array_foreach(reply_get(r, "interfaces"), i, interface) {
        _cleanup_free_ char *request = strf("{\"method\":\"org.varlink.service.GetInterfaceDescription\","
                                            "\"parameters\":{\"interface\":\"%s\"}}",
            json_string_value(interface));
        json_t *d = ask(&h, h.client, request);
        assert_non_null(strstr(reply_string(d, "description"), json_string_value(interface)));
        json_decref(d);
    }
    json_decref(r);
    expect_error(&h, h.client,
        "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"a.b\"}}",
        "org.varlink.service.InterfaceNotFound");
    harness_end(&h);
}

/* ---- errors ---- */

static void wrong_requests_are_told_what_is_wrong(void **state _unused_) {
    static const struct {
        const char *request, *error;
    } cases[] = {
        {"{\"method\":\"nonsense\"}", "org.varlink.service.InterfaceNotFound"},
        {"{\"method\":\"\"}", "org.varlink.service.InterfaceNotFound"},
        {"{\"method\":\"a.b.C\"}", "org.varlink.service.InterfaceNotFound"},
        {MANAGER("Nonsense", ""), "org.varlink.service.MethodNotFound"},
        {"{\"method\":\"io.davit.Manager.\"}", "org.varlink.service.MethodNotFound"},
        {"{\"method\":\"io.davit.Manager.GetStatus\",\"upgrade\":true}",
            "org.varlink.service.MethodNotImplemented"},
        {"{\"method\":\"io.davit.Manager.GetStatus\",\"parameters\":[]}",
            "org.varlink.service.InvalidParameter"},
        {MANAGER("GetStatus", "\"x\":1"), "org.varlink.service.InvalidParameter"},
        {MANAGER("Exit", "\"status\":256"), "org.varlink.service.InvalidParameter"},
        {UNIT("Describe", ""), "org.varlink.service.InvalidParameter"},
        {UNIT("Describe", "\"unit\":null"), "org.varlink.service.InvalidParameter"},
        {UNIT("Describe", "\"unit\":1"), "org.varlink.service.InvalidParameter"},
        {UNIT("Describe", "\"unit\":\"a/b\""), "io.davit.Unit.InvalidUnit"},
        {UNIT("Describe", "\"unit\":\"none\""), "io.davit.Unit.NoSuchUnit"},
        {UNIT("Start", "\"unit\":\"web\",\"mode\":\"x\""), "org.varlink.service.InvalidParameter"},
        {UNIT("Start", "\"unit\":\"web\",\"wait\":1"), "org.varlink.service.InvalidParameter"},
        {UNIT("Kill", "\"unit\":\"web\",\"signal\":0"), "org.varlink.service.InvalidParameter"},
        {UNIT("Kill", "\"unit\":\"web\",\"signal\":65"), "org.varlink.service.InvalidParameter"},
        {UNIT("Kill", "\"unit\":\"web\",\"signal\":9.0"), "org.varlink.service.InvalidParameter"},
        {UNIT("Kill", "\"unit\":\"web\",\"whom\":\"some\""), "org.varlink.service.InvalidParameter"},
        {UNIT("Thaw", "\"unit\":\"web\""), "io.davit.Unit.Failed"},
        {UNIT("Reload", "\"unit\":\"web\""), "io.davit.Unit.DependencyCycle"},
        {UNIT("Exec", "\"unit\":\"web\",\"argv\":[]"), "org.varlink.service.InvalidParameter"},
        {UNIT("Exec", "\"unit\":\"web\",\"argv\":[1]"), "org.varlink.service.InvalidParameter"},
        {UNIT("Exec", "\"unit\":\"web\",\"argv\":[\"a\"],\"stdin\":0"),
            "org.varlink.service.InvalidParameter"},
        {UNIT("Exec", "\"unit\":\"web\",\"argv\":[\"a\"],\"stdin\":-1"),
            "org.varlink.service.InvalidParameter"},
        {UNIT("Signal", "\"session\":\"x\",\"signal\":9"), "io.davit.Unit.NoSuchSession"},
        {MANAGER("ResetFailed", "\"unit\":\"none\""), "io.davit.Manager.NoSuchUnit"},
        {"{\"method\":\"io.davit.Events.Subscribe\"}", "org.varlink.service.ExpectedMore"},
    };
    struct harness h = harness_new();
    harness_start(&h);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        expect_error(&h, h.client, cases[i].request, cases[i].error);
    assert_int_equal(fake.n_jobs, 0);
    harness_end(&h);
}

static void the_status_socket_only_answers_questions(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    int fd = harness_connect(&h, true);
    for (size_t i = 0; i < n_methods; i++) {
        if (!(methods[i].flags & METHOD_WRITES))
            continue;
        _cleanup_free_ char *request = strf("{\"method\":\"%s.%s\"}", methods[i].interface, methods[i].name);
        expect_error(&h, fd, request, "org.varlink.service.PermissionDenied");
    }
    expect_success(&h, fd, MANAGER("GetStatus", ""));
    expect_success(&h, fd, MANAGER("ListUnits", ""));
    expect_success(&h, fd, UNIT("Describe", "\"unit\":\"web\""));
    assert_int_equal(fake.n_jobs + fake.n_execs + fake.resets, 0);
    (void)close(fd);
    harness_end(&h);
}

/* ---- jobs ---- */

static void a_job_is_answered_when_it_is_over(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    harness_say(h.client, UNIT("Start", "\"unit\":\"web\",\"mode\":\"fail\""));
    harness_say(h.client, MANAGER("GetStatus", "")); /* must not overtake */
    assert_null(harness_hear(&h, h.client));
    assert_int_equal(fake.n_jobs, 1);
    assert_int_equal(fake.jobs[0].mode, JOB_MODE_FAIL);
    fake_finish_jobs(JOB_FAILED, "pivot_root: no");
    json_t *r = harness_hear(&h, h.client);
    assert_string_equal(reply_string(r, "unit"), "web.container");
    assert_string_equal(reply_string(r, "result"), "failed");
    assert_string_equal(reply_string(r, "message"), "pivot_root: no");
    json_decref(r);
    r = harness_hear(&h, h.client);
    assert_string_equal(reply_string(r, "version"), "0.1");
    json_decref(r);
    harness_end(&h);
}

static void a_job_that_is_over_at_once_is_survived(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    fake.immediate = true;
    expect_success(&h, h.client, UNIT("Stop", "\"unit\":\"web\""));
    expect_success(&h, h.client, UNIT("Exec", "\"unit\":\"web\",\"argv\":[\"a\"]"));
    expect_success(&h, h.client, UNIT("Run", "\"unit_text\":\"\""));
    harness_end(&h);
}

static void without_wait_or_with_oneway_nothing_is_waited_for(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    expect_success(&h, h.client, UNIT("Start", "\"unit\":\"web\",\"wait\":false"));
    harness_say(
        h.client, "{\"method\":\"io.davit.Unit.Stop\",\"oneway\":true,\"parameters\":{\"unit\":\"web\"}}");
    harness_say(
        h.client, "{\"method\":\"io.davit.Unit.Stop\",\"oneway\":true,\"parameters\":{\"unit\":\"none\"}}");
    json_t *r = ask(&h, h.client, MANAGER("GetStatus", "")); /* the next thing that is heard */
    assert_string_equal(reply_string(r, "version"), "0.1");
    json_decref(r);
    assert_int_equal(fake.n_jobs, 2);
    fake_finish_jobs(JOB_DONE, NULL);
    assert_null(harness_hear(&h, h.client));
    harness_end(&h);
}

static void a_client_that_leaves_is_forgotten(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    harness_say(h.client, UNIT("Start", "\"unit\":\"web\""));
    harness_run(&h);
    assert_int_equal(fake.n_jobs, 1);
    (void)close(h.client);
    h.client = -1;
    harness_run(&h);
    assert_int_equal(h.control->n_connections, 0);
    assert_int_equal(fake.forgotten, 1);
    fake_finish_jobs(JOB_DONE, NULL); /* must call nobody */
    harness_end(&h);
}

/* As `printf ... | socat - UNIX:...` does: its input ended, it still reads. */
static void a_client_that_has_no_more_to_say_still_hears(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    harness_say(h.client, UNIT("Start", "\"unit\":\"web\""));
    assert_int_equal(shutdown(h.client, SHUT_WR), 0);
    harness_run(&h);
    assert_int_equal(h.control->n_connections, 1);
    fake_finish_jobs(JOB_DONE, NULL);
    json_t *r = harness_hear(&h, h.client);
    assert_string_equal(reply_string(r, "result"), "done");
    json_decref(r);
    assert_true(harness_is_closed(&h, h.client));
    harness_end(&h);
}

static void small_methods_reach_the_manager(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    expect_success(&h, h.client, UNIT("Kill", "\"unit\":\"web\""));
    assert_int_equal(fake.last_signal, SIGTERM);
    assert_int_equal(fake.last_whom, KILL_WHOM_ALL);
    expect_success(&h, h.client, UNIT("Kill", "\"unit\":\"web\",\"whom\":\"main\",\"signal\":9"));
    assert_int_equal(fake.last_signal, SIGKILL);
    assert_int_equal(fake.last_whom, KILL_WHOM_MAIN);
    expect_success(&h, h.client, UNIT("Freeze", "\"unit\":\"web\""));
    assert_true(fake.frozen);
    expect_success(&h, h.client, UNIT("Thaw", "\"unit\":\"web\""));
    assert_false(fake.frozen);
    expect_success(&h, h.client, MANAGER("ResetFailed", ""));
    assert_int_equal(fake.resets, 1);
    expect_success(&h, h.client, MANAGER("Reload", ""));
    expect_error(&h, h.client, MANAGER("Reexecute", ""), "io.davit.Manager.Failed");
    expect_success(&h, h.client, MANAGER("ListJobs", ""));
    expect_success(&h, h.client, MANAGER("Exit", "\"status\":7,\"keep\":true"));
    assert_int_equal(fake.exit_status, 7);
    assert_true(fake.exit_keep);
    expect_success(&h, h.client,
        MANAGER("End", "\"action\":\"reboot-force\",\"argument\":\"x\",\"when\":1790000000000000"));
    assert_string_equal(ending_format(fake.ending), "reboot-force");
    assert_int_equal(fake.end_when, 1790000000000000);
    expect_success(&h, h.client, MANAGER("GetScheduledEnd", ""));
    expect_success(&h, h.client, MANAGER("CancelEnd", ""));
    harness_end(&h);
}

/* ---- events ---- */

static void events_are_streamed_until_the_client_leaves(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    json_t *r = ask(&h, h.client, "{\"method\":\"io.davit.Events.Subscribe\",\"more\":true}");
    assert_string_equal(json_string_value(json_object_get(reply_get(r, "event"), "event")), "subscribed");
    json_decref(r);
    for (int i = 0; i < 3; i++) {
        fake_event(json_pack("{sssi}", "event", "state", "n", i));
        r = harness_hear(&h, h.client);
        assert_true(json_is_true(json_object_get(r, "continues")));
        assert_int_equal(json_integer_value(json_object_get(reply_get(r, "event"), "n")), i);
        json_decref(r);
    }
    (void)close(h.client);
    h.client = -1;
    fake_event(json_pack("{ss}", "event", "exit"));
    harness_run(&h);
    assert_int_equal(fake.n_listeners, 0);
    harness_end(&h);
}

/* ---- exec and run ---- */

#define EXEC_MORE \
    "{\"method\":\"io.davit.Unit.Exec\",\"more\":true,\"parameters\":{\"unit\":\"web\",\"argv\":[\"sh\",\"-" \
    "c\"]}}"
#define RUN_MORE(x) \
    "{\"method\":\"io.davit.Unit.Run\",\"more\":true,\"parameters\":{\"name\":\"web\",\"unit_text\":\"[" \
    "Container]\"" x "}}"

static void exec_tells_pid_then_status_and_takes_signals(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    assert_null(ask(&h, h.client, EXEC_MORE));
    assert_string_equal(fake.execs[0].text, "sh -c");
    fake_exec_started(0, 99, NULL);
    json_t *r = harness_hear(&h, h.client);
    assert_int_equal(json_integer_value(reply_get(r, "pid")), 99);
    assert_true(json_is_true(json_object_get(r, "continues")));

    int second = harness_connect(&h, false);
    _cleanup_free_ char *request =
        strf(UNIT("Signal", "\"session\":\"%s\",\"signal\":15"), reply_string(r, "session"));
    expect_success(&h, second, request);
    assert_int_equal(fake.last_exec_signal, SIGTERM);
    json_decref(r);

    fake_exec_exited(0, CLD_EXITED, 3);
    r = harness_hear(&h, h.client);
    assert_string_equal(reply_string(r, "code"), "exited");
    assert_int_equal(json_integer_value(reply_get(r, "status")), 3);
    assert_null(json_object_get(r, "continues"));
    json_decref(r);
    expect_error(&h, second, request, "io.davit.Unit.NoSuchSession");
    (void)close(second);
    harness_end(&h);
}

static void attach_tells_pid_then_status_or_that_there_is_none(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    json_t *r = ask(&h, h.client,
        "{\"method\":\"io.davit.Unit.Attach\",\"more\":true,\"parameters\":{\"unit\":\"web\",\"pid\":4242}}");
    assert_int_equal(json_integer_value(reply_get(r, "pid")), 4242);
    assert_true(json_is_true(json_object_get(r, "continues")));
    json_decref(r);
    r = harness_hear(&h, h.client);
    assert_string_equal(reply_string(r, "code"), "exited");
    assert_int_equal(json_integer_value(reply_get(r, "status")), 3);
    assert_null(json_object_get(r, "continues"));
    json_decref(r);
    expect_error(
        &h, h.client, UNIT("Attach", "\"unit\":\"web\",\"pid\":4243"), "io.davit.Unit.NoSuchSession");
    harness_end(&h);
}

static void a_failed_exec_says_step_and_number(void **state _unused_) {
    struct harness h = harness_new();
    struct error e = {};
    harness_start(&h);
    fake.exec_fails = true;
    json_t *r = ask(&h, h.client, EXEC_MORE);
    assert_string_equal(reply_error(r), "io.davit.Unit.Failed");
    assert_string_equal(reply_string(r, "step"), "execve");
    assert_int_equal(json_integer_value(reply_get(r, "number")), ENOENT);
    json_decref(r);

    fake.exec_fails = false;
    assert_null(ask(&h, h.client, EXEC_MORE));
    error_set(&e, EACCES, "/x\xff: denied"); /* no UTF-8: must not cost the reply */
    fake_exec_started(0, 0, &e);
    r = harness_hear(&h, h.client);
    assert_string_equal(reply_error(r), "io.davit.Unit.Failed");
    assert_int_equal(json_integer_value(reply_get(r, "number")), EACCES);
    json_decref(r);
    harness_end(&h);
}

static void an_exec_whose_client_leaves_is_given_back(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    assert_null(ask(&h, h.client, EXEC_MORE));
    (void)close(h.client);
    h.client = -1;
    harness_run(&h);
    assert_int_equal(fake.forgotten, 1); /* the manager hangs it up */
    fake_exec_exited(0, CLD_EXITED, 0);
    harness_end(&h);
}

static void a_detached_run_outlives_its_call_an_attached_one_is_given_back(void **state _unused_) {
    struct harness h = harness_new();
    harness_start(&h);
    json_t *r;

    assert_null(ask(&h, h.client, RUN_MORE("")));
    fake_exec_started(0, 5, NULL);
    r = harness_hear(&h, h.client);
    assert_string_equal(reply_string(r, "unit"), "web.container");
    assert_null(json_object_get(r, "continues"));
    json_decref(r);
    (void)close(h.client);
    harness_run(&h);
    assert_int_equal(fake.forgotten, 0); /* the manager has nothing more to tell, and nobody to take back */

    h.client = harness_connect(&h, false);
    static const char attached[] = RUN_MORE(",\"stdin\":0");
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_true(null >= 0);
    assert_int_equal(
        socket_send_fds(h.client, attached, sizeof(attached), &null, 1, 0), (ssize_t)sizeof(attached));
    (void)close(null);
    harness_run(&h);
    fake_exec_started(1, 5, NULL);
    (void)close(h.client);
    h.client = -1;
    harness_run(&h);
    assert_int_equal(fake.forgotten, 1); /* the manager stops it */
    harness_end(&h);
}

/* ---- real sockets and the client ---- */

#define PATIENCE (60 * USEC_PER_SEC) /* only a failure waits so long */

static mode_t mode_of(const char *directory, const char *name) {
    _cleanup_free_ char *path = strf("%s/%s", directory, name);
    struct stat st;
    return stat(path, &st) < 0 ? 0 : st.st_mode & (S_IFMT | 07777);
}

/* In a child, while the loop runs here. Returns its exit status. */
static int with_client(struct harness *h, const char *directory, int (*function)(const char *directory)) {
    pid_t pid = fork();
    int status;
    if (pid == 0)
        _exit(function(directory));
    assert_true(pid > 0);
    while (waitpid(pid, &status, WNOHANG) == 0)
        (void)sd_event_run(h->manager.event, 10000);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int client_of_control(const char *directory) {
    _cleanup_(client_freep) struct client *c = NULL;
    struct client_reply r;
    struct error e = {};
    if (client_open(directory, false, &c, &e) < 0)
        return 1;
    if (client_call(c, "io.davit.Manager.ListUnits", NULL, PATIENCE, &r, &e) < 0 || r.error)
        return 2;
    size_t n = json_array_size(json_object_get(r.parameters, "units"));
    client_reply_done(&r);
    if (n != 2)
        return 3;
    if (client_call(c, "io.davit.Unit.Describe", json_pack("{ss}", "unit", "no"), PATIENCE, &r, &e) < 0)
        return 4;
    if (!client_reply_is(&r, "NoSuchUnit") || !strstr(client_reply_message(&r), "no unit"))
        return 5;
    client_reply_done(&r);
    /* A job that nobody ends: the time limit does. */
    if (client_call(c, "io.davit.Unit.Start", json_pack("{ss}", "unit", "web"), 50000, &r, &e) != -ETIMEDOUT)
        return 6;
    return 0;
}

static void sockets_are_made_safely_replaced_and_removed(void **state _unused_) {
    struct harness h = harness_new();
    char base[] = "/tmp/davit-test-XXXXXX", name[201];
    struct error e = {};
    assert_non_null(mkdtemp(base));
    memset(name, 'd', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    _cleanup_free_ char *directory = strf("%s/%s", base, name); /* longer than a socket address */
    assert_int_equal(mkdir(directory, 0755), 0);
    h.manager.paths.runtime = directory;
    h.client = -1;

    mode_t old = umask(0);
    assert_int_equal(control_new(&h.manager, &e), 0);
    control_free(h.manager.control);
    assert_null(h.manager.control);
    assert_int_equal(mode_of(directory, "control"), 0);

    umask(077);
    _cleanup_free_ char *stale = strf("%s/control", directory);
    assert_int_equal(mknod(stale, S_IFREG | 0600, 0), 0); /* whatever is there */
    assert_int_equal(control_new(&h.manager, &e), 0);
    umask(old);
    assert_int_equal(mode_of(directory, "control"), S_IFSOCK | 0600);
    assert_int_equal(mode_of(directory, "status"), S_IFSOCK | 0666);
    h.control = h.manager.control;
    assert_int_equal(with_client(&h, directory, client_of_control), 0);
    harness_end(&h);

    assert_int_equal(rmdir(directory), 0); /* nothing is left in it */
    assert_int_equal(rmdir(base), 0);
}

/* As SIGUSR1 has it: a `davit run` that is attached must not end with the socket's name. */
static void clients_stay_when_the_sockets_are_made_again(void **state _unused_) {
    struct harness h = harness_new();
    char directory[] = "/tmp/davit-test-XXXXXX", nowhere[] = "/nonexistent/davit";
    struct error e = {};

    assert_non_null(mkdtemp(directory));
    h.manager.paths.runtime = directory;
    assert_int_equal(control_new(&h.manager, &e), 0);
    h.control = h.manager.control;
    h.client = harness_connect(&h, false);
    _cleanup_free_ char *path = strf("%s/control", directory);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(control_listen(h.control, &e), 0);
    assert_int_equal(with_client(&h, directory, client_of_control), 0);
    assert_false(harness_is_closed(&h, h.client));

    /* Where they cannot be made, what is there is still there. */
    h.manager.paths.runtime = nowhere;
    assert_int_equal(control_listen(h.control, &e), -ENOENT);
    h.manager.paths.runtime = directory;
    assert_int_equal(with_client(&h, directory, client_of_control), 0);
    assert_false(harness_is_closed(&h, h.client));
    harness_end(&h);
    assert_int_equal(rmdir(directory), 0);
}

static int client_of_nobody(const char *directory) {
    _cleanup_(client_freep) struct client *c = NULL;
    struct error e = {};
    int r = client_open(directory, false, &c, &e);
    return r != -ENOENT                                ? 1
           : !strstr(e.text, "is davit-init running?") ? 2
           : !strstr(e.text, directory)                ? 3
                                                       : 0;
}

static void a_missing_server_is_explained(void **state _unused_) {
    assert_int_equal(client_of_nobody("/nonexistent/davit"), 0);
}

static int client_without_rights(const char *directory) {
    _cleanup_(client_freep) struct client *c = NULL;
    struct client_reply r;
    struct error e = {};
    if (setuid(65534) < 0)
        return 1;
    if (client_open(directory, false, &c, &e) != -EACCES)
        return 2;
    if (client_open(directory, true, &c, &e) < 0)
        return 3;
    if (client_call(c, "io.davit.Manager.GetStatus", NULL, PATIENCE, &r, &e) < 0 || r.error)
        return 4;
    client_reply_done(&r);
    if (client_call(c, "io.davit.Unit.Start", json_pack("{ss}", "unit", "web"), PATIENCE, &r, &e) < 0)
        return 5;
    bool denied = client_reply_is(&r, "PermissionDenied");
    client_reply_done(&r);
    return denied ? 0 : 6;
}

static void other_users_may_ask_and_no_more(void **state _unused_) {
    if (geteuid() != 0) {
        print_message("skipped: needs root\n");
        skip();
    }
    struct harness h = harness_new();
    char directory[] = "/tmp/davit-test-XXXXXX";
    struct error e = {};
    h.client = -1;
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chmod(directory, 0755), 0);
    h.manager.paths.runtime = directory;
    assert_int_equal(control_new(&h.manager, &e), 0);
    h.control = h.manager.control;
    assert_int_equal(with_client(&h, directory, client_without_rights), 0);
    harness_end(&h);
    assert_int_equal(rmdir(directory), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_files_promise_is_kept),
        cmocka_unit_test(the_service_describes_itself),
        cmocka_unit_test(wrong_requests_are_told_what_is_wrong),
        cmocka_unit_test(the_status_socket_only_answers_questions),
        cmocka_unit_test(a_job_is_answered_when_it_is_over),
        cmocka_unit_test(a_job_that_is_over_at_once_is_survived),
        cmocka_unit_test(without_wait_or_with_oneway_nothing_is_waited_for),
        cmocka_unit_test(a_client_that_leaves_is_forgotten),
        cmocka_unit_test(a_client_that_has_no_more_to_say_still_hears),
        cmocka_unit_test(small_methods_reach_the_manager),
        cmocka_unit_test(events_are_streamed_until_the_client_leaves),
        cmocka_unit_test(exec_tells_pid_then_status_and_takes_signals),
        cmocka_unit_test(attach_tells_pid_then_status_or_that_there_is_none),
        cmocka_unit_test(a_failed_exec_says_step_and_number),
        cmocka_unit_test(an_exec_whose_client_leaves_is_given_back),
        cmocka_unit_test(a_detached_run_outlives_its_call_an_attached_one_is_given_back),
        cmocka_unit_test(sockets_are_made_safely_replaced_and_removed),
        cmocka_unit_test(clients_stay_when_the_sockets_are_made_again),
        cmocka_unit_test(a_missing_server_is_explained),
        cmocka_unit_test(other_users_may_ask_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
