/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_COMMON_NEAREST_H
#define GLET_COMMON_NEAREST_H

/* "Did you mean": the candidate a mistyped word most likely stands for. Pure. */

#include <stddef.h>

/*
 * Insertions, deletions, replacements and swaps of neighbouring characters between two words,
 * upper and lower case alike; words of more than 63 bytes are infinitely far apart.
 */
size_t glet_edit_distance(const char *a, const char *b);

/* The first nearest of names[count] (NULL entries are skipped); NULL when none is near. */
const char *glet_nearest(const char *word, const char *const *names, size_t count);

#endif
