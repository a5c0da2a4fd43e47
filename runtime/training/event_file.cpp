#include "runtime/training/event_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <system_error>

#include "runtime/core/crc32c.h"

namespace gannet {

namespace {

// A message in protobuf's wire format, built field by field.
class WireMessage {
 public:
  WireMessage& varint(uint32_t field, uint64_t value) {
    append_varint(field << 3);
    append_varint(value);
    return *this;
  }
  WireMessage& fixed64(uint32_t field, double value) {
    append_varint(field << 3 | 1);
    return append_bytes(std::bit_cast<std::array<char, 8>>(value));
  }
  WireMessage& fixed32(uint32_t field, float value) {
    append_varint(field << 3 | 5);
    return append_bytes(std::bit_cast<std::array<char, 4>>(value));
  }
  WireMessage& bytes(uint32_t field, std::string_view value) {
    append_varint(field << 3 | 2);
    append_varint(value.size());
    text_ += value;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  template <size_t N>
  WireMessage& append_bytes(const std::array<char, N>& value) {
    text_.append(value.data(), N);
    return *this;
  }
  void append_varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) text_ += static_cast<char>(value | 0x80);
    text_ += static_cast<char>(value);
  }

  std::string text_;
};

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

WireMessage event_at(int64_t step) {
  return WireMessage().fixed64(1, seconds_now()).varint(2, static_cast<uint64_t>(step));
}

std::string summary_value(const WireMessage& value) { return WireMessage().bytes(1, value.text()).text(); }

std::span<const uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// A checksum over data that holds checksums is masked, as TFRecord has it.
uint32_t masked_crc(std::string_view text) {
  const uint32_t crc = crc32c(as_bytes(text));
  return std::rotr(crc, 15) + 0xA282EAD8u;
}

template <class Integer>
std::string_view raw_bytes(const Integer& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "host";
  return name.data();
}

}  // namespace

Result<EventFile> EventFile::create(const std::string& folder) {
  EventFile file;
  for (int number = 0; number < 1000 && !file.descriptor_.open(); ++number) {
    file.path_ = fmt::format("{}/events.out.tfevents.{:010}.{}.{}.{}", folder,
                             static_cast<int64_t>(seconds_now()), host_name(), ::getpid(), number);
    file.descriptor_ =
        FileDescriptor(::open(file.path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666));
    if (!file.descriptor_.open() && errno != EEXIST) break;
  }
  if (!file.descriptor_.open()) {
    return io_error(
        fmt::format("{}: cannot be written: {}", file.path_, std::generic_category().message(errno)));
  }
  TRY(file.record(WireMessage().fixed64(1, seconds_now()).bytes(3, "brain.Event:2").text()));
  return file;
}

Status EventFile::scalar(std::string_view tag, int64_t step, double value) {
  const WireMessage scalar = WireMessage().bytes(1, tag).fixed32(2, static_cast<float>(value));
  return record(event_at(step).bytes(5, summary_value(scalar)).text());
}

Status EventFile::image(std::string_view tag, int64_t step, std::string_view png, int64_t height,
                        int64_t width, int64_t channels) {
  WireMessage image;
  image.varint(1, static_cast<uint64_t>(height)).varint(2, static_cast<uint64_t>(width));
  image.varint(3, static_cast<uint64_t>(channels)).bytes(4, png);
  return record(
      event_at(step).bytes(5, summary_value(WireMessage().bytes(1, tag).bytes(4, image.text()))).text());
}

Status EventFile::restart_after(int64_t step) {
  constexpr uint64_t kStart = 1;  // SessionLog.SessionStatus.START
  return record(event_at(step + 1).bytes(7, WireMessage().varint(1, kStart).text()).text());
}

Status EventFile::record(std::string_view event) {
  const uint64_t length = event.size();
  const uint32_t length_crc = masked_crc(raw_bytes(length)), event_crc = masked_crc(event);
  std::string text(raw_bytes(length));
  text += raw_bytes(length_crc);
  text += event;
  text += raw_bytes(event_crc);
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t count = ::write(descriptor_.value(), rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return io_error(
          fmt::format("{}: cannot be written: {}", path_, std::generic_category().message(errno)));
    }
    rest.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

}  // namespace gannet
