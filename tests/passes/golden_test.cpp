// Every row of passes.def against its golden file tests/passes/<pass>.ir.
//
// A file holds cases separated by a line `===`. A case is comment lines (`# title`), a graph, a line `---`,
// and the graph that the pass makes of it. With GANNET_UPDATE_GOLDEN=1 in the environment the second half is
// rewritten. Each case also shows that the pass keeps what the graph computes, that it is done after one run,
// and that it says the truth about whether it changed anything.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "ir/base/file.h"
#include "ir/base/random.h"
#include "ir/evaluate.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "passes/pass.h"
#include "tests/support/tests_folder.h"

namespace gannet {
namespace {

constexpr int64_t kMostBytes = 1 << 20;

struct Case {
  std::string title;  // the comment lines
  std::string before;
  std::string after;
};

std::string golden_path(std::string_view pass) {
  return fmt::format("{}/passes/{}.ir", test::tests_folder(), pass);
}

std::vector<Case> read_cases(std::string_view text) {
  std::vector<Case> cases(1);
  bool second_half = false;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    Case& last = cases.back();
    if (line == "===") {
      cases.emplace_back();
      second_half = false;
    } else if (line == "---") {
      second_half = true;
    } else {
      std::string& part = second_half ? last.after : line.starts_with('#') ? last.title : last.before;
      part.append(line).append("\n");
    }
  }
  return cases;
}

std::string write_cases(const std::vector<Case>& cases) {
  std::string text;
  for (const Case& one : cases)
    text += fmt::format("{}{}{}---\n{}", text.empty() ? "" : "===\n", one.title, one.before, one.after);
  return text;
}

// The same on all machines.
Target golden_target() {
  Target target;
  target.integer_products = target.bf16_products = true;
  return target;
}

void expect_sound(const Graph& graph, const char* when) {
  Status status = verify(graph);
  EXPECT_TRUE(status.ok()) << when << ": " << (status.ok() ? "" : status.error().message);
  const std::string text = print_graph(graph);
  auto read_back = parse_graph(text);
  ASSERT_TRUE(read_back.ok()) << when << ": " << read_back.error().message << "\n" << text;
  EXPECT_EQ(print_graph(**read_back), text) << when;
}

// Small extents, different for the first symbols; `shift` gives others.
SymbolValues small_sizes(const Graph& graph, int64_t shift) {
  std::vector<std::string> names;
  for (const Value* input : graph.inputs()) {
    for (const Dim& dim : input->type.shape.value_or(Shape{})) dim.collect_symbols(names);
  }
  SymbolValues sizes;
  for (const std::string& name : names)
    sizes.emplace(name, 1 + (shift + static_cast<int64_t>(sizes.size())) % 4);
  return sizes;
}

Tensor random_input(const Type& type, const SymbolValues& sizes, Random& random) {
  auto extents = evaluate(*type.shape, sizes);
  CHECK(extents.ok(), "{}", extents.error().message);
  Tensor tensor = Tensor::zeros(type.dtype, *extents);
  visit_dtype(type.dtype, [&]<class T>(Tag<T>) {
    for (T& element : tensor.mutable_data<T>()) {
      if constexpr (std::is_same_v<T, std::string>)
        element = std::string(1, static_cast<char>('a' + random.below(3)));
      else if constexpr (std::is_same_v<T, bool>)
        element = random.below(2) != 0;
      else if constexpr (std::is_integral_v<T>)
        element = static_cast<T>(random.below(3));
      else if constexpr (std::is_constructible_v<T, float>)
        element = static_cast<T>(static_cast<float>(random.uniform(-2, 2)));
    }
  });
  return tensor;
}

double tolerance_of(DType dtype, bool rounded) {
  return dtype == DType::kF64    ? 1e-9
         : dtype == DType::kF32  ? (rounded ? 1e-2 : 2e-5)
         : dtype == DType::kF16  ? 4e-3
         : dtype == DType::kBF16 ? 3e-2
                                 : 0;
}

void expect_close(const Tensor& was, const Tensor& is, const std::string& name, bool rounded) {
  ASSERT_EQ(type_string(was), type_string(is)) << name;
  if (!is_float(was.dtype())) {
    EXPECT_TRUE(was.identical(is)) << name << ": " << print_tensor(was) << " became " << print_tensor(is);
    return;
  }
  double largest = 1;
  for (int64_t i = 0; i < was.elements(); ++i) {
    if (std::isfinite(was.double_at(i))) largest = std::max(largest, std::abs(was.double_at(i)));
  }
  for (int64_t i = 0; i < was.elements(); ++i) {
    const double x = was.double_at(i), y = is.double_at(i);
    const bool same =
        x == y || (std::isnan(x) && std::isnan(y)) || std::abs(x - y) <= tolerance_of(was.dtype(), rounded) * largest;
    ASSERT_TRUE(same) << name << ", element " << i << ": " << x << " became " << y;
  }
}

// `rounded`: up to operands of products in bf16.
void expect_same_meaning(const Graph& before, const Graph& after, uint64_t seed, bool rounded) {
  const SymbolValues sizes = small_sizes(before, static_cast<int64_t>(seed));
  Random random(seed);
  std::vector<Datum> inputs;
  for (const Value* input : before.inputs()) {
    ASSERT_TRUE(input->type.is_tensor() && input->type.shape)
        << "input " << input->name << " is not a tensor of known rank";
    inputs.emplace_back(random_input(input->type, sizes, random));
  }
  EvaluateOptions options;
  options.seed = seed;
  auto was = evaluate(before, inputs, options), is = evaluate(after, inputs, options);
  ASSERT_TRUE(was.ok()) << was.error().message;
  ASSERT_TRUE(is.ok()) << is.error().message;
  ASSERT_EQ(was->outputs.size(), is->outputs.size());
  for (size_t i = 0; i < was->outputs.size(); ++i) {
    if (was->outputs[i].is_tensor())
      expect_close(was->outputs[i].tensor(), is->outputs[i].tensor(), before.outputs[i].name, rounded);
  }
  for (size_t i = 0; i < was->state_outputs.size(); ++i) {
    expect_close(was->state_outputs[i], is->state_outputs[i], before.states[i].name, rounded);
  }
}

// Runs `pass`; what it says about having changed the graph.
bool run_once(Graph& graph, const Pass& pass) {
  bool changed = false;
  RunOptions options;
  options.observer = [&](const Pass&, int64_t, const Graph&, bool says_changed, double) {
    changed = says_changed;
    return Status();
  };
  PassContext context(golden_target());
  context.product_dtype = DType::kBF16;
  Status status = run_passes(graph, pass.name, context, options);
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
  return changed;
}

// Runs one case and returns the graph that the pass made, as text.
void run_case(const Pass& pass, const Case& one, std::string& made) {
  auto parsed = parse_graph(one.before);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  Graph& graph = **parsed;
  expect_sound(graph, "before");
  const std::string before_text = print_graph(graph);
  const std::unique_ptr<Graph> before = graph.clone();
  const bool changed = run_once(graph, pass);
  const std::string after_text = print_graph(graph);
  made = after_text + "\n";
  expect_sound(graph, "after");
  EXPECT_EQ(changed, before_text != after_text)
      << "says that it " << (changed ? "changed the graph" : "changed nothing");
  EXPECT_FALSE(run_once(graph, pass)) << "a second run says that it changed the graph";
  EXPECT_EQ(print_graph(graph), after_text) << "a second run changed the graph";
  ASSERT_EQ(before->outputs.size(), graph.outputs.size());
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    EXPECT_EQ(before->outputs[i].name, graph.outputs[i].name);
    EXPECT_EQ(to_string(before->outputs[i].value->type), to_string(graph.outputs[i].value->type));
  }
  for (uint64_t seed = 1; seed <= 3; ++seed) expect_same_meaning(*before, graph, seed, pass.name == "round_products");
}

