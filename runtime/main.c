/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gpulet-runtime: serves a plan.
 *
 * Threads, by the name that they show in top -H, and the locks that they take:
 *
 *   gpulet-runtime  signals, plan file, service manager (runtime/daemon.c); none
 *   plan            starting and plan changes, one for those by signal or file and one for those
 *                   that are posted; change, topology, slot, worker
 *   http-0, ...     inference listeners: parse, submit, answer; slot, worker, for microseconds
 *   http-metrics    /metrics and the page; topology
 *   http-admin      GET and POST /v2/plan; topology
 *   http-log        writes the access log; its own
 *   let-G.L         one per gpu-let: batches; worker, and a model's slot to hand its requests on
 *   supervisor      notices hung gpu-lets; topology, slot, worker
 *   repairer        rebuilds lost gpu-lets; as plan
 *
 * The order of the locks is in runtime/serve/core/service_state.h. The CPU device adds helper
 * threads to gpu-lets of several cores.
 */
#include "common/log.h"
#include "common/memory.h"
#include "common/number.h"
#include "common/options.h"
#include "runtime/check_report.h"
#include "runtime/daemon.h"

#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct values {
    bool check, check_build;
    int format;
    struct glet_list devices, gpu_types;
    const char *node, *models, *random_weights;
    int route;
    bool planned_batches_only, allow_temporal, verify_isolation;
    uint64_t hang_us, drain_us, finish_us;
    bool no_watch;
    const char *listen, *metrics_listen, *admin_listen, *token_file, *admin_token_file;
    bool allow_remote, shared_memory;
    int metrics_compat;
    int64_t http_threads, max_connections, max_connections_per_client, max_body_memory_mib;
    int64_t max_pinned_memory_mib;
    const char *access_log;
    int log_level, log_format;
};

static const char *const routes[] = {"plan", "completion", NULL};
static const char *const compats[] = {"none", "triton", NULL};
static const char *const levels[] = {"error", "warning", "info", "debug", NULL};
static const char *const log_formats[] = {"text", "json", NULL};
static const char *const formats[] = {"table", "json", NULL};

#define FIELD(name) offsetof(struct values, name)

