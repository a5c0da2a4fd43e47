#include "ir/parse.h"

#include <cctype>
#include <charconv>
#include <limits>
#include <unordered_map>

#include "ir/infer.h"
#include "ir/op.h"

namespace gannet {

namespace {

// Splits text into the pieces that the grammar is made of; keeps the position for messages.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Error error(std::string_view message) const {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at_ && i < text_.size(); ++i) {
      if (text_[i] == '\n') ++line, column = 1;
      else ++column;
    }
    return invalid_input(fmt::format("line {}, column {}: {}", line, column, message));
  }

  void skip_space() {
    while (at_ < text_.size()) {
      if (std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
      else if (text_[at_] == '#' && (at_ == 0 || text_[at_ - 1] == '\n')) skip_line();
      else break;
    }
  }

  bool at(std::string_view token) {
    skip_space();
    return text_.substr(at_, token.size()) == token;
  }

  bool eat(std::string_view token) {
    if (!at(token)) return false;
    at_ += token.size();
    return true;
  }

  Status expect(std::string_view token) {
    if (!eat(token)) return error(fmt::format("expected '{}'", token));
    return {};
  }

  bool at_end() {
    skip_space();
    return at_ >= text_.size();
  }

  // Letters, digits, '_' and `more`.
  std::string_view word(std::string_view more = "") {
    skip_space();
    size_t start = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_' ||
                                  more.find(text_[at_]) != std::string_view::npos)) {
      ++at_;
    }
    return text_.substr(start, at_ - start);
  }

  Result<std::string> quoted() {
    TRY(expect("\""));
    std::string result;
    while (at_ < text_.size() && text_[at_] != '"') {
      char c = text_[at_++];
      if (c != '\\') {
        result += c;
        continue;
      }
      if (at_ >= text_.size()) break;
      char escaped = text_[at_++];
      if (escaped != 'x') {
        result += escaped;
        continue;
      }
      int code = 0;
      if (at_ + 2 > text_.size()) break;
      auto parsed = std::from_chars(text_.data() + at_, text_.data() + at_ + 2, code, 16);
      if (parsed.ptr != text_.data() + at_ + 2) return error("expected two hexadecimal digits after \\x");
      at_ += 2;
      result += static_cast<char>(code);
    }
    if (at_ >= text_.size()) return error("the quoted text does not end");
    ++at_;
    return result;
  }

  // A type or shape: a word, then whatever stands in the brackets that follow it directly.
  std::string_view bracketed() {
    skip_space();
    size_t start = at_;
    word();
    int depth = 0;
    bool in_quotes = false;
    while (at_ < text_.size()) {
      char c = text_[at_];
      if (c == '\\' && in_quotes && at_ + 1 < text_.size()) {
        at_ += 2;
        continue;
      }
      if (c == '"') in_quotes = !in_quotes;
      if (!in_quotes && (c == '[' || c == '(')) ++depth;
      if (!in_quotes && (c == ']' || c == ')') && --depth < 0) break;
      if (depth == 0 && c != ']' && c != ')') break;
      ++at_;
    }
    return text_.substr(start, at_ - start);
  }

 private:
  void skip_line() {
    while (at_ < text_.size() && text_[at_] != '\n') ++at_;
  }

  std::string_view text_;
  size_t at_ = 0;
};

// What is known of the values of a node's subgraphs. The inference of the node infers them again, with fresh symbols of
// its own, but the text goes on with those that it has given.
class SubgraphTypes {
 public:
  explicit SubgraphTypes(const Node& node) {
    for_each_subgraph(node, [&](Graph& graph) { collect(graph); });
  }

  // Symbols that inference has made anew get the names of the text again.
  void restore() const {
    for (const Known& known : known_) {
      if (!renamed(known.type, known.value->type)) continue;
      known.value->type = known.type;
      known.value->contents = known.contents;
    }
  }

 private:
  struct Known {
    Value* value;
    Type type;
    std::optional<std::vector<Dim>> contents;
  };

  void collect(Graph& graph) {
    for (Value* input : graph.inputs()) known_.push_back({input, input->type, input->contents});
    for (const auto& node : graph.nodes()) {
      for (Value* output : node->outputs()) {
        if (output) known_.push_back({output, output->type, output->contents});
      }
      for_each_subgraph(*node, [&](Graph& inner) { collect(inner); });
    }
  }

