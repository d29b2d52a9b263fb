/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-manager.c; without: cgroup */
/* wrap: sd_event_add_time_relative */
/* What control/ asks for besides jobs: signals, freezing, forgetting failures, commands in containers,
 * one-off containers. */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "fake-manager.h"
#include "manager/rooms.h"
#include "timer-of-test.h"

static pid_t told_pid;
static int told_error, told_code, told_status;
static unsigned told_started, told_exited;

static void on_started(void *userdata _unused_, pid_t pid, const struct error *e) {
    told_started++;
    told_pid = pid;
    told_error = e ? e->number : 0;
}

static void on_exited(void *userdata _unused_, int code, int status) {
    told_exited++;
    told_code = code;
    told_status = status;
}

static int setup(void **state) {
    told_started = told_exited = 0;
    told_error = 0;
    return fake_setup(state);
}

static void container(const char *name) {
    fake_write(name, "[Container]\nImage=busybox\nExec=sleep 1000\n");
    fake_load();
}

static void test_kill(void **state _unused_) {
    struct managed_unit *u;
    struct error e = {};

    container("a.container");
    u = fake_unit("a.container");
    assert_int_equal(api_kill(&fake.m, u, KILL_WHOM_ALL, SIGUSR1, &e), -ESRCH);
    start("a.container");
    fake.ignore_term = true;
    assert_return_code(api_kill(&fake.m, u, KILL_WHOM_ALL, SIGUSR1, &e), 0);
    assert_return_code(api_kill(&fake.m, u, KILL_WHOM_MAIN, SIGHUP, &e), 0);
    assert_string_equal(fake_signals("a.container"), "*USR1 HUP");
    assert_int_equal(api_kill(&fake.m, u, KILL_WHOM_ALL, 0, &e), -EINVAL);
    assert_int_equal(api_kill(&fake.m, u, KILL_WHOM_ALL, 4711, &e), -EINVAL);
    fake_write("x.target", "[Unit]\n");
    fake_load();
    assert_int_equal(api_kill(&fake.m, fake_unit("x.target"), KILL_WHOM_ALL, SIGHUP, &e), -EINVAL);
}

static void test_freeze_holds_the_watchdog(void **state _unused_) {
    struct managed_unit *u;
    struct error e = {};

    fake_write("a.service", "[Service]\nExecStart=/bin/a\nWatchdogSec=2\nType=notify\n");
    fake_load();
    u = fake_unit("a.service");
    start("a.service");
    fake_event("a.service", EVENT_READY);
    assert_return_code(api_freeze(&fake.m, u, true, &e), 0);
    assert_true(u->frozen);
    fake_advance(10 * USEC_PER_SEC);
    assert_state("a.service", STATE_RUNNING);
    assert_return_code(api_freeze(&fake.m, u, false, &e), 0);
    fake_advance(3 * USEC_PER_SEC);
    assert_result("a.service", RESULT_WATCHDOG);
}

static void test_frozen_unit_can_be_stopped(void **state _unused_) {
    struct error e = {};

    container("a.container");
    start("a.container");
    assert_return_code(api_freeze(&fake.m, fake_unit("a.container"), true, &e), 0);
    stop("a.container");
    assert_state("a.container", STATE_INACTIVE);
    assert_false(fake_unit("a.container")->frozen);
}

static void test_reset_failed(void **state _unused_) {
    struct managed_unit *u;

    fake_write("a.service", "[Service]\nExecStart=/bin/a\n");
    fake_load();
    u = fake_unit("a.service");
    start("a.service");
    fake_exits("a.service", CLD_EXITED, 1);
    u->restarts = 5;
    assert_state("a.service", STATE_FAILED);
    assert_return_code(api_reset_failed(&fake.m, NULL), 0);
    assert_state("a.service", STATE_INACTIVE);
    assert_result("a.service", RESULT_SUCCESS);
    assert_int_equal(u->restarts, 0);
}

/* ---- exec ---- */

