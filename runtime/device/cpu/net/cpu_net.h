/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CPU_NET_H
#define GLET_CPU_NET_H

/*
 * A model at one batch, built for the CPU: what the CPU device calls to run a batch.
 *
 * Everything is prepared by glet_cpu_net_build(): constants are packed, memory is planned, every
 * primitive exists and has run once. A run is then a fixed list of *steps*, in order; a step cannot
 * be interrupted, so between two steps is where a caller hands the core to somebody else.
 *
 * Rows of a batch are independent requests. A net may therefore compute a batch row by row where
 * that is faster (activations stay in the cache), and skips the rows that carry no request.
 *
 * Threads: a net belongs to one thread at a time. With threads > 1 it uses helper threads that
 * belong to the calling thread: made by its first build, with the affinity the thread has at that
 * moment, ended with the thread. They wait for work in a short spin and then asleep, so an idle net
 * costs nothing. No OpenMP runtime takes part (team.h).
 */

#include "common/error.h"
#include "runtime/device/cpu/kernels/team.h"
#include "runtime/engine/model.h"

#include <stdbool.h>
#include <stddef.h>

/* Packed weights, shared by all nets of one device. Safe from any thread. */
struct glet_cpu_packs;
GLET_MUST_CHECK int glet_cpu_packs_new(struct glet_cpu_packs **out, struct glet_error *err);
void glet_cpu_packs_free(
    struct glet_cpu_packs *packs); /* NULL is accepted; its nets must be gone */
size_t glet_cpu_packs_bytes(struct glet_cpu_packs *packs);
/* Drops what was packed of this model; none of its nets may exist any more. */
void glet_cpu_packs_forget(struct glet_cpu_packs *packs, const struct glet_model *model);

struct glet_cpu_net;

/*
 * Builds `model` at `batch` for `threads` (1 ... GLET_CPU_MAX_THREADS) cores, and runs it twice to
 * warm up and to time its steps. packs and model are borrowed and outlive the net.
 * GLET_ERR_UNSUPPORTED (names node, operator, types), GLET_ERR_RANGE, GLET_ERR_NOMEM,
 * GLET_ERR_DEVICE (oneDNN failed).
 */
GLET_MUST_CHECK
int glet_cpu_net_build(struct glet_cpu_packs *packs, const struct glet_model *model, int batch,
                       int threads, struct glet_cpu_net **out, struct glet_error *err);
void glet_cpu_net_free(struct glet_cpu_net *net); /* NULL is accepted */

/*
 * Where input / output i lies: batch x glet_model_input(model, i)->bytes, row-major, batch
 * outermost, borrowed. Best aligned to 64 bytes; must be bound before the first run, may be bound
 * again between runs.
 */
void glet_cpu_net_bind_input(struct glet_cpu_net *net, size_t i, const void *data);
void glet_cpu_net_bind_output(struct glet_cpu_net *net, size_t i, void *data);

/* Whether a run of `used` rows reads inputs beyond them: a model whose batch is fixed does. */
bool glet_cpu_net_reads_unused(const struct glet_cpu_net *net, int used);

/* Steps of a run of which `used` (1 ... batch) rows carry a request. */
size_t glet_cpu_net_step_count(const struct glet_cpu_net *net, int used);

/*
 * Runs step i (0 ... count - 1, in order, each once) of a run of `used` rows. Allocates nothing and
 * takes no lock. GLET_ERR_DEVICE: oneDNN failed (names the node); the run is over.
 */
GLET_MUST_CHECK
int glet_cpu_net_step(struct glet_cpu_net *net, size_t i, int used, struct glet_error *err);

/* The node that step i belongs to; lives as long as the net. */
const char *glet_cpu_net_step_name(const struct glet_cpu_net *net, size_t i, int used);

/* All steps of a run. */
GLET_MUST_CHECK int glet_cpu_net_run(struct glet_cpu_net *net, int used, struct glet_error *err);

size_t glet_cpu_net_activation_bytes(const struct glet_cpu_net *net); /* arenas and scratchpads */
double glet_cpu_net_longest_step_ms(const struct glet_cpu_net *net);  /* measured by the build */

#endif
