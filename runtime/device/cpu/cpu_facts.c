/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/device/cpu/cpu_facts.h"

#include "common/memory.h"

#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { MAX_FACTS = 8 };

/* The first line of a small file, without its newline; false when there is none. */
static bool read_line(const char *path, char *line, int size)
{
    FILE *in = fopen(path, "re");
    if (!in)
        return false;
    bool read = fgets(line, size, in) != NULL;
    fclose(in);
    if (read)
        line[strcspn(line, "\n")] = '\0';
    return read;
}

static void read_processor(char text[256])
{
    char line[256];
    FILE *in = fopen("/proc/cpuinfo", "re");
    strcpy(text, "unknown");
    while (in && fgets(line, sizeof line, in)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        line[strcspn(line, "\n")] = '\0';
        strcpy(text, colon + 1 + strspn(colon + 1, " "));
        break;
    }
    if (in)
        fclose(in);
}

/* 2 where the first core has a sibling. */
static int threads_per_core(const cpu_set_t *cores)
{
    char path[128], line[64];
    size_t cpu = 0;
    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, cores))
        cpu++;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%zu/topology/thread_siblings_list",
             cpu);
    if (!read_line(path, line, sizeof line))
        return 1;
    int count = 1;
    for (const char *c = line; *c; c++)
        count += *c == ',' || *c == '-';
    return count;
}

static int add(struct glet_device_fact *facts, size_t *count, const char *key, const char *value,
               struct glet_error *err)
{
    char *copy = glet_strdup(value, err);
    if (!copy)
        return -1;
    facts[(*count)++] = (struct glet_device_fact){key, copy};
    return 0;
}

int glet_cpu_facts_read(const cpu_set_t *cores, struct glet_device_fact **facts_out,
                        size_t *count_out, struct glet_error *err)
{
    struct glet_device_fact *facts = glet_alloc(MAX_FACTS, sizeof *facts, err);
    if (!facts)
        return -1;
    char processor[256], core_count[16], threads[16], governor[64], kernel[160], library[64];
    read_processor(processor);
    snprintf(core_count, sizeof core_count, "%d", CPU_COUNT(cores));
    snprintf(threads, sizeof threads, "%d", threads_per_core(cores));
    if (!read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor,
                   sizeof governor))
        strcpy(governor, "unknown");
    struct utsname name;
    snprintf(kernel, sizeof kernel, "%s", uname(&name) == 0 ? name.release : "unknown");
    const dnnl_version_t *version = dnnl_version();
    snprintf(library, sizeof library, "%d.%d.%d", version->major, version->minor, version->patch);
    size_t count = 0;
    int rc = 0;
    if (add(facts, &count, "processor", processor, err) < 0 ||
        add(facts, &count, "cores", core_count, err) < 0 ||
        add(facts, &count, "threads_per_core", threads, err) < 0 ||
        add(facts, &count, "frequency_governor", governor, err) < 0 ||
        add(facts, &count, "kernel", kernel, err) < 0 ||
        add(facts, &count, "onednn", library, err) < 0)
        rc = -1;
    if (rc < 0) {
        glet_cpu_facts_free(facts, count);
        return -1;
    }
    *facts_out = facts;
    *count_out = count;
    return 0;
}

void glet_cpu_facts_free(struct glet_device_fact *facts, size_t count)
{
    if (!facts)
        return;
    for (size_t i = 0; i < count; i++)
        free((char *)(uintptr_t)facts[i].value);
    free(facts);
}

double glet_cpu_memory_mib(void)
{
    double mib = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
    char line[64];
    if (read_line("/sys/fs/cgroup/memory.max", line, sizeof line) && line[0] != 'm') {
        double limit = strtod(line, NULL) / (1 << 20);
        if (limit > 0 && limit < mib)
            mib = limit;
    }
    return mib;
}
