/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_SHARES_H
#define GLET_CPU_SHARES_H

/*
 * Which cores, and which part of them, each partition of a set gets.
 *
 * A partition of u units owns u / 10 whole cores, and u % 10 tenths of cores that it shares. Where
 * possible those tenths lie on one core. A set such as 6 + 6 + 8 on two cores cannot be cut so:
 * then a partition is split over several cores, and owns a piece of each.
 */

#include "common/error.h"

#include <stddef.h>

enum { GLET_CPU_UNITS_PER_CORE = 10, GLET_CPU_MAX_PIECES = 9 };

struct glet_cpu_piece {
    int core;   /* index into the device's cores */
    int tenths; /* 1 .. 9 of that core */
};

struct glet_cpu_share {
    int first_core, core_count; /* whole cores: first_core .. first_core + core_count - 1 */
    struct glet_cpu_piece pieces[GLET_CPU_MAX_PIECES]; /* of shared cores, largest first */
    int piece_count;
};

/*
 * Cuts core_count cores for count partitions of units[i] > 0. shares_out has room for count.
 * Deterministic: the same sizes give the same cut. Few partitions are split: none if a search of
 * 100,000 steps finds a packing without. GLET_ERR_RANGE: they do not fit; GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_cpu_shares_cut(int core_count, const int *units, size_t count,
                        struct glet_cpu_share *shares_out, struct glet_error *err);

/*
 * Rows of a batch of `rows` that the shared pieces of a share compute while its whole cores compute
 * the rest: the number that ends the batch earliest, where a row takes as long on a whole core as
 * 10 / tenths of that on a piece. 0 where it gains less than a twentieth, and where the share has
 * no whole core or no piece.
 */
int glet_cpu_share_piece_rows(const struct glet_cpu_share *share, int rows);

#endif
