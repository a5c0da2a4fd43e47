#include "ir/named_target.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace gannet {
namespace {

TEST(NamedTarget, EachNameIsThatOfItsTargetAndCoversAllAfterIt) {
  const std::span<const std::string_view> names = target_names();
  for (size_t i = 0; i < names.size(); ++i) {
    const std::optional<Target> machine = find_target(names[i]);
    ASSERT_TRUE(machine) << names[i];
    EXPECT_EQ(target_name(*machine), names[i]);
    for (size_t k = 0; k < names.size(); ++k)
      EXPECT_EQ(covers(*machine, *find_target(names[k])), k >= i) << names[i] << " and " << names[k];
  }
  EXPECT_FALSE(find_target("x86-64-v5"));
}

TEST(NamedTarget, TheEnvironmentMakesTheHostALesserOne) {
  if (std::getenv("GANNET_ISA") || std::getenv("ONEDNN_MAX_CPU_ISA"))
    GTEST_SKIP() << "the environment limits the host already";
  const Target host = host_target();
  for (const std::string_view name : target_names()) {
    ::setenv("GANNET_ISA", std::string(name).c_str(), 1);
    const Target lesser = host_target();
    ::unsetenv("GANNET_ISA");
    EXPECT_TRUE(covers(host, lesser)) << name;
    EXPECT_EQ(target_name(lesser), covers(host, *find_target(name)) ? name : target_name(host)) << name;
  }
  ::setenv("ONEDNN_MAX_CPU_ISA", "avx512_core_vnni", 1);
  EXPECT_FALSE(host_target().bf16_products);
  ::unsetenv("ONEDNN_MAX_CPU_ISA");
}

}  // namespace
}  // namespace gannet
