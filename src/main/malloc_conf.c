/* malloc_conf.c: how jemalloc is to behave in this program (it reads this symbol; MALLOC_CONF in the environment wins).
 *
 * Freed pages are kept for a minute before they go back to the kernel: fetch buffers come and go a thousand times a second,
 * and with the default of ten seconds the page faults alone cost a tenth of the job's CPU. */
extern const char *malloc_conf;
const char *malloc_conf = "dirty_decay_ms:60000,muzzy_decay_ms:60000";
