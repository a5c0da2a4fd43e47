// Token ids that other libraries have given, where ../shared/data (or $GANNET_DATA) has them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "ir/base/file.h"
#include "runtime/data/tokenizer/tokenizer.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tests_folder.h"

namespace gannet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path data_folder() {
  const char* given = std::getenv("GANNET_DATA");
  return (given ? fs::path(given) : fs::path(test::tests_folder()) / "../../shared/data") / "tokenizer";
}

json read_json(const fs::path& path) { return json::parse(read_file(path, int64_t{1} << 30).value()); }

class ReferenceTokens : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::is_directory(data_folder()))
      GTEST_SKIP() << data_folder() << " is absent: set GANNET_DATA to a folder with reference token ids";
  }
};

TEST_F(ReferenceTokens, TextsBecomeTheSameIds) {
  fs::path folder = data_folder() / "reftests";
  int found = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    json reference = read_json(entry);
    fs::path model = folder / "models" / reference["model_name"].get<std::string>();
    fs::path file = fs::exists(model / "vocab.txt") ? model / "vocab.txt" : model / "tokenizer.json";
    Tokenizer tokenizer = Tokenizer::from_file(file).value();
    fs::path text = folder / fs::path(reference["input_file"].get<std::string>()).filename();
    EXPECT_EQ(json(tokenizer.encode(read_file(text, int64_t{1} << 30).value()).value().ids),
              reference["token_ids"])
        << entry.path();
    ++found;
  }
  EXPECT_GE(found, 5);
}

TEST_F(ReferenceTokens, SmallFilesOfJson) {
  TemporaryFolder temporary;
  int found = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(data_folder() / "tokenizer-json")) {
    json reference = read_json(entry);
    Tokenizer tokenizer =
        Tokenizer::from_file(temporary.write("tokenizer.json", reference["tokenizer"].dump())).value();
    for (const json& each : reference["cases"]) {
      EXPECT_EQ(json(tokenizer.encode(each["text"].get<std::string>()).value().ids), each["token_ids"])
          << entry.path();
      ++found;
    }
  }
  EXPECT_GE(found, 2);
}

}  // namespace
}  // namespace gannet
