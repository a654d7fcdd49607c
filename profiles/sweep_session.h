/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_PROFILES_SWEEP_SESSION_H
#define GLET_PROFILES_SWEEP_SESSION_H

/*
 * A sweep in progress: the device, the models, the store, and what is known so far. Made by
 * glet_sweep_session_open(), which also decides what of an older sweep still holds.
 */

#include "common/error.h"
#include "common/profile/profile.h"
#include "profiles/measure.h"
#include "profiles/store.h"
#include "profiles/sweep.h"
#include "runtime/device/device.h"
#include "runtime/engine/model.h"

#include <stdbool.h>

/* Where the utilisations of a point come from. */
enum glet_utilisation_source {
    GLET_UTILISATION_NONE,
    GLET_UTILISATION_ESTIMATE, /* the model's shapes (traffic.h) */
    GLET_UTILISATION_COUNTERS, /* the device's counters, afterwards (sweep_utilisation.h) */
};

struct glet_sweep_session_options {
    const char *device; /* spec */
    const char *db;
    const char *gpu; /* name in the profile; NULL = the device's own */
    bool random_weights;
    uint64_t weight_seed;
    bool remeasure;
    bool cold_l2; /* what is measured finds an empty cache; it is no point of a warm one */
    const char *const *files; /* ONNX */
    size_t file_count;
};

struct glet_sweep_session {
    struct glet_device *device;
    const struct glet_device_info *info;
    const char *gpu;
    int grain; /* units that share nothing: multiples of it; 1 where all do */
    char machine[17];
    struct glet_store *store;
    struct glet_profile *known; /* what the store holds now */
    struct glet_model **models;
    size_t model_count;
    enum glet_utilisation_source utilisation; /* NONE after opening */
};

/*
 * Loads the models and opens the device, so that what was asked for can be held against it before a
 * store is made. On failure there is nothing to close.
 */
GLET_MUST_CHECK
int glet_sweep_session_open(const struct glet_sweep_session_options *options,
                            struct glet_sweep_session *session, struct glet_error *err);

/*
 * Opens the store, or makes it. Points of a model whose file has changed are dropped (a line on
 * standard error says so). Points of another machine under the same name, which is also the same one
 * with another driver or other libraries, are GLET_ERR_UNDECIDED and say what differs,
 * unless remeasure: then all points of that name are dropped.
 */
GLET_MUST_CHECK
int glet_sweep_session_open_store(const struct glet_sweep_session_options *options,
                                  struct glet_sweep_session *session, struct glet_error *err);
void glet_sweep_session_close(struct glet_sweep_session *session); /* a zeroed one is accepted */

/* Reads the store again into session->known. */
GLET_MUST_CHECK
int glet_sweep_session_refresh(struct glet_sweep_session *session, struct glet_error *err);

/* Whether the store holds the point already, measured or found to be of no use. */
bool glet_sweep_session_has(const struct glet_sweep_session *session,
                            const struct glet_sweep_point *point);

/*
 * Puts a measured point into the store as one transaction. A point of a shared size that keeps its
 * core for more than 20 ms at a time is recorded as measured but not offered to plans.
 */
GLET_MUST_CHECK
int glet_sweep_session_put(struct glet_sweep_session *session, const struct glet_sweep_point *point,
                           const struct glet_measurement *measured, struct glet_error *err);

/* The model's utilisations as its shapes tell them, for a batch that takes latency_ms. */
GLET_MUST_CHECK
int glet_sweep_session_estimate(const struct glet_sweep_session *session, size_t model, int batch,
                                double latency_ms, struct glet_utilisation *out,
                                struct glet_error *err);

GLET_MUST_CHECK
int glet_sweep_session_put_meta(struct glet_sweep_session *session, const char *key,
                                const char *value, struct glet_error *err);

/*
 * Brings the 99th percentiles of shared sizes up to date: p99_ms = p99_alone_ms + the longest slice
 * of any model at a shared size, because in a plan that model may be the neighbour.
 */
GLET_MUST_CHECK
int glet_sweep_session_finish(struct glet_sweep_session *session, struct glet_error *err);

/* Latency of the point as far as the points measured so far tell, ms; NAN when they do not. */
double glet_sweep_session_predict_ms(const struct glet_sweep_session *session,
                                     const struct glet_sweep_point *point);

#endif
