// Little-endian integers at any address, on any machine; compilers make single loads and stores of
// them.
#ifndef SLT_CORE_BYTES_H
#define SLT_CORE_BYTES_H

#include <stdint.h>

static inline uint32_t slt_load_u16(const void *from)
{
    const unsigned char *p = from;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static inline uint32_t slt_load_u32(const void *from)
{
    const unsigned char *p = from;
    return slt_load_u16(p) | slt_load_u16(p + 2) << 16;
}

static inline uint64_t slt_load_u64(const void *from)
{
    const unsigned char *p = from;
    return (uint64_t)slt_load_u32(p) | (uint64_t)slt_load_u32(p + 4) << 32;
}

static inline void slt_store_u16(void *to, uint32_t value)
{
    unsigned char *p = to;
    p[0] = (unsigned char)value;
    p[1] = (unsigned char)(value >> 8);
}

static inline void slt_store_u32(void *to, uint32_t value)
{
    unsigned char *p = to;
    slt_store_u16(p, value);
    slt_store_u16(p + 2, value >> 16);
}

static inline void slt_store_u64(void *to, uint64_t value)
{
    unsigned char *p = to;
    slt_store_u32(p, (uint32_t)value);
    slt_store_u32(p + 4, (uint32_t)(value >> 32));
}

#endif
