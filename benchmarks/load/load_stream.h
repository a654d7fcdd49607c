/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_LOAD_STREAM_H
#define GLET_LOAD_STREAM_H

/*
 * One row of a load: a model's requests, an app's, or the calls of one stage of an app. Its
 * schedule, and what became of its requests.
 *
 * Every latency of models and apps counts from the *intended* send time, so that a server (or this
 * client) that falls behind is charged for the waiting it causes: coordinated omission cannot hide
 * it. A stage counts from the end of the stages before it.
 */

#include "benchmarks/load/http_client.h"
#include "benchmarks/load/load_model.h"
#include "common/arrivals.h"
#include "common/histogram.h"

struct glet_stream_counts { /* requests whose intended time lies in the measured window */
    uint64_t offered;       /* sent, whatever became of them */
    uint64_t answered;      /* 200 */
    uint64_t in_slo;        /* 200, within slo_ms of the intended time: goodput */
    uint64_t over_rate_429, short_503, late_504, other_status;
    uint64_t
        failed[GLET_CALL_RESULT_COUNT]; /* no response, by reason; [GLET_CALL_ANSWERED] unused */
};

struct glet_load_stage {
    struct glet_stream *stream; /* of kind GLET_STREAM_STAGE */
    uint64_t after;             /* bit k: stage k must be over before this one begins */
    double calls;               /* mean number of calls per app request */
};

enum { GLET_LOAD_MOST_STAGES = 64 };

enum glet_stream_kind { GLET_STREAM_MODEL, GLET_STREAM_APP, GLET_STREAM_STAGE };

struct glet_stream {
    enum glet_stream_kind kind;
    const char *name; /* borrowed from the workload */
    double slo_ms;    /* 0: none of its own */
    double percentile;
    struct glet_arrivals arrivals;  /* of models and apps; a stage has none of its own */
    struct glet_load_model *model;  /* not of apps; borrowed */
    struct glet_load_stage *stages; /* of apps */
    size_t stage_count;
    struct glet_stream_counts counts;
    struct glet_histogram *latency_us;  /* of 200s */
    struct glet_histogram *send_lag_us; /* from intended to handed to a connection */
};

/* Records how one request ended; status matters when it was answered. */
void glet_stream_record(struct glet_stream *stream, enum glet_call_result result, int status,
                        uint64_t latency_us);

/* Share of the offered requests that were answered within the SLO, 0..1; 1 when none was offered.
 */
double glet_stream_attainment(const struct glet_stream *stream);

/* Whether the SLO's percentile was met; true for a stream without an SLO. */
bool glet_stream_meets_slo(const struct glet_stream *stream);

uint64_t glet_stream_failures(const struct glet_stream *stream); /* without any response */

#endif
