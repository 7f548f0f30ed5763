"""Names of files with generated clips; different clips have different names."""

from collections.abc import Mapping
import dataclasses
import json
import re
from typing import Any

from ml_collections import ConfigDict
import numpy as np

from vgen_jax.config import loading as config_lib
from vgen_jax.config import settings as settings_lib
from vgen_jax.core import digests
from vgen_jax.core import file_paths

# Sections of the config on which generated clips depend.
_SECTIONS = ('clip_shape', 'data', 'model', 'sample_from')


def of_samples(
  step: int,
  seed: int,
  num_clips: int,
  label: str | None = None,
  changed: Mapping[str, Any] | None = None,
  given: Mapping[str, np.ndarray] | None = None,
) -> str:
  """Returns the name of the files of some generated clips, without extension.

  The batch size is not part of the name, because clips do not depend on it.

  Args:
    step: Step of the checkpoint.
    seed: Seed of the noise.
    num_clips: Number of clips.
    label: Class of all clips, as the user wrote it; None for all classes.
    changed: {dotted path: value} of the fields of the config that differ from
      those of the run.
    given: Conditions of the clips that the user gave.
  """
  name = f'step{step}_seed{seed}_num{num_clips}'
  if label is not None:
    plain = re.sub(r'[^\w.-]+', '-', label)
    # Two labels may only differ in characters that file names cannot have.
    plain += '' if plain == label else f'-{digests.text(label, 4)}'
    name += f'_label-{plain}'
  if changed:
    text = json.dumps(dict(changed), sort_keys=True, default=str)
    name += f'_set-{digests.text(text, 8)}'
  if given:
    name += f'_given-{digests.tree(dict(given))[:8]}'
  return name


def changed_fields(workdir: str, config: ConfigDict) -> dict[str, Any]:
  """Returns fields that clips depend on and that differ from those of the run.

  Args:
    workdir: Directory of the run.
    config: Config with which the run was loaded.

  Returns:
    {dotted path: value in `config`}.
  """
  file = file_paths.read(workdir) / 'config.json'
  stored, own = (
    dataclasses.asdict(settings_lib.read(x))
    for x in (config_lib.load(str(file)), config)
  )
  found = config_lib.differences(stored, own)
  return {x.path: x.two for x in found if x.path.startswith(_SECTIONS)}
