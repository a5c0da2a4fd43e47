// Pictures from generators and from pictures. The models are made here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "frontend/onnx_writer.h"
#include "runtime/data/image.h"
#include "runtime/data/npy.h"
#include "tests/tools/command_line_fixture.h"

namespace gannet::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Generate : public CommandLine {
 protected:
  void make_dcgan() {
    run("new dcgan-generator --image-size 28 --channels 1 --features 4 --latent 8 -o g.onnx");
  }
};

std::vector<float> row(const Tensor& tensor, int64_t index) {
  const int64_t width = tensor.elements() / tensor.extent(0);
  const auto first = tensor.data<float>().begin() + index * width;
  return {first, first + width};
}

size_t count_files(const std::string& folder) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    count += entry.is_regular_file();
  return count;
}

// A sigmoid of what latent z and class say, as 3 x 2 x 2 pixels. `one_hot`: the class is one number for each
// of 3.
void write_conditional(const std::string& path, bool one_hot) {
  OnnxWriter model("conditional", 17, 1);
  const std::string z = model.input("z", DType::kF32, {"batch", int64_t{4}});
  const std::string table = model.weight("table", {3, 12}, Fill::normal(0, 1));
  std::string of_class;
  if (one_hot)
    of_class = model.node("MatMul", {model.input("label", DType::kF32, {"batch", int64_t{3}}), table});
  else
    of_class = model.node("Gather", {table, model.input("label", DType::kI64, {"batch"})});
  const std::string of_z = model.node("MatMul", {z, model.weight("w", {4, 12}, Fill::normal(0, 1))});
  const std::string both = model.node("Sigmoid", {model.node("Add", {of_z, of_class})});
  model.node("Reshape", {both, model.ints({-1, 3, 2, 2})}, {}, "image");
  model.output("image", DType::kF32, {"batch", int64_t{3}, int64_t{2}, int64_t{2}});
  ASSERT_TRUE(model.save(path).ok());
}

TEST_F(Generate, PicturesDependOnTheSeedAlone) {
  make_dcgan();
  EXPECT_THAT(run("generate g.onnx -n 10 --seed 3 --grid grid.png -o a --threads 1"),
              AllOf(HasSubstr("latent 'z' f32[batch, 8, 1, 1] normal, pictures of -1..1 (found)"),
                    HasSubstr("10 pictures")));
  EXPECT_EQ(count_files("a"), 10u);
  const Image grid = *read_image("grid.png");
  EXPECT_EQ(grid.width, 4 * 30 + 2);
  EXPECT_EQ(grid.height, 3 * 30 + 2);
  run("generate g.onnx -n 10 --seed 3 -o b --threads 2 --generator-batch 3");
  run("generate g.onnx -n 3 --seed 3 -o c");
  run("generate g.onnx -n 3 --seed 4 -o d");
  for (const char* name : {"00000.png", "00002.png"}) {
    EXPECT_EQ(contents(std::string("a/") + name), contents(std::string("b/") + name));
    EXPECT_EQ(contents(std::string("a/") + name), contents(std::string("c/") + name));
    EXPECT_NE(contents(std::string("a/") + name), contents(std::string("d/") + name));
  }
  run("generate g.onnx -n 4 --seed 3 -o x.npy --threads 1");
  run("generate g.onnx -n 5 --seed 3 -o y.npy --threads 2");
  const Tensor x = *read_npy("x.npy"), y = *read_npy("y.npy");
  EXPECT_EQ(x.extents(), (std::vector<int64_t>{4, 1, 28, 28}));
  EXPECT_EQ(row(x, 3), row(y, 3));
}

TEST_F(Generate, InterpolatesBetweenTwoSeeds) {
  make_dcgan();
  run("generate g.onnx --seed 5 -n 2 -o from.npy");
  run("generate g.onnx --seed 6 -n 2 -o to.npy");
  EXPECT_THAT(
      run("generate g.onnx --interpolate 5 6 -n 2 --steps 4 -o between.npy --grid lines.png --gif tour.gif"),
      AllOf(HasSubstr("a grid of 8 pictures"), HasSubstr("tour.gif: an animation")));
  const Tensor between = *read_npy("between.npy"), from = *read_npy("from.npy"), to = *read_npy("to.npy");
  for (int64_t line = 0; line < 2; ++line) {
    EXPECT_EQ(row(between, 4 * line), row(from, line));
    EXPECT_EQ(row(between, 4 * line + 3), row(to, line));
    EXPECT_NE(row(between, 4 * line + 1), row(from, line));
  }
  EXPECT_EQ(read_image("lines.png")->width, 4 * 30 + 2);
  EXPECT_EQ(contents("tour.gif").substr(0, 6), "GIF89a");
}

