"""What a VAE must show on the made-up world; cheats must not."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest

from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.inference import hooks
from vgen_jax.inference import runs
from vgen_jax.synthetic.world import tracking
from vgen_jax.synthetic.world import verifier as judge_lib
from vgen_jax.training import loop

CONFIG = pathlib.Path(__file__).parents[3] / 'configs/vae_world.py'
NUM_CLIPS = 256
# A blob of any colour, whose edges may be soft, that moves as all objects do:
# what lies between red and green is neither, and a normal prior is there, too.
SOFT = dataclasses.replace(
  judge_lib.LOOSE,
  path_error=(0.1, 0.025),
  size_error=0.5,
  size_change=0.5,
  speed_error=0.35,
  speed_drift=0.35,
  angle_error=23.0,
  stalled_fraction=0.2,
  shape_mismatch=1.0,
  residual_rms=40.0,
  residual_patch=np.inf,
  color_error=np.inf,
  color_drift=120.0,
)
LIMITS = {  # At least; errors are negative.
  'psnr': 25.0,
  'centre': -0.7,
  'kl': 1.0,
  'heard': 6.0,
  'valid': 0.5,
  'entropy': 1.8,
}


def trained(workdir, **overrides) -> runs.Run:
  quiet = {'sample_every': 0, 'tensorboard': False, 'mesh.data': 1}
  config = config_lib.replace(config_lib.load(str(CONFIG)), quiet | overrides)
  loop.train(config, str(workdir), hooks=hooks.standard())
  return runs.load(str(workdir))


def faults(run: runs.Run, hears: bool = True) -> set[str]:
  """Returns what a run fails in; as a decoder that hears nothing, if asked."""
  world = build.source(
    run.config.data.to_dict(), run.config.clip_shape, split='validation'
  )
  clips = np.stack([world[i]['video'] for i in range(NUM_CLIPS)])
  video = clips.astype(np.float32) / 127.5 - 1
  variables = run.state.variables('fast')
  turned = np.roll(np.arange(NUM_CLIPS), 1)

  def rebuild(model, video, places):
    encoder = model.autoencoder
    bottled = encoder.bottleneck(encoder.encode(video), None, train=False)
    latent = bottled.latent_bthwd * hears
    return encoder.decode(latent[places]), bottled.loss

  rebuilt, other = (
    jax.jit(lambda v, x, places=places: run.model.apply(
      v, x, places, method=rebuild
    ))(variables, video)
    for places in (np.arange(NUM_CLIPS), turned)
  )  # fmt: skip
  psnr = lambda x: float(10 * np.log10(4 / np.square(x - video).mean()))
  centre = lambda x: tracking.track(x, world).center_bt2
  shown = np.clip((np.asarray(rebuilt[0]) + 1) * 127.5, 0, 255)
  judge = judge_lib.Verifier(world)
  assert judge.valid(judge.measure(clips), SOFT).mean() > 0.99
  measured = judge.measure(run.sample(NUM_CLIPS))
  valid_b = judge.valid(measured, SOFT)
  count_k = np.bincount(measured.factors['direction'][valid_b], minlength=8)
  share_k = count_k / max(count_k.sum(), 1)
  numbers = {
    'psnr': psnr(rebuilt[0]),
    'centre': -np.abs(centre(shown) - centre(clips)).mean(),
    'kl': float(rebuilt[1]),
    'heard': psnr(rebuilt[0]) - psnr(other[0]),
    'valid': valid_b.mean(),
    'entropy': -(share_k * np.log(np.maximum(share_k, 1e-9))).sum(),
  }
  print({name: round(float(x), 3) for name, x in numbers.items()})
  return {name for name, least in LIMITS.items() if numbers[name] < least}


@pytest.mark.slow
def test_reconstructions_and_samples(tmp_path):
  run = trained(tmp_path)
  assert not faults(run)
  # A decoder cut off from its latents says the mean of all clips.
  assert faults(run, hears=False) >= {'psnr', 'centre', 'heard'}


@pytest.mark.slow
def test_without_divergence_samples_are_nothing(tmp_path):
  run = trained(tmp_path, **{'model.beta': 0.0, 'num_steps': 800})
  assert 'valid' in faults(run)


@pytest.mark.slow
def test_posterior_collapses_beside_means(tmp_path):
  """Mean squares and mean divergence, as one writes them without a thought."""
  overrides = {
    'model.likelihood.scale': 0.5**0.5,  # Squared errors.
    'model.recon_reduction': 'mean',
    'model.kl_reduction': 'mean',
    'num_steps': 300,
  }
  assert faults(trained(tmp_path, **overrides)) >= {'kl', 'heard', 'psnr'}
