#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "ir/base/random.h"
#include "ir/builder.h"
#include "ir/op.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"

namespace gannet {
namespace {

using testing::HasSubstr;

std::string error_of(std::string_view text) {
  auto graph = parse_graph(text);
  return graph.ok() ? "" : graph.error().message;
}

void expect_identity(const std::string& text) {
  auto graph = parse_graph(text);
  ASSERT_TRUE(graph.ok()) << graph.error().message << "\n" << text;
  EXPECT_EQ(print_graph(**graph), text);
  Status status = verify(**graph);
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
}

constexpr std::string_view kEveryAttribute =
    R"IR(graph "all \"kinds\" \\ of\x0aattributes"(%x: f32[2*n+1, "odd symbol", 3], %"a b\"c": i64[], %a:b/c.d-e: bool[], %s: seq(f32[n]), %o: optional(seq(i64)), %unknown: undefined) {
  state %w: f32[2] -> %new = f32[2] {1, -0} "weights/w \x01"
  state %fixed: f64[1] = f64[1] {0.1} ""
  %c: f32[3] = Constant() {value = f32[3] {nan, inf, -inf}}
  %words: string[2] = Constant() {value = string[2] {"a, \"b\" }", "\x00\\"}}
  %leaky: f32[2*n+1, "odd symbol", 3] = LeakyRelu(%x) {alpha = 0.1} "leaky \"one\""
  %moved: f32[3, "odd symbol", 2*n+1] = Transpose(%x) {perm = [2, 1, 0]}
  %wide: f64[2*n+1, "odd symbol", 3] = Cast(%x) {to = f64}
  %mapped: f32[2*n+1, "odd symbol", 3] = Map(%x) {body = "select(x0 < (-1), -(1), x0 * 0.5)"}
  %extents: i64[3] = Dims() {dims = [2*n+1, "odd symbol", floordiv(n, 2)]}
  %clipped: f32[2*n+1, "odd symbol", 3] = Clip(%x, %_, %limit)
  %new: f32[2] = Neg(%w)
  %"_": f32[2] = Neg(%new)
  %chosen: f32[2] = If(%a:b/c.d-e, %"_") {captures = 1, else_branch = graph "else"(%x: f32[2]) {
      return %x as "x"
    }, then_branch = graph "then"(%x: f32[2]) {
      %v: f32[2] = Abs(%x) "inner"
      return %v as "result \"v\""
    }}
  return %chosen as "chosen", %x as "the input", %w as "w", %c as "c"
})IR";

// Inference of a node infers its subgraphs again, with symbols of its own; the text's stay.
TEST(ParsePrint, FreshSymbolsOfSubgraphsStay) {
  expect_identity(R"IR(graph "main"(%s: seq(f32), %x: f32[n]) {
  %y: seq(i64) = SequenceMap(%s) {body = graph "body"(%e: f32) {
      %extents: i64[rank_7] = Shape(%e)
      %twice: i64[2*rank_7] = Concat(%extents, %extents) {axis = 0}
      return %twice as "y"
    }}
  %z: f32[carried_3] = Loop(%_, %_, %x) {body = graph "body"(%i: i64[], %going: bool[], %c: f32[carried_3]) {
      %next: f32[2*carried_3] = Concat(%c, %c) {axis = 0}
      return %going as "going", %next as "next"
    }}
  return %y as "y", %z as "z"
})IR");
}

std::string every_attribute() {
  std::string text(kEveryAttribute);
  text.insert(text.find(", %s: seq"), ", %limit: f32[]");
  return text;
}

TEST(Print, AGraphOfEveryKindOfAttributeReadsBack) { expect_identity(every_attribute()); }

