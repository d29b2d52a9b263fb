/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-shutdown: what davit-init becomes, by execve(2), when the units of a machine are stopped. It is PID 1
 * until the end, static, locked into memory, and reads nothing from the disks it takes away but its hooks. It
 * may allocate: it runs once, and not for long.
 *
 *   settle       descriptors, signals, memory, private mounts, the hardware watchdog
 *   kill         SIGTERM, then SIGKILL, to everything that is left                        (kill.c)
 *   save         a random seed, for the next boot                                         (save.c)
 *   sync         as long as it makes progress                                             (sync.c)
 *   take apart   unmount, swapoff, loop, device-mapper, md: again and again while
 *                something goes; then say what is left, and who holds it   (mounts.c, devices.c, holders.c)
 *   hooks        /usr/lib/davit/shutdown.d, all at once, bounded                          (hooks.c)
 *   back         into the initramfs, if it left a /run/initramfs/shutdown                 (root.c)
 *   end          the console drains, and reboot(2)                                        (console.c)
 *
 * Nothing here waits without a limit. Whatever a broken disk, a dead server or a FUSE without a program can
 * hold up is done in a child (bounded.c), which is left behind when its time is over; the watchdog is pinged
 * meanwhile, and resets the machine should this program itself stop. Only where no child can be made it is done
 * here all the same: disks that are not synced are worse.
 *
 * soft-reboot ends nothing but userspace: kill, hooks, then the root changes to /run/nextroot, if that is
 * there, and davit-init is executed again. It is the only ending that comes here in a container.
 */
#pragma once

#include "base/clock.h"
#include "base/ending.h"

struct shutdown {
    enum ending_kind kind;
    const char *argument; /* for reboot(2); NULL = none */
    const char *init;     /* soft-reboot: what is executed */
    bool container;
    int status;      /* exit status where reboot(2) is forbidden */
    int watchdog_fd; /* open, its time-out set by davit-init; -1 = none */
};

/* All of the above. Does not return on a machine; else the exit status. */
int shutdown_run(struct shutdown *s);

/* ---- bounded.c: what may hang, in a child ---- */

/* Runs function(context, i) for i = 0 ... n-1 in a child, one after the other, each for at most timeout. An
 * item that takes longer is given up (-ETIMEDOUT; its child is killed and left to itself) and the next child
 * goes on behind it. The function returns 0 or -errno, which come back in results[n]. Where no child is to be
 * had it is called in this process, without a limit. */
void bounded_run(
    size_t n, int (*function)(void *context, size_t i), void *context, usec_t timeout, int *results);
/* The same for a single thing. */
int bounded_call(int (*function)(void *context, size_t i), void *context, usec_t timeout);
/* Sleeps, pings the watchdog, reaps. For every loop that waits. */
void bounded_pause(usec_t usec);

/* Before another program is executed: with all of them blocked it would hear of no time-out, and could not be
 * asked to end. */
void shutdown_unblock_signals(void);

/* ---- console.c ---- */
/* log_sink_t (base/log.h): to stderr, which may be O_NONBLOCK. What the console does not take within 5 s is lost. */
void console_log(int priority, const char *text, char *const *fields);
/* Before another program is executed: a console as stdout and stderr whose writes wait, as programs expect it. */
void console_give(void);
/* Before reboot(2), which does not wait for a serial line: until all is said, 5 s at most. */
void console_drain(void);

/* ---- watchdog.c ---- */
/* From here on every loop that waits pings it. -1 = none. */
void watchdog_take(int fd);
void watchdog_keepalive(void);
/* The program that is executed next does not know of it: closing it then stops the timer, where the hardware
 * can be stopped (the magic close of Documentation/watchdog/watchdog-api.rst). */
void watchdog_leave(void);

/* ---- kill.c ---- */
struct process_facts {
    pid_t pid;
    bool kernel_thread;
    bool marked; /* argv[0] begins with '@' */
    uid_t uid;
};
/* Programs that the root file system lives on say so by an argv[0] that begins with '@'
 * (https://systemd.io/ROOT_STORAGE_DAEMONS); only root is believed. Pure. */
bool kill_is_exempt(const struct process_facts *p, pid_t self);
/* SIGTERM, and after term_usec SIGKILL, to all others; waits at most kill_usec more. Names who is left. */
void kill_everything(usec_t term_usec, usec_t kill_usec);

/* ---- sync.c ---- */
/* sync(2) while the kernel's count of dirty pages goes down. 0, -ETIMEDOUT. */
int sync_bounded(void);
/* Dirty + Writeback of a /proc/meminfo, kB. Pure. */
uint64_t sync_dirty_of(const char *meminfo);

/* ---- save.c ---- */
void save_for_next_boot(void);

/* ---- devices.c ---- */
/* One round of swapoff, loop, device-mapper and md. Returns how many went; *ret_left: how many are still
 * there. report: names them. */
size_t devices_detach(bool report, size_t *ret_left);

/* ---- holders.c ---- */
/* Logs who uses the file system that is mounted at path: processes by pid, command and file. */
void holders_report(const char *path, unsigned major, unsigned minor);

/* ---- hooks.c ---- */
#define HOOKS_DIRECTORY "/usr/lib/davit/shutdown.d"
/* Runs all executables of directory at once with the verb as argument; those that take too long are killed.
 * Returns how many ran. */
size_t hooks_run(const char *directory, const char *verb, usec_t timeout);

/* ---- root.c ---- */
#define INITRAMFS_ROOT "/run/initramfs"
#define NEXT_ROOT "/run/nextroot"
/* Executes /shutdown of the initramfs in it, as systemd does. Returns only if that is not to be had. */
void root_return_to_initramfs(const struct shutdown *s);
/* Changes into NEXT_ROOT, if there is one, and executes davit-init. Returns -errno. */
int root_start_again(const struct shutdown *s);
