#!/usr/bin/env bash
# The main job from start to finish in some minutes on two cores: trains the quickstart, samples it,
# judges it beside the shipped weights and real data, and makes a report page.
# Usage: launch/quickstart.sh [WORKDIR [VARIANT [CLIPS]]]
set -euo pipefail
cd "$(dirname "$0")/.."
workdir=${1:-runs/quickstart} variant=${2:-fast} clips=${3:-48}
export JAX_PLATFORMS=${JAX_PLATFORMS:-cpu}

mmjax train --config "configs/quickstart.py:$variant" --workdir "$workdir"
mmjax sample --workdir "$workdir" --given text="a seven bounces three times" \
  --out "$workdir/samples/asked"
mmjax evaluate --workdir "$workdir" --name "just trained" --also shipped=pretrained/bouncing_digits \
  --tasks video_to_audio --sets held-out --clips "$clips"
mmjax report --workdir "$workdir"
printf 'clip:   %s\nreport: %s\n' "$(ls "$workdir"/samples/asked/*.mp4 | head -n 1)" "$workdir/report.html"
