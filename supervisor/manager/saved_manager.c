/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Saved state that is not a unit's: <runtime>/state/.manager says how much of the exit feed has been handled,
 * and which davit-init numbered it; .settings is davit.conf as it was last read.
 */
#include <fcntl.h>
#include <inttypes.h>

#include "base/fs.h"
#include "base/parse.h"
#include "base/words.h"
#include "manager/rooms.h"

#define SETTINGS_MAX (64 * 1024)

/* ---- .manager ---- */

/* Names the davit-init (or systemd) that numbers our feed: another one starts at 1 again. As the first two
 * lines of the file; found out once, for nothing of it changes while we live. */
static const char *keeper_identity(void) {
    static char text[128];
    char boot[ID128_TEXT] = "";
    uint64_t started = 0;
    pid_t parent;

    if (*text)
        return text;
    (void)proc_stat_read(getppid(), &parent, &started);
    (void)id128_boot(boot);
    (void)snprintf(text, sizeof(text), "keeper=%d:%" PRIu64 "\nboot=%s", (int)getppid(), started, boot);
    return text;
}

#define SEQUENCE_DIGITS 20

/* For each batch of the feed. The number has always the same width, so that it can be written over the one
 * before: so few bytes, within a page, arrive as a whole. */
static int overwrite_sequence(struct manager *m, const char *text, size_t n) {
    const size_t tail = SEQUENCE_DIGITS + 1;
    struct stat st;

    _cleanup_close_ int fd = openat(m->runtime_fd, "state/.manager", O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return negative_errno();
    if (st.st_size != (off_t)n)
        return -EBADMSG;
    return pwrite(fd, text + n - tail, tail, (off_t)(n - tail)) == (ssize_t)tail ? 0 : -EIO;
}

int saved_write_feed_sequence(struct manager *m, uint64_t sequence) {
    static bool made; /* what is there is of this davitd */
    char text[256];

    size_t n = (size_t)snprintf(
        text, sizeof(text), "%s\nsequence=%0*" PRIu64 "\n", keeper_identity(), SEQUENCE_DIGITS, sequence);
    if (made && overwrite_sequence(m, text, n) >= 0)
        return 0;
    int r = saved_replace_file(m, "state/.manager", text, n);
    made = r >= 0;
    return r;
}

/* Nothing outlives a davit-init that is PID 1: with it goes its machine, or its pid namespace. */
static bool is_of_this_boot(const char *keeper_line, const char *boot_line) {
    return !startswith(keeper_line, "keeper=1:") && streq(boot_line, strchr(keeper_identity(), '\n') + 1);
}

int saved_feed_position(struct manager *m, uint64_t *ret_sequence) {
    _cleanup_strv_free_ char **lines = NULL;
    _cleanup_free_ char *text = NULL;

    int r = file_read(m->runtime_fd, "state/.manager", 4096, &text, NULL);
    if (r < 0)
        return r;
    if (words_split(text, WORDS_KEEP_BACKSLASH, &lines) < 0 || strv_length(lines) != 3 ||
        !startswith(lines[2], "sequence="))
        return -EBADMSG;
    _cleanup_free_ char *found = strf("%s\n%s", lines[0], lines[1]);
    if (!found)
        return -ENOMEM;
    if (!streq(found, keeper_identity()))
        return is_of_this_boot(lines[0], lines[1]) ? -EOWNERDEAD : -ESTALE;
    return parse_uint(startswith(lines[2], "sequence="), 0, UINT64_MAX, ret_sequence) < 0 ? -EBADMSG : 0;
}

uint64_t saved_feed_sequence(struct manager *m) {
    uint64_t sequence = 0;

    (void)saved_feed_position(m, &sequence);
    return sequence;
}

/* ---- .settings: davit.conf as it was last read ---- */

/* Their form is the wire's, which is made for two programs of one build: in front of them is of which. */
#define SETTINGS_MARK "davitd " DAVIT_VERSION " settings\n"

int saved_write_settings(struct manager *m) {
    _cleanup_strbuf_ struct strbuf b = {};
    _cleanup_free_ void *data = NULL;
    size_t n;

    int r = settings_encode(&m->settings, NULL, &data, &n);
    if (r < 0)
        return r;
    strbuf_puts(&b, SETTINGS_MARK);
    strbuf_append(&b, data, n);
    return strbuf_failed(&b) ? -ENOMEM : saved_replace_file(m, "state/.settings", b.data, b.length);
}

int saved_read_settings(struct manager *m, struct settings *ret) {
    const size_t mark = strlen(SETTINGS_MARK);
    _cleanup_free_ char *data = NULL;
    struct error e = {};
    size_t n;

    int r = file_read(m->runtime_fd, "state/.settings", SETTINGS_MAX, &data, &n);
    if (r < 0)
        return r;
    if (n < mark || memcmp(data, SETTINGS_MARK, mark) != 0)
        return -EPROTONOSUPPORT;
    return settings_decode(data + mark, n - mark, ret, &e);
}
