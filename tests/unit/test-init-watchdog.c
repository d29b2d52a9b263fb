/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hardware watchdog with drivers of every kind: the device is a file, and ioctl(2) answers as such a driver
 * would. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>
#include <linux/watchdog.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "init/boot.h"

static struct {
    bool takes_timeout, tells_timeout;
    int timeout, least; /* seconds; least: what it makes of less */
    int boot_status;
    bool in_sysfs; /* the boot status */
    unsigned pings;
    bool on;
} driver;
static char directory[] = "/tmp/davit-test-watchdog-XXXXXX";

int ioctl(_unused_ int fd, unsigned long request, ...) {
    va_list ap;

    va_start(ap, request);
    int *value = va_arg(ap, int *);
    va_end(ap);
    errno = EOPNOTSUPP;
    switch (request) {
    case WDIOC_SETTIMEOUT:
        if (driver.takes_timeout)
            *value = driver.timeout = *value < driver.least ? driver.least : *value;
        return driver.takes_timeout ? 0 : -1;
    case WDIOC_GETTIMEOUT:
        if (driver.tells_timeout)
            *value = driver.timeout;
        return driver.tells_timeout ? 0 : -1;
    case WDIOC_GETBOOTSTATUS:
        *value = driver.boot_status;
        return 0;
    case WDIOC_SETOPTIONS:
        driver.on = *value == WDIOS_ENABLECARD;
        return 0;
    case WDIOC_KEEPALIVE:
        driver.pings++;
        return 0;
    default:
        return -1;
    }
}

int access(const char *path, int mode) {
    if (streq(path, HARDWARE_WATCHDOG_BOOT_STATUS)) {
        errno = ENOENT;
        return driver.in_sysfs ? 0 : -1;
    }
    return faccessat(AT_FDCWD, path, mode, 0);
}

static void make_machine(struct boot *b, const char *device) {
    boot_init(b);
    b->machine = true;
    b->watchdog.run_usec = 30 * USEC_PER_SEC;
    (void)snprintf(b->watchdog.device, sizeof b->watchdog.device, "%s/%s", directory, device);
}

static void the_period_is_the_drivers(void **state _unused_) {
    struct boot b;

    driver = (typeof(driver)){.takes_timeout = true, .least = 60};
    make_machine(&b, "device");
    assert_int_equal(hardware_watchdog_open(&b.watchdog), 0);
    assert_int_equal(b.watchdog.set_usec, 60 * USEC_PER_SEC);
    assert_true(driver.on);
    assert_int_equal(driver.pings, 1);
    hardware_watchdog_tick(&b.watchdog, b.watchdog.ping_at - 1);
    assert_int_equal(driver.pings, 1);
    hardware_watchdog_tick(&b.watchdog, b.watchdog.ping_at);
    assert_int_equal(driver.pings, 2);
    assert_int_equal(hardware_watchdog_set(&b.watchdog, 0), 0);
    assert_false(driver.on);
    assert_true(b.watchdog.ping_at == USEC_INFINITY);
    closep(&b.watchdog.fd);
}

/* It runs from the moment that it was opened, whatever it says: to leave it alone is a reset. */
static void a_driver_that_tells_no_period_is_touched(void **state _unused_) {
    struct boot b;

    driver = (typeof(driver)){};
    make_machine(&b, "device");
    assert_int_equal(hardware_watchdog_open(&b.watchdog), 0);
    assert_int_equal(driver.pings, 1);
    assert_true(b.watchdog.ping_at <= usec_add(now_monotonic(), 5 * USEC_PER_SEC));
    closep(&b.watchdog.fd);
}

/* It would end the next userspace, which does not know that it has one. */
static void a_soft_reboot_arms_no_watchdog_that_was_off(void **state _unused_) {
    struct boot b;

    driver = (typeof(driver)){.takes_timeout = true};
    make_machine(&b, "device");
    b.watchdog.run_usec = 0;
    assert_int_equal(boot_arm_watchdog(&b, ENDING_SOFT_REBOOT), -1);
    assert_false(driver.on);
    assert_true(boot_arm_watchdog(&b, ENDING_REBOOT) >= 0);
    assert_int_equal(driver.timeout, HARDWARE_WATCHDOG_REBOOT_USEC / USEC_PER_SEC);
    closep(&b.watchdog.fd);
}