static int ask_exec(const char *key, bool again, void *userdata, struct error *e) {
    char *argv[] = {(char *)"true", NULL};
    struct exec_request r = {.key = key,
        .again = again,
        .argv = argv,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = -1,
        .terminal_fd = -1};

    return api_exec(fake_unit("a.container"), &r, on_started, on_exited, userdata, e);
}

static int run_exec_of(const char *key, bool again, void *userdata, struct error *e) {
    int r = ask_exec(key, again, userdata, e);

    fake_settle();
    return r;
}

static int run_exec(void *userdata, struct error *e) {
    return run_exec_of(NULL, false, userdata, e);
}

static void test_exec(void **state _unused_) {
    struct error e = {};

    container("a.container");
    assert_int_equal(run_exec(&e, &e), -ESRCH);
    assert_non_null(strstr(e.text, "not running"));
    start("a.container");
    assert_return_code(run_exec(&e, &e), 0);
    assert_int_equal(told_started, 1);
    assert_true(told_pid > 0);
    fake_process_exits(fake.last_exec, CLD_EXITED, 7);
    assert_int_equal(told_exited, 1);
    assert_int_equal(told_code, CLD_EXITED);
    assert_int_equal(told_status, 7);
    assert_true(list_empty(&fake_unit("a.container")->sessions));
    assert_state("a.container", STATE_RUNNING);
}

static void test_exec_that_cannot_be(void **state _unused_) {
    struct error e = {};

    container("a.container");
    start("a.container");
    fake.auto_start = false;
    assert_return_code(ask_exec(NULL, false, &e, &e), 0);
    fake_process_fails(fake.last_exec, ENOENT);
    assert_int_equal(told_started, 1);
    assert_int_equal(told_error, ENOENT);
    assert_int_equal(told_exited, 0);
    assert_true(list_empty(&fake_unit("a.container")->sessions));
}

static void test_exec_signals_and_a_client_that_leaves(void **state _unused_) {
    struct error e = {};

    container("a.container");
    start("a.container");
    fake.ignore_term = true;
    assert_return_code(run_exec(&e, &e), 0);
    assert_return_code(api_exec_kill(&fake.m, &e, SIGWINCH), 0);
    assert_int_equal(api_exec_kill(&fake.m, &told_pid, SIGWINCH), -ESRCH);
    api_forget_client(&fake.m, &e);
    assert_string_equal(fake_signals("a.container"), "WINCH HUP");
    fake_process_exits(fake.last_exec, CLD_KILLED, SIGHUP);
    assert_int_equal(told_exited, 0); /* nobody is there to be told */
}

#define KEY "0123456789abcdef0123456789abcdef"

/* What its state says of commands, and the units of the next davitd begin with. */
static void next_davitd(struct managed_unit *u) {
    _cleanup_strbuf_ struct strbuf b = {};
    const char *line;

    exec_format(u, "exec", &b);
    exec_free_all(u);
    line = strbuf_failed(&b) || !b.data ? NULL : startswith(b.data, "exec=");
    if (line) {
        _cleanup_free_ char *value = strndup(line, strcspn(line, "\n"));
        assert_return_code(strv_append(&u->recovered_sessions, value), 0);
    }
    exec_recover(u);
}

static struct managed_unit *running_container(void) {
    container("a.container");
    start("a.container");
    return fake_unit("a.container");
}

static void test_exec_asked_again_is_the_same_command(void **state _unused_) {
    struct managed_unit *u = running_container();
    struct error e = {};

    assert_return_code(run_exec_of(KEY, false, &e, &e), 0);
    pid_t pid = told_pid;
    assert_int_equal(run_exec_of(KEY, true, &told_pid, &e), -EBUSY);
    next_davitd(u);
    assert_return_code(run_exec_of(KEY, true, &e, &e), 0);
    assert_int_equal(told_started, 1); /* not confirmed yet, for all that this davitd knows */
    fake_process_exits(fake.last_exec, CLD_EXITED, 7);
    assert_int_equal(told_exited, 1);
    assert_int_equal(told_status, 7);
    assert_true(pid > 0 && list_empty(&u->sessions));
}

