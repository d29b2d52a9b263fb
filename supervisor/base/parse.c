/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/parse.h"

#include <signal.h>

#define BLANKS " \t\r\n"

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Without strcasecmp(): that asks the locale. */
static bool equal_any_case(const char *a, const char *b) {
    while (*a && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

int parse_boolean(const char *s, bool *ret) {
    static const char *const yes[] = {"1", "yes", "y", "true", "t", "on"};
    static const char *const no[] = {"0", "no", "n", "false", "f", "off"};

    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        if (equal_any_case(s, yes[i])) {
            *ret = true;
            return 0;
        }
        if (equal_any_case(s, no[i])) {
            *ret = false;
            return 0;
        }
    }
    return -EINVAL;
}

/* Takes at least one digit of the base off *p. */
static int take_number(const char **p, unsigned base, uint64_t *ret) {
    uint64_t value = 0;
    const char *s = *p;
    bool overflow = false;

    for (; is_digit(*s) && (unsigned)(*s - '0') < base; s++)
        overflow |= __builtin_mul_overflow(value, base, &value) ||
                    __builtin_add_overflow(value, (unsigned)(*s - '0'), &value);
    if (s == *p)
        return -EINVAL;
    *p = s;
    if (overflow)
        return -ERANGE;
    *ret = value;
    return 0;
}

/* The whole of s, in the base. "12x" is no number even where 12 is out of range. */
static int whole_number(const char *s, unsigned base, uint64_t *ret) {
    uint64_t value = 0;
    int r = take_number(&s, base, &value);
    if (*s)
        return -EINVAL;
    if (r == 0)
        *ret = value;
    return r;
}

int parse_uint(const char *s, uint64_t low, uint64_t high, uint64_t *ret) {
    uint64_t value = 0;
    int r = whole_number(s, 10, &value);
    if (r < 0)
        return r;
    if (value < low || value > high)
        return -ERANGE;
    *ret = value;
    return 0;
}

int parse_int(const char *s, int64_t low, int64_t high, int64_t *ret) {
    bool negative = *s == '-';
    uint64_t magnitude = 0;

    int r = whole_number(s + (*s == '-' || *s == '+'), 10, &magnitude);
    if (r < 0)
        return r;
    if (magnitude > (uint64_t)INT64_MAX + negative)
        return -ERANGE;
    /* Negated as unsigned: -INT64_MIN has no signed form. */
    int64_t value = (int64_t)(negative ? 0 - magnitude : magnitude);
    if (value < low || value > high)
        return -ERANGE;
    *ret = value;
    return 0;
}

int parse_mode(const char *s, mode_t *ret) {
    uint64_t value = 0;
    int r = whole_number(s, 8, &value);
    if (r < 0)
        return r;
    if (value > 07777)
        return -ERANGE;
    *ret = (mode_t)value;
    return 0;
}

int parse_id(const char *s, uint32_t *ret) {
    uint64_t value = 0;
    int r = parse_uint(s, 0, UINT32_MAX - 1, &value);
    if (r < 0)
        return r;
    *ret = (uint32_t)value;
    return 0;
}

int decimal_take(const char **p, struct decimal *ret) {
    struct decimal d = {};
    const char *s = *p;
    int r = 0;

    if (is_digit(*s))
        r = take_number(&s, 10, &d.whole);
    else if (*s != '.')
        return -EINVAL;
    if (*s == '.') {
        d.fraction = ++s;
        while (is_digit(*s))
            s++;
        d.n_fraction = (size_t)(s - d.fraction);
        if (d.n_fraction == 0)
            return -EINVAL;
    }
    if (r < 0)
        return r;
    *p = s;
    *ret = d;
    return 0;
}

int decimal_multiply(const struct decimal *d, uint64_t unit, uint64_t *ret) {
    /* From the last digit to the first: dividing by ten in each step and rounding down gives the same as one
     * division at the end, and no intermediate value grows beyond ten units. */
    uint64_t fraction = 0, value;
    for (size_t i = d->n_fraction; i > 0; i--)
        fraction = ((uint64_t)(d->fraction[i - 1] - '0') * unit + fraction) / 10;

    if (__builtin_mul_overflow(d->whole, unit, &value) || __builtin_add_overflow(value, fraction, &value))
        return -ERANGE;
    *ret = value;
    return 0;
}

/* Takes a size suffix off *p; no suffix is a unit of 1. */
static uint64_t take_size_unit(const char **p, uint64_t base) {
    static const char prefixes[] = "kmgtpe";
    const char *prefix = **p ? strchr(prefixes, lower(**p)) : NULL;
    uint64_t unit = 1;

    if (prefix) {
        /* "KiB" is 1024 wherever it stands (IEC 80000-13); "K" and "KB" follow the key they are in. */
        if (lower((*p)[1]) == 'i' && lower((*p)[2]) == 'b') {
            base = 1024;
            (*p)++;
        }
        for (const char *i = prefixes; i <= prefix; i++)
            unit *= base;
        (*p)++;
    }
    if (lower(**p) == 'b')
        (*p)++;
    return unit;
}

int parse_size(const char *s, uint64_t base, uint64_t *ret) {
    struct decimal number;
    uint64_t value;

    if (streq(s, "infinity")) {
        *ret = UINT64_MAX;
        return 0;
    }

    int r = decimal_take(&s, &number);
    if (r < 0)
        return r;
    s += strspn(s, BLANKS);
    uint64_t unit = take_size_unit(&s, base);
    if (*s)
        return -EINVAL;
    r = decimal_multiply(&number, unit, &value);
    if (r < 0)
        return r;
    if (value == UINT64_MAX) /* would read as infinity */
        return -ERANGE;
    *ret = value;
    return 0;
}

int parse_permyriad(const char *s, uint64_t limit, uint64_t *ret) {
    struct decimal number;
    uint64_t value;

    int r = decimal_take(&s, &number);
    if (r < 0)
        return r;
    if (!streq(s, "%") || number.n_fraction > 2)
        return -EINVAL;
    r = decimal_multiply(&number, 100, &value);
    if (r < 0)
        return r;
    if (value > limit)
        return -ERANGE;
    *ret = value;
    return 0;
}

/* ---- signals ---- */

static const struct {
    const char *name;
    int number;
} signals[] = {
    {"SIGHUP", SIGHUP},
    {"SIGINT", SIGINT},
    {"SIGQUIT", SIGQUIT},
    {"SIGILL", SIGILL},
    {"SIGTRAP", SIGTRAP},
    {"SIGABRT", SIGABRT},
    {"SIGBUS", SIGBUS},
    {"SIGFPE", SIGFPE},
    {"SIGKILL", SIGKILL},
    {"SIGUSR1", SIGUSR1},
    {"SIGSEGV", SIGSEGV},
    {"SIGUSR2", SIGUSR2},
    {"SIGPIPE", SIGPIPE},
    {"SIGALRM", SIGALRM},
    {"SIGTERM", SIGTERM},
    {"SIGSTKFLT", SIGSTKFLT},
    {"SIGCHLD", SIGCHLD},
    {"SIGCONT", SIGCONT},
    {"SIGSTOP", SIGSTOP},
    {"SIGTSTP", SIGTSTP},
    {"SIGTTIN", SIGTTIN},
    {"SIGTTOU", SIGTTOU},
    {"SIGURG", SIGURG},
    {"SIGXCPU", SIGXCPU},
    {"SIGXFSZ", SIGXFSZ},
    {"SIGVTALRM", SIGVTALRM},
    {"SIGPROF", SIGPROF},
    {"SIGWINCH", SIGWINCH},
    {"SIGIO", SIGIO},
    {"SIGPWR", SIGPWR},
    {"SIGSYS", SIGSYS},
    /* Second names; signal_name() gives the first. */
    {"SIGPOLL", SIGPOLL},
    {"SIGCLD", SIGCHLD},
    {"SIGIOT", SIGABRT},
};

/* "RTMIN", "RTMIN+3", "RTMAX-2", without "SIG". */
static int parse_realtime_signal(const char *s, int *ret) {
    uint64_t offset = 0, span = (uint64_t)(SIGRTMAX - SIGRTMIN);
    const char *rest;
    bool from_min = true;

    rest = startswith(s, "RTMIN");
    if (!rest) {
        rest = startswith(s, "RTMAX");
        from_min = false;
    }
    if (!rest)
        return -EINVAL;
    if (*rest) {
        if (*rest != (from_min ? '+' : '-'))
            return -EINVAL;
        int r = parse_uint(rest + 1, 0, span, &offset);
        if (r < 0)
            return r;
    }
    *ret = from_min ? SIGRTMIN + (int)offset : SIGRTMAX - (int)offset;
    return 0;
}

int parse_signal(const char *s, int *ret) {
    uint64_t number;

    if (is_digit(*s)) {
        int r = parse_uint(s, 1, (uint64_t)SIGRTMAX, &number);
        if (r < 0)
            return r;
        *ret = (int)number;
        return 0;
    }

    const char *rest = startswith(s, "SIG");
    if (rest)
        s = rest;
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        if (streq(signals[i].name + strlen("SIG"), s)) {
            *ret = signals[i].number;
            return 0;
        }
    }
    return parse_realtime_signal(s, ret);
}

