/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"

#include <string.h>

#include "base/parse.h"

#define BLANKS " \t\r\n"

#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
#define USEC_PER_WEEK (7 * USEC_PER_DAY)
/* systemd.time(7): a year is 365.25 days, a month a twelfth of it (30.44 days). */
#define USEC_PER_YEAR (31557600 * USEC_PER_SEC)
#define USEC_PER_MONTH (USEC_PER_YEAR / 12)

usec_t clock_usec(clockid_t clock) {
    struct timespec ts;

    /* Fails only for a clock that the kernel does not have, and the ones used here it always has. */
    (void)clock_gettime(clock, &ts);
    return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / NSEC_PER_USEC;
}

/* ---- time spans ---- */

/* Case matters: m is a minute and M a month. */
static const struct {
    const char *name;
    usec_t usec;
} units[] = {
    {"", USEC_PER_SEC},
    {"usec", 1},
    {"us", 1},
    {"\xC2\xB5s" /* U+00B5 micro sign */, 1},
    {"\xCE\xBCs" /* U+03BC Greek mu */, 1},
    {"msec", USEC_PER_MSEC},
    {"ms", USEC_PER_MSEC},
    {"seconds", USEC_PER_SEC},
    {"second", USEC_PER_SEC},
    {"sec", USEC_PER_SEC},
    {"s", USEC_PER_SEC},
    {"minutes", USEC_PER_MINUTE},
    {"minute", USEC_PER_MINUTE},
    {"min", USEC_PER_MINUTE},
    {"m", USEC_PER_MINUTE},
    {"hours", USEC_PER_HOUR},
    {"hour", USEC_PER_HOUR},
    {"hr", USEC_PER_HOUR},
    {"h", USEC_PER_HOUR},
    {"days", USEC_PER_DAY},
    {"day", USEC_PER_DAY},
    {"d", USEC_PER_DAY},
    {"weeks", USEC_PER_WEEK},
    {"week", USEC_PER_WEEK},
    {"w", USEC_PER_WEEK},
    {"months", USEC_PER_MONTH},
    {"month", USEC_PER_MONTH},
    {"M", USEC_PER_MONTH},
    {"years", USEC_PER_YEAR},
    {"year", USEC_PER_YEAR},
    {"y", USEC_PER_YEAR},
};

static const char *skip_blanks(const char *s) {
    return s + strspn(s, BLANKS);
}

/* Takes a unit, possibly "", off *p. The name goes on to the next digit, point or blank: "1h30min". */
static int take_unit(const char **p, usec_t *ret) {
    size_t n = strcspn(*p, "0123456789.+-" BLANKS);

    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (strlen(units[i].name) == n && memcmp(units[i].name, *p, n) == 0) {
            *p += n;
            *ret = units[i].usec;
            return 0;
        }
    }
    return -EINVAL;
}

/* Takes "NUMBER [UNIT]" and blanks behind it off *p, and adds it to *total. */
static int take_part(const char **p, usec_t *total) {
    struct decimal number;
    usec_t unit, part;

    if (**p == '-')
        return -ERANGE;
    if (**p == '+')
        (*p)++;
    int r = decimal_take(p, &number);
    if (r < 0)
        return r;
    /* "12.34.56" is a slip of the pen, not two numbers. */
    if (number.n_fraction > 0 && **p == '.')
        return -EINVAL;
    *p = skip_blanks(*p);
    r = take_unit(p, &unit);
    if (r < 0)
        return r;

    r = decimal_multiply(&number, unit, &part);
    if (r < 0)
        return r;
    *total = usec_add(*total, part);
    if (*total == USEC_INFINITY)
        return -ERANGE;
    *p = skip_blanks(*p);
    return 0;
}

int timespan_parse(const char *s, usec_t *ret) {
    usec_t total = 0;

    s = skip_blanks(s);
    const char *rest = startswith(s, "infinity");
    if (rest) {
        if (*skip_blanks(rest))
            return -EINVAL;
        *ret = USEC_INFINITY;
        return 0;
    }

    do {
        int r = take_part(&s, &total);
        if (r < 0)
            return r;
    } while (*s);
    *ret = total;
    return 0;
}

/* Writes the fraction of a unit ("5" for half a second) with no more digits than accuracy asks for and
 * without zeros at its end; "" if nothing is left of it. */
static void format_fraction(usec_t rest, usec_t unit, usec_t accuracy, char digits[static 8]) {
    size_t n = 0;
    for (usec_t step = unit / 10; step >= accuracy && step > 0; step /= 10) {
        digits[n++] = (char)('0' + rest / step);
        rest %= step;
    }
    while (n > 0 && digits[n - 1] == '0')
        n--;
    digits[n] = '\0';
}

