#include "runtime/training/curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "runtime/data/html_text.h"

namespace gannet {

namespace {

using Points = std::vector<std::pair<double, double>>;

constexpr double kWidth = 720, kHeight = 300, kLeft = 64, kRight = 16, kTop = 16, kBottom = 36;
constexpr size_t kMostPoints = 1000;
constexpr size_t kMostMarks = 200;
constexpr int kColors = 6;

constexpr std::string_view kStyle = R"(<style>
:root { color-scheme: light dark; --ink: #1d2330; --soft: #687085; --grid: #e3e6ec; --paper: #ffffff; --card: #f7f8fa;
  --c0: #2364c4; --c1: #c2410c; --c2: #15803d; --c3: #7e3fb8; --c4: #b4236f; --c5: #0e7490; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9f0; --soft: #9aa3b5; --grid: #343b49; --paper: #14171d;
  --card: #1b1f27; --c0: #6ea8ff; --c1: #ff9a5c; --c2: #5bd68a; --c3: #c79bff; --c4: #ff86bd; --c5: #5ad2e8; } }
body { margin: 2rem auto; max-width: 780px; padding: 0 1rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .8rem; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin: 0 0 .3rem; }
table { border-collapse: collapse; margin-bottom: 1.5rem; } td { padding: .1rem 1.2rem .1rem 0; vertical-align: top; }
td:first-child { color: var(--soft); white-space: nowrap; } td:last-child { overflow-wrap: anywhere; }
section { background: var(--card); border-radius: 8px; padding: .9rem 1rem .6rem; margin-bottom: 1.2rem; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 12px; }
.grid { stroke: var(--grid); } .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.faint { opacity: .3; stroke-width: 1; } .legend span { margin-right: 1.2rem; white-space: nowrap; }
.legend i { display: inline-block; width: 14px; height: 3px; border-radius: 2px; margin-right: .4rem; vertical-align: middle; }
.legend { color: var(--soft); font-size: 13px; } .legend b { color: var(--ink); font-weight: 600; }
</style>
)";

std::string number_text(double value) {
  const double size = std::fabs(value);
  if (size >= 1e4 && size < 1e15 && value == std::floor(value)) return fmt::format("{:.0f}", value);
  return fmt::format("{:.4g}", value);
}

// Means of neighbours where there are too many points to see.
Points thinned(const Points& points) {
  if (points.size() <= kMostPoints) return points;
  Points result;
  const size_t each = (points.size() + kMostPoints - 1) / kMostPoints;
  for (size_t first = 0; first < points.size(); first += each) {
    const size_t end = std::min(first + each, points.size());
    double x = 0, y = 0;
    for (size_t i = first; i < end; ++i) x += points[i].first, y += points[i].second;
    const auto count = static_cast<double>(end - first);
    result.emplace_back(x / count, y / count);
  }
  return result;
}

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;

  void take(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
  void widen() {
    const double margin = high > low ? 0.05 * (high - low) : std::max(std::fabs(high) * 0.1, 1e-12);
    low -= margin;
    high += margin;
  }
};

// From values to places in the picture.
struct Frame {
  Range x, y;

  double across(double value) const {
    return kLeft + (value - x.low) / (x.high - x.low) * (kWidth - kLeft - kRight);
  }
  double down(double value) const {
    return kHeight - kBottom - (value - y.low) / (y.high - y.low) * (kHeight - kTop - kBottom);
  }
};

std::string axes(const Frame& frame) {
  std::string svg;
  for (const double tick : axis_ticks(frame.y.low, frame.y.high, 5)) {
    const double y = frame.down(tick);
    svg += fmt::format("<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", kLeft,
                       kWidth - kRight, y, y);
    svg += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", kLeft - 8, y + 4,
                       number_text(tick));
  }
  for (const double tick : axis_ticks(frame.x.low, frame.x.high, 8)) {
    const double x = frame.across(tick);
    svg += fmt::format("<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{}\" y2=\"{}\"/>", x, x,
                       kHeight - kBottom, kHeight - kBottom + 5);
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", x,
                       kHeight - kBottom + 20, number_text(tick));
  }
  return svg;
}

std::string curve_svg(const Curve& curve, const Frame& frame, size_t color) {
  std::string path, marks;
  bool pen_down = false;
  for (const auto& [x, y] : thinned(curve.points)) {
    if (!std::isfinite(y)) {
      pen_down = false;
      continue;
    }
    path += fmt::format("{}{:.1f} {:.1f}", pen_down ? "L" : "M", frame.across(x), frame.down(y));
    pen_down = true;
    if (!curve.marked || curve.points.size() > kMostMarks) continue;
    marks += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"var(--c{})\"><title>{} {} at step "
        "{}</title></circle>",
        frame.across(x), frame.down(y), color, html_text(curve.name), number_text(y), number_text(x));
  }
  return fmt::format("<path class=\"curve{}\" stroke=\"var(--c{})\" d=\"{}\"/>{}\n",
                     curve.faint ? " faint" : "", color, path, marks);
}

std::string panel_html(const Panel& panel) {
  Frame frame;
  for (const Curve& curve : panel.curves) {
    for (const auto& [x, y] : thinned(curve.points)) {
      if (!std::isfinite(y)) continue;
      frame.x.take(x);
      frame.y.take(y);
    }
  }
  if (frame.x.empty() || frame.y.empty()) return {};
  if (frame.x.low == frame.x.high) frame.x.widen();
  frame.y.widen();
  std::string svg = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", kWidth,
                                kHeight, html_text(panel.title));
  svg += axes(frame);
  std::string legend = "<div class=\"legend\">";
  size_t color = 0;
  for (const Curve& curve : panel.curves) {
    svg += curve_svg(curve, frame, color);
    if (curve.faint) continue;  // it shares the colour of the next one
    const double last = curve.points.empty() ? NAN : curve.points.back().second;
    legend += fmt::format("<span><i style=\"background:var(--c{})\"></i>{} <b>{}</b></span>", color,
                          html_text(curve.name), number_text(last));
    color = (color + 1) % kColors;
  }
  return fmt::format("<section><h2>{}</h2>\n{}</svg>\n{}</div></section>\n", html_text(panel.title), svg,
                     legend);
}

}  // namespace

std::vector<double> axis_ticks(double low, double high, int count) {
  if (!(low < high) || count < 1 || !std::isfinite(high - low)) return {};
  const double rough = (high - low) / count;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= rough) step = factor * power;
  }
  std::vector<double> ticks;
  for (double i = std::ceil(low / step); i * step <= high && ticks.size() < 100; ++i)
    ticks.push_back(i == 0 ? 0 : i * step);
  return ticks;
}

Points smoothed(const Points& points, double keep) {
  Points result;
  double sum = 0, weight = 0;
  for (const auto& [x, y] : points) {
    if (std::isfinite(y)) {
      sum = keep * sum + (1 - keep) * y;
      weight = keep * weight + (1 - keep);
    }
    result.emplace_back(x, weight > 0 ? sum / weight : y);
  }
  return result;
}

std::string curves_html(const CurvesPage& page) {
  std::string html = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n";
  html += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  html += fmt::format("<title>{}</title>\n{}</head><body>\n<h1>{}</h1>\n<table>\n", html_text(page.title),
                      kStyle, html_text(page.title));
  for (const auto& [name, value] : page.facts) {
    html += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", html_text(name), html_text(value));
  }
  html += "</table>\n";
  for (const Panel& panel : page.panels) html += panel_html(panel);
  return html + "</body></html>\n";
}

}  // namespace gannet
