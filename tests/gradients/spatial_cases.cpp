#include "tests/gradients/cases.h"

namespace gannet::test {

static void add_resizes(Cases& cases) {
  Tensor up = Tensor::from<float>({4}, {1, 1, 1.5f, 2}), down = Tensor::from<float>({4}, {1, 1, 0.6f, 0.5f});
  for (const char* transformation : {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"}) {
    for (const char* mode : {"nearest", "linear", "cubic"}) {
      Attributes attrs = {{"mode", std::string(mode)}, {"coordinate_transformation_mode", std::string(transformation)}};
      cases.add({{"Resize", attrs, {{1, 2, 4, 3}}, {Tensor(), up}, {}}, {"Resize", attrs, {{1, 1, 5, 4}}, {Tensor(), down}, {}}});
      if (std::string(mode) == "nearest") continue;
      cases.add({{"Resize", with(attrs, "antialias", int64_t{1}), {{1, 1, 5, 4}}, {Tensor(), down}, {}},
                 {"Resize", with(with(attrs, "antialias", int64_t{1}), "exclude_outside", int64_t{1}), {{1, 1, 6, 5}}, {Tensor(), down}, {}},
                 {"Resize", with(attrs, "exclude_outside", int64_t{1}), {{1, 1, 4, 3}}, {Tensor(), up}, {}}});
    }
  }
}

static void add_more_resizes(Cases& cases) {
  Tensor roi = Tensor::from<float>({4}, {0.1f, -0.2f, 0.8f, 1.3f});
  for (const char* mode : {"nearest", "linear", "cubic"}) {
    Attributes attrs = {{"mode", std::string(mode)}, {"axes", Ints{2, 3}}};
    Attributes cropped = with(attrs, "coordinate_transformation_mode", std::string("tf_crop_and_resize"));
    cropped.set("extrapolation_value", 2.0f);
    cases.add({{"Resize", cropped, {{1, 1, 4, 5}}, {roi, Tensor(), list({3, 4})}, kStatic},
               {"Resize", attrs, {{1, 2, 3, 3}}, {Tensor(), Tensor(), list({5, 2})}, kStatic},
               {"Resize", with(attrs, "keep_aspect_ratio_policy", std::string("not_larger")), {{1, 1, 3, 4}}, {Tensor(), Tensor(), list({5, 7})}, kStatic},
               {"Resize", with(attrs, "keep_aspect_ratio_policy", std::string("not_smaller")), {{1, 1, 3, 4}}, {Tensor(), Tensor(), list({5, 7})}, kStatic}});
  }
  for (const char* rounding : {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}) {
    cases.add({{"Resize", {{"nearest_mode", std::string(rounding)}}, {{3, 4}}, {Tensor(), Tensor::from<float>({2}, {1.5f, 2.f})}, {}}});
  }
  cases.add({{"ResizeGradient", {{"mode", std::string("linear")}}, {{6}}, {Tensor(), Tensor::from<float>({1}, {2.f}), Tensor(), list({3})}, kStatic}});
}

static void add_grids(Cases& cases) {
  for (int64_t align_corners : {0, 1}) {
    Attributes attrs = {{"align_corners", align_corners}};
    cases.add({{"AffineGrid", attrs, {{2, 2, 3}}, {list({2, 3, 3, 4})}, kStatic}, {"AffineGrid", attrs, {{1, 3, 4}}, {list({1, 1, 2, 3, 2})}, kStatic}});
  }
}

static void add_samplings(Cases& cases) {
  for (const char* mode : {"linear", "nearest", "cubic"}) {
    for (const char* padding : {"zeros", "border", "reflection"}) {
      for (int64_t align_corners : {0, 1}) {
        Attributes attrs = {{"mode", std::string(mode)}, {"padding_mode", std::string(padding)}, {"align_corners", align_corners}};
        Model plane = [=](GraphBuilder& b, Operands x) { return b.op("GridSample", {x[0], b.mul(x[1], b.number(1.4, x[1]))}, attrs); };
        cases.add(std::string("GridSample ") + mode + " " + padding, plane, {random_tensor({1, 2, 3, 4}, 1), random_tensor({1, 2, 3, 2}, 2)}, kFixed);
        Model space = [=](GraphBuilder& b, Operands x) { return b.op("GridSample", {x[0], x[1]}, attrs); };
        cases.add(std::string("GridSample in space ") + mode + " " + padding, space,
                  {random_tensor({1, 1, 2, 3, 3}, 1), random_tensor({1, 1, 2, 1, 3}, 2)}, kStatic);
      }
    }
  }
}

static void add_regions(Cases& cases) {
  Tensor rois = Tensor::from<double>({3, 4}, {0.3, 0.4, 3.1, 2.6, 1.2, 0.1, 4.3, 3.9, 2, 2, 2.2, 2.3}), batch = Tensor::from<int64_t>({3}, {0, 1, 1});
  for (const char* mode : {"avg", "max"}) {
    for (const char* transformation : {"half_pixel", "output_half_pixel"}) {
      for (int64_t ratio : {0, 2}) {
        Attributes attrs = {{"mode", std::string(mode)}, {"coordinate_transformation_mode", std::string(transformation)}, {"sampling_ratio", ratio},
                            {"output_height", int64_t{2}}, {"output_width", int64_t{2}}};
        cases.add({{"RoiAlign", attrs, {{2, 2, 4, 5}}, {rois, batch}, {}}});
        Model gradient = [=](GraphBuilder& b, Operands x) {
          return b.op("RoiAlignGradient", {b.constant(random_tensor({2, 1, 4, 4}, 5)), b.constant(rois), b.constant(batch), x[0]}, attrs);
        };
        cases.add("RoiAlignGradient", gradient, {random_tensor({3, 1, 2, 2}, 1)}, kStatic);
        Model chosen = [=](GraphBuilder& b, Operands x) {
          return b.op("RoiAlignChosen", {b.constant(random_tensor({2, 1, 4, 4}, 5)), b.constant(rois), b.constant(batch), x[0]}, attrs);
        };
        cases.add("RoiAlignChosen", chosen, {random_tensor({2, 1, 4, 4}, 1)}, kStatic);
      }
    }
  }
  Tensor boxes = Tensor::from<double>({3, 5}, {0, 0, 0, 3, 2, 1, 1, 1, 4, 3, 1, 6, 6, 7, 7});
  for (float scale : {1.f, 0.5f}) {
    cases.add({{"MaxRoiPool", {{"pooled_shape", Ints{2, 2}}, {"spatial_scale", scale}}, {{2, 2, 4, 5}}, {boxes}, {}}});
  }
}

static void add_deformed_convolutions(Cases& cases) {
  auto deform = [&](Attributes attrs, Ints x, Ints w, Ints offset, Ints mask) {
    Model model = [=](GraphBuilder& b, Operands v) { return b.op("DeformConv", {v.begin(), v.end()}, attrs); };
    std::vector<Tensor> inputs = {random_tensor(x, 1), random_tensor(w, 2), random_tensor(offset, 3)};
    if (!mask.empty()) inputs.push_back(random_tensor({w[0]}, 4));
    if (!mask.empty()) inputs.push_back(random_tensor(mask, 5));
    cases.add("DeformConv", model, inputs, kStatic);
  };
  deform({}, {1, 2, 3, 4}, {2, 2, 2, 2}, {1, 8, 2, 3}, {});
  deform({{"pads", Ints{1, 0, 0, 1}}, {"strides", Ints{2, 1}}, {"dilations", Ints{1, 2}}}, {2, 1, 3, 4}, {1, 1, 2, 2}, {2, 8, 2, 3}, {2, 4, 2, 3});
  deform({{"group", int64_t{2}}, {"offset_group", int64_t{2}}}, {1, 2, 3, 3}, {2, 1, 2, 2}, {1, 16, 2, 2}, {1, 8, 2, 2});
  deform({}, {1, 2, 5}, {1, 2, 2}, {1, 2, 4}, {});
}

void spatial_cases(Cases& cases) {
  add_resizes(cases);
  add_more_resizes(cases);
  add_grids(cases);
  add_samplings(cases);
  add_regions(cases);
  add_deformed_convolutions(cases);
}

}  // namespace gannet::test
