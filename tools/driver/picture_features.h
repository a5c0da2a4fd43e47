// What a model says about pictures: the features that measures of generators compare.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/distribution/feature_matrix.h"
#include "runtime/distribution/feature_moments.h"
#include "tools/deploy/image_arguments.h"
#include "tools/driver/runnable_model.h"

namespace gannet {

// A set of pictures, seen through a model.
struct FeatureSet {
  FeatureMatrix features;
  std::optional<FeatureMatrix> probabilities;  // of classes, where the model has such an output
  MeanAndCovariance moments;
};

class PictureFeatures {
 public:
  struct Arguments {
    std::string model;    // FILE or FILE:TENSOR, any tensor between the model's nodes
    std::string classes;  // output of class scores; empty: the first with at least two numbers a row
    ImageArguments image;
    int64_t batch_size = 32;
  };

  // Of `options`, the path is that of `arguments`.
  static Result<PictureFeatures> load(RunnableOptions options, const Arguments& arguments);

  // Pictures [first, first + rows) of a set.
  using Pictures = std::function<Result<std::vector<Image>>(int64_t first, int64_t rows)>;
  // Features are what the tensor has for each picture: maps, [N, C, H, W] or [N, H, W, C], are averaged over
  // their places, and tokens [N, T, D] over the tokens. Asks for all pictures in order; there are at least
  // two. An error names the tensor where it is empty or has more numbers than a covariance is computed of.
  Result<FeatureSet> of(int64_t count, const Pictures& pictures) const;
  const std::vector<std::string>& notes() const { return model_.notes; }
  // What features depend on besides the pictures: the model's bytes, the tensors, size and values of the
  // input.
  const std::string& identity() const { return identity_; }
  // "32 features of 'relu3' of classifier.onnx, averaged over places"
  std::string description(int64_t width) const;

 private:
  Status choose_outputs(Graph& graph, const std::string& tensor, const std::string& classes);
  // Where the tensor has its channels, or that it is none that features can come from.
  Status settle_axes();
  // Writes the pictures into the first rows of `batch`.
  Status fill_batch(std::span<const Image> images, Tensor& batch) const;
  Status append_features(const Tensor& values, int64_t rows, FeatureMatrix& matrix) const;
  Status append_scores(const Tensor& values, int64_t rows, FeatureMatrix& matrix) const;

  RunnableModel model_;
  ImageOptions input_;
  std::string tensor_, identity_;
  std::optional<size_t> classes_;  // which output
  // Of a tensor of rank 4, its axis of channels with pictures [N, C, H, W], and with [N, H, W, C].
  std::optional<int64_t> axis_of_planar_, axis_of_interleaved_;
  int64_t channels_ = 1;  // the axis that features lie along; others than rows are averaged
  int64_t batch_size_ = 32;
  int threads_ = 0;
};

}  // namespace gannet
