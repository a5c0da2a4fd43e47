#include "runtime/data/color_palette.h"

#include <algorithm>
#include <limits>

namespace gannet {

namespace {

constexpr size_t kMostColors = 256;
constexpr size_t kAxes = 3;

// A bin of the histogram of colours, with what its pixels sum to.
constexpr int kBinBits = 5;
struct Bin {
  double count = 0;
  std::array<double, kAxes> sum{};

  double mean(size_t axis) const { return sum[axis] / count; }
  void add(const Bin& other) {
    count += other.count;
    for (size_t axis = 0; axis < kAxes; ++axis) sum[axis] += other.sum[axis];
  }
};

Rgb color_at(const Image& image, size_t pixel) {
  if (image.channels == 1) return {image.pixels[pixel], image.pixels[pixel], image.pixels[pixel]};
  return {image.pixels[3 * pixel], image.pixels[3 * pixel + 1], image.pixels[3 * pixel + 2]};
}

size_t pixel_count(const Image& image) { return static_cast<size_t>(image.height * image.width); }

uint32_t number_of(Rgb color) {
  return static_cast<uint32_t>(color[0]) << 16 | static_cast<uint32_t>(color[1]) << 8 | color[2];
}

// All colours, where they are few enough; else nothing.
std::vector<Rgb> few_colors(std::span<const Image> images) {
  std::vector<bool> seen(size_t{1} << 24);
  std::vector<Rgb> colors;
  for (const Image& image : images) {
    for (size_t i = 0; i < pixel_count(image); ++i) {
      const Rgb color = color_at(image, i);
      if (seen[number_of(color)]) continue;
      if (colors.size() == kMostColors) return {};
      seen[number_of(color)] = true;
      colors.push_back(color);
    }
  }
  std::ranges::sort(colors);
  return colors;
}

std::vector<Bin> histogram(std::span<const Image> images) {
  std::vector<Bin> bins(size_t{1} << (3 * kBinBits));
  for (const Image& image : images) {
    for (size_t i = 0; i < pixel_count(image); ++i) {
      const Rgb color = color_at(image, i);
      size_t index = 0;
      for (const uint8_t level : color) index = index << kBinBits | level >> (8 - kBinBits);
      bins[index].count += 1;
      for (size_t axis = 0; axis < kAxes; ++axis) bins[index].sum[axis] += color[axis];
    }
  }
  std::erase_if(bins, [](const Bin& bin) { return bin.count == 0; });
  return bins;
}

// A cell: some of the bins, and the cut that lowers the squared error most.
struct Cell {
  std::vector<Bin> bins;
  double gain = 0;
  size_t axis = 0, cut = 0;  // bins, sorted along the axis, from `cut` on leave the cell
};

double squares(const Bin& bin) {
  double sum = 0;
  for (const double value : bin.sum) sum += value * value;
  return bin.count > 0 ? sum / bin.count : 0;
}

void sort_along(std::vector<Bin>& bins, size_t axis) {
  std::ranges::stable_sort(bins, {}, [axis](const Bin& bin) { return bin.mean(axis); });
}

void find_cut(Cell& cell) {
  Bin whole;
  for (const Bin& bin : cell.bins) whole.add(bin);
  cell.gain = 0;
  for (size_t axis = 0; axis < kAxes; ++axis) {
    sort_along(cell.bins, axis);
    Bin below;
    for (size_t cut = 1; cut < cell.bins.size(); ++cut) {
      below.add(cell.bins[cut - 1]);
      Bin above = whole;
      above.count -= below.count;
      for (size_t a = 0; a < kAxes; ++a) above.sum[a] -= below.sum[a];
      const double gain = squares(below) + squares(above) - squares(whole);
      if (gain > cell.gain) cell = {std::move(cell.bins), gain, axis, cut};
    }
  }
}

std::vector<Cell> cells_of(const std::vector<Bin>& bins) {
  std::vector<Cell> cells = {{bins, 0, 0, 0}};
  find_cut(cells[0]);
  while (cells.size() < kMostColors) {
    const auto widest = std::ranges::max_element(cells, {}, &Cell::gain);
    if (!(widest->gain > 0)) break;
    sort_along(widest->bins, widest->axis);
    const auto middle = widest->bins.begin() + static_cast<std::ptrdiff_t>(widest->cut);
    Cell above{{middle, widest->bins.end()}, 0, 0, 0};
    widest->bins.erase(middle, widest->bins.end());
    find_cut(*widest);
    find_cut(above);
    cells.push_back(std::move(above));
  }
  return cells;
}

using Point = std::array<double, kAxes>;

double distance(const Point& a, const Point& b) {
  double sum = 0;
  for (size_t axis = 0; axis < kAxes; ++axis) sum += (a[axis] - b[axis]) * (a[axis] - b[axis]);
  return sum;
}

size_t nearest_of(const std::vector<Point>& points, const Point& to) {
  size_t best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < points.size(); ++i) {
    const double far = distance(points[i], to);
    if (far < least) {
      least = far;
      best = i;
    }
  }
  return best;
}

Point mean_of(const Bin& bin) { return {bin.mean(0), bin.mean(1), bin.mean(2)}; }

void improve(std::vector<Point>& points, const std::vector<Bin>& bins) {
  std::vector<Bin> gathered(points.size());
  for (const Bin& bin : bins) gathered[nearest_of(points, mean_of(bin))].add(bin);
  for (size_t i = 0; i < points.size(); ++i) {
    if (gathered[i].count > 0) points[i] = mean_of(gathered[i]);
  }
}

}  // namespace

