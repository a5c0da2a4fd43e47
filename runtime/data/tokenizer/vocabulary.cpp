#include "runtime/data/tokenizer/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>

namespace gannet::tokenization {

Result<Vocabulary> Vocabulary::create(std::vector<std::pair<std::string, int64_t>> tokens) {
  std::stable_sort(tokens.begin(), tokens.end(),
                   [](const auto& a, const auto& b) { return a.second < b.second; });
  Vocabulary vocabulary;
  vocabulary.spans_.reserve(tokens.size());
  std::vector<std::pair<std::string_view, int32_t>> entries;
  entries.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto& [token, id] = tokens[i];
    if (id < 0 || id > kMaxId) {
      return invalid_input(fmt::format("token '{}' has id {}; ids are 0 to {}", token, id, kMaxId));
    }
    if (i > 0 && tokens[i - 1].second == id) {
      return invalid_input(
          fmt::format("tokens '{}' and '{}' have the same id {}", tokens[i - 1].first, token, id));
    }
    vocabulary.spans_.push_back(
        {static_cast<int32_t>(id), static_cast<uint32_t>(token.size()), vocabulary.text_.size()});
    vocabulary.text_ += token;
    entries.emplace_back(token, static_cast<int32_t>(id));
  }
  vocabulary.trie_ = Trie(std::move(entries));
  return vocabulary;
}

std::string_view Vocabulary::token_of(int64_t id) const {
  auto span =
      std::lower_bound(spans_.begin(), spans_.end(), id, [](const Span& a, int64_t b) { return a.id < b; });
  if (span == spans_.end() || span->id != id) return {};
  return std::string_view(text_).substr(span->begin, span->length);
}

}  // namespace gannet::tokenization
