/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* without: launch manager control cli log worker image unit cgroup */
/* The steps of davit-boot, carried out: in namespaces, on files and mounts of their own. */
#include "private-root.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>

#include "base/id128.h"
#include "base/log.h"
#include "boot/boot.h"
#include "boot/fsck.h"
#include "boot/mounting.h"
#include "boot/network_mounts.h"
#include "boot/seed.h"
#include "boot/superblock.h"
#include "init/boot.h"
#include "init/console.h"
#include "init/mounts.h"

/* What the step had to say, "" = nothing. */
static const char *report_of(void (*step)(struct boot_context *c), struct boot_context *c) {
    step(c);
    return c->report.length > 0 ? c->report.data : "";
}

static struct boot_context context(void) {
    struct boot_context c = {};

    boot_options_init(&c.options);
    return c;
}

static void context_done(struct boot_context *c) {
    strbuf_free(&c->report);
}

/* ---- names ---- */

static bool is_called(const char *name) {
    char is[65] = "";

    return gethostname(is, sizeof is - 1) == 0 && streq(is, name);
}

static void hostname_steps(void) {
    _cleanup_(context_done) struct boot_context c = context();

    CHECK(streq(report_of(step_hostname, &c), "") && is_called("localhost"));
    write_text("/etc/hostname", "# mine\n\n  box-1 \nother\n");
    CHECK(streq(report_of(step_hostname, &c), "") && is_called("box-1"));
    (void)snprintf(c.options.hostname, sizeof c.options.hostname, "said");
    CHECK(streq(report_of(step_hostname, &c), "") && is_called("said"));
    *c.options.hostname = '\0';
    write_text("/etc/hostname", "no blanks here\n");
    CHECK(strstr(report_of(step_hostname, &c), "problem \"no blanks here\" cannot be a host name"));
    CHECK(is_called("localhost"));
}

static void hostname_from_command_line_file_or_none(void **state _unused_) {
    PRIVATELY(hostname_steps);
}

static void machine_id_steps(void) {
    _cleanup_(context_done) struct boot_context c = context();
    char id[ID128_TEXT], again[ID128_TEXT];

    CHECK(streq(report_of(step_machine_id, &c), ""));
    CHECK(id128_machine(id) >= 0);
    CHECK(streq(report_of(step_machine_id, &c), "") && id128_machine(again) >= 0 && streq(id, again));
    (void)snprintf(c.options.machine_id, sizeof c.options.machine_id, "5f0c1d3a9e5b4c0e8f7a6b5c4d3e2f10");
    CHECK(streq(report_of(step_machine_id, &c), "") && id128_machine(id) >= 0 &&
          streq(id, "5f0c1d3a9e5b4c0e8f7a6b5c4d3e2f10"));

    /* An image's empty file on a read-only root: for this boot, over it. */
    write_text("/etc/machine-id", "");
    CHECK(mount(NULL, "/etc", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) >= 0);
    *c.options.machine_id = '\0';
    CHECK(streq(report_of(step_machine_id, &c), ""));
    CHECK(id128_machine(id) >= 0 && is_mount_point("/etc/machine-id"));
    CHECK(access("/etc/machine-id", W_OK) < 0);
    /* And where not even that file is there. */
    CHECK(mount("tmpfs", "/etc", "tmpfs", MS_RDONLY, NULL) >= 0);
    CHECK(strstr(report_of(step_machine_id, &c), "add an empty file /etc/machine-id to the image"));
}

static void machine_id_is_made_kept_or_bound_over_a_read_only_one(void **state _unused_) {
    PRIVATELY(machine_id_steps);
}

static void loopback_step(void) {
    _cleanup_(context_done) struct boot_context c = context();
    struct ifreq lo = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &lo) >= 0 && !(lo.ifr_flags & IFF_UP));
    CHECK(streq(report_of(step_loopback, &c), ""));
    CHECK(ioctl(fd, SIOCGIFFLAGS, &lo) >= 0 && lo.ifr_flags & IFF_UP);
    (void)close(fd);
}

static void loopback_comes_up(void **state _unused_) {
    PRIVATELY(loopback_step);
}

/* ---- sysctl.d ---- */

