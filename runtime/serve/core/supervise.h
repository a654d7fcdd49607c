/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_SUPERVISE_H
#define GLET_SUPERVISE_H

/* The threads that notice hung gpu-lets and rebuild lost ones. */

#include "runtime/serve/core/service_state.h"

GLET_MUST_CHECK int glet_supervise_start(struct glet_service *service, struct glet_error *err);

/* No rebuild begins after this; hangs are still noticed until glet_supervise_stop(). The first waits
   for a rebuild or a plan change that has begun, the second is then false and does nothing. */
void glet_supervise_stop_repairs(struct glet_service *service);
bool glet_supervise_try_stop_repairs(struct glet_service *service);
void glet_supervise_stop(struct glet_service *service);

#endif
