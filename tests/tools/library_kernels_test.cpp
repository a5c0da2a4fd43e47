// Which of oneDNN's kernels a run asks for, by what the library says of itself (DNNL_VERBOSE).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/scoped_variable.h"
#include "tests/tools/child_process.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet {
namespace {

using testing::HasSubstr;
using testing::Not;

class LibraryKernels : public test::CommandLine {
 protected:
  // What the library lists of a run in a process of its own, which reads the variable once.
  std::string listed(const std::vector<std::string>& words) {
    const ScopedVariable verbose("DNNL_VERBOSE", "1");
    test::ChildProcess child(words, "listed.txt");
    EXPECT_EQ(child.wait(), 0) << contents("listed.txt");
    return contents("listed.txt");
  }
};

// Thin matrices beside layers with biases: columns of such a product have no kernel for AVX2 but the reference, hundreds of times
// slower than rows of it.
TEST_F(LibraryKernels, StepsOfLowRankHaveNoReferenceProducts) {
  run("new bert-classifier --layers 1 --hidden 128 --heads 2 --vocab 160 --sample-data t.tsv --sample-vocab v.txt --samples 16 -o m.onnx");
  run("tune m.onnx --train t.tsv --vocab v.txt --steps 3 --lr 0.01 -o tuned.onnx");
  const std::string kernels = listed({"tune", "tuned.onnx", "--train", "t.tsv", "--vocab", "v.txt", "--steps", "1", "--batch-size", "4",
                                      "--lora", "r=8", "--threads", "1", "-o", "thin.onnx"});
  EXPECT_THAT(kernels, HasSubstr("exec,cpu,matmul,"));
  EXPECT_THAT(kernels, Not(HasSubstr("exec,cpu,matmul,ref")));
}

}  // namespace
}  // namespace gannet
