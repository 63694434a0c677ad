/* rand.h: xoshiro256** (Blackman and Vigna, 2018): the one generator; seeded, so that runs replay. */
#ifndef WR_BASE_RAND_H
#define WR_BASE_RAND_H

#include <stdint.h>

struct wr_rand {
    uint64_t s[4];
};

void wr_rand_seed(struct wr_rand *rand, uint64_t seed); /* splitmix64 spreads the seed */

static inline uint64_t wr_rand_next(struct wr_rand *r)
{
    const uint64_t x = r->s[1] * 5;
    const uint64_t result = ((x << 7) | (x >> 57)) * 9;
    const uint64_t t = r->s[1] << 17;
    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = (r->s[3] << 45) | (r->s[3] >> 19);
    return result;
}

/* Uniform in [0, bound) by multiplication (bias below 2^-32 for bounds under 2^32). */
static inline uint64_t wr_rand_below(struct wr_rand *r, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)wr_rand_next(r) * bound) >> 64);
}

/* Uniform in [0, 1). */
static inline double wr_rand_unit(struct wr_rand *r)
{
    return (double)(wr_rand_next(r) >> 11) * 0x1.0p-53;
}

/* Unpredictable seed from the kernel, for ids and jitter (not for data). */
uint64_t wr_rand_entropy(void);

#endif
