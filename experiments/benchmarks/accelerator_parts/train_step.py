"""Train steps of the video DiT in bfloat16: speed, MFU, memory, with remat.

Sizes S, B, L and XL of configs/dit_world.py, on latents of 16 x 32 x 32 x 4 in
patches of 1 x 2 x 2, and on pixels of 16 x 64 x 64 in patches of 2 x 4 x 4. MFU
is relative to the stated peak and counts the operations of the step without
remat, even where remat repeats some.
"""

import functools
from typing import NamedTuple

from experiments.benchmarks.accelerator_parts import recording
from experiments.benchmarks.accelerator_parts import steps
from experiments.benchmarks.accelerator_parts import timing
from vgen_jax.config import settings as settings_lib


class Case(NamedTuple):
  """A step to measure.

  Attributes:
    clips: 'latents' or 'pixels'.
    size: Size of configs/dit_world.py.
    remat: 'none' or 'full'.
    batch_size: Number of clips; halved until the step fits in memory.
  """

  clips: str
  size: str
  remat: str
  batch_size: int


# The most important first, because the last ones may be cut. Batches are such
# that each step has some ten thousand tokens, 4,096 per clip of latents and
# 2,048 of pixels, and that steps without remat are likely to fit.
CASES = (
  Case('latents', 'S', 'none', 32),
  Case('latents', 'B', 'none', 16),
  Case('latents', 'L', 'full', 16),
  Case('pixels', 'S', 'none', 64),
  Case('pixels', 'B', 'none', 32),
  Case('latents', 'XL', 'full', 16),
  Case('latents', 'B', 'full', 16),
  Case('latents', 'L', 'none', 8),
  Case('pixels', 'L', 'full', 32),
  Case('latents', 'S', 'full', 32),
  Case('pixels', 'XL', 'full', 32),
  Case('latents', 'XL', 'none', 8),
  Case('pixels', 'S', 'full', 64),
  Case('pixels', 'B', 'full', 32),
  Case('pixels', 'L', 'none', 16),
)
_TINY = (Case('latents', 'smoke', 'none', 4),)
_NEEDS_S = 15.0  # Seconds to compile and measure a case.


def main(recorder: recording.Recorder) -> None:
  """Writes the results of this part."""
  size = 256 if recorder.tiny else 8192
  values = recorder.measure(
    f'bfloat16 product of {size} x {size}',
    lambda: {'tflops': timing.product_flops(size) / 1e12},
  )
  ceiling = values['tflops'] * 1e12 if values else None
  for case in _TINY if recorder.tiny else CASES:
    steps.measure_largest(
      recorder,
      f'{case.clips}, {case.size}, remat {case.remat}',
      functools.partial(_settings, case, recorder.tiny),
      case.batch_size,
      needs=1.0 if recorder.tiny else _NEEDS_S,
      ceiling=ceiling,
      seconds=0.2 if recorder.tiny else 1.5,
    )


def settings_of(case: Case, tiny: bool = False) -> settings_lib.Settings:
  """Returns the settings of a case."""
  overrides = {
    'batch_size': case.batch_size,
    'model.denoiser.remat': case.remat,
    'model.denoiser.implementation': 'auto',
    'model.denoiser.dtype': 'bfloat16',
  }
  if case.clips == 'latents':
    overrides |= {
      'clip_shape': (4, 8, 8, 4) if tiny else (16, 32, 32, 4),
      'model.denoiser.patch_size': (1, 2, 2),
    }
  return steps.settings_of('dit_world', case.size, overrides)


def _settings(case: Case, tiny: bool, batch_size: int) -> settings_lib.Settings:
  return settings_of(case._replace(batch_size=batch_size), tiny)


if __name__ == '__main__':
  main(recording.Recorder.from_command_line(__doc__))
