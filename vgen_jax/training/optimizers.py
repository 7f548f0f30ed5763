"""Optimizers described by a spec, one for each player.

  {'name': 'adamw', 'schedule': {'name': 'warmup_cosine', 'peak': 1e-3},
   'clip_norm': 1.0, 'b2': 0.99,
   'players': {'critic': {'name': 'adam', 'schedule': {'peak': 4e-4}}}}

`name` is the name of an optimizer in optax or optax.contrib that only needs
gradients; the other keys are its arguments. An entry of `players` changes the
spec for one player: if it names another optimizer or schedule, the arguments of
the common one are dropped; otherwise it changes single keys.
"""

from collections.abc import Callable, Iterable, Mapping
import inspect
import math
import re
import typing
from typing import Any

import jax
import optax
from optax import contrib

from vgen_jax.core import checks
from vgen_jax.core.types import Params
from vgen_jax.families.base import Update
from vgen_jax.training import schedules as schedules_lib

# Names of modules whose layers `nn.scan` stacked along axis 0. Layers that are
# not scanned are named blocks_0, blocks_1, ...
_STACKED = re.compile('blocks|layers|stacked|Scan.*|scan.*')

# These need the loss, a key, or other parameters for evaluation, which the step
# does not pass; the last row cannot follow a schedule.
_UNSUPPORTED = (
  'dpsgd', 'lbfgs', 'momo', 'momo_adam', 'noisy_sgd', 'polyak_sgd', 'sophia',
  'schedule_free', 'schedule_free_adamw', 'schedule_free_sgd',
  'optimistic_adam', 'rprop', 'sm3',
)  # fmt: skip
_OWN_KEYS = ('name', 'schedule', 'clip_norm')
# Arguments of optimizers that are not set by the user, {name: what sets them}.
_NOT_SET = {
  'learning_rate': 'it is set by config.optim.schedule',
  'adam_learning_rate': 'it is set by config.optim.schedule and adam_ratio',
  'muon_weight_dimension_numbers': (
    'the arrays that Muon updates are chosen by their names and shapes'
  ),
}