static char *report(int runtime) {
    char *text = NULL;

    return file_read(runtime, BOOT_REPORT_NAME, 4096, &text, NULL) < 0 ? NULL : text;
}

static void without_sysfs_the_device_tells_why_the_machine_booted(void **state _unused_) {
    struct boot b;
    _cleanup_close_ int runtime = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_return_code(file_write_atomic(runtime, BOOT_REPORT_NAME, "work 1 2\n", 9, 0644, false), 0);
    driver = (typeof(driver)){
        .takes_timeout = true, .boot_status = WDIOF_CARDRESET | WDIOF_POWERUNDER | WDIOF_MAGICCLOSE};
    make_machine(&b, "device");
    assert_int_equal(hardware_watchdog_open(&b.watchdog), 0);
    boot_tell_reasons(&b, runtime);
    boot_tell_reasons(&b, runtime); /* once is enough */
    _cleanup_free_ char *text = report(runtime);
    assert_string_equal(text, "work 1 2\nreason the hardware watchdog reset the machine\n"
                              "reason the supply voltage was too low\n");
    closep(&b.watchdog.fd);

    /* With it davit-boot has said so already. */
    driver.in_sysfs = true;
    make_machine(&b, "device");
    assert_int_equal(hardware_watchdog_open(&b.watchdog), 0);
    assert_int_equal(b.watchdog.boot_status, 0);
    closep(&b.watchdog.fd);
}

static void a_davit_boot_that_left_no_report_hides_no_reason(void **state _unused_) {
    struct boot b;
    _cleanup_close_ int runtime = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_return_code(unlinkat(runtime, BOOT_REPORT_NAME, 0), 0);
    driver = (typeof(driver)){.takes_timeout = true, .boot_status = WDIOF_OVERHEAT};
    make_machine(&b, "device");
    assert_int_equal(hardware_watchdog_open(&b.watchdog), 0);
    boot_tell_reasons(&b, runtime);
    _cleanup_free_ char *text = report(runtime);
    assert_string_equal(text, "reason the machine was too hot\n");
    closep(&b.watchdog.fd);
}

static unsigned warnings;

static void count_warnings(_unused_ int priority, const char *text, _unused_ char *const *fields) {
    warnings += startswith(text, "no hardware watchdog") != NULL;
}

/* Before the drivers are loaded it is no news; then it is, once, however many davitds ask. */
static void a_machine_without_a_watchdog_says_so_once(void **state _unused_) {
    struct boot b;

    make_machine(&b, "nothing");
    warnings = 0;
    log_set_sink(count_warnings);
    boot_worker_ended(&b, CLD_EXITED, 0);
    assert_int_equal(warnings, 1);
    boot_take_watchdog(&b, "30000000,0,0");
    boot_take_watchdog(&b, "30000000,0,0");
    log_set_sink(NULL);
    assert_int_equal(warnings, 1);
}

static int make_directory(void **state _unused_) {
    if (!mkdtemp(directory))
        return -1;
    _cleanup_free_ char *path = path_join(directory, "device");
    return path ? file_write_atomic(AT_FDCWD, path, "", 0, 0600, false) : -1;
}

static int remove_directory(void **state _unused_) {
    return remove_tree(AT_FDCWD, directory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_period_is_the_drivers),
        cmocka_unit_test(a_driver_that_tells_no_period_is_touched),
        cmocka_unit_test(a_soft_reboot_arms_no_watchdog_that_was_off),
        cmocka_unit_test(without_sysfs_the_device_tells_why_the_machine_booted),
        cmocka_unit_test(a_davit_boot_that_left_no_report_hides_no_reason),
        cmocka_unit_test(a_machine_without_a_watchdog_says_so_once),
    };
    return cmocka_run_group_tests_name("hardware watchdog", tests, make_directory, remove_directory);
}
