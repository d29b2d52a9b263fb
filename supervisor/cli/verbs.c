/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/str.h"
#include "cli/cli.h"

enum { ANY = 100000 };

#define JOB_OPTIONS "no-block job-mode"
#define END_OPTIONS "force when message no-wall"
#define RUN_OPTIONS \
    "interactive tty env user workdir privileged name detach rm hostname volume mount tmpfs env-file " \
    "memory memory-swap " \
    "cpus pids-limit ulimit shm-size device cap-add cap-drop security-opt userns network dns add-host " \
    "group-add sysctl " \
    "label annotation entrypoint read-only init stop-signal stop-timeout tz pull unit-property"
#define REGISTRY_OPTIONS "authfile cert-dir tls-verify"

/* clang-format off */
const struct verb verbs[] = {
    {"status", "[UNIT...]", "Show what units do, or the whole fleet", "lines all", 0, ANY, verb_status, false, "Looking"},
    {"list", "[PATTERN...]", "List units", "all failed plain no-legend type state", 0, ANY, verb_list, false, NULL},
    {"logs", "[UNIT...]", "Show the output of containers", "follow dmesg lines tail unit since until", 0, ANY, verb_logs, false, NULL},
    {"show", "[UNIT...]", "Show properties, as KEY=value", "property value all", 0, ANY, verb_show, false, NULL},
    {"cat", "UNIT...", "Show the files of units", NULL, 1, ANY, verb_cat, false, NULL},
    {"events", "", "Show what happens as it happens", NULL, 0, 0, verb_events, false, NULL},
    {"analyze", "[time|blame|critical-chain [UNIT]|plot]", "Show where the time of the boot went; plot prints an SVG", NULL, 0, 2, verb_analyze, false, NULL},
    {"jobs", "", "List jobs that wait or run", "plain no-legend", 0, 0, verb_jobs, false, NULL},
    {"top", "UNIT", "Show the processes of a unit", "no-legend", 1, 1, verb_top, false, NULL},
    {"stats", "[UNIT...]", "Show what units use, every second", "no-stream no-legend", 0, ANY, verb_stats, false, NULL},
    {"wait", "UNIT...", "Wait until the programs of units have ended, and print their exit statuses", NULL, 1, ANY, verb_wait, false, NULL},
    {"list-dependencies", "[UNIT]", "Show what a unit pulls in, as a tree", "all plain reverse after before", 0, 1, verb_list_dependencies, false, NULL},
    {"is-system-running", "", "Exit status 0 if all is well: no unit has failed", NULL, 0, 0, verb_is_system_running, false, NULL},
    {"is-active", "UNIT...", "Exit status 0 if one of the units is active", NULL, 1, ANY, verb_is, false, NULL},
    {"is-failed", "UNIT...", "Exit status 0 if one of the units has failed", NULL, 1, ANY, verb_is, false, NULL},
    {"is-enabled", "UNIT...", "Exit status 0 if one of the units is started at boot", NULL, 1, ANY, verb_is_enabled, false, NULL},

    {"start", "UNIT...", "Start units", JOB_OPTIONS, 1, ANY, verb_job, false, "Steering"},
    {"stop", "UNIT...", "Stop units", JOB_OPTIONS, 1, ANY, verb_job, false, NULL},
    {"restart", "UNIT...", "Stop and start units", JOB_OPTIONS, 1, ANY, verb_job, false, NULL},
    {"try-restart", "UNIT...", "Restart those of the units that run", JOB_OPTIONS, 1, ANY, verb_job, false, NULL},
    {"reload", "UNIT...", "Let units read their configuration again", JOB_OPTIONS, 1, ANY, verb_job, false, NULL},
    {"reload-or-restart", "UNIT...", "Reload those that can, restart or start the others", JOB_OPTIONS, 1, ANY, verb_reload_or_restart, false, NULL},
    {"try-reload-or-restart", "UNIT...", "The same, with those that run", JOB_OPTIONS, 1, ANY, verb_reload_or_restart, false, NULL},
    {"isolate", "UNIT", "Start a unit and stop all that it does not need", "no-block", 1, 1, verb_isolate, false, NULL},
    {"kill", "UNIT...", "Send a signal to the processes of units", "signal kill-whom", 1, ANY, verb_kill, false, NULL},
    {"freeze", "UNIT...", "Suspend units", NULL, 1, ANY, verb_freeze, false, NULL},
    {"thaw", "UNIT...", "Let suspended units go on", NULL, 1, ANY, verb_freeze, false, NULL},
    {"reset-failed", "[UNIT...]", "Forget that units, or all of them, have failed", NULL, 0, ANY, verb_reset_failed, false, NULL},

    {"exec", "UNIT COMMAND...", "Run a command in a container", "interactive tty env user workdir privileged", 2, ANY, verb_exec, true, "Programs"},
    {"run", "IMAGE [COMMAND...]", "Run a one-off container", RUN_OPTIONS, 1, ANY, verb_run, true, NULL},

    {"launch", "UNIT", "Become a container: ExecStart= of a systemd service, without davitd", "no-limits stop cleanup", 1, 1, verb_launch, true, NULL},

    {"inspect", "UNIT|IMAGE...", "Show all that is known of containers and images, as docker does", NULL, 1, ANY, verb_inspect, false, "Files of containers"},
    {"diff", "UNIT", "Show what a container has changed in its root file system", NULL, 1, 1, verb_diff, false, NULL},
    {"cp", "SOURCE TARGET", "Copy files into a container or out of it: one of the two is UNIT:PATH", "archive", 2, 2, verb_cp, false, NULL},
    {"commit", "UNIT IMAGE", "Make an image of a container and its changes", "config", 2, 2, verb_commit, false, NULL},
    {"export", "UNIT", "Write the root file system of a container to an archive", NULL, 1, 1, verb_export, false, NULL},

    {"enable", "UNIT...", "Start units at boot, as their [Install] says", "now no-block", 1, ANY, verb_enable, false, "Unit files"},
    {"disable", "UNIT...", "Do not start units at boot", "now no-block", 1, ANY, verb_enable, false, NULL},
    {"reenable", "UNIT...", "Make the links anew, after [Install] has changed", NULL, 1, ANY, verb_reenable, false, NULL},
    {"mask", "UNIT...", "Hide units, so that nothing starts them", "now runtime", 1, ANY, verb_mask, false, NULL},
    {"unmask", "UNIT...", "Show them again", "runtime", 1, ANY, verb_mask, false, NULL},
    {"edit", "UNIT...", "Write a drop-in for units, with an editor", "full drop-in runtime stdin force", 1, ANY, verb_edit, false, NULL},
    {"revert", "UNIT...", "Take back what was written over units: masks, drop-ins, copies", NULL, 1, ANY, verb_mask, false, NULL},
    {"list-unit-files", "[PATTERN...]", "List unit files, and whether they are enabled", "plain no-legend type state", 0, ANY, verb_list_unit_files, false, NULL},
    {"get-default", "", "Show what is started at boot", NULL, 0, 0, verb_get_default, false, NULL},
    {"check", "[FILE|UNIT...]", "Find mistakes in unit files, or in all of them", "strict", 0, ANY, verb_check, false, NULL},
    {"daemon-reload", "", "Read all unit files and davit.conf again", NULL, 0, 0, verb_daemon_reload, false, NULL},

    {"image list", "[PATTERN...]", "List images", "plain no-trunc", 0, ANY, verb_image_list, false, "Images"},
    {"image import", "PATH [NAME]", "Bring in an OCI layout, an archive of images, or a root file system", "config memory", 1, 2, verb_image_import, false, NULL},
    {"image create", "NAME", "Make an image of a directory or another image, with files copied in", "from copy config", 1, 1, verb_image_create, false, NULL},
    {"image gc", "", "Remove what no image and no unit needs", "all limit unused-for dry-run", 0, 0, verb_image_gc, false, NULL},
    {"image fsck", "", "Verify all images, and say what is lost", "repair quick", 0, 0, verb_image_fsck, false, NULL},
    {"image pull", "IMAGE...", "Fetch images from registries", "policy platform os arch variant all-tags creds retry retry-delay memory " REGISTRY_OPTIONS, 1, ANY, verb_image_pull, false, NULL},
    {"image exists", "IMAGE", "Exit status 0 if the image is in the store", NULL, 1, 1, verb_image_exists, false, NULL},
    {"image inspect", "IMAGE...", "Show all that is known of images, as JSON", NULL, 1, ANY, verb_image_inspect, false, NULL},
    {"image history", "IMAGE", "Show the steps that made an image", NULL, 1, 1, verb_image_history, false, NULL},
    {"image tree", "IMAGE", "Show the layers of an image", NULL, 1, 1, verb_image_tree, false, NULL},
    {"image diff", "IMAGE [IMAGE]", "Show what the second image has changed of the first, or the topmost layer of those below", NULL, 1, 2, verb_image_diff, false, NULL},
    {"image du", "", "Show what images take on the disk, and what of it they share", NULL, 0, 0, verb_image_du, false, NULL},
    {"image mount", "[IMAGE [DIR]]", "Mount an image read-only and say where, or list what is mounted", NULL, 0, 2, verb_image_mount, false, NULL},
    {"image unmount", "IMAGE|DIR", "Unmount it again", NULL, 1, 1, verb_image_unmount, false, NULL},
    {"image save", "IMAGE...", "Write images to an archive", NULL, 1, ANY, verb_image_save, false, NULL},
    {"image tag", "IMAGE NAME...", "Give an image more names", NULL, 2, ANY, verb_image_tag, false, NULL},
    {"image untag", "NAME...", "Take names away", NULL, 1, ANY, verb_image_untag, false, NULL},
    {"image remove", "IMAGE...", "Remove images", "force", 1, ANY, verb_image_remove, false, NULL},
    {"login", "REGISTRY", "Sign in to a registry", "username password-stdin " REGISTRY_OPTIONS, 1, 1, verb_login, false, NULL},
    {"logout", "REGISTRY", "Forget the credentials for a registry", "authfile", 1, 1, verb_logout, false, NULL},

    {"info", "", "Show where davit keeps things and what this machine can do", NULL, 0, 0, verb_info, false, "The manager"},
    {"daemon-reexec", "", "Execute davit's own programs again, as after an upgrade", NULL, 0, 0, verb_daemon_reexec, false, NULL},
    {"version", "", "Show the versions of davit and of the davitd that runs", NULL, 0, 0, verb_version, false, NULL},
    {"help", "[VERB]", "Show help", NULL, 0, 1, verb_help, false, NULL},

    {"poweroff", "", "Stop all units and switch the machine off", END_OPTIONS, 0, 0, verb_end, false, "The end"},
    {"reboot", "", "Stop all units and start the machine again", END_OPTIONS " reboot-argument", 0, 0, verb_end, false, NULL},
    {"halt", "", "Stop all units and the machine, and leave it switched on", END_OPTIONS, 0, 0, verb_end, false, NULL},
    {"kexec", "", "Reboot into the kernel that kexec(8) has loaded", END_OPTIONS, 0, 0, verb_end, false, NULL},
    {"soft-reboot", "", "Stop all units and start userspace again", END_OPTIONS, 0, 0, verb_end, false, NULL},
    {"exit", "[STATUS]", "Stop all units and end davit", "keep force", 0, 1, verb_exit, false, NULL},
    {"rescue", "", "Stop all but what rescue.target needs", "no-block", 0, 0, verb_isolate, false, NULL},
    {"emergency", "", "Stop all but what emergency.target needs", "no-block", 0, 0, verb_isolate, false, NULL},
};
/* clang-format on */
const size_t n_verbs = ARRAY_SIZE(verbs);

const struct verb *verb_find(const char *name) {
    static const struct {
        const char *other, *name;
    } synonyms[] = {{"list-units", "list"}, {"ps", "list"}, {"ls", "list"}, {"list-jobs", "jobs"},
        {"condrestart", "try-restart"}, {"force-reload", "try-reload-or-restart"}, {"pause", "freeze"},
        {"unpause", "thaw"}, {"images", "image list"}, {"image ls", "image list"},
        {"image rm", "image remove"}, {"image umount", "image unmount"}, {"rmi", "image remove"},
        {"save", "image save"}, {"tag", "image tag"}, {"untag", "image untag"}, {"pull", "image pull"},
        {"history", "image history"}};

    for (size_t i = 0; i < ARRAY_SIZE(synonyms); i++)
        if (streq(name, synonyms[i].other))
            name = synonyms[i].name;
    for (size_t i = 0; i < n_verbs; i++)
        if (streq(name, verbs[i].name))
            return &verbs[i];
    return NULL;
}

bool verb_is_family(const char *word) {
    for (size_t i = 0; i < n_verbs; i++) {
        const char *rest = startswith(verbs[i].name, word);
        if (rest && *rest == ' ')
            return true;
    }
    return false;
}