static const struct glet_option options[] = {
    {.group = "What to serve",
     .name = "device",
     .kind = GLET_OPTION_LIST,
     .offset = FIELD(devices),
     .value = "[ID=]SPEC",
     .fallback = "auto",
     .help =
         "A device: auto (a GPU where there is one), cpu, cpu:0-3,6, cuda:0, cuda:MIG-UUID; "
         "cuda:0:tf32 or :fp32 instead of fp16; or replay:FOLDER, which computes nothing, but "
         "takes the times that the profile in FOLDER has of its GPU, and answers zeros "
         "(replay:FOLDER:GPU where it has several). One per GPU that the plan has for this node, "
         "in the plan's order, or named by the GPU's id in the plan."},
    {.name = "gpu",
     .kind = GLET_OPTION_LIST,
     .offset = FIELD(gpu_types),
     .value = "NAME",
     .help = "Take the devices here for GPUs of this type, too: what profile-models was given with "
             "--gpu. Without it the plan must name their own types."},
    {.name = "node",
     .kind = GLET_OPTION_TEXT,
     .offset = FIELD(node),
     .value = "NAME",
     .help = "Serve the GPUs that the plan has for this node. Needed when it names several nodes."},
    {.name = "models",
     .kind = GLET_OPTION_TEXT,
     .offset = FIELD(models),
     .value = "DIR",
     .help = "Look for DIR/MODEL.onnx before the file that the plan names."},
    {.name = "random-weights",
     .kind = GLET_OPTION_TEXT,
     .offset = FIELD(random_weights),
     .value = "SEED",
     .help = "Fill weights that a model file does not hold with random numbers."},
    {.name = "route",
     .kind = GLET_OPTION_CHOICE,
     .offset = FIELD(route),
     .choices = routes,
     .fallback = "plan",
     .help = "Spread a model's requests over its gpu-lets by planned rate, or send each to the one "
             "that is expected to complete first."},
    {.name = "planned-batches-only",
     .kind = GLET_OPTION_FLAG,
     .offset = FIELD(planned_batches_only),
     .help = "Do not build executors for batches below the planned one."},
    {.name = "verify-isolation",
     .kind = GLET_OPTION_FLAG,
     .offset = FIELD(verify_isolation),
     .help =
         "Before a plan serves, run blocks in all gpu-lets of a GPU at once and see that no two "
         "gpu-lets meet on an SM; the plan is refused if they do. CUDA only."},
    {.name = "allow-temporal",
     .kind = GLET_OPTION_FLAG,
     .offset = FIELD(allow_temporal),
     .help = "Where a GPU's driver cannot keep gpu-lets apart, let them take turns on all of it "
             "instead of refusing the plan. Their planned latencies then do not hold."},
    {.name = "hang",
     .kind = GLET_OPTION_DURATION,
     .offset = FIELD(hang_us),
     .value = "TIME",
     .fallback = "2s",
     .help = "A batch that runs longer than this, and than 20 times its planned time, hangs: its "
             "gpu-let is rebuilt."},
    {.name = "drain",
     .kind = GLET_OPTION_DURATION,
     .offset = FIELD(drain_us),
     .value = "TIME",
     .fallback = "5s",
     .help =
         "After SIGTERM: not ready, but serving, for this long, so that load balancers notice."},
    {.name = "finish",
     .kind = GLET_OPTION_DURATION,
     .offset = FIELD(finish_us),
     .value = "TIME",
     .fallback = "10s",
     .help = "Then wait at most this long for requests in flight; answers that are being written "
             "have 3 s more."},
    {.name = "no-watch",
     .kind = GLET_OPTION_FLAG,
     .offset = FIELD(no_watch),
     .help = "Do not follow changes of the plan file; SIGHUP and POST /v2/plan still work."},

    {.group = "Listeners",
     .name = "listen",
     .kind = GLET_OPTION_TEXT,
     .offset = FIELD(listen),
     .value = "HOST:PORT",
     .fallback = "127.0.0.1:8000",
     .help = "Inference. Port 0: any."},
    {.name = "metrics",
     .kind = GLET_OPTION_TEXT,
     .offset = FIELD(metrics_listen),
     .value = "HOST:PORT",
     .fallback = "127.0.0.1:8002",
     .help = "/metrics, /plan and a status page; empty: none."},
    {.name = "admin",
     .kind = GLET_OPTION_TEXT,
     .offset = FIELD(admin_listen),
     .value = "HOST:PORT",
     .help = "GET and POST /v2/plan; none unless given."},
    {.name = "allow-remote",
     .kind = GLET_OPTION_FLAG,
     .offset = FIELD(allow_remote),
     .help = "Allow listeners beyond loopback. TLS is the proxy's job."},
    {.name = "token-file",
     .kind = GLET_OPTION_TEXT,
     .offset = FIELD(token_file),
     .value = "FILE",
     .help = "Inference needs this bearer token."},
    {.name = "admin-token-file",
     .kind = GLET_OPTION_TEXT,
     .offset = FIELD(admin_token_file),
     .value = "FILE",
     .help = "The admin listener needs this bearer token."},
    {.name = "http-threads",
     .kind = GLET_OPTION_INT,
     .offset = FIELD(http_threads),
     .value = "N",
     .fallback = "0",
     .low = 0,
     .high = 64,
     .help =
         "Threads of the inference listener. One reads and answers some 5000 requests of 600 KB "
         "per second; 0 is one for every eight cores, at most 8."},
    {.name = "max-connections",
     .kind = GLET_OPTION_INT,
     .offset = FIELD(max_connections),
     .value = "N",
     .fallback = "1024",
     .low = 1,
     .high = 1000000,
     .help = "Per listener thread; fewer where the limit of open files is too low for that."},
    {.name = "max-connections-per-client",
     .kind = GLET_OPTION_INT,
     .offset = FIELD(max_connections_per_client),
     .value = "N",
     .fallback = "512",
     .low = 1,
     .high = 1000000,
     .help = "From one address."},
    {.name = "max-body-memory",
     .kind = GLET_OPTION_INT,
     .offset = FIELD(max_body_memory_mib),
     .value = "MIB",
     .fallback = "1024",
     .low = 1,
     .high = 1048576,
     .help = "For the bodies of all requests in flight."},
    {.name = "max-pinned-memory",
     .kind = GLET_OPTION_INT,
     .offset = FIELD(max_pinned_memory_mib),
     .value = "MIB",
     .fallback = "1024",
     .low = 0,
     .high = 1048576,
     .help =
         "For bodies of 128 KiB and more and shared memory that GPUs read in place, instead of "
         "having each request copied by its gpu-let's thread. What is pinned is lost to the rest "
         "of the machine; what is not is copied. 0: everything is. CPUs need none."},
    {.name = "shared-memory",
     .kind = GLET_OPTION_FLAG,
     .offset = FIELD(shared_memory),
     .help = "Allow clients on this machine to leave inputs and outputs in POSIX shared memory "
             "objects that they register, instead of in bodies, as Triton does. Whoever may infer "
             "may then name any object in /dev/shm that this process may open; with "
             "--allow-remote it needs --token-file."},
    {.name = "metrics-compat",
     .kind = GLET_OPTION_CHOICE,
     .offset = FIELD(metrics_compat),
     .choices = compats,
     .fallback = "none",
     .help = "Also metrics under the names that another server uses."},

    {.group = "Checks",
     .name = "check",
     .kind = GLET_OPTION_FLAG,
     .offset = FIELD(check),
     .help = "Do not serve: say what would be, and all that is wrong with it: the plan, this "
             "node's part of it, devices and what fits on them, model files and their batches, "
             "options. Listens to nothing and builds nothing."},
    {.name = "check-build",
     .kind = GLET_OPTION_FLAG,
     .offset = FIELD(check_build),
     .help = "The same, and then build everything as a start does, and try it, in as much device "
             "memory and time."},
    {.name = "format",
     .kind = GLET_OPTION_CHOICE,
     .offset = FIELD(format),
     .choices = formats,
     .fallback = "table",
     .help = "Of what is checked: for people, or JSON."},

    {.group = "Logs",
     .name = "access-log",
     .kind = GLET_OPTION_TEXT,
     .offset = FIELD(access_log),
     .value = "FILE",
     .help = "One JSON line per request; - is standard output."},
    {.name = "log-level",
     .kind = GLET_OPTION_CHOICE,
     .offset = FIELD(log_level),
     .choices = levels,
     .fallback = "info",
     .help = "The least urgent lines to write."},
    {.name = "log-format",
     .kind = GLET_OPTION_CHOICE,
     .offset = FIELD(log_format),
     .choices = log_formats,
     .fallback = "text",
     .help = "For people, or JSON lines."},
};