TEST(Print, TensorsOfEveryElementTypeReadBack) {
  Graph graph;
  Random random(3);
  for (int number = 1; number < kDTypeCount; ++number) {
    auto dtype = static_cast<DType>(number);
    Tensor tensor = Tensor::zeros(dtype, {3, 5});
    visit_dtype(dtype, [&]<class T>(Tag<T>) {
      for (T& element : tensor.mutable_data<T>()) {
        if constexpr (std::is_same_v<T, std::string>)
          element = fmt::format("{}\"\n", random.next_u32());
        else if constexpr (std::is_same_v<T, bool>)
          element = random.below(2) != 0;
        else if constexpr (requires { element.value; })
          element = T(static_cast<int64_t>(random.below(16)));
        else {
          auto* bytes = reinterpret_cast<uint8_t*>(&element);
          for (size_t i = 0; i < sizeof(T); ++i) bytes[i] = static_cast<uint8_t>(random.below(256));
        }
      }
    });
    graph.outputs.push_back({"y", graph.add_constant(tensor)});
    std::string text = print_tensor(tensor);
    EXPECT_THAT(text, testing::StartsWith(type_string(tensor) + " {"));
  }
  for (DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kC64}) {
    graph.outputs.push_back({"empty", graph.add_constant(Tensor::zeros(dtype, {0, 2}))});
    graph.outputs.push_back({"scalar", graph.add_constant(Tensor::zeros(dtype, {}))});
  }
  std::string text = print_graph(graph);
  expect_identity(text);
  // Bits as well, where the type has but one NaN of each sign in text.
  auto parsed = parse_graph(text);
  ASSERT_TRUE(parsed.ok());
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const Tensor &a = *graph.outputs[i].value->constant(), &b = *(*parsed)->outputs[i].value->constant();
    bool exact = is_int(a.dtype()) || a.dtype() == DType::kString || a.dtype() == DType::kBool;
    EXPECT_TRUE(!exact || a.identical(b)) << name_of(a.dtype());
  }
}

TEST(Print, FloatsKeepTheirBits) {
  Random random(4);
  std::vector<float> singles = {0.1f, 16777216.f, 1e-45f, 3.4028235e38f, -0.0f, 8388609.5f, 1.17549435e-38f};
  std::vector<double> doubles = {
      0.1, 5e-324, 1.7976931348623157e308, 9007199254740993.0, 1e16, 123456789012345680.0, -0.0};
  for (int i = 0; i < 5000; ++i) {
    uint32_t bits = random.next_u32();
    float single;
    std::memcpy(&single, &bits, 4);
    if (std::isfinite(single)) singles.push_back(single);
    uint64_t wide = random.next_u64();
    double number;
    std::memcpy(&number, &wide, 8);
    if (std::isfinite(number)) doubles.push_back(number);
  }
  Graph graph;
  Tensor a = Tensor::from<float>({static_cast<int64_t>(singles.size())}, std::span<const float>(singles));
  Tensor b = Tensor::from<double>({static_cast<int64_t>(doubles.size())}, std::span<const double>(doubles));
  graph.outputs = {{"a", graph.add_constant(a)}, {"b", graph.add_constant(b)}};
  auto parsed = parse_graph(print_graph(graph));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_TRUE((*parsed)->outputs[0].value->constant()->identical(a));
  EXPECT_TRUE((*parsed)->outputs[1].value->constant()->identical(b));
}

TEST(Print, LargeTensorsPrintAsADigestThatDoesNotReadBack) {
  Tensor tensor = Tensor::zeros(DType::kF32, {10});
  EXPECT_EQ(print_tensor(tensor, {.max_elements = 9}).substr(0, 9), "f32[10] #");
  Tensor other = tensor;
  other.mutable_data<float>()[3] = 1;
  EXPECT_NE(print_tensor(tensor, {.max_elements = 9}), print_tensor(other, {.max_elements = 9}));
  Graph graph;
  graph.outputs = {{"y", graph.add_constant(tensor)}};
  EXPECT_THAT(error_of(print_graph(graph, {.max_elements = 1})), HasSubstr("only their digest"));
}

TEST(Print, ASymbolMayHoldAnything) {
  Graph graph;
  Shape shape = {Dim::symbol("a\"b]),("), Dim::symbol("back\\slash"), Dim::symbol(""),
                 Dim::symbol("1st") * 2 + Dim::symbol("new\nline")};
  Value* x = graph.add_input("%x", Type::sequence(Type::tensor(DType::kF32, shape)));
  graph.outputs = {{"x", x}};
  expect_identity(print_graph(graph));
}

TEST(Print, OutputsThatAreNotWantedStayAway) {
  expect_identity(R"(graph "g"(%x: f32[1, 1, 4, 4]) {
  %y: f32[1, 1, 2, 2], %_ = MaxPool(%x) {kernel_shape = [2, 2], strides = [2, 2]}
  %v: f32[1, 1, 2, 2] = Neg(%y)
  return %v as "v"
})");
}

TEST(Parse, TypesMayBeLeftOut) {
  auto graph =
      parse_graph("graph \"g\"(%x: f32[n]) {\n# a comment\n%y = Relu(%x) %z = Shape(%y)\nreturn %z }\n");
  ASSERT_TRUE(graph.ok()) << graph.error().message;
  EXPECT_EQ(to_string((*graph)->outputs[0].value->type), "i64[1]");
  EXPECT_EQ((*graph)->outputs[0].name, "z");
}

