// libsentencepiece behind C.
#include "text/sentencepiece.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

namespace sp = sentencepiece;

namespace
{

struct spm {
    sp::SentencePieceProcessor processor;
};

const sp::SentencePieceProcessor &processor_of(const void *model)
{
    return static_cast<const spm *>(model)->processor;
}

// Text that a tokenizer is trained on at most; what is beyond is sampled.
constexpr size_t train_budget = size_t(32) << 20;
constexpr const char *train_threads = "2"; // constant: other numbers could give other models

uint32_t id_or_none(int id)
{
    return id < 0 ? SLT_TOKEN_NONE : static_cast<uint32_t>(id);
}

// What a status says to people, without "Internal: source.cc(line) [condition] " before it.
std::string reason(const sentencepiece::util::Status &status)
{
    std::string text = status.error_message();
    const size_t end = text.find("] ");
    return end != std::string::npos && text.find(".cc(") < end ? text.substr(end + 2) : text;
}

// Runs f, turning what it throws into an error.
template <class F> int guarded(struct slt_error *err, F f)
{
    try {
        return f();
    } catch (const std::bad_alloc &) {
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate memory for the tokenizer");
    } catch (const std::exception &e) {
        return slt_error_set(err, SLT_ERR_FORMAT, "the tokenizer failed: %s", e.what());
    }
}

// Why the trainer could not do it. Its own sentences name options that are not ours.
int cannot_train(uint32_t vocab_size, const std::string &why, struct slt_error *err)
{
    constexpr unsigned others = 256 + 4; // bytes, and the tokens with a meaning
    unsigned asked, needed;
    if (sscanf(why.c_str(), "Vocabulary size is smaller than required_chars. %u vs %u", &asked,
               &needed) == 2 &&
        needed > others)
        return slt_error_set(
            err, SLT_ERR_RANGE,
            "cannot train a tokenizer of %u pieces: --vocab-size is too small, the "
            "text has %u different characters that count, and with 256 bytes and "
            "4 special tokens that makes %u",
            vocab_size, needed - others, needed);
    if (sscanf(why.c_str(), "Vocabulary size too high (%u). Please set it to a value <= %u", &asked,
               &needed) == 2)
        return slt_error_set(
            err, SLT_ERR_RANGE,
            "cannot train a tokenizer of %u pieces: --vocab-size is too large, the "
            "text gives %u at most",
            vocab_size, needed);
    if (why.empty())
        return slt_error_set(
            err, SLT_ERR_RANGE,
            "cannot train a tokenizer of %u pieces: there is no text to train it on", vocab_size);
    return slt_error_set(err, SLT_ERR_RANGE, "cannot train a tokenizer of %u pieces: %s",
                         vocab_size, why.c_str());
}

// A number that looks random but depends on the index alone (the finaliser of SplitMix64).
uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

// All sentences of a source, or a sample of them that fits the budget: whenever it overflows, the
// half whose mixed index has the next bit set is dropped. The result depends on the text alone.
class Sentences : public sp::SentenceIterator
{
  public:
    int load(slt_sentence_source *source, void *user, struct slt_error *err)
    {
        const char *text;
        size_t bytes;
        int rc;
        for (uint64_t index = 0; (rc = source(user, &text, &bytes, err)) == 1; index++) {
            if (bytes == 0 || dropped(index))
                continue;
            entries_.push_back({index, std::string(text, bytes)});
            total_ += bytes;
            while (total_ > train_budget)
                halve();
        }
        return rc;
    }
    bool done() const override
    {
        return at_ >= entries_.size();
    }
    void Next() override
    {
        at_++;
    }
    const std::string &value() const override
    {
        return entries_[at_].text;
    }
    sp::util::Status status() const override
    {
        return sp::util::Status();
    }

