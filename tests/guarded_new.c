/* C++'s operator new with every block against a page that may not be touched.

   Preloaded into a process of one thread, it turns the first byte read or written outside a block
   into a segmentation fault. Blocks end at the page behind them, or (GUARDED_SIDE=front) begin
   behind the page before them. Blocks of less than 8 bytes and what C allocates are left alone. */

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MOST 65536
#define SMALLEST 8

static struct { char *block, *map; size_t length; } live[MOST];
static int count;

void *_Znwm(size_t size) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const char *side = getenv("GUARDED_SIDE");
    if (size < SMALLEST || count == MOST) return malloc(size);
    size_t inner = (size + page - 1) / page * page;
    char *map = mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + page, inner, PROT_READ | PROT_WRITE)) abort();
    char *block = side && !strcmp(side, "front") ? map + page : map + page + inner - size;
    live[count].block = block;
    live[count].map = map;
    live[count++].length = inner + 2 * page;
    return block;
}

void _ZdlPv(void *block) {
    for (int i = count - 1; i >= 0; i--)
        if (live[i].block == block) {
            munmap(live[i].map, live[i].length);
            live[i] = live[--count];
            return;
        }
    free(block);
}

void _ZdlPvm(void *block, size_t size) {
    (void)size;
    _ZdlPv(block);
}
