"""Parts that another run has trained, and this one only uses."""

from collections.abc import Mapping
import hashlib
from typing import Any

from etils import epath
import jax
from jax.experimental import multihost_utils
import numpy as np

from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.core import checks
from vgen_jax.data import encoded
from vgen_jax.data import pipeline
from vgen_jax.runtime import checkpoints
from vgen_jax.training.state import TrainState

TOKENIZER = 'autoencoder'  # The part that encodes clips.


def restore(
  state: TrainState,
  frozen: Mapping[str, str],
  model: Mapping[str, Any] | None = None,
) -> TrainState:
  """Returns the state with its frozen parts as other runs have left them.

  A part comes from the average that its run samples from, or if it was frozen
  there too, from its parameters: averages are of what learns. It keeps the
  layout that it has in `state`; its statistics come along.

  Args:
    state: Whose frozen parts are still random.
    frozen: {part: workdir of the run that trained it}.
    model: Spec of the model; what it says of a part must be what that run's
      config says of it.

  Raises:
    ValueError: If a part is unknown, is a player here, is not in that run, or
      was built otherwise there.
  """
  for part, workdir in frozen.items():
    parts = [p for p in state.params if p not in state.opt]
    if part not in parts:
      raise ValueError(
        f'config.frozen names {part!r}, which is no part of this model that'
        f' does not learn.{checks.hint(part, parts)}'
      )
    config = epath.Path(workdir) / 'config.json'
    if not config.exists():
      raise ValueError(
        f'config.frozen.{part} is {workdir!r}, where there is no run'
        ' (no config.json); train it first, or name its workdir.'
      )
    settings = settings_lib.read(config_lib.load(str(config)))
    _check_alike(part, workdir, settings.model, model or {})
    average = _average(part, workdir, settings)
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


def tokenizer(state: TrainState, average: str = 'params') -> dict[str, Any]:
  """Returns the variables of the part that encodes, whole, in host memory.

  All hosts call this in step.

  Args:
    state: Of a run.
    average: Name of the average of its parameters to take, or 'params'.
  """

  def whole(x: jax.Array) -> np.ndarray:
    if not x.is_fully_addressable:
      x = multihost_utils.process_allgather(x, tiled=True)
    return np.asarray(x)

  variables = state.variables(average)
  own = {
    kind: {TOKENIZER: parts[TOKENIZER]}
    for kind, parts in variables.items()
    if TOKENIZER in parts
  }
  return jax.tree.map(whole, own)


def digest(variables: Mapping[str, Any]) -> str:
  """Returns 16 hex digits that tell variables by their names and numbers."""
  sha = hashlib.sha256()
  for path, array in jax.tree_util.tree_leaves_with_path(variables):
    name = jax.tree_util.keystr(path)
    sha.update(f'{name} {array.dtype.str} {array.shape}'.encode())
    sha.update(np.ascontiguousarray(array))
  return sha.hexdigest()[:16]


def check_source(source: pipeline.Source, state: TrainState) -> None:
  """Raises ValueError if clips were encoded by another tokenizer than ours.

  Args:
    source: Of the data; one that serves pixels fits all.
    state: With its frozen parts in place.
  """
  if not isinstance(source, encoded.Encoded):
    return
  there, here = source.manifest, digest(tokenizer(state))
  if there.tokenizer != here:
    raise ValueError(
      f'config.data.folder was encoded by the tokenizer {there.tokenizer}, step'
      f' {there.step} of {there.workdir!r}, but the one of this run is {here}.'
      ' Name the run that encoded it in config.frozen, or encode the clips with'
      ' vgen data encode once more.'
    )


def _check_alike(
  part: str, workdir: str, there: Mapping[str, Any], here: Mapping[str, Any]
) -> None:
  """Raises ValueError if both specs name a part, and not the same."""
  one, two = _spec(there, part), _spec(here, part)
  if not one or not two:
    return
  if faults := config_lib.differences(one, two):
    raise ValueError(
      f'config.frozen.{part} is {workdir!r}, whose {part} is not the one of'
      f' config.model (there != here): {faults[0]}. Make config.model say what'
      " that run's config.json says, or name another run."
    )


def _average(part: str, workdir: str, settings: settings_lib.Settings) -> str:
  """Returns which average of a run's parameters to take a part from.

  Raises:
    ValueError: If the run has no such part.
  """
  held = checkpoints.tree(workdir)
  if part not in held['params']:
    raise ValueError(
      f'config.frozen.{part} is {workdir!r}, whose model,'
      f' {settings.model["name"]}, has no part {part!r}; it has'
      f' {sorted(held["params"])}. Name a run that has trained it.'
    )
  learned = part in held['guard']  # As all that has an optimizer is.
  return settings.sample_from if learned else 'params'


def _spec(model: Mapping[str, Any], part: str) -> Mapping[str, Any]:
  """Returns what a spec, or its prior's, says of a part; {} if nothing."""
  return model.get(part) or model.get('prior', {}).get(part) or {}
