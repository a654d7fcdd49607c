/* SPDX-License-Identifier: Apache-2.0 */

/*
 * GET /metrics in Prometheus' text format 0.0.4: base units, `_total` on counters, one family after
 * the other. Planned stands next to measured under the same labels, so that a rule can divide one
 * by the other. Bucket limits are multiples of each model's SLO: the share of requests within the
 * SLO is a bucket, not an estimate. Nothing here stops a request: the service hands out copies.
 */

#include "common/clock.h"
#include "runtime/serve/front/front.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

struct scrape {
    struct glet_call *call;
    struct glet_frontend *frontend;
    const struct glet_service *service;
    struct glet_text *text;
    size_t model_count;
};

static void family(struct scrape *s, const char *name, const char *type, const char *help)
{
    glet_text_format(s->text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label value: backslash, quote and newline are escaped. */
static void put_value(struct glet_text *text, const char *value)
{
    glet_text_put(text, "\"");
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            glet_text_put(text, "\\");
        if (*value == '\n')
            glet_text_put(text, "\\n");
        else
            glet_text_add(text, value, 1);
    }
    glet_text_put(text, "\"");
}

static void put_label(struct glet_text *text, const char *separator, const char *key,
                      const char *value)
{
    glet_text_format(text, "%s%s=", separator, key);
    put_value(text, value);
}

static const char *model_name(const struct scrape *s, size_t model)
{
    return glet_service_model_name(s->service, (int)model);
}

static void put_number(struct glet_text *text, double value)
{
    if (value == floor(value) && fabs(value) < 1e15)
        glet_text_format(text, " %.0f\n", value);
    else
        glet_text_format(text, " %.9g\n", value);
}

static void put_model(struct scrape *s, const char *name, size_t model, double value)
{
    glet_text_put(s->text, name);
    put_label(s->text, "{", "model", model_name(s, model));
    glet_text_put(s->text, "}");
    put_number(s->text, value);
}

/* --- per model --- */

static double value_of(const struct glet_model_stats *stats, const char *name)
{
    if (!strcmp(name, "gpulet_slo_seconds"))
        return stats->slo_ms / 1000;
    if (!strcmp(name, "gpulet_slo_violations_total"))
        return (double)stats->slo_violations;
    if (!strcmp(name, "gpulet_queue_depth"))
        return (double)stats->queue_depth;
    return (double)stats->in_flight;
}

static void put_model_values(struct scrape *s)
{
    static const struct {
        const char *name, *type, *help;
    } families[] = {
        {"gpulet_slo_seconds", "gauge", "Latency objective of the plan."},
        {"gpulet_slo_violations_total", "counter", "Requests answered later than the objective."},
        {"gpulet_queue_depth", "gauge", "Requests waiting for a batch."},
        {"gpulet_in_flight", "gauge", "Requests in a batch that is being computed."},
    };
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        family(s, families[f].name, families[f].type, families[f].help);
        for (size_t i = 0; i < s->model_count; i++) {
            struct glet_model_stats stats = {0};
            glet_service_stats(s->service, (int)i, &stats);
            put_model(s, families[f].name, i, value_of(&stats, families[f].name));
        }
    }
}

static void put_code(struct scrape *s, const char *name, const char *model, int code,
                     uint64_t count)
{
    glet_text_put(s->text, name);
    glet_text_put(s->text, "{");
    if (model)
        put_label(s->text, "", "model", model);
    glet_text_format(s->text, "%scode=\"", model ? "," : "");
    if (code)
        glet_text_format(s->text, "%d\"} %" PRIu64 "\n", code, count);
    else
        glet_text_format(s->text, "none\"} %" PRIu64 "\n", count);
}

static void put_answers(struct scrape *s)
{
    family(s, "gpulet_requests_total", "counter",
           "Inference requests by the status they were answered with.");
    for (size_t i = 0; i < s->model_count && i < GLET_FRONT_MAX_MODELS; i++) {
        struct glet_front_model *model = atomic_load(&s->frontend->models[i]);
        if (!model)
            put_code(s, "gpulet_requests_total", model_name(s, i), 200, 0);
        for (size_t slot = 0; model && slot < GLET_FRONT_STATUSES; slot++) {
            uint64_t count = atomic_load_explicit(&model->answers[slot], memory_order_relaxed);
            if (count || slot == 0)
                put_code(s, "gpulet_requests_total", model_name(s, i), glet_front_status(slot),
                         count);
        }
    }
    family(s, "gpulet_http_requests_total", "counter",
           "Requests that concern no inference, by status.");
    for (size_t slot = 0; slot < GLET_FRONT_STATUSES; slot++) {
        uint64_t count =
            atomic_load_explicit(&s->frontend->other_answers[slot], memory_order_relaxed);
        if (count || slot == 0)
            put_code(s, "gpulet_http_requests_total", NULL, glet_front_status(slot), count);
    }
}

