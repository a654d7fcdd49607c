/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_FAKE_CUDA_STATE_H
#define GLET_FAKE_CUDA_STATE_H

/* Insides of the fake driver: shared by the files of this folder only. One lock for everything. */

#include "tests/doubles/cuda/fake_cuda.h"

enum fake_kind {
    FAKE_PRIMARY,
    FAKE_GREEN,
    FAKE_STREAM,
    FAKE_EVENT,
    FAKE_GRAPH,
    FAKE_EXEC,
    FAKE_MODULE,
    FAKE_DEVICE_MEMORY,
    FAKE_HOST_MEMORY,
    FAKE_PINNED_MEMORY, /* of the process, registered */
    FAKE_DESCRIPTOR,
    FAKE_KIND_COUNT
};

enum { FAKE_MAX_SMS = 256, FAKE_MAX_DEVICES = 8, FAKE_MAX_PARAMETERS = 32 };

struct fake_object { /* stays in the list, dead, after it was destroyed */
    enum fake_kind kind;
    bool dead;
    struct fake_object *next;
};

/* A primary or a green context; its CUcontext is &context->as_context, its CUgreenCtx the object.
 */
struct fake_context {
    struct fake_object object;
    int as_context;
    int device;
    int retained; /* primary */
    int holder;   /* green: the thread that it is current to */
    int streams;  /* that are alive */
    int sms[FAKE_MAX_SMS], sm_count;
};

struct fake_descriptor {
    struct fake_object object;
    int device;
    int sms[FAKE_MAX_SMS], sm_count;
};

struct fake_memory {
    struct fake_object object;
    char *bytes;
    size_t size;
};

enum fake_op_kind {
    FAKE_OP_COPY,
    FAKE_OP_SET,
    FAKE_OP_KERNEL,
    FAKE_OP_EVENT,
    FAKE_OP_WAIT,
    FAKE_OP_GRAPH
};

struct fake_op {
    enum fake_op_kind kind;
    struct fake_op *next;
    double not_before_ms; /* it was enqueued */
    double takes_ms;      /* FAKE_OP_COPY */
    void *to;
    const void *from;
    size_t bytes;
    unsigned char value;
    fake_cuda_kernel kernel;
    struct fake_cuda_launch launch; /* parameters point into `values` */
    void *parameters[FAKE_MAX_PARAMETERS];
    _Alignas(16) unsigned char values[4096]; /* what a launch can take */
    struct fake_event *event;
    uint64_t token; /* of the event's record */
    struct fake_exec *exec;
};

struct fake_ops {
    struct fake_op *first, *last;
};

struct fake_stream {
    struct fake_object object;
    struct fake_context *context;
    struct fake_ops queue;
    double now_ms;
    bool running;         /* its work, by the thread that waits */
    int capturing_thread; /* 0 = none */
    bool capture_broken;
    struct fake_graph *capture;
};

struct fake_event {
    struct fake_object object;
    unsigned flags;
    struct fake_stream *stream; /* of its last record */
    uint64_t token, done_token; /* of its last record; of the last one that was reached */
    double at_ms;
};

struct fake_graph {
    struct fake_object object;
    struct fake_context *context;
    struct fake_ops nodes;
};

struct fake_exec {
    struct fake_object object;
    struct fake_context *context;
    struct fake_ops nodes;
};

struct fake_module {
    struct fake_object object;
};

struct fake_kernel_entry {
    char name[64];
    fake_cuda_kernel kernel;
    size_t sizes[FAKE_MAX_PARAMETERS], count;
};

extern struct fake_cuda_config fake_config;
extern struct fake_context *fake_primaries[FAKE_MAX_DEVICES];
extern bool fake_is_serving;
extern long fake_copies_in_place; /* from registered memory */
extern _Thread_local CUcontext fake_current;

/*
 * Every function of the driver begins with FAKE_BEGIN() and ends with `return fake_end(code)`.
 * Those that destroy begin with FAKE_BEGIN_ANYWAY(), and end with fake_end(FAKE_INJECTED).
 */
CUresult fake_begin(const char *function);
CUresult fake_end(CUresult code);
#define FAKE_BEGIN(f)                                                                              \
    do {                                                                                           \
        CUresult injected_ = fake_begin(#f);                                                       \
        if (injected_ != CUDA_SUCCESS)                                                             \
            return fake_end(injected_);                                                            \
    } while (0)
#define FAKE_BEGIN_ANYWAY(f) CUresult FAKE_INJECTED = fake_begin(#f)

/* The lock alone, for what takes long. */
void fake_lock(void);
void fake_unlock(void);

/* Records that a rule was broken; returns code. */
CUresult fake_breach(CUresult code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a call that needs a context which is not current. After an injected fault it may be
   just that. */
CUresult fake_no_context(const char *function);

void *fake_new(enum fake_kind kind, size_t size); /* object first */
/* The object, when it is alive and of this kind; else NULL, and a breach where it is dead. */
void *fake_find(const void *handle, enum fake_kind kind);
struct fake_object *fake_objects(void); /* the list */

struct fake_context *fake_context_of(CUcontext context); /* alive, or NULL */
struct fake_context *fake_here(void);                    /* the current one, or NULL */
bool fake_has_green(void);                               /* some green context is alive */

/* An operation that neither a capturing thread nor a serving process may do: CUDA_SUCCESS, or the
   error to return. */
CUresult fake_check_quiet(const char *function, bool makes_something);

size_t fake_memory_used(void);
void fake_memory_free(struct fake_memory *memory);
/* The live allocation that holds bytes at address, of the kind. */
struct fake_memory *fake_memory_at(const void *address, size_t bytes, enum fake_kind kind);

void fake_trace(const char *function, CUstream stream, CUevent event);

CUresult fake_emit(CUstream stream, const struct fake_op *op, bool computes);
/* Some copy that is queued reads there. */
bool fake_is_being_read(const char *memory, size_t bytes);
/* Runs what is queued, up to the event's record where one is given. Lets the lock go meanwhile. */
void fake_run(struct fake_stream *stream, const struct fake_event *until, uint64_t token);
void fake_append(struct fake_ops *ops, const struct fake_op *op);
void fake_free_ops(struct fake_ops *ops);
const struct fake_kernel_entry *fake_kernel_named(const char *name);

#endif
