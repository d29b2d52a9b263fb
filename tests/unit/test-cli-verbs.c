/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-api.c fake-standalone.c; without: manager */
/* Each verb against a server with a manager that only pretends: what is asked, what is printed, which status.
 */
#include "cli-fixture.h"

static void write_unit(struct fixture *f, const char *name, const char *text) {
    _cleanup_free_ char *path = path_join(f->units, name);
    assert_int_equal(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, false), 0);
}

/* ---- jobs ---- */

static void jobs_are_waited_for(void **state) {
    struct fixture *f = *state;
    EXPECT(0, f, "start", "web", "db");
    assert_string_equal(f->out, "");
    EXPECT(0, f, "stop", "web");
    EXPECT(0, f, "restart", "web");
    EXPECT(0, f, "try-restart", "web");
    f->result = JOB_FAILED;
    f->message = "pivot_root: no";
    EXPECT(1, f, "start", "web");
    expect_in(f->err, "cannot start web.container: pivot_root: no");
    expect_in(f->err, "davit status web.container");
    f->message = NULL;
    f->result = JOB_DEPENDENCY;
    EXPECT(1, f, "start", "web");
    expect_in(f->err, "needs could not be started");
    f->result = JOB_SKIPPED;
    f->message = "ConditionPathExists=/x is not met";
    EXPECT(0, f, "start", "web");
    expect_in(f->err, "was not started: ConditionPathExists");
}

static void jobs_that_cannot_be_are_told_apart(void **state) {
    struct fixture *f = *state;
    EXPECT(EXIT_NOT_INSTALLED, f, "start", "none");
    expect_in(f->err, "There is no unit none");
    EXPECT(EXIT_NOT_INSTALLED, f, "start", "web", "none", "db");
    EXPECT(1, f, "reload", "web");
    expect_in(f->err, "a.container -> b.container -> a.container");
    EXPECT(1, f, "start", "--job-mode=nonsense", "web");
    expect_in(f->err, "parameter \"mode\" as it is");
}

static void no_block_does_not_wait(void **state) {
    struct fixture *f = *state;
    f->finish_jobs = false;
    EXPECT(0, f, "start", "--no-block", "--job-mode", "fail", "web");
    assert_int_equal(fake.n_jobs, 1);
    assert_int_equal(fake.jobs[0].mode, JOB_MODE_FAIL);
}

static void more_units_than_connections(void **state) {
    struct fixture *f = *state;
    const char *argv[64] = {"davit", "start"};
    for (size_t i = 2; i < 60; i++)
        argv[i] = i % 2 ? "web" : "db";
    assert_int_equal(run(f, argv), 0);
}

/* Names that are no pattern are asked for as they are; a pattern that matches nothing is no failure. */
static void patterns_mean_what_there_is(void **state) {
    struct fixture *f = *state;
    f->finish_jobs = false;
    EXPECT(0, f, "start", "--no-block", "*b", "w*", "*b*");
    assert_int_equal(fake.n_jobs, 2);
    assert_string_equal(fake.jobs[0].unit, "db.container");
    assert_string_equal(fake.jobs[1].unit, "web.container");
    EXPECT(0, f, "stop", "nothing-*");
    expect_in(f->err, "No active or failed unit matches nothing-*.");
    assert_int_equal(fake.n_jobs, 2);
    EXPECT(EXIT_NOT_INSTALLED, f, "stop", "nothing");
    EXPECT(0, f, "status", "-n0", "*");
    expect_in(f->out, "db.container");
    expect_in(f->out, "web.container");
    EXPECT(1, f, "stop", "--runtime-dir=/nonexistent/run", "w*");
    expect_in(f->err, "cannot tell what matches");
}

static void what_cannot_reload_is_restarted(void **state) {
    struct fixture *f = *state;
    f->finish_jobs = false;
    EXPECT(0, f, "reload-or-restart", "--no-block", "db");
    EXPECT(0, f, "try-reload-or-restart", "--no-block", "web");
    fake.details = "{\"name\":\"web.container\",\"active\":\"active\",\"can_reload\":true}";
    EXPECT(1, f, "reload-or-restart", "--no-block", "db");
    expect_in(f->err, "cannot reload db"); /* what the fake says to every reload */
    assert_int_equal(fake.n_jobs, 2);
    assert_int_equal(fake.jobs[0].type, JOB_RESTART);
    assert_int_equal(fake.jobs[1].type, JOB_TRY_RESTART);
}

/* ---- looking ---- */

