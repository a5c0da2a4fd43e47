#!/usr/bin/env bash
# Usage: prove_type_names.sh LINT_TYPE_NAMES
# A type that two files define must be refused; in an anonymous namespace, or declared only, accepted.
set -eu
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/ir" "$tree/backend"
printf 'struct Window {\n};\n' > "$tree/ir/window.h"

printf 'struct Window;\nnamespace {\nstruct Window {\n};\n}  // namespace\n' > "$tree/backend/lower.cpp"
"$1" "$tree" > /dev/null || { echo "an anonymous type was refused"; exit 1; }

printf 'class Window final : public Base {\n};\n' > "$tree/backend/lower.cpp"
if "$1" "$tree" > /dev/null; then echo "a type with two definitions was accepted"; exit 1; fi