static void test_exec_that_has_ended_meanwhile_is_told_once(void **state _unused_) {
    struct managed_unit *u = running_container();
    struct error e = {};

    assert_return_code(run_exec_of(KEY, false, &e, &e), 0);
    pid_t pid = told_pid;
    next_davitd(u);
    fake_process_exits(fake.last_exec, CLD_KILLED, SIGSEGV);
    assert_int_equal(told_exited, 0);
    next_davitd(u);
    assert_false(exec_runs(u));
    assert_return_code(run_exec_of(KEY, true, &e, &e), 0);
    assert_int_equal(told_pid, pid);
    assert_int_equal(told_code, CLD_KILLED);
    assert_int_equal(told_status, SIGSEGV);
    assert_true(list_empty(&u->sessions));

    /* the same by its pid */
    assert_return_code(run_exec(&e, &e), 0);
    next_davitd(u);
    fake_process_exits(fake.last_exec, CLD_EXITED, 3);
    assert_return_code(api_attach(u, NULL, told_pid, on_started, on_exited, &e, &e), 0);
    assert_int_equal(told_status, 3);
    assert_int_equal(api_attach(u, NULL, told_pid, on_started, on_exited, &e, &e), -ESRCH);
}

/* Of an earlier davit-init: no feed will ever tell of its end. */
static void test_exec_below_another_davit_init_is_watched_by_each_davitd(void **state _unused_) {
    struct managed_unit *u = running_container();
    struct error e = {};

    assert_return_code(run_exec_of(KEY, false, &e, &e), 0);
    fake.m.keeper_changed = true;
    next_davitd(u);
    assert_true(fake.last_exec->foreign);
    fake.m.keeper_changed = false;
    _cleanup_strbuf_ struct strbuf b = {};
    exec_format(u, "exec", &b);
    assert_non_null(strstr(b.data, KEY " foreign\n"));
    fake.last_exec->foreign = false;
    exec_free_all(u);
    assert_return_code(strv_consume(&u->recovered_sessions,
                           strndup(b.data + strlen("exec="), strcspn(b.data, "\n") - strlen("exec="))),
        0);
    exec_recover(u);
    assert_true(fake.last_exec->foreign);
}

static void test_exec_that_was_lost_before_its_launch_may_be_asked_again(void **state _unused_) {
    struct managed_unit *u = running_container();
    struct error e = {};

    assert_return_code(ask_exec(KEY, false, &e, &e), 0);
    next_davitd(u);
    fake_process_fails(fake.last_exec, ECONNRESET); /* by the launchers: they have never seen it */
    assert_true(list_empty(&u->sessions));
    assert_return_code(run_exec_of(KEY, true, &e, &e), 0);
    assert_int_equal(told_started, 1);
}

static void test_exec_whose_launcher_dies_on_it_may_be_asked_again(void **state _unused_) {
    struct managed_unit *u = running_container();
    struct error e = {};

    assert_return_code(ask_exec(KEY, false, &e, &e), 0);
    fake_process_exec_fails(fake.last_exec, ECANCELED, "launcher");
    assert_int_equal(told_error, ECONNRESET);
    assert_int_equal(told_exited, 0);
    assert_return_code(run_exec_of(KEY, true, &e, &e), 0);
    assert_int_equal(told_started, 2);
    assert_int_equal(told_error, 0);

    /* while the client is away */
    fake_process_exits(fake.last_exec, CLD_EXITED, 0);
    assert_return_code(ask_exec(KEY, false, &e, &e), 0);
    next_davitd(u);
    fake_process_exec_fails(fake.last_exec, ECANCELED, "launcher");
    assert_return_code(run_exec_of(KEY, true, &e, &e), 0);
    assert_int_equal(told_started, 3);
    assert_int_equal(told_exited, 1);
}

