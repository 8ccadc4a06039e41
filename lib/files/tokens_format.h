// The layout of token files, shared by their reader and their writer (slt-tokens(5)). All integers
// are little-endian.
#ifndef SLT_FILES_TOKENS_FORMAT_H
#define SLT_FILES_TOKENS_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/bytes.h"
#include "slt/tokens.h"

// The line ends show a transfer that took the file for text, as in PNG.
#define SLT_TOKENS_MAGIC       "SLTTOK\r\n"
#define SLT_TOKENS_END_MAGIC   "SLTEND\r\n"
#define SLT_TOKENS_MAGIC_BYTES 8
#define SLT_TOKENS_VERSION     1

// The header: magic, then six 32-bit numbers, then the digest of the tokenizer.
enum {
    SLT_TOKENS_AT_VERSION = 8,
    SLT_TOKENS_AT_WIDTH = 12,
    SLT_TOKENS_AT_VOCAB = 16,
    SLT_TOKENS_AT_EOS = 20,
    SLT_TOKENS_AT_PAD = 24,
    SLT_TOKENS_AT_RESERVED = 28, // zero
    SLT_TOKENS_AT_DIGEST = 32,
    SLT_TOKENS_HEADER_BYTES = 64,
};

// The end mark: magic, five 64-bit numbers, 16 bytes of zeros, and the SHA-256 of all bytes before
// it.
enum {
    SLT_TOKENS_END_TOKENS = 8,
    SLT_TOKENS_END_DOCUMENTS = 16,
    SLT_TOKENS_END_TEXT_BYTES = 24,
    SLT_TOKENS_END_INDEX_OFFSET = 32,
    SLT_TOKENS_END_INDEX_ENTRIES = 40,
    SLT_TOKENS_END_RESERVED = 48,
    SLT_TOKENS_END_DIGEST = 64,
    SLT_TOKENS_END_BYTES = 96,
};

// Bytes of an index entry: the position of a document's first token.
#define SLT_TOKENS_INDEX_BYTES 8

// Up to 65536 pieces fit into 16 bits.
static inline uint32_t slt_tokens_width(uint32_t vocab_size)
{
    return vocab_size <= 65536 ? 2 : 4;
}

// Entries of the index of so many documents; only files with EOS have one.
static inline uint64_t slt_tokens_index_entries(bool has_eos, uint64_t documents)
{
    if (!has_eos)
        return 0;
    return documents / SLT_TOKENS_INDEX_STRIDE + (documents % SLT_TOKENS_INDEX_STRIDE != 0);
}

// The token at a position of a file's tokens.
static inline uint32_t slt_tokens_at(const unsigned char *data, uint32_t width, uint64_t position)
{
    return width == 2 ? slt_load_u16(data + 2 * position) : slt_load_u32(data + 4 * position);
}

#endif
