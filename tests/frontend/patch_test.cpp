#include "frontend/patch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "frontend/tensor_data.h"
#include "tests/frontend/wire_message.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string bytes_of(std::initializer_list<float> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * 4};
}

// Models with each way to keep a tensor, with unknown fields and a function between them.
std::string mixed_model() {
  WireMessage unpacked = tensor_message("unpacked", 1, {2});
  std::string one_by_one = unpacked.bytes();
  for (float value : {1.0f, 2.0f}) {
    append_tag(one_by_one, 4, WireType::kFixed32);
    one_by_one.append(reinterpret_cast<const char*>(&value), 4);
  }
  WireMessage constant = WireMessage()
                             .text(4, "Constant")
                             .child(5, WireMessage()
                                           .text(1, "value")
                                           .child(5, tensor_message("", 1, {2}).text(9, bytes_of({3, 4})))
                                           .number(20, 4));
  WireMessage body = WireMessage().text(2, "body").child(1, constant);
  WireMessage loop =
      WireMessage().text(4, "Loop").child(5, WireMessage().text(1, "body").child(6, body).number(20, 5));
  WireMessage graph = WireMessage().child(1, loop).text(2, "g");
  graph.child(5, tensor_message("raw", 1, {3}).text(9, bytes_of({1, 2, 3})).text(77, "unknown"));
  graph.child(5, tensor_message("floats", 1, {2}).fixed<float>(4, {5, 6}).text(12, "doc"));
  graph.text(5, one_by_one);
  graph.child(5, tensor_message("half", 10, {2}).packed(5, {0x3c00, 0}));
  graph.child(5, tensor_message("ints", 7, {3}).packed(7, {1, 2, 300}));
  graph.child(5, tensor_message("nibbles", 22, {3}).text(9, "\x21\x03"));
  graph.child(5, tensor_message("empty", 1, {0}));
  return WireMessage()
      .number(1, 8)
      .text(1000, "new")
      .child(7, graph)
      .child(8, WireMessage().number(2, 17))
      .bytes();
}

const onnx::TensorProto& named(const ModelFile& model, const std::string& name) {
  for (const auto& tensor : model.proto.graph().initializer()) {
    if (tensor.name() == name) return tensor;
  }
  ADD_FAILURE() << name;
  return model.proto.graph().initializer(0);
}

TensorPatch patch_of(const ModelFile& model, const std::string& name, Tensor value) {
  return {origin_of(named(model, name)).value(), std::move(value)};
}

Tensor value_of(const ModelFile& model, const std::string& name) {
  return read_tensor(named(model, name), model, {}).value();
}

TEST(Patch, NothingChangesNothing) {
  TemporaryFolder folder;
  std::string bytes = mixed_model();
  ModelFile model = load_model(folder.write("in.onnx", bytes)).value();
  ASSERT_TRUE(write_patched_model(model, {}, folder.path("out.onnx")).ok());
  EXPECT_EQ(folder.read("out.onnx"), bytes);
  EXPECT_FALSE(std::filesystem::exists(folder.path("out.onnx.data")));
}

TEST(Patch, TheSameValuesGiveTheSameBytes) {
  TemporaryFolder folder;
  std::string bytes = mixed_model();
  ModelFile model = load_model(folder.write("in.onnx", bytes)).value();
  std::vector<TensorPatch> patches;
  for (const char* name : {"raw", "floats", "half", "ints", "nibbles", "empty"}) {
    patches.push_back(patch_of(model, name, value_of(model, name)));
  }
  Status status = write_patched_model(model, patches, folder.path("out.onnx"));
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(folder.read("out.onnx"), bytes);
}

