/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the I/O rooms of the manager (keeper, process, feed, saved, prepare, cleanup, idmap, volumes, notify,
 * logs, config, report) offer each other and main/davitd.c, beyond what manager.h offers the core.
 */
#pragma once

#include "manager/manager.h"

struct image;

/* ---- keeper.c ---- */
/* Closes and unstores what nobody took after recovery; dropped is told each name. */
void keeper_drop_leftovers(struct manager *m, void (*dropped)(struct manager *m, const char *name));
/* Something that STATUS= counts has changed: it is sent in a moment. */
void keeper_status_changed(struct manager *m);
/* Before the end of davitd: sends what waits, blocking. */
void keeper_flush(struct manager *m);
void keeper_free(struct manager *m);

/* ---- process.c, feed.c ---- */
/* From here on answers and exits are read. Before it units are recovered, else their exits would be nobody's.
 */
int processes_go(struct manager *m, struct error *e);
void processes_free(struct manager *m);
/* The service's own word (MAINPID=): p goes on as another process of the same group, and is saved as that. -ESRCH if it
 * is none, or has ended; -EPERM: it is a hook, or the like; -EBUSY: p has not executed its program yet. */
int process_move(struct process *p, pid_t pid);

/* ---- images.c ---- */
/* The name of the image that u, a container, runs: of Image=NAME.image, what that unit calls it. -ENOENT */
int images_name(struct managed_unit *u, const char **ret, struct error *e);
/* Directories that images are looked for in, the one that is written to last. */
int images_roots(struct manager *m, char ***ret);
int images_find(struct manager *m, const char *name, struct image *ret, struct error *e);
int images_check(struct manager *m, const char *name, struct error *e); /* is it there? */
/* For gc of the image store: what the unit runs now, and what it ran before. */
void images_note_use(struct managed_unit *u, const struct image *image);

/* ---- pull.c ---- */
/* 1 if starting u begins with asking for its image; 0: what is here is to be used. */
int pull_is_needed(struct managed_unit *u);
/* What davit-image is called with to fetch u's image, and its environment. */
int pull_arguments(struct managed_unit *u, char ***ret, char ***ret_environment, struct error *e);
/* Begins to fetch u's image, or waits together with others for whom that is under way. When it is there
 * u->pulled_image is set and u asks for a slot; otherwise EVENT_FAILURE. */
int pull_start(struct managed_unit *u, struct error *e);
/* u does not wait any more; without anybody who does the worker is ended. */
void pull_cancel(struct managed_unit *u);
/* gc has ended: pulls that found the disk full try once more. */
void pull_room_made(struct manager *m);

/* ---- images_gc.c ---- */
/* An image has come in: gc, unless davit.conf says that a person does that. */
void images_collect(struct manager *m);
/* The same after a boot, if a worker that was cut off has left something. */
void images_collect_left(struct manager *m);

/* ---- tree.c ---- */
struct container_spec;
/* Whether the storage driver makes a tree of the image for u, and of which layers (new). */
bool tree_is_wanted(struct managed_unit *u, const struct image *image, char ***ret_layers);
bool tree_is_made(const struct managed_unit *u);
/* What davit-image is called with to make it; *ret is NULL where there is nothing to make (any more). */
int tree_arguments(struct managed_unit *u, const struct image *image, char ***ret, struct error *e);
/* It is made: the spec says so instead of layers. */
int tree_of_container(const struct managed_unit *u, struct container_spec *s, struct error *e);
/* 1: it is being made; then u asks for a slot, or EVENT_FAILURE. 0: there is nothing to make. */
int tree_start(struct managed_unit *u, const struct image *image, struct error *e);
void tree_cancel(struct managed_unit *u);

/* ---- prepare.c ---- */
/* u could not be prepared: e, whose step is set, becomes the unit's. */
void prepare_failed(struct managed_unit *u, const struct error *e);
/* A launch failed with e. If it may be tried again in the host's user namespace (UserNS= is unset, and
 * something cannot be id-mapped), the unit is changed to that and the answer is true. */
