#include "ir/base/check.h"

#include <gtest/gtest.h>

namespace gannet {
namespace {

TEST(CheckDeathTest, EndsTheProgramWithTheCondition) {
  EXPECT_DEATH(CHECK(1 + 1 == 3, "sum is {}", 2), "internal error: 1 \\+ 1 == 3 is false: sum is 2");
}

TEST(CheckDeathTest, PassesQuietly) { CHECK(1 + 1 == 2, "sum is {}", 2); }

}  // namespace
}  // namespace gannet
