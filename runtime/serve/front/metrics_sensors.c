/* SPDX-License-Identifier: Apache-2.0 */

/* What a GPU's own sensors tell; what they do not tell is left out rather than told as zero. */

#include "runtime/serve/front/metrics_scrape.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { MAX_GPUS = 64 };

struct gpu {
    struct glet_gpu_stats stats;
    struct glet_device_sample sample;
};

static void put_gpu(struct glet_scrape *s, const char *name, const struct gpu *gpu, const char *key,
                    const char *kind, double value)
{
    glet_text_put(s->text, name);
    glet_scrape_label(s, "{", "gpu", gpu->stats.id);
    if (key)
        glet_scrape_label(s, ",", key, kind);
    glet_text_put(s->text, "}");
    glet_scrape_number(s, value);
}

static void put_sharing(struct glet_scrape *s, const struct gpu *gpus, size_t count)
{
    glet_scrape_family(s, "gpulet_device_temporal", "gauge",
                       "1: its gpu-lets are not kept apart, they take turns.");
    for (size_t i = 0; i < count; i++)
        put_gpu(s, "gpulet_device_temporal", &gpus[i], NULL, NULL, gpus[i].stats.temporal);
    glet_scrape_family(s, "gpulet_device_replay", "gauge",
                       "1: nothing is computed, a profile is replayed and answers are zeros.");
    for (size_t i = 0; i < count; i++)
        put_gpu(s, "gpulet_device_replay", &gpus[i], NULL, NULL, gpus[i].stats.replay);
}

#define SENSOR(field) offsetof(struct glet_device_sample, field)

static const struct sensor {
    const char *name, *type, *help, *kind;
    size_t offset;
    double factor; /* to the base unit */
} sensors[] = {
    {"gpulet_device_power_watts", "gauge", "Power drawn.", NULL, SENSOR(power_w), 1},
    {"gpulet_device_power_limit_watts", "gauge", "Power that it may draw.", NULL,
     SENSOR(power_limit_w), 1},
    {"gpulet_device_energy_joules_total", "counter", "Energy drawn since the driver was loaded.",
     NULL, SENSOR(energy_j), 1},
    {"gpulet_device_temperature_celsius", "gauge", "Temperature.", NULL, SENSOR(temperature_c), 1},
    {"gpulet_device_memory_occupied_bytes", "gauge", "Memory in use, by all programs.", NULL,
     SENSOR(memory_used_mib), 1 << 20},
    {"gpulet_device_clock_hertz", "gauge", "Clocks.", "sm", SENSOR(sm_clock_mhz), 1e6},
    {"gpulet_device_clock_hertz", NULL, NULL, "memory", SENSOR(memory_clock_mhz), 1e6},
    {"gpulet_device_utilization_ratio", "gauge",
     "Part of the time in which a kernel ran, and in which memory was read or written.", "sm",
     SENSOR(busy_ratio), 1},
    {"gpulet_device_utilization_ratio", NULL, NULL, "memory", SENSOR(memory_busy_ratio), 1},
};

static double reading(const struct gpu *gpu, const struct sensor *sensor)
{
    double value;
    memcpy(&value, (const char *)&gpu->sample + sensor->offset, sizeof value);
    return value * sensor->factor;
}

static void put_sensors(struct glet_scrape *s, const struct gpu *gpus, size_t count)
{
    for (size_t k = 0; k < sizeof sensors / sizeof *sensors; k++)
        for (size_t i = 0, first = 1; i < count; i++) {
            const struct sensor *sensor = &sensors[k];
            double value = reading(&gpus[i], sensor);
            if (!isfinite(value))
                continue;
            if (first && sensor->type)
                glet_scrape_family(s, sensor->name, sensor->type, sensor->help);
            first = 0;
            put_gpu(s, sensor->name, &gpus[i], sensor->kind ? "kind" : NULL, sensor->kind, value);
        }
}

static void put_throttling(struct glet_scrape *s, const struct gpu *gpus, size_t count)
{
    static const struct {
        const char *reason;
        int bit;
    } reasons[] = {{"power", GLET_THROTTLE_POWER},
                   {"heat", GLET_THROTTLE_HEAT},
                   {"hardware", GLET_THROTTLE_HARDWARE},
                   {"setting", GLET_THROTTLE_SETTING}};
    for (size_t i = 0, first = 1; i < count; i++) {
        if (gpus[i].sample.throttle < 0)
            continue;
        if (first)
            glet_scrape_family(s, "gpulet_device_throttled", "gauge",
                               "1: clocks are held down for this reason.");
        first = 0;
        for (size_t k = 0; k < sizeof reasons / sizeof *reasons; k++)
            put_gpu(s, "gpulet_device_throttled", &gpus[i], "reason", reasons[k].reason,
                    (gpus[i].sample.throttle & reasons[k].bit) != 0);
    }
}

void glet_scrape_sensors(struct glet_scrape *s)
{
    struct gpu gpus[MAX_GPUS];
    size_t count = 0;
    while (count < MAX_GPUS && glet_service_gpu_stats(s->service, count, &gpus[count].stats) &&
           glet_service_gpu_sample(s->service, count, &gpus[count].sample))
        count++;
    put_sharing(s, gpus, count);
    put_sensors(s, gpus, count);
    put_throttling(s, gpus, count);
}
