/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "planner/report/simulation_report.h"

#include "common/json.h"
#include "common/table.h"
#include "planner/report/writing.h"

#include <inttypes.h>

static const double percentiles[] = {50, 90, 99, 99.9};

static double percentile_ms(const struct glet_simulate_stream *stream, double percentile)
{
    return (double)glet_histogram_percentile_us(stream->latency_us, percentile) / 1000;
}

static int print_streams(const struct glet_simulate_options *options,
                         const struct glet_simulation *simulation, FILE *out,
                         struct glet_error *err)
{
    struct glet_table table;
    glet_table_init(&table, "model or app|>offered/s|>p50 ms|>p99 ms|>SLO ms|>in SLO %|>+- %|"
                            ">asked %|>429|>503|>504|SLO");
    for (size_t i = 0; i < simulation->stream_count; i++) {
        const struct glet_simulate_stream *stream = &simulation->streams[i];
        glet_table_cell(&table, "%s", stream->name);
        glet_table_cell(&table, "%.2f", (double)stream->offered / options->duration_s);
        glet_table_cell(&table, "%.2f", percentile_ms(stream, 50));
        glet_table_cell(&table, "%.2f", percentile_ms(stream, 99));
        glet_table_cell(&table, "%g", stream->slo_ms);
        glet_table_cell(&table, "%.2f", 100 * glet_simulate_attainment(stream));
        glet_table_cell(&table, "%.2f", 100 * glet_simulate_error(stream));
        glet_table_cell(&table, "%g", stream->percentile);
        glet_table_cell(&table, "%" PRIu64, stream->over_rate);
        glet_table_cell(&table, "%" PRIu64, stream->overloaded);
        glet_table_cell(&table, "%" PRIu64, stream->late);
        glet_table_cell(&table, glet_simulate_meets_slo(stream) ? "met" : "MISSED");
    }
    int result = glet_report_table(&table, false, out, err);
    glet_table_fini(&table);
    return result;
}

static void print_models(const struct glet_plan *plan, const struct glet_plan_let *let,
                         struct glet_table *table)
{
    char text[512] = "";
    size_t length = 0;
    for (size_t i = 0; i < let->model_count && length < sizeof text; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s x%d", i ? ", " : "",
                                   plan->models[let->models[i].model].name, let->models[i].batch);
    glet_table_cell(table, "%s", text);
}

static int print_lets(const struct glet_plan *plan, const struct glet_simulation *simulation,
                      FILE *out, struct glet_error *err)
{
    struct glet_table table;
    glet_table_init(&table, "gpu|>units|>busy %|>batches filled %|models x batch");
    for (size_t i = 0; i < simulation->let_count; i++) {
        const struct glet_simulate_let *row = &simulation->lets[i];
        const struct glet_plan_let *let = &plan->gpus[row->gpu].lets[row->let];
        glet_table_cell(&table, "%s", plan->gpus[row->gpu].id);
        glet_table_cell(&table, "%d", let->units);
        glet_table_cell(&table, "%.1f", 100 * row->busy_ratio);
        glet_table_cell(&table, "%.1f", 100 * row->fill_ratio);
        print_models(plan, let, &table);
    }
    fputc('\n', out);
    int result = glet_report_table(&table, false, out, err);
    glet_table_fini(&table);
    return result;
}

static void print_summary(const struct glet_simulate_options *options,
                          const struct glet_simulation *simulation, FILE *out)
{
    double sum = 0, most = 0;
    for (size_t i = 0; i < simulation->let_count; i++) {
        sum += simulation->lets[i].busy_ratio;
        if (simulation->lets[i].busy_ratio > most)
            most = simulation->lets[i].busy_ratio;
    }
    fprintf(out, "\n%g s at %g x the rates after %g s of warm-up, seed %" PRIu64 "; ",
            options->duration_s, options->rate_scale, options->warmup_s, options->seed);
    fprintf(out, "gpu-lets busy %.1f %% on average, at most %.1f %%\n",
            simulation->let_count ? 100 * sum / (double)simulation->let_count : 0, 100 * most);
    for (size_t i = 0; i < simulation->stream_count; i++)
        if (!glet_simulate_meets_slo(&simulation->streams[i])) {
            fprintf(out, "a missed SLO wants room for bursts: plan --bursts finds it\n");
            break;
        }
}

