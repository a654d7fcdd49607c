/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three phases, separated by barriers that both workers pass whatever happens: side 0 alone, side 1
 * alone, both. The same executors in the same partitions run in all phases, so that nothing but the
 * neighbour differs. In the last phase a side goes on until the other has its runs, too: otherwise
 * the slower one would end alone.
 */
#include "profiles/corun.h"

#include "common/clock.h"
#include "common/memory.h"
#include "profiles/inputs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { FEWEST_RUNS = 5, MOST_RUNS = 100000, PHASES = 3 };

struct pair {
    struct glet_corun_side *sides;
    struct glet_partition_set *set;
    double phase_ms;
    const volatile sig_atomic_t *stop;
    pthread_barrier_t barrier;
    atomic_int satisfied; /* sides that have their runs in the last phase */
    atomic_bool failed;
};

struct worker {
    struct pair *pair;
    int side;
    double *samples_ms;
    double median_ms[PHASES];
    struct glet_error err;
    int rc;
};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Runs back to back until the phase is over; the median of the runs. */
static int run_phase(struct worker *w, struct glet_executor *executor, int phase)
{
    struct pair *pair = w->pair;
    bool both = phase == PHASES - 1, satisfied = false;
    uint64_t begin_ns = glet_clock_ns();
    size_t runs = 0;
    while (!atomic_load(&pair->failed)) {
        if (*pair->stop)
            return glet_error_set(&w->err, GLET_ERR_UNDECIDED, "stopped");
        bool enough =
            runs >= FEWEST_RUNS && (double)(glet_clock_ns() - begin_ns) / 1e6 >= pair->phase_ms;
        if (enough && both && !satisfied) {
            satisfied = true;
            atomic_fetch_add(&pair->satisfied, 1);
        }
        if (enough && (!both || atomic_load(&pair->satisfied) == 2))
            break;
        uint64_t start_ns = glet_clock_ns();
        if (glet_executor_run(executor, pair->sides[w->side].batch, &w->err) < 0)
            return -1;
        /* What runs while only the other still needs to is not counted. */
        if (!satisfied && runs < MOST_RUNS)
            w->samples_ms[runs++] = (double)(glet_clock_ns() - start_ns) / 1e6;
    }
    qsort(w->samples_ms, runs, sizeof *w->samples_ms, ascending);
    w->median_ms[phase] = runs ? w->samples_ms[runs / 2] : 0;
    return 0;
}

static int prepare(struct worker *w, struct glet_partition *partition,
                   struct glet_executor **executor)
{
    const struct glet_corun_side *side = &w->pair->sides[w->side];
    w->samples_ms = glet_alloc(MOST_RUNS, sizeof *w->samples_ms, &w->err);
    if (!w->samples_ms || glet_partition_enter(partition, &w->err) < 0)
        return -1;
    if (glet_executor_build(partition, side->model, side->batch, executor, &w->err) < 0)
        return -1;
    glet_inputs_fill(*executor, side->model, side->batch, 1);
    return glet_executor_run(*executor, side->batch, &w->err);
}

static void *work(void *opaque)
{
    struct worker *w = opaque;
    struct pair *pair = w->pair;
    struct glet_partition *partition = glet_partition_at(pair->set, (size_t)w->side);
    struct glet_executor *executor = NULL;
    w->rc = prepare(w, partition, &executor);
    for (int phase = 0; phase < PHASES; phase++) {
        if (w->rc < 0)
            atomic_store(&pair->failed, true);
        pthread_barrier_wait(&pair->barrier);
        bool mine = phase == w->side || phase == PHASES - 1;
        if (mine && !atomic_load(&pair->failed))
            w->rc = run_phase(w, executor, phase);
    }
    if (w->rc < 0)
        atomic_store(&pair->failed, true);
    pthread_barrier_wait(&pair->barrier);
    glet_executor_free(executor);
    glet_partition_leave(partition);
    free(w->samples_ms);
    return NULL;
}

static int run_pair(struct pair *pair, struct worker workers[2], struct glet_error *err)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        workers[i] = (struct worker){.pair = pair, .side = i};
        int code = pthread_create(&threads[i], NULL, work, &workers[i]);
        if (code == 0)
            continue;
        if (i == 1) { /* the first one waits for a partner: be that partner */
            atomic_store(&pair->failed, true);
            for (int phase = 0; phase <= PHASES; phase++)
                pthread_barrier_wait(&pair->barrier);
            pthread_join(threads[0], NULL);
        }
        return glet_error_errno(err, code, "cannot start a thread");
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++)
        if (workers[i].rc < 0) {
            *err = workers[i].err;
            return -1;
        }
    return 0;
}

int glet_corun_measure(struct glet_device *device, struct glet_corun_side sides[2], double phase_ms,
                       const volatile sig_atomic_t *stop, struct glet_error *err)
{
    int units[2] = {sides[0].units, sides[1].units};
    struct pair pair = {.sides = sides, .phase_ms = phase_ms, .stop = stop};
    struct worker workers[2];
    if (glet_partitions_create(device, units, 2, &pair.set, err) < 0)
        return -1;
    pthread_barrier_init(&pair.barrier, NULL, 2);
    int rc = run_pair(&pair, workers, err);
    pthread_barrier_destroy(&pair.barrier);
    glet_partitions_free(pair.set);
    for (int i = 0; rc == 0 && i < 2; i++)
        sides[i].slowdown = workers[i].median_ms[PHASES - 1] / workers[i].median_ms[i];
    return rc;
}