TEST_F(Generate, TruncationKeepsLatentsNear) {
  OnnxWriter model("identity", 17, 0);
  model.node("Identity", {model.input("latent", DType::kF32, {int64_t{1}, int64_t{900}})}, {}, "y");
  model.output("y", DType::kF32, {int64_t{1}, int64_t{900}});
  ASSERT_TRUE(model.save("identity.onnx").ok());
  run("generate identity.onnx -n 3 --truncation 0.5 -o near.npy");
  run("generate identity.onnx -n 3 -o far.npy");
  run("generate identity.onnx -n 3 --distribution uniform -o even.npy");
  auto furthest = [](const std::string& path) {
    const Tensor values = *read_npy(path);
    double most = 0;
    for (const float value : values.data<float>())
      most = std::max(most, std::fabs(static_cast<double>(value)));
    return most;
  };
  EXPECT_LE(furthest("near.npy"), 0.5);
  EXPECT_GT(furthest("near.npy"), 0.4);
  EXPECT_GT(furthest("far.npy"), 2);
  EXPECT_LE(furthest("even.npy"), 1);
  EXPECT_THAT(run("generate identity.onnx -n 2 --grid g.png"), HasSubstr("are taken as pictures of 0..255"));
  EXPECT_EQ(read_image("g.png")->height, 34);
}

TEST_F(Generate, TakesAClassEachLine) {
  for (const bool one_hot : {false, true}) {
    write_conditional("c.onnx", one_hot);
    EXPECT_THAT(run("generate c.onnx --class all -n 4 --grid classes.png -o all"),
                AllOf(HasSubstr("class 'label' of 3"), HasSubstr("pictures of 0..1 (found)"),
                      HasSubstr("12 pictures")));
    EXPECT_EQ(read_image("classes.png")->height, 3 * 4 + 2);
    for (const char* folder : {"all/0", "all/1", "all/2"}) EXPECT_EQ(count_files(folder), 4u);
    run("generate c.onnx --class 2 -n 2 -o two.npy");
    run("generate c.onnx --class 0,2 -n 2 -o both.npy");
    EXPECT_EQ(row(*read_npy("two.npy"), 1), row(*read_npy("both.npy"), 3));
    EXPECT_NE(row(*read_npy("both.npy"), 1), row(*read_npy("both.npy"), 3));
    EXPECT_THAT(error("generate c.onnx --class 3 -o x.npy"),
                HasSubstr("class 3 of a generator with classes 0 to 2"));
    std::filesystem::remove_all("all");
  }
}

TEST_F(Generate, SaysWhatDoesNotFit) {
  make_dcgan();
  EXPECT_THAT(error("generate g.onnx"), HasSubstr("--grid"));
  EXPECT_THAT(error("generate g.onnx --class 1 -o x"), HasSubstr("has no class"));
  EXPECT_THAT(error("generate g.onnx --latent noise -o x"),
              HasSubstr("no latent 'noise'; its inputs are 'z'"));
  EXPECT_THAT(error("generate g.onnx --output-range 3 -o x"), HasSubstr("LOW..HIGH"));
  EXPECT_THAT(error("generate g.onnx --grid nowhere/x.png"), HasSubstr("nowhere"));
  run("new mlp --inputs 8 --outputs 7 -o mlp.onnx");
  EXPECT_THAT(error("generate mlp.onnx --grid x.png"), HasSubstr("is no batch of pictures"));
  EXPECT_THAT(error("generate mlp.onnx --image x.png -o y.png"),
              HasSubstr("one input and an output that are pictures"));
}