const char *signal_name(int number, char buffer[static 16]) {
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        if (signals[i].number == number)
            return signals[i].name;

    if (number == SIGRTMIN)
        return "SIGRTMIN";
    if (number > SIGRTMIN && number <= SIGRTMAX)
        (void)snprintf(buffer, 16, "SIGRTMIN+%d", number - SIGRTMIN);
    else
        (void)snprintf(buffer, 16, "%d", number);
    return buffer;
}

/* ---- exit statuses: systemd.exec(5), "Process Exit Codes", which takes in LSB's and <sysexits.h>'s ---- */

static const char *const exit_statuses[UINT8_MAX + 1] = {
    [0] = "SUCCESS",
    [1] = "FAILURE",
    [2] = "INVALIDARGUMENT",
    [3] = "NOTIMPLEMENTED",
    [4] = "NOPERMISSION",
    [5] = "NOTINSTALLED",
    [6] = "NOTCONFIGURED",
    [7] = "NOTRUNNING",
    [64] = "USAGE",
    [65] = "DATAERR",
    [66] = "NOINPUT",
    [67] = "NOUSER",
    [68] = "NOHOST",
    [69] = "UNAVAILABLE",
    [70] = "SOFTWARE",
    [71] = "OSERR",
    [72] = "OSFILE",
    [73] = "CANTCREAT",
    [74] = "IOERR",
    [75] = "TEMPFAIL",
    [76] = "PROTOCOL",
    [77] = "NOPERM",
    [78] = "CONFIG",
    [200] = "CHDIR",
    [201] = "NICE",
    [202] = "FDS",
    [203] = "EXEC",
    [204] = "MEMORY",
    [205] = "LIMITS",
    [206] = "OOM_ADJUST",
    [207] = "SIGNAL_MASK",
    [208] = "STDIN",
    [209] = "STDOUT",
    [210] = "CHROOT",
    [211] = "IOPRIO",
    [212] = "TIMERSLACK",
    [213] = "SECUREBITS",
    [214] = "SETSCHEDULER",
    [215] = "CPUAFFINITY",
    [216] = "GROUP",
    [217] = "USER",
    [218] = "CAPABILITIES",
    [219] = "CGROUP",
    [220] = "SETSID",
    [221] = "CONFIRM",
    [222] = "STDERR",
    [224] = "PAM",
    [225] = "NETWORK",
    [226] = "NAMESPACE",
    [227] = "NO_NEW_PRIVILEGES",
    [228] = "SECCOMP",
    [229] = "SELINUX_CONTEXT",
    [230] = "PERSONALITY",
    [231] = "APPARMOR",
    [232] = "ADDRESS_FAMILIES",
    [233] = "RUNTIME_DIRECTORY",
    [235] = "CHOWN",
    [236] = "SMACK_PROCESS_LABEL",
    [237] = "KEYRING",
    [238] = "STATE_DIRECTORY",
    [239] = "CACHE_DIRECTORY",
    [240] = "LOGS_DIRECTORY",
    [241] = "CONFIGURATION_DIRECTORY",
    [242] = "NUMA_POLICY",
    [243] = "CREDENTIALS",
    [244] = "BPF",
    [245] = "KSM",
    [255] = "EXCEPTION",
};

