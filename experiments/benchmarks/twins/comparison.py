"""Comparison of a run of vgen_jax with its twin in PyTorch.

Outputs of all networks and the losses of a first step must agree. To show that
this can fail, the comparison is repeated with one kernel of each network
reversed.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from experiments.benchmarks.twins import gan_networks
from experiments.benchmarks.twins import gan_trainer
from experiments.benchmarks.twins import noises
from experiments.benchmarks.twins import run as run_lib
from experiments.benchmarks.twins import svg as svg_twin
from experiments.benchmarks.twins import trainer
from experiments.benchmarks.twins import transfer
from vgen_jax.families.adversarial import critics
from vgen_jax.families.adversarial import gan
from vgen_jax.training import setup as setup_lib
from vgen_jax.training import step as step_lib

TOLERANCE = 1e-4  # Of outputs, absolute; they are of order 1.
LOSS_TOLERANCE = 1e-3  # Of losses, relative to 1 or to the loss.

Errors = dict[str, float]


@dataclasses.dataclass
class Pair:
  """A run and its twin, which start with the same parameters.

  Attributes:
    run: The run in JAX.
    twin: The run in PyTorch.
  """

  run: run_lib.Run
  twin: trainer.Trainer


def pair(setup: setup_lib.Setup) -> Pair:
  """Returns a run and its twin, before the first step."""
  run, model = run_lib.Run(setup), setup.model
  run.state = run.state.replace(params=perturbed(run.state.params))
  if isinstance(model, gan.GAN):
    parts = {'generator': gan_networks.twin(model.generator)}
    for player in critics.players(model.critic):
      critic = critics.of_player(model.critic, player)
      parts[player] = gan_networks.twin(critic, tuple(model.clip_shape))
    twin = gan_trainer.GANTrainer(setup, parts, run.state.params)
  else:
    parts = {'predictor': svg_twin.SVG(model.predictor)}
    twin = svg_twin.SVGTrainer(setup, parts, run.state.params)
  return Pair(run, twin)


def perturbed(params: Any) -> Any:
  """Returns parameters with noise of deviation 0.1 on all vectors.

  New biases are all 0 and scales all 1, so that wrong ones would not be
  noticed.
  """
  rng = np.random.default_rng(0)
  noisy = lambda x: x + 0.1 * rng.standard_normal(x.shape).astype(np.float32)
  return jax.tree.map(lambda x: noisy(x) if x.ndim == 1 else x, params)


def parameters(one: Pair) -> tuple[int, int, dict[str, int]]:
  """Returns numbers of parameters in JAX and in PyTorch, and the difference.

  The difference is {layer: number}: biases that only PyTorch has.

  Raises:
    ValueError: If the difference has another size.
  """
  ours = sum(x.size for x in jax.tree.leaves(one.run.state.params))
  theirs, more = 0, {}
  for player, part in one.twin.parts.items():
    theirs += sum(p.numel() for p in part.parameters())
    for name, number in transfer.additional(part).items():
      more[f'{player}.{name}'] = number
  if theirs - ours != sum(more.values()):
    raise ValueError(
      f'The networks have {ours} parameters in JAX and {theirs} in PyTorch; the'
      f' second vectors of biases explain {sum(more.values())} of the'
      f' difference, {theirs - ours}.'
    )
  return ours, theirs, more


def check(one: Pair) -> tuple[Errors, Errors, Errors]:
  """Compares a run with its twin; this makes a step of both.

  Returns:
    The largest errors of outputs, {part: error}; those with a reversed kernel;
    and relative errors of losses of a step, {update/name: error}.

  Raises:
    ValueError: If an error is above its limit, or if outputs with a reversed
      kernel are as close as those with the right one must be.
  """
  ours = _outputs(one)
  errors = _differences(ours, _twin_outputs(one))
  judge(errors, TOLERANCE, 'Outputs')
  wrong = {}
  for player, part in one.twin.parts.items():
    kernel = max(part.parameters(), key=lambda p: (p.ndim, p.numel()))
    with torch.no_grad():
      kernel.copy_(kernel.flip(-1))
      wrong[player] = _differences(ours, _twin_outputs(one))[player]
      kernel.copy_(kernel.flip(-1))
    if not wrong[player] > TOLERANCE:
      raise ValueError(
        f'With a reversed kernel, outputs of {player} differ by'
        f' {wrong[player]:.1e}; a wrong transfer must exceed {TOLERANCE}.'
      )
  losses = _loss_errors(one)
  judge(losses, LOSS_TOLERANCE, 'Losses')
  return errors, wrong, losses


def judge(errors: Errors, limit: float, what: str) -> None:
  """Raises ValueError if an error is above its limit, or not a number.

  Args:
    errors: {name: error}, one or more.
    limit: Largest allowed error.
    what: Description of the values, for the message.
  """
  bad = {name: x for name, x in errors.items() if not x <= limit}
  if bad or not errors:
    raise ValueError(
      f'{what} in JAX and in PyTorch must agree to {limit}; errors: {bad}.'
    )


def _outputs(one: Pair) -> dict[str, list[np.ndarray]]:
  """Returns the outputs of each part in JAX, for the clips of the batch."""
  run = one.run
  batch = step_lib.prepare(run.batch, 0)
  call = jax.jit(
    functools.partial(
      run.setup.model.apply, method=_of_part, mutable=['batch_stats']
    ),
    static_argnums=1,
  )
  found = {}
  for player in one.twin.parts:
    out, _ = call(run.state.variables(), player, batch, _keys(one))
    found[player] = [np.asarray(x) for x in jax.tree.leaves(out)]
  return found


def _of_part(model: Any, player: str, batch: Any, key_b: jax.Array) -> Any:
  """Returns the outputs of a part of a bound model."""
  if player == 'predictor':
    noise_btd = noises.of_svg(model, key_b)
    found = model.predictor.predict_all(
      batch['video'],
      noise_btd,
      jnp.zeros((*noise_btd.shape[:2], 0)),
      num_context=model.num_context,
    )
    return found.frame_bhwc, *found.posterior, *found.prior
  condition = {k: batch[k] for k in ('label',) if model.num_classes}
  if player == 'generator':
    video_bthwc, terms = critics.split(
      model.generator(key_b, condition, train=True)
    )
    return video_bthwc, *(x.mean() for x in (terms or {}).values())
  critic = critics.of_player(model.critic, player)
  return critic(batch['video'], condition, key_b, train=True)


@torch.no_grad()
def _twin_outputs(one: Pair) -> dict[str, list[np.ndarray]]:
  """Returns the same outputs in PyTorch, in the layout of JAX."""
  model, key_b = one.run.setup.model, _keys(one)
  inputs = trainer.prepare(one.run.batch)
  found: dict[str, Any] = {}
  for player, part in one.twin.parts.items():
    if player == 'predictor':
      noise_btd = tensors(noises.of_svg(model, key_b))
      frames, posterior, prior = part(
        inputs['video'], noise_btd, model.num_context
      )
      found[player] = frames.movedim(2, -1), *posterior, *prior
    elif player == 'generator':
      codes = tensors(noises.codes(model.generator, key_b))
      with gan_trainer.unchanged_statistics(part):
        video_bcthw, penalty = part(codes, one.twin.one_hot(inputs))
      found[player] = video_bcthw.movedim(1, -1), penalty
    else:
      critic = critics.of_player(model.critic, player)
      frame_b = noises.frames(critic, key_b, model.clip_shape[0])
      found[player] = part(inputs['video'], tensors(frame_b))
  return {
    player: [x.numpy() for x in outputs if isinstance(x, torch.Tensor)]
    for player, outputs in found.items()
  }


def _differences(
  ours: dict[str, list[np.ndarray]], theirs: dict[str, list[np.ndarray]]
) -> Errors:
  """Returns the largest difference of the outputs of each part."""
  return {
    player: max(
      float(np.abs(x.ravel() - y.ravel()).max())
      for x, y in zip(outputs, theirs[player], strict=True)
    )
    for player, outputs in ours.items()
  }


def _loss_errors(one: Pair) -> Errors:
  """Makes a step of both, and returns relative errors of all its losses."""
  noise = tensors(noises.of_step(one.run.setup, one.run.state, one.run.batch))
  ours = one.run.step()
  one.twin.step(one.run.batch, noise)
  return {
    name: abs(float(x) - float(ours[name])) / max(1.0, abs(float(ours[name])))
    for name, x in one.twin.metrics.items()
  }


def _keys(one: Pair) -> jax.Array:
  return jax.random.split(jax.random.key(1), one.run.setup.settings.batch_size)


def tensors(tree: Any) -> Any:
  """Returns a tree of arrays as tensors."""
  return jax.tree.map(lambda x: torch.from_numpy(np.array(x)), tree)
