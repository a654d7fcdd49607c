/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_PROGRESS_H
#define GLET_COMMON_PROGRESS_H

/*
 * A bar with the expected time to the end, redrawn in place on standard error; silent where that is
 * no terminal, so that logs and pipes stay clean.
 *
 *     profiling [########------------] 40 %  12 of 30  resnet50 batch 8  1m20s left
 */

#include <stdbool.h>
#include <stdint.h>

struct glet_progress {
    const char *label; /* borrowed */
    uint64_t begin_us, drawn_us;
    bool shown;
};

struct glet_progress glet_progress_begin(const char *label);

/*
 * done of total steps of roughly equal length (fractions are fine); note may be NULL. Cheap to call
 * often: it draws at most ten times a second.
 */
void glet_progress_update(struct glet_progress *progress, double done, double total,
                          const char *note);

/* Takes the bar away. */
void glet_progress_end(struct glet_progress *progress);

/* The line itself, without control characters, at most `width` characters; pure. */
void glet_progress_format(char *line, int width, const char *label, double done, double total,
                          const char *note, uint64_t elapsed_us);

#endif
