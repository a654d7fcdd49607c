/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_SERVE_LOAD_H
#define GLET_TESTS_SERVE_LOAD_H

/*
 * A service over the fake device, and load on it from inside the process: one thread per model
 * submits at a steady rate, checks every answer byte by byte, and counts what became of it.
 */

#include "runtime/serve/control.h"
#include "tests/doubles/fake_device.h"

#include <pthread.h>
#include <stdatomic.h>

struct load_model {
    const char *name;
    double rate_rps;
    int rows;
    _Atomic uint64_t submitted, outcomes[GLET_OUTCOME_COUNT], wrong, twice, over_slo, retry_missing;
};

struct load {
    struct glet_service *service;
    struct load_model models[8];
    size_t model_count;
    uint64_t slo_us;
    pthread_t threads[8];
    _Atomic bool stop;
    _Atomic uint64_t open;
};

void load_start(struct load *load);
void load_stop(struct load *load); /* waits until every request is answered */
/* Frees the requests whose inputs a hanging device might still have read; how many they were. */
size_t load_free_kept(void);

/* One request of one model, from here; waits for its answer. first_byte 255 is refused data. */
enum glet_outcome load_once(struct glet_service *service, const char *model, int rows,
                            unsigned char first_byte, char message[128]);

/* Waits until gpu-lets were rebuilt so many times. */
void load_wait_rebuilt(struct glet_service *service, uint64_t times);

/* The fake device has nothing open any more. */
void serve_nothing_is_left(void);

/* Group fixtures: a quiet log unless GLET_TEST_LOG is set; no files left. */
int serve_tests_begin(void **state);
int serve_tests_end(void **state);

/* Writes text to a file in the test's own folder; the path is static per name. */
const char *serve_file(const char *name, const char *text);

/* Parses a plan; aborts the test when it is malformed. */
struct glet_plan *serve_plan(const char *text);

/* A gpu-let of half a device with one model, a, in batches of 8 of at most 15 ms. */
extern const char serve_plan_of_one[];

/* Opens a service over one fake device, with the plan, whose model a.onnx has this text. */
struct glet_service *serve_open(const char *model, struct glet_plan *plan, size_t max_pinned_bytes,
                                double hang_s);

#endif
