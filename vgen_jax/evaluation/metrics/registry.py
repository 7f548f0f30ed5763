"""Finds metrics by name and builds them for a run.

Every subclass of `base.Metric` that has a `name` is found, in a module of
`vgen_jax/evaluation/metrics/` or in `vgen_jax/synthetic/<dataset>/metric.py`.
Its class attributes determine the names on the command line:

  fvd           the metric, with its default protocol
  fvd-videogpt  the same with another protocol
  rfvd          the same for reconstructed clips instead of generated ones
  all           all metrics that fit the run, each with its default protocol
"""

from collections.abc import Iterable, Iterator, Mapping
import importlib
import importlib.util
import pkgutil
import types
from typing import NamedTuple

import numpy as np

from vgen_jax.core import checks
from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import results
from vgen_jax.pretrained import weights

ALL = 'all'
# Packages are imported by name: those of synthetic datasets are in a higher
# layer, and import base.py.
_METRICS = 'vgen_jax.evaluation.metrics'
_SYNTHETIC = 'vgen_jax.synthetic'
_NEEDS = {
  base.GENERATED: 'needs generated clips, but this model only reconstructs its'
  " input; put an 'r' before the name of the metric.",
  base.PREDICTED: 'needs predictions; this model does not accept known frames.',
  base.RECONSTRUCTED: 'needs reconstructions; this model has no autoencoder.',
  base.REAL: 'needs real clips to compare with; this run has none.',
  base.TRAIN: 'needs reference clips that were not trained on. Use data with a'
  " split 'validation', and leave config.data.split out.",
}


class _Variant(NamedTuple):
  """The metric, protocol and clips that a name on the command line selects."""

  kind: type[base.Metric]
  protocol: str
  reconstructed: bool

  @property
  def sources(self) -> tuple[str, ...]:
    """Sources of the clips that it compares."""
    if not self.reconstructed:
      return self.kind.sources
    return tuple(map(_reconstructed, self.kind.sources))

  def value_name(self, inputs: base.MetricInputs) -> str:
    """Returns the name of the entry that reports missing weights."""
    name = self.kind.value_name(inputs, self.protocol)
    return f'r{name}' if self.reconstructed else name

  def build(self, inputs: base.MetricInputs) -> base.Metric:
    """Returns the metric for a run."""
    metric = self.kind.from_inputs(inputs, self.protocol)
    return OfReconstructions(metric) if self.reconstructed else metric


class OfReconstructions(base.Metric):
  """A metric of generated clips, applied to reconstructed clips instead.

  The names of its values begin with 'r', as in 'rfvd'.
  """

  def __init__(self, inner: base.Metric):
    self.name = f'r{inner.name}'
    self.sources = tuple(map(_reconstructed, inner.sources))
    self.extractor = inner.extractor
    self._inner = inner

  def defined(self, findings: base.Findings) -> base.Findings:
    return findings  # Values are defined by the inner metric.

  def counts(self, num_clips: int) -> dict[str, int]:
    counts = self._inner.counts(num_clips)
    return {_reconstructed(source): count for source, count in counts.items()}

  def compute(
    self, features: Mapping[str, base.Features], rng: np.random.Generator
  ) -> base.Findings:
    original = {
      _reconstructed(source): source for source in self._inner.sources
    }
    found = self._inner.compute(
      {original[source]: x for source, x in features.items()}, rng
    )
    title = lambda x: {f'{k}, reconstructed': part for k, part in x.items()}
    found = self._inner.defined(found)
    values = {f'r{name}': value for name, value in found.values.items()}
    return base.Findings(values, title(found.curves), title(found.groups))


