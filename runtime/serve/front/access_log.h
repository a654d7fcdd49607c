/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_ACCESS_LOG_H
#define GLET_ACCESS_LOG_H

/* One JSON line per request, written by a thread of its own: a slow disk costs lines, never
   latency. */

#include "common/error.h"
#include "runtime/serve/text.h"

#include <stdio.h>

struct glet_access_log;

/* stream, one with a descriptor, is borrowed until glet_access_log_close(); what goes there passes
   by its buffer. GLET_ERR_IO, GLET_ERR_NOMEM. */
GLET_MUST_CHECK
int glet_access_log_open(FILE *stream, struct glet_access_log **out, struct glet_error *err);
/* Writes what is left. NULL is accepted. */
void glet_access_log_close(struct glet_access_log *log);

/* Takes one whole line, with its end; any thread. A line that finds the buffer full is dropped and
   counted, as is one that cannot be written (a full disk); that is logged, at most once a minute. */
void glet_access_log_add(struct glet_access_log *log, const char *line, size_t length);
uint64_t glet_access_log_dropped(struct glet_access_log *log);

#endif
