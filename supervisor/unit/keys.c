/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one table of keys. Parsing, `davit check`, `davit show`, the manual page and completion come from it: a
 * new key is a new row (and a field in unit.h).
 *
 * Columns: sections, flags, where the value is stored, name, type; then by name: choices, check, default_text
 * (parsed like text from a file), default_shown (where the default depends on the unit, see defaults.c),
 * documentation.
 */
#include "base/ending.h"
#include "unit/key.h"

#define U(member) BASE_UNIT, offsetof(struct unit, member)
#define C(member) BASE_CONTAINER, offsetof(struct container_section, member)
#define V(member) BASE_VOLUME, offsetof(struct volume_section, member)
#define I(member) BASE_IMAGE, offsetof(struct image_section, member)
#define DEP(kind) U(unit.dependencies[kind])

#define UNIT SECTION_UNIT
#define CONTAINER SECTION_CONTAINER
#define SERVICE SECTION_SERVICE
#define VOLUME SECTION_VOLUME
#define IMAGE SECTION_IMAGE
#define INSTALL SECTION_INSTALL
#define RESOURCE (SECTION_CONTAINER | SECTION_SERVICE)
#define SCALAR KEY_UNQUOTE
#define MANY KEY_REPEATABLE
#define DOC .documentation
#define CONDITION(name, text) \
    {UNIT, MANY, U(unit.conditions), "Condition" name, &value_conditions, DOC = text}, { \
        UNIT, MANY, U(unit.asserts), "Assert" name, &value_conditions, \
            DOC = "Like Condition" name "=, but the start fails where it does not hold." \
    }

