#include "runtime/training/schedule.h"

#include <gtest/gtest.h>

#include <vector>

namespace gannet {
namespace {

std::vector<double> rates(const RateSchedule& schedule) {
  std::vector<double> values;
  for (int64_t step = 0; step < schedule.total_steps; ++step) values.push_back(rate_at(schedule, step));
  return values;
}

void expect_near(const std::vector<double>& values, const std::vector<double>& expected) {
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], 1e-11) << i;
}

TEST(Schedule, ConstantAfterWarmUp) {
  expect_near(rates({ScheduleKind::kConstant, 1.0, 6, 3}), {0.25, 0.5, 0.75, 1, 1, 1});
}

TEST(Schedule, LinearFallsToItsShare) {
  expect_near(rates({ScheduleKind::kLinear, 1.0, 5, 1}), {0.5, 1, 0.75, 0.5, 0.25});
  expect_near(rates({ScheduleKind::kLinear, 1.0, 4, 0, 0.5}), {1, 0.875, 0.75, 0.625});
}

// torch.optim.lr_scheduler.CosineAnnealingLR(T_max=10, eta_min=0.01) at a rate of 0.1, PyTorch 2.13.
TEST(Schedule, CosineIsPyTorchs) {
  expect_near(rates({ScheduleKind::kCosine, 0.1, 10, 0, 0.1}),
              {0.1, 0.0977975432333, 0.0914057647469, 0.0814503363532, 0.0689057647469, 0.055,
               0.0410942352531, 0.0285496636468, 0.0185942352531, 0.0122024567667});
}

// torch.optim.lr_scheduler.OneCycleLR(max_lr=0.1, total_steps=20).
TEST(Schedule, OneCycleIsPyTorchs) {
  expect_near(rates({ScheduleKind::kOneCycle, 0.1, 20}), {0.004,
                                                          0.01316718427,
                                                          0.03716718427,
                                                          0.06683281573,
                                                          0.09083281573,
                                                          0.1,
                                                          0.0987464006235,
                                                          0.0950484632013,
                                                          0.0890916177571,
                                                          0.081174565395,
                                                          0.0716943001791,
                                                          0.0611262021936,
                                                          0.0500002,
                                                          0.0388741978064,
                                                          0.0283060998209,
                                                          0.018825834605,
                                                          0.0109087822429,
                                                          0.00495193679865,
                                                          0.00125399937649,
                                                          4e-07});
}

TEST(Schedule, StepMultipliesEverySoOften) {
  expect_near(rates({ScheduleKind::kStep, 1.0, 6, 0, 0, 2, 0.5}), {1, 1, 0.5, 0.5, 0.25, 0.25});
  expect_near(rates({ScheduleKind::kStep, 1.0, 7}), {1, 1, 1, 0.1, 0.1, 0.1, 0.01});  // thirds
}

TEST(Schedule, AnyLengthIsDefined) {
  for (const ScheduleKind kind : {ScheduleKind::kConstant, ScheduleKind::kLinear, ScheduleKind::kCosine,
                                  ScheduleKind::kStep, ScheduleKind::kOneCycle}) {
    for (int64_t total = 1; total < 8; ++total) {
      for (int64_t warmup = 0; warmup < 10; ++warmup) {
        const RateSchedule schedule{kind, 2.0, total, warmup};
        for (const double rate : rates(schedule)) EXPECT_TRUE(rate >= 0 && rate <= 2.0) << rate;
        EXPECT_EQ(rate_at(schedule, total + 5), rate_at(schedule, total - 1));
      }
    }
  }
}

}  // namespace
}  // namespace gannet
