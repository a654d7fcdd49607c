/* SPDX-License-Identifier: Apache-2.0 */

/*
 * GET /metrics in Prometheus' text format 0.0.4: base units, `_total` on counters, one family after
 * the other. Planned stands next to measured under the same labels, so that a rule can divide one
 * by the other. Bucket limits are multiples of each model's SLO: the share of requests within the
 * SLO is a bucket, not an estimate. Nothing here stops a request: the service hands out copies.
 *
 * Here: the helpers, and what is counted per model.
 */

#include "runtime/serve/front/metrics_scrape.h"

#include <inttypes.h>
#include <math.h>

void glet_scrape_family(struct glet_scrape *s, const char *name, const char *type, const char *help)
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

void glet_scrape_label(struct glet_scrape *s, const char *separator, const char *key,
                       const char *value)
{
    glet_text_format(s->text, "%s%s=", separator, key);
    put_value(s->text, value);
}

void glet_scrape_number(struct glet_scrape *s, double value)
{
    if (value == floor(value) && fabs(value) < 1e15)
        glet_text_format(s->text, " %.0f\n", value);
    else
        glet_text_format(s->text, " %.15g\n", value);
}

void glet_scrape_single(struct glet_scrape *s, const char *name, const char *type, const char *help,
                        double value)
{
    glet_scrape_family(s, name, type, help);
    glet_text_put(s->text, name);
    glet_scrape_number(s, value);
}

static void put_model(struct glet_scrape *s, const char *name, size_t model, double value)
{
    glet_text_put(s->text, name);
    glet_scrape_label(s, "{", "model", glet_scrape_model(s, model));
    glet_text_put(s->text, "}");
    glet_scrape_number(s, value);
}

static double value_of(const struct glet_model_stats *stats, bool ready, size_t family)
{
    switch (family) {
    case 0:
        return ready;
    case 1:
        return stats->slo_ms / 1000;
    case 2:
        return (double)stats->slo_violations;
    case 3:
        return (double)stats->queue_depth;
    default:
        return (double)stats->in_flight;
    }
}

static void put_model_values(struct glet_scrape *s)
{
    static const struct {
        const char *name, *type, *help;
    } families[] = {
        {"gpulet_model_ready", "gauge", "1: a gpu-let of the model serves."},
        {"gpulet_slo_seconds", "gauge", "Latency objective of the plan."},
        {"gpulet_slo_violations_total", "counter", "Requests answered later than the objective."},
        {"gpulet_queue_depth", "gauge", "Requests waiting for a batch."},
        {"gpulet_in_flight", "gauge", "Requests in a batch that is being computed."},
    };
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        glet_scrape_family(s, families[f].name, families[f].type, families[f].help);
        for (size_t i = 0; i < s->model_count; i++) {
            struct glet_model_stats stats = {0};
            (void)glet_service_stats(s->service, (int)i, NULL, &stats);
            bool ready = glet_service_model_ready(s->service, (int)i);
            put_model(s, families[f].name, i, value_of(&stats, ready, f));
        }
    }
}

/* The end of a series by status. */
static void put_code(struct glet_scrape *s, const char *separator, int code, uint64_t count)
{
    if (code)
        glet_text_format(s->text, "%scode=\"%d\"} %" PRIu64 "\n", separator, code, count);
    else
        glet_text_format(s->text, "%scode=\"none\"} %" PRIu64 "\n", separator, count);
}

/* At least one series; the one without a GPU has only the answers that no GPU gave. */
static void put_model_answers(struct glet_scrape *s, const char *name,
                              const struct glet_front_answers *answers)
{
    bool only = !answers || (!answers->gpu && !atomic_load(&answers->next));
    for (size_t slot = 0; slot < GLET_FRONT_STATUSES; slot++) {
        uint64_t count =
            answers ? atomic_load_explicit(&answers->counts[slot], memory_order_relaxed) : 0;
        if (count == 0 && (slot > 0 || !(only || answers->gpu)))
            continue;
        glet_text_put(s->text, "gpulet_requests_total");
        glet_scrape_label(s, "{", "model", name);
        glet_scrape_label(s, ",", "gpu", answers && answers->gpu ? answers->gpu : "");
        put_code(s, ",", glet_front_status(slot), count);
    }
}

