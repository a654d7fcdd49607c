/* SPDX-License-Identifier: Apache-2.0 */
#include "common/nearest.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

enum { LONGEST = 63 };

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int lower(char c)
{
    return tolower((unsigned char)c);
}

size_t glet_edit_distance(const char *a, const char *b)
{
    size_t rows[3][LONGEST + 1], n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST)
        return SIZE_MAX;
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *spare = before;
        before = above, above = row, row = spare;
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            int x = lower(a[i - 1]), y = lower(b[j - 1]);
            row[j] = min(min(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && lower(a[i - 2]) == y)
                row[j] = min(row[j], before[j - 2] + 1);
        }
    }
    return row[m];
}

const char *glet_nearest(const char *word, const char *const *names, size_t count)
{
    const char *best = NULL;
    /* A third of the word may be wrong, but of a short word one letter. */
    size_t limit = strlen(word) / 3 > 1 ? strlen(word) / 3 : 1;
    for (size_t i = 0; i < count; i++) {
        size_t distance = names[i] ? glet_edit_distance(word, names[i]) : SIZE_MAX;
        if (distance > limit || (best && distance == limit))
            continue;
        best = names[i];
        limit = distance;
    }
    return best;
}