static const char details[] =
    "{\"name\":\"web.container\",\"type\":\"container\",\"description\":\"A "
    "\\u001b[31mtest\",\"load\":\"loaded\",\"active\":\"failed\","
    "\"state\":\"failed\",\"sub\":\"failed\",\"result\":\"oom-kill\",\"since\":1700000000000000,\"restarts\":"
    "3,\"frozen\":true,"
    "\"status_text\":\"serving\",\"problems\":[{\"level\":\"warning\",\"file\":\"/etc/x/"
    "web.container\",\"line\":7,\"section\":\"Container\","
    "\"key\":\"Memry\",\"text\":\"unknown key\",\"hint\":\"did you mean "
    "Memory=?\"}],\"enabled\":\"enabled\",\"fragment\":\"/etc/x/web.container\","
    "\"dropins\":[\"/etc/x/web.container.d/"
    "a.conf\"],\"documentation\":[\"man:x(1)\"],\"outdated\":true,\"transient\":false,"
    "\"exit\":{\"code\":\"killed\",\"status\":9},\"error\":{\"number\":2,\"step\":\"rootfs\",\"message\":\"/"
    "x: No such file\"},"
    "\"restart_reason\":\"Restart=always\",\"oom_kills\":2,\"job\":\"start\",\"cgroup\":\"web.container\","
    "\"cgroup_path\":\"/sys/fs/cgroup/x\","
    "\"processes\":[1],\"limits\":[{\"key\":\"IOWeight\",\"message\":\"no io "
    "controller\",\"unsupported\":true}],"
    "\"resources\":{\"memory\":1048576,\"memory_max\":104857600,\"memory_peak\":2097152,\"swap\":4096,"
    "\"tasks\":1,\"tasks_max\":10,\"cpu_usec\":1500000},"
    "\"dependencies\":{\"After\":[\"db.container\",\"x.target\"]},\"settings\":{\"Container.Memory\":["
    "\"104857600\"],"
    "\"Container.Environment\":[\"A=1\",\"B=2\"],\"Unit.After\":[\"db.container\"],\"Container.Image\":[]}}";

static void status_shows_all_there_is(void **state) {
    struct fixture *f = *state;
    static const char *const parts[] = {"× web.container - A \\x1b[31mtest\n",
        "Loaded: loaded (/etc/x/web.container; enabled)\n", "Drop-in: /etc/x/web.container.d/a.conf\n",
        "Active: failed (failed, result: oom-kill) frozen since ", "Docs: man:x(1)\n",
        "Last exit: killed, SIGKILL\n", "Status: serving\n",
        "Warning: web.container:7: [Container] Memry=: unknown key (did you mean Memory=?)\n",
        "Tasks: 1 (limit: 10)\n", "Memory: 1.0M (limit: 100.0M, peak: 2.0M)\n", "Swap: 4.0K\n", "CPU: 1.5",
        "CGroup: /sys/fs/cgroup/x\n", "└─1 ", "Restarts: 3, 2 processes killed for want of memory\n",
        "Result: oom-kill (Restart=always)\n", "Failure: step rootfs: /x: No such file\n",
        "Limit: IOWeight is not applied: no io controller\n", "Job: start\n", "files have changed",
        "last words\n"};
    fake.details = details;
    _cleanup_free_ char *log = path_join(f->log, "web.container.log");
    assert_int_equal(file_write_atomic(AT_FDCWD, log, "2026-11-21T05:46:11.000000000Z stdout F last words\n",
                         51, 0600, false),
        0);
    EXPECT(EXIT_NOT_RUNNING, f, "status", "web");
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        expect_in(f->out, parts[i]);
    assert_null(strchr(f->out, '\033'));
    EXPECT(EXIT_NOT_RUNNING, f, "status", "--lines=0", "web");
    assert_null(strstr(f->out, "last words"));
}

static void status_tells_by_its_exit_status(void **state) {
    struct fixture *f = *state;
    EXPECT(0, f, "status", "web");
    EXPECT(EXIT_NO_SUCH_UNIT, f, "status", "none");
    expect_in(f->err, "There is no unit none");
    EXPECT(0, f, "status");
    expect_in(f->out, "State: running");
    expect_in(f->out, "Units: 2 (2 running)");
    expect_in(f->out, "●  web.container");
}