static void test_exec_is_not_run_again_where_that_could_be_twice(void **state _unused_) {
    struct managed_unit *u = running_container();
    struct error e = {};

    fake.save_fails = true; /* as it may have done the first time */
    assert_int_equal(run_exec_of(KEY, true, &e, &e), -ENOTRECOVERABLE);
    assert_return_code(run_exec_of(KEY, false, &e, &e), 0);
    fake_process_exits(fake.last_exec, CLD_EXITED, 0);
    fake.save_fails = false;
    u->state_lost = true;
    assert_int_equal(run_exec_of(KEY, true, &e, &e), -ENOTRECOVERABLE);
    u->state_lost = false;

    assert_return_code(ask_exec(KEY, false, &e, &e), 0);
    fake.m.keeper_changed = true; /* the launchers of before are gone, and what they would have told */
    next_davitd(u);
    assert_int_equal(run_exec_of(KEY, true, &e, &e), -ENOTRECOVERABLE);
    assert_int_equal(run_exec_of("no key", true, &e, &e), -EINVAL);
}

static void test_ends_that_nobody_asks_for_are_not_kept_for_ever(void **state _unused_) {
    struct managed_unit *u = running_container();
    struct error e = {};
    unsigned n = 0;

    for (int i = 0; i < 40; i++) {
        assert_return_code(run_exec(&e, &e), 0);
        api_forget_client(&fake.m, &e);
        fake_settle();
    }
    for (const struct list *l = u->sessions.next; l != &u->sessions; l = l->next)
        n++;
    assert_int_equal(n, 32);
}

/* ---- run ---- */

static int keyed(
    const char *name, const char *text, const char *key, bool again, int fd, char **ret, struct error *e) {
    struct run_request r = {.name = name,
        .unit_text = text,
        .key = key,
        .again = again,
        .stdin_fd = fd,
        .stdout_fd = fd,
        .stderr_fd = fd,
        .terminal_fd = -1};

    *ret = NULL;
    int result = api_run(&fake.m, &r, on_started, on_exited, &told_pid, ret, e);
    fake_settle();
    return result;
}

static int one_off(const char *name, const char *text, int fd, char **ret, struct error *e) {
    return keyed(name, text, NULL, false, fd, ret, e);
}

static bool text_is_there(const char *name) {
    _cleanup_free_ char *path = strf("%s/transient/%s", fake.directory, name);

    return access(path, F_OK) == 0;
}

#define TEXT "[Container]\nImage=busybox\nExec=true\n"

static void test_run(void **state _unused_) {
    _cleanup_free_ char *name = NULL;
    struct error e = {};
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    fake_load();
    assert_return_code(one_off("dreamland", TEXT, fd, &name, &e), 0);
    (void)close(fd);
    assert_string_equal(name, "dreamland.container");
    assert_int_equal(told_started, 1);
    assert_state("dreamland.container", STATE_RUNNING);
    assert_true(fake_unit("dreamland.container")->stdio->stdin_fd >= 0);
    assert_true(text_is_there("dreamland.container"));
    fake_exits("dreamland.container", CLD_EXITED, 42);
    assert_int_equal(told_exited, 1);
    assert_int_equal(told_status, 42);
    assert_null(manager_find(&fake.m, "dreamland.container"));
    assert_false(text_is_there("dreamland.container"));
}

static void test_run_detached_with_a_chosen_name(void **state _unused_) {
    _cleanup_free_ char *name = NULL;
    struct error e = {};

    fake_load();
    assert_return_code(one_off(NULL, TEXT, -1, &name, &e), 0);
    assert_non_null(startswith(name, "run-"));
    assert_int_equal(told_started, 1);
    api_forget_client(&fake.m, &told_pid);
    assert_state(name, STATE_RUNNING);
    fake_exits(name, CLD_EXITED, 0);
    assert_int_equal(told_exited, 0);
    assert_null(manager_find(&fake.m, name));
}

static void test_run_refused(void **state _unused_) {
    _cleanup_free_ char *name = NULL;
    struct error e = {};

    container("a.container");
    assert_int_equal(one_off("a", TEXT, -1, &name, &e), -EEXIST);
    assert_int_equal(one_off("bad/name", TEXT, -1, &name, &e), -EINVAL);
    assert_int_equal(one_off("b", "[Container]\nExec=true\n", -1, &name, &e), -EINVAL);
    assert_null(manager_find(&fake.m, "b.container"));
    assert_int_equal(one_off("c", "[Unit]\nRequires=nowhere.container\n" TEXT, -1, &name, &e), -ENOENT);
    assert_null(manager_find(&fake.m, "c.container"));
    assert_false(text_is_there("c.container"));
    assert_null(name);
    assert_int_equal(told_started, 0);
}

