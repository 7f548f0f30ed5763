"""Names of files with generated clips: other clips have other names."""

from collections.abc import Mapping
import json
import re
from typing import Any

from vgen_jax.core import digests


def of_samples(
  step: int,
  seed: int,
  num_clips: int,
  label: str | None = None,
  changed: Mapping[str, Any] | None = None,
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
  return name
