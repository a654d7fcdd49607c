/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_FRONT_H
#define GLET_FRONT_H

/*
 * What the endpoints share; private to this folder.
 *
 * A frontend has listeners; each is one server thread with its own calls and buffers, so that
 * nothing below needs a lock. A call is the state of one exchange; it goes through head, body,
 * resumed and finished as http_server.h says.
 */

#include "common/histogram.h"
#include "runtime/serve/front/access_log.h"
#include "runtime/serve/front/bearer.h"
#include "runtime/serve/front/buffer_pool.h"
#include "runtime/serve/front/endpoint.h"
#include "runtime/serve/front/frontend.h"
#include "runtime/serve/http/http_server.h"
#include "runtime/serve/service.h"
#include "runtime/serve/text.h"
#include "runtime/serve/v2/v2_response.h"

#include <pthread.h>

#define GLET_FRONT_MAX_MODELS  1024
#define GLET_FRONT_MAX_THREADS 64
#define GLET_FRONT_STATUSES    20 /* of the table in front_status.c, and "other" */

enum glet_front_role { GLET_ROLE_INFERENCE, GLET_ROLE_METRICS, GLET_ROLE_ADMIN };

/* The answers given for a model: by a GPU, or, in the first of a list, by none. */
struct glet_front_answers {
    const char *gpu; /* as in glet_request */
    _Atomic uint64_t counts[GLET_FRONT_STATUSES];
    _Atomic(struct glet_front_answers *) next;
};

/* A model of the service, described for the codec, with the answers given for it. */
struct glet_front_model {
    int index; /* of the service */
    struct glet_v2_model v2;
    struct glet_front_answers answers;
};

struct glet_region;
struct glet_regions;

struct glet_listener {
    struct glet_frontend *frontend;
    enum glet_front_role role;
    struct glet_http_server *server;
    int port;
    const struct glet_bearer *bearer;
    struct glet_buffer_pool buffers;
    unsigned ticks;
    _Atomic uint64_t tick_us;                       /* when it last came round */
    _Atomic uint64_t cpu_us;                        /* that its thread had used then */
    struct glet_call *idle;                         /* calls */
    struct glet_text line;                          /* of the access log */
    struct glet_histogram *total, *queue, *compute; /* for a scrape; metrics listener only */
};

/* A plan that was posted and is being put in service; the admin thread's, but what is noted. */
struct glet_front_change {
    struct glet_call *call; /* NULL = none */
    pthread_t thread;
    int result; /* the change's thread's until it ends, as err */
    struct glet_error err;
};

struct glet_frontend {
    struct glet_frontend_options options; /* its strings are not used after opening */
    struct glet_service *service;
    struct glet_bearer token, admin_token;
    struct glet_buffer_budget budget;
    struct glet_regions *regions; /* NULL: shared memory is off */
    struct glet_access_log *log;
    atomic_bool draining;
    uint64_t start_unix_ms;
    struct glet_listener listeners[GLET_FRONT_MAX_THREADS + 2];
    size_t listener_count;
    struct glet_front_change change;
    _Atomic uint64_t other_answers[GLET_FRONT_STATUSES]; /* that concern no model */
    pthread_mutex_t models_lock;                         /* of adding one */
    _Atomic(struct glet_front_model *) models[GLET_FRONT_MAX_MODELS];
};

struct glet_call {
    struct glet_call *next; /* idle */
    struct glet_listener *listener;
    struct glet_http_exchange *exchange;
    struct glet_endpoint endpoint;
    struct glet_front_model *model; /* NULL: not about one */
    uint64_t head_us;
    size_t body_length;
    char headers[512]; /* more lines of the answer, terminated */
    size_t headers_length;
    size_t answer_bytes;
    struct iovec parts[2 + GLET_V2_MAX_TENSORS];
    struct glet_v2_response response; /* its json is every answer's text */

    /* inference */
    bool submitted;
    char *body_buffer, *body, *json, *results; /* the body lies in its buffer */
    size_t header_length;                      /* Inference-Header-Content-Length */
    struct glet_v2_request request;
    struct glet_request job;
    void *outputs[GLET_V2_MAX_TENSORS];
    uint64_t shared; /* the inputs that are in shared memory, as in glet_request */
    uint64_t pinned; /* likewise */
    void *places[GLET_V2_MAX_TENSORS]; /* in it, of the outputs asked for, in their order */
    struct glet_region *held[2 * GLET_V2_MAX_TENSORS]; /* whose memory these are */
    size_t held_count;
};

/* The steps of every exchange (front_exchange.c); user is the listener. */
extern const struct glet_http_handler glet_front_handler;

/* --- answers (front_reply.c) --- */

/* Sends call->response.json; content_type NULL = JSON. */
void glet_front_send(struct glet_call *call, int status, const char *content_type);
/* {"error": message}; retry_after_s > 0 adds Retry-After. */
void glet_front_refuse(struct glet_call *call, int status, double retry_after_s, const char *format,
                       ...) GLET_PRINTF(4, 5);
/* Adds a header line to the answer; one that does not fit is left out. */
void glet_front_header(struct glet_call *call, const char *name, struct glet_slice value);
void glet_front_header_number(struct glet_call *call, const char *name, uint64_t value);
/* Counts the answer and writes its line of the access log. */
void glet_front_account(struct glet_call *call);
/* The status of slot i of a glet_front_model's answers; 0 = other. */
int glet_front_status(size_t slot);

/* --- models (front_models.c) --- */

/* The model of that index, described on first use; NULL = none, or one that cannot be served (then
 *why says so). Any thread. */
struct glet_front_model *glet_front_model(struct glet_frontend *frontend, int index,
                                          struct glet_error *why);
/* Where an answer by this GPU (NULL: by none) is counted. Any thread. */
struct glet_front_answers *glet_front_answers(struct glet_frontend *frontend,
                                              struct glet_front_model *model, const char *gpu);
void glet_front_model_free(struct glet_front_model *model); /* NULL is accepted */

/* --- inference (front_infer.c) --- */

void glet_infer_head(struct glet_call *call);
void glet_infer_body(struct glet_call *call);
void glet_infer_resumed(struct glet_call *call);
void glet_infer_finished(struct glet_call *call);

/* --- plan changes (front_change.c) --- */

void glet_change_body(struct glet_call *call);
void glet_change_resumed(struct glet_call *call);

/* --- shared memory (front_regions.c) --- */

void glet_regions_body(struct glet_call *call);
/* Finds the tensors of call->request that are in shared memory. false: it is answered. */
bool glet_regions_find(struct glet_call *call);
/* Copies the results that go there. false: it is answered. */
bool glet_regions_fill(struct glet_call *call);
void glet_regions_let_go(struct glet_call *call);

/* --- documents: each fills call->response.json --- */

void glet_document_server(struct glet_call *call);
void glet_document_model(struct glet_call *call);
void glet_document_config(struct glet_call *call);
void glet_document_models(struct glet_call *call);
void glet_document_index(struct glet_call *call);
void glet_document_stats(struct glet_call *call); /* of call->model; NULL = all */
void glet_document_plan(struct glet_call *call);
void glet_metrics_text(struct glet_call *call);
extern const char glet_dashboard_page[];

#endif
