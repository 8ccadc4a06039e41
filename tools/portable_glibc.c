// What the libraries that tools/make-portable bundles take from a newer glibc than its archives ask
// for: libslt-glibc.so. Without versions, so that a glibc that has the functions comes first.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

#define EXPORT __attribute__((visibility("default")))

// ---- GLIBC_2.36, for libarchive and libstdc++ ----

EXPORT void arc4random_buf(void *buffer, size_t size)
{
    for (char *at = buffer; size > 0;) {
        const ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort(); // as glibc's own, which cannot say that it failed either
        at += got;
        size -= (size_t)got;
    }
}

EXPORT uint32_t arc4random(void)
{
    uint32_t bits;
    arc4random_buf(&bits, sizeof bits);
    return bits;
}

// ---- GLIBC_2.35, for libgcc: what unwinds an exception through a frame ----

#if DLFO_STRUCT_HAS_EH_DBASE || DLFO_STRUCT_HAS_EH_COUNT
#error "this machine's unwinder needs more of _dl_find_object"
#endif

struct search {
    uintptr_t address;
    struct dl_find_object *result;
};

// Fills the result and ends the search with 1 if the address lies in this object, and it can be
// unwound.
static int look_in(struct dl_phdr_info *object, size_t size, void *data)
{
    const struct search *search = data;
    uintptr_t low = UINTPTR_MAX, high = 0, frames = 0;
    int inside = 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        const uintptr_t start = object->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_GNU_EH_FRAME)
            frames = start;
        if (segment->p_type != PT_LOAD)
            continue;
        low = start < low ? start : low;
        high = start + segment->p_memsz > high ? start + segment->p_memsz : high;
        inside |= search->address - start < segment->p_memsz;
    }
    if (!inside || frames == 0)
        return 0;
    *search->result = (struct dl_find_object){.dlfo_map_start = (void *)low,
                                              .dlfo_map_end = (void *)high,
                                              .dlfo_eh_frame = (void *)frames};
    return 1;
}

// 0 and the object that an address is in, -1 if there is none. Unlike glibc's own it takes the
// loader's lock, so it must not be called in handlers of signals.
EXPORT int _dl_find_object(void *address, struct dl_find_object *result)
{
    struct search search = {(uintptr_t)address, result};
    Dl_info info;
    void *map = NULL;
    if (dl_iterate_phdr(look_in, &search) != 1)
        return -1;
    if (dladdr1(address, &info, &map, RTLD_DL_LINKMAP) != 0)
        result->dlfo_link_map = map;
    return 0;
}
