#include "tools/driver/image_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/base/file.h"
#include "ir/graph.h"
#include "runtime/data/html_text.h"

namespace gannet {

namespace {

constexpr size_t kMostMistakes = 48;
constexpr size_t kMostDrawnClasses = 200;

// Scores of a row as shares: themselves where they are a distribution, else their softmax.
std::vector<double> shares_of(const Tensor& predictions, size_t row, size_t classes) {
  std::vector<double> values(classes);
  double sum = 0, largest = -HUGE_VAL, least = HUGE_VAL;
  for (size_t k = 0; k < classes; ++k) {
    values[k] = predictions.double_at(static_cast<int64_t>(row * classes + k));
    sum += values[k];
    largest = std::max(largest, values[k]);
    least = std::min(least, values[k]);
  }
  if (least >= 0 && std::fabs(sum - 1) < 1e-3) return values;
  sum = 0;
  for (double& value : values) sum += value = std::exp(value - largest);
  for (double& value : values) value /= sum;
  return values;
}

size_t label_of(const Tensor& target, size_t row, size_t classes) {
  if (is_int(target.dtype())) return static_cast<size_t>(target.int_at(static_cast<int64_t>(row)));
  size_t best = 0;
  for (size_t k = 1; k < classes; ++k) {
    const auto at = static_cast<int64_t>(row * classes);
    if (target.double_at(at + static_cast<int64_t>(k)) > target.double_at(at + static_cast<int64_t>(best)))
      best = k;
  }
  return best;
}

void examine_one(const HeldOut& held_out, const Tensor& target, size_t classes, Examination& result) {
  result.confusion.assign(classes * classes, 0);
  for (size_t i = 0; i < held_out.numbers.size(); ++i) {
    const std::vector<double> shares = shares_of(held_out.predictions, i, classes);
    const size_t label = label_of(target, static_cast<size_t>(held_out.numbers[i]), classes);
    if (label >= classes) continue;
    const auto predicted = static_cast<size_t>(std::ranges::max_element(shares) - shares.begin());
    ++result.confusion[label * classes + predicted];
    result.accuracy += label == predicted;
    if (label != predicted) result.mistakes.push_back({i, label, predicted, shares[predicted]});
  }
  result.accuracy /= static_cast<double>(std::max<size_t>(held_out.numbers.size(), 1));
}

// F1 of saying yes above the threshold.
double f1_above(const std::vector<std::pair<double, bool>>& scores, double threshold) {
  double hits = 0, errors = 0;
  for (const auto& [score, is] : scores) {
    hits += score > threshold && is;
    errors += (score > threshold) != is;
  }
  return hits > 0 ? 2 * hits / (2 * hits + errors) : 0;
}

void examine_several(const HeldOut& held_out, const Tensor& target, size_t classes,
                     std::span<const double> thresholds, Examination& result) {
  double hits = 0, errors = 0, defined = 0;
  for (size_t k = 0; k < classes; ++k) {
    std::vector<std::pair<double, bool>> scores;
    for (size_t i = 0; i < held_out.numbers.size(); ++i) {
      const bool is = target.double_at(held_out.numbers[i] * static_cast<int64_t>(classes) +
                                       static_cast<int64_t>(k)) > 0.5;
      scores.emplace_back(held_out.predictions.double_at(static_cast<int64_t>(i * classes + k)), is);
    }
    double f1 = 0;
    const double threshold =
        thresholds.empty() ? best_threshold(scores, f1) : thresholds[thresholds.size() == 1 ? 0 : k];
    if (!thresholds.empty()) f1 = f1_above(scores, threshold);
    result.thresholds.push_back(threshold);
    result.f1.push_back(f1);
    bool any = false;
    for (size_t i = 0; i < scores.size(); ++i) {
      const bool says = scores[i].first > threshold;
      hits += says && scores[i].second;
      errors += says != scores[i].second;
      any |= scores[i].second;
      if (says != scores[i].second)
        result.mistakes.push_back({i, k, says ? k : classes, std::fabs(scores[i].first - threshold)});
    }
    if (any) result.macro_f1 += f1, ++defined;
  }
  result.micro_f1 = hits > 0 ? 2 * hits / (2 * hits + errors) : 0;
  if (defined > 0) result.macro_f1 /= defined;
}

constexpr std::string_view kStyle = R"(<style>
:root { color-scheme: light dark; --ink: #1d2330; --soft: #687085; --paper: #ffffff; --card: #f7f8fa; --heat: 35, 100, 196; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9f0; --soft: #9aa3b5; --paper: #14171d; --card: #1b1f27; --heat: 110, 168, 255; } }
body { margin: 2rem auto; max-width: 1000px; padding: 0 1rem; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; }
svg { max-width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 12px; } svg .soft { fill: var(--soft); }
svg rect { stroke: var(--card); } .worst { display: flex; flex-wrap: wrap; gap: 12px; }
figure { margin: 0; width: 140px; } figure img { width: 140px; height: 140px; object-fit: contain; background: var(--card); image-rendering: auto; }
figcaption { font-size: 12px; overflow-wrap: anywhere; } figcaption i { color: var(--soft); font-style: normal; }
td, th { padding: .1rem 1rem .1rem 0; text-align: left; }
</style>
)";

// Rows are the true classes, columns the predicted ones; the darker a cell, the larger its share of the row.
std::string confusion_svg(const std::vector<int64_t>& confusion, const std::vector<std::string>& classes) {
  const size_t n = classes.size();
  const double cell = n <= 12   ? 48
                      : n <= 40 ? 26
                                : 12,
               left = 150, top = 120, size = cell * static_cast<double>(n);
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" aria-label=\"confusions\">\n",
      left + size + 10, top + size + 10);
  svg += fmt::format(
      "<text class=\"soft\" x=\"{}\" y=\"{}\" text-anchor=\"end\">true class &#8595;, predicted "
      "&#8594;</text>\n",
      left - 6, top - 8);
  for (size_t i = 0; i < n; ++i) {
    const double middle = cell * (static_cast<double>(i) + 0.5);
    const std::string name = html_text(classes[i].size() > 20 ? classes[i].substr(0, 19) + "." : classes[i]);
    if (cell < 16) continue;
    svg += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\" dominant-baseline=\"middle\">{}</text>\n",
                       left - 6, top + middle, name);
    svg += fmt::format("<text transform=\"translate({} {}) rotate(-45)\">{}</text>\n", left + middle, top - 6,
                       name);
  }
  for (size_t i = 0; i < n; ++i) {
    int64_t total = 0;
    for (size_t j = 0; j < n; ++j) total += confusion[i * n + j];
    for (size_t j = 0; j < n; ++j) {
      const int64_t count = confusion[i * n + j];
      const double share = total > 0 ? static_cast<double>(count) / static_cast<double>(total) : 0;
      const double x = left + cell * static_cast<double>(j), y = top + cell * static_cast<double>(i);
      svg += fmt::format(
          "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"rgba(var(--heat), {:.3f})\"><title>{} "
          "taken for {}: {} of {}</title></rect>\n",
          x, y, cell, cell, 0.04 + 0.8 * share, html_text(classes[i]), html_text(classes[j]), count, total);
      if (cell >= 26 && count > 0)
        svg += fmt::format(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" dominant-baseline=\"middle\" "
            "pointer-events=\"none\">{}</text>\n",
            x + cell / 2, y + cell / 2, count);
    }
  }
  return svg + "</svg>\n";
}

