/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every kind of mistake: which file and line it is in, which key, how bad it is, and what to write instead.
 */
#include "unit-support.h"

#define WEB "[Container]\nImage=x\n"     /* the mistake is in line 3 */
#define HOST "[Service]\nExecStart=/x\n" /* the same */
#define WEB_SERVICE WEB "[Service]\n"    /* line 4 */
#define WEB_UNIT WEB "[Unit]\n"          /* line 4 */

/* expected: "LEVEL LINE KEY TEXT-PART | HINT-PART", parts may be empty. */
static const struct {
    const char *name, *text;
    char level;
    unsigned line;
    const char *key, *part, *hint;
} mistakes[] = {
    /* the text itself */
    {"a.container", WEB "MemoryMax 100M\n", 'E', 3, NULL, "not an assignment", "Key=value"},
    {"a.container", WEB "=1\n", 'E', 3, NULL, "no key", NULL},
    {"a.container", "Image=x\n" WEB, 'E', 1, NULL, "before the first section", "[Unit]"},
    {"a.container", WEB "[Service\nRestart=no\n", 'E', 3, NULL, "bad section header", "brackets"},
    {"a.container", WEB "[Service] x\n", 'E', 3, NULL, "bad section header", "own"},
    {"a.container", WEB "Exec=\xff\n", 'E', 3, NULL, "UTF-8", NULL},
    {"a.container", WEB "Exec=a \\\n  b 'c\n", 'E', 3, "Exec", "quotes", "closed"},

    /* sections */
    {"a.container", WEB "[Contaner]\nX=1\n", 'W', 3, NULL, "unknown section", "[Container]"},
    {"a.container", WEB "[Nonsense]\nX=1\n", 'W', 3, NULL, "unknown section", NULL},
    {"a.container", WEB "[Pod]\nPodName=1\n", 'W', 3, NULL, "no meaning in a .container", NULL},
    {"a.service", HOST "[Container]\n", 'E', 3, NULL, "no place in a .service", "NAME.container"},
    {"a.target", "[Unit]\nDescription=x\n[Service]\n", 'E', 3, NULL, "no place in a .target", NULL},
    {"a.container", WEB "[Volume]\n", 'E', 3, NULL, "no place", "NAME.volume"},

    /* keys */
    {"a.container", WEB "Memry=1m\n", 'W', 3, "Memry", "unknown key", "did you mean Memory=?"},
    {"a.container", WEB "memorymax=1m\n", 'W', 3, "memorymax", "unknown key", "MemoryMax="},
    {"a.container", WEB "Restart=always\n", 'W', 3, "Restart", "unknown key", "it belongs in [Service]"},
    {"a.container", WEB_SERVICE "Image=y\n", 'W', 4, "Image", "unknown key", "it belongs in [Container]"},
    {"a.container", WEB_SERVICE "StartLimitIntervalSec=5\n", 'W', 4, "StartLimitIntervalSec", "unknown key",
        "[Unit]"},
    {"a.container", WEB_SERVICE "After=x.service\n", 'W', 4, "After", "unknown key", "[Unit]"},
    {"a.container", WEB "MemoryReservation=1m\n", 'W', 3, "MemoryReservation", "unknown key", "MemoryLow="},
    {"a.container", WEB "CPUs=2\n", 'W', 3, "CPUs", "unknown key", "CPUQuota="},
    {"a.container", WEB "DependsOn=db\n", 'W', 3, "DependsOn", "unknown key", "Requires="},
    {"a.container", WEB "Privileged=true\n", 'W', 3, "Privileged", "unknown key", "AddCapability=all"},
    {"a.container", WEB "Zxqwv=2\n", 'W', 3, "Zxqwv", "unknown key", NULL},
    {"a.container", WEB_SERVICE "ExecStart=/x\n", 'E', 4, "ExecStart", "no ExecStart=", "Exec="},
    {"a.volume", "[Volume]\n[Service]\nExecStartPre=/x\n", 'E', 3, "ExecStartPre", "runs no commands", NULL},

    /* known, not honoured yet */
    {"a.container", WEB "Secret=x\n", 'E', 3, "Secret", "does not start", "Volume="},
    {"a.container", WEB "PublishPort=80:80\n", 'E', 3, "PublishPort", "does not start", "Network=host"},
    {"a.container", WEB "SeccompProfile=x\n", 'E', 3, "SeccompProfile", "does not start", NULL},
    {"a.container", WEB "AppArmor=x\n", 'E', 3, "AppArmor", "does not start", NULL},
    {"a.container", WEB "UIDMap=0:1:2\n", 'E', 3, "UIDMap", "does not start", "UserNS=auto"},
    {"a.container", WEB "Pod=x.pod\n", 'E', 3, "Pod", "does not start", NULL},
    {"a.container", WEB "PodmanArgs=--privileged\n", 'E', 3, "PodmanArgs", "does not start", NULL},
    {"a.container", WEB "HealthCmd=true\n", 'W', 3, "HealthCmd", "ignored", "WatchdogSec="},
    {"a.container", WEB "AutoUpdate=registry\n", 'W', 3, "AutoUpdate", "ignored", NULL},
    {"a.container", WEB "CPUShares=512\n", 'W', 3, "CPUShares", "ignored", "CPUWeight="},
    {"a.container", WEB_SERVICE "Slice=x.slice\n", 'W', 4, "Slice", "ignored", NULL},
    {"a.container", WEB_SERVICE "ProtectSystem=yes\n", 'W', 4, "ProtectSystem", "ignored", NULL},
    {"a.service", HOST "ProtectSystem=yes\n", 'E', 3, "ProtectSystem", "does not start", ".container"},
    {"a.service", HOST "DynamicUser=yes\n", 'E', 3, "DynamicUser", "does not start", NULL},
    {"a.service", HOST "LimitNOFILE=5\n", 'W', 3, "LimitNOFILE", "ignored", NULL},
    {"a.container", WEB_UNIT "ConditionVirtualization=yes\n", 'E', 4, "ConditionVirtualization",
        "does not start", "ConditionPathExists="},
    {"a.container", WEB "Network=web.network\n", 'W', 3, "Network", "loopback only", "Network=host"},
    {"a.container", WEB "Network=db.container\n", 'E', 3, "Network", "not supported", NULL},
    {"a.container", WEB "Notify=healthy\n", 'W', 3, "Notify", "not supported", "Notify=yes"},
    {"a.container", WEB "Image=x.build\n", 'E', 3, "Image", ".build", NULL},
    {"a.container", WEB "Image=x@.image\n", 'E', 3, "Image", "unit", NULL},
    {"a.container", WEB "Pull=sometimes\n", 'E', 3, "Pull", "not a value", "missing, always"},
    {"a.container", WEB "[Image]\n", 'E', 3, NULL, "no place", "NAME.image"},
    {"a.image", "[Image]\nPolicy=never\n", 'E', 0, "Image", "no image", "Image="},
    {"a.image", "[Image]\nImage=x\nDecryptionKey=/k\n", 'E', 3, "DecryptionKey", "does not start", "decrypt"},
    {"a.image", "[Image]\nImage=x\nPodmanArgs=--x\n", 'E', 3, "PodmanArgs", "does not start", "podman"},
    {"a.image", "[Image]\nImage=x\nGlobalArgs=--x\n", 'W', 3, "GlobalArgs", "ignored", "podman"},
    {"a.image", "[Image]\nImage=docker-archive:/x.tar\n", 'E', 2, "Image", "not a registry", "import"},
    {"a.image", "[Image]\nImage=/srv/root\n", 'E', 2, "Image", "registry", NULL},
    {"a.image", "[Image]\nImage=x\nCreds=:x\n", 'E', 3, "Creds", "no user", "USER:PASSWORD"},
    {"a.image", "[Image]\nImage=x\n[Service]\nExecStartPre=/x\n", 'E', 4, "ExecStartPre", "runs no commands",
        NULL},

    /* values */
    {"a.container", WEB "ReadOnly=maybe\n", 'E', 3, "ReadOnly", "neither yes nor no", "yes or no"},
    {"a.container", WEB "ReadOnly=yes # really\n", 'E', 3, "ReadOnly", "neither", "line of their own"},
    {"a.container", WEB_SERVICE "Restart=unless-stopped\n", 'W', 4, "Restart", "docker's word",
        "Restart=always"},
    {"a.container", WEB_SERVICE "Restart=on-failure:5\n", 'E', 4, "Restart", "docker's", "StartLimitBurst="},
    {"a.container", WEB_SERVICE "Restart=allways\n", 'E', 4, "Restart", "not a value", "always"},
    {"a.container", WEB_SERVICE "Type=forking\n", 'E', 4, "Type", "not supported", "foreground"},
    {"a.container", WEB_SERVICE "RestartSec=5 parsecs\n", 'E', 4, "RestartSec", "not a time span",
        "1min 30s"},
    {"a.container", WEB_SERVICE "TimeoutStartSec=-1\n", 'E', 4, "TimeoutStartSec", "not a time span", NULL},
    {"a.container", WEB_SERVICE "KillMode=process\n", 'E', 0, "KillMode", "leave processes", "mixed"},
    {"a.container", WEB_SERVICE "KillSignal=SIGFOO\n", 'E', 4, "KillSignal", "not a signal", "SIGTERM"},
    {"a.container", WEB_SERVICE "Type=oneshot\nRestart=always\n", 'E', 0, "Restart", "for ever",
        "on-failure"},
    {"a.container", WEB_SERVICE "RestartSteps=3\n", 'W', 0, "RestartSteps", "no effect",
        "RestartMaxDelaySec="},
    {"a.container", WEB_SERVICE "WatchdogSec=3\n", 'W', 0, "WatchdogSec", "no notify socket", "Notify=yes"},
    {"a.container", WEB_SERVICE "SuccessExitStatus=256\n", 'E', 4, "SuccessExitStatus", "256", "0 to 255"},
    {"a.container", WEB_SERVICE "User=x\n", 'W', 0, "User", "only host commands", "[Container]"},
    {"a.container", WEB "Memory=10%\n", 'E', 3, "Memory", "podman", "MemoryMax="},
    {"a.container", WEB "MemoryMax=0\n", 'E', 3, "MemoryMax", "nothing run", "infinity"},
    {"a.container", WEB "MemoryMax=lots\n", 'E', 3, "MemoryMax", "not an amount", "512M"},
    {"a.container", WEB "MemoryMax=120%\n", 'E', 3, "MemoryMax", "not an amount", NULL},
    {"a.container", WEB "CPUQuota=2\n", 'E', 3, "CPUQuota", "not a share", "200%"},
    {"a.container", WEB "CPUQuota=0%\n", 'E', 3, "CPUQuota", "0%", NULL},
    {"a.container", WEB "CPUWeight=0\n", 'E', 3, "CPUWeight", "1 to 10000", NULL},
    {"a.container", WEB "AllowedCPUs=a-b\n", 'E', 3, "AllowedCPUs", "not a list", "0-3"},
    {"a.container", WEB "TasksMax=0\n", 'E', 3, "TasksMax", "nothing run", NULL},
    {"a.container", WEB "PidsLimit=-2\n", 'E', 3, "PidsLimit", "not a number", "-1"},
    {"a.container", WEB "IOReadBandwidthMax=5M\n", 'E', 3, "IOReadBandwidthMax", "path and a limit",
        "/dev/sda 5M"},
    {"a.service", HOST "PassEnvironment=A=1\n", 'E', 3, "PassEnvironment", "not the name of a variable",
        NULL},
    {"a.container", WEB "ReloadCmd=x\nReloadSignal=HUP\n", 'E', 0, "ReloadSignal", "both", NULL},
    {"a.container", WEB "Nice=20\n", 'E', 3, "Nice", "-20 to 19", NULL},
    {"a.container", WEB "CPUSchedulingPriority=0\n", 'E', 3, "CPUSchedulingPriority", "1 to 99", NULL},
    {"a.container", WEB "OOMScoreAdjust=2000\n", 'E', 3, "OOMScoreAdjust", "-1000 to 1000", NULL},
    {"a.container", WEB "OOMPolicy=die\n", 'E', 3, "OOMPolicy", "not a value", "stop, continue, kill"},
    {"a.container", WEB "DeviceAllow=/etc/x\n", 'E', 3, "DeviceAllow", "not a device", "/dev"},
    {"a.container", WEB "DeviceAllow=/dev/x rx\n", 'E', 3, "DeviceAllow", "access rights", NULL},
    {"a.container", WEB "Volume=/a:b\n", 'E', 3, "Volume", "not an absolute path", "TARGET"},
    {"a.container", WEB "Volume=/a:/b:/c:/d\n", 'E', 3, "Volume", "too many colons", NULL},
    {"a.container", WEB "Volume=/a/../b:/c\n", 'E', 3, "Volume", "\"..\"", NULL},
    {"a.container", WEB "Volume=/a:/\n", 'E', 3, "Volume", "cannot be the target", NULL},
    {"a.container", WEB "Volume=/a:/b:frob\n", 'E', 3, "Volume", "not an option", "nosuid"},
    {"a.container", WEB "Volume=/a:/b:O\n", 'E', 3, "Volume", "writes would reach the source", NULL},
    {"a.container", WEB "Volume=a b:/b\n", 'E', 3, "Volume", "cannot be a name", NULL},
    {"a.container", WEB "Volume=x@.volume:/b\n", 'E', 3, "Volume", "template", NULL},
    {"a.container", WEB "Volume=/a:/b\nTmpfs=/b\n", 'E', 0, "Volume", "two mounts", NULL},
    {"a.container", WEB "Mount=type=glob,source=/a*,destination=/b\n", 'E', 3, "Mount", "glob", NULL},
    {"a.container", WEB "Mount=type=bind,destination=/b\n", 'E', 3, "Mount", "needs source=", NULL},
    {"a.container", WEB "Mount=type=bind,source=/a\n", 'E', 3, "Mount", "destination= is missing", NULL},
    {"a.container", WEB "Mount=type=xxx,destination=/b\n", 'E', 3, "Mount", "not a type of mount", "tmpfs"},
    {"a.container", WEB "Tmpfs=/a:sizee=1\n", 'E', 3, "Tmpfs", "not an option", NULL},
    {"a.container", WEB "AddCapability=CAP_FOO\n", 'E', 3, "AddCapability", "CAP_FOO", "capabilities(7)"},
    {"a.container", WEB "Sysctl=vm.swappiness=1\n", 'E', 3, "Sysctl", "whole host", "net.*"},
    {"a.container", WEB "Sysctl=net.ipv4\n", 'E', 3, "Sysctl", "not a setting", NULL},
    {"a.container", WEB "Network=host\nSysctl=net.ipv4.ip_forward=1\n", 'E', 0, "Sysctl", "host's network",
        NULL},
    {"a.container", WEB "Ulimit=nofiles=1\n", 'E', 3, "Ulimit", "nofiles", "nofile"},
    {"a.container", WEB "Ulimit=nofile=5:1\n", 'E', 3, "Ulimit", "above the hard", NULL},
    {"a.container", WEB "UserNS=keep-id\n", 'E', 3, "UserNS", "not supported", "auto"},
    {"a.container", WEB "UserNS=auto:uidmapping=0:1:2\n", 'E', 3, "UserNS", "not supported", "size="},
    {"a.container", WEB "User=a b\n", 'E', 3, "User", "cannot be a user", NULL},
    {"a.container", WEB "User=4294967295\n", 'E', 3, "User", "too large", NULL},
    {"a.container", WEB "Group=5\n", 'E', 0, "Group", "without User=", NULL},
    {"a.container", WEB "AddDevice=fuse\n", 'E', 3, "AddDevice", "absolute path", NULL},
    {"a.container", WEB "AddDevice=nvidia.com/gpu=all\n", 'E', 3, "AddDevice", "CDI", NULL},
    {"a.container", WEB "AddHost=db\n", 'E', 3, "AddHost", "not a name and an address", "NAME:ADDRESS"},
    {"a.container", WEB "AddHost=db:10.0.0\n", 'E', 3, "AddHost", "not an IP", NULL},
    {"a.container", WEB "DNS=localhost\n", 'E', 3, "DNS", "not an IP", NULL},
    {"a.container", WEB "HostName=-x\n", 'E', 3, "HostName", "cannot be the name", NULL},
    {"a.container", WEB "ContainerName=a/b\n", 'E', 3, "ContainerName", "cannot be a name", NULL},
    {"a.container", WEB "Timezone=../../etc/shadow\n", 'E', 3, "Timezone", "not a time zone", "Europe"},
    {"a.container", WEB "Timezone=/etc/shadow\n", 'E', 3, "Timezone", "not a time zone", NULL},
    {"a.container", WEB "WorkingDir=tmp\n", 'E', 3, "WorkingDir", "not an absolute path", "/"},
    {"a.container", WEB "Entrypoint=[\"a\",]\n", 'E', 3, "Entrypoint", "bad JSON", NULL},
    {"a.container", WEB "Entrypoint=/bin/sh -c\n", 'W', 3, "Entrypoint", "one program name", "[\"program\""},
    {"a.container", WEB "Exec=a\\q\n", 'E', 3, "Exec", "unknown escape", "\\\\"},
    {"a.container", WEB "Exec=echo %Z\n", 'E', 3, "Exec", "unknown specifier %Z", "%%"},
    {"a.container", WEB "Environment==x\n", 'E', 3, "Environment", "not the name", NULL},
    {"a.service", HOST "Environment=A\n", 'E', 3, "Environment", "not an assignment", "NAME=value"},
    {"a.service", HOST "Environment=A-B=1\n", 'E', 3, "Environment", "not the name", NULL},
    {"a.service", HOST "EnvironmentFile=x\n", 'E', 3, "EnvironmentFile", "not an absolute path", "/"},
    {"a.service", HOST "WorkingDirectory=x\n", 'E', 3, "WorkingDirectory", "not an absolute path", NULL},
    {"a.service", HOST "ExecStartPre=bin/x\n", 'E', 3, "ExecStartPre", "relative path", NULL},
    {"a.service", HOST "ExecStartPre=@/x\n", 'E', 3, "ExecStartPre", "prefix @", "@/bin/sh"},
    {"a.service", HOST "ExecStart=/y\n", 'E', 0, "ExecStart", "more than one", "oneshot"},
    {"a.service", "[Service]\n", 'E', 0, "ExecStart", "nothing to run", NULL},
    {"a.container", "[Container]\n", 'E', 0, "Image", "no root file system", "Image= or Rootfs="},
    {"a.container", "[Container]\nImage=x\nRootfs=/y\n", 'E', 0, "Rootfs", "both set", NULL},
    {"a.container", "[Container]\nRootfs=y\n", 'E', 2, "Rootfs", "not a directory's path", "start with /"},
    {"a.container", "[Container]\nRootfs=/y:Z\n", 'E', 2, "Rootfs", "\"Z\"", NULL},
    {"a.container", WEB_UNIT "After=db\n", 'W', 4, "After", "taken as db.service", "type"},
    {"a.container", WEB_UNIT "After=d/b\n", 'E', 4, "After", "not a unit name", NULL},
    {"a.container", WEB_UNIT "After=x@.service\n", 'E', 4, "After", "template", NULL},
    {"a.container", WEB_UNIT "After=\n", 'W', 4, "After", "cannot be taken back", NULL},
    {"a.container", WEB_UNIT "ConditionPathExists=x\n", 'E', 4, "ConditionPathExists", "absolute", NULL},
    {"a.container", WEB_UNIT "AssertMemory=>lots\n", 'E', 4, "AssertMemory", "no size", NULL},
    {"a.container", WEB_UNIT "ConditionCPUs=2G\n", 'E', 4, "ConditionCPUs", "no number", NULL},
    {"a.container", WEB_UNIT "ConditionHost=!\n", 'E', 4, "ConditionHost", "nothing behind", NULL},
    {"a.container", WEB_UNIT "StartLimitBurst=x\n", 'E', 4, "StartLimitBurst", "whole number", NULL},
    {"a.container", WEB_UNIT "Documentation=foo\n", 'W', 4, "Documentation", "not a reference", "https://"},
    {"a.container", WEB "[Install]\nWantedBy=x\n", 'E', 4, "WantedBy", "not a unit name", "default.target"},
    {"a.container", WEB "[Install]\nAlias=b.service\n", 'E', 0, "Alias", "not the name of a .container",
        "same type"},
    {"a.container", WEB "[Install]\nAlso=b\n", 'E', 4, "Also", "not a unit name", NULL},
    {"a.volume", "[Volume]\nType=ext4\n", 'E', 0, "Type", "without Device=", "Device="},
    {"a.volume", "[Volume]\nDriver=image\n", 'E', 2, "Driver", "does not start", NULL},
    {"a.volume", "[Volume]\nUID=-1\n", 'E', 2, "UID", "not a number", NULL},

    /* types */
    {"a.pod", "[Pod]\nPodName=x\n", 'E', 0, NULL, "pods are not supported yet", NULL},
    {"a.timer", "[Timer]\n", 'E', 0, NULL, "timers are not supported yet", NULL},
    {"a.kube", "[Kube]\n", 'E', 0, NULL, "not run by davit", ".container"},
    {"a.build", "[Build]\n", 'E', 0, NULL, "not run by davit", NULL},
};

