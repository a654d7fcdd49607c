/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/serve/serve_load.h"

#include "common/clock.h"
#include "common/log.h"
#include "tests/unit/check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_ROWS = 16, MOST_BYTES = 64 };

struct shot {
    struct glet_request request;
    struct load *load;
    struct load_model *model;
    size_t bytes; /* of all rows */
    uint64_t submitted_us;
    _Atomic int answers;
    const void *inputs[1];
    void *outputs[1];
    unsigned char input[MOST_ROWS * MOST_BYTES], output[MOST_ROWS * MOST_BYTES];
    struct shot *next_kept;
};

static _Atomic(struct shot *) kept; /* answered, but a hanging device may still read them */

size_t load_free_kept(void)
{
    struct shot *shot = atomic_exchange(&kept, NULL);
    size_t count = 0;
    for (struct shot *next; shot; shot = next, count++) {
        next = shot->next_kept;
        free(shot);
    }
    return count;
}

static void done(struct glet_request *request)
{
    struct shot *shot = request->user;
    struct load_model *model = shot->model;
    if (atomic_fetch_add(&shot->answers, 1) > 0)
        atomic_fetch_add(&model->twice, 1);
    atomic_fetch_add(&model->outcomes[request->outcome], 1);
    if (request->outcome == GLET_DONE) {
        if (glet_clock_us() - shot->submitted_us > shot->load->slo_us)
            atomic_fetch_add(&model->over_slo, 1);
        for (size_t i = 0; i < shot->bytes; i++)
            if (shot->output[i] != (unsigned char)(shot->input[i] + 1)) {
                atomic_fetch_add(&model->wrong, 1);
                break;
            }
    } else if (request->outcome != GLET_LATE && request->retry_after_s < 0) {
        atomic_fetch_add(&model->retry_missing, 1);
    }
    struct load *load = shot->load;
    if (!request->inputs_kept) {
        free(shot);
    } else {
        shot->next_kept = atomic_load(&kept);
        while (!atomic_compare_exchange_weak(&kept, &shot->next_kept, shot))
            ;
    }
    atomic_fetch_sub(&load->open, 1);
}

static struct shot *make_shot(struct glet_service *service, int model, int rows, unsigned char seed)
{
    struct shot *shot = calloc(1, sizeof *shot);
    assert_non_null(shot);
    shot->bytes = (size_t)rows * glet_service_input(service, model, 0)->bytes;
    assert_true(shot->bytes <= sizeof shot->input);
    for (size_t i = 0; i < shot->bytes; i++)
        shot->input[i] = (unsigned char)((seed + i * 7) % 250);
    shot->inputs[0] = shot->input;
    shot->outputs[0] = shot->output;
    shot->submitted_us = glet_clock_us();
    shot->request = (struct glet_request){.model = model,
                                          .rows = rows,
                                          .arrival_us = shot->submitted_us,
                                          .inputs = shot->inputs,
                                          .outputs = shot->outputs,
                                          .done = done,
                                          .user = shot};
    return shot;
}

struct stream {
    struct load *load;
    struct load_model *model;
};

static void *submit_stream(void *user)
{
    struct stream stream = *(struct stream *)user;
    free(user);
    int index = glet_service_find_model(stream.load->service, stream.model->name);
    uint64_t gap_us = (uint64_t)(1e6 / stream.model->rate_rps), next_us = glet_clock_us();
    unsigned char seed = 0;
    do {
        struct shot *shot = make_shot(stream.load->service, index, stream.model->rows, seed++);
        shot->load = stream.load;
        shot->model = stream.model;
        atomic_fetch_add(&stream.load->open, 1);
        atomic_fetch_add(&stream.model->submitted, 1);
        glet_service_submit(stream.load->service, &shot->request);
        next_us += gap_us;
        glet_clock_sleep_until_us(next_us);
    } while (!atomic_load(&stream.load->stop));
    return NULL;
}

void load_start(struct load *load)
{
    for (size_t i = 0; i < load->model_count; i++) {
        struct stream *stream = malloc(sizeof *stream);
        assert_non_null(stream);
        *stream = (struct stream){load, &load->models[i]};
        assert_int_equal(pthread_create(&load->threads[i], NULL, submit_stream, stream), 0);
    }
}

