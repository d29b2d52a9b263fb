/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every key of the table: a good value is stored and shown, defaults are right, an empty assignment resets.
 */
#include "unit-support.h"

#include <sys/resource.h>

/* What a unit of each type needs besides the line under test. */
static const char *frame(const char *section, const char **name) {
    if (streq(section, "Volume")) {
        *name = "data.volume";
        return "[Volume]\nDevice=/dev/x\n";
    }
    if (streq(section, "Image")) {
        *name = "web.image";
        return "[Image]\nImage=registry.example.com/web\n";
    }
    if (streq(section, "Service")) {
        *name = "host.service";
        return "[Service]\nExecStart=/bin/true\n";
    }
    *name = "web.container";
    return "[Container]\nRootfs=/srv/root\nUser=0\n";
}

/* Lines (in section), and how the key is shown afterwards. */
static const struct {
    const char *section, *lines, *key, *expected;
} values[] = {
    {"Unit", "Description=One  line \"quoted\"", "Description", "One  line \"quoted\""},
    {"Unit", "Documentation=man:x(1) https://x\nDocumentation=file:/x", "Documentation",
        "man:x(1)|https://x|file:/x"},
    {"Unit", "Documentation=man:x(1)\nDocumentation=", "Documentation", ""},
    {"Unit", "After=a.service b.container\nAfter=c.target", "After",
        "a.service|b.container|c.target|basic.target"},
    {"Unit", "After=x.mount", "After", "x.mount|basic.target"},
    {"Unit", "Before=a.service", "Before", "a.service|shutdown.target"},
    {"Unit", "Requires=a.service a.service", "Requires", "a.service"},
    {"Unit", "Wants=a@b.container", "Wants", "a@b.container"},
    {"Unit", "BindsTo=a.service", "BindsTo", "a.service"},
    {"Unit", "PartOf=a.service", "PartOf", "a.service"},
    {"Unit", "", "StopWhenUnneeded", "no"},
    {"Unit", "StopWhenUnneeded=yes", "StopWhenUnneeded", "yes"},
    {"Unit", "Upholds=a.service", "Upholds", "a.service"},
    {"Unit", "PropagatesStopTo=a.service", "PropagatesStopTo", "a.service"},
    {"Unit", "StopPropagatedFrom=a.service", "StopPropagatedFrom", "a.service"},
    {"Unit", "PropagatesReloadTo=a.service", "PropagatesReloadTo", "a.service"},
    {"Unit", "ReloadPropagatedFrom=a.service", "ReloadPropagatedFrom", "a.service"},
    {"Unit", "Requisite=a.service", "Requisite", "a.service"},
    {"Unit", "Conflicts=a.service", "Conflicts", "a.service|shutdown.target"},
    {"Unit", "OnFailure=a.service", "OnFailure", "a.service"},
    {"Unit", "OnSuccess=a.service", "OnSuccess", "a.service"},
    {"Unit", "", "RefuseManualStart", "no"},
    {"Unit", "RefuseManualStart=yes", "RefuseManualStart", "yes"},
    {"Unit", "", "RefuseManualStop", "no"},
    {"Unit", "RefuseManualStop=1", "RefuseManualStop", "yes"},
    {"Unit", "", "StartLimitIntervalSec", "10s"},
    {"Unit", "StartLimitIntervalSec=1min 30s", "StartLimitIntervalSec", "1min 30s"},
    {"Unit", "StartLimitInterval=20", "StartLimitIntervalSec", "20s"},
    {"Unit", "StartLimitIntervalSec=5min\nStartLimitIntervalSec=", "StartLimitIntervalSec", "10s"},
    {"Unit", "", "StartLimitBurst", "5"},
    {"Unit", "StartLimitBurst=7", "StartLimitBurst", "7"},
    {"Unit", "ConditionPathExists=/a\nConditionPathExists=|!/b\nConditionPathExists=!/c",
        "ConditionPathExists", "/a||!/b|!/c"},
    {"Unit", "ConditionPathExists=/a\nConditionPathExists=", "ConditionPathExists", ""},
    {"Unit", "ConditionPathExists=/a", "ConditionPathExists", "/a"},
    {"Unit", "ConditionPathExistsGlob=/a*", "ConditionPathExistsGlob", "/a*"},
    {"Unit", "ConditionPathIsDirectory=/a", "ConditionPathIsDirectory", "/a"},
    {"Unit", "ConditionPathIsSymbolicLink=|/a", "ConditionPathIsSymbolicLink", "|/a"},
    {"Unit", "ConditionPathIsMountPoint=/a", "ConditionPathIsMountPoint", "/a"},
    {"Unit", "ConditionPathIsReadWrite=!/a", "ConditionPathIsReadWrite", "!/a"},
    {"Unit", "ConditionDirectoryNotEmpty=/a", "ConditionDirectoryNotEmpty", "/a"},
    {"Unit", "ConditionFileNotEmpty=/a", "ConditionFileNotEmpty", "/a"},
    {"Unit", "ConditionFileIsExecutable=/a", "ConditionFileIsExecutable", "/a"},
    {"Unit", "ConditionKernelCommandLine=a=b", "ConditionKernelCommandLine", "a=b"},
    {"Unit", "ConditionKernelVersion=>=6.1", "ConditionKernelVersion", ">=6.1"},
    {"Unit", "ConditionArchitecture=x86-64", "ConditionArchitecture", "x86-64"},
    {"Unit", "ConditionHost=x", "ConditionHost", "x"},
    {"Unit", "ConditionMemory=>= 1G", "ConditionMemory", ">= 1G"},
    {"Unit", "ConditionCPUs=2", "ConditionCPUs", "2"},
    {"Unit", "ConditionEnvironment=A=b", "ConditionEnvironment", "A=b"},
    {"Unit", "AssertPathExists=/a", "AssertPathExists", "/a"},
    {"Unit", "AssertPathExistsGlob=/a*", "AssertPathExistsGlob", "/a*"},
    {"Unit", "AssertPathIsDirectory=/a", "AssertPathIsDirectory", "/a"},
    {"Unit", "AssertPathIsSymbolicLink=|/a", "AssertPathIsSymbolicLink", "|/a"},
    {"Unit", "AssertPathIsMountPoint=/a", "AssertPathIsMountPoint", "/a"},
    {"Unit", "AssertPathIsReadWrite=!/a", "AssertPathIsReadWrite", "!/a"},
    {"Unit", "AssertDirectoryNotEmpty=/a", "AssertDirectoryNotEmpty", "/a"},
    {"Unit", "AssertFileNotEmpty=/a", "AssertFileNotEmpty", "/a"},
    {"Unit", "AssertFileIsExecutable=/a", "AssertFileIsExecutable", "/a"},
    {"Unit", "AssertKernelCommandLine=a=b", "AssertKernelCommandLine", "a=b"},
    {"Unit", "AssertKernelVersion=>=6.1", "AssertKernelVersion", ">=6.1"},
    {"Unit", "AssertArchitecture=x86-64", "AssertArchitecture", "x86-64"},
    {"Unit", "AssertHost=x", "AssertHost", "x"},
    {"Unit", "AssertMemory=>= 1G", "AssertMemory", ">= 1G"},
    {"Unit", "AssertCPUs=2", "AssertCPUs", "2"},
    {"Unit", "AssertEnvironment=A=b", "AssertEnvironment", "A=b"},
    {"Unit", "ConditionPathExists=/a\nConditionHost=x", "ConditionHost", "x"},
    {"Unit", "ConditionPathExists=/a\nConditionHost=", "ConditionPathExists", ""},
    {"Unit", "ConditionHost=x\nAssertHost=", "ConditionHost", "x"},
    {"Unit", "AssertMemory=!>= 1G\nAssertCPUs=!=3", "AssertMemory", "!>= 1G"},
    {"Unit", "AssertCPUs=!=3", "AssertCPUs", "!=3"},
    {"Unit", "", "FailureAction", "none"},
    {"Unit", "FailureAction=reboot-immediate", "FailureAction", "reboot-immediate"},
    {"Unit", "FailureAction=exit\nFailureAction=", "FailureAction", "none"},
    {"Unit", "SuccessAction=exit", "SuccessAction", "exit"},
    {"Unit", "StartLimitAction=soft-reboot-force", "StartLimitAction", "soft-reboot-force"},
    {"Unit", "JobTimeoutAction=kexec", "JobTimeoutAction", "kexec"},
    {"Unit", "", "FailureActionExitStatus", ""},
    {"Unit", "FailureActionExitStatus=255", "FailureActionExitStatus", "255"},
    {"Unit", "SuccessActionExitStatus=0", "SuccessActionExitStatus", "0"},
    {"Unit", "SuccessActionExitStatus=1\nSuccessActionExitStatus=", "SuccessActionExitStatus", ""},
    {"Unit", "RebootArgument=recovery mode", "RebootArgument", "recovery mode"},
    {"Unit", "JobTimeoutRebootArgument=x", "JobTimeoutRebootArgument", "x"},
    {"Unit", "", "JobTimeoutSec", "infinity"},
    {"Unit", "JobTimeoutSec=30min", "JobTimeoutSec", "30min"},
    {"Unit", "JobRunningTimeoutSec=0", "JobRunningTimeoutSec", "infinity"},
    {"Unit", "", "DefaultDependencies", "yes"},
    {"Unit", "DefaultDependencies=no", "DefaultDependencies", "no"},
    {"Unit", "DefaultDependencies=no", "After", ""},

    {"Container", "Rootfs=\nImage=debian", "Image", "debian"},
    {"Container", "Rootfs=\nImage=\"debian\"", "Image", "debian"},
    {"Container", "Rootfs=\nImage=web.image", "Image", "web.image"},
    {"Container", "", "Pull", "missing"},
    {"Container", "Pull=never", "Pull", "never"},
    {"Container", "Retry=7", "Retry", "7"},
    {"Container", "RetryDelay=5s", "RetryDelay", "5s"},
    {"Container", "Rootfs=\nImage=/a:/b", "Image", "/a:/b"},
    {"Container", "Rootfs=/x//y/:O", "Rootfs", "/x/y"},
    {"Container", "Rootfs=/x:O:idmap", "Rootfs", "/x"},
    {"Container", "Rootfs=./x/../y", "Rootfs", "/etc/test/y"},
    {"Container", "", "ContainerName", "systemd-web"},
    {"Container", "ContainerName=a-b_c.d", "ContainerName", "a-b_c.d"},
    {"Container", "Exec=/bin/sh -c 'a  b; c' \"\" x", "Exec", "/bin/sh -c \"a  b; c\" \"\" x"},
    {"Container", "Exec=a\nExec=b c", "Exec", "b c"},
    {"Container", "Exec=a\nExec=", "Exec", ""},
    {"Container", "Entrypoint=/bin/x", "Entrypoint", "/bin/x"},
    {"Container", "Entrypoint=[\"/bin/x\", \"a b\", \"\\u0041\\n\"]", "Entrypoint",
        "/bin/x \"a b\" \"A\\n\""},
    {"Container", "Environment=A=1 \"B=x y\" C\nEnvironment=A=2", "Environment", "B=x y|C|A=2"},
    {"Container", "Environment=A=1\nEnvironment=\nEnvironment=B=2", "Environment", "B=2"},
    {"Container", "Environment=C=1 C", "Environment", "C"},
    {"Container", "Environment=C C=1", "Environment", "C=1"},
    {"Container", "Environment=app.port-x=1", "Environment", "app.port-x=1"},
    {"Container", "EnvironmentFile=/a b -./c/../d", "EnvironmentFile", "/a|/etc/test/b|-/etc/test/d"},
    {"Container", "HostName=web-1.example", "HostName", "web-1.example"},
    {"Container", "User=www-data", "User", "www-data"},
    {"Container", "User=1000:50", "Group", "50"},
    {"Container", "Group=50", "Group", "50"},
    {"Container", "GroupAdd=a\nGroupAdd=44", "GroupAdd", "a|44"},
    {"Container", "WorkingDir=/a//b/", "WorkingDir", "/a/b"},
    {"Container", "", "UserNS", ""},
    {"Container", "UserNS=auto", "UserNS", "auto:size=65536"},
    {"Container", "UserNS=auto:size=1000", "UserNS", "auto:size=1000"},
    {"Container", "UserNS=host", "UserNS", "host"},
    {"Container", "Volume=/a:/b", "Volume", "/a:/b:nosuid,nodev"},
    {"Container", "Volume=./a:/b:ro,z", "Volume", "/etc/test/a:/b:ro,nosuid,nodev"},
    {"Container", "Volume=../a:/b", "Volume", "/etc/a:/b:nosuid,nodev"},
    {"Container", "Volume=data.volume:/b:U,noexec,suid", "Volume", "data.volume:/b:noexec,nodev,U"},
    {"Container", "Volume=data:/b:rslave,bind,idmap,nocopy", "Volume",
        "data:/b:nosuid,nodev,bind,idmap,nocopy,rslave"},
    {"Container", "Volume=/dev/dri:/dev/dri", "Volume", "/dev/dri:/dev/dri:nosuid"},
    {"Container", "Volume=/b", "Volume", "/b"},
    {"Container", "Volume=/a:/b\nTmpfs=/c\nVolume=\nVolume=/d:/e", "Volume", "/d:/e:nosuid,nodev"},
    {"Container", "Volume=/a:/b\nTmpfs=/c\nVolume=", "Tmpfs", "/c:nosuid,nodev"},
    {"Container", "Tmpfs=/c:size=64m,mode=1777,noexec,ro", "Tmpfs",
        "/c:ro,noexec,nosuid,nodev,size=64m,mode=1777"},
    {"Container", "Mount=type=bind,source=/a,destination=/b,ro=true", "Mount",
        "type=bind,source=/a,destination=/b,ro,nosuid,nodev"},
    {"Container", "Mount=type=bind,src=/a,dst=/b,readonly=false,bind-propagation=rshared", "Mount",
        "type=bind,source=/a,destination=/b,nosuid,nodev,rshared"},
    {"Container", "Mount=type=volume,source=data.volume,target=/b", "Mount",
        "type=volume,source=data.volume,destination=/b,nosuid,nodev"},
    {"Container", "Mount=type=tmpfs,tmpfs-size=1m,destination=/b", "Mount",
        "type=tmpfs,destination=/b,nosuid,nodev,size=1m"},
    {"Container", "Mount=type=mqueue,destination=/q type=devpts,destination=/p", "Mount",
        "type=mqueue,destination=/q,nosuid,nodev|type=devpts,destination=/p,nosuid,nodev"},
    {"Container", "", "ReadOnly", "no"},
    {"Container", "ReadOnly=TRUE", "ReadOnly", "yes"},
    {"Container", "", "ReadOnlyTmpfs", "yes"},
    {"Container", "ReadOnlyTmpfs=off", "ReadOnlyTmpfs", "no"},
    {"Container", "", "ShmSize", "67108864"},
    {"Container", "ShmSize=1g", "ShmSize", "1073741824"},
    {"Container", "ShmSize=0", "ShmSize", "0"},
    {"Container", "AddCapability=net_admin CAP_SYS_TIME", "AddCapability", "CAP_NET_ADMIN|CAP_SYS_TIME"},
    {"Container", "AddCapability=net_admin\nAddCapability=", "AddCapability", ""},
    {"Container", "DropCapability=all", "DropCapability", "all"},
    {"Container", "", "NoNewPrivileges", "no"},
    {"Container", "NoNewPrivileges=y", "NoNewPrivileges", "yes"},
    {"Container", "Mask=/proc/a:/proc/b /sys/c", "Mask", "/proc/a|/proc/b|/sys/c"},
    {"Container", "Unmask=ALL", "Unmask", "ALL"},
    {"Container", "Sysctl=net.core.somaxconn=1024 kernel.shmmax=1", "Sysctl",
        "net.core.somaxconn=1024|kernel.shmmax=1"},
    {"Container", "Ulimit=nofile=1000:2000\nUlimit=core=-1\nUlimit=nofile=5", "Ulimit",
        "nofile=5:5|core=-1:-1"},
    {"Container", "Memory=100m", "MemoryMax", "104857600"},
    {"Container", "Memory=100m", "MemorySwapMax", "104857600"},
    {"Container", "Memory=100m\nMemorySwapMax=0", "MemorySwapMax", "0"},
    {"Container", "Memory=1024", "Memory", "1024"},
    {"Container", "Memory=2k\nMemoryMax=3K", "Memory", "3072"},
    {"Container", "Memory=0", "MemoryMax", "infinity"},
    {"Container", "", "PidsLimit", "2048"},
    {"Container", "", "TasksMax", "2048"},
    {"Container", "PidsLimit=-1", "TasksMax", "infinity"},
    {"Container", "PidsLimit=10", "PidsLimit", "10"},
    {"Container", "", "Network", "private"},
    {"Container", "Network=host", "Network", "host"},
    {"Container", "Network=none", "Network", "none"},
    {"Container", "", "StopSignal", ""},
    {"Container", "StopSignal=INT", "StopSignal", "SIGINT"},
    {"Container", "StopSignal=9", "StopSignal", "SIGKILL"},
    {"Container", "StopSignal=SIGRTMIN+3", "StopSignal", "SIGRTMIN+3"},
    {"Container", "", "StopTimeout", "10s"},
    {"Container", "StopTimeout=15", "StopTimeout", "15s"},
    {"Container", "", "Notify", "no"},
    {"Container", "Notify=true", "Notify", "yes"},
    {"Container", "RunInit=1", "RunInit", "yes"},
    {"Container", "Timezone=Europe/Berlin", "Timezone", "Europe/Berlin"},
    {"Container", "Timezone=local", "Timezone", "local"},
    {"Container", "AddDevice=/dev/fuse -/dev/kvm:/dev/k:rw", "AddDevice",
        "/dev/fuse:/dev/fuse:rwm|-/dev/kvm:/dev/k:rw"},
    {"Container", "AddHost=db:10.0.0.1\nAddHost=a;b:[::1]", "AddHost", "db:10.0.0.1|a:::1|b:::1"},
    {"Container", "DNS=9.9.9.9\nDNS=::1", "DNS", "9.9.9.9|::1"},
    {"Container", "DNSSearch=example.org", "DNSSearch", "example.org"},
    {"Container", "DNSOption=ndots:2", "DNSOption", "ndots:2"},
    {"Container", "Label=a=1 \"b=x y\"\nLabel=a=2", "Label", "b=x y|a=2"},
    {"Container", "Annotation=a=1", "Annotation", "a=1"},

    {"Container", "MemoryMax=1.5G", "MemoryMax", "1610612736"},
    {"Container", "MemoryMax=infinity", "MemoryMax", "infinity"},
    {"Container", "MemoryMax=1M\nMemoryMax=", "MemoryMax", ""},
    {"Container", "CPUQuota=150%", "CPUQuota", "150%"},
    {"Service", "MemoryHigh=10M", "MemoryHigh", "10485760"},
    {"Service", "MemoryLow=0", "MemoryLow", "0"},
    {"Service", "MemoryMin=1K", "MemoryMin", "1024"},
    {"Service", "MemorySwapMax=0", "MemorySwapMax", "0"},
    {"Service", "CPUQuota=12.5%", "CPUQuota", "12.50%"},
    {"Service", "", "CPUQuotaPeriodSec", "100ms"},
    {"Service", "CPUQuotaPeriodSec=10us", "CPUQuotaPeriodSec", "1ms"},
    {"Service", "CPUQuotaPeriodSec=2s", "CPUQuotaPeriodSec", "1s"},
    {"Service", "CPUWeight=idle", "CPUWeight", "idle"},
    {"Service", "CPUWeight=10000", "CPUWeight", "10000"},
    {"Service", "", "CPUWeight", ""},
    {"Service", "AllowedCPUs=0-3, 5 7", "AllowedCPUs", "0-3,5,7"},
    {"Service", "AllowedMemoryNodes=0", "AllowedMemoryNodes", "0"},
    {"Service", "TasksMax=100", "TasksMax", "100"},
    {"Service", "TasksMax=infinity", "TasksMax", "infinity"},
    {"Service", "IOWeight=1", "IOWeight", "1"},
    {"Service", "IOReadBandwidthMax=/dev/a 5M\nIOWriteIOPSMax=/dev/a 1K", "IOReadBandwidthMax",
        "/dev/a 5000000"},
    {"Service", "IOReadBandwidthMax=/dev/a 5M\nIOWriteIOPSMax=/dev/a 1K\nIOReadBandwidthMax=",
        "IOWriteIOPSMax", "/dev/a 1000"},
    {"Service", "IOReadBandwidthMax=/dev/a 5M\nIOReadBandwidthMax=", "IOReadBandwidthMax", ""},
    {"Service", "IOWriteBandwidthMax=/dev/a infinity", "IOWriteBandwidthMax", "/dev/a infinity"},
    {"Service", "IOReadIOPSMax=/a 1\nIOReadIOPSMax=/b 2\nIOReadIOPSMax=/a 3", "IOReadIOPSMax", "/a 3|/b 2"},
    {"Service", "", "OOMPolicy", "stop"},
    {"Container", "", "OOMPolicy", "continue"},
    {"Service", "OOMPolicy=kill", "OOMPolicy", "kill"},
    {"Service", "OOMScoreAdjust=-500", "OOMScoreAdjust", "-500"},
    {"Service", "Nice=-20", "Nice", "-20"},
    {"Container", "Nice=19", "Nice", "19"},
    {"Service", "", "Nice", ""},
    {"Service", "CPUSchedulingPolicy=idle", "CPUSchedulingPolicy", "idle"},
    {"Service", "CPUSchedulingPriority=99", "CPUSchedulingPriority", "99"},
    {"Service", "IOSchedulingClass=best-effort", "IOSchedulingClass", "best-effort"},
    {"Service", "IOSchedulingPriority=0", "IOSchedulingPriority", "0"},
    {"Service", "", "DevicePolicy", "auto"},
    {"Service", "DevicePolicy=strict", "DevicePolicy", "strict"},
    {"Service", "DeviceAllow=/dev/fuse\nDeviceAllow=char-pts rw", "DeviceAllow", "/dev/fuse rwm|char-pts rw"},
    {"Service", "DeviceAllow=/dev/fuse\nDeviceAllow=", "DeviceAllow", ""},

    {"Service", "", "Type", "simple"},
    {"Service", "Type=idle", "Type", "simple"},
    {"Service", "Type=notify", "Type", "notify"},
    {"Service", "", "Restart", "no"},
    {"Service", "Restart=on-abnormal", "Restart", "on-abnormal"},
    {"Service", "", "RestartSec", "100ms"},
    {"Service", "RestartSec=5", "RestartSec", "5s"},
    {"Service", "RestartSteps=3\nRestartMaxDelaySec=1min", "RestartSteps", "3"},
    {"Service", "RestartSteps=3\nRestartMaxDelaySec=1min", "RestartMaxDelaySec", "1min"},
    {"Service", "", "RestartMaxDelaySec", "infinity"},
    {"Service", "", "RestartResetSec", "10s"},
    {"Service", "RestartResetSec=infinity", "RestartResetSec", "infinity"},
    {"Service", "RestartRandomizedDelaySec=500ms", "RestartRandomizedDelaySec", "500ms"},
    {"Service", "RestartPreventExitStatus=1 SIGKILL\nRestartPreventExitStatus=TEMPFAIL",
        "RestartPreventExitStatus", "1|75|SIGKILL"},
    {"Service", "RestartForceExitStatus=255 INT\nRestartForceExitStatus=", "RestartForceExitStatus", ""},
    {"Service", "SuccessExitStatus=143", "SuccessExitStatus", "143"},
    {"Service", "", "TimeoutStartSec", "1min 30s"},
    {"Service", "TimeoutStartSec=0", "TimeoutStartSec", "infinity"},
    {"Service", "Type=oneshot", "TimeoutStartSec", "infinity"},
    {"Service", "Type=oneshot\nTimeoutStartSec=5", "TimeoutStartSec", "5s"},
    {"Service", "", "TimeoutStopSec", "1min 30s"},
    {"Service", "TimeoutStopSec=0", "TimeoutStopSec", "infinity"},
    {"Service", "TimeoutSec=7", "TimeoutStartSec", "7s"},
    {"Service", "TimeoutSec=7", "TimeoutStopSec", "7s"},
    {"Service", "TimeoutSec=7\nTimeoutStopSec=8", "TimeoutStopSec", "8s"},
    {"Service", "", "TimeoutPrepareSec", "15min"},
    {"Service", "TimeoutPrepareSec=1h", "TimeoutPrepareSec", "1h"},
    {"Service", "RuntimeMaxSec=1d", "RuntimeMaxSec", "1d"},
    {"Service", "", "WatchdogSec", "0"},
    {"Service", "WatchdogSec=30", "WatchdogSec", "30s"},
    {"Service", "WatchdogSec=30", "NotifyAccess", "main"},
    {"Service", "Type=notify", "NotifyAccess", "main"},
    {"Service", "NotifyAccess=all", "NotifyAccess", "all"},
    {"Service", "", "NotifyAccess", "none"},
    {"Service", "", "KillMode", "control-group"},
    {"Service", "KillMode=process", "KillMode", "process"},
    {"Service", "", "KillSignal", "SIGTERM"},
    {"Service", "KillSignal=SIGINT", "KillSignal", "SIGINT"},
    {"Service", "ExecCondition=/bin/true\nExecCondition=-/bin/a b", "ExecCondition", "/bin/true|-/bin/a b"},
    {"Service", "", "RestartMode", "normal"},
    {"Service", "RestartMode=direct", "RestartMode", "direct"},
    {"Service", "", "RestartKillSignal", ""},
    {"Service", "RestartKillSignal=SIGINT", "RestartKillSignal", "SIGINT"},
    {"Service", "", "FinalKillSignal", "SIGKILL"},
    {"Service", "FinalKillSignal=QUIT", "FinalKillSignal", "SIGQUIT"},
    {"Service", "", "WatchdogSignal", "SIGABRT"},
    {"Service", "WatchdogSignal=SIGTERM", "WatchdogSignal", "SIGTERM"},
    {"Service", "SendSIGHUP=yes", "SendSIGHUP", "yes"},
    {"Service", "TimeoutStopSec=7", "TimeoutAbortSec", "7s"},
    {"Service", "TimeoutStopSec=7\nTimeoutAbortSec=0", "TimeoutAbortSec", "infinity"},
    {"Service", "", "ReloadSignal", ""},
    {"Service", "ReloadSignal=SIGUSR1", "ReloadSignal", ""}, /* has no effect with another Type= */
    {"Service", "Type=notify-reload", "ReloadSignal", "SIGHUP"},
    {"Service", "Type=notify-reload\nReloadSignal=SIGUSR1", "ReloadSignal", "SIGUSR1"},
    {"Service", "Type=notify-reload", "NotifyAccess", "main"},
    {"Container", "ReloadCmd=/bin/a\nReloadCmd=nginx -s \"re load\"", "ReloadCmd", "nginx -s \"re load\""},
    {"Container", "ReloadSignal=SIGUSR1", "ReloadSignal", "SIGUSR1"},
    {"Service", "", "ExecStart", "/bin/true"},
    {"Service", "ExecStart=\nExecStart=-@/bin/sh -sh -c 'a b' \\; x", "ExecStart",
        "-@/bin/sh -sh -c \"a b\" \\; x"},
    {"Service", "Type=oneshot\nExecStart=/a b ; /c d", "ExecStart", "/bin/true|/a b|/c d"},
    {"Service", "ExecStartPre=+true $A ${B}", "ExecStartPre", "+true $A ${B}"},
    {"Service", "ExecStartPost=:/a", "ExecStartPost", ":/a"},
    {"Service", "ExecStop=/a", "ExecStop", "/a"},
    {"Service", "ExecStopPost=-/a", "ExecStopPost", "-/a"},
    {"Service", "ExecReload=/bin/kill -HUP $MAINPID", "ExecReload", "/bin/kill -HUP $MAINPID"},
    {"Service", "RemainAfterExit=yes", "RemainAfterExit", "yes"},
    {"Service", "PassEnvironment=A _b1\nPassEnvironment=C", "PassEnvironment", "A|_b1|C"},
    {"Service", "Environment=A=1 \"B=x y\"", "Environment", "A=1|B=x y"},
    {"Service", "EnvironmentFile=-/a\nEnvironmentFile=/b", "EnvironmentFile", "-/a|/b"},
    {"Service", "User=nobody", "User", "nobody"},
    {"Service", "Group=65534", "Group", "65534"},
    {"Service", "WorkingDirectory=/tmp", "WorkingDirectory", "/tmp"},

    {"Volume", "", "VolumeName", "systemd-data"},
    {"Volume", "VolumeName=mine", "VolumeName", "mine"},
    {"Volume", "Type=ext4", "Type", "ext4"},
    {"Volume", "", "Device", "/dev/x"},
    {"Volume", "Options=ro,noatime", "Options", "ro,noatime"},
    {"Volume", "User=www-data", "User", "www-data"},
    {"Volume", "Group=33", "Group", "33"},
    {"Volume", "", "UID", ""},
    {"Volume", "UID=33", "UID", "33"},
    {"Volume", "GID=0", "GID", "0"},
    {"Volume", "", "Copy", "yes"},
    {"Volume", "Copy=no", "Copy", "no"},
    {"Volume", "Label=a=1", "Label", "a=1"},

    {"Image", "", "Image", "registry.example.com/web"},
    {"Image", "Image=docker.io/library/debian:12", "Image", "docker.io/library/debian:12"},
    {"Image", "ImageTag=localhost/web", "ImageTag", "localhost/web"},
    {"Image", "AllTags=yes", "AllTags", "yes"},
    {"Image", "Arch=arm64", "Arch", "arm64"},
    {"Image", "OS=linux", "OS", "linux"},
    {"Image", "Variant=v8", "Variant", "v8"},
    {"Image", "AuthFile=/etc/auth.json", "AuthFile", "/etc/auth.json"},
    {"Image", "Creds=user:pass:word", "Creds", "user:pass:word"},
    {"Image", "CertDir=/etc/certs", "CertDir", "/etc/certs"},
    {"Image", "", "TLSVerify", "yes"},
    {"Image", "TLSVerify=false", "TLSVerify", "no"},
    {"Image", "", "Policy", "always"},
    {"Image", "Policy=newer", "Policy", "newer"},
    {"Image", "Retry=1", "Retry", "1"},
    {"Image", "RetryDelay=1min", "RetryDelay", "1min"},

    {"Install", "WantedBy=a.target b.target\nRequiredBy=c.target", "WantedBy", "a.target|b.target"},
    {"Install", "Also=b.service c.container", "Also", "b.service|c.container"},
    {"Install", "UpheldBy=x.target", "UpheldBy", "x.target"},
    {"Install", "RequiredBy=c.target", "RequiredBy", "c.target"},
    {"Install", "Alias=x.container", "Alias", "x.container"},
    {"Install", "DefaultInstance=a", "DefaultInstance", "a"},
};

