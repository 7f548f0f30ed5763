"""Clips for a browser: one image with all frames, which a script plays.

A video element does not show exact frames and, in yuv420p, not the exact
colours of small clips. A sheet of frames in lossless WebP shows both, plays in
synchrony with the other clips, and is smaller than the same clip in H.264.
"""

import base64
from collections.abc import Mapping, Sequence
import io
import math

import numpy as np
from PIL import Image

from vgen_jax.evaluation.report import markup

_SIDE = 128  # Side of a clip on the screen; larger in rows of many clips.
_WIDTH, _GAP = 1200, 8  # Width of a row, and gap between its clips, in pixels.
_MAX_BYTES = 24e6  # Largest size of lossless clips; more are compressed.

Clips = Mapping[str, np.ndarray]  # As `results.read_clips` returns them.


def rows(
  names: Sequence[str],
  clips: Sequence[Clips],
  frames_per_second: Sequence[float],
) -> markup.Markup | None:
  """Returns rows of clips and controls that play them; None without clips.

  A row has clips of equal noise, one for each run, and a real clip.

  Args:
    names: Names of the runs.
    clips: uint8 clips of each run; {} for none.
    frames_per_second: Frame rate of each run.
  """
  tiles = _tiles(names, clips, frames_per_second)
  videos = {id(tile[1]): tile[1] for row in tiles.values() for tile in row}
  if not videos:
    return None
  sheets = {key: sheet(video_thwc) for key, video_thwc in videos.items()}
  is_exact = sum(map(len, sheets.values())) <= _MAX_BYTES
  if not is_exact:
    sheets = {key: sheet(video, exact=False) for key, video in videos.items()}
  figures = [_figure(key, row, sheets) for key, row in tiles.items()]
  lead = (
    'Each clip is next to a real one.'
    if len(names) == 1
    else 'Clips with the same number and seed are side by side, next to a real'
    ' one.'
  )
  loss = '' if is_exact else ' Clips are compressed: colours are approximate.'
  return markup.join(
    markup.element(
      'p',
      lead + ' All clips play in synchrony. Click a clip to enlarge it. Space'
      ' plays and pauses, the arrow keys step by one frame.' + loss,
      class_='lead',
    ),
    markup.element('div', figures, class_='clips'),
    _transport(),
  )


def sheet(video_thwc: np.ndarray, exact: bool = True) -> bytes:
  """Returns a WebP image of all frames, in rows of `columns(t)` frames.

  Args:
    video_thwc: uint8 clip with 1 or 3 channels.
    exact: Whether compression is lossless.

  Raises:
    ValueError: If `video_thwc` is not such a clip.
  """
  shape, dtype = video_thwc.shape, video_thwc.dtype
  if (
    dtype != np.uint8
    or len(shape) != 4
    or shape[-1] not in (1, 3)
    or 0 in shape
  ):
    raise ValueError(
      f'A clip to show has dtype {dtype} and shape {shape}; it must be uint8'
      ' [t, h, w, c], not empty, with 1 or 3 channels.'
    )
  t, h, w, c = shape
  across = columns(t)
  down = -(-t // across)
  blank = np.zeros((across * down - t, h, w, c), np.uint8)
  frames = np.concatenate([video_thwc, blank]).reshape(down, across, h, w, c)
  image_hwc = frames.swapaxes(1, 2).reshape(down * h, across * w, c)
  image = Image.fromarray(np.repeat(image_hwc, 3 // c, axis=-1))
  file = io.BytesIO()
  image.save(file, 'webp', lossless=exact, quality=75 if exact else 90)
  return file.getvalue()


def columns(num_frames: int) -> int:
  """Returns the number of columns of a sheet."""
  return math.ceil(math.sqrt(num_frames))


# Caption of a tile, its clip, frame rate, and index of its colour.
_Tile = tuple[str, np.ndarray, float, int | None]
# Title, number and seed of the clips in a row.
_Name = tuple[str, int, int]


def _tiles(
  names: Sequence[str],
  clips: Sequence[Clips],
  frames_per_second: Sequence[float],
) -> dict[_Name, list[_Tile]]:
  """Returns the tiles of each row; equal real clips are shown once."""
  rows: dict[_Name, list[_Tile]] = {}
  for kind in ('generated', 'real'):
    for number, (name, found) in enumerate(zip(names, clips, strict=True)):
      if len(names) == 1:
        name, color = kind, None
      elif kind == 'generated':
        color = number
      else:
        name, color = 'real', None
      videos = found.get(kind, ())
      has_clip = found.get('has_real', ()) if kind == 'real' else ()
      for i, video in enumerate(videos):
        if len(has_clip) and not has_clip[i]:
          continue
        title = str(found['title'][i])
        # Earlier versions stored the number of the clip as its seed.
        seeds = found['seed'] if 'clip' in found else np.zeros(len(videos), int)
        number_b = found.get('clip', found['seed'])
        row = rows.setdefault((title, int(number_b[i]), int(seeds[i])), [])
        if kind == 'generated' or not any(
          tile[0] == 'real' and np.array_equal(tile[1], video) for tile in row
        ):
          row.append((name, video, frames_per_second[number], color))
  return rows


def _figure(
  key: _Name, row: Sequence[_Tile], sheets: Mapping[int, bytes]
) -> markup.Markup:
  title, number, seed = key
  which = f'clip {number} of seed {seed}'
  # A row of four or more clips has its own line, which it fills.
  side = (_WIDTH + _GAP) / len(row) - _GAP if len(row) > 3 else _SIDE
  tiles = [
    markup.element(
      'span',
      markup.element('span', name, class_='of', title=name),
      _canvas(
        video_thwc, rate, sheets[id(video_thwc)], f'{name}, {title}', side
      ),
      class_='tile' if color is None else f'tile run{color % 8}',
    )
    for name, video_thwc, rate, color in row
  ]
  return markup.element(
    'figure',
    markup.element(
      'button',
      tiles,
      type='button',
      class_='tiles',
      aria_label=f'Enlarge {title}, {which}',
    ),
    markup.element(
      'figcaption', markup.element('b', title), f' {which}', title=title
    ),
  )


def _canvas(
  video_thwc: np.ndarray, rate: float, sheet_: bytes, label: str, side: float
) -> markup.Markup:
  t, h, w, _ = video_thwc.shape
  uri = 'data:image/webp;base64,' + base64.b64encode(sheet_).decode()
  return markup.element(
    'canvas',
    width=w,
    height=h,
    style=f'width:{w * max(1, int(side / max(h, w)))}px',
    role='img',
    aria_label=label,
    data_sheet=uri,
    data_frames=t,
    data_columns=columns(t),
    data_rate=rate,
  )


def _transport() -> markup.Markup:
  speeds = [
    markup.element(
      'option', f'{speed}{markup.TIMES}', value=speed, selected=speed == 1
    )
    for speed in (0.25, 0.5, 1, 2)
  ]
  return markup.element(
    'div',
    markup.element(
      'button', type='button', class_='play', aria_label='Play', title='Space'
    ),
    markup.empty(
      'input',
      type='range',
      class_='scrub',
      min=0,
      max=0,
      step=1,
      value=0,
      aria_label='Frame',
    ),
    markup.element('output', class_='count'),
    markup.element('select', speeds, class_='speed', aria_label='Speed'),
    class_='transport',
  )