void load_stop(struct load *load)
{
    atomic_store(&load->stop, true);
    for (size_t i = 0; i < load->model_count; i++)
        pthread_join(load->threads[i], NULL);
    for (int i = 0; atomic_load(&load->open) > 0; i++) {
        assert_true(i < 10000);
        usleep(1000);
    }
}

struct single {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool done;
};

static void done_once(struct glet_request *request)
{
    struct single *single = request->user;
    pthread_mutex_lock(&single->lock);
    single->done = true;
    pthread_cond_signal(&single->answered);
    pthread_mutex_unlock(&single->lock);
}

enum glet_outcome load_once(struct glet_service *service, const char *model, int rows,
                            unsigned char first_byte, char message[128])
{
    struct single single = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    struct shot *shot = make_shot(service, glet_service_find_model(service, model), rows, 1);
    shot->input[0] = first_byte;
    shot->request.done = done_once;
    shot->request.user = &single;
    glet_service_submit(service, &shot->request);
    pthread_mutex_lock(&single.lock);
    while (!single.done)
        pthread_cond_wait(&single.answered, &single.lock);
    pthread_mutex_unlock(&single.lock);
    enum glet_outcome outcome = shot->request.outcome;
    if (message)
        memcpy(message, shot->request.message, sizeof shot->request.message);
    free(shot);
    return outcome;
}

static char folder[] = "/tmp/gpulet-serve-XXXXXX";
static bool folder_made;

const char *serve_file(const char *name, const char *text)
{
    static char path[128];
    if (!folder_made)
        assert_non_null(mkdtemp(folder));
    folder_made = true;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

struct glet_plan *serve_plan(const char *text)
{
    struct glet_plan *plan = NULL;
    struct glet_error err = {0};
    CHECK_OK(glet_plan_parse(text, strlen(text), "plan", &plan, &err), &err);
    return plan;
}

void load_wait_rebuilt(struct glet_service *service, uint64_t times)
{
    struct glet_service_events events = {0};
    for (int i = 0; events.rebuilds < times; i++) {
        assert_true(i < 10000);
        usleep(1000);
        glet_service_events(service, &events);
    }
}

void serve_nothing_is_left(void)
{
    assert_int_equal(glet_fake_counts.devices, 0);
    assert_int_equal(glet_fake_counts.sets, 0);
    assert_int_equal(glet_fake_counts.executors, 0);
    assert_int_equal(glet_fake_counts.models, 0);
    assert_int_equal(glet_fake_counts.partitions_entered, 0);
}

int serve_tests_begin(void **state)
{
    (void)state;
    glet_log_setup(getenv("GLET_TEST_LOG") ? GLET_LOG_INFO : GLET_LOG_ERROR - 1, GLET_LOG_TEXT);
    return 0;
}

int serve_tests_end(void **state)
{
    (void)state;
    DIR *open = folder_made ? opendir(folder) : NULL;
    struct dirent *entry;
    while (open && (entry = readdir(open)))
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(open), entry->d_name, 0);
    if (open) {
        closedir(open);
        rmdir(folder);
    }
    return 0;
}

const char serve_plan_of_one[] =
    "schema: gpulet-plan/1\n"
    "objective: min-gpus\n"
    "models:\n"
    "  - {name: a, file: a.onnx, slo_ms: 5000, percentile: 99, rate_rps: 500, planned_rps: 600}\n"
    "gpus:\n"
    "  - id: gpu0\n"
    "    type: fake\n"
    "    units: 10\n"
    "    gpulets:\n"
    "      - units: 5\n"
    "        duty_cycle_ms: 13\n"
    "        models:\n"
    "          - {name: a, batch: 8, rate_rps: 600, exec_ms: 2, factor: 1, latency_bound_ms: 15}\n";

struct glet_service *serve_open(const char *model, struct glet_plan *plan, size_t max_pinned_bytes,
                                double hang_s)
{
    static const char *const devices[] = {"fake"};
    static char dir[128]; /* borrowed by the service */
    snprintf(dir, sizeof dir, "%s", serve_file("a.onnx", model));
    *strrchr(dir, '/') = '\0';
    struct glet_service_options options = {.devices = devices,
                                           .device_count = 1,
                                           .models_dir = dir,
                                           .max_pinned_bytes = max_pinned_bytes,
                                           .hang_s = hang_s};
    struct glet_error err = {0};
    struct glet_service *service = NULL;
    CHECK_OK(glet_service_open(&options, plan, &service, &err), &err);
    return service;
}
