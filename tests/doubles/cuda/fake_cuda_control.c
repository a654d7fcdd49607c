/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration, faults, breaches, and the list of everything that exists. */
#include "tests/doubles/cuda/fake_cuda_state.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_COUNTED = 128, MAX_KERNELS = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fake_object *objects;
static struct {
    const char *function;
    long nth;
    CUresult code;
    bool sticky, struck;
} fault;
static struct {
    const char *function;
    long calls;
} counted[MAX_COUNTED];
static long calls;
static struct trace {
    struct fake_cuda_call *calls;
    size_t room, count;
} trace;
static int breaches;
static char first_breach[256];
static bool initialised, configured;
static struct fake_kernel_entry kernels[MAX_KERNELS];
static size_t kernel_count;

struct fake_cuda_config fake_config;
struct fake_context *fake_primaries[FAKE_MAX_DEVICES];
bool fake_is_serving;
long fake_copies_in_place;
_Thread_local CUcontext fake_current;

static void fill_defaults(void)
{
    struct fake_cuda_config *c = &fake_config;
    c->name = c->name ? c->name : "NVIDIA H100 80GB HBM3";
    c->device_count = c->device_count ? c->device_count : 1;
    c->sm_count = c->sm_count ? c->sm_count : 132;
    c->unit_sms = c->unit_sms ? c->unit_sms : 8;
    c->unit_count = c->unit_count ? c->unit_count : c->sm_count / c->unit_sms;
    c->cc_major = c->cc_major ? c->cc_major : 9;
    c->driver_version = c->driver_version ? c->driver_version : 13000;
    c->memory_mib = c->memory_mib ? c->memory_mib : 81920;
    c->context_mib = c->context_mib ? c->context_mib : 24;
}

/* "sms=132,units=15": numbers by name. */
static void read_environment(void)
{
    struct fake_cuda_config *c = &fake_config;
    const char *text = getenv("GPULET_FAKE_CUDA");
    const struct {
        const char *key;
        int *number;
        bool *flag;
    } keys[] = {{"devices", &c->device_count, NULL},
                {"sms", &c->sm_count, NULL},
                {"unit_sms", &c->unit_sms, NULL},
                {"units", &c->unit_count, NULL},
                {"driver", &c->driver_version, NULL},
                {"missing_sms", &c->missing_sms, NULL},
                {"lacks_green", NULL, &c->lacks_green},
                {"no_pinning", NULL, &c->no_pinning},
                {"old", NULL, &c->old},
                {"leaks", NULL, &c->leaks}};
    while (text && *text) {
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
            size_t length = strlen(keys[i].key);
            if (strncmp(text, keys[i].key, length) != 0 || text[length] != '=')
                continue;
            if (keys[i].number)
                *keys[i].number = atoi(text + length + 1);
            else
                *keys[i].flag = atoi(text + length + 1) != 0;
        }
        text += strcspn(text, ",");
        text += *text == ',';
    }
}

static void free_object(struct fake_object *object)
{
    switch (object->kind) {
    case FAKE_STREAM:
        fake_free_ops(&((struct fake_stream *)object)->queue);
        break;
    case FAKE_GRAPH:
        fake_free_ops(&((struct fake_graph *)object)->nodes);
        break;
    case FAKE_EXEC:
        fake_free_ops(&((struct fake_exec *)object)->nodes);
        break;
    case FAKE_DEVICE_MEMORY:
    case FAKE_HOST_MEMORY:
        fake_memory_free((struct fake_memory *)object);
        break;
    default:
        break;
    }
    free(object);
}

static void forget(void)
{
    while (objects) {
        struct fake_object *next = objects->next;
        free_object(objects);
        objects = next;
    }
    memset(fake_primaries, 0, sizeof fake_primaries);
    memset(counted, 0, sizeof counted);
    memset(&fault, 0, sizeof fault);
    calls = 0;
    fake_copies_in_place = 0;
    breaches = 0;
    first_breach[0] = '\0';
    fake_is_serving = false;
    fake_current = NULL;
}

void fake_cuda_configure(const struct fake_cuda_config *config)
{
    pthread_mutex_lock(&lock);
    forget();
    fake_config = config ? *config : (struct fake_cuda_config){0};
    fill_defaults();
    configured = true;
    pthread_mutex_unlock(&lock);
}

void fake_cuda_fail(const char *function, long nth, CUresult code, bool sticky)
{
    pthread_mutex_lock(&lock);
    fault.function = function;
    fault.nth = nth;
    fault.code = code;
    fault.sticky = sticky;
    fault.struck = false;
    pthread_mutex_unlock(&lock);
}

long fake_cuda_calls(void)
{
    return calls;
}

long fake_cuda_calls_of(const char *function)
{
    for (size_t i = 0; i < MAX_COUNTED && counted[i].function; i++)
        if (strcmp(counted[i].function, function) == 0)
            return counted[i].calls;
    return 0;
}

void fake_cuda_serving(bool serving)
{
    pthread_mutex_lock(&lock);
    fake_is_serving = serving;
    pthread_mutex_unlock(&lock);
}

size_t fake_cuda_trace(struct fake_cuda_call *into, size_t room)
{
    pthread_mutex_lock(&lock);
    size_t count = trace.count;
    trace = (struct trace){into, room, 0};
    pthread_mutex_unlock(&lock);
    return count;
}

