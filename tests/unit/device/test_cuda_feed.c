/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows that the copy engine reads where they are: what is copied from where, in any mix with rows in
 * staging memory, beside another batch and not, and that memory is free again as soon as its batch is
 * over, whatever failed.
 */
#include "common/random.h"
#include "runtime/device/cuda/cuda_partition.h"
#include "tests/doubles/cuda/fake_cuda.h"
#include "tests/unit/check.h"
#include "tests/unit/device/fake_cuda_net.h"

#include <string.h>
#include <sys/mman.h>

enum { BATCH = 4, FLOATS = 16385, FEW_FLOATS = 16384, ROW_BYTES = FLOATS * 4 };
enum { BLOCK_BYTES = 2 * BATCH * ROW_BYTES };

struct setting {
    struct glet_device *device;
    struct glet_partition_set *set;
    struct glet_partition *let;
    struct glet_model model;
    struct glet_executor *executor;
    float *block; /* pinned: two batches */
};

static float *map_block(int way)
{
    void *memory = mmap(NULL, BLOCK_BYTES, way, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

static void open_device(struct setting *s, const struct fake_cuda_config *config)
{
    struct glet_error err;
    *s = (struct setting){0};
    fake_cuda_configure(config);
    CHECK_OK(glet_device_open("cuda:0", &s->device, &err), &err);
    s->block = map_block(PROT_READ | PROT_WRITE);
}

static void close_device(struct setting *s)
{
    glet_device_close(s->device);
    munmap(s->block, BLOCK_BYTES);
    assert_string_equal(fake_cuda_breach(), "");
    assert_string_equal(fake_cuda_live(), "");
}

/* Everything that is pinned is pinned before. */
static void open_setting(struct setting *s, int floats)
{
    struct glet_error err;
    open_device(s, NULL);
    CHECK_OK(glet_partitions_create(s->device, (int[]){4}, 1, &s->set, &err), &err);
    s->let = glet_partition_at(s->set, 0);
    CHECK_OK(glet_partition_enter(s->let, &err), &err);
    s->model.floats = floats;
    s->model.weight_bytes = 64;
    CHECK_OK(glet_executor_build(s->let, &s->model, BATCH, &s->executor, &err), &err);
    assert_true(glet_device_can_pin(s->device));
    assert_true(glet_device_pin(s->device, s->block, BLOCK_BYTES, true));
    fake_cuda_serving(true);
}

static void close_setting(struct setting *s)
{
    fake_cuda_serving(false);
    glet_device_unpin(s->device, s->block);
    glet_executor_free(s->executor);
    glet_partition_leave(s->let);
    glet_partitions_free(s->set);
    close_device(s);
}

static void fill(float *row, int number)
{
    for (int k = 0; k < FLOATS; k++)
        row[k] = (float)(number + k % 100);
}

static bool is_right(const float *row, int number)
{
    for (int k = 0; k < FLOATS; k++)
        if (row[k] != (float)(number + k % 100 + 1))
            return false;
    return true;
}

/* Row r holds 1000 * number + r. `fed`: a bit for each row that lies in half `half` of the block; a
   run of them is one call where `runs`. */
static int begin(struct setting *s, int number, int used, unsigned fed, int half, bool runs,
                 struct glet_error *err)
{
    float *own = glet_executor_input(s->executor, 0);
    float *block = s->block + (size_t)half * BATCH * FLOATS;
    for (int r = 0; r < used; r++)
        fill((fed >> r & 1 ? block : own) + (size_t)r * FLOATS, 1000 * number + r);
    for (int r = 0, rows; r < used; r += rows) {
        rows = 1;
        if (!(fed >> r & 1))
            continue;
        while (runs && r + rows < used && fed >> (r + rows) & 1)
            rows++;
        assert_true(glet_executor_feed(s->executor, 0, r, rows, block + (size_t)r * FLOATS));
    }
    return glet_executor_begin(s->executor, used, err);
}

static void check_outputs(const struct setting *s, int number, int used)
{
    const float *out = glet_executor_output(s->executor, 0);
    for (int r = 0; r < used; r++)
        if (!is_right(out + (size_t)r * FLOATS, 1000 * number + r))
            fail_msg("batch %d: row %d is wrong", number, r);
}

/* --- what is copied --- */

static long copies_of(struct setting *s, int number, int used, unsigned fed, bool runs)
{
    struct glet_error err;
    long before = fake_cuda_calls_of("cuMemcpyHtoDAsync");
    CHECK_OK(begin(s, number, used, fed, 0, runs, &err), &err);
    long after = fake_cuda_calls_of("cuMemcpyHtoDAsync");
    CHECK_OK(glet_executor_finish(s->executor, &err), &err);
    check_outputs(s, number, used);
    return after - before;
}

static void test_a_copy_for_each_piece(void **state)
{
    (void)state;
    static const struct {
        int used;
        unsigned fed;
        bool runs;
        long copies;
    } cases[] = {
        {4, 0x0, false, 1}, /* staging memory: at once */
        {4, 0xf, true, 1},  /* one request of four rows */
        {4, 0xf, false, 4}, /* four of one */
        {4, 0x6, true, 3},  /* staged, fed, staged */
        {4, 0x9, true, 3},  /* fed, staged, fed */
        {3, 0x1, true, 2},  {2, 0x2, true, 2}, {1, 0x1, true, 1}, {1, 0x0, true, 1},
    };
    struct setting s;
    open_setting(&s, FLOATS);
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(copies_of(&s, (int)i + 1, cases[i].used, cases[i].fed, cases[i].runs),
                         cases[i].copies);
    close_setting(&s);
}

/* What was fed to one batch is not of the next. */
static void test_fed_once(void **state)
{
    (void)state;
    struct setting s;
    struct glet_error err;
    open_setting(&s, FLOATS);
    (void)copies_of(&s, 1, BATCH, 0xf, true);
    assert_int_equal(copies_of(&s, 2, BATCH, 0, true), 1);
    for (long nth = 1; nth <= 2; nth++) { /* also where it did not begin */
        fake_cuda_fail("cuMemcpyHtoDAsync", nth, CUDA_ERROR_LAUNCH_FAILED, false);
        assert_int_equal(begin(&s, 3, BATCH, 0xf, 0, false, &err), -1);
        assert_int_equal(copies_of(&s, 4, BATCH, 0, true), 1);
    }
    close_setting(&s);
}

static void test_few_bytes_are_not_taken(void **state)
{
    (void)state;
    struct setting s;
    open_setting(&s, FEW_FLOATS);
    assert_false(glet_executor_feed(s.executor, 0, 0, 1, s.block));
    assert_true(glet_executor_feed(s.executor, 0, 0, 2, s.block));
    close_setting(&s);
}

/* --- every order that is allowed --- */

struct flight {
    int number, used, half;
};

static void step_at_random(const struct setting *s, struct glet_random *random)
{
    const struct glet_cuda_site *site = &((const struct glet_cuda_partition *)s->let)->site;
    const CUstream streams[] = {site->stream, site->copy_in, site->copy_out};
    for (uint64_t steps = glet_random_below(random, 40); steps > 0; steps--)
        (void)fake_cuda_step(streams[glet_random_below(random, 3)]);
}

/* Memory of a batch that is over is written at once, by who has it next. Returns how many failed. */
static int run_at_random(uint64_t seed, bool faulty)
{
    enum { BATCHES = 10, CALLS = 20 * BATCHES };
    struct glet_random random = glet_random_seeded(seed);
    struct setting s;
    struct glet_error err;
    struct flight flights[2] = {0};
    int flying = 0, failed = 0, number = 1;
    open_setting(&s, FLOATS);
    if (faulty)
        fake_cuda_fail(NULL, 1 + (long)glet_random_below(&random, CALLS), CUDA_ERROR_LAUNCH_FAILED,
                       false);
    while (number <= BATCHES || flying > 0) {
        int half = flying > 0 ? !flights[0].half : 0;
        float *block = s.block + (size_t)half * BATCH * FLOATS;
        if (flying < 2 && number <= BATCHES && glet_random_below(&random, 4) > 0) {
            struct flight f = {number++, 1 + (int)glet_random_below(&random, BATCH), half};
            unsigned fed = (unsigned)glet_random_below(&random, 16);
            if (begin(&s, f.number, f.used, fed, half, f.number % 2, &err) == 0) {
                flights[flying++] = f;
            } else {
                failed++;
                memset(block, 255, BATCH * ROW_BYTES);
            }
        } else if (flying > 0) {
            block = s.block + (size_t)flights[0].half * BATCH * FLOATS;
            bool fine = glet_executor_finish(s.executor, &err) == 0;
            failed += !fine;
            memset(block, 255, BATCH * ROW_BYTES);
            if (fine)
                check_outputs(&s, flights[0].number, flights[0].used);
            flights[0] = flights[1];
            flying--;
        }
        step_at_random(&s, &random);
    }
    fake_cuda_fail(NULL, 0, CUDA_SUCCESS, false);
    close_setting(&s);
    return failed;
}

static void test_any_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        assert_int_equal(run_at_random(seed, false), 0);
}

static void test_any_order_after_a_fault(void **state)
{
    (void)state;
    int failed = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        int now = run_at_random(seed, true);
        assert_in_range(now, 0, 1);
        failed += now;
    }
    assert_true(failed > 50);
}