static void put_rejections(struct scrape *s)
{
    static const struct {
        enum glet_outcome outcome;
        const char *reason;
    } reasons[] = {{GLET_REFUSED_RATE, "rate"},   {GLET_REFUSED_LOAD, "load"},
                   {GLET_REFUSED_DRAIN, "drain"}, {GLET_LATE, "late"},
                   {GLET_FAILED, "failed"},       {GLET_INVALID, "invalid"}};
    family(s, "gpulet_rejected_total", "counter", "Requests that were not computed, by reason.");
    for (size_t i = 0; i < s->model_count; i++) {
        struct glet_model_stats stats = {0};
        glet_service_stats(s->service, (int)i, &stats);
        for (size_t r = 0; r < sizeof reasons / sizeof *reasons; r++) {
            glet_text_put(s->text, "gpulet_rejected_total");
            put_label(s->text, "{", "model", model_name(s, i));
            glet_text_format(s->text, ",reason=\"%s\"} %" PRIu64 "\n", reasons[r].reason,
                             stats.outcomes[reasons[r].outcome]);
        }
    }
}

static void put_histogram(struct scrape *s, const char *name, size_t model, double slo_ms,
                          const struct glet_histogram *histogram)
{
    static const double multiples[] = {0.1, 0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.5, 2, 4};
    double base_us = (slo_ms > 0 ? slo_ms : 100) * 1000;
    uint64_t before = 0;
    for (size_t i = 0; i < sizeof multiples / sizeof *multiples; i++) {
        double limit_us = base_us * multiples[i];
        uint64_t count = glet_histogram_count_at_most(histogram, (uint64_t)llround(limit_us));
        before = count > before ? count : before; /* the writer goes on meanwhile */
        glet_text_format(s->text, "%s_bucket", name);
        put_label(s->text, "{", "model", model_name(s, model));
        glet_text_format(s->text, ",le=\"%.9g\"} %" PRIu64 "\n", limit_us / 1e6, before);
    }
    uint64_t count = glet_histogram_count(histogram);
    count = count > before ? count : before;
    glet_text_format(s->text, "%s_bucket", name);
    put_label(s->text, "{", "model", model_name(s, model));
    glet_text_format(s->text, ",le=\"+Inf\"} %" PRIu64 "\n%s_sum", count, name);
    put_label(s->text, "{", "model", model_name(s, model));
    glet_text_put(s->text, "}");
    put_number(s->text, (double)glet_histogram_sum_us(histogram) / 1e6);
    glet_text_format(s->text, "%s_count", name);
    put_label(s->text, "{", "model", model_name(s, model));
    glet_text_format(s->text, "} %" PRIu64 "\n", count);
}

static void put_histograms(struct scrape *s)
{
    struct glet_listener *listener = s->call->listener;
    const struct {
        const char *name, *help;
        struct glet_histogram *histogram;
    } families[] = {
        {"gpulet_request_duration_seconds", "Arrival to result, of requests that were computed.",
         listener->total},
        {"gpulet_queue_duration_seconds", "Arrival to start of the batch.", listener->queue},
        {"gpulet_compute_duration_seconds", "Start to end of the batch.", listener->compute},
    };
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        family(s, families[f].name, "histogram", families[f].help);
        for (size_t i = 0; i < s->model_count; i++) {
            struct glet_histogram *histogram = families[f].histogram;
            struct glet_model_stats stats = {.total_us = f == 0 ? histogram : NULL,
                                             .queue_us = f == 1 ? histogram : NULL,
                                             .compute_us = f == 2 ? histogram : NULL};
            glet_histogram_reset(histogram);
            glet_service_stats(s->service, (int)i, &stats);
            put_histogram(s, families[f].name, i, stats.slo_ms, histogram);
        }
    }
}

/* --- per gpu-let and GPU --- */

static bool gpu_of(const struct scrape *s, size_t gpu, struct glet_gpu_stats *out)
{
    return glet_service_gpu_stats(s->service, gpu, out);
}

static double share_value(const struct glet_share_stats *share, size_t family)
{
    return family == 0   ? share->planned_rps
           : family == 1 ? (double)share->executions
                         : (double)share->rows;
}