def build(
  names: Iterable[str], inputs: base.MetricInputs
) -> tuple[list[base.Metric], dict[str, results.Value]]:
  """Returns metrics, and values in place of those whose weights are missing.

  Args:
    names: Names on the command line, with `ALL` for all that fit the run.
    inputs: Properties of the run.

  Raises:
    ValueError: If a name is unknown, or a metric does not fit the run.
  """
  variants = _variants()
  metrics, missing = [], {}
  for name in check_names(names):
    every = [each for each in variants if '-' not in each]
    for each in every if name == ALL else [name]:
      try:
        metrics.append(_build(each, variants[each], inputs))
      except weights.WeightsMissingError as error:
        about = error.report()
        missing[variants[each].value_name(inputs)] = results.Value(
          about.pop('value'),
          status=about.pop('status'),
          note=str(error),
          protocol=about,
          definition=variants[each].kind.define(variants[each].kind.name),
        )
      except checks.NotApplicableError:
        if name != ALL:
          raise
  return metrics, missing


def check_names(names: Iterable[str]) -> tuple[str, ...]:
  """Returns the names without repetition.

  Raises:
    ValueError: If a name is unknown.
  """
  names = tuple(dict.fromkeys(names))
  known = available()
  for name in names:
    if name not in known:
      raise ValueError(f'Unknown metric {name!r}.{checks.hint(name, known)}')
  return names


def available() -> list[str]:
  """Returns all names of metrics."""
  return [ALL, *_variants()]


def _build(
  name: str, variant: _Variant, inputs: base.MetricInputs
) -> base.Metric:
  for source in variant.sources:  # Before weights are looked for.
    if source not in inputs.sources:
      raise checks.NotApplicableError(f'Metric {name!r} {_NEEDS[source]}')
  datasets = variant.kind.datasets
  if datasets and not isinstance(inputs.dataset, datasets):
    known = ' or '.join(
      f'{cls.__module__.removeprefix("vgen_jax.")}.{cls.__name__}'
      for cls in datasets
    )
    raise checks.NotApplicableError(
      f'Metric {name!r} applies to {known} only; the data is'
      f' {type(inputs.dataset).__name__}. {_instead(inputs.dataset)}'
    )
  return variant.build(inputs)


def _instead(dataset: object) -> str:
  """Returns which metrics apply to a dataset, as a sentence."""
  own = [
    repr(name)
    for name, kind in classes().items()
    if kind.datasets and isinstance(dataset, kind.datasets)
  ]
  names = own or ["'flicker'", "'memorization'"]
  about = 'the metric of this dataset' if own else 'a metric for any data'
  return f'Choose {about}, such as {" or ".join(names)}.'


def _variants() -> dict[str, _Variant]:
  """Returns {name on the command line: variant}."""
  found, reconstructed = {}, {}
  for name, kind in classes().items():
    for protocol in ('', *kind.protocols):
      full = f'{name}-{protocol}' if protocol else name
      variant = _Variant(kind, protocol or kind.default_protocol, False)
      found[full] = variant
      if kind.for_reconstructions:
        reconstructed[f'r{full}'] = variant._replace(reconstructed=True)
  return found | reconstructed


def classes() -> dict[str, type[base.Metric]]:
  """Returns {name: class} of all metrics, without their variants.

  Raises:
    ValueError: If two classes have the same name.
  """
  found = {}
  for module in _modules():
    for kind in vars(module).values():
      if not isinstance(kind, type) or kind.__module__ != module.__name__:
        continue
      if issubclass(kind, base.Metric) and 'name' in vars(kind):
        if kind.name in found:
          raise ValueError(
            f'{kind.__module__} and {found[kind.name].__module__} both define a'
            f' metric {kind.name!r}; rename one of them.'
          )
        found[kind.name] = kind
  return found


def _modules() -> Iterator[types.ModuleType]:
  """Yields the modules that may define metrics."""
  for info in _children(_SYNTHETIC):
    module = f'{_SYNTHETIC}.{info.name}.metric'
    if info.ispkg and importlib.util.find_spec(module):
      yield importlib.import_module(module)
  for info in _children(_METRICS):
    yield importlib.import_module(f'{_METRICS}.{info.name}')


def _children(package: str) -> Iterator[pkgutil.ModuleInfo]:
  return pkgutil.iter_modules(importlib.import_module(package).__path__)


def _reconstructed(source: str) -> str:
  return base.RECONSTRUCTED if source == base.GENERATED else source
