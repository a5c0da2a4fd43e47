#include "runtime/training/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <regex>

#include "runtime/training/checkpoint_json.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TrainingPosition position_at(int64_t step) {
  TrainingPosition position;
  position.model = "crc32c 01234567 of 89 bytes";
  position.options = {{"--lr", "0.1"}, {"--loss", "cross-entropy"}};
  position.seed = UINT64_MAX;
  position.step = step;
  position.epoch = step / 10;
  position.batch = step % 10;
  position.epoch_loss_sum = 0.1 + 0.2;
  position.epoch_rows = 320;
  position.best = 1.0 / 3;
  position.best_step = step;
  position.evaluations_since_best = 2;
  position.watched = {{"rounds", 3}, {"accuracy", 0.1 + 0.7}};
  return position;
}

NamedTensors states_at(int64_t step) {
  return {{"w", Tensor::from<float>({2}, {static_cast<float>(step), 0.1f})},
          {"train.step", Tensor::scalar<int64_t>(step)}};
}

CheckpointStore open(const std::string& folder) {
  Result<CheckpointStore> store = CheckpointStore::open(folder);
  EXPECT_TRUE(store.ok()) << store.error().message;
  return *std::move(store);
}

std::optional<Checkpoint> latest(const CheckpointStore& store, size_t damaged = 0) {
  std::vector<std::string> passed_over;
  auto checkpoint = store.latest(passed_over);
  EXPECT_TRUE(checkpoint.ok());
  EXPECT_EQ(passed_over.size(), damaged) << testing::PrintToString(passed_over);
  return *std::move(checkpoint);
}

TEST(Checkpoint, TheJsonKeepsEveryFieldExactly) {
  CheckpointRecord record{position_at(12), 345, 0xFFFFFFFF};
  Result<CheckpointRecord> read = parse_checkpoint_json(to_json(record));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->position, record.position);
  EXPECT_EQ(read->bytes, 345);
  EXPECT_EQ(read->checksum, 0xFFFFFFFF);
  const std::string of_an_older_version =
      std::regex_replace(to_json(record), std::regex(R"( "watched": \{[^}]*\},\n)"), "");
  read = parse_checkpoint_json(of_an_older_version);
  ASSERT_TRUE(read.ok()) << read.error().message << of_an_older_version;
  EXPECT_TRUE(read->position.watched.empty());
  record.position.best.reset();
  read = parse_checkpoint_json(to_json(record));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->position, record.position);
}

TEST(Checkpoint, AnyTextIsReadOrRefused) {
  auto error = [](const std::string& text) {
    const auto read = parse_checkpoint_json(text);
    return read.ok() ? "" : read.error().message;
  };
  EXPECT_EQ(error("{"), "is not a JSON object");
  EXPECT_EQ(error("{}"), "'schema' is missing or of another kind");
  EXPECT_EQ(error("{\"schema\": 2}"), "has schema 2, this version reads 1");
  const std::string text = to_json({position_at(3), 1, 2});
  EXPECT_EQ(error(std::regex_replace(text, std::regex("\"step\": 3"), "\"step\": -3")),
            "'step' is missing or of another kind");
  std::mt19937 random(5);
  for (int i = 0; i < 3000; ++i) {
    std::string changed = text;
    for (uint32_t k = random() % 3 + 1; k > 0; --k)
      changed[random() % changed.size()] = static_cast<char>(random());
    error(changed);
  }
}

TEST(CheckpointStore, TheNewestComesBack) {
  TemporaryFolder folder;
  const std::string path = folder.path("a/b");
  {
    CheckpointStore store = open(path);
    EXPECT_FALSE(latest(store));
    for (const int64_t step : {5, 10, 100}) ASSERT_TRUE(store.save(position_at(step), states_at(step)).ok());
    EXPECT_THAT(store.steps(), ElementsAre(100, 10));
  }
  const CheckpointStore store = open(path);
  const auto checkpoint = latest(store);
  ASSERT_TRUE(checkpoint);
  EXPECT_EQ(checkpoint->position, position_at(100));
  EXPECT_EQ(checkpoint->states.size(), 2u);
  for (const auto& [name, tensor] : checkpoint->states) {
    EXPECT_TRUE(tensor.identical(name == "w" ? states_at(100)[0].second : states_at(100)[1].second));
  }
}

