#include "frontend/onnx_writer.h"

#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <array>
#include <bit>
#include <climits>
#include <cstring>
#include <map>
#include <new>

#include "ir/base/checked.h"
#include "ir/base/file.h"
#include "ir/base/random.h"

namespace gannet {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian");

// Room for names and nodes beside the weights; the exact size is checked before anything is written.
constexpr int64_t kMostWeightBytes = INT_MAX - (int64_t{1} << 20);

int64_t ir_version_of(int64_t opset) {
  if (opset >= 21) return 10;
  return opset >= 19 ? 9 : 8;
}

void set_type(onnx::ValueInfoProto& value, std::string_view name, DType dtype,
              const std::vector<WrittenDim>& dims) {
  value.set_name(std::string(name));
  onnx::TypeProto::Tensor* type = value.mutable_type()->mutable_tensor_type();
  type->set_elem_type(static_cast<int>(dtype));
  type->mutable_shape();
  for (const WrittenDim& dim : dims) {
    onnx::TensorShapeProto::Dimension* written = type->mutable_shape()->add_dim();
    if (const int64_t* extent = std::get_if<int64_t>(&dim))
      written->set_dim_value(*extent);
    else
      written->set_dim_param(std::get<std::string>(dim));
  }
}

void set_attr(onnx::AttributeProto& written, const WrittenAttr& attr) {
  written.set_name(attr.name);
  if (const int64_t* number = std::get_if<int64_t>(&attr.value)) {
    written.set_type(onnx::AttributeProto::INT);
    written.set_i(*number);
  } else if (const float* real = std::get_if<float>(&attr.value)) {
    written.set_type(onnx::AttributeProto::FLOAT);
    written.set_f(*real);
  } else {
    written.set_type(onnx::AttributeProto::INTS);
    for (int64_t number_of_list : std::get<std::vector<int64_t>>(attr.value))
      written.add_ints(number_of_list);
  }
}

onnx::TensorProto* add_tensor(onnx::GraphProto& graph, std::string_view name, DType dtype,
                              const std::vector<int64_t>& extents) {
  onnx::TensorProto* tensor = graph.add_initializer();
  tensor->set_name(std::string(name));
  tensor->set_data_type(static_cast<int>(dtype));
  for (int64_t extent : extents) tensor->add_dims(extent);
  return tensor;
}

template <class T>
void set_raw(onnx::TensorProto& tensor, const std::vector<T>& values) {
  tensor.set_raw_data(values.data(), values.size() * sizeof(T));
}

// In chunks through an aligned buffer, as a string's bytes need not be aligned.
void fill_raw(std::string& raw, int64_t elements, Fill fill, Random random) {
  std::array<float, 4096> chunk;
  raw.reserve(static_cast<size_t>(elements) * sizeof(float));
  for (int64_t begin = 0; begin < elements; begin += static_cast<int64_t>(chunk.size())) {
    auto count = static_cast<size_t>(std::min<int64_t>(static_cast<int64_t>(chunk.size()), elements - begin));
    std::span<float> part(chunk.data(), count);
    if (fill.kind == Fill::Kind::kConstant)
      std::fill(part.begin(), part.end(), static_cast<float>(fill.a));
    else if (fill.kind == Fill::Kind::kNormal)
      random.fill_normal(part, fill.a, fill.b);
    else
      random.fill_uniform(part, fill.a, fill.b);
    raw.append(reinterpret_cast<const char*>(chunk.data()), count * sizeof(float));
  }
}

// Hands protobuf's blocks to the file and keeps the reason of a failure.
class FileStream : public google::protobuf::io::CopyingOutputStream {
 public:
  explicit FileStream(AtomicFile& file) : file_(file) {}
  bool Write(const void* buffer, int size) override {
    status_ = file_.write(std::string_view(static_cast<const char*>(buffer), static_cast<size_t>(size)));
    return status_.ok();
  }
  const Status& status() const { return status_; }

 private:
  AtomicFile& file_;
  Status status_;
};

Status check_size(const onnx::ModelProto& model) {
  size_t bytes = model.ByteSizeLong();
  if (bytes <= INT_MAX) return {};
  return invalid_input(
      fmt::format("the model takes {} bytes, an ONNX file holds at most {}", bytes, INT_MAX));
}

Status write_model(const onnx::ModelProto& model, AtomicFile& file) {
  FileStream stream(file);
  google::protobuf::io::CopyingOutputStreamAdaptor adaptor(&stream, 1 << 20);
  bool written = model.SerializeToZeroCopyStream(&adaptor) && adaptor.Flush();
  TRY(Status(stream.status()));
  CHECK(written, "the model does not serialize");
  return {};
}

}  // namespace

struct OnnxWriter::State {
  onnx::ModelProto model;
  int64_t opset = 0;
  uint64_t seed = 0;
  uint64_t weights = 0;
  int64_t weight_bytes = 0;
  int64_t parameters = 0;
  Status status;
  std::vector<std::string> scopes;
  std::map<std::string, int64_t, std::less<>> uses;  // how often a name was asked for

  onnx::GraphProto& graph() { return *model.mutable_graph(); }
  std::string scoped(std::string_view name) const {
    return (scopes.empty() ? std::string() : scopes.back()) + "/" + std::string(name);
  }
  std::string unique(std::string name) {
    int64_t earlier = uses[name]++;
    return earlier == 0 ? name : fmt::format("{}_{}", name, earlier);
  }
};

