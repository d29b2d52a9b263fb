/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * davit-keys: prints the key table as scdoc text, for the part of davit-units(5) that lists all keys. A tool
 * of the build, not installed. `davit-keys --names` prints "Section Key" lines, for the shell completion and
 * for tests.
 */
#include "base/str.h"
#include "unit/unit.h"

/* scdoc takes these as markup, a dash at the start of a line as a list. */
static void print_escaped(const char *s) {
    for (const char *start = s; *s; s++) {
        if (strchr("_*\\#<>~", *s) || (s == start && *s == '-'))
            putchar('\\');
        putchar(*s);
    }
}

static void print_key(const struct key_info *k) {
    printf("*");
    print_escaped(k->name);
    printf("=*\n\t");
    print_escaped(k->documentation);
    printf("++\nValue: ");
    print_escaped(k->type);
    printf(". Default: ");
    print_escaped(k->default_text ?: "none");
    printf(".\n\n");
}

int main(int argc, char **argv) {
    bool names = argc == 2 && streq(argv[1], "--names");
    const struct key_info *keys;
    const char *section = "";

    if (argc > 1 && !names) {
        fprintf(stderr, "usage: davit-keys [--names]\n");
        return 2;
    }
    size_t n = unit_keys(&keys);
    for (size_t i = 0; i < n; i++) {
        if (names) {
            printf("%s %s\n", keys[i].section, keys[i].name);
            continue;
        }
        if (!streq(section, keys[i].section)) {
            section = keys[i].section;
            printf("## [%s]\n\n", section);
        }
        print_key(&keys[i]);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