TEST(CheckpointStore, ADamagedOneIsPassedOver) {
  TemporaryFolder folder;
  CheckpointStore store = open(folder.path(""));
  for (const int64_t step : {5, 10}) ASSERT_TRUE(store.save(position_at(step), states_at(step)).ok());
  const std::string bytes = folder.read("step-00000010.safetensors");
  std::string flipped = bytes;
  flipped[flipped.size() - 3] ^= 1;  // a bit of a tensor: no reader could tell but for the checksum
  for (const std::string& damage : {flipped, bytes.substr(0, 20), std::string()}) {
    folder.write("step-00000010.safetensors", damage);
    EXPECT_EQ(latest(store, 1)->position.step, 5);
  }
  folder.write("step-00000010.safetensors", bytes);
  EXPECT_EQ(latest(store)->position.step, 10);
  const std::string json = folder.read("step-00000010.json");
  for (size_t size = 0; size + 2 < json.size(); size += 7) {
    folder.write("step-00000010.json", json.substr(0, size));
    EXPECT_EQ(latest(store, 1)->position.step, 5);
  }
  folder.write("step-00000010.json", json);
  folder.write("step-00000005.json", "");
  std::filesystem::remove(folder.path("step-00000010.safetensors"));
  EXPECT_FALSE(latest(store, 2));
}

TEST(CheckpointStore, BestWeightsLiveAsLongAsACheckpointNamesThem) {
  TemporaryFolder folder;
  CheckpointStore store = open(folder.path(""));
  auto save = [&](int64_t step, int64_t best) {
    if (best == step) {
      ASSERT_TRUE(store.save_best(step, states_at(step)).ok());
    }
    TrainingPosition position = position_at(step);
    position.best_step = best;
    ASSERT_TRUE(store.save(position, states_at(step)).ok());
  };
  save(1, 1);
  save(2, 1);
  save(3, 3);
  EXPECT_TRUE(store.read_best(1).ok());  // step 2 may still be gone back to
  EXPECT_TRUE(store.read_best(3).ok());
  save(4, 3);
  EXPECT_FALSE(store.read_best(1).ok());
  EXPECT_TRUE(store.read_best(3)->at(0).second.identical(states_at(3)[0].second) ||
              store.read_best(3)->at(1).second.identical(states_at(3)[0].second));
}

TEST(CheckpointStore, OneRunAtATimeAndNoRestsOfKilledOnes) {
  TemporaryFolder folder;
  folder.write(".gannet-1-0.tmp", "half a file");
  folder.write("step-00000007.safetensors", "without its json");
  folder.write("notes.txt", "of the user");
  CheckpointStore store = open(folder.path(""));
  EXPECT_FALSE(std::filesystem::exists(folder.path(".gannet-1-0.tmp")));
  const auto second = CheckpointStore::open(folder.path(""));
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.error().message, HasSubstr("another run keeps its checkpoints there"));
  ASSERT_TRUE(store.save(position_at(9), states_at(9)).ok());
  EXPECT_FALSE(std::filesystem::exists(folder.path("step-00000007.safetensors")));
  EXPECT_TRUE(std::filesystem::exists(folder.path("notes.txt")));
}

TEST(CheckpointStore, AFolderThatCannotBeWrittenIsNamed) {
  TemporaryFolder folder;
  folder.write("file", "x");
  const auto store = CheckpointStore::open(folder.path("file/below"));
  ASSERT_FALSE(store.ok());
  EXPECT_THAT(store.error().message, HasSubstr("file/below: cannot be made: "));
}

TEST(Checkpoint, IdentityFollowsTheBytes) {
  TemporaryFolder folder;
  const auto a = file_identity(folder.write("a", "123456789")),
             b = file_identity(folder.write("b", "123456780"));
  EXPECT_EQ(*a, "crc32c e3069283 of 9 bytes");
  EXPECT_NE(*a, *b);
}

}  // namespace
}  // namespace gannet
