/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_ENGINE_FOLD_SCALAR_H
#define GLET_ENGINE_FOLD_SCALAR_H

/* What elementwise operators compute, for one element. Pure. */

#include "runtime/engine/graph.h"

bool glet_scalar_unary_known(enum glet_activation_kind kind, bool floating);
double glet_scalar_unary(const struct glet_activation *activation, double x);
int64_t glet_scalar_unary_int(enum glet_activation_kind kind, int64_t x);

double glet_scalar_binary(enum glet_binary binary, double x, double y);
/* False = division by zero. Wraps on overflow. */
bool glet_scalar_binary_int(enum glet_binary binary, int64_t x, int64_t y, int64_t *out);

#endif