static void sysctl_step(void) {
    _cleanup_(context_done) struct boot_context c = context();

    write_text("/etc/sysctl.d/50-test.conf", "net.ipv4.conf.*.rp_filter = 2\n"
                                             "net.ipv4.conf.default.rp_filter = 1\n"
                                             "-net.ipv4.conf.lo.rp_filter\n"
                                             "net.ipv4.no_such_key = 1\n"
                                             "net.ipv4.ip_forward = perhaps\n"
                                             "-net.ipv4.ip_forward = maybe\n"
                                             "nonsense\n");
    write_text("/run/sysctl.d/60-more.conf", "net.ipv4.conf.all.forwarding = never\n");
    const char *said = report_of(step_sysctl, &c);
    CHECK(has_text("/proc/sys/net/ipv4/conf/all/rp_filter", "2\n"));
    CHECK(has_text("/proc/sys/net/ipv4/conf/default/rp_filter", "1\n"));
    CHECK(!has_text("/proc/sys/net/ipv4/conf/lo/rp_filter", "2\n"));
    CHECK(strstr(said, "problem /etc/sysctl.d/50-test.conf:7: not of the form KEY = VALUE\n"));
    CHECK(strstr(said, "net/ipv4/conf/all/forwarding cannot be set to \"never\""));
    CHECK(!strstr(said, "no_such_key") && !strstr(said, "maybe"));
}

static void sysctls_are_written_and_what_cannot_be_is_told(void **state _unused_) {
    PRIVATELY(sysctl_step);
}

/* ---- fstab ---- */

static bool is_link(const char *path) {
    struct stat st;

    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

static void fstab_steps(void) {
    _cleanup_(context_done) struct boot_context c = context();
    struct statvfs v;

    CHECK(mkdir("/run/davit", 0755) == 0);
    write_text("/etc/fstab", "none /mnt/a/below tmpfs size=1m 0 0\n"
                             "none /mnt/a tmpfs ro,noexec,size=1m 0 0\n"
                             "/mnt/a /mnt/bound none bind,ro 0 0\n"
                             "none /mnt/not tmpfs noauto 0 0\n"
                             "nonsense\n"
                             "none /mnt/odd nosuchtype nofail 0 0\n"
                             "/dev/no-such-disk /mnt/disk ext4 x-systemd.device-timeout=50ms 0 0\n"
                             "/dev/no-such-swap none swap x-systemd.device-timeout=50ms 0 0\n"
                             "server:/x /mnt/net nfs defaults 0 0\n");
    const char *said = report_of(step_fstab, &c);
    CHECK(is_mount_point("/mnt/a") && is_mount_point("/mnt/bound") && !is_mount_point("/mnt/not"));
    CHECK(statvfs("/mnt/a", &v) == 0 && v.f_flag & ST_RDONLY && v.f_flag & ST_NOEXEC);
    CHECK(strstr(
        said, "problem /etc/fstab:5: a line needs at least a device and a directory: line passed over\n"));
    CHECK(strstr(said, "problem /etc/fstab: /mnt/odd: this kernel does not know the file system type"));
    CHECK(strstr(said, "emergency /etc/fstab: /mnt/disk: /dev/no-such-disk did not appear"));
    CHECK(strstr(said, "problem /etc/fstab: /dev/no-such-swap: /dev/no-such-swap did not appear"));
    CHECK(c.emergency);
    /* For remote-fs.service. */
    CHECK(!strstr(said, "/mnt/net") && is_link("/run/davit/" NETWORK_MOUNTS_LINKS "/" NETWORK_MOUNTS_TARGET));
    /* /mnt/a is read-only when it is the turn of what is below it. */
    CHECK(strstr(said, "emergency /etc/fstab: /mnt/a/below: "));
}

static void fstab_is_carried_out_parents_first_and_told(void **state _unused_) {
    PRIVATELY(fstab_steps);
}

static void no_fstab_step(void) {
    _cleanup_(context_done) struct boot_context c = context();

    CHECK(streq(report_of(step_fstab, &c), "") && !c.emergency);
    CHECK(access("/run/davit/units", F_OK) < 0);
}

static void a_machine_without_fstab_is_fine(void **state _unused_) {
    PRIVATELY(no_fstab_step);
}

/* Mounts by network_mounts_start() while nobody listens, and all of it comes down again. */
static void network_steps(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/notify"};
    char text[1024] = "";

    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) >= 0);
    CHECK(setenv("NOTIFY_SOCKET", "/run/notify", 1) == 0);
    write_text("/etc/fstab", "none /mnt/n/below tmpfs _netdev\nnone /mnt/n tmpfs _netdev\n"
                             "none /mnt/other tmpfs defaults\nnone /mnt/not tmpfs _netdev,noauto\n");
    CHECK(network_mounts_start() == EXIT_SUCCESS);
    CHECK(is_mount_point("/mnt/n") && is_mount_point("/mnt/n/below"));
    CHECK(access("/mnt/other", F_OK) < 0 && access("/mnt/not", F_OK) < 0);
    CHECK(recv(fd, text, sizeof text - 1, 0) > 0);
    CHECK(streq(text, "STATUS=all are mounted\nREADY=1"));
    CHECK(network_mounts_start() == EXIT_SUCCESS); /* again: nothing is mounted twice */

    /* In use: it stays, and that is told by the status. */
    int busy = open("/mnt/n/file", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    CHECK(busy >= 0);
    CHECK(network_mounts_stop() == EXIT_FAILURE);
    CHECK(is_mount_point("/mnt/n") && access("/mnt/n/below", F_OK) == 0 && !is_mount_point("/mnt/n/below"));
    (void)close(busy);
    CHECK(network_mounts_stop() == EXIT_SUCCESS && !is_mount_point("/mnt/n"));
    CHECK(network_mounts_stop() == EXIT_SUCCESS);
    (void)close(fd);
}

