/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/kernel_version.h"

#include <stdlib.h>
#include <sys/utsname.h>

bool kernel_is_before(int major_number, int minor_number) {
    static int version;
    struct utsname name;
    char *end;

    if (version == 0 && uname(&name) == 0) {
        version = (int)strtol(name.release, &end, 10) * 1000;
        version += *end == '.' ? (int)strtol(end + 1, NULL, 10) : 0;
    }
    return version < major_number * 1000 + minor_number;
}
