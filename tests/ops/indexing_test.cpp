#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/support/run_op.h"

namespace gannet::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();

Tensor list(std::initializer_list<int64_t> values) { return Tensor::of_ints(std::vector<int64_t>(values)); }

Tensor iota(std::vector<int64_t> extents) {
  Tensor tensor = Tensor::zeros(DType::kI64, std::move(extents));
  int64_t next = 0;
  for (int64_t& value : tensor.mutable_data<int64_t>()) value = next++;
  return tensor;
}

std::vector<int64_t> ints_of(std::string_view name, const std::vector<Tensor>& operands, const Attributes& attrs = {}) {
  return result_of(name, operands, attrs).ints();
}

TEST(Indexing, GatherPicksAndChecks) {
  EXPECT_THAT(ints_of("Gather", {iota({2, 3}), list({-1, 0})}, {{"axis", int64_t{1}}}), ElementsAre(2, 0, 5, 3));
  EXPECT_THAT(error_of("Gather", {iota({2, 3}), list({3})}, {{"axis", int64_t{1}}}), HasSubstr("index 3 is outside of an extent of 3"));
  EXPECT_THAT(error_of("Gather", {iota({3}), Tensor::from<float>({1}, {0})}), HasSubstr("must be i32 or i64"));
  EXPECT_THAT(error_of("Gather", {iota({}), list({0})}), HasSubstr("rank of at least 1"));
  EXPECT_THAT(inferred("Gather", {"f32[vocab, 64]", "i64[batch, seq]"}), ElementsAre("f32[batch, seq, 64]"));
  EXPECT_EQ(result_of("Gather", {iota({0, 2}), Tensor::zeros(DType::kI64, {0})}).extents(), (std::vector<int64_t>{0, 2}));
}

TEST(Indexing, GatherElementsAndND) {
  EXPECT_THAT(ints_of("GatherElements", {iota({3, 2}), Tensor::from<int32_t>({1, 2}, {2, -2})}), ElementsAre(4, 3));
  EXPECT_THAT(error_of("GatherElements", {iota({3, 2}), iota({1, 3})}), HasSubstr("extent 3, beyond the data's 2"));
  EXPECT_THAT(ints_of("GatherND", {iota({2, 2, 2}), Tensor::from<int64_t>({2, 1}, {1, 0})}, {{"batch_dims", int64_t{1}}}), ElementsAre(2, 3, 4, 5));
  EXPECT_THAT(ints_of("GatherND", {iota({2, 2}), Tensor::from<int64_t>({1, 2}, {-1, 0})}), ElementsAre(2));
  EXPECT_THAT(error_of("GatherND", {iota({2, 2}), Tensor::from<int64_t>({1, 3}, {0, 0, 0})}), HasSubstr("3 axes, but the input has 2"));
}

TEST(Indexing, ScatterAppliesUpdatesInOrder) {
  Tensor twice = Tensor::from<int64_t>({2, 1}, {1, 1});
  EXPECT_THAT(ints_of("ScatterND", {iota({3}), twice, list({7, 8})}), ElementsAre(0, 8, 2));
  EXPECT_THAT(ints_of("ScatterND", {iota({3}), twice, list({7, 8})}, {{"reduction", std::string("add")}}), ElementsAre(0, 16, 2));
  EXPECT_THAT(ints_of("ScatterElements", {iota({3}), list({-1, 0}), list({kLargest, -5})}, {{"reduction", std::string("min")}}), ElementsAre(-5, 1, 2));
  EXPECT_THAT(ints_of("ScatterElements", {iota({3}), list({2}), list({kLargest})}, {{"reduction", std::string("add")}}),
              ElementsAre(0, 1, std::numeric_limits<int64_t>::min() + 1));
  EXPECT_THAT(error_of("ScatterND", {iota({3}), twice, list({7})}), HasSubstr("updates do not fit"));
  EXPECT_THAT(error_of("ScatterElements", {iota({3}), list({3}), list({1})}), HasSubstr("index 3 is outside"));
  Tensor texts = Tensor::from<std::string>({2}, {"a", "b"});
  EXPECT_THAT(error_of("ScatterElements", {texts, list({0}), Tensor::from<std::string>({1}, {"c"})}, {{"reduction", std::string("max")}}),
              HasSubstr("not defined for string"));
}

TEST(Indexing, TensorScatterWrapsWhenCircular) {
  Tensor cache = Tensor::zeros(DType::kI64, {1, 3, 1}), update = Tensor::from<int64_t>({1, 2, 1}, {5, 6});
  EXPECT_THAT(ints_of("TensorScatter", {cache, update, list({2})}, {{"mode", std::string("circular")}}), ElementsAre(6, 0, 5));
  EXPECT_THAT(error_of("TensorScatter", {cache, update, list({2})}), HasSubstr("2 positions from 2 on do not fit a cache of 3"));
}

