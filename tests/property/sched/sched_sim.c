/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/property/sched/sched_sim.h"

#include "common/random.h"
#include "tests/unit/check.h"

#include <stdlib.h>

struct sim_request {
    int model;
    bool ended;
    uint64_t deadline_us;
};

struct running_batch {
    struct glet_sched_batch batch;
    uint64_t end_us, compute_us;
};

struct running_let {
    struct glet_sched_let *sched;
    struct running_batch flights[2]; /* the first one runs */
    size_t flying;
    uint64_t look_us; /* when to ask for a batch, UINT64_MAX = when something arrives or ends */
    uint64_t computed_us, copied_us, busy_us; /* when the device is free; that it computed */
};

struct running_model {
    struct glet_sched_door door;
    struct glet_sched_way ways[SIM_MAX_LETS];
    struct {
        int let, share;
    } places[SIM_MAX_LETS];
    uint64_t next_us;
    struct glet_random arrivals;
    struct world *world;
};

struct world {
    struct sim *sim;
    struct running_let lets[SIM_MAX_LETS];
    struct running_model models[SIM_MAX_MODELS];
    struct sim_request *requests; /* every arrival of the run, never reused */
    size_t request_count, request_capacity;
    struct glet_random speed;
};

static double exec_us(const struct sim_share *share, int batch)
{
    return (share->fixed_ms + share->per_row_ms * batch) * 1000;
}

static enum glet_sched_verdict offer(void *user, size_t way, const struct glet_sched_item *item,
                                     enum glet_sched_class kind, uint64_t now_us, uint64_t *out)
{
    struct running_model *model = user;
    struct glet_sched_let *sched = model->world->lets[model->places[way].let].sched;
    return glet_sched_let_offer(sched, now_us, (size_t)model->places[way].share, item, kind, out);
}

static uint64_t predict(void *user, size_t way, const struct glet_sched_item *item,
                        enum glet_sched_class kind, uint64_t now_us)
{
    struct running_model *model = user;
    struct glet_sched_let *sched = model->world->lets[model->places[way].let].sched;
    return glet_sched_let_predict(sched, now_us, (size_t)model->places[way].share, item, kind);
}

static struct glet_sched_size size_of(const struct sim *sim, const struct sim_share *share,
                                      int batch)
{
    double us = exec_us(share, batch);
    return (struct glet_sched_size){.batch = batch,
                                    .exec_us = (uint64_t)us,
                                    .copy_us =
                                        sim->overlaps ? (uint64_t)(us * sim->copy_ratio) : 0};
}

static struct glet_sched_share sched_share(const struct sim *sim, const struct sim_share *share)
{
    struct glet_sched_share out = {.queue_capacity = 1024, .rate_rps = share->rate_rps};
    for (int b = 1; b < share->batch && !sim->full_batch_only; b *= 2)
        out.sizes[out.size_count++] = size_of(sim, share, b);
    out.sizes[out.size_count++] = size_of(sim, share, share->batch);
    return out;
}

static void open_world(struct world *world, struct sim *sim)
{
    struct glet_error err = {0};
    struct glet_random root = glet_random_seeded(sim->seed);
    world->sim = sim;
    world->speed = glet_random_split(&root, 100);
    for (int m = 0; m < sim->model_count; m++) {
        struct running_model *model = &world->models[m];
        model->world = world;
        model->arrivals = glet_random_split(&root, (uint64_t)m);
        model->next_us = 1;
        sim->models[m].planned_rps = 0;
    }
    for (int l = 0; l < sim->let_count; l++) {
        struct glet_sched_share shares[SIM_MAX_MODELS];
        for (int s = 0; s < sim->lets[l].share_count; s++) {
            const struct sim_share *share = &sim->lets[l].shares[s];
            struct running_model *model = &world->models[share->model];
            size_t way = model->door.way_count++;
            model->ways[way] =
                (struct glet_sched_way){.rate_rps = share->rate_rps, .batch = share->batch};
            model->places[way].let = l;
            model->places[way].share = s;
            sim->models[share->model].planned_rps += share->rate_rps;
            shares[s] = sched_share(sim, share);
        }
        world->lets[l].look_us = UINT64_MAX;
        world->lets[l].sched = glet_sched_let_new(shares, (size_t)sim->lets[l].share_count, &err);
        assert_non_null(world->lets[l].sched);
        size_t room = glet_sched_let_room(world->lets[l].sched);
        for (int i = 0; i < 2; i++)
            world->lets[l].flights[i].batch.items = calloc(room, sizeof(struct glet_sched_item));
    }
    for (int m = 0; m < sim->model_count; m++) {
        struct running_model *model = &world->models[m];
        int batch = 0;
        for (size_t w = 0; w < model->door.way_count; w++)
            batch += model->ways[w].batch;
        double planned_rps = sim->models[m].planned_rps;
        uint64_t slo_us = (uint64_t)(sim->models[m].slo_ms * 1000);
        glet_sched_bucket_init(&model->door.bucket, planned_rps,
                               glet_sched_bucket_depth(planned_rps, slo_us, batch), 0);
        model->door.ways = model->ways;
        model->door.by_completion = sim->by_completion;
        model->door.user = model;
        model->door.offer = offer;
        model->door.predict = predict;
    }
}

