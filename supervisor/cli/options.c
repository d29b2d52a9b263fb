/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>

#include "base/str.h"
#include "cli/cli.h"

#define FLAG(field) offsetof(struct cli_options, field), OPTION_FLAG
#define COUNT(field) offsetof(struct cli_options, field), OPTION_COUNT
#define STRING(field) offsetof(struct cli_options, field), OPTION_STRING
#define STRINGS(field) offsetof(struct cli_options, field), OPTION_STRINGS

/* clang-format off */
const struct option_info option_table[] = {
    /* general */
    {"help", "h", NULL, "Show this help", FLAG(help), true},
    {"version", NULL, NULL, "Show the version of davit", FLAG(version), true},
    {"json", NULL, NULL, "Print JSON", FLAG(json), true},
    {"output", "o", "MODE", "json is as --json; of logs: short, cat (the text alone) or json; of save and export: the file to write", STRING(output), true},
    {"format", NULL, "FORMAT", "json is as --json; of save: oci-archive (default), oci-dir or docker-archive", STRING(format), true},
    {"quiet", "q", NULL, "Say less", FLAG(quiet), true},
    {"no-pager", NULL, NULL, "Accepted; there is never a pager", FLAG(no_pager), true},
    {"runtime-dir", NULL, "DIR", "Where davitd listens (default $DAVIT_RUNTIME_DIR or /run/davit)", STRING(runtime_dir), true},

    {"all", "a", NULL, "Also what is inactive or has no value", FLAG(all), false},
    {"failed", NULL, NULL, "Only what failed", FLAG(failed), false},
    {"plain", NULL, NULL, "No heading, no colors, no dots: for scripts", FLAG(plain), false},
    {"no-legend", NULL, NULL, "No heading and no count", FLAG(no_legend), false},
    {"type", "t", "TYPE", "Only units of this type: container, service, volume, ... (or a list with commas)", STRING(type), false},
    {"state", NULL, "STATE", "Only units in this state: running, failed, dead, enabled, ...", STRING(state), false},
    {"value", NULL, NULL, "Only the values of properties", FLAG(value), false},
    {"reverse", NULL, NULL, "What the unit is pulled in by", FLAG(reverse), false},
    {"after", NULL, NULL, "What the unit is started after", FLAG(after), false},
    {"before", NULL, NULL, "What the unit is started before", FLAG(before), false},
    {"no-stream", NULL, NULL, "Once, instead of every second", FLAG(no_stream), false},
    {"runtime", NULL, NULL, "Until the next boot only", FLAG(runtime), false},
    {"full", NULL, NULL, "The whole file instead of a drop-in", FLAG(full), false},
    {"drop-in", NULL, "NAME", "Name of the drop-in (default override.conf)", STRING(drop_in), false},
    {"stdin", NULL, NULL, "The new text is on standard input", FLAG(from_stdin), false},
    {"property", "p", "KEY", "Only this property (may be repeated, or a list with commas)", STRINGS(properties), false},
    {"no-block", NULL, NULL, "Do not wait until the job is over", FLAG(no_block), false},
    {"job-mode", NULL, "MODE", "What happens to a job that is there already: replace, fail, ignore-dependencies, isolate", STRING(mode), false},
    {"now", NULL, NULL, "Start, or stop, the units as well", FLAG(now), false},
    {"signal", "s", "SIGNAL", "Which signal (default SIGTERM)", STRING(signal), false},
    {"kill-whom", NULL, "WHOM", "Which processes: all (default) or main", STRING(kill_whom), false},
    {"strict", NULL, NULL, "Unknown keys are errors", FLAG(strict), false},
    {"keep", NULL, NULL, "Leave the containers running", FLAG(keep), false},
    {"force", "f", NULL, "All the same. The end: kill units; twice: reboot(2) at once, nothing is saved", COUNT(force), false},
    {"when", NULL, "TIME", "At that time: 23:15, +5min, 2026-11-21 05:46; show or cancel what is scheduled", STRING(when), false},
    {"message", NULL, "TEXT", "What to tell those who are logged in, and the log", STRING(message), false},
    {"no-wall", NULL, NULL, "Tell nobody who is logged in", FLAG(no_wall), false},
    {"reboot-argument", NULL, "TEXT", "For the kernel's reboot command", STRING(reboot_argument), false},

    /* image */
    {"archive", "a", NULL, "Keep owners", FLAG(archive), false},
    {"config", NULL, "KEY=VALUE", "Change the image's configuration: Cmd, Entrypoint, Env, Label, User, ...", STRINGS(config), false},
    {"from", NULL, "DIR|IMAGE", "What the new image is made from (default: nothing)", STRING(from), false},
    {"copy", NULL, "SOURCE:TARGET", "Copy a file or a directory of the host into the image", STRINGS(copy), false},
    {"dry-run", NULL, NULL, "Only say what would be removed", FLAG(dry_run), false},
    {"limit", NULL, "SIZE|PERCENT", "Remove unused images, oldest first, until the store is this small", STRING(limit), false},
    {"unused-for", NULL, "TIME", "What has not been used for this long counts as unused (default 1day)", STRING(unused_for), false},
    {"repair", NULL, NULL, "Remove what is damaged, and fetch it again", FLAG(repair), false},
    {"no-trunc", NULL, NULL, "Whole IDs, not their first 12 digits", FLAG(no_trunc), false},
    {"quick", NULL, NULL, "Do not read the contents of files", FLAG(quick), false},

    /* launch */
    {"no-limits", NULL, NULL, "Resource limits are the service's own affair", FLAG(no_limits), false},
    {"stop", NULL, NULL, "Send StopSignal= to $MAINPID and wait for its end: for ExecStop=", FLAG(stop_payload), false},
    {"cleanup", NULL, NULL, "Remove what a launch has made: for ExecStopPost=", FLAG(cleanup), false},
    /* logs */
    {"follow", "f", NULL, "Go on with new lines as they come", FLAG(follow), false},
    {"dmesg", "k", NULL, "The kernel's log of this boot, with what davit itself said in it", FLAG(dmesg), false},
    {"lines", "n", "N", "The last N lines", STRING(lines), false},
    {"tail", NULL, "N", "The same, as docker has it", STRING(tail), false},
    {"unit", "u", "UNIT", "This unit's, as journalctl has it (may be repeated)", STRINGS(units), false},
    {"since", "S", "TIME", "From this time on: 2026-11-21 05:46, today, -5min, ...", STRING(since), false},
    {"until", "U", "TIME", "Up to this time", STRING(until), false},

    /* exec and run */
    {"interactive", "i", NULL, "Pass standard input on", FLAG(interactive), false},
    {"tty", "t", NULL, "With a terminal", FLAG(terminal), false},
    {"env", "e", "NAME[=VALUE]", "Set an environment variable, or pass it on", STRINGS(env), false},
    {"user", "u", "USER[:GROUP]", "As this user of the container", STRING(user), false},
    {"workdir", "w", "DIR", "In this directory of the container", STRING(workdir), false},
    {"privileged", NULL, NULL, "With all capabilities", FLAG(privileged), false},

    /* run */
    {"name", NULL, "NAME", "Name of the container", STRING(name), false},
    {"detach", "d", NULL, "Print the name and leave it running; its output goes to the log", FLAG(detach), false},
    {"rm", NULL, NULL, "Remove the container when it ends: always so", FLAG(remove), false},
    {"hostname", NULL, "NAME", "Host name (default: the container's name)", STRING(hostname), false},
    {"volume", "v", "SOURCE:TARGET[:OPTIONS]", "Mount a volume or a directory of the host", STRINGS(volumes), false},
    {"mount", NULL, "type=TYPE,...", "Mount, the long way", STRINGS(mounts), false},
    {"tmpfs", NULL, "TARGET[:OPTIONS]", "Mount an empty file system in memory", STRINGS(tmpfs), false},
    {"env-file", NULL, "FILE", "Environment variables from a file", STRINGS(env_files), false},
    {"memory", "m", "SIZE", "Memory limit", STRING(memory), false},
    {"memory-swap", NULL, "SIZE", "Limit of memory and swap together, -1 for none", STRING(memory_swap), false},
    {"cpus", NULL, "N", "CPU limit: 1.5 is one and a half CPUs", STRING(cpus), false},
    {"pids-limit", NULL, "N", "Limit of processes and threads, -1 for none", STRING(pids_limit), false},
    {"ulimit", NULL, "NAME=SOFT[:HARD]", "Resource limit of the process", STRINGS(ulimits), false},
    {"shm-size", NULL, "SIZE", "Size of /dev/shm", STRING(shm_size), false},
    {"device", NULL, "SOURCE[:TARGET[:rwm]]", "Give it a device", STRINGS(devices), false},
    {"cap-add", NULL, "CAPABILITY", "Add a capability", STRINGS(cap_add), false},
    {"cap-drop", NULL, "CAPABILITY", "Drop a capability, or all", STRINGS(cap_drop), false},
    {"security-opt", NULL, "OPTION", "no-new-privileges, mask=PATH, unmask=PATH", STRINGS(security_opt), false},
    {"userns", NULL, "MODE", "User namespace: auto, auto:size=N, host", STRING(userns), false},
    {"network", NULL, "MODE", "Network: host, none", STRING(network), false},
    {"dns", NULL, "ADDRESS", "Name server", STRINGS(dns), false},
    {"add-host", NULL, "NAME:ADDRESS", "Line in /etc/hosts", STRINGS(add_host), false},
    {"group-add", NULL, "GROUP", "Supplementary group", STRINGS(group_add), false},
    {"sysctl", NULL, "NAME=VALUE", "Kernel setting of its namespaces", STRINGS(sysctl), false},
    {"label", NULL, "NAME=VALUE", "Label", STRINGS(labels), false},
    {"annotation", NULL, "NAME=VALUE", "Annotation", STRINGS(annotations), false},
    {"entrypoint", NULL, "COMMAND", "Program instead of the image's entry point", STRING(entrypoint), false},
    {"read-only", NULL, NULL, "Root file system read-only", FLAG(read_only), false},
    {"init", NULL, NULL, "With an init as its first process", FLAG(init), false},
    {"stop-signal", NULL, "SIGNAL", "Signal that asks it to end", STRING(stop_signal), false},
    {"stop-timeout", NULL, "SECONDS", "Time to end before it is killed", STRING(stop_timeout), false},
    {"tz", NULL, "ZONE", "Time zone", STRING(tz), false},
    {"pull", NULL, "POLICY", "Fetch the image: missing (default), always, newer, never", STRING(pull), false},
    {"unit-property", NULL, "KEY=VALUE", "Any other key of a .container file, or SECTION.KEY=VALUE", STRINGS(unit_properties), false},

    /* image pull, login, logout */
    {"policy", NULL, "POLICY", "always (default), missing, newer, never", STRING(policy), false},
    {"platform", NULL, "OS/ARCH[/VARIANT]", "Which one of several: linux/arm64", STRING(platform), false},
    {"os", NULL, "OS", "The operating system alone", STRING(os), false},
    {"arch", NULL, "ARCH", "The architecture alone", STRING(arch), false},
    {"variant", NULL, "VARIANT", "The variant of the architecture alone", STRING(variant), false},
    {"all-tags", NULL, NULL, "All tags of the repository", FLAG(all_tags), false},
    {"authfile", NULL, "FILE", "File with credentials, instead of the usual ones", STRING(authfile), false},
    {"creds", NULL, "USER:PASSWORD", "Credentials", STRING(creds), false},
    {"cert-dir", NULL, "DIR", "Directory of certificates for the registry", STRING(cert_dir), false},
    {"tls-verify", NULL, "BOOL", "false: any certificate will do, and plain HTTP", STRING(tls_verify), false},
    {"retry", NULL, "N", "How often a request is tried again (default 3)", STRING(retry), false},
    {"retry-delay", NULL, "TIME", "Time between two tries (default: growing)", STRING(retry_delay), false},
    {"username", "u", "USER", "Who to sign in as", STRING(username), false},
    {"password-stdin", NULL, NULL, "The password is on standard input", FLAG(password_stdin), false},
};
/* clang-format on */
const size_t n_options = ARRAY_SIZE(option_table);

