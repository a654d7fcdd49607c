/* SPDX-License-Identifier: Apache-2.0 */
#include "benchmarks/load/load_report.h"

#include "common/json.h"
#include "common/table.h"

#include <errno.h>
#include <math.h>

static const double percentiles[] = {50, 90, 99, 99.9};

static double percentile_ms(const struct glet_histogram *histogram, double percentile)
{
    return (double)glet_histogram_percentile_us(histogram, percentile) / 1e3;
}

static double per_second(uint64_t count, const struct glet_load_report *report)
{
    double seconds = report->result->measured_s;
    return seconds > 0 ? (double)count / seconds : 0;
}

static void table_row(struct glet_table *table, const struct glet_load_report *report,
                      const struct glet_stream *stream)
{
    const struct glet_stream_counts *counts = &stream->counts;
    glet_table_cell(table, "%s%s", stream->kind == GLET_STREAM_STAGE ? "  " : "", stream->name);
    glet_table_cell(table, "%.1f", per_second(counts->offered, report));
    glet_table_cell(table, "%.1f", per_second(counts->in_slo, report));
    glet_table_cell(table, "%.2f", percentile_ms(stream->latency_us, 50));
    glet_table_cell(table, "%.2f", percentile_ms(stream->latency_us, 99));
    glet_table_cell(table, "%.2f", percentile_ms(stream->latency_us, 99.9));
    if (stream->slo_ms > 0)
        glet_table_cell(table, "%g", stream->slo_ms);
    else
        glet_table_cell(table, "-");
    glet_table_cell(table, "%.2f", 100 * glet_stream_attainment(stream));
    glet_table_cell(table, "%ju", (uintmax_t)counts->over_rate_429);
    glet_table_cell(table, "%ju", (uintmax_t)counts->short_503);
    glet_table_cell(table, "%ju", (uintmax_t)counts->late_504);
    glet_table_cell(table, "%ju", (uintmax_t)(counts->other_status + glet_stream_failures(stream)));
    if (stream->slo_ms > 0)
        glet_table_cell(table, glet_stream_meets_slo(stream) ? "met" : "MISSED");
    else
        glet_table_cell(table, "-");
}

/* Our own delay: what it adds to a latency is not the server's doing. */
static uint64_t worst_lag_us(const struct glet_load_set *set)
{
    uint64_t worst_us = 0;
    for (size_t i = 0; i < set->stream_count; i++) {
        uint64_t lag_us = glet_histogram_percentile_us(set->streams[i].send_lag_us, 99);
        if (set->streams[i].kind != GLET_STREAM_STAGE && lag_us > worst_us)
            worst_us = lag_us;
    }
    return worst_us;
}

static bool is_punctuality_in_doubt(const struct glet_load_set *set)
{
    for (size_t i = 0; i < set->stream_count; i++)
        if (set->streams[i].slo_ms > 0 &&
            10 * (double)worst_lag_us(set) / 1e3 > set->streams[i].slo_ms)
            return true;
    return false;
}

int glet_load_report_table(const struct glet_load_report *report, FILE *out, struct glet_error *err)
{
    struct glet_table table;
    glet_table_init(&table, "model|>offered rps|>goodput rps|>p50 ms|>p99 ms|>p99.9 ms|>SLO ms|"
                            ">in SLO %|>429|>503|>504|>errors|SLO");
    for (size_t i = 0; i < report->set->stream_count; i++)
        table_row(&table, report, &report->set->streams[i]);
    errno = 0;
    int rc = glet_table_print(&table, out);
    glet_table_fini(&table);
    fprintf(out,
            "\n%.4g x the rates, measured %.1f s after %.1f s of warm-up, seed %ju%s\n"
            "sent late by at most %.2f ms (p99); up to %zu requests open on %zu connections\n",
            report->rate_scale, report->result->measured_s, report->warmup_s,
            (uintmax_t)report->seed,
            report->shared_outputs  ? ", inputs and large outputs in shared memory"
            : report->shared_memory ? ", inputs in shared memory"
                                    : "",
            (double)worst_lag_us(report->set) / 1e3, report->result->max_open_calls,
            report->result->max_connections);
    if (is_punctuality_in_doubt(report->set))
        fprintf(out, "that is more than a tenth of an SLO: this machine was too busy to load on "
                     "time, and some of the latency is its own\n");
    if (report->searched && isinf(report->missed_scale))
        fprintf(out, "largest factor tried: every SLO held\n");
    else if (report->searched)
        fprintf(out, "the SLOs were missed at %.4g x the rates\n", report->missed_scale);
    if (rc < 0 || fflush(out) != 0 || ferror(out))
        return glet_error_errno(err, errno ? errno : EIO, "cannot write the report");
    return 0;
}

