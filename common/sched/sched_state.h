/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_SCHED_STATE_H
#define GLET_SCHED_STATE_H

/* Inside of common/sched/sched_let.h, shared by its batcher and its admission rule only. */

#include "common/sched/sched_let.h"

struct glet_sched_model {
    struct glet_sched_share plan;
    uint64_t learned_us[GLET_SCHED_MAX_SIZES];  /* of a batch that runs alone */
    uint64_t computes_us[GLET_SCHED_MAX_SIZES]; /* without its copies, when it is quick */
    uint64_t
        gathers_us[GLET_SCHED_MAX_SIZES]; /* the caller's part of its copies, as it is of late */
    uint64_t copies_us[GLET_SCHED_MAX_SIZES]; /* with that */
    uint64_t hidden_us[GLET_SCHED_MAX_SIZES]; /* of them, by the compute of any other batch */
    double capacity_rps;                      /* a planned batch each round */
    struct glet_sched_queue queues[2];        /* by glet_sched_class */
    double recent_rps;  /* planned requests offered lately, rows; decays exponentially */
    uint64_t recent_us; /* when it was last brought up to date */
};

struct glet_sched_run { /* a batch that has left the queue */
    size_t share, size;
    uint64_t start_us, expected_us;
    bool ahead; /* it was given out while another ran: its copies are no part of its time */
};

struct glet_sched_let {
    size_t count;
    struct glet_sched_model *models;
    size_t turn;   /* whose turn it is, or comes next */
    int turn_rows; /* what is left of this turn */
    uint64_t turn_us;
    struct glet_sched_run runs[2]; /* the one that runs, and the one that comes after it */
    size_t run_count;
    uint64_t rounds;
    size_t room;
    uint64_t round_us;    /* one planned batch of each model */
    uint64_t pace_us;     /* the same with the copies hidden */
    uint64_t shortest_us; /* that a planned batch computes */
};

/* Planned batch. */
static inline int glet_sched_full(const struct glet_sched_model *model)
{
    return model->plan.sizes[model->plan.size_count - 1].batch;
}

/* Smallest executor for `rows`; the largest when there is none. */
size_t glet_sched_size_for(const struct glet_sched_model *model, int rows);

/* Estimated time of running `rows` <= the planned batch in one batch. */
uint64_t glet_sched_rows_us(const struct glet_sched_model *model, int rows);

/* The same of one batch among others, whose compute hides its copies. */
uint64_t glet_sched_pace_us(const struct glet_sched_model *model, int rows);

/* The shortest time the item could take, all luck given: planned or learned, whichever is less. */
uint64_t glet_sched_least_us(const struct glet_sched_model *model, int rows);

/* Rows of the queue's first items that fit into `limit` together. */
int glet_sched_rows_that_fit(const struct glet_sched_queue *queue, int limit);

/* Estimated time of the planned requests that the model's next turn can take. */
uint64_t glet_sched_turn_us(const struct glet_sched_model *model);

/* Would a turn of model k, of this length, at the front leave every other first planned request in
   time that is in time now? */
bool glet_sched_costs_nobody(const struct glet_sched_let *let, uint64_t start_us, size_t k,
                             uint64_t turn_us);

/* When what has left the queue will have run; now_us when nothing has. */
uint64_t glet_sched_free_us(const struct glet_sched_let *let, uint64_t now_us);

/* Rows of excess that model k may run in one batch. */
int glet_sched_excess_rows(const struct glet_sched_let *let, size_t k, uint64_t now_us);

/* The first model in turn order with excess that may run; let->count when there is none. */
size_t glet_sched_excess_turn(const struct glet_sched_let *let, uint64_t now_us);

/* A larger executor than `size` for `rows` planned rows, when excess fills it and may take the
   time. */
size_t glet_sched_grow(const struct glet_sched_let *let, const struct glet_sched_model *model,
                       int rows, size_t size, uint64_t now_us, size_t k);

/* Rows per second of planned requests that came lately. */
double glet_sched_recent_rps(const struct glet_sched_let *let, const struct glet_sched_model *model,
                             uint64_t now_us);

#endif
