"""Clips of an evaluation: generated, predicted, reconstructed and real."""

from collections.abc import Callable
import functools
import json

import jax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np

from vgen_jax.config import classes
from vgen_jax.config import sections
from vgen_jax.core import digests
from vgen_jax.core import modalities
from vgen_jax.core import pixels
from vgen_jax.core import sources
from vgen_jax.core.types import Array
from vgen_jax.core.types import Condition
from vgen_jax.data import identity
from vgen_jax.evaluation import evaluator
from vgen_jax.evaluation.metrics import base
from vgen_jax.families.base import VideoModel
from vgen_jax.inference import own_conditions
from vgen_jax.inference import real_clips
from vgen_jax.inference import sampling
from vgen_jax.nn import batch_sharding
from vgen_jax.runtime import leaf_digests
from vgen_jax.runtime import sharding
from vgen_jax.runtime.pod import agreement
from vgen_jax.training import setup as setup_lib
from vgen_jax.training.state import TrainState

_NUM_CANDIDATES = 1024  # Real clips that are searched for those of a class.
_MAX_BYTES = 1 << 28  # Size of the real clips in memory at a time.


class ClipProviders:
  """Clips that a run generates, and real clips to compare with.

  Attributes:
    real: Clips that were not trained on, if the data has such clips.
    real_split: Split of the data that they come from.
    context: Number of first frames that predictions are conditioned on.
    num_codes: Size of the codebook of the autoencoder; 0 if there is none.
  """

  def __init__(
    self,
    setup: setup_lib.Setup,
    sample: sampling.Sampler,
    options: sections.Evaluation,
  ):
    """Opens the data; generates nothing.

    Args:
      setup: Setup of the run.
      sample: Sampler of the run's model.
      options: Number of clips, batch size, seed and split of the evaluation.

    Raises:
      ValueError: If the data has no such split, or processes of a pod have
        different data.
    """
    setup = setup.over_pixels()
    self._setup = setup
    self._sample = sample
    self._options = options
    self._batch_size = min(options.batch_size, options.num_clips)
    source, self.real_split = real_clips.comparison_split(
      setup, options.real_split
    )
    agreement.check_data(lambda: source, 'real clips')
    agreement.check_data(lambda: setup.source, 'training clips')
    self.real = real_clips.ShuffledSource(source, setup.settings)
    self._train = real_clips.ShuffledSource(setup.source, setup.settings)
    self.context = setup.model.num_known or options.context
    self.num_codes = 0
    if 'reconstruct' in setup.model.supported_tasks:
      size = lambda model: model.autoencoder.num_codes
      self.num_codes = setup.model.apply({}, method=size)

  def kinds(self) -> tuple[str, ...]:
    """Returns the kinds of clips that the run has, such as `base.GENERATED`."""
    model = self._setup.model
    available = {
      base.GENERATED: 'generate' in model.supported_tasks,
      base.PREDICTED: 'predict' in model.supported_tasks,
      base.RECONSTRUCTED: 'reconstruct' in model.supported_tasks,
      base.REAL: True,
      base.TRAIN: self.real.source is not self._setup.source,
    }
    return tuple(kind for kind, is_there in available.items() if is_there)

  def for_state(self, state: TrainState) -> dict[str, evaluator.ClipProvider]:
    """Returns {kind: provider} of clips that are generated with a state.

    The identities of the clips contain the current identity of the data, and a
    digest of the parameters. All processes must call this together.
    """
    settings, options = self._setup.settings, self._options
    data = {
      'data': settings.data,
      'clip_shape': settings.clip_shape,
      'faults': settings.faults.policy,
    }
    real = data | {
      'split': self.real_split,
      'identity': identity.of(self.real.source).plain(),
    }
    generated = real | {
      'step': int(state.step),
      'parameters': self._digest(state),
      'code': digests.code(),
      'model': settings.model,
      'sample_from': settings.sample_from,
      'seed': options.seed,
      'batch_size': self._batch_size,
      'devices': [self._setup.mesh.size, jax.devices()[0].device_kind],
      'jax': jax.__version__,
    }
    if others := classes.code_of_others(settings.model):
      generated['code_of_classes'] = others
    predicted = generated | {
      'context': self.context,
      'num_samples': options.num_samples,
    }
    train = data | {
      'split': 'train',
      'identity': identity.of(self._train.source).plain(),
    }
    by_state = lambda read: functools.partial(read, state)
    batch = self._batch_size
    num_contexts = -(-batch // options.num_samples)  # Several samples of each.
    clip_bytes = int(np.prod(settings.clip_shape))
    many = max(1, min(256, _MAX_BYTES // clip_bytes))
    num_real, num_train = len(self.real), len(self._train)
    providers = {
      base.GENERATED: (by_state(self._generated), generated, batch, None),
      base.PREDICTED: (
        by_state(self._predicted), predicted, num_contexts, num_real
      ),
      base.RECONSTRUCTED: (
        by_state(self._reconstructed), generated, batch, num_real
      ),
      base.REAL: (self.real.clips, real, many, num_real),
      base.TRAIN: (self._train.clips, train, many, num_train),
    }  # fmt: skip
    return {
      kind: evaluator.ClipProvider(*providers[kind]) for kind in self.kinds()
    }

  def _digest(self, state: TrainState) -> str:
    """Returns a digest of the variables that generate the clips."""
    variables = state.variables(self._setup.settings.sample_from)
    return digests.text(json.dumps(leaf_digests.of(variables), sort_keys=True))

  def conditioning(self) -> str:
    """Returns the conditions of generated clips, in words."""
    condition = sampling.conditions(self._setup.model, self.real, 1)
    if _needs_no_clips(condition):
      return 'labels in turn' if condition else 'nothing'
    return f'{", ".join(sorted(condition))} of real clips'

  def matching_real(self, clips: base.Clips) -> dict[str, np.ndarray]:
    """Returns a real clip for each given clip, and titles.

    The real clip is the one that the condition comes from, or else one of the
    same class. For a model without classes, it is an arbitrary real clip.

    Args:
      clips: Clips of the model.

    Returns:
      {'real': uint8 `[b, t, h, w, c]`; 'has_real': bool `[b]`, False where no
      clip of the class was found; 'title': the caption or the class of each
      clip, '' if there is none}.
    """
    n, names = len(clips['video']), self.real.schema.class_names
    source = self.real.source
    if 'index' in clips:
      real = [source[int(i)]['video'] for i in clips['index']]
    elif 'label' in clips:
      real = real_clips.of_classes(
        [self.real, self._train], clips['label'], _NUM_CANDIDATES
      )
    else:
      real = [self.real[i % len(self.real)]['video'] for i in range(n)]
    titles = [''] * n
    if 'index' in clips and isinstance(source, sources.Captioned):
      titles = [source.caption(int(i)) for i in clips['index']]
    elif 'label' in clips:
      titles = [
        names[int(label)] if names else f'class {label}'
        for label in clips['label']
      ]
    blank = np.zeros(self.real.schema.clip_shape, np.uint8)
    return {
      'real': np.stack([blank if video is None else video for video in real]),
      'has_real': np.array([video is not None for video in real]),
      'title': np.array(titles),
    }

  def _generated(self, state: TrainState, first: int, num: int) -> base.Clips:
    condition = self._condition(first, num)
    known = {} if _needs_no_clips(condition) else self.real.clips(first, num)
    video = self._generate(state, condition, np.arange(first, first + num))
    return {**known, **condition, 'video': video}

  def _predicted(self, state: TrainState, first: int, num: int) -> base.Clips:
    """Returns several predictions for each real clip."""
    clips, n = self.real.clips(first, num), self._options.num_samples
    truth, condition = clips['video'], self._condition(first, num)
    known_t = np.arange(truth.shape[1]) < self.context
    condition |= own_conditions.with_known_frames(truth, known_t)
    rows = np.repeat(np.arange(num), n)
    video = self._generate(
      state,
      {key: np.asarray(x)[rows] for key, x in condition.items()},
      np.arange(first * n, (first + num) * n),
    )
    video = video.reshape(num, n, *video.shape[1:])
    return {**clips, 'truth': truth, 'video': video}

  def _reconstructed(
    self, state: TrainState, first: int, num: int
  ) -> base.Clips:
    clips = self.real.clips(first, num)
    truth = clips['video']
    shards = sharding.num_batch_shards(self._setup.mesh)
    rows = np.minimum(np.arange(-(-num // shards) * shards), num - 1)
    video = jax.device_put(truth[rows], sharding.of_batch(self._setup.mesh))
    video, codes = jax.device_get(self._reconstruct(state, video))
    sampling.check_finite(video[:num], 'reconstructed')
    found = {**clips, 'truth': truth, 'video': pixels.to_uint8(video[:num])}
    return found if codes is None else found | {'codes': codes[:num]}

  def _condition(self, first: int, num: int) -> Condition:
    model = self._setup.model
    return sampling.conditions(model, self.real, num, first=first)

  def _generate(
    self, state: TrainState, condition: Condition, number_b: np.ndarray
  ) -> np.ndarray:
    return sampling.generate(
      self._sample,
      state,
      self._setup.mesh,
      condition,
      number_b,
      seed=self._options.seed,
      batch_size=self._batch_size,
    )

  @functools.cached_property
  def _reconstruct(self) -> Callable[..., tuple[Array, Array | None]]:
    """Returns `(state, video) -> (video, codes)`, compiled."""
    model, average = self._setup.model, self._setup.settings.sample_from

    def call(model: VideoModel, video_bthwc: Array):
      video_bthwc, bottleneck = model.autoencoder(video_bthwc)
      return video_bthwc, bottleneck.codes_bthw

    def reconstruct(state: TrainState, video_bthwc: Array):
      video_bthwc = pixels.to_float(video_bthwc)
      return model.apply(state.variables(average), video_bthwc, method=call)

    mesh = self._setup.mesh
    return jax.jit(
      batch_sharding.on_mesh(mesh, reconstruct),
      out_shardings=NamedSharding(mesh, P()),
    )


def _needs_no_clips(condition: Condition) -> bool:
  """Returns whether a condition needs no real clips, as labels do not."""
  return set(condition) <= set(modalities.keys('choice'))
