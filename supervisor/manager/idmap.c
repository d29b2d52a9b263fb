/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ranges of host ids for user namespaces. Each unit has its own, the same over restarts and reboots: kept in
 * <state>/idmaps, one line a unit: NAME BASE COUNT. Nothing on disk is owned by these ids for longer than a
 * run (volumes and layers are mounted through the id map), so a range may go to another unit once its own has
 * vanished.
 *
 * The space is a row of slots of settings.userns_size ids. Where a unit's slot is follows from its name, so
 * that even without the file it mostly gets the same one again; a taken slot means the next free one.
 *
 * `davit launch` (standalone.h) shares the table: whoever changes it takes the lock beside it, and reads
 * first what somebody else has written meanwhile.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/words.h"
#include "manager/rooms.h"

#define FILE_MAX (8 * 1024 * 1024)

struct idmap {
    uint32_t base, count;
    char unit[];
};

struct idmaps {
    struct hashmap *by_unit;
    struct stat seen; /* of the file when we last read or wrote it: each version has an inode of its own */
};

static bool in_space(const struct settings *s, uint64_t base, uint64_t count) {
    uint64_t end = (uint64_t)s->userns_base + (uint64_t)s->userns_count * s->userns_size;
    return count > 0 && base >= s->userns_base && base + count <= MIN(end, (uint64_t)UINT32_MAX);
}

static bool is_free(const struct idmaps *maps, uint64_t base, uint64_t count) {
    struct idmap *i;

    HASHMAP_FOREACH (i, maps->by_unit) {
        if (base < (uint64_t)i->base + i->count && i->base < base + count)
            return false;
    }
    return true;
}

static int add(struct idmaps *maps, const char *unit, uint32_t base, uint32_t count) {
    struct idmap *i = malloc(sizeof(*i) + strlen(unit) + 1);

    if (!i)
        return -ENOMEM;
    *i = (struct idmap){.base = base, .count = count};
    memcpy(i->unit, unit, strlen(unit) + 1);
    int r = hashmap_put(maps->by_unit, i->unit, i);
    if (r < 0)
        free(i);
    return r;
}

/* ---- the file ---- */

static bool parse_line(
    struct manager *m, const char *line, char ***ret_words, uint64_t *ret_base, uint64_t *ret_count) {
    return words_split(line, WORDS_KEEP_BACKSLASH, ret_words) >= 0 && strv_length(*ret_words) == 3 &&
           unit_name_is_valid(**ret_words) && parse_uint((*ret_words)[1], 0, UINT32_MAX, ret_base) >= 0 &&
           parse_uint((*ret_words)[2], 1, UINT32_MAX, ret_count) >= 0 &&
           in_space(&m->settings, *ret_base, *ret_count) && is_free(m->idmaps, *ret_base, *ret_count);
}

static void read_line(struct manager *m, const char *line) {
    _cleanup_strv_free_ char **words = NULL;
    uint64_t base, count;

    _cleanup_free_ char *unit = strndup(line, strcspn(line, " "));
    if (unit && hashmap_get(m->idmaps->by_unit, unit))
        return; /* from an earlier version of the file; ranges do not change */
    if (!parse_line(m, line, &words, &base, &count))
        log_warning("%s/idmaps: line passed over: %s", m->paths.state, line);
    else
        (void)add(m->idmaps, words[0], (uint32_t)base, (uint32_t)count);
}

static void read_file(struct manager *m) {
    _cleanup_free_ char *text = NULL;

    int r = file_read(m->state_fd, "idmaps", FILE_MAX, &text, NULL);
    if (r == -ENOENT)
        return;
    if (r < 0) {
        (void)log_errno(LOG_WARNING, r, "%s/idmaps", m->paths.state);
        return;
    }
    for (char *line = text, *next; *line; line = next) {
        next = strchrnul(line, '\n');
        if (*next)
            *next++ = '\0';
        if (*line)
            read_line(m, line);
    }
}

static int write_file(struct manager *m) {
    _cleanup_strbuf_ struct strbuf b = {};
    struct idmap *i;

    HASHMAP_FOREACH (i, m->idmaps->by_unit)
        strbuf_printf(&b, "%s %" PRIu32 " %" PRIu32 "\n", i->unit, i->base, i->count);
    if (strbuf_failed(&b))
        return -ENOMEM;
    return file_write_atomic(m->state_fd, "idmaps", b.data ? b.data : "", b.length, 0600, false);
}

static void note_version(struct manager *m) {
    if (fstatat(m->state_fd, "idmaps", &m->idmaps->seen, 0) < 0)
        m->idmaps->seen = (struct stat){};
}

static void save(struct manager *m) {
    int r = write_file(m);
    if (r < 0)
        (void)log_errno(LOG_WARNING, r, "Writing %s/idmaps", m->paths.state);
    else
        note_version(m);
}

