"""Checks that the attention of a trained STGAN finds the moving object.

  python -m experiments.zoo.adversarial.attended_objects \
      --workdir=runs/stgan --num=256

Attention gives each position (t, h, w) of a clip's features a weight, and these
sum to 1. The script prints

- the ratio: the area of the object at a position, averaged with the weights,
  relative to its average over all positions. Equal weights have a ratio of 1;
- the proportion of clips whose own ratio is at least 3;
- the ratio of the mean weights of all clips, which depend on where objects
  usually are, but not on where the object of a clip is;
- the ratio of the mean weights of all times, which do not move;
- the effect: the largest minus the smallest gain of a position, gamma * n *
  weight for n positions, averaged over clips (see `AdditiveGate`).

The critic sees real clips of the split `validation`, whose objects are known.
For the generator, the clips are generated ones, and their objects are the
pixels that `vgan_layers.py` counts. Attention finds the object if the ratio is
at least 3, also in 80 % of the clips, and at least 1.5 times that of the mean
weights of all clips, and the effect is at least 0.1. It follows the motion if
the ratio is also at least 1.25 times that of the mean weights of all times. The
sign of gamma does not matter: with a negative one, the features of the object
are attenuated, or change their sign, and so differ from others as well. For
comparison, the script also prints the numbers of weights that must not find the
object, or not follow it, and the largest possible ratio.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from experiments.zoo import arguments
from experiments.zoo.adversarial import vgan_layers
from vgen_jax.config import build
from vgen_jax.core import pixels
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.nn.attention import space_time
from vgen_jax.training import state as state_lib

LEAST_RATIO = 3.0
LEAST_GAIN = 1.5  # Over the ratio of the mean weights.
LEAST_CLIPS = 0.8
LEAST_MOTION = 1.25  # Over the ratio of the mean weights of all times.
LEAST_EFFECT = 0.1


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
  args = arguments.parser(__doc__, num=256, least=2).parse_args()
  print(
    '| attention | gamma | effect | ratio | clips with 3 | of mean weights | of'
    ' means over time | finds | follows |'
  )
  print('|---' * 9 + '|')
  for layer, found in generate(runs.load(args.workdir), args.num).items():
    _print(layer, found)
    for name, weight_bthw in (cheats(found) | unmoved(found)).items():
      _print(f'{layer}, {name}', found._replace(weight_bthw=weight_bthw))
    limit = ratio(largest(found), found.object_bthw)
    print(f'| {layer}, largest possible | | | {limit:.2f} | | | | | |')


def _print(name: str, found: Attention) -> None:
  """Prints a row of the table."""
  numbers = (
    found.gamma,
    effect(found),
    ratio(found.weight_bthw, found.object_bthw),
    _high_ratios(found),
    ratio(_mean_weights(found.weight_bthw), found.object_bthw),
    ratio(_over_time(found.weight_bthw), found.object_bthw),
  )
  text = ' | '.join(f'{x:.2f}' for x in numbers)
  print(f'| {name} | {text} | {finds(found)} | {follows(found)} |')


def generate(run: runs.Run, num: int) -> dict[str, Attention]:
  """Returns the attention of a run's networks, {layer: attention}."""
  variables = run.state.variables(run.config.sample_from)
  key_b = sampling.clip_keys(0, num)
  label_b = jnp.asarray(run.condition(num)['label'])
  generator = run.model.generator
  video_bthwc, found = _capture(
    generator,
    state_lib.of_part(variables, 'generator'),
    key_b,
    {'label': label_b},
  )
  shown_bthw = vgan_layers.shown(np.asarray(video_bthwc))
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
    own = state_lib.of_part(variables, f'critic_{name}')
    _, found = _capture(critic, own, real, condition, key_b)
    layers |= {
      f'critic {name}, {layer}': Attention(*parts, object_bthw)
      for layer, parts in found.items()
    }
  return layers


