/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines of /etc/fstab that need the network (_netdev, or a type like nfs). davit-boot, which runs before anything
 * that could set up a network, only leaves a mark that there are such lines. On it remote-fs.service waits, a unit
 * like others: it starts when network-online.target is reached, and is stopped before the network is, so that what
 * it has mounted is unmounted while its server can still be reached.
 */
#pragma once

/* In the runtime directory; units/remote-fs.service has its path. */
#define NETWORK_MOUNTS_NAME "network-mounts"

/* There are such lines. */
void network_mounts_ask(void);
/* Mounts them all; what cannot be mounted yet is tried again with growing delay for as long as it takes. READY=1 when
 * all but those with "nofail" are there, or their x-systemd.device-timeout= (90 s) is over; STATUS= says what is
 * missing. Returns the exit status when nothing is. */
int network_mounts_start(void);
/* Unmounts them, last first. What is in use stays, for davit-shutdown. Exit status. */
int network_mounts_stop(void);
