/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's floor: what a container start costs when nothing but the kernel's own work is done, by a
 * program that knows everything beforehand. It makes what a default davit container has, each part in the
 * cheapest way that we know.
 *
 * User, mount, pid, uts, ipc, cgroup and network namespaces, a session and a keyring. A group in the unified
 * hierarchy, and on v1 in those of memory, pids and cpu, with limits of memory and tasks, a device program,
 * and a descriptor that tells of lack of memory, without which nobody knows why a container died. An overlay
 * of one idmapped layer, a tmpfs layer with /etc/hosts and the like, and a fresh upper directory. A FIFO for
 * its output, which outlives whoever reads it. /proc, /sys, /dev with six nodes, devpts, mqueue, shm,
 * loopback up, pivot_root, masked and read-only paths, eleven capabilities, no_new_privs. Then a static
 * program is executed.
 *
 * The overlay is "volatile", as whoever throws the upper directory away must have it: otherwise the end of
 * each container writes the whole file system below to disk. It costs three more inodes at the start, and
 * saves more than that at the end.
 *
 * Left out is all that makes a supervisor of it: requests, answers, saved state, log lines, a process that
 * can die without the container.
 *
 * floor ROOTFS WORKDIR CGROUP start N: each to execve done, and to everything gone (us, medians)
 *
 * floor ROOTFS WORKDIR CGROUP parallel N WIDTH: starts a second, WIDTH in flight
 *
 * floor ROOTFS WORKDIR CGROUP restart N: SIGKILL to the next one running (us, median)
 *
 * Prints one JSON object. ROOTFS is a directory, or layers as overlay takes them: DIR[:DIR...], topmost first. CGROUP is a name below the root of each hierarchy; it is made and removed here.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
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
#include <sys/eventfd.h>
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

#define LAYERS_MAX 128
static const char *layers[LAYERS_MAX], *workdir, *cgroup;
static size_t n_layers;
/* The root file system is attached there on its way to become the root. */
static const char stage[] = "/mnt";
#define N_NODES 7 /* of /dev, and the empty directory */
static char empty[300];
static const char *const v1_hierarchies[] = {"memory", "pids", "cpu"};
#define N_V1 (sizeof v1_hierarchies / sizeof *v1_hierarchies)
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
    int oom_fd, log_fd;
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

/* One program for all groups; it lets everything pass, since what it says costs the start nothing. */
static int device_program(void) {
    static int fd = -1;
    const struct bpf_insn program[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1}, {.code = BPF_JMP | BPF_EXIT}};
    union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
        .insns = (uint64_t)(uintptr_t)program,
        .insn_cnt = 2,
        .license = (uint64_t)(uintptr_t) "GPL"};
    if (fd < 0)
        fd = (int)CHECK(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load));
    return fd;
}

static void device_filter(int number) {
    char path[256];
    int group = CHECK(open(group_path(path, NULL, number, NULL), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    union bpf_attr attach = {.target_fd = (uint32_t)group,
        .attach_bpf_fd = (uint32_t)device_program(),
        .attach_type = BPF_CGROUP_DEVICE,
        .attach_flags = BPF_F_ALLOW_MULTI};
    CHECK(syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach));
    close(group);
}

static int oom_open(int number) {
    char path[256], text[32];
    if (!have_v1)
        return CHECK(open(group_path(path, NULL, number, "memory.events"), O_RDONLY | O_CLOEXEC));
    int control = CHECK(open(group_path(path, "memory", number, "memory.oom_control"), O_RDONLY | O_CLOEXEC));
    int event = CHECK(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    snprintf(text, sizeof text, "%d %d", event, control);
    write_text(group_path(path, "memory", number, "cgroup.event_control"), text);
    close(control);
    return event;
}

static void groups_make(int number) {
    char path[256];
    CHECK(mkdir(group_path(path, NULL, number, NULL), 0755));
    if (!have_v1) {
        write_text(group_path(path, NULL, number, "memory.max"), "268435456");
        write_text(group_path(path, NULL, number, "pids.max"), "2048");
        return;
    }
    for (size_t i = 0; i < N_V1; i++)
        CHECK(mkdir(group_path(path, v1_hierarchies[i], number, NULL), 0755));
    write_text(group_path(path, "memory", number, "memory.limit_in_bytes"), "268435456");
    if (access(group_path(path, "memory", number, "memory.memsw.limit_in_bytes"), F_OK) == 0)
        write_text(path, "536870912");
    write_text(group_path(path, "pids", number, "pids.max"), "2048");
}

static void groups_remove(int number) {
    char path[256];
    while (rmdir(group_path(path, NULL, number, NULL)) < 0 && errno == EBUSY)
        ;
    for (size_t i = 0; have_v1 && i < N_V1; i++)
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
    for (size_t i = 0; have_v1 && i < N_V1; i++) {
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

/* What belongs to a start and not to the image, topmost of the layers below the upper directory. */
static int init_layer(void) {
    static const char *const directories[] = {"run", "run/host", "etc"};
    static const struct {
        const char *name, *text;
    } files[] = {{"run/host/container-manager", "davit\n"}, {"etc/hosts", "127.0.0.1\tlocalhost\n"},
        {"etc/hostname", "floor\n"}, {"etc/resolv.conf", "nameserver 192.0.2.1\n"}};
    char id[16];
    int fs = (int)CHECK(syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC));
    snprintf(id, sizeof id, "%d", ID_BASE);
    CHECK(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "755", 0));
    CHECK(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "uid", id, 0));
    CHECK(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "gid", id, 0));
    CHECK(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
    int layer = (int)CHECK(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0));
    close(fs);
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
        CHECK(mkdirat(layer, directories[i], 0755));
        CHECK(fchownat(layer, directories[i], ID_BASE, ID_BASE, AT_SYMLINK_NOFOLLOW));
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        int fd = CHECK(openat(layer, files[i].name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
        CHECK(write(fd, files[i].text, strlen(files[i].text)));
        CHECK(fchown(fd, ID_BASE, ID_BASE));
        close(fd);
    }
    return layer;
}

/* Before 6.15 a layer has to be attached somewhere, and detaching it waits for an RCU grace period. */
static bool layers_stay_detached = true;

static void overlay_set(int fs, const char *key, int directory) {
    char path[48];
    snprintf(path, sizeof path, "/proc/self/fd/%d", directory);
    CHECK(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, path, 0));
}