/* A helper program, as mount(8) has them; what comes with the line is $1, the mount point $2. */
static void write_helper(const char *type, const char *script) {
    _cleanup_free_ char *path = strf("/usr/sbin/mount.%s", type), *text = strf("#!/bin/sh\n%s\n", script);

    CHECK(path && text);
    write_text(path, text);
    CHECK(chmod(path, 0755) == 0);
}

/* Each of "meet" waits until the other two are at it as well: one after the other none would ever end. */
static void servers_that_keep_waiting(void) {
    CHECK(mount("tmpfs", "/usr/sbin", "tmpfs", 0, "mode=0755") == 0);
    write_helper("meet",
        "touch \"/run/met-${2##*/}\"\n"
        "until [ -e /run/met-a ] && [ -e /run/met-b ] && [ -e /run/met-c ]; do sleep 0.02; done\n"
        "exec /bin/mount -t tmpfs none \"$2\"");
    /* Once it hangs, and is killed for it; then it finds out that it is not the first. */
    write_helper("hang", "if [ -e /run/hung ]; then exec /bin/mount -t tmpfs none \"$2\"; fi\n"
                         "touch /run/hung\nexec sleep 1000");
    write_text("/etc/fstab", "s:/a /mnt/a meet _netdev\ns:/b /mnt/b meet _netdev\ns:/c /mnt/c meet _netdev\n"
                             "s:/h /mnt/h hang _netdev,x-systemd.mount-timeout=1s\n");
    CHECK(network_mounts_start() == EXIT_SUCCESS);
    CHECK(is_mount_point("/mnt/a") && is_mount_point("/mnt/b") && is_mount_point("/mnt/c"));
    CHECK(access("/run/hung", F_OK) == 0 && is_mount_point("/mnt/h"));
    CHECK(network_mounts_stop() == EXIT_SUCCESS);
    CHECK(!is_mount_point("/mnt/a") && !is_mount_point("/mnt/h"));
    /* Nobody is left of those that were killed. */
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void servers_that_keep_waiting_do_not_wait_for_each_other(void **state _unused_) {
    PRIVATELY(servers_that_keep_waiting);
}

static void network_mounts_come_and_go(void **state _unused_) {
    PRIVATELY(network_steps);
}

static void mount_once(const char *text, int wanted, const char *says) {
    struct fstab_entry f = {};
    struct error e = {};

    CHECK(fstab_parse_line(text, &f, &e) == 1);
    int r = fstab_mount(&f, now_monotonic(), &e);
    if (r != wanted || (says && !strstr(e.text, says))) {
        (void)fprintf(stderr, "%s: %d, %s\n", text, r, e.text);
        leave(EXIT_FAILURE);
    }
    fstab_entry_done(&f);
}

static void mount_steps(void) {
    mount_once("/mnt/file /mnt/a auto defaults 0 0", -ENOENT, NULL);
    write_text("/mnt/file", "no file system");
    mount_once("/mnt/file /mnt/a auto defaults 0 0", -ENOENT, "has no file system that is known here");
    mount_once("UUID=00000000-dead-beef-0000-000000000000 /mnt/a ext4 x-systemd.device-timeout=10ms", -ENODEV,
        "did not appear");
    mount_once("/mnt/nowhere /mnt/a none bind", -ENOENT, "binding /mnt/nowhere to /mnt/a");
    mount_once("none /mnt/a tmpfs size=nonsense", -EINVAL, "mounting none on /mnt/a");
}

static void mounts_that_fail_say_why(void **state _unused_) {
    PRIVATELY(mount_steps);
}

/* ---- /var, clock, seed ---- */

static void var_steps(void) {
    _cleanup_(context_done) struct boot_context c = context();
    struct statvfs v;

    write_text("/var/lib/davit/images/box/etc/os-release", "x");
    (void)snprintf(c.options.var, sizeof c.options.var, "tmpfs");
    CHECK(streq(report_of(step_var, &c), "") && !c.emergency);
    CHECK(is_mount_point("/var") && statvfs("/var", &v) == 0 && v.f_flag & ST_NOSUID);
    CHECK(has_text("/var/lib/davit/images/box/etc/os-release", "x"));
    CHECK(
        access("/var/log", W_OK) == 0 && access("/var/tmp", W_OK) == 0 && access("/var/run/lock", W_OK) == 0);
    /* A device that is not there. */
    (void)snprintf(c.options.var, sizeof c.options.var, "/dev/no-such-disk");
    struct fstab_entry f = {};
    struct error e = {};
    CHECK(fstab_parse_line("/dev/no-such-disk /var auto x-systemd.device-timeout=1ms", &f, &e) == 1);
    CHECK(fstab_mount(&f, now_monotonic(), &e) == -ENODEV);
    fstab_entry_done(&f);
}

static void var_in_memory_shows_the_images_of_the_root(void **state _unused_) {
    PRIVATELY(var_steps);
}

static void clock_steps(void) {
    _cleanup_(context_done) struct boot_context c = context();
    struct timespec times[2] = {{.tv_sec = time(NULL) + 3600}, {.tv_sec = time(NULL) + 3600}};

    CHECK(streq(report_of(step_clock, &c), "")); /* it is later than all that is known */
    write_text(SEED_FILE, "x");
    CHECK(streq(report_of(step_clock, &c), ""));
    CHECK(utimensat(AT_FDCWD, SEED_FILE, times, 0) == 0);
    /* The clock is not ours, so that it would have been set is seen by what went wrong. */
    CHECK(strstr(report_of(step_clock, &c), "problem the clock is wrong and cannot be set"));
}

static void the_clock_is_not_earlier_than_the_last_run(void **state _unused_) {
    PRIVATELY(clock_steps);
}

static void seed_steps(void) {
    _cleanup_(context_done) struct boot_context c = context();
    _cleanup_free_ char *first = NULL, *second = NULL;
    size_t n = 0, m = 0;

    CHECK(streq(report_of(step_seed, &c), ""));
    CHECK(file_read(AT_FDCWD, SEED_FILE, 4096, &first, &n) >= 0 && n == 512);
    CHECK(streq(report_of(step_seed, &c), ""));
    CHECK(file_read(AT_FDCWD, SEED_FILE, 4096, &second, &m) >= 0 && m == 512);
    CHECK(memcmp(first, second, 512) != 0);
    CHECK(mount("tmpfs", "/var/lib", "tmpfs", MS_RDONLY, NULL) >= 0);
    CHECK(strstr(report_of(step_seed, &c), "problem the seed for the next boot cannot be saved"));
}

static void the_seed_is_another_at_each_boot(void **state _unused_) {
    PRIVATELY(seed_steps);
}

/* ---- the early log ---- */

static size_t count_of(const char *text, const char *part) {
    size_t n = 0;

    for (const char *p = text; (p = strstr(p, part)); p += strlen(part))
        n++;
    return n;
}

/* A file in the place of the kernel's log. */
static void early_log(void) {
    _cleanup_free_ char *text = NULL;

    write_text("/run/kmsg", "");
    CHECK(mount("/run/kmsg", "/dev/kmsg", NULL, MS_BIND, NULL) >= 0);
    console_open_machine();
    log_warning("the first word");
    for (int i = 0; i < 100; i++) /* some 40 bytes each: they cannot all be kept */
        log_info("early message %d", i);
    CHECK(has_text("/run/kmsg", ""));
    console_connect();
    log_info("from now on");
    CHECK(file_read(AT_FDCWD, "/run/kmsg", 64 * 1024, &text, NULL) >= 0);
    CHECK(startswith(text, "<28>davit-init: the first word\n<30>davit-init: early message 0\n"));
    CHECK(strstr(text, "are lost\n<30>davit-init: from now on\n"));
    /* Each is there, or counted. */
    const char *lost = strstr(text, "<28>davit-init: ");
    lost = lost ? strstr(lost + 1, "<28>davit-init: ") : NULL;
    CHECK(lost);
    CHECK(count_of(text, "early message ") + strtoul(lost + strlen("<28>davit-init: "), NULL, 10) == 100);
}

static void what_is_said_early_goes_to_the_kernels_log(void **state _unused_) {
    PRIVATELY(early_log);
}

/* ---- why the machine booted ---- */

static void reason_steps(void) {
    _cleanup_(context_done) struct boot_context c = context();
    char id[ID128_TEXT];

    CHECK(id128_boot(id) >= 0);
    CHECK(mount("tmpfs", "/sys/fs/pstore", "tmpfs", 0, NULL) >= 0);
    write_text("/sys/fs/pstore/console-efi-1", "last words");
    write_text("/sys/fs/pstore/dmesg-efi-1", "Panic#1 Part1\n<0>oops");
    const char *said = report_of(step_reason, &c);
    CHECK(strstr(said, "reason the kernel before this one panicked; its last words are in "));
    _cleanup_free_ char *saved = strf("/var/lib/davit/pstore/%s/dmesg-efi-1", id);
    CHECK(has_text(saved, "Panic#1 Part1\n<0>oops") && access("/sys/fs/pstore/dmesg-efi-1", F_OK) < 0);
    /* Where they cannot be saved they stay. */
    write_text("/sys/fs/pstore/dmesg-efi-2", "Oops#1 Part1\n");
    CHECK(mount("tmpfs", "/var/lib", "tmpfs", MS_RDONLY, NULL) >= 0);
    CHECK(strstr(report_of(step_reason, &c), "dmesg-efi-2 cannot be moved to /var/lib/davit/pstore"));
    CHECK(access("/sys/fs/pstore/dmesg-efi-2", F_OK) == 0);
}

static void records_of_the_kernel_before_are_kept_and_told(void **state _unused_) {
    if (access("/sys/fs/pstore", F_OK) < 0)
        skip(); /* this kernel has none */
    PRIVATELY(reason_steps);
}

/* ---- fsck ---- */

static void fsck_steps(void) {
    struct error e = {};

    if (access("/sbin", F_OK) < 0 || mount("tmpfs", "/sbin", "tmpfs", 0, "mode=0755") < 0)
        leave(PRIVATE_SKIP);
    write_text("/sbin/fsck.clean", "#!/bin/sh\nexit 0\n");
    write_text("/sbin/fsck.mended", "#!/bin/sh\n[ \"$1 $2\" = '-a /dev/x' ] && exit 1\nexit 16\n");
    write_text("/sbin/fsck.reboot", "#!/bin/sh\nexit 3\n");
    write_text("/sbin/fsck.broken", "#!/bin/sh\nexit 4\n");
    write_text("/sbin/fsck.killed", "#!/bin/sh\nkill -9 $$\n");
    static const char *const names[] = {"clean", "mended", "reboot", "broken", "killed"};
    static const int results[] = {0, 0, FSCK_REBOOT, -EUCLEAN, -EIO};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        _cleanup_free_ char *path = strf("/sbin/fsck.%s", names[i]);
        CHECK(chmod(path, 0755) == 0);
        CHECK(fsck_run("/dev/x", names[i], &e) == results[i]);
    }
    CHECK(fsck_run("/dev/x", "unknown", &e) == 0); /* nothing to check with */
}

static void fsck_is_run_and_its_word_taken(void **state _unused_) {
    PRIVATELY(fsck_steps);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostname_from_command_line_file_or_none),
        cmocka_unit_test(machine_id_is_made_kept_or_bound_over_a_read_only_one),
        cmocka_unit_test(loopback_comes_up),
        cmocka_unit_test(sysctls_are_written_and_what_cannot_be_is_told),
        cmocka_unit_test(fstab_is_carried_out_parents_first_and_told),
        cmocka_unit_test(a_machine_without_fstab_is_fine),
        cmocka_unit_test(network_mounts_come_and_go),
        cmocka_unit_test(what_is_said_early_goes_to_the_kernels_log),
        cmocka_unit_test(servers_that_keep_waiting_do_not_wait_for_each_other),
        cmocka_unit_test(mounts_that_fail_say_why),
        cmocka_unit_test(var_in_memory_shows_the_images_of_the_root),
        cmocka_unit_test(the_clock_is_not_earlier_than_the_last_run),
        cmocka_unit_test(the_seed_is_another_at_each_boot),
        cmocka_unit_test(records_of_the_kernel_before_are_kept_and_told),
        cmocka_unit_test(fsck_is_run_and_its_word_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
