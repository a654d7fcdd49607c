/* SPDX-License-Identifier: Apache-2.0 */
#include "profiles/machine.h"

#include "common/clock.h"
#include "common/sha256.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/times.h>
#include <unistd.h>

/* A kernel is updated all the time, and GPUs of a type differ by what other facts say. */
static bool counts(const char *key)
{
    return strcmp(key, "kernel") != 0 && strcmp(key, "gpu_uuid") != 0;
}

static void add(struct glet_sha256 *sha, const char *key, const char *value)
{
    glet_sha256_update(sha, key, strlen(key) + 1);
    glet_sha256_update(sha, value, strlen(value) + 1);
}

void glet_machine_digest(const struct glet_device *device, bool cold_l2, char digest[17])
{
    size_t count;
    const struct glet_device_fact *facts = glet_device_facts(device, &count);
    struct glet_sha256 sha;
    char hex[65];
    glet_sha256_init(&sha);
    for (size_t i = 0; i < count; i++)
        if (counts(facts[i].key))
            add(&sha, facts[i].key, facts[i].value);
    if (cold_l2)
        add(&sha, "l2", "cold");
    glet_sha256_finish(&sha, hex);
    snprintf(digest, 17, "%.16s", hex);
}

static const char *value_then(const struct glet_profile *profile, int of, const char *key)
{
    for (size_t i = 0; i < profile->meta_count; i++)
        if ((int)profile->meta[i].device == of && strcmp(profile->meta[i].key, key) == 0)
            return profile->meta[i].value;
    return NULL;
}

static void add_change(char *text, size_t size, const char *key, const char *then, const char *now)
{
    size_t used = strlen(text);
    if (strcmp(then, now) != 0)
        snprintf(text + used, size - used, "%s%s %s, now %s", used ? "; " : "", key, then, now);
}

void glet_machine_changes(const struct glet_device *device, bool cold_l2,
                          const struct glet_profile *profile, int of, char *text, size_t size)
{
    size_t count;
    const struct glet_device_fact *facts = glet_device_facts(device, &count);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const char *then = value_then(profile, of, facts[i].key);
        if (then && counts(facts[i].key))
            add_change(text, size, facts[i].key, then, facts[i].value);
    }
    const char *then = value_then(profile, of, "l2");
    add_change(text, size, "l2", then ? then : "warm", cold_l2 ? "cold" : "warm");
}

void glet_machine_load(struct glet_machine_load *load_out)
{
    *load_out = (struct glet_machine_load){.time_us = glet_clock_us()};
    struct tms used;
    if (times(&used) != (clock_t)-1)
        load_out->own_ticks = (uint64_t)(used.tms_utime + used.tms_stime);
    FILE *in = fopen("/proc/stat", "re");
    if (!in)
        return;
    /* user nice system idle iowait irq softirq steal; guest time is within user time */
    unsigned long long t[8] = {0};
    if (fscanf(in, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3], &t[4],
               &t[5], &t[6], &t[7]) == 8)
        load_out->busy_ticks = t[0] + t[1] + t[2] + t[5] + t[6] + t[7];
    fclose(in);
    load_out->cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
}

double glet_machine_foreign_ratio(const struct glet_machine_load *before,
                                  const struct glet_machine_load *after)
{
    double ticks = (double)(after->time_us - before->time_us) / 1e6 * (double)sysconf(_SC_CLK_TCK) *
                   after->cores;
    if (!(ticks >= 20) || after->busy_ticks == 0)
        return NAN;
    double foreign = (double)(after->busy_ticks - before->busy_ticks) -
                     (double)(after->own_ticks - before->own_ticks);
    return fmin(1, fmax(0, foreign / ticks));
}
