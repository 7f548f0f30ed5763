"""Parts that another run has trained, and this one only uses."""

from collections.abc import Mapping

from etils import epath
import jax

from vgen_jax import build
from vgen_jax import config as config_lib
from vgen_jax import settings as settings_lib
from vgen_jax.training import checkpoints
from vgen_jax.training.state import TrainState


def restore(state: TrainState, frozen: Mapping[str, str]) -> TrainState:
  """Returns the state with its frozen parts as other runs have left them.

  A part comes from the average that its run samples from, and keeps the layout
  that it has in `state`; its statistics come along.

  Args:
    state: Whose frozen parts are still random.
    frozen: {part: workdir of the run that trained it}.

  Raises:
    ValueError: If a part is unknown, is a player here, or is not in that run.
  """
  for part, workdir in frozen.items():
    parts = [p for p in state.params if p not in state.opt]
    if part not in parts:
      raise ValueError(
        f'config.frozen names {part!r}, which is no part of this model that'
        f' does not learn.{build.hint(part, parts)}'
      )
    config = epath.Path(workdir) / 'config.json'
    if not config.exists():
      raise ValueError(
        f'config.frozen.{part} is {workdir!r}, where there is no run'
        ' (no config.json); train it first, or name its workdir.'
      )
    average = settings_lib.read(config_lib.load(str(config))).sample_from
    params = {part: state.params[part]}
    wanted = {
      'stats': {
        kind: {part: parts[part]}
        for kind, parts in state.stats.items()
        if part in parts
      },
      **(
        {'params': params}
        if average == 'params'
        else {'ema': {average: params}}
      ),
    }
    wanted = {k: v for k, v in wanted.items() if v}
    shapes = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
      wanted,
    )
    found = checkpoints.read(workdir, shapes)
    own = found['params'] if average == 'params' else found['ema'][average]
    stats = {
      kind: {**parts, **found.get('stats', {}).get(kind, {})}
      for kind, parts in state.stats.items()
    }
    state = state.replace(params={**state.params, **own}, stats=stats)
  return state
