/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Those who are logged in are told by a worker (davitd --wall TEXT): utmp(5) is read under a lock, for which
 * davitd must not wait. */
#include "base/fs.h"
#include "base/log.h"
#include "manager/process.h"
#include "manager/rooms.h"
#include "manager/spec_internal.h"

static void on_exited(struct process *p, _unused_ const struct process_exit *x) {
    struct manager *m = p->manager;

    process_free(p);
    schedule_told(m);
}

static void on_failed(struct process *p, const struct error *e) {
    log_warning("Those who are logged in cannot be told: %s", e->text);
    if (p->pid == 0)
        on_exited(p, NULL);
}

static const struct process_callbacks calls = {.failed = on_failed, .exited = on_exited};

int wall_start(struct manager *m, const char *text, struct error *e) {
    _cleanup_free_ char *program = path_join(m->paths.libexec, "davitd"), *copy = strdup(text);
    char word[] = "--wall";
    char *argv[] = {program, word, copy, NULL};
    struct container_spec spec;
    struct process *p;

    if (!program || !copy)
        return error_set_errno(e, ENOMEM, "telling who is logged in");
    spec_init(&spec);
    spec.kind = SPEC_PROCESS;
    spec.argv = argv;
    spec.capabilities = spec_own_capabilities(); /* terminals belong to those who sit there */
    return process_start(m, NULL, PROCESS_WORKER, &spec, NULL, 0, &calls, NULL, &p, e);
}
