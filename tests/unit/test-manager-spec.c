/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link: fake-core.c */
/* From unit text to the spec that a launcher gets: nothing is lost on the way, and nothing is left to guess.
 */
#include "fake-core.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "launch/protocol.h"
#include "manager/spec_internal.h"

#define CAP(n) (UINT64_C(1) << (n))

static struct container_spec spec;
static int fds[SPEC_MAX_FDS];
static size_t n_fds;
static struct error error;

static int setup(void **state) {
    (void)state;
    fake_core_new();
    spec_init(&spec);
    n_fds = 0;
    error = (struct error){};
    _cleanup_free_ char *root = strf("%s/images/plain/etc", fake->m.paths.state);
    assert_int_equal(mkdir_parents(AT_FDCWD, root, 0755), 0);
    (void)setenv("PASSED_ON", "from the host", 1);
    return 0;
}

static void forget_spec(void) {
    for (size_t i = 0; i < n_fds; i++)
        (void)close(fds[i]);
    n_fds = 0;
    spec_done(&spec);
    spec_init(&spec);
}

static int teardown(void **state) {
    (void)state;
    forget_spec();
    fake_core_done();
    return 0;
}

static struct managed_unit *container(const char *lines) {
    _cleanup_free_ char *text = strf("[Container]\nImage=plain\n%s", lines);
    static unsigned number;
    char name[32];

    (void)snprintf(name, sizeof(name), "unit%u.container", number++);
    return fake_unit(name, text);
}

/* The spec of a container with these lines, and that it is one that a launcher takes. */
static struct managed_unit *build(const char *lines) {
    struct managed_unit *u = container(lines);
    struct container_spec decoded;
    _cleanup_free_ void *data = NULL;
    size_t size;

    forget_spec();
    if (prepare_main_spec(u, &spec, fds, &n_fds, &error) < 0)
        fail_msg("%s", error.text);
    assert_int_equal(spec_encode(&spec, &data, &size, &error), 0);
    if (spec_decode(data, size, n_fds, &decoded, &error) < 0)
        fail_msg("a launcher would refuse it: %s", error.text);
    spec_done(&decoded);
    return u;
}

static void expect_refused(const char *lines, const char *expected) {
    struct managed_unit *u = container(lines);

    forget_spec();
    error = (struct error){};
    assert_true(prepare_main_spec(u, &spec, fds, &n_fds, &error) < 0);
    if (!strstr(error.text, expected))
        fail_msg("%s: \"%s\" has no \"%s\"", lines, error.text, expected);
}

static void expect_argv(const char *expected) {
    _cleanup_free_ char *joined = strv_join(spec.argv, "|");
    assert_string_equal(joined, expected);
}

static const char *variable(const char *name) {
    return strv_env_get(spec.environment, name);
}

static const struct spec_mount *mount_at(const char *target) {
    for (uint32_t i = 0; i < spec.n_mounts; i++)
        if (streq(spec.mounts[i].target, target))
            return &spec.mounts[i];
    return NULL;
}

static const char *file_at(const char *path) {
    for (uint32_t i = 0; i < spec.n_files; i++)
        if (streq(spec.files[i].path, path))
            return spec.files[i].content;
    return "";
}

static void write_image_file(const char *name, const char *text) {
    _cleanup_free_ char *path = strf("%s/images/%s", fake->m.paths.state, name);
    _cleanup_free_ char *parent = strndup(path, (size_t)(strrchr(path, '/') - path));

    assert_int_equal(mkdir_parents(AT_FDCWD, parent, 0755), 0);
    assert_int_equal(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, false), 0);
}

/* An image with defaults, in two layers. */
static void make_image(void) {
    _cleanup_free_ char *a = strf("%s/images/full/a/etc", fake->m.paths.state);
    _cleanup_free_ char *b = strf("%s/images/full/b/etc", fake->m.paths.state);

    assert_int_equal(mkdir_parents(AT_FDCWD, a, 0755), 0);
    assert_int_equal(mkdir_parents(AT_FDCWD, b, 0755), 0);
    write_image_file("full/layers", "a\nb\n");
    write_image_file("full/image.conf",
        "[Image]\nEntrypoint=/entry -x\nCmd=one two\nEnvironment=FROM=image PATH=/image/bin\n"
        "WorkingDir=/work\nUser=www:audio\nStopSignal=SIGQUIT\n");
}

/* ---- command, environment, identity ---- */

