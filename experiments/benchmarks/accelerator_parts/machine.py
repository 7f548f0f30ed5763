"""Properties of the machine: device, libraries, and limits of its speed."""

import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
from typing import Any

import jax

from experiments.benchmarks.accelerator_parts import recording
from experiments.benchmarks.accelerator_parts import timing
from vgen_jax.runtime import flops as flops_lib

_PACKAGES = (
  'jax', 'jaxlib', 'jax-cuda12-plugin', 'jax-cuda13-plugin', 'flax', 'optax',
  'orbax-checkpoint', 'numpy', 'torch', 'ml-collections', 'grain', 'av',
)  # fmt: skip
_ASKED = 'name,driver_version,memory.total,power.limit,clocks.max.sm'


def main(recorder: recording.Recorder) -> None:
  """Writes the results of this part."""
  recorder.measure('libraries', libraries)
  recorder.measure('device', lambda: device(jax.devices()[0]))
  recorder.measure('driver', driver)
  peak = flops_lib.peak_flops(jax.devices()[0])
  sizes = (256,) if recorder.tiny else (8192, 4096)
  for size in sizes:
    recorder.measure(
      f'bfloat16 product of {size} x {size}', lambda n=size: _product(n, peak)
    )
  size = 2**20 if recorder.tiny else 2**30
  recorder.measure(
    f'update in place of {size / 2**20:.0f} MiB',
    lambda: {'terabytes_per_second': timing.copy_bytes(size) / 1e12},
  )


def libraries() -> dict[str, Any]:
  """Returns versions of packages; 'absent' for those that are not installed."""
  now = datetime.datetime.now().astimezone()
  values = {
    'date': now.isoformat(timespec='seconds'),
    'python': platform.python_version(),
    'cpus': os.cpu_count(),
  }
  for package in _PACKAGES:
    try:
      values[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      values[package] = 'absent'
  return values


def device(first: jax.Device) -> dict[str, Any]:
  """Returns the properties of a device that JAX reports."""
  stats = first.memory_stats() or {}  # None on a CPU.
  limit = stats.get('bytes_limit')
  peak = flops_lib.peak_flops(first)
  return {
    'kind': first.device_kind,
    'platform': first.platform,
    'count': jax.device_count(),
    'memory_GiB': limit / timing.GIB if limit else None,
    'stated_bf16_tflops': peak / 1e12 if peak else None,
    'compute_capability': getattr(first, 'compute_capability', None),
    'backend': ' '.join(first.client.platform_version.split()),
  }


def driver() -> dict[str, Any]:
  """Returns the report of nvidia-smi on the first GPU; 'absent' without it."""
  program = shutil.which('nvidia-smi')
  if program is None:
    return {'nvidia_smi': 'absent'}
  command = [program, f'--query-gpu={_ASKED}', '--format=csv,noheader', '-i=0']
  said = subprocess.run(
    command, capture_output=True, text=True, timeout=20, check=True
  )
  return parse_driver(said.stdout)


def parse_driver(text: str) -> dict[str, str]:
  """Returns the fields of the line that nvidia-smi prints."""
  values = [x.strip() for x in text.strip().split('\n')[0].split(',')]
  return dict(zip(_ASKED.split(','), values, strict=True))


def _product(size: int, peak: float | None) -> dict[str, Any]:
  rate = timing.product_flops(size)
  return {
    'tflops': rate / 1e12,
    'of_stated_peak': rate / peak if peak else None,
  }


if __name__ == '__main__':
  main(recording.Recorder.from_command_line(__doc__))
