"""Where the clips of an evaluation come from: a state, and its data."""

from collections.abc import Callable
import functools
import inspect

import grain
import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np

from vgen_jax.config import build
from vgen_jax.config import settings as settings_lib
from vgen_jax.core.types import Array
from vgen_jax.core.types import Clip
from vgen_jax.core.types import Condition
from vgen_jax.data import pipeline
from vgen_jax.evaluation import evaluator
from vgen_jax.evaluation.metrics import base
from vgen_jax.families.base import VideoModel
from vgen_jax.inference import sampling
from vgen_jax.nn.bottlenecks import autoencoder
from vgen_jax.runtime import sharding
from vgen_jax.training import setup as setup_lib
from vgen_jax.training.state import TrainState

_LOOKED_AT = 128  # Clips to look among for one of a class.
_MEMORY = 1 << 28  # Bytes of clips of the data to hold at a time.


class Shuffled:
  """A source in another order, the same for ever: its first clips are any.

  Attributes:
    source: The same clips in their own order.
    schema: Theirs.
  """

  def __init__(self, source: pipeline.Source, settings: settings_lib.Settings):
    self.source = source
    self.schema = source.schema
    self._faults = settings.faults
    self._order = grain.MapDataset.range(len(source)).shuffle(seed=0)

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, index: int) -> Clip:
    """Returns a clip with its 'index' in the source."""
    place = int(self._order[index])
    read = self.source.__getitem__
    clip, _ = self._faults.read(read, place, len(self.source))
    return {**clip, 'index': np.int64(place)}

  def clips(self, first: int, num: int) -> dict[str, np.ndarray]:
    """Returns clips first, ..., first + num - 1, beginning anew at the end."""
    found = [self[i % len(self)] for i in range(first, first + num)]
    return {key: np.stack([clip[key] for clip in found]) for key in found[0]}


