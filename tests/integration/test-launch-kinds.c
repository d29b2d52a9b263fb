/* link: launch-harness.c */
/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands in running containers, host processes and chores; then the launcher itself: bad requests, want,
 * death. */
#include "launch-harness.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/fs.h"

/* ---- other kinds ---- */

static struct outcome start_sleeper(struct rig *r, bool user_namespace, bool init) {
    struct container_spec s;

    container_init(r, &s, user_namespace);
    set_argv(&s, "/bin/sleep", "1000", NULL);
    s.run_init = init;
    struct outcome o = launch(r, &s, NULL, 0);
    struct error e;
    assert_true(o.begun);
    assert_int_equal(read(o.status_fd, &e, sizeof(e)), 0);
    spec_done(&s);
    return o;
}

static void exec_init(struct rig *r, struct container_spec *s, const char *script) {
    spec_init(s);
    s->kind = SPEC_EXEC;
    s->request = ++r->request;
    s->join_pidfd = 0;
    set_argv(s, "sh", "-c", script, NULL);
    assert_int_equal(strv_append(&s->environment, "PATH=/bin"), 0);
    s->capabilities = 0x00000000800405fb;
    s->no_new_privileges = true;
}

static void test_exec_joins_everything(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    char text[1024] = "";
    int pipe_fds[2];

    BOTH(init){BOTH(u){_cleanup_outcome_ struct outcome box = start_sleeper(r, u, init);
    exec_init(r, &s,
        "hostname; id -u; ls /proc/self/fd | wc -l; grep CapPrm /proc/self/status | cut -f2; ls /proc | grep "
        "-c "
        "'^1$'; for n in mnt uts ipc net pid user cgroup; do test $(readlink /proc/1/ns/$n) = $(readlink "
        "/proc/self/ns/$n) || echo $n; done; id -u; pwd");
    set(&s.user, "www");
    set(&s.working_dir, "/tmp");
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    const int fds[] = {box.pidfd, pipe_fds[1]};
    s.stdout_fd = 1;
    _cleanup_outcome_ struct outcome o = launch(r, &s, fds, 2);
    close(pipe_fds[1]);
    if (!o.begun)
        fail_msg("%s: %s", o.error.step, o.error.text);
    _cleanup_free_ char *out = NULL;
    assert_int_equal(fd_read_all(pipe_fds[0], 4096, &out, NULL), 0);
    close(pipe_fds[0]);
    finish(&o);
    o.output = TAKE_PTR(out);
    assert_exit(&o, 0);
    assert_contains(o.output, "boat\n33\n4\n0000000000000000\n1\n");
    assert_contains(o.output, "33\n/tmp\n");
    spec_done(&s);
    kill(box.pid, SIGKILL);
    finish(&box);
    /* A container that is gone. */
    exec_init(r, &s, "true");
    _cleanup_outcome_ struct outcome late = launch(r, &s, &box.pidfd, 1);
    assert_false(late.begun);
    assert_string_equal(late.error.step, "join");
    assert_int_equal(late.error.number, ESRCH);
    spec_done(&s);
}
}
(void)text;
}

static void process_init(struct rig *r, struct container_spec *s) {
    spec_init(s);
    s->kind = SPEC_PROCESS;
    s->request = ++r->request;
    s->capabilities = UINT64_MAX;
}

static void test_host_process(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    process_init(r, &s);
    set_argv(&s, "sh", "-c",
        "cat $0/mark; id -u; pwd; echo $HOME; ls /proc/self/fd | wc -l; cut -d' ' -f5 /proc/self/mountinfo | "
        "grep -c '^/$'",
        r->directory, NULL);
    set(&s.working_dir, "/usr");
    set(&s.user, "daemon");
    _cleanup_free_ char *mark = rig_path(r, "mark");
    write_file(mark, "of the host\n");
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_exit(&o, 0);
    assert_contains(o.output, "of the host\n1\n/usr\n/usr/sbin\n4\n");
}

static void test_pass_fd(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    char text[16] = "";
    int pipe_fds[2];

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    process_init(r, &s);
    set_argv(&s, "/bin/sh", "-c", "echo result >&3", NULL);
    s.pass_fd = 0;
    _cleanup_outcome_ struct outcome o = launch(r, &s, &pipe_fds[1], 1);
    finish(&o);
    assert_exit(&o, 0);
    assert_int_equal(read(pipe_fds[0], text, sizeof(text)), 7);
    assert_string_equal(text, "result\n");
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    spec_done(&s);
}

