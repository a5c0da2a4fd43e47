#include "runtime/training/curves.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(Curves, TicksAreRoundNumbersInside) {
  EXPECT_THAT(axis_ticks(0, 10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(axis_ticks(0.13, 0.31, 4),
              ElementsAre(testing::DoubleNear(0.15, 1e-12), testing::DoubleNear(0.2, 1e-12),
                          testing::DoubleNear(0.25, 1e-12), testing::DoubleNear(0.3, 1e-12)));
  EXPECT_TRUE(axis_ticks(1, 1, 5).empty());
  EXPECT_TRUE(axis_ticks(0, INFINITY, 5).empty());
  for (double high = 1e-9; high < 1e9; high *= 3.7) {
    const auto ticks = axis_ticks(0, high, 5);
    EXPECT_GE(ticks.size(), 3u) << high;
    EXPECT_LE(ticks.size(), 11u) << high;
  }
}

TEST(Curves, SmoothingIsUnbiasedAtTheStart) {
  const auto flat = smoothed({{1, 3.0}, {2, 3.0}, {3, 3.0}}, 0.9);
  for (const auto& [x, y] : flat) EXPECT_NEAR(y, 3.0, 1e-12);
  EXPECT_NEAR(smoothed({{1, 0.0}, {2, 1.0}}, 0.5)[1].second, 2.0 / 3, 1e-12);
}

TEST(Curves, APageIsOneFileWithItsCurves) {
  CurvesPage page{"run <1>", {{"model", "a & b"}}, {}};
  page.panels.push_back(
      {"Loss", {{"training", {{1, 2}, {2, 1}}, false, false}, {"held out", {{2, 1.5}}, false, true}}});
  const std::string html = curves_html(page);
  EXPECT_THAT(html, HasSubstr("run &lt;1&gt;"));
  EXPECT_THAT(html, HasSubstr("a &amp; b"));
  EXPECT_THAT(html, HasSubstr("<title>held out 1.5 at step 2</title>"));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("http")));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
}

TEST(Curves, AnyNumbersMakeAPage) {
  Curve broken{"broken", {{1, NAN}, {2, INFINITY}, {3, 1}, {4, -INFINITY}, {5, 2}}, false, true};
  Curve nothing{"nothing", {{1, NAN}}, false, false}, empty{"empty", {}, false, false},
      one{"one", {{7, 0}}, false, false};
  const std::string html =
      curves_html({"x", {}, {{"a", {broken, empty}}, {"b", {nothing}}, {"c", {one}}, {"d", {}}}});
  EXPECT_THAT(html, HasSubstr("<h2>a</h2>"));
  EXPECT_THAT(html, Not(HasSubstr("<h2>b</h2>")));
  EXPECT_THAT(html, HasSubstr("<h2>c</h2>"));
  EXPECT_THAT(html, Not(testing::ContainsRegex("d=\"[^\"]*(nan|inf)")));
}

TEST(Curves, ManyPointsAreThinned) {
  Curve curve{"long", {}, false, true};
  for (int i = 0; i < 1'000'000; ++i) curve.points.emplace_back(i, std::sin(i * 1e-5));
  EXPECT_LT(curves_html({"x", {}, {{"a", {curve}}}}).size(), 40'000u);
}

}  // namespace
}  // namespace gannet