static void test_run_that_cannot_be_prepared(void **state _unused_) {
    _cleanup_free_ char *name = NULL;
    struct error e = {};

    fake_load();
    fake.prepare = FAKE_PREPARE_FAILS;
    fake.prepare_errno = ENOENT;
    assert_return_code(one_off("x", TEXT, -1, &name, &e), 0);
    assert_int_equal(told_started, 1);
    assert_int_equal(told_error, ENOENT);
    assert_int_equal(told_exited, 0);
    assert_null(manager_find(&fake.m, "x.container"));
}

static void test_run_whose_client_leaves(void **state _unused_) {
    _cleanup_free_ char *name = NULL;
    struct error e = {};
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    fake_load();
    assert_return_code(one_off("x", TEXT, fd, &name, &e), 0);
    (void)close(fd);
    api_forget_client(&fake.m, &told_pid);
    fake_settle();
    assert_null(manager_find(&fake.m, "x.container")); /* stopped and gone */
    assert_int_equal(told_exited, 0);
}

static void test_run_outlives_davitd(void **state _unused_) {
    _cleanup_free_ char *name = NULL;
    struct error e = {};

    fake_load();
    assert_return_code(one_off("x", TEXT, -1, &name, &e), 0);
    fake_manager_restart();
    assert_state("x.container", STATE_RUNNING);
    fake_exits("x.container", CLD_EXITED, 0);
    assert_null(manager_find(&fake.m, "x.container"));
}

/* As keyed() for a client in the foreground. */
static int attached(bool again, struct error *e) {
    _cleanup_close_ int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    _cleanup_free_ char *name = NULL;

    int r = keyed("x", TEXT, KEY, again, fd, &name, e);
    if (r >= 0)
        assert_string_equal(name, "x.container");
    return r;
}

static struct managed_unit *attached_and_davitd_dies(void) {
    struct error e = {};

    fake_load();
    assert_return_code(attached(false, &e), 0);
    told_started = 0;
    fake_manager_restart();
    return fake_unit("x.container");
}

static void test_run_asked_again_is_the_same_container(void **state _unused_) {
    struct error e = {};

    struct managed_unit *u = attached_and_davitd_dies();
    assert_int_equal(attached(true, &e), 0);
    assert_int_equal(told_started, 1);
    assert_int_equal(attached(true, &e), -EBUSY);
    assert_int_equal(api_attach(u, KEY, 0, on_started, on_exited, &e, &e), -EBUSY);
    fake_exits("x.container", CLD_EXITED, 3);
    assert_int_equal(told_exited, 1);
    assert_int_equal(told_status, 3);
    assert_null(manager_find(&fake.m, "x.container"));
    assert_int_equal(fake.mains, 1);
}

static void test_run_that_has_ended_meanwhile_is_told_once(void **state _unused_) {
    struct error e = {};

    attached_and_davitd_dies();
    fake_exits("x.container", CLD_KILLED, SIGSEGV);
    assert_int_equal(told_exited, 0);
    fake_manager_restart();
    struct managed_unit *u = fake_unit("x.container");
    assert_int_equal(api_attach(u, "another", 0, on_started, on_exited, &e, &e), -ESRCH);
    assert_return_code(api_attach(u, KEY, 0, on_started, on_exited, &e, &e), 0);
    assert_int_equal(told_exited, 1);
    assert_int_equal(told_code, CLD_KILLED);
    assert_int_equal(told_status, SIGSEGV);
    fake_settle();
    assert_null(manager_find(&fake.m, "x.container"));
    assert_false(text_is_there("x.container"));
}

static void test_run_that_failed_meanwhile_is_told_why(void **state _unused_) {
    struct error e = {};

    fake_load();
    fake.auto_start = false;
    assert_return_code(attached(false, &e), 0);
    fake_begun("x.container");
    fake_manager_restart();
    fake_exec_fails("x.container", ENOEXEC, "execve");
    assert_int_equal(attached(true, &e), 0);
    assert_int_equal(told_error, ENOEXEC);
    assert_int_equal(told_exited, 0);
    fake_settle();
    assert_null(manager_find(&fake.m, "x.container"));
}

