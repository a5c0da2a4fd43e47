// Tokens and their ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/base/error.h"
#include "runtime/data/tokenizer/trie.h"

namespace gannet::tokenization {

class Vocabulary {
 public:
  static constexpr int64_t kMaxId = (int64_t{1} << 30) - 1;

  Vocabulary() = default;
  // An error where an id is below 0 or above kMaxId, or two tokens have the same.
  static Result<Vocabulary> create(std::vector<std::pair<std::string, int64_t>> tokens);

  // One more than the highest id.
  int64_t size() const { return spans_.empty() ? 0 : int64_t{spans_.back().id} + 1; }
  // Tokens, which are fewer than size() where ids are left out.
  int64_t count() const { return static_cast<int64_t>(spans_.size()); }
  std::optional<int32_t> id_of(std::string_view token) const {
    int32_t id = trie_.find(token);
    return id == Trie::kNone ? std::nullopt : std::optional(id);
  }
  // Empty where no token has this id.
  std::string_view token_of(int64_t id) const;
  const Trie& trie() const { return trie_; }

 private:
  struct Span {
    int32_t id = 0;
    uint32_t length = 0;
    size_t begin = 0;
  };

  std::string text_;
  std::vector<Span> spans_;  // by id
  Trie trie_;
};

}  // namespace gannet::tokenization
