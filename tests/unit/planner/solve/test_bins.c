/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "common/random.h"
#include "planner/solve/bins.h"
#include "planner/solve/lp_glpk.h"
#include "tests/unit/check.h"

#define MOST 400

static int sizes[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static const struct glet_problem_type type = {
    .units = 16, .max_gpulets = 8, .memory_mib = 80, .sizes_units = sizes, .size_count = 16};

struct job {
    struct glet_bin_item items[MOST];
    int count, bins;
};

static int pack(void *context)
{
    struct job *job = context;
    job->bins = glet_bins_pack(&type, job->items, job->count);
    return 0;
}

static void run(struct job *job)
{
    struct glet_error err = {0};
    CHECK_OK(glet_lp_guard(pack, job, &err), &err);
}

/* Whatever is packed, no GPU holds too much, and few hold little. */
static void holds_what_fits(void **state)
{
    (void)state;
    struct glet_random random = glet_random_seeded(3);
    for (int round = 0; round < 8; round++) {
        static struct job job;
        double units = 0, memory = 0, lets = 0;
        job.count = 1 + (int)glet_random_below(&random, MOST);
        for (int i = 0; i < job.count; i++) {
            job.items[i].size = (int)glet_random_below(&random, round % 2 ? 3 : 9);
            job.items[i].memory_mib = 2 + 38 * glet_random_uniform(&random);
            job.items[i].bin = -1;
            units += sizes[job.items[i].size] / 16.0;
            memory += job.items[i].memory_mib / 80;
            lets += 1 / 8.0;
        }
        run(&job);
        int used[MOST] = {0}, held[MOST] = {0};
        double full[MOST] = {0};
        for (int i = 0; i < job.count; i++) {
            int bin = job.items[i].bin;
            assert_in_range(bin, 0, job.bins - 1);
            used[bin] += sizes[job.items[i].size];
            held[bin]++;
            full[bin] += job.items[i].memory_mib;
        }
        for (int b = 0; b < job.bins; b++) {
            assert_in_range(used[b], 1, 16);
            assert_in_range(held[b], 1, 8);
            assert_true(full[b] <= 80);
        }
        double least = fmax(units, fmax(memory, lets));
        assert_true(job.bins <= 1.12 * least + 2);
    }
}

/* Large and light beside small and heavy: only together do they fill GPUs. */
static void pairs_what_belongs_together(void **state)
{
    (void)state;
    static struct job job;
    job.count = 80;
    for (int i = 0; i < job.count; i++)
        job.items[i] = i % 2 ? (struct glet_bin_item){11, 8, 0} : (struct glet_bin_item){3, 70, 0};
    run(&job);
    assert_int_equal(job.bins, 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_fits),
        cmocka_unit_test(pairs_what_belongs_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
