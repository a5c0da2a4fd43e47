// Changes of a model's structure on the file itself: the user's message with some parts of it other,
// everything else kept. What comes out is a model like any other, so it is imported, trained, and patched
// with new weights (patch.h). For the frontend only: this header shows protobuf's types.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "frontend/model_file.h"
#include "ir/base/tensor.h"

namespace gannet {

// The model in memory after `edit` changed its message. Tensors that `edit` leaves alone keep their data,
// wherever these are; a tensor that it gives new data must lose its unknown fields (set_data does that).
// Where the model would have more than `largest` bytes, which protobuf cannot read back, the raw data of its tensors become
// external data, in place in the original's file; written (patch.h), it has a data file beside it. Errors start with the path:
// those of `edit`, and a model that is too large without any raw data.
Result<std::shared_ptr<const ModelFile>> edit_model(const ModelFile& original,
                                                    const std::function<Status(onnx::ModelProto&)>& edit,
                                                    const Limits& limits = {}, int64_t largest = INT32_MAX);

// Gives `proto` the data of `tensor`, its extents and its dtype, under the name it has.
void set_data(onnx::TensorProto& proto, const Tensor& tensor);

}  // namespace gannet