static void test_run_takes_stdio_again_where_it_is_not_launched(void **state _unused_) {
    struct error e = {};

    fake_load();
    fake.prepare = FAKE_PREPARE_WAITS;
    assert_return_code(attached(false, &e), 0);
    fake_manager_restart();
    assert_int_equal(attached(true, &e), 0);
    assert_non_null(fake_unit("x.container")->stdio);
    fake_prepared("x.container");
    assert_state("x.container", STATE_RUNNING);
    assert_int_equal(told_started, 1);
    assert_int_equal(told_error, 0);
}

static void test_run_without_its_stdio_is_never_launched(void **state _unused_) {
    struct error e = {};

    fake_load();
    fake.prepare = FAKE_PREPARE_WAITS;
    assert_return_code(attached(false, &e), 0);
    fake_manager_restart();
    fake_prepared("x.container");
    assert_int_equal(fake.mains, 0);
    assert_state("x.container", STATE_FAILED);
    assert_return_code(attached(true, &e), 0);
    assert_int_equal(told_error, ECONNRESET); /* to be asked for once more */
    fake_settle();
    fake.prepare = FAKE_PREPARE_OK;
    assert_return_code(attached(true, &e), 0);
    assert_int_equal(told_error, 0);
    assert_state("x.container", STATE_RUNNING);
    assert_int_equal(fake.mains, 1);
}

static void test_run_detached_asked_again(void **state _unused_) {
    _cleanup_free_ char *name = NULL, *again = NULL, *ended = NULL;
    struct error e = {};

    fake_load();
    fake.auto_start = false;
    assert_return_code(keyed("x", TEXT, KEY, false, -1, &name, &e), 0);
    fake_manager_restart();
    assert_int_equal(api_attach(fake_unit("x.container"), KEY, 0, on_started, on_exited, &e, &e), -ESRCH);
    assert_return_code(keyed("x", TEXT, KEY, true, -1, &again, &e), 0);
    assert_int_equal(told_started, 0);
    fake_started("x.container");
    assert_int_equal(told_started, 1);
    assert_null(fake_unit("x.container")->run_key);
    fake_exits("x.container", CLD_EXITED, 0);
    assert_null(manager_find(&fake.m, "x.container"));

    /* it ran, and has ended */
    assert_return_code(keyed("x", TEXT, KEY, false, -1, &ended, &e), 0);
    fake_manager_restart();
    fake_started("x.container");
    fake_exits("x.container", CLD_EXITED, 0);
    free(TAKE_PTR(again));
    assert_return_code(keyed("x", TEXT, KEY, true, -1, &again, &e), 0);
    assert_int_equal(told_started, 2);
    assert_int_equal(told_exited, 0);
    assert_null(manager_find(&fake.m, "x.container"));
    assert_int_equal(fake.mains, 2);
}

/* Its state was lost, and it has ended: only its text is left of it. */
static void lost_run(void) {
    _cleanup_free_ char *name = NULL;
    struct error e = {};

    assert_return_code(one_off("y", TEXT, -1, &name, &e), 0);
    fake_unit("y.container")->state_lost = true;
    fake_exits("y.container", CLD_EXITED, 0);
    assert_null(manager_find(&fake.m, "y.container"));
    assert_true(text_is_there("y.container"));
}

