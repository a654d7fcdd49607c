/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/doubles/fake_service.h"

#include "common/clock.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MODELS 40

enum behaviour { ZEROS, ECHO, TWO, SLEEP, NOT_A_NUMBER, OUTCOME };

struct model {
    const char *name;
    enum behaviour behaviour;
    enum glet_outcome outcome;
    int max_rows;
    size_t input_count, output_count;
    struct glet_model_io inputs[2], outputs[2];
    atomic_ullong outcomes[GLET_OUTCOME_COUNT], rows;
};

struct glet_service {
    struct model models[MAX_MODELS];
    int model_count;
    bool threaded;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    struct glet_request *waiting; /* service_word: due time */
};

static struct glet_model_io io(const char *name, enum glet_dtype dtype, size_t size, int rank,
                               const int64_t *dims)
{
    struct glet_model_io out = {.name = name, .dtype = dtype, .rank = rank, .bytes = size};
    for (int i = 0; i < rank; i++) {
        out.dims[i] = dims[i];
        out.bytes *= dims[i] == GLET_DIM_BATCH ? 1 : (size_t)dims[i];
    }
    return out;
}

static struct model *add(struct glet_service *service, const char *name, enum behaviour behaviour)
{
    struct model *model = &service->models[service->model_count++];
    model->name = name;
    model->behaviour = behaviour;
    model->max_rows = 8;
    model->input_count = model->output_count = 1;
    return model;
}

static struct model *add_same(struct glet_service *service, const char *name,
                              enum behaviour behaviour, enum glet_dtype dtype, size_t size,
                              int64_t width)
{
    struct model *model = add(service, name, behaviour);
    model->inputs[0] = io("in", dtype, size, 2, (const int64_t[]){GLET_DIM_BATCH, width});
    model->outputs[0] = io("out", dtype, size, 2, (const int64_t[]){GLET_DIM_BATCH, width});
    return model;
}

