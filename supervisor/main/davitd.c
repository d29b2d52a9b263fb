/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davitd, the manager. This file puts the rooms together and turns the loop; what they do is in manager/ and
 * control/.
 *
 * Two ways up. At the first start davit.conf is read by a worker, then units are loaded and the default
 * target is started. A davitd that replaces one that died finds the settings and the state of every unit in
 * <runtime>/state: it takes over first, and only then looks at answers and exits, for an exit that it reads
 * is its to handle.
 *
 * It ends only through finish(): when everything was stopped because somebody asked for it. Otherwise
 * whatever goes wrong is reported and the loop goes on; and should it die, davit-init starts the next one.
 */
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/wall.h"
#include "control/server.h"
#include "control/signals.h"
#include "init/keeper.h"
#include "manager/manager.h"
#include "manager/rooms.h"
#include "manager/settings_keys.h"

#ifndef DAVIT_VERSION
#define DAVIT_VERSION "unknown"
#endif

#define EXTEND_INTERVAL (10 * USEC_PER_SEC)
#define EXTEND_BY (40 * USEC_PER_SEC)

/* ---- the process ---- */

/* One thread, many small and long-lived objects: one arena, and what was needed for a moment goes back to the
 * kernel. */
static void tune_memory(void) {
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_TRIM_THRESHOLD, 64 * 1024);
    (void)mallopt(M_TOP_PAD, 16 * 1024);
}

/* A pidfd, a FIFO and a notify socket for each unit, and clients. */
static void raise_fd_limit(void) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        (void)log_errno(LOG_WARNING, errno, "Raising the limit of open files");
}

/* ---- directories ---- */

