"""Figures of individual appearance; no subject is in two splits.

A subject has a colour and a texture of its body, and a colour of its head. A
clip shows it in motion; `layout` (0 background, 1 body, 2 head) determines its
pose but not its appearance, which reference clips of the same subject show.

With `num_sides`, the body has several sides of different colours, and the pose
determines which one is visible. So a reference is useful for frames in which
the subject shows the same side.
"""

import colorsys
import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core import checks
from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic import base
from vgen_jax.synthetic import drawing

SEGMENTS = ('background', 'body', 'head')
_BODY, _HEAD = 0.075, 0.05  # Radii, in sides of a frame.
_NECK = _BODY + _HEAD  # Distance of the centres of body and head.
_DISTANCE = 0.56  # Covered by the body in a clip, in sides of a frame.
_GOLDEN = (math.sqrt(5) - 1) / 2
# Split of each of six subjects with successive hues: four are for training, and
# the hues of the held-out subjects are between those of training.
_SPLIT_OF_SIX = ('train', 'train', 'validation', 'train', 'train', 'test')


class Appearance(NamedTuple):
  """Appearance of a subject in all its clips.

  Attributes:
    body_s3: Colours of the sides of the body, from 0 to 255.
    head_3: Colour of the head, from 0 to 255.
    stripes_2: Frequency (x, y) of the stripes of the body, in periods per
      pixel; they darken it by up to a third.
  """

  body_s3: np.ndarray
  head_3: np.ndarray
  stripes_2: np.ndarray


class Truth(NamedTuple):
  """Ground truth of a clip.

  Attributes:
    subject: Number of the subject, over all splits.
    appearance: Appearance of the subject.
    body_t2: Centre of the body in each frame, (x, y), in pixels.
    head_t2: Centre of the head in each frame, (x, y), in pixels.
    pose_t: Angle of the head around the body, in radians; 0 is to the right,
      pi / 2 is below.
    side_t: Index of the side that is visible in each frame.
    alpha_2thw: Fraction of each pixel that body and head cover, in [0, 1].
  """

  subject: int
  appearance: Appearance
  body_t2: np.ndarray
  head_t2: np.ndarray
  pose_t: np.ndarray
  side_t: np.ndarray
  alpha_2thw: np.ndarray