  private:
    struct entry {
        uint64_t index;
        std::string text;
    };
    bool dropped(uint64_t index) const
    {
        return level_ > 0 && (mix(index) >> (64 - level_)) != 0;
    }
    void halve()
    {
        level_++;
        size_t kept = 0;
        total_ = 0;
        for (size_t i = 0; i < entries_.size(); i++) {
            if (dropped(entries_[i].index))
                continue;
            total_ += entries_[i].text.size();
            if (kept != i)
                entries_[kept] = std::move(entries_[i]);
            kept++;
        }
        entries_.resize(kept);
    }
    std::vector<entry> entries_;
    size_t total_ = 0, at_ = 0;
    int level_ = 0;
};

} // namespace

int spm_engine_open(void **engine, const void *data, size_t bytes, struct slt_error *err)
{
    return guarded(err, [&] {
        auto *m = new spm;
        const auto status = m->processor.LoadFromSerializedProto(
            absl::string_view(static_cast<const char *>(data), bytes));
        if (!status.ok() || m->processor.GetPieceSize() < 1) {
            delete m;
            return slt_error_set(err, SLT_ERR_FORMAT, "it is no SentencePiece model, or damaged");
        }
        *engine = m;
        return 0;
    });
}

void spm_engine_close(void *engine)
{
    delete static_cast<spm *>(engine);
}

uint32_t spm_engine_unknown(const void *engine)
{
    return id_or_none(processor_of(engine).unk_id());
}

int spm_engine_encode(const void *engine, struct slt_token_ids *ids, const char *text, size_t bytes,
                      struct slt_error *err)
{
    return guarded(err, [&] {
        std::vector<int> out;
        const auto status = processor_of(engine).Encode(absl::string_view(text, bytes), &out);
        if (!status.ok())
            return slt_error_set(err, SLT_ERR_FORMAT, "cannot tokenize: %s",
                                 reason(status).c_str());
        const int rc = slt_token_ids_reserve(ids, out.size(), err);
        if (rc != 0)
            return rc;
        for (const int id : out)
            ids->id[ids->count++] = static_cast<uint32_t>(id);
        return 0;
    });
}

int spm_engine_decode(const void *engine, char **text, size_t *bytes, const uint32_t *ids,
                      size_t count, struct slt_error *err)
{
    return guarded(err, [&] {
        std::string out;
        const auto status = processor_of(engine).Decode(std::vector<int>(ids, ids + count), &out);
        if (!status.ok())
            return slt_error_set(err, SLT_ERR_FORMAT, "cannot decode: %s", reason(status).c_str());
        auto *copy = static_cast<char *>(malloc(out.size() + 1));
        if (copy == nullptr)
            return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate decoded text");
        memcpy(copy, out.c_str(), out.size() + 1);
        *text = copy;
        *bytes = out.size();
        return 0;
    });
}

int spm_train(void **model, size_t *bytes, slt_sentence_source *source, void *user,
              uint32_t vocab_size, struct slt_error *err)
{
    return guarded(err, [&] {
        Sentences sentences;
        std::string out;
        const int rc = sentences.load(source, user, err);
        if (rc != 0)
            return rc;
        // The map overload is silent; the one that takes a string logs to stderr.
        const std::unordered_map<std::string, std::string> options = {
            {"model_type", "bpe"},
            {"vocab_size", std::to_string(vocab_size)},
            {"normalization_rule_name", "identity"},
            {"add_dummy_prefix", "false"},
            {"remove_extra_whitespaces", "false"},
            {"allow_whitespace_only_pieces", "true"},
            {"byte_fallback", "true"},
            {"character_coverage", "0.9995"},
            {"max_sentence_length", "1000000"},
            {"num_threads", train_threads},
            {"unk_id", "0"},
            {"bos_id", "1"},
            {"eos_id", "2"},
            {"pad_id", "3"},
            {"minloglevel", "2"},
        };
        const auto status = sp::SentencePieceTrainer::Train(options, &sentences, &out);
        if (!status.ok())
            return cannot_train(vocab_size, reason(status), err);
        void *copy = malloc(out.size());
        if (copy == nullptr)
            return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the trained tokenizer");
        memcpy(copy, out.data(), out.size());
        *model = copy;
        *bytes = out.size();
        return 0;
    });
}
