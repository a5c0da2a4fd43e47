#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unordered_set>

#include "ir/base/file.h"
#include "runtime/data/npy.h"
#include "runtime/data/utf8.h"
#include "runtime/data/zip.h"

namespace gannet {
namespace {

std::string array_name(const std::string& member_name) {
  constexpr std::string_view kSuffix = ".npy";
  if (!member_name.ends_with(kSuffix)) return member_name;
  return member_name.substr(0, member_name.size() - kSuffix.size());
}

// Folders of the archive hold nothing.
bool is_array(const ZipMember& member) { return !member.name.ends_with('/'); }

// Errors of the system name the path already.
Error at_path(const std::string& path, Error error) {
  return error.message.starts_with(path + ": ") ? error : with_prefix(path + ": ", std::move(error));
}

Result<Tensor> read_member(const ReadableFile& file, const ZipMember& member, const Limits& limits) {
  Tensor tensor;
  Status status = read_zip_member(file, member, [&](const ByteSource& source) -> Status {
    tensor = TRY(parse_npy(source, member.bytes, limits));
    return {};
  });
  if (!status.ok()) return with_prefix(fmt::format("array '{}': ", array_name(member.name)), status.error());
  return tensor;
}

Result<NamedTensors> read_all(const ReadableFile& file, const Limits& limits) {
  std::vector<ZipMember> members = TRY(list_zip(file));
  NamedTensors tensors;
  std::unordered_set<std::string> names;
  int64_t total = 0;
  for (const ZipMember& member : members) {
    if (!is_array(member)) continue;
    if (member.bytes > limits.live_bytes - total) {
      return invalid_input(
          fmt::format("its arrays unpack to more than the limit of {} bytes", limits.live_bytes));
    }
    total += member.bytes;
    std::string name = array_name(member.name);
    if (!names.insert(name).second) return invalid_input(fmt::format("two arrays are named '{}'", name));
    Tensor tensor = TRY(read_member(file, member, limits));
    tensors.emplace_back(std::move(name), std::move(tensor));
  }
  return tensors;
}

Result<Tensor> read_one(const ReadableFile& file, const std::string& name, const Limits& limits) {
  std::vector<ZipMember> members = TRY(list_zip(file));
  std::vector<std::string> names;
  for (const ZipMember& member : members) {
    if (!is_array(member)) continue;
    if (array_name(member.name) == name) return read_member(file, member, limits);
    names.push_back("'" + array_name(member.name) + "'");
  }
  if (names.empty()) return invalid_input(fmt::format("no array '{}'; the archive is empty", name));
  return invalid_input(fmt::format("no array '{}'; there are {}", name, fmt::join(names, ", ")));
}

}  // namespace

Result<NamedTensors> read_npz(const std::string& path, const Limits& limits) {
  ReadableFile file = TRY(ReadableFile::open(path));
  Result<NamedTensors> tensors = read_all(file, limits);
  if (!tensors.ok()) return at_path(path, tensors.error());
  return tensors;
}

Result<Tensor> read_npz_array(const std::string& path, const std::string& name, const Limits& limits) {
  ReadableFile file = TRY(ReadableFile::open(path));
  Result<Tensor> tensor = read_one(file, name, limits);
  if (!tensor.ok()) return at_path(path, tensor.error());
  return tensor;
}

Status write_npz(const std::string& path, const NamedTensors& tensors) {
  std::unordered_set<std::string> names;
  for (const auto& [name, tensor] : tensors) {
    if (!names.insert(name).second)
      return invalid_input(fmt::format("{}: two arrays are named '{}'", path, name));
    if (find_invalid_utf8(name))
      return invalid_input(fmt::format("{}: the name of an array is not valid UTF-8", path));
  }
  return write_file_atomically(path, [&tensors](AtomicFile& file) -> Status {
    ZipWriter writer(file);
    for (const auto& [name, tensor] : tensors) {
      TRY(writer.add(name + ".npy",
                     [&tensor = tensor](const ByteSink& sink) { return serialize_npy(tensor, sink); }));
    }
    return writer.finish();
  });
}

}  // namespace gannet
