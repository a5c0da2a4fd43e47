#include "tools/driver/text_tokens.h"

#include <fmt/format.h>

#include <algorithm>

namespace gannet {

namespace {

constexpr int64_t kUsualLength = 512;  // of BERT, where nothing says otherwise

std::vector<std::string_view> views(std::span<const std::string> texts) {
  return {texts.begin(), texts.end()};
}

}  // namespace

Result<Tokenizer> read_tokenizer(const TextArguments& arguments) {
  if (!arguments.tokenizer.empty()) return Tokenizer::from_file(arguments.tokenizer);
  if (arguments.vocabulary.empty())
    return invalid_input("texts need a tokenizer: --vocab FILE.txt or --tokenizer FILE.json");
  WordPieceOptions options;
  if (arguments.cased || arguments.uncased) options.lower_case = arguments.uncased;
  return Tokenizer::from_vocab_file(arguments.vocabulary, options);
}

Result<Tokenizer> load_tokenizer(const TextArguments& arguments, const TextInputs& inputs) {
  Tokenizer tokenizer = TRY(read_tokenizer(arguments));
  const int64_t tokens = tokenizer.vocabulary_size();
  if (inputs.vocabulary && tokens > *inputs.vocabulary) {
    return invalid_input(fmt::format("{}: it has {} tokens, the model's table of tokens has {} rows",
                                     arguments.tokenizer.empty() ? arguments.vocabulary : arguments.tokenizer,
                                     tokens, *inputs.vocabulary));
  }
  return tokenizer;
}

Result<int64_t> longest_text(const TextArguments& arguments, const TextInputs& inputs,
                             const Tokenizer& tokenizer) {
  const std::optional<int64_t> most = inputs.fixed_length ? inputs.fixed_length : inputs.positions;
  if (most && arguments.max_length > *most) {
    return invalid_input(
        fmt::format("--max-length {}: the model takes at most {} tokens", arguments.max_length, *most));
  }
  int64_t longest = arguments.max_length;
  if (longest == 0) longest = most.value_or(kUsualLength);
  const int64_t of_file = tokenizer.defaults().max_length;
  if (arguments.max_length == 0 && of_file > 0 && !inputs.fixed_length) longest = std::min(longest, of_file);
  return longest;
}

TokenLayout layout_of(const TextInputs& inputs, const Tokenizer& tokenizer, int64_t longest) {
  TokenLayout layout;
  layout.inputs = inputs.inputs;
  layout.pad_id = tokenizer.pad_id().value_or(0);
  layout.longest = inputs.fixed_length.value_or(longest);
  return layout;
}

Result<std::shared_ptr<const TokenRows>> tokenize(const Tokenizer& tokenizer,
                                                  std::span<const std::string> texts,
                                                  std::span<const std::string> pairs,
                                                  const TextInputs& inputs, int64_t longest, int threads) {
  EncodeOptions options = tokenizer.defaults();
  options.max_length = longest;
  const Threads pool(threads);
  const std::vector<Encoding> encodings =
      TRY(pairs.empty() ? tokenizer.encode_all(views(texts), options, pool)
                        : tokenizer.encode_pairs(views(texts), views(pairs), options, pool));
  auto rows = std::make_shared<TokenRows>();
  const auto last_type = static_cast<int32_t>(inputs.types.value_or(2) - 1);
  for (const Encoding& encoding : encodings) {
    rows->ids.insert(rows->ids.end(), encoding.ids.begin(), encoding.ids.end());
    for (const int32_t type : encoding.type_ids) rows->types.push_back(std::min(type, last_type));
    rows->begins.push_back(static_cast<int64_t>(rows->ids.size()));
  }
  return std::shared_ptr<const TokenRows>(std::move(rows));
}

}  // namespace gannet