static struct outcome run_task(struct rig *r, enum spec_task task, const char *a, const char *b) {
    struct container_spec s;

    spec_init(&s);
    s.kind = SPEC_TASK;
    s.task = task;
    s.request = ++r->request;
    set_argv(&s, a, b, NULL);
    return run(r, &s);
}

static void test_remove_tree_task(void **state) {
    struct rig *r = RIG(state);
    _cleanup_free_ char *command =
        strf("mkdir -p %s/tree/a/b/c && touch %s/tree/a/b/f && ln -s / %s/tree/a/root", r->directory,
            r->directory, r->directory);
    _cleanup_free_ char *tree = rig_path(r, "tree");

    assert_int_equal(system(command), 0);
    _cleanup_outcome_ struct outcome o = run_task(r, TASK_REMOVE_TREE, r->directory, "tree");
    assert_exit(&o, 0);
    assert_true(o.done);
    assert_int_equal(access(tree, F_OK), -1);
    /* Not there: done. A path instead of a name: refused. */
    _cleanup_outcome_ struct outcome o2 = run_task(r, TASK_REMOVE_TREE, r->directory, "tree");
    assert_exit(&o2, 0);
    _cleanup_outcome_ struct outcome o3 = run_task(r, TASK_REMOVE_TREE, r->directory, "image/bin");
    assert_exit(&o3, 1);
    assert_contains(o3.output, "image/bin");
    assert_int_equal(access(r->image, F_OK), 0);
}

/* What takes its time must not keep the launcher from the next start. */
static void test_large_trees_get_a_process(void **state) {
    struct rig *r = RIG(state);
    static const char *const contents[] = {"touch $(seq 100)", "head -c 3M /dev/zero >big"};
    _cleanup_free_ char *tree = rig_path(r, "tree");

    for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
        _cleanup_free_ char *command = strf("mkdir %s && cd %s && %s", tree, tree, contents[i]);
        assert_int_equal(system(command), 0);
        _cleanup_outcome_ struct outcome o = run_task(r, TASK_REMOVE_TREE, r->directory, "tree");
        assert_exit(&o, 0);
        assert_true(o.begun);
        assert_int_equal(access(tree, F_OK), -1);
    }
}

static void test_copy_tree_task(void **state) {
    struct rig *r = RIG(state);
    _cleanup_free_ char *from = rig_path(r, "from"), *to = rig_path(r, "to");
    _cleanup_free_ char *command = strf(
        "mkdir -p %s/d %s && cd %s && echo x >f && ln f d/hard && ln -s /etc l && mkfifo p && mknod n c 1 3 "
        "&& chmod 4711 f && chown 5:6 f d && touch -d '2001-02-03' f d && setfattr -n user.k -v v f "
        "2>/dev/null; true",
        from, to, from);
    assert_int_equal(system(command), 0);
    _cleanup_outcome_ struct outcome o = run_task(r, TASK_COPY_TREE, from, to);
    assert_exit(&o, 0);
    _cleanup_free_ char *compare = strf(
        "cd %s && find . -printf '%%P %%M %%U %%G %%l %%n %%T@\\n' | sort >../a && cd %s && find . -printf "
        "'%%P %%M %%U %%G %%l %%n %%T@\\n' | sort >../b && cmp ../a ../b && diff -r --no-dereference "
        "--exclude=p --exclude=n %s %s",
        from, to, from, to);
    assert_int_equal(system(compare), 0);
}

static void test_control_groups(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    static const char *const bases[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};
    struct statfs fs;
    const char *base = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(bases) && !base; i++)
        if (statfs(bases[i], &fs) == 0 && fs.f_type == 0x63677270)
            base = bases[i];
    _cleanup_free_ char *group = base ? strf("%s/davit-test-%d-launch", base, getpid()) : NULL;
    _cleanup_free_ char *v1 = strf("/sys/fs/cgroup/pids/davit-test-%d-launch", getpid());
    _cleanup_free_ char *tasks = strf("%s/tasks", v1);
    if (!base || mkdir(group, 0755) < 0)
        skip();
    bool has_v1 = mkdir(v1, 0755) == 0;
    BOTH(u) {
        container_script(r, &s, u, "cat /proc/self/cgroup");
        set(&s.cgroup_unified, group);
        if (has_v1)
            assert_int_equal(strv_append(&s.cgroup_v1_tasks, tasks), 0);
        _cleanup_outcome_ struct outcome o = run(r, &s);
        assert_exit(&o, 0);
        assert_contains(o.output, "0::/\n");
        if (has_v1)
            assert_contains(o.output, ":pids:/\n");
    }
    for (int i = 0; i < ANSWER_MSEC / 10 && rmdir(group) < 0; i++)
        usleep(10000);
    for (int i = 0; has_v1 && i < ANSWER_MSEC / 10 && rmdir(v1) < 0; i++)
        usleep(10000);
    assert_int_equal(access(group, F_OK), -1);
}

