"""Optimizers by spec, one for each player.

  {'name': 'adamw', 'schedule': {'name': 'warmup_cosine', 'peak': 1e-3},
   'clip_norm': 1.0, 'b2': 0.99,
   'players': {'critic': {'name': 'adam', 'schedule': {'peak': 4e-4}}}}

`name` is that of any optimizer in optax or optax.contrib that learns from
gradients alone, and other keys are its arguments. An entry under `players`
changes the spec for one player: where it names another optimizer or schedule,
it starts that one's arguments afresh, and else it changes single keys.
"""

from collections.abc import Callable, Iterable, Mapping
import inspect
import math
import re
from typing import Any

import jax
import optax
from optax import contrib

from vgen_jax.core import checks
from vgen_jax.core.types import Params
from vgen_jax.families.base import Update
from vgen_jax.training import schedules as schedules_lib

# Modules whose layers `nn.scan` stacked along axis 0, by our names and linen's.
# A list of layers that is not scanned is named blocks_0, blocks_1, ... there.
_STACKED = re.compile('blocks|layers|stacked|Scan.*|scan.*')

# These need the loss, a key, or other parameters for samples, of which the step
# and the sampler would have to know; the last row can follow no schedule.
_UNFIT = (
  'dpsgd', 'lbfgs', 'momo', 'momo_adam', 'noisy_sgd', 'polyak_sgd', 'sophia',
  'schedule_free', 'schedule_free_adamw', 'schedule_free_sgd',
  'optimistic_adam', 'rprop', 'sm3',
)  # fmt: skip
_OURS = ('name', 'schedule', 'clip_norm')
_SET_HERE = ('learning_rate', 'adam_learning_rate')
_SET_HERE += ('muon_weight_dimension_numbers',)


def make(
  spec: Mapping[str, Any],
  players: Iterable[str],
  num_steps: int,
  updates: Mapping[str, float] | None = None,
  starts: Mapping[str, int] | None = None,
) -> dict[str, optax.GradientTransformation]:
  """Returns {player: optimizer}.

  Args:
    spec: `config.optim`: `name`, `schedule`, `clip_norm` (of the gradient, 0
      or absent for none), keyword arguments of the optimizer, `players`.
      'muon' also takes `adam_ratio`, the learning rate of what Muon leaves to
      Adam, as a multiple of the schedule.
    players: Who is to get an optimizer.
    num_steps: Length of the run, in steps of the loop.
    updates: Updates that a player makes in one step, {player: number}, as
      `updates_per_step` gives them; 1 where absent. Optimizers count updates,
      schedules count steps.
    starts: Step in which a player moves first, {player: step}; 0 where absent.
      Its schedule is laid over the steps from there to the run's end.

  Raises:
    ValueError: If a name, a player or an argument does not exist.
  """
  optimizers = {}
  for player, own in _by_player(spec, players).items():
    start = (starts or {}).get(player, 0)
    schedule = _schedule(player, own, num_steps, start)
    rate = _per_update(schedule, (updates or {}).get(player, 1.0))
    optimizers[player] = _make_one(own, rate)
  return optimizers


def schedules(
  spec: Mapping[str, Any],
  players: Iterable[str],
  num_steps: int,
  starts: Mapping[str, int] | None = None,
) -> dict[str, optax.Schedule]:
  """Returns {player: function from the loop's step to the learning rate}.

  Before a player's start it has no meaning. Arguments are those of `make`.
  """
  rates = {}
  for player, own in _by_player(spec, players).items():
    start = (starts or {}).get(player, 0)
    schedule = _schedule(player, own, num_steps, start)
    rates[player] = lambda step, f=schedule, start=start: f(step - start)
  return rates


def updates_per_step(turns: Iterable[Update]) -> dict[str, float]:
  """Returns how many updates each player makes in a step, on average."""
  updates: dict[str, float] = {}
  for turn in turns:
    updates[turn.player] = (
      updates.get(turn.player, 0.0) + turn.times / turn.every
    )
  return updates


def names() -> dict[str, Callable[..., optax.GradientTransformation]]:
  """Returns the optimizers that a spec can name, {name: function}."""
  found = {}
  for module in (contrib, optax):
    for name, function in vars(module).items():
      if (
        inspect.isfunction(function)
        and not name.startswith(('_', 'scale_by'))
        and name not in _UNFIT
        and 'learning_rate' in inspect.signature(function).parameters
      ):
        found[name] = function
  return found