static int open_access_log(const char *path, FILE **out, struct glet_error *err)
{
    *out = NULL;
    if (!path)
        return 0;
    *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "ae");
    return *out ? 0 : glet_error_errno(err, errno, "%s", path);
}

/* Lists are split at commas, but a list of cores has commas of its own: "cpu:0-3", "6" were one. */
static int join_cores(const struct glet_list *list, struct glet_list *out, struct glet_error *err)
{
    out->items = glet_alloc(list->count, sizeof *out->items, err);
    out->copies = out->items ? glet_alloc(list->count, sizeof *out->copies, err) : NULL;
    if (!out->copies)
        return -1;
    for (size_t i = 0; i < list->count; i++) {
        bool cores = list->items[i][strspn(list->items[i], "0123456789-")] == '\0';
        if (!cores || out->count == 0) {
            out->copies[out->copy_count] = glet_strdup(list->items[i], err);
        } else {
            char *last = out->copies[--out->copy_count];
            out->copies[out->copy_count] = glet_format(err, "%s,%s", last, list->items[i]);
            free(last);
        }
        if (!out->copies[out->copy_count])
            return -1;
        out->items[out->copy_count] = out->copies[out->copy_count];
        out->count = ++out->copy_count;
    }
    return 0;
}

static void free_list(struct glet_list *list)
{
    for (size_t i = 0; i < list->copy_count; i++)
        free(list->copies[i]);
    free(list->copies);
    free(list->items);
}