static void a_plain_container(void **state) {
    (void)state;
    struct managed_unit *u = build("Exec=/bin/prog a 'b c'\n");

    assert_int_equal(spec.kind, SPEC_CONTAINER);
    assert_string_equal(spec.unit, u->name);
    expect_argv("/bin/prog|a|b c");
    assert_int_equal(spec.namespaces, NS_MOUNT | NS_UTS | NS_IPC | NS_PID | NS_CGROUP | NS_NETWORK);
    assert_int_equal(strv_length(spec.layers), 1);
    assert_true(endswith(spec.layers[0], "/images/plain") != NULL);
    assert_false(spec.read_only);
    assert_string_equal(variable("container"), "davit");
    assert_int_equal(strlen(variable("container_uuid")), 36);
    assert_string_equal(variable("HOME"), "/root");
    assert_string_equal(variable("HOSTNAME"), spec.hostname);
    assert_string_equal(variable("PATH"), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    assert_null(variable("TERM"));
    assert_null(variable("NOTIFY_SOCKET"));
    assert_null(variable("WATCHDOG_USEC"));
    assert_null(spec.user);
    assert_int_equal(spec.shm_size, 64 * 1024 * 1024);
    assert_int_equal(spec.terminal_fd, -1);
    assert_null(u->resources.image);
}

static void the_image_fills_in_what_the_unit_leaves_out(void **state) {
    (void)state;
    make_image();
    struct managed_unit *u = fake_unit("full.container", "[Container]\nImage=full\nEnvironment=MORE=1\n");

    assert_int_equal(prepare_main_spec(u, &spec, fds, &n_fds, &error), 0);
    expect_argv("/entry|-x|one|two");
    assert_int_equal(strv_length(spec.layers), 2);
    assert_true(endswith(spec.layers[0], "/a") && endswith(spec.layers[1], "/b"));
    assert_string_equal(variable("FROM"), "image");
    assert_string_equal(variable("PATH"), "/image/bin");
    assert_string_equal(variable("MORE"), "1");
    assert_null(variable("HOME"));
    assert_string_equal(spec.working_dir, "/work");
    assert_string_equal(spec.user, "www");
    assert_string_equal(spec.group, "audio");
}

/* podman's rules, each against the same image. */
static void entrypoint_and_exec_replace_the_image_s(void **state) {
    (void)state;
    static const struct {
        const char *lines, *expected;
    } table[] = {
        {"", "/entry|-x|one|two"},
        {"Exec=three\n", "/entry|-x|three"},
        {"Entrypoint=/other\n", "/other"},
        {"Entrypoint=/other\nExec=three\n", "/other|three"},
        {"Entrypoint=\nExec=/bin/sh -c x\n", "/bin/sh|-c|x"},
        {"Entrypoint=[\"/json\", \"a b\"]\nExec=three\n", "/json|a b|three"},
    };

    make_image();
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "entry%zu.container", i);
        _cleanup_free_ char *text = strf("[Container]\nImage=full\n%s", table[i].lines);
        struct managed_unit *u = fake_unit(name, text);
        forget_spec();
        if (prepare_main_spec(u, &spec, fds, &n_fds, &error) < 0)
            fail_msg("%s: %s", table[i].lines, error.text);
        expect_argv(table[i].expected);
    }
    expect_refused("", "no command");
}

static void exec_is_expanded_with_the_service_s_environment(void **state) {
    (void)state;
    build("Exec=/bin/echo ${TAG} $LIST $$HOME ${UNSET}x\nEnvironment=TAG=wrong\n"
          "[Service]\nEnvironment=TAG=1.2 \"LIST=a b\"\n");
    expect_argv("/bin/echo|1.2|a|b|$HOME|x");
}

static void environment_has_an_order(void **state) {
    (void)state;
    _cleanup_free_ char *path = strf("%s/env", fake->directory);
    const char *text = "A=file\nB=file\n# comment\nQ=\"two words\"\nHOSTNAME=file\n";

    assert_int_equal(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, false), 0);
    _cleanup_free_ char *lines =
        strf("Exec=x\nEnvironmentFile=%s\nEnvironment=B=unit PASSED_ON NOT_THERE\n", path);
    build(lines);
    assert_string_equal(variable("A"), "file");
    assert_string_equal(variable("B"), "unit");
    assert_string_equal(variable("Q"), "two words");
    assert_string_equal(variable("HOSTNAME"), "file");
    assert_string_equal(variable("PASSED_ON"), "from the host");
    assert_null(variable("NOT_THERE"));

    expect_refused("Exec=x\nEnvironmentFile=/nonexistent/env\n", "/nonexistent/env");
    build("Exec=x\nEnvironmentFile=-/nonexistent/env\n");
}

