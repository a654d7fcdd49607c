/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/doubles/fake_device.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/sha256.h"
#include "runtime/device/device.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct glet_fake_faults glet_fake_faults;
struct glet_fake_counts glet_fake_counts;

struct glet_device {
    struct glet_device_info info;
};

struct glet_partition {
    int units;
    pthread_t worker;
    bool entered;
    uint64_t begun, finished; /* batches */
    uint64_t free_us;         /* when what was begun has run; with its copies: */
    uint64_t copied_us;
    _Atomic uint64_t busy_us;
};

struct glet_partition_set {
    size_t count;
    struct glet_partition partitions[];
};

struct glet_model {
    char *name;
    struct glet_model_io input, output;
    uint64_t fixed_us, row_us, copy_us, build_us, skips, depth, largest, pins;
    char sha256[65];
};

struct glet_executor {
    struct glet_partition *partition;
    struct glet_model *model;
    int batch;
    struct job {
        unsigned char *input, *output;
        const unsigned char *lent; /* read instead of `input` */
        const unsigned char **fed; /* of each row: the same; NULL = neither */
        uint64_t number;           /* of the partition's batches */
        uint64_t start_us, computed_us, end_us;
        int used;
    } jobs[2];
    int next, oldest, finished; /* jobs */
};

int glet_device_open(const char *spec, struct glet_device **out, struct glet_error *err)
{
    int units = 10;
    if (strncmp(spec, "fake", 4) != 0 || (spec[4] && sscanf(spec + 4, ":%d", &units) != 1))
        return glet_error_set(err, GLET_ERR_USAGE, "%s: not a device", spec);
    struct glet_device *device = glet_alloc(1, sizeof *device, err);
    if (!device)
        return -1;
    device->info = (struct glet_device_info){.gpu = "fake",
                                             .mechanism = "cpu",
                                             .sm_count = units,
                                             .units = units,
                                             .max_gpulets = 64,
                                             .memory_mib = 1024};
    glet_fake_counts.devices++;
    *out = device;
    return 0;
}

void glet_device_close(struct glet_device *device)
{
    if (device)
        glet_fake_counts.devices--;
    free(device);
}

const struct glet_device_info *glet_device_info(const struct glet_device *device)
{
    return &device->info;
}

void glet_device_forget_model(struct glet_device *device, const struct glet_model *model)
{
    (void)device, (void)model;
}

void glet_device_allow_temporal(struct glet_device *device)
{
    (void)device;
}

void glet_device_sample(const struct glet_device *device, struct glet_device_sample *sample_out)
{
    (void)device;
    *sample_out = (struct glet_device_sample){NAN, NAN, NAN, NAN, NAN,           NAN,
                                              NAN, NAN, NAN, NAN, .throttle = -1};
}

const struct glet_device_fact *glet_device_facts(const struct glet_device *device, size_t *count)
{
    (void)device;
    *count = 0;
    return NULL;
}

int glet_device_check(const struct glet_device *device, const char *model, int units, int batch,
                      struct glet_error *err)
{
    (void)device, (void)model, (void)units, (void)batch, (void)err;
    return 0;
}

int glet_device_check_verify(const struct glet_device *device, struct glet_error *err)
{
    (void)device, (void)err;
    return 0;
}

/* --- pinned memory --- */

static pthread_mutex_t pins_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    const unsigned char *memory; /* NULL: free */
    size_t bytes;
} pins[64];

bool glet_device_can_pin(const struct glet_device *device)
{
    (void)device;
    return true;
}

bool glet_device_pin(struct glet_device *device, void *memory, size_t bytes, bool writable)
{
    (void)device;
    (void)writable;
    size_t i = 0;
    pthread_mutex_lock(&pins_lock);
    while (i < sizeof pins / sizeof pins[0] && pins[i].memory)
        i++;
    bool room = i < sizeof pins / sizeof pins[0];
    if (room) {
        pins[i].memory = memory;
        pins[i].bytes = bytes;
        glet_fake_counts.pinned++;
    }
    pthread_mutex_unlock(&pins_lock);
    return room;
}

void glet_device_unpin(struct glet_device *device, void *memory)
{
    (void)device;
    pthread_mutex_lock(&pins_lock);
    for (size_t i = 0; i < sizeof pins / sizeof pins[0]; i++)
        if (pins[i].memory == memory) {
            pins[i].memory = NULL;
            glet_fake_counts.pinned--;
        }
    pthread_mutex_unlock(&pins_lock);
}

