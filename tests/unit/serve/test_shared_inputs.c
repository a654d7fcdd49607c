/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs that another process may change, and take away, in batches with others that are good. */
#include "common/clock.h"
#include "tests/unit/check.h"
#include "tests/unit/serve/serve_load.h"

#include "runtime/serve/shared_copy.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BYTES = 16, REQUESTS = 8 };

struct one {
    struct glet_request request;
    const void *inputs[1];
    void *outputs[1];
    unsigned char input[BYTES], output[BYTES];
    _Atomic bool done;
};

static void done(struct glet_request *request)
{
    struct one *one = request->user;
    one->done = true;
}

static struct glet_service *open_service(const char *model)
{
    struct glet_error err = {0};
    CHECK_OK(glet_shared_copy_setup(&err), &err);
    return serve_open(model, serve_plan(serve_plan_of_one), 0, 0);
}

/* shared NULL: its own input. */
static void submit(struct glet_service *service, struct one *one, unsigned char first,
                   const void *shared)
{
    *one = (struct one){.inputs = {shared ? shared : one->input}, .outputs = {one->output}};
    memset(one->input, first, BYTES);
    one->request = (struct glet_request){.rows = 1,
                                         .arrival_us = glet_clock_us(),
                                         .inputs = one->inputs,
                                         .outputs = one->outputs,
                                         .shared = shared != NULL,
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

static unsigned char *shared_memory(int *fd)
{
    long page = sysconf(_SC_PAGESIZE);
    *fd = memfd_create("shared_inputs", MFD_CLOEXEC);
    assert_true(*fd >= 0 && ftruncate(*fd, 2 * page) == 0);
    unsigned char *memory =
        mmap(NULL, (size_t)(2 * page), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

/* 255 at the beginning of a row would be refused by the device: a copy that failed half way must not
   leave it there, nor one that is gone what the batch before had in its place. */
static void one_that_is_gone_costs_its_neighbours_nothing(void **state)
{
    (void)state;
    struct glet_service *service = open_service("bytes 16\nfixed_us 3000\n");
    static struct one all[REQUESTS];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int fd, together = 0;
    unsigned char *memory = shared_memory(&fd);
    memset(memory, 255, 2 * page);
    memset(memory + 100, 40, BYTES);
    assert_int_equal(ftruncate(fd, (off_t)page), 0);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < REQUESTS; i++) {
            const void *place = i % 4 == 1 ? memory + page - 8 : memory + 100;
            submit(service, &all[i], (unsigned char)(10 + i), i % 2 ? place : NULL);
        }
        for (size_t i = 0; i < REQUESTS; i++) {
            wait_for(&all[i]);
            together += all[i].request.batch_rows > 1;
            if (i % 4 == 1) {
                assert_int_equal(all[i].request.outcome, GLET_INVALID);
                assert_string_equal(all[i].request.message,
                                    "input 'IN': its shared memory has become shorter");
                continue;
            }
            assert_int_equal(all[i].request.outcome, GLET_DONE);
            assert_string_equal(all[i].request.message, "");
            for (size_t b = 0; b < BYTES; b++)
                assert_int_equal(all[i].output[b], i % 2 ? 41 : 11 + i);
        }
    }
    assert_true(together > 0);
    glet_service_close(service);
    serve_nothing_is_left();
    munmap(memory, 2 * page);
    close(fd);
}

static void a_boolean_is_judged_in_the_copy(void **state)
{
    (void)state;
    struct glet_service *service = open_service("bytes 16\nbool 1\n");
    static struct one one;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int fd;
    unsigned char *memory = shared_memory(&fd);
    memory[3] = 1;
    submit(service, &one, 0, memory);
    wait_for(&one);
    assert_int_equal(one.request.outcome, GLET_DONE);
    assert_int_equal(one.output[3], 2);
    memory[BYTES - 1] = 2;
    submit(service, &one, 0, memory);
    wait_for(&one);
    assert_int_equal(one.request.outcome, GLET_INVALID);
    assert_string_equal(one.request.message, "input 'IN': a BOOL is neither 0 nor 1");
    glet_service_close(service);
    serve_nothing_is_left();
    munmap(memory, 2 * page);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_is_gone_costs_its_neighbours_nothing),
        cmocka_unit_test(a_boolean_is_judged_in_the_copy),
    };
    return cmocka_run_group_tests(tests, serve_tests_begin, serve_tests_end);
}