class ImageToImageCommand : public Generate {
 protected:
  // A model over `height` x `width` pixels (0: any) that repeats every pixel in both directions.
  void write_doubling(const std::string& path, int64_t channels, int64_t side) {
    OnnxWriter model("doubling", 17, 0);
    const WrittenDim height = side > 0 ? WrittenDim(side) : WrittenDim("h"),
                     width = side > 0 ? WrittenDim(side) : WrittenDim("w");
    const std::string x = model.input("x", DType::kF32, {int64_t{1}, channels, height, width});
    const std::string four = model.node("Concat", {x, x, x, x}, {{"axis", int64_t{1}}});
    model.node("DepthToSpace", {four}, {{"blocksize", int64_t{2}}}, "y");
    const WrittenDim tall = side > 0 ? WrittenDim(2 * side) : WrittenDim("h2"),
                     wide = side > 0 ? WrittenDim(2 * side) : WrittenDim("w2");
    model.output("y", DType::kF32, {int64_t{1}, channels, tall, wide});
    ASSERT_TRUE(model.save(path).ok());
  }
  // Smooth colours of 21 x 30 pixels.
  Image write_picture(const std::string& path) {
    Image image{21, 30, 3, {}};
    for (int64_t y = 0; y < 21; ++y) {
      for (int64_t x = 0; x < 30; ++x) {
        for (int64_t c = 0; c < 3; ++c)
          image.pixels.push_back(
              static_cast<uint8_t>(120 + 100 * std::sin(0.1 * static_cast<double>((c + 1) * x + 2 * y))));
      }
    }
    EXPECT_TRUE(write_png(path, image).ok());
    return image;
  }
};

TEST_F(ImageToImageCommand, PartsOfAFixedSizeJoinWithoutASeam) {
  const Image image = write_picture("photo.png");
  const Image doubled = resize(image, 42, 60, ResizeFilter::kNearest);
  write_doubling("fixed.onnx", 3, 8);
  for (const char* flags :
       {"", " --overlap 5", " --overlap 0", " --input-range 0..255", " --input-range -1..1"}) {
    EXPECT_THAT(run(std::string("generate fixed.onnx --image photo.png -o big.png") + flags),
                HasSubstr("42 x 60 from 21 x 30, in "));
    EXPECT_EQ(read_image("big.png")->pixels, doubled.pixels) << flags;
  }
  write_doubling("large.onnx", 3, 64);
  run("generate large.onnx --image photo.png -o big.png");
  EXPECT_EQ(read_image("big.png")->pixels, doubled.pixels);
  write_doubling("any.onnx", 3, 0);
  run("generate any.onnx --image photo.png -o big.png");
  EXPECT_EQ(read_image("big.png")->pixels, doubled.pixels);
  EXPECT_THAT(run("generate any.onnx --image photo.png -o big.png --tile 16"), HasSubstr("in 4 parts"));
  EXPECT_EQ(read_image("big.png")->pixels, doubled.pixels);
  run("generate any.onnx --image photo.png --image big.png -o several");
  EXPECT_EQ(read_image("several/big.png")->width, 120);
  run("generate any.onnx --image photo.png -o big.npy");
  EXPECT_EQ(read_npy("big.npy")->extents(), (std::vector<int64_t>{1, 3, 42, 60}));
  EXPECT_THAT(error("generate fixed.onnx --image photo.png -o big.png --overlap 8"),
              HasSubstr("--overlap 8 of parts of 8 x 8"));
}

TEST_F(ImageToImageCommand, AModelOfLumaKeepsTheColors) {
  const Image image = write_picture("photo.png");
  write_doubling("luma.onnx", 1, 8);
  run("generate luma.onnx --image photo.png -o big.png");
  const Image big = *read_image("big.png"), doubled = resize(image, 42, 60, ResizeFilter::kNearest);
  ASSERT_EQ(big.pixels.size(), doubled.pixels.size());
  double error = 0;
  for (size_t i = 0; i < big.pixels.size(); ++i) error += std::abs(big.pixels[i] - doubled.pixels[i]);
  EXPECT_LT(error / static_cast<double>(big.pixels.size()), 4);
  ASSERT_TRUE(write_png("grey.png", with_channels(image, 1)).ok());
  run("generate luma.onnx --image grey.png -o big.png");
  EXPECT_EQ(read_image("big.png")->pixels,
            resize(with_channels(image, 1), 42, 60, ResizeFilter::kNearest).pixels);
}

// What takes only multiples of 4 gets the picture with its mirror image around, which is cut off again.
TEST_F(ImageToImageCommand, FillsUpToAMultiple) {
  const Image image = write_picture("photo.png");
  OnnxWriter model("blocks", 17, 0);
  const std::string x = model.input("x", DType::kF32, {"n", int64_t{3}, "h", "w"});
  const std::string blocks = model.node("SpaceToDepth", {x}, {{"blocksize", int64_t{4}}});
  model.node("DepthToSpace", {blocks}, {{"blocksize", int64_t{4}}}, "y");
  model.output("y", DType::kF32, {"n", int64_t{3}, "h2", "w2"});
  ASSERT_TRUE(model.save("blocks.onnx").ok());
  run("generate blocks.onnx --image photo.png -o same.png");
  EXPECT_EQ(read_image("same.png")->pixels, image.pixels);
}

}  // namespace
}  // namespace gannet::test