TEST(Parse, ErrorsNameLineAndColumn) {
  EXPECT_EQ(error_of(""), "line 1, column 1: expected 'graph'");
  EXPECT_EQ(error_of("graph \"g\"() {\n  %y = Relu(%x)\n}"), "line 2, column 15: %x is not defined");
  EXPECT_EQ(error_of("graph \"g\"() {\n  %y = Rely()"), "line 2, column 12: there is no op 'Rely'");
  EXPECT_EQ(error_of("graph \"g\"(%x: f32[2]) {\n  %y = Add(%x)"),
            "line 2, column 15: Add: takes 2 inputs, got 1");
  EXPECT_THAT(error_of("graph \"g\"(%x: f32[2]) {\n  %y: f32[3] = Neg(%x)"),
              HasSubstr("%y: dimension 0 is 2 and 3"));
  EXPECT_THAT(error_of("graph \"g\"(%x: f32[2], %x: f32[2]) {"), HasSubstr("%x is defined twice"));
  EXPECT_THAT(error_of("graph \"g\"(%x: f32[2]) { %x = Neg(%x)"), HasSubstr("%x is defined twice"));
  EXPECT_THAT(error_of("graph \"g\"(%x: f32[2]) { %y = Neg(%x) {alpha = 1}"),
              HasSubstr("Neg has no attribute 'alpha'"));
  EXPECT_THAT(error_of("graph \"g\"() { return } }"), HasSubstr("line 1, column 24: expected the end"));
  EXPECT_THAT(error_of("graph \"g\"() { return } ;"), HasSubstr("expected the end"));
  auto constant = [](const std::string& tensor) {
    return "graph \"g\"() { %c = Constant() {value = " + tensor + "} return }";
  };
  EXPECT_EQ(error_of(constant("i8[1] {127}")), "");
  EXPECT_THAT(error_of(constant("i8[1] {128}")), HasSubstr("expected an integer of 8 bits, got '128'"));
  EXPECT_THAT(error_of(constant("u64[1] {-1}")), HasSubstr("expected an integer"));
  EXPECT_THAT(error_of(constant("f32[1] {1e39}")), HasSubstr("expected a number, got '1e39'"));
  EXPECT_THAT(error_of(constant("f32[n] {}")), HasSubstr("expected a tensor with integer extents"));
  EXPECT_THAT(error_of(constant("f32[99999999999] {")), HasSubstr("line 1"));
  EXPECT_THAT(error_of(constant("f32[2] {1}")), HasSubstr("expected ','"));
}

TEST(Parse, NestingIsBounded) {
  std::string nested;
  for (int i = 0; i < 1000; ++i) nested += "graph \"g\"(%c: bool[]) { %y = If(%c) {then_branch = ";
  EXPECT_THAT(error_of(nested), HasSubstr("graphs nest too deeply"));
  std::string type;
  for (int i = 0; i < 100000; ++i) type += "seq(";
  EXPECT_NE(error_of("graph \"g\"(%x: " + type), "");
}

TEST(Parse, TruncatedTextIsAnError) {
  std::string text = every_attribute();
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_THAT(error_of(text.substr(0, size)), testing::StartsWith("line ")) << size;
  }
}

TEST(Parse, MutatedTextNeverCrashes) {
  Random random(5);
  std::string original = every_attribute();
  constexpr std::string_view kCharacters = "%\"{}()[],:=-0129 \n\\xf#aeinst_";
  int accepted = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string text = original;
    for (uint64_t n = 1 + random.below(3); n > 0; --n) {
      size_t at = random.below(text.size());
      switch (random.below(4)) {
        case 0:
          text[at] = kCharacters[random.below(kCharacters.size())];
          break;
        case 1:
          text.erase(at, 1 + random.below(8));
          break;
        case 2:
          text.insert(at, text.substr(random.below(text.size()), random.below(20)));
          break;
        default:
          text[at] = static_cast<char>(random.below(256));
      }
    }
    auto graph = parse_graph(text);
    if (!graph.ok()) {
      ASSERT_THAT(graph.error().message, testing::StartsWith("line "));
      continue;
    }
    ++accepted;
    std::string printed = print_graph(**graph);
    auto again = parse_graph(printed);
    ASSERT_TRUE(again.ok()) << again.error().message << "\n" << printed;
    ASSERT_EQ(print_graph(**again), printed);
  }
  EXPECT_GT(accepted, 50);
}

}  // namespace
}  // namespace gannet
