// Structs as bytes, both ways by one list of fields: `template <class A> void fields(A& a, Step& step) { a(step.name, ...); }`.
// An ArchiveWriter appends what it is given; an ArchiveReader fills it, and after the first thing that cannot be right
// it has failed and gives empty values. Integers are little-endian, as in memory on every machine that Gannet makes
// code for.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace gannet {

template <class T>
concept PlainNumber = std::is_arithmetic_v<T> || std::is_enum_v<T>;

// Large blocks that stand beside the description, each at a multiple of kAlignment, used where they are.
struct DataSection {
  static constexpr uint64_t kAlignment = 64;
  struct Block {
    const void* data = nullptr;
    uint64_t size = 0;
    uint64_t offset = 0;
  };

  // Where a block is to stand; equal blocks stand once. The caller keeps it alive.
  uint64_t add(const void* data, uint64_t size) {
    for (const Block& block : blocks) {
      if (block.size == size && (block.data == data || std::memcmp(block.data, data, size) == 0))
        return block.offset;
    }
    const uint64_t offset = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    blocks.push_back({data, size, offset});
    bytes = offset + size;
    return offset;
  }
  // When reading: the bytes there, or nothing where they are not within the section.
  std::optional<std::span<const uint8_t>> find(uint64_t offset, uint64_t size) const {
    if (offset % kAlignment != 0 || offset > mapped.size() || size > mapped.size() - offset) return std::nullopt;
    return mapped.subspan(offset, size);
  }

  std::vector<Block> blocks;
  uint64_t bytes = 0;
  std::span<const uint8_t> mapped;
};

// What an archive refers to.
struct ArchiveData {
  DataSection weights, code;
  std::shared_ptr<const void> owner;  // keeps what is mapped
};

class ArchiveWriter {
 public:
  static constexpr bool kReads = false;

  explicit ArchiveWriter(ArchiveData& archive_data) : data(archive_data) {}
  template <class... T>
  void operator()(const T&... values) {
    (put(values), ...);
  }
  void put_bytes(const void* source, size_t size) {
    if (size == 0) return;
    const size_t before = bytes.size();
    bytes.resize(before + size);
    std::memcpy(bytes.data() + before, source, size);
  }

  std::vector<uint8_t> bytes;
  ArchiveData& data;

 private:
  template <PlainNumber T>
  void put(const T& value) { put_bytes(&value, sizeof value); }
  void put(const std::string& text) {
    put(static_cast<uint64_t>(text.size()));
    put_bytes(text.data(), text.size());
  }
  template <class T>
  void put(const std::vector<T>& list) {
    put(static_cast<uint64_t>(list.size()));
    for (const T& item : list) put(item);
  }
  template <class A, class B>
  void put(const std::pair<A, B>& value) { put(value.first), put(value.second); }
  template <class... T>
  void put(const std::variant<T...>& value) {
    put(static_cast<uint8_t>(value.index()));
    std::visit([&](const auto& alternative) { put(alternative); }, value);
  }
  template <class T>
    requires std::is_class_v<T>
  void put(const T& value) { fields(*this, const_cast<T&>(value)); }
};

class ArchiveReader {
 public:
  static constexpr bool kReads = true;

  ArchiveReader(std::span<const uint8_t> bytes, ArchiveData& archive_data) : data(archive_data), bytes_(bytes) {}
  template <class... T>
  void operator()(T&... values) {
    (get(values), ...);
  }
  bool failed() const { return !problem.empty(); }
  // The first reason stays.
  void fail(std::string reason) {
    if (problem.empty()) problem = std::move(reason);
  }
  size_t left() const { return bytes_.size(); }
  // False, and failed, when fewer are left.
  bool take_bytes(void* target, size_t size) {
    if (!failed() && size > bytes_.size()) fail("it ends too early");
    if (failed()) return false;
    if (size > 0) std::memcpy(target, bytes_.data(), size);
    bytes_ = bytes_.subspan(size);
    return true;
  }

  ArchiveData& data;
  int depth = 0;        // of programs inside programs
  std::string problem;  // empty: none yet

 private:
  template <PlainNumber T>
  void get(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      uint8_t byte = 0;
      if (take_bytes(&byte, 1) && byte > 1) fail("a flag is neither 0 nor 1");
      value = byte == 1;
    } else if constexpr (std::is_enum_v<T>) {
      std::underlying_type_t<T> number = 0;
      if (take_bytes(&number, sizeof number) && number > static_cast<decltype(number)>(last_of(T{}))) {
        fail("a kind is out of range"), number = 0;
      }
      value = static_cast<T>(number);
    } else if (!take_bytes(&value, sizeof value)) {
      value = T{};
    }
  }
  // A number of items of at least one byte each.
  size_t get_count() {
    uint64_t count = 0;
    get(count);
    if (count > bytes_.size()) fail("it ends too early");
    return failed() ? 0 : static_cast<size_t>(count);
  }
  void get(std::string& text) {
    text.resize(get_count());
    take_bytes(text.data(), text.size());
  }
  template <class T>
  void get(std::vector<T>& list) {
    const size_t count = get_count();
    list.clear();
    for (size_t i = 0; i < count && !failed(); ++i) {
      T item{};
      get(item);
      list.push_back(std::move(item));
    }
  }
  template <class A, class B>
  void get(std::pair<A, B>& value) { get(value.first), get(value.second); }
  template <class... T>
  void get(std::variant<T...>& value) {
    uint8_t index = 0;
    get(index);
    if (index >= sizeof...(T)) fail("a kind is out of range");
    if (failed()) return;
    uint8_t at = 0;
    auto consider = [&]<class U>(std::type_identity<U>) {
      if (at++ != index) return;
      U alternative{};
      get(alternative);
      value = std::move(alternative);
    };
    (consider(std::type_identity<T>{}), ...);
  }
  template <class T>
    requires std::is_class_v<T>
  void get(T& value) { fields(*this, value); }

  std::span<const uint8_t> bytes_;
};

}  // namespace gannet
