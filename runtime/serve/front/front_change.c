/* SPDX-License-Identifier: Apache-2.0 */

/*
 * POST /v2/plan. A change takes seconds, so it has a thread of its own while the exchange waits, and
 * the admin listener answers others meanwhile. One at a time: the admin thread alone starts and ends
 * them.
 */

#include "runtime/serve/front/front.h"

static void *thread_main(void *user)
{
    struct glet_front_change *change = user;
    struct glet_call *call = change->call;
    const struct glet_frontend_options *options = &call->listener->frontend->options;
    (void)pthread_setname_np(pthread_self(), "plan");
    change->result =
        options->change_plan(options->user, call->body, call->body_length, &change->err);
    glet_http_resume(call->exchange);
    return NULL;
}

void glet_change_body(struct glet_call *call)
{
    struct glet_frontend *frontend = call->listener->frontend;
    struct glet_front_change *change = &frontend->change;
    if (!frontend->options.change_plan) {
        glet_front_refuse(call, 501, 0, "plan changes are not supported");
        return;
    }
    if (change->call) {
        glet_front_refuse(call, 409, 1, "another plan is being put in service");
        return;
    }
    *change = (struct glet_front_change){.call = call};
    if (pthread_create(&change->thread, NULL, thread_main, change)) {
        change->call = NULL;
        glet_front_refuse(call, 503, 1, "no thread for the change");
    }
}

/* The only files of a change are those that the plan names: one that cannot be read is the plan's. */
static int refused_status(const struct glet_error *err)
{
    return err->code == GLET_ERR_IO ? 400 : glet_error_http_status(err->code);
}

void glet_change_resumed(struct glet_call *call)
{
    struct glet_front_change *change = &call->listener->frontend->change;
    pthread_join(change->thread, NULL); /* it has nothing left to do */
    change->call = NULL;
    if (change->result == 0) {
        glet_document_plan(call);
        glet_front_send(call, 200, NULL);
        return;
    }
    const struct glet_error *err = &change->err;
    char place[48] = "";
    if (err->line)
        snprintf(place, sizeof place, "%d:%d: ", err->line, err->column);
    glet_front_refuse(call, refused_status(err), 0, "%s%s%s%s", place, err->message,
                      err->hint[0] ? "; " : "", err->hint);
}