static void put_shares(struct scrape *s)
{
    static const struct {
        const char *name, *type, *help;
    } families[] = {
        {"gpulet_planned_rate", "gauge", "Requests per second that the plan has for this share."},
        {"gpulet_executions_total", "counter", "Batches run."},
        {"gpulet_rows_total", "counter", "Requests in those batches."},
    };
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        family(s, families[f].name, families[f].type, families[f].help);
        for (size_t let = 0; let < glet_service_let_count(s->service); let++) {
            struct glet_let_stats stats;
            struct glet_gpu_stats gpu;
            if (!glet_service_let_stats(s->service, let, &stats) || !gpu_of(s, stats.gpu, &gpu))
                continue;
            for (size_t i = 0; i < stats.share_count; i++) {
                struct glet_share_stats share;
                if (!glet_service_share_stats(s->service, let, i, &share))
                    break;
                glet_text_put(s->text, families[f].name);
                put_label(s->text, "{", "model", model_name(s, (size_t)share.model));
                put_label(s->text, ",", "gpu", gpu.id);
                glet_text_format(s->text, ",gpulet=\"%zu\"}", let);
                put_number(s->text, share_value(&share, f));
            }
        }
    }
}

static void put_lets(struct scrape *s)
{
    family(s, "gpulet_units", "gauge", "Size of a gpu-let in units of its device.");
    for (size_t let = 0; let < glet_service_let_count(s->service); let++) {
        struct glet_let_stats stats;
        struct glet_gpu_stats gpu;
        if (!glet_service_let_stats(s->service, let, &stats) || !gpu_of(s, stats.gpu, &gpu))
            continue;
        for (int achieved = 0; achieved < 2; achieved++) {
            glet_text_put(s->text, "gpulet_units");
            put_label(s->text, "{", "gpu", gpu.id);
            glet_text_format(s->text, ",gpulet=\"%zu\",kind=\"%s\"}", let,
                             achieved ? "achieved" : "planned");
            put_number(s->text, achieved ? stats.achieved_units : stats.units);
        }
    }
    family(s, "gpulet_busy_ratio", "gauge", "Part of its share that a gpu-let has used.");
    for (size_t let = 0; let < glet_service_let_count(s->service); let++) {
        struct glet_let_stats stats;
        struct glet_gpu_stats gpu;
        if (!glet_service_let_stats(s->service, let, &stats) || !gpu_of(s, stats.gpu, &gpu))
            continue;
        glet_text_put(s->text, "gpulet_busy_ratio");
        put_label(s->text, "{", "gpu", gpu.id);
        glet_text_format(s->text, ",gpulet=\"%zu\"}", let);
        put_number(s->text, stats.busy_ratio);
    }
}

static void put_gpus(struct scrape *s)
{
    family(s, "gpulet_device_memory_bytes", "gauge", "Memory of a device.");
    for (size_t i = 0; i < glet_service_gpu_count(s->service); i++) {
        struct glet_gpu_stats gpu;
        if (!gpu_of(s, i, &gpu) || gpu.memory_total_bytes == 0)
            continue;
        for (int total = 0; total < 2; total++) {
            glet_text_put(s->text, "gpulet_device_memory_bytes");
            put_label(s->text, "{", "gpu", gpu.id);
            glet_text_format(s->text, ",kind=\"%s\"} %" PRIu64 "\n", total ? "total" : "used",
                             total ? gpu.memory_total_bytes : gpu.memory_used_bytes);
        }
    }
}

/* --- the process --- */

