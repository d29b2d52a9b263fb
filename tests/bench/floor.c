/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's floor: what a container start costs when nothing but the kernel's own work is done, by a
 * program that knows everything beforehand. It makes what a default davit container has: user, mount, pid,
 * uts, ipc, cgroup and network namespaces, a group in the unified hierarchy and in the v1 hierarchies with a
 * memory and a tasks limit, an overlay of one idmapped layer with a fresh upper directory, /proc, /sys, /dev
 * with six nodes, devpts, mqueue, shm, loopback up, pivot_root, masked and read-only paths, eleven
 * capabilities, no_new_privs, and execs a static program.
 *
 *   floor ROOTFS WORKDIR CGROUP start N            each: time to execve done, and to everything gone (us,
 * medians) floor ROOTFS WORKDIR CGROUP parallel N WIDTH   starts a second, WIDTH in flight floor ROOTFS
 * WORKDIR CGROUP restart N          SIGKILL to the next one running (us, median)
 *
 * Prints one JSON object. CGROUP is a name below the root of each hierarchy; it is made and removed here.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ID_BASE 900000000
#define ID_COUNT 65536

static const char *rootfs, *workdir, *cgroup;
static const char *const v1_hierarchies[] = {"memory", "pids", "cpu", "cpuacct"};
static const char *unified; /* mount point of cgroup2 */
static bool have_v1;

#define CHECK(x) \
    ({ \
        __typeof__(x) r_ = (x); \
        if (r_ < 0) { \
            fprintf(stderr, "floor: line %d: %s: %s\n", __LINE__, #x, strerror(errno)); \
            _exit(125); \
        } \
        r_; \
    })

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void write_text(const char *path, const char *text) {
    int fd = CHECK(open(path, O_WRONLY | O_CLOEXEC));
    CHECK(write(fd, text, strlen(text)));
    close(fd);
}

struct instance {
    int number;
    pid_t pid;
    int exec_fd; /* end of file: execve succeeded */
    double begun;
};

/* ---- control groups ---- */
static char *group_path(char buffer[static 256], const char *hierarchy, int number, const char *file) {
    if (hierarchy)
        snprintf(buffer, 256, "/sys/fs/cgroup/%s/%s/%d%s%s", hierarchy, cgroup, number, file ? "/" : "",
            file ? file : "");
    else
        snprintf(buffer, 256, "%s/%s/%d%s%s", unified, cgroup, number, file ? "/" : "", file ? file : "");
    return buffer;
}

static void groups_make(int number) {
    char path[256];
    CHECK(mkdir(group_path(path, NULL, number, NULL), 0755));
    if (!have_v1) {
        write_text(group_path(path, NULL, number, "memory.max"), "268435456");
        write_text(group_path(path, NULL, number, "pids.max"), "2048");
        return;
    }
    for (size_t i = 0; i < 4; i++)
        CHECK(mkdir(group_path(path, v1_hierarchies[i], number, NULL), 0755));
    write_text(group_path(path, "memory", number, "memory.limit_in_bytes"), "268435456");
    write_text(group_path(path, "pids", number, "pids.max"), "2048");
}

static void groups_remove(int number) {
    char path[256];
    while (rmdir(group_path(path, NULL, number, NULL)) < 0 && errno == EBUSY)
        ;
    for (size_t i = 0; have_v1 && i < 4; i++)
        while (rmdir(group_path(path, v1_hierarchies[i], number, NULL)) < 0 && errno == EBUSY)
            ;
}

static void groups_root(bool make) {
    char path[256];
    have_v1 = access("/sys/fs/cgroup/memory", F_OK) == 0;
    unified =
        access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
    snprintf(path, sizeof path, "%s/%s", unified, cgroup);
    make ? CHECK(mkdir(path, 0755)) : rmdir(path);
    if (make && !have_v1) {
        snprintf(path, sizeof path, "%s/%s/cgroup.subtree_control", unified, cgroup);
        write_text(path, "+memory +pids +cpu");
    }
    for (size_t i = 0; have_v1 && i < 4; i++) {
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s/%s", v1_hierarchies[i], cgroup);
        make ? CHECK(mkdir(path, 0755)) : rmdir(path);
    }
}

/* ---- root file system ---- */
static int userns_fd = -1;

/* One user namespace kept only for its map, as a supervisor would keep it. */
static int userns_open(void) {
    int sync[2];
    CHECK(pipe2(sync, O_CLOEXEC));
    pid_t pid = (pid_t)CHECK(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    if (pid == 0) {
        char c;
        close(sync[1]);
        CHECK(read(sync[0], &c, 1));
        _exit(0);
    }
    char path[64], map[64];
    snprintf(map, sizeof map, "0 %d %d", ID_BASE, ID_COUNT);
    snprintf(path, sizeof path, "/proc/%d/uid_map", (int)pid);
    write_text(path, map);
    snprintf(path, sizeof path, "/proc/%d/gid_map", (int)pid);
    write_text(path, map);
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    int fd = CHECK(open(path, O_RDONLY | O_CLOEXEC));
    close(sync[1]);
    close(sync[0]);
    waitpid(pid, NULL, 0);
    return fd;
}

static int overlay_make(int number) {
    char upper[300], work[300], dir[300], scratch[300];
    snprintf(dir, sizeof dir, "%s/%d", workdir, number);
    snprintf(upper, sizeof upper, "%s/%d/upper", workdir, number);
    snprintf(work, sizeof work, "%s/%d/work", workdir, number);
    snprintf(scratch, sizeof scratch, "%s/scratch", workdir);
    CHECK(mkdir(dir, 0700));
    CHECK(mkdir(upper, 0755));
    CHECK(mkdir(work, 0755));
    CHECK(chown(upper, ID_BASE, ID_BASE));
    CHECK(chown(work, ID_BASE, ID_BASE));

    int layer = (int)CHECK(syscall(SYS_open_tree, AT_FDCWD, rootfs, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd};
    CHECK(syscall(SYS_mount_setattr, layer, "", AT_EMPTY_PATH, &attr, sizeof attr));
    CHECK(syscall(SYS_move_mount, layer, "", AT_FDCWD, scratch, MOVE_MOUNT_F_EMPTY_PATH));
    int fs = (int)CHECK(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC));
    CHECK(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "lowerdir", scratch, 0));
    CHECK(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "upperdir", upper, 0));
    CHECK(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "workdir", work, 0));
    CHECK(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
    int overlay = (int)CHECK(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0));
    close(fs);
    CHECK(umount2(scratch, MNT_DETACH));
    close(layer);
    return overlay;
}