/* systemd.exec(5): the manager's variables, then Environment=, then EnvironmentFile=. */
static void variables_of_davitd_are_passed_by_name(void **state) {
    (void)state;
    struct managed_unit *u = fake_unit("pass.service",
        "[Service]\nExecStart=/bin/echo ${PASSED_ON}\nPassEnvironment=PASSED_ON NOT_THERE HOME\n");

    forget_spec();
    assert_int_equal(prepare_main_spec(u, &spec, fds, &n_fds, &error), 0);
    assert_string_equal(variable("PASSED_ON"), "from the host");
    assert_null(variable("NOT_THERE"));
    expect_argv("/bin/echo|from the host");

    u = fake_unit("own.service", "[Service]\nExecStart=/bin/echo\nPassEnvironment=PASSED_ON\n"
                                 "Environment=PASSED_ON=own\n");
    forget_spec();
    assert_int_equal(prepare_main_spec(u, &spec, fds, &n_fds, &error), 0);
    assert_string_equal(variable("PASSED_ON"), "own");

    /* Of a container it is what Exec= is expanded with, and nothing that the program sees. */
    build("Exec=/bin/echo ${PASSED_ON}\n[Service]\nPassEnvironment=PASSED_ON\n");
    expect_argv("/bin/echo|from the host");
    assert_null(variable("PASSED_ON"));
}

static void who_it_runs_as(void **state) {
    (void)state;
    build(
        "Exec=x\nUser=1000\nGroup=100\nGroupAdd=audio\nGroupAdd=44\nWorkingDir=/srv\nNoNewPrivileges=true\n");
    assert_string_equal(spec.user, "1000");
    assert_string_equal(spec.group, "100");
    assert_int_equal(strv_length(spec.groups), 2);
    assert_string_equal(spec.working_dir, "/srv");
    assert_true(spec.no_new_privileges);
    assert_null(variable("HOME"));
    build("Exec=x\nUser=www:audio\n");
    assert_string_equal(spec.user, "www");
    assert_string_equal(spec.group, "audio");
}

static void capabilities(void **state) {
    (void)state;
    const uint64_t eleven = CAP(CAP_CHOWN) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_FOWNER) | CAP(CAP_FSETID) |
                            CAP(CAP_KILL) | CAP(CAP_NET_BIND_SERVICE) | CAP(CAP_SETFCAP) | CAP(CAP_SETGID) |
                            CAP(CAP_SETPCAP) | CAP(CAP_SETUID) | CAP(CAP_SYS_CHROOT);
    const uint64_t own = spec_own_capabilities();

    if ((own & eleven) != eleven || !(own & CAP(CAP_NET_RAW)))
        skip();
    build("Exec=x\n");
    assert_int_equal(spec.capabilities, eleven);
    assert_int_equal(spec.ambient_capabilities, 0);
    build("Exec=x\nAddCapability=NET_RAW\nDropCapability=CAP_CHOWN kill\n");
    assert_int_equal(spec.capabilities, (eleven | CAP(CAP_NET_RAW)) & ~(CAP(CAP_CHOWN) | CAP(CAP_KILL)));
    build("Exec=x\nDropCapability=all\n");
    assert_int_equal(spec.capabilities, 0);
    build("Exec=x\nDropCapability=all\nAddCapability=net_raw\n");
    assert_int_equal(spec.capabilities, CAP(CAP_NET_RAW));
    build("Exec=x\nAddCapability=all\nDropCapability=chown\n");
    assert_int_equal(spec.capabilities, own & ~CAP(CAP_CHOWN));
}

static void limits_of_the_process(void **state) {
    (void)state;
    build("Exec=x\nUlimit=nofile=100:200\nUlimit=core=0\nRunInit=yes\n[Service]\nOOMScoreAdjust=500\n");
    bool nofile = false, core = false;
    for (uint32_t i = 0; i < spec.n_rlimits; i++) {
        nofile |= spec.rlimits[i].resource == RLIMIT_NOFILE && spec.rlimits[i].soft == 100 &&
                  spec.rlimits[i].hard == 200;
        core |= spec.rlimits[i].resource == RLIMIT_CORE && spec.rlimits[i].hard == 0;
    }
    assert_true(nofile && core);
    assert_true(spec.run_init);
    assert_int_equal(spec.oom_score_adjust, 500);
    build("Exec=x\n");
    assert_int_equal(spec.n_rlimits, 1);
    assert_true(spec.rlimits[0].soft <= 1024);
}

