/* SPDX-License-Identifier: Apache-2.0 */

/* GET /v2/plan: what was planned next to what is achieved, for every gpu-let and every model. */

#include "runtime/serve/front/front.h"

#include <inttypes.h>
#include <math.h>

static void put_number(struct glet_text *text, const char *key, double value)
{
    glet_text_format(text, ",\"%s\":%.6g", key, isfinite(value) ? value : 0.0);
}

static void put_share(struct glet_text *text, const struct glet_service *service,
                      const struct glet_share_stats *share)
{
    glet_text_put(text, "{\"name\":");
    glet_text_json_string(text, glet_service_model_name(service, share->model));
    glet_text_format(text, ",\"batch\":%d", share->batch);
    put_number(text, "planned_rps", share->planned_rps);
    put_number(text, "exec_ms", share->exec_ms);
    put_number(text, "latency_bound_ms", share->latency_bound_ms);
    glet_text_format(text, ",\"executions\":%" PRIu64 ",\"rows\":%" PRIu64 "}", share->executions,
                     share->rows);
}

static void put_let(struct glet_text *text, const struct glet_service *service, size_t index,
                    const struct glet_let_stats *let)
{
    glet_text_format(text, "{\"gpulet\":%zu,\"units\":%d", index, let->units);
    put_number(text, "achieved_units", let->achieved_units);
    if (let->sm_count > 0)
        glet_text_format(text, ",\"sms\":%d", let->sm_count);
    if (let->seen_sms > 0)
        glet_text_format(text, ",\"seen_sms\":%d", let->seen_sms);
    put_number(text, "busy_ratio", let->busy_ratio);
    put_number(text, "duty_cycle_ms", let->duty_cycle_ms);
    glet_text_format(text, ",\"rounds\":%" PRIu64 ",\"models\":[", let->rounds);
    for (size_t i = 0; i < let->share_count; i++) {
        struct glet_share_stats share;
        if (!glet_service_share_stats(service, index, i, &share))
            break;
        glet_text_put(text, i ? "," : "");
        put_share(text, service, &share);
    }
    glet_text_put(text, "]}");
}

static void put_gpu(struct glet_text *text, const struct glet_service *service, size_t index,
                    const struct glet_gpu_stats *gpu)
{
    int planned = 0;
    double achieved = 0;
    bool first = true;
    glet_text_put(text, "{\"id\":");
    glet_text_json_string(text, gpu->id);
    glet_text_put(text, ",\"type\":");
    glet_text_json_string(text, gpu->type);
    glet_text_format(text,
                     ",\"units\":%d,\"memory_planned_bytes\":%" PRIu64
                     ",\"memory_used_bytes\":%" PRIu64 ",\"memory_total_bytes\":%" PRIu64
                     ",\"sharing\":\"%s\"",
                     gpu->units, gpu->memory_planned_bytes, gpu->memory_used_bytes,
                     gpu->memory_total_bytes, gpu->temporal ? "temporal" : "spatial");
    if (gpu->replay)
        glet_text_put(text, ",\"replay\":true");
    if (gpu->verified_blocks > 0)
        glet_text_format(text, ",\"isolation_blocks\":%" PRIu64, gpu->verified_blocks);
    glet_text_put(text, ",\"gpulets\":[");
    for (size_t i = 0; i < glet_service_let_count(service); i++) {
        struct glet_let_stats let;
        if (!glet_service_let_stats(service, i, &let) || let.gpu != index)
            continue;
        planned += let.units;
        achieved += let.achieved_units;
        glet_text_put(text, first ? "" : ",");
        first = false;
        put_let(text, service, i, &let);
    }
    glet_text_format(text, "],\"planned_units\":%d", planned);
    put_number(text, "achieved_units", achieved);
    glet_text_put(text, "}");
}

static void put_model(struct glet_call *call, int index)
{
    const struct glet_service *service = call->listener->frontend->service;
    struct glet_text *text = &call->response.json;
    struct glet_model_stats stats = {.total_us = call->listener->total};
    if (stats.total_us)
        glet_histogram_reset(stats.total_us);
    glet_service_stats(service, index, NULL, &stats);
    uint64_t refused = stats.outcomes[GLET_REFUSED_RATE] + stats.outcomes[GLET_REFUSED_LOAD] +
                       stats.outcomes[GLET_REFUSED_DRAIN];
    glet_text_put(text, "{\"name\":");
    glet_text_json_string(text, glet_service_model_name(service, index));
    glet_text_format(text, ",\"ready\":%s",
                     glet_service_model_ready(service, index) ? "true" : "false");
    put_number(text, "slo_ms", stats.slo_ms);
    put_number(text, "planned_rps", stats.planned_rps);
    glet_text_format(text,
                     ",\"done\":%" PRIu64 ",\"slo_violations\":%" PRIu64 ",\"refused\":%" PRIu64
                     ",\"late\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"queue_depth\":%" PRIu64
                     ",\"in_flight\":%" PRIu64,
                     stats.outcomes[GLET_DONE], stats.slo_violations, refused,
                     stats.outcomes[GLET_LATE], stats.outcomes[GLET_FAILED], stats.queue_depth,
                     stats.in_flight);
    if (stats.total_us) {
        put_number(text, "p50_ms", (double)glet_histogram_percentile_us(stats.total_us, 50) / 1000);
        put_number(text, "p99_ms", (double)glet_histogram_percentile_us(stats.total_us, 99) / 1000);
    }
    glet_text_put(text, "}");
}

/* How the plan went live; without drain_ms while the old one still has requests. */
static void put_change(struct glet_text *text, const struct glet_plan_change *change)
{
    glet_text_format(text, ",\"change\":{\"models_built\":%zu,\"gpus_built\":%zu,\"gpus_kept\":%zu",
                     change->models_built, change->gpus_built, change->gpus_kept);
    put_number(text, "prepare_ms", change->prepare_ms);
    put_number(text, "swap_ms", change->swap_ms);
    if (isfinite(change->drain_ms))
        put_number(text, "drain_ms", change->drain_ms);
    glet_text_put(text, "}");
}

void glet_document_plan(struct glet_call *call)
{
    const struct glet_service *service = call->listener->frontend->service;
    struct glet_text *text = &call->response.json;
    struct glet_plan_info info = {0};
    glet_service_plan_info(service, &info);
    glet_text_put(text, "{\"schema\":\"gpulet-serving/1\",\"plan\":");
    glet_text_json_string(text, info.path);
    glet_text_format(text,
                     ",\"sha256\":\"%s\",\"generation\":%" PRIu64 ",\"loaded_unix_ms\":%" PRIu64,
                     info.sha256, info.generation, info.loaded_unix_ms);
    put_change(text, &info.change);
    glet_text_put(text, ",\"gpus\":[");
    for (size_t i = 0; i < glet_service_gpu_count(service); i++) {
        struct glet_gpu_stats gpu;
        if (!glet_service_gpu_stats(service, i, &gpu))
            break;
        glet_text_put(text, i ? "," : "");
        put_gpu(text, service, i, &gpu);
    }
    glet_text_put(text, "],\"models\":[");
    for (size_t i = 0; i < glet_service_model_count(service); i++) {
        glet_text_put(text, i ? "," : "");
        put_model(call, (int)i);
    }
    glet_text_put(text, "]}");
}