TEST(Patch, OnlyTheRawBytesOfOneTensorChange) {
  TemporaryFolder folder;
  std::string bytes = mixed_model();
  ModelFile model = load_model(folder.write("in.onnx", bytes)).value();
  TensorPatch patch = patch_of(model, "raw", Tensor::from<float>({3}, {7, 8, 9}));
  ASSERT_TRUE(write_patched_model(model, {&patch, 1}, folder.path("out.onnx")).ok());
  std::string expected = bytes;
  expected.replace(bytes.find(bytes_of({1, 2, 3})), 12, bytes_of({7, 8, 9}));
  EXPECT_EQ(folder.read("out.onnx"), expected);
}

TEST(Patch, LengthsOfEnclosingMessagesFollow) {
  TemporaryFolder folder;
  ModelFile model = load_model(folder.write("in.onnx", mixed_model())).value();
  std::vector<TensorPatch> patches;
  patches.push_back(patch_of(model, "ints", Tensor::from<int64_t>({3}, {-1, INT64_MIN, 0})));
  patches.push_back(patch_of(model, "unpacked", Tensor::from<float>({2}, {8, 9})));
  patches.push_back(patch_of(model, "half", Tensor::from<float>({2}, {-1, 0.5f})));
  patches.push_back(patch_of(model, "floats", Tensor::from<double>({2}, {0.25, 4})));
  const onnx::TensorProto& inner = model.proto.graph().node(0).attribute(0).g().node(0).attribute(0).t();
  patches.push_back({origin_of(inner).value(), Tensor::from<float>({2}, {-3, -4})});
  Status status = write_patched_model(model, patches, folder.path("out.onnx"));
  ASSERT_TRUE(status.ok()) << status.error().message;

  ModelFile out = load_model(folder.path("out.onnx")).value();
  EXPECT_THAT(value_of(out, "ints").ints(), ElementsAre(-1, INT64_MIN, 0));
  EXPECT_EQ(named(out, "ints").int64_data_size(), 3);
  EXPECT_EQ(value_of(out, "unpacked").double_at(1), 9);
  EXPECT_EQ(value_of(out, "half").dtype(), DType::kF16);
  EXPECT_EQ(value_of(out, "half").double_at(1), 0.5);
  EXPECT_EQ(named(out, "half").int32_data_size(), 2);
  EXPECT_EQ(value_of(out, "floats").double_at(0), 0.25);
  EXPECT_EQ(named(out, "floats").doc_string(), "doc");
  EXPECT_EQ(value_of(out, "raw").double_at(2), 3);
  const onnx::TensorProto& outer = out.proto.graph().node(0).attribute(0).g().node(0).attribute(0).t();
  EXPECT_EQ(read_tensor(outer, out, {}).value().double_at(0), -3);
  EXPECT_NE(folder.read("out.onnx").find("unknown"), std::string::npos);
}

