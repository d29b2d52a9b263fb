/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What davitd tells davit-logd, over the SOCK_SEQPACKET pair that davit-init keeps. davit-logd knows nothing
 * by itself: after each start it says HELLO and is told about every stream again, with the FIFO's descriptor.
 *
 * Messages are wire.h rows: u32 type, then the fields.
 *
 *   davitd -> logd
 *     CONFIG   string sink ("journal", "file", "auto"), string directory, u64 max_size (bytes per file),
 *              u32 max_files + an O_DIRECTORY descriptor of the log directory
 *     ADD      u64 stream, string unit, string container, string invocation, string identifier, u32 priority
 *              + the FIFO (O_RDWR | O_NONBLOCK); also: a new invocation for a known stream
 *     REMOVE   u64 stream: drain what is in the FIFO now, flush a partial line, close, answer REMOVED
 *     REOPEN   reopen files (after rotation by others)
 *     ASK      answer with STATS: is davit-logd still there?
 *
 *   A davitd that has just started sends CONFIG and all ADDs unasked: the davit-logd that runs has said HELLO
 *   to its predecessor. What is known already is merely updated: a FIFO is recognised by its inode, whatever
 *   number it has.
 *
 *   logd -> davitd
 *     HELLO    u32 pid: send CONFIG and all ADDs, and REMOVEs that were not answered
 *     REMOVED  u64 stream
 *     STATS    u64 lines, u64 dropped; also unasked
 *     PROBLEM  string text for `davit status`: sink not writable, disk full, ...; "" = it is over
 *
 * max_files counts the file that is written to as well; 0 for either limit means the default.
 */
#pragma once

enum logd_message {
    LOGD_CONFIG = 1,
    LOGD_ADD,
    LOGD_REMOVE,
    LOGD_REOPEN,
    LOGD_HELLO,
    LOGD_REMOVED,
    LOGD_STATS,
    LOGD_PROBLEM,
    LOGD_ASK,
};
#define LOGD_MESSAGE_MAX 4096
enum { LOGD_FD_SOCKET = 3 };
/* A memfd that davit-init keeps: what davit-logd must not forget when it is killed (log/state.h). */
enum { LOGD_FD_STATE = 4 };