static int open_directory(const char *path, mode_t mode, int *ret, struct error *e) {
    int r = mkdir_parents(AT_FDCWD, path, mode);
    if (r < 0)
        return error_set_errno(e, r, "making %s", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(e, errno, "opening %s", path);
    *ret = fd;
    return 0;
}

static int make_directories(struct manager *m, struct error *e) {
    static const struct {
        const char *name;
        mode_t mode;
    } table[] = {
        {"state", 0700}, {"notify", 0711}, /* services that are not root pass through it to their socket */
        {"log", 0700},                     /* or any user could write into a log */
    };

    int r = open_directory(m->paths.runtime, 0755, &m->runtime_fd, e);
    if (r >= 0)
        r = open_directory(m->paths.state, 0700, &m->state_fd, e);
    for (size_t i = 0; i < ARRAY_SIZE(table) && r >= 0; i++) {
        r = mkdir_parents(m->runtime_fd, table[i].name, table[i].mode);
        if (r < 0)
            (void)error_set_errno(e, r, "making %s/%s", m->paths.runtime, table[i].name);
    }
    return r;
}

/* ---- coming up ---- */

static int set_up(struct manager *m, struct error *e) {
    m->runtime_fd = m->state_fd = -1;
    settings_init(&m->settings);
    boot_read_environment(&m->boot);
    if (m->boot.times.mounts != 0) /* davit-init is a machine's first process */
        m->nologin = "/run/nologin";

    int r = paths_load(&m->paths);
    if (r < 0)
        return error_set_errno(e, r, "DAVIT_* directories in the environment");
    /* Not the thread's default loop: that one asks for the thread's number in each turn. */
    r = sd_event_new(&m->event);
    if (r >= 0)
        r = signals_watch(m);
    if (r >= 0)
        r = manager_init_core(m);
    if (r < 0)
        return error_set_errno(e, r, "event loop");
    r = make_directories(m, e);
    if (r >= 0)
        r = keeper_new(m, e);
    if (r < 0)
        return r;
    report_open(m);
    r = trim_new(m, e);
    if (r >= 0)
        r = processes_new(m, e);
    if (r >= 0)
        r = cgroup_tree_open(m->paths.cgroup, &m->cgroups, e);
    return r;
}

/* Settings are known: units, what an earlier davitd knew of them, output, clients, and off. */
static int come_up(struct manager *m, bool take_over, struct error *e) {
    struct error load = {}, control = {};
    unsigned problems = 0;

    int r = idmaps_new(m, e);
    if (r >= 0)
        r = logs_new(m, e);
    if (r < 0)
        return r;
    usec_t load_begin = now_monotonic();
    if (manager_load_units(m, &problems, &load) < 0)
        log_error("Loading units: %s", load.text);
    if (!take_over) {
        m->boot.units_load = load_begin;
        m->boot.units_loaded = now_monotonic();
    }
    r = saved_read_all(m);
    if (r < 0)
        (void)log_errno(LOG_ERR, r, "Reading saved state");
    if (take_over)
        r = processes_go(m, e);
    else
        r = saved_write_feed_sequence(m, saved_feed_sequence(m));
    if (r < 0 && take_over)
        return r;
    cleanup_sweep(m);
    schedule_recover(m);
    if (control_new(m, &control) < 0)
        log_error("Control socket: %s; nobody can ask for anything until davitd is restarted", control.text);

    m->phase = PHASE_RUNNING;
    r = manager_start_default(m);
    if (r < 0)
        (void)log_errno(LOG_ERR, r, "Starting %s", m->settings.default_target);
    keeper_notify(m, "READY=1");
    if (m->boot.times.ready == 0)
        m->boot.times.ready = now_monotonic();
    boot_check_finished(m);
    keeper_status_changed(m);
    return 0;
}

static void give_up(struct manager *m, const struct error *e) {
    log_error("Cannot start: %s", e->text);
    if (m->keeper) {
        keeper_notify(m, "STATUS=Cannot start: %s", e->text);
        keeper_flush(m);
    }
    exit(EXIT_FAILURE);
}

static void on_first_config(struct manager *m, const struct error *e, void *userdata) {
    struct error failure = {};

    (void)userdata;
    /* A davit.conf that cannot be used must not keep the fleet down. */
    if (e)
        log_error("%s; going on with the built-in settings", e->text);
    if (come_up(m, false, &failure) < 0)
        give_up(m, &failure);
}

/* Taking over does not wait for davit.conf. If the settings that were saved are of another version of davitd,
 * it is read right afterwards. */
static void read_settings_later(struct manager *m) {
    log_notice("The settings of the davitd before are not known: reading davit.conf again");
    reload_and_log(m);
}

static int begin(struct manager *m, struct error *e) {
    struct settings saved;

    if (saved_exists(m)) {
        int known = saved_read_settings(m, &saved);
        if (known >= 0) {
            settings_done(&m->settings);
            m->settings = saved;
            log_set_level(m->boot.log_level >= 0 ? m->boot.log_level : saved.log_level);
        }
        int r = come_up(m, true, e);
        if (r >= 0 && known < 0)
            read_settings_later(m);
        return r;
    }
    int r = processes_go(m, e);
    if (r < 0)
        return r;
    return config_says_nothing(m) ? come_up(m, false, e) : config_read(m, on_first_config, NULL, e);
}

/* ---- the loop and the end ---- */

static int on_extend(sd_event_source *s, uint64_t usec, void *userdata) {
    (void)usec;
    keeper_notify(userdata, "EXTEND_TIMEOUT_USEC=%llu", (unsigned long long)EXTEND_BY);
    (void)sd_event_source_set_time_relative(s, EXTEND_INTERVAL);
    (void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
    return 0;
}

/* Tells who keeps us what the core decided. */
static void on_phase(struct manager *m, enum manager_phase before) {
    if (m->phase == PHASE_RELOADING) {
        keeper_notify(m, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)now_monotonic());
    } else if (m->phase == PHASE_RUNNING && before == PHASE_RELOADING) {
        keeper_notify(m, "READY=1");
    } else if (m->phase == PHASE_STOPPING) {
        keeper_notify(m, "STOPPING=1");
        /* Each unit has its own time-out; the sum of them is nobody's business but ours. */
        (void)sd_event_add_time_relative(m->event, NULL, CLOCK_MONOTONIC, EXTEND_INTERVAL, 0, on_extend, m);
    }
}

static _noreturn_ void finish(struct manager *m) {
    saved_flush(m);
    schedule_forget(m);
    control_free(m->control);
    m->control = NULL;
    if (!m->keep_containers) {
        (void)cgroup_tree_remove(m->cgroups);
        (void)remove_tree(m->runtime_fd, "state");
    }
    keeper_notify(m, "STATUS=Stopped.");
    if (m->exit_status != 0)
        keeper_notify(m, "EXIT_STATUS=%d", m->exit_status);
    keeper_flush(m);
    exit(MANAGER_EXIT_DONE);
}

/* The next davitd takes over as after a crash, except that nothing is in the middle of anything. The sockets
 * of the clients stay in their places: who connects meanwhile waits. */
static _noreturn_ void reexecute(struct manager *m) {
    saved_flush(m);
    log_notice("Executing davit's programs again");
    keeper_notify(m, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)now_monotonic());
    keeper_notify(m, "X_DAVIT_REEXEC=1");
    keeper_flush(m);
    exit(MANAGER_EXIT_REEXEC);
}