static bool is_pinned(const unsigned char *memory, size_t bytes)
{
    bool found = false;
    pthread_mutex_lock(&pins_lock);
    for (size_t i = 0; i < sizeof pins / sizeof pins[0]; i++)
        found |= pins[i].memory && memory >= pins[i].memory &&
                 memory + bytes <= pins[i].memory + pins[i].bytes;
    pthread_mutex_unlock(&pins_lock);
    return found;
}

int glet_partitions_create(struct glet_device *device, const int *units, size_t count,
                           struct glet_partition_set **out, struct glet_error *err)
{
    int sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += units[i];
    if (sum > device->info.units)
        return glet_error_set(err, GLET_ERR_RANGE, "%d units of %d", sum, device->info.units);
    struct glet_partition_set *set =
        glet_alloc(1, sizeof *set + count * sizeof set->partitions[0], err);
    if (!set)
        return -1;
    set->count = count;
    for (size_t i = 0; i < count; i++)
        set->partitions[i].units = units[i];
    glet_fake_counts.sets++;
    *out = set;
    return 0;
}

void glet_partitions_free(struct glet_partition_set *set)
{
    if (set)
        glet_fake_counts.sets--;
    free(set);
}

int glet_partitions_verify(struct glet_partition_set *set, uint64_t *blocks_out,
                           struct glet_error *err)
{
    (void)set;
    (void)blocks_out;
    return glet_error_set(err, GLET_ERR_UNSUPPORTED, "sleep() has no SMs");
}

struct glet_partition *glet_partition_at(struct glet_partition_set *set, size_t index)
{
    return &set->partitions[index];
}

int glet_partition_units(const struct glet_partition *partition)
{
    return partition->units;
}

int glet_partition_enter(struct glet_partition *partition, struct glet_error *err)
{
    if (partition->entered)
        return glet_error_set(err, GLET_ERR_INTERNAL, "two workers in one partition");
    partition->entered = true;
    partition->worker = pthread_self();
    glet_fake_counts.partitions_entered++;
    return 0;
}

void glet_partition_leave(struct glet_partition *partition)
{
    glet_fake_counts.abandoned += (int)(partition->begun - partition->finished);
    partition->entered = false;
    glet_fake_counts.partitions_entered--;
}

void glet_partition_achieved(const struct glet_partition *partition,
                             struct glet_partition_use *use_out)
{
    *use_out =
        (struct glet_partition_use){.busy_ms = (double)atomic_load(&partition->busy_us) / 1000,
                                    .achieved_units = partition->units};
}

void glet_partition_count_anew(struct glet_partition *partition)
{
    atomic_store(&partition->busy_us, 0);
}

static bool take_one(_Atomic int *count)
{
    int value = atomic_load(count);
    while (value > 0)
        if (atomic_compare_exchange_weak(count, &value, value - 1))
            return true;
    return false;
}

int glet_model_bind(const struct glet_model *model, int batch, struct glet_graph **out,
                    struct glet_error *err)
{
    *out = NULL;
    if (model->largest && (uint64_t)batch > model->largest)
        return glet_error_set(err, GLET_ERR_RANGE, "no batch of %d", batch);
    return 0;
}

void glet_graph_free(struct glet_graph *graph)
{
    (void)graph;
}

int glet_executor_build(struct glet_partition *partition, struct glet_model *model, int batch,
                        struct glet_executor **out, struct glet_error *err)
{
    if (!pthread_equal(partition->worker, pthread_self()))
        return glet_error_set(err, GLET_ERR_INTERNAL, "built on another thread");
    struct glet_graph *graph;
    if (glet_model_bind(model, batch, &graph, err) < 0)
        return -1;
    if (take_one(&glet_fake_faults.fail_builds))
        return glet_error_set(err, GLET_ERR_DEVICE, "a build fails because the test says so");
    struct glet_executor *executor = glet_alloc(1, sizeof *executor, err);
    if (!executor)
        return -1;
    *executor = (struct glet_executor){.partition = partition, .model = model, .batch = batch};
    glet_fake_counts.executors++;
    for (int i = 0; i < 2; i++) {
        executor->jobs[i].input = glet_alloc((size_t)batch, model->input.bytes, err);
        executor->jobs[i].output = glet_alloc((size_t)batch, model->output.bytes, err);
        executor->jobs[i].fed = glet_alloc((size_t)batch, sizeof(void *), err);
        if (!executor->jobs[i].input || !executor->jobs[i].output || !executor->jobs[i].fed) {
            glet_executor_free(executor);
            return -1;
        }
    }
    if (model->build_us)
        usleep((useconds_t)model->build_us);
    *out = executor;
    return 0;
}

