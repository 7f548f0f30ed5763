"""Turns the specs of a config into objects: the only reader of their names.

A spec is a dict with a 'name', 'file.Class', and keyword arguments:
`{'name': 'dit.VideoDiT', 'width': 64, ...}` stands for
`vgen_jax.models.dit.VideoDiT(width=64, ...)`. There is no registry to sign:
a name is a place, so grep and the file tree find what a config means. A file in
a room of its package is named with it, `worlds.bounce.Bounce`.

A class that takes `clip_shape`, `num_classes`, `vocab_size`, `action_width` or
`audio_bands`, and is not given them by its spec, gets them from the data.
"""

from collections.abc import Mapping
import difflib
import importlib
import inspect
import pkgutil
from typing import Any

import flax.linen as nn

from vgen_jax.types import ClipShape
from vgen_jax.types import Schema


def model(spec: Mapping[str, Any], schema: Schema) -> Any:
  """Returns the family that `spec` names, with its networks in place.

  Raises:
    ValueError: If a name or an argument does not exist, or one is missing.
  """
  num_classes = spec.get('num_classes', schema.num_classes)
  if num_classes not in (0, schema.num_classes):
    raise ValueError(
      f'config.model.num_classes is {num_classes}; the data has'
      f' {schema.num_classes} classes: leave it out, or set 0 to ignore them.'
    )
  context = {
    'clip_shape': tuple(schema.clip_shape),
    'num_classes': num_classes,
    'vocab_size': schema.vocab_size,
    'action_width': schema.action_width,
    'audio_bands': schema.audio_bands,
  }
  return _build('vgen_jax.families', spec, context, 'config.model')


def source(spec: Mapping[str, Any], clip_shape: ClipShape, **context) -> Any:
  """Returns the source of clips that `spec` names.

  Args:
    spec: As in `config.data`.
    clip_shape: (t, h, w, c) of the clips to serve.
    **context: Further arguments for a class that takes them, such as `split`;
      the spec's own come first.
  """
  context = {'clip_shape': tuple(clip_shape), **context}
  return _build('vgen_jax.data', spec, context, 'config.data')


def hint(word: str, known: list[str]) -> str:
  """Returns ' Did you mean ...?' or, if nothing is near, what there is."""
  by_lower = {name.lower(): name for name in known}
  close = difflib.get_close_matches(word.lower(), by_lower, n=1)
  if not close:
    return f' It has {known}.'
  return f' Did you mean {by_lower[close[0]]!r}?'


def _build(
  package: str, spec: Mapping[str, Any], context: Mapping[str, Any], path: str
) -> Any:
  """Calls what `spec` names in `package`, with `context` where it fits."""
  if 'name' not in spec:
    raise ValueError(f"{path} has no 'name'; it needs one, 'file.Class'.")
  kwargs = {
    k: _value(v, context, f'{path}.{k}', package)
    for k, v in spec.items()
    if k != 'name'
  }
  cls = _resolve(package, spec['name'], path)
  parameters = {
    k: p
    for k, p in inspect.signature(cls).parameters.items()
    if not (issubclass(cls, nn.Module) and k in ('parent', 'name'))
  }
  for key in kwargs:
    if key not in parameters:
      raise ValueError(
        f'{path}: {spec["name"]} takes no {key!r}.{hint(key, list(parameters))}'
      )
  kwargs = {k: v for k, v in context.items() if k in parameters} | kwargs
  missing = [
    k for k, p in parameters.items() if p.default is p.empty and k not in kwargs
  ]
  if missing:
    raise ValueError(f'{path}: {spec["name"]} needs {missing} as well.')
  return cls(**kwargs)


def _value(
  value: Any, context: Mapping[str, Any], path: str, package: str
) -> Any:
  """Builds the specs inside a spec; leaves plain values as they are."""
  if isinstance(value, list):
    return tuple(
      _value(v, context, f'{path}[{i}]', package) for i, v in enumerate(value)
    )
  if not isinstance(value, Mapping):
    return value
  if 'name' in value:
    if package == 'vgen_jax.data':  # Data is made of data alone.
      return _build(package, value, context, path)
    file = value['name'].partition('.')[0]
    # Networks, or a method or a layer kept as data beside them.
    rooms = ('families', 'models', 'nn', 'pretrained')
    rooms = [f'vgen_jax.{room}' for room in rooms]
    found = [room for room in rooms if file in _files(room)]
    package = (found or ['vgen_jax.models'])[0]
    return _build(package, value, context, path)
  return {
    k: _value(v, context, f'{path}.{k}', package) for k, v in value.items()
  }


def _files(package: str) -> list[str]:
  places = getattr(importlib.import_module(package), '__path__', ())
  return [module.name for module in pkgutil.iter_modules(places)]


def _resolve(package: str, name: str, path: str) -> type:
  *files, cls = name.split('.') if '.' in name else (name, '')
  place = package
  for file in files:
    known = _files(place)
    if file not in known:
      raise ValueError(
        f'{path}.name is {name!r}: no file {file!r} in'
        f' {place}.{hint(file, known)}'
      )
    place = f'{place}.{file}'
  module = importlib.import_module(place)
  classes = [
    name
    for name, value in inspect.getmembers(module, inspect.isclass)
    if value.__module__ == module.__name__  # Not what it imports.
    and not name.startswith('_')
  ]
  if cls not in classes:
    raise ValueError(
      f'{path}.name is {name!r}: no class {cls!r} in'
      f' {place}.{hint(cls, classes or _files(place))}'
    )
  return getattr(module, cls)
