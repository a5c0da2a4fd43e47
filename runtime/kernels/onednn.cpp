#include "runtime/kernels/onednn.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "ir/base/check.h"

namespace gannet::onednn {
namespace {

using dnnl::algorithm;

const dnnl::engine& cpu() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// `build` with the library's exceptions as errors.
template <class Build>
auto guarded(const char* what, const Build& build) -> Result<decltype(build())> {
  try {
    return build();
  } catch (const dnnl::error& error) {
    return unsupported(fmt::format("oneDNN has no {} of this form: {}", what, error.what()));
  } catch (const std::bad_alloc&) {
    return invalid_input(fmt::format("no memory for a {} of oneDNN", what));
  }
}

struct Eltwise {
  algorithm function;
  float alpha, beta;
};

// The library's functions for one kind, in order; none for kinds with an operand.
std::vector<Eltwise> eltwise_of(const PostOp& op) {
  using enum EpilogueKind;
  switch (op.kind) {
    case kRelu: return {{algorithm::eltwise_relu, 0, 0}};
    case kLeakyRelu: return {{algorithm::eltwise_relu, op.alpha, 0}};
    case kElu: return {{algorithm::eltwise_elu, op.alpha, 0}};
    case kTanh: return {{algorithm::eltwise_tanh, 0, 0}};
    case kSigmoid: return {{algorithm::eltwise_logistic, 0, 0}};
    case kGeluErf: return {{algorithm::eltwise_gelu_erf, 0, 0}};
    case kGeluTanh: return {{algorithm::eltwise_gelu_tanh, 0, 0}};
    case kSwish: return {{algorithm::eltwise_swish, op.alpha, 0}};
    case kHardSwish: return {{algorithm::eltwise_hardswish, 0, 0}};
    case kHardSigmoid: return {{algorithm::eltwise_linear, op.alpha, op.beta}, {algorithm::eltwise_clip, 0, 1}};
    case kClip: return {{algorithm::eltwise_clip, op.alpha, op.beta}};
    case kLinear: return {{algorithm::eltwise_linear, op.alpha, op.beta}};
    case kAbs: return {{algorithm::eltwise_abs, 0, 0}};
    case kSqrt: return {{algorithm::eltwise_sqrt, 0, 0}};
    case kSquare: return {{algorithm::eltwise_square, 0, 0}};
    case kExp: return {{algorithm::eltwise_exp, 0, 0}};
    case kSoftplus: return {{algorithm::eltwise_soft_relu, 0, 0}};
    case kAdd: case kMul: case kMax: case kMin: case kQuantize: return {};
  }
  return {};
}

algorithm binary_of(EpilogueKind kind) {
  switch (kind) {
    case EpilogueKind::kMul: return algorithm::binary_mul;
    case EpilogueKind::kMax: return algorithm::binary_max;
    case EpilogueKind::kMin: return algorithm::binary_min;
    default: return algorithm::binary_add;
  }
}

// `channels` is the axis of the result that scales belong to.
dnnl::primitive_attr attributes(const std::vector<PostOp>& post_ops, const IntegerSums& sums = {}, int channels = 1) {
  dnnl::post_ops ops;
  for (const PostOp& op : post_ops) {
    const std::vector<Eltwise> functions = eltwise_of(op);
    for (const Eltwise& e : functions) ops.append_eltwise(1.0f, e.function, e.alpha, e.beta);
    if (op.in_place) ops.append_sum(1.0f);
    else if (functions.empty()) ops.append_binary(binary_of(op.kind), op.operand);
  }
  dnnl::primitive_attr attr;
  attr.set_post_ops(ops);
  if (!sums.scales.empty()) attr.set_output_scales(sums.scales.size() == 1 ? 0 : 1 << channels, sums.scales);
  if (sums.has_x_zero) attr.set_zero_points(DNNL_ARG_SRC, 0, {DNNL_RUNTIME_S32_VAL});
  if (sums.has_y_zero) attr.set_zero_points(DNNL_ARG_DST, 0, {DNNL_RUNTIME_S32_VAL});
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

std::vector<int64_t> less_one(std::vector<int64_t> values) {
  for (int64_t& value : values) --value;
  return values;
}

template <class Primitive, class Desc>
Made finish(const Desc& desc) {
  return {Primitive(desc), desc.src_desc(), MemoryDesc(), desc.dst_desc(), desc.scratchpad_desc(), desc.impl_info_str()};
}

Made convolution_made(const ConvolutionSpec& s) {
  const dnnl::primitive_attr attr = attributes(s.post_ops, s.sums);
  const std::vector<int64_t> dilations = less_one(s.dilations);
  const auto kind = dnnl::prop_kind::forward_inference;
  const auto direct = algorithm::convolution_direct;
  using Desc = dnnl::convolution_forward::desc;
  const Desc desc = s.bias ? Desc(kind, direct, s.x, s.w, *s.bias, s.y, s.strides, dilations, s.pads_begin, s.pads_end)
                           : Desc(kind, direct, s.x, s.w, s.y, s.strides, dilations, s.pads_begin, s.pads_end);
  const dnnl::convolution_forward::primitive_desc primitive(desc, attr, cpu());
  Made made = finish<dnnl::convolution_forward>(primitive);
  made.w = primitive.weights_desc();
  return made;
}

}  // namespace

Result<MemoryDesc> dense_layout(DType dtype, const std::vector<int64_t>& extents, const std::vector<int64_t>& strides) {
  using Type = dnnl::memory::data_type;
  Type type = Type::f32;
  switch (dtype) {
    case DType::kF32: break;
    case DType::kBF16: type = Type::bf16; break;
    case DType::kI32: type = Type::s32; break;
    case DType::kI8: type = Type::s8; break;
    case DType::kU8: type = Type::u8; break;
    default: return unsupported(fmt::format("oneDNN has no kernels for {}", name_of(dtype)));
  }
  return guarded("layout", [&] { return MemoryDesc(extents, type, strides); });
}

MemoryDesc any_layout(const MemoryDesc& like) {
  return MemoryDesc(like.dims(), like.data_type(), dnnl::memory::format_tag::any);
}

MemoryDesc wide_layout(const MemoryDesc& like) {
  if (like.data_type() != dnnl::memory::data_type::bf16) return like;
  return MemoryDesc(like.dims(), dnnl::memory::data_type::f32, dnnl::memory::format_tag::any);
}

bool has_integer_products() {
  const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
  return isa == dnnl::cpu_isa::avx512_core_vnni || isa == dnnl::cpu_isa::avx512_core_bf16 || isa == dnnl::cpu_isa::avx512_core_amx;
}

bool has_row_kernels() {
  constexpr auto kCore = static_cast<unsigned>(dnnl::cpu_isa::avx512_core);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & kCore) == kCore;
}

int64_t bytes_of(const MemoryDesc& desc) { return static_cast<int64_t>(desc.get_size()); }

std::string identity_of(const MemoryDesc& desc) {
  const dnnl_memory_desc_t& d = desc.data;
  std::string text = fmt::format("{}:{}:", static_cast<int>(d.data_type), d.offset0);
  for (int i = 0; i < d.ndims; ++i) text += fmt::format("{}/{}/{},", d.dims[i], d.padded_dims[i], d.format_desc.blocking.strides[i]);
  for (int i = 0; i < d.format_desc.blocking.inner_nblks; ++i) {
    text += fmt::format("{}x{},", d.format_desc.blocking.inner_idxs[i], d.format_desc.blocking.inner_blks[i]);
  }
  return text + fmt::format("{} {} {} {}", static_cast<int>(d.format_kind), d.extra.flags, d.extra.compensation_mask,
                            d.extra.asymm_compensation_mask);
}

namespace {

// What stands for `desc`, which a gradient may have in f32, in the convolution whose gradient it is: all its operands are of
// the type of `other`.
MemoryDesc of_forward(const MemoryDesc& desc, const MemoryDesc& other) {
  if (desc.data_type() == other.data_type()) return desc;
  return MemoryDesc(desc.dims(), other.data_type(), dnnl::memory::format_tag::any);
}

// The gradient of a convolution's input is the transposed convolution of its result's.
Made transposed_made(const ConvolutionSpec& s) {
  const dnnl::primitive_attr attr = attributes({});
  const std::vector<int64_t> dilations = less_one(s.dilations);
  const auto direct = algorithm::convolution_direct;
  const dnnl::convolution_forward::primitive_desc forward(
      {dnnl::prop_kind::forward_training, direct, of_forward(s.y, s.x), s.w, s.x, s.strides, dilations, s.pads_begin, s.pads_end}, attr, cpu());
  const dnnl::convolution_backward_data::primitive_desc primitive(
      {direct, s.y, s.w, s.x, s.strides, dilations, s.pads_begin, s.pads_end}, attr, cpu(), forward);
  return {dnnl::convolution_backward_data(primitive), primitive.diff_dst_desc(), primitive.weights_desc(),
          primitive.diff_src_desc(), primitive.scratchpad_desc(), primitive.impl_info_str()};
}

}  // namespace

Result<Made> make_convolution(const ConvolutionSpec& spec) {
  return guarded("convolution", [&] { return spec.transposed ? transposed_made(spec) : convolution_made(spec); });
}

Result<Made> make_weight_gradient(const ConvolutionSpec& s) {
  return guarded("weight gradient", [&] {
    const dnnl::primitive_attr attr = attributes({});
    const std::vector<int64_t> dilations = less_one(s.dilations);
    const auto direct = algorithm::convolution_direct;
    const dnnl::convolution_forward::primitive_desc forward(
        {dnnl::prop_kind::forward_training, direct, s.x, of_forward(any_layout(s.w), s.x), s.y, s.strides, dilations, s.pads_begin, s.pads_end}, attr, cpu());
    const dnnl::convolution_backward_weights::primitive_desc primitive(
        {direct, s.x, s.w, s.y, s.strides, dilations, s.pads_begin, s.pads_end}, attr, cpu(), forward);
    return Made{dnnl::convolution_backward_weights(primitive), primitive.src_desc(), primitive.diff_weights_desc(),
                primitive.diff_dst_desc(), primitive.scratchpad_desc(), primitive.impl_info_str()};
  });
}

Result<Made> make_sum(const MemoryDesc& x, const MemoryDesc& z, const std::vector<PostOp>& post_ops) {
  return guarded("sum", [&] {
    const dnnl::binary::desc desc(algorithm::binary_add, x, z, x);
    const dnnl::binary::primitive_desc primitive(desc, attributes(post_ops), cpu());
    return finish<dnnl::binary>(primitive);
  });
}

Result<Made> make_matmul(const MatmulSpec& spec) {
  return guarded("matrix product", [&] {
    const dnnl::primitive_attr attr = attributes(spec.post_ops, spec.sums, static_cast<int>(spec.y.dims().size()) - 1);
    const dnnl::matmul::desc desc = spec.bias ? dnnl::matmul::desc(spec.x, spec.w, *spec.bias, spec.y) : dnnl::matmul::desc(spec.x, spec.w, spec.y);
    const dnnl::matmul::primitive_desc primitive(desc, attr, cpu());
    Made made = finish<dnnl::matmul>(primitive);
    made.w = primitive.weights_desc();
    return made;
  });
}

namespace {

algorithm function_of(PoolingKind kind) {
  switch (kind) {
    case PoolingKind::kMax: return algorithm::pooling_max;
    case PoolingKind::kAverageWithPadding: return algorithm::pooling_avg_include_padding;
    case PoolingKind::kAverageWithoutPadding: return algorithm::pooling_avg_exclude_padding;
  }
  return algorithm::pooling_max;
}

}  // namespace

Result<Made> make_pooling(const PoolingSpec& spec) {
  return guarded("pooling", [&] {
    const algorithm function = function_of(spec.kind);
    const auto kind = dnnl::prop_kind::forward_inference;
    const dnnl::primitive_attr attr = attributes({});
    const std::vector<int64_t> dilations = less_one(spec.dilations);
    if (std::ranges::all_of(dilations, [](int64_t d) { return d == 0; })) {
      const dnnl::pooling_forward::desc desc(kind, function, spec.x, spec.y, spec.strides, spec.kernel, spec.pads_begin, spec.pads_end);
      return finish<dnnl::pooling_forward>(dnnl::pooling_forward::primitive_desc(desc, attr, cpu()));
    }
    const dnnl::pooling_v2_forward::desc desc(kind, function, spec.x, spec.y, spec.strides, spec.kernel, dilations, spec.pads_begin,
                                              spec.pads_end);
    return finish<dnnl::pooling_v2_forward>(dnnl::pooling_v2_forward::primitive_desc(desc, attr, cpu()));
  });
}

Result<MadePoolingGradient> make_pooling_gradient(const PoolingSpec& spec) {
  return guarded("pooling gradient", [&] {
    const algorithm function = function_of(spec.kind);
    const dnnl::primitive_attr attr = attributes({});
    const std::vector<int64_t> dilations = less_one(spec.dilations);
    const dnnl::pooling_v2_forward::primitive_desc forward(
        {dnnl::prop_kind::forward_training, function, spec.x, spec.y, spec.strides, spec.kernel, dilations, spec.pads_begin, spec.pads_end},
        attr, cpu());
    const dnnl::pooling_v2_backward::primitive_desc gradient(
        {function, spec.x, spec.y, spec.strides, spec.kernel, dilations, spec.pads_begin, spec.pads_end}, attr, cpu(), forward);
    MadePoolingGradient made;
    made.forward = finish<dnnl::pooling_v2_forward>(forward);
    made.gradient = {dnnl::pooling_v2_backward(gradient), gradient.diff_src_desc(), MemoryDesc(), gradient.diff_dst_desc(),
                     gradient.scratchpad_desc(), gradient.impl_info_str()};
    if (spec.kind == PoolingKind::kMax) made.workspace = forward.workspace_desc();
    return made;
  });
}

Result<Made> make_reorder(const MemoryDesc& from, const MemoryDesc& to) {
  return guarded("copy", [&] {
    const dnnl::reorder::primitive_desc desc(cpu(), from, cpu(), to, attributes({}));
    return Made{dnnl::reorder(desc), from, MemoryDesc(), to, desc.scratchpad_desc(), desc.impl_info_str()};
  });
}

int argument_id(Argument argument) {
  switch (argument) {
    case Argument::kX: return DNNL_ARG_SRC;
    case Argument::kXZero: return DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_SRC;
    case Argument::kYZero: return DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_DST;
    case Argument::kOther: return DNNL_ARG_SRC_1;
    case Argument::kW: return DNNL_ARG_WEIGHTS;
    case Argument::kBias: return DNNL_ARG_BIAS;
    case Argument::kY: return DNNL_ARG_DST;
    case Argument::kScratch: return DNNL_ARG_SCRATCHPAD;
    case Argument::kFrom: return DNNL_ARG_FROM;
    case Argument::kTo: return DNNL_ARG_TO;
    case Argument::kXGradient: return DNNL_ARG_DIFF_SRC;
    case Argument::kWGradient: return DNNL_ARG_DIFF_WEIGHTS;
    case Argument::kYGradient: return DNNL_ARG_DIFF_DST;
    case Argument::kWorkspace: return DNNL_ARG_WORKSPACE;
  }
  return 0;
}

int post_op_argument(size_t index) { return DNNL_ARG_ATTR_MULTIPLE_POST_OP(static_cast<int>(index)) | DNNL_ARG_SRC_1; }

std::vector<size_t> post_op_positions(const std::vector<PostOp>& ops) {
  std::vector<size_t> positions;
  size_t next = 0;
  for (const PostOp& op : ops) {
    positions.push_back(next);
    next += std::max<size_t>(1, eltwise_of(op).size());
  }
  return positions;
}

Status multiply(int64_t rows, int64_t columns, int64_t depth, const Matrix& a, const Matrix& b, float* c, int64_t c_row) {
  // Rows that are neighbours' columns are those of the transposed matrix.
  const bool a_turned = a.column != 1 && depth > 1, b_turned = b.column != 1 && columns > 1;
  const int64_t a_step = std::max(a_turned ? a.column : a.row, a_turned ? rows : depth);
  const int64_t b_step = std::max(b_turned ? b.column : b.row, b_turned ? depth : columns);
  const dnnl_status_t status = dnnl_sgemm(a_turned ? 'T' : 'N', b_turned ? 'T' : 'N', rows, columns, depth, 1, a.first, a_step, b.first,
                                          b_step, 0, c, std::max(c_row, columns));
  return status == dnnl_success ? Status() : Status(unsupported("a matrix product of oneDNN failed"));
}

// Memory objects whose addresses are set for each run, and a stream to run on.
struct Call::Operands {
  dnnl::stream stream{cpu()};
  std::vector<dnnl::memory> memories;
  std::vector<dnnl_exec_arg_t> arguments;
};

Call::Shared::~Shared() = default;

Call::Call(dnnl::primitive primitive, std::vector<std::pair<int, MemoryDesc>> arguments) : shared_(std::make_shared<Shared>()) {
  shared_->primitive = std::move(primitive);
  shared_->arguments = std::move(arguments);
}

Status Call::run(std::span<void* const> addresses) const {
  CHECK(shared_ && addresses.size() == shared_->arguments.size(), "{} addresses for {} operands", addresses.size(),
        shared_ ? shared_->arguments.size() : 0);
  std::unique_ptr<Operands> operands;
  {
    const std::scoped_lock lock(shared_->mutex);
    if (!shared_->free.empty()) {
      operands = std::move(shared_->free.back());
      shared_->free.pop_back();
    }
  }
  TRY(guarded("run", [&] {
    if (!operands) {
      operands = std::make_unique<Operands>();
      for (const auto& [id, desc] : shared_->arguments) {
        operands->memories.emplace_back(desc, cpu(), static_cast<void*>(DNNL_MEMORY_NONE));
        operands->arguments.push_back({id, operands->memories.back().get()});
      }
    }
    for (size_t i = 0; i < addresses.size(); ++i) operands->memories[i].set_data_handle(addresses[i]);
    const dnnl_status_t status = dnnl_primitive_execute(shared_->primitive.get(), operands->stream.get(),
                                                        static_cast<int>(operands->arguments.size()), operands->arguments.data());
    if (status != dnnl_success) throw dnnl::error(status, "execution failed");
    operands->stream.wait();
    return true;
  }));
  const std::scoped_lock lock(shared_->mutex);
  shared_->free.push_back(std::move(operands));
  return {};
}

}  // namespace gannet::onednn
