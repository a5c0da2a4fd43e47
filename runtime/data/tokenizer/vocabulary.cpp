#include "runtime/data/tokenizer/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>

namespace gannet::tokenization {

Result<Vocabulary> Vocabulary::create(std::vector<std::pair<std::string, int64_t>> tokens) {
  Vocabulary vocabulary;
  int64_t highest = -1;
  for (const auto& [token, id] : tokens) {
    if (id < 0 || id > kMaxId)
      return invalid_input(fmt::format("token '{}' has id {}; ids are 0 to {}", token, id, kMaxId));
    highest = std::max(highest, id);
  }
  std::vector<const std::string*> holders(static_cast<size_t>(highest + 1), nullptr);
  vocabulary.spans_.resize(holders.size());
  for (const auto& [token, id] : tokens) {
    const std::string*& holder = holders[static_cast<size_t>(id)];
    if (holder != nullptr)
      return invalid_input(fmt::format("tokens '{}' and '{}' have the same id {}", *holder, token, id));
    holder = &token;
    vocabulary.spans_[static_cast<size_t>(id)] = {vocabulary.text_.size(), token.size()};
    vocabulary.text_ += token;
  }
  vocabulary.count_ = static_cast<int64_t>(tokens.size());
  std::vector<std::pair<std::string_view, int32_t>> entries;
  entries.reserve(tokens.size());
  for (const auto& [token, id] : tokens) entries.emplace_back(token, static_cast<int32_t>(id));
  vocabulary.trie_ = Trie(std::move(entries));
  return vocabulary;
}

std::string_view Vocabulary::token_of(int64_t id) const {
  if (id < 0 || id >= size()) return {};
  const Span& span = spans_[static_cast<size_t>(id)];
  return std::string_view(text_).substr(span.begin, span.length);
}

}  // namespace gannet::tokenization