bool prepare_fall_back(struct managed_unit *u, const struct error *e);

/* ---- prepare_parts.c ---- */
/* Where upper directories of containers are, below <state>, and the file that marks an anonymous volume: of
 * davitd, which sweeps what none of its units uses, and of `davit launch`. */
#define UPPER_DIRECTORY "containers"
#define UPPER_DIRECTORY_LAUNCHED "launched"
#define VOLUME_MARK "anonymous"
#define VOLUME_MARK_LAUNCHED "launched"
/* Id range, upper directory, anonymous volumes: for what comes after the control group. */
int prepare_identity_and_root(struct managed_unit *u, const struct image *image, struct error *e);
int prepare_upper(struct managed_unit *u, struct error *e);
/* The launch failed with e: may it be tried again in the host's user namespace? And then it shall. */
bool prepare_can_fall_back(const struct managed_unit *u, const struct error *e);
void prepare_without_user_namespace(struct managed_unit *u, const char *reason);

/* ---- proc_stat.c ---- */
/* Parent of a process and when it was started (clock ticks since boot), from /proc. */
int proc_stat_read(pid_t pid, pid_t *ret_parent, uint64_t *ret_started);

/* ---- saved.c, saved_manager.c, recover.c ---- */
/* Whole or not at all. name: below the runtime directory. */
int saved_replace_file(struct manager *m, const char *name, const void *data, size_t n);
/* saved_feed_sequence(), or why there is none: -ENOENT, -EBADMSG, -ESTALE (nothing of that time can run any
 * more), -EOWNERDEAD (another davit-init of this boot). */
int saved_feed_position(struct manager *m, uint64_t *ret_sequence);
/* The last sequence number of the exit feed that was handled; 0 if none, or another davit-init numbered it.
 */
uint64_t saved_feed_sequence(struct manager *m);
/* Keeps it. Called after the units' own state is on disk, before the records are consumed. */
int saved_write_feed_sequence(struct manager *m, uint64_t sequence);
/* True if an earlier davitd left anything behind in the state directory. */
bool saved_exists(struct manager *m);
/* The settings in force, so that a davitd that comes back needs no worker before it can take over. -ENOENT,
 * -EBADMSG, -EPROTONOSUPPORT (of another version). */
int saved_write_settings(struct manager *m);
int saved_read_settings(struct manager *m, struct settings *ret);
/* Text form of one unit and back, for tests and for the functions above. text is NUL-terminated. */
char *saved_format(const struct managed_unit *u);
int saved_parse(struct managed_unit *u, const char *text);

/* ---- api_exec.c ---- */
/* A line KEY=... for each command of `davit exec`; as values they come back in u->recovered_sessions. */
void exec_format(const struct managed_unit *u, const char *key, struct strbuf *b);

/* ---- cleanup.c ---- */
/* Before a unit is freed, or started while the clean-up of its last run still goes on: nobody waits for it
 * any more. */
void cleanup_cancel(struct managed_unit *u);
/* With the unit: closes its sockets and FIFO, frees what resources point to. Upper layer and group stay, for
 * the sweep of the next davitd; a unit that is freed in peace was cleaned up before. */
void resources_free(struct managed_unit *u);
/* Removes one directory of the state directory in a chore; nobody waits for it. */
void cleanup_remove_tree(struct manager *m, const char *directory, const char *name);
/* After recovery: groups, upper layers, sockets and FIFOs that belong to no unit. */
void cleanup_sweep(struct manager *m);

/* ---- wall.c ---- */
/* Tells all who are logged in, by a process of its own; when that has ended, schedule_told() is called. */
int wall_start(struct manager *m, const char *text, struct error *e);

/* ---- schedule.c ---- */
/* What an earlier davitd was asked to do later. */
void schedule_recover(struct manager *m);
/* nologin.c: from five minutes before when on. *ret: the timer, NULL where it is so already, or not our affair. */
int nologin_plan(struct manager *m, usec_t when, sd_event_source **ret);
void nologin_remove(struct manager *m);
/* Those who are logged in know. */
void schedule_told(struct manager *m);
/* At the end of davitd in order: nothing is left to be done. */
void schedule_forget(struct manager *m);

