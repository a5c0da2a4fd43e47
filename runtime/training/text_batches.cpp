#include "runtime/training/text_batches.h"

#include <algorithm>
#include <functional>

#include "ir/base/random.h"
#include "runtime/training/batches.h"

namespace gannet {

namespace {

constexpr int64_t kPool = 64;  // batches

// Element `position` of a row of `count` tokens.
int64_t element(TokenRole role, const TokenRows& tokens, int64_t row, int64_t position,
                const TokenLayout& layout) {
  const bool pad = position >= tokens.length(row);
  const auto at = static_cast<size_t>(tokens.begins[static_cast<size_t>(row)] + position);
  switch (role) {
    case TokenRole::kIds:
      return pad ? layout.pad_id : tokens.ids[at];
    case TokenRole::kMask:
      return pad ? 0 : 1;
    case TokenRole::kTypes:
      return pad ? 0 : tokens.types[at];
    case TokenRole::kPositions:
      return position;
  }
  return 0;
}

template <class T>
void fill(std::span<T> out, TokenRole role, const TokenRows& tokens, std::span<const int64_t> rows,
          const TokenLayout& layout) {
  const auto length = static_cast<int64_t>(out.size() / std::max<size_t>(rows.size(), 1));
  size_t at = 0;
  for (const int64_t row : rows) {
    for (int64_t position = 0; position < length; ++position)
      out[at++] = static_cast<T>(element(role, tokens, row, position, layout));
  }
}

}  // namespace

int64_t padded_length(int64_t length, const TokenLayout& layout) {
  const int64_t rounded =
      (std::max<int64_t>(length, 1) + layout.multiple - 1) / layout.multiple * layout.multiple;
  return std::max(std::min(rounded, layout.longest), length);
}

BatchColumns token_columns(const TokenRows& tokens, std::span<const int64_t> rows, int64_t length,
                           const TokenLayout& layout) {
  BatchColumns columns;
  const std::vector<int64_t> extents = {static_cast<int64_t>(rows.size()), padded_length(length, layout)};
  for (const TokenInput& input : layout.inputs) {
    const bool narrow = input.dtype == DType::kI32;
    Tensor column = Tensor::zeros(narrow ? DType::kI32 : DType::kI64, extents);
    if (narrow)
      fill(column.mutable_data<int32_t>(), input.role, tokens, rows, layout);
    else
      fill(column.mutable_data<int64_t>(), input.role, tokens, rows, layout);
    if (column.dtype() != input.dtype) {
      Result<Tensor> converted = convert(column, input.dtype);
      CHECK(converted.ok(), "tokens as {}", name_of(input.dtype));
      column = *std::move(converted);
    }
    columns.push_back(std::move(column));
  }
  return columns;
}

TextBatches::TextBatches(std::shared_ptr<const TokenRows> tokens, Tensor target, std::vector<int64_t> rows,
                         TokenLayout layout, const TextBatchOptions& options)
    : tokens_(std::move(tokens)),
      target_(std::move(target)),
      rows_(std::move(rows)),
      layout_(std::move(layout)),
      options_(options) {
  CHECK(!rows_.empty() && options_.batch_size > 0, "{} rows in batches of {}", rows_.size(),
        options_.batch_size);
  start_in_order();
}

void TextBatches::cut() {
  batches_.clear();
  const auto all = static_cast<int64_t>(order_.size());
  for (int64_t first = 0; first < all; first += options_.batch_size)
    batches_.push_back({first, std::min(options_.batch_size, all - first)});
  const bool lone = batches_.size() > 1 && batches_.back().count == 1 && options_.batch_size > 1;
  if (!options_.join_lone_row || !lone) return;
  batches_.pop_back();
  ++batches_.back().count;
}

void TextBatches::start_in_order() {
  order_ = rows_;
  std::ranges::stable_sort(order_, std::greater(), [this](int64_t row) { return tokens_->length(row); });
  cut();
}

void TextBatches::start_epoch(int64_t epoch) {
  order_ = rows_;
  Random random(options_.seed, static_cast<uint64_t>(epoch) + 1);
  random.shuffle(std::span<int64_t>(order_));
  if (options_.padding != Padding::kBuckets) return cut();
  const auto pool = static_cast<size_t>(kPool * options_.batch_size);
  for (size_t first = 0; first < order_.size(); first += pool) {
    const std::span<int64_t> part(order_.data() + first, std::min(pool, order_.size() - first));
    std::ranges::stable_sort(part, {}, [this](int64_t row) { return tokens_->length(row); });
  }
  cut();
  random.shuffle(std::span<Range>(batches_));
}

Result<BatchColumns> TextBatches::read(int64_t index) {
  const Range& range = batches_.at(static_cast<size_t>(index));
  const std::span<const int64_t> rows(order_.data() + range.first, static_cast<size_t>(range.count));
  int64_t longest = layout_.longest;
  if (options_.padding != Padding::kFixed) {
    longest = 0;
    for (const int64_t row : rows) longest = std::max(longest, tokens_->length(row));
  }
  BatchColumns columns = token_columns(*tokens_, rows, longest, layout_);
  columns.push_back(take_rows({{"", target_}}, rows)[0].second);
  return columns;
}

}  // namespace gannet
