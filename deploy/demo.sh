#!/usr/bin/env bash
# `make demo` behind the build: fine-tunes a real pretrained encoder on questions that ship with
# Cairn, and shows what came of it. MODEL=DIR gives a model on disk.
set -euo pipefail
cd "$(dirname "$0")/.."
exec ./build/cairn doctor