/* ---- the launcher's own life ---- */

/* FAILED for request 0, and it has nothing to do with what was before. */
static void send_garbage(struct rig *r) {
    struct launch_answer a;
    size_t n_fds = 0;

    assert_int_equal(send(r->socket, "garbage", 7, 0), 7);
    assert_int_equal(socket_recv_fds(r->socket, &a, sizeof(a), NULL, &n_fds, 0), sizeof(a));
    assert_int_equal(a.type, LAUNCH_FAILED);
    assert_int_equal(a.request, 0);
}

static void test_bad_messages_are_answered(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    _cleanup_free_ void *data = NULL;
    size_t size;
    struct launch_answer a;
    size_t n_fds = 0;

    send_garbage(r);

    /* A truncated spec: FAILED for its request. */
    container_script(r, &s, true, "true");
    assert_int_equal(spec_encode(&s, &data, &size, NULL), 0);
    assert_int_equal(send(r->socket, data, size - 5, 0), size - 5);
    assert_int_equal(socket_recv_fds(r->socket, &a, sizeof(a), NULL, &n_fds, 0), sizeof(a));
    assert_int_equal(a.type, LAUNCH_FAILED);
    assert_int_equal(a.request, s.request);
    assert_int_equal(a.error.number, EBADMSG);
    spec_done(&s);

    _cleanup_free_ char *out = script_output(r, true, "echo alive");
    assert_string_equal(out, "alive\n");
}

static void test_large_request(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    container_script(r, &s, true, "echo ${#LARGE0}");
    for (int i = 0; i < 4; i++) {
        _cleanup_free_ char *value = strf("LARGE%d=%0*d", i, 100000, 0);
        assert_int_equal(strv_append(&s.environment, value), 0);
    }
    _cleanup_outcome_ struct outcome o = run(r, &s);
    assert_exit(&o, 0);
    assert_string_equal(o.output, "100000\n");
}

/* Descriptors of one request must not stay behind for the next. */
static void test_launcher_keeps_no_descriptors(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    _cleanup_free_ char *count = strf("ls /proc/%d/fd | wc -l", r->launcher);
    char before[16] = "", after[16] = "";

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 5; i++) {
            _cleanup_free_ char *out = script_output(r, true, "true");
            container_script(r, &s, true, "true");
            add_mount(&s, MOUNT_BIND, 0, "/nonexistent-davit", "/vol");
            _cleanup_outcome_ struct outcome o = run(r, &s);
            assert_false(o.begun);
        }
        send_garbage(r); /* the answer to a request comes before its descriptors are closed */
        FILE *f = popen(count, "r");
        assert_non_null(fgets(round == 0 ? before : after, sizeof(before), f));
        pclose(f);
    }
    assert_string_equal(before, after);
}

/* Missing descriptors are this request's failure and nobody else's. */
static void test_launcher_survives_want_of_descriptors(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    struct rlimit old, low;

    assert_int_equal(prlimit(r->launcher, RLIMIT_NOFILE, NULL, &old), 0);
    for (rlim_t n = 4; n < 40; n += 2) {
        low = (struct rlimit){.rlim_cur = n, .rlim_max = old.rlim_max};
        assert_int_equal(prlimit(r->launcher, RLIMIT_NOFILE, &low, NULL), 0);
        container_script(r, &s, n % 4 == 0, "true");
        _cleanup_outcome_ struct outcome o = run(r, &s);
        if (!o.begun)
            assert_int_not_equal(o.error.number, 0);
    }
    assert_int_equal(prlimit(r->launcher, RLIMIT_NOFILE, &old, NULL), 0);
    _cleanup_free_ char *out = script_output(r, true, "echo alive");
    assert_string_equal(out, "alive\n");
}

/* A child that is killed at a random moment of its steps: the launcher goes on, its status pipe ends. */
static void test_child_killed_at_any_moment(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;

    for (int i = 0; i < 60; i++) {
        container_script(r, &s, i % 2, "exit 5");
        _cleanup_outcome_ struct outcome o = launch(r, &s, NULL, 0);
        assert_true(o.begun);
        usleep((useconds_t)(i * 40));
        kill(o.pid, SIGKILL);
        finish(&o);
        assert_true(exit_code(&o) == 5 || (WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGKILL));
        spec_done(&s);
    }
    _cleanup_free_ char *out = script_output(r, true, "echo alive");
    assert_string_equal(out, "alive\n");
}