static int fill_service(const struct values *values, const struct glet_list *devices,
                        struct glet_service_options *service, struct glet_error *err)
{
    *service = (struct glet_service_options){
        .devices = devices->items,
        .device_count = devices->count,
        .gpu_types = values->gpu_types.items,
        .gpu_type_count = values->gpu_types.count,
        .node = values->node,
        .models_dir = values->models,
        .random_weights = values->random_weights != NULL,
        .route = values->route ? GLET_ROUTE_COMPLETION : GLET_ROUTE_PLAN,
        .planned_batch_only = values->planned_batches_only,
        .allow_temporal = values->allow_temporal,
        .verify_isolation = values->verify_isolation,
        .max_pinned_bytes = (size_t)values->max_pinned_memory_mib << 20,
        .hang_s = (double)values->hang_us * 1e-6,
    };
    int64_t seed = 0;
    if (values->random_weights && (!glet_parse_int(values->random_weights, &seed) || seed < 0))
        return glet_error_set(err, GLET_ERR_USAGE, "--random-weights %s: not a seed",
                              values->random_weights);
    service->seed = (uint64_t)seed;
    return 0;
}

static int check_only(const struct values *values, const struct glet_daemon_options *daemon,
                      struct glet_error *err)
{
    GLET_CLEANUP(glet_plan_cleanup) struct glet_plan *plan = NULL;
    GLET_CLEANUP(glet_check_fini) struct glet_check check = {0};
    struct glet_service *service = NULL;
    if (glet_frontend_check(&daemon->frontend, err) < 0 ||
        glet_plan_load(daemon->plan_path, &plan, err) < 0 ||
        glet_check_plan(&daemon->service, plan, &check, err) < 0)
        return -1;
    int failed = values->format ? glet_check_print_json(&check, plan, stdout, err)
                                : glet_check_print(&check, plan, stdout, stderr, err);
    int status = failed ? -1 : glet_check_exit_status(&check);
    if (status != 0 || !values->check_build)
        return status;
    glet_check_fini(&check); /* one service at a time may have the devices */
    if (glet_service_open(&daemon->service, GLET_STEAL(plan), &service, err) < 0)
        return -1;
    glet_service_close(service);
    return 0;
}

static int http_threads(const struct values *values)
{
    enum { CORES_PER_THREAD = 8, MOST = 8 };
    cpu_set_t cores;
    if (values->http_threads > 0)
        return (int)values->http_threads;
    int count = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
    return count < CORES_PER_THREAD          ? 1
           : count / CORES_PER_THREAD < MOST ? count / CORES_PER_THREAD
                                             : MOST;
}

