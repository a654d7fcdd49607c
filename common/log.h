/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_LOG_H
#define GLET_COMMON_LOG_H

/*
 * Structured log lines on standard error, as text for people or as JSON lines for machines:
 *
 *     glet_log_info("plan applied gpulets=%d sha256=%s", count, hex);
 *     2026-05-01T12:00:00.123Z info  plan applied gpulets=3 sha256=ab12
 *     {"time":"2026-05-01T12:00:00.123Z","level":"info","message":"plan applied","gpulets":3,...}
 *
 * The format is words, then key=%conversion pairs separated by one blank each; the compiler checks
 * it as it checks printf's. Conversions: %s %c %d %i %u %x %zu %zd and l, ll, j forms, %f %g %e.
 * The words may hold conversions too. Text values are quoted where needed.
 *
 * Level and format belong to the process (they are set once, in main). A line is one write(2):
 * lines of several threads do not mix. Lines above 4 KiB are cut. Colours only on a terminal
 * without NO_COLOR and TERM=dumb.
 */

#include "common/error.h"

enum glet_log_level { GLET_LOG_ERROR, GLET_LOG_WARNING, GLET_LOG_INFO, GLET_LOG_DEBUG };
enum glet_log_format { GLET_LOG_TEXT, GLET_LOG_JSON };

/* Default: GLET_LOG_INFO, GLET_LOG_TEXT. Lines less urgent than level are not formatted at all. */
void glet_log_setup(enum glet_log_level level, enum glet_log_format format);

bool glet_log_enabled(enum glet_log_level level);

void glet_log(enum glet_log_level level, const char *format, ...) GLET_PRINTF(2, 3);

#define glet_log_error(...)   glet_log(GLET_LOG_ERROR, __VA_ARGS__)
#define glet_log_warning(...) glet_log(GLET_LOG_WARNING, __VA_ARGS__)
#define glet_log_info(...)    glet_log(GLET_LOG_INFO, __VA_ARGS__)
#define glet_log_debug(...)   glet_log(GLET_LOG_DEBUG, __VA_ARGS__)

/* Logs err, with its place and hint as fields. */
void glet_log_failure(enum glet_log_level level, const char *what, const struct glet_error *err);

#endif