int parse_exit_status(const char *s, uint8_t *ret) {
    uint64_t number;

    for (size_t i = 0; i < ARRAY_SIZE(exit_statuses); i++) {
        if (exit_statuses[i] && streq(exit_statuses[i], s)) {
            *ret = (uint8_t)i;
            return 0;
        }
    }
    int r = parse_uint(s, 0, UINT8_MAX, &number);
    if (r < 0)
        return r;
    *ret = (uint8_t)number;
    return 0;
}

/* ---- CPU lists ---- */

/* Takes one "N" or "N-M" and the separators behind it off *p. */
static int take_cpu_range(const char **p, size_t max_cpus, uint64_t *ret_first, uint64_t *ret_last) {
    uint64_t first, last;

    int r = take_number(p, 10, &first);
    if (r < 0)
        return r;
    last = first;
    if (**p == '-') {
        (*p)++;
        r = take_number(p, 10, &last);
        if (r < 0)
            return r;
    }

    size_t separators = strspn(*p, "," BLANKS);
    if ((separators == 0 && **p) || last < first)
        return -EINVAL;
    if (last >= max_cpus)
        return -ERANGE;
    *p += separators;
    *ret_first = first;
    *ret_last = last;
    return 0;
}

int parse_cpu_list(const char *s, uint8_t *bitmap, size_t max_cpus) {
    uint64_t first, last;

    s += strspn(s, BLANKS);
    if (*s == '\0')
        return -EINVAL;

    /* Once to check and once to store: on failure the bitmap stays as it was. */
    for (const char *p = s; *p;) {
        int r = take_cpu_range(&p, max_cpus, &first, &last);
        if (r < 0)
            return r;
    }
    memset(bitmap, 0, (max_cpus + 7) / 8);
    for (const char *p = s; *p;) {
        (void)take_cpu_range(&p, max_cpus, &first, &last);
        for (uint64_t cpu = first; cpu <= last; cpu++)
            bitmap[cpu / 8] |= (uint8_t)(1U << (cpu % 8));
    }
    return 0;
}

const char *size_format(uint64_t bytes, char buffer[static 16]) {
    static const char prefixes[] = "KMGTPE";
    unsigned power = 0;

    if (bytes == UINT64_MAX)
        return "infinity";
    while (power < strlen(prefixes) && bytes >> (10 * (power + 1)))
        power++;
    if (power == 0) {
        (void)snprintf(buffer, 16, "%uB", (unsigned)bytes);
        return buffer;
    }

    uint64_t unit = UINT64_C(1) << (10 * power);
    (void)snprintf(buffer, 16, "%u.%u%c", (unsigned)(bytes / unit), (unsigned)(bytes % unit * 10 / unit),
        prefixes[power - 1]);
    return buffer;
}
