/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_TESTS_CASE_ENGINE_H
#define GLET_TESTS_CASE_ENGINE_H

/* What runs ONNX's operator tests: one implementation per engine. */

#include "runtime/engine/model.h"

extern const int case_engine_least; /* cases that pass */

struct case_engine;
GLET_MUST_CHECK
int case_engine_build(const struct glet_model *model, struct case_engine **out,
                      struct glet_error *err);
GLET_MUST_CHECK
int case_engine_run(struct case_engine *engine, void *const *inputs, void *const *outputs,
                    struct glet_error *err);
void case_engine_free(struct case_engine *engine); /* NULL is accepted */

#endif