/* The table as it is now, for us to change. davitd never waits: -EAGAIN, and the unit is prepared again in a
 * moment. */
static int lock_table(struct manager *m, struct error *e) {
    struct stat now = {};

    _cleanup_close_ int fd = openat(m->state_fd, "idmaps.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set_errno(e, errno, "opening %s/idmaps.lock", m->paths.state);
    if (flock(fd, LOCK_EX | (m->without_davitd ? 0 : LOCK_NB)) < 0)
        return error_set_errno(e, errno, "locking %s/idmaps.lock", m->paths.state);
    (void)fstatat(m->state_fd, "idmaps", &now, 0);
    if (now.st_ino != m->idmaps->seen.st_ino || now.st_mtime != m->idmaps->seen.st_mtime) {
        read_file(m);
        note_version(m);
    }
    return TAKE_FD(fd);
}

/* ---- ranges ---- */

static int find_range(struct manager *m, const char *unit, uint32_t count, uint32_t *ret_base) {
    const struct settings *s = &m->settings;
    uint64_t first = siphash_stable(unit, strlen(unit)) % MAX(s->userns_count, 1u);

    for (uint64_t n = 0; n < s->userns_count; n++) {
        uint64_t base = s->userns_base + (first + n) % s->userns_count * s->userns_size;
        if (in_space(s, base, count) && is_free(m->idmaps, base, count)) {
            *ret_base = (uint32_t)base;
            return 0;
        }
    }
    return -ENOSPC;
}

static void forget(struct manager *m, const char *unit) {
    free(hashmap_remove(m->idmaps->by_unit, unit));
}

/* Loaded here, or running under another service manager, which has no other trace than its files. */
static bool is_used(struct manager *m, const char *unit) {
    _cleanup_free_ char *launched = strf(UPPER_DIRECTORY_LAUNCHED "/%s", unit);

    return manager_find(m, unit) || !launched || faccessat(m->state_fd, launched, F_OK, 0) >= 0;
}

static void prune(struct manager *m) {
    struct idmap *i;

    HASHMAP_FOREACH (i, m->idmaps->by_unit) {
        if (!is_used(m, i->unit))
            forget(m, i->unit);
    }
}

static int take_range(
    struct manager *m, const char *unit, uint32_t size, uint32_t *ret_base, struct error *e) {
    uint32_t base;

    forget(m, unit); /* of another size */
    int r = find_range(m, unit, size, &base);
    if (r < 0) {
        prune(m);
        r = find_range(m, unit, size, &base);
    }
    if (r < 0)
        return error_set(e, ENOSPC, "no range of %" PRIu32 " user ids is free: %zu units have one", size,
            hashmap_size(m->idmaps->by_unit));
    r = add(m->idmaps, unit, base, size);
    if (r < 0)
        return error_set_errno(e, r, "user ids");
    save(m);
    *ret_base = base;
    return 0;
}

int idmap_get(struct manager *m, const char *unit, uint32_t size, uint32_t *ret_base, struct error *e) {
    const struct idmap *known = hashmap_get(m->idmaps->by_unit, unit);

    if (known && known->count == size) {
        *ret_base = known->base;
        return 0;
    }
    _cleanup_close_ int lock = lock_table(m, e);
    if (lock < 0)
        return lock;
    /* Somebody else may have started it while we did not look. */
    known = hashmap_get(m->idmaps->by_unit, unit);
    if (known && known->count == size) {
        *ret_base = known->base;
        return 0;
    }
    return take_range(m, unit, size, ret_base, e);
}

void idmap_release(struct manager *m, const char *unit) {
    struct error ignored;

    _cleanup_close_ int lock = lock_table(m, &ignored);
    if (lock < 0 || !hashmap_get(m->idmaps->by_unit, unit))
        return; /* it stays taken until there is no room */
    forget(m, unit);
    save(m);
}

int idmaps_new(struct manager *m, struct error *e) {
    struct idmaps *maps = calloc(1, sizeof(*maps));

    if (maps)
        maps->by_unit = hashmap_new();
    if (!maps || !maps->by_unit) {
        free(maps);
        return error_set(e, ENOMEM, "out of memory");
    }
    m->idmaps = maps;
    read_file(m);
    note_version(m);
    return 0;
}

void idmaps_free(struct manager *m) {
    struct idmap *i;

    if (!m->idmaps)
        return;
    HASHMAP_FOREACH (i, m->idmaps->by_unit) {
        (void)hashmap_remove(m->idmaps->by_unit, i->unit);
        free(i);
    }
    hashmap_free(m->idmaps->by_unit);
    free(m->idmaps);
    m->idmaps = NULL;
}
