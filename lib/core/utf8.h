// UTF-8 without overlong forms and surrogates (RFC 3629).
#ifndef SLT_CORE_UTF8_H
#define SLT_CORE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The bytes that a character with this first byte has: 1 to 4, or 0 if none starts with it.
static inline size_t slt_utf8_announced(unsigned char first)
{
    return first < 0x80   ? 1
           : first < 0xc2 ? 0
           : first < 0xe0 ? 2
           : first < 0xf0 ? 3
           : first < 0xf5 ? 4
                          : 0;
}

// Whether text (bytes long, no more than its first byte announces) may be a character or the start
// of one.
static inline bool slt_utf8_may_go_on(const char *text, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)text;
    // The second byte's range depends on the first.
    const unsigned char least = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    const unsigned char most = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (bytes > 1 && (p[1] < least || p[1] > most))
        return false;
    for (size_t i = 2; i < bytes; i++)
        if ((p[i] & 0xc0) != 0x80)
            return false;
    return true;
}

// Whether text is the start of a character and not a whole one.
static inline bool slt_utf8_starts(const char *text, size_t bytes)
{
    return bytes > 0 && bytes < slt_utf8_announced((unsigned char)text[0]) &&
           slt_utf8_may_go_on(text, bytes);
}

// The bytes of the character that text (left bytes) starts with: 1 to 4; 0 if it starts with none.
// An incomplete one at the end is none.
static inline size_t slt_utf8_length(const char *text, size_t left)
{
    if (left > 0 && (unsigned char)text[0] < 0x80)
        return 1;
    const size_t n = left > 0 ? slt_utf8_announced((unsigned char)text[0]) : 0;
    return n > 0 && n <= left && slt_utf8_may_go_on(text, n) ? n : 0;
}

// The code point of a character whose length slt_utf8_length gave.
static inline uint32_t slt_utf8_value(const char *text, size_t length)
{
    const unsigned char *p = (const unsigned char *)text;
    if (length == 1)
        return p[0];
    uint32_t value = p[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++)
        value = value << 6 | (p[i] & 0x3fu);
    return value;
}

// The bytes at the start of text that are characters.
static inline size_t slt_utf8_valid(const char *text, size_t bytes)
{
    size_t at = 0, n;
    while ((n = slt_utf8_length(text + at, bytes - at)) > 0)
        at += n;
    return at;
}

// Writes a code point below 0x110000; returns its bytes.
static inline size_t slt_utf8_put(char to[4], uint32_t value)
{
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    const size_t n = value < 0x80 ? 1 : value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; value >>= 6)
        to[i] = (char)(0x80 | (value & 0x3f));
    to[0] = (char)(first[n] | value);
    return n;
}

#endif