static void put_answers(struct glet_scrape *s)
{
    glet_scrape_family(s, "gpulet_requests_total", "counter",
                       "Inference requests by the status they were answered with, and by whose "
                       "gpu-let; gpu is empty where none was asked.");
    for (size_t i = 0; i < s->model_count && i < GLET_FRONT_MAX_MODELS; i++) {
        struct glet_front_model *model = atomic_load(&s->frontend->models[i]);
        const struct glet_front_answers *answers = model ? &model->answers : NULL;
        do
            put_model_answers(s, glet_scrape_model(s, i), answers);
        while (answers && (answers = atomic_load(&answers->next)));
    }
    glet_scrape_family(s, "gpulet_http_requests_total", "counter",
                       "Requests that concern no inference, by status.");
    for (size_t slot = 0; slot < GLET_FRONT_STATUSES; slot++) {
        uint64_t count =
            atomic_load_explicit(&s->frontend->other_answers[slot], memory_order_relaxed);
        if (count || slot == 0) {
            glet_text_put(s->text, "gpulet_http_requests_total");
            put_code(s, "{", glet_front_status(slot), count);
        }
    }
}

static void put_rejections(struct glet_scrape *s)
{
    static const struct {
        enum glet_outcome outcome;
        const char *reason;
    } reasons[] = {{GLET_REFUSED_RATE, "rate"},   {GLET_REFUSED_LOAD, "load"},
                   {GLET_REFUSED_DRAIN, "drain"}, {GLET_LATE, "late"},
                   {GLET_FAILED, "failed"},       {GLET_INVALID, "invalid"}};
    glet_scrape_family(s, "gpulet_rejected_total", "counter",
                       "Requests that were not computed, by reason.");
    for (size_t i = 0; i < s->model_count; i++) {
        struct glet_model_stats stats = {0};
        (void)glet_service_stats(s->service, (int)i, NULL, &stats);
        for (size_t r = 0; r < sizeof reasons / sizeof *reasons; r++) {
            glet_text_put(s->text, "gpulet_rejected_total");
            glet_scrape_label(s, "{", "model", glet_scrape_model(s, i));
            glet_text_format(s->text, ",reason=\"%s\"} %" PRIu64 "\n", reasons[r].reason,
                             stats.outcomes[reasons[r].outcome]);
        }
    }
}

/* --- histograms, per model and GPU --- */

enum measure { TOTAL, QUEUE, COMPUTE, BATCH };

struct series {
    const char *name, *gpu;
    size_t model;
};

static void put_series(struct glet_scrape *s, const struct series *series, const char *suffix)
{
    glet_text_format(s->text, "%s%s", series->name, suffix);
    glet_scrape_label(s, "{", "model", glet_scrape_model(s, series->model));
    glet_scrape_label(s, ",", "gpu", series->gpu);
}

/* The end of a histogram; the writer goes on meanwhile, so `count` may be behind the last bucket.
 */
static void put_total(struct glet_scrape *s, const struct series *series, uint64_t last_bucket,
                      uint64_t count, double sum)
{
    count = count > last_bucket ? count : last_bucket;
    put_series(s, series, "_bucket");
    glet_text_format(s->text, ",le=\"+Inf\"} %" PRIu64 "\n", count);
    put_series(s, series, "_sum");
    glet_text_put(s->text, "}");
    glet_scrape_number(s, sum);
    put_series(s, series, "_count");
    glet_text_format(s->text, "} %" PRIu64 "\n", count);
}

