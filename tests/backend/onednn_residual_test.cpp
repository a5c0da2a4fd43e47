// A residual that ends in a convolution's sum is where the result goes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "backend/backend.h"
#include "passes/pass.h"
#include "tests/backend/onednn_fixture.h"
#include "tests/backend/program_fixture.h"

namespace gannet::test {
namespace {

// relu(conv(relu(conv(a))) + a) where a is a convolution of x; the result goes on where `continued`.
std::string block(const std::string& x, int64_t channels, int64_t groups, int64_t kernel, bool continued, std::string_view sum = "Add(%d, %a)") {
  const int64_t pad = kernel / 2;
  const std::string w = fmt::format("f32[{}, {}, {}, {}]", channels, channels / groups, kernel, kernel);
  const std::string attrs = fmt::format("{{group = {0}, pads = [{1}, {1}, {1}, {1}]}}", groups, pad);
  std::string text = fmt::format("graph \"main\"(%x: f32[{}], %v: {}, %w: {}, %b: f32[{}]) {{\n", x, w, w, channels);
  text += fmt::format("  %a = Conv(%x, %v, %b) {0}\n  %c = Conv(%a, %w, %b) {0}\n  %m = Relu(%c)\n  %d = Conv(%m, %v, %b) {0}\n", attrs);
  text += fmt::format("  %s = {}\n  %y = Relu(%s)\n", sum);
  return text + (continued ? fmt::format("  %z = Conv(%y, %w, %b) {}\n  return %z\n}}", attrs) : "  return %y\n}");
}

void expect_block(std::vector<int64_t> x, int64_t groups, int64_t kernel) {
  const int64_t channels = x[1];
  const std::vector<int64_t> w = {channels, channels / groups, kernel, kernel};
  for (const bool continued : {false, true}) {
    expect_onednn(block(fmt::format("{}", fmt::join(x, ", ")), channels, groups, kernel, continued), {uniform(x, 1), uniform(w, 2), uniform(w, 3), uniform({channels}, 4)},
                  {.tolerance = 1e-4});
  }
}

TEST(OnednnResidual, SumsOfAllKindsOfConvolutions) {
  expect_block({1, 16, 9, 8}, 1, 3);
  expect_block({2, 64, 7, 7}, 1, 1);
  expect_block({1, 512, 4, 5}, 1, 1);
  expect_block({1, 96, 6, 6}, 1, 3);
  expect_block({1, 24, 10, 9}, 24, 3);
  expect_block({1, 12, 10, 9}, 2, 5);
  expect_block({1, 5, 6, 7}, 1, 3);
}

// How many convolutions add in place.
int in_place_of(const std::string& text) {
  const auto graph = graph_of(text);
  PassContext context;
  EXPECT_TRUE(run_passes(*graph, "channels_last,move_transposes,fuse_contractions", context).ok());
  CompileOptions options;
  options.cache = false;
  const Result<CompiledProgram> compiled = lower_to_program(*graph, options);
  EXPECT_TRUE(compiled.ok());
  int in_place = 0;
  for (const Step& step : compiled->program->steps) {
    const auto* primitive = std::get_if<PrimitiveCall>(&step.call);
    const auto* convolution = primitive ? std::get_if<ConvolutionRecipe>(&primitive->recipe) : nullptr;
    in_place += convolution && convolution->in_place >= 0;
  }
  return in_place;
}

TEST(OnednnResidual, TheSumTakesTheMemoryOfTheResidual) {
  EXPECT_EQ(in_place_of(block("1, 8, 6, 6", 8, 1, 3, true)), 1);
  EXPECT_EQ(in_place_of(block("1, 8, 6, 6", 8, 1, 3, true, "Add(%a, %d)")), 1);
  // What is read again, or multiplied, stays.
  EXPECT_EQ(in_place_of(block("1, 8, 6, 6", 8, 1, 3, true, "Mul(%d, %a)")), 0);
  std::string kept = block("1, 8, 6, 6", 8, 1, 3, true);
  kept.replace(kept.find("return %z"), 9, "%k = Mul(%z, %a)\n  return %k");
  EXPECT_EQ(in_place_of(kept), 0);
}

}  // namespace
}  // namespace gannet::test
