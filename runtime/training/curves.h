// Curves over the steps of a run as one HTML page with inline SVG: no script, nothing loaded from elsewhere,
// light and dark.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace gannet {

struct Curve {
  std::string name;
  std::vector<std::pair<double, double>> points;  // (step, value); a value that is not finite leaves a gap
  bool faint = false;   // in the background, such as what a smoothed curve comes from
  bool marked = false;  // each point has a mark with its value
};

struct Panel {
  std::string title;
  std::vector<Curve> curves;
};

struct CurvesPage {
  std::string title;
  std::vector<std::pair<std::string, std::string>> facts;  // a table above the panels
  std::vector<Panel> panels;
};

// Curves of more than about a thousand points are drawn as the means of neighbours. All text is escaped.
std::string curves_html(const CurvesPage& page);
// The exponential mean of the values so far (an effective window of 1 / (1 - `keep`) points, corrected at the
// start).
std::vector<std::pair<double, double>> smoothed(const std::vector<std::pair<double, double>>& points,
                                                double keep);
// Round numbers from at or above `low` to at or below `high`, about `count` of them; empty unless low < high.
std::vector<double> axis_ticks(double low, double high, int count);

}  // namespace gannet
