/* SPDX-License-Identifier: Apache-2.0 */
#include "benchmarks/load/load_stream.h"

void glet_stream_record(struct glet_stream *stream, enum glet_call_result result, int status,
                        uint64_t latency_us)
{
    struct glet_stream_counts *counts = &stream->counts;
    if (result != GLET_CALL_ANSWERED) {
        counts->failed[result]++;
        return;
    }
    switch (status) {
    case 200:
        counts->answered++;
        glet_histogram_record(stream->latency_us, latency_us);
        counts->in_slo += stream->slo_ms <= 0 || (double)latency_us <= stream->slo_ms * 1e3;
        break;
    case 429:
        counts->over_rate_429++;
        break;
    case 503:
        counts->short_503++;
        break;
    case 504:
        counts->late_504++;
        break;
    default:
        counts->other_status++;
    }
}

double glet_stream_attainment(const struct glet_stream *stream)
{
    const struct glet_stream_counts *counts = &stream->counts;
    return counts->offered ? (double)counts->in_slo / (double)counts->offered : 1;
}

bool glet_stream_meets_slo(const struct glet_stream *stream)
{
    const struct glet_stream_counts *counts = &stream->counts;
    /* The slack is for percentiles without an exact double: 99.9 % of 1000 are 999. */
    double wanted = stream->percentile / 100 * (double)counts->offered * (1 - 1e-12);
    return stream->slo_ms <= 0 || (double)counts->in_slo >= wanted;
}

uint64_t glet_stream_failures(const struct glet_stream *stream)
{
    uint64_t sum = 0;
    for (int i = 0; i < GLET_CALL_RESULT_COUNT; i++)
        sum += stream->counts.failed[i];
    return sum;
}
