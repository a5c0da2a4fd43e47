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

void spatial_cases(Cases& cases) {
  add_resizes(cases);
  add_more_resizes(cases);
  add_grids(cases);
}

}  // namespace gannet::test