void fake_trace(const char *function, CUstream stream, CUevent event)
{
    if (trace.calls && trace.count < trace.room)
        trace.calls[trace.count++] = (struct fake_cuda_call){function, stream, event};
}

int fake_cuda_breaches(void)
{
    return breaches;
}

const char *fake_cuda_breach(void)
{
    return first_breach;
}

const char *fake_cuda_live(void)
{
    static const char *const names[FAKE_KIND_COUNT] = {
        "primary contexts", "green contexts", "streams", "events",
        "graphs",           "graph execs",    "modules", "device memory",
        "host memory",      "pinned memory",  NULL};
    static char text[256];
    size_t used = 0;
    int counts[FAKE_KIND_COUNT] = {0};
    pthread_mutex_lock(&lock);
    for (const struct fake_object *o = objects; o; o = o->next)
        counts[o->kind] += !o->dead;
    text[0] = '\0';
    for (int kind = 0; kind < FAKE_KIND_COUNT; kind++)
        if (names[kind] && counts[kind] > 0)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%d %s", used ? ", " : "",
                                     counts[kind], names[kind]);
    pthread_mutex_unlock(&lock);
    return text;
}

static void count_call(const char *function)
{
    size_t i = 0;
    while (i < MAX_COUNTED - 1 && counted[i].function && strcmp(counted[i].function, function) != 0)
        i++;
    counted[i].function = function;
    counted[i].calls++;
    calls++;
}

static CUresult injected(const char *function)
{
    if (fault.struck && fault.sticky)
        return fault.code;
    if (fault.nth == 0 || (fault.function && strcmp(fault.function, function) != 0))
        return CUDA_SUCCESS;
    if (--fault.nth > 0)
        return CUDA_SUCCESS;
    fault.struck = true;
    return fault.code;
}

CUresult fake_begin(const char *function)
{
    pthread_mutex_lock(&lock);
    if (!configured) {
        read_environment();
        fill_defaults();
        configured = true;
    }
    count_call(function);
    if (strcmp(function, "cuInit") == 0)
        initialised = true;
    else if (!initialised && strcmp(function, "cuGetErrorString") != 0)
        return fake_breach(CUDA_ERROR_NOT_INITIALIZED, "%s before cuInit", function);
    return injected(function);
}

void fake_lock(void)
{
    pthread_mutex_lock(&lock);
}

void fake_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

CUresult fake_end(CUresult code)
{
    pthread_mutex_unlock(&lock);
    return code;
}

CUresult fake_breach(CUresult code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (breaches++ == 0)
        vsnprintf(first_breach, sizeof first_breach, format, arguments);
    va_end(arguments);
    return code;
}

CUresult fake_no_context(const char *function)
{
    return fault.struck ? CUDA_ERROR_INVALID_CONTEXT
                        : fake_breach(CUDA_ERROR_INVALID_CONTEXT,
                                      "%s, and its context is not current", function);
}

void *fake_new(enum fake_kind kind, size_t size)
{
    struct fake_object *object = calloc(1, size);
    if (!object)
        abort();
    object->kind = kind;
    object->next = objects;
    objects = object;
    return object;
}

void *fake_find(const void *handle, enum fake_kind kind)
{
    static const char *const names[FAKE_KIND_COUNT] = {
        "primary context", "green context", "stream",    "event",
        "graph",           "graph exec",    "module",    "device",
        "host memory",     "pinned memory", "descriptor"};
    for (struct fake_object *o = objects; o; o = o->next)
        if (o == handle && o->kind == kind && !o->dead)
            return o;
    (void)fake_breach(CUDA_SUCCESS, "a %s that does not exist (any more)", names[kind]);
    return NULL;
}

struct fake_object *fake_objects(void)
{
    return objects;
}

void fake_cuda_add_kernel(const char *name, fake_cuda_kernel kernel, const size_t *sizes,
                          size_t count)
{
    pthread_mutex_lock(&lock);
    struct fake_kernel_entry *entry = NULL;
    for (size_t i = 0; i < kernel_count; i++)
        if (strcmp(kernels[i].name, name) == 0)
            entry = &kernels[i];
    if (!entry && kernel_count < MAX_KERNELS)
        entry = &kernels[kernel_count++];
    if (!entry || count > FAKE_MAX_PARAMETERS)
        abort();
    snprintf(entry->name, sizeof entry->name, "%s", name);
    entry->kernel = kernel;
    entry->count = count;
    memcpy(entry->sizes, sizes, count * sizeof *sizes);
    pthread_mutex_unlock(&lock);
}

const struct fake_kernel_entry *fake_kernel_named(const char *name)
{
    for (size_t i = 0; i < kernel_count; i++)
        if (strcmp(kernels[i].name, name) == 0)
            return &kernels[i];
    return NULL;
}

__attribute__((destructor)) static void report(void)
{
    const char *path = getenv("GPULET_FAKE_CUDA_REPORT");
    FILE *out = path ? fopen(path, "we") : NULL;
    if (out) {
        fprintf(out, "calls %ld\nbreaches %d %s\nlive %s\nmoves on the device %ld\n", calls,
                breaches, first_breach, fake_cuda_live(), fake_cuda_calls_of("cuMemcpyDtoDAsync"));
        fprintf(out, "copies from staging %ld\ncopies in place %ld\nregistered %ld\n",
                fake_cuda_calls_of("cuMemcpyHtoDAsync") - fake_copies_in_place,
                fake_copies_in_place, fake_cuda_calls_of("cuMemHostRegister"));
        fclose(out);
    }
    forget();
}
