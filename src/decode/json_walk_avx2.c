/* json_walk_avx2.c: the walk of json_walk.h for x86-64 with AVX2 and BMI (compiled with those
 * flags; chosen at run time). */
#include "base/slice.h"

#if defined(__AVX2__)
#include "decode/json_simd_avx2.h"

#include "decode/json_walk.h"

void wr_json_run_avx2(struct wr_json_decoder *d, const struct wr_records *records)
{
    run_records(d, records);
}
#else
#include "decode/json_shape.h"

/* Never chosen here; keeps the program linkable. */
void wr_json_run_avx2(struct wr_json_decoder *d, const struct wr_records *records)
{
    wr_json_run_plain(d, records);
}
#endif
