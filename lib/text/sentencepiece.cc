// libsentencepiece behind C.
#include "text/sentencepiece.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

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

bool recognises(const void *, size_t)
{
    return true;
}

int load(void **model, const char *name, const void *data, size_t bytes, struct slt_error *err)
{
    return guarded(err, [&] {
        auto *m = new spm;
        const auto status = m->processor.LoadFromSerializedProto(
            absl::string_view(static_cast<const char *>(data), bytes));
        if (!status.ok() || m->processor.GetPieceSize() < 1) {
            delete m;
            return slt_error_set(err, SLT_ERR_FORMAT,
                                 "'%s' is neither a SentencePiece model nor a tokenizer.json",
                                 name);
        }
        *model = m;
        return 0;
    });
}

void release(void *model)
{
    delete static_cast<spm *>(model);
}

void info_of(const void *model, struct slt_tokenizer_info *info)
{
    const auto &p = processor_of(model);
    info->vocab_size = static_cast<uint32_t>(p.GetPieceSize());
    info->bos = id_or_none(p.bos_id());
    info->eos = id_or_none(p.eos_id());
    info->pad = id_or_none(p.pad_id());
    info->unk = id_or_none(p.unk_id());
}

struct slt_piece piece_of(const void *model, uint32_t number)
{
    const auto &p = processor_of(model);
    const int id = static_cast<int>(number);
    const slt_piece_type type = p.IsUnknown(id)   ? SLT_PIECE_UNKNOWN
                                : p.IsControl(id) ? SLT_PIECE_CONTROL
                                : p.IsUnused(id)  ? SLT_PIECE_UNUSED
                                : p.IsByte(id)    ? SLT_PIECE_BYTE
                                                  : SLT_PIECE_NORMAL;
    return {p.IdToPiece(id).c_str(), p.GetScore(id), type};
}

bool adds_space(const void *model)
{
    std::vector<std::string> pieces;
    return processor_of(model).Encode("x", &pieces).ok() && !pieces.empty() &&
           pieces[0].compare(0, 3, "\xe2\x96\x81") == 0;
}

// No text gives a control piece, EOS among them.
int encode(const void *model, struct slt_token_ids *ids, const char *text, size_t bytes,
           bool /* eos_is_text */, struct slt_error *err)
{
    return guarded(err, [&] {
        std::vector<int> out;
        const auto status = processor_of(model).Encode(absl::string_view(text, bytes), &out);
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

int decode(const void *model, char **text, size_t *bytes, const uint32_t *ids, size_t count,
           struct slt_error *err)
{
    return guarded(err, [&] {
        std::vector<int> in;
        std::string out;
        const auto size = static_cast<uint32_t>(processor_of(model).GetPieceSize());
        for (size_t i = 0; i < count; i++) {
            if (ids[i] >= size)
                return slt_error_set(err, SLT_ERR_RANGE, "token %u is outside the vocabulary of %u",
                                     ids[i], size);
            if (!processor_of(model).IsControl(static_cast<int>(ids[i])))
                in.push_back(static_cast<int>(ids[i]));
        }
        const auto status = processor_of(model).Decode(in, &out);
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

} // namespace

extern const struct tokenizer_kind spm_kind = {
    "tokenizer.model", recognises, load, release, info_of, piece_of, adds_space, encode, decode,
};

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
            return slt_error_set(err, SLT_ERR_RANGE, "cannot train a tokenizer of %u pieces: %s",
                                 vocab_size, reason(status).c_str());
        void *copy = malloc(out.size());
        if (copy == nullptr)
            return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the trained tokenizer");
        memcpy(copy, out.data(), out.size());
        *model = copy;
        *bytes = out.size();
        return 0;
    });
}