static void put_latency(struct glet_scrape *s, const struct series *series, double slo_ms,
                        const struct glet_histogram *histogram)
{
    static const double multiples[] = {0.1, 0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.5, 2, 4};
    double base_us = (slo_ms > 0 ? slo_ms : 100) * 1000;
    uint64_t before = 0;
    for (size_t i = 0; i < sizeof multiples / sizeof *multiples; i++) {
        double limit_us = base_us * multiples[i];
        uint64_t count = glet_histogram_count_at_most(histogram, (uint64_t)llround(limit_us));
        before = count > before ? count : before;
        put_series(s, series, "_bucket");
        glet_text_format(s->text, ",le=\"%.9g\"} %" PRIu64 "\n", limit_us / 1e6, before);
    }
    put_total(s, series, before, glet_histogram_count(histogram),
              (double)glet_histogram_sum_us(histogram) / 1e6);
}

static void put_batch_sizes(struct glet_scrape *s, const struct series *series)
{
    enum { LARGEST = 128 };
    struct glet_batch_stats batch;
    uint64_t count = 0, sum = 0, in_buckets = 0;
    bool more = true;
    for (int rows = 1; more || rows <= LARGEST; rows++) {
        more = more &&
               glet_service_batch_stats(s->service, (int)series->model, series->gpu, rows, &batch);
        count += more ? batch.executions : 0;
        sum += more ? batch.executions * (uint64_t)rows : 0;
        if (rows <= LARGEST && (rows & (rows - 1)) == 0) {
            put_series(s, series, "_bucket");
            glet_text_format(s->text, ",le=\"%d\"} %" PRIu64 "\n", rows, count);
            in_buckets = count;
        }
    }
    put_total(s, series, in_buckets, count, (double)sum);
}

static void put_histogram(struct glet_scrape *s, const struct series *series, enum measure measure)
{
    struct glet_listener *listener = s->call->listener;
    struct glet_histogram *histogram = measure == TOTAL   ? listener->total
                                       : measure == QUEUE ? listener->queue
                                                          : listener->compute;
    struct glet_model_stats stats = {.total_us = measure == TOTAL ? histogram : NULL,
                                     .queue_us = measure == QUEUE ? histogram : NULL,
                                     .compute_us = measure == COMPUTE ? histogram : NULL};
    if (measure != BATCH)
        glet_histogram_reset(histogram);
    if (!glet_service_stats(s->service, (int)series->model, series->gpu, &stats))
        return;
    if (measure == BATCH)
        put_batch_sizes(s, series);
    else
        put_latency(s, series, stats.slo_ms, histogram);
}

static void put_histograms(struct glet_scrape *s)
{
    static const struct {
        const char *name, *help;
    } families[] = {
        [TOTAL] = {"gpulet_request_duration_seconds",
                   "Arrival to result, of requests that were computed."},
        [QUEUE] = {"gpulet_queue_duration_seconds", "Arrival to start of the batch."},
        [COMPUTE] = {"gpulet_compute_duration_seconds", "Start to end of the batch."},
        [BATCH] = {"gpulet_batch_size", "Rows in a batch."},
    };
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        glet_scrape_family(s, families[f].name, "histogram", families[f].help);
        for (size_t i = 0; i < s->model_count; i++)
            for (size_t g = 0; g < glet_service_gpu_count(s->service); g++) {
                struct glet_gpu_stats gpu;
                if (!glet_service_gpu_stats(s->service, g, &gpu))
                    continue;
                struct series series = {families[f].name, gpu.id, i};
                put_histogram(s, &series, (enum measure)f);
            }
    }
}

void glet_metrics_text(struct glet_call *call)
{
    struct glet_frontend *frontend = call->listener->frontend;
    struct glet_scrape s = {.call = call,
                            .frontend = frontend,
                            .service = frontend->service,
                            .text = &call->response.json,
                            .model_count = glet_service_model_count(frontend->service)};
    put_answers(&s);
    put_rejections(&s);
    put_model_values(&s);
    put_histograms(&s);
    glet_scrape_devices(&s);
    glet_scrape_sensors(&s);
    glet_scrape_process(&s);
    if (frontend->options.triton_metrics)
        glet_scrape_triton(&s);
}
