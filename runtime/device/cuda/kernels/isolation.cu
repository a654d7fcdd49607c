// SPDX-License-Identifier: Apache-2.0
//
// Where blocks run: each block writes the number of the SM it is on, then stays for some clocks, so
// that blocks spread over every SM they may use instead of queueing up on the first that is free.
//
// One thread per block; out has one word per block. Supported: every architecture.

extern "C" __global__ void glet_record_sm(unsigned *out, unsigned long long stay_clocks)
{
    unsigned sm;
    asm volatile("mov.u32 %0, %%smid;" : "=r"(sm));
    out[blockIdx.x] = sm;
    long long start = clock64();
    while ((unsigned long long)(clock64() - start) < stay_clocks)
        ;
}
