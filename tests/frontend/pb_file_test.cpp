#include "frontend/pb_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/frontend/wire_message.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

using testing::HasSubstr;

const Type kAnyTensor = Type::tensor(DType::kUndefined);

bool same(const Datum& a, const Datum& b) {
  if (a.kind() != b.kind()) return false;
  if (a.is_tensor()) return a.tensor().identical(b.tensor());
  if (a.kind() == Datum::Kind::kOptional) {
    return a.has_element() == b.has_element() && (!a.has_element() || same(a.element(), b.element()));
  }
  return std::equal(a.elements().begin(), a.elements().end(), b.elements().begin(), b.elements().end(), same);
}

TEST(PbFile, EveryKindSurvivesWritingAndReading) {
  TemporaryFolder folder;
  Datum tensor = Tensor::from<float>({2}, {1, 2});
  Datum text = Tensor::from<std::string>({2}, {"a", "b"});
  Datum list = Datum::sequence({tensor, Tensor::from<float>({}, {3})}, kAnyTensor);
  Type list_type = Type::sequence(kAnyTensor);
  std::vector<std::pair<Datum, Type>> cases = {
      {tensor, kAnyTensor},
      {text, kAnyTensor},
      {list, list_type},
      {Datum::sequence({}, Type::tensor(DType::kI64)), Type::sequence(Type::tensor(DType::kI64))},
      {Datum::sequence({list, list}, list_type), Type::sequence(list_type)},
      {Datum::optional(tensor), Type::optional(kAnyTensor)},
      {Datum::optional(list), Type::optional(list_type)},
      {Datum::empty_optional(list_type), Type::optional(list_type)},
      {Datum::sequence({Datum::optional(tensor)}, Type::optional(kAnyTensor)),
       Type::sequence(Type::optional(kAnyTensor))},
  };
  for (const auto& [datum, type] : cases) {
    Status status = write_pb(folder.path("x.pb"), datum, "x");
    ASSERT_TRUE(status.ok()) << status.error().message;
    Result<Datum> back = read_pb(folder.path("x.pb"), &type);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_TRUE(same(datum, *back)) << to_string(type);
  }
}

TEST(PbFile, NoBytesAreAnEmptyOptional) {
  TemporaryFolder folder;
  folder.write("x.pb", "");
  Type optional = Type::optional(kAnyTensor);
  EXPECT_FALSE(read_pb(folder.path("x.pb"), &optional).value().has_element());
  EXPECT_THAT(read_pb(folder.path("x.pb"), nullptr).error().message, HasSubstr("x.pb: tensor: element type 0"));
  EXPECT_THAT(read_pb(folder.path("y.pb"), nullptr).error().message, HasSubstr("y.pb: cannot be opened"));
  EXPECT_THAT(write_pb(folder.path("z.pb"), Datum(), "z").error().message, HasSubstr("'z' is absent"));
}

TEST(PbFile, RefusesMixedSequencesAndMaps) {
  WireMessage mixed = WireMessage().number(2, 1);
  mixed.child(3, tensor_message("", 1, {0})).child(3, tensor_message("", 7, {0}));
  Type type = Type::sequence(kAnyTensor);
  EXPECT_THAT(read_pb_bytes(mixed.bytes(), &type).error().message, HasSubstr("holds both"));
  EXPECT_THAT(read_pb_bytes(WireMessage().number(2, 4).bytes(), &type).error().message, HasSubstr("maps"));
  WireMessage deep;
  for (int i = 0; i < 5000; ++i) deep = WireMessage().number(2, 3).child(5, deep);
  EXPECT_THAT(read_pb_bytes(deep.bytes(), &type).error().message, HasSubstr("nested deeper"));
}

TEST(PbFile, MutationsNeverCrash) {
  std::mt19937 random(3);
  Datum list = Datum::sequence(
      {Datum(Tensor::from<float>({2}, {1, 2})), Datum(Tensor::from<float>({1}, {3}))}, kAnyTensor);
  std::string original = write_pb_bytes(Datum::optional(list), "x").value();
  Limits limits;
  limits.tensor_bytes = 1 << 20;
  for (const Type& type :
       {kAnyTensor, Type::sequence(kAnyTensor), Type::optional(Type::sequence(kAnyTensor))}) {
    for (int i = 0; i < 5000; ++i) {
      std::string bytes = original;
      for (int edits = 0; edits < 2; ++edits) bytes[random() % bytes.size()] = static_cast<char>(random());
      (void)read_pb_bytes(bytes.substr(0, random() % (bytes.size() + 1)), &type, limits);
    }
  }
}

}  // namespace
}  // namespace gannet