static void json_is_what_the_server_says(void **state) {
    struct fixture *f = *state;
    static const char *const commands[][3] = {{"status", NULL}, {"status", "web"}, {"list", NULL},
        {"show", "web"}, {"show", NULL}, {"jobs", NULL}, {"info", NULL}, {"version", NULL},
        {"is-active", "web"}, {"daemon-reload", NULL}};
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        assert_int_equal(
            run(f, (const char *[]){"davit", "--json", commands[i][0], commands[i][1], NULL}), 0);
        json_t *o = json_loads(f->out, JSON_DECODE_ANY, NULL);
        if (!o)
            fail_msg("%s: no JSON: %s", commands[i][0], f->out);
        json_decref(o);
    }
    EXPECT(0, f, "status", "--json", "web", "db");
    json_t *both = json_loads(f->out, 0, NULL);
    assert_int_equal(json_array_size(both), 2);
    json_decref(both);
}

static void lists_are_filtered(void **state) {
    struct fixture *f = *state;
    EXPECT(0, f, "list");
    expect_in(f->out, "UNIT");
    expect_in(f->out, "2 units.");
    EXPECT(0, f, "list", "--plain", "we*");
    expect_in(f->out, "web.container  running");
    assert_null(strstr(f->out, "db"));
    EXPECT(0, f, "list", "--plain", "db");
    expect_in(f->out, "db.container");
    EXPECT(0, f, "list", "--plain", "--failed");
    assert_string_equal(f->out, "");
    EXPECT(0, f, "list", "--no-legend", "-t", "container", "--state=failed,running");
    assert_int_equal(strncmp(f->out, "●  db.container", strlen("●  db.container")), 0);
    expect_in(f->out, "web.container");
    EXPECT(0, f, "list", "--plain", "--type=volume,service");
    assert_string_equal(f->out, "");
    EXPECT(0, f, "list", "--plain", "--state=failed");
    assert_string_equal(f->out, "");
    EXPECT(0, f, "list", "-o", "json");
    assert_int_equal(f->out[0], '[');
    EXPECT(1, f, "list", "-o", "yaml");
    expect_in(f->err, "text or json");
    EXPECT(0, f, "jobs");
    expect_in(f->err, "No jobs.");
}

static void one_word_tells_of_all(void **state) {
    struct fixture *f = *state;
    EXPECT(0, f, "is-system-running");
    assert_string_equal(f->out, "running\n");
    EXPECT(1, f, "is-system-running", "--runtime-dir=/nonexistent/run");
    assert_string_equal(f->out, "offline\n");
    EXPECT(0, f, "get-default");
    assert_string_equal(f->out, "default.target\n");
}

static void what_has_ended_need_not_be_waited_for(void **state) {
    struct fixture *f = *state;
    fake.details = details;
    EXPECT(0, f, "wait", "web");
    assert_string_equal(f->out, "137\n");
    EXPECT(EXIT_NO_SUCH_UNIT, f, "wait", "none");
    expect_in(f->err, "There is no unit none");
}

static void dependencies_are_a_tree(void **state) {
    struct fixture *f = *state;
    fake.details = "{\"name\":\"web.container\",\"dependencies\":{\"Wants\":[\"db.container\",\"a.target\"],"
                   "\"Requires\":[\"db.container\"],\"After\":[\"x.service\"]}}";
    EXPECT(0, f, "list-dependencies", "--plain", "web");
    assert_string_equal(f->out, "web.container\n  a.target\n  db.container\n");
    EXPECT(0, f, "list-dependencies", "--after", "web");
    assert_string_equal(f->out, "● web.container\n○ └─x.service\n");
}

static void show_prints_properties(void **state) {
    struct fixture *f = *state;
    fake.details = details;
    EXPECT(0, f, "show", "web");
    static const char *const lines[] = {"\nActiveState=failed\n", "\nMainPID=0\n", "\nExecMainStatus=9\n",
        "\nMemoryCurrent=1048576\n", "\nAfter=db.container x.target\n", "\nMemory=104857600\n",
        "\nEnvironment=A=1\nEnvironment=B=2\n", "\nFreezerState=yes\n", "\nErrorStep=rootfs\n"};
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        expect_in(f->out, lines[i]);
    assert_null(strstr(f->out, "\nImage=")); /* no value */
    EXPECT(0, f, "show", "-p", "Memory,NRestarts", "-p", "Image", "web");
    assert_string_equal(f->out, "NRestarts=3\nMemory=104857600\nImage=\n");
    EXPECT(0, f, "show", "--property=NRestarts", "--value", "web");
    assert_string_equal(f->out, "3\n");
    EXPECT(EXIT_NO_SUCH_UNIT, f, "show", "none");
}