def ratio(weight_bthw: np.ndarray, object_bthw: np.ndarray) -> float:
  """Returns the weighted area of the object, relative to its mean area.

  The result is 0 if no clip shows an object.

  Args:
    weight_bthw: Weights of positions.
    object_bthw: How much of each pixel the object covers, from 0 to 1; sides
      are multiples of those of the weights.
  """
  attended_b, area_b = _areas(weight_bthw, object_bthw)
  return float(attended_b.mean() / max(area_b.mean(), 1e-9))


def _areas(
  weight_bthw: np.ndarray, object_bthw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the weighted and the mean area of the object of each clip."""
  covered_bthw = _pooled(object_bthw, weight_bthw.shape)
  weight_bthw = weight_bthw / weight_bthw.sum(axis=(1, 2, 3), keepdims=True)
  attended_b = (weight_bthw * covered_bthw).sum(axis=(1, 2, 3))
  return attended_b, covered_bthw.mean(axis=(1, 2, 3))


def _high_ratios(found: Attention) -> float:
  """Returns the proportion of clips with a ratio of at least LEAST_RATIO."""
  attended_b, area_b = _areas(found.weight_bthw, found.object_bthw)
  return float((attended_b >= LEAST_RATIO * np.maximum(area_b, 1e-9)).mean())


def effect(found: Attention) -> float:
  """Returns how much the gains of the positions of a clip differ."""
  flat_bn = found.weight_bthw.reshape(len(found.weight_bthw), -1)
  spread_b = flat_bn.max(axis=1) - flat_bn.min(axis=1)
  return float(abs(found.gamma) * flat_bn.shape[1] * spread_b.mean())


def finds(found: Attention) -> bool:
  """Returns whether attention finds the object of each clip; see above."""
  value = ratio(found.weight_bthw, found.object_bthw)
  mean = ratio(_mean_weights(found.weight_bthw), found.object_bthw)
  return (
    value >= max(LEAST_RATIO, LEAST_GAIN * mean)
    and _high_ratios(found) >= LEAST_CLIPS
    and effect(found) >= LEAST_EFFECT
  )


def follows(found: Attention) -> bool:
  """Returns whether attention also follows the motion of the object."""
  value = ratio(found.weight_bthw, found.object_bthw)
  still = ratio(_over_time(found.weight_bthw), found.object_bthw)
  return finds(found) and value >= LEAST_MOTION * still


def cheats(found: Attention) -> dict[str, np.ndarray]:
  """Returns weights that must not find the object, {name: weights}."""
  weight_bthw = found.weight_bthw
  equal_bthw = np.ones_like(weight_bthw) / weight_bthw[0].size
  is_even_b = np.arange(len(weight_bthw)) % 2 == 0
  return {
    'equal': equal_bthw,
    'nearly equal': equal_bthw + 1e-3 * (weight_bthw - equal_bthw),
    'mean of all clips': _mean_weights(weight_bthw),
    'of other clips': np.roll(weight_bthw, 1, axis=0),
    'mirrored': weight_bthw[:, :, ::-1, ::-1],
    'equal in half of the clips': np.where(
      is_even_b[:, None, None, None], equal_bthw, weight_bthw
    ),
  }


def unmoved(found: Attention) -> dict[str, np.ndarray]:
  """Returns weights that must not follow the object, {name: weights}."""
  weight_bthw = found.weight_bthw
  return {
    'mean of all times': _over_time(weight_bthw),
    'of the first time': np.broadcast_to(weight_bthw[:, :1], weight_bthw.shape),
    'reversed in time': weight_bthw[:, ::-1],
  }


def _mean_weights(weight_bthw: np.ndarray) -> np.ndarray:
  return np.broadcast_to(weight_bthw.mean(axis=0), weight_bthw.shape)


def _over_time(weight_bthw: np.ndarray) -> np.ndarray:
  mean_b1hw = weight_bthw.mean(axis=1, keepdims=True)
  return np.broadcast_to(mean_b1hw, weight_bthw.shape)


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
