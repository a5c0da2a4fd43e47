#include "ir/named_target.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "tests/support/scoped_variable.h"

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
  const ScopedVariable whole("GANNET_ISA", std::nullopt), library("ONEDNN_MAX_CPU_ISA", std::nullopt);
  const Target host = host_target();
  for (const std::string_view name : target_names()) {
    const ScopedVariable machine("GANNET_ISA", std::string(name));
    const Target lesser = host_target();
    EXPECT_TRUE(covers(host, lesser)) << name;
    EXPECT_EQ(target_name(lesser), covers(host, *find_target(name)) ? name : target_name(host)) << name;
  }
  const ScopedVariable cap("ONEDNN_MAX_CPU_ISA", "avx512_core_vnni");
  EXPECT_FALSE(host_target().bf16_products);
}

}  // namespace
}  // namespace gannet
