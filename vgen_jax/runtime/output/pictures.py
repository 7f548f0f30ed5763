"""Pictures of clips: side by side in one video, or all frames in one image.

Small frames are enlarged by repetition of their pixels, so that nothing is
smoothed. Clips are separated by gaps and may have a label each. They are
arranged so that the picture is almost square.
"""

from collections.abc import Sequence
import dataclasses
import math
from typing import Any

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

from vgen_jax.core import pixels

_VIDEO_SIDE = 128  # Pixels of the longer side to which frames are enlarged.
_SHEET_SIDE = 64  # The same in an image of all frames, which has many.
_MAX_ENLARGEMENT = 16
_MAX_SHEET = 6000  # Pixels; frames of larger images are not enlarged.
_GAP = 6  # Pixels between clips.
_FRAME_GAP = 2  # Pixels between the frames of a clip.
_LINE = 16  # Largest number of frames in a row; longer clips have several.
_LABEL = 16  # Pixels of the height of a label.
_TITLE = 20  # Pixels of the height of the title of a section.
_PAPER, _INK = 255, 40  # Grey levels.


@dataclasses.dataclass(frozen=True, eq=False)
class Section:
  """Clips that belong together, such as the generated or the real ones.

  Attributes:
    video_bthwc: Clips as uint8 or as floats in [-1, 1]; 1 or 3 channels.
    title: Text above the clips; '' for none.
    labels: Text above each clip; () for none.

  Raises:
    ValueError: If the clips have another shape, or the number of labels is not
      that of the clips.
  """

  video_bthwc: Any
  title: str = ''
  labels: Sequence[str] = ()

  def __post_init__(self):
    object.__setattr__(self, 'video_bthwc', to_rgb(self.video_bthwc))
    if self.labels and len(self.labels) != len(self.video_bthwc):
      raise ValueError(
        f'There are {len(self.labels)} labels for {len(self.video_bthwc)}'
        ' clips; give one for each clip, or none.'
      )


def side_by_side(sections: Sequence[Section]) -> np.ndarray:
  """Returns one video of all clips, uint8 `[t, h, w, 3]`.

  Sections are below each other. A clip that is shorter than others stays at its
  last frame.

  Args:
    sections: Clips of one section or several; all frames have one size.
  """
  times = _enlargement(sections, _VIDEO_SIDE)
  last = max(len(clip) for x in sections for clip in x.video_bthwc)
  cells = [
    [
      _with_label(
        _enlarged(clip[np.minimum(np.arange(last), len(clip) - 1)], times),
        label,
      )
      for clip, label in _clips(section)
    ]
    for section in sections
  ]
  return _arranged(cells, [section.title for section in sections])


def sheet(sections: Sequence[Section]) -> np.ndarray:
  """Returns one image of all frames of all clips, uint8 `[h, w, 3]`.

  The frames of a clip are in one row, or in several rows if there are more
  than 16.

  Args:
    sections: Clips of one section or several; all frames have one size.
  """
  times = _enlargement(sections, _SHEET_SIDE)
  num_frames = sum(x.video_bthwc[..., 0, 0, 0].size for x in sections)
  h, w = sections[0].video_bthwc.shape[2:4]
  if math.sqrt(num_frames * h * w) * times > _MAX_SHEET:
    times = 1
  cells = [
    [
      _with_label(_strip(_enlarged(clip, times)), label)
      for clip, label in _clips(section)
    ]
    for section in sections
  ]
  return _arranged(cells, [section.title for section in sections])[0]


def enlarged(video_thwc: np.ndarray) -> np.ndarray:
  """Returns a single clip, enlarged if its frames are small."""
  section = Section(video_thwc[None])
  return _enlarged(section.video_bthwc[0], _enlargement([section], _VIDEO_SIDE))


def to_rgb(video_bthwc: Any) -> np.ndarray:
  """Returns clips as uint8 RGB `[b, t, h, w, 3]`; one channel becomes three.

  Args:
    video_bthwc: Clips as uint8 or as floats in [-1, 1]; other values are
      clipped.

  Raises:
    FloatingPointError: If values are NaN or infinite.
    ValueError: If the rank is not 5, or there are neither 1 nor 3 channels.
  """
  video_bthwc = np.asarray(video_bthwc)
  if video_bthwc.ndim != 5 or video_bthwc.shape[-1] not in (1, 3):
    raise ValueError(
      f'The clips to write have shape {video_bthwc.shape}; it must be'
      ' [b, t, h, w, c] with 1 or 3 channels.'
    )
  if video_bthwc.dtype != np.uint8:
    video_bthwc = pixels.to_uint8(video_bthwc.astype(np.float32))
  return np.broadcast_to(video_bthwc, (*video_bthwc.shape[:-1], 3))


