// Values in the header of a GGUF file.
#include "convert/gguf.h"

#include <string.h>

#include "core/bytes.h"

void gguf_put(struct gguf *g, const void *data, size_t bytes)
{
    if (g->counting)
        return;
    g->position += bytes;
    if (g->rc == 0 && bytes > 0)
        g->rc = slt_output_write(g->out, data, bytes, g->err);
}

void gguf_put_u32(struct gguf *g, uint32_t value)
{
    unsigned char bytes[4];
    slt_store_u32(bytes, value);
    gguf_put(g, bytes, sizeof bytes);
}

void gguf_put_u64(struct gguf *g, uint64_t value)
{
    unsigned char bytes[8];
    slt_store_u64(bytes, value);
    gguf_put(g, bytes, sizeof bytes);
}

void gguf_put_f32(struct gguf *g, double value)
{
    const float single = (float)value;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    gguf_put_u32(g, bits);
}

void gguf_put_string(struct gguf *g, const char *text)
{
    gguf_put_u64(g, strlen(text));
    gguf_put(g, text, strlen(text));
}

static void key(struct gguf *g, const char *name, uint32_t type)
{
    g->keys += g->counting;
    gguf_put_string(g, name);
    gguf_put_u32(g, type);
}

void gguf_key_u32(struct gguf *g, const char *name, int64_t value)
{
    key(g, name, GGUF_U32);
    gguf_put_u32(g, (uint32_t)value);
}

void gguf_key_id(struct gguf *g, const char *name, int64_t id)
{
    if (id >= 0)
        gguf_key_u32(g, name, id);
}

void gguf_key_real(struct gguf *g, const char *name, double value)
{
    key(g, name, GGUF_F32);
    gguf_put_f32(g, value);
}

void gguf_key_flag(struct gguf *g, const char *name, bool value)
{
    const unsigned char byte = value;
    key(g, name, GGUF_BOOL);
    gguf_put(g, &byte, 1);
}

void gguf_key_string(struct gguf *g, const char *name, const char *value)
{
    key(g, name, GGUF_STRING);
    gguf_put_string(g, value);
}

void gguf_key_array(struct gguf *g, const char *name, uint32_t type, uint64_t count)
{
    key(g, name, GGUF_ARRAY);
    gguf_put_u32(g, type);
    gguf_put_u64(g, count);
}
