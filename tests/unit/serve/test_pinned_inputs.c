/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs that a device reads in place, in batches with others that are copied: right answers, memory
   that is free when its request is answered, and what stays when a device hangs. */
#include "common/clock.h"
#include "tests/unit/check.h"
#include "tests/unit/serve/serve_load.h"

#include "runtime/serve/shared_copy.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BYTES = 64, REQUESTS = 8, ROUNDS = 25, BLOCK_BYTES = 4096 };

struct one {
    struct glet_request request;
    const void *inputs[1];
    void *outputs[1];
    unsigned char output[BYTES];
    _Atomic bool done;
};

static void done(struct glet_request *request)
{
    ((struct one *)request->user)->done = true;
}

static struct glet_service *open_service(const char *model, size_t max_pinned_bytes, double hang_s)
{
    struct glet_error err = {0};
    CHECK_OK(glet_shared_copy_setup(&err), &err);
    return serve_open(model, serve_plan(serve_plan_of_one), max_pinned_bytes, hang_s);
}

static unsigned char *make_block(void)
{
    void *memory =
        mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

static void submit(struct glet_service *service, struct one *one, const void *input, bool pinned,
                   bool shared)
{
    *one = (struct one){.inputs = {input}, .outputs = {one->output}};
    one->request = (struct glet_request){.rows = 1,
                                         .arrival_us = glet_clock_us(),
                                         .inputs = one->inputs,
                                         .outputs = one->outputs,
                                         .shared = shared,
                                         .pinned = pinned,
                                         .done = done,
                                         .user = one};
    glet_service_submit(service, &one->request);
}

static void wait_for(const struct one *one)
{
    for (int i = 0; !one->done; i++) {
        assert_true(i < 10000);
        usleep(1000);
    }
}

/* Pinned, the service's own and another process's, among those that are not, also with two batches on
   their way. Whoever has an answer writes its input again. */
static void any_mix(void **state)
{
    (void)state;
    static const char *const models[] = {"bytes 64\nfixed_us 2000\npins 1\n",
                                         "bytes 64\nfixed_us 2000\npins 1\ndepth 2\n"};
    for (size_t m = 0; m < COUNT_OF(models); m++) {
        struct glet_service *service = open_service(models[m], 1 << 20, 0);
        unsigned char *pinned = make_block(), *other = make_block();
        static struct one all[REQUESTS];
        uint64_t fed = glet_fake_counts.fed;
        int together = 0;
        assert_true(glet_service_pin(service, pinned, BLOCK_BYTES, true));
        assert_int_equal(glet_fake_counts.pinned, 1);
        for (int round = 0; round < ROUNDS; round++) {
            for (size_t i = 0; i < REQUESTS; i++) {
                unsigned char *input = (i % 2 ? other : pinned) + i * BYTES;
                memset(input, (int)(i + (size_t)round), BYTES);
                submit(service, &all[i], input, i % 2 == 0, i % 4 > 1);
                if (i == 3)
                    usleep(1000); /* into the next batch */
            }
            for (size_t i = 0; i < REQUESTS; i++) {
                wait_for(&all[i]);
                together += all[i].request.batch_rows > 1;
                memset((i % 2 ? other : pinned) + i * BYTES, 77, BYTES);
                assert_int_equal(all[i].request.outcome, GLET_DONE);
                assert_false(all[i].request.inputs_kept);
                for (size_t b = 0; b < BYTES; b++)
                    assert_int_equal(all[i].output[b], i + (size_t)round + 1);
            }
        }
        assert_true(together > 0);
        assert_true(glet_fake_counts.fed > fed);
        assert_true(glet_fake_counts.fed <= fed + ROUNDS * REQUESTS / 2);
        glet_service_unpin(service, pinned, BLOCK_BYTES);
        assert_int_equal(glet_fake_counts.pinned, 0);
        glet_service_close(service);
        serve_nothing_is_left();
        munmap(pinned, BLOCK_BYTES);
        munmap(other, BLOCK_BYTES);
    }
}

/* Another process's BOOL is copied, pinned or not, and judged in the copy; one of our own is good. */
static void a_shared_boolean_is_copied(void **state)
{
    (void)state;
    struct glet_service *service = open_service("bytes 64\nbool 1\npins 1\ndepth 2\n", 1 << 20, 0);
    unsigned char *pinned = make_block();
    static struct one one;
    assert_true(glet_service_pin(service, pinned, BLOCK_BYTES, true));
    uint64_t fed = glet_fake_counts.fed;
    pinned[5] = 2;
    submit(service, &one, pinned, true, true);
    wait_for(&one);
    assert_int_equal(one.request.outcome, GLET_INVALID);
    assert_string_equal(one.request.message, "input 'IN': a BOOL is neither 0 nor 1");
    assert_int_equal(glet_fake_counts.fed, fed);
    pinned[5] = 1;
    submit(service, &one, pinned, true, false);
    wait_for(&one);
    assert_int_equal(one.request.outcome, GLET_DONE);
    assert_int_equal(one.output[5], 2);
    glet_service_unpin(service, pinned, BLOCK_BYTES);
    glet_service_close(service);
    serve_nothing_is_left();
    munmap(pinned, BLOCK_BYTES);
}

static void no_more_than_allowed(void **state)
{
    (void)state;
    struct glet_service *service = open_service("bytes 64\npins 1\n", 2 * BLOCK_BYTES, 0);
    unsigned char *blocks[3];
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        blocks[i] = make_block();
    assert_false(glet_service_pin(service, blocks[0], 2 * BLOCK_BYTES + 1, true));
    assert_false(glet_service_pin(service, blocks[0], SIZE_MAX, true));
    assert_true(glet_service_pin(service, blocks[0], BLOCK_BYTES, true));
    assert_true(glet_service_pin(service, blocks[1], BLOCK_BYTES, true));
    assert_false(glet_service_pin(service, blocks[2], 1, true));
    glet_service_unpin(service, blocks[0], BLOCK_BYTES);
    assert_true(glet_service_pin(service, blocks[2], BLOCK_BYTES, true));
    glet_service_unpin(service, blocks[1], BLOCK_BYTES);
    glet_service_unpin(service, blocks[2], BLOCK_BYTES);
    assert_int_equal(glet_fake_counts.pinned, 0);
    glet_service_close(service);
    service = open_service("bytes 64\npins 1\n", 0, 0);
    assert_false(glet_service_pin(service, blocks[0], 1, true));
    glet_service_close(service);
    serve_nothing_is_left();
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        munmap(blocks[i], BLOCK_BYTES);
}

/* A device that hangs may still read: the request is answered, and says that its input must stay. */
static void a_hang_keeps_what_it_reads(void **state)
{
    (void)state;
    struct glet_service *service =
        open_service("bytes 64\nfixed_us 1000\npins 1\ndepth 2\n", 1 << 20, 0.1);
    unsigned char *pinned = make_block();
    static struct one one;
    assert_true(glet_service_pin(service, pinned, BLOCK_BYTES, true));
    glet_fake_faults.hang_runs = 1;
    submit(service, &one, pinned, true, true);
    wait_for(&one);
    assert_true(one.request.inputs_kept);
    load_wait_rebuilt(service, 1);
    submit(service, &one, pinned, true, true);
    wait_for(&one);
    assert_int_equal(one.request.outcome, GLET_DONE);
    assert_false(one.request.inputs_kept);
    glet_fake_faults.release = true;
    for (int i = 0; glet_fake_counts.sets > 1; i++) {
        assert_true(i < 10000);
        usleep(1000);
    }
    glet_fake_faults.release = false;
    glet_service_unpin(service, pinned, BLOCK_BYTES);
    glet_service_close(service);
    serve_nothing_is_left();
    munmap(pinned, BLOCK_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_mix),
        cmocka_unit_test(a_shared_boolean_is_copied),
        cmocka_unit_test(no_more_than_allowed),
        cmocka_unit_test(a_hang_keeps_what_it_reads),
    };
    return cmocka_run_group_tests(tests, serve_tests_begin, serve_tests_end);
}
