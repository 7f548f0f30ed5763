"""Weights of another run that a new run starts from (`config.init`)."""

from collections.abc import Mapping
import logging
from typing import Any

import jax
import jax.numpy as jnp

from vgen_jax.config import initial
from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.core import checks
from vgen_jax.core import file_paths
from vgen_jax.runtime import checkpoint_parts
from vgen_jax.runtime import sharding
from vgen_jax.training.state import TrainState

_log = logging.getLogger(__name__)
_MAX_NAMED = 3  # Arrays that an error names.


def restore(
  state: TrainState, init: initial.Init
) -> tuple[TrainState, tuple[str, ...]]:
  """Returns the state with weights of another run, and the restored parts.

  Parameters and statistics of each part are restored, and the averages of the
  parameters start at them. The step, the optimizers and the guard are those of
  a new run. Shardings are those of `state`.

  Args:
    state: State before the first step.
    init: Run, step, average and parts to take; without a workdir, the state is
      returned as it is.

  Raises:
    ValueError: If there is no such run, step, average or part, or an array has
      another shape than in this model.
  """
  if not init.workdir:
    return state, ()
  where = f'config.init.workdir is {init.workdir!r}'
  file = file_paths.read(init.workdir) / 'config.json'
  if not file.exists():
    raise ValueError(
      f'{where}, but there is no run in it (no config.json). Give the workdir'
      ' of a trained run.'
    )
  other = settings_lib.read(config_lib.load(str(file)))
  average = init.average or other.sample_from
  checks.one_of('config.init.average', average, [*other.ema, 'params'])
  held = checkpoint_parts.tree(init.workdir, init.step)
  parts = _parts(state, held, init, where)
  averaged = held.get('ema', {}).get(average, {})
  wanted: dict[str, Any] = {'params': {}, 'ema': {average: {}}, 'stats': {}}
  for part in parts:
    is_averaged = part in averaged
    there = averaged[part] if is_averaged else held['params'][part]
    _check_same_shapes(there, state.params[part], f'{where}, whose {part}')
    group = wanted['ema'][average] if is_averaged else wanted['params']
    group[part] = state.params[part]
  for kind, own in state.stats.items():
    for part in parts:
      there = held.get('stats', {}).get(kind, {}).get(part)
      if part in own and there:
        _check_same_shapes(there, own[part], f'{where}, whose {kind} of {part}')
        wanted['stats'].setdefault(kind, {})[part] = own[part]
  shapes = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
    _without_empty(wanted),
  )
  found = checkpoint_parts.read(init.workdir, shapes, init.step)
  params = {
    **found.get('params', {}),
    **found.get('ema', {}).get(average, {}),
  }
  stats = {
    kind: {**own, **found.get('stats', {}).get(kind, {})}
    for kind, own in state.stats.items()
  }
  ema = {
    name: {
      part: jax.tree.map(jnp.copy, params[part]) if part in params else own
      for part, own in players.items()
    }
    for name, players in state.ema.items()
  }
  _log.info(
    'Starting from %s of %s (%s).', ', '.join(parts), init.workdir, average
  )
  params = {**state.params, **params}
  return state.replace(params=params, ema=ema, stats=stats), parts


def _parts(
  state: TrainState, held: Mapping[str, Any], init: initial.Init, where: str
) -> tuple[str, ...]:
  """Returns the parts to restore.

  Raises:
    ValueError: If one of them is not in both models, or there is none.
  """
  has_arrays = lambda tree: bool(jax.tree.leaves(tree))
  own = [part for part, x in state.params.items() if has_arrays(x)]
  there = [part for part, x in held['params'].items() if has_arrays(x)]
  for part in init.parts:
    if part not in own or part not in there:
      lacking = 'this model' if part not in own else 'its model'
      raise ValueError(
        f'config.init.parts has {part!r}, which {lacking} does not have. Parts'
        f' of this model: {sorted(own)}; parts of the run in'
        f' {init.workdir}: {sorted(there)}. Name parts that both have.'
      )
  parts = init.parts or tuple(part for part in own if part in there)
  if not parts:
    raise ValueError(
      f'{where}, whose model has the parts {sorted(there)}; this model has'
      f' {sorted(own)}, and none is in both. Name a run whose model has a part'
      ' of this one.'
    )
  return parts


def _check_same_shapes(there: Any, here: Any, what: str) -> None:
  """Raises ValueError with the arrays of two trees that do not fit."""
  one = {sharding.path_name(path): tuple(x.shape) for path, x in _leaves(there)}
  two = {sharding.path_name(path): tuple(x.shape) for path, x in _leaves(here)}
  wrong = [
    f'{name} has shape {_text(one.get(name))} there and {_text(two.get(name))}'
    ' here'
    for name in sorted({*one, *two})
    if one.get(name) != two.get(name)
  ]
  if wrong:
    raise ValueError(
      f'{what} does not fit this model: {"; ".join(wrong[:_MAX_NAMED])}'
      f' ({len(wrong)} arrays differ). Use the same config.model and'
      ' config.clip_shape, or name only other parts in config.init.parts.'
    )


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return [(path, x) for path, x in leaves if hasattr(x, 'shape')]


def _text(shape: tuple[int, ...] | None) -> str:
  return 'none' if shape is None else str(list(shape))


def _without_empty(tree: dict[str, Any]) -> dict[str, Any]:
  """Returns nested dicts without those that hold no arrays."""
  return {
    key: _without_empty(x) if isinstance(x, dict) else x
    for key, x in tree.items()
    if not isinstance(x, dict) or jax.tree.leaves(x)
  }