static void end_request(struct world *world, const struct glet_sched_item *item, uint64_t now_us,
                        bool ran)
{
    struct sim_request *request = &world->requests[(size_t)item->request];
    struct sim_model *model = &world->sim->models[request->model];
    assert_false(request->ended);
    request->ended = true;
    if (!ran)
        model->dropped_late++;
    else if (now_us <= request->deadline_us)
        model->done_in_time++;
    else
        model->done_late++;
}

static bool runs_as_planned(const struct sim *sim)
{
    return sim->speed_high_ratio <= 0;
}

/* Three stages one after the other, each of one batch at a time. */
static void run_batch(struct world *world, int l, struct running_batch *running, uint64_t now_us)
{
    struct sim *sim = world->sim;
    struct running_let *let = &world->lets[l];
    const struct glet_sched_batch *batch = &running->batch;
    const struct sim_share *share = &sim->lets[l].shares[batch->share];
    int size = share->batch;
    if (!sim->full_batch_only) /* sizes are powers of two, then the planned batch */
        size = 1 << batch->size < size ? 1 << batch->size : size;
    assert_true(batch->count > 0 && batch->rows <= size);
    double low = sim->speed_low_ratio, high = sim->speed_high_ratio;
    double ratio = high > 0 ? low + (high - low) * glet_random_uniform(&world->speed) : 1;
    uint64_t copy_us = (uint64_t)(exec_us(share, size) * sim->copy_ratio), in_us = copy_us / 4 * 3;
    uint64_t compute_us = (uint64_t)(exec_us(share, size) * (1 - sim->copy_ratio) * ratio);
    running->compute_us = compute_us;
    uint64_t start_us = now_us + in_us > let->computed_us ? now_us + in_us : let->computed_us;
    let->computed_us = start_us + compute_us;
    uint64_t out_us = let->computed_us > let->copied_us ? let->computed_us : let->copied_us;
    running->end_us = let->copied_us = out_us + copy_us - in_us;
    let->busy_us += compute_us;
    sim->batches_ahead += let->flying;
    sim->batches++;
    sim->rows += (uint64_t)batch->rows;
    let->flying++;
}

/* Asks for a batch; what it starts must not be hopeless. */
static void step_let(struct world *world, int l, uint64_t now_us)
{
    struct running_let *let = &world->lets[l];
    struct running_batch *next = &let->flights[let->flying];
    enum glet_sched_step step;
    while ((step = glet_sched_let_next(let->sched, now_us, &next->batch)) == GLET_SCHED_LATE)
        for (size_t i = 0; i < next->batch.count; i++)
            end_request(world, &next->batch.items[i], now_us, false);
    let->look_us = UINT64_MAX;
    if (step == GLET_SCHED_IDLE) {
        if (let->flying == 0)
            let->look_us = glet_sched_let_wake_us(let->sched, now_us);
        for (int s = 0; s < world->sim->lets[l].share_count; s++)
            assert_int_equal(glet_sched_let_waiting(let->sched, (size_t)s, GLET_SCHED_PLANNED), 0);
        return;
    }
    const struct sim_share *share = &world->sim->lets[l].shares[next->batch.share];
    for (size_t i = 0; runs_as_planned(world->sim) && i < next->batch.count; i++) {
        /* Whatever is started could still be in time, were it alone. */
        int alone = share->batch;
        for (int b = share->batch; b >= next->batch.items[i].rows; b /= 2)
            alone = world->sim->full_batch_only ? share->batch : b;
        assert_true(now_us + (uint64_t)(exec_us(share, alone) * 0.99) <=
                    next->batch.items[i].deadline_us);
    }
    run_batch(world, l, next, now_us);
    if (let->flying < 2)
        let->look_us = glet_sched_let_next_us(let->sched);
}