static void scheduling_of_the_process(void **state) {
    (void)state;
    build("Exec=x\n");
    assert_int_equal(spec.nice, INT32_MIN);
    assert_int_equal(spec.cpu_policy, SCHED_OTHER);
    assert_int_equal(spec.cpu_priority, 0);
    assert_int_equal(spec.io_priority, 0);
    build("Exec=x\nNice=-5\n[Service]\nCPUSchedulingPolicy=fifo\nIOSchedulingClass=idle\n");
    assert_int_equal(spec.nice, -5);
    assert_int_equal(spec.cpu_policy, SCHED_FIFO);
    assert_int_equal(spec.cpu_priority, 1);
    assert_int_equal(spec.io_priority, 3 << 13);
    build("Exec=x\n[Service]\nCPUSchedulingPolicy=batch\nCPUSchedulingPriority=7\nIOSchedulingPriority=6\n");
    assert_int_equal(spec.cpu_policy, SCHED_BATCH);
    assert_int_equal(spec.cpu_priority, 0);
    assert_int_equal(spec.io_priority, 2 << 13 | 6);
    build("Exec=x\nCPUSchedulingPolicy=rr\nCPUSchedulingPriority=7\nIOSchedulingClass=realtime\n");
    assert_int_equal(spec.cpu_priority, 7);
    assert_int_equal(spec.io_priority, 1 << 13 | 4);
}

/* ---- the root file system ---- */

static void files_of_its_own(void **state) {
    (void)state;
    build("Exec=x\nHostName=box\nAddHost=db:10.0.0.5\nAddHost=six;seven:fd00::1\n"
          "DNS=9.9.9.9\nDNSSearch=example.org\nDNSOption=ndots:2\n");
    assert_string_equal(spec.hostname, "box");
    assert_string_equal(file_at("/etc/hostname"), "box\n");
    assert_non_null(strstr(file_at("/etc/hosts"), "10.0.0.5\tdb\n"));
    assert_non_null(strstr(file_at("/etc/hosts"), "fd00::1\tsix\n"));
    assert_non_null(strstr(file_at("/etc/hosts"), "fd00::1\tseven\n"));
    assert_non_null(strstr(file_at("/etc/hosts"), "127.0.0.1\tlocalhost\n"));
    assert_non_null(strstr(file_at("/etc/hosts"), "\tbox\n"));
    assert_string_equal(
        file_at("/etc/resolv.conf"), "search example.org\nnameserver 9.9.9.9\noptions ndots:2\n");
}