TEST(Patch, InPlace) {
  TemporaryFolder folder;
  std::string path = folder.write("m.onnx", mixed_model());
  ModelFile model = load_model(path).value();
  TensorPatch patch = patch_of(model, "raw", Tensor::from<float>({3}, {7, 8, 9}));
  ASSERT_TRUE(write_patched_model(model, {&patch, 1}, path).ok());
  EXPECT_EQ(value_of(load_model(path).value(), "raw").double_at(0), 7);
  EXPECT_EQ(value_of(model, "raw").double_at(0), 1);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(Patch, RefusesWhatDoesNotFit) {
  TemporaryFolder folder;
  std::string path = folder.write("m.onnx", mixed_model());
  ModelFile model = load_model(path).value();
  auto error = [&](std::vector<TensorPatch> patches) {
    Status status = write_patched_model(model, patches, folder.path("out.onnx"));
    return status.ok() ? "" : status.error().message;
  };
  EXPECT_THAT(error({patch_of(model, "raw", Tensor::from<float>({4}, {1, 2, 3, 4}))}),
              HasSubstr("tensor 'raw': the new data are f32[4], the file's are f32[3]"));
  EXPECT_THAT(error({patch_of(model, "ints", Tensor::from<float>({3}, {1, 2, 3}))}),
              HasSubstr("f32 cannot replace i64"));
  EXPECT_THAT(error({{1, Tensor::scalar(1.0f)}}), HasSubstr("no tensor begins at byte 1"));
  TensorPatch patch = patch_of(model, "raw", Tensor::from<float>({3}, {1, 2, 3}));
  EXPECT_THAT(error({patch, patch}), HasSubstr("replaced twice"));
  EXPECT_FALSE(std::filesystem::exists(folder.path("out.onnx")));
  std::ofstream(path, std::ios::app) << "x";
  EXPECT_THAT(error({}), HasSubstr("was changed by another program"));
}

TEST(Patch, ExternalDataMoveToTheNewDataFile) {
  TemporaryFolder folder, target;
  std::string data(5000, 'd');
  data.replace(16, 8, bytes_of({1, 2}));
  data.replace(64, 12, bytes_of({3, 4, 5}));
  folder.write("m.data", data);
  auto external = [](const char* name, int64_t count, const char* offset) {
    return tensor_message(name, 1, {count})
        .entry(13, "location", "m.data")
        .entry(13, "offset", offset)
        .number(14, 1);
  };
  WireMessage inner = tensor_message("inner", 1, {1}).text(9, bytes_of({6}));
  std::string bytes =
      model_message({external("a", 2, "16"), inner, external("b", 3, "64"), external("tied", 3, "64")})
          .bytes();
  ModelFile model = load_model(folder.write("m.onnx", bytes)).value();
  std::vector<TensorPatch> patches = {patch_of(model, "a", Tensor::from<float>({2}, {10, 20})),
                                      patch_of(model, "inner", Tensor::from<float>({1}, {60}))};
  Status status = write_patched_model(model, patches, target.path("out.onnx"));
  ASSERT_TRUE(status.ok()) << status.error().message;

  ModelFile out = load_model(target.path("out.onnx")).value();
  EXPECT_EQ(value_of(out, "a").double_at(1), 20);
  EXPECT_EQ(value_of(out, "inner").double_at(0), 60);
  EXPECT_TRUE(value_of(out, "b").identical(Tensor::from<float>({3}, {3, 4, 5})));
  EXPECT_TRUE(value_of(out, "tied").identical(value_of(out, "b")));
  EXPECT_EQ(target.read("out.onnx.data").size(), 64u + 12u);
  EXPECT_EQ(named(out, "a").external_data(0).value(), "out.onnx.data");

  TensorPatch again = patch_of(out, "b", Tensor::from<float>({3}, {0, 0, 1}));
  ASSERT_TRUE(write_patched_model(out, {&again, 1}, target.path("out.onnx")).ok());
  ModelFile last = load_model(target.path("out.onnx")).value();
  EXPECT_EQ(value_of(last, "b").double_at(2), 1);
  EXPECT_EQ(value_of(last, "tied").double_at(0), 3);
  EXPECT_EQ(value_of(last, "a").double_at(0), 10);
}

TEST(Patch, MutatedModelsNeverCrash) {
  std::mt19937 random(5);
  TemporaryFolder folder;
  std::string original = mixed_model();
  for (int i = 0; i < 400; ++i) {
    std::string bytes = original;
    for (int edits = 0; edits < 2; ++edits) bytes[random() % bytes.size()] = static_cast<char>(random());
    Result<ModelFile> model = load_model_bytes(bytes, "m.onnx", {}, folder.path());
    if (!model.ok()) continue;
    std::vector<TensorPatch> patches;
    for (const auto& proto : model->proto.graph().initializer()) {
      Result<Tensor> tensor = read_tensor(proto, *model, {});
      if (tensor.ok() && random() % 2 == 0) patches.push_back({origin_of(proto).value(), *tensor});
    }
    if (!write_patched_model(*model, patches, folder.path("out.onnx")).ok()) continue;
    Result<ModelFile> out = load_model(folder.path("out.onnx"));
    ASSERT_TRUE(out.ok()) << out.error().message;
    EXPECT_EQ(out->proto.graph().initializer_size(), model->proto.graph().initializer_size());
  }
}

}  // namespace
}  // namespace gannet