static bool value_is_right(size_t i) {
    const char *name, *before = frame(values[i].section, &name);
    _cleanup_free_ char *text = strf("%s[%s]\n%s\n", before, values[i].section, values[i].lines);
    _cleanup_(unit_freep) struct unit *u = parse(name, text);
    _cleanup_free_ char *value = shown(u, values[i].section, values[i].key);
    _cleanup_free_ char *problems = problems_text(u);

    if (streq_ptr(value, values[i].expected) && !*problems)
        return true;
    print_error("[%s] %s: %s= is \"%s\", not \"%s\"\n%s", values[i].section, values[i].lines, values[i].key,
        value ?: "(none)", values[i].expected ?: "(none)", problems);
    return false;
}

static void test_values(void **state _unused_) {
    size_t wrong = 0;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        wrong += !value_is_right(i);
    assert_int_equal(wrong, 0);
}

/* A key without a line above is a key without a test. */
static void test_every_key_has_a_test(void **state _unused_) {
    const struct key_info *keys;
    size_t n = unit_keys(&keys);

    assert_true(n > 120);
    for (size_t i = 0; i < n; i++) {
        bool found = streq(keys[i].name, "TimeoutSec"); /* sets two others, tested by those */
        for (size_t v = 0; !found && v < ARRAY_SIZE(values); v++)
            found = streq(values[v].key, keys[i].name);
        if (!found)
            fail_msg("[%s] %s= is not tested", keys[i].section, keys[i].name);
        assert_non_null(keys[i].documentation);
        assert_non_null(keys[i].type);
    }
}

