"""Critics (discriminators): networks that classify clips as real or generated.

A family keeps its critics in a field `critic`, {name: network}. Each network is
a part and a player of its own: the critic named 'image' is player
'critic_image'. A critic is called as `(video_bthwc, condition, key_b, *,
train)`. It returns logits of any shape, or `(logits, class_logits_bk)`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition
from vgen_jax.core.types import Metrics
from vgen_jax.nn import batch_statistics
from vgen_jax.nn.convolution import pyramids

_PREFIX = 'critic_'


class Clips(NamedTuple):
  """Clips that a critic classifies.

  Attributes:
    video_bthwc: Clips, in [-1, 1] before augmentation.
    condition: What the critic is conditioned on.
    terms: Further terms of the generator's loss, {name: scalar}.
  """

  video_bthwc: Array
  condition: Condition
  terms: Metrics = {}  # noqa: RUF012


def players(critic: Mapping[str, nn.Module]) -> tuple[str, ...]:
  """Returns the names of the players of critics, in the same order."""
  return tuple(f'{_PREFIX}{name}' for name in critic)


def of_player(critic: Mapping[str, nn.Module], player: str) -> nn.Module:
  """Returns the critic of a player that `players` names."""
  return critic[player.removeprefix(_PREFIX)]


def split(output: Array | tuple[Array, Any]) -> tuple[Array, Any]:
  """Returns both entries of a pair; for a single array, the array and None."""
  return output if isinstance(output, tuple) else (output, None)


def uses_labels(critic: nn.Module) -> bool:
  """Returns whether a critic may depend on labels, or predict them.

  It does not if its attribute `uses_labels` is False or its `num_classes` is 0.
  """
  uses = getattr(critic, 'uses_labels', True)
  return bool(uses and getattr(critic, 'num_classes', 1))


def describe_labels(critic: Mapping[str, nn.Module]) -> str:
  """Returns the classes of critics and their settings of labels, for errors."""
  fields = ('conditioning', 'num_classes')
  texts = []
  for name, network in critic.items():
    values = [
      f'{field} {getattr(network, field)!r}'
      for field in fields
      if hasattr(network, field)
    ]
    text = f'{name!r} is {type(network).__name__}'
    texts.append(f'{text} with {" and ".join(values)}' if values else text)
  return ', '.join(texts)


def mean_logits(real_logit: Array, fake_logit: Array) -> Metrics:
  """Returns the mean logits of real and of generated clips, for logs."""
  return {'real_logit': real_logit.mean(), 'fake_logit': fake_logit.mean()}


def unbound(
  critic: nn.Module, condition: Condition, key_b: Array, *, train: bool = False
) -> Callable[[Array], Array]:
  """Returns a critic as a function `video_bthwc -> logits`.

  JAX can transform the function, for example by `jax.grad`; it cannot transform
  a bound module. The critic's statistics do not change.

  Args:
    critic: A bound module.
    condition: What the critic is conditioned on.
    key_b: Keys, one for each clip.
    train: Whether dropout is on and batch norm uses the batch's statistics.
  """
  call = _call(critic, condition, key_b, train, batch_statistics.COLLECTION)
  return lambda video_bthwc: split(call(video_bthwc, ())[0])[0]


def with_features(
  critic: nn.Module, condition: Condition, key_b: Array, *, train: bool = False
) -> Callable[[Array], tuple[Array, list[Array]]]:
  """Returns a critic as `video_bthwc -> (logits, features)`.

  Features are the outputs of the layers of its `pyramids.Down`, from the first
  to the last. The critic's statistics do not change.

  Args:
    critic: A bound module.
    condition: What the critic is conditioned on.
    key_b: Keys, one for each clip.
    train: Whether dropout is on and batch norm uses the batch's statistics.

  Raises:
    ValueError: By the returned function, if the critic has no such layers.
  """
  left_out = batch_statistics.COLLECTION, pyramids.FEATURES
  call = _call(critic, condition, key_b, train, *left_out)

  def with_layers(video_bthwc: Array) -> tuple[Array, list[Array]]:
    output, changed = call(video_bthwc, (pyramids.FEATURES,))
    features = jax.tree.leaves(changed.get(pyramids.FEATURES, {}))
    if not features:
      raise ValueError(
        f'{type(critic).__name__} gives no features; a critic whose features'
        ' are compared must use nn.convolution.pyramids.Down. Take another'
        ' critic.'
      )
    return split(output)[0], features

  return with_layers


def _call(
  critic: nn.Module,
  condition: Condition,
  key_b: Array,
  train: bool,
  *left_out: str,
) -> Callable[[Array, Sequence[str]], tuple[Any, Any]]:
  """Returns a critic as `(video_bthwc, collections) -> (output, changed)`.

  `collections` are those of variables that the call may write, in addition to
  those that the critic has; `changed` has all of them. Every call has the same
  dropout, and none changes the critic's statistics.

  Args:
    critic: A bound module.
    condition: What the critic is conditioned on.
    key_b: Keys, one for each clip.
    train: Whether dropout is on and batch norm uses the batch's statistics.
    *left_out: Collections of variables that the critic is not given.
  """
  network, variables = critic.unbind()
  variables = {k: tree for k, tree in variables.items() if k not in left_out}
  mutable = [kind for kind in variables if kind != 'params']
  has_dropout = train and critic.has_rng('dropout')
  rngs = {'dropout': critic.make_rng('dropout')} if has_dropout else {}

  def call(video_bthwc: Array, collections: Sequence[str]) -> tuple[Any, Any]:
    return network.apply(
      variables,
      video_bthwc,
      condition,
      key_b,
      train=train,
      rngs=rngs,
      mutable=[*mutable, *collections],
    )

  return call


def clip_scores(
  logits_of: Callable[[Array], Array],
) -> Callable[[Array], Array]:
  """Returns a function `video_bthwc -> score_b`, each clip's mean logit."""

  def score(video_bthwc: Array) -> Array:
    logits = logits_of(video_bthwc)
    return jnp.mean(logits.reshape(len(video_bthwc), -1), axis=1)

  return score
