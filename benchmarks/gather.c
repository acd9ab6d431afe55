/* What one lookup costs at least: an array, and three levels of pages, as a guest has them. */
#include <stddef.h>
#include <stdint.h>

void flat(const uint64_t *map, const int64_t *pfns, uint64_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = map[pfns[i]];
}

void walk(const uint64_t *const *const *top, const int64_t *pfns, uint64_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t pfn = (uint64_t)pfns[i];
        out[i] = top[pfn >> 18][pfn >> 9 & 511][pfn & 511];
    }
}