static void test_container_defaults(void **state _unused_) {
    static const struct {
        const char *section, *key, *value;
    } defaults[] = {
        {"Service", "Type", "exec"},
        {"Service", "KillMode", "mixed"},
        {"Service", "NotifyAccess", "none"},
        {"Service", "TimeoutStartSec", "1min 30s"},
        {"Service", "OOMPolicy", "continue"},
        {"Unit", "Conflicts", "shutdown.target"},
        {"Unit", "Before", "shutdown.target"},
        {"Unit", "After", "basic.target"},
    };
    _cleanup_(unit_freep) struct unit *u = parse("web.container", "[Container]\nImage=x\n");
    check_no_problems(u);
    for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
        _cleanup_free_ char *value = shown(u, defaults[i].section, defaults[i].key);
        assert_string_equal(value, defaults[i].value);
    }
    assert_int_equal(u->container->stop_signal, 0);
    assert_true(u->container->stop_timeout == 10 * USEC_PER_SEC);
    assert_int_equal(u->container->user_namespace, USERNS_DEFAULT);
    assert_false(u->container->entrypoint_set);
    assert_true(u->resources.memory_max == LIMIT_UNSET);
    assert_int_equal(u->resources.oom_score_adjust, INT32_MIN);
}

static void test_notify_makes_the_type(void **state _unused_) {
    static const struct {
        const char *lines;
        enum service_type type;
        enum notify_access access;
    } cases[] = {
        {"[Container]\nNotify=yes\n", SERVICE_NOTIFY, NOTIFY_ALL},
        {"[Service]\nType=notify\n", SERVICE_EXEC, NOTIFY_NONE}, /* as Quadlet writes it: podman answers */
        {"[Service]\nType=oneshot\n", SERVICE_ONESHOT, NOTIFY_NONE},
        {"[Container]\nNotify=yes\n[Service]\nType=oneshot\n", SERVICE_ONESHOT, NOTIFY_ALL},
        {"[Container]\nNotify=yes\n[Service]\nNotifyAccess=main\n", SERVICE_NOTIFY, NOTIFY_MAIN},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *text = strf("[Container]\nImage=x\n%s", cases[i].lines);
        _cleanup_(unit_freep) struct unit *u = parse("web.container", text);
        check_no_problems(u);
        assert_int_equal(u->service.type, cases[i].type);
        assert_int_equal(u->service.notify_access, cases[i].access);
    }
}

