#include "frontend/model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <random>

#include "frontend/skeleton.h"
#include "frontend/tensor_data.h"
#include "tests/frontend/wire_message.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string floats(size_t count) { return std::string(count * 4, '\0'); }

WireMessage subgraphs(int64_t levels) {
  WireMessage graph = WireMessage().text(2, "inner");
  for (int64_t i = 0; i < levels; ++i) {
    WireMessage attr = WireMessage().text(1, "body").child(6, graph).number(20, 5);
    graph = WireMessage().child(1, WireMessage().text(4, "Loop").child(5, attr));
  }
  return WireMessage().number(1, 8).child(7, graph);
}

std::string error_of(const std::string& bytes, const Limits& limits = {}) {
  Result<ModelFile> model = load_model_bytes(bytes, "m.onnx", limits);
  return model.ok() ? "" : model.error().message;
}

// A model with something of every kind of message that holds tensors.
std::string rich_model() {
  WireMessage raw = tensor_message("raw", 1, {2, 3}).text(9, floats(6));
  WireMessage typed = tensor_message("typed", 7, {2}).packed(7, {1, -1});
  WireMessage inner_graph =
      WireMessage().text(2, "then").child(5, tensor_message("inner", 1, {1}).text(9, floats(1)));
  WireMessage attrs = WireMessage().text(4, "If");
  attrs.child(5, WireMessage().text(1, "then_branch").child(6, inner_graph).number(20, 5));
  attrs.child(5, WireMessage().text(1, "value").child(5, raw).number(20, 4));
  attrs.child(5, WireMessage().text(1, "ints").packed(8, {1, 2, 3}).number(20, 7));
  attrs.text(8, "special");
  WireMessage sparse = WireMessage().child(1, raw).child(2, typed).packed(3, {4, 4});
  WireMessage graph = WireMessage().child(1, attrs).child(5, raw).child(5, typed).child(15, sparse);
  WireMessage shape =
      WireMessage().child(1, WireMessage().text(2, "batch")).child(1, WireMessage().number(1, 3));
  WireMessage type = WireMessage().child(1, WireMessage().number(1, 1).child(2, shape));
  graph.child(11, WireMessage().text(1, "x").child(2, type));
  WireMessage default_attr = WireMessage().text(1, "alpha").number(20, 4).child(5, raw);
  WireMessage function = WireMessage().text(1, "f").child(7, attrs).child(11, default_attr).text(13, "int");
  function.child(12, WireMessage().text(1, "v").child(2, type));
  return WireMessage()
      .number(1, 10)
      .child(7, graph)
      .child(8, WireMessage().number(2, 21))
      .child(25, function)
      .entry(14, "key", "value")
      .bytes();
}

TEST(ModelFile, LeavesRawDataInTheFile) {
  std::string raw(24, '\x11');
  std::string bytes = model_message({tensor_message("w", 1, {2, 3}).text(9, raw)}).bytes();
  Result<ModelFile> model = load_model_bytes(bytes, "m.onnx");
  ASSERT_TRUE(model.ok()) << model.error().message;
  const onnx::TensorProto& tensor = model->proto.graph().initializer(0);
  EXPECT_EQ(tensor.name(), "w");
  EXPECT_FALSE(tensor.has_raw_data());
  ASSERT_TRUE(raw_location_of(tensor).has_value());
  EXPECT_EQ(raw_location_of(tensor)->offset, static_cast<int64_t>(bytes.find(raw)));
  EXPECT_EQ(raw_location_of(tensor)->length, 24);
  ASSERT_TRUE(origin_of(tensor).has_value());
  onnx::TensorProto whole;
  ASSERT_TRUE(whole.ParseFromString(bytes.substr(static_cast<size_t>(*origin_of(tensor)), 24 + 11)));
  EXPECT_EQ(whole.raw_data(), raw);
}

TEST(ModelFile, ReadsFieldsNewerThanTheClasses) {
  Result<ModelFile> model = load_model_bytes(rich_model(), "m.onnx");
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(overload_of(model->proto.graph().node(0)), "special");
  const onnx::FunctionProto& function = model->proto.functions(0);
  EXPECT_EQ(overload_of(function), "int");
  ASSERT_EQ(default_attributes(function).size(), 1u);
  EXPECT_EQ(default_attributes(function)[0].name(), "alpha");
  EXPECT_TRUE(read_tensor(default_attributes(function)[0].t(), *model, {}).ok());
  ASSERT_EQ(value_infos(function).size(), 1u);
  EXPECT_EQ(value_infos(function)[0].name(), "v");
}

TEST(ModelFile, IgnoresFieldsOfOursInAFile) {
  WireMessage tensor = tensor_message("w", 2, {4}).text(9, "abcd").number(kOriginField, 5);
  tensor.text(kRawLocationField, std::string(16, '\x7f'));
  Result<ModelFile> model = load_model_bytes(model_message({tensor}).bytes(), "m.onnx");
  ASSERT_TRUE(model.ok());
  Result<Tensor> value = read_tensor(model->proto.graph().initializer(0), *model, {});
  ASSERT_TRUE(value.ok()) << value.error().message;
  EXPECT_EQ(value->int_at(0), 'a');
}

TEST(ModelFile, TruncationAnywhereIsAnErrorOrASmallerModel) {
  std::string bytes = rich_model();
  for (size_t size = 0; size < bytes.size(); ++size) {
    Result<ModelFile> model = load_model_bytes(bytes.substr(0, size), "m.onnx");
    if (model.ok()) continue;
    EXPECT_THAT(model.error().message, StartsWith("m.onnx: ")) << size;
  }
}

