// Tokenizers: text to token ids and back. SentencePiece models (unigram and BPE) are read from
// their .model bytes, byte-pair encoders of Hugging Face from their tokenizer.json.
//
// The tokens that a directory adds to a SentencePiece model are put behind its bytes, as pieces
// that every reader of such models sees. They are looked for before anything else; each text
// between them is tokenized as if it stood alone, so that it begins with the model's space, if it
// has one (without it where tokenizer_config.json says "legacy": false, as transformers does). This
// keeps the ids of all other text as spm_encode gives them, which a tokenizer.json made from the
// model could not promise.
//
// Of a tokenizer.json the model must be BPE and either byte-level (pre-tokenizer ByteLevel, alone
// or last) or have byte fallback. Added tokens, the normalizers NFC, NFD, NFKC, NFKD, Replace (of a
// string) and Prepend, the pre-tokenizers ByteLevel, Split, Digits and Metaspace, and Sequences of
// them are done as there; others are refused. Truncation, padding and the tokens that its
// post-processor adds are not. Which characters are letters and how they compose is as in the
// Unicode version of PCRE2 and utf8proc, so that ids may differ where a text has newer characters.
//
// Its BOS, EOS and PAD: what the post-processor puts before (or calls cls) and behind (or calls
// sep) a text; else the first of these that is an added token or a piece. EOS: </s>,
// <|end_of_text|>, <|endoftext|>, <|eot_id|>, <|im_end|>, <eos>. BOS: <s>, <|begin_of_text|>,
// <|startoftext|>, <bos>, <|endoftext|>. PAD, after the one that its padding names: <pad>, <|pad|>,
// [PAD], <|finetune_right_pad_id|>, <|padding|>.
#ifndef SLT_TOKENIZER_H
#define SLT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slt/digest.h"
#include "slt/error.h"
#include "slt/stream.h"

#define SLT_TOKEN_NONE UINT32_MAX // "this tokenizer has no such id"

struct slt_tokenizer;

struct slt_tokenizer_info {
    const char *kind;    // member name in a checkpoint: "tokenizer.model" or "tokenizer.json"
    uint32_t vocab_size; // the highest id and one; ids between may have no piece
    uint32_t bos, eos, pad, unk; // SLT_TOKEN_NONE where there is none
    // Whether other programs put BOS before a text and EOS behind it; encoding here does not.
    bool adds_bos, adds_eos;
    // SHA-256 of the bytes that decide the ids of a text: all of a file, but of a SentencePiece
    // model not what was put behind it of BOS, EOS and PAD.
    unsigned char digest[SLT_SHA256_BYTES];
};

// Loads a tokenizer from the bytes of its file, recognised by content; name is used in messages.
// The bytes are copied. Errors: SLT_ERR_FORMAT for what is damaged or not supported.
SLT_API int slt_tokenizer_load(struct slt_tokenizer **tokenizer, const char *name, const void *data,
                               size_t bytes, struct slt_error *err) SLT_CHECK_RESULT;
// The same from the file of that name, "-" being standard input; one that is larger than a
// checkpoint can carry is refused. A directory has tokenizer.model or spiece.model, tokenizer.json,
// or GPT-2's vocab.json and merges.txt, the first of these that is there, and is complete with
// the tokens that its added_tokens.json, tokenizer_config.json and tokenizer.json add, and with the
// BOS, EOS and PAD that they name. A vocab.json means the merges.txt beside it, too.
SLT_API int slt_tokenizer_open(struct slt_tokenizer **tokenizer, const char *path,
                               slt_stop_flag *stop, struct slt_error *err) SLT_CHECK_RESULT;
SLT_API void slt_tokenizer_free(struct slt_tokenizer *tokenizer);
SLT_API const struct slt_tokenizer_info *slt_tokenizer_info(const struct slt_tokenizer *tokenizer);
// The digest of slt_tokenizer_info from the bytes of a file, which need not be a good one.
SLT_API void slt_tokenizer_digest(unsigned char digest[SLT_SHA256_BYTES], const void *data,
                                  size_t bytes);
// The bytes it was loaded from, owned by the tokenizer.
SLT_API const void *slt_tokenizer_data(const struct slt_tokenizer *tokenizer, size_t *bytes);

// One piece of the vocabulary.
enum slt_piece_type {
    SLT_PIECE_NORMAL,
    SLT_PIECE_UNKNOWN,
    SLT_PIECE_CONTROL,
    SLT_PIECE_UNUSED,
    SLT_PIECE_BYTE,
    SLT_PIECE_USER // an added token that is no control token
};
struct slt_piece {
    // Owned by the tokenizer, "" where an id has no piece. U+2581 stands for a space; in byte-level
    // vocabularies each character stands for a byte as in GPT-2's.
    const char *text;
    float score;
    enum slt_piece_type type;
};
// id < vocab_size.
SLT_API struct slt_piece slt_tokenizer_piece(const struct slt_tokenizer *tokenizer, uint32_t id);
// Whether a space is put before text that is encoded.
SLT_API bool slt_tokenizer_adds_space(const struct slt_tokenizer *tokenizer);