std::string thresholds_table(const Examination& examination, const std::vector<std::string>& classes) {
  std::string html = "<table><tr><th>class</th><th>threshold</th><th>F1</th></tr>\n";
  for (size_t k = 0; k < classes.size(); ++k)
    html += fmt::format("<tr><td>{}</td><td>{:.4g}</td><td>{:.4f}</td></tr>\n", html_text(classes[k]),
                        examination.thresholds[k], examination.f1[k]);
  return html + "</table>\n";
}

Result<std::string> mistakes_html(const Examination& examination, const HeldOut& held_out,
                                  const PictureRows& rows, const std::vector<std::string>& classes) {
  std::string html = "<div class=\"worst\">\n";
  for (size_t i = 0; i < std::min(kMostMistakes, examination.mistakes.size()); ++i) {
    const Mistake& mistake = examination.mistakes[i];
    const auto row = static_cast<size_t>(held_out.numbers[mistake.row]);
    const auto image = TRY(rows.images.store->get(rows.images.pictures[row]));
    const std::string png = TRY(encode_png(*image));
    const std::string said =
        mistake.predicted < classes.size() ? classes[mistake.predicted] : "not " + classes[mistake.label];
    const bool several = !examination.thresholds.empty();
    const std::string truth = several && mistake.predicted < classes.size() ? "not " + classes[mistake.label]
                                                                            : classes[mistake.label];
    html += fmt::format(
        "<figure><img alt=\"\" src=\"data:image/png;base64,{}\"><figcaption>{} <i>for</i> {} "
        "<i>{:.2f}</i><br><i>{}</i></figcaption></figure>\n",
        base64(png), html_text(said), html_text(truth), mistake.confidence, html_text(rows.names[row]));
  }
  return html + "</div>\n";
}

}  // namespace

