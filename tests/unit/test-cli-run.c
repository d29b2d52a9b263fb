/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `davit run`: the command line as unit text, and that the unit language reads back what was meant. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/fs.h"
#include "cli/run-unit.h"
#include "unit/expand.h"
#include "unit/unit.h"

/* Parses "run ARGUMENTS..." as the command line does. */
static int text_of(char **argv, char **ret, struct error *e) {
    struct cli_options options = {};
    int argc = (int)strv_length(argv);
    int first = options_parse(&options, verb_find("run"), argc, argv);
    assert_true(first > 0 && first < argc);
    int r = run_unit_text(&options, argv + first, (size_t)(argc - first), ret, e);
    options_done(&options);
    return r;
}

#define RUN(...) ((char **)(void *)(const char *[]){"run", __VA_ARGS__, NULL})

static void expect_line(char **argv, const char *line) {
    _cleanup_free_ char *text = NULL;
    struct error e = {};
    if (text_of(argv, &text, &e) < 0)
        fail_msg("%s", e.text);
    _cleanup_free_ char *wanted = strf("\n%s\n", line);
    if (!strstr(text, wanted))
        fail_msg("no line \"%s\" in:\n%s", line, text);
}

static void expect_refusal(char **argv, const char *word) {
    _cleanup_free_ char *text = NULL;
    struct error e = {};
    assert_int_equal(text_of(argv, &text, &e), -EINVAL);
    if (!strstr(e.text, word))
        fail_msg("\"%s\" does not say \"%s\"", e.text, word);
}

static void options_become_keys(void **state _unused_) {
    expect_line(RUN("busybox"), "Image=busybox");
    expect_line(RUN("-m", "100M", "busybox"), "Memory=100M");
    expect_line(RUN("--name", "dreamland", "busybox"), "ContainerName=dreamland");
    expect_line(RUN("--name", "dreamland", "busybox"), "HostName=dreamland");
    expect_line(RUN("--name", "a_b", "busybox"), "ContainerName=a_b"); /* no host name */
    expect_line(RUN("--name", "a", "--hostname", "h", "busybox"), "HostName=h");
    expect_line(RUN("-v", "data1:/data1", "busybox"), "Volume=data1:/data1");
    expect_line(RUN("-v", "/srv/x:/x:ro,Z", "busybox"), "Volume=/srv/x:/x:ro,Z");
    expect_line(RUN("-u", "www:audio", "busybox"), "User=www");
    expect_line(RUN("-u", "www:audio", "busybox"), "Group=audio");
    expect_line(RUN("-w", "/tmp", "busybox"), "WorkingDir=/tmp");
    expect_line(RUN("-e", "A=b c", "busybox"), "Environment=\"A=b c\"");
    expect_line(RUN("--cpus", "1.5", "busybox"), "CPUQuota=150.00%");
    expect_line(RUN("--cpus", ".25", "busybox"), "CPUQuota=25.00%");
    expect_line(RUN("--pids-limit", "20", "busybox"), "PidsLimit=20");
    expect_line(RUN("--pids-limit", "-1", "busybox"), "PidsLimit=-1");
    expect_line(RUN("-m", "1M", "--memory-swap", "3M", "busybox"), "MemorySwapMax=2097152");
    expect_line(RUN("--memory-swap", "-1", "busybox"), "MemorySwapMax=infinity");
    expect_line(RUN("--read-only", "busybox"), "ReadOnly=yes");
    expect_line(RUN("--cap-drop", "all", "--cap-add", "NET_RAW", "busybox"), "AddCapability=NET_RAW");
    expect_line(RUN("--cap-drop=all", "busybox"), "DropCapability=all");
    expect_line(RUN("--security-opt", "no-new-privileges", "busybox"), "NoNewPrivileges=yes");
    expect_line(RUN("--security-opt", "mask=/proc/x", "busybox"), "Mask=/proc/x");
    expect_line(RUN("--network", "none", "busybox"), "Network=none");
    expect_line(RUN("--entrypoint", "/bin/sh", "busybox"), "Entrypoint=/bin/sh");
    expect_line(RUN("--tmpfs", "/t:size=1m", "--tmpfs", "/u", "busybox"), "Tmpfs=/u");
    expect_line(RUN("--unit-property", "MemoryHigh=5M", "busybox"), "MemoryHigh=5M");
    expect_line(RUN("--unit-property", "Service.Restart=always", "busybox"), "Restart=always");
    expect_line(RUN("--unit-property", "Unit.Description=%n x", "busybox"), "Description=%n x");
}

