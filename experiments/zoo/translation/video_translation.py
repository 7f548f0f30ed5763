"""Checks a translator of layouts to video against the truth of its dataset.

  python -m experiments.zoo.translation.video_translation \
      --workdir=runs/vid2vid --num=64

Clips of `synthetic.layouts`, split `validation`, are generated from their first
frame and their layouts. The script prints, for the generated clips:

- the error of the mean colour of each class, from 0 to 1, averaged over
  classes, and the intersection over union (IoU) of objects with those that are
  found in the generated pixels by colour, averaged over classes;
- the mean absolute difference between frames and previous frames warped by the
  true flow, over all pixels whose source is within the frame, as a multiple of
  that of the real clips;
- the error of the network's flow, in pixels, on visible pixels of objects, and
  the mean of its mask on pixels that were hidden in the previous frame, and on
  all others;
- the error of new pixels of objects, with and without the foreground branch;
- the drift of the colour of each class over 100 frames, whose layouts are those
  of the clips, played forwards and backwards alternately.

A translator passes with a colour error of at most 0.05, an IoU of at least 0.9,
a warp error of at most 1.5, a flow error of at most 0.5 pixels, masks of at
least 0.7 and at most 0.3, and a drift of at most 0.05. The same numbers are
printed for cheats, which must not pass. --picture writes three clips.
"""

import re
from typing import Any

import numpy as np
from PIL import Image

from experiments.zoo import arguments
from experiments.zoo.translation import translated_clips as translated
from experiments.zoo.translation import translation_criteria as criteria
from vgen_jax.inference import runs
from vgen_jax.runtime.output import pictures
from vgen_jax.synthetic import drawing

LONG = 100  # Frames of the long clips.


def main() -> None:
  parser = arguments.parser(__doc__, num=64)
  parser.add_argument('--picture', default='', help='PNG file to write.')
  args = parser.parse_args()
  run = runs.load(args.workdir)
  options = {k: x for k, x in run.config.data.items() if k != 'name'}
  clips = criteria.load(tuple(run.config.clip_shape), args.num, **options)
  frames = translated.frames(run, clips.video_bthwc, clips.layout_bthw)
  start = run.model.num_context
  fake = translated.whole(clips.video_bthwc, frames.frame_bhwc, start)
  if args.picture:
    picture(args.picture, clips, fake)
  arms = {
    'generated': fake,
    'real': clips.video_bthwc,
    **criteria.cheats(clips),
  }
  _print_table(
    '| clips | colour error | IoU | warp error | passes |',
    {
      name: criteria.video_numbers(video, clips) for name, video in arms.items()
    },
  )
  later = criteria.Clips(*(x[:, start:] for x in clips))
  layers = frames.previous.flow_bhwx, frames.previous.mask_bhw
  arms = {'of the network': layers, **criteria.layer_cheats(*layers, later)}
  _print_table(
    '| layers | flow error | mask, hidden | mask, visible | passes |',
    {name: criteria.layer_numbers(*each, later) for name, each in arms.items()},
  )
  if getattr(run.model.generator, 'foreground', False):
    plain = translated.frames(
      run, clips.video_bthwc, clips.layout_bthw, foreground=False
    )
    for name, each in (('with', frames), ('without', plain)):
      error = translated.to_unit(each.new_bhwc) - later.video_bthwc
      error = abs(error).mean(axis=-1)[later.layout_bthw > 0].mean()
      print(f'Error of new pixels of objects, {name} foreground: {error:.4f}')
  long = criteria.back_and_forth(clips, LONG)
  frames = translated.frames(run, long.video_bthwc[:, :start], long.layout_bthw)
  fake = translated.whole(long.video_bthwc, frames.frame_bhwc, start)
  print(
    f'Drift of colours over {LONG} frames: {criteria.drift(fake, long):.4f}'
  )
  still = long.video_bthwc[:, :1].repeat(LONG, axis=1)
  print(f'Drift of a repeated first frame: {criteria.drift(still, long):.4f}')


def picture(file: str, clips: criteria.Clips, fake_bthwc: np.ndarray) -> None:
  """Writes the first three clips: layout, generated clip and real clip."""
  color_nc = np.stack([np.zeros(3), *drawing.COLORS.values()]) / 255
  layout_bthwc = color_nc[clips.layout_bthw]
  sections = [
    pictures.Section(
      2 * np.stack([layout_bthwc[i], fake_bthwc[i], clips.video_bthwc[i]]) - 1,
      labels=('layout', 'generated', 'real'),
    )
    for i in range(min(3, len(fake_bthwc)))
  ]
  Image.fromarray(pictures.sheet(sections)).save(file)


def _print_table(head: str, rows: dict[str, Any]) -> None:
  print(head)
  print(re.sub(r'[^|]+', '---', head))
  for name, found in rows.items():
    numbers = ' | '.join(f'{x:.3f}' for x in found)
    print(f'| {name} | {numbers} | {found.passes} |')
  print()


if __name__ == '__main__':
  main()
