// What `gannet generate` refuses before it computes anything: flags without effect, and files that would be
// lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "frontend/onnx_writer.h"
#include "runtime/data/image.h"
#include "runtime/data/npy.h"
#include "runtime/data/tensor_image.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

namespace fs = std::filesystem;

class GenerateFlags : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    run("new dcgan-generator --image-size 28 --channels 1 --features 4 --latent 8 -o g.onnx");
    write_same("same.onnx", 0);
    for (const char* name : {"a.png", "b.png"})
      ASSERT_TRUE(write_png(name, Image{10, 12, 3, std::vector<uint8_t>(360, name[0])}).ok());
  }
  // A model that gives the picture that it gets, of `side` x `side` pixels (0: any).
  void write_same(const std::string& path, int64_t side) {
    OnnxWriter model("same", 17, 0);
    const WrittenDim height = side > 0 ? WrittenDim(side) : WrittenDim("h"),
                     width = side > 0 ? WrittenDim(side) : WrittenDim("w");
    model.node("Relu", {model.input("x", DType::kF32, {int64_t{1}, int64_t{3}, height, width})}, {}, "y");
    model.output("y", DType::kF32, {int64_t{1}, int64_t{3}, height, width});
    ASSERT_TRUE(model.save(path).ok());
  }
};

TEST_F(GenerateFlags, ThoseOfTheOtherModeAreErrors) {
  for (const char* flag : {"-n 3", "--seed 1", "--grid x.png", "--gif x.gif", "--class 1",
                           "--interpolate 1 2", "--truncation 0.5", "--distribution uniform", "--latent z",
                           "--generator-batch 2", "--columns 2", "--delay 50", "--picture-bgr"}) {
    const std::string text = error(std::string("generate same.onnx --image a.png -o y.png ") + flag);
    EXPECT_THAT(text, HasSubstr("is for pictures from random numbers")) << flag;
  }
  for (const char* flag : {"--tile 16", "--overlap 2", "--input-range 0..1", "--mean 0.5", "--bgr",
                           "--scale 1", "--image-size 8x8", "--resize crop"}) {
    const std::string text = error(std::string("generate g.onnx -n 2 -o y ") + flag);
    EXPECT_THAT(text, HasSubstr("is for pictures of pictures, which --image names")) << flag;
  }
  EXPECT_FALSE(fs::exists("y") || fs::exists("y.png"));
}

TEST_F(GenerateFlags, ThoseThatNeedAnotherAreErrors) {
  EXPECT_THAT(error("generate g.onnx --interpolate 1 2 --seed 3 --grid x.png"),
              HasSubstr("--seed does not go"));
  EXPECT_THAT(error("generate g.onnx --steps 4 --grid x.png"),
              HasSubstr("--interpolate, which is not given"));
  EXPECT_THAT(error("generate g.onnx --columns 4 -o y"), HasSubstr("--grid, which is not given"));
  EXPECT_THAT(error("generate g.onnx --delay 40 --grid x.png"), HasSubstr("--gif, which is not given"));
  EXPECT_THAT(error("generate same.onnx --image a.png"), HasSubstr("--image needs -o"));
  write_same("fixed.onnx", 8);
  EXPECT_THAT(error("generate fixed.onnx --image a.png -o y.png --tile 16"),
              AllOf(HasSubstr("takes pictures of 8 x 8"), HasSubstr("--tile is for models of any size")));
  EXPECT_THAT(error("generate same.onnx --image a.png -o y.png --overlap 2"), HasSubstr("--tile"));
  run("generate same.onnx --image a.png -o y.png --overlap 2 --tile 8");
}

TEST_F(GenerateFlags, NamesSayWhatIsWritten) {
  EXPECT_THAT(error("generate g.onnx -n 64 -o out.png"),
              AllOf(HasSubstr("out.png: is the name of one picture, and 64 are made"), HasSubstr("--grid")));
  EXPECT_FALSE(fs::exists("out.png"));
  run("generate g.onnx -n 1 -o out.png");
  EXPECT_TRUE(fs::is_regular_file("out.png"));
  EXPECT_THAT(error("generate g.onnx -n 1 -o out.jpg"), HasSubstr("is no '.jpg' but '.png'"));
  EXPECT_THAT(error("generate g.onnx --grid out.webp"), HasSubstr("is no '.webp' but '.png'"));
  EXPECT_THAT(error("generate g.onnx --gif out.png"), HasSubstr("is no '.png' but '.gif'"));
  EXPECT_THAT(error("generate g.onnx --grid x.png -o x.png -n 1"), HasSubstr("x.png would be written twice"));
  EXPECT_THAT(error("generate same.onnx --image a.png -o y.jpg"), HasSubstr("is no '.jpg' but '.png'"));
  EXPECT_THAT(error("generate same.onnx --image a.png --image b.png -o y.png"),
              HasSubstr("go into a folder"));
  write("file", "kept");
  EXPECT_THAT(error("generate g.onnx -n 2 -o file"), HasSubstr("is a file"));
  EXPECT_THAT(error("generate g.onnx -n 2 -o file/inside"), HasSubstr("is a file"));
  EXPECT_THAT(error("generate same.onnx --image a.png --image b.png -o file"), HasSubstr("is a file"));
  EXPECT_EQ(contents("file"), "kept");
}

