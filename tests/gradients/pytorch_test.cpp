// Gradients of the sum of squares of each result as PyTorch 2.13 gives them, at kinks and ties among others.
#include <gtest/gtest.h>

#include "tests/gradients/cases.h"

namespace gannet::test {
namespace {

struct Recorded {
  Ints extents;
  std::vector<double> numbers, gradients;
};

void expect_recorded(const std::string& what, const Model& model, const std::vector<Recorded>& operands) {
  std::vector<Tensor> inputs;
  for (const Recorded& operand : operands) inputs.push_back(Tensor::from<double>(operand.extents, operand.numbers));
  Model squares = [&](GraphBuilder& b, Operands x) {
    Value* y = model(b, x);
    return b.mul(y, y);
  };
  const std::vector<Tensor> gradients = gradients_of(squares, inputs);
  ASSERT_EQ(gradients.size(), operands.size()) << what;
  for (size_t i = 0; i < operands.size(); ++i) {
    for (size_t k = 0; k < operands[i].numbers.size(); ++k) {
      EXPECT_NEAR(gradients[i].double_at(static_cast<int64_t>(k)), operands[i].gradients[k], 1e-5) << what << ", operand " << i << ", element " << k;
    }
  }
}

TEST(PyTorch, Sampling) {
  expect_recorded("grid_sample bilinear zeros", [](GraphBuilder& b, Operands x) { return b.op("GridSample", {x.begin(), x.end()}, {{"mode", std::string("linear")}, {"padding_mode", std::string("zeros")}}); },
      {{{1, 1, 3, 3}, {0.94, 0.42, -0.08, 0.84, 0.29, 0.58, -0.64, -0.3, 0.16}, {1.1056753125, 0.1992034687, 0.1634385937, 0.4120138125, 0.0953088125, 0.0784028125, -0.567356625, -0.0028472812, -0.0013664062}},
       {{1, 3, 3, 2}, {-0.7, -1.45, 0.3, -1.45, 1.3, -1.45, -0.7, -0.45, 0.3, -0.45, 1.3, -0.45, -0.7, 0.55, 0.3, 0.55, 1.3, 0.55}, {0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.3471353125, -0.245705625, -0.1957828031, 0.1814964938, -0.0027135375, 0.000665775, 0.41370885, 1.5267051, -0.0040497281, 0.0048333187, -0.0081783375, -0.000735525}}});
  expect_recorded("grid_sample bilinear border", [](GraphBuilder& b, Operands x) { return b.op("GridSample", {x.begin(), x.end()}, {{"mode", std::string("linear")}, {"padding_mode", std::string("border")}}); },
      {{{1, 1, 3, 3}, {-0.42, -0.09, -0.65, -0.29, 0.24, -0.04, -0.12, -0.19, -0.59}, {-1.3499625, -0.5200965, -2.335396, -0.29795, -0.12420375, -0.56807125, -0.2470875, -0.25890975, -1.02652275}},
       {{1, 3, 3, 2}, {-0.7, -1.45, 0.3, -1.45, 1.3, -1.45, -0.7, -0.45, 0.3, -0.45, 1.3, -0.45, -0.7, 0.55, 0.3, 0.55, 1.3, 0.55}, {-0.0, -0.0, 0.57456, -0.0, -0.0, -0.0, -0.0, -0.1473225, 0.2726766, -0.2651184, -0.0, -0.8267025, -0.0, -0.0763725, 0.3243861, 0.4142556, -0.0, 0.8146875}}});
  expect_recorded("grid_sample bilinear reflection", [](GraphBuilder& b, Operands x) { return b.op("GridSample", {x.begin(), x.end()}, {{"mode", std::string("linear")}, {"padding_mode", std::string("reflection")}}); },
      {{{1, 1, 3, 3}, {0.33, 0.57, -0.58, 0.35, -0.78, 0.05, -0.55, 0.12, 0.18}, {1.00455, -0.097032375, -1.361065125, 0.198075, -0.0302661563, -0.3780507188, -0.647625, 0.0454997813, 0.2966895938}},
       {{1, 3, 3, 2}, {-0.7, -1.45, 0.3, -1.45, 1.3, -1.45, -0.7, -0.45, 0.3, -0.45, 1.3, -0.45, -0.7, 0.55, 0.3, 0.55, 1.3, 0.55}, {0.0, -0.02001, 0.0670721625, -0.038315025, -0.0, 0.8878275, -0.0, 0.02019, 0.1468976625, 0.133121475, -0.0, -0.7092225, -0.0, 1.05975, 0.0292928344, 0.0832533188, -0.0, 0.0613275}}});
  expect_recorded("grid_sample bicubic zeros", [](GraphBuilder& b, Operands x) { return b.op("GridSample", {x.begin(), x.end()}, {{"mode", std::string("cubic")}, {"padding_mode", std::string("zeros")}}); },
      {{{1, 1, 3, 3}, {0.36, 0.49, -0.54, 0.62, 0.26, -0.61, -0.69, -0.04, 0.84}, {0.8931822829, -0.1483267553, -0.0970641192, 0.1867117197, 0.0395031314, 0.0364397529, -1.1547802737, 0.5625411056, 0.4238003036}},
       {{1, 3, 3, 2}, {-0.7, -1.45, 0.3, -1.45, 1.3, -1.45, -0.7, -0.45, 0.3, -0.45, 1.3, -0.45, -0.7, 0.55, 0.3, 0.55, 1.3, 0.55}, {0.0030603711, -0.009183029, -3.21232e-05, -8.49e-08, -0.000284321, -4.18972e-05, 0.660302759, 0.9772928406, 0.4523952296, 0.124566917, -0.0582829186, 0.0015958117, 0.1957516551, 1.7984470638, 1.0772680289, 0.7261786383, -0.0529022595, 0.0041433229}}});
  expect_recorded("grid_sample bicubic border", [](GraphBuilder& b, Operands x) { return b.op("GridSample", {x.begin(), x.end()}, {{"mode", std::string("cubic")}, {"padding_mode", std::string("border")}}); },
      {{{1, 1, 3, 3}, {0.14, -0.04, 0.59, -0.26, -0.46, -0.92, 0.5, -0.32, 0.08}, {0.2257989122, 0.2148498224, 1.4448982053, 0.1452214782, -0.1124298787, -0.0528622807, 0.760245095, -0.3666088241, -0.4093349059}},
       {{1, 3, 3, 2}, {-0.7, -1.45, 0.3, -1.45, 1.3, -1.45, -0.7, -0.45, 0.3, -0.45, 1.3, -0.45, -0.7, 0.55, 0.3, 0.55, 1.3, 0.55}, {-0.0477775216, 0.0, 0.4860589781, 0.0, -0.0775072023, 0.0, 0.0049425053, 0.0333998024, -0.073017225, 0.2629914487, -0.0039239521, -0.4245625374, -0.5303518169, 1.0031930875, -0.3604545116, -0.5803506933, 0.0051676738, -0.377122338}}});
  expect_recorded("grid_sample bicubic reflection", [](GraphBuilder& b, Operands x) { return b.op("GridSample", {x.begin(), x.end()}, {{"mode", std::string("cubic")}, {"padding_mode", std::string("reflection")}}); },
      {{{1, 1, 3, 3}, {-0.07, 0.73, -0.92, 0.99, 0.76, 0.53, -0.49, -0.62, 0.98}, {0.5633999242, 0.4977575604, -1.8634355884, 0.1519620055, 0.2145045476, -0.186197642, -0.4861988521, 0.1210074692, 1.938925409}},
       {{1, 3, 3, 2}, {-0.7, -1.45, 0.3, -1.45, 1.3, -1.45, -0.7, -0.45, 0.3, -0.45, 1.3, -0.45, -0.7, 0.55, 0.3, 0.55, 1.3, 0.55}, {0.124554221, -0.3872116787, -0.9087993179, -0.3365247503, -2.2649581853, 3.0841793661, 0.3071415996, 1.4742004328, -1.2904967537, 0.6177900392, -1.4562348142, -2.4479089108, 0.0799535658, 1.1841756815, 0.792383775, -0.333256166, -2.6983866081, 0.6145226678}}});
}

TEST(PyTorch, Resizing) {
  expect_recorded("interpolate nearest (5, 2)", [](GraphBuilder& b, Operands x) { return b.op("Resize", {x[0], nullptr, nullptr, b.ints({1, 1, 5, 2})}, {{"mode", std::string("nearest")}, {"coordinate_transformation_mode", std::string("asymmetric")}, {"nearest_mode", std::string("floor")}}); },
      {{{1, 1, 3, 4}, {1.0, 0.2, -0.7, -0.21, 0.73, -0.78, 0.62, 0.58, 0.6, -0.19, 0.45, -0.98}, {4.0, 0.0, -2.8, 0.0, 2.92, 0.0, 2.48, 0.0, 1.2, 0.0, 0.9, 0.0}}});
  expect_recorded("interpolate nearest (2, 7)", [](GraphBuilder& b, Operands x) { return b.op("Resize", {x[0], nullptr, nullptr, b.ints({1, 1, 2, 7})}, {{"mode", std::string("nearest")}, {"coordinate_transformation_mode", std::string("asymmetric")}, {"nearest_mode", std::string("floor")}}); },
      {{{1, 1, 3, 4}, {-0.49, -0.62, -0.67, -0.01, -0.69, -0.54, -0.18, -0.25, -0.63, -0.2, 0.04, 0.22}, {-1.96, -2.48, -2.68, -0.02, -2.76, -2.16, -0.72, -0.5, 0.0, 0.0, 0.0, 0.0}}});
  expect_recorded("interpolate bilinear (5, 2)", [](GraphBuilder& b, Operands x) { return b.op("Resize", {x[0], nullptr, nullptr, b.ints({1, 1, 5, 2})}, {{"mode", std::string("linear")}, {"coordinate_transformation_mode", std::string("pytorch_half_pixel")}}); },
      {{{1, 1, 3, 4}, {-0.22, 0.08, -0.6, -0.14, 0.71, 0.84, -0.92, 0.41, -0.65, -0.64, -0.64, 0.34}, {0.0908, 0.0908, -0.5644, -0.5644, 0.8514, 0.8514, -0.4614, -0.4614, -0.6912, -0.6912, -0.2652, -0.2652}}});
  expect_recorded("interpolate bilinear (2, 7)", [](GraphBuilder& b, Operands x) { return b.op("Resize", {x[0], nullptr, nullptr, b.ints({1, 1, 2, 7})}, {{"mode", std::string("linear")}, {"coordinate_transformation_mode", std::string("pytorch_half_pixel")}}); },
      {{{1, 1, 3, 4}, {0.23, -0.66, 0.95, 0.35, 0.12, -0.11, 0.94, 0.0, 0.94, 0.74, -0.54, 0.43}, {0.1989030612, -0.5264923469, 1.6826403061, 0.9790561224, 0.6655994898, 0.2389987245, 0.5691517857, 0.5299107143, 1.7978954082, 1.2434885204, 0.024815051, 0.6106760204}}});
  expect_recorded("interpolate bicubic (5, 2)", [](GraphBuilder& b, Operands x) { return b.op("Resize", {x[0], nullptr, nullptr, b.ints({1, 1, 5, 2})}, {{"mode", std::string("cubic")}, {"coordinate_transformation_mode", std::string("pytorch_half_pixel")}}); },
      {{{1, 1, 3, 4}, {-0.11, 0.07, -0.7, 0.32, -0.91, -0.0, -0.11, 0.59, -0.39, -0.36, 0.42, -0.88}, {0.05832574, 0.1382226475, -0.4476880075, -0.3677911, -0.697767645, -0.8794344169, 0.4527885769, 0.271121805, -0.776731845, -0.8863658869, -0.0823829131, -0.192016955}}});
  expect_recorded("interpolate bicubic (2, 7)", [](GraphBuilder& b, Operands x) { return b.op("Resize", {x[0], nullptr, nullptr, b.ints({1, 1, 2, 7})}, {{"mode", std::string("cubic")}, {"coordinate_transformation_mode", std::string("pytorch_half_pixel")}}); },
      {{{1, 1, 3, 4}, {0.78, -0.89, 0.79, -0.38, 0.25, -0.93, -0.84, 0.39, -0.76, -0.1, 0.76, -0.42}, {1.5663515462, -1.8199372959, 0.3636490251, -0.1944381704, -0.0121833134, -0.8512373322, 0.3820332402, -0.2132004703, -1.6007194004, -0.581314283, 0.7140268316, -0.4069780818}}});
  expect_recorded("interpolate aligned", [](GraphBuilder& b, Operands x) { return b.op("Resize", {x[0], nullptr, nullptr, b.ints({1, 1, 5, 6})}, {{"mode", std::string("linear")}, {"coordinate_transformation_mode", std::string("align_corners")}}); },
      {{{1, 1, 3, 4}, {-0.79, -0.56, 0.51, 0.02, 0.09, -0.75, 0.53, 0.3, 0.32, -0.83, 0.13, -0.47}, {-2.6648, -1.8164, 1.0816, 0.6016, -0.6662, -2.4432, 1.206, 1.2414, 0.3922, -2.1564, -0.4164, -1.0474}}});
}

TEST(PyTorch, ProductsAndTies) {
  expect_recorded("prod with zeros", [](GraphBuilder& b, Operands x) { return b.reduce("ReduceProd", x[0], {1}, false); },
      {{{2, 4}, {0.42, 0.0, -0.59, -0.41, 0.0, -0.67, 0.0, -0.46}, {0.0, 0.0, -0.0, -0.0, 0.0, -0.0, 0.0, -0.0}}});
  expect_recorded("cumprod with zeros", [](GraphBuilder& b, Operands x) { return b.op("CumProd", {x[0], b.constant(integer(1))}); },
      {{{2, 4}, {0.42, 0.0, -0.59, -0.41, 0.0, -0.67, 0.0, -0.46}, {0.84, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0}}});
  expect_recorded("amax with ties", [](GraphBuilder& b, Operands x) { return b.reduce("ReduceMax", x[0], {1}, false); },
      {{{2, 4}, {1.0, 2.0, 2.0, 0.0, 3.0, 3.0, 3.0, 1.0}, {0.0, 2.0, 2.0, 0.0, 2.0, 2.0, 2.0, 0.0}}});
  expect_recorded("maximum with ties", [](GraphBuilder& b, Operands x) { return b.op("Max", {x.begin(), x.end()}); },
      {{{2, 4}, {1.0, 2.0, 2.0, 0.0, 3.0, 3.0, 3.0, 1.0}, {0.0, 2.0, 2.0, 0.0, 6.0, 6.0, 6.0, 0.0}},
       {{2, 4}, {2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0}, {4.0, 2.0, 2.0, 4.0, 0.0, 0.0, 0.0, 4.0}}});
  expect_recorded("max_pool with ties", [](GraphBuilder& b, Operands x) { return b.op("MaxPool", {x.begin(), x.end()}, {{"kernel_shape", Ints{2}}, {"strides", Ints{2}}}); },
      {{{1, 1, 6}, {1.0, 2.0, 2.0, 0.0, 3.0, 3.0}, {0.0, 4.0, 4.0, 0.0, 6.0, 0.0}}});
  expect_recorded("scatter_reduce sum", [](GraphBuilder& b, Operands x) {
        return b.op("ScatterElements", {x[0], b.constant(Tensor::from<int64_t>({2, 3}, {0, 0, 1, 2, 2, 2})), x[1]}, {{"axis", int64_t{1}}, {"reduction", std::string("add")}});
      },
      {{{2, 4}, {0.52, -0.35, -0.85, 0.2, -0.08, 0.49, 0.5, 0.69}, {2.54, -2.16, -1.7, 0.4, -0.16, 0.98, 2.68, 1.38}},
       {{2, 3}, {-0.2, 0.95, -0.73, 0.0, 0.73, 0.11}, {2.54, 2.54, -2.16, 2.68, 2.68, 2.68}}});
  expect_recorded("scatter_reduce prod", [](GraphBuilder& b, Operands x) {
        return b.op("ScatterElements", {x[0], b.constant(Tensor::from<int64_t>({2, 3}, {0, 0, 1, 2, 2, 2})), x[1]}, {{"axis", int64_t{1}}, {"reduction", std::string("mul")}});
      },
      {{{2, 4}, {0.45, -0.21, -0.66, 0.83, -0.23, -0.57, 0.5, 0.97}, {0.001774224, -0.255528, -1.32, 1.66, -0.46, -1.14, 0.0, 1.94}},
       {{2, 3}, {0.37, 0.12, -0.78, 0.0, 0.66, 0.08}, {0.00215784, 0.00665334, -0.068796, 0.0, 0.0, 0.0}}});
  expect_recorded("scatter_reduce amax", [](GraphBuilder& b, Operands x) {
        return b.op("ScatterElements", {x[0], b.constant(Tensor::from<int64_t>({2, 3}, {0, 0, 1, 2, 2, 2})), x[1]}, {{"axis", int64_t{1}}, {"reduction", std::string("max")}});
      },
      {{{2, 4}, {0.97, -0.69, -0.62, -0.57, -0.2, -0.64, 0.5, 0.95}, {0.6466666667, -0.0, -1.24, -1.14, -0.4, -1.28, 0.0, 1.9}},
       {{2, 3}, {0.97, 0.97, -0.68, 0.0, -0.33, 0.75}, {0.6466666667, 0.6466666667, -1.36, 0.0, 0.0, 1.5}}});
  expect_recorded("scatter_reduce amin", [](GraphBuilder& b, Operands x) {
        return b.op("ScatterElements", {x[0], b.constant(Tensor::from<int64_t>({2, 3}, {0, 0, 1, 2, 2, 2})), x[1]}, {{"axis", int64_t{1}}, {"reduction", std::string("min")}});
      },
      {{{2, 4}, {0.11, 0.8, 0.51, -0.4, -0.2, 0.17, 0.5, -0.65}, {0.0733333333, 0.0, 1.02, -0.8, -0.4, 0.34, -0.0, -1.3}},
       {{2, 3}, {0.11, 0.11, 0.59, 0.0, 0.73, -0.45}, {0.0733333333, 0.0733333333, 1.18, -0.0, -0.0, -0.9}}});
}

TEST(PyTorch, NormsAndOthers) {
  expect_recorded("lp_pool", [](GraphBuilder& b, Operands x) { return b.op("LpPool", {x.begin(), x.end()}, {{"kernel_shape", Ints{2}}, {"strides", Ints{2}}}); },
      {{{1, 1, 6}, {0.41, 0.18, -0.05, -0.74, -0.74, 0.97}, {0.82, 0.36, -0.1, -1.48, -1.48, 1.94}}});
  expect_recorded("local_response_norm", [](GraphBuilder& b, Operands x) { return b.op("LRN", {x.begin(), x.end()}, {{"size", int64_t{3}}, {"alpha", 0.5f}, {"beta", 0.75f}, {"bias", 1.5f}}); },
      {{{1, 4, 2}, {-0.29, 0.3, 0.08, -0.41, -0.99, -0.23, -0.47, 0.64}, {-0.3064390042, 0.3000669361, 0.0619346092, -0.4031283129, -0.733919195, -0.2028178516, -0.3492371, 0.5991409786}}});
  expect_recorded("group_norm", [](GraphBuilder& b, Operands x) { return b.op("GroupNormalization", {x.begin(), x.end()}, {{"num_groups", int64_t{2}}}); },
      {{{1, 4, 3}, {0.7, 0.78, -0.99, -0.91, -0.36, -0.57, -0.2, 0.3, 0.35, 0.98, 0.99, 0.97}, {-0.3605301611, -0.2880583198, -1.891497808, 0.533699084, 1.1139732079, 0.892413997, 0.8728926667, -0.7098056212, -0.86807545, 0.2349961348, 0.2678911224, 0.2021011473}},
       {{4}, {0.94, 0.96, 0.13, 0.82}, {6.3331030322, 1.9587307259, 3.1635510181, 4.4499052305}},
       {{4}, {-0.83, 0.1, -0.41, 0.05}, {-1.9118078181, -2.5334728666, -3.1782670696, 4.8306076696}}});
  expect_recorded("layer_norm", [](GraphBuilder& b, Operands x) { return b.op("LayerNormalization", {x.begin(), x.end()}); },
      {{{2, 5}, {-0.59, 0.88, 0.53, -0.69, 0.08, -0.79, 0.27, -0.18, -0.78, -0.73}, {-0.3572409372, 0.1242162332, 0.3601167922, 0.6503082302, -0.7774003185, -0.4351505711, -0.1203063812, 0.2651270821, 1.0300834249, -0.7397535548}},
       {{5}, {-0.22, 0.57, 0.4, 0.32, 0.28}, {-3.436633364, 3.7780346475, 1.9191635923, -1.150223247, 1.0544082419}},
       {{5}, {0.72, -0.26, 0.39, 0.62, -0.64}, {3.6959755795, 2.4387781704, 2.692865125, 1.2038102527, -2.906698672}}});
  expect_recorded("instance_norm", [](GraphBuilder& b, Operands x) { return b.op("InstanceNormalization", {x.begin(), x.end()}); },
      {{{1, 2, 4}, {-0.2, -0.23, 0.54, 0.08, 0.58, 0.25, -0.5, -0.44}, {-0.0003562557, -0.0003994382, 0.0007089128, 4.6781e-05, 0.0002437222, 0.0001113299, -0.0001895617, -0.0001654904}},
       {{2}, {-0.81, -0.94}, {-6.479321315, -7.5196416979}},
       {{2}, {0.23, -0.33}, {1.84, -2.64}}});
  expect_recorded("pad reflect", [](GraphBuilder& b, Operands x) { return b.op("Pad", {x[0], b.ints({0, 0, 2, 0, 0, 3})}, {{"mode", std::string("reflect")}}); },
      {{{1, 1, 5}, {-0.16, -0.97, -0.19, -0.7, 0.89}, {-0.32, -5.82, -1.14, -2.8, 1.78}}});
  expect_recorded("det", [](GraphBuilder& b, Operands x) { return b.op("Det", {x.begin(), x.end()}); },
      {{{3, 3}, {0.72, 0.01, -0.29, 0.02, -0.47, -0.02, -0.18, 0.97, 0.26}, {0.0113334944, 0.0001763968, 0.0071881696, 0.0312994072, -0.01488348, 0.0771956496, 0.015048852, -0.0009481328, 0.0373299728}}});
  expect_recorded("topk", [](GraphBuilder& b, Operands x) { return b.op("TopK", {x[0], b.ints({3})}); },
      {{{2, 5}, {-0.45, -0.19, 0.35, 0.64, -0.65, -0.28, 0.28, 0.29, -0.82, 0.99}, {0.0, -0.38, 0.7, 1.28, 0.0, 0.0, 0.56, 0.58, 0.0, 1.98}}});
  expect_recorded("clamp at its bounds", [](GraphBuilder& b, Operands x) { return b.op("Clip", {x[0], b.number(0, x[0]), b.number(1, x[0])}); },
      {{{5}, {-1.0, 0.0, 1.0, 2.0, 0.5}, {0.0, 0.0, 2.0, 0.0, 1.0}}});
}

}  // namespace
}  // namespace gannet::test
