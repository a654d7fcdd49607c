/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CONTROL_H
#define GLET_CONTROL_H

/*
 * What main and the admin endpoints do to a service: start it from a plan, put another plan behind
 * it, drain it, end it. What the protocol side does with requests is service.h.
 *
 * A plan change builds everything that differs beside what serves, switches model by model, then
 * drains and frees the old. Anything wrong with the new plan is found before the switch: the old
 * plan keeps serving.
 */

#include "common/error.h"
#include "common/plan_file.h"
#include "runtime/serve/service.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum glet_route {
    GLET_ROUTE_PLAN,       /* a model's requests go to its gpu-lets in proportion to their rates */
    GLET_ROUTE_COMPLETION, /* to the gpu-let that is expected to finish first */
};

struct glet_service_options {
    const char *const *devices; /* "SPEC" or "ID=SPEC" (ID: a GPU of the plan), as in device.h; in
                                   the order of this node's GPUs of the plan */
    size_t device_count;
    const char *const *gpu_types; /* names of types that the devices here pass for, besides their
                                     own */
    size_t gpu_type_count;
    const char *node;       /* serve the GPUs of this node; NULL = the plan must not name nodes, or
                               name just one */
    const char *models_dir; /* DIR/<name>.onnx is looked at before the plan's `file`; NULL = none */
    const char
        *base_dir; /* where relative files of a plan that is no file itself are; NULL = here */
    bool random_weights; /* see glet_model_options */
    uint64_t seed;
    enum glet_route route;
    bool planned_batch_only; /* build no executors for smaller batches */
    bool allow_temporal;     /* let gpu-lets take turns on a device that cannot keep them apart */
    bool verify_isolation;   /* prove that gpu-lets are apart before they serve */
    size_t max_pinned_bytes; /* that glet_service_pin() takes, all together; 0 = none */
    double hang_s;           /* a batch that runs longer than this and 20 x its planned time is a
                                hang; 0 = 2 s */
};

/*
 * Applies this node's slice of the plan: opens the devices, loads the models, builds partitions
 * and executors, starts the workers. Consumes the plan, also on failure; the strings of options
 * are borrowed for the life of the service. On success everything is built and ready.
 * GLET_ERR_INPUT (the plan does not fit this node or device, a model is missing), and what device.h
 * and model.h say.
 */
GLET_MUST_CHECK
int glet_service_open(const struct glet_service_options *options, struct glet_plan *plan,
                      struct glet_service **out, struct glet_error *err);

/*
 * Puts another plan behind the service; consumes it, also on failure. Blocks until the new plan
 * serves and the old one is drained and freed (seconds). Safe from any thread but a worker's;
 * changes are made one after the other. On failure nothing has changed.
 */
GLET_MUST_CHECK
int glet_service_change(struct glet_service *service, struct glet_plan *plan,
                        struct glet_error *err);

/* From now on the service is not ready, but serves. */
void glet_service_unready(struct glet_service *service);

/* From now on new requests are refused (GLET_REFUSED_DRAIN), as are plan changes (GLET_ERR_DEVICE).
   Returns when none is left and no gpu-let is being rebuilt, or after limit_s; true when so. Else
   what is left is logged, and the service should not be closed: that waits for it. */
bool glet_service_drain(struct glet_service *service, double limit_s);

/* Ends the workers and frees everything. Requests still waiting are refused. NULL is accepted.
   Nobody may submit any more. */
void glet_service_close(struct glet_service *service);

#endif
