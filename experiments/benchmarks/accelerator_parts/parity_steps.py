"""Results of small train steps and samplers, on this device and on a CPU.

  python -m experiments.benchmarks.accelerator_parts.parity_steps --out=DIR

writes the reference: the results on the CPU. Both devices compute in float32 at
full precision ('highest'), from the same seed and the same clips.
"""

import argparse
from collections.abc import Mapping
import pathlib
from typing import Any

import jax
import numpy as np

from experiments.benchmarks.accelerator_parts import steps

# A transformer, convolutions within and across frames, strided and transposed
# ones with second derivatives, causal attention with Muon.
CONFIGS = (
  'dit_world',
  'unet3d_digits',
  'mocogan_world',
  'world_transformer_actions',
)
TINY_CONFIGS = CONFIGS[:1]
NUM_STEPS = 3
# Relative errors of losses and gradient norms. Two forms of the convolutions on
# one CPU differ by 2e-7 after three steps. Other devices round differently,
# also when the weights are initialized; the first step of Adam, which is about
# the sign of the gradient, amplifies this where a gradient is nearly zero.
FIRST_TOLERANCE = 1e-4
TOLERANCE = 5e-3
SAMPLE_TOLERANCE = 1e-3  # Largest error of pixels.
_NUM_CLIPS = 2


def file_of(out: pathlib.Path, name: str) -> pathlib.Path:
  """Returns the file of a config's reference."""
  return out / f'reference_{name}.npz'


def numbers(name: str) -> dict[str, np.ndarray]:
  """Returns the losses and gradient norms of steps, and clips of a sampler.

  Returns:
    {'denoiser/loss': values of steps 1, 2, ..., ..., 'sample': clips}; losses
    of parts that a step does not train are NaN.
  """
  model = steps.Model(steps.settings_of(name, 'smoke'))
  with jax.default_matmul_precision('highest'):
    sampled = sample(model)
    trainer = steps.Trainer(model)
    metrics = [jax.device_get(trainer.run(1)) for _ in range(NUM_STEPS)]
  kept = [x for x in metrics[0] if x.endswith(('/loss', '/grad_norm'))]
  values = {key: np.array([m[key] for m in metrics]) for key in kept}
  return {**values, 'sample': sampled}


def sample(model: steps.Model) -> np.ndarray:
  """Returns clips from a state that is the same on all machines."""
  shapes = jax.eval_shape(model.make_state)
  rng = np.random.default_rng(0)

  def fill(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
    name = str(getattr(path[-1], 'key', path[-1]))
    noise = 0.05 * rng.standard_normal(leaf.shape)
    return (noise + (name in ('scale', 'var'))).astype(leaf.dtype)

  variables = {'params': shapes.params, **shapes.stats}
  variables = jax.tree_util.tree_map_with_path(fill, variables)
  keys = jax.random.split(jax.random.key(1), _NUM_CLIPS)
  draw = jax.jit(
    lambda variables, keys, condition: model.model.apply(
      variables, keys, condition, method='sample'
    )
  )
  return np.asarray(
    draw(variables, keys, steps.condition_of(model, _NUM_CLIPS))
  )


def compare(
  found: Mapping[str, np.ndarray], exact: Mapping[str, np.ndarray]
) -> dict[str, Any]:
  """Returns errors of losses, gradient norms and clips, and a verdict."""
  first, later = [], []
  for key in exact:
    if key != 'sample':
      error = _relative(found[key], exact[key])
      first.append(error[0])
      later.append(error.max())
  clips = np.abs(found['sample'] - exact['sample'])
  values = {
    'first_step_error': max(first),
    'error': max(later),
    'sample_error': float(np.nan_to_num(clips, nan=np.inf).max()),
  }
  limits = (FIRST_TOLERANCE, TOLERANCE, SAMPLE_TOLERANCE)
  pairs = zip(values.values(), limits, strict=True)
  return {
    **values,
    'tolerances': list(limits),
    'agrees': all(value <= limit for value, limit in pairs),
    'last_loss': float(next(x for k, x in found.items() if '/loss' in k)[-1]),
  }


def _relative(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
  """Returns errors by step; 0 if both are NaN, infinite if only one is."""
  error = np.abs(found - exact) / np.maximum(np.abs(exact), 1e-3)
  error = np.where(np.isfinite(error), error, np.inf)
  return np.where(np.isnan(found) & np.isnan(exact), 0.0, error)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument(
    '--out', type=pathlib.Path, required=True, help='Directory for results.'
  )
  parser.add_argument(
    '--tiny', action='store_true', help='Use sizes for a CPU.'
  )
  args = parser.parse_args()
  for name in TINY_CONFIGS if args.tiny else CONFIGS:
    file = file_of(args.out, name)
    part = file.with_suffix('.part.npz')
    np.savez(part, **numbers(name))
    part.rename(file)  # Readers find a complete file.
    print(f'{file} by {jax.default_backend()}, JAX {jax.__version__}')


if __name__ == '__main__':
  main()
