"""The random numbers of a train step of vgen_jax, for its twin in PyTorch."""

from typing import Any

import jax

from vgen_jax.core import random
from vgen_jax.families.adversarial import critics
from vgen_jax.families.adversarial import gan_clips
from vgen_jax.families.prediction import latent_roll_out
from vgen_jax.families.prediction import stochastic
from vgen_jax.models import mocogan
from vgen_jax.models import vgan
from vgen_jax.training import setup as setup_lib
from vgen_jax.training import state as state_lib
from vgen_jax.training import step as step_lib


def of_step(
  setup: setup_lib.Setup, state: state_lib.TrainState, batch: Any
) -> list[Any]:
  """Returns the random numbers of each update of a step, in order.

  Args:
    setup: Setup of the run.
    state: State before the step.
    batch: Batch of the step.

  Raises:
    ValueError: If an update is repeated in a step.
  """
  updates = list(enumerate(setup.model.updates))
  for _, update in updates:
    if update.times > 1:
      raise ValueError(
        f'{update.name} is updated {update.times} times in a step; steps are'
        ' compared with one update.'
      )
  number = int(state.step)
  due = [i for i, update in updates if update.is_due(number)]

  @jax.jit
  def all_of(state: state_lib.TrainState, batch: Any) -> list[Any]:
    batch = step_lib.prepare(batch, number)
    step_rng = jax.random.fold_in(state.rng, number)
    return [_of_update(setup, state, batch, step_rng, i) for i in due]

  return all_of(state, batch)


def _of_update(
  setup: setup_lib.Setup,
  state: state_lib.TrainState,
  batch: Any,
  step_rng: jax.Array,
  number: int,
) -> Any:
  """Returns the random numbers of the update with this number."""
  rng = jax.random.fold_in(jax.random.fold_in(step_rng, number), 0)
  noise_rng, _ = jax.random.split(rng)
  key_b = setup.model.apply(
    state.variables(), batch, method='clip_keys', rngs={'noise': noise_rng}
  )
  if isinstance(setup.model, stochastic.Stochastic):
    # Latents of the posterior have purpose 0.
    return of_svg(setup.model, random.fold_in(key_b, 0))
  return _of_gan(setup.model, key_b)


def codes(generator: Any, key_b: jax.Array) -> tuple[jax.Array, ...]:
  """Returns the codes of a generator's clips, as its twin takes them.

  Args:
    generator: Network of VGAN or MoCoGAN.
    key_b: Keys that the network is called with.

  Raises:
    ValueError: If it is another network.
  """
  match generator:
    case vgan.Generator():
      return (random.normal(key_b, (generator.latent_width,)),)
    case mocogan.Generator():
      return tuple(generator.apply({}, key_b, method='codes'))
  raise ValueError(f'{type(generator).__name__} has no twin in PyTorch.')


def frames(critic: Any, key_b: jax.Array, num_frames: int) -> Any:
  """Returns the frames of clips that a critic takes; None for all of them.

  Args:
    critic: Network.
    key_b: Keys that the network is called with.
    num_frames: Number of frames of a clip.
  """
  if not isinstance(critic, mocogan.ImageCritic):
    return None
  pick = lambda key: jax.random.randint(key, (), 0, num_frames)
  return jax.vmap(pick)(key_b)


def of_svg(model: Any, key_b: jax.Array) -> jax.Array:
  """Returns the noise of the latents of the predictor of a model."""
  return latent_roll_out.noise(model.predictor, key_b, model.clip_shape[0])


def _of_gan(model: Any, key_b: jax.Array) -> tuple[Any, dict[str, Any]]:
  generate_b = random.fold_in(key_b, gan_clips.GENERATE)
  critic_b = random.fold_in(key_b, gan_clips.CRITIC)
  t = model.clip_shape[0]
  return codes(model.generator, generate_b), {
    player: frames(critics.of_player(model.critic, player), critic_b, t)
    for player in critics.players(model.critic)
  }