// Whatever loads must be readable or refused.
void read_everything(const ModelFile& model) {
  Limits limits;
  limits.tensor_bytes = 1 << 20;
  for (const auto& tensor : model.proto.graph().initializer()) (void)read_tensor(tensor, model, limits);
  for (const auto& sparse : model.proto.graph().sparse_initializer())
    (void)read_sparse_tensor(sparse, model, limits);
  for (const auto& node : model.proto.graph().node()) {
    for (const auto& attr : node.attribute()) (void)read_tensor(attr.t(), model, limits);
  }
  for (const auto& function : model.proto.functions()) {
    for (const auto& attr : default_attributes(function)) (void)read_tensor(attr.t(), model, limits);
  }
}

TEST(ModelFile, MutationsNeverCrash) {
  std::mt19937 random(7);
  std::string original = rich_model();
  int loaded = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = original;
    for (unsigned edits = random() % 4 + 1; edits > 0; --edits) {
      size_t at = random() % bytes.size();
      switch (random() % 3) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(at, random() % 4);
          break;
        default:
          bytes.insert(at, 1 + random() % 3, static_cast<char>(random() % 2 == 0 ? 0xff : random()));
      }
      if (bytes.empty()) bytes = original;
    }
    Result<ModelFile> model = load_model_bytes(bytes, "m.onnx");
    if (!model.ok()) continue;
    ++loaded;
    read_everything(*model);
  }
  EXPECT_GT(loaded, 100);
}

TEST(ModelFile, WhatTheScanPassesProtobufReads) {
  std::mt19937 random(11);
  std::string original = rich_model();
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = original;
    bytes[random() % bytes.size()] = static_cast<char>(random());
    EXPECT_THAT(error_of(bytes), testing::Not(HasSubstr("protobuf")));
  }
}

TEST(ModelFile, LimitsNodesAndNesting) {
  Limits limits;
  limits.nesting = 5;
  EXPECT_EQ(error_of(subgraphs(5).bytes(), limits), "");
  EXPECT_THAT(error_of(subgraphs(6).bytes(), limits), HasSubstr("nested deeper than 5 (limit nesting)"));
  EXPECT_THAT(error_of(subgraphs(5000).bytes()), HasSubstr("nested deeper than 32"));
  limits.nesting = 100'000;
  EXPECT_EQ(error_of(subgraphs(200).bytes(), limits), "");
  EXPECT_THAT(error_of(subgraphs(5000).bytes(), limits), HasSubstr("nested deeper than 800"));
  limits.nodes = 0;
  EXPECT_THAT(error_of(subgraphs(1).bytes(), limits), HasSubstr("more than 0 nodes"));
  limits.nodes = 2;
  std::string graph;
  for (int i = 0; i < 200; ++i) append_bytes_field(graph, 11, "");
  EXPECT_THAT(error_of(WireMessage().text(7, graph).bytes(), limits), HasSubstr("more than 191 messages"));
}

TEST(ModelFile, DeepTypesAreRefused) {
  WireMessage type = WireMessage().child(1, WireMessage().number(1, 1));
  for (int i = 0; i < 5000; ++i) type = WireMessage().child(4, WireMessage().child(1, type));
  WireMessage graph = WireMessage().child(11, WireMessage().text(1, "x").child(2, type));
  EXPECT_THAT(error_of(WireMessage().child(7, graph).bytes()), HasSubstr("nested deeper than 128"));
}

TEST(ModelFile, SaysWhatAFileIsNot) {
  EXPECT_EQ(error_of(""), "m.onnx: the file is empty");
  EXPECT_THAT(error_of("version https://git-lfs.github.com/spec/v1\n"), HasSubstr("Git LFS pointer"));
  EXPECT_THAT(error_of("<!DOCTYPE html><html></html>"), StartsWith("m.onnx: not an ONNX model: "));
  EXPECT_EQ(error_of(WireMessage().number(1, 8).bytes()),
            "m.onnx: not an ONNX model: there is no graph in it");
  std::string twice = model_message({}).bytes() + model_message({}).bytes();
  EXPECT_THAT(error_of(twice), HasSubstr("is there twice in one message"));
  std::string cut = model_message({tensor_message("w", 1, {64}).text(9, floats(64))}).bytes();
  EXPECT_THAT(error_of(cut.substr(0, 100)), HasSubstr("the file ends inside field 7 at byte 2"));
}

TEST(ModelFile, RefusesWhatIsNoRegularFile) {
  TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder.path("pipe")).c_str(), 0600), 0);
  EXPECT_THAT(load_model(folder.path("pipe")).error().message, HasSubstr("is a pipe"));
  EXPECT_THAT(load_model(folder.path()).error().message, HasSubstr("is a directory"));
  EXPECT_THAT(load_model(folder.path("none")).error().message, HasSubstr("cannot be opened"));
  EXPECT_THAT(load_model(folder.write("empty", "")).error().message, HasSubstr("is empty"));
  Limits limits;
  limits.file_bytes = 10;
  std::string path = folder.write("m.onnx", model_message({}).bytes());
  EXPECT_THAT(load_model(path, limits).error().message, HasSubstr("the limit file-bytes is 10"));
  EXPECT_TRUE(load_model(path).ok());
}

}  // namespace
}  // namespace gannet
