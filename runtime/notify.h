/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_NOTIFY_H
#define GLET_NOTIFY_H

/*
 * Tells the service manager how we are: the protocol of sd_notify(3), which is one datagram to the
 * socket in $NOTIFY_SOCKET. Without it every call does nothing. Any thread.
 */

#include <stdint.h>

void glet_notify_ready(const char *status);
void glet_notify_status(const char *status);
void glet_notify_reloading(void); /* until the next glet_notify_ready() */
void glet_notify_stopping(void);
void glet_notify_alive(void);

/* How often the manager wants glet_notify_alive(), microseconds; 0 = never ($WATCHDOG_USEC). Half
   of what it allows. */
uint64_t glet_notify_interval_us(void);

#endif