/* --- pinning --- */

static void test_pinning(void **state)
{
    (void)state;
    struct setting s;
    CUcontext here;
    open_device(&s, NULL);
    float *read_only = map_block(PROT_READ);
    for (int i = 0; i < 2; i++) {
        assert_true(glet_device_pin(s.device, s.block, BLOCK_BYTES, true));
        assert_true(glet_device_pin(s.device, read_only, BLOCK_BYTES, false));
        assert_non_null(strstr(fake_cuda_live(), "2 pinned memory"));
        glet_device_unpin(s.device, read_only);
        glet_device_unpin(s.device, s.block);
    }
    assert_int_equal(cuCtxGetCurrent(&here), CUDA_SUCCESS);
    assert_null(here); /* it leaves the thread as it was */
    munmap(read_only, BLOCK_BYTES);
    close_device(&s);
}

static void test_nothing_to_pin_with(void **state)
{
    (void)state;
    static const struct fake_cuda_config configs[] = {{.no_pinning = true}, {.page_tables = true}};
    for (size_t i = 0; i < COUNT_OF(configs); i++) {
        struct setting s;
        open_device(&s, &configs[i]);
        assert_false(glet_device_pin(s.device, s.block, BLOCK_BYTES, true));
        close_device(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_copy_for_each_piece),   cmocka_unit_test(test_fed_once),
        cmocka_unit_test(test_few_bytes_are_not_taken), cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_any_order_after_a_fault), cmocka_unit_test(test_pinning),
        cmocka_unit_test(test_nothing_to_pin_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