static void options_end_at_the_image(void **state _unused_) {
    expect_line(RUN("busybox", "ls", "-l", "--rm"), "Exec=ls -l --rm");
    expect_line(RUN("--rm", "--", "busybox", "--", "x"), "Exec=-- x");
}

static void a_directory_is_told_from_a_volume(void **state _unused_) {
    char directory[] = "/tmp/davit-test-XXXXXX";
    assert_non_null(mkdtemp(directory));
    _cleanup_close_ int old = open(".", O_PATH | O_CLOEXEC);
    assert_int_equal(chdir(directory), 0);
    _cleanup_free_ char *here = strf("Volume=%s:/x:ro", directory),
                        *inside = strf("Volume=%s/./new:/x", directory);
    expect_line(RUN("-v", ".:/x:ro", "busybox"), here);
    expect_line(RUN("-v", "./new:/x", "busybox"), inside);
    expect_line(RUN("-v", "new:/x", "busybox"), "Volume=new:/x");
    assert_int_equal(fchdir(old), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void our_own_environment_is_passed_by_name(void **state _unused_) {
    assert_int_equal(setenv("DAVIT_TEST_X", "1 2", 1), 0);
    expect_line(RUN("-e", "DAVIT_TEST_X", "busybox"), "Environment=\"DAVIT_TEST_X=1 2\"");
    _cleanup_free_ char *text = NULL;
    assert_int_equal(text_of(RUN("-e", "DAVIT_TEST_NONE", "busybox"), &text, NULL), 0);
    assert_null(strstr(text, "DAVIT_TEST_NONE"));
}

static void what_a_file_cannot_hold_is_refused(void **state _unused_) {
    expect_refusal(RUN("--hostname", "a\nExec=x", "busybox"), "line break");
    expect_refusal(RUN("bad\nimage"), "line break");
    expect_refusal(RUN("-v", "a:/b\\", "busybox"), "backslash");
    expect_refusal(RUN("-w", " /x", "busybox"), "blank");
    expect_refusal(RUN("--cpus", "x", "busybox"), "--cpus");
    expect_refusal(RUN("--cpus", "0", "busybox"), "--cpus");
    expect_refusal(RUN("--cpus", "", "busybox"), "--cpus");
    expect_refusal(RUN("--cpus", "1.23456", "busybox"), "--cpus");
    expect_refusal(RUN("--memory-swap", "1M", "busybox"), "--memory");
    expect_refusal(RUN("-m", "2M", "--memory-swap", "1M", "busybox"), "--memory-swap");
    expect_refusal(RUN("--security-opt", "x", "busybox"), "security-opt");
    expect_refusal(RUN("--privileged", "busybox"), "privileged");
    expect_refusal(RUN("--unit-property", "x", "busybox"), "unit-property");
    expect_refusal(RUN("--unit-property", "Install.WantedBy=x", "busybox"), "section");
    _cleanup_free_ char *text = NULL;
    assert_true(text_of(RUN("--env-file", "/nonexistent", "busybox"), &text, NULL) < 0);
}

/* ---- round trip through unit/ ---- */

static struct unit *unit_of(char **argv) {
    char directory[] = "/tmp/davit-test-XXXXXX";
    struct unit_environment env = {.unit_path = NULL};
    struct unit *u = NULL;
    struct error e = {};
    _cleanup_free_ char *text = NULL;

    assert_int_equal(text_of(argv, &text, &e), 0);
    assert_non_null(mkdtemp(directory));
    _cleanup_free_ char *path = strf("%s/x.container", directory);
    assert_int_equal(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, false), 0);
    if (unit_load_file(&env, path, &u, &e) < 0)
        fail_msg("%s", e.text);
    for (struct problem *p = u->problems; p; p = p->next)
        fail_msg("%s\n%s", p->text, text);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
    return u;
}

static void any_command_line_arrives_as_it_is(void **state _unused_) {
    static const char *const words[] = {"sh", "-c", "echo \"$HOME\" '${X}' $$ %n %% \\n `x` ; # c", "", " ",
        "a\tb\nc", "'", "\"", "\\", "é€", "-e", ";", "@x", "%", "$", "\x01\x7f", "{}", "a=b"};
    char *argv[ARRAY_SIZE(words) + 3] = {(char *)(uintptr_t) "run", (char *)(uintptr_t) "busybox"};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        argv[2 + i] = (char *)words[i];
    _cleanup_(unit_freep) struct unit *u = unit_of(argv);
    _cleanup_strv_free_ char **expanded = NULL;
    assert_int_equal(command_expand(u->container->exec, NULL, &expanded), 0);
    assert_int_equal(strv_length(expanded), ARRAY_SIZE(words));
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        assert_string_equal(expanded[i], words[i]);
}

static void all_options_are_read_back_without_complaint(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u = unit_of(RUN("-m", "100M", "--name", "dreamland", "-v",
        "data1:/data1", "-v", "/tmp:/t:ro", "-e", "A=50% $x", "-u", "www", "-w", "/tmp", "--cpus", "1.5",
        "--pids-limit", "30", "--ulimit", "nofile=100:200", "--tmpfs", "/u:size=1m", "--cap-drop", "all",
        "--cap-add", "CAP_NET_RAW", "--userns", "host", "--network", "none", "--read-only", "--sysctl",
        "net.ipv4.ip_forward=1", "--label", "a=b c", "--annotation", "x=y", "--add-host", "db:10.0.0.1",
        "--dns", "10.0.0.2", "--group-add", "audio", "--shm-size", "1m", "--stop-signal", "SIGINT",
        "--stop-timeout", "3", "--tz", "UTC", "--device", "/dev/null", "--mount", "type=tmpfs,destination=/m",
        "--entrypoint", "/bin/sh", "--init", "--memory-swap", "200M", "busybox", "-c", "true"));
    assert_false(u->has_errors);
    assert_int_equal(u->resources.memory_max, 100 * 1024 * 1024);
    assert_int_equal(u->resources.memory_swap_max, 100 * 1024 * 1024);
    assert_int_equal(u->resources.cpu_quota, 15000);
    assert_int_equal(u->resources.tasks_max, 30);
    assert_string_equal(u->container->container_name, "dreamland");
    assert_string_equal(u->container->host_name, "dreamland");
    assert_string_equal(u->container->environment[0], "A=50% $x");
    assert_string_equal(u->container->labels[0], "a=b c");
    assert_int_equal(u->container->network, NETWORK_NONE);
    assert_true(u->container->read_only && u->container->run_init);
    assert_int_equal(u->container->stop_signal, 2);
    assert_int_equal(u->service.restart, RESTART_NO);
    assert_string_equal(u->container->entrypoint[0], "/bin/sh");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_become_keys),
        cmocka_unit_test(options_end_at_the_image),
        cmocka_unit_test(a_directory_is_told_from_a_volume),
        cmocka_unit_test(our_own_environment_is_passed_by_name),
        cmocka_unit_test(what_a_file_cannot_hold_is_refused),
        cmocka_unit_test(any_command_line_arrives_as_it_is),
        cmocka_unit_test(all_options_are_read_back_without_complaint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