static void questions_are_answered_by_status(void **state) {
    struct fixture *f = *state;
    EXPECT(0, f, "is-active", "web");
    assert_string_equal(f->out, "active\n");
    EXPECT(EXIT_NO_SUCH_UNIT, f, "is-active", "-q", "none");
    assert_string_equal(f->out, "");
    EXPECT(1, f, "is-failed", "web");
    fake.details = details;
    EXPECT(EXIT_NOT_RUNNING, f, "is-active", "web");
    assert_string_equal(f->out, "failed\n");
    EXPECT(0, f, "is-failed", "web");
}

/* ---- small verbs ---- */

static void small_verbs_reach_the_manager(void **state) {
    struct fixture *f = *state;
    EXPECT(0, f, "kill", "-s", "HUP", "--kill-whom=main", "web");
    assert_int_equal(fake.last_signal, SIGHUP);
    assert_int_equal(fake.last_whom, KILL_WHOM_MAIN);
    EXPECT(1, f, "kill", "-s", "NOSIG", "web");
    EXPECT(1, f, "kill", "--kill-whom=some", "web");
    EXPECT(EXIT_NOT_INSTALLED, f, "kill", "none");
    EXPECT(0, f, "freeze", "web");
    assert_true(fake.frozen);
    EXPECT(1, f, "freeze", "web");
    EXPECT(0, f, "thaw", "web");
    assert_false(fake.frozen);
    EXPECT(0, f, "reset-failed");
    EXPECT(0, f, "reset-failed", "web", "db");
    assert_int_equal(fake.resets, 3);
    EXPECT(0, f, "daemon-reload");
    expect_in(f->err, "1 problem in the unit files");
    EXPECT(1, f, "daemon-reexec");
    expect_in(f->err, "state cannot be saved");
    assert_int_equal(fake.reexecutions, 1);
    EXPECT(0, f, "exit", "--keep", "3");
    assert_int_equal(fake.exit_status, 3);
    assert_true(fake.exit_keep);
    EXPECT(1, f, "exit", "300");
    EXPECT(0, f, "version");
    expect_in(f->out, "davitd 0.1 (pid ");
    EXPECT(0, f, "info");
    expect_in(f->out, "/etc/davit/units");
}

/* ---- the end ---- */

static void assert_ending(const char *word, int line) {
    if (strcmp(ending_format(fake.ending), word) != 0)
        fail_msg("line %d: %s and not %s", line, ending_format(fake.ending), word);
    fake.ending = (struct ending){};
}
#define ENDS(word) assert_ending(word, __LINE__)

static void endings_reach_the_manager(void **state) {
    struct fixture *f = *state;

    EXPECT(0, f, "poweroff");
    ENDS("poweroff");
    assert_int_equal(fake.end_when, 0);
    EXPECT(0, f, "reboot", "-f", "--reboot-argument=recovery");
    ENDS("reboot-force");
    assert_string_equal(fake.end_argument, "recovery");
    EXPECT(0, f, "soft-reboot", "--message", "new version");
    ENDS("soft-reboot");
    assert_string_equal(fake.end_message, "new version");
    EXPECT(0, f, "exit", "--force", "7");
    ENDS("exit-force");
    assert_int_equal(fake.exit_status, 7);
    EXPECT(1, f, "exit", "--force", "--keep");
    EXPECT(1, f, "halt", "--when=yesterday");
    EXPECT(1, f, "halt", "--when=soon");
    EXPECT(1, f, "halt", "--message=a\nb");
    ENDS("none");
}

static void davitd_killed_by_what_it_was_asked_for_is_no_failure(void **state) {
    struct fixture *f = *state;

    fake.end_is_deadly = true;
    EXPECT(0, f, "exit", "--force", "7");
    ENDS("exit-force");
    /* An orderly end is answered. */
    EXPECT(1, f, "halt", "--no-wall");
    expect_in(f->err, "davitd closed the connection");
    fake.end_is_deadly = false;
}

static void endings_can_be_scheduled(void **state) {
    struct fixture *f = *state;
    usec_t before = now_realtime();

    EXPECT(0, f, "kexec", "--when=+2h", "--no-wall");
    expect_in(f->err, "kexec is scheduled for");
    assert_in_range(fake.end_when, before + 7200 * USEC_PER_SEC, now_realtime() + 7200 * USEC_PER_SEC);
    EXPECT(0, f, "poweroff", "--when=show");
    expect_in(f->out, "kexec at ");
    assert_true(fake.end_no_wall); /* davitd is who tells others of what is to come */
    EXPECT(0, f, "poweroff", "--when=cancel");
    EXPECT(1, f, "poweroff", "--when=cancel");
    EXPECT(1, f, "poweroff", "--when=show");
    expect_in(f->err, "nothing is scheduled");
}