def make(
  spec: Mapping[str, Any],
  players: Iterable[str],
  num_steps: int,
  updates: Mapping[str, float] | None = None,
  starts: Mapping[str, int] | None = None,
) -> dict[str, optax.GradientTransformation]:
  """Returns {player: optimizer}.

  Args:
    spec: Spec `config.optim`, with the keys `name`, `schedule`, `clip_norm`
      (largest norm of the gradient; 0 or absent for no clipping), `players`,
      and keyword arguments of the optimizer. 'muon' also has `adam_ratio`: the
      learning rate of the parameters that Adam updates, as a multiple of the
      schedule.
    players: Names of the players.
    num_steps: Length of the run in steps.
    updates: Number of updates of each player in a step, {player: number}, from
      `updates_per_step`; 1 if absent. Optimizers count updates, schedules count
      steps.
    starts: Step of the first update of each player, {player: step}; 0 if
      absent. The schedule of a player spans the steps from there to the end.

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
  """Returns {player: function from step to learning rate}.

  The function is undefined before the player's start. The arguments are those
  of `make`.
  """
  rates = {}
  for player, own in _by_player(spec, players).items():
    start = (starts or {}).get(player, 0)
    schedule = _schedule(player, own, num_steps, start)
    rates[player] = lambda step, f=schedule, start=start: f(step - start)
  return rates


def updates_per_step(updates: Iterable[Update]) -> dict[str, float]:
  """Returns the average number of updates of each player in a step."""
  numbers: dict[str, float] = {}
  for update in updates:
    before = numbers.get(update.player, 0.0)
    numbers[update.player] = before + update.times / update.every
  return numbers


def names() -> dict[str, Callable[..., optax.GradientTransformation]]:
  """Returns the optimizers that a spec may name, {name: function}."""
  found = {}
  for module in (contrib, optax):
    for name, function in vars(module).items():
      if (
        inspect.isfunction(function)
        and not name.startswith(('_', 'scale_by'))
        and name not in _UNSUPPORTED
        and 'learning_rate' in inspect.signature(function).parameters
      ):
        found[name] = function
  return found


def muon_axes(params: Params) -> Any:
  """Returns which axes of each parameter form a matrix for Muon.

  Muon (Jordan et al., "Muon: An optimizer for hidden layers in neural
  networks", 2024, https://kellerjordan.github.io/posts/muon) is for matrices
  between activations. Therefore it updates leaves named `kernel`, and Adam
  updates embeddings, biases and scales. The kernel of a convolution is a matrix
  from its taps and input channels to its output channels. Layers stacked by
  `nn.scan`, in a module named `blocks`, `layers`, `stacked` or `Scan...`, are
  one matrix each. A depthwise kernel, with one input channel, mixes no channels
  and is updated by Adam.

  Args:
    params: Parameters of a player.

  Returns:
    A tree like `params` of `MuonDimensionNumbers`, with None for the leaves
    that Adam updates.
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
  """Returns the spec of each player, {player: spec}."""
  players = list(players)
  common = {k: v for k, v in spec.items() if k != 'players'}
  overrides = spec.get('players') or {}
  checks.mapping('config.optim.players', overrides, 'players')
  for player, own in overrides.items():
    checks.mapping(f'config.optim.players.{player}', own, 'fields of optim')
    if player not in players:
      raise ValueError(
        f'config.optim.players has {player!r}, which is not a player of this'
        f' model.{checks.hint(player, players)}'
      )
  return {p: _merge(p, common, overrides.get(p, {})) for p in players}


def _merge(
  player: str, common: dict[str, Any], own: Mapping[str, Any]
) -> dict[str, Any]:
  """Returns `common` changed by `own`; a new name drops old arguments."""
  base = dict(common)
  if own.get('name', base.get('name')) != base.get('name'):
    base = {k: v for k, v in base.items() if k in _OWN_KEYS}
  old, new = base.get('schedule') or {}, own.get('schedule') or {}
  path, keys = f'config.optim.players.{player}.schedule', 'name and arguments'
  checks.mapping('config.optim.schedule', old, keys)
  checks.mapping(path, new, keys)
  if new.get('name', old.get('name')) != old.get('name'):
    old = {}
  return {**base, **own, 'schedule': {**old, **new}}


def _schedule(
  player: str, own: Mapping[str, Any], num_steps: int, start: int
) -> optax.Schedule:
  """Returns the schedule of a player as a function of steps from its start."""
  if not own.get('schedule'):
    raise ValueError(
      "config.optim has no 'schedule'; add one, such as"
      " {'name': 'constant', 'peak': 1e-3}."
    )
  if start >= num_steps:  # It is never updated, as in a short trial run.
    return schedules_lib.make(own['schedule'], num_steps)
  try:
    return schedules_lib.make(own['schedule'], num_steps - start)
  except ValueError as error:
    if not start:
      raise
    raise ValueError(
      f'{error} This is the schedule of {player}, which starts at step {start}'
      f' of {num_steps} and so has {num_steps - start} steps; start it earlier,'
      f' or set config.optim.players.{player}.schedule.'
    ) from error


def _per_update(schedule: optax.Schedule, updates: float) -> optax.Schedule:
  """Returns the schedule as a function of the number of updates."""
  if updates == 1:
    return schedule
  return lambda count: schedule(count / updates)


def _make_one(
  own: Mapping[str, Any], rate: optax.Schedule
) -> optax.GradientTransformation:
  known = names()
  name = own.get('name')
  if name in _UNSUPPORTED:
    raise ValueError(
      f'config.optim.name is {name!r}, which needs more than gradients or'
      f' cannot follow a schedule; take one of {", ".join(sorted(known))}.'
    )
  checks.one_of('config.optim.name', name, sorted(known))
  kwargs = {k: v for k, v in own.items() if k not in _OWN_KEYS}
  parameters = inspect.signature(known[str(name)]).parameters
  options = [k for k in parameters if k not in _NOT_SET]
  if name == 'muon':
    options.append('adam_ratio')
  for key in kwargs:
    if key in _NOT_SET:
      raise ValueError(
        f'config.optim.{key} cannot be set: {_NOT_SET[key]}. Remove it.'
      )
    checks.known_key(
      f'config.optim ({name})', key, [*options, *_OWN_KEYS, 'players']
    )
    _check_number(f'config.optim.{key}', kwargs[key], parameters.get(key))
  if name == 'muon':
    ratio = kwargs.pop('adam_ratio', 1.0)
    kwargs['adam_learning_rate'] = lambda count: ratio * rate(count)
    kwargs['muon_weight_dimension_numbers'] = muon_axes
  optimizer = known[str(name)](learning_rate=rate, **kwargs)
  return optax.chain(_clip(own.get('clip_norm', 0.0)), optimizer)


def _check_number(
  path: str, value: Any, parameter: inspect.Parameter | None
) -> None:
  """Raises ValueError unless a number is given where the default is one.

  None is accepted if the annotation of the parameter allows it.
  """
  kinds = typing.get_args(parameter.annotation) if parameter else ()
  if value is None and type(None) in kinds:
    return
  default = parameter.default if parameter else 0.0
  if isinstance(default, int | float) and not isinstance(default, bool):
    checks.number(path, value)


def _clip(norm: float) -> optax.GradientTransformation:
  checks.number('config.optim.clip_norm', norm)
  if not 0 <= norm < math.inf:
    raise ValueError(
      f'config.optim.clip_norm is {norm}; it must be a finite number above 0,'
      ' or 0 for no clipping.'
    )
  return optax.clip_by_global_norm(norm) if norm else optax.identity()
