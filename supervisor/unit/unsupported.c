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
    enum consequence consequence;
    const char *pattern; /* fnmatch(3) */
    const char *hint;
} unsupported[] = {
    /* ---- [Unit] ---- */
    {SECTION_UNIT, REFUSED, "Condition*", "ConditionPathExists= and its kin are checked: davit-units(5)"},
    {SECTION_UNIT, REFUSED, "Assert*", "AssertPathExists= and its kin are checked: davit-units(5)"},
    {SECTION_UNIT, IGNORED, "RequiresMountsFor", "what /etc/fstab mounts is there before davit starts"},
    {SECTION_UNIT, IGNORED, "WantsMountsFor", "what /etc/fstab mounts is there before davit starts"},
    {SECTION_UNIT, REFUSED, "JoinsNamespaceOf", NULL},
    {SECTION_UNIT, IGNORED, "OnFailureJobMode", NULL},
    {SECTION_UNIT, IGNORED, "OnSuccessJobMode", NULL},
    {SECTION_UNIT, IGNORED, "IgnoreOnIsolate", NULL},
    {SECTION_UNIT, SILENT, "AllowIsolate", NULL},
    {SECTION_UNIT, SILENT, "CollectMode", NULL},
    {SECTION_UNIT, SILENT, "SourcePath", NULL},
    {SECTION_UNIT, IGNORED, "SurviveFinalKillSignal", NULL},

    /* ---- [Container] ---- */
    {SECTION_CONTAINER, REFUSED, "Secret", "mount a file read-only with Volume= until secrets are supported"},
    {SECTION_CONTAINER, REFUSED, "PublishPort",
        "Network=host shares the host's ports until networks are supported"},
    {SECTION_CONTAINER, IGNORED, "ExposeHostPort", NULL},
    {SECTION_CONTAINER, REFUSED, "SeccompProfile", NULL},
    {SECTION_CONTAINER, REFUSED, "AppArmor", NULL},
    {SECTION_CONTAINER, SILENT, "SecurityLabelDisable", NULL},
    {SECTION_CONTAINER, SILENT, "SecurityLabelNested", NULL},
    {SECTION_CONTAINER, REFUSED, "SecurityLabel*", "davit sets no SELinux labels"},
    {SECTION_CONTAINER, REFUSED, "UIDMap", "UserNS=auto chooses a range"},
    {SECTION_CONTAINER, REFUSED, "GIDMap", "UserNS=auto chooses a range"},
    {SECTION_CONTAINER, REFUSED, "SubUIDMap", "UserNS=auto chooses a range"},
    {SECTION_CONTAINER, REFUSED, "SubGIDMap", "UserNS=auto chooses a range"},
    {SECTION_CONTAINER, REFUSED, "Remap*", "UserNS=auto chooses a range"},
    {SECTION_CONTAINER, REFUSED, "Pod", "pods are not supported yet"},
    {SECTION_CONTAINER, IGNORED, "StartWithPod", NULL},
    {SECTION_CONTAINER, REFUSED, "PodmanArgs",
        "davit does not run podman: write the key that stands for the option"},
    {SECTION_CONTAINER, IGNORED, "GlobalArgs", "davit does not run podman"},
    {SECTION_CONTAINER, IGNORED, "ContainersConfModule", "davit does not run podman"},
    {SECTION_CONTAINER, IGNORED, "EnvironmentHost", "name the variables: Environment=NAME passes one on"},
    {SECTION_CONTAINER, IGNORED, "HttpProxy", "name the variables: Environment=http_proxy passes one on"},
    {SECTION_CONTAINER, IGNORED, "NetworkAlias", NULL},
    {SECTION_CONTAINER, IGNORED, "IP", NULL},
    {SECTION_CONTAINER, IGNORED, "IP6", NULL},
    {SECTION_CONTAINER, IGNORED, "Health*",
        "WatchdogSec= in [Service] with Notify=yes restarts a program that hangs"},
    {SECTION_CONTAINER, IGNORED, "AutoUpdate", NULL},
    {SECTION_CONTAINER, IGNORED, "LogDriver", "davit.conf chooses where logs go"},
    {SECTION_CONTAINER, IGNORED, "LogOpt", "davit.conf chooses where logs go"},
    {SECTION_CONTAINER, IGNORED, "ServiceName", "the unit is called after its file"},
    {SECTION_CONTAINER, IGNORED, "CgroupsMode", "every container has a control group of its own"},
    {SECTION_CONTAINER, IGNORED, "VolatileTmp", "write Tmpfs=/tmp"},
    {SECTION_CONTAINER, IGNORED, "CPUShares", "write CPUWeight=: 100 stands for 1024 shares"},
    {SECTION_CONTAINER, SILENT, "*Accounting", NULL},

    /* ---- [Service]: resource control ---- */
    {SECTION_SERVICE, SILENT, "*Accounting", NULL},
    {SECTION_SERVICE, IGNORED, "Startup*", NULL},
    {SECTION_SERVICE, IGNORED, "CPUShares", "write CPUWeight=: 100 stands for 1024 shares"},
    {SECTION_SERVICE, REFUSED, "MemoryLimit", "the old name of MemoryMax="},
    {SECTION_SERVICE, IGNORED, "MemoryZSwap*", NULL},
    {SECTION_SERVICE, IGNORED, "DefaultMemory*", NULL},
    {SECTION_SERVICE, IGNORED, "ManagedOOM*", "MemoryMax= and OOMPolicy= hold"},
    {SECTION_SERVICE, IGNORED, "MemoryPressure*", NULL},
    {SECTION_SERVICE, IGNORED, "IODevice*", "IOWeight= holds for all devices"},
    {SECTION_SERVICE, IGNORED, "BlockIO*", "the old names of IOWeight= and its kin"},
    {SECTION_SERVICE, REFUSED_ON_HOST, "IPAddress*", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "IP*FilterPath", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "SocketBind*", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "BPFProgram", NULL},
    {SECTION_SERVICE, IGNORED, "Slice", "limits go into the unit itself"},
    {SECTION_SERVICE, IGNORED, "Delegate", NULL},
    {SECTION_SERVICE, IGNORED, "DelegateSubgroup", NULL},

    /* ---- [Service]: start and stop ---- */
    {SECTION_SERVICE, IGNORED, "Timeout*FailureMode", NULL},
    {SECTION_SERVICE, IGNORED, "RuntimeRandomizedExtraSec", NULL},
    {SECTION_SERVICE, IGNORED, "SendSIGKILL",
        "what has not ended in time is killed: the next start needs its place"},
    {SECTION_SERVICE, IGNORED, "ExitType", "the main process decides"},
    {SECTION_SERVICE, IGNORED, "PIDFile", "davit starts the main process itself and knows it"},
    {SECTION_SERVICE, SILENT, "GuessMainPID", NULL},
    {SECTION_SERVICE, IGNORED, "BusName", NULL},
    {SECTION_SERVICE, IGNORED, "NonBlocking", NULL},
    {SECTION_SERVICE, IGNORED, "FileDescriptorStore*", NULL},
    {SECTION_SERVICE, IGNORED, "Sockets", NULL},
    {SECTION_SERVICE, IGNORED, "OpenFile", NULL},
    {SECTION_SERVICE, IGNORED, "USBFunction*", NULL},

    /* ---- [Service]: the program's surroundings ---- */
    {SECTION_SERVICE, IGNORED, "Standard*", "output goes to the log; see `davit logs`"},
    {SECTION_SERVICE, IGNORED, "Syslog*", NULL},
    {SECTION_SERVICE, IGNORED, "Log[A-Z]*", "davit.conf has the settings for logs"},
    {SECTION_SERVICE, IGNORED, "TTY*", NULL},
    {SECTION_SERVICE, IGNORED, "CPUSchedulingResetOnFork", NULL},
    {SECTION_SERVICE, IGNORED, "CPUAffinity", "write AllowedCPUs="},
    {SECTION_SERVICE, IGNORED, "NUMA*", "write AllowedMemoryNodes="},
    {SECTION_SERVICE, IGNORED, "TimerSlackNSec", NULL},
    {SECTION_SERVICE, IGNORED, "Limit[A-Z]*", "for a container, write Ulimit= in [Container]"},
    {SECTION_SERVICE, REFUSED_ON_HOST, "UMask", "it is 0022"},
    {SECTION_SERVICE, IGNORED, "CoredumpFilter", NULL},
    {SECTION_SERVICE, IGNORED, "KeyringMode", NULL},
    {SECTION_SERVICE, IGNORED, "IgnoreSIGPIPE", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "PAMName", NULL},
    {SECTION_SERVICE, IGNORED, "UnsetEnvironment", NULL},
    {SECTION_SERVICE, IGNORED, "Personality", NULL},
    {SECTION_SERVICE, IGNORED, "UtmpIdentifier", NULL},
    {SECTION_SERVICE, IGNORED, "UtmpMode", NULL},

    /* ---- [Service]: what guards the host from the program, or the program's data ---- */
    {SECTION_SERVICE, REFUSED_ON_HOST, "DynamicUser",
        "a container has ids of its own: UserNS=auto in [Container]"},
    {SECTION_SERVICE, REFUSED_ON_HOST, "SupplementaryGroups", "GroupAdd= in [Container]"},
    {SECTION_SERVICE, REFUSED_ON_HOST, "Root*", "Rootfs= in the [Container] section of a .container"},
    {SECTION_SERVICE, REFUSED_ON_HOST, "MountAPIVFS", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "Protect*", "a .container keeps its program away from the host"},
    {SECTION_SERVICE, REFUSED_ON_HOST, "ProcSubset", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "Private*", "a .container has namespaces of its own"},
    {SECTION_SERVICE, REFUSED_ON_HOST, "Restrict*", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "*Paths", "a .container sees only its Volume="},
    {SECTION_SERVICE, REFUSED_ON_HOST, "TemporaryFileSystem", "Tmpfs= in [Container]"},
    {SECTION_SERVICE, REFUSED_ON_HOST, "Mount*", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "Extension*", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "NetworkNamespacePath", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "IPCNamespacePath", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "CapabilityBoundingSet", "DropCapability= in [Container]"},
    {SECTION_SERVICE, REFUSED_ON_HOST, "AmbientCapabilities", "AddCapability= in [Container]"},
    {SECTION_SERVICE, REFUSED_ON_HOST, "NoNewPrivileges", "NoNewPrivileges= in [Container]"},
    {SECTION_SERVICE, REFUSED_ON_HOST, "SecureBits", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "SystemCall*", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "LockPersonality", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "MemoryDenyWriteExecute", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "RemoveIPC", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "SELinuxContext", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "AppArmorProfile", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "SmackProcessLabel", NULL},
    {SECTION_SERVICE, REFUSED, "*Credential*", "credentials are not supported yet"},
    {SECTION_SERVICE, REFUSED_ON_HOST, "*Directory",
        "make the directory with ExecStartPre=, or use a volume"},
    {SECTION_SERVICE, REFUSED_ON_HOST, "*DirectoryMode", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "RuntimeDirectoryPreserve", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "Bind*", NULL},
    {SECTION_SERVICE, REFUSED_ON_HOST, "ReadOnlyDirectories", NULL},

    /* ---- [Volume] ---- */
    {SECTION_VOLUME, REFUSED, "Driver", "Driver=local needs no mention; others are not supported"},
    {SECTION_VOLUME, REFUSED, "Image", "volumes with an image in them are not supported yet"},
    {SECTION_VOLUME, IGNORED, "ServiceName", "the unit is called after its file"},
    {SECTION_VOLUME, REFUSED, "PodmanArgs", "davit does not run podman"},
    {SECTION_VOLUME, IGNORED, "GlobalArgs", "davit does not run podman"},
    {SECTION_VOLUME, IGNORED, "ContainersConfModule", "davit does not run podman"},

    /* ---- [Image] ---- */
    {SECTION_IMAGE, REFUSED, "DecryptionKey", "davit does not decrypt layers; push the image without"},
    {SECTION_IMAGE, IGNORED, "ServiceName", "the unit is called after its file"},
    {SECTION_IMAGE, REFUSED, "PodmanArgs",
        "davit does not run podman: write the key that stands for the option"},
    {SECTION_IMAGE, IGNORED, "GlobalArgs", "davit does not run podman"},
    {SECTION_IMAGE, IGNORED, "ContainersConfModule", "davit does not run podman"},
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
