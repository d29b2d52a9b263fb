/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A tar header: POSIX.1-2017, pax(1), "ustar Interchange Format". All fields are text. */
#pragma once

#define USTAR_BLOCK 512

struct ustar {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, linkname[100], magic[6],
        version[2], user[32], group[32], major[8], minor[8], prefix[155], unused[12];
};
_Static_assert(sizeof(struct ustar) == USTAR_BLOCK, "a header is one block");
