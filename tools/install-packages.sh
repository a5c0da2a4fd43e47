#!/usr/bin/env bash
# Installs what building and testing Gannet takes on Debian 12, Debian 13 or Ubuntu 24.04. Does nothing, and needs no
# network, when everything is there. With --nightly also what the sanitizer and fuzzing runs take.
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache mold pkg-config
  libfmt-dev libcli11-dev nlohmann-json3-dev
  libprotobuf-dev protobuf-compiler libonnx-dev
  libjpeg-dev libpng-dev libwebp-dev libgif-dev zlib1g-dev libicu-dev libeigen3-dev
  llvm-19-dev libdnnl-dev ocl-icd-opencl-dev
  libgtest-dev libgmock-dev libonnx-testdata
)
if [ "${1:-}" = --nightly ] && ! compgen -c clang++ > /dev/null; then packages+=(clang); fi

missing=()
for package in "${packages[@]}"; do
  if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
    missing+=("$package")
  fi
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

echo "Installing ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
