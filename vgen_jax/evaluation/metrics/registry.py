"""Metrics by name.

An 'r' before a name, as in 'rfvd', makes it a metric of reconstructions; behind
a dash, as in 'fvd-videogpt', is whose protocol it follows. 'all' stands for all
that fit a run, each by one protocol.
"""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import importlib

from vgen_jax.core import checks
from vgen_jax.data import pipeline
from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import networks
from vgen_jax.evaluation.metrics import paired
from vgen_jax.evaluation.metrics import pixels
from vgen_jax.evaluation.metrics import results
from vgen_jax.pretrained import protocols
from vgen_jax.pretrained import weights

ALL = 'all'
_FVD, _FID = 'stylegan-v', 'torch-fidelity'  # Whose protocol, unless told.
_DDOF = {'stylegan-v': 0}  # Divides covariances by n; the others by n - 1.


@dataclasses.dataclass(frozen=True)
class MetricInputs:
  """What is known of a run when its metrics are chosen.

  Attributes:
    source: Of the clips to compare with.
    places: Where clips come from (base.py).
    context: Number of frames that predictions are given.
    num_codes: Size of the codebook, 0 if there is none.
    infinity: Whether to tell Frechet distances of endless sets.
  """

  source: pipeline.Source
  places: Sequence[str]
  context: int = 0
  num_codes: int = 0
  infinity: bool = False

  @property
  def clip_shape(self) -> tuple[int, ...]:
    """Of the clips, (t, h, w, c)."""
    return tuple(self.source.schema.clip_shape)


def make(
  names: Iterable[str], facts: MetricInputs
) -> tuple[list[base.Metric], dict[str, results.Value]]:
  """Returns metrics, and values of those whose weights are missing.

  Raises:
    ValueError: If a name is unknown, or a metric does not fit the facts.
  """
  metrics, missing = [], {}
  for name in check(names):
    every = [each for each in _MAKE if '-' not in each]
    for each in every if name == ALL else [name]:
      try:
        metrics.append(_make(each, facts))
      except weights.WeightsMissingError as error:
        about = error.report()
        missing[_title(each, facts)] = results.Value(
          about.pop('value'),
          status=about.pop('status'),
          note=str(error),
          protocol=about,
        )
      except ValueError:
        if name != ALL:
          raise
  return metrics, missing


def check(names: Iterable[str]) -> tuple[str, ...]:
  """Returns the names, each once, if all are known; else raises ValueError."""
  names = tuple(dict.fromkeys(names))
  for name in names:
    if name not in known():
      raise ValueError(
        f'There is no metric {name!r}.{checks.hint(name, known())}'
      )
  return names


def known() -> list[str]:
  """Returns all names that there are."""
  return [ALL, *_MAKE]


def _make(name: str, facts: MetricInputs) -> base.Metric:
  for place in _wants(name):  # Before weights are asked for.
    if place not in facts.places:
      raise ValueError(f'Metric {name!r} {_LACKS[place]}')
  return _MAKE[name](name, facts)


def _wants(name: str) -> tuple[str, ...]:
  """Returns where a metric has its clips from."""
  if name in _PREDICTIONS:
    return (base.PREDICTED,)
  if name not in _SAMPLES:
    return (base.RECONSTRUCTED,)
  return (base.GENERATED, base.TRAIN) if name == 'copies' else (base.GENERATED,)


def _title(name: str, facts: MetricInputs) -> str:
  """Returns a name that says whose protocol, and of how many frames."""
  kind, _, protocol = name.partition('-')
  if kind.endswith('fvd'):
    return f'{kind}-{protocol or _FVD}_{facts.clip_shape[0]}f'
  if kind.endswith(('fid', 'kid')):
    return f'{kind}-{protocol or _FID}'
  return name


def _fvd(name: str, facts: MetricInputs) -> base.Metric:
  protocol = name.partition('-')[2] or _FVD
  network = protocols.fvd(protocol, frames=facts.clip_shape[0])
  return networks.Frechet(
    _title(name, facts),
    networks.Network(network),
    ddof=_DDOF.get(protocol, 1),
    infinity=facts.infinity,
  )


