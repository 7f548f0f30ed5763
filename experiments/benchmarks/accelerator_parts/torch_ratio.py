"""The train step of the video DiT against the same model in PyTorch.

First, the PyTorch model gets the weights of the Flax model, and its outputs and
gradients in float32 must be the same. Then both train in bfloat16, alternately,
the PyTorch model with torch.compile.
"""

import functools
import importlib.util
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.accelerator_parts import recording
from experiments.benchmarks.accelerator_parts import steps
from experiments.benchmarks.accelerator_parts import timing
from experiments.benchmarks.accelerator_parts import train_step

# Largest error of outputs and gradients, relative to the largest value.
TOLERANCE = 1e-3
_CASES = (
  train_step.Case('latents', 'S', 'none', 32),
  train_step.Case('latents', 'B', 'none', 16),
  train_step.Case('pixels', 'S', 'none', 64),
  train_step.Case('latents', 'L', 'none', 8),
)
_TINY = (train_step.Case('latents', 'smoke', 'none', 4),)  # As train_step's.
_NEEDS_S = 30.0  # For torch.compile above all.


def main(recorder: recording.Recorder) -> None:
  """Writes the results of this part."""
  if importlib.util.find_spec('torch') is None:
    recorder.write('PyTorch', version='absent')
    return
  recorder.measure('PyTorch', version)
  cases = _TINY if recorder.tiny else _CASES
  check = cases[0]._replace(batch_size=2)
  recorder.measure(
    f'twin of size {check.size}, float32',
    lambda: compare(check, recorder.tiny),
  )
  for case in cases:
    recorder.measure(
      f'{case.clips}, {case.size}, batch {case.batch_size}, bfloat16',
      functools.partial(race, case, recorder.tiny),
      needs=1.0 if recorder.tiny else _NEEDS_S,
    )
    jax.clear_caches()
    free_memory()


def free_memory() -> None:
  """Releases the memory that PyTorch keeps for later use."""
  import torch

  if torch.cuda.is_available():
    torch.cuda.empty_cache()


def version() -> dict[str, Any]:
  """Returns the version of PyTorch, and the device that it uses."""
  import torch

  has_gpu = torch.cuda.is_available()
  return {
    'version': torch.__version__,
    'cuda': torch.version.cuda,
    'device': torch.cuda.get_device_name(0) if has_gpu else 'cpu',
  }


def compare(case: train_step.Case, tiny: bool) -> dict[str, Any]:
  """Returns errors of outputs and gradients in PyTorch, in float32."""
  import torch

  from experiments.benchmarks.accelerator_parts import torch_dit

  settings = train_step.settings_of(case, tiny)
  settings.model['denoiser']['dtype'] = 'float32'
  model = steps.Model(settings)
  net = model.model.denoiser
  params = random_params(model)
  rng = np.random.default_rng(1)
  video = rng.standard_normal(model.batch['video'].shape, np.float32)
  time_b = rng.uniform(size=len(video)).astype(np.float32)
  label_b = np.int32(model.batch['label'])
  weights = rng.standard_normal(video.shape, np.float32)

  @jax.jit
  def exact(params, video, time_b, label_b, weights):
    def weighted(params):
      condition = {'label': label_b}
      out = net.apply({'params': params}, video, time_b, condition, train=False)
      return jnp.vdot(out, weights), out

    return jax.grad(weighted, has_aux=True)(params)

  with jax.default_matmul_precision('highest'):
    grads, out = exact(params, video, time_b, label_b, weights)
  twin = make_twin(model, torch.float32)
  torch_dit.carry_over(params, twin)
  device = next(twin.parameters()).device
  found = twin(*_tensors(device, video, time_b, np.int64(label_b)))
  (found * _tensors(device, weights)[0]).sum().backward()
  twin_grads = {name: p.grad for name, p in twin.named_parameters()}
  gradient_error = max(
    _error(twin_grads[name].cpu().numpy(), np.asarray(x))
    for name, x in torch_dit.named_arrays(grads)
  )
  error = _error(found.detach().cpu().numpy(), np.asarray(out))
  return {
    'error': error,
    'gradient_error': gradient_error,
    'tolerance': TOLERANCE,
    'agrees': max(error, gradient_error) <= TOLERANCE,
  }