double best_threshold(std::vector<std::pair<double, bool>> scores, double& f1) {
  std::ranges::sort(scores, std::greater<>());
  double positives = 0, hits = 0;
  for (const auto& score : scores) positives += score.second;
  f1 = 0;
  double threshold = scores.empty() ? 0 : scores[0].first + 1;
  for (size_t i = 0; i < scores.size(); ++i) {
    hits += scores[i].second;
    const bool last = i + 1 == scores.size();
    if (!last && scores[i + 1].first == scores[i].first) continue;
    const double here = 2 * hits / (static_cast<double>(i + 1) + positives);
    if (!(here > f1)) continue;
    f1 = here;
    threshold = last ? scores[i].first - 1 : (scores[i].first + scores[i + 1].first) / 2;
  }
  return threshold;
}

Result<Examination> examine_pictures(const HeldOut& held_out, const PictureRows& rows,
                                     const std::vector<std::string>& classes, bool several,
                                     std::span<const double> thresholds) {
  Examination result;
  const Tensor& predictions = held_out.predictions;
  const size_t count = classes.size();
  if (predictions.elements() != static_cast<int64_t>(held_out.numbers.size() * count)) {
    return invalid_input(fmt::format("the model gives {} for {} pictures of {} classes", type_string(predictions),
                                     held_out.numbers.size(), count));
  }
  if (several)
    examine_several(held_out, rows.target.values, count, thresholds, result);
  else
    examine_one(held_out, rows.target.values, count, result);
  std::ranges::stable_sort(result.mistakes, std::greater<>(), &Mistake::confidence);
  return result;
}

Status write_image_report(const std::string& path, const std::string& title, const Examination& examination,
                          const HeldOut& held_out, const PictureRows& rows,
                          const std::vector<std::string>& classes) {
  std::string html = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n";
  html += fmt::format("<title>{0}</title>\n{1}</head><body>\n<h1>{0}</h1>\n", html_text(title), kStyle);
  if (examination.thresholds.empty())
    html += fmt::format("<p>{} held-out pictures, accuracy {:.4f}, {} mistakes</p>\n",
                        held_out.numbers.size(), examination.accuracy, examination.mistakes.size());
  else
    html +=
        fmt::format("<p>{} held-out pictures, micro F1 {:.4f}, macro F1 {:.4f} with these thresholds</p>\n{}",
                    held_out.numbers.size(), examination.micro_f1, examination.macro_f1,
                    thresholds_table(examination, classes));
  if (!examination.confusion.empty() && classes.size() <= kMostDrawnClasses)
    html += "<h2>Confusions</h2>\n" + confusion_svg(examination.confusion, classes);
  if (!examination.mistakes.empty())
    html += "<h2>The worst mistakes</h2>\n" + TRY(mistakes_html(examination, held_out, rows, classes));
  return write_file_atomically(path, html + "</body></html>\n");
}

}  // namespace gannet