OnnxWriter::OnnxWriter(std::string_view graph_name, int64_t opset, uint64_t seed) : state_(new State) {
  CHECK(opset >= kOldestWrittenOpset && opset <= kNewestWrittenOpset, "opset {} cannot be written", opset);
  state_->opset = opset;
  state_->seed = seed;
  onnx::ModelProto& model = state_->model;
  model.set_ir_version(ir_version_of(opset));
  model.set_producer_name("gannet");
  model.add_opset_import()->set_version(opset);
  model.mutable_graph()->set_name(std::string(graph_name));
}

OnnxWriter::OnnxWriter(OnnxWriter&&) noexcept = default;
OnnxWriter::~OnnxWriter() = default;

int64_t OnnxWriter::opset() const { return state_->opset; }
int64_t OnnxWriter::nodes() const { return state_->model.graph().node_size(); }
int64_t OnnxWriter::parameters() const { return state_->parameters; }
Status OnnxWriter::status() const { return state_->status; }

void OnnxWriter::fail(Error error) {
  if (state_->status.ok()) state_->status = std::move(error);
}

std::string OnnxWriter::input(std::string_view name, DType dtype, const std::vector<WrittenDim>& dims) {
  set_type(*state_->graph().add_input(), name, dtype, dims);
  return state_->unique(std::string(name));
}

std::string OnnxWriter::output(std::string_view name, DType dtype, const std::vector<WrittenDim>& dims) {
  set_type(*state_->graph().add_output(), name, dtype, dims);
  return std::string(name);
}

void OnnxWriter::enter(std::string_view scope) { state_->scopes.push_back(state_->scoped(scope)); }

void OnnxWriter::leave() {
  CHECK(!state_->scopes.empty(), "no scope to leave");
  state_->scopes.pop_back();
}

std::string OnnxWriter::node(std::string_view op, const std::vector<std::string>& inputs,
                             const std::vector<WrittenAttr>& attrs, std::string_view output) {
  if (!state_->status.ok()) return {};
  onnx::NodeProto* written = state_->graph().add_node();
  written->set_op_type(std::string(op));
  written->set_name(state_->unique(state_->scoped(op)));
  for (const std::string& input : inputs) written->add_input(input);
  for (const WrittenAttr& attr : attrs) set_attr(*written->add_attribute(), attr);
  written->add_output(output.empty() ? written->name() + "_output_0" : std::string(output));
  return written->output(0);
}

std::string OnnxWriter::name_last(std::string_view name) {
  if (!state_->status.ok()) return {};
  CHECK(state_->graph().node_size() > 0, "no node to name the output of");
  state_->graph().mutable_node(state_->graph().node_size() - 1)->set_output(0, std::string(name));
  return std::string(name);
}

std::string OnnxWriter::weight(std::string_view name, const std::vector<int64_t>& extents, Fill fill) {
  if (!state_->status.ok()) return {};
  std::optional<int64_t> elements = checked_product(extents);
  std::optional<int64_t> bytes = elements ? checked_mul(*elements, sizeof(float)) : std::nullopt;
  std::optional<int64_t> total = bytes ? checked_add(state_->weight_bytes, *bytes) : std::nullopt;
  if (!total || *total > kMostWeightBytes) {
    fail(invalid_input(fmt::format("with {} [{}] the weights take {} bytes, an ONNX file holds at most {}",
                                   name, fmt::join(extents, ", "),
                                   total ? fmt::to_string(*total) : "more than 2^63", INT_MAX)));
    return {};
  }
  try {
    onnx::TensorProto* tensor = add_tensor(state_->graph(), name, DType::kF32, extents);
    fill_raw(*tensor->mutable_raw_data(), *elements, fill, Random(state_->seed, state_->weights++));
  } catch (const std::bad_alloc&) {
    fail(io_error(fmt::format("not enough memory for the {} bytes of {}", *bytes, name)));
    return {};
  }
  state_->weight_bytes = *total;
  state_->parameters += *elements;
  return std::string(name);
}

std::string OnnxWriter::scalar(float value) {
  std::string name = fmt::format("constant_{}", value);
  if (state_->uses[name]++ == 0)
    set_raw(*add_tensor(state_->graph(), name, DType::kF32, {}), std::vector{value});
  return name;
}

std::string OnnxWriter::ints(const std::vector<int64_t>& values) {
  std::string name = fmt::format("ints_{}", fmt::join(values, "_"));
  if (state_->uses[name]++ == 0) int_buffer(name, {static_cast<int64_t>(values.size())}, values);
  return name;
}

std::string OnnxWriter::int_scalar(int64_t value) {
  std::string name = fmt::format("int_{}", value);
  if (state_->uses[name]++ == 0) int_buffer(name, {}, {value});
  return name;
}

std::string OnnxWriter::int_buffer(std::string_view name, const std::vector<int64_t>& extents,
                                   const std::vector<int64_t>& values) {
  set_raw(*add_tensor(state_->graph(), name, DType::kI64, extents), values);
  return std::string(name);
}

Result<std::string> OnnxWriter::serialize() const {
  TRY(Status(state_->status));
  TRY(check_size(state_->model));
  std::string bytes;
  CHECK(state_->model.SerializeToString(&bytes), "the model does not serialize");
  return bytes;
}

Result<int64_t> OnnxWriter::save(const std::string& path) const {
  TRY(Status(state_->status));
  TRY(check_size(state_->model));
  TRY(write_file_atomically(path, [&](AtomicFile& file) { return write_model(state_->model, file); }));
  return static_cast<int64_t>(state_->model.ByteSizeLong());
}

}  // namespace gannet
