/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The boot as an SVG: a bar a unit on a common time line, davit's own phases on top. */
#include "base/str.h"
#include "cli/analyze.h"

#define ROW 20 /* height of a bar with its gap */
#define BAR 14
#define MARGIN 20
#define HEAD 60           /* above the first bar: title, scale */
#define LABEL 320         /* room for names to the right of the last bar */
#define WIDTH_WANTED 1200 /* of the time line */
#define GRID_LINES 20

struct picture {
    FILE *f;
    usec_t origin, end;
    double scale; /* pixels a microsecond */
    int row;
};

static void put_escaped(FILE *f, const char *s) {
    for (; *s; s++) {
        const char *entity = *s == '<'   ? "&lt;"
                             : *s == '>' ? "&gt;"
                             : *s == '&' ? "&amp;"
                             : *s == '"' ? "&quot;"
                                         : NULL;
        if (entity)
            (void)fputs(entity, f);
        else if ((unsigned char)*s >= ' ')
            (void)fputc(*s, f);
    }
}

static double x_of(const struct picture *p, usec_t t) {
    return MARGIN + (t > p->origin ? (double)(t - p->origin) * p->scale : 0);
}

static void put_bar(struct picture *p, const char *class, const char *name, usec_t from, usec_t to) {
    double x = x_of(p, from), width = MAX(x_of(p, MAX(to, from)) - x, 1.0);
    int y = HEAD + p->row++ * ROW;
    char text[TIMESPAN_MAX];

    (void)fprintf(p->f, "<rect class=\"%s\" x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\"/>", class, x, y,
        width, BAR);
    (void)fprintf(p->f, "<text x=\"%.2f\" y=\"%d\">", x + width + 4, y + BAR - 3);
    put_escaped(p->f, name);
    if (to > from)
        (void)fprintf(p->f, " (%s)", timespan_format(to - from, USEC_PER_MSEC, text));
    (void)fputs("</text>\n", p->f);
}

/* Steps of 1, 2 or 5 times a power of ten, so that there are at most GRID_LINES. */
static usec_t grid_step(usec_t length) {
    static const usec_t factors[] = {1, 2, 5};

    for (usec_t power = 1;; power *= 10)
        for (size_t i = 0; i < ARRAY_SIZE(factors); i++)
            if (length / (factors[i] * power) <= GRID_LINES)
                return factors[i] * power;
}

static void put_grid(struct picture *p, int height) {
    usec_t step = MAX(grid_step(p->end - p->origin), (usec_t)USEC_PER_MSEC);
    char text[TIMESPAN_MAX];

    for (usec_t t = 0; p->origin + t <= p->end; t += step) {
        double x = x_of(p, p->origin + t);
        (void)fprintf(
            p->f, "<line x1=\"%.2f\" y1=\"%d\" x2=\"%.2f\" y2=\"%d\"/>", x, HEAD - 8, x, height - MARGIN);
        (void)fprintf(p->f, "<text class=\"scale\" x=\"%.2f\" y=\"%d\">%s</text>\n", x, HEAD - 12,
            timespan_format(t, USEC_PER_MSEC, text));
    }
}

static usec_t last_end(const struct boot_data *b) {
    usec_t end = MAX(b->times.finish, b->times.ready);

    for (size_t i = 0; i < b->n_starts; i++)
        if (b->times.finish == 0 || b->starts[i].begin <= b->times.finish)
            end = MAX(end, MAX(b->starts[i].begin, b->starts[i].end));
    return end;
}

/* What was started long after the boot is no part of its picture. */
static bool belongs(const struct boot_data *b, const struct unit_start *s) {
    return b->times.finish == 0 || s->begin <= b->times.finish;
}

static void put_phases(struct picture *p, const struct boot_data *b) {
    const struct boot_times *t = &b->times;

    if (b->machine) {
        put_bar(p, "kernel", "kernel", 0, t->userspace);
        put_bar(p, "davit", "davit-init", t->userspace, t->mounts);
        put_bar(p, "davit", "davit-boot", t->mounts, t->boot);
    }
    if (t->manager > 0)
        put_bar(p, "davit", "davitd", t->manager, MAX(t->ready, t->manager));
}

int boot_plot(const struct boot_data *b, FILE *f) {
    static const char style[] =
        "<style>text{font:12px "
        "sans-serif;fill:#222}text.title{font-size:16px}text.scale{text-anchor:middle;fill:#777}"
        "line{stroke:#ddd}rect.kernel{fill:#9aa5b1}rect.davit{fill:#3d6d99}rect.unit{fill:#c2543f}"
        "rect.open{fill:#e0a58f}</style>\n";
    struct picture p = {.f = f, .origin = b->machine ? 0 : b->times.userspace, .end = last_end(b)};
    char text[TIMESPAN_MAX];
    size_t rows = 4;

    if (p.origin == 0 && !b->machine && b->n_starts > 0)
        p.origin = b->starts[0].begin;
    p.end = MAX(p.end, p.origin + USEC_PER_MSEC);
    p.scale = (double)WIDTH_WANTED / (double)(p.end - p.origin);
    for (size_t i = 0; i < b->n_starts; i++)
        rows += belongs(b, &b->starts[i]);
    int width = WIDTH_WANTED + 2 * MARGIN + LABEL, height = HEAD + (int)rows * ROW + MARGIN;

    (void)fprintf(f,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
        "height=\"%d\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n%s",
        width, height, style);
    (void)fprintf(f, "<text class=\"title\" x=\"%d\" y=\"24\">", MARGIN);
    put_escaped(f, b->target);
    (void)fprintf(f, ": %s</text>\n", timespan_format(p.end - p.origin, USEC_PER_MSEC, text));
    put_grid(&p, height);
    put_phases(&p, b);
    for (size_t i = 0; i < b->n_starts; i++) {
        const struct unit_start *s = &b->starts[i];
        if (belongs(b, s))
            put_bar(
                &p, s->end > 0 ? "unit" : "open", s->name, s->begin, s->end > 0 ? MIN(s->end, p.end) : p.end);
    }
    (void)fputs("</svg>\n", f);
    return fflush(f) != 0 || ferror(f) ? -EIO : 0;
}