class ClipProviders:
  """Clips that a run makes, and those to compare with.

  Attributes:
    real: Clips that were not trained on, if the data has such.
    real_split: Which split of the data they are.
    context: Number of frames that predictions are given.
    num_codes: Size of the autoencoder's codebook; 0 if there is none.
  """

  def __init__(
    self,
    setup: setup_lib.Setup,
    sample: sampling.Sampler,
    options: settings_lib.Evaluation,
  ):
    """Finds the data; draws nothing.

    Args:
      setup: Of the run.
      sample: Draws from its states.
      options: Which clips, and how many at a time.

    Raises:
      ValueError: If the data has no such split.
    """
    setup = setup.over_pixels()
    self._setup = setup
    self._sample = sample
    self._options = options
    self._batch_size = min(options.batch_size, options.num_clips)
    source, self.real_split = _real(setup, options.real_split)
    self.real = Shuffled(source, setup.settings)
    self._train = Shuffled(setup.source, setup.settings)
    self.context = setup.model.num_known or options.context
    self.num_codes = 0
    if self._rebuilds():
      size = lambda model: model.autoencoder.num_codes
      self.num_codes = setup.model.apply({}, method=size)

  def places(self) -> tuple[str, ...]:
    """Returns where there are clips from."""
    model = self._setup.model
    goes_on = model.num_known < model.clip_shape[0]  # Or else it rebuilds.
    is_there = {
      base.GENERATED: goes_on,
      base.PREDICTED: goes_on and 'known_video' in model.condition_keys,
      base.RECONSTRUCTED: self._rebuilds(),
      base.REAL: True,
      base.TRAIN: self.real.source is not self._setup.source,
    }
    return tuple(place for place, is_so in is_there.items() if is_so)

  def of(self, state: TrainState) -> dict[str, evaluator.ClipProvider]:
    """Returns clips by place; those that are made, by this state."""
    settings, options = self._setup.settings, self._options
    data = {'data': settings.data, 'clip_shape': settings.clip_shape}
    real = data | {'split': self.real_split, 'num': len(self.real)}
    made = real | {
      'step': int(state.step),
      'model': settings.model,
      'sample_from': settings.sample_from,
      'seed': options.seed,
      'batch_size': self._batch_size,
      'devices': [self._setup.mesh.size, jax.devices()[0].device_kind],
      'jax': jax.__version__,
    }
    goes_on = {'context': self.context, 'num_samples': options.num_samples}
    train = data | {'split': 'train', 'num': len(self._train)}
    by_state = lambda read: functools.partial(read, state)
    few = self._batch_size
    fewer = -(-few // options.num_samples)  # Each clip is predicted often.
    many = max(1, min(256, _MEMORY // int(np.prod(settings.clip_shape))))
    num_real, num_train = len(self.real), len(self._train)
    every = {
      base.GENERATED: (by_state(self._drawn), made, few, None),
      base.PREDICTED: (
        by_state(self._predicted), made | goes_on, fewer, num_real
      ),
      base.RECONSTRUCTED: (by_state(self._rebuilt), made, few, num_real),
      base.REAL: (self.real.clips, real, many, num_real),
      base.TRAIN: (self._train.clips, train, many, num_train),
    }  # fmt: skip
    return {
      place: evaluator.ClipProvider(*every[place]) for place in self.places()
    }

  def told(self) -> str:
    """Says what the model is told of clips that it draws."""
    condition = sampling.conditions(self._setup.model, self.real, 1)
    if _is_free(condition):
      return 'labels in turn' if condition else 'nothing'
    return f'{", ".join(sorted(condition))} of real clips'

  def beside(self, clips: base.Clips) -> tuple[np.ndarray, list[str]]:
    """Returns a real clip like each of `clips`, and what they should show.

    The clip of its condition, or one of its class, if one is soon found.
    """
    n, names = len(clips['video']), self.real.schema.class_names
    source = self.real.source
    if 'index' in clips:
      real = [source[int(i)]['video'] for i in clips['index']]
    else:
      real = self._of_classes(clips.get('label', np.zeros(n, int)))
    titles = [''] * n
    if 'index' in clips and hasattr(source, 'caption'):
      titles = [source.caption(int(i)) for i in clips['index']]
    elif 'label' in clips and names:
      titles = [names[int(label)] for label in clips['label']]
    return np.stack(real), titles

  def _of_classes(self, label_b: np.ndarray) -> list[np.ndarray]:
    num = min(len(self.real), _LOOKED_AT)
    rest = [self.real[i] for i in range(num)]
    found = []
    for label in label_b:
      alike = [k for k, x in enumerate(rest) if x.get('label', 0) == label]
      chosen = rest.pop(alike[0]) if alike and len(rest) > 1 else rest[0]
      found.append(chosen['video'])
    return found

  def _rebuilds(self) -> bool:
    network = getattr(self._setup.model, 'autoencoder', None)
    return isinstance(network, autoencoder.Autoencoder)

  def _drawn(self, state: TrainState, first: int, num: int) -> base.Clips:
    condition = self._condition(first, num)
    told = {} if _is_free(condition) else self.real.clips(first, num)
    video = self._draw(state, condition, np.arange(first, first + num))
    return {**told, **condition, 'video': video}

  def _predicted(self, state: TrainState, first: int, num: int) -> base.Clips:
    """Draws several futures of each clip."""
    clips, n = self.real.clips(first, num), self._options.num_samples
    truth, condition = clips['video'], self._condition(first, num)
    known_t = np.arange(truth.shape[1]) < self.context
    condition['known_video'] = np.float32(truth) / 127.5 - 1
    condition['known'] = np.broadcast_to(
      known_t[None, :, None, None, None], (*truth.shape[:4], 1)
    )
    rows = np.repeat(np.arange(num), n)
    video = self._draw(
      state,
      {key: np.asarray(x)[rows] for key, x in condition.items()},
      np.arange(first * n, (first + num) * n),
    )
    video = video.reshape(num, n, *video.shape[1:])
    return {**clips, 'truth': truth, 'video': video}

  def _rebuilt(self, state: TrainState, first: int, num: int) -> base.Clips:
    clips = self.real.clips(first, num)
    truth = clips['video']
    shards = sharding.num_batch_shards(self._setup.mesh)
    rows = np.minimum(np.arange(-(-num // shards) * shards), num - 1)
    video = jax.device_put(truth[rows], sharding.of_batch(self._setup.mesh))
    video, codes = jax.device_get(self._rebuild(state, video))
    found = {**clips, 'truth': truth, 'video': sampling.to_uint8(video[:num])}
    return found if codes is None else found | {'codes': codes[:num]}

  def _condition(self, first: int, num: int) -> Condition:
    model = self._setup.model
    return sampling.conditions(model, self.real, num, first=first)

  def _draw(
    self, state: TrainState, condition: Condition, places: np.ndarray
  ) -> np.ndarray:
    return sampling.draw(
      self._sample,
      state,
      self._setup.mesh,
      condition,
      places,
      seed=self._options.seed,
      batch_size=self._batch_size,
    )

  @functools.cached_property
  def _rebuild(self) -> Callable[..., tuple[Array, Array | None]]:
    model, average = self._setup.model, self._setup.settings.sample_from

    def through(model: VideoModel, video_bthwc: Array):
      video_bthwc, bottled = model.autoencoder(video_bthwc)
      return video_bthwc, bottled.codes_bthw

    def rebuild(state: TrainState, video_bthwc: Array):
      video_bthwc = video_bthwc.astype(jnp.float32) / 127.5 - 1
      return model.apply(state.variables(average), video_bthwc, method=through)

    return jax.jit(rebuild, out_shardings=NamedSharding(self._setup.mesh, P()))


def another_split(
  settings: settings_lib.Settings, source: pipeline.Source, split: str
) -> pipeline.Source | None:
  """Returns a split of a run's data; None if its config names one itself.

  Raises:
    ValueError: If the data has no such split.
  """
  takes = inspect.signature(type(source)).parameters
  if 'split' not in takes or 'split' in settings.data:
    return None
  return build.source(
    settings.data,
    settings.clip_shape,
    split=split,
    faults=settings.faults.policy,
  )


def _real(setup: setup_lib.Setup, split: str) -> tuple[pipeline.Source, str]:
  """Returns clips to compare with, and the name of their split."""
  settings, source = setup.settings, setup.source
  trained_on = source, settings.data.get('split', 'train')
  if split == trained_on[1]:
    return trained_on
  try:
    found = another_split(settings, source, split or 'validation')
  except ValueError:
    if split:
      raise
    return trained_on  # Such data has nothing but what is trained on.
  if found is None and split:
    own = settings.data.get('split', 'no splits')
    raise ValueError(
      f'config.evaluation.real_split is {split!r}, but config.data is'
      f' {settings.data["name"]} with {own!r}; leave real_split empty to'
      ' compare with what is trained on.'
    )
  return trained_on if found is None else (found, split or 'validation')


def _is_free(condition: Condition) -> bool:
  """Whether it can be made up, as classes in turn can."""
  return set(condition) <= {'label'}