static void test_run_is_not_begun_again_where_that_could_be_twice(void **state _unused_) {
    _cleanup_free_ char *name = NULL;
    struct error e = {};

    struct managed_unit *u = attached_and_davitd_dies();
    free(TAKE_PTR(u->run_key));
    u->state_lost = true;
    assert_int_equal(attached(true, &e), -ENOTRECOVERABLE);
    assert_int_equal(attached(false, &e), -EEXIST);

    lost_run();
    assert_int_equal(keyed("y", TEXT, KEY, true, -1, &name, &e), -ENOTRECOVERABLE);
    assert_int_equal(fake.mains, 2);
    /* One that was written when davitd died was not launched. */
    assert_int_equal(file_write_atomic(fake.m.runtime_fd, "transient/v.container", "?", 1, 0400, false), 0);
    assert_return_code(keyed("v", TEXT, KEY, true, -1, &name, &e), 0);
    free(TAKE_PTR(name));
    /* Nor is one asked for anew a second run. */
    assert_return_code(keyed("y", TEXT, KEY, false, -1, &name, &e), 0);
    free(TAKE_PTR(name));
    assert_int_equal(keyed("z", TEXT, "no key", true, -1, &name, &e), -EINVAL);
    assert_return_code(keyed("z", TEXT, KEY, true, -1, &name, &e), 0);
}

static sd_event_source *minute;

static void timer_made(uint64_t usec, sd_event_source *timer) {
    if (usec == 60 * USEC_PER_SEC)
        minute = timer;
}

static void minute_is_over(void) {
    assert_return_code(sd_event_source_set_time(minute, 0), 0);
    fake_settle();
}

static void test_text_of_a_run_whose_state_was_lost_goes_when_nobody_can_ask_any_more(void **state _unused_) {
    _cleanup_free_ char *name = NULL;
    struct error e = {};

    lost_run();
    minute_is_over();
    assert_false(text_is_there("y.container"));

    lost_run();
    assert_return_code(one_off("y", TEXT, -1, &name, &e), 0); /* another one, whose text it is now */
    minute_is_over();
    assert_true(text_is_there("y.container"));
}

static void test_run_whose_client_never_comes_back(void **state _unused_) {
    attached_and_davitd_dies();
    fake_exits("x.container", CLD_EXITED, 3);
    assert_state("x.container", STATE_FAILED);
    fake_advance(61 * USEC_PER_SEC);
    assert_null(manager_find(&fake.m, "x.container"));
    assert_false(text_is_there("x.container"));
}

static void test_status_text(void **state _unused_) {
    _cleanup_free_ char *text = NULL;

    container("a.container");
    container("b.container");
    start("a.container");
    start("b.container");
    fake_exits("b.container", CLD_EXITED, 1);
    assert_return_code(manager_status_text(&fake.m, &text), 0);
    assert_string_equal(text, "1 running, 1 failed");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, fake_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_kill),
        TEST(test_freeze_holds_the_watchdog),
        TEST(test_frozen_unit_can_be_stopped),
        TEST(test_reset_failed),
        TEST(test_exec),
        TEST(test_exec_that_cannot_be),
        TEST(test_exec_asked_again_is_the_same_command),
        TEST(test_exec_that_has_ended_meanwhile_is_told_once),
        TEST(test_exec_below_another_davit_init_is_watched_by_each_davitd),
        TEST(test_exec_that_was_lost_before_its_launch_may_be_asked_again),
        TEST(test_exec_whose_launcher_dies_on_it_may_be_asked_again),
        TEST(test_exec_is_not_run_again_where_that_could_be_twice),
        TEST(test_ends_that_nobody_asks_for_are_not_kept_for_ever),
        TEST(test_exec_signals_and_a_client_that_leaves),
        TEST(test_run),
        TEST(test_run_detached_with_a_chosen_name),
        TEST(test_run_refused),
        TEST(test_run_that_cannot_be_prepared),
        TEST(test_run_whose_client_leaves),
        TEST(test_run_outlives_davitd),
        TEST(test_run_asked_again_is_the_same_container),
        TEST(test_run_that_has_ended_meanwhile_is_told_once),
        TEST(test_run_that_failed_meanwhile_is_told_why),
        TEST(test_run_takes_stdio_again_where_it_is_not_launched),
        TEST(test_run_without_its_stdio_is_never_launched),
        TEST(test_run_detached_asked_again),
        TEST(test_run_is_not_begun_again_where_that_could_be_twice),
        TEST(test_text_of_a_run_whose_state_was_lost_goes_when_nobody_can_ask_any_more),
        TEST(test_run_whose_client_never_comes_back),
        TEST(test_status_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
