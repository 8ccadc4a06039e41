// Small files of SentencePiece models, made field by field.
#ifndef SLT_TESTS_SPM_FILES_H
#define SLT_TESTS_SPM_FILES_H

#include "check.h"
#include "slt/tokenizer.h"
#include "text/buffer.h"

enum {
    SPM_NORMAL_PIECE = 1,
    SPM_UNKNOWN_PIECE,
    SPM_CONTROL_PIECE,
    SPM_USER_PIECE,
    SPM_UNUSED_PIECE
};

static inline void spm_add(struct text_buffer *b, const void *data, size_t bytes)
{
    struct slt_error err;
    CHECK_OK(text_buffer_add(b, data, bytes, &err), err);
}

static inline void spm_varint(struct text_buffer *b, uint64_t value)
{
    for (;; value >>= 7) {
        const unsigned char byte = (unsigned char)((value & 0x7f) | (value >= 0x80 ? 0x80 : 0));
        spm_add(b, &byte, 1);
        if (value < 0x80)
            return;
    }
}

static inline void spm_number(struct text_buffer *b, uint32_t field, uint64_t value)
{
    spm_varint(b, (uint64_t)field << 3);
    spm_varint(b, value);
}

static inline void spm_message(struct text_buffer *b, uint32_t field, struct text_buffer *m)
{
    spm_varint(b, (uint64_t)field << 3 | 2);
    spm_varint(b, m->bytes);
    spm_add(b, m->data, m->bytes);
    free(m->data);
    *m = (struct text_buffer){0};
}

static inline void spm_text(struct text_buffer *b, uint32_t field, const char *text)
{
    spm_varint(b, (uint64_t)field << 3 | 2);
    spm_varint(b, strlen(text));
    spm_add(b, text, strlen(text));
}

static inline void spm_put_piece(struct text_buffer *b, const char *text, float score, int type)
{
    struct text_buffer piece = {0};
    spm_text(&piece, 1, text);
    spm_varint(&piece, 2 << 3 | 5);
    spm_add(&piece, &score, sizeof score); // little-endian, as all machines here
    spm_number(&piece, 3, (uint64_t)type);
    spm_message(b, 1, &piece);
}

// The rest of a model: byte pairs or Unigram, and how it normalizes.
struct spm_spec {
    bool unigram, byte_fallback, adds_space, removes_spaces;
};

static inline void spm_put_spec(struct text_buffer *b, const struct spm_spec *spec)
{
    struct text_buffer m = {0};
    spm_number(&m, 3, spec->unigram ? 1 : 2);
    spm_number(&m, 35, spec->byte_fallback);
    spm_number(&m, 40, 0);
    spm_number(&m, 41, 1);
    spm_number(&m, 42, 2);
    spm_message(b, 2, &m);
    spm_text(&m, 1, "identity");
    spm_number(&m, 3, spec->adds_space);
    spm_number(&m, 4, spec->removes_spaces);
    spm_message(b, 3, &m);
}

// <unk>, <s>, </s>, the space, some letters and what they make; free b->data.
static inline void spm_small(struct text_buffer *b, const struct spm_spec *spec)
{
    static const char *const pieces[] = {"\xe2\x96\x81",
                                         "a",
                                         "b",
                                         "c",
                                         "d",
                                         "e",
                                         "h",
                                         "i",
                                         "n",
                                         "o",
                                         "r",
                                         "t",
                                         "u",
                                         "x",
                                         "th",
                                         "\xe2\x96\x81th",
                                         "he",
                                         "in",
                                         "an",
                                         "\xe2\x96\x81"
                                         "a",
                                         "\xe2\x96\x81"
                                         "the",
                                         "er",
                                         "\xe2\x96\x81\xe2\x96\x81"};
    spm_put_piece(b, "<unk>", 0, SPM_UNKNOWN_PIECE);
    spm_put_piece(b, "<s>", 0, SPM_CONTROL_PIECE);
    spm_put_piece(b, "</s>", 0, SPM_CONTROL_PIECE);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        spm_put_piece(b, pieces[i], i < 14 ? -20.0f - (float)i : -(float)(i - 13),
                      SPM_NORMAL_PIECE);
    spm_put_spec(b, spec);
}

#endif