static void test_resource_keys_in_both_sections(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u = parse("web.container",
        "[Container]\nImage=x\nMemoryMax=1M\nCPUWeight=5\n[Service]\nMemoryMax=2M\nTasksMax=7\n");
    check_no_problems(u);
    assert_int_equal(u->resources.memory_max, 2 << 20);
    assert_int_equal(u->resources.cpu_weight, 5);
    assert_int_equal(u->resources.tasks_max, 7);
}

static void test_memory_shares(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u =
        parse("web.container", "[Container]\nImage=x\nMemoryMax=50%\nTasksMax=10%\n");
    uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    check_no_problems(u);
    assert_in_range(u->resources.memory_max, all / 2 - 8192, all / 2);
    assert_true(u->resources.tasks_max > 0 && u->resources.tasks_max < LIMIT_INFINITY);
}

static void test_volume_units_are_dependencies(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u =
        parse("web.container", "[Container]\nImage=x\nVolume=data.volume:/d\nVolume=plain:/"
                               "p\nMount=type=volume,source=m.volume,destination=/m\n");
    check_no_problems(u);
    assert_true(strv_contains(u->unit.dependencies[DEP_REQUIRES], "data.volume"));
    assert_true(strv_contains(u->unit.dependencies[DEP_AFTER], "data.volume"));
    assert_true(strv_contains(u->unit.dependencies[DEP_REQUIRES], "m.volume"));
    assert_int_equal(strv_length(u->unit.dependencies[DEP_REQUIRES]), 2);
}