const char *timespan_format(usec_t t, usec_t accuracy, char buffer[static TIMESPAN_MAX]) {
    static const struct {
        const char *name;
        usec_t usec;
    } parts[] = {
        {"y", USEC_PER_YEAR},
        {"month", USEC_PER_MONTH},
        {"w", USEC_PER_WEEK},
        {"d", USEC_PER_DAY},
        {"h", USEC_PER_HOUR},
        {"min", USEC_PER_MINUTE},
        {"s", USEC_PER_SEC},
        {"ms", USEC_PER_MSEC},
        {"us", 1},
    };
    size_t n = 0;

    if (t == USEC_INFINITY)
        return "infinity";
    if (t == 0)
        return "0";

    accuracy = MAX(accuracy, (usec_t)1);
    for (size_t i = 0; i < ARRAY_SIZE(parts) && t > 0 && (n == 0 || t >= accuracy); i++) {
        if (t < parts[i].usec)
            continue;

        unsigned long long count = t / parts[i].usec;
        char digits[8] = "";
        t %= parts[i].usec;
        if (parts[i].usec <= USEC_PER_SEC) {
            format_fraction(t, parts[i].usec, accuracy, digits);
            t = 0;
        }
        /* Fits: the greatest span is "584554y 11month 4w 2d 23h 59min 59.999999s". */
        n += (size_t)snprintf(buffer + n, TIMESPAN_MAX - n, "%s%llu%s%s%s", n > 0 ? " " : "", count,
            digits[0] ? "." : "", digits, parts[i].name);
    }
    return buffer;
}

/* ---- points in time, for people ---- */

