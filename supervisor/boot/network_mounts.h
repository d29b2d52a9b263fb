/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines of /etc/fstab that need the network (_netdev, or a type like nfs). davit-boot runs before anything that
 * could set up a network: as a generator of systemd it only links remote-fs.target to what multi-user.target
 * wants in this boot, and with it remote-fs.service and network-online.target. That service is started when the
 * network is online, and stopped before the network is, so that what it has mounted is unmounted while its server
 * can still be reached.
 *
 * Each line has a child of its own, several at once: a server that does not answer holds up only what lies below it.
 */
#pragma once

/* In the runtime directory. */
#define NETWORK_MOUNTS_LINKS "units/multi-user.target.wants"
#define NETWORK_MOUNTS_TARGET "remote-fs.target"

/* There are such lines. */
void network_mounts_ask(void);
/* Mounts them all; what cannot be mounted yet is tried again with growing delay for as long as it takes. READY=1 when
 * all but those with "nofail" are there, or their x-systemd.device-timeout= (90 s) is over; STATUS= says what is
 * missing. Returns the exit status when nothing is. */
int network_mounts_start(void);
/* Unmounts them, last first. What is in use stays, for davit-shutdown. Exit status. */
int network_mounts_stop(void);
