"""Whose a workdir is: no two runs share one."""

import dataclasses

from etils import epath
import jax
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.runtime import checkpoints as checkpoints_lib

# What may differ between two starts of one run: it changes no update.
_FREE = (
  'num_workers', 'num_samples', 'log_every', 'sample_every', 'sample_from',
  'evaluate_every', 'evaluation', 'checkpoint_every', 'keep', 'best',
  'tensorboard', 'wandb', 'mesh', 'frozen', 'guard.policy', 'guard.max_skips',
  'data.folder', 'faults',
)  # fmt: skip


def claim(workdir: str, config: ConfigDict) -> None:
  """Writes `config.json`, unless another run lives in the workdir."""
  folder = epath.Path(workdir)
  folder.mkdir(parents=True, exist_ok=True)
  file = folder / 'config.json'
  text = config_lib.to_json(config)
  if file.exists() and checkpoints_lib.steps(workdir):
    old = settings_lib.read(config_lib.load(str(file)))
    new = settings_lib.read(config)
    lines = [
      line
      for line in config_lib.differences(
        dataclasses.asdict(old), dataclasses.asdict(new)
      )
      if not f'{line.partition(":")[0]}.'.startswith(
        tuple(f'{x}.' for x in _FREE)
      )
    ]
    if lines:
      raise ValueError(
        f'{workdir} holds a run of another config; its {lines[0]} of this one'
        f' ({len(lines)} such fields). Go on with --config={file}, or choose'
        ' another workdir.'
      )
  if jax.process_count() > 1:  # All have read the old one.
    multihost_utils.sync_global_devices('config.json')
  if jax.process_index() == 0 and (
    not file.exists() or file.read_text() != text
  ):
    fresh = folder / 'config.json.new'
    fresh.write_text(text)
    fresh.replace(file)  # At once: a kill now leaves the old or the new one.