bool verb_takes(const struct verb *v, const struct option_info *o) {
    if (o->general)
        return true;
    if (!v || !v->options)
        return false;
    size_t n = strlen(o->name);
    for (const char *p = v->options; *p; p += strspn(p, " ")) {
        size_t word = strcspn(p, " ");
        if (word == n && strncmp(p, o->name, n) == 0)
            return true;
        p += word;
    }
    return false;
}

static int option_store(struct cli_options *options, const struct option_info *o, const char *value) {
    void *field = (char *)options + o->offset;
    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return 0;
    case OPTION_COUNT:
        *(unsigned *)field += 1;
        return 0;
    case OPTION_STRING:
        *(const char **)field = value;
        return 0;
    case OPTION_STRINGS:
        return strv_append((char ***)field, value);
    }
    return -EINVAL;
}

static void complain(const struct verb *v, int c, char **argv) {
    const char *word = argv[optind - 1];
    char letter[3] = {'-', (char)optopt, 0};

    if (optopt > 0 && optopt < 256)
        word = letter;
    if (c == ':')
        cli_error("%s needs a value", word);
    else
        cli_error("there is no option %s%s%s", word, v ? " for " : "", v ? v->name : "");
    (void)fprintf(stderr, "Try 'davit%s%s --help'.\n", v ? " " : "", v ? v->name : "");
}

