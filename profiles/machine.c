/* SPDX-License-Identifier: Apache-2.0 */
#include "profiles/machine.h"

#include "common/clock.h"
#include "common/sha256.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/times.h>
#include <unistd.h>

void glet_machine_digest(const struct glet_device *device, char digest[17])
{
    size_t count;
    const struct glet_device_fact *facts = glet_device_facts(device, &count);
    struct glet_sha256 sha;
    char hex[65];
    glet_sha256_init(&sha);
    for (size_t i = 0; i < count; i++) {
        /* A kernel is updated all the time, and GPUs of a type differ by what other facts say. */
        if (strcmp(facts[i].key, "kernel") == 0 || strcmp(facts[i].key, "gpu_uuid") == 0)
            continue;
        glet_sha256_update(&sha, facts[i].key, strlen(facts[i].key) + 1);
        glet_sha256_update(&sha, facts[i].value, strlen(facts[i].value) + 1);
    }
    glet_sha256_finish(&sha, hex);
    snprintf(digest, 17, "%.16s", hex);
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