static void overlay_remove(int number) {
    static const char *const parts[] = {"upper/new", "work/work", "upper", "work"};
    char path[300];
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%d/%s", workdir, number, parts[i]);
        rmdir(path);
    }
    snprintf(path, sizeof path, "rm -rf %s/%d", workdir, number);
    char *dir = path + 7;
    if (rmdir(dir) < 0 && system(path) != 0)
        fprintf(stderr, "floor: cannot remove %s\n", dir);
}

/* ---- the child ---- */
static void child_devices(const int nodes[static 6]) {
    static const char *const names[] = {"null", "zero", "full", "random", "urandom", "tty"};
    char path[64];
    CHECK(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "dev/%s", names[i]);
        close(CHECK(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0666)));
        CHECK(syscall(SYS_move_mount, nodes[i], "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH));
    }
    mkdir("dev/pts", 0755);
    mkdir("dev/shm", 01777);
    mkdir("dev/mqueue", 0755);
    CHECK(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"));
    CHECK(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=65536k"));
    CHECK(mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL));
    CHECK(symlink("pts/ptmx", "dev/ptmx"));
    CHECK(symlink("/proc/self/fd", "dev/fd"));
    CHECK(symlink("/proc/self/fd/0", "dev/stdin"));
    CHECK(symlink("/proc/self/fd/1", "dev/stdout"));
    CHECK(symlink("/proc/self/fd/2", "dev/stderr"));
}

static void child_masks(int null_fd) {
    static const char *const read_only[] = {
        "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
    static const char *const files[] = {"proc/kcore", "proc/keys", "proc/timer_list"};
    static const char *const dirs[] = {"proc/acpi", "proc/scsi", "sys/firmware"};
    for (size_t i = 0; i < sizeof read_only / sizeof *read_only; i++) {
        int fd = (int)syscall(SYS_open_tree, AT_FDCWD, read_only[i], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (fd < 0)
            continue;
        struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
        CHECK(syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof attr));
        CHECK(syscall(SYS_move_mount, fd, "", AT_FDCWD, read_only[i], MOVE_MOUNT_F_EMPTY_PATH));
        close(fd);
    }
    for (size_t i = 0; i < 3; i++) {
        int fd =
            (int)syscall(SYS_open_tree, null_fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (fd >= 0 && access(files[i], F_OK) == 0)
            CHECK(syscall(SYS_move_mount, fd, "", AT_FDCWD, files[i], MOVE_MOUNT_F_EMPTY_PATH));
        close(fd);
    }
    for (size_t i = 0; i < 3; i++)
        if (access(dirs[i], F_OK) == 0)
            CHECK(mount("tmpfs", dirs[i], "tmpfs", MS_RDONLY, "size=0"));
}

static void child_capabilities(void) {
    const uint64_t keep = 1ULL << CAP_CHOWN | 1 << CAP_DAC_OVERRIDE | 1 << CAP_FOWNER | 1 << CAP_FSETID |
                          1 << CAP_KILL | 1 << CAP_NET_BIND_SERVICE | 1ULL << CAP_SETFCAP | 1 << CAP_SETGID |
                          1 << CAP_SETPCAP | 1 << CAP_SETUID | 1 << CAP_SYS_CHROOT;
    for (int c = 0; c <= 40; c++)
        if (!(keep >> c & 1))
            prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{(uint32_t)keep, (uint32_t)keep, 0}, {0, 0, 0}};
    CHECK(syscall(SYS_capset, &header, data));
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void child_main(
    int overlay, const int nodes[static 6], const int tasks[static 4], int mapped, char **argv) {
    char c;
    for (size_t i = 0; have_v1 && i < 4; i++)
        CHECK(write(tasks[i], "0", 1));
    CHECK(read(mapped, &c, 1));
    CHECK(unshare(CLONE_NEWCGROUP));
    CHECK(setresgid(0, 0, 0));
    CHECK(setresuid(0, 0, 0));
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    CHECK(syscall(SYS_move_mount, overlay, "", AT_FDCWD, workdir, MOVE_MOUNT_F_EMPTY_PATH));
    CHECK(chdir(workdir));
    mkdir("proc", 0755);
    mkdir("sys", 0755);
    mkdir("dev", 0755);
    CHECK(mount("proc", "proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL));
    CHECK(mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, NULL));
    child_devices(nodes);
    CHECK(mount("cgroup2", "sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, NULL));
    CHECK(sethostname("floor", 5));
    int s = CHECK(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    CHECK(ioctl(s, SIOCSIFFLAGS, &lo));
    close(s);
    CHECK(syscall(SYS_pivot_root, ".", "."));
    CHECK(umount2(".", MNT_DETACH));
    CHECK(chdir("/"));
    child_masks(nodes[0]);
    child_capabilities();
    setsid();
    syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
    execv(argv[0], argv);
    _exit(127);
}

static void instance_start(struct instance *i, char **argv) {
    static const char *const paths[] = {
        "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"};
    char path[256];
    int tasks[4] = {-1, -1, -1, -1}, nodes[6], exec_pipe[2], sync[2];
    i->begun = now_us();
    groups_make(i->number);
    for (size_t k = 0; have_v1 && k < 4; k++)
        tasks[k] = CHECK(open(group_path(path, v1_hierarchies[k], i->number, "tasks"), O_WRONLY | O_CLOEXEC));
    for (size_t k = 0; k < 6; k++)
        nodes[k] =
            (int)CHECK(syscall(SYS_open_tree, AT_FDCWD, paths[k], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    int overlay = overlay_make(i->number);
    int group = CHECK(open(group_path(path, NULL, i->number, NULL), O_PATH | O_CLOEXEC));
    CHECK(pipe2(exec_pipe, O_CLOEXEC));
    CHECK(pipe2(sync, O_CLOEXEC));
    struct clone_args args = {
        .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUSER |
                 CLONE_INTO_CGROUP,
        .exit_signal = SIGCHLD,
        .cgroup = (uint64_t)group,
    };
    i->pid = (pid_t)CHECK(syscall(SYS_clone3, &args, sizeof args));
    if (i->pid == 0)
        child_main(overlay, nodes, tasks, sync[0], argv);
    char map[64];
    snprintf(map, sizeof map, "0 %d %d", ID_BASE, ID_COUNT);
    snprintf(path, sizeof path, "/proc/%d/uid_map", (int)i->pid);
    write_text(path, map);
    snprintf(path, sizeof path, "/proc/%d/gid_map", (int)i->pid);
    write_text(path, map);
    CHECK(write(sync[1], "g", 1));
    close(sync[0]);
    close(sync[1]);
    close(exec_pipe[1]);
    i->exec_fd = exec_pipe[0];
    close(overlay);
    close(group);
    for (size_t k = 0; k < 6; k++)
        close(nodes[k]);
    for (size_t k = 0; k < 4; k++)
        if (tasks[k] >= 0)
            close(tasks[k]);
}

static void instance_wait_exec(struct instance *i) {
    char c;
    CHECK(read(i->exec_fd, &c, 1));
    close(i->exec_fd);
}

static void instance_clean(struct instance *i) {
    groups_remove(i->number);
    overlay_remove(i->number);
}

static void instance_reap(struct instance *i, bool check) {
    int status;
    CHECK(waitpid(i->pid, &status, 0));
    if (check && status != 0) {
        fprintf(stderr, "floor: the program ended with status %#x\n", (unsigned)status);
        exit(1);
    }
}

/* ---- measuring ---- */
static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double median(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, compare);
    return v[n / 2];
}

static char true_path[] = "/bin/true", sleep_path[] = "/bin/sleep", sleep_time[] = "1000";
static char *true_argv[] = {true_path, NULL};
static char *sleep_argv[] = {sleep_path, sleep_time, NULL};

static void measure_start(int n) {
    double *start = calloc((size_t)n, sizeof *start), *total = calloc((size_t)n, sizeof *total);
    for (int k = 0; k < n; k++) {
        struct instance i = {.number = k};
        instance_start(&i, true_argv);
        instance_wait_exec(&i);
        start[k] = now_us() - i.begun;
        instance_reap(&i, true);
        instance_clean(&i);
        total[k] = now_us() - i.begun;
        usleep(2000);
    }
    printf("{\"start_us\":%.0f,\"total_us\":%.0f}\n", median(start, n), median(total, n));
    free(start);
    free(total);
}

static void measure_parallel(int n, int width) {
    struct instance *all = calloc((size_t)n, sizeof *all);
    double begun = now_us();
    int running = 0, next = 0, done = 0;
    while (done < n) {
        while (running < width && next < n) {
            all[next].number = next;
            instance_start(&all[next], true_argv);
            close(all[next].exec_fd);
            next++, running++;
        }
        int status;
        pid_t pid = CHECK(waitpid(-1, &status, 0));
        for (int k = 0; k < next; k++)
            if (all[k].pid == pid) {
                instance_clean(&all[k]);
                running--, done++;
                break;
            }
    }
    printf("{\"per_second\":%.0f}\n", n * 1e6 / (now_us() - begun));
    free(all);
}

static void measure_restart(int n) {
    double *v = calloc((size_t)n, sizeof *v);
    struct instance old = {.number = 0}, new;
    instance_start(&old, sleep_argv);
    instance_wait_exec(&old);
    for (int k = 0; k < n; k++) {
        usleep(20000);
        double begun = now_us();
        kill(old.pid, SIGKILL);
        instance_reap(&old, false);
        new = (struct instance){.number = k + 1};
        instance_start(&new, sleep_argv);
        instance_wait_exec(&new);
        v[k] = now_us() - begun;
        instance_clean(&old);
        old = new;
    }
    kill(old.pid, SIGKILL);
    instance_reap(&old, false);
    instance_clean(&old);
    printf("{\"restart_us\":%.0f}\n", median(v, n));
    free(v);
}

int main(int argc, char **argv) {
    if (argc < 6) {
        fprintf(stderr, "usage: floor ROOTFS WORKDIR CGROUP start|parallel|restart N [WIDTH]\n");
        return 2;
    }
    rootfs = argv[1], workdir = argv[2], cgroup = argv[3];
    int n = atoi(argv[5]), width = argc > 6 ? atoi(argv[6]) : 8;
    char scratch[300];
    snprintf(scratch, sizeof scratch, "%s/scratch", workdir);
    CHECK(unshare(CLONE_NEWNS));
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    mkdir(scratch, 0755);
    groups_root(true);
    userns_fd = userns_open();
    if (strcmp(argv[4], "start") == 0)
        measure_start(n);
    else if (strcmp(argv[4], "parallel") == 0)
        measure_parallel(n, width);
    else
        measure_restart(n);
    groups_root(false);
    rmdir(scratch);
    return 0;
}
