#include "tests/training/recorded_batches.h"

namespace gannet::test {

int64_t mixed_number(int64_t number) {
  auto x = static_cast<uint32_t>(number);
  x *= 2654435761u;
  x ^= x >> 15;
  x *= 2246822519u;
  x ^= x >> 13;
  x *= 3266489917u;
  return x ^ (x >> 16);
}

int64_t recorded_number(int64_t kind, int64_t step, int64_t index) {
  return mixed_number((kind << 27) + (step << 20) + index);
}

Batch bert_batch(int64_t step, int64_t rows, int64_t length, int64_t vocabulary) {
  Tensor ids = Tensor::zeros(DType::kI64, {rows, length}), mask = Tensor::zeros(DType::kI64, {rows, length}),
         types = Tensor::zeros(DType::kI64, {rows, length}), target = Tensor::zeros(DType::kI64, {rows});
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t label = recorded_number(1, step, i) % 2, end = length - recorded_number(3, step, i) % (length / 2);
    target.mutable_data<int64_t>()[static_cast<size_t>(i)] = label;
    for (int64_t j = 0; j < length; ++j) {
      const int64_t at = i * length + j;
      const bool tells = recorded_number(2, step, at) % 16 == 0;
      const auto index = static_cast<size_t>(at);
      ids.mutable_data<int64_t>()[index] = tells ? 5 + label : recorded_number(0, step, at) % vocabulary;
      mask.mutable_data<int64_t>()[index] = j < end;
      types.mutable_data<int64_t>()[index] = j >= length / 2;
    }
  }
  return {ids, mask, types, target};
}

Batch image_batch(int64_t step, int64_t rows, int64_t size) {
  Tensor x = Tensor::zeros(DType::kF32, {rows, 3, size, size}), target = Tensor::zeros(DType::kI64, {rows});
  const int64_t pixels = 3 * size * size;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t label = recorded_number(1, step, i) % 10;
    target.mutable_data<int64_t>()[static_cast<size_t>(i)] = label;
    for (int64_t j = 0; j < pixels; ++j) {
      const int64_t noise = recorded_number(0, step, i * pixels + j) % 2048 - 1024;
      const int64_t picture = mixed_number((int64_t{2} << 27) + (label << 12) + j) % 512 - 256;
      x.mutable_data<float>()[static_cast<size_t>(i * pixels + j)] = static_cast<float>(noise + picture) / 1024;
    }
  }
  return {x, target};
}

}  // namespace gannet::test
