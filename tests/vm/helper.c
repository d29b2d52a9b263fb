/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What shutdown tests need in a machine and a shell cannot do. Static; one command a call:
 *
 *   kexec-load KERNEL COMMAND-LINE   kexec_file_load(2)
 *   mounts N DIRECTORY               N mounts of tmpfs on directories below it, one inside the other every
 * tenth hold NAME FILE SECONDS           called NAME from then on, opens the file for writing and sleeps
 *   linear DEVICE NAME SECTORS       a device-mapper device over it; prints its node, as /dev has it
 *   freeze DIRECTORY                 FIFREEZE: whoever writes there sits in the kernel
 */
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int kexec_load(const char *kernel, const char *command_line) {
    int fd = open(kernel, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -1
                  : (int)syscall(SYS_kexec_file_load, fd, -1, strlen(command_line) + 1, command_line,
                        0x4UL /* no initramfs */);
}

static int mounts(int n, const char *directory) {
    char path[4096];

    for (int i = 0; i < n; i++) {
        (void)snprintf(
            path, sizeof path, i % 10 == 9 ? "%s/%d/inside" : "%s/%d", directory, i % 10 == 9 ? i - 1 : i);
        if (mkdir(path, 0755) < 0 || mount("tmpfs", path, "tmpfs", 0, "size=64k") < 0)
            return -1;
    }
    return 0;
}

static int hold(char **argv, const char *name, const char *file, unsigned seconds) {
    if (strcmp(argv[0], name) != 0) {
        argv[0] = (char *)name;
        return execv("/proc/self/exe", argv);
    }
    if (open(file, O_RDWR | O_CREAT, 0600) < 0)
        return -1;
    (void)sleep(seconds);
    return 0;
}

static int dm_call(int fd, unsigned long request, const char *name, const char *device,
    unsigned long long sectors, unsigned long long *ret_device) {
    struct {
        struct dm_ioctl head;
        struct dm_target_spec target;
        char parameters[256];
    } call = {.head = {.version = {4, 0, 0}, .data_size = sizeof call, .data_start = sizeof call.head}};

    (void)snprintf(call.head.name, sizeof call.head.name, "%s", name);
    if (device) {
        call.head.target_count = 1;
        call.target = (struct dm_target_spec){.length = sectors, .target_type = "linear"};
        (void)snprintf(call.parameters, sizeof call.parameters, "%s 0", device);
    }
    int r = ioctl(fd, request, &call);
    *ret_device = call.head.dev;
    return r;
}

static int linear(const char *device, const char *name, unsigned long long sectors) {
    int fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
    unsigned long long number = 0;

    if (fd < 0 || dm_call(fd, DM_DEV_CREATE, name, NULL, 0, &number) < 0 ||
        dm_call(fd, DM_TABLE_LOAD, name, device, sectors, &number) < 0 ||
        dm_call(fd, DM_DEV_SUSPEND, name, NULL, 0, &number) < 0) /* without the flag it is resume */
        return -1;
    (void)printf("/dev/dm-%u\n", (unsigned)(number & 0xff));
    return 0;
}

static int freeze(const char *directory) {
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -1 : ioctl(fd, FIFREEZE, 0);
}

int main(int argc, char **argv) {
    const char *command = argc > 1 ? argv[1] : "";
    int r = -1;

    if (strcmp(command, "kexec-load") == 0 && argc == 4)
        r = kexec_load(argv[2], argv[3]);
    else if (strcmp(command, "mounts") == 0 && argc == 4)
        r = mounts(atoi(argv[2]), argv[3]);
    else if (strcmp(command, "hold") == 0 && argc == 5)
        r = hold(argv, argv[2], argv[3], (unsigned)atoi(argv[4]));
    else if (strcmp(command, "linear") == 0 && argc == 5)
        r = linear(argv[2], argv[3], strtoull(argv[4], NULL, 10));
    else if (strcmp(command, "freeze") == 0 && argc == 3)
        r = freeze(argv[2]);
    if (r < 0)
        perror(command);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
