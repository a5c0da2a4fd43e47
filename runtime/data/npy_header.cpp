// Format: NumPy Enhancement Proposal 1 and the documentation of numpy.lib.format.
#include "runtime/data/npy_header.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>

namespace gannet {
namespace {

// Reads the few forms of Python literals that occur in a header.
class Literals {
 public:
  explicit Literals(std::string_view text) : rest_(text) {}

  bool accept(char wanted) {
    skip_spaces();
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool accept_word(std::string_view word) {
    skip_spaces();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  bool at_end() { return skip_spaces(), rest_.empty(); }
  Status expect(char wanted) {
    if (accept(wanted)) return {};
    return invalid_input(fmt::format("the header has {} where '{}' is expected", here(), wanted));
  }
  Result<std::string> string() {
    skip_spaces();
    char quote = rest_.empty() ? '\0' : rest_.front();
    size_t end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos)
      return invalid_input(fmt::format("the header has {} where a string is expected", here()));
    std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }
  Result<int64_t> extent() {
    skip_spaces();
    int64_t value = 0;
    auto [end, code] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (code != std::errc() || value < 0) {
      return invalid_input(fmt::format("the header has {} where an extent is expected", here()));
    }
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    accept('L');  // Python 2 wrote long integers so
    return value;
  }
  bool starts_with(char first) { return skip_spaces(), !rest_.empty() && rest_.front() == first; }

 private:
  void skip_spaces() {
    size_t first = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(first == std::string_view::npos ? rest_.size() : first);
  }
  std::string here() const {
    if (rest_.empty()) return "its end";
    std::string text;
    for (char c : rest_.substr(0, 16)) text.push_back(c >= ' ' && c <= '~' ? c : '?');
    return "\"" + text + "\"";
  }

  std::string_view rest_;
};

DType number_type(char kind, int64_t bytes) {
  auto any = [bytes](DType one, DType two, DType four, DType eight, DType sixteen) {
    return bytes == 1    ? one
           : bytes == 2  ? two
           : bytes == 4  ? four
           : bytes == 8  ? eight
           : bytes == 16 ? sixteen
                         : DType::kUndefined;
  };
  constexpr DType kNone = DType::kUndefined;
  switch (kind) {
    case 'f':
      return any(kNone, DType::kF16, DType::kF32, DType::kF64, kNone);
    case 'i':
      return any(DType::kI8, DType::kI16, DType::kI32, DType::kI64, kNone);
    case 'u':
      return any(DType::kU8, DType::kU16, DType::kU32, DType::kU64, kNone);
    case 'b':
      return any(DType::kBool, kNone, kNone, kNone, kNone);
    case 'c':
      return any(kNone, kNone, kNone, DType::kC64, DType::kC128);
    default:
      return kNone;
  }
}

Error refused(std::string_view descriptor, char kind, int64_t bytes) {
  std::string_view why = "a type that tensors do not have";
  if (kind == 'O')
    why = "Python objects, which are not read; save the array with a number or string type";
  else if (kind == 'V' && bytes == 2)
    why = "raw bytes without a type (as bfloat16 is saved); save it as float32";
  else if (kind == 'V' || (kind == 'f' && bytes == 1)) {
    why = "raw bytes or records without a type (as float8 and int4 are saved); save it as float32 or int8";
  } else if (kind == 'M' || kind == 'm') {
    why = "dates or durations; save it as int64";
  }
  return unsupported(fmt::format("element type '{}': {}", descriptor, why));
}

Status parse_descriptor(const std::string& descriptor, NpyHeader& header) {
  if (descriptor == "bfloat16") {
    header.dtype = DType::kBF16;
    header.item_bytes = 2;
    return {};
  }
  size_t at = descriptor.find_first_of("<>|=") == 0 ? 1 : 0;
  if (descriptor.size() <= at) return invalid_input(fmt::format("element type '{}'", descriptor));
  header.big_endian = descriptor.front() == '>';
  char kind = descriptor[at];
  int64_t number = 0;
  const char* last = descriptor.data() + descriptor.size();
  auto [end, code] = std::from_chars(descriptor.data() + at + 1, last, number);
  if (code == std::errc::result_out_of_range || number < 0 || number > int64_t{1} << 40) {
    return invalid_input(fmt::format("element type '{}'", descriptor));
  }
  if (kind == 'U' || kind == 'S' || kind == 'a') {
    if (end != last) return invalid_input(fmt::format("element type '{}'", descriptor));
    header.dtype = DType::kString;
    header.unicode = kind == 'U';
    header.item_bytes = header.unicode ? 4 * number : number;
    return {};
  }
  header.dtype = end == last ? number_type(kind, number) : DType::kUndefined;
  header.item_bytes = number;
  if (header.dtype == DType::kUndefined) return refused(descriptor, kind, number);
  return {};
}

Result<std::vector<int64_t>> parse_shape(Literals& literals) {
  TRY(literals.expect('('));
  std::vector<int64_t> extents;
  while (!literals.accept(')')) {
    extents.push_back(TRY(literals.extent()));
    if (literals.accept(',')) continue;
    TRY(literals.expect(')'));
    break;
  }
  return extents;
}

}  // namespace

Result<NpyHeader> parse_npy_header(std::string_view text) {
  Literals literals(text);
  NpyHeader header;
  bool has_descriptor = false, has_order = false, has_shape = false;
  TRY(literals.expect('{'));
  while (!literals.accept('}')) {
    std::string key = TRY(literals.string());
    TRY(literals.expect(':'));
    if (key == "descr") {
      if (literals.starts_with('[') || literals.starts_with('(')) {
        return unsupported("an array of records; save its fields as arrays of their own");
      }
      std::string descriptor = TRY(literals.string());
      TRY(parse_descriptor(descriptor, header));
      has_descriptor = true;
    } else if (key == "fortran_order") {
      header.fortran_order = literals.accept_word("True");
      if (!header.fortran_order && !literals.accept_word("False")) {
        return invalid_input("the header's 'fortran_order' is neither True nor False");
      }
      has_order = true;
    } else if (key == "shape") {
      header.extents = TRY(parse_shape(literals));
      has_shape = true;
    } else {
      return invalid_input(fmt::format("the header has the unknown key '{}'", key));
    }
    if (literals.accept(',')) continue;
    TRY(literals.expect('}'));
    break;
  }
  if (!literals.at_end()) return invalid_input("the header goes on after its dictionary");
  if (!has_descriptor) return invalid_input("the header has no 'descr'");
  if (!has_order) return invalid_input("the header has no 'fortran_order'");
  if (!has_shape) return invalid_input("the header has no 'shape'");
  return header;
}

std::string npy_preamble(std::string_view descriptor, const std::vector<int64_t>& extents) {
  constexpr size_t kStart = 10, kAlignment = 64;
  std::string dictionary = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}",
                                       descriptor, fmt::join(extents, ", "), extents.size() == 1 ? "," : "");
  size_t total = (kStart + dictionary.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  dictionary.append(total - kStart - dictionary.size() - 1, ' ');
  dictionary.push_back('\n');
  CHECK(dictionary.size() <= 0xffff, "a header of {} bytes", dictionary.size());
  std::string preamble("\x93NUMPY\x01\x00", 8);
  preamble.push_back(static_cast<char>(dictionary.size() & 0xff));
  preamble.push_back(static_cast<char>(dictionary.size() >> 8));
  return preamble + dictionary;
}

}  // namespace gannet
