#include "ir/base/type.h"

#include <gtest/gtest.h>

#include "ir/base/checked.h"
#include "ir/base/limits.h"

namespace gannet {
namespace {

TEST(DType, NamesAndSizes) {
  for (int number = 1; number < kDTypeCount; ++number) {
    const auto dtype = static_cast<DType>(number);
    EXPECT_EQ(dtype_from_name(name_of(dtype)), dtype);
    EXPECT_EQ(is_float(dtype) + is_small_float(dtype) + is_int(dtype) + is_complex(dtype) +
                  (dtype == DType::kBool) + (dtype == DType::kString),
              1)
        << name_of(dtype);
  }
  EXPECT_EQ(name_of(DType::kF8E5M2FNUZ), "f8e5m2fnuz");
  EXPECT_EQ(name_of(DType::kI2), "i2");
  EXPECT_EQ(dtype_from_name("float"), std::nullopt);
  EXPECT_EQ(dtype_from_name("undefined"), std::nullopt);
  EXPECT_EQ(element_size(DType::kC128), 16);
  EXPECT_EQ(element_size(DType::kU4), 1);
  EXPECT_EQ(element_size(DType::kString), 0);
  EXPECT_EQ(element_bits(DType::kU4), 4);
  EXPECT_EQ(element_bits(DType::kI2), 2);
  EXPECT_EQ(element_bits(DType::kF4E2M1), 4);
  EXPECT_EQ(element_bits(DType::kF16), 16);
  EXPECT_EQ(element_bits(DType::kString), 0);
  EXPECT_FALSE(is_known_dtype(0));
  EXPECT_FALSE(is_known_dtype(27));
}

TEST(Type, PrintsAndReadsBack) {
  for (const char* text :
       {"f32[batch, 3]", "f32", "i64[]", "seq(f32[2])", "optional(seq(i64))", "undefined[2*s+1]", "undefined",
        "string[floordiv(h+1, 2), max(1, s)]", "f16[\"a,]b\", 2]", "bool[\"(\\\"\"]"}) {
    const Result<Type> type = parse_type(text);
    ASSERT_TRUE(type.ok()) << type.error().message;
    EXPECT_EQ(to_string(*type), text);
    EXPECT_EQ(*parse_type(to_string(*type)), *type);
  }
}

TEST(Type, RefusesWhatIsNotAType) {
  for (const char* text : {"", "float", "f32[", "f32]", "f32[2", "f32[2,]", "f32[,]", "seq(f32", "seq()",
                           "optional(x)", "f32[2]x"}) {
    EXPECT_FALSE(parse_type(text).ok()) << text;
  }
  std::string nested;
  for (int i = 0; i < 100'000; ++i) nested += "seq(";
  EXPECT_FALSE(parse_type(nested + std::string(100'000, ')')).ok());
}

TEST(Type, Equality) {
  const Type matrix = Type::tensor(DType::kF32, Shape{Dim::symbol("n"), 3});
  EXPECT_EQ(matrix, Type::tensor(DType::kF32, Shape{Dim::symbol("n"), 3}));
  EXPECT_FALSE(matrix == Type::tensor(DType::kF32));
  EXPECT_FALSE(matrix == Type::tensor(DType::kF64, Shape{Dim::symbol("n"), 3}));
  EXPECT_EQ(Type::sequence(matrix), Type::sequence(matrix));
  EXPECT_FALSE(Type::sequence(matrix) == Type::optional(matrix));
  EXPECT_FALSE(matrix.is_static());
  EXPECT_EQ(Type::tensor(DType::kF32).rank(), -1);
}

TEST(Limits, AreSetByName) {
  Limits limits;
  EXPECT_TRUE(set_limit(limits, "nodes=5").ok());
  EXPECT_TRUE(set_limit(limits, "tensor-bytes=1024").ok());
  EXPECT_EQ(limits.nodes, 5);
  EXPECT_EQ(limits.tensor_bytes, 1024);
  EXPECT_EQ(describe(limits).substr(0, 20), "nodes=5 file-bytes=6");
  EXPECT_EQ(set_limit(limits, "nodes").error().message, "limit 'nodes' is not of the form NAME=VALUE");
  EXPECT_EQ(set_limit(limits, "nodes=x").error().message,
            "limit nodes takes an integer of at least 0, not 'x'");
  for (const char* text :
       {"nodes=-1", "nodes=", "nodes=1 ", "nodes=99999999999999999999", "=1", "node=1", ""}) {
    EXPECT_FALSE(set_limit(limits, text).ok()) << text;
  }
}

TEST(Limits, EveryDescribedLimitCanBeSet) {
  Limits limits;
  const std::string text = describe(limits);
  int count = 0;
  for (size_t start = 0; start < text.size(); ++count) {
    const size_t end = std::min(text.find(' ', start), text.size());
    EXPECT_TRUE(set_limit(limits, text.substr(start, end - start)).ok());
    start = end + 1;
  }
  EXPECT_EQ(count, 8);
  EXPECT_EQ(describe(limits), text);
}

TEST(Checked, ReportsOverflow) {
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(checked_add(kLargest, 1), std::nullopt);
  EXPECT_EQ(checked_sub(-2, kLargest), std::nullopt);
  EXPECT_EQ(checked_mul(kLargest, 2), std::nullopt);
  EXPECT_EQ(checked_product(std::vector<int64_t>{2, 3}), 6);
  EXPECT_EQ(checked_product({}), 1);
  EXPECT_EQ(checked_product(std::vector<int64_t>{kLargest, kLargest, 0}), 0);
  EXPECT_EQ(checked_product(std::vector<int64_t>{kLargest, 2}), std::nullopt);
  EXPECT_EQ(checked_product(std::vector<int64_t>{0, -1}), std::nullopt);
}

Result<int> doubled(Result<int> value) { return TRY(std::move(value)) * 2; }

TEST(Result, TryReturnsTheError) {
  EXPECT_EQ(*doubled(21), 42);
  EXPECT_EQ(doubled(invalid_input("bad")).error().message, "bad");
  EXPECT_EQ(with_prefix("file: ", io_error("gone")).message, "file: gone");
}

}  // namespace
}  // namespace gannet