static bool contains(const char *text, const char *part) {
    return !part || (text && strstr(text, part));
}

static bool mistake_is_reported(size_t i) {
    _cleanup_(unit_freep) struct unit *u = parse(mistakes[i].name, mistakes[i].text);
    _cleanup_free_ char *file = strf(TEST_DIRECTORY "/%s", mistakes[i].name);
    const struct problem *p = u->problems;
    static const char levels[] = {[PROBLEM_NOTE] = 'N', [PROBLEM_WARNING] = 'W', [PROBLEM_ERROR] = 'E'};

    bool right = p && !p->next && levels[p->level] == mistakes[i].level && p->line == mistakes[i].line &&
                 streq_ptr(p->file, file) && (!mistakes[i].key || streq_ptr(p->key, mistakes[i].key)) &&
                 contains(p->text, mistakes[i].part) && contains(p->hint, mistakes[i].hint) &&
                 u->has_errors == (mistakes[i].level == 'E');
    if (!right) {
        _cleanup_free_ char *problems = problems_text(u);
        print_error("--- %s\n%s--- wanted: %c line %u %s: ...%s... (...%s...), got:\n%s", mistakes[i].name,
            mistakes[i].text, mistakes[i].level, mistakes[i].line, mistakes[i].key ?: "",
            mistakes[i].part ?: "", mistakes[i].hint ?: "", problems);
    }
    return right;
}

