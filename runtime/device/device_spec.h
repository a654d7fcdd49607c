/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_DEVICE_SPEC_H
#define GLET_DEVICE_SPEC_H

/*
 * What a person types after --device: "auto", "cpu" (all cores this process may run on),
 * "cpu:0-3,6" (those cores), "cuda:0", "cuda:MIG-<uuid>", "replay:FOLDER" (a profile) or
 * "replay:FOLDER:GPU" (one of its GPUs). Pure; safe from any thread.
 */

#include "common/error.h"

#include <sched.h>
#include <stdbool.h>

#define GLET_DEVICE_PRECISION "fp16" /* unless another is asked for */

enum glet_device_kind { GLET_DEVICE_CPU, GLET_DEVICE_CUDA, GLET_DEVICE_REPLAY };

struct glet_device_spec {
    enum glet_device_kind kind;
    bool best;         /* "auto": a GPU where there is one, else what the rest says */
    bool all_cores;    /* CPU: no list was given */
    cpu_set_t cores;   /* CPU: the list */
    int index;         /* CUDA: ordinal, or -1 */
    char mig[64];      /* CUDA: "MIG-<uuid>", or empty */
    char precision[8]; /* CUDA: of weights and activations: "fp16", "tf32", "fp32" */
    char folder[1024]; /* replay: the profile */
    char gpu[64];      /* replay: of its GPUs, or empty: the only one */
};

/*
 * Reads text; NULL is "auto". GLET_ERR_USAGE when it is malformed, with what is accepted as the
 * hint. Whether the device is there is not looked at.
 */
GLET_MUST_CHECK
int glet_device_spec_parse(const char *text, struct glet_device_spec *out, struct glet_error *err);

/* For option tables: what --device accepts, in one sentence. */
#define GLET_DEVICE_SPEC_HELP                                                                      \
    "The device: auto (a GPU where there is one), cpu (all cores this process may use), "          \
    "cpu:0-3,6 "                                                                                   \
    "(those cores), cuda:N or cuda:MIG-UUID, which compute in fp16 unless :tf32 or :fp32 follows."

#endif
