#!/bin/sh
# Repeat the whole recipe: tokenizer, training, export, checks, evaluation, publishing.
# Usage: ./make.sh [build folder]; PYTHON names the interpreter with requirements.txt.
set -eu
cd "$(dirname "$0")"
build=${1:-build}
python=${PYTHON:-python3}
"$python" tokenizer.py --out "$build"
"$python" train.py --out "$build"
"$python" export.py --build "$build" --out "$build/entente-tiny.gguf"
"$python" check_runtime.py --build "$build" --gguf "$build/entente-tiny.gguf"
"$python" evaluate.py --gguf "$build/entente-tiny.gguf" --per-skill 100 --out "$build/scores.json"
"$python" publish.py --build "$build"