class GoldenTest : public testing::TestWithParam<Pass> {};

TEST_P(GoldenTest, PassDoesWhatItsFileSays) {
  const Pass& pass = GetParam();
  const std::string path = golden_path(pass.name);
  auto text = read_file(path, kMostBytes);
  ASSERT_TRUE(text.ok()) << text.error().message;
  std::vector<Case> cases = read_cases(*text);
  const bool update = std::getenv("GANNET_UPDATE_GOLDEN") != nullptr;
  for (Case& one : cases) {
    SCOPED_TRACE(path + ": " + one.title);
    std::string made;
    run_case(pass, one, made);
    if (made.empty()) continue;
    if (!update) {
      EXPECT_EQ(made, one.after);
    }
    one.after = made;
  }
  if (!update) return;
  ASSERT_TRUE(write_file_atomically(path, write_cases(cases)).ok());
}

std::vector<Pass> passes() { return {all_passes().begin(), all_passes().end()}; }

INSTANTIATE_TEST_SUITE_P(Passes, GoldenTest, testing::ValuesIn(passes()),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(GoldenFiles, EachBelongsToAPass) {
  for (const auto& entry : std::filesystem::directory_iterator(fmt::format("{}/passes", test::tests_folder()))) {
    if (entry.path().extension() != ".ir") continue;
    EXPECT_NE(find_pass(entry.path().stem().string()), nullptr) << entry.path();
  }
}

}  // namespace
}  // namespace gannet