  // The same but for symbols.
  static bool renamed(const Type& a, const Type& b) {
    if (a.kind != b.kind || a.dtype != b.dtype || !a.element != !b.element || a.rank() != b.rank()) return false;
    if (a.element && !(*a.element == *b.element) && !renamed(*a.element, *b.element)) return false;
    for (size_t i = 0; a.shape && i < a.shape->size(); ++i) {
      const Dim &x = (*a.shape)[i], &y = (*b.shape)[i];
      if (x.is_constant() != y.is_constant() || (x.is_constant() && x != y)) return false;
    }
    return true;
  }

  std::vector<Known> known_;
};

class GraphParser {
 public:
  GraphParser(Lexer& lexer, int depth) : lexer_(lexer), depth_(depth) {}

  Result<std::unique_ptr<Graph>> parse(std::shared_ptr<Symbols> symbols) {
    constexpr int kDeepest = 32;
    if (depth_ > kDeepest) return lexer_.error("graphs nest too deeply");
    TRY(lexer_.expect("graph"));
    graph_ = std::make_unique<Graph>(TRY(lexer_.quoted()), std::move(symbols));
    TRY(parse_inputs());
    TRY(lexer_.expect("{"));
    while (lexer_.at("state ")) TRY(parse_state());
    while (!lexer_.at("return")) TRY(parse_node());
    TRY(parse_return());
    TRY(lexer_.expect("}"));
    for (const auto& [index, name] : state_outs_) graph_->states[index].out = TRY(find(name));
    return std::move(graph_);
  }

 private:
  // Sets is_absent_ for "%_"; a value may be called "_" all the same, and stands in quotes then.
  Result<std::string> parse_name() {
    TRY(lexer_.expect("%"));
    is_absent_ = false;
    if (lexer_.at("\"")) return lexer_.quoted();
    std::string_view name = lexer_.word("./:-");
    if (name.empty()) return lexer_.error("expected a name");
    is_absent_ = name == "_";
    return std::string(name);
  }

  // "%name: type" where the name may itself hold ':'; printing puts the type's ':' last, followed by a space.
  Result<std::string> parse_defined_name() {
    bool quoted = lexer_.at("%\"");
    std::string name = TRY(parse_name());
    if (!quoted && name.size() > 1 && name.back() == ':') {
      name.pop_back();
      has_type_ = true;
    } else {
      has_type_ = lexer_.eat(":");
    }
    return name;
  }

  Result<Type> parse_type_here() {
    Result<Type> type = parse_type(lexer_.bracketed());
    if (!type.ok()) return lexer_.error(type.error().message);
    return type;
  }

  Result<Value*> find(const std::string& name) {
    auto entry = values_.find(name);
    if (entry == values_.end()) return lexer_.error(fmt::format("%{} is not defined", name));
    return entry->second;
  }

  Status define(const std::string& name, Value* value) {
    if (!values_.emplace(name, value).second) return lexer_.error(fmt::format("%{} is defined twice", name));
    return {};
  }

  Status parse_inputs() {
    TRY(lexer_.expect("("));
    while (!lexer_.eat(")")) {
      if (!graph_->inputs().empty()) TRY(lexer_.expect(","));
      std::string name = TRY(parse_defined_name());
      if (!has_type_) return lexer_.error("an input needs a type");
      Type type = TRY(parse_type_here());
      TRY(define(name, graph_->add_input(name, std::move(type))));
    }
    return {};
  }

  Status parse_state() {
    TRY(lexer_.expect("state"));
    std::string name = TRY(parse_defined_name());
    if (!has_type_) return lexer_.error("a state needs a type");
    Type type = TRY(parse_type_here());
    State state;
    state.in = graph_->add_state_value(name, std::move(type));
    TRY(define(name, state.in));
    if (lexer_.eat("->")) state_outs_.emplace_back(graph_->states.size(), TRY(parse_name()));
    TRY(lexer_.expect("="));
    state.initial = TRY(parse_tensor());
    state.name = TRY(lexer_.quoted());
    graph_->states.push_back(std::move(state));
    return {};
  }

  Status parse_node() {
    std::vector<std::string> names;
    std::vector<std::optional<Type>> types;
    std::vector<bool> absent;
    do {
      names.push_back(TRY(parse_defined_name()));
      absent.push_back(is_absent_);
      if (is_absent_) names.back().clear();
      types.emplace_back();
      if (has_type_) types.back() = TRY(parse_type_here());
    } while (lexer_.eat(","));
    TRY(lexer_.expect("="));
    std::string op_name(lexer_.word());
    const OpDef* op = find_op(op_name);
    if (op == nullptr) return lexer_.error(fmt::format("there is no op '{}'", op_name));
    std::vector<Value*> operands = TRY(parse_operands());
    Attributes attrs = TRY(parse_attributes(*op));
    Node* node = graph_->add_node(*op, std::move(operands), std::move(attrs), names.size(), nullptr, names);
    if (lexer_.at("\"")) node->name = TRY(lexer_.quoted());
    const SubgraphTypes given(*node);
    Status inferred = infer_node(*node);
    if (!inferred.ok()) return lexer_.error(inferred.error().message);
    given.restore();
    for (size_t i = 0; i < names.size(); ++i) {
      if (absent[i]) graph_->drop_output(node, i);
      else TRY(finish_output(node, i, names[i], types[i]));
    }
    return {};
  }