/* So many turns at most until what they changed is saved. */
#define TURNS_UNSAVED 16

/* One event. What has changed is saved when there is nothing more urgent to do, not after each event: a start
 * changes its unit several times in a row. What must be saved before something else is done says so where it
 * is done. Post sources of sd-event would do the same, but each costs a turn, and a system call, after each
 * event. */
static int turn(struct manager *m) {
    static unsigned unsaved;
    int r = 0;

    if (!list_empty(&m->save_queue) && unsaved++ < TURNS_UNSAVED)
        r = sd_event_run(m->event, 0);
    if (r == 0) {
        saved_flush(m);
        unsaved = 0;
        r = sd_event_run(m->event, UINT64_MAX);
    }
    trim_after_turn();
    return r;
}

static _noreturn_ void loop(struct manager *m) {
    enum manager_phase phase = m->phase;

    for (;;) {
        int r = turn(m);
        if (r < 0) {
            /* Out of memory, most likely; not for ever. */
            (void)log_errno(LOG_ERR, r, "Event loop");
            (void)usleep(100 * 1000);
        }
        if (m->phase != phase) {
            on_phase(m, phase);
            phase = m->phase;
        }
        if (phase == PHASE_ENDED)
            finish(m);
        if (m->reexecute)
            reexecute(m);
    }
}

static int usage(void) {
    (void)fprintf(stderr,
        "davitd is started by davit-init. By hand it can only do this:\n"
        "  davitd --read-config FILE --print   shows the settings in FILE, or what is wrong with it\n"
        "  davitd --version\n");
    return EXIT_FAILURE;
}

int main(int argc, char **argv) {
    static struct manager m;
    struct error e = {};

    if (argc >= 3 && streq(argv[1], "--read-config"))
        return argc > 3 && streq(argv[3], "--print") ? settings_print(argv[2]) : settings_worker(argv[2], 3);
    if (argc == 3 && streq(argv[1], "--wall")) {
        wall(argv[2]);
        return EXIT_SUCCESS;
    }
    if (argc == 2 && streq(argv[1], "--version")) {
        (void)puts("davitd " DAVIT_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc > 1 || !getenv("LISTEN_FDS"))
        return usage();

    log_open("davitd");
    log_never_wait();
    (void)signal(SIGPIPE, SIG_IGN); /* stderr may be a pipe that nobody reads any more */
    tune_memory();
    raise_fd_limit();
    (void)umask(0022);
    if (set_up(&m, &e) < 0 || begin(&m, &e) < 0)
        give_up(&m, &e);
    loop(&m);
}
