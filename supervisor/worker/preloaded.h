/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images that came with the system as archives: what lies in /usr/share/davit/images, or in another image
 * root that is not the store, is imported when somebody wants it, without a network.
 *
 * One is found by the name of its file, which is the image's as the unit writes it ("team/web:1.tar.zst"
 * below the root for Image=team/web:1; ":latest" may be left out), or by the names in it: then it lies right
 * in the root and is an OCI layout (a directory, or a .tar or .oci that is not compressed) or an archive of
 * docker save.
 */
#pragma once

#include "worker/worker.h"

/* 1: it is in w->store now; 0: there is no such archive. */
int preloaded_import(struct worker *w, const char *written, struct error *e);