TEST(Indexing, SelectionsDependOnData) {
  Tensor flags = Tensor::from<bool>({2}, {false, true});
  EXPECT_THAT(ints_of("Compress", {iota({3, 2}), flags}, {{"axis", int64_t{0}}}), ElementsAre(2, 3));
  EXPECT_THAT(error_of("Compress", {iota({1}), flags}), HasSubstr("element 1 of an axis of extent 1"));
  EXPECT_THAT(ints_of("NonZero", {Tensor::from<float>({2, 2}, {0, 1, kNaN, 0})}), ElementsAre(0, 1, 1, 0));
  EXPECT_EQ(result_of("NonZero", {Tensor::scalar<float>(3)}).extents(), (std::vector<int64_t>{0, 1}));
  EXPECT_THAT(inferred("NonZero", {"f32[n, 3]"}), ElementsAre("i64[2, nonzero]"));
  EXPECT_THAT(ints_of("OneHot", {list({1, -1, 7}), Tensor::scalar<float>(3.0f), list({0, 9})}), ElementsAre(0, 9, 0, 0, 0, 9, 0, 0, 0));
  EXPECT_THAT(error_of("OneHot", {list({1}), list({-1}), list({0, 1})}), HasSubstr("depth -1"));
}

TEST(Indexing, UniqueGroupsEqualSlices) {
  auto sorted = numbers_of("Unique", {Tensor::from<float>({5}, {2, kNaN, 1, kNaN, 2})}, {}, 4);
  EXPECT_THAT(sorted[1], ElementsAre(2, 0, 1));
  EXPECT_THAT(sorted[2], ElementsAre(1, 2, 0, 2, 1));
  EXPECT_THAT(sorted[3], ElementsAre(1, 2, 2));
  auto rows = numbers_of("Unique", {Tensor::from<int64_t>({3, 2}, {3, 0, 1, 1, 3, 0})}, {{"axis", int64_t{0}}, {"sorted", int64_t{0}}}, 3);
  EXPECT_THAT(rows[0], ElementsAre(3, 0, 1, 1));
  EXPECT_THAT(rows[2], ElementsAre(0, 1, 0));
  auto empty = numbers_of("Unique", {Tensor::zeros(DType::kF32, {kLargest, 2, 0})}, {{"axis", int64_t{1}}}, 4);
  EXPECT_THAT(empty[3], ElementsAre(2));
}

TEST(Indexing, ExtremesBreakTiesByPosition) {
  Tensor x = Tensor::from<float>({5}, {1, 3, kNaN, 3, 0});
  auto top = numbers_of("TopK", {x, list({3})}, {}, 2);
  EXPECT_THAT(top[1], ElementsAre(2, 1, 3));
  EXPECT_THAT(numbers_of("TopK", {x, list({2})}, {{"largest", int64_t{0}}}, 2)[0], ElementsAre(0, 1));
  EXPECT_THAT(error_of("TopK", {x, list({6})}, {}, 2), HasSubstr("K 6 is outside of [0, 5]"));
  EXPECT_THAT(ints_of("ArgMax", {x}), ElementsAre(2));
  Tensor ties = Tensor::from<int8_t>({2, 2}, {1, 1, 0, 4});
  EXPECT_THAT(ints_of("ArgMax", {ties}, {{"axis", int64_t{-1}}}), ElementsAre(0, 1));
  EXPECT_THAT(ints_of("ArgMin", {ties}, {{"axis", int64_t{1}}, {"select_last_index", int64_t{1}}, {"keepdims", int64_t{0}}}), ElementsAre(1, 0));
  EXPECT_THAT(error_of("ArgMax", {Tensor::zeros(DType::kF32, {0})}), HasSubstr("extent 0"));
}

TEST(Indexing, Creation) {
  EXPECT_THAT(ints_of("Range", {Tensor::scalar<int64_t>(10), Tensor::scalar<int64_t>(3), Tensor::scalar<int64_t>(-3)}), ElementsAre(10, 7, 4));
  EXPECT_THAT(ints_of("Range", {Tensor::scalar<int64_t>(1), Tensor::scalar<int64_t>(1), Tensor::scalar<int64_t>(1)}), IsEmpty());
  EXPECT_THAT(error_of("Range", {Tensor::scalar<float>(0), Tensor::scalar<float>(1), Tensor::scalar<float>(0)}), HasSubstr("delta is 0"));
  EXPECT_THAT(error_of("Range", {Tensor::scalar<int64_t>(-kLargest), Tensor::scalar<int64_t>(kLargest), Tensor::scalar<int64_t>(1)}),
              HasSubstr("limit"));
  EXPECT_THAT(ints_of("ConstantOfShape", {list({2})}, {{"value", Tensor::from<int8_t>({1}, {7})}}), ElementsAre(7, 7));
  EXPECT_THAT(error_of("ConstantOfShape", {list({2, -1})}), HasSubstr("negative extent -1"));
  EXPECT_THAT(error_of("ConstantOfShape", {list({kLargest, kLargest})}), HasSubstr("overflows"));
  EXPECT_THAT(ints_of("EyeLike", {Tensor::zeros(DType::kI32, {2, 3})}, {{"k", int64_t{1}}}), ElementsAre(0, 1, 0, 0, 0, 1));
}

TEST(Indexing, Gradients) {
  expect_gradient("Gather", {random_tensor({3, 4}, 1), list({2, 0, 2})}, {}, {0});
  expect_gradient("Gather", {random_tensor({2, 3, 2}, 1), Tensor::from<int64_t>({2, 2}, {0, -1, 1, 1})}, {{"axis", int64_t{1}}}, {0});
  expect_gradient("GatherGradient", {random_tensor({3, 4}, 1), list({2, 0, 2}), list({3, 4})}, {}, {0});
}

}  // namespace
}  // namespace gannet::test