  Status finish_output(Node* node, size_t i, const std::string& name, const std::optional<Type>& type) {
    if (node->output(i)->name != name) return lexer_.error(fmt::format("%{} is defined twice", name));
    if (type) {
      Result<Type> merged = merge_types(node->output(i)->type, *type);
      if (!merged.ok()) return lexer_.error(fmt::format("%{}: {}", name, merged.error().message));
      node->output(i)->type = *type;
      reserve_symbols(*type);
    }
    return define(name, node->output(i));
  }

  // Symbols that the text gives where inference finds others.
  void reserve_symbols(const Type& type) {
    std::vector<std::string> symbols;
    if (type.shape) {
      for (const Dim& dim : *type.shape) dim.collect_symbols(symbols);
    }
    for (const std::string& symbol : symbols) graph_->symbols()->reserve(symbol);
  }

  Result<std::vector<Value*>> parse_operands() {
    std::vector<Value*> operands;
    TRY(lexer_.expect("("));
    while (!lexer_.eat(")")) {
      if (!operands.empty()) TRY(lexer_.expect(","));
      std::string name = TRY(parse_name());
      operands.push_back(is_absent_ ? nullptr : TRY(find(name)));
    }
    return operands;
  }

  Result<Attributes> parse_attributes(const OpDef& op) {
    Attributes attrs;
    if (!lexer_.eat("{")) return attrs;
    while (!lexer_.eat("}")) {
      if (!attrs.entries().empty()) TRY(lexer_.expect(","));
      std::string name(lexer_.word());
      const AttrDef* def = nullptr;
      for (const AttrDef& candidate : op.attrs) {
        if (candidate.name == name) def = &candidate;
      }
      if (def == nullptr) return lexer_.error(fmt::format("{} has no attribute '{}'", op.name, name));
      TRY(lexer_.expect("="));
      attrs.set(name, TRY(parse_attr(def->kind)));
    }
    return attrs;
  }

  Result<Attr> parse_attr(AttrKind kind) {
    switch (kind) {
      case AttrKind::kInt: return Attr(TRY(parse_integer()));
      case AttrKind::kFloat: return Attr(TRY(parse_real<float>()));
      case AttrKind::kString: return Attr(TRY(lexer_.quoted()));
      case AttrKind::kInts: return Attr(TRY(parse_list<int64_t>([&] { return parse_integer(); })));
      case AttrKind::kFloats:
        return Attr(TRY(parse_list<float>([&] { return parse_real<float>(); })));
      case AttrKind::kStrings: return Attr(TRY(parse_list<std::string>([&] { return lexer_.quoted(); })));
      case AttrKind::kTensor: return Attr(TRY(parse_tensor()));
      case AttrKind::kTensors: return Attr(TRY(parse_tensors()));
      case AttrKind::kDType: {
        std::optional<DType> dtype = dtype_from_name(lexer_.word());
        if (!dtype) return lexer_.error("expected an element type");
        return Attr(*dtype);
      }
      case AttrKind::kGraph: {
        GraphParser inner(lexer_, depth_ + 1);
        return Attr(std::shared_ptr<Graph>(TRY(inner.parse(graph_->symbols()))));
      }
      case AttrKind::kDims: {
        Result<Type> type = parse_type("f32" + std::string(lexer_.bracketed()));
        if (!type.ok() || !type->shape) return lexer_.error("expected a list of dimensions");
        return Attr(*type->shape);
      }
      case AttrKind::kType: return Attr(TRY(parse_type_here()));
      case AttrKind::kScalar: {
        std::string text = TRY(lexer_.quoted());
        Result<ScalarExpr> expr = parse_scalar(text);
        if (!expr.ok()) return lexer_.error(expr.error().message);
        return Attr(*expr);
      }
    }
    return lexer_.error("unknown attribute kind");
  }

