/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text to checked values. Every function takes the whole string or fails with -EINVAL (not of that form) or
 * -ERANGE (out of range) and leaves *ret untouched. No locale, no octal surprises, no partial reads. */
#pragma once

#include "base/clock.h"
#include "base/str.h"

/* 1 yes y true t on / 0 no n false f off, any case. */
int parse_boolean(const char *s, bool *ret);
/* Decimal digits only. */
int parse_uint(const char *s, uint64_t low, uint64_t high, uint64_t *ret);
/* An optional sign and decimal digits. */
int parse_int(const char *s, int64_t low, int64_t high, int64_t *ret);
/* An unsigned decimal number with an optional fraction ("1.5", ".5", never "5."), kept as text until its unit
 * is known, so that no precision is lost. fraction points into the parsed text. */
struct decimal {
    uint64_t whole;
    const char *fraction;
    size_t n_fraction;
};
/* Takes one off *p; *p is untouched on failure. What follows the number is the caller's. */
int decimal_take(const char **p, struct decimal *ret);
/* d times unit (at most 2^60), rounded down. 0 or -ERANGE. */
int decimal_multiply(const struct decimal *d, uint64_t unit, uint64_t *ret);
/* "0755" or "755": octal permission bits up to 07777. */
int parse_mode(const char *s, mode_t *ret);
/* A uid or gid: 0 to 4294967294. 4294967295 is refused: setresuid(-1) means "leave as it is". */
int parse_id(const char *s, uint32_t *ret);
/* "100", "4K", "1.5G": base 1024 with K M G T P E, either case, an optional final B or iB ("100MB",
 * "100MiB"). Also podman's b k m g. base (1024 or 1000) is for K and KB; KiB is always 1024. "infinity" gives
 * UINT64_MAX. */
int parse_size(const char *s, uint64_t base, uint64_t *ret);
/* "50%" or "12.5%" to hundredths of a percent (permyriad); finer fractions are refused. limit is the greatest
 * value taken. */
int parse_permyriad(const char *s, uint64_t limit, uint64_t *ret);
/* "SIGTERM", "TERM", "15", "SIGRTMIN+3", "RTMIN+3". */
int parse_signal(const char *s, int *ret);
/* "SIGTERM", "SIGRTMIN+3"; never NULL. buffer is used for numbers only. */
const char *signal_name(int number, char buffer[static 16]);
/* One of systemd's or sysexits' exit status names or a number 0 to 255. */
int parse_exit_status(const char *s, uint8_t *ret);
/* "0-3,5 7" to a bitmap of max_cpus bits, which is cleared first. */
int parse_cpu_list(const char *s, uint8_t *bitmap, size_t max_cpus);
/* Human size "12.3M" (base 1024), "512B", "infinity". Returns buffer or a constant. */
const char *size_format(uint64_t bytes, char buffer[static 16]);