// SLT_ERR_FORMAT where it has more tokens than a model (name) has rows.
SLT_API int slt_tokenizer_check_size(const struct slt_tokenizer *tokenizer, int64_t vocab_size,
                                     const char *name, struct slt_error *err) SLT_CHECK_RESULT;

// A growing array of ids, owned by the caller: start with {0}, free with slt_token_ids_free.
struct slt_token_ids {
    uint32_t *id;
    size_t count, capacity;
};
SLT_API void slt_token_ids_free(struct slt_token_ids *ids);

// Appends the ids of text (UTF-8, bytes long, NUL bytes allowed), without BOS or EOS, equal to
// spm_encode's or those of Hugging Face's tokenizers (texts of added tokens become those). A
// tokenizer.json takes bytes that are not UTF-8, too: each run of them is a word of its own, and
// what lies between is a text. So byte-level ones without normalizer and prefix give back every
// text. May be called from several threads at once.
SLT_API int slt_tokenizer_encode(const struct slt_tokenizer *tokenizer, struct slt_token_ids *ids,
                                 const char *text, size_t bytes,
                                 struct slt_error *err) SLT_CHECK_RESULT;

// As slt_tokenizer_encode for count documents at once, on so many threads (0: all): ids[i] are
// those of texts[i], whatever the number of threads. Where the text of EOS stands in a document it
// is text like any other, so that no document holds its own end.
SLT_API int slt_tokenizer_encode_batch(const struct slt_tokenizer *tokenizer,
                                       struct slt_token_ids *ids, const char *const *texts,
                                       const size_t *bytes, size_t count, int threads,
                                       struct slt_error *err) SLT_CHECK_RESULT;

// Decodes all ids at once; the caller frees *text (NUL-terminated, *bytes without the NUL). Control
// ids (BOS, EOS, PAD, special added tokens) give nothing. Bytes that are not UTF-8 are U+FFFD with
// a SentencePiece model and themselves with a tokenizer.json. Ids outside the vocabulary:
// SLT_ERR_RANGE.
SLT_API int slt_tokenizer_decode(const struct slt_tokenizer *tokenizer, char **text, size_t *bytes,
                                 const uint32_t *ids, size_t count,
                                 struct slt_error *err) SLT_CHECK_RESULT;

// The same for a document of slt_tokenizer_encode_batch: added tokens, special ones too, are the
// texts that they were, and what stands between two of them is decoded as it was encoded, alone.
// Where the tokenizer loses nothing, this gives back every text.
SLT_API int slt_tokenizer_decode_document(const struct slt_tokenizer *tokenizer, char **text,
                                          size_t *bytes, const uint32_t *ids, size_t count,
                                          struct slt_error *err) SLT_CHECK_RESULT;

// Decodes one id after the other: each push returns the bytes that are settled by now (incomplete
// UTF-8 waits for its rest). A decoder belongs to one document or generated text.
struct slt_decoder;
SLT_API int slt_decoder_create(struct slt_decoder **decoder, const struct slt_tokenizer *tokenizer,
                               struct slt_error *err) SLT_CHECK_RESULT;
// *text is owned by the decoder and valid until the next call. id SLT_TOKEN_NONE flushes what
// waits.
SLT_API int slt_decoder_push(struct slt_decoder *decoder, uint32_t id, const char **text,
                             size_t *bytes, struct slt_error *err) SLT_CHECK_RESULT;
SLT_API void slt_decoder_free(struct slt_decoder *decoder);

// Where the trainer gets its sentences: returns 1 with *text and *bytes set (valid until the next
// call), 0 at the end, or a negative error.
typedef int slt_sentence_source(void *user, const char **text, size_t *bytes,
                                struct slt_error *err);

// Trains a SentencePiece BPE model with identity normalisation, byte fallback, no whitespace
// removal and no dummy prefix, so that decode(encode(x)) = x, newlines included; ids 0 unk, 1 bos,
// 2 eos, 3 pad. vocab_size counts all ids. The number of trainer threads is constant, so that the
// same text gives the same model. The caller frees *model.
SLT_API int slt_tokenizer_train(void **model, size_t *bytes, slt_sentence_source *source,
                                void *user, uint32_t vocab_size,
                                struct slt_error *err) SLT_CHECK_RESULT;

#endif