int glet_report_simulation(const struct glet_plan *plan,
                           const struct glet_simulate_options *options,
                           const struct glet_simulation *simulation, bool show_lets, FILE *out,
                           struct glet_error *err)
{
    int result = print_streams(options, simulation, out, err);
    if (result == 0 && show_lets)
        result = print_lets(plan, simulation, out, err);
    print_summary(options, simulation, out);
    return result == 0 ? glet_report_finish(out, err) : result;
}

static void json_stream(struct glet_json *json, const struct glet_simulate_options *options,
                        const struct glet_simulate_stream *stream)
{
    glet_json_object(json, NULL);
    glet_json_string(json, "name", stream->name);
    glet_json_string(json, "kind", stream->is_app ? "app" : "model");
    glet_json_double(json, "rate_rps", stream->rate_rps);
    glet_json_double(json, "offered_rps", (double)stream->offered / options->duration_s);
    glet_json_double(json, "goodput_rps", (double)stream->in_slo / options->duration_s);
    glet_json_double(json, "slo_ms", stream->slo_ms);
    glet_json_double(json, "percentile", stream->percentile);
    glet_json_double(json, "attainment_ratio", glet_simulate_attainment(stream));
    glet_json_double(json, "attainment_error_ratio", glet_simulate_error(stream));
    glet_json_bool(json, "slo_met", glet_simulate_meets_slo(stream));
    glet_json_object(json, "requests");
    glet_json_uint(json, "offered", stream->offered);
    glet_json_uint(json, "answered", stream->answered);
    glet_json_uint(json, "in_slo", stream->in_slo);
    glet_json_uint(json, "over_rate_429", stream->over_rate);
    glet_json_uint(json, "short_503", stream->overloaded);
    glet_json_uint(json, "late_504", stream->late);
    glet_json_end(json);
    glet_json_object(json, "latency_ms");
    for (size_t i = 0; i < sizeof percentiles / sizeof *percentiles; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%g", percentiles[i]);
        glet_json_double(json, name, percentile_ms(stream, percentiles[i]));
    }
    glet_json_end(json);
    glet_json_end(json);
}

int glet_report_simulation_json(const struct glet_plan *plan,
                                const struct glet_simulate_options *options,
                                const struct glet_simulation *simulation, FILE *out,
                                struct glet_error *err)
{
    struct glet_json json = glet_json_begin(out, GLET_JSON_INDENTED);
    glet_json_object(&json, NULL);
    glet_json_string(&json, "schema", "gpulet-simulation/1");
    glet_json_string(&json, "plan", plan->path);
    glet_json_double(&json, "duration_s", options->duration_s);
    glet_json_double(&json, "warmup_s", options->warmup_s);
    glet_json_double(&json, "rate_scale", options->rate_scale);
    glet_json_uint(&json, "seed", options->seed);
    glet_json_array(&json, "streams");
    for (size_t i = 0; i < simulation->stream_count; i++)
        json_stream(&json, options, &simulation->streams[i]);
    glet_json_end(&json);
    glet_json_array(&json, "gpulets");
    for (size_t i = 0; i < simulation->let_count; i++) {
        const struct glet_simulate_let *let = &simulation->lets[i];
        glet_json_object(&json, NULL);
        glet_json_string(&json, "gpu", plan->gpus[let->gpu].id);
        glet_json_uint(&json, "index", let->let);
        glet_json_int(&json, "units", plan->gpus[let->gpu].lets[let->let].units);
        glet_json_double(&json, "busy_ratio", let->busy_ratio);
        glet_json_double(&json, "fill_ratio", let->fill_ratio);
        glet_json_end(&json);
    }
    glet_json_end(&json);
    glet_json_end(&json);
    return glet_report_finish(out, err);
}