def _clips(section: Section) -> list[tuple[np.ndarray, str | None]]:
  """Returns each clip of a section with its label; None if none has one."""
  labels = section.labels or [None] * len(section.video_bthwc)
  return list(zip(section.video_bthwc, labels, strict=True))


def _enlargement(sections: Sequence[Section], side: int) -> int:
  """Returns the integer factor that enlarges frames to about this side."""
  longer = max(sections[0].video_bthwc.shape[2:4])
  return min(_MAX_ENLARGEMENT, max(1, -(-side // longer)))


def _enlarged(video_thwc: np.ndarray, times: int) -> np.ndarray:
  return video_thwc.repeat(times, axis=1).repeat(times, axis=2)


def _strip(video_thwc: np.ndarray) -> np.ndarray:
  """Returns the frames of a clip next to each other, `[1, h, w, 3]`."""
  num_rows = -(-len(video_thwc) // _LINE)
  columns = -(-len(video_thwc) // num_rows)
  return _grid(list(video_thwc[:, None]), columns, _FRAME_GAP)


def _with_label(video_thwc: np.ndarray, label: str | None) -> np.ndarray:
  if label is None:
    return video_thwc
  return _below(video_thwc, _text(label, video_thwc.shape[2], _LABEL))


def _arranged(
  cells: Sequence[Sequence[np.ndarray]], titles: Sequence[str]
) -> np.ndarray:
  """Returns a picture of cells `[t, h, w, 3]`, one block for each section."""
  columns = _num_columns(cells)
  blocks: list[np.ndarray] = []
  for i, (group, title) in enumerate(zip(cells, titles, strict=True)):
    block = _grid(group, min(columns, max(map(len, cells))), _GAP)
    if title:
      block = _below(block, _text(title, block.shape[2], _TITLE))
    if i:  # A line between sections.
      line = _paper(len(block), 2, block.shape[2])
      line[:] = _INK
      block = _below(block, _padded(line[0]))
    blocks.append(block)
  return _padded(np.concatenate(blocks, axis=1))


def _num_columns(cells: Sequence[Sequence[np.ndarray]]) -> int:
  """Returns the number of columns that makes a picture almost square."""
  _, h, w, _ = cells[0][0].shape

  def distortion(columns: int) -> float:
    rows = sum(-(-len(group) // columns) for group in cells)
    empty = 1 - sum(map(len, cells)) / (rows * columns)
    return empty + abs(math.log(columns * (w + _GAP) / (rows * (h + _GAP))))

  # The larger number, if two are equally good.
  return min(range(max(map(len, cells)), 0, -1), key=distortion)


def _grid(cells: Sequence[np.ndarray], columns: int, gap: int) -> np.ndarray:
  """Returns cells `[t, h, w, 3]` in rows, with gaps between them."""
  t, h, w, _ = cells[0].shape
  rows = -(-len(cells) // columns)
  picture = _paper(t, rows * (h + gap) - gap, columns * (w + gap) - gap)
  for i, cell in enumerate(cells):
    y, x = i // columns * (h + gap), i % columns * (w + gap)
    picture[:, y : y + h, x : x + w] = cell
  return picture


def _below(video_thwc: np.ndarray, head_hwc: np.ndarray) -> np.ndarray:
  """Returns a video below an image of the same width."""
  width = video_thwc.shape[2]
  head_hwc = head_hwc[:, :width]
  head = np.broadcast_to(head_hwc, (len(video_thwc), *head_hwc.shape))
  return np.concatenate([head, video_thwc], axis=1)


def _padded(picture: np.ndarray) -> np.ndarray:
  """Returns a picture with a margin; a line of text gets none at the sides."""
  margin = [(_GAP, _GAP)] * 2 + [(0, 0)]
  if picture.ndim == 3:  # A line, which is as wide as the picture.
    return np.pad(picture, [margin[0], (0, 0), (0, 0)], constant_values=_PAPER)
  return np.pad(picture, [(0, 0), *margin], constant_values=_PAPER)


def _paper(t: int, h: int, w: int) -> np.ndarray:
  return np.full((t, h, w, 3), _PAPER, np.uint8)


def _text(text: str, width: int, height: int) -> np.ndarray:
  """Returns an image of a text in one line, cut to the width."""
  image = Image.new('RGB', (width, height), (_PAPER,) * 3)
  draw, font = ImageDraw.Draw(image), ImageFont.load_default(height * 3 // 4)
  text = ' '.join(text.split())
  shown = text
  while text and draw.textlength(shown, font=font) > width:
    text = text[:-1]
    shown = text + '..'
  draw.text((0, 0), shown, fill=(_INK,) * 3, font=font)
  return np.asarray(image)