static int run(const void *filled, const struct glet_list *arguments, struct glet_error *err)
{
    const struct values *values = filled;
    bool checks = values->check || values->check_build;
    enum glet_log_level level = (enum glet_log_level)values->log_level;
    if (checks && level == GLET_LOG_INFO) /* of what serving does */
        level = GLET_LOG_WARNING;
    glet_log_setup(level, (enum glet_log_format)values->log_format);
    struct glet_daemon_options daemon = {
        .plan_path = arguments->items[0],
        .drain_s = (double)values->drain_us * 1e-6,
        .finish_s = (double)values->finish_us * 1e-6,
        .watch = !values->no_watch,
        .frontend = {.listen = values->listen,
                     .metrics_listen = values->metrics_listen,
                     .admin_listen = values->admin_listen,
                     .allow_remote = values->allow_remote,
                     .token_file = values->token_file,
                     .admin_token_file = values->admin_token_file,
                     .http_threads = http_threads(values),
                     .max_connections = (size_t)values->max_connections,
                     .max_connections_per_client = (size_t)values->max_connections_per_client,
                     .max_body_memory_bytes = (size_t)values->max_body_memory_mib << 20,
                     .shared_memory = values->shared_memory,
                     .triton_metrics = values->metrics_compat == 1},
    };
    const char *slash = strrchr(daemon.plan_path, '/');
    GLET_CLEANUP(glet_cleanup_free)
    char *folder =
        slash ? glet_format(err, "%.*s/", (int)(slash - daemon.plan_path), daemon.plan_path)
              : glet_strdup(".", err);
    GLET_CLEANUP(free_list) struct glet_list devices = {0};
    if (!folder || join_cores(&values->devices, &devices, err) < 0 ||
        fill_service(values, &devices, &daemon.service, err) < 0)
        return -1;
    daemon.service.base_dir = folder;
    if (checks)
        return check_only(values, &daemon, err);
    if (open_access_log(values->access_log, &daemon.frontend.access_log, err) < 0)
        return -1;
    int result = glet_daemon_run(&daemon, err);
    if (daemon.frontend.access_log && daemon.frontend.access_log != stdout)
        fclose(daemon.frontend.access_log);
    return result;
}

static const struct glet_example examples[] = {
    {"Serve a plan on this machine's processor", "gpulet-runtime plan.yaml"},
    {"Serve one node's part on two GPUs",
     "gpulet-runtime plan.yaml --node node-a --device cuda:0 --device cuda:1"},
    {"Rehearse a plan for GPUs that are not here, with what profile-models export wrote of them",
     "gpulet-runtime plan.yaml --device replay:profiles/recorded/h100"},
    {"See in advance whether it would be", "gpulet-runtime --check plan.yaml"},
    {"Put a changed plan into service", "kill -HUP $(pidof gpulet-runtime)"},
    {NULL, NULL},
};

static const struct glet_command commands[] = {
    {.summary = "Cuts this node's devices as the plan says and serves its models over HTTP.",
     .arguments = "PLAN.yaml",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = options,
     .option_count = sizeof options / sizeof options[0],
     .description =
         "Speaks the Open Inference Protocol (KServe v2). Listens once everything is built; prints "
         "one line with its ports then.\n\n"
         "SIGHUP, or another plan file in place of the old, changes the plan without losing a "
         "request; a plan that is wrong changes nothing. SIGTERM drains and ends with 0.",
     .examples = examples,
     .exit_no = "with --check: the plan would not be served here",
     .values_bytes = sizeof(struct values),
     .run = run},
};

/*
 * A plan change builds and frees everything, on threads that come and go. With glibc's defaults
 * each has an arena, and big blocks move into arenas as the threshold for mapping grows: what is
 * freed then stays with the process. Requests of usual sizes stay below the threshold.
 */
static void keep_memory_together(void)
{
    enum { ARENAS = 2, MAP_ABOVE_BYTES = 1 << 20 };
    mallopt(M_ARENA_MAX, ARENAS);
    mallopt(M_MMAP_THRESHOLD, MAP_ABOVE_BYTES);
}

/* Each connection is a descriptor; the soft limit, mostly 1024, is for programs that use select(). */
static void allow_many_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    keep_memory_together();
    allow_many_files();
    static const struct glet_program program = {
        "gpulet-runtime", "serves a plan of models on parts of GPUs", commands, 1};
    return glet_program_main(&program, argc, argv);
}
