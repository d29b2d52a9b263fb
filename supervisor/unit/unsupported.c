/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keys that Quadlet or systemd know and davit does not honour yet. Each is classified by what happens to a
 * user who does not notice: where the unit merely lacks something it is a warning; where security, data or
 * "whether to run at all" is at stake, the unit refuses to start. Nothing is ignored silently but what has no
 * effect with davit anyway.
 */
#include <fnmatch.h>

#include "unit/key.h"

enum consequence {
    SILENT,          /* nothing to do or to lose */
    IGNORED,         /* warning */
    REFUSED,         /* error */
    REFUSED_ON_HOST, /* [Service]: error in a .service, where it guards the program; in a .container it would
                        guard podman */
};

static const struct {
    enum key_section section;
    const char *pattern; /* fnmatch(3) */
    enum consequence consequence;
    const char *hint;
} unsupported[] = {
    /* ---- [Unit] ---- */
    {SECTION_UNIT, "Condition*", REFUSED, "only ConditionPathExists= is checked so far"},
    {SECTION_UNIT, "Assert*", REFUSED, "only ConditionPathExists= is checked so far"},
    {SECTION_UNIT, "RequiresMountsFor", IGNORED, "what /etc/fstab mounts is there before davit starts"},
    {SECTION_UNIT, "WantsMountsFor", IGNORED, "what /etc/fstab mounts is there before davit starts"},
    {SECTION_UNIT, "Upholds", IGNORED, "Restart= in the other unit keeps it running"},
    {SECTION_UNIT, "PropagatesReloadTo", IGNORED, NULL},
    {SECTION_UNIT, "ReloadPropagatedFrom", IGNORED, NULL},
    {SECTION_UNIT, "PropagatesStopTo", IGNORED, "PartOf= in the other unit does it"},
    {SECTION_UNIT, "StopPropagatedFrom", IGNORED, "PartOf= does it"},
    {SECTION_UNIT, "JoinsNamespaceOf", REFUSED, NULL},
    {SECTION_UNIT, "OnFailureJobMode", IGNORED, NULL},
    {SECTION_UNIT, "OnSuccessJobMode", IGNORED, NULL},
    {SECTION_UNIT, "IgnoreOnIsolate", IGNORED, NULL},
    {SECTION_UNIT, "StopWhenUnneeded", IGNORED, NULL},
    {SECTION_UNIT, "RefuseManual*", IGNORED, NULL},
    {SECTION_UNIT, "AllowIsolate", SILENT, NULL},
    {SECTION_UNIT, "CollectMode", SILENT, NULL},
    {SECTION_UNIT, "SourcePath", SILENT, NULL},
    {SECTION_UNIT, "Job*", IGNORED, "TimeoutStartSec= in [Service] bounds a start"},
    {SECTION_UNIT, "*Action", IGNORED, "OnFailure= can start a unit that does it"},
    {SECTION_UNIT, "*ActionExitStatus", IGNORED, NULL},
    {SECTION_UNIT, "RebootArgument", IGNORED, NULL},
    {SECTION_UNIT, "SurviveFinalKillSignal", IGNORED, NULL},

    /* ---- [Container] ---- */
    {SECTION_CONTAINER, "Secret", REFUSED, "mount a file read-only with Volume= until secrets are supported"},
    {SECTION_CONTAINER, "PublishPort", REFUSED,
        "Network=host shares the host's ports until networks are supported"},
    {SECTION_CONTAINER, "ExposeHostPort", IGNORED, NULL},
    {SECTION_CONTAINER, "SeccompProfile", REFUSED, NULL},
    {SECTION_CONTAINER, "AppArmor", REFUSED, NULL},
    {SECTION_CONTAINER, "SecurityLabelDisable", SILENT, NULL},
    {SECTION_CONTAINER, "SecurityLabelNested", SILENT, NULL},
    {SECTION_CONTAINER, "SecurityLabel*", REFUSED, "davit sets no SELinux labels"},
    {SECTION_CONTAINER, "UIDMap", REFUSED, "UserNS=auto chooses a range"},
    {SECTION_CONTAINER, "GIDMap", REFUSED, "UserNS=auto chooses a range"},
    {SECTION_CONTAINER, "SubUIDMap", REFUSED, "UserNS=auto chooses a range"},
    {SECTION_CONTAINER, "SubGIDMap", REFUSED, "UserNS=auto chooses a range"},
    {SECTION_CONTAINER, "Remap*", REFUSED, "UserNS=auto chooses a range"},
    {SECTION_CONTAINER, "Pod", REFUSED, "pods are not supported yet"},
    {SECTION_CONTAINER, "StartWithPod", IGNORED, NULL},
    {SECTION_CONTAINER, "PodmanArgs", REFUSED,
        "davit does not run podman: write the key that stands for the option"},
    {SECTION_CONTAINER, "GlobalArgs", IGNORED, "davit does not run podman"},
    {SECTION_CONTAINER, "ContainersConfModule", IGNORED, "davit does not run podman"},
    {SECTION_CONTAINER, "EnvironmentHost", IGNORED, "name the variables: Environment=NAME passes one on"},
    {SECTION_CONTAINER, "HttpProxy", IGNORED, "name the variables: Environment=http_proxy passes one on"},
    {SECTION_CONTAINER, "NetworkAlias", IGNORED, NULL},
    {SECTION_CONTAINER, "IP", IGNORED, NULL},
    {SECTION_CONTAINER, "IP6", IGNORED, NULL},
    {SECTION_CONTAINER, "Health*", IGNORED,
        "WatchdogSec= in [Service] with Notify=yes restarts a program that hangs"},
    {SECTION_CONTAINER, "AutoUpdate", IGNORED, NULL},
    {SECTION_CONTAINER, "Pull", IGNORED, "images are not pulled yet"},
    {SECTION_CONTAINER, "Retry", IGNORED, "images are not pulled yet"},
    {SECTION_CONTAINER, "RetryDelay", IGNORED, "images are not pulled yet"},
    {SECTION_CONTAINER, "LogDriver", IGNORED, "davit.conf chooses where logs go"},
    {SECTION_CONTAINER, "LogOpt", IGNORED, "davit.conf chooses where logs go"},
    {SECTION_CONTAINER, "ServiceName", IGNORED, "the unit is called after its file"},
    {SECTION_CONTAINER, "CgroupsMode", IGNORED, "every container has a control group of its own"},
    {SECTION_CONTAINER, "ReloadCmd", IGNORED, "ExecReload= in [Service] runs a command on the host"},
    {SECTION_CONTAINER, "ReloadSignal", IGNORED, "ExecReload=/bin/kill -HUP $MAINPID in [Service]"},
    {SECTION_CONTAINER, "VolatileTmp", IGNORED, "write Tmpfs=/tmp"},
    {SECTION_CONTAINER, "CPUShares", IGNORED, "write CPUWeight=: 100 stands for 1024 shares"},
    {SECTION_CONTAINER, "*Accounting", SILENT, NULL},

    /* ---- [Service]: resource control ---- */
    {SECTION_SERVICE, "*Accounting", SILENT, NULL},
    {SECTION_SERVICE, "Startup*", IGNORED, NULL},
    {SECTION_SERVICE, "CPUShares", IGNORED, "write CPUWeight=: 100 stands for 1024 shares"},
    {SECTION_SERVICE, "MemoryLimit", REFUSED, "the old name of MemoryMax="},
    {SECTION_SERVICE, "MemoryZSwap*", IGNORED, NULL},
    {SECTION_SERVICE, "DefaultMemory*", IGNORED, NULL},
    {SECTION_SERVICE, "ManagedOOM*", IGNORED, "MemoryMax= and OOMPolicy= hold"},
    {SECTION_SERVICE, "MemoryPressure*", IGNORED, NULL},
    {SECTION_SERVICE, "IODevice*", IGNORED, "IOWeight= holds for all devices"},
    {SECTION_SERVICE, "BlockIO*", IGNORED, "the old names of IOWeight= and its kin"},
    {SECTION_SERVICE, "IPAddress*", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "IP*FilterPath", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "SocketBind*", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "BPFProgram", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "Slice", IGNORED, "limits go into the unit itself"},
    {SECTION_SERVICE, "Delegate", IGNORED, NULL},
    {SECTION_SERVICE, "DelegateSubgroup", IGNORED, NULL},

    /* ---- [Service]: start and stop ---- */
    {SECTION_SERVICE, "ExecCondition", REFUSED, "ConditionPathExists= in [Unit], or ExecStartPre="},
    {SECTION_SERVICE, "RestartMode", IGNORED, NULL},
    {SECTION_SERVICE, "*Action", IGNORED, "OnFailure= in [Unit] can start a unit that does it"},
    {SECTION_SERVICE, "RebootArgument", IGNORED, NULL},
    {SECTION_SERVICE, "TimeoutAbortSec", IGNORED, "TimeoutStopSec= holds"},
    {SECTION_SERVICE, "Timeout*FailureMode", IGNORED, NULL},
    {SECTION_SERVICE, "RuntimeRandomizedExtraSec", IGNORED, NULL},
    {SECTION_SERVICE, "*KillSignal", IGNORED, "KillSignal= holds; the last one is always SIGKILL"},
    {SECTION_SERVICE, "SendSIG*", IGNORED, NULL},
    {SECTION_SERVICE, "WatchdogSignal", IGNORED, "it is SIGABRT"},
    {SECTION_SERVICE, "ReloadSignal", IGNORED, "ExecReload=/bin/kill -HUP $MAINPID"},
    {SECTION_SERVICE, "ExitType", IGNORED, "the main process decides"},
    {SECTION_SERVICE, "PIDFile", IGNORED, "davit starts the main process itself and knows it"},
    {SECTION_SERVICE, "GuessMainPID", SILENT, NULL},
    {SECTION_SERVICE, "BusName", IGNORED, NULL},
    {SECTION_SERVICE, "NonBlocking", IGNORED, NULL},
    {SECTION_SERVICE, "FileDescriptorStore*", IGNORED, NULL},
    {SECTION_SERVICE, "Sockets", IGNORED, NULL},
    {SECTION_SERVICE, "OpenFile", IGNORED, NULL},
    {SECTION_SERVICE, "USBFunction*", IGNORED, NULL},

    /* ---- [Service]: the program's surroundings ---- */
    {SECTION_SERVICE, "Standard*", IGNORED, "output goes to the log; see `davit logs`"},
    {SECTION_SERVICE, "Syslog*", IGNORED, NULL},
    {SECTION_SERVICE, "Log[A-Z]*", IGNORED, "davit.conf has the settings for logs"},
    {SECTION_SERVICE, "TTY*", IGNORED, NULL},
    {SECTION_SERVICE, "Nice", IGNORED, "write CPUWeight="},
    {SECTION_SERVICE, "CPUScheduling*", IGNORED, "write CPUWeight="},
    {SECTION_SERVICE, "CPUAffinity", IGNORED, "write AllowedCPUs="},
    {SECTION_SERVICE, "NUMA*", IGNORED, "write AllowedMemoryNodes="},
    {SECTION_SERVICE, "IOScheduling*", IGNORED, "write IOWeight="},
    {SECTION_SERVICE, "TimerSlackNSec", IGNORED, NULL},
    {SECTION_SERVICE, "Limit[A-Z]*", IGNORED, "for a container, write Ulimit= in [Container]"},
    {SECTION_SERVICE, "UMask", REFUSED_ON_HOST, "it is 0022"},
    {SECTION_SERVICE, "CoredumpFilter", IGNORED, NULL},
    {SECTION_SERVICE, "KeyringMode", IGNORED, NULL},
    {SECTION_SERVICE, "IgnoreSIGPIPE", IGNORED, NULL},
    {SECTION_SERVICE, "PAMName", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "PassEnvironment", IGNORED, NULL},
    {SECTION_SERVICE, "UnsetEnvironment", IGNORED, NULL},
    {SECTION_SERVICE, "Personality", IGNORED, NULL},
    {SECTION_SERVICE, "UtmpIdentifier", IGNORED, NULL},
    {SECTION_SERVICE, "UtmpMode", IGNORED, NULL},

    /* ---- [Service]: what guards the host from the program, or the program's data ---- */
    {SECTION_SERVICE, "DynamicUser", REFUSED_ON_HOST,
        "a container has ids of its own: UserNS=auto in [Container]"},
    {SECTION_SERVICE, "SupplementaryGroups", REFUSED_ON_HOST, "GroupAdd= in [Container]"},
    {SECTION_SERVICE, "Root*", REFUSED_ON_HOST, "Rootfs= in the [Container] section of a .container"},
    {SECTION_SERVICE, "MountAPIVFS", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "Protect*", REFUSED_ON_HOST, "a .container keeps its program away from the host"},
    {SECTION_SERVICE, "ProcSubset", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "Private*", REFUSED_ON_HOST, "a .container has namespaces of its own"},
    {SECTION_SERVICE, "Restrict*", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "*Paths", REFUSED_ON_HOST, "a .container sees only its Volume="},
    {SECTION_SERVICE, "TemporaryFileSystem", REFUSED_ON_HOST, "Tmpfs= in [Container]"},
    {SECTION_SERVICE, "Mount*", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "Extension*", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "NetworkNamespacePath", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "IPCNamespacePath", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "CapabilityBoundingSet", REFUSED_ON_HOST, "DropCapability= in [Container]"},
    {SECTION_SERVICE, "AmbientCapabilities", REFUSED_ON_HOST, "AddCapability= in [Container]"},
    {SECTION_SERVICE, "NoNewPrivileges", REFUSED_ON_HOST, "NoNewPrivileges= in [Container]"},
    {SECTION_SERVICE, "SecureBits", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "SystemCall*", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "LockPersonality", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "MemoryDenyWriteExecute", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "RemoveIPC", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "SELinuxContext", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "AppArmorProfile", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "SmackProcessLabel", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "*Credential*", REFUSED, "credentials are not supported yet"},
    {SECTION_SERVICE, "*Directory", REFUSED_ON_HOST,
        "make the directory with ExecStartPre=, or use a volume"},
    {SECTION_SERVICE, "*DirectoryMode", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "RuntimeDirectoryPreserve", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "Bind*", REFUSED_ON_HOST, NULL},
    {SECTION_SERVICE, "ReadOnlyDirectories", REFUSED_ON_HOST, NULL},

    /* ---- [Volume] ---- */
    {SECTION_VOLUME, "Driver", REFUSED, "Driver=local needs no mention; others are not supported"},
    {SECTION_VOLUME, "Image", REFUSED, "volumes with an image in them are not supported yet"},
    {SECTION_VOLUME, "ServiceName", IGNORED, "the unit is called after its file"},
    {SECTION_VOLUME, "PodmanArgs", REFUSED, "davit does not run podman"},
    {SECTION_VOLUME, "GlobalArgs", IGNORED, "davit does not run podman"},
    {SECTION_VOLUME, "ContainersConfModule", IGNORED, "davit does not run podman"},

    /* ---- [Install] ---- */
    {SECTION_INSTALL, "Also", IGNORED, "enable each unit by itself"},
    {SECTION_INSTALL, "UpheldBy", IGNORED, "WantedBy=, with Restart= in [Service]"},
};

int key_unsupported(struct load *l, const char *file, unsigned line, enum key_section section,
    const char *name, const char *value) {
    for (size_t i = 0; i < ARRAY_SIZE(unsupported); i++) {
        if (unsupported[i].section != section || fnmatch(unsupported[i].pattern, name, 0) != 0)
            continue;
        enum consequence c = unsupported[i].consequence;
        if (c == REFUSED_ON_HOST)
            c = l->u->type == UNIT_SERVICE ? REFUSED : IGNORED;
        /* an empty assignment only takes back an earlier one; "Driver=local" is what there is */
        if (c == SILENT || !*value || (streq(name, "Driver") && streq(value, "local")))
            return 1;
        int r = load_problem(l, c == REFUSED ? PROBLEM_ERROR : PROBLEM_WARNING, file, line,
            section_name(section), name, unsupported[i].hint,
            c == REFUSED ? "not supported yet, and not safe to ignore: the unit does not start"
                         : "not supported yet, ignored");
        return r < 0 ? r : 1;
    }
    return 0;
}