static void end_batch(struct world *world, int l, uint64_t now_us)
{
    struct running_let *let = &world->lets[l];
    struct running_batch ended = let->flights[0];
    glet_sched_let_end(let->sched, now_us, ended.compute_us);
    for (size_t i = 0; i < ended.batch.count; i++)
        end_request(world, &ended.batch.items[i], now_us, true);
    let->flights[0] = let->flights[1];
    let->flights[1] = ended;
    if (--let->flying == 0)
        step_let(world, l, now_us);
    else
        let->look_us = glet_sched_let_next_us(let->sched);
}

static void arrive(struct world *world, int m, uint64_t now_us)
{
    struct running_model *running = &world->models[m];
    struct sim_model *model = &world->sim->models[m];
    if (world->request_count == world->request_capacity) {
        world->request_capacity = world->request_capacity ? 2 * world->request_capacity : 4096;
        world->requests =
            realloc(world->requests, world->request_capacity * sizeof *world->requests);
        assert_non_null(world->requests);
    }
    size_t id = world->request_count++;
    double slo_ms = model->slo_ms;
    if (glet_random_uniform(&running->arrivals) < model->short_ratio)
        slo_ms /= 2;
    int priority = glet_random_uniform(&running->arrivals) < model->urgent_ratio ? 1 : 0;
    uint64_t deadline_us = now_us + (uint64_t)(slo_ms * 1000);
    world->requests[id] = (struct sim_request){m, false, deadline_us};
    struct glet_sched_item item = {(void *)id, now_us, deadline_us, priority,
                                   model->rows > 0 ? model->rows : 1};
    model->arrived++;
    double retry_after_s = -1;
    switch (glet_sched_door_admit(&running->door, now_us, &item, &retry_after_s)) {
    case GLET_SCHED_ADMITTED:
        return;
    case GLET_SCHED_OVER_RATE:
        model->refused_rate++;
        break;
    default:
        model->refused_load++;
        break;
    }
    assert_true(retry_after_s >= 0);
    assert_false(world->requests[id].ended);
    world->requests[id].ended = true;
}

void sim_run(struct sim *sim)
{
    struct world world = {0};
    open_world(&world, sim);
    uint64_t stop_us = (uint64_t)(sim->seconds * 1e6);
    for (uint64_t last_us = 0;;) {
        uint64_t now_us = UINT64_MAX;
        int model = -1, let = -1;
        for (int m = 0; m < sim->model_count; m++)
            if (sim->models[m].offered_rps > 0 && world.models[m].next_us < now_us &&
                world.models[m].next_us <= stop_us) {
                now_us = world.models[m].next_us;
                model = m;
            }
        bool ends = false;
        for (int l = 0; l < sim->let_count; l++) {
            const struct running_let *candidate = &world.lets[l];
            uint64_t end_us = candidate->flying ? candidate->flights[0].end_us : UINT64_MAX;
            uint64_t look_us = candidate->look_us > last_us ? candidate->look_us : last_us;
            uint64_t event_us = end_us <= look_us ? end_us : look_us;
            if (event_us <= now_us && event_us < UINT64_MAX) {
                now_us = event_us;
                let = l;
                ends = event_us == end_us;
            }
        }
        if (model < 0 && let < 0)
            break;
        last_us = now_us;
        if (let >= 0) {
            if (ends)
                end_batch(&world, let, now_us);
            else
                step_let(&world, let, now_us);
            continue;
        }
        for (int l = 0; l < sim->let_count; l++)
            sim->too_late += world.lets[l].flying == 2;
        arrive(&world, model, now_us);
        double rate_per_us = sim->models[model].offered_rps * 1e-6;
        double gap_us = glet_random_exponential(&world.models[model].arrivals, rate_per_us);
        world.models[model].next_us = now_us + (uint64_t)gap_us;
        for (int l = 0; l < sim->let_count; l++)
            if (world.lets[l].flying == 0)
                step_let(&world, l, now_us);
    }
    for (size_t i = 0; i < world.request_count; i++)
        assert_true(world.requests[i].ended);
    for (int l = 0; l < sim->let_count; l++) {
        sim->busy_ratio[l] = (double)world.lets[l].busy_us / (double)stop_us;
        glet_sched_let_free(world.lets[l].sched);
        for (int i = 0; i < 2; i++)
            free(world.lets[l].flights[i].batch.items);
    }
    free(world.requests);
}

double sim_attainment(const struct sim_model *model)
{
    return model->arrived ? (double)model->done_in_time / (double)model->arrived : 1;
}

double sim_goodput_rps(const struct sim *sim, int model)
{
    return (double)sim->models[model].done_in_time / sim->seconds;
}
