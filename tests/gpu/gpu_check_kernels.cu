// SPDX-License-Identifier: Apache-2.0
//
// Work that does nothing but compute, for timing: every thread keeps `rounds` x 16 dependent
// multiply-adds in registers. Supported: every architecture.

extern "C" __global__ void glet_check_compute(float *out, int rounds)
{
    float x = threadIdx.x * 1e-3f, y = blockIdx.x * 1e-3f;
    for (int i = 0; i < rounds; i++)
        for (int k = 0; k < 16; k++)
            x = fmaf(x, 0.999f, y);
    if (x == 12345.0f) // never: the result must not be known to be unused
        out[blockIdx.x] = x;
}
