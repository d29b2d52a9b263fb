/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/machine.h"

#include <sys/stat.h>

#include "base/str.h"

/* Inodes of the kernel's first namespaces; fixed since 3.8 (include/linux/proc_ns.h). */
#define FIRST_USER_NAMESPACE 0xEFFFFFFDU
#define FIRST_PID_NAMESPACE 0xEFFFFFFCU

static struct {
    bool known;
    enum init_role role;
    const char *manager;
} self;

enum init_role init_role_decide(const struct role_facts *facts) {
    if (facts->pid != 1)
        return ROLE_PROCESS;
    if (!isempty(facts->container) || facts->marked || facts->foreign_namespace)
        return ROLE_CONTAINER;
    return ROLE_MACHINE;
}

static bool is_marked(void) {
    static const char *const marks[] = {
        "/run/host/container-manager", "/run/systemd/container", "/run/.containerenv", "/.dockerenv"};

    for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
        if (access(marks[i], F_OK) == 0)
            return true;
    return false;
}

/* Without /proc nobody has prepared anything for us: a machine. A /proc of another pid namespace, where
 * "self" leads nowhere, is somebody else's work. */
static bool is_foreign(void) {
    struct stat st;

    if (access("/proc/version", F_OK) < 0)
        return false;
    if (stat("/proc/self/ns/pid", &st) < 0 || st.st_ino != FIRST_PID_NAMESPACE)
        return true;
    /* A kernel without user namespaces has no such file. */
    return stat("/proc/self/ns/user", &st) == 0 && st.st_ino != FIRST_USER_NAMESPACE;
}

enum init_role init_role(void) {
    if (!self.known) {
        self.manager = getenv("container");
        self.role = init_role_decide(&(struct role_facts){.pid = getpid(),
            .container = self.manager,
            .marked = is_marked(),
            .foreign_namespace = is_foreign()});
        self.known = true;
    }
    return self.role;
}

const char *init_role_name(enum init_role role) {
    static const char *const names[] = {
        [ROLE_MACHINE] = "machine", [ROLE_CONTAINER] = "container", [ROLE_PROCESS] = "process"};

    return names[role];
}

const char *init_container_manager(void) {
    return init_role() == ROLE_CONTAINER && self.manager ? self.manager : "";
}