/* This test does not run below davit-init: reboot(2) must be out of reach. */
static void forced_twice_is_for_davits_own_machine(void **state) {
    struct fixture *f = *state;
    EXPECT(1, f, "kexec", "-ff");
    EXPECT(1, f, "exit", "-ff");
    ENDS("none");
    _cleanup_free_ char *comm = NULL;
    if (file_read_line(AT_FDCWD, "/proc/1/comm", &comm) < 0 || strcmp(comm, "davit-init") == 0)
        skip();
    EXPECT(1, f, "reboot", "--force", "--force");
    expect_in(f->err, "davit is not the init of this machine");
    ENDS("none");
}

static void names_of_other_inits(void **state) {
    struct fixture *f = *state;
    usec_t before = now_realtime();
#define LINK(status, ...) assert_int_equal(run(f, (const char *[]){__VA_ARGS__, NULL}), status)

    LINK(0, "/sbin/poweroff");
    ENDS("poweroff");
    LINK(0, "halt");
    ENDS("halt");
    LINK(0, "halt", "-p");
    ENDS("poweroff");
    LINK(0, "reboot", "-f", "bootloader");
    ENDS("reboot-force");
    assert_string_equal(fake.end_argument, "bootloader");
    LINK(0, "reboot", "-w");
    ENDS("none");
    LINK(0, "reboot", "--help");
    LINK(1, "reboot", "--nonsense");
    LINK(0, "shutdown");
    ENDS("poweroff");
    assert_in_range(fake.end_when, before + 60 * USEC_PER_SEC, now_realtime() + 60 * USEC_PER_SEC);
    LINK(0, "shutdown", "-r", "+10", "for", "updates");
    ENDS("reboot");
    assert_in_range(fake.end_when, before + 600 * USEC_PER_SEC, now_realtime() + 600 * USEC_PER_SEC);
    assert_string_equal(fake.end_message, "for updates");
    LINK(0, "shutdown", "--show");
    LINK(0, "shutdown", "-c");
    LINK(1, "shutdown", "-c");
    LINK(0, "shutdown", "-H", "now");
    ENDS("halt");
    assert_int_equal(fake.end_when, 0);
    LINK(0, "shutdown", "-k", "now");
    ENDS("none");
    LINK(1, "shutdown", "later");
    LINK(0, "telinit", "6");
    ENDS("reboot");
    LINK(0, "telinit", "0");
    ENDS("poweroff");
    LINK(0, "telinit", "q");
    LINK(1, "telinit", "7");
    LINK(1, "telinit");
}

static void assert_when(const char *text, const char *wanted) {
    usec_t now, at, then;
    char buffer[TIMESTAMP_MAX];

    assert_int_equal(timestamp_parse("2026-11-21 23:10:30", 0, &now), 0);
    if (!wanted) {
        assert_true(when_parse(text, now, USEC_PER_SEC, &at) < 0);
        return;
    }
    assert_int_equal(when_parse(text, now, USEC_PER_SEC, &at), 0);
    assert_int_equal(timestamp_parse(wanted, 0, &then), 0);
    if (at != then)
        fail_msg("%s is %s, not %s", text, timestamp_format(at, buffer), wanted);
}