void glet_executor_free(struct glet_executor *executor)
{
    if (!executor)
        return;
    glet_fake_counts.executors--;
    for (int i = 0; i < 2; i++) {
        free(executor->jobs[i].input);
        free(executor->jobs[i].output);
        free(executor->jobs[i].fed);
    }
    free(executor);
}

int glet_executor_batch(const struct glet_executor *executor)
{
    return executor->batch;
}

double glet_executor_activation_mib(const struct glet_executor *executor)
{
    return (double)executor->batch * (double)executor->model->input.bytes * 2 / 1048576;
}

void *glet_executor_input(struct glet_executor *executor, size_t i)
{
    (void)i;
    return executor->jobs[executor->next].input;
}

const void *glet_executor_output(struct glet_executor *executor, size_t i)
{
    (void)i;
    return executor->jobs[executor->finished].output;
}

bool glet_executor_lend(struct glet_executor *executor, size_t i, const void *data, int used)
{
    (void)i;
    (void)used;
    executor->jobs[executor->next].lent = data;
    return true;
}

bool glet_executor_feed(struct glet_executor *executor, size_t i, int first, int rows,
                        const void *memory)
{
    (void)i;
    const struct glet_model *model = executor->model;
    struct job *job = &executor->jobs[executor->next];
    if (!model->pins)
        return false;
    const unsigned char *from = memory, *own = job->input;
    size_t bytes = (size_t)rows * model->input.bytes;
    bool is_own = from >= own && from + bytes <= own + (size_t)executor->batch * model->input.bytes;
    if (!is_own && !is_pinned(from, bytes))
        abort(); /* whoever feeds it says that it is */
    for (int row = first; row < first + rows; row++)
        job->fed[row] = from + (size_t)(row - first) * model->input.bytes;
    atomic_fetch_add(&glet_fake_counts.fed, (uint64_t)rows);
    return true;
}

int glet_executor_depth(const struct glet_executor *executor)
{
    return executor->model->depth == 2 ? 2 : 1;
}

