"""Contents of files that a run writes, for tests of damaged files."""

import dataclasses

from vgen_jax.core.types import Schema
from vgen_jax.data.encodings import manifest as manifest_lib
from vgen_jax.evaluation.metrics import curves as curves_lib
from vgen_jax.evaluation.metrics import results

SCHEMA = Schema((4, 8, 8, 3), num_classes=2, class_names=('a', 'b'))
MANIFEST = manifest_lib.Manifest(
  'codes', (2, 2, 2), 'uint16', 4, 2, 'ab', {'name': 'x.Y'}, 'w', 3,
  {'name': 'synthetic.world.source.World'}, 'train', (4, 8, 8, 3),
  dataclasses.asdict(SCHEMA), {}, 512,
)  # fmt: skip


def result() -> results.Result:
  """Returns the result of an evaluation, with a value, a curve and groups."""
  value = results.Value(1.25, (0.5, 1.5), unit='dB', protocol={'a': [1]})
  curve = curves_lib.Curve('t', 'y', [0, 1], {'m': [1, None]})
  groups = {'by class': {'a': {'value': 1.0, 'num': 2}}}
  return results.Result(
    'r', 'w', 5, '2026', {'a.b': 1}, {'n': 1}, {'m': value}, {'c': curve},
    groups,
  )  # fmt: skip