  template <class T, class Element>
  Result<std::vector<T>> parse_list(Element&& element) {
    std::vector<T> values;
    TRY(lexer_.expect("["));
    while (!lexer_.eat("]")) {
      if (!values.empty()) TRY(lexer_.expect(","));
      values.push_back(TRY(element()));
    }
    return values;
  }

  Result<std::vector<Tensor>> parse_tensors() {
    std::vector<Tensor> tensors;
    TRY(lexer_.expect("("));
    while (!lexer_.eat(")")) {
      if (!tensors.empty()) TRY(lexer_.expect(","));
      tensors.push_back(TRY(parse_tensor()));
    }
    return tensors;
  }

  Result<int64_t> parse_integer() { return parse_integer_of<int64_t>(); }

  // In the type that it becomes: rounding through f64 would round twice.
  template <class T = double>
  Result<T> parse_real() {
    std::string_view text = lexer_.word("-+.");
    if (text == "nan") return std::numeric_limits<T>::quiet_NaN();
    if (text == "inf") return std::numeric_limits<T>::infinity();
    if (text == "-inf") return -std::numeric_limits<T>::infinity();
    T value = 0;
    auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    bool whole = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
    if (text.empty() || !whole) return lexer_.error(fmt::format("expected a number, got '{}'", text));
    return value;
  }

  template <class T>
  Result<T> parse_integer_of() {
    std::string_view text = lexer_.word("-");
    T value = 0;
    auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    bool whole = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
    if (text.empty() || !whole) {
      return lexer_.error(fmt::format("expected an integer of {} bits, got '{}'", sizeof(T) * 8, text));
    }
    return value;
  }

  template <class T>
  Result<T> parse_element() {
    if constexpr (std::is_same_v<T, std::string>) return lexer_.quoted();
    else if constexpr (std::is_same_v<T, bool>) {
      if (lexer_.eat("true")) return true;
      TRY(lexer_.expect("false"));
      return false;
    } else if constexpr (std::is_integral_v<T>) return parse_integer_of<T>();
    else if constexpr (std::is_floating_point_v<T>) return parse_real<T>();
    else if constexpr (requires(T t) { t.real(); }) {
      TRY(lexer_.expect("("));
      using Part = typename T::value_type;
      Part real = TRY(parse_real<Part>());
      TRY(lexer_.expect(","));
      Part imaginary = TRY(parse_real<Part>());
      TRY(lexer_.expect(")"));
      return T(real, imaginary);
    } else if constexpr (requires(T t) { t.bits; }) return T(TRY(parse_real<float>()));
    else return T(TRY(parse_integer()));
  }

  Result<Tensor> parse_tensor() {
    Type type = TRY(parse_type_here());
    if (!type.is_tensor() || !type.is_static()) return lexer_.error("expected a tensor with integer extents");
    Result<Tensor> allocated = Tensor::allocate(type.dtype, static_extents(*type.shape), Limits{.tensor_bytes = 1 << 28});
    if (!allocated.ok()) return lexer_.error(allocated.error().message);
    Tensor tensor = *std::move(allocated);
    if (lexer_.at("#")) return lexer_.error("the tensor's elements are not in the text, only their digest");
    TRY(lexer_.expect("{"));
    TRY(visit_dtype(type.dtype, [&]<class T>(Tag<T>) -> Status {
      bool first = true;
      for (T& element : tensor.mutable_data<T>()) {
        if (!first) TRY(lexer_.expect(","));
        first = false;
        element = TRY(parse_element<T>());
      }
      return {};
    }));
    TRY(lexer_.expect("}"));
    return tensor;
  }

  Status parse_return() {
    TRY(lexer_.expect("return"));
    while (lexer_.at("%")) {
      Value* value = TRY(find(TRY(parse_name())));
      std::string name = value->name;
      if (lexer_.eat("as ")) name = TRY(lexer_.quoted());
      graph_->outputs.push_back({name, value});
      if (!lexer_.eat(",")) break;
    }
    return {};
  }

  Lexer& lexer_;
  int depth_;
  std::unique_ptr<Graph> graph_;
  std::unordered_map<std::string, Value*> values_;
  std::vector<std::pair<size_t, std::string>> state_outs_;
  bool has_type_ = false;
  bool is_absent_ = false;
};

}  // namespace

Result<std::unique_ptr<Graph>> parse_graph(std::string_view text) {
  Lexer lexer(text);
  std::unique_ptr<Graph> graph = TRY(GraphParser(lexer, 0).parse(nullptr));
  if (!lexer.at_end()) return lexer.error("expected the end");
  return graph;
}

}  // namespace gannet
