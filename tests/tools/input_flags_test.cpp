// What the flags that name inputs, pictures and classes refuse.
#include <gmock/gmock.h>

#include <filesystem>

#include "runtime/data/image.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class InputFlags : public CommandLine {};

// The picture is none: it must not be what the error is about.
TEST_F(InputFlags, PictureFlagsAreCheckedBeforeAnyPictureIsRead) {
  run("new cnn --image-size 8 --channels 1 --classes 2 -o cnn.onnx");
  for (const char* name : {"pictures/a/x.png", "pictures/b/y.png"}) {
    std::filesystem::create_directories(std::filesystem::path(name).parent_path());
    write(name, "no picture");
  }
  const std::pair<std::string, std::string> flags[] = {
      {"--scale nan", "--scale: 'nan' is not a finite number other than 0"},
      {"--scale 0", "--scale: '0' is not a finite number other than 0"},
      {"--scale inf", "--scale: 'inf' is not a finite number other than 0"},
      {"--std 0", "--std: '0' is not a finite number above 0"},
      {"--mean 0.5,nan,0.5", "--mean: 'nan' is not a finite number"},
      {"--mean 1,2", "--mean takes one number for all channels, or one for each of 3; it has 2"},
      {"--std 1,2,3,4", "--std takes one number for all channels, or one for each of 3; it has 4"},
      {"--mean 1,2,3", "--mean has 3 values for 1 channels"},
      {"--image-size 0x0", "--image-size 0x0: a side has 1 to 65535 pixels, not 0"},
      {"--image-size 8x70000", "--image-size 8x70000: a side has 1 to 65535 pixels, not 70000"}};
  for (const auto& [flag, text] : flags) {
    for (const std::string line : {"run cnn.onnx --input pictures/a/x.png ", "tune cnn.onnx --train pictures -o t.onnx ",
                                   "evaluate cnn.onnx --data pictures "}) {
      EXPECT_THAT(error(line + flag), AllOf(HasSubstr(text), Not(HasSubstr("x.png: not a")), Not(HasSubstr("can be read"))))
          << line << flag;
    }
  }
}

TEST_F(InputFlags, FilesThatNobodyReadsAreNotTakenAsElements) {
  run("new mlp --inputs 2 --units 4 --outputs 2 -o mlp.onnx");
  const std::string two_floats("\0\0\x80\x3f\0\0\0\x40", 8);
  for (const char* name : {"x.gif", "x.tiff", "x.txt", "x.csv", "x.json"}) {
    write(name, two_floats);
    EXPECT_THAT(error(std::string("run mlp.onnx --input input=") + name),
                HasSubstr(std::string("error: input 'input': ") + name + ": is neither an array nor a picture; inputs are .npy"));
  }
  for (const char* name : {"x.bin", "x.raw", "x", "frame.0001"}) {
    write(name, two_floats);
    run(std::string("run mlp.onnx --input input=") + name);
  }
}

TEST_F(InputFlags, LabelsNameEveryClass) {
  run("new mlp --inputs 2 --units 4 --outputs 3 -o mlp.onnx");
  write("two.txt", "ant\nbee\n");
  write("three.txt", "ant\nbee\ncat\n");
  EXPECT_EQ(error("run mlp.onnx --top 1 --labels two.txt"), "error: two.txt: 2 names, output 'logits' has 3 classes\n");
  EXPECT_THAT(error("run mlp.onnx --labels three.txt"), HasSubstr("--labels requires --top"));
  EXPECT_THAT(run("run mlp.onnx --top 1000 --labels three.txt"), AllOf(HasSubstr(" ant "), HasSubstr(" bee "), HasSubstr(" cat ")));
}

TEST_F(InputFlags, APreviewIsAsLargeAsAPictureMayBe) {
  ASSERT_TRUE(write_png("a.png", Image{8, 8, 1, std::vector<uint8_t>(64, 90)}).ok());
  EXPECT_THAT(error("augment a.png --augment flip --preview p.png --columns 100 --image-size 5000x5000"),
              HasSubstr("--preview: 100 columns of 1 pictures of 5000 x 5000 are 5002 x 500200 pixels, more than 268435456 in all"));
  ASSERT_TRUE(write_png("b.png", Image{1, 20'000, 1, std::vector<uint8_t>(20'000, 90)}).ok());
  ASSERT_TRUE(write_png("c.png", Image{20'000, 1, 1, std::vector<uint8_t>(20'000, 90)}).ok());
  EXPECT_THAT(error("augment b.png c.png --augment flip --preview p.png"), HasSubstr("8 columns of 2 pictures of 20000 x 20000 are"));
  EXPECT_FALSE(std::filesystem::exists("p.png"));
  run("augment a.png --augment flip --preview p.png");
}

}  // namespace
}  // namespace gannet::test
