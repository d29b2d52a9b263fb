/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files of many units as one stream in the order of time, and following them. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>

#include "base/str.h"
#include "cli/logs.h"

/* A reader and the entry that it would give next. */
struct source {
    struct cri_reader reader;
    struct log_entry head;
    bool has_head;
};

struct merge {
    int directory;
    const struct log_query *query;
    struct source **sources;
    size_t n_sources;
    struct source **heap; /* those with a head, earliest first */
    size_t n_heap;
    log_sink_function sink;
    void *userdata;
    struct kept *ring; /* the last lines, where several units share one --lines */
    size_t n_ring;     /* ever put in */
};

struct kept {
    struct log_entry entry;
    char *text;
};

/* ---- sources ---- */

static struct source *source_find(struct merge *m, const char *unit) {
    for (size_t i = 0; i < m->n_sources; i++)
        if (streq(m->sources[i]->reader.unit, unit))
            return m->sources[i];
    return NULL;
}

static int source_add(struct merge *m, const char *unit, struct source **ret) {
    struct source **more = reallocarray(m->sources, m->n_sources + 1, sizeof(*more));
    if (!more)
        return -ENOMEM;
    m->sources = more;
    struct source **heap = reallocarray(m->heap, m->n_sources + 1, sizeof(*heap));
    if (!heap)
        return -ENOMEM;
    m->heap = heap;
    struct source *s = calloc(1, sizeof(*s));
    int r = s ? cri_reader_init(&s->reader, m->directory, unit) : -ENOMEM;
    if (r < 0) {
        free(s);
        return r;
    }
    s->reader.since = m->query->since;
    m->sources[m->n_sources++] = s;
    *ret = s;
    return 0;
}

/* "web.container.log" to "web.container". */
static char *unit_of_file(const char *name) {
    const char *suffix = endswith(name, ".log");
    return suffix && suffix > name ? strndup(name, (size_t)(suffix - name)) : NULL;
}

static int sources_of_directory(struct merge *m) {
    int fd = openat(m->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    int r = 0;
    if (!d)
        return negative_errno();
    for (struct dirent *entry; r >= 0 && (entry = readdir(d));) {
        _cleanup_free_ char *unit = unit_of_file(entry->d_name);
        struct source *s;
        if (unit)
            r = source_add(m, unit, &s);
    }
    (void)closedir(d);
    return r;
}

/* ---- the heap ---- */

static bool earlier(const struct source *a, const struct source *b) {
    return a->head.time < b->head.time;
}

static void heap_down(struct merge *m, size_t i) {
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < m->n_heap; child++)
            if (earlier(m->heap[child], m->heap[least]))
                least = child;
        if (least == i)
            return;
        struct source *s = m->heap[i];
        m->heap[i] = m->heap[least];
        m->heap[least] = s;
        i = least;
    }
}

/* Reads the source's next entry that the query wants. 1 or 0. */
static int source_advance(struct merge *m, struct source *s) {
    int r;
    s->has_head = false;
    while ((r = cri_reader_next(&s->reader, &s->head)) > 0 ||
           (r == 0 && !m->query->follow && (r = cri_reader_rest(&s->reader, &s->head)) > 0)) {
        if (s->head.time < m->query->since)
            continue;
        if (s->head.time > m->query->until)
            return 0; /* all that follows is later still */
        s->has_head = true;
        return 1;
    }
    return r;
}

static int heap_build(struct merge *m) {
    m->n_heap = 0;
    for (size_t i = 0; i < m->n_sources; i++) {
        struct source *s = m->sources[i];
        int r = s->has_head ? 1 : source_advance(m, s);
        if (r < 0)
            return r;
        if (r > 0)
            m->heap[m->n_heap++] = s;
    }
    for (size_t i = m->n_heap / 2 + 1; i-- > 0;)
        heap_down(m, i);
    return 0;
}

/* ---- the last lines of several units ---- */

static int ring_put(struct merge *m, const struct log_entry *entry) {
    size_t size = m->query->lines;
    if (size == 0)
        return 0;
    if (!m->ring && !(m->ring = calloc(size, sizeof(*m->ring))))
        return -ENOMEM;
    struct kept *k = &m->ring[m->n_ring++ % size];
    char *text = malloc(entry->length + 1);
    if (!text)
        return -ENOMEM;
    memcpy(text, entry->text ?: "", entry->length);
    free(k->text);
    *k = (struct kept){.entry = *entry, .text = text};
    k->entry.text = text;
    return 0;
}

