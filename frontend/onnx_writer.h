// Builds an ONNX model node by node, with seeded random weights, and writes it. Values are known by their
// names, as in the file. The first failure (a weight that does not fit) is kept: everything after it is cheap
// and without effect, and serialize and save return it, so that code which builds a model needs no checks of
// its own.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ir/base/dtype.h"
#include "ir/base/error.h"

namespace gannet {

// The opsets for which a model can be written.
inline constexpr int64_t kOldestWrittenOpset = 13;
inline constexpr int64_t kNewestWrittenOpset = 21;

struct WrittenAttr {
  std::string name;
  std::variant<int64_t, float, std::vector<int64_t>> value;
};

// A dimension: an extent, or the name of a symbol.
using WrittenDim = std::variant<int64_t, std::string>;

// How a weight starts.
struct Fill {
  enum class Kind { kConstant, kNormal, kUniform };
  Kind kind;
  double a, b;

  static Fill constant(double value) { return {Kind::kConstant, value, 0.0}; }
  static Fill normal(double mean, double deviation) { return {Kind::kNormal, mean, deviation}; }
  static Fill uniform(double low, double high) { return {Kind::kUniform, low, high}; }
};

class OnnxWriter {
 public:
  // `opset` must be between the two above (CHECK). Equal calls with an equal seed give equal bytes.
  OnnxWriter(std::string_view graph_name, int64_t opset, uint64_t seed);
  OnnxWriter(OnnxWriter&&) noexcept;
  ~OnnxWriter();

  int64_t opset() const;
  int64_t nodes() const;
  // Elements of all weights, without constants of the graph.
  int64_t parameters() const;
  // Keeps `error` unless there is one already.
  void fail(Error error);
  Status status() const;

  // Both return `name`, so that declaration and use are one expression.
  std::string input(std::string_view name, DType dtype, const std::vector<WrittenDim>& dims);
  std::string output(std::string_view name, DType dtype, const std::vector<WrittenDim>& dims);

  // Names of nodes and of their outputs start with the scope, a path such as "/encoder/layer.0". They are
  // made unique with a number.
  void enter(std::string_view scope);
  void leave();

  // A node with one output, whose name is returned: `output` if given, else one of its own.
  std::string node(std::string_view op, const std::vector<std::string>& inputs,
                   const std::vector<WrittenAttr>& attrs = {}, std::string_view output = {});
  // Names the value that the last node gave; its users must not exist yet.
  std::string name_last(std::string_view name);

  // f32 initializers. Each weight has a random stream of its own. The model's size is limited to what one
  // ONNX file can hold, 2 GiB.
  std::string weight(std::string_view name, const std::vector<int64_t>& extents, Fill fill);
  // An f32 or i64 constant; equal ones share an initializer.
  std::string scalar(float value);
  std::string ints(const std::vector<int64_t>& values);
  std::string int_scalar(int64_t value);
  // An i64 initializer under its own name, as PyTorch's buffers have.
  std::string int_buffer(std::string_view name, const std::vector<int64_t>& extents,
                         const std::vector<int64_t>& values);

  Result<std::string> serialize() const;
  // Replaces `path` as a whole or leaves it alone. Returns the bytes written.
  Result<int64_t> save(const std::string& path) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gannet