static void hang(void)
{
    while (!atomic_load(&glet_fake_faults.release))
        usleep(1000);
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

int glet_executor_begin(struct glet_executor *executor, int used, struct glet_error *err)
{
    struct glet_partition *partition = executor->partition;
    const struct glet_model *model = executor->model;
    struct job *job = &executor->jobs[executor->next];
    if (!pthread_equal(partition->worker, pthread_self()))
        return glet_error_set(err, GLET_ERR_INTERNAL, "begun on another thread");
    if (partition->begun - partition->finished >= (uint64_t)glet_executor_depth(executor))
        return glet_error_set(err, GLET_ERR_INTERNAL, "one batch too many");
    bool ahead = partition->begun > partition->finished;
    if (ahead && take_one(&glet_fake_faults.fail_begins_ahead)) {
        memset(job->fed, 0, (size_t)executor->batch * sizeof *job->fed);
        return glet_error_set(err, GLET_ERR_DEVICE, "a batch fails because the test says so");
    }
    if (ahead && take_one(&glet_fake_faults.hang_begins_ahead))
        hang();
    uint64_t rows = (uint64_t)(model->skips ? used : executor->batch);
    job->number = partition->begun++;
    job->used = used;
    job->start_us = later(glet_clock_us() + model->copy_us, partition->free_us);
    job->computed_us = partition->free_us = job->start_us + model->fixed_us + model->row_us * rows;
    job->end_us = later(job->computed_us, partition->copied_us) + model->copy_us;
    partition->copied_us = job->end_us;
    atomic_fetch_add(&glet_fake_counts.ahead, ahead);
    executor->next = glet_executor_depth(executor) == 2 ? !executor->next : 0;
    return 0;
}

/* Rows that were fed come to the others, which is as late as they may be read. */
static void take_fed(const struct glet_model *model, struct job *job)
{
    for (int row = 0; row < job->used; row++)
        if (job->fed[row]) {
            memmove(job->input + (size_t)row * model->input.bytes, job->fed[row],
                    model->input.bytes);
            job->fed[row] = NULL;
        }
}

int glet_executor_finish(struct glet_executor *executor, struct glet_error *err)
{
    struct glet_partition *partition = executor->partition;
    struct job *job = &executor->jobs[executor->oldest];
    const struct glet_model *model = executor->model;
    const unsigned char *input = job->lent ? job->lent : job->input;
    job->lent = NULL;
    executor->finished = executor->oldest;
    executor->oldest = glet_executor_depth(executor) == 2 ? !executor->oldest : 0;
    if (!pthread_equal(partition->worker, pthread_self()))
        return glet_error_set(err, GLET_ERR_INTERNAL, "run on another thread");
    if (job->number != partition->finished++)
        return glet_error_set(err, GLET_ERR_INTERNAL, "not the oldest batch");
    if (take_one(&glet_fake_faults.fail_runs)) {
        memset(job->fed, 0, (size_t)executor->batch * sizeof *job->fed);
        return glet_error_set(err, GLET_ERR_DEVICE, "a run fails because the test says so");
    }
    if ((job->fed[0] ? job->fed[0] : input)[0] == 254 || take_one(&glet_fake_faults.hang_runs))
        hang();
    if (job->end_us > job->start_us)
        glet_clock_sleep_until_us(job->end_us);
    take_fed(model, job);
    for (int row = 0; row < job->used; row++)
        if (glet_executor_depth(executor) == 1 && input[(size_t)row * model->input.bytes] == 255)
            return glet_error_set(err, GLET_ERR_INPUT, "a value is out of range");
    for (size_t i = 0; i < (size_t)job->used * model->input.bytes; i++)
        job->output[i] = (unsigned char)(input[i] + 1);
    atomic_fetch_add(&partition->busy_us, job->computed_us - job->start_us);
    atomic_fetch_add(&glet_fake_counts.runs, 1);
    atomic_fetch_add(&glet_fake_counts.rows, (uint64_t)job->used);
    return 0;
}

int glet_executor_run(struct glet_executor *executor, int used, struct glet_error *err)
{
    return glet_executor_begin(executor, used, err) < 0 ? -1 : glet_executor_finish(executor, err);
}

static int read_model(FILE *file, const char *path, struct glet_model *model,
                      struct glet_error *err)
{
    char key[32];
    unsigned long value;
    int fields;
    unsigned long bytes = 16;
    enum glet_dtype dtype = GLET_UINT8;
    while ((fields = fscanf(file, "%31s %lu", key, &value)) == 2) {
        if (strcmp(key, "bytes") == 0)
            bytes = value;
        else if (strcmp(key, "fixed_us") == 0)
            model->fixed_us = value;
        else if (strcmp(key, "row_us") == 0)
            model->row_us = value;
        else if (strcmp(key, "copy_us") == 0)
            model->copy_us = value;
        else if (strcmp(key, "build_us") == 0)
            model->build_us = value;
        else if (strcmp(key, "skips") == 0)
            model->skips = value;
        else if (strcmp(key, "depth") == 0)
            model->depth = value;
        else if (strcmp(key, "pins") == 0)
            model->pins = value;
        else if (strcmp(key, "largest") == 0)
            model->largest = value;
        else if (strcmp(key, "bool") == 0)
            dtype = value ? GLET_BOOL : GLET_UINT8;
        else
            break;
    }
    if (fields != EOF)
        return glet_error_set(err, GLET_ERR_INPUT, "%s: not a fake model", path);
    char text[1024];
    rewind(file);
    glet_sha256_hex(text, fread(text, 1, sizeof text, file), model->sha256);
    struct glet_model_io io = {.name = "IN",
                               .dtype = dtype,
                               .rank = 2,
                               .dims = {GLET_DIM_BATCH, (int64_t)bytes},
                               .bytes = bytes};
    model->input = io;
    io.name = "OUT";
    model->output = io;
    return 0;
}

int glet_model_load(const char *path, const struct glet_model_options *options,
                    struct glet_model **out, struct glet_error *err)
{
    GLET_CLEANUP(glet_cleanup_fclose) FILE *file = fopen(path, "re");
    if (!file)
        return glet_error_errno(err, errno, "%s", path);
    struct glet_model *model = glet_alloc(1, sizeof *model, err);
    if (!model)
        return -1;
    glet_fake_counts.models++;
    model->name = glet_strdup(options->name ? options->name : path, err);
    if (!model->name || read_model(file, path, model, err) < 0) {
        glet_model_free(model);
        return -1;
    }
    *out = model;
    return 0;
}

void glet_model_free(struct glet_model *model)
{
    if (!model)
        return;
    glet_fake_counts.models--;
    free(model->name);
    free(model);
}

const char *glet_model_name(const struct glet_model *model)
{
    return model->name;
}

size_t glet_model_input_count(const struct glet_model *model)
{
    (void)model;
    return 1;
}

size_t glet_model_output_count(const struct glet_model *model)
{
    (void)model;
    return 1;
}

const struct glet_model_io *glet_model_input(const struct glet_model *model, size_t i)
{
    (void)i;
    return &model->input;
}

const struct glet_model_io *glet_model_output(const struct glet_model *model, size_t i)
{
    (void)i;
    return &model->output;
}

const char *glet_model_sha256(struct glet_model *model)
{
    return model->sha256;
}

size_t glet_model_weight_bytes(const struct glet_model *model)
{
    (void)model;
    return 0;
}
