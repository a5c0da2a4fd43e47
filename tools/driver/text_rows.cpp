#include "tools/driver/text_rows.h"

#include <numeric>

namespace gannet {

namespace {

class TextRows final : public LabelledRows {
 public:
  TextRows(std::shared_ptr<const TokenRows> tokens, TokenLayout layout, Padding padding)
      : tokens_(std::move(tokens)), layout_(std::move(layout)), padding_(padding) {}

  Result<std::unique_ptr<BatchSource>> batches(std::optional<std::span<const int64_t>> chosen,
                                               const BatchRequest& request) const override {
    std::vector<int64_t> rows;
    if (chosen) {
      rows.assign(chosen->begin(), chosen->end());
    } else {
      rows.resize(static_cast<size_t>(tokens_->rows()));
      std::iota(rows.begin(), rows.end(), 0);
    }
    const TextBatchOptions options = {request.batch_size, request.seed, padding_, request.join_lone_row};
    return std::unique_ptr<BatchSource>(
        std::make_unique<TextBatches>(tokens_, target.values, std::move(rows), layout_, options));
  }

 private:
  std::shared_ptr<const TokenRows> tokens_;
  TokenLayout layout_;
  Padding padding_;
};

}  // namespace

Result<std::unique_ptr<LabelledRows>> make_text_rows(const TextTable& table, Tensor target,
                                                     const TextReading& reading) {
  Result<std::shared_ptr<const TokenRows>> tokens = tokenize(
      reading.tokenizer, table.texts(), table.pairs(), reading.inputs, reading.longest, reading.threads);
  if (!tokens.ok()) return with_prefix(table.table.path + ": ", tokens.error());
  const Padding padding = reading.inputs.fixed_length ? Padding::kFixed : reading.padding;
  auto rows = std::make_unique<TextRows>(*std::move(tokens), reading.layout, padding);
  rows->target = {table.table.path, table.label_name(), std::move(target)};
  return std::unique_ptr<LabelledRows>(std::move(rows));
}

}  // namespace gannet
