// The linker for generated objects: the sections that are needed at run time in one block, relative references between
// them resolved. Anything else means that the generator let code refer to the outside.
#include <elf.h>

#include <cstring>
#include <string_view>

#include "backend/llvm/object_code.h"
#include "ir/base/check.h"

namespace gannet {
namespace {

class Linker {
 public:
  explicit Linker(const std::vector<uint8_t>& object) : object_(object) {
    CHECK(object.size() >= sizeof(Elf64_Ehdr) && std::memcmp(object.data(), ELFMAG, SELFMAG) == 0, "not an ELF file");
    header_ = at<Elf64_Ehdr>(0);
    CHECK(header_.e_machine == EM_X86_64 && header_.e_type == ET_REL, "an ELF file of another kind");
    for (size_t i = 0; i < header_.e_shnum; ++i) sections_.push_back(at<Elf64_Shdr>(header_.e_shoff + i * sizeof(Elf64_Shdr)));
    placed_.assign(sections_.size(), -1);
  }

  KernelCode link() {
    for (size_t i = 0; i < sections_.size(); ++i) place(i);
    for (const Elf64_Shdr& section : sections_) {
      CHECK(section.sh_type != SHT_REL, "relocations of another kind");
      if (section.sh_type == SHT_RELA && placed_[section.sh_info] >= 0) relocate(section);
    }
    find_entry();
    return std::move(result_);
  }

 private:
  template <class T>
  T at(uint64_t offset) const {
    CHECK(offset + sizeof(T) <= object_.size(), "an ELF file cut short");
    T value;
    std::memcpy(&value, object_.data() + offset, sizeof(T));
    return value;
  }

  std::string_view name_of_section(const Elf64_Shdr& section) const {
    return reinterpret_cast<const char*>(object_.data() + sections_[header_.e_shstrndx].sh_offset + section.sh_name);
  }

  void place(size_t index) {
    const Elf64_Shdr& section = sections_[index];
    const std::string_view name = name_of_section(section);
    if (!(section.sh_flags & SHF_ALLOC) || section.sh_size == 0 || name.starts_with(".eh_frame") || section.sh_type == SHT_NOTE) return;
    CHECK(section.sh_type == SHT_PROGBITS && !(section.sh_flags & (SHF_WRITE | SHF_TLS)), "section {} in generated code", name);
    CHECK(section.sh_addralign <= 64 && section.sh_offset + section.sh_size <= object_.size(), "section {} does not fit", name);
    std::vector<uint8_t>& bytes = result_.bytes;
    bytes.resize((bytes.size() + 63) / 64 * 64);
    placed_[index] = static_cast<int64_t>(bytes.size());
    const auto begin = object_.begin() + static_cast<std::ptrdiff_t>(section.sh_offset);
    bytes.insert(bytes.end(), begin, begin + static_cast<std::ptrdiff_t>(section.sh_size));
  }

  int64_t address_of(const Elf64_Sym& symbol) const {
    CHECK(symbol.st_shndx != SHN_UNDEF && symbol.st_shndx < sections_.size() && placed_[symbol.st_shndx] >= 0,
          "generated code refers to '{}'", reinterpret_cast<const char*>(object_.data() + strings_ + symbol.st_name));
    return placed_[symbol.st_shndx] + static_cast<int64_t>(symbol.st_value);
  }

  void relocate(const Elf64_Shdr& table) {
    const Elf64_Shdr& symbols = sections_[table.sh_link];
    strings_ = sections_[symbols.sh_link].sh_offset;
    for (uint64_t offset = 0; offset < table.sh_size; offset += sizeof(Elf64_Rela)) {
      const auto entry = at<Elf64_Rela>(table.sh_offset + offset);
      const uint32_t kind = ELF64_R_TYPE(entry.r_info);
      CHECK(kind == R_X86_64_PC32 || kind == R_X86_64_PLT32, "a relocation of type {}", kind);
      const auto symbol = at<Elf64_Sym>(symbols.sh_offset + ELF64_R_SYM(entry.r_info) * sizeof(Elf64_Sym));
      const int64_t place = placed_[table.sh_info] + static_cast<int64_t>(entry.r_offset);
      const int64_t value = address_of(symbol) + entry.r_addend - place;
      const auto stored = static_cast<int32_t>(value);
      CHECK(stored == value && static_cast<size_t>(place) + 4 <= result_.bytes.size(), "a reference too far");
      std::memcpy(result_.bytes.data() + place, &stored, 4);
    }
  }

  void find_entry() {
    for (const Elf64_Shdr& section : sections_) {
      if (section.sh_type != SHT_SYMTAB) continue;
      strings_ = sections_[section.sh_link].sh_offset;
      for (uint64_t offset = 0; offset < section.sh_size; offset += sizeof(Elf64_Sym)) {
        const auto symbol = at<Elf64_Sym>(section.sh_offset + offset);
        if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC) continue;
        result_.entry = address_of(symbol);
        return;
      }
    }
    CHECK(false, "an object without a function");
  }

  const std::vector<uint8_t>& object_;
  Elf64_Ehdr header_{};
  std::vector<Elf64_Shdr> sections_;
  std::vector<int64_t> placed_;  // where a section stands in the result, or -1
  uint64_t strings_ = 0;
  KernelCode result_;
};

}  // namespace

KernelCode link_object(const std::vector<uint8_t>& object) { return Linker(object).link(); }

}  // namespace gannet