static void test_each_mistake_is_reported_once(void **state _unused_) {
    size_t wrong = 0;
    for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++)
        wrong += !mistake_is_reported(i);
    assert_int_equal(wrong, 0);
}

static void test_silent_extensions(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u =
        parse("a.container", WEB "X-Mine=1\n[X-Section]\nFoo=1\n[Quadlet]\nDefaultDependencies=false\n["
                                 "Service]\nMemoryAccounting=yes\n");
    check_no_problems(u);
}

static void test_strict_makes_unknown_keys_errors(void **state _unused_) {
    const struct unit_environment strict = {.strict = true};
    _cleanup_(unit_freep) struct unit *u = parse_with(&strict, "a.container", WEB "Memry=1\n");
    assert_int_equal(u->problems->level, PROBLEM_ERROR);
    assert_true(u->has_errors);
    _cleanup_(unit_freep) struct unit *v = parse_with(&strict, "a.container", WEB "[Sction]\nMemry=1\n");
    assert_true(v->has_errors);
}

/* A refused value leaves the others as they were, and the good ones are there for `davit show`. */
static void test_other_keys_survive_a_mistake(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u =
        parse("a.container", WEB "MemoryMax=1M\nMemoryMax=junk\nReadOnly=yes\n");
    assert_true(u->has_errors);
    assert_int_equal(u->resources.memory_max, 1 << 20);
    assert_true(u->container->read_only);
}

