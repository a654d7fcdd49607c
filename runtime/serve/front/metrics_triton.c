/* SPDX-License-Identifier: Apache-2.0 */

/* The same under the names that Triton's dashboards and perf_analyzer look for. Off by default:
   they are not what Prometheus recommends (no base units, no _total). */

#include "runtime/serve/front/metrics_scrape.h"

#include <inttypes.h>

static void put_triton(struct glet_scrape *s, const char *name, const char *type, const char *extra,
                       size_t model, uint64_t value)
{
    if (model == 0 && type)
        glet_scrape_family(s, name, type, "As Triton names it.");
    glet_text_put(s->text, name);
    glet_scrape_label(s, "{", "model", glet_scrape_model(s, model));
    glet_text_format(s->text, ",version=\"1\"%s} %" PRIu64 "\n", extra, value);
}

static uint64_t triton_value(const struct glet_model_stats *stats, size_t row)
{
    uint64_t failed = stats->outcomes[GLET_FAILED];
    uint64_t refused = 0;
    uint64_t input_ns = stats->input_ns < stats->queue_ns ? stats->input_ns : stats->queue_ns;
    for (int i = GLET_REFUSED_RATE; i < GLET_OUTCOME_COUNT; i++)
        refused += i == GLET_FAILED ? 0 : stats->outcomes[i];
    const uint64_t values[] = {stats->outcomes[GLET_DONE],
                               failed,
                               refused,
                               stats->rows,
                               stats->executions,
                               stats->queue_depth,
                               (stats->queue_ns + stats->compute_ns + stats->output_ns) / 1000,
                               (stats->queue_ns - input_ns) / 1000,
                               input_ns / 1000,
                               stats->compute_ns / 1000,
                               stats->output_ns / 1000};
    return values[row];
}

static void put_triton_models(struct glet_scrape *s)
{
    static const struct {
        const char *name, *type, *extra;
    } rows[] = {
        {"nv_inference_request_success", "counter", ""},
        {"nv_inference_request_failure", "counter", ",reason=\"BACKEND\""},
        {"nv_inference_request_failure", NULL, ",reason=\"REJECTED\""},
        {"nv_inference_count", "counter", ""},
        {"nv_inference_exec_count", "counter", ""},
        {"nv_inference_pending_request_count", "gauge", ""},
        {"nv_inference_request_duration_us", "counter", ""},
        {"nv_inference_queue_duration_us", "counter", ""},
        {"nv_inference_compute_input_duration_us", "counter", ""},
        {"nv_inference_compute_infer_duration_us", "counter", ""},
        {"nv_inference_compute_output_duration_us", "counter", ""},
    };
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        for (size_t i = 0; i < s->model_count; i++) {
            struct glet_model_stats stats = {0};
            (void)glet_service_stats(s->service, (int)i, NULL, &stats);
            put_triton(s, rows[row].name, rows[row].type, rows[row].extra, i,
                       triton_value(&stats, row));
        }
    }
}

static double gpu_busy_ratio(const struct glet_scrape *s, size_t gpu, int units)
{
    double busy = 0;
    for (size_t i = 0; i < glet_service_let_count(s->service); i++) {
        struct glet_let_stats let;
        if (glet_service_let_stats(s->service, i, &let) && let.gpu == gpu)
            busy += let.busy_ratio * let.units;
    }
    return units > 0 ? busy / units : 0;
}

static void put_triton_gpus(struct glet_scrape *s)
{
    static const char *const names[] = {"nv_gpu_memory_total_bytes", "nv_gpu_memory_used_bytes",
                                        "nv_gpu_utilization"};
    for (size_t row = 0; row < sizeof names / sizeof *names; row++) {
        glet_scrape_family(s, names[row], "gauge", "As Triton names it.");
        for (size_t i = 0; i < glet_service_gpu_count(s->service); i++) {
            struct glet_gpu_stats gpu;
            if (!glet_service_gpu_stats(s->service, i, &gpu))
                continue;
            glet_text_put(s->text, names[row]);
            glet_scrape_label(s, "{", "gpu_uuid", gpu.id);
            glet_text_put(s->text, "}");
            glet_scrape_number(s, row == 0   ? (double)gpu.memory_total_bytes
                                  : row == 1 ? (double)gpu.memory_used_bytes
                                             : gpu_busy_ratio(s, i, gpu.units));
        }
    }
}

void glet_scrape_triton(struct glet_scrape *s)
{
    put_triton_models(s);
    put_triton_gpus(s);
}
