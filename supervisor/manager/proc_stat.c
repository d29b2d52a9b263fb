/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "base/fs.h"
#include "base/parse.h"
#include "manager/rooms.h"

/* proc_pid_stat(5) counts from 1; the program's name is field 2 and may hold blanks and brackets, so counting
 * begins behind its last bracket. */
enum { FIELD_STATE = 3, FIELD_PARENT = 4, FIELD_STARTED = 22 };

/* Word n of the text behind the name. */
static int field(const char *behind_name, int n, uint64_t *ret) {
    const char *p = behind_name;

    for (int i = FIELD_STATE; i < n; i++) {
        p = strchr(p, ' ');
        if (!p)
            return -EBADMSG;
        p++;
    }
    _cleanup_free_ char *word = strndup(p, strcspn(p, " \n"));
    return word ? parse_uint(word, 0, UINT64_MAX, ret) : -ENOMEM;
}

int proc_stat_read(pid_t pid, pid_t *ret_parent, uint64_t *ret_started) {
    _cleanup_free_ char *text = NULL;
    char path[64];
    uint64_t parent, started;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int r = file_read(AT_FDCWD, path, 4096, &text, NULL);
    if (r < 0)
        return r;
    const char *p = strrchr(text, ')');
    if (!p || p[1] != ' ')
        return -EBADMSG;
    r = field(p + 2, FIELD_PARENT, &parent);
    if (r >= 0)
        r = field(p + 2, FIELD_STARTED, &started);
    if (r < 0)
        return r;
    *ret_parent = (pid_t)parent;
    *ret_started = started;
    return 0;
}
