/* rand.c: see rand.h. */
#include "base/rand.h"

#include "base/clock.h"
#include <sys/random.h>
#include <unistd.h>

void wr_rand_seed(struct wr_rand *rand, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        /* splitmix64 (Steele, Lea, Flood 2014): never gives the all-zero state for any seed. */
        seed += 0x9e3779b97f4a7c15ULL;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        rand->s[i] = z ^ (z >> 31);
    }
}

uint64_t wr_rand_entropy(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed)) {
        return seed;
    }
    /* A kernel without getrandom (a strict sandbox): still different for each process and
     * moment. */
    const struct wr_time now = wr_clock_now();
    struct wr_rand mix;
    wr_rand_seed(&mix, (uint64_t)now.mono_ns ^ (uint64_t)now.wall_us << 20 ^ (uint64_t)getpid());
    return wr_rand_next(&mix);
}