/* A launcher that dies before it told anybody of the child: the child leaves without having run. */
static void test_child_does_not_run_without_its_launcher(void **state) {
    struct rig *r = RIG(state);
    struct container_spec s;
    struct error e = {};
    int status, report[2];
    pid_t child = 0;
    _cleanup_free_ char *mark = rig_path(r, "volume-mark"), *ran = rig_path(r, "volume-mark/ran");

    make_directory(mark, 0777);
    assert_int_equal(pipe(report), 0);
    container_script(r, &s, false, "touch /vol/ran");
    add_mount(&s, MOUNT_BIND, 0, mark, "/vol");
    pid_t door = fork();
    if (door == 0) {
        struct launcher *l;
        struct launched d;

        if (launcher_open(&l, &e) < 0 || launch_begin(l, &s, NULL, LAUNCH_CLONE_PARENT, &d, &e) < 0)
            _exit(9);
        (void)!write(report[1], &d.pid, sizeof(d.pid));
        _exit(0); /* as if killed: nothing released */
    }
    assert_int_equal(waitpid(door, &status, 0), door);
    assert_int_equal(status, 0);
    assert_int_equal(read(report[0], &child, sizeof(child)), sizeof(child));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == LAUNCH_EXIT_SETUP);
    assert_int_equal(access(ran, F_OK), -1);
    close(report[0]);
    close(report[1]);
    spec_done(&s);
}

/* davit-init keeps both ends of the socket, so requests outlive a launcher. */
static void test_hello_names_the_waiting_request(void **state) {
    struct rig *r = RIG(state);
    (void)r;
    /* covered by the rig for 0; a queue that outlives its launcher is davit-init's to keep, so it is made
     * here */
    int ends[2];
    struct container_spec s;
    _cleanup_free_ void *data = NULL;
    size_t size, n_fds = 0;
    struct launch_answer a;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    container_script(r, &s, true, "true");
    assert_int_equal(spec_encode(&s, &data, &size, NULL), 0);
    assert_int_equal(send(ends[0], data, size, 0), size);
    pid_t pid = fork();
    if (pid == 0) {
        struct launcher *l;
        struct error e;
        close(ends[0]);
        _exit(launcher_open(&l, &e) < 0 || launcher_serve(l, ends[1], &e) < 0);
    }
    close(ends[1]);
    assert_int_equal(socket_recv_fds(ends[0], &a, sizeof(a), NULL, &n_fds, 0), sizeof(a));
    assert_int_equal(a.type, LAUNCH_HELLO);
    assert_int_equal(a.pid, pid);
    int got[2];
    n_fds = 2;
    assert_int_equal(socket_recv_fds(ends[0], &a, sizeof(a), got, &n_fds, 0), sizeof(a));
    assert_int_equal(a.type, LAUNCH_BEGUN);
    assert_int_equal(waitpid(a.pid, NULL, 0), a.pid);
    close(got[0]);
    close(got[1]);
    close(ends[0]); /* the end of the socket is the end of the launcher */
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    spec_done(&s);
}

static void test_host_mount_table_does_not_grow(void **state) {
    struct rig *r = RIG(state);
    _cleanup_free_ char *before = NULL, *after = NULL;

    /* A table that nobody else on this machine mounts into, with mounts that are shared as they are on a host. */
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL), 0);
    rig_restart(r);
    assert_int_equal(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &before, NULL), 0);
    _cleanup_outcome_ struct outcome box = start_sleeper(r, true, false);
    assert_int_equal(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &after, NULL), 0);
    kill(box.pid, SIGKILL);
    finish(&box);
    assert_string_equal(before, after);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        TEST(test_exec_joins_everything), TEST(test_host_process), TEST(test_pass_fd),
        TEST(test_remove_tree_task), TEST(test_large_trees_get_a_process), TEST(test_copy_tree_task),
        TEST(test_control_groups), TEST(test_bad_messages_are_answered), TEST(test_large_request),
        TEST(test_launcher_keeps_no_descriptors), TEST(test_launcher_survives_want_of_descriptors),
        TEST(test_child_killed_at_any_moment), TEST(test_child_does_not_run_without_its_launcher),
        TEST(test_hello_names_the_waiting_request),
        TEST(test_host_mount_table_does_not_grow), /* last: in a mount namespace of its own from then on */
    };
    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
