# What run and nightly share: named steps with their times, and the programs that tests look for.
# All steps run even when one fails; `finish` says which did.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export ONNXRUNTIME_NODE_INSTALL=skip

failed=()
times=()
report=$(mktemp)
trap 'rm -f "$report"' EXIT

step() {
  local name=$1 start=$SECONDS result=passed
  shift
  printf '\n=== %s\n' "$name"
  "$@" || { result=FAILED; failed+=("$name"); }
  times+=("$(printf '%6d s  %-6s  %s' $((SECONDS - start)) "$result" "$name")")
  printf '=== %s: %s in %d s\n' "$name" "$result" $((SECONDS - start))
}

# Runs two commands beside each other, of which neither keeps both cores busy; the second is shown when the first has ended.
both() {
  local shown result=0
  shown=$(mktemp)
  $2 >"$shown" 2>&1 &
  $1 || result=1
  wait $! || result=1
  cat "$shown"
  rm -f "$shown"
  return $result
}

finish() {
  printf '\n'
  printf '%s\n' "${times[@]}" "$(printf '%6d s          altogether' "$SECONDS")"
  local counts=0
  node .ci/counts.mjs "$report" || counts=$?
  [ ${#failed[@]} -eq 0 ] && [ "$counts" -eq 0 ]
}

# Installs Debian packages where this is Debian and we may; $1 says whether it is there already.
debian() {
  local is_there=$1 without=$2
  shift 2
  if [ "$(uname)" != Linux ] || "$is_there"; then return 0; fi
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null || true
  fi
  "$is_there" || echo "Not here, and $* could not be installed: $without"
}
has_vulkan() { compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null || compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null; }
has_chromium() { command -v chromium >/dev/null; }

# WebGPU on a machine without a GPU needs a software Vulkan driver; reports and the site are opened in a browser.
programs() {
  debian has_vulkan 'the tests on WebGPU are skipped.' mesa-vulkan-drivers libvulkan1
  debian has_chromium 'the tests in a browser are skipped.' chromium
  openvino
}

# OpenVINO's wheel, in a folder of its own; nothing of Python runs.
openvino() {
  local folder
  folder=${XDG_CACHE_HOME:-$HOME/.cache}/onnx-lora-openvino
  if [ -n "${ONNX_LORA_OPENVINO:-}" ]; then return 0; fi
  if "${PYTHON:-python3}" -m pip install --quiet --upgrade --no-deps --target "$folder" openvino==2026.4.1 2>/dev/null; then
    export ONNX_LORA_OPENVINO=$folder/openvino/libs
  else
    echo 'No pip, or PyPI cannot be reached: the tests on OpenVINO are skipped.'
  fi
}

# The README's command: it installs, builds, and checks types, too.
tests() (
  export TEST_REPORT=$report
  npm ci && npm test
)