static void test_problem_text(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u = parse("web.container", WEB "Memry=1\n");
    _cleanup_free_ char *text = problem_format(u->problems);
    assert_string_equal(text,
        TEST_DIRECTORY "/web.container:3: [Container] Memry=: unknown key, ignored (did you mean Memory=?)");
}

/* Problems go to terminals. */
static void test_no_control_characters_in_problems(void **state _unused_) {
    _cleanup_(unit_freep) struct unit *u = parse("a.container", WEB "Image=a\x1b[31m b\nFo\to=\x7f\n");
    for (const struct problem *p = u->problems; p; p = p->next) {
        _cleanup_free_ char *text = problem_format(p);
        for (const char *c = text; *c; c++)
            assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
    }
    assert_non_null(u->problems);
}

static void test_number_of_problems_is_limited(void **state _unused_) {
    _cleanup_strbuf_ struct strbuf text = {0};
    strbuf_puts(&text, WEB);
    for (int i = 0; i < 5000; i++)
        strbuf_puts(&text, "Junk=1\n");
    strbuf_puts(&text, "ReadOnly=junk\n");
    _cleanup_(unit_freep) struct unit *u = parse("a.container", text.data);
    size_t n = 0;
    const struct problem *last = NULL;
    for (const struct problem *p = u->problems; p; p = p->next, n++)
        last = p;
    assert_in_range(n, 50, 200);
    assert_non_null(strstr(last->text, "not listed"));
    assert_int_equal(last->level, PROBLEM_ERROR);
    assert_true(u->has_errors);
}