/* ---- idmap.c ---- */
int idmaps_new(struct manager *m, struct error *e);
void idmaps_free(struct manager *m);
/* The range of a unit: the one it had, or a new one. -ENOSPC with *e. */
int idmap_get(struct manager *m, const char *unit, uint32_t size, uint32_t *ret_base, struct error *e);
void idmap_release(struct manager *m, const char *unit);

/* ---- volumes.c ---- */
struct volume_source {
    char *path;    /* host directory to bind; NULL: a tmpfs with options */
    char *options; /* of the tmpfs */
    bool device;   /* path is a block device or an image file; options begin with its type */
    uint32_t uid, gid;
    bool copy; /* fill it from the image while it is empty */
};
/* Where a name of Volume= is, made if it is missing. name: "data.volume" or a plain volume name. */
int volume_resolve(struct manager *m, const char *name, struct volume_source *ret, struct error *e);
void volume_source_done(struct volume_source *v);
/* What starting a .volume unit does. */
int volume_prepare(struct managed_unit *u, struct error *e);
/* A new anonymous volume of that unit: its name and its directory. */
int volume_new_anonymous(
    struct manager *m, const char *unit, char **ret_name, char **ret_path, struct error *e);
void volume_remove(struct manager *m, const char *name);

/* ---- fill.c ---- */
/* Once for each start. With u->fill afterwards volumes are being filled from the image, and prepare_start()
 * will be called again. */
int fill_start(struct managed_unit *u, struct error *e);
void fill_cancel(struct managed_unit *u);
/* True: what is to be cleaned up is still written to; prepare_cleanup() is called again when it is not. */
bool fill_delays_cleanup(struct managed_unit *u, bool restart_follows);
/* The unit is being freed. */
void fill_forget(struct managed_unit *u);

/* ---- limits.c ---- */
/* Makes the unit's group and applies its limits; what could not be applied goes to u->cgroup_problems.
 * resources false: only what devices it may use. */
int limits_apply(struct managed_unit *u, bool resources, struct error *e);
/* Adds one entry to u->cgroup_problems, for what is not a limit ("UserNS"). key is static. */
void limits_add_problem(struct managed_unit *u, const char *key, const struct error *e);

/* ---- notify.c ---- */
int notify_path(const struct managed_unit *u, char **ret);
/* Makes and opens the socket, u->resources.notify_fd. */
int notify_create(struct managed_unit *u, struct error *e);
void notify_close(struct managed_unit *u);

/* ---- logs.c ---- */
int logs_path(const struct managed_unit *u, char **ret);
int logs_create(struct managed_unit *u, struct error *e); /* the FIFO */
void logs_store(struct managed_unit *u);                  /* with the keeper, for the next davitd */
void logs_keep(struct managed_unit *u);   /* nobody waits for REMOVED any more, the FIFO is used again */
void logs_forget(struct managed_unit *u); /* the same, and it is closed */
/* A stream that an earlier davitd left behind. */
void logs_remove_stream(struct manager *m, uint64_t id);
/* It has not answered for that long. The next one goes on where it was, and has as much time. False if it has said that
 * it cannot write: another one could not either. */
bool logs_replace_logd(struct manager *m, usec_t patience);
/* With each ping of davitd's own watchdog: where output waits to be read davit-logd is asked whether it is there, and
 * replaced if it has not answered by the next one. */
void logs_check_logd(struct manager *m);
void logs_settings_changed(struct manager *m);
void logs_free(struct manager *m);

/* ---- trim.c ---- */
int trim_new(struct manager *m, struct error *e);
/* At the end of each turn of the loop. */
void trim_after_turn(void);
/* For what comes round by itself (a watchdog's ping): it is no activity after which to tidy up. */
void trim_ignore_this_turn(void);

/* ---- report.c ---- */
void report_close(void);