TEST_F(GenerateFlags, PicturesThatWouldStayAmongNewOnesAreRefused) {
  run("generate g.onnx -n 5 -o fake");
  const std::string before = contents("fake/00004.png");
  run("generate g.onnx -n 5 -o fake --seed 2");  // takes their places
  EXPECT_NE(contents("fake/00004.png"), before);
  EXPECT_THAT(error("generate g.onnx -n 4 -o fake"),
              AllOf(HasSubstr("fake/00004.png would stay among the new pictures")));
  run("generate g.onnx -n 6 -o fake/");
  write("fake/notes.txt", "no picture");
  run("generate g.onnx -n 6 -o fake");
  fs::create_directory("fake/old");
  fs::copy_file("a.png", "fake/old/a.png");
  EXPECT_THAT(error("generate g.onnx -n 6 -o ./fake"), HasSubstr("old/a.png would stay"));
}

TEST_F(GenerateFlags, SourcesAreNotOverwritten) {
  fs::create_directory("other");
  fs::copy_file("b.png", "other/a.png");
  EXPECT_THAT(error("generate same.onnx --image a.png --image other/a.png -o y"),
              HasSubstr("a.png and other/a.png would both become y/a.png"));
  EXPECT_FALSE(fs::exists("y"));
  const std::string a = contents("a.png"), b = contents("b.png");
  EXPECT_THAT(error("generate same.onnx --image a.png --image b.png -o ."),
              HasSubstr("would overwrite a.png"));
  EXPECT_THAT(error("generate same.onnx --image a.png -o other/../a.png"),
              HasSubstr("would overwrite a.png"));
  EXPECT_THAT(error("generate same.onnx --image a.png -o same.onnx"), HasSubstr("would overwrite same.onnx"));
  fs::create_symlink("b.png", "link.png");
  EXPECT_THAT(error("generate same.onnx --image b.png -o link.png"), HasSubstr("would overwrite b.png"));
  EXPECT_EQ(contents("a.png"), a);
  EXPECT_EQ(contents("b.png"), b);
}

// Pictures that are written as they come are those of an array of all.
TEST_F(GenerateFlags, AFolderHasThePicturesOfTheArray) {
  run("generate g.onnx -n 37 --seed 7 -o all.npy --grid all.png");
  run("generate g.onnx -n 37 --seed 7 -o fake --generator-batch 5 --threads 1");
  const auto images = images_of(*read_npy("all.npy"));
  ASSERT_TRUE(images.ok());
  for (size_t i : {size_t{0}, size_t{4}, size_t{5}, size_t{36}})
    EXPECT_EQ(read_image("fake/000" + std::string(i < 10 ? "0" : "") + std::to_string(i) + ".png")->pixels,
              (*images)[i].pixels);
}

// Where nothing else says so, all values tell the range, however they are written.
TEST_F(GenerateFlags, AllValuesTellTheRange) {
  OnnxWriter model("identity", 17, 0);
  model.node("Identity", {model.input("latent", DType::kF32, {"n", int64_t{900}})}, {}, "y");
  model.output("y", DType::kF32, {"n", int64_t{900}});
  ASSERT_TRUE(model.save("identity.onnx").ok());
  const auto note = [&](const std::string& flags) {
    const std::string text = run("generate identity.onnx -n 70 " + flags);
    const size_t begin = text.find("values from"), end = text.find(';', begin);
    EXPECT_NE(begin, std::string::npos) << text;
    return text.substr(begin, end - begin);
  };
  const std::string of_grid = note("--grid grid.png");
  EXPECT_EQ(note("-o fake"), of_grid);
  EXPECT_EQ(note("-o fake --generator-batch 3"), of_grid);
  EXPECT_EQ(note("-o all.npy --gif all.gif"), of_grid);
}

}  // namespace
}  // namespace gannet::test
