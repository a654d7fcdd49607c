/* SPDX-License-Identifier: Apache-2.0 */

/* What the plan promised of GPUs and gpu-lets, beside what they gave. */

#include "runtime/serve/front/metrics_scrape.h"

#include <inttypes.h>

static bool gpu_of(const struct glet_scrape *s, size_t gpu, struct glet_gpu_stats *out)
{
    return glet_service_gpu_stats(s->service, gpu, out);
}

static double share_value(const struct glet_share_stats *share, size_t family)
{
    return family == 0   ? share->planned_rps
           : family == 1 ? (double)share->executions
                         : (double)share->rows;
}

static void put_shares(struct glet_scrape *s)
{
    static const struct {
        const char *name, *type, *help;
    } families[] = {
        {"gpulet_planned_rate", "gauge", "Requests per second that the plan has for this share."},
        {"gpulet_executions_total", "counter", "Batches run."},
        {"gpulet_rows_total", "counter", "Requests in those batches."},
    };
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        glet_scrape_family(s, families[f].name, families[f].type, families[f].help);
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
                glet_scrape_label(s, "{", "model", glet_scrape_model(s, (size_t)share.model));
                glet_scrape_label(s, ",", "gpu", gpu.id);
                glet_text_format(s->text, ",gpulet=\"%zu\"}", let);
                glet_scrape_number(s, share_value(&share, f));
            }
        }
    }
}

/* A gpu-let's size, planned and achieved, in units or in SMs. */
static void put_sizes(struct glet_scrape *s, const char *name, const char *help, bool in_sms)
{
    glet_scrape_family(s, name, "gauge", help);
    for (size_t let = 0; let < glet_service_let_count(s->service); let++) {
        struct glet_let_stats stats;
        struct glet_gpu_stats gpu;
        if (!glet_service_let_stats(s->service, let, &stats) || !gpu_of(s, stats.gpu, &gpu))
            continue;
        double scale = in_sms ? gpu.sms / gpu.units : 1;
        for (int achieved = 0; achieved < 2; achieved++) {
            glet_text_put(s->text, name);
            glet_scrape_label(s, "{", "gpu", gpu.id);
            glet_text_format(s->text, ",gpulet=\"%zu\",kind=\"%s\"}", let,
                             achieved ? "achieved" : "planned");
            bool known = in_sms && achieved && stats.sm_count > 0;
            glet_scrape_number(s, known ? stats.sm_count
                                        : scale * (achieved ? stats.achieved_units : stats.units));
        }
    }
}

static void put_busy(struct glet_scrape *s)
{
    glet_scrape_family(s, "gpulet_busy_ratio", "gauge",
                       "Part of its share that a gpu-let has used.");
    for (size_t let = 0; let < glet_service_let_count(s->service); let++) {
        struct glet_let_stats stats;
        struct glet_gpu_stats gpu;
        if (!glet_service_let_stats(s->service, let, &stats) || !gpu_of(s, stats.gpu, &gpu))
            continue;
        glet_text_put(s->text, "gpulet_busy_ratio");
        glet_scrape_label(s, "{", "gpu", gpu.id);
        glet_text_format(s->text, ",gpulet=\"%zu\"}", let);
        glet_scrape_number(s, stats.busy_ratio);
    }
}

static void put_memory(struct glet_scrape *s)
{
    static const char *const kinds[] = {"planned", "used", "total"};
    glet_scrape_family(s, "gpulet_device_memory_bytes", "gauge",
                       "Memory of a device: what the plan needs, what its models use, all of it.");
    for (size_t i = 0; i < glet_service_gpu_count(s->service); i++) {
        struct glet_gpu_stats gpu;
        if (!gpu_of(s, i, &gpu) || gpu.memory_total_bytes == 0)
            continue;
        const uint64_t bytes[] = {gpu.memory_planned_bytes, gpu.memory_used_bytes,
                                  gpu.memory_total_bytes};
        for (size_t k = 0; k < 3; k++) {
            if (bytes[k] == 0)
                continue;
            glet_text_put(s->text, "gpulet_device_memory_bytes");
            glet_scrape_label(s, "{", "gpu", gpu.id);
            glet_text_format(s->text, ",kind=\"%s\"} %" PRIu64 "\n", kinds[k], bytes[k]);
        }
    }
}

void glet_scrape_devices(struct glet_scrape *s)
{
    put_shares(s);
    put_sizes(s, "gpulet_units", "Size of a gpu-let in units of its device.", false);
    put_sizes(s, "gpulet_sms", "Size of a gpu-let in SMs; in cores on a CPU.", true);
    put_busy(s);
    put_memory(s);
}