class Subjects(base.SyntheticDataset):
  """Clips of figures, with layouts; no subject is in two splits.

  Attributes:
    num_subjects: Number of subjects in all splits, from 6 to 120; about two
      thirds are for training.
    subjects: Numbers of the subjects in this split.
    num_references: Number of reference clips of a clip, as `reference` uint8
      `[k, t, h, w, c]` and `reference_layout` int32 `[k, t, h, w]`.
    num_sides: Number of sides of a body, from 1 to 4. Each is visible in an
      equal range of poses: with two sides, the second is visible if the head is
      above the body. The first frames of successive references show the sides
      in turn.
  """

  num_segments = len(SEGMENTS)

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
    num_subjects: int = 60,
    num_references: int = 0,
    num_sides: int = 1,
  ):
    """Creates the dataset.

    For the arguments see `base.SyntheticDataset` and the attributes of the
    class.

    Raises:
      ValueError: If there are too few subjects for all splits, or so many that
        they look alike, or another number is out of its range.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    checks.in_range('config.data.num_subjects', num_subjects, 6, 120)
    checks.in_range('config.data.num_references', num_references, 0, 100)
    checks.in_range('config.data.num_sides', num_sides, 1, 4)
    self.num_sides = num_sides
    self.num_subjects = num_subjects
    self.num_references = num_references
    self.subjects = tuple(
      i for i in range(num_subjects) if _SPLIT_OF_SIX[i % 6] == split
    )

  def __getitem__(self, index: int) -> Clip:
    clip = self._clip(index, 0)
    if self.num_references:
      others = self.references(index, self.num_references)
      clip['reference'] = np.stack([other['video'] for other in others])
      clip['reference_layout'] = np.stack([other['layout'] for other in others])
    return clip

  def references(self, index: int, num_references: int) -> list[Clip]:
    """Returns other clips of the subject of clip `index`.

    References are deterministic, and are not among the clips of any split.
    """
    return [self._clip(index, 1 + i) for i in range(num_references)]

  def subject(self, index: int) -> int:
    """Returns the number of the subject of clip `index`."""
    return base.choose(self.rng(index).random(), self.subjects)

  def appearance(self, subject: int) -> Appearance:
    """Returns the appearance of subject number `subject`."""
    # Shifts are random, so that no other colour of a subject determines them.
    hues = [subject / self.num_subjects]
    for i in range(1, self.num_sides):
      shift = 0.8 * (np.random.default_rng((subject, i)).random() - 0.5)
      hues.append((hues[0] + (i + shift) / self.num_sides) % 1)
    head_hue = subject * _GOLDEN % 1
    angle = math.pi * (subject * _GOLDEN**2 % 1)
    frequency = 1 / (1.2 * _BODY * self.side)
    return Appearance(
      np.stack([_rgb(hue, 1.0) for hue in hues]),
      _rgb(head_hue, 0.8),
      frequency * np.array([math.cos(angle), math.sin(angle)]),
    )

  def truth(self, index: int, reference: int | None = None) -> Truth:
    """Returns the subject of a clip, and its poses.

    Args:
      index: Index of the clip.
      reference: Index of one of its reference clips, whose truth to return;
        None returns that of the clip itself.
    """
    stream = 0 if reference is None else reference + 1
    _, subject, body_t2, head_t2, pose_t = self._sample(index, stream)
    alphas = [
      drawing.coverage('circle', r * self.side, c_t2, self.clip_shape[1:3])
      for r, c_t2 in ((_BODY, body_t2), (_HEAD, head_t2))
    ]
    appearance = self.appearance(subject)
    side_t = self._sides(pose_t)
    return Truth(
      subject, appearance, body_t2, head_t2, pose_t, side_t, np.stack(alphas)
    )

  def _sides(self, pose_t: np.ndarray) -> np.ndarray:
    """Returns the index of the visible side in each pose."""
    revolution_t = pose_t / (2 * math.pi) % 1
    return np.floor(revolution_t * self.num_sides).astype(int) % self.num_sides

  def _clip(self, index: int, stream: int) -> Clip:
    background_4, subject, body_t2, head_t2, pose_t = self._sample(
      index, stream
    )
    appearance = self.appearance(subject)
    t, h, w, _ = self.clip_shape
    video_thwc = drawing.gray_background(background_4, self.clip_shape)
    layout_thw = np.zeros((t, h, w), np.int32)
    body_thw = drawing.coverage('circle', _BODY * self.side, body_t2, (h, w))
    head_thw = drawing.coverage('circle', _HEAD * self.side, head_t2, (h, w))
    layout_thw[body_thw >= 0.5] = SEGMENTS.index('body')
    layout_thw[head_thw >= 0.5] = SEGMENTS.index('head')
    frame, y, x = np.nonzero(body_thw)
    offset_k2 = np.stack([x, y], axis=1) - body_t2[frame]
    wave_k = np.cos(2 * math.pi * offset_k2 @ appearance.stripes_2)
    body_k3 = appearance.body_s3[self._sides(pose_t)[frame]]
    color_kc = (5 / 6 + wave_k / 6)[:, None] * body_k3
    alpha_k1 = body_thw[frame, y, x][:, None]
    background_kc = video_thwc[frame, y, x]
    video_thwc[frame, y, x] = background_kc + alpha_k1 * (
      color_kc - background_kc
    )
    drawing.paint(
      video_thwc, 'circle', _HEAD * self.side, head_t2, appearance.head_3
    )
    return {'video': drawing.to_uint8(video_thwc), 'layout': layout_thw}

  def _sample(self, index: int, stream: int) -> tuple:
    """Returns uniform numbers for the background, subject, centres, and poses.

    The centres are those of body and head, `[t, 2]` each.
    """
    t, h, w, _ = self.clip_shape
    draws = self.rng(index, stream).random(10)
    subject = self.subject(index)
    reach = (_NECK + _HEAD) * self.side  # Reach of the head in any pose.
    free_2 = np.array([w - 1, h - 1]) - 2 * reach
    if draws[9] < 0.5:
      free_2 = free_2[::-1]
    free_along, free_across = free_2  # Along and across the path.
    distance = min(_DISTANCE * self.side, free_along)
    start = draws[5] * (free_along - distance)
    along_t = reach + start + distance * np.arange(t) / (t - 1)
    if draws[6] < 0.5:
      along_t = along_t[::-1]
    across_t = np.full(t, reach + draws[7] * free_across)
    pair = (across_t, along_t) if draws[9] < 0.5 else (along_t, across_t)
    body_t2 = np.stack(pair, axis=1)
    revolutions = base.interpolate(draws[8], -1, 1)  # In a clip.
    start = draws[4]  # Of the pose, in revolutions.
    if stream and self.num_sides > 1:
      start = ((stream - 1) % self.num_sides + start) / self.num_sides
    pose_t = 2 * math.pi * (start + revolutions * np.arange(t) / t)
    unit_t2 = np.stack([np.cos(pose_t), np.sin(pose_t)], axis=1)
    head_t2 = body_t2 + _NECK * self.side * unit_t2
    return draws[:4], subject, body_t2, head_t2, pose_t


def _rgb(hue: float, value: float) -> np.ndarray:
  return 255 * np.array(colorsys.hsv_to_rgb(hue, 0.85, value))
