"""Figures whose looks are their own: those of a split are in no other.

A subject has a colour and a texture of its body and a colour of its head; a
clip shows it in motion, and `layout` (0 ground, 1 body, 2 head) tells its pose,
not its looks. These are to be had from reference clips of the same subject.
"""

import colorsys
import math
from typing import NamedTuple

import numpy as np

from vgen_jax.core.types import Clip
from vgen_jax.core.types import ClipShape
from vgen_jax.synthetic.world import drawing
from vgen_jax.synthetic.world import variant

SEGMENTS = ('ground', 'body', 'head')
_BODY, _HEAD = 0.075, 0.05  # Radii, in sides of a frame.
_NECK = _BODY + _HEAD  # From the middle of the body to that of the head.
_WAY = 0.56  # Of the body in a clip, in sides of a frame.
_GOLDEN = (math.sqrt(5) - 1) / 2
# Of six subjects in a row of hues four are trained on: those held out have
# looks between theirs.
_SPLIT_OF_SIX = ('train', 'train', 'validation', 'train', 'train', 'test')


class Looks(NamedTuple):
  """How a subject looks, in all its clips.

  Attributes:
    body_3: Colour of the body, from 0 to 255.
    head_3: Colour of the head.
    stripes_2: (x, y), turns of the stripes of the body per pixel; they darken
      it by up to a third.
  """

  body_3: np.ndarray
  head_3: np.ndarray
  stripes_2: np.ndarray


class Truth(NamedTuple):
  """What no pixel says outright about a clip.

  Attributes:
    subject: Its number, over all splits.
    looks: Of the subject.
    body_t2: Centre of the body in each frame, (x, y).
    head_t2: Centre of the head in each frame.
    pose_t: Angle of the head about the body, in radians; 0 is to the right,
      and a quarter turn downwards.
    alpha_2thw: Share of each pixel that body and head cover, in [0, 1].
  """

  subject: int
  looks: Looks
  body_t2: np.ndarray
  head_t2: np.ndarray
  pose_t: np.ndarray
  alpha_2thw: np.ndarray


class Subjects(variant.SyntheticDataset):
  """Clips of figures, with layouts; subjects are split, not only clips.

  Attributes:
    num_subjects: In all splits together; two thirds are for training.
    subjects: The numbers of those in this split.
    num_references: Reference clips to come with a clip, as `reference` uint8
      `[k, t, h, w, c]` and `reference_layout` int32 `[k, t, h, w]`.
  """

  def __init__(
    self,
    clip_shape: ClipShape,
    split: str = 'train',
    num_clips: int = 100_000,
    seed: int = 0,
    num_subjects: int = 60,
    num_references: int = 0,
  ):
    """Describes the world; arguments are the attributes.

    Raises:
      ValueError: If a split would be without subjects, or subjects alike.
    """
    super().__init__(clip_shape, split, num_clips, seed)
    variant.check_range('num_subjects', num_subjects, 6, 120)
    variant.check_range('num_references', num_references, 0, 100)
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

  def references(self, index: int, number: int) -> list[Clip]:
    """Returns `number` clips of the subject of clip `index`, none of them it.

    They are in no split by themselves, and the same whenever asked for.
    """
    return [self._clip(index, stream) for stream in range(1, number + 1)]

  def subject(self, index: int) -> int:
    """Returns the number of the subject of clip `index`."""
    return variant.pick(self.rng(index).random(), self.subjects)

  def looks(self, subject: int) -> Looks:
    """Returns how subject number `subject` looks."""
    hue = subject / self.num_subjects
    other = subject * _GOLDEN % 1
    angle = math.pi * (subject * _GOLDEN**2 % 1)
    turns = 1 / (1.2 * _BODY * self.side)
    return Looks(
      _rgb(hue, 1.0),
      _rgb(other, 0.8),
      turns * np.array([math.cos(angle), math.sin(angle)]),
    )

  def truth(self, index: int, reference: int | None = None) -> Truth:
    """Returns the subject of clip `index`, and its poses.

    Args:
      index: Of the clip.
      reference: Which of its references, from 0, to tell of; None tells of the
        clip itself.
    """
    stream = 0 if reference is None else reference + 1
    _, subject, body_t2, head_t2, pose_t = self._draw(index, stream)
    alphas = [
      drawing.coverage('circle', r * self.side, c_t2, self.clip_shape[1:3])
      for r, c_t2 in ((_BODY, body_t2), (_HEAD, head_t2))
    ]
    looks = self.looks(subject)
    return Truth(subject, looks, body_t2, head_t2, pose_t, np.stack(alphas))

  def _clip(self, index: int, stream: int) -> Clip:
    ground_4, subject, body_t2, head_t2, _ = self._draw(index, stream)
    looks = self.looks(subject)
    t, h, w, _ = self.clip_shape
    video_thwc = variant.grey_ground(ground_4, self.clip_shape)
    layout_thw = np.zeros((t, h, w), np.int32)
    body_thw = drawing.coverage('circle', _BODY * self.side, body_t2, (h, w))
    head_thw = drawing.coverage('circle', _HEAD * self.side, head_t2, (h, w))
    layout_thw[body_thw >= 0.5] = SEGMENTS.index('body')
    layout_thw[head_thw >= 0.5] = SEGMENTS.index('head')
    frame, y, x = np.nonzero(body_thw)
    offset_k2 = np.stack([x, y], axis=1) - body_t2[frame]
    wave_k = np.cos(2 * math.pi * offset_k2 @ looks.stripes_2)
    color_kc = (5 / 6 + wave_k / 6)[:, None] * looks.body_3
    alpha_k1 = body_thw[frame, y, x][:, None]
    ground_kc = video_thwc[frame, y, x]
    video_thwc[frame, y, x] = ground_kc + alpha_k1 * (color_kc - ground_kc)
    variant.paint(
      video_thwc, 'circle', _HEAD * self.side, head_t2, looks.head_3
    )
    return {'video': variant.finish(video_thwc), 'layout': layout_thw}

  def _draw(self, index: int, stream: int) -> tuple:
    """Returns draws, subject, centres of body and head `[t, 2]`, and poses."""
    t, h, w, _ = self.clip_shape
    draws = self.rng(index, stream).random(10)
    subject = self.subject(index)
    reach = (_NECK + _HEAD) * self.side  # Of the head, wherever it turns.
    room_2 = np.array([w - 1, h - 1]) - 2 * reach
    if draws[9] < 0.5:
      room_2 = room_2[::-1]
    ahead, side = room_2  # Along its way, and across.
    way = min(_WAY * self.side, ahead)
    start = draws[5] * (ahead - way)
    along_t = reach + start + way * np.arange(t) / (t - 1)
    if draws[6] < 0.5:
      along_t = along_t[::-1]
    across_t = np.full(t, reach + draws[7] * side)
    pair = (across_t, along_t) if draws[9] < 0.5 else (along_t, across_t)
    body_t2 = np.stack(pair, axis=1)
    turn = variant.between(draws[8], -1, 1)  # In a clip.
    pose_t = 2 * math.pi * (draws[4] + turn * np.arange(t) / t)
    unit_t2 = np.stack([np.cos(pose_t), np.sin(pose_t)], axis=1)
    head_t2 = body_t2 + _NECK * self.side * unit_t2
    return draws[:4], subject, body_t2, head_t2, pose_t


def _rgb(hue: float, value: float) -> np.ndarray:
  return 255 * np.array(colorsys.hsv_to_rgb(hue, 0.85, value))
