// One page without outside references: figures, the arena over time as a picture, and tables of steps and nodes.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "runtime/core/arena.h"
#include "runtime/data/html_text.h"
#include "tools/deploy/arguments.h"
#include "tools/driver/explanation.h"

namespace gannet {
namespace {

constexpr std::string_view kHead = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title><style>
body{{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1180px;padding:0 1rem;color:#1d2430;background:#fff}}
h1{{font-size:1.35rem;margin:0 0 .2rem}}h2{{font-size:1.05rem;margin:2rem 0 .5rem}}p{{margin:.3rem 0;color:#5b6472}}
.figures{{display:flex;flex-wrap:wrap;gap:.6rem 2.2rem;margin:1rem 0}}.figures b{{display:block;font-size:1.3rem;color:#1d2430}}.figures span{{color:#5b6472}}
.bar{{display:flex;height:26px;border-radius:4px;overflow:hidden}}.bar i{{display:block;min-width:2px}}
.legend{{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;margin:.5rem 0}}.legend i,.tag i{{display:inline-block;width:.75em;height:.75em;border-radius:2px;margin-right:.4em}}
svg{{display:block;width:100%;height:auto;border:1px solid #e3e6eb;border-radius:4px}}svg text{{font:11px system-ui,sans-serif;fill:#5b6472}}
svg rect.m{{stroke:#fff;stroke-width:.5}}svg rect.m:hover{{stroke:#000;stroke-width:1}}
table{{border-collapse:collapse;width:100%}}th,td{{text-align:left;vertical-align:top;padding:.25rem .7rem .25rem 0;border-bottom:1px solid #eef0f3}}
th{{position:sticky;top:0;background:#fff;color:#5b6472;font-weight:600}}td.n{{font-variant-numeric:tabular-nums;white-space:nowrap}}
td{{overflow-wrap:anywhere}}.tag{{white-space:nowrap}}small{{color:#5b6472}}.scroll{{max-height:640px;overflow:auto;border:1px solid #e3e6eb;border-radius:4px;padding:0 .8rem}}
input{{font:inherit;padding:.3rem .5rem;width:22rem;max-width:100%;margin:.2rem 0 .6rem;border:1px solid #c9ced6;border-radius:4px}}
</style></head><body>
)";

constexpr std::string_view kTail = R"(<script>
for(const box of document.querySelectorAll('input')){const rows=document.querySelectorAll('#'+box.dataset.table+' tbody tr');
box.addEventListener('input',()=>{const wanted=box.value.toLowerCase();for(const row of rows)row.hidden=!row.textContent.toLowerCase().includes(wanted)})}
</script></body></html>
)";

std::string escaped(std::string_view text) { return html_text(printable(text)); }

std::string_view color_of(std::string_view group) {
  constexpr std::pair<std::string_view, std::string_view> kColors[] = {
      {"onednn", "#3b6fd4"}, {"llvm", "#2f9e6e"},     {"onednn+llvm", "#2a8aa8"}, {"eval", "#d6453d"},   {"copy", "#d98a1f"},
      {"view", "#b3bccb"},   {"constant", "#8e7cc3"}, {"merged", "#cdb4db"},      {"removed", "#dfe3e9"}, {"scratch", "#9aa3b2"},
  };
  const auto* found = std::ranges::find(kColors, group, &std::pair<std::string_view, std::string_view>::first);
  return found == std::end(kColors) ? "#9aa3b2" : found->second;
}

std::string tag(std::string_view group) { return fmt::format("<span class=\"tag\"><i style=\"background:{}\"></i>{}</span>", color_of(group), group); }

std::string group_of(const ExplainedNode& node) { return node.outcome == Outcome::kKernel ? node.backend : std::string(name_of(node.outcome)); }

std::string figure(std::string_view value, std::string_view what) { return fmt::format("<span><b>{}</b>{}</span>", value, what); }

std::string overview(const Explanation& explanation) {
  constexpr std::string_view kOrder[] = {"onednn", "llvm", "onednn+llvm", "eval", "view", "constant", "merged", "removed"};
  std::map<std::string, size_t> counts;
  for (const ExplainedNode& node : explanation.nodes) ++counts[group_of(node)];
  std::string html = fmt::format("<h1>{}</h1><p>compiled for {}</p><div class=\"figures\">", escaped(explanation.model.info.path), explanation.isa);
  html += figure(std::to_string(explanation.nodes.size()), "nodes in the file");
  html += figure(std::to_string(explanation.compiled.program->steps.size()), "steps");
  html += figure(std::to_string(counts["eval"]), "evaluated by definition");
  html += figure(bytes_text(explanation.constant_bytes), "constants");
  if (explanation.not_run.empty()) {
    html += figure(bytes_text(explanation.memory.arena_bytes), "arena");
    html += figure(bytes_text(explanation.memory.lower_bound_bytes), "alive at once at most");
  }
  html += "</div>\n<h2>Where the nodes went</h2><div class=\"bar\">";
  for (const std::string_view group : kOrder) {
    const size_t count = counts[std::string(group)];
    if (count > 0) html += fmt::format("<i style=\"flex:{};background:{}\" title=\"{} {}\"></i>", count, color_of(group), count, group);
  }
  html += "</div><div class=\"legend\">";
  for (const std::string_view group : kOrder) {
    if (const size_t count = counts[std::string(group)]; count > 0) html += fmt::format("<span>{} {}</span>", tag(group), count);
  }
  return html + "</div>\n";
}

// Bytes alive at each step.
std::vector<int64_t> alive_bytes(const Explanation& explanation) {
  std::vector<int64_t> alive(explanation.compiled.program->steps.size(), 0);
  for (const PlannedMemory& part : explanation.plan) {
    const int64_t bytes = (part.bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
    for (int32_t step = part.first_step; step <= part.last_step; ++step) alive[static_cast<size_t>(step)] += bytes;
  }
  return alive;
}

// Names of what each buffer holds.
std::vector<std::string> contents_of_buffers(const Program& program) {
  constexpr size_t kMostNames = 4;
  std::vector<std::string> names(program.buffers.size());
  std::vector<size_t> counts(program.buffers.size());
  for (const ProgramValue& value : program.values) {
    if (value.buffer == kNone) continue;
    const auto buffer = static_cast<size_t>(value.buffer);
    if (++counts[buffer] <= kMostNames) names[buffer] += (counts[buffer] == 1 ? "" : ", ") + value.name;
    else if (counts[buffer] == kMostNames + 1) names[buffer] += ", ...";
  }
  return names;
}

// Steps from left to right, addresses from bottom to top: a rectangle for each buffer, a line for the bytes alive.
std::string memory_picture(const Explanation& explanation) {
  constexpr double kWidth = 1160, kHeight = 360, kLeft = 70, kRight = 12, kTop = 14, kBottom = 26;
  const Program& program = *explanation.compiled.program;
  const auto steps = static_cast<double>(program.steps.size());
  const auto bytes = static_cast<double>(std::max<int64_t>(explanation.memory.arena_bytes, 1));
  auto x = [&](double step) { return kLeft + step / std::max(steps, 1.0) * (kWidth - kLeft - kRight); };
  auto y = [&](double at) { return kHeight - kBottom - at / bytes * (kHeight - kTop - kBottom); };
  const std::vector<std::string> contents = contents_of_buffers(program);
  std::string svg = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"The arena over the steps\">", kWidth, kHeight);
  for (const PlannedMemory& part : explanation.plan) {
    const bool scratch = part.buffer == kNone;
    const std::string_view group = scratch ? "scratch" : backend_of(program.steps[static_cast<size_t>(part.first_step)]);
    const std::string what = scratch ? "scratch of step" : contents[static_cast<size_t>(part.buffer)];
    svg += fmt::format("<rect class=\"m\" x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\" fill=\"{}\" fill-opacity=\".8\"><title>{}: {} at {}, "
                       "steps {} to {}</title></rect>", x(part.first_step), y(static_cast<double>(part.offset + part.bytes)),
                       x(part.last_step + 1) - x(part.first_step), y(static_cast<double>(part.offset)) - y(static_cast<double>(part.offset + part.bytes)),
                       color_of(group), escaped(what), bytes_text(part.bytes), part.offset, part.first_step, part.last_step);
  }
  std::string line;
  const std::vector<int64_t> alive = alive_bytes(explanation);
  for (size_t i = 0; i < alive.size(); ++i) {
    const double at = y(static_cast<double>(alive[i]));
    line += fmt::format("{}{:.2f} {:.2f}L{:.2f} {:.2f}", i == 0 ? "M" : "L", x(static_cast<double>(i)), at, x(static_cast<double>(i) + 1), at);
  }
  svg += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"#1d2430\" stroke-width=\"1.2\"/>", line);
  for (const double share : {0.0, 0.5, 1.0}) {
    svg += fmt::format("<text x=\"{}\" y=\"{:.2f}\" text-anchor=\"end\">{}</text>", kLeft - 6, y(share * bytes) + 4, bytes_text(static_cast<int64_t>(share * bytes)));
  }
  for (int i = 0; i <= 8; ++i) {
    const double step = i * steps / 8;
    svg += fmt::format("<text x=\"{:.2f}\" y=\"{}\" text-anchor=\"middle\">{:.0f}</text>", x(step), kHeight - 8, step);
  }
  return svg + "</svg>\n";
}

std::string memory_section(const Explanation& explanation) {
  std::string inputs;
  for (const auto& [name, type] : explanation.inputs) inputs += fmt::format("{}{} {}", inputs.empty() ? "" : ", ", escaped(name), escaped(type));
  std::string html = "<h2>Memory</h2>";
  if (!explanation.not_run.empty()) return html + fmt::format("<p>not known: {}</p>\n", escaped(explanation.not_run));
  html += fmt::format("<p>The arena over the steps with {} on {} threads: each rectangle is a buffer at its address, coloured by who writes it first; "
                      "the line is what is alive. Inputs, outputs and constants are elsewhere.</p>", inputs.empty() ? "no inputs" : inputs, explanation.threads);
  html += memory_picture(explanation) + "<div class=\"legend\">";
  for (const std::string_view group : {"onednn", "llvm", "eval", "copy", "scratch"}) html += tag(group);
  return html + "</div>\n";
}

std::string step_rows(const Explanation& explanation) {
  const Program& program = *explanation.compiled.program;
  const std::vector<int64_t> alive = alive_bytes(explanation);
  std::string html;
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const Step& step = program.steps[i];
    std::string nodes;
    for (const int32_t node : explanation.step_nodes[i]) nodes += fmt::format("{}{}", nodes.empty() ? "" : "<br>", escaped(title_of(explanation, node)));
    if (nodes.empty()) nodes = "<small>none: added for a layout</small>";
    html += fmt::format("<tr><td class=\"n\">{}</td><td>{}</td><td>{}</td><td>{}<br><small>{}</small></td><td>{}</td><td class=\"n\">{}</td></tr>\n", i,
                        tag(backend_of(step)), escaped(kernel_of(step)), escaped(step.op), escaped(step.name), nodes,
                        explanation.not_run.empty() ? bytes_text(alive[i]) : "");
  }
  return html;
}

std::string node_rows(const Explanation& explanation) {
  std::string html;
  for (size_t i = 0; i < explanation.nodes.size(); ++i) {
    const ExplainedNode& node = explanation.nodes[i];
    std::string steps, history;
    for (const StepRef& step : node.steps) {
      steps += fmt::format("{}{}{}", steps.empty() ? "" : ", ", step.program == 0 ? "" : fmt::format("{}:", step.program), step.step);
    }
    for (const PassEvent& event : node.events) history += fmt::format("{}{}: {}", history.empty() ? "" : "<br>", event.pass, escaped(event.becomes));
    html += fmt::format("<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td>{}</td><td><small>{}</small></td></tr>\n",
                        escaped(title_of(explanation, static_cast<int32_t>(i))), tag(group_of(node)), steps,
                        escaped(note_of(explanation, static_cast<int32_t>(i))), history);
  }
  return html;
}

std::string table(std::string_view id, std::string_view columns, const std::string& rows) {
  return fmt::format("<input data-table=\"{0}\" placeholder=\"filter\" aria-label=\"filter {0}\"><div class=\"scroll\"><table id=\"{0}\"><thead><tr>{1}</tr></thead>"
                     "<tbody>\n{2}</tbody></table></div>\n", id, columns, rows);
}

}  // namespace

std::string explanation_html(const Explanation& explanation) {
  std::string html = fmt::format(kHead, fmt::arg("title", "gannet explain " + escaped(explanation.model.info.path)));
  html += overview(explanation) + memory_section(explanation);
  html += "<h2>Steps</h2>" + table("steps", "<th>#<th>where<th>kernel<th>what<th>nodes of the file<th>alive", step_rows(explanation));
  html += "<h2>Nodes</h2>" + table("nodes", "<th>node<th>where<th>steps<th>why<th>history", node_rows(explanation));
  return html + std::string(kTail);
}

}  // namespace gannet
