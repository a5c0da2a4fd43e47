#include "tools/driver/text_views.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "runtime/data/augment/augmentation.h"

namespace gannet {

namespace {

// The texts of a table, and their tokens where nothing is changed.
struct Texts {
  std::vector<std::string> texts, pairs;
  std::shared_ptr<const TokenRows> tokens;
};

class TextViews final : public ViewSource {
 public:
  TextViews(Texts labelled, Texts others, const TextReading& reading, TextViewOptions options,
            std::string mask)
      : labelled_(std::move(labelled)),
        others_(std::move(others)),
        reading_(reading),
        options_(options),
        mask_(std::move(mask)) {}

  Result<BatchColumns> read(std::span<const WantedRow> wanted, int64_t batch) override {
    const TokenRows rows = TRY(tokens_of(wanted, batch));
    std::vector<int64_t> numbers(wanted.size());
    std::iota(numbers.begin(), numbers.end(), 0);
    int64_t longest = reading_.layout.longest;
    if (reading_.padding != Padding::kFixed && !reading_.inputs.fixed_length) {
      longest = 0;
      for (const int64_t row : numbers) longest = std::max(longest, rows.length(row));
    }
    return token_columns(rows, numbers, longest, reading_.layout);
  }

 private:
  const WordNoise& noise(View view) const {
    static constexpr WordNoise kNone;
    return view == View::kLabelled ? kNone : view == View::kWeak ? options_.weak : options_.strong;
  }

  Result<TokenRows> tokens_of(std::span<const WantedRow> wanted, int64_t batch) const {
    std::vector<std::string> texts, pairs;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const WordNoise& changes = noise(wanted[i].view);
      if (changes.empty()) continue;
      Random random = augment_random(options_.seed, batch, static_cast<int64_t>(i));
      const auto row = static_cast<size_t>(wanted[i].row);
      texts.push_back(changes.apply(others_.texts[row], mask_, random));
      if (!others_.pairs.empty()) pairs.push_back(changes.apply(others_.pairs[row], mask_, random));
    }
    std::shared_ptr<const TokenRows> changed;
    if (!texts.empty())
      changed = TRY(
          tokenize(reading_.tokenizer, texts, pairs, reading_.inputs, reading_.longest, reading_.threads));
    TokenRows all;
    int64_t next = 0;
    for (const WantedRow& row : wanted) {
      const Texts& own = row.view == View::kLabelled ? labelled_ : others_;
      if (noise(row.view).empty())
        append(*own.tokens, row.row, all);
      else
        append(*changed, next++, all);
    }
    return all;
  }

  static void append(const TokenRows& from, int64_t row, TokenRows& to) {
    const auto begin = from.begins[static_cast<size_t>(row)], end = from.begins[static_cast<size_t>(row) + 1];
    to.ids.insert(to.ids.end(), from.ids.begin() + begin, from.ids.begin() + end);
    to.types.insert(to.types.end(), from.types.begin() + begin, from.types.begin() + end);
    to.begins.push_back(static_cast<int64_t>(to.ids.size()));
  }

  Texts labelled_, others_;
  TextReading reading_;
  TextViewOptions options_;
  std::string mask_;
};

Result<Texts> texts_of(const TextTable& table, const TextReading& reading) {
  Texts texts;
  texts.texts.assign(table.texts().begin(), table.texts().end());
  texts.pairs.assign(table.pairs().begin(), table.pairs().end());
  Result<std::shared_ptr<const TokenRows>> tokens =
      tokenize(reading.tokenizer, texts.texts, texts.pairs, reading.inputs, reading.longest, reading.threads);
  if (!tokens.ok()) return with_prefix(table.table.path + ": ", tokens.error());
  texts.tokens = *std::move(tokens);
  return texts;
}

}  // namespace

std::string mask_word(const Tokenizer& tokenizer) {
  for (const char* word : {"[MASK]", "<mask>"}) {
    if (tokenizer.id_of(word)) return word;
  }
  return {};
}

Result<std::unique_ptr<ViewSource>> make_text_views(const TextTable& labelled, const TextTable& others,
                                                    const TextReading& reading,
                                                    const TextViewOptions& options) {
  if (labelled.pair.has_value() != others.pair.has_value()) {
    return invalid_input(fmt::format("{} has {} in a row, {} has {}", labelled.table.path,
                                     labelled.pair ? "two texts" : "one text", others.table.path,
                                     others.pair ? "two" : "one"));
  }
  std::string mask = mask_word(reading.tokenizer);
  if (mask.empty() && (options.weak.masked > 0 || options.strong.masked > 0))
    return invalid_input("changes of texts: mask=CHANCE needs a tokenizer with a mask token");
  Texts own = TRY(texts_of(labelled, reading));
  Texts rest = TRY(texts_of(others, reading));
  return std::unique_ptr<ViewSource>(
      std::make_unique<TextViews>(std::move(own), std::move(rest), reading, options, std::move(mask)));
}

}  // namespace gannet
