# shellcheck shell=bash disable=SC2034,SC2154 # shared by the scripts that source this file; root is theirs
# What the image is called. Sourced, not run.

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
revision=$(git -C "$root" rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
image=${IMAGE:-ghcr.io/klatsch/edge:$version}