static void test_image_units_are_dependencies(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u = parse("web.container", "[Container]\nImage=web.image\n");
    check_no_problems(u);
    assert_true(strv_contains(u->unit.dependencies[DEP_REQUIRES], "web.image"));
    assert_true(strv_contains(u->unit.dependencies[DEP_AFTER], "web.image"));
}

static void test_image_units_are_oneshots_that_remain(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u = parse("web.image", "[Image]\nImage=docker.io/library/x\n");
    check_no_problems(u);
    assert_int_equal(u->service.type, SERVICE_ONESHOT);
    assert_true(u->service.remain_after_exit);
}

/* Quadlet: "foo@.volume" in an instance is the volume of the same instance. */
static void test_template_volume_in_an_instance(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u =
        parse("web@blue.container", "[Container]\nImage=x\nVolume=data@.volume:/d\n");
    check_no_problems(u);
    assert_true(strv_contains(u->unit.dependencies[DEP_REQUIRES], "data@blue.volume"));
    assert_string_equal(u->container->container_name, "systemd-web_blue");
    assert_string_equal(u->instance, "blue");
    assert_string_equal(u->template, "web@.container");
}

static void test_targets_come_after_what_they_pull_in(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u =
        parse("x.target", "[Unit]\nWants=a.service b.service\nBefore=b.service\nRequires=c.container\n");
    check_no_problems(u);
    _cleanup_free_ char *after = shown(u, "Unit", "After");
    assert_string_equal(after, "a.service|c.container");
    assert_true(strv_contains(u->unit.dependencies[DEP_CONFLICTS], "shutdown.target"));

    _cleanup_(unit_freep) struct unit *end = parse("shutdown.target", "[Unit]\nDescription=x\n");
    assert_int_equal(strv_length(end->unit.dependencies[DEP_CONFLICTS]), 0);
}

