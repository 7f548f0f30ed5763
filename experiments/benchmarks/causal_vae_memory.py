"""Measures the memory that the causal autoencoder needs for longer clips.

  python -m experiments.benchmarks.causal_vae_memory --frames=16,64,256

Compiles the encoder and the decoder of `configs/causal_vae_world.py` for clips
of one frame plus `--frames` more, for the whole clip at once and in chunks
under `lax.scan`. Prints the memory that the compiler plans for temporaries, in
MiB, as a Markdown table, and then a line of JSON. Nothing is executed, so it
runs on any machine.
"""

import argparse
from collections.abc import Callable
import json

import jax
from jax import lax
import jax.numpy as jnp

from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.models import vae3d

_MIB = 2**20


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    '--config',
    default='configs/causal_vae_world.py:small',
    help='Config to use.',
  )
  parser.add_argument(
    '--frames', default='16,64,256', help='Numbers of frames after the first.'
  )
  parser.add_argument('--chunk', type=int, default=8, help='Frames in a chunk.')
  args = parser.parse_args()
  config = config_lib.load(args.config)
  source = build.source(config.data.to_dict(), config.clip_shape)
  model = build.model(config.model.to_dict(), source.schema).autoencoder
  frame_shape = tuple(config.clip_shape[1:])
  first = jax.ShapeDtypeStruct((1, 1, *frame_shape), jnp.float32)
  # Of one frame: clips of any length have the same parameters.
  variables = jax.eval_shape(model.init, jax.random.key(0), first)

  print(f'{args.config}, {jax.default_backend()}, JAX {jax.__version__}\n')
  print('| frames | encode | in chunks | decode | in chunks |')
  print('|---|---|---|---|---|')
  rows = {}
  for count in map(int, args.frames.split(',')):
    clip = jax.ShapeDtypeStruct((1, 1 + count, *frame_shape), jnp.float32)
    latent_shape = model.latent_shape(clip.shape[1:])
    latent = jax.ShapeDtypeStruct((1, *latent_shape), jnp.float32)
    row = []
    for method, x, chunk in (
      ('latents', clip, args.chunk),
      ('from_latents', latent, args.chunk // model.frames_per_latent),
    ):
      whole = lambda v, x, method=method: model.apply(v, x, method=method)
      row.append(_planned(whole, variables, x))
      row.append(_planned(_chunked(model, method, chunk), variables, x))
    rows[1 + count] = row
    print(f'| 1 + {count} | {" | ".join(f"{x:.1f}" for x in row)} |')
  print(json.dumps({'causal_vae_memory': rows}))


def _chunked(model: vae3d.VAE3D, method: str, chunk: int) -> Callable:
  """Returns a method that takes the first frame, then chunk after chunk."""

  def call(variables, x_bthwc):
    def step(past, start):  # Slices, so that the scan does not copy the clip.
      x = lax.dynamic_slice_in_dim(x_bthwc, start, chunk, axis=1)
      return model.apply(variables, method, past, x, method='stream')

    past, first = model.apply(
      variables, method, None, x_bthwc[:, :1], method='stream'
    )
    starts = jnp.arange(1, x_bthwc.shape[1], chunk)
    _, parts = lax.scan(step, past, starts)
    return first, parts

  return call


def _planned(function: Callable, variables, x) -> float:
  """Returns the temporary memory of a compiled function in MiB."""
  compiled = jax.jit(function).lower(variables, x).compile()
  return compiled.memory_analysis().temp_size_in_bytes / _MIB


if __name__ == '__main__':
  main()