/* Orders are those of the enums in unit.h. */
static const char *const service_types[] = {"simple", "exec", "oneshot", "notify", "notify-reload", NULL};
static const char *const restarts[] = {
    "no", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog", "always", NULL};
static const char *const restart_ways[] = {"normal", "direct", NULL};
static const char *const notify_accesses[] = {"none", "main", "exec", "all", NULL};
static const char *const kill_modes[] = {"control-group", "mixed", "process", "none", NULL};
static const char *const oom_policies[] = {"stop", "continue", "kill", NULL};
static const char *const cpu_policies[] = {"other", "batch", "idle", "fifo", "rr", NULL};
static const char *const io_classes[] = {"none", "realtime", "best-effort", "idle", NULL};
static const char *const pull_policies[] = {"missing", "always", "newer", "never", NULL};
static const char *const device_policies[] = {"auto", "closed", "strict", NULL};

const struct key keys[] = {
    /* ---- [Unit] ---- */
    {UNIT, 0, U(unit.description), "Description", &value_string, DOC = "One line for people."},
    {UNIT, MANY, U(unit.documentation), "Documentation", &value_words, .check = check_uri,
        DOC = "Where to read more: http://, https://, file:, info: or man: references."},
    {UNIT, MANY | KEY_EMPTY_COUNTS, DEP(DEP_AFTER), "After", &value_dependencies,
        DOC = "Starts after these units are ready, if they are started at all; stops before them."},
    {UNIT, MANY | KEY_EMPTY_COUNTS, DEP(DEP_BEFORE), "Before", &value_dependencies,
        DOC = "The inverse of After=."},
    {UNIT, MANY | KEY_EMPTY_COUNTS, DEP(DEP_REQUIRES), "Requires", &value_dependencies,
        DOC = "Starts these units as well; fails if one of them fails to start (together with After=); stops "
              "when one of them is stopped on purpose."},
    {UNIT, MANY | KEY_EMPTY_COUNTS, DEP(DEP_WANTS), "Wants", &value_dependencies,
        DOC = "Starts these units as well, and goes on without those that fail."},
    {UNIT, MANY | KEY_EMPTY_COUNTS, DEP(DEP_BINDS_TO), "BindsTo", &value_dependencies,
        DOC = "Like Requires=, and stops as soon as one of them is no longer running, for whatever reason."},
    {UNIT, MANY | KEY_EMPTY_COUNTS, DEP(DEP_PART_OF), "PartOf", &value_dependencies,
        DOC = "Is stopped and restarted together with these units, but does not start them."},
    {UNIT, MANY | KEY_EMPTY_COUNTS, DEP(DEP_REQUISITE), "Requisite", &value_dependencies,
        DOC = "Fails at once if one of these units is not running already."},
    {UNIT, MANY | KEY_EMPTY_COUNTS, DEP(DEP_CONFLICTS), "Conflicts", &value_dependencies,
        DOC = "Starting this unit stops those, and the other way round."},
    {UNIT, MANY | KEY_EMPTY_COUNTS, DEP(DEP_ON_FAILURE), "OnFailure", &value_dependencies,
        DOC = "Units that are started when this one enters the failed state."},
    {UNIT, MANY | KEY_EMPTY_COUNTS, DEP(DEP_ON_SUCCESS), "OnSuccess", &value_dependencies,
        DOC = "Units that are started when this one ends with success."},
    {UNIT, MANY | KEY_EMPTY_COUNTS, DEP(DEP_UPHOLDS), "Upholds", &value_dependencies,
        DOC = "Like Wants=, and for as long as this unit runs those that are found inactive or failed "
              "without a job are started again, even after davit stop; at most 16 times in 10 seconds."},
    {UNIT, MANY | KEY_EMPTY_COUNTS, DEP(DEP_PROPAGATES_STOP_TO), "PropagatesStopTo", &value_dependencies,
        DOC = "Units that are stopped with this one, whether it is stopped, restarted or ends by itself."},
    {UNIT, MANY | KEY_EMPTY_COUNTS, DEP(DEP_STOP_PROPAGATED_FROM), "StopPropagatedFrom", &value_dependencies,
        DOC = "The inverse of PropagatesStopTo=."},
    {UNIT, MANY | KEY_EMPTY_COUNTS, DEP(DEP_PROPAGATES_RELOAD_TO), "PropagatesReloadTo", &value_dependencies,
        DOC = "Units that are reloaded with this one, as far as they are running and can be. A target with "
              "this key can be reloaded as well."},
    {UNIT, MANY | KEY_EMPTY_COUNTS, DEP(DEP_RELOAD_PROPAGATED_FROM), "ReloadPropagatedFrom",
        &value_dependencies, DOC = "The inverse of PropagatesReloadTo=."},
    {UNIT, 0, U(unit.start_limit_interval), "StartLimitIntervalSec", &value_time, .default_text = "10s",
        DOC = "Time in which StartLimitBurst= starts are allowed; 0 switches the limit off. A start that a "
              "person asks for is never refused."},
    {UNIT | SERVICE, KEY_OLD_NAME, U(unit.start_limit_interval), "StartLimitInterval", &value_time,
        DOC = "Old name of StartLimitIntervalSec= in [Unit]."},
    {UNIT, 0, U(unit.start_limit_burst), "StartLimitBurst", &value_unsigned, .default_text = "5",
        DOC = "How many starts StartLimitIntervalSec= allows."},
    {SERVICE, KEY_OLD_NAME, U(unit.start_limit_burst), "StartLimitBurst", &value_unsigned,
        DOC = "Old place of StartLimitBurst= in [Unit]."},
    /* Of each two rows: the start is skipped, or fails. */
    CONDITION("PathExists", "The path exists. A start is skipped, which is not a failure, unless all "
                            "conditions hold; \"!\" in front "
                            "turns one round, and of those with \"|\" in front one is enough. An empty "
                            "assignment takes all of them back, of "
                            "whatever kind."),
    CONDITION("PathExistsGlob", "A path exists that matches the pattern."),
    CONDITION("PathIsDirectory", "It is a directory."),
    CONDITION("PathIsSymbolicLink", "It is a symbolic link."),
    CONDITION("PathIsMountPoint", "Something is mounted there."),
    CONDITION("PathIsReadWrite", "Its file system can be written to."),
    CONDITION("DirectoryNotEmpty", "The directory has something in it."),
    CONDITION("FileNotEmpty", "It is a file with something in it."),
    CONDITION("FileIsExecutable", "It is a file that can be executed."),
    CONDITION("KernelCommandLine",
        "The kernel's command line has the word, or (without \"=\" in it) the word with a value."),
    CONDITION("KernelVersion", "The kernel's release matches the pattern, or compares so: >=6.1."),
    CONDITION("Architecture", "This machine's: x86-64, arm64, ..., native."),
    CONDITION("Host", "The host's name matches the pattern, or the machine-id is this one."),
    CONDITION("Memory", "The machine has so much memory: >=1G."),
    CONDITION("CPUs", "The machine has so many processors: >=2."),
    CONDITION("Environment", "davit's own environment has the variable, NAME or NAME=VALUE."),
    {UNIT, 0, U(unit.failure_action), "FailureAction", &value_choice, .choices = ending_words,
        DOC = "What happens to all when this unit fails: none, exit, halt, poweroff, reboot, kexec, "
              "soft-reboot; "
              "with \"-force\" behind it units are killed instead of stopped, with \"-immediate\" (halt, "
              "poweroff, reboot) nothing is waited for. What each is: davit-init(8), SIGNALS."},
    {UNIT, 0, U(unit.success_action), "SuccessAction", &value_choice, .choices = ending_words,
        DOC = "The same when it has ended with success, or was stopped."},
    {UNIT, 0, U(unit.failure_action_status), "FailureActionExitStatus", &value_exit_status,
        .default_shown = "the main process's, 128 + N after signal N",
        DOC = "With FailureAction=exit: the exit status."},
    {UNIT, 0, U(unit.success_action_status), "SuccessActionExitStatus", &value_exit_status,
        .default_shown = "the main process's", DOC = "With SuccessAction=exit: the exit status."},
    {UNIT, 0, U(unit.start_limit_action), "StartLimitAction", &value_choice, .choices = ending_words,
        DOC = "The same as FailureAction= when StartLimitBurst= is reached."},
    {UNIT, 0, U(unit.reboot_argument), "RebootArgument", &value_string, .check = check_reboot_argument,
        DOC = "For the kernel's reboot command, where one of these actions is a reboot."},
    {UNIT, KEY_ZERO_IS_INFINITY, U(unit.job_timeout), "JobTimeoutSec", &value_time,
        .default_text = "infinity",
        DOC = "Time for a job of this unit, from when it is asked for; then the job has failed. 0 is "
              "infinity."},
    {UNIT, KEY_ZERO_IS_INFINITY, U(unit.job_running_timeout), "JobRunningTimeoutSec", &value_time,
        .default_text = "infinity", DOC = "The same, from when it was its turn."},
    {UNIT, 0, U(unit.job_timeout_action), "JobTimeoutAction", &value_choice, .choices = ending_words,
        DOC = "The same as FailureAction= when the time of a job is over."},
    {UNIT, 0, U(unit.job_timeout_reboot_argument), "JobTimeoutRebootArgument", &value_string,
        .check = check_reboot_argument, DOC = "Like RebootArgument=, for JobTimeoutAction=."},
    {SERVICE, KEY_OLD_NAME, U(unit.failure_action), "FailureAction", &value_choice, .choices = ending_words,
        DOC = "Old place of FailureAction= in [Unit]."},
    {SERVICE, KEY_OLD_NAME, U(unit.start_limit_action), "StartLimitAction", &value_choice,
        .choices = ending_words, DOC = "Old place of StartLimitAction= in [Unit]."},
    {SERVICE, KEY_OLD_NAME, U(unit.reboot_argument), "RebootArgument", &value_string,
        .check = check_reboot_argument, DOC = "Old place of RebootArgument= in [Unit]."},
    {UNIT, 0, U(unit.refuse_manual_start), "RefuseManualStart", &value_boolean, .default_text = "no",
        DOC = "It is started only as a dependency of others or by itself: davit start and davit restart are "
              "refused."},
    {UNIT, 0, U(unit.refuse_manual_stop), "RefuseManualStop", &value_boolean, .default_text = "no",
        DOC = "The same for davit stop and davit restart."},
    {UNIT, 0, U(unit.stop_when_unneeded), "StopWhenUnneeded", &value_boolean, .default_text = "no",
        DOC = "It is stopped as soon as no unit that is active or has a job requires, wants, upholds or is "
              "bound to it; "
              "also after a start by hand."},
    {UNIT, 0, U(unit.default_dependencies), "DefaultDependencies", &value_boolean, .default_text = "yes",
        DOC = "After=basic.target, and stopped by shutdown.target."},

    /* ---- [Container] ---- */
    {CONTAINER, SCALAR, C(image), "Image", &value_string, .check = check_image,
        DOC = "The root file system: the name of an image, which is fetched as Pull= says; NAME.image, what "
              "that unit fetches; an absolute directory; a name below an image root (davit.conf); or a "
              "colon list of layer directories, lowest first. Either this or Rootfs= is needed."},
    {CONTAINER, SCALAR, C(pull.policy), "Pull", &value_choice, .choices = pull_policies,
        .default_text = "missing",
        DOC = "When the image is fetched before a start: missing (if it is not here), always, newer (if the "
              "registry has another one; without a connection the one here will do), never."},
    {CONTAINER, SCALAR, C(pull.retry), "Retry", &value_unsigned, .default_text = "3",
        DOC = "How often a request to the registry is tried again. When all of it failed for want of a "
              "connection, the unit goes on trying until TimeoutPrepareSec= is over."},
    {CONTAINER, SCALAR, C(pull.retry_delay), "RetryDelay", &value_time,
        .default_shown = "1s, then twice as long each time", DOC = "Time between two tries."},
    {CONTAINER, SCALAR, C(rootfs), "Rootfs", &value_rootfs,
        DOC = "A directory as root file system. \":O\" and \":idmap\" behind it, as podman has them, are "
              "accepted: each start gets a fresh overlay in any case."},
    {CONTAINER, SCALAR, C(container_name), "ContainerName", &value_string, .check = check_object_name,
        .default_shown = "systemd-%N, for instances systemd-%p_%i",
        DOC = "The container's name in journal fields."},
    {CONTAINER, 0, C(exec), "Exec", &value_command_line,
        DOC = "Arguments for the entry point, or the program itself where there is none. The last assignment "
              "counts."},
    {CONTAINER, SCALAR | KEY_EMPTY_COUNTS, C(entrypoint), "Entrypoint", &value_entrypoint,
        DOC = "The program, instead of the image's. Several words are written as a JSON array; an empty "
              "value clears the image's."},
    {CONTAINER, MANY, C(environment), "Environment", &value_container_environment,
        DOC = "Variables for the container. A NAME without a value passes on the manager's."},
    {CONTAINER, MANY, C(environment_files), "EnvironmentFile", &value_environment_files,
        DOC = "Files with variables, read at each start; relative paths count from the unit file, \"-\" in "
              "front says that the file may be missing."},
    {CONTAINER, SCALAR, C(host_name), "HostName", &value_string, .check = check_host_name,
        .default_shown = "the unit's name without its type", DOC = "The host name inside."},
    {CONTAINER, SCALAR, C(user), "User", &value_user, .default_shown = "the image's, else root",
        DOC = "Name (from the container's own passwd) or number; USER:GROUP sets the group as well."},
    {CONTAINER, SCALAR, C(group), "Group", &value_string, .check = check_user_name,
        .default_shown = "the user's", DOC = "Group of the process. Needs User=."},
    {CONTAINER, MANY, C(group_add), "GroupAdd", &value_lines, .check = check_group_add,
        DOC = "Further groups, by name or number."},
    {CONTAINER, SCALAR, C(working_dir), "WorkingDir", &value_path, .default_shown = "the image's, else /",
        DOC = "Working directory inside."},
    {CONTAINER, SCALAR, C(user_namespace), "UserNS", &value_user_namespace,
        .default_shown = "auto where the machine can, else host",
        DOC = "\"auto\" gives the container a range of ids of its own (\"auto:size=N\" of that size), "
              "\"host\" the host's."},
    {CONTAINER, MANY, C(volumes), "Volume", &value_volume,
        DOC = "A host path (absolute, or starting with \".\" and counted from the unit file), a volume unit "
              "(data.volume), a volume's name, or nothing for an anonymous one. Options: ro rw exec noexec "
              "suid nosuid dev nodev bind rbind U idmap copy nocopy and propagation. Mounted nosuid and "
              "nodev unless said otherwise."},
    {CONTAINER, MANY, C(volumes), "Mount", &value_mount,
        DOC = "The same in podman's --mount syntax; types bind, volume, tmpfs, devpts, mqueue."},
    {CONTAINER, MANY, C(volumes), "Tmpfs", &value_tmpfs,
        DOC = "A file system in memory, with the options of tmpfs(5) and those of Volume=."},
    {CONTAINER, SCALAR, C(read_only), "ReadOnly", &value_boolean, .default_text = "no",
        DOC = "The root file system cannot be written to. Does not hold a container with CAP_SYS_ADMIN."},
    {CONTAINER, SCALAR, C(read_only_tmpfs), "ReadOnlyTmpfs", &value_boolean, .default_text = "yes",
        DOC = "With ReadOnly=, /run, /tmp and /var/tmp are file systems in memory."},
    {CONTAINER, SCALAR, C(shm_size), "ShmSize", &value_shm_size, .default_text = "64m",
        DOC = "Size of /dev/shm; 0 is no limit."},
    {CONTAINER, MANY, C(add_capabilities), "AddCapability", &value_capabilities,
        DOC = "Capabilities beyond the default eleven; \"all\" for all of them. SYS_ADMIN without a user "
              "namespace of its own is as good as root of the host."},
    {CONTAINER, MANY, C(drop_capabilities), "DropCapability", &value_capabilities,
        DOC = "Capabilities to take away; \"all\" for all of them. Taken away first, then AddCapability= "
              "adds."},
    {CONTAINER, SCALAR, C(no_new_privileges), "NoNewPrivileges", &value_boolean, .default_text = "no",
        DOC = "No process inside can gain privileges by execve."},
    {CONTAINER, MANY, C(mask), "Mask", &value_masks, DOC = "Paths to hide, beyond the default ones."},
    {CONTAINER, MANY, C(unmask), "Unmask", &value_masks,
        DOC = "Paths of the default list to leave visible; \"ALL\" for all of them."},
    {CONTAINER, MANY, C(sysctl), "Sysctl", &value_words, .check = check_sysctl,
        DOC = "Kernel settings name=value that belong to the container's own namespaces."},
    {CONTAINER, MANY, C(ulimits), "Ulimit", &value_ulimit,
        DOC = "Resource limits of the process; -1 is no limit."},
    {CONTAINER, SCALAR, U(resources.memory_max), "Memory", &value_memory_podman,
        DOC = "Like MemoryMax=, in podman's units (b k m g). As with podman, swap is limited to the same "
              "amount unless MemorySwapMax= says otherwise."},
    {CONTAINER, SCALAR, U(resources.tasks_max), "PidsLimit", &value_pids_limit, .default_shown = "2048",
        DOC = "Like TasksMax=; -1 is no limit."},
    {CONTAINER, MANY, C(network), "Network", &value_network, .default_shown = "private",
        DOC = "\"host\" shares the host's network, \"none\" and \"private\" have a loopback device only."},
    {CONTAINER, SCALAR, C(stop_signal), "StopSignal", &value_signal,
        .default_shown = "KillSignal=, else the image's, else SIGTERM",
        DOC = "Signal that asks the container to stop."},
    {CONTAINER, SCALAR, C(stop_timeout), "StopTimeout", &value_stop_timeout,
        .default_shown = "TimeoutStopSec= where that is set, else 10s",
        DOC = "Time between the stop signal and SIGKILL; 0 is none."},
    {CONTAINER, SCALAR, C(notify), "Notify", &value_notify, .default_text = "no",
        DOC = "The container gets a notify socket and is ready when it says READY=1; otherwise when its "
              "program runs."},
    {CONTAINER, SCALAR, C(run_init), "RunInit", &value_boolean, .default_text = "no",
        DOC = "A small init of davit's own is process 1 and reaps orphans; the program is its child."},
    {CONTAINER, SCALAR, C(timezone), "Timezone", &value_string, .check = check_time_zone,
        DOC = "Name of a time zone, or \"local\" for the host's."},
    {CONTAINER, MANY, C(devices), "AddDevice", &value_device,
        DOC = "Device nodes of the host; \"-\" in front says that it may be missing."},
    {CONTAINER, MANY, C(add_host), "AddHost", &value_add_host, DOC = "Lines for /etc/hosts: name:address."},
    {CONTAINER, MANY, C(dns), "DNS", &value_lines, .check = check_address,
        DOC = "Addresses of name servers, instead of the host's."},
    {CONTAINER, MANY, C(dns_search), "DNSSearch", &value_lines, DOC = "Search domains for resolv.conf."},
    {CONTAINER, MANY, C(dns_option), "DNSOption", &value_lines, DOC = "Options for resolv.conf."},
    {CONTAINER, MANY, C(labels), "Label", &value_pairs,
        DOC = "Labels, name=value; shown, and otherwise without effect."},
    {CONTAINER, MANY, C(annotations), "Annotation", &value_pairs,
        DOC = "Annotations, name=value; shown, and otherwise without effect."},

    /* ---- resource control, in [Container] and in [Service] ---- */
    {RESOURCE, 0, U(resources.memory_max), "MemoryMax", &value_memory_limit,
        DOC = "The most memory the unit can have. Bytes, K M G T (base 1024), a share of the machine's "
              "memory, infinity."},
    {RESOURCE, 0, U(resources.memory_high), "MemoryHigh", &value_memory_limit,
        DOC = "Above this the unit is slowed down and its memory reclaimed."},
    {RESOURCE, 0, U(resources.memory_low), "MemoryLow", &value_memory_guarantee,
        DOC = "Memory below this is reclaimed last."},
    {RESOURCE, 0, U(resources.memory_min), "MemoryMin", &value_memory_guarantee,
        DOC = "Memory below this is never reclaimed."},
    {RESOURCE, 0, U(resources.memory_swap_max), "MemorySwapMax", &value_memory_guarantee,
        .default_shown = "unlimited, or as much as Memory=", DOC = "The most swap the unit can have."},
    {RESOURCE, 0, U(resources.cpu_quota), "CPUQuota", &value_quota,
        DOC = "Share of processor time, in percent of one CPU: 200% is two CPUs."},
    {RESOURCE, 0, U(resources.cpu_quota_period), "CPUQuotaPeriodSec", &value_quota_period,
        .default_shown = "100ms", DOC = "Time over which CPUQuota= is measured: 1ms to 1s."},
    {RESOURCE, 0, U(resources.cpu_weight), "CPUWeight", &value_cpu_weight,
        .default_shown = "100 (the kernel's)",
        DOC = "Share of the processor against others when there is not enough of it."},
    {RESOURCE, 0, U(resources.allowed_cpus), "AllowedCPUs", &value_cpu_list,
        DOC = "CPUs the unit can run on."},
    {RESOURCE, 0, U(resources.allowed_memory_nodes), "AllowedMemoryNodes", &value_cpu_list,
        DOC = "NUMA nodes whose memory the unit can use."},
    {RESOURCE, 0, U(resources.tasks_max), "TasksMax", &value_tasks_max,
        .default_shown = "2048 for containers, 15% for services",
        DOC = "How many processes and threads the unit can have."},
    {RESOURCE, 0, U(resources.io_weight), "IOWeight", &value_io_weight, .default_shown = "100 (the kernel's)",
        DOC = "Share of disk time against others."},
    {RESOURCE, MANY, U(resources.io), "IOReadBandwidthMax", &value_io_read_bandwidth,
        DOC = "Device (or a file on it) and bytes a second; K M G are thousands, millions, ..."},
    {RESOURCE, MANY, U(resources.io), "IOWriteBandwidthMax", &value_io_write_bandwidth,
        DOC = "The same for writing."},
    {RESOURCE, MANY, U(resources.io), "IOReadIOPSMax", &value_io_read_iops,
        DOC = "Device and read requests a second."},
    {RESOURCE, MANY, U(resources.io), "IOWriteIOPSMax", &value_io_write_iops,
        DOC = "Device and write requests a second."},
    {RESOURCE, 0, U(resources.oom_policy), "OOMPolicy", &value_choice, .choices = oom_policies,
        .default_shown = "continue for containers, stop for services",
        DOC = "When the kernel kills one process for want of memory: stop the unit, continue, or kill all of "
              "it. The main process's death by it is result oom-kill in any case."},
    {RESOURCE, 0, U(resources.oom_score_adjust), "OOMScoreAdjust", &value_oom_score,
        DOC = "-1000 (never) to 1000 (first): whom the kernel kills when memory runs out."},
    {RESOURCE, 0, U(resources.nice), "Nice", &value_nice,
        DOC =
            "-20 (first) to 19 (last): whom the kernel prefers among processes of one control group; between "
            "units CPUWeight= decides."},
    {RESOURCE, 0, U(resources.cpu_policy), "CPUSchedulingPolicy", &value_choice, .choices = cpu_policies,
        .default_text = "other",
        DOC = "other (as davit itself), batch, idle; fifo and rr are real-time: such a process is not "
              "interrupted by others."},
    {RESOURCE, 0, U(resources.cpu_priority), "CPUSchedulingPriority", &value_cpu_priority,
        .default_shown = "1 with fifo and rr", DOC = "1 to 99, for fifo and rr."},
    {RESOURCE, 0, U(resources.io_class), "IOSchedulingClass", &value_choice, .choices = io_classes,
        .default_text = "none",
        DOC = "none (follows Nice=), realtime, best-effort or idle, for devices whose scheduler knows it."},
    {RESOURCE, 0, U(resources.io_priority), "IOSchedulingPriority", &value_io_priority, .default_shown = "4",
        DOC = "0 (first) to 7 within realtime and best-effort; the latter where IOSchedulingClass= is none."},
    {RESOURCE, 0, U(resources.device_policy), "DevicePolicy", &value_choice, .choices = device_policies,
        .default_text = "auto",
        DOC = "\"strict\": only DeviceAllow=. \"closed\": also the standard devices. \"auto\": for "
              "containers like closed, for services no restriction unless there is a DeviceAllow=."},
    {RESOURCE, MANY, U(resources.device_allow), "DeviceAllow", &value_device_allow,
        DOC = "A node below /dev or a group (char-pts, block-loop), and rights of r w m."},

    /* ---- [Service] ---- */
    {SERVICE, 0, U(service.type), "Type", &value_service_type, .choices = service_types,
        .default_shown = "notify for containers, else simple (oneshot without ExecStart=)",
        DOC = "When the unit counts as started: simple, at once; exec, when the program runs; notify, at "
              "READY=1 (a container only with Notify=yes); notify-reload, the same, and `davit reload` sends "
              "ReloadSignal= and waits for RELOADING=1 and READY=1; oneshot, when it has ended."},
    {SERVICE, 0, U(service.restart), "Restart", &value_restart, .choices = restarts, .default_text = "no",
        DOC = "Whether to start again when the main process ends: after success (exit 0, SIGHUP, SIGINT, "
              "SIGTERM, SIGPIPE, SuccessExitStatus=), failure, or always. Never after an explicit stop."},
    {SERVICE, 0, U(service.restart_way), "RestartMode", &value_choice, .choices = restart_ways,
        .default_text = "normal",
        DOC = "normal: units that are BindsTo= this one are stopped, and started again with it, when it is "
              "restarted by itself. direct: "
              "they do not notice, unless it does not come back."},
    {SERVICE, 0, U(service.restart_sec), "RestartSec", &value_time, .default_text = "100ms",
        DOC = "Time before a restart."},
    {SERVICE, 0, U(service.restart_steps), "RestartSteps", &value_unsigned, .default_text = "0",
        DOC = "In how many steps the time before a restart grows from RestartSec= to RestartMaxDelaySec=."},
    {SERVICE, 0, U(service.restart_max_delay), "RestartMaxDelaySec", &value_time, .default_text = "infinity",
        DOC = "The longest time before a restart. Works together with RestartSteps= only."},
    {SERVICE, 0, U(service.restart_reset_sec), "RestartResetSec", &value_time, .default_text = "10s",
        DOC = "davit's own. After running this long the growing of restart delays starts anew; infinity: "
              "never."},
    {SERVICE, 0, U(service.restart_jitter), "RestartRandomizedDelaySec", &value_time, .default_text = "0",
        DOC = "A random time up to this is added before each restart."},
    {SERVICE, MANY, U(service.restart_prevent), "RestartPreventExitStatus", &value_exit_set,
        DOC = "Exit statuses and signals of the main process after which there is no restart."},
    {SERVICE, MANY, U(service.restart_force), "RestartForceExitStatus", &value_exit_set,
        DOC = "Exit statuses and signals after which there is one whatever Restart= says."},
    {SERVICE, MANY, U(service.success), "SuccessExitStatus", &value_exit_set,
        DOC = "Exit statuses and signals that count as success as well."},
    {SERVICE, KEY_ZERO_IS_INFINITY, U(service.timeout_start), "TimeoutStartSec", &value_time,
        .default_shown = "90s, oneshot: infinity",
        DOC = "Time to get ready. Preparing (image, volumes, network) is not part of it. 0 is infinity."},
    {SERVICE, KEY_ZERO_IS_INFINITY, U(service.timeout_stop), "TimeoutStopSec", &value_time,
        .default_text = "90s",
        DOC = "Time to stop after being asked, then SIGKILL; also for each ExecStop=. 0 is infinity."},
    {SERVICE, KEY_ZERO_IS_INFINITY | KEY_SHOWN_ELSEWHERE, U(service.timeout_start), "TimeoutSec",
        &value_timeout_both, DOC = "Sets TimeoutStartSec= and TimeoutStopSec=."},
    {SERVICE, 0, U(service.timeout_prepare), "TimeoutPrepareSec", &value_time, .default_text = "15min",
        DOC = "davit's own. Time for preparing the image, volumes and network."},
    {SERVICE, KEY_ZERO_IS_INFINITY, U(service.runtime_max), "RuntimeMaxSec", &value_time,
        .default_text = "infinity",
        DOC = "The longest a unit may run; then it is stopped, with result timeout."},
    {SERVICE, 0, U(service.watchdog), "WatchdogSec", &value_time, .default_text = "0",
        DOC = "The main process must send WATCHDOG=1 at least this often; 0 is off."},
    {SERVICE, 0, U(service.notify_access), "NotifyAccess", &value_choice, .choices = notify_accesses,
        .default_shown =
            "all for containers with Notify=yes; main with Type=notify or WatchdogSec=; else none",
        DOC = "Whose messages on the notify socket count."},
    {SERVICE, 0, U(service.kill_mode), "KillMode", &value_choice, .choices = kill_modes,
        .default_shown = "mixed for containers, control-group for services",
        DOC = "Whom a stop signals: every process (control-group), the main one and then SIGKILL to all the "
              "rest (mixed), only the main one (process), nobody (none)."},
    {SERVICE, 0, U(service.kill_signal), "KillSignal", &value_signal, .default_text = "SIGTERM",
        DOC = "The signal that asks to stop."},
    {SERVICE, 0, U(service.restart_kill_signal), "RestartKillSignal", &value_signal,
        .default_shown = "KillSignal=", DOC = "The same where the stop is part of a restart."},
    {SERVICE, 0, U(service.send_sighup), "SendSIGHUP", &value_boolean, .default_text = "no",
        DOC = "SIGHUP follows at once, for shells and what knows no other way to be told."},
    {SERVICE, 0, U(service.final_kill_signal), "FinalKillSignal", &value_signal, .default_text = "SIGKILL",
        DOC = "The signal for what is left when the time to stop is over."},
    {SERVICE, 0, U(service.watchdog_signal), "WatchdogSignal", &value_signal, .default_text = "SIGABRT",
        DOC = "The signal when the time of WatchdogSec= is over."},
    {SERVICE, KEY_ZERO_IS_INFINITY, U(service.timeout_abort), "TimeoutAbortSec", &value_time,
        .default_shown = "TimeoutStopSec=", DOC = "Time to end after WatchdogSignal=, then SIGKILL."},
    {CONTAINER, 0, C(reload_cmd), "ReloadCmd", &value_command_line,
        DOC =
            "What `davit reload` runs in the container, as its user, after ExecReload=. The last assignment "
            "counts."},
    {CONTAINER, 0, U(service.reload_signal), "ReloadSignal", &value_signal,
        DOC = "The signal that `davit reload` sends to the container's first process; not together with "
              "ReloadCmd=."},
    {SERVICE, 0, U(service.reload_signal), "ReloadSignal", &value_signal, .default_shown = "SIGHUP",
        DOC = "What `davit reload` sends to a program of Type=notify-reload."},
    {SERVICE, MANY, U(service.start), "ExecStart", &value_commands,
        DOC = "The program of a .service. Several only with Type=oneshot."},
    {SERVICE, MANY, U(service.exec_condition), "ExecCondition", &value_commands,
        DOC = "Commands on the host before ExecStartPre=. Where one exits with 1 to 254 the start is "
              "skipped, which is "
              "not a failure."},
    {SERVICE, MANY, U(service.start_pre), "ExecStartPre", &value_commands,
        DOC = "Commands on the host before the start; a failure ends it, unless \"-\" is in front."},
    {SERVICE, MANY, U(service.start_post), "ExecStartPost", &value_commands,
        DOC = "Commands on the host once the unit is started."},
    {SERVICE, MANY, U(service.stop), "ExecStop", &value_commands,
        DOC = "Commands on the host that ask the unit to stop, before the signal."},
    {SERVICE, MANY, U(service.stop_post), "ExecStopPost", &value_commands,
        DOC = "Commands on the host after the unit has stopped or failed to start, with $SERVICE_RESULT, "
              "$EXIT_CODE and $EXIT_STATUS."},
    {SERVICE, MANY, U(service.reload), "ExecReload", &value_commands,
        DOC = "Commands on the host for `davit reload`, with $MAINPID."},
    {SERVICE, 0, U(service.remain_after_exit), "RemainAfterExit", &value_boolean, .default_text = "no",
        DOC = "The unit stays active after its process has ended with success."},
    {SERVICE, MANY, U(service.pass_environment), "PassEnvironment", &value_words, .check = check_variable,
        DOC = "Names of variables that are taken over from davit's own environment, where they are set; "
              "Environment= and EnvironmentFile= win over them."},
    {SERVICE, MANY, U(service.environment), "Environment", &value_environment,
        DOC = "Variables for host commands, and for ${NAME} in command lines."},
    {SERVICE, MANY, U(service.environment_files), "EnvironmentFile", &value_environment_file,
        DOC = "A file with variables, read at each start; \"-\" in front says that it may be missing."},
    {SERVICE, 0, U(service.user), "User", &value_string, .check = check_user_name, .default_shown = "root",
        DOC = "User of host processes, by name or number. The container's is User= in [Container]."},
    {SERVICE, 0, U(service.group), "Group", &value_string, .check = check_user_name,
        .default_shown = "the user's", DOC = "Group of host processes."},
    {SERVICE, 0, U(service.working_directory), "WorkingDirectory", &value_string,
        .check = check_working_directory, .default_shown = "/", DOC = "Working directory of host processes."},

    /* ---- [Volume] ---- */
    {VOLUME, SCALAR, V(volume_name), "VolumeName", &value_string, .check = check_object_name,
        .default_shown = "systemd-%N, for instances systemd-%p_%i",
        DOC = "The volume's name in the volume directory."},
    {VOLUME, SCALAR, V(type), "Type", &value_string,
        DOC = "File system type to mount (ext4, ...), bind, or tmpfs. Needs Device=."},
    {VOLUME, SCALAR, V(device), "Device", &value_string,
        DOC = "What to mount instead of a plain directory: a block device or an image file; with bind a "
              "directory."},
    {VOLUME, SCALAR, V(options), "Options", &value_string, DOC = "Mount options. Needs Device=."},
    {VOLUME, SCALAR, V(user), "User", &value_string, .check = check_user_name,
        DOC = "Owner of the root of what Device= names: a number, or a user of the host."},
    {VOLUME, SCALAR, V(group), "Group", &value_string, .check = check_user_name,
        DOC = "Group of it: a number, or a group of the host."},
    {VOLUME, SCALAR, V(uid), "UID", &value_id,
        DOC = "Owner of the volume's directory, as the container sees it."},
    {VOLUME, SCALAR, V(gid), "GID", &value_id,
        DOC = "Group of the volume's directory, as the container sees it."},
    {VOLUME, SCALAR, V(copy), "Copy", &value_boolean, .default_text = "yes",
        DOC = "An empty volume is filled with what the image has at its place, at first use."},
    {VOLUME, MANY, V(labels), "Label", &value_pairs, DOC = "Labels, name=value."},

    /* ---- [Image] ---- */
    {IMAGE, SCALAR, I(image), "Image", &value_string, .check = check_image_source,
        DOC = "The image to fetch: [REGISTRY/]NAME[:TAG][@DIGEST]. Needed."},
    {IMAGE, SCALAR, I(image_tag), "ImageTag", &value_string, .check = check_image,
        DOC = "What containers with Image=NAME.image run, where that is called otherwise than Image=."},
    {IMAGE, SCALAR, I(all_tags), "AllTags", &value_boolean, .default_text = "no",
        DOC = "All tags of the repository are fetched."},
    {IMAGE, SCALAR, I(arch), "Arch", &value_string, .default_shown = "this machine's",
        DOC = "Architecture to choose where there are several: amd64, arm64, arm, ..."},
    {IMAGE, SCALAR, I(os), "OS", &value_string, .default_shown = "linux",
        DOC = "Operating system to choose where there are several."},
    {IMAGE, SCALAR, I(variant), "Variant", &value_string, .default_shown = "this machine's",
        DOC = "Variant of the architecture to choose: v7, v8, ..."},
    {IMAGE, SCALAR, I(auth_file), "AuthFile", &value_path,
        DOC = "File with credentials, instead of the usual ones (davit-image(1))."},
    {IMAGE, SCALAR, I(creds), "Creds", &value_string, .check = check_credentials,
        DOC = "Credentials, USER:PASSWORD. Who can read the unit file can read them: AuthFile= is better."},
    {IMAGE, SCALAR, I(cert_dir), "CertDir", &value_path,
        DOC = "Directory with further authorities (*.crt) and a certificate of our own (*.cert, *.key)."},
    {IMAGE, SCALAR, I(tls_verify), "TLSVerify", &value_boolean, .default_text = "yes",
        DOC =
            "no: the registry's certificate is not looked at, and plain HTTP is used where there is no TLS."},
    {IMAGE, SCALAR, I(pull.policy), "Policy", &value_choice, .choices = pull_policies,
        .default_text = "always",
        DOC = "When it is fetched, as Pull= in [Container]. The default is podman's; \"missing\" needs no "
              "network once the image is here."},
    {IMAGE, SCALAR, I(pull.retry), "Retry", &value_unsigned, .default_text = "3",
        DOC = "As Retry= in [Container]."},
    {IMAGE, SCALAR, I(pull.retry_delay), "RetryDelay", &value_time,
        .default_shown = "1s, then twice as long each time", DOC = "As RetryDelay= in [Container]."},

    /* ---- [Install] ---- */
    {INSTALL, MANY, U(install.wanted_by), "WantedBy", &value_words, .check = check_install_name,
        DOC = "Units that Wants= this one once it is enabled."},
    {INSTALL, MANY, U(install.required_by), "RequiredBy", &value_words, .check = check_install_name,
        DOC = "Units that Requires= this one once it is enabled."},
    {INSTALL, MANY, U(install.upheld_by), "UpheldBy", &value_words, .check = check_install_name,
        DOC = "Units that Upholds= this one once it is enabled."},
    {INSTALL, MANY, U(install.alias), "Alias", &value_words, .check = check_install_name,
        DOC = "Further names for the unit once it is enabled."},
    {INSTALL, MANY, U(install.also), "Also", &value_words, .check = check_install_name,
        DOC = "Units that are enabled and disabled together with this one."},
    {INSTALL, 0, U(install.default_instance), "DefaultInstance", &value_string, .check = check_instance,
        DOC = "Which instance of a template is meant where none is named."},
};
const size_t n_keys = ARRAY_SIZE(keys);
_Static_assert(ARRAY_SIZE(keys) <= KEYS_MAX, "more keys than struct load has room for");

static const char *const section_names[_SECTION_COUNT] = {
    "Unit", "Container", "Service", "Volume", "Install", "Image"};

const char *section_name(enum key_section s) {
    for (size_t i = 0; i < _SECTION_COUNT; i++)
        if (s == 1u << i)
            return section_names[i];
    return NULL;
}

enum key_section section_from_name(const char *name) {
    for (size_t i = 0; i < _SECTION_COUNT; i++)
        if (streq(name, section_names[i]))
            return 1u << i;
    return 0;
}
