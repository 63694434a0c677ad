#include "encode/kernels.h"

const struct wr_kernels *wr_kernels_pick(void)
{
#ifdef WR_KERNELS_HAVE_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2")) {
        return &wr_kernels_avx2;
    }
#endif
    return &wr_kernels_baseline;
}