static void add_echoes(struct glet_service *service)
{
    static const struct {
        const char *name;
        enum glet_dtype dtype;
        size_t size;
    } types[] = {{"echo_FP32", GLET_FLOAT32, 4},  {"echo_FP64", GLET_FLOAT64, 8},
                 {"echo_FP16", GLET_FLOAT16, 2},  {"echo_BF16", GLET_BFLOAT16, 2},
                 {"echo_INT8", GLET_INT8, 1},     {"echo_INT16", GLET_INT16, 2},
                 {"echo_INT32", GLET_INT32, 4},   {"echo_INT64", GLET_INT64, 8},
                 {"echo_UINT8", GLET_UINT8, 1},   {"echo_UINT16", GLET_UINT16, 2},
                 {"echo_UINT32", GLET_UINT32, 4}, {"echo_UINT64", GLET_UINT64, 8},
                 {"echo_BOOL", GLET_BOOL, 1}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        add_same(service, types[i].name, ECHO, types[i].dtype, types[i].size, 4);
}

static void add_outcomes(struct glet_service *service)
{
    static const struct {
        const char *name;
        enum glet_outcome outcome;
    } rows[] = {{"rate", GLET_REFUSED_RATE},   {"load", GLET_REFUSED_LOAD},
                {"drain", GLET_REFUSED_DRAIN}, {"late", GLET_LATE},
                {"failed", GLET_FAILED},       {"invalid", GLET_INVALID}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        add_same(service, rows[i].name, OUTCOME, GLET_FLOAT32, 4, 1)->outcome = rows[i].outcome;
    add_same(service, "unready", ECHO, GLET_FLOAT32, 4, 1);
}

static void add_models(struct glet_service *service)
{
    static const int64_t image[] = {GLET_DIM_BATCH, 3, 112, 112},
                         corner[] = {GLET_DIM_BATCH, 1, 8, 112};
    static const int64_t three[] = {GLET_DIM_BATCH, 3}, fixed[] = {2, 3},
                         none[] = {GLET_DIM_BATCH, 0};
    struct model *model = add(service, "noop", ZEROS);
    model->inputs[0] = io("image", GLET_FLOAT32, 4, 4, image);
    model->outputs[0] = io("scores", GLET_FLOAT32, 4, 4, corner);
    add_echoes(service);
    model = add(service, "two", TWO);
    model->input_count = model->output_count = 2;
    model->inputs[0] = io("a \"left\"", GLET_INT32, 4, 2, three);
    model->inputs[1] = io("b \"right\"", GLET_INT32, 4, 2, three);
    model->outputs[0] = io("sum", GLET_INT32, 4, 2, three);
    model->outputs[1] = io("difference", GLET_INT32, 4, 2, three);
    model = add(service, "fixed", ECHO);
    model->inputs[0] = io("in", GLET_FLOAT32, 4, 2, fixed);
    model->outputs[0] = io("out", GLET_FLOAT32, 4, 2, fixed);
    add_same(service, "odd \"name\"", ECHO, GLET_FLOAT32, 4, 2);
    add_same(service, "sleep", SLEEP, GLET_INT32, 4, 1);
    add_same(service, "nan", NOT_A_NUMBER, GLET_FLOAT32, 4, 1);
    model = add(service, "empty", ECHO);
    model->inputs[0] = model->outputs[0] = io("in", GLET_FLOAT32, 4, 2, none);
    model->outputs[0].name = "out";
    add_outcomes(service);
}

static void compute(struct model *model, struct glet_request *request)
{
    size_t rows = (size_t)request->rows;
    if (model->behaviour == ZEROS) {
        memset(request->outputs[0], 0, rows * model->outputs[0].bytes);
    } else if (model->behaviour == NOT_A_NUMBER) {
        float *out = request->outputs[0];
        for (size_t i = 0; i < rows; i++)
            out[i] = NAN;
    } else if (model->behaviour == TWO) {
        int32_t *sum = request->outputs[0], *difference = request->outputs[1];
        for (size_t i = 0; i < rows * 3; i++) {
            uint32_t a, b; /* wraps around */
            memcpy(&a, (const char *)request->inputs[0] + i * 4, 4);
            memcpy(&b, (const char *)request->inputs[1] + i * 4, 4);
            sum[i] = (int32_t)(a + b);
            difference[i] = (int32_t)(a - b);
        }
    } else {
        memcpy(request->outputs[0], request->inputs[0], rows * model->inputs[0].bytes);
    }
}

static void complete(struct glet_service *service, struct glet_request *request)
{
    struct model *model = &service->models[request->model];
    request->start_us = request->arrival_us;
    request->message[0] = '\0';
    request->retry_after_s = 0;
    request->outcome = GLET_DONE;
    request->batch_rows = request->rows;
    request->gpu = "gpu0";
    if (model->behaviour == OUTCOME) {
        request->outcome = model->outcome;
        request->retry_after_s = 2.5;
        request->start_us = 0;
        request->gpu = model->outcome < GLET_LATE ? NULL : "gpu0"; /* refused before it got there */
        snprintf(request->message, sizeof request->message, "outcome %s", model->name);
    } else {
        compute(model, request);
        atomic_fetch_add(&model->rows, (unsigned)request->rows);
    }
    request->end_us = request->start_us ? glet_clock_us() : 0;
    atomic_fetch_add(&model->outcomes[request->outcome], 1);
    request->done(request);
}

static uint64_t due_us(const struct model *model, const struct glet_request *request)
{
    int32_t ms = 0;
    if (model->behaviour == SLEEP)
        memcpy(&ms, request->inputs[0], sizeof ms);
    return ms > 0 ? request->arrival_us + (uint64_t)ms * 1000 : 0;
}

static struct glet_request *take_due(struct glet_service *service, uint64_t now_us,
                                     uint64_t *next_us)
{
    *next_us = UINT64_MAX;
    for (struct glet_request **at = &service->waiting; *at; at = &(*at)->next) {
        if ((*at)->service_word <= now_us) {
            struct glet_request *found = *at;
            *at = found->next;
            return found;
        }
        if ((*at)->service_word < *next_us)
            *next_us = (*at)->service_word;
    }
    return NULL;
}

static void *thread_main(void *user)
{
    struct glet_service *service = user;
    pthread_mutex_lock(&service->lock);
    while (!service->stopping || service->waiting) {
        uint64_t next_us, now_us = glet_clock_us();
        struct glet_request *request = take_due(service, now_us, &next_us);
        if (request) {
            pthread_mutex_unlock(&service->lock);
            complete(service, request);
            pthread_mutex_lock(&service->lock);
        } else if (next_us == UINT64_MAX) {
            pthread_cond_wait(&service->changed, &service->lock);
        } else {
            struct timespec until = {.tv_sec = (time_t)(next_us / 1000000),
                                     .tv_nsec = (long)(next_us % 1000000) * 1000};
            pthread_cond_timedwait(&service->changed, &service->lock, &until);
        }
    }
    pthread_mutex_unlock(&service->lock);
    return NULL;
}

void glet_service_submit(struct glet_service *service, struct glet_request *request)
{
    struct model *model = &service->models[request->model];
    request->service_word = due_us(model, request);
    if (!service->threaded && request->service_word == 0) {
        complete(service, request);
        return;
    }
    pthread_mutex_lock(&service->lock);
    request->next = NULL;
    struct glet_request **at = &service->waiting;
    while (*at)
        at = &(*at)->next;
    *at = request;
    pthread_cond_signal(&service->changed);
    pthread_mutex_unlock(&service->lock);
}

struct glet_service *glet_fake_service_new(bool threaded)
{
    struct glet_service *service = calloc(1, sizeof *service);
    if (!service)
        abort();
    service->threaded = threaded;
    add_models(service);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&service->lock, NULL);
    pthread_cond_init(&service->changed, &monotonic);
    if (pthread_create(&service->thread, NULL, thread_main, service))
        abort();
    return service;
}

void glet_fake_service_free(struct glet_service *service)
{
    if (!service)
        return;
    pthread_mutex_lock(&service->lock);
    service->stopping = true;
    pthread_cond_signal(&service->changed);
    pthread_mutex_unlock(&service->lock);
    pthread_join(service->thread, NULL);
    free(service);
}

bool glet_service_pin(struct glet_service *service, void *memory, size_t bytes, bool writable)
{
    (void)service, (void)memory, (void)bytes, (void)writable;
    return false;
}

void glet_service_unpin(struct glet_service *service, void *memory, size_t bytes)
{
    (void)service, (void)memory, (void)bytes;
}

size_t glet_service_pinned_bytes(const struct glet_service *service)
{
    (void)service;
    return 655424;
}

size_t glet_service_model_count(const struct glet_service *service)
{
    return (size_t)service->model_count;
}

int glet_service_find_model(const struct glet_service *service, const char *name)
{
    for (int i = 0; i < service->model_count; i++)
        if (strcmp(service->models[i].name, name) == 0)
            return i;
    return -1;
}

const char *glet_service_model_name(const struct glet_service *service, int model)
{
    return service->models[model].name;
}

int glet_service_max_rows(const struct glet_service *service, int model)
{
    return service->models[model].max_rows;
}

size_t glet_service_input_count(const struct glet_service *service, int model)
{
    return service->models[model].input_count;
}

size_t glet_service_output_count(const struct glet_service *service, int model)
{
    return service->models[model].output_count;
}

const struct glet_model_io *glet_service_input(const struct glet_service *service, int model,
                                               size_t i)
{
    return &service->models[model].inputs[i];
}

const struct glet_model_io *glet_service_output(const struct glet_service *service, int model,
                                                size_t i)
{
    return &service->models[model].outputs[i];
}

bool glet_service_ready(const struct glet_service *service)
{
    return !service->stopping;
}

bool glet_service_model_ready(const struct glet_service *service, int model)
{
    return strcmp(service->models[model].name, "unready") != 0;
}

bool glet_service_stats(const struct glet_service *service, int model, const char *gpu,
                        struct glet_model_stats *out)
{
    const struct model *m = &service->models[model];
    out->slo_ms = 100;
    out->planned_rps = 50;
    for (int i = 0; i < GLET_OUTCOME_COUNT; i++)
        out->outcomes[i] = atomic_load(&m->outcomes[i]);
    out->rows = atomic_load(&m->rows);
    out->executions = out->outcomes[GLET_DONE];
    out->queue_ns = out->outcomes[GLET_DONE] * 1000;
    out->compute_ns = out->outcomes[GLET_DONE] * 2000;
    out->input_ns = out->outcomes[GLET_DONE] * 100;
    out->output_ns = out->outcomes[GLET_DONE] * 200;
    if (out->total_us)
        glet_histogram_record_many(out->total_us, 50000, out->outcomes[GLET_DONE]);
    if (out->queue_us)
        glet_histogram_record_many(out->queue_us, 1000, out->outcomes[GLET_DONE]);
    if (out->compute_us)
        glet_histogram_record_many(out->compute_us, 2000, out->outcomes[GLET_DONE]);
    return !gpu || strcmp(gpu, "gpu0") == 0;
}

/* As if every request had been one row. */
bool glet_service_batch_stats(const struct glet_service *service, int model, const char *gpu,
                              int rows, struct glet_batch_stats *out)
{
    const struct model *m = &service->models[model];
    uint64_t done = rows == 1 ? atomic_load(&m->outcomes[GLET_DONE]) : 0;
    *out = (struct glet_batch_stats){done, done * 100, done * 2000, done * 200};
    return rows <= m->max_rows && (!gpu || strcmp(gpu, "gpu0") == 0);
}

void glet_service_events(const struct glet_service *service, struct glet_service_events *out)
{
    (void)service;
    *out = (struct glet_service_events){.plan_changes = 3, .plan_rejects = 2, .rebuilds = 1};
}

void glet_service_plan_info(const struct glet_service *service, struct glet_plan_info *out)
{
    (void)service;
    snprintf(out->path, sizeof out->path, "plans/a \"b\"\\c.yaml");
    memset(out->sha256, 'a', 64);
    out->sha256[64] = '\0';
    out->generation = 1;
    out->loaded_unix_ms = 1;
    out->change = (struct glet_plan_change){
        .models_built = 2, .gpus_built = 1, .prepare_ms = 750, .swap_ms = 0.25, .drain_ms = NAN};
}

size_t glet_service_gpu_count(const struct glet_service *service)
{
    (void)service;
    return 1;
}

bool glet_service_gpu_stats(const struct glet_service *service, size_t gpu,
                            struct glet_gpu_stats *out)
{
    (void)service;
    *out = (struct glet_gpu_stats){.id = "gpu0",
                                   .type = "cpu",
                                   .units = 20,
                                   .sms = 2,
                                   .memory_used_bytes = 1 << 20,
                                   .memory_total_bytes = 1 << 30};
    return gpu == 0;
}

bool glet_service_gpu_sample(const struct glet_service *service, size_t gpu,
                             struct glet_device_sample *out)
{
    (void)service;
    *out = (struct glet_device_sample){.power_w = 312.5,
                                       .power_limit_w = 700,
                                       .energy_j = 123456789,
                                       .temperature_c = NAN, /* not known */
                                       .sm_clock_mhz = 1755,
                                       .memory_clock_mhz = 2619,
                                       .busy_ratio = 0.75,
                                       .memory_busy_ratio = 0.25,
                                       .memory_used_mib = 1024,
                                       .memory_total_mib = 81920,
                                       .throttle = GLET_THROTTLE_POWER};
    return gpu == 0;
}

size_t glet_service_let_count(const struct glet_service *service)
{
    (void)service;
    return 2;
}

bool glet_service_let_stats(const struct glet_service *service, size_t let,
                            struct glet_let_stats *out)
{
    (void)service;
    *out = (struct glet_let_stats){.units = let ? 4 : 12,
                                   .achieved_units = let ? 3.9 : 12.1,
                                   .busy_ratio = 0.25,
                                   .duty_cycle_ms = 20,
                                   .rounds = 7,
                                   .share_count = 1};
    return let < 2;
}

bool glet_service_share_stats(const struct glet_service *service, size_t let, size_t share,
                              struct glet_share_stats *out)
{
    (void)service;
    *out = (struct glet_share_stats){.model = (int)let,
                                     .batch = 8,
                                     .planned_rps = 50,
                                     .exec_ms = 5,
                                     .latency_bound_ms = 25,
                                     .executions = 3,
                                     .rows = 20};
    return let < 2 && share == 0;
}
