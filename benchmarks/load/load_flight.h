/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_LOAD_FLIGHT_H
#define GLET_LOAD_FLIGHT_H

/*
 * Requests on their way, and app requests made of several of them: a stage begins when the stages
 * it waits for are over, makes its calls at once, and is over when the last of them is answered. An
 * app request ends with its last stage, or with the first call that fails.
 *
 * Calls per stage: the whole part of `calls`, and one more with the probability of the rest, drawn
 * from the app's seed and the number of the request.
 */

#include "benchmarks/load/load_stream.h"

struct glet_flights;

GLET_MUST_CHECK
struct glet_flights *glet_flights_new(struct glet_client *client, uint64_t timeout_us,
                                      struct glet_error *err);

/* No call may be open (glet_client_abort()). NULL is accepted. */
void glet_flights_free(struct glet_flights *flights);

/*
 * Sends the request (or begins the app request) number `index` of a stream, whose time was
 * intended_us; its outcome goes into the stream's counts when `counted`. -1 with GLET_ERR_NOMEM,
 * also when memory ran out for an earlier app request's next stage.
 */
GLET_MUST_CHECK
int glet_flights_send(struct glet_flights *flights, struct glet_stream *stream, size_t index,
                      uint64_t intended_us, bool counted, struct glet_error *err);

#endif