def _fid(name: str, facts: MetricInputs) -> base.Metric:
  network = protocols.frames(name.partition('-')[2] or _FID)
  return networks.Frechet(
    _title(name, facts), networks.Network(network), infinity=facts.infinity
  )


def _kid(name: str, facts: MetricInputs) -> base.Metric:
  network = protocols.frames(name.partition('-')[2] or _FID)
  return networks.Kernel(_title(name, facts), networks.Network(network))


def _inception_score(name: str, facts: MetricInputs) -> base.Metric:
  probe = networks.Network(protocols.frames(layer='probability'))
  return networks.InceptionScore(name, probe)


def _prediction(name: str, facts: MetricInputs) -> base.Metric:
  if not 1 <= facts.context < facts.clip_shape[0]:
    raise ValueError(
      f'config.evaluation.context is {facts.context}; of clips of'
      f' {facts.clip_shape[0]} frames, metric {name!r} needs 1 frame or more to'
      ' know, and one to predict.'
    )
  curves = paired.of_pixels(facts.clip_shape)
  if name == 'lpips':
    curves = paired.of_network(protocols.perceptual())
  return paired.Prediction(name, curves, facts.context)


def _reconstruction(name: str, facts: MetricInputs) -> base.Metric:
  if name == 'rlpips':
    curves = paired.of_network(protocols.perceptual())
    return paired.Reconstruction(name, curves)
  curves = paired.of_pixels(facts.clip_shape)
  return paired.Reconstruction(name, curves, facts.num_codes)


def _synthetic(
  dataset: str, cls: str
) -> Callable[[str, MetricInputs], base.Metric]:
  """Returns a function that makes the metric of a synthetic dataset.

  The module is imported when the metric is made: packages of synthetic datasets
  import this one.
  """

  def make_metric(name: str, facts: MetricInputs) -> base.Metric:
    module = importlib.import_module(f'vgen_jax.synthetic.{dataset}.metric')
    options = {'infinity': facts.infinity} if name == 'verifier' else {}
    return getattr(module, cls)(facts.source, **options)

  return make_metric


_SAMPLES: dict[str, Callable[[str, MetricInputs], base.Metric]] = {
  'verifier': _synthetic('world', 'VerifierMetric'),
  'digits': _synthetic('digits', 'DigitsMetric'),
  'actions': _synthetic('actions', 'ActionsMetric'),
  'fvd': _fvd,
  **{f'fvd-{key}': _fvd for key in protocols.FVD},
  'fid': _fid,
  **{f'fid-{key}': _fid for key in protocols.FID},
  'kid': _kid,
  'inception_score': _inception_score,
  'flicker': lambda name, facts: pixels.Flicker(),
  'diversity': lambda name, facts: pixels.Diversity(),
  'copies': lambda name, facts: pixels.Memorization(),
}
_PREDICTIONS = {
  'futures': _synthetic('two_futures', 'FuturesMetric'),
  'prediction': _prediction,
  'lpips': _prediction,
}
_MAKE = {
  **_SAMPLES,
  **_PREDICTIONS,
  'reconstruction': _reconstruction,
  'rlpips': _reconstruction,
  **{
    f'r{key}': lambda name, facts: paired.Rebuilt(
      _SAMPLES[name[1:]](name[1:], facts)
    )
    for key in _SAMPLES
    if key not in ('copies', 'diversity', 'actions', 'inception_score')
  },
}
_LACKS = {
  base.GENERATED: 'needs generated clips, but this model only reconstructs its'
  " input; put an 'r' before the name of the metric.",
  base.PREDICTED: 'needs predictions; this model does not accept known frames.',
  base.RECONSTRUCTED: 'needs reconstructions; this model has no autoencoder.',
  base.TRAIN: 'needs reference clips that were not trained on; the data has'
  " no split 'validation', or the config names a split.",
}