static const char weekdays[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

const char *timestamp_format(usec_t realtime, char buffer[static TIMESTAMP_MAX]) {
    time_t seconds = (time_t)(realtime / USEC_PER_SEC);
    struct tm tm;

    if (realtime == 0 || realtime == USEC_INFINITY || !localtime_r(&seconds, &tm))
        return "n/a";
    /* The weekday is not left to strftime(): that asks the locale for its name. */
    size_t n = (size_t)snprintf(buffer, TIMESTAMP_MAX, "%s ", weekdays[tm.tm_wday % 7]);
    (void)strftime(buffer + n, TIMESTAMP_MAX - n, "%Y-%m-%d %H:%M:%S %Z", &tm);
    return buffer;
}

const char *timestamp_format_rfc3339(usec_t realtime, char buffer[static TIMESTAMP_MAX]) {
    time_t seconds = (time_t)(realtime / USEC_PER_SEC);
    struct tm tm;

    if (!gmtime_r(&seconds, &tm))
        return "n/a";
    size_t n = strftime(buffer, TIMESTAMP_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(buffer + n, TIMESTAMP_MAX - n, ".%06u000Z", (unsigned)(realtime % USEC_PER_SEC));
    return buffer;
}

/* Takes exactly n digits off *p. */
static bool take_digits(const char **p, unsigned n, int low, int high, int *ret) {
    int value = 0;
    for (unsigned i = 0; i < n; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        value = value * 10 + (**p - '0');
    }
    *ret = value;
    return value >= low && value <= high;
}

static bool take_char(const char **p, char c) {
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

/* "YYYY-MM-DD" */
static bool take_date(const char **p, struct tm *tm) {
    int year, month;
    if (!take_digits(p, 4, 1970, 9999, &year) || !take_char(p, '-') || !take_digits(p, 2, 1, 12, &month) ||
        !take_char(p, '-') || !take_digits(p, 2, 1, 31, &tm->tm_mday))
        return false;
    tm->tm_year = year - 1900;
    tm->tm_mon = month - 1;
    return true;
}

/* "HH:MM[:SS[.FRACTION]]"; 60 is a leap second. */
static bool take_time(const char **p, struct tm *tm, usec_t *fraction) {
    struct decimal d;

    if (!take_digits(p, 2, 0, 23, &tm->tm_hour) || !take_char(p, ':') ||
        !take_digits(p, 2, 0, 59, &tm->tm_min))
        return false;
    if (!take_char(p, ':'))
        return true;
    if (!take_digits(p, 2, 0, 60, &tm->tm_sec))
        return false;
    return **p != '.' || (decimal_take(p, &d) == 0 && decimal_multiply(&d, USEC_PER_SEC, fraction) == 0);
}

/* "Z", " UTC" or "+HH:MM": *ret_utc is set and *ret_offset is the seconds east of Greenwich. The name of the
 * local zone, as timestamp_format() writes it, and nothing at all mean local time. */
static bool take_zone(const char **p, const struct tm *tm, bool *ret_utc, int *ret_offset) {
    struct tm copy = *tm;
    int hours, minutes;

    *ret_offset = 0;
    *ret_utc = true;
    if (take_char(p, 'Z') || take_char(p, 'z'))
        return true;
    if (**p == '+' || **p == '-') {
        bool west = *(*p)++ == '-';
        if (!take_digits(p, 2, 0, 23, &hours) || !take_char(p, ':') || !take_digits(p, 2, 0, 59, &minutes))
            return false;
        *ret_offset = (west ? -60 : 60) * (60 * hours + minutes);
        return true;
    }
    if (streq(*p, " UTC")) {
        *p += strlen(" UTC");
        return true;
    }

    *ret_utc = false;
    if (**p == ' ' && mktime(&copy) != (time_t)-1 && copy.tm_zone && streq(*p + 1, copy.tm_zone))
        *p += strlen(*p);
    return true;
}

/* Seconds since the epoch; false for a day like February 30, which these functions would turn into March 2.
 */
static bool calendar_to_seconds(const struct tm *tm, bool utc, int offset, time_t *ret) {
    struct tm copy = *tm;
    copy.tm_isdst = -1;
    time_t t = utc ? timegm(&copy) : mktime(&copy);
    if (copy.tm_mon != tm->tm_mon && tm->tm_sec < 60)
        return false;
    *ret = t - offset;
    return *ret >= 0;
}

static int parse_calendar(const char *s, usec_t *ret) {
    struct tm tm = {.tm_isdst = -1};
    usec_t fraction = 0;
    bool utc;
    int offset;
    time_t seconds;

    for (size_t i = 0; i < ARRAY_SIZE(weekdays); i++) {
        const char *rest = startswith(s, weekdays[i]);
        if (rest && *rest == ' ')
            s = rest + 1;
    }
    if (!take_date(&s, &tm))
        return -EINVAL;
    /* A blank may stand before the zone as well. */
    bool has_time = *s == 'T' || *s == 't' || (*s == ' ' && s[1] >= '0' && s[1] <= '9');
    if (has_time) {
        s++;
        if (!take_time(&s, &tm, &fraction))
            return -EINVAL;
    }
    if (!take_zone(&s, &tm, &utc, &offset) || *s || !calendar_to_seconds(&tm, utc, offset, &seconds))
        return -EINVAL;
    *ret = (usec_t)seconds * USEC_PER_SEC + fraction;
    return 0;
}

/* Local midnight, days away from the day that now is in. */
static int parse_midnight(usec_t now, int days, usec_t *ret) {
    time_t seconds = (time_t)(now / USEC_PER_SEC);
    struct tm tm;

    if (!localtime_r(&seconds, &tm))
        return -EINVAL;
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    tm.tm_mday += days; /* mktime() carries it over into the month */
    tm.tm_isdst = -1;
    seconds = mktime(&tm);
    if (seconds < 0)
        return -EINVAL;
    *ret = (usec_t)seconds * USEC_PER_SEC;
    return 0;
}

/* "-SPAN", "SPAN ago", "+SPAN" */
static int parse_relative(const char *s, usec_t now, usec_t *ret) {
    bool past = *s == '-', future = *s == '+';
    const char *ago = endswith(s, " ago");
    usec_t span;

    if (past + future + (ago != NULL) != 1)
        return -EINVAL;
    _cleanup_free_ char *text = ago ? strndup(s, (size_t)(ago - s)) : strdup(s + 1);
    if (!text || timespan_parse(text, &span) < 0 || span == USEC_INFINITY)
        return -EINVAL;
    if (future)
        *ret = usec_add(now, span);
    else
        *ret = now > span ? now - span : 0;
    return 0;
}

/* "@SECONDS[.FRACTION]" */
static int parse_epoch(const char *s, usec_t *ret) {
    struct decimal d;
    usec_t t;

    if (decimal_take(&s, &d) < 0 || *s || decimal_multiply(&d, USEC_PER_SEC, &t) < 0)
        return -EINVAL;
    *ret = t;
    return 0;
}

int timestamp_parse(const char *s, usec_t now, usec_t *ret_realtime) {
    if (streq(s, "now")) {
        *ret_realtime = now;
        return 0;
    }
    if (streq(s, "today"))
        return parse_midnight(now, 0, ret_realtime);
    if (streq(s, "yesterday"))
        return parse_midnight(now, -1, ret_realtime);
    if (*s == '@')
        return parse_epoch(s + 1, ret_realtime);
    if (parse_calendar(s, ret_realtime) == 0)
        return 0;
    return parse_relative(s, now, ret_realtime);
}