static char *many(const char *before, const char *each, size_t n) {
    struct strbuf b = {0};
    strbuf_puts(&b, before);
    for (size_t i = 0; i < n; i++)
        strbuf_puts(&b, each);
    strbuf_puts(&b, "\n");
    return strbuf_take(&b);
}

/* A megabyte of values is refused with one sentence, and quickly. */
static void test_number_of_values_is_limited(void **state _unused_) {
    static const struct {
        const char *before, *each;
    } floods[] = {
        {WEB "Exec=", "a "},
        {WEB "Mask=", "/a:"},
        {WEB "Label=", "a=1 "},
        {WEB "AddDevice=", "/a "},
        {WEB "Sysctl=", "net.a=1 "},
        {WEB "Mount=", "type=tmpfs,destination=/a "},
        {WEB_UNIT "Documentation=", "man:a "},
        {WEB_SERVICE "ExecStartPre=", "/a ; "},
        {WEB, "\nGroupAdd=a"},
        {WEB, "\nVolume=/a"},
        {WEB_UNIT, "\nConditionPathExists=/a"},
        {WEB, "\nDeviceAllow=/dev/a"},
    };
    usec_t start = now_monotonic();
    for (size_t i = 0; i < ARRAY_SIZE(floods); i++) {
        _cleanup_free_ char *text = many(floods[i].before, floods[i].each, 40000);
        _cleanup_(unit_freep) struct unit *u = parse("a.container", text);
        if (!u->has_errors || !strstr(u->problems->text, "more than 4096"))
            fail_msg(
                "%s is not refused: %s", floods[i].before, u->problems ? u->problems->text : "no problem");
    }
    assert_true(now_monotonic() - start < 60 * USEC_PER_SEC);
}