static void json_latency(struct glet_json *json, const char *key,
                         const struct glet_histogram *histogram)
{
    glet_json_object(json, key);
    glet_json_uint(json, "count", glet_histogram_count(histogram));
    glet_json_double(json, "mean", glet_histogram_mean_us(histogram) / 1e3);
    glet_json_double(json, "min", (double)glet_histogram_min_us(histogram) / 1e3);
    for (size_t i = 0; i < sizeof percentiles / sizeof *percentiles; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%g", percentiles[i]);
        glet_json_double(json, name, percentile_ms(histogram, percentiles[i]));
    }
    glet_json_double(json, "max", (double)glet_histogram_max_us(histogram) / 1e3);
    glet_json_end(json);
}

static void json_stages(struct glet_json *json, const struct glet_load_report *report,
                        const struct glet_stream *app);

static void json_stream(struct glet_json *json, const struct glet_load_report *report,
                        const struct glet_stream *stream)
{
    const struct glet_stream_counts *counts = &stream->counts;
    glet_json_object(json, NULL);
    glet_json_string(json, "name", stream->name);
    if (stream->kind != GLET_STREAM_STAGE)
        glet_json_double(json, "rate_rps", stream->arrivals.rate_rps);
    if (stream->slo_ms > 0) {
        glet_json_double(json, "slo_ms", stream->slo_ms);
        glet_json_double(json, "percentile", stream->percentile);
        glet_json_bool(json, "slo_met", glet_stream_meets_slo(stream));
    }
    glet_json_double(json, "attainment_ratio", glet_stream_attainment(stream));
    glet_json_double(json, "offered_rps", per_second(counts->offered, report));
    glet_json_double(json, "goodput_rps", per_second(counts->in_slo, report));
    glet_json_object(json, "requests");
    glet_json_uint(json, "offered", counts->offered);
    glet_json_uint(json, "answered", counts->answered);
    glet_json_uint(json, "in_slo", counts->in_slo);
    glet_json_uint(json, "status_429", counts->over_rate_429);
    glet_json_uint(json, "status_503", counts->short_503);
    glet_json_uint(json, "status_504", counts->late_504);
    glet_json_uint(json, "status_other", counts->other_status);
    for (int i = GLET_CALL_ANSWERED + 1; i < GLET_CALL_RESULT_COUNT; i++)
        glet_json_uint(json, glet_call_result_name((enum glet_call_result)i), counts->failed[i]);
    glet_json_end(json);
    json_latency(json, "latency_ms", stream->latency_us);
    json_latency(json, "send_lag_ms", stream->send_lag_us);
    if (stream->kind == GLET_STREAM_APP)
        json_stages(json, report, stream);
    glet_json_end(json);
}

static void json_stages(struct glet_json *json, const struct glet_load_report *report,
                        const struct glet_stream *app)
{
    glet_json_array(json, "stages");
    for (size_t s = 0; s < app->stage_count; s++)
        json_stream(json, report, app->stages[s].stream);
    glet_json_end(json);
}

static void json_rows(struct glet_json *json, const struct glet_load_report *report,
                      const char *key, enum glet_stream_kind kind)
{
    glet_json_array(json, key);
    for (size_t i = 0; i < report->set->stream_count; i++)
        if (report->set->streams[i].kind == kind)
            json_stream(json, report, &report->set->streams[i]);
    glet_json_end(json);
}

int glet_load_report_json(const struct glet_load_report *report, FILE *out, struct glet_error *err)
{
    struct glet_json json = glet_json_begin(out, GLET_JSON_INDENTED);
    errno = 0;
    glet_json_object(&json, NULL);
    glet_json_string(&json, "schema", "gpulet-load/1");
    glet_json_bool(&json, "slo_met", glet_load_set_meets_slo(report->set));
    glet_json_uint(&json, "seed", report->seed);
    glet_json_bool(&json, "shared_memory", report->shared_memory);
    glet_json_bool(&json, "shared_outputs", report->shared_outputs);
    glet_json_double(&json, "rate_scale", report->rate_scale);
    if (report->searched) /* null: no factor was too much */
        glet_json_double(&json, "missed_rate_scale", report->missed_scale);
    glet_json_double(&json, "warmup_s", report->warmup_s);
    glet_json_double(&json, "measured_s", report->result->measured_s);
    glet_json_double(&json, "client_cpu_s", report->result->cpu_s);
    glet_json_uint(&json, "max_open_requests", report->result->max_open_calls);
    glet_json_uint(&json, "max_connections", report->result->max_connections);
    json_rows(&json, report, "models", GLET_STREAM_MODEL);
    json_rows(&json, report, "apps", GLET_STREAM_APP);
    glet_json_end(&json);
    if (fflush(out) != 0 || ferror(out))
        return glet_error_errno(err, errno ? errno : EIO, "cannot write the report");
    return 0;
}
