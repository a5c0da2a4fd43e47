// A warm run allocates nothing: the program's own operator new counts.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/backend/program_fixture.h"

namespace {
std::atomic<long> allocations = 0;
}

// All that are not aligned, since what one of them allocates another frees. Not inlined: GCC takes a free() inlined where a test is deleted for a mismatch with operator new.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace gannet {
namespace {

TEST(Allocation, AWarmRunAllocatesNothing) {
  const auto graph = test::graph_of(R"(graph "g"(%x: f32[n, 4]) {
  %two: f32[] = Constant() {value = f32[] {2}}
  %a = Mul(%x, %two)
  %b = Mul(%a, %two)
  %c = Concat(%b, %a) {axis = 0}
  %d = Mul(%c, %two)
  return %d, %b
})");
  const auto session = test::session_of(test::lowered(*graph, true));
  const std::vector<Datum> inputs = {test::floats({3, 4})}, more = {test::floats({5, 4})};
  std::vector<Datum> outputs(2);
  ASSERT_TRUE(session->run_into(inputs, outputs).ok());
  long before = allocations;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(session->run_into(inputs, outputs).ok());
  EXPECT_EQ(allocations, before);
  std::vector<Datum> others(2);
  ASSERT_TRUE(session->run_into(more, others).ok());
  before = allocations;
  ASSERT_TRUE(session->run_into(more, others).ok());
  EXPECT_EQ(allocations, before);
}

// The first run that changes a State copies it: its initial value is the Program's.
TEST(Allocation, AWarmRunThatUpdatesAStateAllocatesNothing) {
  const auto graph = test::graph_of(R"(graph "g"(%x: f32[3, 4]) {
  %two: f32[] = Constant() {value = f32[] {2}}
  %a = Mul(%x, %two)
  return %a
})");
  Value* in = graph->add_state_value("", Type::tensor(DType::kF32, Shape{3, 4}));
  graph->replace_uses(graph->inputs()[0], in);
  graph->states.push_back({"w", in, graph->outputs[0].value, test::floats({3, 4}).tensor(), std::nullopt});
  const auto session = test::session_of(test::lowered(*graph, true));
  const std::vector<Datum> inputs = {test::floats({3, 4})};
  std::vector<Datum> outputs(1);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(session->run_into(inputs, outputs).ok());
  const long before = allocations;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(session->run_into(inputs, outputs).ok());
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(session->state(0).data<float>()[0], 32.0f);
}

}  // namespace
}  // namespace gannet