static uint64_t resident_bytes(void)
{
    unsigned long long total = 0, resident = 0;
    FILE *in = fopen("/proc/self/statm", "re");
    if (!in)
        return 0;
    if (fscanf(in, "%llu %llu", &total, &resident) != 2)
        resident = 0;
    fclose(in);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void put_process(struct scrape *s)
{
    struct glet_plan_info info = {0};
    glet_service_plan_info(s->service, &info);
    family(s, "gpulet_plan_info", "gauge", "The plan being served.");
    put_label(s->text, "gpulet_plan_info{", "plan", info.path);
    put_label(s->text, ",", "schema", "gpulet-plan/1");
    put_label(s->text, ",", "sha256", info.sha256);
    glet_text_put(s->text, "} 1\n");
    family(s, "gpulet_plan_generation", "gauge", "1 for the first plan, one more per change.");
    glet_text_format(s->text, "gpulet_plan_generation %" PRIu64 "\n", info.generation);
    family(s, "gpulet_build_info", "gauge", "The program.");
    glet_text_put(s->text, "gpulet_build_info{version=\"" GLET_VERSION "\"} 1\n");
    family(s, "gpulet_request_memory_bytes", "gauge",
           "Memory of requests in flight: bodies and results.");
    glet_text_format(s->text, "gpulet_request_memory_bytes %zu\n",
                     atomic_load(&s->frontend->budget.used_bytes));
    if (s->frontend->log) {
        family(s, "gpulet_access_log_dropped_total", "counter",
               "Lines of the access log that a slow disk has cost.");
        glet_text_format(s->text, "gpulet_access_log_dropped_total %" PRIu64 "\n",
                         glet_access_log_dropped(s->frontend->log));
    }
    family(s, "process_cpu_seconds_total", "counter", "Processor time used.");
    glet_text_put(s->text, "process_cpu_seconds_total");
    put_number(s->text, (double)glet_clock_process_cpu_us() / 1e6);
    family(s, "process_resident_memory_bytes", "gauge", "Resident memory.");
    glet_text_format(s->text, "process_resident_memory_bytes %" PRIu64 "\n", resident_bytes());
    family(s, "process_start_time_seconds", "gauge", "Start of the process since 1970.");
    glet_text_format(s->text, "process_start_time_seconds %.3f\n",
                     (double)s->frontend->start_unix_ms / 1000);
}

/* --- Triton's names --- */

static void put_triton(struct scrape *s, const char *name, const char *type, const char *extra,
                       size_t model, uint64_t value)
{
    if (model == 0 && type)
        family(s, name, type, "As Triton names it.");
    glet_text_put(s->text, name);
    put_label(s->text, "{", "model", model_name(s, model));
    glet_text_format(s->text, ",version=\"1\"%s} %" PRIu64 "\n", extra, value);
}

static uint64_t triton_value(const struct glet_model_stats *stats, size_t row)
{
    uint64_t failed = stats->outcomes[GLET_FAILED];
    uint64_t refused = 0;
    for (int i = GLET_REFUSED_RATE; i < GLET_OUTCOME_COUNT; i++)
        refused += i == GLET_FAILED ? 0 : stats->outcomes[i];
    const uint64_t values[] = {stats->outcomes[GLET_DONE],
                               failed,
                               refused,
                               stats->rows,
                               stats->executions,
                               stats->queue_depth,
                               (stats->queue_ns + stats->compute_ns) / 1000,
                               stats->queue_ns / 1000,
                               0,
                               stats->compute_ns / 1000,
                               0};
    return values[row];
}

static void put_triton_models(struct scrape *s)
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
            glet_service_stats(s->service, (int)i, &stats);
            put_triton(s, rows[row].name, rows[row].type, rows[row].extra, i,
                       triton_value(&stats, row));
        }
    }
}

static double gpu_busy_ratio(const struct scrape *s, size_t gpu, int units)
{
    double busy = 0;
    for (size_t i = 0; i < glet_service_let_count(s->service); i++) {
        struct glet_let_stats let;
        if (glet_service_let_stats(s->service, i, &let) && let.gpu == gpu)
            busy += let.busy_ratio * let.units;
    }
    return units > 0 ? busy / units : 0;
}

static void put_triton_gpus(struct scrape *s)
{
    static const char *const names[] = {"nv_gpu_memory_total_bytes", "nv_gpu_memory_used_bytes",
                                        "nv_gpu_utilization"};
    for (size_t row = 0; row < sizeof names / sizeof *names; row++) {
        family(s, names[row], "gauge", "As Triton names it.");
        for (size_t i = 0; i < glet_service_gpu_count(s->service); i++) {
            struct glet_gpu_stats gpu;
            if (!gpu_of(s, i, &gpu))
                continue;
            glet_text_put(s->text, names[row]);
            put_label(s->text, "{", "gpu_uuid", gpu.id);
            glet_text_put(s->text, "}");
            put_number(s->text, row == 0   ? (double)gpu.memory_total_bytes
                                : row == 1 ? (double)gpu.memory_used_bytes
                                           : gpu_busy_ratio(s, i, gpu.units));
        }
    }
}

void glet_metrics_text(struct glet_call *call)
{
    struct glet_frontend *frontend = call->listener->frontend;
    struct scrape s = {.call = call,
                       .frontend = frontend,
                       .service = frontend->service,
                       .text = &call->response.json,
                       .model_count = glet_service_model_count(frontend->service)};
    put_answers(&s);
    put_rejections(&s);
    put_model_values(&s);
    put_histograms(&s);
    put_shares(&s);
    put_lets(&s);
    put_gpus(&s);
    put_process(&s);
    if (frontend->options.triton_metrics) {
        put_triton_models(&s);
        put_triton_gpus(&s);
    }
}
