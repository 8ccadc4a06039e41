// Mixed text that a test makes itself, as tests/vectors/mixed.py does from the same mixed.txt.
#ifndef SLT_TESTS_MIXED_H
#define SLT_TESTS_MIXED_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"

#define MIXED_FRAGMENTS 200

struct mixed {
    char *text; // the lines of mixed.txt
    const char *fragment[MIXED_FRAGMENTS];
    size_t count;
    char *out; // of the last document
    size_t bytes, capacity;
};

static inline uint64_t mixed_draw(uint64_t seed, uint64_t i)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15u + (i + 1) * 0xbf58476d1ce4e5b9u;
    for (int k = 0; k < 2; k++) {
        x = (x ^ x >> 30) * 0x94d049bb133111ebu;
        x ^= x >> 31;
    }
    return x;
}

// Takes the text of mixed.txt, NUL-terminated, over.
static inline void mixed_open(struct mixed *m, char *text)
{
    *m = (struct mixed){.text = text};
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        if (m->count < MIXED_FRAGMENTS)
            m->fragment[m->count++] = line;
    }
}

static inline void mixed_close(struct mixed *m)
{
    free(m->text);
    free(m->out);
}

static inline void mixed_add(struct mixed *m, const char *text, size_t bytes)
{
    if (m->bytes + bytes > m->capacity)
        m->out = realloc(m->out, m->capacity = 2 * m->capacity + bytes);
    memcpy(m->out + m->bytes, text, bytes);
    m->bytes += bytes;
}

static inline void mixed_add_character(struct mixed *m, uint64_t code)
{
    char text[4];
    mixed_add(m, text, slt_utf8_put(text, (uint32_t)code));
}

static inline void mixed_add_piece(struct mixed *m, uint64_t seed, uint64_t i)
{
    static const uint32_t blocks[][2] = {
        {0xa1, 0xff},     {0x100, 0x17f},   {0x391, 0x3a1},   {0x430, 0x44f},
        {0x5d0, 0x5ea},   {0x627, 0x63a},   {0x905, 0x914},   {0xe01, 0xe3a},
        {0x4e00, 0x9fa5}, {0x3041, 0x3096}, {0xac00, 0xd7a3}, {0x1f600, 0x1f64f},
        {0x1, 0x1f},      {0x2200, 0x22ff}, {0x300, 0x36f},   {0x1100, 0x1112}};
    static const char *const spaces[] = {" ",  " ",    " ",        "\t",
                                         "\n", "\r\n", "\xc2\xa0", "\xe3\x80\x80"};
    uint64_t h = mixed_draw(seed, i);
    const uint64_t kind = h % 16, count = (h >> 4) % 12 + 1;
    h >>= 8;
    if (kind < 8) {
        const char *fragment = m->fragment[h % m->count];
        mixed_add(m, fragment, strlen(fragment));
    } else if (kind < 10) { // a word of letters
        for (uint64_t j = 0; j < count; j++)
            mixed_add_character(m, ((h & 3) == 0 || ((h & 3) == 1 && j == 0) ? 'A' : 'a') +
                                       mixed_draw(seed + j + 1, i) % 26);
    } else if (kind == 10) {
        for (uint64_t j = 0; j < count; j++)
            mixed_add_character(m, '0' + mixed_draw(seed + j + 1, i) % 10);
    } else if (kind == 11) {
        const char *space = spaces[h % 8];
        for (uint64_t j = 0; j < 2 * count; j++)
            mixed_add(m, space, strlen(space));
    } else if (kind < 14) {
        const uint32_t *b = blocks[h % 16];
        for (uint64_t j = 0; j < count % 6 + 1; j++)
            mixed_add_character(m, b[0] + mixed_draw(seed + j + 1, i) % (b[1] - b[0] + 1));
    }
    if ((h >> 20 & 3) != 0)
        mixed_add(m, " ", 1);
}

// One text of so many pieces, in m->out.
static inline void mixed_document(struct mixed *m, uint64_t seed, uint64_t pieces)
{
    m->bytes = 0;
    for (uint64_t i = 0; i < pieces; i++)
        mixed_add_piece(m, seed, i);
}

#endif