def race(case: train_step.Case, tiny: bool) -> dict[str, Any]:
  """Returns milliseconds of both train steps, repeated alternately."""
  import torch

  from experiments.benchmarks.accelerator_parts import torch_step

  model = steps.Model(train_step.settings_of(case, tiny))
  trainer = steps.Trainer(model)
  trainer.run(2)
  twin = make_twin(model, torch.bfloat16)
  device = next(twin.parameters()).device
  video = model.batch['video']
  if video.dtype == np.uint8:
    video = np.float32(video) / 127.5 - 1
  batch = _tensors(device, video, np.int64(model.batch['label']))
  values = {'batch_size': case.batch_size}
  begun = time.perf_counter()
  try:
    # Compilation for a CPU would take minutes.
    backend = 'aot_eager' if tiny else 'inductor'
    compiled = torch_step.compiled(twin, backend)
    runner = torch_step.TrainStep(twin, compiled, *batch)
    runner.run(2)
    values['torch'] = f'torch.compile, {backend}'
  except Exception as error:
    if recording.is_out_of_memory(error):
      raise
    torch.compiler.reset()
    twin = make_twin(model, torch.bfloat16)
    runner = torch_step.TrainStep(twin, twin, *batch)
    runner.run(2)
    text = ' '.join(f'{type(error).__name__}: {error}'.split())
    values['torch'] = f'eager, since torch.compile failed: {text[:160]}'
  values['torch_compile_s'] = time.perf_counter() - begun
  begun = time.perf_counter()
  trainer.run(1)
  call_s = time.perf_counter() - begun
  count = timing.calls_per_repeat(call_s, 0.05 if tiny else 0.5)
  runs = {'jax': trainer.run, 'torch': runner.run}
  times = timing.interleaved(runs, count, repeats=3)
  return values | {
    'jax_ms': 1e3 * times['jax'],
    'torch_ms': 1e3 * times['torch'],
    'jax_over_torch': times['jax'] / times['torch'],
    'jax_compile_s': trainer.compile_s,
  }


def make_twin(model: steps.Model, dtype: Any) -> Any:
  """Returns the denoiser in PyTorch, with weights of its own."""
  import torch

  from experiments.benchmarks.accelerator_parts import torch_dit

  net = model.model.denoiser
  twin = torch_dit.VideoDiT(
    tuple(model.settings.clip_shape),
    net.width,
    net.depth,
    net.num_heads,
    tuple(net.patch_size),
    net.num_classes,
    dtype,
  )
  return twin.to('cuda' if torch.cuda.is_available() else 'cpu')


def random_params(model: steps.Model) -> Any:
  """Returns parameters of the denoiser of which none is zero.

  With the initial parameters the output is zero, so errors would not be
  visible.
  """
  shapes = jax.eval_shape(model.make_state).params['denoiser']
  rng = np.random.default_rng(0)

  def fill(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
    if path[-1].key == 'scale':
      return np.float32(1 + 0.1 * rng.standard_normal(leaf.shape))
    width = leaf.shape[-2] if len(leaf.shape) > 1 else 16
    return np.float32(rng.standard_normal(leaf.shape) * width**-0.5)

  return jax.tree_util.tree_map_with_path(fill, shapes)


def _tensors(device: Any, *arrays: np.ndarray) -> list[Any]:
  import torch

  return [torch.from_numpy(np.ascontiguousarray(x)).to(device) for x in arrays]


def _error(found: np.ndarray, exact: np.ndarray) -> float:
  """Returns the largest difference, relative to the largest number."""
  error = np.abs(found - exact).max() / max(np.abs(exact).max(), 1e-12)
  return float(error) if np.isfinite(error) else float('inf')


if __name__ == '__main__':
  main(recording.Recorder.from_command_line(__doc__))
