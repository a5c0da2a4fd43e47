// Texts as batches of token numbers: rows of like length together, so that little is padding.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/base/tensor.h"
#include "runtime/training/batch_source.h"

namespace gannet {

// The tokens of many texts, one after the other.
struct TokenRows {
  std::vector<int32_t> ids, types;    // types[i]: which of two texts token i belongs to
  std::vector<int64_t> begins = {0};  // row r is [begins[r], begins[r + 1])

  int64_t rows() const { return static_cast<int64_t>(begins.size()) - 1; }
  int64_t length(int64_t row) const {
    return begins[static_cast<size_t>(row) + 1] - begins[static_cast<size_t>(row)];
  }
};

// What an input of the model says of each token.
enum class TokenRole { kIds, kMask, kTypes, kPositions };

struct TokenInput {
  TokenRole role = TokenRole::kIds;
  DType dtype = DType::kI64;
};

// What the rows of a batch are padded to.
enum class Padding {
  kBuckets,  // the longest row of a batch of rows of like length
  kBatch,    // the longest row of a batch of any rows
  kFixed,    // TokenLayout::longest
};

// How rows stand in the inputs of a model.
struct TokenLayout {
  std::vector<TokenInput> inputs;  // in the model's order
  int32_t pad_id = 0;
  int64_t longest = 512;  // no row is longer
  int64_t multiple = 1;   // padded lengths are multiples of it, up to `longest`
};

// The inputs [rows, length] for the rows with these numbers, padded to `length` or further.
BatchColumns token_columns(const TokenRows& tokens, std::span<const int64_t> rows, int64_t length,
                           const TokenLayout& layout);
// `length` rounded up as the layout says.
int64_t padded_length(int64_t length, const TokenLayout& layout);

struct TextBatchOptions {
  int64_t batch_size = 32;
  uint64_t seed = 0;
  Padding padding = Padding::kBuckets;
  bool join_lone_row = false;  // one row left at the end joins the batch before it
};

// Columns: the inputs of the layout, then the target. With buckets each epoch puts its rows into a new order,
// sorts them by length within pools of 64 batches (rows of one length stay in that order), and then puts the
// batches into a new order; evaluation goes from the longest rows to the shortest.
class TextBatches final : public BatchSource {
 public:
  // `rows` are numbers of rows of `tokens`, at least one; `target` has a row for each row of `tokens`.
  TextBatches(std::shared_ptr<const TokenRows> tokens, Tensor target, std::vector<int64_t> rows,
              TokenLayout layout, const TextBatchOptions& options);

  int64_t rows() const override { return static_cast<int64_t>(rows_.size()); }
  int64_t per_epoch() const override { return static_cast<int64_t>(batches_.size()); }
  void start_epoch(int64_t epoch) override;
  void start_in_order() override;
  Result<BatchColumns> read(int64_t index) override;

 private:
  struct Range {
    int64_t first = 0, count = 0;  // in order_
  };
  void cut();

  std::shared_ptr<const TokenRows> tokens_;
  Tensor target_;
  std::vector<int64_t> rows_, order_;
  std::vector<Range> batches_;
  TokenLayout layout_;
  TextBatchOptions options_;
};

}  // namespace gannet
