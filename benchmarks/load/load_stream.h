/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_LOAD_STREAM_H
#define GLET_LOAD_STREAM_H

/*
 * One model's share of a load: its schedule, its requests, and what became of them.
 *
 * Every latency counts from the *intended* send time, so that a server (or this client) that falls
 * behind is charged for the waiting it causes: coordinated omission cannot hide it.
 */

#include "benchmarks/load/arrivals.h"
#include "benchmarks/load/http_client.h"
#include "benchmarks/load/infer_request.h"
#include "common/histogram.h"

struct glet_stream_counts { /* requests whose intended time lies in the measured window */
    uint64_t offered;
    uint64_t answered; /* 200 */
    uint64_t in_slo;   /* 200, within slo_ms of the intended time: goodput */
    uint64_t over_rate_429, short_503, late_504, other_status;
    uint64_t
        failed[GLET_CALL_RESULT_COUNT]; /* no response, by reason; [GLET_CALL_ANSWERED] unused */
};

struct glet_stream {
    const char *name; /* borrowed from the workload */
    double slo_ms;    /* 0: the model has no SLO of its own */
    double percentile;
    struct glet_arrivals arrivals;
    struct glet_infer_request *requests; /* one per target */
    size_t request_count;
    struct glet_stream_counts counts;
    struct glet_histogram *latency_us;  /* of 200s */
    struct glet_histogram *send_lag_us; /* from intended to handed to a connection */
};

/* Records the end of a call that should have been sent at intended_us. */
void glet_stream_record(struct glet_stream *stream, const struct glet_call *call,
                        uint64_t intended_us);

/* Share of the offered requests that were answered within the SLO, 0..1; 1 when none was offered.
 */
double glet_stream_attainment(const struct glet_stream *stream);

/* Whether the SLO's percentile was met; true for a stream without an SLO. */
bool glet_stream_meets_slo(const struct glet_stream *stream);

uint64_t glet_stream_failures(const struct glet_stream *stream); /* without any response */

#endif
