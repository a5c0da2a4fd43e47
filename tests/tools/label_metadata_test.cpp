#include "tools/deploy/label_metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(LabelMetadata, NamesComeBack) {
  const std::vector<std::string> names = {"not \"good\"", "très bien", "a:b", "3"};
  EXPECT_EQ(label_names_of({{"id2label", id_to_label_text(names)}}), names);
  EXPECT_EQ(id_to_label_text({"no", "yes"}), R"({"0":"no","1":"yes"})");
}

TEST(LabelMetadata, NumbersDecideTheOrder) {
  EXPECT_THAT(label_names_of({{"id2label", R"({"1": "b", "2": "c", "0": "a"})"}}),
              ElementsAre("a", "b", "c"));
  EXPECT_THAT(label_names_of({{"id2label", R"({"1": "b", "2": "c"})"}}), IsEmpty());
  EXPECT_THAT(label_names_of({{"id2label", "{"}}), IsEmpty());
  EXPECT_THAT(label_names_of({{"id2label", R"({"x": "b"})"}}), IsEmpty());
  EXPECT_THAT(label_names_of({}), IsEmpty());
}

TEST(LabelMetadata, NamesInTheFormOfPythonAreRead) {
  EXPECT_THAT(label_names_of({{"names", "{0: 'person', 1: \"bird's nest\", 2: 'say \"x\"', 3: 'route 66'}"}}),
              ElementsAre("person", "bird's nest", "say \"x\"", "route 66"));
}

}  // namespace
}  // namespace gannet
