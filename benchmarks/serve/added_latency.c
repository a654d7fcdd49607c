/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the runtime adds to a request on an idle gpu-let: from glet_service_submit() to the start of
 * the executor, over a device that does nothing. Beside it, interleaved in the same run, what the
 * machine itself takes to wake a thread that sleeps on a condition variable: the floor for any
 * design that sleeps. Requests come every 1 to 3 ms, so each finds the gpu-let asleep.
 *
 *     added_latency [REQUESTS]
 */
#include "common/clock.h"
#include "common/histogram.h"
#include "common/log.h"
#include "common/random.h"
#include "runtime/serve/control.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char plan_text[] =
    "schema: gpulet-plan/1\n"
    "objective: min-gpus\n"
    "models: [{name: nothing, file: nothing.onnx, slo_ms: 100, rate_rps: 1000, planned_rps: "
    "1000}]\n"
    "gpus:\n"
    "  - id: gpu0\n"
    "    type: fake\n"
    "    units: 10\n"
    "    gpulets:\n"
    "      - units: 10\n"
    "        duty_cycle_ms: 8\n"
    "        models: [{name: nothing, batch: 8, rate_rps: 1000, exec_ms: 1, factor: 1,\n"
    "                  latency_bound_ms: 9}]\n";

struct bell { /* a thread that sleeps until it is rung, and notes when it woke */
    pthread_mutex_t lock;
    pthread_cond_t rung;
    bool ring, stop;
    _Atomic uint64_t woke_ns;
};

static void *wait_for_bell(void *user)
{
    struct bell *bell = user;
    pthread_mutex_lock(&bell->lock);
    while (!bell->stop) {
        while (!bell->ring && !bell->stop)
            pthread_cond_wait(&bell->rung, &bell->lock);
        bell->ring = false;
        atomic_store(&bell->woke_ns, glet_clock_ns());
    }
    pthread_mutex_unlock(&bell->lock);
    return NULL;
}

static uint64_t ring(struct bell *bell)
{
    atomic_store(&bell->woke_ns, 0);
    uint64_t start_ns = glet_clock_ns();
    pthread_mutex_lock(&bell->lock);
    bell->ring = true;
    pthread_mutex_unlock(&bell->lock);
    pthread_cond_signal(&bell->rung);
    while (atomic_load(&bell->woke_ns) == 0)
        usleep(50);
    return (atomic_load(&bell->woke_ns) - start_ns) / 1000;
}

static _Atomic int answers;

static void done(struct glet_request *request)
{
    (void)request;
    atomic_fetch_add(&answers, 1);
}

static uint64_t ask(struct glet_service *service)
{
    static unsigned char input[16], output[16];
    const void *inputs[] = {input};
    void *outputs[] = {output};
    struct glet_request request = {.rows = 1,
                                   .inputs = inputs,
                                   .outputs = outputs,
                                   .done = done,
                                   .arrival_us = glet_clock_us()};
    int before = atomic_load(&answers);
    glet_service_submit(service, &request);
    while (atomic_load(&answers) == before)
        usleep(50);
    return request.start_us - request.arrival_us;
}

static int open_service(struct glet_service **service, struct glet_error *err)
{
    char folder[] = "/tmp/gpulet-latency-XXXXXX", path[64];
    if (!mkdtemp(folder))
        return glet_error_set(err, GLET_ERR_IO, "no temporary folder");
    snprintf(path, sizeof path, "%s/nothing.onnx", folder);
    FILE *file = fopen(path, "we");
    if (file) {
        fputs("bytes 16\n", file);
        fclose(file);
    }
    static const char *const devices[] = {"fake"};
    struct glet_service_options options = {
        .devices = devices, .device_count = 1, .models_dir = folder};
    struct glet_plan *plan = NULL;
    int result = glet_plan_parse(plan_text, strlen(plan_text), "plan", &plan, err);
    if (result == 0)
        result = glet_service_open(&options, plan, service, err);
    unlink(path);
    rmdir(folder);
    return result;
}

static void print(const char *what, const struct glet_histogram *histogram)
{
    printf("%-22s %8llu %8llu %8llu\n", what,
           (unsigned long long)glet_histogram_percentile_us(histogram, 50),
           (unsigned long long)glet_histogram_percentile_us(histogram, 99),
           (unsigned long long)glet_histogram_max_us(histogram));
}

int main(int argc, char **argv)
{
    int requests = argc > 1 ? atoi(argv[1]) : 2000;
    struct glet_error err = {0};
    struct glet_service *service = NULL;
    glet_log_setup(GLET_LOG_ERROR, GLET_LOG_TEXT);
    struct glet_histogram *runtime_us = glet_histogram_new(&err);
    struct glet_histogram *wake_us = runtime_us ? glet_histogram_new(&err) : NULL;
    if (!wake_us || open_service(&service, &err) < 0) {
        glet_error_print(&err, stderr);
        return glet_error_exit_status(err.code);
    }
    struct bell bell = {.lock = PTHREAD_MUTEX_INITIALIZER, .rung = PTHREAD_COND_INITIALIZER};
    pthread_t thread;
    if (pthread_create(&thread, NULL, wait_for_bell, &bell) != 0)
        return 70;
    struct glet_random random = glet_random_seeded(1);
    for (int i = 0; i < requests; i++) {
        usleep((useconds_t)(1000 + glet_random_below(&random, 2000)));
        glet_histogram_record(runtime_us, ask(service));
        usleep((useconds_t)(1000 + glet_random_below(&random, 2000)));
        glet_histogram_record(wake_us, ring(&bell));
    }
    printf("%-22s %8s %8s %8s   (us, %d requests)\n", "", "p50", "p99", "max", requests);
    print("added by the runtime", runtime_us);
    print("waking a thread", wake_us);
    pthread_mutex_lock(&bell.lock);
    bell.stop = true;
    pthread_mutex_unlock(&bell.lock);
    pthread_cond_signal(&bell.rung);
    pthread_join(thread, NULL);
    glet_service_close(service);
    glet_histogram_free(runtime_us);
    glet_histogram_free(wake_us);
    return 0;
}