static void test_stop_timeout_moves_the_service_timeout(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u = parse("web.container", "[Container]\nImage=x\nStopTimeout=300\n");
    check_no_problems(u);
    assert_true(u->service.timeout_stop == 310 * USEC_PER_SEC);
}

static void test_kill_signal_is_the_stop_signal_of_a_container(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u =
        parse("web.container", "[Container]\nImage=x\n[Service]\nKillSignal=SIGINT\n");
    check_no_problems(u);
    assert_int_equal(u->container->stop_signal, 2);
}

static void test_volume_units_are_oneshots_that_remain(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u = parse("data.volume", "[Volume]\n");
    check_no_problems(u);
    assert_int_equal(u->service.type, SERVICE_ONESHOT);
    assert_true(u->service.remain_after_exit);
    assert_true(u->volume->uid == UINT32_MAX);
}

static void test_entrypoint_can_be_cleared(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u = parse("web.container", "[Container]\nImage=x\nEntrypoint=\n");
    check_no_problems(u);
    assert_true(u->container->entrypoint_set);
    assert_null(u->container->entrypoint);
}

static void test_restart_delay_is_lowered_to_its_maximum(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u = parse(
        "a.service", "[Service]\nExecStart=/x\nRestartSec=1min\nRestartMaxDelaySec=10s\nRestartSteps=2\n");
    assert_non_null(u->problems);
    assert_int_equal(u->problems->level, PROBLEM_WARNING);
    assert_true(u->service.restart_sec == 10 * USEC_PER_SEC);
}

