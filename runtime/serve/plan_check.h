/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PLAN_CHECK_H
#define GLET_PLAN_CHECK_H

/*
 * Would this plan be served here? Everything that a start finds out without building: which part of
 * the plan is this node's, whether the devices are there and the plan fits them, whether the models
 * are there, can be loaded, and take the planned batches. It does not stop at the first thing that
 * is wrong.
 */

#include "common/error.h"
#include "common/plan_file.h"
#include "runtime/device/device.h"
#include "runtime/serve/control.h"

struct glet_check_gpu {
    const struct glet_plan_gpu *gpu;     /* of the plan */
    const char *spec;                    /* of its device; NULL = none is left for it */
    const struct glet_device *device;    /* NULL = it could not be opened */
    const struct glet_device_info *info; /* its; then too */
};

struct glet_check_model {
    const struct glet_plan_model *model; /* of the plan */
    char *path;                          /* NULL = no file is known */
    struct glet_model *loaded;           /* NULL = it could not be loaded */
    const char *sha256;                  /* of its file; then too */
};

struct glet_check {
    struct glet_check_gpu *gpus; /* of this node, in the plan's order */
    size_t gpu_count;
    struct glet_check_model *models; /* that they run, in the plan's order */
    size_t model_count;
    struct glet_error *problems;
    size_t problem_count, problem_capacity;
    struct glet_service *service; /* owns devices and models */
};

/*
 * options and plan are borrowed until glet_check_fini(), which is due in any case. Fails where
 * there is nothing to look at: GLET_ERR_USAGE (a malformed device), GLET_ERR_INPUT (no GPU of the
 * plan is this node's), GLET_ERR_NOMEM.
 */
GLET_MUST_CHECK
int glet_check_plan(const struct glet_service_options *options, const struct glet_plan *plan,
                    struct glet_check *out, struct glet_error *err);
void glet_check_fini(struct glet_check *check);

/* What a program that checked ends with: 0 = it would be served; 1 = it would not; 4 = all that is
   wrong is with a device that could not be looked at. */
int glet_check_exit_status(const struct glet_check *check);

#endif
