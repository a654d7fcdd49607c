/* SPDX-License-Identifier: Apache-2.0 */

/* The plan, the program and its process. */

#include "common/clock.h"
#include "runtime/serve/front/metrics_scrape.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static void put_change(struct glet_scrape *s, const struct glet_plan_change *change)
{
    const struct {
        const char *phase;
        double ms;
    } phases[] = {
        {"prepare", change->prepare_ms}, {"swap", change->swap_ms}, {"drain", change->drain_ms}};
    glet_scrape_single(s, "gpulet_plan_change_models", "gauge",
                       "Models that were built for the plan being served.",
                       (double)change->models_built);
    glet_scrape_family(s, "gpulet_plan_change_seconds", "gauge",
                       "How the plan went live: until all of it was ready, from then until it had "
                       "every request, from then until the old one was gone.");
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        if (!isfinite(phases[i].ms))
            continue;
        glet_text_put(s->text, "gpulet_plan_change_seconds");
        glet_scrape_label(s, "{", "phase", phases[i].phase);
        glet_text_put(s->text, "}");
        glet_scrape_number(s, phases[i].ms / 1000);
    }
}

static void put_plan(struct glet_scrape *s)
{
    struct glet_plan_info info = {0};
    struct glet_service_events events = {0};
    glet_service_plan_info(s->service, &info);
    glet_service_events(s->service, &events);
    glet_scrape_family(s, "gpulet_plan_info", "gauge", "The plan being served.");
    glet_text_put(s->text, "gpulet_plan_info");
    glet_scrape_label(s, "{", "plan", info.path);
    glet_scrape_label(s, ",", "schema", "gpulet-plan/1");
    glet_scrape_label(s, ",", "sha256", info.sha256);
    glet_text_put(s->text, "} 1\n");
    glet_scrape_single(s, "gpulet_plan_generation", "gauge",
                       "1 for the first plan, one more per change.", (double)info.generation);
    glet_scrape_single(s, "gpulet_plan_loaded_timestamp_seconds", "gauge",
                       "When the plan went live, since 1970.", (double)info.loaded_unix_ms / 1000);
    glet_scrape_family(s, "gpulet_plan_changes_total", "counter",
                       "Other plans that went live, or were turned down.");
    glet_text_format(s->text,
                     "gpulet_plan_changes_total{result=\"applied\"} %" PRIu64
                     "\ngpulet_plan_changes_total{result=\"refused\"} %" PRIu64 "\n",
                     events.plan_changes, events.plan_rejects);
    put_change(s, &info.change);
    glet_scrape_single(s, "gpulet_rebuilds_total", "counter", "GPUs rebuilt after a fault.",
                       (double)events.rebuilds);
}

/* Pages of /proc/self/statm: all, and those that are resident. */
static void read_memory(double *virtual_bytes, double *resident_bytes)
{
    unsigned long long total = 0, resident = 0;
    FILE *in = fopen("/proc/self/statm", "re");
    if (in) {
        if (fscanf(in, "%llu %llu", &total, &resident) != 2)
            total = resident = 0;
        fclose(in);
    }
    double page_bytes = (double)sysconf(_SC_PAGESIZE);
    *virtual_bytes = (double)total * page_bytes;
    *resident_bytes = (double)resident * page_bytes;
}

/* Entries of a folder of /proc/self. */
static size_t count_entries(const char *path)
{
    size_t count = 0;
    DIR *folder = opendir(path);
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count > 2 ? count - 2 : 0;
}

static void put_process(struct glet_scrape *s)
{
    double virtual_bytes, resident_bytes;
    struct rlimit files = {0};
    read_memory(&virtual_bytes, &resident_bytes);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    glet_scrape_single(s, "process_cpu_seconds_total", "counter", "Processor time used.",
                       (double)glet_clock_process_cpu_us() / 1e6);
    glet_scrape_single(s, "process_resident_memory_bytes", "gauge", "Resident memory.",
                       resident_bytes);
    glet_scrape_single(s, "process_virtual_memory_bytes", "gauge", "Virtual memory.",
                       virtual_bytes);
    glet_scrape_single(s, "process_open_fds", "gauge", "Open descriptors.",
                       (double)count_entries("/proc/self/fd"));
    glet_scrape_single(s, "process_max_fds", "gauge", "Descriptors that it may open.",
                       (double)files.rlim_cur);
    glet_scrape_single(s, "process_threads", "gauge", "Threads.",
                       (double)count_entries("/proc/self/task"));
    glet_scrape_single(s, "process_start_time_seconds", "gauge", "Start of the process since 1970.",
                       (double)s->frontend->start_unix_ms / 1000);
}

/* One of a thread whose core is full answers late what the service had in time. */
static void put_http_threads(struct glet_scrape *s)
{
    glet_scrape_family(s, "gpulet_http_thread_cpu_seconds_total", "counter",
                       "Processor time used by a listener's thread: what it does for one request, "
                       "others wait for.");
    for (int i = 0; i < s->frontend->options.http_threads; i++) {
        const struct glet_listener *listener = &s->frontend->listeners[i];
        glet_text_format(s->text, "gpulet_http_thread_cpu_seconds_total{thread=\"http-%d\"}", i);
        glet_scrape_number(
            s, (double)atomic_load_explicit(&listener->cpu_us, memory_order_relaxed) / 1e6);
    }
}

void glet_scrape_process(struct glet_scrape *s)
{
    put_plan(s);
    glet_scrape_family(s, "gpulet_build_info", "gauge", "The program.");
    glet_text_put(s->text, "gpulet_build_info{version=\"" GLET_VERSION "\"} 1\n");
    glet_scrape_single(s, "gpulet_request_memory_bytes", "gauge",
                       "Memory of requests in flight: bodies and results.",
                       (double)atomic_load(&s->frontend->budget.used_bytes));
    glet_scrape_single(s, "gpulet_pinned_memory_bytes", "gauge",
                       "Request buffers and shared memory that GPUs read in place.",
                       (double)glet_service_pinned_bytes(s->service));
    if (s->frontend->log)
        glet_scrape_single(s, "gpulet_access_log_dropped_total", "counter",
                           "Lines of the access log that a slow, full or failing disk has cost.",
                           (double)glet_access_log_dropped(s->frontend->log));
    put_http_threads(s);
    put_process(s);
}