static void host_names_from_unit_names(void **state) {
    (void)state;
    static const struct {
        const char *unit, *expected;
    } table[] = {
        {"web.container", "web"},
        {"shell@a.container", "shell-a"},
        {"a_b\\x2dc.d.container", "a-b-x2dc-d"},
        {"@.container", "container"},
        {"-x-.container", "x"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        _cleanup_free_ char *name = NULL;
        assert_int_equal(spec_default_hostname(table[i].unit, &name), 0);
        assert_string_equal(name, table[i].expected);
    }
    char long_name[UNIT_NAME_MAX];
    memset(long_name, 'a', 200);
    memcpy(long_name + 200, ".container", sizeof(".container"));
    _cleanup_free_ char *name = NULL;
    assert_int_equal(spec_default_hostname(long_name, &name), 0);
    assert_int_equal(strlen(name), 63);
}

static void mounts_and_volumes(void **state) {
    (void)state;
    struct managed_unit *u = container("Exec=x\nVolume=/srv/z:/z/deep:ro\nVolume=data:/z\nTmpfs=/"
                                       "t:size=1m\nVolume=/anonymous\nReadOnly=yes\n");
    struct stat st;

    assert_int_equal(strv_append(&u->resources.anonymous_volumes, "0123"), 0);
    u->resources.id_base = 600000;
    u->resources.id_count = 65536;
    if (prepare_main_spec(u, &spec, fds, &n_fds, &error) < 0)
        fail_msg("%s", error.text);

    const struct spec_mount *m = mount_at("/z/deep");
    assert_string_equal(m->source, "/srv/z");
    assert_true(m->flags & MOUNT_READ_ONLY);
    assert_true(m->flags & MOUNT_IDMAP);
    assert_true(m > mount_at("/z"));
    m = mount_at("/z");
    assert_true(endswith(m->source, "/state/volumes/data/_data") != NULL);
    assert_true((m->flags & (MOUNT_IDMAP | MOUNT_COPY_UP)) == (MOUNT_IDMAP | MOUNT_COPY_UP));
    assert_int_equal(stat(m->source, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    m = mount_at("/anonymous");
    assert_true(endswith(m->source, "/state/volumes/0123/_data") != NULL);
    m = mount_at("/t");
    assert_int_equal(m->kind, MOUNT_TMPFS);
    assert_non_null(strstr(m->options, "size=1m"));
    /* ReadOnlyTmpfs= */
    assert_true(spec.read_only);
    assert_non_null(mount_at("/run"));
    assert_non_null(mount_at("/tmp"));
    assert_non_null(mount_at("/var/tmp"));
    assert_true(spec.namespaces & NS_USER);
    assert_int_equal(spec.uid_map[0].outside, 600000);
    assert_int_equal(spec.gid_map[0].count, 65536);

    build("Exec=x\nReadOnly=yes\nReadOnlyTmpfs=no\nVolume=/srv:/run\n");
    assert_null(mount_at("/tmp"));
    build("Exec=x\nReadOnly=yes\nTmpfs=/tmp:mode=700\n");
    assert_string_equal(mount_at("/tmp")->options, "mode=700");
}

/* As image_resolve() hands it over, of an image whose configuration says that. */
static struct managed_unit *container_of_image(const char *lines, char *const *volumes, char *const *env) {
    struct managed_unit *u = container(lines);
    struct image *image = calloc(1, sizeof(*image));

    assert_non_null(image);
    assert_int_equal(strv_consume(&image->layers, strf("%s/images/plain", fake->m.paths.state)), 0);
    assert_int_equal(strv_extend(&image->volumes, volumes), 0);
    assert_int_equal(strv_extend(&image->environment, env), 0);
    u->resources.image = image;
    return u;
}

static void volumes_of_the_image(void **state) {
    (void)state;
    char *volumes[] = {(char[]){"/data"}, (char[]){"/taken"}, (char[]){"/var/cache"}, NULL};
    struct managed_unit *u = container_of_image("Exec=x\nVolume=/srv:/taken\nVolume=/mine\n", volumes, NULL);

    assert_int_equal(strv_append(&u->resources.anonymous_volumes, "0123"), 0);
    assert_int_equal(strv_append(&u->resources.anonymous_volumes, "4567"), 0);
    assert_int_equal(strv_append(&u->resources.anonymous_volumes, "89ab"), 0);
    if (prepare_main_spec(u, &spec, fds, &n_fds, &error) < 0)
        fail_msg("%s", error.text);
    assert_non_null(endswith(mount_at("/mine")->source, "/0123/_data"));
    assert_non_null(endswith(mount_at("/data")->source, "/4567/_data"));
    assert_non_null(endswith(mount_at("/var/cache")->source, "/89ab/_data"));
    /* filled with what the image has there, and what the unit mounts itself stays the unit's */
    assert_true(mount_at("/data")->flags & MOUNT_COPY_UP);
    assert_string_equal(mount_at("/taken")->source, "/srv");
}

/* In a unit Environment=NAME passes the host's value on; an image could read what it likes that way. */
static void an_image_cannot_read_the_host_s_environment(void **state) {
    (void)state;
    char *env[] = {(char[]){"HOST_SECRET"}, (char[]){"A=b"}, NULL};
    struct managed_unit *u = container_of_image("Exec=x\n", NULL, env);

    assert_int_equal(setenv("HOST_SECRET", "hidden", 1), 0);
    if (prepare_main_spec(u, &spec, fds, &n_fds, &error) < 0)
        fail_msg("%s", error.text);
    assert_string_equal(variable("HOST_SECRET"), "");
    assert_string_equal(variable("A"), "b");
    (void)unsetenv("HOST_SECRET");
}

static void volume_units(void **state) {
    (void)state;
    fake_unit("named.volume", "[Volume]\nVolumeName=other\nUID=33\nGID=34\nCopy=no\n");
    fake_unit("memory.volume", "[Volume]\nType=tmpfs\nDevice=tmpfs\nOptions=size=5m\n");
    fake_unit("bound.volume", "[Volume]\nType=none\nOptions=bind\nDevice=/srv/bound\n");
    fake_unit("disk.volume", "[Volume]\nType=ext4\nDevice=/dev/sda1\n");
    fake_unit("image.volume", "[Volume]\nType=ext4\nDevice=/srv/image\nOptions=noatime\nUID=33\n");
    fake_unit("relative.volume", "[Volume]\nType=ext4\nDevice=image\n");
    fake_unit("nobody.volume", "[Volume]\nType=ext4\nDevice=/srv/image\nUser=no-such-user\n");
    struct stat st;

    build("Exec=x\nVolume=named.volume:/n\nVolume=memory.volume:/m\nVolume=bound.volume:/b\n");
    assert_true(endswith(mount_at("/n")->source, "/volumes/other/_data") != NULL);
    assert_false(mount_at("/n")->flags & MOUNT_COPY_UP);
    assert_int_equal(stat(mount_at("/n")->source, &st), 0);
    if (geteuid() == 0) {
        assert_int_equal(st.st_uid, 33);
        assert_int_equal(st.st_gid, 34);
    }
    assert_int_equal(mount_at("/m")->kind, MOUNT_TMPFS);
    assert_string_equal(mount_at("/m")->options, "size=5m");
    assert_string_equal(mount_at("/b")->source, "/srv/bound");
    build("Exec=x\nVolume=disk.volume:/d:ro\nVolume=image.volume:/i\n");
    assert_int_equal(mount_at("/d")->kind, MOUNT_DEVICE);
    assert_string_equal(mount_at("/d")->source, "/dev/sda1");
    assert_string_equal(mount_at("/d")->options, "ext4");
    assert_int_equal(
        mount_at("/d")->flags & (MOUNT_READ_ONLY | MOUNT_CHOWN | MOUNT_COPY_UP), MOUNT_READ_ONLY);
    assert_string_equal(mount_at("/i")->options, "ext4,noatime");
    assert_true(mount_at("/i")->flags & MOUNT_CHOWN);
    expect_refused("Exec=x\nVolume=relative.volume:/d\n", "Device=image");
    expect_refused("Exec=x\nVolume=nobody.volume:/d\n", "User=no-such-user");
    expect_refused("Exec=x\nVolume=missing.volume:/d\n", "missing.volume");
}

static void masked_and_read_only_paths(void **state) {
    (void)state;
    build("Exec=x\n");
    assert_true(strv_contains(spec.masked_paths, "/proc/kcore"));
    assert_true(strv_contains(spec.masked_paths, "/sys/firmware"));
    assert_true(strv_contains(spec.read_only_paths, "/proc/sys"));
    build("Exec=x\nUnmask=/proc/kcore:/proc/s*\nMask=/data/secret:/proc/meminfo\n");
    assert_false(strv_contains(spec.masked_paths, "/proc/kcore"));
    assert_false(strv_contains(spec.masked_paths, "/proc/scsi"));
    assert_false(strv_contains(spec.read_only_paths, "/proc/sysrq-trigger"));
    assert_true(strv_contains(spec.masked_paths, "/proc/keys"));
    assert_true(strv_contains(spec.masked_paths, "/data/secret"));
    assert_true(strv_contains(spec.masked_paths, "/proc/meminfo"));
    build("Exec=x\nUnmask=ALL\n");
    assert_int_equal(strv_length(spec.masked_paths), 0);
    assert_int_equal(strv_length(spec.read_only_paths), 0);
}

static void devices(void **state) {
    (void)state;
    build("Exec=x\nAddDevice=/dev/null:/dev/nothing:r\nAddDevice=-/dev/not-there\n");
    assert_int_equal(spec.n_devices, 2);
    assert_string_equal(spec.devices[0].source, "/dev/null");
    assert_string_equal(spec.devices[0].target, "/dev/nothing");
    assert_false(spec.devices[0].optional);
    assert_true(spec.devices[1].optional);
}

/* Rule R9: nothing that would change the host. */
static void sysctls(void **state) {
    (void)state;
    build("Exec=x\nSysctl=net.ipv4.ip_forward=1 kernel.shmmax=1000 "
          "fs.mqueue.msg_max=20\nSysctl=net.core.somaxconn=5\n");
    assert_int_equal(spec.n_sysctls, 4);
    static const char *const bad[] = {
        "kernel.core_pattern=x",
        "kernel.hostname=x",
        "vm.swappiness=1",
        "net..ipv4=1",
        "net.ipv4.a+b=1",
        "kernel/core_pattern=1",
        "netx.ipv4=1",
        "/kernel/core_pattern=1",
        "fs.mqueue=1",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct container_section c = {.sysctl = (char *[]){(char *)(uintptr_t)bad[i], NULL}};
        struct container_spec s = {};
        error = (struct error){};
        if (sysctls_of_container(&c, &s, &error) >= 0)
            fail_msg("%s was taken", bad[i]);
    }
    struct container_section host = {
        .network = NETWORK_HOST,
        .sysctl = (char *[]){(char *)(uintptr_t) "net.ipv4.ip_forward=1", NULL},
    };
    struct container_spec s = {};
    assert_int_equal(sysctls_of_container(&host, &s, &error), -EPERM);
}

static void time_zones(void **state) {
    (void)state;
    if (access("/usr/share/zoneinfo/Europe/Berlin", F_OK) < 0)
        skip();
    build("Exec=x\nTimezone=Europe/Berlin\n");
    assert_true(mount_at("/etc/localtime")->flags & MOUNT_READ_ONLY);
    expect_refused("Exec=x\nTimezone=Nowhere/Atall\n", "Nowhere/Atall");
}

static void the_host_s_network(void **state) {
    (void)state;
    build("Exec=x\nNetwork=host\n");
    assert_false(spec.namespaces & NS_NETWORK);
    build("Exec=x\nNetwork=none\n");
    assert_true(spec.namespaces & NS_NETWORK);
}

/* ---- what supervising adds ---- */

static void notify_and_watchdog(void **state) {
    (void)state;
    struct managed_unit *u = container("Exec=x\nNotify=yes\n[Service]\nWatchdogSec=5\n");

    id128_random(u->invocation);
    assert_int_equal(notify_create(u, &error), 0);
    assert_int_equal(prepare_main_spec(u, &spec, fds, &n_fds, &error), 0);
    assert_string_equal(variable("NOTIFY_SOCKET"), "/run/host/notify");
    assert_string_equal(variable("WATCHDOG_USEC"), "5000000");
    assert_string_equal(variable("INVOCATION_ID"), u->invocation);
    assert_true(startswith(spec.notify_socket, fake->directory) != NULL);
    assert_string_equal(spec.invocation, u->invocation);
}

static void output_goes_to_the_fifo_or_to_the_client(void **state) {
    (void)state;
    struct error e = {};
    struct managed_unit *u = container("Exec=x\n");
    struct stat a, b;

    assert_int_equal(logs_new(&fake->m, &e), 0);
    assert_true(logs_create(u, &e) >= 0);
    assert_int_equal(prepare_main_spec(u, &spec, fds, &n_fds, &error), 0);
    assert_int_equal(n_fds, 1);
    assert_int_equal(spec.stdin_fd, -1);
    assert_int_equal(spec.stdout_fd, 0);
    assert_int_equal(spec.stderr_fd, 0);
    assert_int_equal(fstat(fds[0], &a), 0);
    assert_int_equal(fstat(u->resources.log_fd, &b), 0);
    assert_true(S_ISFIFO(a.st_mode) && a.st_ino == b.st_ino);
    assert_int_equal(b.st_mode & 07777, 0622);

    struct unit_stdio io = {.stdin_fd = 0, .stdout_fd = 1, .stderr_fd = 1, .terminal_fd = -1};
    u->stdio = &io;
    forget_spec();
    assert_int_equal(prepare_main_spec(u, &spec, fds, &n_fds, &error), 0);
    assert_true(spec.stdin_fd >= 0 && spec.stdout_fd >= 0 && spec.stdout_fd == spec.stderr_fd);
    u->stdio = NULL;
}

static void host_services_and_hooks(void **state) {
    (void)state;
    struct managed_unit *u =
        fake_unit("job.service", "[Service]\nType=oneshot\nExecStart=/bin/echo ${A} one\nExecStart=/bin/echo "
                                 "two\nEnvironment=A=file-wins B=b\n"
                                 "ExecStop=/bin/kill $MAINPID\nUser=www\nWorkingDirectory=/tmp\n");

    assert_int_equal(prepare_main_spec(u, &spec, fds, &n_fds, &error), 0);
    assert_int_equal(spec.kind, SPEC_PROCESS);
    assert_int_equal(spec.namespaces, 0);
    expect_argv("/bin/echo|file-wins|one");
    assert_string_equal(spec.user, "www");
    assert_string_equal(spec.working_dir, "/tmp");
    assert_true(spec.ignore_sigpipe);
    u->main_index = 1;
    forget_spec();
    assert_int_equal(prepare_main_spec(u, &spec, fds, &n_fds, &error), 0);
    expect_argv("/bin/echo|two");

    struct managed_unit *named =
        fake_unit("named.service", "[Service]\nExecStart=@/bin/busybox sh -c true\n");
    forget_spec();
    assert_int_equal(prepare_main_spec(named, &spec, fds, &n_fds, &error), 0);
    assert_string_equal(spec.program, "/bin/busybox");
    expect_argv("sh|-c|true");

    struct process main_process = {.pid = 4242, .pidfd = -1};
    u->main = &main_process;
    u->state = STATE_STOPPING;
    u->main_code = CLD_KILLED;
    u->main_status = SIGTERM;
    forget_spec();
    assert_int_equal(
        prepare_control_spec(u, &u->config->service.stop.commands[0], &spec, fds, &n_fds, &error), 0);
    expect_argv("/bin/kill|4242");
    assert_string_equal(variable("MAINPID"), "4242");
    assert_string_equal(variable("EXIT_CODE"), "killed");
    assert_string_equal(variable("EXIT_STATUS"), "TERM");
    assert_non_null(variable("SERVICE_RESULT"));
    u->main = NULL;
}

static void a_reload_command_is_one_in_the_container(void **state) {
    (void)state;
    struct managed_unit *u = container("Exec=x\nUser=1000\nEnvironment=A=unit\nReloadCmd=reload ${A} $B\n"
                                       "[Service]\nExecReload=/bin/true\nEnvironment=\"B=x y\"\n");
    const struct exec_list *reload = &u->config->service.reload;
    struct process main_process = {.pid = getpid(), .pidfd = 0};
    _cleanup_strv_free_ char **shown = NULL;

    assert_int_equal(reload->count, 2);
    assert_int_equal(unit_show_key(u->config, "Service", "ExecReload", &shown), 0);
    assert_int_equal(strv_length(shown), 1);
    u->main = &main_process;
    assert_int_equal(prepare_control_spec(u, &reload->commands[0], &spec, fds, &n_fds, &error), 0);
    assert_int_equal(spec.kind, SPEC_PROCESS);
    forget_spec();
    assert_int_equal(prepare_control_spec(u, &reload->commands[1], &spec, fds, &n_fds, &error), 0);
    assert_int_equal(spec.kind, SPEC_EXEC);
    assert_true(spec.join_pidfd >= 0);
    assert_string_equal(spec.user, "1000");
    assert_string_equal(variable("A"), "unit");
    expect_argv("reload||x|y");
    u->main = NULL;
}

static void a_command_in_a_running_container(void **state) {
    (void)state;
    struct managed_unit *u = container("Exec=x\nUser=1000\nEnvironment=A=unit\nDropCapability=all\n");
    struct process main_process = {.pid = getpid(), .pidfd = 0};
    char *argv[] = {(char *)(uintptr_t) "/bin/ls", NULL}, *env[] = {(char *)(uintptr_t) "A=asked", NULL};
    struct exec_request x = {
        .argv = argv,
        .environment = env,
        .stdin_fd = 0,
        .stdout_fd = 1,
        .stderr_fd = 2,
        .terminal_fd = -1,
    };

    assert_int_equal(prepare_exec_spec(u, &x, &spec, fds, &n_fds, &error), -ESRCH);
    u->main = &main_process;
    assert_int_equal(prepare_exec_spec(u, &x, &spec, fds, &n_fds, &error), 0);
    assert_int_equal(spec.kind, SPEC_EXEC);
    assert_true(spec.join_pidfd >= 0);
    assert_int_equal(spec.capabilities, 0);
    assert_string_equal(spec.user, "1000");
    assert_string_equal(variable("A"), "asked");
    assert_string_equal(variable("container"), "davit");
    x.user = "0";
    x.privileged = true;
    forget_spec();
    assert_int_equal(prepare_exec_spec(u, &x, &spec, fds, &n_fds, &error), 0);
    assert_string_equal(spec.user, "0");
    assert_int_equal(spec.capabilities, spec_own_capabilities());
    u->main = NULL;
}

static void images_that_are_not_there(void **state) {
    (void)state;
    struct managed_unit *u = fake_unit("none.container", "[Container]\nImage=not-there\nExec=x\n");

    assert_int_equal(prepare_main_spec(u, &spec, fds, &n_fds, &error), -ENOENT);
    assert_non_null(strstr(error.text, "not-there"));
    assert_int_equal(n_fds, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_plain_container),
        TEST(the_image_fills_in_what_the_unit_leaves_out),
        TEST(entrypoint_and_exec_replace_the_image_s),
        TEST(exec_is_expanded_with_the_service_s_environment),
        TEST(environment_has_an_order),
        TEST(variables_of_davitd_are_passed_by_name),
        TEST(who_it_runs_as),
        TEST(capabilities),
        TEST(limits_of_the_process),
        TEST(scheduling_of_the_process),
        TEST(files_of_its_own),
        TEST(host_names_from_unit_names),
        TEST(mounts_and_volumes),
        TEST(volumes_of_the_image),
        TEST(an_image_cannot_read_the_host_s_environment),
        TEST(volume_units),
        TEST(masked_and_read_only_paths),
        TEST(devices),
        TEST(sysctls),
        TEST(time_zones),
        TEST(the_host_s_network),
        TEST(notify_and_watchdog),
        TEST(output_goes_to_the_fifo_or_to_the_client),
        TEST(host_services_and_hooks),
        TEST(a_command_in_a_running_container),
        TEST(a_reload_command_is_one_in_the_container),
        TEST(images_that_are_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
