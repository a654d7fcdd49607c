/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "common/random.h"
#include "planner/solve/search/open_slots.h"
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

#define SIZES    4
#define PATTERNS 6
#define GPUS     60

/* What a look at all slots finds: least memory, then the last GPU. */
static int take_plainly(int16_t slots[GPUS][SIZES], double *memory_mib, int gpus, int size,
                        double more_mib)
{
    for (; size < SIZES; size++) {
        int best = -1;
        for (int g = 0; g < gpus; g++)
            if (slots[g][size] && (best < 0 || memory_mib[g] <= memory_mib[best]))
                best = g;
        if (best < 0)
            continue;
        slots[best][size]--;
        memory_mib[best] += more_mib;
        return best;
    }
    return -1;
}

static void takes_what_a_look_at_all_finds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct glet_random random = glet_random_seeded(seed);
        int16_t uses[PATTERNS * SIZES], slots[GPUS][SIZES];
        int copies[PATTERNS], gpus = 0, taken = 0;
        double memory_mib[GPUS] = {0};
        for (int i = 0; i < PATTERNS * SIZES; i++)
            uses[i] = (int16_t)glet_random_below(&random, 3);
        for (int p = 0; p < PATTERNS; p++) {
            copies[p] = (int)glet_random_below(&random, GPUS / PATTERNS + 1);
            for (int c = 0; c < copies[p]; c++, gpus++)
                memcpy(slots[gpus], &uses[p * SIZES], sizeof slots[gpus]);
        }
        struct glet_patterns patterns = {.size_count = SIZES, .count = PATTERNS, .uses = uses};
        struct glet_open_slots open;
        glet_open_slots_init(&open, &patterns, copies);
        assert_int_equal(open.gpu_count, gpus);
        for (int misses = 0; misses < 20;) {
            int size = (int)glet_random_below(&random, SIZES);
            double more_mib = seed % 2 ? (double)glet_random_below(&random, 4) : 0;
            int wanted = take_plainly(slots, memory_mib, gpus, size, more_mib);
            assert_int_equal(glet_open_slots_take(&open, size, more_mib), wanted);
            misses += wanted < 0;
            taken += wanted >= 0;
        }
        assert_true(taken > 0 || gpus == 0);
        glet_open_slots_fini(&open);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(takes_what_a_look_at_all_finds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