int options_parse(struct cli_options *options, const struct verb *v, int argc, char **argv) {
    struct option longs[ARRAY_SIZE(option_table) + 1];
    const struct option_info *by_letter[256] = {};
    struct strbuf shorts = {};
    size_t n = 0;

    /* Before the verb, and for verbs that take a command line, options end at the first argument. */
    strbuf_puts(&shorts, !v || v->program ? "+:" : ":");
    for (size_t i = 0; i < n_options; i++) {
        const struct option_info *o = &option_table[i];
        if (!verb_takes(v, o))
            continue;
        longs[n++] =
            (struct option){o->name, o->argument ? required_argument : no_argument, NULL, 256 + (int)i};
        if (!o->letter)
            continue;
        by_letter[(unsigned char)o->letter[0]] = o;
        strbuf_printf(&shorts, "%s%s", o->letter, o->argument ? ":" : "");
    }
    longs[n] = (struct option){};
    _cleanup_free_ char *letters = strbuf_take(&shorts);
    if (!letters)
        return -ENOMEM;

    opterr = 0;
    optind = 0; /* glibc: start anew, with the new first character of letters */
    for (;;) {
        optopt = 0;
        int c = getopt_long(argc, argv, letters, longs, NULL);
        if (c < 0)
            return optind;
        const struct option_info *o = c >= 256 ? &option_table[c - 256] : by_letter[c & 255];
        if (c == '?' || c == ':' || !o) {
            complain(v, c, argv);
            return -EINVAL;
        }
        int r = option_store(options, o, optarg);
        if (r < 0)
            return r;
    }
}

void options_done(struct cli_options *options) {
    for (size_t i = 0; i < n_options; i++)
        if (option_table[i].kind == OPTION_STRINGS)
            strv_free(*(char ***)(void *)((char *)options + option_table[i].offset));
    *options = (struct cli_options){};
}
