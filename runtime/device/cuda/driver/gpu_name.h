/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GLET_CUDA_GPU_NAME_H
#define GLET_CUDA_GPU_NAME_H

/*
 * A GPU's type as profiles and plans call it, from the name that the driver gives it.
 *
 * In lower case, words joined by '-', without the words that say whose product it is (NVIDIA,
 * Tesla, GeForce, Quadro) and without those that say what memory it has (80GB, HBM3): "NVIDIA H100
 * 80GB HBM3" is "h100", "NVIDIA H100 PCIe" is "h100-pcie", "NVIDIA A100-SXM4-40GB" is
 * "a100-sxm4-40gb", and its instance "NVIDIA A100-SXM4-40GB MIG 3g.20gb" is
 * "a100-sxm4-40gb-mig-3g.20gb". Pure.
 */

#include <stdbool.h>
#include <stddef.h>

void glet_cuda_type_name(const char *name, char *type_out, size_t size);

bool glet_cuda_name_is_mig(const char *name); /* an instance of a GPU that is cut by MIG */

/* "GPU-" or "MIG-" and the 16 bytes in their usual form. */
void glet_cuda_uuid_text(const char *prefix, const unsigned char bytes[16], char text[48]);

#endif