static void test_long_specifier_expansion(void **state _unused_) {
    _cleanup_free_ char *text = many(WEB "Exec=", "%n", 40000);
    _cleanup_(unit_freep) struct unit *u = parse("a.container", text);
    assert_true(u->has_errors);
    assert_non_null(strstr(u->problems->text, "64 KiB"));
}

static void test_names_are_checked(void **state _unused_) {
    static const char *const bad[] = {"", "a", ".container", "a.foo", "@a.container", "a/b.container",
        "..container", "a b.container", "\xc3\xa9.container", "a.container/"};
    struct unit *u = NULL;
    struct error e = {0};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(unit_parse_text(&test_environment, bad[i], "f", "", 0, &u, &e), -EINVAL);
        assert_true(e.text[0] != '\0');
    }
    assert_null(u);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_mistake_is_reported_once),
        cmocka_unit_test(test_silent_extensions),
        cmocka_unit_test(test_strict_makes_unknown_keys_errors),
        cmocka_unit_test(test_other_keys_survive_a_mistake),
        cmocka_unit_test(test_problem_text),
        cmocka_unit_test(test_no_control_characters_in_problems),
        cmocka_unit_test(test_number_of_problems_is_limited),
        cmocka_unit_test(test_number_of_values_is_limited),
        cmocka_unit_test(test_long_specifier_expansion),
        cmocka_unit_test(test_names_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
