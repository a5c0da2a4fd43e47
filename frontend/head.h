// The last layer of a model for another task: replaced for another number of classes, or added to an encoder.
// Done on the user's own file, of which everything else stays; the new weights are random until they are
// trained.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "frontend/import.h"
#include "ir/base/error.h"
#include "ir/base/limits.h"

namespace gannet {

struct HeadReport {
  std::string output;                // the model output that depends on the head
  std::string layer;                 // name of its node (of its result where the node has none)
  std::vector<std::string> weights;  // names of its tensors
  int64_t old_classes = 0;           // of a replaced head
  std::string features;              // name of the value that the layer reads: a place for dropout
  std::string pooling;               // "the first token", "the mean of tokens", or nothing
};

struct EditedModel {
  std::shared_ptr<const ModelFile> file;  // to import (import.h) and, once trained, to patch (patch.h)
  HeadReport head;
};

struct HeadReplacement {
  int64_t classes = 2;
  // Name of the layer's node, of its result or of its weight; empty: the last one before an output.
  std::string layer = {};
  uint64_t seed = 0;
};

// Gives the last layer of `model` another number of classes. The layer is a Gemm, a MatMul (with an Add of
// its bias), or a Conv without groups, whose weight is a tensor of the file or follows from one by Reshape,
// Transpose, Cast or DequantizeLinear (layer_parameter.h); between it and the output may stand activations,
// reshapes (whose constants follow), global poolings and quantization, which keeps its range. Weight (uniform
// within 1/sqrt(inputs)) and bias (zero) keep their names and, unless they were codes, their dtypes; if other
// nodes use them too, they are new tensors. Shapes that the file declares behind the layer follow or go. An error says which node is in
// the way.
Result<EditedModel> replace_head(const ModelFile& model, const HeadReplacement& head,
                                 const Limits& limits = {});

enum class Pooling {
  kFirstToken,  // of [batch, tokens, features]
  kMean,        // over the tokens where the mask is not 0; over space of [batch, features, spatial...]
};

struct HeadAddition {
  int64_t classes = 2;
  std::string output = {};  // which output holds the features; empty: the first float one of rank 2 or more
  Pooling pooling = Pooling::kFirstToken;  // features of rank 2 are taken as they are
  std::string mask = "attention_mask";  // input [batch, tokens]; kMean without such an input takes all tokens
  uint64_t seed = 0;
};

// Puts pooling and a Gemm with the weights "classifier.weight" and "classifier.bias" behind an encoder. Its
// result "logits" [batch, classes] becomes the only output; nodes and tensors that only served others go.
// `encoder` must have been imported from a file whose shapes say how many features there are.
Result<EditedModel> add_head(const ImportedModel& encoder, const HeadAddition& head,
                             const Limits& limits = {});

// The model with these metadata_props, in place of ones of the same key; new ones in the order of their keys.
Result<std::shared_ptr<const ModelFile>> with_metadata(
    const ModelFile& model, const std::vector<std::pair<std::string, std::string>>& entries,
    const Limits& limits = {});

}  // namespace gannet