static void times_of_shutdown(void **state _unused_) {
    assert_when("now", "2026-11-21 23:10:30");
    assert_when("+0", "2026-11-21 23:10:30");
    assert_when("+90", "2026-11-21 23:12:00");
    assert_when("+1h 5min", "2026-11-22 00:15:30");
    assert_when("23:11", "2026-11-21 23:11");
    assert_when("23:10", "2026-11-22 23:10"); /* has passed: tomorrow */
    assert_when("6:05", "2026-11-22 06:05");
    assert_when("00:00", "2026-11-22 00:00");
    assert_when("2026-12-24 18:00", "2026-12-24 18:00");
    static const char *const bad[] = {"", "24:00", "12:60", "12:", ":30", "12:30x", "-5", "-5min", "today",
        "2026-11-21 23:10", "5min ago", "tea", "+", "+x", "-1:30", " 12:30"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_when(bad[i], NULL);
}

static void rescue_isolates(void **state) {
    struct fixture *f = *state;
    /* The fake manager has no targets; that it is asked for one shows in the answer. */
    EXPECT(EXIT_NOT_INSTALLED, f, "rescue");
    expect_in(f->err, "rescue.target");
    EXPECT(EXIT_NOT_INSTALLED, f, "emergency");
    expect_in(f->err, "emergency.target");
    EXPECT(0, f, "start", "--job-mode=isolate", "--no-block", "web");
    assert_int_equal(fake.jobs[0].mode, JOB_MODE_ISOLATE);
}

static void wrong_command_lines_are_explained(void **state) {
    struct fixture *f = *state;
    EXPECT(1, f, "strat", "web");
    expect_in(f->err, "did you mean start?");
    EXPECT(1, f, "attach", "web");
    expect_in(f->err, "davit logs -f UNIT");
    EXPECT(1, f, "start");
    expect_in(f->err, "Usage: davit start");
    EXPECT(1, f, "jobs", "x");
    assert_int_equal(run(f, (const char *[]){"davit", NULL}), 1);
    EXPECT(EXIT_DAVIT_FAILED, f, "run");
    EXPECT(0, f, "--help");
    expect_in(f->out, "daemon-reload");
    EXPECT(0, f, "run", "--help");
    expect_in(f->out, "--memory=SIZE");
    EXPECT(0, f, "help", "logs");
    expect_in(f->out, "--since=TIME");
    EXPECT(1, f, "help", "nonsense");
    EXPECT(0, f, "--version");
    expect_in(f->out, "davit 0.1\n");
}

static void without_davitd_there_is_a_hint(void **state) {
    struct fixture *f = *state;
    static const char *const verbs_that_ask[] = {"status", "list", "daemon-reload", "events", "info"};
    for (size_t i = 0; i < ARRAY_SIZE(verbs_that_ask); i++) {
        EXPECT(1, f, verbs_that_ask[i], "--runtime-dir=/nonexistent/run");
        expect_in(f->err, "is davit-init running? (tried /nonexistent/run/control");
    }
    EXPECT(1, f, "start", "--runtime-dir=/nonexistent/run", "web");
    EXPECT(EXIT_DAVIT_FAILED, f, "exec", "--runtime-dir=/nonexistent/run", "web", "ls");
    EXPECT(0, f, "version", "--runtime-dir=/nonexistent/run");
}

/* Nothing is guessed that a container may run from. What is told about it stands before the worker is started. */
static void gc_of_images_does_not_take_an_error_for_no_units(void **state) {
    struct fixture *f = *state;
    f->harness.manager.settings.max_clients_per_uid = 0;
    EXPECT(1, f, "image", "gc");
    expect_in(f->err, "which images one-off containers use is not known: ");
    f->harness.manager.settings.max_clients_per_uid = 8;
}

/* ---- events ---- */

static void events_are_printed_until_the_end(void **state) {
    struct fixture *f = *state;
    int out[2], status;
    char text[4096] = "";
    assert_int_equal(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = {(char[]){"davit"}, (char[]){"events"}, NULL};
        (void)alarm(CLIENT_SECONDS);
        if (dup2(out[1], STDOUT_FILENO) < 0)
            _exit(254);
        exit(cli_main(2, argv));
    }
    (void)close(out[1]);
    while (fake.n_listeners == 0)
        (void)sd_event_run(f->harness.manager.event, 10000);
    fake_event(json_pack("{sssssssssssI}", "event", "state", "unit", "web.container", "old", "running", "new",
        "failed", "result", "oom-kill", "timestamp", (json_int_t)1700000000000000));
    fake_event(json_pack("{sssssssssssI}", "event", "job", "unit", "web.container", "type", "start", "result",
        "failed", "message", "no \033image", "timestamp", (json_int_t)1700000000000000));
    fake_event(json_pack("{sss{sssssiss}}", "event", "problem", "problem", "level", "error", "file", "f",
        "line", 3, "text", "bad"));
    fake_event(json_pack("{sssisi}", "event", "reload", "units", 4, "problems", 1));
    fake_event(json_pack("{ss}", "event", "exit"));
    harness_run(&f->harness);
    control_free(f->harness.control); /* as when davitd leaves */
    f->harness.control = NULL;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(read(out[0], text, sizeof(text) - 1) > 0);
    (void)close(out[0]);
    expect_in(text, "web.container: running -> failed (oom-kill)\n");
    expect_in(text, "web.container: start failed: no \\x1bimage\n");
    expect_in(text, "f:3: bad\n");
    expect_in(text, "unit files read again: 4 units, 1 problems\n");
    struct error e = {};
    assert_int_equal(control_new(&f->harness.manager, &e), 0);
    f->harness.control = f->harness.manager.control;
}

/* ---- files ---- */

static void files_are_checked_and_shown(void **state) {
    struct fixture *f = *state;
    /* The unit path is that of davitd, if there is one: here there shall be none. */
    static const char alone[] = "--runtime-dir=/nonexistent/run";
    write_unit(f, "good.container", "[Container]\nImage=busybox\n[Install]\nWantedBy=default.target\n");
    write_unit(f, "bad.container", "[Container]\nImage=busybox\nMemory=lots\nMemry=3\n");
    _cleanup_free_ char *good = path_join(f->units, "good.container"),
                        *bad = path_join(f->units, "bad.container");
    EXPECT(0, f, "check", alone, good);
    expect_in(f->out, "1 unit checked: 0 errors, 0 warnings\n");
    EXPECT(1, f, "check", alone, bad);
    expect_in(f->out, "bad.container:3: [Container] Memory=");
    expect_in(f->out, "did you mean Memory=?");
    EXPECT(1, f, "check", alone);
    expect_in(f->out, "2 units checked: 1 error, 1 warning\n");
    EXPECT(1, f, "check", alone, "--strict", "--json", "bad");
    json_t *problems = json_loads(f->out, 0, NULL);
    assert_int_equal(json_array_size(problems), 2);
    json_decref(problems);
    EXPECT(1, f, "check", alone, "/nonexistent.container");
    EXPECT(1, f, "check", alone, "nonesuch");

    EXPECT(0, f, "cat", alone, "good");
    expect_in(f->out, good);
    expect_in(f->out, "Image=busybox\n");
    EXPECT(1, f, "cat", alone, "nonesuch");
    EXPECT(0, f, "show", alone, "-p", "Image", "good");
    assert_string_equal(f->out, "Image=busybox\n");
}

static void enabling_makes_links_and_tells_davitd(void **state) {
    struct fixture *f = *state;
    static const char alone[] = "--runtime-dir=/nonexistent/run";
    write_unit(f, "good.container", "[Container]\nImage=busybox\n[Install]\nWantedBy=default.target\n");
    EXPECT(0, f, "enable", alone, "good");
    expect_in(f->err, "Created ");
    EXPECT(0, f, "is-enabled", alone, "good");
    assert_string_equal(f->out, "enabled\n");
    EXPECT(0, f, "disable", alone, "good");
    expect_in(f->err, "Removed ");
    EXPECT(1, f, "is-enabled", alone, "good");
    EXPECT(EXIT_NO_SUCH_UNIT, f, "is-enabled", alone, "nonesuch");
    EXPECT(1, f, "enable", alone, "nonesuch");
}

static void unit_files_are_listed(void **state) {
    struct fixture *f = *state;
    static const char alone[] = "--runtime-dir=/nonexistent/run";
    write_unit(f, "good.container", "[Container]\nImage=busybox\n[Install]\nWantedBy=default.target\n");
    write_unit(f, "many@.container", "[Container]\nImage=busybox\n");
    EXPECT(0, f, "list-unit-files", alone, "--plain");
    assert_string_equal(f->out, "good.container   generated\nmany@.container  static\n");
    EXPECT(0, f, "list-unit-files", alone, "--state=static");
    expect_in(f->out, "\n1 unit file.\n");
    EXPECT(0, f, "list-unit-files", alone, "--plain", "-t", "service", "m*");
    assert_string_equal(f->out, "");
}

/* `davit edit` with this editor. */
static int edit(struct fixture *f, const char *editor, const char *option) {
    int terminal, side;
    assert_int_equal(openpty(&terminal, &side, NULL, NULL, NULL), 0);
    assert_int_equal(setenv("SYSTEMD_EDITOR", editor, 1), 0);
    int input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(dup2(side, STDIN_FILENO), STDIN_FILENO);
    int r = DAVIT(f, "edit", "--runtime-dir=/nonexistent/run", option, "good");
    if (input >= 0)
        assert_int_equal(dup2(input, STDIN_FILENO), STDIN_FILENO);
    (void)close(input);
    (void)close(side);
    (void)close(terminal);
    return r;
}

static void editing_writes_a_drop_in_and_checks_it(void **state) {
    struct fixture *f = *state;
    write_unit(f, "good.container", "[Container]\nImage=busybox\n");
    _cleanup_free_ char *path = path_join(f->units, "good.container.d/override.conf"), *text = NULL;

    /* The editor sees the unit below, and only what is above it is kept. */
    assert_int_equal(
        edit(f,
            "f() { grep -q '^# Image=busybox' \"$1\" && sed -i '1i [Container]\\nMemory=50M' \"$1\"; }; f",
            "--quiet"),
        0);
    assert_int_equal(file_read(AT_FDCWD, path, 4096, &text, NULL), 0);
    assert_string_equal(text, "[Container]\nMemory=50M\n");
    assert_int_equal(edit(f, "false", "--quiet"), 1);
    expect_in(f->err, "nothing is changed");
    assert_int_equal(edit(f, "sed -i s/50M/lots/", "--quiet"), 1);
    expect_in(f->out, "override.conf:2: [Container] Memory=");
    assert_int_equal(edit(f, "f() { : >\"$1\"; }; f", "--quiet"), 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(edit(f, "true", "--drop-in=a/b"), 1);
    EXPECT(1, f, "edit", "--runtime-dir=/nonexistent/run", "--stdin", "nonesuch");
    expect_in(f->err, "there is no unit nonesuch");
}

/* ---- logs ---- */

static void logs_are_printed_in_three_ways(void **state) {
    struct fixture *f = *state;
    static const char text[] =
        "2026-11-21T05:46:11.000000000Z stdout F one\n2026-11-21T05:46:12.000000000Z stdout F tw\xffo\n";
    static const char alone[] = "--runtime-dir=/nonexistent/run";
    _cleanup_free_ char *log = path_join(f->log, "web.container.log");
    assert_int_equal(file_write_atomic(AT_FDCWD, log, text, sizeof(text) - 1, 0600, false), 0);
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    EXPECT(0, f, "logs", alone, "web");
    assert_string_equal(f->out, "Nov 21 05:46:11 web: one\nNov 21 05:46:12 web: tw\xffo\n");
    EXPECT(0, f, "logs", alone, "-o", "cat", "-n1", "web");
    assert_string_equal(f->out, "tw\xffo\n");
    EXPECT(0, f, "logs", alone, "--json", "--until=2026-11-21T05:46:11.5Z", "web");
    json_t *o = json_loads(f->out, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(o, "message")), "one");
    json_decref(o);
    EXPECT(0, f, "logs", alone, "--json", "-n", "1");
    expect_in(f->out, "tw\\\\xffo"); /* JSON has no other way to say it */
    EXPECT(1, f, "logs", alone, "--since", "nonsense");
    expect_in(f->err, "is no time");
    EXPECT(0, f, "logs", alone, "-o", "cat", "--tail=1", "-u", "web");
    assert_string_equal(f->out, "tw\xffo\n");
    EXPECT(EXIT_NO_SUCH_UNIT, f, "logs", "none");
    expect_in(f->err, "there is no unit none");
    EXPECT(1, f, "logs", alone, "-n", "x");
    EXPECT(1, f, "logs", alone, "-o", "x");
}

int main(void) {
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(jobs_are_waited_for),
        TEST(jobs_that_cannot_be_are_told_apart),
        TEST(no_block_does_not_wait),
        TEST(more_units_than_connections),
        TEST(patterns_mean_what_there_is),
        TEST(what_cannot_reload_is_restarted),
        TEST(status_shows_all_there_is),
        TEST(status_tells_by_its_exit_status),
        TEST(json_is_what_the_server_says),
        TEST(lists_are_filtered),
        TEST(one_word_tells_of_all),
        TEST(what_has_ended_need_not_be_waited_for),
        TEST(dependencies_are_a_tree),
        TEST(show_prints_properties),
        TEST(questions_are_answered_by_status),
        TEST(small_verbs_reach_the_manager),
        TEST(endings_reach_the_manager),
        TEST(davitd_killed_by_what_it_was_asked_for_is_no_failure),
        TEST(endings_can_be_scheduled),
        TEST(forced_twice_is_for_davits_own_machine),
        TEST(names_of_other_inits),
        TEST(times_of_shutdown),
        TEST(rescue_isolates),
        TEST(wrong_command_lines_are_explained),
        TEST(without_davitd_there_is_a_hint),
        TEST(gc_of_images_does_not_take_an_error_for_no_units),
        TEST(events_are_printed_until_the_end),
        TEST(files_are_checked_and_shown),
        TEST(enabling_makes_links_and_tells_davitd),
        TEST(unit_files_are_listed),
        TEST(editing_writes_a_drop_in_and_checks_it),
        TEST(logs_are_printed_in_three_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