static int overlay_try(int upper, int work, const int *lower, size_t n) {
    int fs = (int)CHECK(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC));
    for (size_t i = 0; i < n; i++)
        overlay_set(fs, "lowerdir+", lower[i]);
    overlay_set(fs, "upperdir", upper);
    overlay_set(fs, "workdir", work);
    CHECK(syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0));
    int overlay = -1;
    if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        overlay = (int)CHECK(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0));
    close(fs);
    return overlay;
}

static int make_directory(int parent, const char *name) {
    CHECK(mkdirat(parent, name, 0755));
    CHECK(fchownat(parent, name, ID_BASE, ID_BASE, AT_SYMLINK_NOFOLLOW));
    return CHECK(openat(parent, name, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static const char *scratch_path(char buffer[static 300], size_t i) {
    snprintf(buffer, 300, "%s/scratch-%zu", workdir, i);
    return buffer;
}

static void attach_all(const int *trees, size_t n) {
    char path[300];
    for (size_t i = 0; i < n; i++)
        CHECK(
            syscall(SYS_move_mount, trees[i], "", AT_FDCWD, scratch_path(path, i), MOVE_MOUNT_F_EMPTY_PATH));
}

static void detach_all(size_t n) {
    char path[300];
    for (size_t i = 0; i < n; i++)
        CHECK(umount2(scratch_path(path, i), MNT_DETACH));
}

static int overlay_make(int number) {
    char dir[300];
    int lower[1 + LAYERS_MAX], overlay = -1;
    size_t n = 0;
    snprintf(dir, sizeof dir, "%s/%d", workdir, number);
    CHECK(mkdir(dir, 0700));
    int parent = CHECK(open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC));
    int upper = make_directory(parent, "upper"), work = make_directory(parent, "work");
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd};
    lower[n++] = init_layer();
    for (size_t i = 0; i < n_layers; i++) {
        int image =
            (int)CHECK(syscall(SYS_open_tree, AT_FDCWD, layers[i], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
        CHECK(syscall(SYS_mount_setattr, image, "", AT_EMPTY_PATH, &attr, sizeof attr));
        lower[n++] = image;
    }
    if (layers_stay_detached)
        overlay = overlay_try(upper, work, lower, n);
    layers_stay_detached = overlay >= 0;
    if (!layers_stay_detached) {
        attach_all(lower, n);
        overlay = CHECK(overlay_try(upper, work, lower, n));
        detach_all(n);
    }
    close(parent), close(upper), close(work);
    for (size_t i = 0; i < n; i++)
        close(lower[i]);
    return overlay;
}

static void overlay_remove(int number) {
    static const char *const parts[] = {
        "work/work/incompat/volatile", "work/work/incompat", "work/work", "upper", "work"};
    char path[300];
    snprintf(path, sizeof path, "%s/%d/work/work/incompat/volatile/dirty", workdir, number);
    unlink(path);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
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

static void mask(int with, const char *path) {
    if (access(path, F_OK) < 0)
        return;
    int fd =
        (int)CHECK(syscall(SYS_open_tree, with, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    CHECK(syscall(SYS_move_mount, fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH));
    close(fd);
}

static void child_masks(int null_fd, int empty_fd) {
    static const char *const read_only[] = {
        "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
    static const char *const files[] = {"proc/interrupts", "proc/kcore", "proc/keys", "proc/timer_list"};
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
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        mask(null_fd, files[i]);
    bool attached = false; /* then it can be cloned */
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        if (attached)
            mask(empty_fd, dirs[i]);
        else
            attached = syscall(SYS_move_mount, empty_fd, "", AT_FDCWD, dirs[i], MOVE_MOUNT_F_EMPTY_PATH) == 0;
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

static void child_main(int overlay, const int nodes[static N_NODES], const int tasks[static N_V1], int mapped,
    int log, char **argv) {
    char c;
    for (size_t i = 0; have_v1 && i < N_V1; i++)
        CHECK(write(tasks[i], "0", 1));
    setsid();
    syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
    CHECK(read(mapped, &c, 1));
    CHECK(unshare(CLONE_NEWCGROUP));
    CHECK(setgroups(0, NULL));
    CHECK(setresgid(0, 0, 0));
    CHECK(setresuid(0, 0, 0));
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    CHECK(syscall(SYS_move_mount, overlay, "", AT_FDCWD, stage, MOVE_MOUNT_F_EMPTY_PATH));
    CHECK(chdir(stage));
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
    child_masks(nodes[0], nodes[N_NODES - 1]);
    CHECK(dup2(log, 1));
    CHECK(dup2(log, 2));
    child_capabilities();
    syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
    execv(argv[0], argv);
    _exit(127);
}

/* Where a supervisor has it: on a tmpfs. */
static const char *log_path(char buffer[static 256], int number) {
    snprintf(buffer, 256, "/dev/shm/%s-%d", cgroup, number);
    return buffer;
}

static int log_open(int number) {
    char path[256];
    CHECK(mkfifo(log_path(path, number), 0600));
    return CHECK(open(path, O_RDWR | O_CLOEXEC));
}

static void instance_start(struct instance *i, char **argv) {
    const char *const paths[N_NODES] = {
        "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", empty};
    char path[256];
    int tasks[N_V1] = {-1, -1, -1}, nodes[N_NODES], exec_pipe[2], sync[2];
    i->begun = now_us();
    groups_make(i->number);
    device_filter(i->number);
    i->oom_fd = oom_open(i->number);
    i->log_fd = log_open(i->number);
    for (size_t k = 0; have_v1 && k < N_V1; k++)
        tasks[k] = CHECK(open(group_path(path, v1_hierarchies[k], i->number, "tasks"), O_WRONLY | O_CLOEXEC));
    for (size_t k = 0; k < N_NODES; k++)
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
        child_main(overlay, nodes, tasks, sync[0], i->log_fd, argv);
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
    for (size_t k = 0; k < N_NODES; k++)
        close(nodes[k]);
    for (size_t k = 0; k < N_V1; k++)
        if (tasks[k] >= 0)
            close(tasks[k]);
}

static void instance_wait_exec(struct instance *i) {
    char c;
    CHECK(read(i->exec_fd, &c, 1));
    close(i->exec_fd);
}

static void instance_clean(struct instance *i) {
    char path[256];
    unlink(log_path(path, i->number));
    close(i->log_fd);
    close(i->oom_fd);
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

static void parse_layers(char *text) {
    for (char *next; (next = strsep(&text, ":")); layers[n_layers++] = next)
        if (n_layers == LAYERS_MAX) {
            fprintf(stderr, "floor: more than %d layers\n", LAYERS_MAX);
            exit(2);
        }
}

int main(int argc, char **argv) {
    char scratch[300];
    if (argc < 6) {
        fprintf(stderr, "usage: floor ROOTFS WORKDIR CGROUP start|parallel|restart N [WIDTH]\n");
        return 2;
    }
    parse_layers(argv[1]);
    workdir = argv[2], cgroup = argv[3];
    int n = atoi(argv[5]), width = argc > 6 ? atoi(argv[6]) : 8;
    CHECK(unshare(CLONE_NEWNS));
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    snprintf(empty, sizeof empty, "%s/empty", workdir);
    CHECK(mkdir(empty, 0755));
    for (size_t i = 0; i <= n_layers; i++)
        CHECK(mkdir(scratch_path(scratch, i), 0755));
    groups_root(true);
    userns_fd = userns_open();
    if (strcmp(argv[4], "start") == 0)
        measure_start(n);
    else if (strcmp(argv[4], "parallel") == 0)
        measure_parallel(n, width);
    else
        measure_restart(n);
    groups_root(false);
    for (size_t i = 0; i <= n_layers; i++)
        rmdir(scratch_path(scratch, i));
    rmdir(empty);
    return 0;
}
