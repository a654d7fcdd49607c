/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Shared memory: Triton's endpoints for it, with its statuses, and the tensors of an inference that
 * are in it. CUDA's kind is not there, which its endpoints say; but that none is registered is true,
 * and clients ask for it to be so before they use the other kind.
 */

#include "runtime/serve/front/front.h"
#include "runtime/serve/front/regions.h"
#include "runtime/serve/shared_copy.h"

#define OFF "shared memory is not supported here: the server was started without --shared-memory"

/* --- endpoints --- */

struct registration {
    char key[256];
    int64_t offset, bytes;
};

static bool read_registration(struct glet_json_reader *r, struct registration *out)
{
    struct glet_json_scope scope;
    struct glet_json_string name, key = {0};
    out->offset = 0;
    out->bytes = -1;
    if (!glet_json_enter(r, '{', &scope))
        return false;
    while (glet_json_next_member(r, &scope, &name)) {
        if (glet_json_is(&name, "key"))
            glet_json_text(r, &key);
        else if (glet_json_is(&name, "offset"))
            glet_json_integer(r, &out->offset);
        else if (glet_json_is(&name, "byte_size"))
            glet_json_integer(r, &out->bytes);
        else
            glet_json_skip(r, NULL);
    }
    if (!glet_json_finish(r))
        return false;
    if (!key.raw.data || !glet_json_decode(&key, out->key, sizeof out->key))
        return glet_json_fail(r, key.raw.data ? "'key' is too long" : "there is no 'key'");
    if (out->bytes < 0)
        return glet_json_fail(r, "there is no 'byte_size', or it is below 0");
    return out->offset >= 0 || glet_json_fail(r, "'offset' is below 0");
}

static void answer_register(struct glet_call *call)
{
    struct glet_json_reader reader;
    struct registration wanted;
    struct glet_error err = {0};
    glet_json_init(&reader, call->body, call->body_length);
    if (!read_registration(&reader, &wanted))
        glet_front_refuse(call, 400, 0, "registration of a shared memory region: %s", reader.error);
    else if (glet_regions_register(call->listener->frontend->regions, call->endpoint.region,
                                   wanted.key, (uint64_t)wanted.offset, (uint64_t)wanted.bytes,
                                   &err) < 0)
        glet_front_refuse(call, glet_error_http_status(err.code), 0, "%s", err.message);
    else
        glet_front_send(call, 200, NULL);
}

static void answer_status(struct glet_call *call, struct glet_regions *regions)
{
    const char *name = call->endpoint.region;
    struct glet_text *text = &call->response.json;
    bool found = regions && glet_regions_list(regions, name[0] ? name : NULL, text);
    if (!found && name[0]) {
        glet_front_refuse(call, 404, 0, "unknown shared memory region '%s'", name);
        return;
    }
    if (!found)
        glet_text_put(text, "[]");
    glet_front_send(call, 200, NULL);
}

void glet_regions_body(struct glet_call *call)
{
    const struct glet_endpoint *endpoint = &call->endpoint;
    struct glet_regions *regions = call->listener->frontend->regions;
    if (endpoint->kind == GLET_EP_REGION_STATUS) {
        answer_status(call, endpoint->cuda ? NULL : regions);
    } else if (endpoint->cuda && endpoint->kind == GLET_EP_REGION_REGISTER) {
        glet_front_refuse(call, 501, 0, "CUDA shared memory is not supported");
    } else if (!regions) {
        glet_front_refuse(call, 501, 0, OFF);
    } else if (endpoint->kind == GLET_EP_REGION_REGISTER) {
        answer_register(call);
    } else {
        if (!endpoint->cuda)
            glet_regions_unregister(regions, endpoint->region[0] ? endpoint->region : NULL);
        glet_front_send(call, 200, NULL);
    }
}

/* --- inference --- */

/* The tensor's memory, whose region the call then holds; NULL: it is answered. */
static void *find(struct glet_call *call, const struct glet_v2_place *place, const char *kind,
                  const char *tensor, bool writes)
{
    struct glet_regions *regions = call->listener->frontend->regions;
    int shown = place->region.raw.length < 64 ? (int)place->region.raw.length : 64;
    const char *name = place->region.raw.data;
    if (!regions) {
        glet_front_refuse(call, 400, 0, OFF);
        return NULL;
    }
    struct glet_region *region = glet_regions_hold(regions, &place->region);
    if (!region) {
        glet_front_refuse(call, 404, 0, "%s '%s': unknown shared memory region '%.*s'", kind,
                          tensor, shown, name);
        return NULL;
    }
    call->held[call->held_count++] = region;
    void *memory = glet_region_at(region, place->offset, place->bytes);
    if (!memory) {
        glet_front_refuse(call, 400, 0,
                          "%s '%s': %llu bytes from %llu on are not in shared memory region '%.*s'",
                          kind, tensor, (unsigned long long)place->bytes,
                          (unsigned long long)place->offset, shown, name);
    } else if (writes && !glet_region_writable(region)) {
        memory = NULL;
        glet_front_refuse(call, 400, 0, "%s '%s': shared memory region '%.*s' may not be written",
                          kind, tensor, shown, name);
    }
    return memory;
}

bool glet_regions_find(struct glet_call *call)
{
    const struct glet_v2_model *model = &call->model->v2;
    struct glet_v2_request *request = &call->request;
    for (size_t i = 0; i < model->input_count; i++) {
        const struct glet_v2_place *place = &request->places[i];
        if (!place->region.raw.data)
            continue;
        request->inputs[i] = find(call, place, "input", model->inputs[i].name, false);
        if (!request->inputs[i])
            return false;
        call->shared |= UINT64_C(1) << i;
        if (glet_region_pinned(call->held[call->held_count - 1]))
            call->pinned |= UINT64_C(1) << i;
    }
    for (size_t i = 0; i < request->output_count; i++) {
        const struct glet_v2_request_output *output = &request->outputs[i];
        if (!output->place.region.raw.data)
            continue;
        call->places[i] =
            find(call, &output->place, "output", model->outputs[output->index].name, true);
        if (!call->places[i])
            return false;
    }
    return true;
}

bool glet_regions_fill(struct glet_call *call)
{
    const struct glet_v2_request *request = &call->request;
    for (size_t i = 0; i < request->output_count; i++) {
        const struct glet_v2_request_output *output = &request->outputs[i];
        if (output->place.region.raw.data &&
            !glet_shared_copy(call->places[i], call->outputs[output->index], output->place.bytes)) {
            glet_front_refuse(call, 400, 0, "output '%s': its shared memory has become shorter",
                              call->model->v2.outputs[output->index].name);
            return false;
        }
    }
    return true;
}

void glet_regions_let_go(struct glet_call *call)
{
    while (call->held_count > 0)
        glet_region_release(call->held[--call->held_count]);
}
