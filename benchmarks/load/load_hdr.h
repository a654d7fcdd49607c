/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_LOAD_HDR_H
#define GLET_LOAD_HDR_H

/*
 * A histogram as the percentile distribution text of HdrHistogram (".hgrm"), which its plotters
 * read: value in ms, percentile, count so far, 1 / (1 - percentile); five steps per halving of the
 * distance to 100 %.
 */

#include "common/error.h"
#include "common/histogram.h"

/* Returns -1 with GLET_ERR_IO when out reports an error. */
GLET_MUST_CHECK
int glet_load_hdr_write(const struct glet_histogram *histogram, FILE *out, struct glet_error *err);

#endif