def muon_axes(params: Params) -> Any:
  """Returns which axes of each parameter Muon sees as a matrix; None is Adam's.

  Muon (Jordan et al., "Muon: An optimizer for hidden layers in neural
  networks", 2024, https://kellerjordan.github.io/posts/muon) is for matrices
  between activations. So leaves named `kernel` go to it, and embeddings,
  biases and scales to Adam. A convolution's kernel is the matrix from its
  taps and channels to its output channels. Layers that `nn.scan` stacked, in a
  module named `blocks`, `layers`, `stacked` or `Scan...`, are matrices side by
  side. A depthwise kernel, with one channel in, mixes none and is left to Adam.
  """

  def axes(path: tuple, leaf: Any) -> contrib.MuonDimensionNumbers | None:
    words = [str(getattr(key, 'key', key)) for key in path]
    if not words or words[-1] != 'kernel':
      return None
    first = int(any(_STACKED.fullmatch(word) for word in words))
    depthwise = leaf.ndim - first > 2 and leaf.shape[-2] == 1
    if leaf.ndim - first < 2 or depthwise:
      return None
    return contrib.MuonDimensionNumbers(
      tuple(range(first, leaf.ndim - 1)), leaf.ndim - 1
    )

  return jax.tree_util.tree_map_with_path(axes, params)


def _by_player(
  spec: Mapping[str, Any], players: Iterable[str]
) -> dict[str, dict[str, Any]]:
  """Returns each player's own spec."""
  players = list(players)
  common = {k: v for k, v in spec.items() if k != 'players'}
  overrides = spec.get('players') or {}
  for player in overrides:
    if player not in players:
      raise ValueError(
        f'config.optim.players has {player!r}, who does not play in this'
        f' model.{checks.hint(player, players)}'
      )
  return {p: _merge(common, overrides.get(p, {})) for p in players}


def _merge(common: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
  """Returns `common` changed by `own`; a new name drops the old arguments."""
  base = dict(common)
  if own.get('name', base.get('name')) != base.get('name'):
    base = {k: v for k, v in base.items() if k in _OURS}
  old, new = base.get('schedule', {}), own.get('schedule', {})
  if new.get('name', old.get('name')) != old.get('name'):
    old = {}
  return {**base, **own, 'schedule': {**old, **new}}


def _schedule(
  player: str, own: Mapping[str, Any], num_steps: int, start: int
) -> optax.Schedule:
  """Returns a player's schedule, as a function of its own steps."""
  if not own.get('schedule'):
    raise ValueError(
      "config.optim has no 'schedule'; it needs one, such as"
      " {'name': 'constant', 'peak': 1e-3}."
    )
  if start >= num_steps:  # Never played, as in a run made short to try it.
    return schedules_lib.make(own['schedule'], num_steps)
  try:
    return schedules_lib.make(own['schedule'], num_steps - start)
  except ValueError as error:
    if not start:
      raise
    raise ValueError(
      f'{error} That is of {player}, who starts at step {start} of {num_steps}'
      f' and so has a run of {num_steps - start}; start it sooner, or set'
      f' config.optim.players.{player}.schedule.'
    ) from error


def _per_update(schedule: optax.Schedule, updates: float) -> optax.Schedule:
  """Returns the schedule as a function of the player's own updates."""
  if updates == 1:
    return schedule
  return lambda count: schedule(count / updates)


def _make_one(
  own: Mapping[str, Any], rate: optax.Schedule
) -> optax.GradientTransformation:
  known = names()
  name = own.get('name')
  if name not in known:
    why = (
      ' It needs more than gradients, or follows no schedule.'
      if name in _UNFIT
      else ''
    )
    raise ValueError(
      f'config.optim.name is {name!r}, which is no optimizer to use here.'
      f'{why}{checks.hint(str(name), sorted(known))}'
    )
  kwargs = {k: v for k, v in own.items() if k not in _OURS}
  options = [
    k for k in inspect.signature(known[name]).parameters if k not in _SET_HERE
  ]
  if name == 'muon':
    options.append('adam_ratio')
  for key in kwargs:
    if key not in options:
      what = ' Set `schedule`.' if key in _SET_HERE else ''
      raise ValueError(
        f'config.optim: {name} takes no {key!r}.'
        f'{what or checks.hint(key, [*options, *_OURS, "players"])}'
      )
  if name == 'muon':
    ratio = kwargs.pop('adam_ratio', 1.0)
    kwargs['adam_learning_rate'] = lambda count: ratio * rate(count)
    kwargs['muon_weight_dimension_numbers'] = muon_axes
  optimizer = known[name](learning_rate=rate, **kwargs)
  return optax.chain(_clip(own.get('clip_norm', 0.0)), optimizer)


def _clip(norm: float) -> optax.GradientTransformation:
  if not 0 <= norm < math.inf:
    raise ValueError(
      f'config.optim.clip_norm is {norm}; it must be a number above 0, or 0 for'
      ' no clipping.'
    )
  return optax.clip_by_global_norm(norm) if norm else optax.identity()
