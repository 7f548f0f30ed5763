"""What do the flow and the critic of sequences contribute to vid2vid?

The config vid2vid_layouts:small is trained for 1,000 steps as it is, without
the critic of sequences, and without losses of flow and of masks. In the last
case the critic of sequences is given a flow of zeros, and only the errors of
the image determine how the network uses its flow and its mask. Each of the
three is trained on clips of the config, whose frames follow from their layouts
and from a background that does not move, and on clips of a moving camera, in
which waves of the background move in each frame and do not follow from the
layout; two frames are given, from which the motion of the camera is known. The
numbers are those of video_translation.py, for 64 clips of the split
`validation`: the warp error, a multiple of that of real clips, is the one that
should increase. The mean absolute error of generated frames, of pixels from 0
to 1, shows whether the warp error is low because frames are blurred.

  vgen ablate --workdir=runs/x \
      --experiment=experiments/zoo/translation/flow_and_critics.py
"""

import pathlib

from vgen_jax.ablation import sweep
from vgen_jax.config import loading
from vgen_jax.config import python_files
from vgen_jax.inference import runs

_FOLDER = pathlib.Path(__file__).parent
_CRITERIA = python_files.run(str(_FOLDER / 'translation_criteria.py'))
_CLIPS = python_files.run(str(_FOLDER / 'translated_clips.py'))
_NUM_CLIPS = 64

BASE = 'vid2vid_layouts:small'
_CRITIC = loading.load(BASE).model.critic.to_dict()
_WITHOUT = {
  'critic': {'model.critic': {'image': _CRITIC['image']}},
  'flow': {
    'data.flow': False,
    'model.flow_source': 'none',
    'model.flow_weight': 0.0,
    'model.consistency_weight': 0.0,
    'model.mask_weight': 0.0,
  },
}


def _measure(run: runs.Run) -> dict[str, float]:
  options = {k: x for k, x in run.config.data.items() if k != 'name'}
  clips = _CRITERIA['load'](tuple(run.config.clip_shape), _NUM_CLIPS, **options)
  frames = _CLIPS['frames'](run, clips.video_bthwc, clips.layout_bthw)
  start = run.model.num_context
  fake = _CLIPS['whole'](clips.video_bthwc, frames.frame_bhwc, start)
  video = _CRITERIA['video_numbers'](fake, clips)
  layers = _CRITERIA['layer_numbers'](
    frames.previous.flow_bhwx,
    frames.previous.mask_bhw,
    type(clips)(*(x[:, start:] for x in clips)),
  )
  error = abs(fake - clips.video_bthwc)[:, start:].mean()
  numbers = {**video._asdict(), **layers._asdict()}
  return {**numbers, 'frame_error': float(error)}


# The motion of the camera is known from two frames.
_PANS = {
  'data.pans': True,
  'data.texture': 'waves',
  'model.num_context': 2,
}

SWEEP = sweep.product(
  sweep.chain([{}], [_PANS]),
  sweep.chain([{}], [_WITHOUT['critic']], [_WITHOUT['flow']]),
  sweep.param('num_steps', 1_000),
  sweep.param('seed', 0),
)
# A training without the critic of sequences sets the critic of frames.
ROWS = ('data.pans', 'model.critic.image.name', 'model.flow_source')
VALUE = 'warp_error'
MEASURE = _measure