static void test_keys_of_other_types_are_not_shown(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u = parse("a.service", "[Service]\nExecStart=/x\n");
    assert_null(shown(u, "Container", "Image"));
    assert_null(shown(u, "Service", "Nonsense"));
    assert_null(shown(u, "Nonsense", "Type"));
}

static void test_content_hash_tells_texts_apart(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *a = parse("a.service", "[Service]\nExecStart=/x\n");
    _cleanup_(unit_freep) struct unit *b = parse("a.service", "[Service]\nExecStart=/x\n");
    _cleanup_(unit_freep) struct unit *c = parse("a.service", "[Service]\nExecStart=/y\n");
    assert_true(a->content_hash == b->content_hash);
    assert_true(a->content_hash != c->content_hash);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_every_key_has_a_test),
        cmocka_unit_test(test_container_defaults),
        cmocka_unit_test(test_notify_makes_the_type),
        cmocka_unit_test(test_resource_keys_in_both_sections),
        cmocka_unit_test(test_memory_shares),
        cmocka_unit_test(test_volume_units_are_dependencies),
        cmocka_unit_test(test_image_units_are_dependencies),
        cmocka_unit_test(test_image_units_are_oneshots_that_remain),
        cmocka_unit_test(test_template_volume_in_an_instance),
        cmocka_unit_test(test_targets_come_after_what_they_pull_in),
        cmocka_unit_test(test_stop_timeout_moves_the_service_timeout),
        cmocka_unit_test(test_kill_signal_is_the_stop_signal_of_a_container),
        cmocka_unit_test(test_volume_units_are_oneshots_that_remain),
        cmocka_unit_test(test_entrypoint_can_be_cleared),
        cmocka_unit_test(test_restart_delay_is_lowered_to_its_maximum),
        cmocka_unit_test(test_keys_of_other_types_are_not_shown),
        cmocka_unit_test(test_content_hash_tells_texts_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
