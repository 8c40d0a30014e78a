#!/usr/bin/env bash
# Python code and types from the contracts in src/openbell/proto, into a folder: scripts/proto.sh src
set -euo pipefail
target=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
BIN=$PWD/.venv/bin
cd src
"$BIN/python" -m grpc_tools.protoc -I. --plugin=protoc-gen-mypy="$BIN/protoc-gen-mypy" \
  --python_out="$target" --mypy_out=quiet:"$target" openbell/proto/v1/*.proto
exec "$BIN/python" -m grpc_tools.protoc -I. --plugin=protoc-gen-mypy_grpc="$BIN/protoc-gen-mypy_grpc" \
  --grpc_python_out="$target" --mypy_grpc_out=quiet:"$target" openbell/proto/v1/*_service.proto
