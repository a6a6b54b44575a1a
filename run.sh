#!/usr/bin/env bash
# Does all of its own set-up (Python environment, PyTorch, this package) and then runs one of:
#   bash run.sh main-job    a tiny CogVLM learns a new domain: convert, finetune, benchmark -> runs/main-job/report.html
#   bash run.sh test        lint, types and the tests
#   bash run.sh install     the set-up alone
# TORCH=cpu or TORCH=cuda chooses PyTorch's build; without it, cuda where nvidia-smi sees a card, cpu elsewhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
environment=${GROUNDING_VENV:-.venv}
torch_cpu_wheels=https://download.pytorch.org/whl/cpu

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "run.sh: no Python 3.11 or newer found; install one, or name it: PYTHON=/path/to/python3 bash run.sh $*" >&2
  exit 2
}

torch_build() {
  if [ -n "${TORCH:-}" ]; then
    echo "$TORCH"
  elif nvidia-smi -L >/dev/null 2>&1; then
    echo cuda
  else
    echo cpu
  fi
}

install_torch() {
  local version
  version=$(sed -n 's/^torch==//p' constraints.txt)
  case "$(torch_build)" in
    # pip's default build for Linux is the CUDA one. The CPU build is a tenth of its size and lies on PyTorch's own index.
    cuda) "$environment/bin/pip" install --quiet "torch==$version" ;;
    cpu)
      if [ "$(uname -s)" = Linux ]; then
        "$environment/bin/pip" install --quiet "torch==$version+cpu" 2>/dev/null ||
          "$environment/bin/pip" install --quiet "torch==$version" --index-url "$torch_cpu_wheels"
      else
        "$environment/bin/pip" install --quiet "torch==$version"
      fi
      ;;
    *)
      echo "run.sh: TORCH=$TORCH is not known; allowed: cpu, cuda" >&2
      exit 2
      ;;
  esac
}

install() {
  [ -x "$environment/bin/python" ] || "$(find_python)" -m venv "$environment"
  "$environment/bin/python" -c 'import torch' 2>/dev/null || install_torch
  "$environment/bin/pip" install --quiet --constraint constraints.txt --editable '.[dev]'
}

run_tests() {
  "$environment/bin/ruff" check .
  "$environment/bin/ruff" format --check .
  "$environment/bin/mypy"
  "$environment/bin/python" -m pytest "$@"
}

# Draws its own data, so that nothing has to be downloaded. Started again, a demo that was stopped goes on.
main_job() {
  "$environment/bin/grounding" demo --out runs/main-job
}

case "${1:-}" in
  install) install ;;
  test) install && run_tests "${@:2}" ;;
  main-job) install && main_job ;;
  *)
    sed -n '2,6s/^# //p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
