/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_FAKE_SERVICE_H
#define GLET_FAKE_SERVICE_H

/*
 * runtime/serve/service.h without devices: models whose answers a test can predict. It completes
 * requests inside submit or on a thread of its own.
 *
 *   noop          FP32 [-1,3,112,112] (150 528 bytes) -> FP32 [-1,1,8,112], zeros; as
 *                 benchmarks/runtime/noop.onnx
 *   echo_<TYPE>   [-1,4] of that type -> the same
 *   two           a "left", b "right": INT32 [-1,3] each -> "sum" and "difference"
 *   fixed         FP32 [2,3], no batch dimension -> the same
 *   odd "name"/x  FP32 [-1,2]: a name that needs escapes
 *   sleep         INT32 [-1,1] milliseconds -> the same, that much later
 *   nan, empty    FP32 [-1,1] -> NaN; FP32 [-1,0]
 *   rate, load, drain, late, failed, invalid   the outcome of that name
 *   unready       never ready
 */

#include "runtime/serve/service.h"

struct glet_service *glet_fake_service_new(bool threaded);
void glet_fake_service_free(struct glet_service *service);

#endif
