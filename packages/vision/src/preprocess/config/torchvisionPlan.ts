/** @file Preprocessing plans of timm and torchvision. */

import { ImageFields } from './configFields.ts';
import type { Channels } from './processorTypes.ts';
import type { ImagePlan } from '../imagePlan.ts';
import { type Resample, resampleByNumber } from '../resize/resampleFilters.ts';

// timm's IMAGENET_DEFAULT_MEAN and _STD, as in torchvision's presets.
const mean: Channels = [0.485, 0.456, 0.406];
const std: Channels = [0.229, 0.224, 0.225];

const usualCropShare = 0.875;

/** The class of torchvision's presets, which selects {@link readPresetPlan}. */
export const presetClass = 'ImageClassification';

/** The image settings in timm's `config.json`, if it is one. */
export function timmSettings(config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> | undefined {
  const settings = config['pretrained_cfg'];
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) return undefined;
  return settings as Readonly<Record<string, unknown>>;
}

/** The plan of timm's `pretrained_cfg`: `transforms_imagenet_eval`. @throws OnnxLoraError `CONFIG_INVALID` */
export function readTimmPlan(settings: Readonly<Record<string, unknown>>, path: string): ImagePlan {
  const fields = new ImageFields(settings, path);
  const [channels, height = 0, width = 0] = fields.edges('input_size', 3) ?? [3, 224, 224];
  const mode = fields.string('crop_mode') ?? 'center';
  if (channels !== 3 || (mode !== 'squash' && (mode !== 'center' || height !== width))) {
    throw fields.error(
      `"input_size" of ${[channels, height, width].join(' x ')} with "crop_mode" ${mode} is not supported: it takes three channels, and a square or the mode squash. Write a preprocessor_config.json that says the same in transformers' fields.`,
    );
  }
  const share = fields.positive('crop_pct') ?? usualCropShare;
  const enlarged = (edge: number): number => Math.floor(edge / share);
  if (enlarged(Math.min(height, width)) < 1 || enlarged(Math.max(height, width)) > 65_536) {
    throw fields.error(`"crop_pct" is ${share}, which makes no size of ${height} x ${width}. It is usually 0.875.`);
  }
  const to =
    mode === 'squash'
      ? ({ kind: 'exact', height: enlarged(height), width: enlarged(width) } as const)
      : ({ kind: 'shortest-edge', edge: enlarged(height) } as const);
  return {
    resize: { to, resample: interpolation(fields) ?? 'bicubic' },
    crop: { height, width, rounding: 'half-even' },
    normalization: normalization(fields),
  };
}

/**
 * The plan of a torchvision preset, `torchvision.transforms._presets.ImageClassification`, with its arguments in
 * `preprocessor_config.json`: `resize_size`, `crop_size`, and optionally `interpolation`, `mean` and `std`.
 * @throws OnnxLoraError `CONFIG_INVALID`, naming `path` and the field
 */
export function readPresetPlan(config: Readonly<Record<string, unknown>>, path: string): ImagePlan {
  const fields = new ImageFields(config, path);
  const [side] = fields.edges('crop_size', 1) ?? [];
  if (side === undefined) {
    throw fields.error('"crop_size" is missing. Write what weights.transforms() prints in Python.');
  }
  const [edge] = fields.edges('resize_size', 1) ?? [256];
  return {
    resize: { to: { kind: 'shortest-edge', edge: edge! }, resample: interpolation(fields) ?? 'bilinear' },
    crop: { height: side, width: side, rounding: 'half-even' },
    normalization: normalization(fields),
  };
}

function normalization(fields: ImageFields): ImagePlan['normalization'] {
  const divisors = fields.channels('std') ?? std;
  if (divisors.some((each) => each <= 0)) {
    throw fields.error(`"std" must be above 0, but is [${divisors.join(', ')}]. Correct it.`);
  }
  return { rescaleFactor: 1 / 255, mean: fields.channels('mean') ?? mean, std: divisors };
}

function interpolation(fields: ImageFields): Resample | undefined {
  const name = fields.string('interpolation');
  if (name === undefined) return undefined;
  const found = resampleByNumber.find((each) => each === name);
  if (found) return found;
  throw fields.error(
    `"interpolation" must be one of ${resampleByNumber.join(', ')}, but is ${JSON.stringify(name).slice(0, 80)}.`,
  );
}
