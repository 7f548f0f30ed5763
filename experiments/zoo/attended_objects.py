"""Checks that the attention of a trained STGAN finds the moving object.

  python experiments/zoo/attended_objects.py --workdir=runs/stgan --num=256

Attention gives each position (t, h, w) of a clip's features a weight. The
script takes the 5 % of the positions with the largest weights, and prints how
much of their area the object covers, relative to its area in the whole clip: 1
is that of random positions. The critic sees real clips of the split
`validation`, whose objects are known; the generator makes its own, whose
objects are the pixels with colour. Attention passes if the ratio is at least 3.
For comparison, the script also prints the ratios of weights that must not pass,
and the largest possible one; gamma is the factor with which the weights enter,
see `AdditiveGate`.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from vgen_jax.config import build
from vgen_jax.core import checks
from vgen_jax.core import pixels
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.nn.attention import space_time
from vgen_jax.synthetic import saturation

LEAST_RATIO = 3.0
_SHARE = 0.05  # Positions with the largest weights.


class Attention(NamedTuple):
  """Attention of one layer, and where the objects are.

  Attributes:
    weight_bthw: Weights of the positions of the features.
    gamma: Factor of the weights.
    object_bthw: How much of each pixel the object covers, from 0 to 1; sides
      are multiples of those of the weights.
  """

  weight_bthw: np.ndarray
  gamma: float
  object_bthw: np.ndarray


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--workdir', required=True, help='Workdir of the run.')
  parser.add_argument('--num', type=int, default=256, help='Number of clips.')
  args = parser.parse_args()
  checks.at_least('--num', args.num, 2)
  print('| attention | gamma | ratio | passes |')
  print('|---|---|---|---|')
  for layer, found in generate(runs.load(args.workdir), args.num).items():
    gamma = f'{found.gamma:.2f}'
    rows = {layer: found.weight_bthw, **cheats(found)}
    for name, weight_bthw in rows.items():
      value = ratio(weight_bthw, found.object_bthw)
      name = name if name == layer else f'{layer}, {name}'
      print(f'| {name} | {gamma} | {value:.2f} | {value >= LEAST_RATIO} |')
    value = ratio(largest(found), found.object_bthw)
    print(f'| {layer}, largest possible | {gamma} | {value:.2f} | |')


def generate(run: runs.Run, num: int) -> dict[str, Attention]:
  """Returns the attention of a run's networks, {layer: attention}."""
  variables = run.state.variables(run.config.sample_from)
  key_b = sampling.clip_keys(0, num)
  label_b = jnp.asarray(run.condition(num)['label'])
  generator = run.model.generator
  video_bthwc, found = _capture(
    generator, _own(variables, 'generator'), key_b, {'label': label_b}
  )
  shown_bthw = saturation.saturation(np.asarray(video_bthwc)) > 0
  layers = {
    f'generator, {name}': Attention(*parts, shown_bthw)
    for name, parts in found.items()
  }
  source = build.source(
    run.config.data.to_dict(), run.config.clip_shape, split='validation'
  )
  clips = [source[i] for i in range(num)]
  real = jnp.asarray(pixels.to_float(np.stack([x['video'] for x in clips])))
  condition = {'label': jnp.asarray([x['label'] for x in clips])}
  object_bthw = np.stack([source.truth(i).alpha_thw for i in range(num)])
  for name, critic in run.model.critic.items():
    own = _own(variables, f'critic_{name}')
    _, found = _capture(critic, own, real, condition, key_b)
    layers |= {
      f'critic {name}, {layer}': Attention(*parts, object_bthw)
      for layer, parts in found.items()
    }
  return layers


def ratio(weight_bthw: np.ndarray, object_bthw: np.ndarray) -> float:
  """Returns how much of the attended area is the object, relative to all area.

  Args:
    weight_bthw: Weights of positions.
    object_bthw: How much of each pixel the object covers, from 0 to 1; sides
      are multiples of those of the weights.
  """
  covered_bn = _pooled(object_bthw, weight_bthw.shape).reshape(
    len(weight_bthw), -1
  )
  weight_bn = weight_bthw.reshape(covered_bn.shape)
  num = max(round(_SHARE * weight_bn.shape[1]), 1)
  largest_bk = np.argsort(-weight_bn, axis=1, kind='stable')[:, :num]
  attended_bk = np.take_along_axis(covered_bn, largest_bk, axis=1)
  return float(attended_bk.mean() / covered_bn.mean())


def cheats(found: Attention) -> dict[str, np.ndarray]:
  """Returns weights that must not pass, {name: weights}."""
  weight_bthw = found.weight_bthw
  mean_bt11 = weight_bthw.mean(axis=(2, 3), keepdims=True)
  return {
    'equal weights': np.ones_like(weight_bthw),
    'weights of frames': np.broadcast_to(mean_bt11, weight_bthw.shape),
    'mirrored': weight_bthw[:, :, ::-1, ::-1],
  }


def largest(found: Attention) -> np.ndarray:
  """Returns the weights with the largest ratio: the area of the object."""
  return _pooled(found.object_bthw, found.weight_bthw.shape)


def _pooled(object_bthw: np.ndarray, shape: Sequence[int]) -> np.ndarray:
  """Returns means over the pixels of each position of an array of a shape."""
  b, t, h, w = shape
  frames, rows, columns = (
    side // count
    for side, count in zip(object_bthw.shape[1:], (t, h, w), strict=True)
  )
  return object_bthw.reshape(b, t, frames, h, rows, w, columns).mean(
    axis=(2, 4, 6)
  )


def _own(variables: Mapping[str, Any], player: str) -> dict[str, Any]:
  """Returns the variables of a player."""
  return {
    kind: parts[player] for kind, parts in variables.items() if player in parts
  }


def _capture(
  network: nn.Module, variables: Mapping[str, Any], *args: Any
) -> tuple[Any, dict[str, tuple[np.ndarray, float]]]:
  """Returns the result of a network, and {layer: (weights, gamma)}."""
  is_attention = lambda module, _: isinstance(
    module, space_time.AdditiveWeights
  )
  result, captured = network.apply(
    variables,
    *args,
    train=False,
    capture_intermediates=is_attention,
    mutable=['intermediates'],
  )
  return result, {
    name: (
      np.asarray(parts['weights']['__call__'][0]),
      float(variables['params'][name]['gamma']),
    )
    for name, parts in captured['intermediates'].items()
    if 'weights' in parts  # Critics also store features.
  }


if __name__ == '__main__':
  main()
