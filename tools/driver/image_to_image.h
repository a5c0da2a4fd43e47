// Models that make a picture of a picture: super-resolution, style transfer, and the like.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/data/tensor_image.h"
#include "tools/deploy/image_arguments.h"
#include "tools/driver/runnable_model.h"

namespace gannet {

struct ImageToImageArguments {
  ImageArguments image;
  std::string input_range, output_range;  // empty: found
  std::optional<int64_t> tile;            // side of the parts that a model of any size gets
  std::optional<int64_t> overlap;         // of parts; an eighth of their side where not given
};

class ImageToImage {
 public:
  // Loads the model, which has one input that can be a picture, and finds out which values it takes and
  // gives: by flags, by what it does first and last, by its metadata; else 0..1. An output that says nothing
  // has the range of the input.
  static Result<ImageToImage> load(const RunnableOptions& options, const ImageToImageArguments& arguments);

  // "input 'data' f32[batch, 3, h, w] of 0..1, output 'output' of 0..1"
  std::string description() const;

  struct Output {
    Tensor values;  // f32 [1, channels, height, width]: of luma only, where the model takes nothing else
    Image picture;
    int64_t parts = 1;
  };
  // A picture of any size: in one piece where the model takes it, filled up to a multiple of 2, 4 ... 64
  // pixels by its mirror image where it takes only such; else in parts that overlap. A model of one channel
  // gets the luma of a colour picture, whose chroma is enlarged by cubic interpolation.
  Result<Output> run(const Image& image) const;

 private:
  struct Size {
    int64_t height = 0, width = 0;
  };
  Status settle_ranges(std::optional<ValueRange> of_output, const ImageToImageArguments& arguments);
  Status check_parts(const ImageToImageArguments& arguments) const;
  Result<Tensor> run_cut(const Image& cut) const;  // planes
  Result<Tensor> run_whole(const Image& image) const;
  Result<Tensor> run_parts(const Image& image, Size part, int64_t& parts) const;
  Result<Tensor> planes_of(const Tensor& output) const;

  RunnableModel model_;
  ImageOptions input_;
  std::optional<ImageOptions> resized_;  // what a picture is made before all else
  Size fixed_;                           // of the model's input; 0: any
  ValueRange input_range_, output_range_;
  size_t output_ = 0;
  std::optional<int64_t> tile_, overlap_;
};

}  // namespace gannet