static int ring_empty(struct merge *m) {
    size_t size = m->query->lines, n = MIN(m->n_ring, size);
    int r = 0;
    for (size_t i = m->n_ring - n; i < m->n_ring; i++) {
        struct kept *k = &m->ring[i % size];
        if (r == 0)
            r = m->sink(m->userdata, &k->entry);
        free(k->text);
    }
    free(TAKE_PTR(m->ring));
    m->n_ring = 0;
    return r;
}

/* ---- the stream ---- */

/* Hands on everything that there is now. 0, 1 (the sink wants no more), or -errno. */
static int drain(struct merge *m, bool keep) {
    int r = heap_build(m);
    while (r >= 0 && m->n_heap > 0) {
        struct source *s = m->heap[0];
        r = keep ? ring_put(m, &s->head) : m->sink(m->userdata, &s->head);
        if (r != 0)
            return r;
        r = source_advance(m, s);
        if (r == 0)
            m->heap[0] = m->heap[--m->n_heap];
        if (r >= 0)
            heap_down(m, 0);
    }
    return MIN(r, 0);
}

/* Units that begin to write while we follow. */
static int sources_of_events(struct merge *m, const char *data, size_t n) {
    for (size_t i = 0; i < n;) {
        const struct inotify_event *event = (const void *)(data + i);
        i += sizeof(*event) + event->len;
        if (event->len == 0 || m->query->units)
            continue;
        _cleanup_free_ char *unit = unit_of_file(event->name);
        struct source *s;
        if (unit && !source_find(m, unit)) {
            int r = source_add(m, unit, &s);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int follow(struct merge *m, int notify) {
    _Alignas(struct inotify_event) char data[8192];
    int r = 0;
    while (r == 0) {
        ssize_t n = read(notify, data, sizeof(data));
        if (n < 0 && errno != EINTR)
            return negative_errno();
        if (n > 0)
            r = sources_of_events(m, data, (size_t)n);
        if (r >= 0)
            r = drain(m, false);
    }
    return r;
}

static int prepare_sources(struct merge *m) {
    bool tail = m->query->lines != SIZE_MAX && m->query->until == USEC_INFINITY;
    int r = 0;

    if (m->query->units)
        STRV_FOREACH (unit, m->query->units) {
            struct source *s;
            if (!source_find(m, *unit) && (r = source_add(m, *unit, &s)) < 0)
                return r;
        }
    else if ((r = sources_of_directory(m)) < 0)
        return r;
    /* The last n lines of all are among the last n lines of each. */
    for (size_t i = 0; tail && i < m->n_sources && r >= 0; i++)
        r = cri_reader_seek_tail(&m->sources[i]->reader, m->query->lines);
    return r;
}

int logs_read_files(const char *directory, const struct log_query *query, log_sink_function sink,
    void *userdata, struct error *e) {
    _cleanup_close_ int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC), notify = -1;
    struct merge m = {.directory = fd, .query = query, .sink = sink, .userdata = userdata};
    int r = fd < 0 ? negative_errno() : 0;

    /* Watched before it is read, so that nothing falls between the two. */
    if (r >= 0 && query->follow) {
        notify = inotify_init1(IN_CLOEXEC);
        if (notify < 0 ||
            inotify_add_watch(notify, directory, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0)
            r = negative_errno();
    }
    if (r >= 0)
        r = prepare_sources(&m);
    if (r >= 0)
        r = drain(&m, query->lines != SIZE_MAX);
    if (m.ring) {
        int k = ring_empty(&m);
        r = r < 0 ? r : k;
    }
    if (r == 0 && query->follow)
        r = follow(&m, notify);
    for (size_t i = 0; i < m.n_sources; i++) {
        cri_reader_done(&m.sources[i]->reader);
        free(m.sources[i]);
    }
    free(m.sources);
    free(m.heap);
    return r < 0 ? error_set_errno(e, r, "Cannot read logs in %s", directory) : 0;
}