ColorPalette choose_palette(std::span<const Image> images) {
  ColorPalette palette{few_colors(images), true};
  if (!palette.colors.empty()) return palette;
  const std::vector<Bin> bins = histogram(images);
  std::vector<Point> points;
  for (const Cell& cell : cells_of(bins)) {
    Bin whole;
    for (const Bin& bin : cell.bins) whole.add(bin);
    points.push_back(mean_of(whole));
  }
  constexpr int kRounds = 3;
  for (int round = 0; round < kRounds; ++round) improve(points, bins);
  for (const Point& point : points) {
    Rgb& color = palette.colors.emplace_back();
    for (size_t axis = 0; axis < kAxes; ++axis) color[axis] = static_cast<uint8_t>(point[axis] + 0.5);
  }
  palette.exact = false;
  return palette;
}

std::vector<uint8_t> palette_indices(const Image& image, const ColorPalette& palette) {
  std::vector<Point> points;
  for (const Rgb& color : palette.colors) {
    points.push_back(
        {static_cast<double>(color[0]), static_cast<double>(color[1]), static_cast<double>(color[2])});
  }
  // The nearest colour of each level of 7 bits, found when it is first asked for.
  constexpr int kBits = 7, kUnknown = -1;
  std::vector<int16_t> known(palette.exact ? 0 : size_t{1} << (3 * kBits), int16_t{kUnknown});
  std::vector<uint8_t> indices(pixel_count(image));
  const auto width = static_cast<size_t>(image.width);
  std::vector<Point> here(width + 2), below(width + 2);  // errors passed on, one pixel of margin on each side
  for (size_t i = 0; i < indices.size(); ++i) {
    const size_t x = i % width;
    if (x == 0) {
      here.swap(below);
      std::ranges::fill(below, Point{});
    }
    const Rgb color = color_at(image, i);
    if (palette.exact) {
      indices[i] =
          static_cast<uint8_t>(std::ranges::lower_bound(palette.colors, color) - palette.colors.begin());
      continue;
    }
    Point wanted{};
    size_t level = 0;
    for (size_t axis = 0; axis < kAxes; ++axis) {
      wanted[axis] = std::clamp(static_cast<double>(color[axis]) + here[x + 1][axis], 0.0, 255.0);
      level = level << kBits | static_cast<size_t>(wanted[axis]) >> (8 - kBits);
    }
    if (known[level] == kUnknown) known[level] = static_cast<int16_t>(nearest_of(points, wanted));
    indices[i] = static_cast<uint8_t>(known[level]);
    for (size_t axis = 0; axis < kAxes; ++axis) {
      const double error = (wanted[axis] - points[indices[i]][axis]) / 16;
      here[x + 2][axis] += 7 * error;
      below[x][axis] += 3 * error;
      below[x + 1][axis] += 5 * error;
      below[x + 2][axis] += error;
    }
  }
  return indices;
}

}  // namespace gannet
