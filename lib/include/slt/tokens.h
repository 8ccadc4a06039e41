// Token files (.tok): a header, little-endian tokens with EOS after each document, an index and an
// end mark (slt-tokens(5)). They stream through pipes; a plain file is mapped.
#ifndef SLT_TOKENS_H
#define SLT_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#include "slt/stream.h"
#include "slt/tokenizer.h"

#define SLT_TOKENS_INDEX_STRIDE 256 // the index holds the start of every 256th document

struct slt_tokens_header {
    uint32_t version; // set by the writer
    uint32_t width;   // bytes of a token: 2 if the vocabulary fits, else 4; set by the writer
    uint32_t vocab_size;
    uint32_t eos, pad;                      // SLT_TOKEN_NONE where there is none
    unsigned char digest[SLT_SHA256_BYTES]; // of the tokenizer's bytes; zeros if unknown
};

struct slt_tokens_totals {
    uint64_t tokens, documents, text_bytes;
};

struct slt_tokens_writer;

// Writes to out, which the caller still owns and publishes after close.
SLT_API int slt_tokens_create(struct slt_tokens_writer **writer, struct slt_output *out,
                              const struct slt_tokens_header *header,
                              struct slt_error *err) SLT_CHECK_RESULT;
// Appends one document: its ids, then EOS if the header has one. text_bytes is the size of the text
// it came from.
SLT_API int slt_tokens_append(struct slt_tokens_writer *writer, const uint32_t *ids, size_t count,
                              uint64_t text_bytes, struct slt_error *err) SLT_CHECK_RESULT;
// Writes index and end mark and frees the writer, also on failure. totals may be NULL.
SLT_API int slt_tokens_finish(struct slt_tokens_writer *writer, struct slt_tokens_totals *totals,
                              struct slt_error *err) SLT_CHECK_RESULT;
SLT_API void slt_tokens_abandon(struct slt_tokens_writer *writer);

struct slt_tokens; // an open token file

// Opens for reading: maps a plain file and checks sizes and marks, or streams from a pipe or
// zstd-compressed file. The tokens own the input from now on, also on failure.
SLT_API int slt_tokens_open(struct slt_tokens **tokens, struct slt_input *in,
                            struct slt_error *err) SLT_CHECK_RESULT;
// Another file's tokens follow those of tokens, as if both had been one: both must be mapped and
// made with the same tokenizer. What is read by position, and the totals, are of all; what is read
// sequentially or checked, only of the first. tokens owns more from now on; it is closed on
// failure.
SLT_API int slt_tokens_join(struct slt_tokens *tokens, struct slt_tokens *more,
                            struct slt_error *err) SLT_CHECK_RESULT;
SLT_API const struct slt_tokens_header *slt_tokens_header(const struct slt_tokens *tokens);
SLT_API const char *slt_tokens_name(const struct slt_tokens *tokens);
// True for a mapped file: totals are known and any position can be read.
SLT_API bool slt_tokens_is_mapped(const struct slt_tokens *tokens);
// What tells the content of mapped files from any other: the digest in the end mark, of joined
// files one of the digests. Owned by tokens; NULL for a stream.
SLT_API const unsigned char *slt_tokens_digest(const struct slt_tokens *tokens);
// Totals of a mapped file, or of a stream that was read to its end; zeros before that.
SLT_API struct slt_tokens_totals slt_tokens_totals(const struct slt_tokens *tokens);
// ids (count) = tokens [position, position + count) of a mapped file; the range must lie inside.
// Ids are checked against the vocabulary.
SLT_API int slt_tokens_read_at(const struct slt_tokens *tokens, int32_t *ids, uint64_t position,
                               size_t count, struct slt_error *err) SLT_CHECK_RESULT;
// Start of the document with this number in a mapped file, and its length including EOS.
SLT_API int slt_tokens_document(const struct slt_tokens *tokens, uint64_t number,
                                uint64_t *position, uint64_t *count,
                                struct slt_error *err) SLT_CHECK_RESULT;
// Reads on sequentially (mapped or stream); *got < count only at the end, where the end mark is
// verified (with the digest if the file is a stream).
SLT_API int slt_tokens_read(struct slt_tokens *tokens, int32_t *ids, size_t count, size_t *got,
                            struct slt_error *err) SLT_CHECK_RESULT;
// Reads everything and verifies ids, counts, index and digest.
SLT_API int slt_tokens_check(struct slt_tokens *tokens, struct slt_error *err) SLT_CHECK_RESULT;
SLT_API void slt_tokens_close(struct slt_tokens *tokens);

// ---- Sequences ----

// How a token file becomes sequences. Packed: windows of seq + 1 tokens at stride seq, so that
// every token but the first is predicted once. Document: each document truncated or padded to seq
// tokens as Hugging Face does (a truncated document keeps EOS as its last token), seq - 1
// predictions, PAD ignored.
enum slt_packing { SLT_PACKED, SLT_DOCUMENTS };
// Sequences in one pass over a mapped token file.
SLT_API uint64_t slt_tokens_sequences(const struct slt_tokens *tokens, int64_t seq,
                                      enum slt_packing packing);

#endif
