"""Frozen parts: parts of a model that another run has trained."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import jax
from jax.experimental import multihost_utils
import numpy as np

from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.config import shipped
from vgen_jax.core import checks
from vgen_jax.core import digests
from vgen_jax.core import file_paths
from vgen_jax.data import encoded
from vgen_jax.data import pipeline
from vgen_jax.runtime import checkpoint_parts
from vgen_jax.training.state import TrainState

TOKENIZER = 'autoencoder'  # The part that encodes clips.


def with_tokenizer(settings: settings_lib.Settings) -> settings_lib.Settings:
  """Returns the settings with the spec of a frozen tokenizer filled in.

  The model of a latent run may leave out the field `autoencoder`. Its spec is
  then that of the run in `config.frozen`, so it is not written twice.

  Raises:
    ValueError: If there is no such run, or it has no tokenizer.
  """
  workdir = settings.frozen.get(TOKENIZER)
  if workdir is None or _spec(settings.model, TOKENIZER):
    return settings
  other = _run_settings(TOKENIZER, workdir)
  if not (spec := _spec(other.model, TOKENIZER)):
    raise ValueError(
      f'config.frozen.{TOKENIZER} is {workdir!r}, whose model,'
      f' {other.model["name"]}, has no part {TOKENIZER!r}. Name the run of a'
      ' tokenizer.'
    )
  model = {**settings.model, TOKENIZER: spec}
  return dataclasses.replace(settings, model=model)


def restore(
  state: TrainState,
  frozen: Mapping[str, str],
  model: Mapping[str, Any] | None = None,
) -> TrainState:
  """Returns the state with the frozen parts that other runs have trained.

  The parameters of a part are those of the average that its run samples from.
  If the part was frozen in that run, too, they are the parameters themselves,
  because averages cover players only. Statistics of the part are restored, too.
  Shardings are those of `state`.

  Args:
    state: State whose frozen parts have random parameters.
    frozen: {part: workdir of the run that trained it}.
    model: Spec of the model; the spec of a part in it must equal that in the
      config of the other run.

  Raises:
    ValueError: If a part is unknown, is a player of this model, is not in the
      other run, or has another spec there.
  """
  for part, workdir in frozen.items():
    parts = [p for p in state.params if p not in state.opt]
    if part not in parts:
      raise ValueError(
        f'config.frozen names {part!r}, which is not a part of this model that'
        f' can be frozen.{checks.hint(part, parts)} To start from the weights'
        ' of another run and train them further, set config.init.workdir.'
      )
    settings = _run_settings(part, workdir)
    _check_same_spec(part, workdir, settings.model, model or {})
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
    found = checkpoint_parts.read(workdir, shapes)
    own = found['params'] if average == 'params' else found['ema'][average]
    stats = {
      kind: {**parts, **found.get('stats', {}).get(kind, {})}
      for kind, parts in state.stats.items()
    }
    state = state.replace(params={**state.params, **own}, stats=stats)
  return state


def tokenizer(state: TrainState, average: str = 'params') -> dict[str, Any]:
  """Returns the variables of the tokenizer as complete arrays on the host.

  All processes must call this at the same point of the program.

  Args:
    state: State of a run with a tokenizer.
    average: Name of the average of the parameters to use, or 'params'.
  """

  def complete(x: jax.Array) -> np.ndarray:
    if not x.is_fully_addressable:
      x = multihost_utils.process_allgather(x, tiled=True)
    return np.asarray(x)

  variables = state.variables(average)
  own = {
    kind: {TOKENIZER: parts[TOKENIZER]}
    for kind, parts in variables.items()
    if TOKENIZER in parts
  }
  return jax.tree.map(complete, own)


def check_source(source: pipeline.Source, state: TrainState) -> None:
  """Raises ValueError if clips were encoded by another tokenizer.

  Args:
    source: Source of the data; one that returns pixels is always accepted.
    state: State with its frozen parts restored.
  """
  if not isinstance(source, encoded.Encoded):
    return
  there, here = source.manifest, digests.tree(tokenizer(state))
  if there.tokenizer != here:
    raise ValueError(
      f'config.data.folder was encoded by the tokenizer {there.tokenizer}, step'
      f' {there.step} of {there.workdir!r}, but this run has the tokenizer'
      f' {here}. Name the run that encoded the clips in config.frozen, or'
      ' encode them again with vgen data encode.'
    )


def _run_settings(part: str, workdir: str) -> settings_lib.Settings:
  """Returns the settings of the run that has trained a part.

  Raises:
    ValueError: If there is no such run.
  """
  file = file_paths.read(workdir) / 'config.json'
  if not file.exists():
    name = file_paths.read(workdir).name
    config = name if name in shipped.configs() else '<its config>'
    raise ValueError(
      f'config.frozen.{part} is {workdir!r}, but there is no run in it (no'
      f' config.json). Train it first: vgen train --config={config}'
      f' --workdir={workdir}. If it is elsewhere, set --config.frozen.{part}.'
    )
  return settings_lib.read(config_lib.load(str(file)))


def _check_same_spec(
  part: str, workdir: str, there: Mapping[str, Any], here: Mapping[str, Any]
) -> None:
  """Raises ValueError if two models have different specs of a part."""
  one, two = _spec(there, part), _spec(here, part)
  if not one or not two:
    return
  if found := config_lib.differences(one, two):
    path, other, own = found[0]
    raise ValueError(
      f'config.frozen.{part} is {workdir!r}, whose {part} has {path} ='
      f' {other!r}, but this config has {own!r}. Leave the field {part!r} out'
      ' of config.model if it is the tokenizer, give it the same values, or'
      ' name another run.'
    )


def _average(part: str, workdir: str, settings: settings_lib.Settings) -> str:
  """Returns the average of a run's parameters that a part is restored from.

  Raises:
    ValueError: If the run has no such part.
  """
  held = checkpoint_parts.tree(workdir)
  if part not in held['params']:
    raise ValueError(
      f'config.frozen.{part} is {workdir!r}, whose model,'
      f' {settings.model["name"]}, has no part {part!r}; it has'
      f' {sorted(held["params"])}. Name a run that has trained the part.'
    )
  is_player = part in held['guard']  # The guard has an entry for each player.
  return settings.sample_from if is_player else 'params'


def _spec(model: Mapping[str, Any], part: str) -> Mapping[str, Any]:
  """Returns the spec of a part in a model or in its prior; {} if none."""
  return model.get(part) or model.get('prior', {}).get(part) or {}
