"""Measures predictions that are 20 times as long as those of training.

  python -m experiments.zoo.prediction.long_prediction --workdir=runs/svg

The clips are those of synthetic/two_futures, in which a disc moves up for three
frames, and then to the left or to the right. A model, trained on 8 frames,
predicts 100 frames after the known ones. The dataset defines the first 5; a
disc that moves on leaves the frame after about 9. No truth is needed for what
is measured. Predictions pass if

* one object is present in 95 % of the first 5 frames, and its median speed is
  within 25 % of the dataset's;
* in each window, frames 1 to 8, 9 to 32 and 33 to 100: in at most 10 % of the
  steps an object stalls, that is, moves at less than a quarter of that speed;
  in at most 5 % of the frames there is more than one object; where there is
  one, the saturation of its most saturated pixel is at least 0.8 of that in the
  known frames, and its hue is within 10 degrees; the background changes by at
  most 0.02 of the range of pixels;
* in at least 80 % of the clips the object leaves, that is, vanishes at the left
  or right border; in at most 10 % it vanishes elsewhere, and in at most 10 % it
  returns.

The first row, clips drawn with constant velocity, must pass; predictions that
must fail are below the model.
"""

import jax
import numpy as np
from PIL import Image

from experiments.zoo import arguments
from experiments.zoo.prediction import futures_criteria
from experiments.zoo.prediction import long_criteria
from vgen_jax.core import pixels
from vgen_jax.inference import runs
from vgen_jax.inference import sampling
from vgen_jax.runtime.output import pictures
from vgen_jax.synthetic.two_futures import source as futures_source

NUM_PREDICTED = 100
COLUMNS = (
  'present', 'excess', 'speed', 'stalled', 'contrast', 'hue', 'background',
)  # fmt: skip
_SHOWN = (3, 5, 7, 9, 11, 15, 20, 30, 50, 75, 102)  # Frames of the picture.


def constant(
  world: futures_source.TwoFutures, index_b: np.ndarray, num_frames: int
) -> np.ndarray:
  """Returns clips, uint8, in which discs move on with constant velocity.

  Args:
    world: Dataset of the clips.
    index_b: Indices of the clips.
    num_frames: Number of frames of the clips.
  """
  shape = (num_frames, *world.clip_shape[1:])
  longer = long_criteria.Constant(shape, 'validation', fork=world.fork)
  longer.length = world.clip_shape[0]
  return np.stack([longer[int(i)]['video'] for i in index_b])


def predict(run: runs.Run, video_bthwc: np.ndarray) -> np.ndarray:
  """Returns clips, uint8, whose first frames are those of `video_bthwc`."""
  variables = run.state.variables(run.config.sample_from)
  num_known = run.model.num_context
  placeholder_bthwc = pixels.to_float(video_bthwc)
  placeholder_bthwc[:, num_known:] = 0
  sample = jax.jit(
    lambda key_b: run.model.apply(
      variables, key_b, {'known_video': placeholder_bthwc}, method='sample'
    )
  )
  keys = sampling.clip_keys(0, len(video_bthwc))
  return pixels.to_uint8(np.asarray(sample(keys)))


def main() -> None:
  parser = arguments.parser(__doc__, num=128, several=True)
  parser.add_argument('--picture', default='', help='PNG file to write.')
  args = parser.parse_args()
  print(f'| predictions | frames | {" | ".join(COLUMNS)} |')
  print('|' + '---|' * (len(COLUMNS) + 2))
  index_b, sections, lines = np.arange(args.num), [], []
  for workdir in args.workdir:
    run = runs.load(workdir)
    world = futures_criteria.dataset(run)
    ideal = constant(world, index_b, world.fork + NUM_PREDICTED)
    predicted = predict(run, ideal)
    rows = {'constant velocity': ideal, 'the model': predicted}
    rows |= long_criteria.cheats(world, predicted)
    for name, video_bthwc in rows.items():
      found = long_criteria.numbers(world, video_bthwc)
      lines.append(summary(name, found))
      if name in ('constant velocity', 'the model'):
        print_windows(name, found)
    shown = predicted[:6][:, [i for i in _SHOWN if i < predicted.shape[1]]]
    sections.append(pictures.Section(shown, run.workdir))
  print('\n| predictions | leaves | fades | returns | fails |')
  print('|---|---|---|---|---|')
  print('\n'.join(lines))
  if args.picture:
    Image.fromarray(pictures.sheet(sections)).save(args.picture)


def print_windows(name: str, found: dict[str, dict[str, float]]) -> None:
  """Prints a row for each window."""
  for window, values in found.items():
    if window != 'clips':
      cells = [f'{values[column]:.3f}' for column in COLUMNS]
      print(f'| {name} | {window} | {" | ".join(cells)} |')


def summary(name: str, found: dict[str, dict[str, float]]) -> str:
  """Returns a row with the numbers of whole clips and the failed criteria."""
  clips = found['clips']
  cells = [f'{clips[key]:.2f}' for key in ('leaves', 'fades', 'returns')]
  cells.append(', '.join(long_criteria.failures(found)) or 'nothing')
  return f'| {name} | {" | ".join(cells)} |'


if __name__ == '__main__':
  main()
