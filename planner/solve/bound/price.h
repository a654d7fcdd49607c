/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef GLET_PLANNER_PRICE_H
#define GLET_PLANNER_PRICE_H

/*
 * Prices on what a GPU offers, and what they prove.
 *
 * Give every gpu-let size of type g a price sigma, every MiB a price nu, and every GPU of a limited
 * stock a rent mu. A gpu-let with several models charges each of them its share of the time, exec /
 * duty. Since duty + exec <= limit, a model with rate x in a gpu-let uses at least the share
 *
 *     phi(x) = min over batches b of max(x * L / b, L / (limit - L)),    x <= b / L
 *
 * with L its latency next to the mildest possible neighbours, and pays phi * sigma and for memory.
 * C_m is the least that model m can pay in total for its demand, over all ways to split the demand
 * into pieces, each with a size and batch of its own. A GPU collects at most the price of the most
 * valuable size pattern and what its memory is worth; if that is at most rho * (c_g + mu_g) for
 * every type, then
 *
 *     cost of any plan  >=  sum_m C_m / rho - sum_g mu_g N_g.
 *
 * Memory: each gpu-let pays nu per MiB and the price of its memory class (memory_class.h) for every
 * one of its models; a GPU's is worth nu * W and the dearest classes that may share it. Where the
 * gpu-lets of a GPU share weights, each pays for a part of them, and a model that needs less than a
 * GPU once for all of them (share.h). A gpu-let alone on its GPU pays prices of its own for memory,
 * and for its share of the time what the GPU costs beyond what its memory is worth at these.
 *
 * Interference: the aggressor ratios of a type's gpu-lets fall into n intervals. Of a GPU with two
 * gpu-lets or more let a be the interval of the largest ratio and b <= a that of the second. That
 * one gpu-let, with a ratio in a, sees at least the lower end of b; every other one has a ratio in
 * b or below and sees at least the lower end of a. So a size has a price for each pair (own, seen):
 * a GPU offers one slot of (a, b), the others are of (b, a), and a gpu-let may sit in any slot
 * whose own interval is not below its ratio's.
 *
 * So any prices give a bound, and the prices are its certificate: whatever found them need not be
 * trusted. The bound is evaluated in integers, from prices rounded to multiples of 2^-32 and model
 * payments rounded down.
 */

#include "planner/solve/bound/memory_class.h"
#include "planner/solve/bound/share.h"
#include "planner/solve/space/space.h"

/* GPUs with several gpu-lets, and those with one: what the memory of either is worth differs. */
enum { GLET_SHARED, GLET_ALONE, GLET_KINDS };

struct glet_memory_prices {
    double nu;                             /* per MiB, >= 0 */
    double heavy[GLET_MEMORY_CLASSES + 1]; /* of a class: rising from class 0, the lightest, at 0,
                                              to class 1 */
};

struct glet_prices {
    double **sigma;                                  /* [type][slot] >= 0 */
    double *mu;                                      /* [type] >= 0; 0 where stock is unlimited */
    struct glet_memory_prices (*memory)[GLET_KINDS]; /* [type][kind] */
};

void glet_prices_init(struct glet_prices *prices, const struct glet_problem *problem);
void glet_prices_fini(struct glet_prices *prices, const struct glet_problem *problem);
void glet_prices_copy(struct glet_prices *to, const struct glet_prices *from,
                      const struct glet_problem *problem);

struct glet_piece { /* one gpu-let's worth of a model */
    int type, slot; /* slot -1: alone */
    double share;   /* phi */
    double rate_rps;
    struct glet_charge charge;
};

struct glet_payment {
    double least;              /* lower bound of C_m, rounded down */
    double linear;             /* the same if the demand could be split without limit: <= least */
    struct glet_piece *pieces; /* how; owned by the caller, NULL unless asked for */
    int piece_count;
    int host_type, host_kind; /* where the weights are paid for once; -1: by the pieces */
    struct glet_charge host;
};

/*
 * What model m pays at least for demand_rps. cost[type] is the objective's cost of a GPU. grid = 0
 * computes only the linear part, otherwise the number of steps that the demand is divided into.
 */
struct glet_payment glet_price_model(const struct glet_space *space,
                                     const struct glet_share_table *table,
                                     const struct glet_prices *prices, const double *cost,
                                     double demand_rps, int grid, bool want_pieces);

/*
 * The bound that the prices prove, for demands demand_rps[model_count] and payments[model_count]
 * computed at the same prices with the same cost. Returns 0 when they prove nothing.
 */
double glet_price_bound(const struct glet_space *space, const struct glet_prices *prices,
                        const double *cost, const double *payments);

/* At least what the memory of one GPU is worth. */
double glet_prices_memory_worth(const struct glet_memory_prices *memory, double gpu_mib);

/* Rounds prices to multiples of 2^-32; the payments must be computed afterwards. */
void glet_prices_round(struct glet_prices *prices, const struct glet_problem *problem);

#endif
