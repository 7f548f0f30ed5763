"""Definitions of the values of the verifier of `World`, one sentence each."""

_FROM = 'Source: synthetic/world/verifier.py.'
_OF_LIMIT = 'Source: synthetic/world/tiers.py.'
_OF_FEATURE = 'Source: synthetic/world/features.py.'

VALUES = {
  'validity_loose': 'Proportion of clips that show one object with the'
  f' appearance and motion of the dataset, within the loose limits. {_FROM}',
  'validity_strict': 'Proportion of clips that show one object with the'
  f' appearance and motion of the dataset, within the strict limits. {_FROM}',
  'valid_and_correct': 'Proportion of clips that are valid (loose) and of the'
  f' requested class. {_FROM}',
  'class_accuracy_valid': 'Proportion of the valid clips that are of the'
  f' requested class. {_FROM}',
  'class_accuracy_all': 'Proportion of all clips that are of the requested'
  f' class. {_FROM}',
  'caption_accuracy': 'Proportion of clips with all requested properties.'
  f' {_FROM}',
  'accuracy_*': f'Proportion of clips with the requested property. {_FROM}',
  'coverage': 'Number of combinations of properties among valid clips, relative'
  f' to that expected of as many real clips. {_FROM}',
  'entropy_*': 'Entropy of the property among all clips, relative to that of a'
  f' uniform distribution. {_FROM}',
  'object_permanence': 'Proportion of clips with the object in every frame.'
  f' {_FROM}',
  'object_presence': 'Proportion of frames that show an object of its usual'
  f' size. {_OF_FEATURE}',
  'shape_iou': 'Overlap of the object with an ideal one of its shape, averaged'
  f' over frames. {_OF_FEATURE}',
  'shape_switch_fraction': 'Proportion of frames that resemble another shape'
  f' than the first frame does. {_OF_FEATURE}',
  'stalled_fraction': 'Proportion of steps between successive frames in which'
  f' the object stands still. {_OF_LIMIT}',
  'stutter_fraction': "Proportion of steps far below the object's own speed."
  f' {_OF_LIMIT}',
  'path_error': f'Root mean square distance to the fitted path. {_OF_LIMIT}',
  'step_error': 'Largest difference between a step and that of the fitted path.'
  f' {_OF_LIMIT}',
  'size_error': 'Difference of the mean radius from that of the nearest size,'
  f' relative to the radius of that size. {_OF_LIMIT}',
  'size_change': 'Largest minus smallest radius, relative to the nearest size.'
  f' {_OF_LIMIT}',
  'speed_error': 'Difference from the nearest speed, relative to that speed.'
  f' {_OF_LIMIT}',
  'speed_drift': 'Difference of the speed of either half of a clip from that of'
  f' the whole clip, relative to the speed of the clip. {_OF_LIMIT}',
  'angle_error': f'Angle to the nearest direction. {_OF_LIMIT}',
  'shape_mismatch': 'Largest amount by which the overlap with another shape'
  f" exceeds that with the clip's shape. {_OF_LIMIT}",
  'residual_rms': 'Root mean square, in the worst frame, of what an ideal'
  f' object does not explain. {_OF_LIMIT}',
  'residual_patch': 'Length of the mean colour of what an ideal object does not'
  f' explain, over the worst small patch. {_OF_LIMIT}',
  'color_error': 'Distance to the nearest colour in the worst frame.'
  f' {_OF_LIMIT}',
  'color_drift': f'Largest change of colour over time. {_OF_LIMIT}',
  'verifier_frechet*': 'Frechet distance between Gaussians that fit features of'
  f' the verifier, of generated and of real clips. {_OF_FEATURE}',
}
