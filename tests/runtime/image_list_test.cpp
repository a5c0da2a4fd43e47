#include "runtime/data/image_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ImageListTest : public testing::Test {
 protected:
  std::string add(const std::string& name) {
    std::filesystem::create_directories(std::filesystem::path(folder_.path(name)).parent_path());
    return folder_.write(name, "x");
  }
  std::string error(const std::string& path, const ImageListOptions& options = {}) {
    return list_images(path, options).error().message;
  }

  TemporaryFolder folder_;
};

TEST_F(ImageListTest, ClassesAreSortedFolders) {
  for (const char* name : {"t/dog/2.png", "t/dog/1.JPG", "t/cat/deep/x.webp", "t/cat/notes.txt",
                           "t/.git/x.png", "t/dog/.hidden.png", "t/x.png"})
    add(name);
  std::filesystem::create_directory_symlink("..", folder_.path("t/dog/up"));
  std::filesystem::create_symlink("loop.png", folder_.path("t/dog/loop.png"));
  const ImageList list = *list_images(folder_.path("t"));
  EXPECT_THAT(list.classes, ElementsAre("cat", "dog"));
  EXPECT_THAT(list.files, ElementsAre(folder_.path("t/cat/deep/x.webp"), folder_.path("t/dog/1.JPG"),
                                      folder_.path("t/dog/2.png")));
  EXPECT_THAT(list.target.ints(), ElementsAre(0, 1, 1));
}

TEST_F(ImageListTest, KnownClassesKeepTheirNumbers) {
  add("t/dog/1.png");
  ImageListOptions options;
  options.classes = {"eel", "dog", "cat"};
  EXPECT_THAT(list_images(folder_.path("t"), options)->target.ints(), ElementsAre(1));
  options.classes = {"eel"};
  EXPECT_THAT(error(folder_.path("t"), options),
              HasSubstr("class 'dog' is not one of the 1 that are known: eel"));
}

TEST_F(ImageListTest, SaysWhatAFolderLacks) {
  std::filesystem::create_directories(folder_.path("none"));
  EXPECT_THAT(error(folder_.path("none")), HasSubstr("holds no folders"));
  std::filesystem::create_directories(folder_.path("empty/cat"));
  EXPECT_THAT(error(folder_.path("empty")), HasSubstr("empty/cat: holds no pictures"));
  EXPECT_THAT(error(folder_.path("missing")), HasSubstr("missing: there is no such file or folder"));
  EXPECT_THAT(error(add("notes.doc")), HasSubstr("a table (.csv, .tsv or .jsonl)"));
}

TEST_F(ImageListTest, TablesNamePicturesAndLabels) {
  const std::string path = folder_.write("t.csv", "id,path,label\n7,a/1.png,dog\n8,/b.png,cat\n");
  const ImageList list = *list_images(path);
  EXPECT_THAT(list.files, ElementsAre(folder_.path("a/1.png"), "/b.png"));
  EXPECT_THAT(list.classes, ElementsAre("cat", "dog"));
  EXPECT_THAT(list.target.ints(), ElementsAre(1, 0));
  EXPECT_THAT(error(folder_.write("u.csv", "path,label\na.png,\n")),
              HasSubstr("u.csv: line 2: has no label"));
  ImageListOptions options;
  options.label_column = "kind";
  EXPECT_THAT(error(path, options), HasSubstr("no column 'kind'"));
}

TEST_F(ImageListTest, SeveralLabels) {
  ImageListOptions options;
  options.several = true;
  const ImageList list =
      *list_images(folder_.write("t.csv", "path,tags\n1.png,sea|sun\n2.png,\n3.png,sun\n"), options);
  EXPECT_EQ(list.labels, ImageLabels::kSeveral);
  EXPECT_THAT(list.classes, ElementsAre("sea", "sun"));
  EXPECT_THAT(list.target.data<float>(), ElementsAre(1, 1, 0, 0, 0, 1));
}

TEST_F(ImageListTest, ProbabilitiesOfClasses) {
  const std::string path =
      folder_.write("t.csv", "path,label,p:cat,p:dog\n1.png,cat,0.75,0.25\n2.png,,,\n3.png,dog,0,1\n");
  const ImageList list = *list_images(path);
  EXPECT_EQ(list.labels, ImageLabels::kShares);
  EXPECT_EQ(list.files.size(), 2u);
  EXPECT_THAT(list.target.data<float>(), ElementsAre(0.75f, 0.25f, 0, 1));
  EXPECT_THAT(error(folder_.write("u.csv", "path,p:a,p:b\n1.png,2,0\n")),
              HasSubstr("line 2: '2' of p:a is not a probability"));
  EXPECT_THAT(error(folder_.write("v.csv", "path,p:a,p:b\n1.png,0.3,0.7\n2.png,0.3,0.3\n")),
              HasSubstr("v.csv: line 3: the probabilities add up to 0.6, not 1"));
  EXPECT_TRUE(list_images(folder_.write("w.csv", "path,p:a,p:b,p:c\n1.png,0.33,0.33,0.33\n")).ok());
}

TEST_F(ImageListTest, ColumnsOfOneNameAreErrors) {
  const std::string text = "columns 2 and 3 are both named 'label'";
  EXPECT_THAT(error(folder_.write("t.csv", "path,label,label\na.png,x,y\n")), HasSubstr(text));
  ImageListOptions options;
  options.label_column = "label";
  EXPECT_THAT(error(folder_.path("t.csv"), options), HasSubstr(text));
  EXPECT_THAT(error(folder_.write("u.csv", "path,path,label\na.png,b.png,x\n")), HasSubstr("columns 1 and 2 are both named 'path'"));
  EXPECT_THAT(error(folder_.write("v.csv", "path,p:a,p:a\na.png,1,0\n")), HasSubstr("columns 2 and 3 are both named 'p:a'"));
}

}  // namespace
}  // namespace gannet
