"""Checks that an accelerator computes the right numbers.

Compares values and gradients of fast and lax convolutions, and of cuDNN's and
XLA's attention. Then compares train steps and samplers of small configs with
those on a CPU, which a second process without access to the accelerator
computes at the same time.
"""

import functools
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

import jax
import numpy as np

from experiments.benchmarks.accelerator_parts import parity_layers
from experiments.benchmarks.accelerator_parts import parity_steps
from experiments.benchmarks.accelerator_parts import recording

# Seconds needed to compile the steps and the sampler of a config.
_NEEDS_S = 12.0
_SHARE_OF_LAYERS = 0.5  # Of the time; the rest is for steps and samplers.


def main(recorder: recording.Recorder) -> None:
  """Writes the results of this part."""
  reference = start_reference(recorder.out, recorder.tiny)
  reserve = recorder.left() * (1 - _SHARE_OF_LAYERS)
  try:
    _layers(recorder, reserve)
    for name in _configs(recorder.tiny):
      recorder.measure(
        f'3 steps and 2 clips of {name}:smoke, float32',
        functools.partial(_steps, recorder, reference, name),
        needs=1.0 if recorder.tiny else _NEEDS_S,
      )
  finally:
    reference.kill()


def start_reference(out: pathlib.Path, tiny: bool) -> subprocess.Popen:
  """Starts the process that computes the reference on the CPU."""
  command = [sys.executable, '-P', parity_steps.__file__, f'--out={out}']
  log = (out / 'parity_reference.log').open('w')
  return subprocess.Popen(
    [*command, *['--tiny'] * tiny],
    env=reference_environment(dict(os.environ)),
    stdin=subprocess.DEVNULL,
    stdout=log,
    stderr=subprocess.STDOUT,
  )


def reference_environment(env: dict[str, str]) -> dict[str, str]:
  """Returns an environment in which JAX only uses the CPU."""
  return {
    **env,
    'JAX_PLATFORMS': 'cpu',
    'CUDA_VISIBLE_DEVICES': '',
    'JAX_DISABLE_MOST_OPTIMIZATIONS': '1',  # Most time is spent on compilation.
  }


def _layers(recorder: recording.Recorder, reserve: float) -> None:
  """Compares layers, the most important first, until little time is left."""
  platform = jax.devices()[0].platform
  names = parity_layers.implementations_on(platform)
  tiny = recorder.tiny
  cases = []
  for case in (
    parity_layers.TINY_ATTENTIONS if tiny else parity_layers.ATTENTIONS
  ):
    title = (
      f'attention, {case.batch} x {case.tokens} tokens, {case.heads} heads of'
      f' {case.width}{", causal" if case.is_causal else ""}, bfloat16'
    )
    compare = parity_layers.compare_attention
    cases.append((title, functools.partial(compare, case, names)))
  shape, features = ((1, 4, 8, 8, 4), 4) if tiny else ((4, 8, 32, 32, 64), 64)
  convolutions = []
  for case in parity_layers.CONVOLUTIONS[: 1 if tiny else None]:
    for dtype in ('bfloat16', 'float32'):
      title = f'convolution {case.name}, {dtype}'
      compare = parity_layers.compare_convolution
      partial = functools.partial(compare, case, shape, features, dtype)
      convolutions.append((title, partial))
  for title, function in _merged(cases, convolutions):
    recorder.measure(title, function, needs=reserve)


def _merged(one: list[Any], other: list[Any]) -> list[Any]:
  """Returns entries of two lists alternately, then the rest of the longer."""
  merged = []
  for i in range(max(len(one), len(other))):
    merged += [*one[i : i + 1], *other[i : i + 1]]
  return merged


def _configs(tiny: bool) -> tuple[str, ...]:
  return parity_steps.TINY_CONFIGS if tiny else parity_steps.CONFIGS


def _steps(
  recorder: recording.Recorder, reference: subprocess.Popen, name: str
) -> dict[str, Any]:
  """Returns the errors of a config's steps and clips."""
  file = parity_steps.file_of(recorder.out, name)
  if recorder.tiny:  # The device is the CPU, too, so compile once.
    _wait(file, reference, recorder.left())
  found = parity_steps.numbers(name)
  _wait(file, reference, recorder.left())
  with np.load(file) as exact:
    return parity_steps.compare(found, dict(exact))


def _wait(
  file: pathlib.Path, reference: subprocess.Popen, seconds: float
) -> None:
  """Waits for a file of the reference.

  Raises:
    TimeoutError: If the file is not written in time.
    RuntimeError: If the process has ended without writing it.
  """
  end = time.monotonic() + seconds
  while not file.exists():
    if reference.poll() is not None and not file.exists():
      raise RuntimeError(
        f'The process of the reference has ended without writing {file.name};'
        ' see parity_reference.log.'
      )
    if time.monotonic() > end:
      raise TimeoutError(f'The CPU has not written {file.name} in time.')
    time.sleep(0.1)


if __name__ == '__main__':
  main(recording.Recorder.from_command_line(__doc__))
