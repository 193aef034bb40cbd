/** @file Parses transformers' `preprocessor_config.json` into a plan. */

import { ImageFields } from './configFields.ts';
import { misleadingTypes, type ProcessorDefaults, processorTypes, shortTypeName } from './processorTypes.ts';
import type { ImagePlan, Normalization, ResizeStep, SizeRule } from '../imagePlan.ts';

/** Fields allowed for an unknown processor: supported ones, and those without an effect on pixels. */
const knownFields: ReadonlySet<string> = new Set(
  [
    'do_resize size max_size resample default_to_square do_center_crop crop_size do_pad pad_size',
    'do_reduce_labels reduce_labels',
    'do_rescale rescale_factor do_normalize image_mean image_std do_convert_rgb',
    'image_processor_type feature_extractor_type processor_class transformers_version',
    'data_format input_data_format device return_tensors disable_grouping',
  ].flatMap((line) => line.split(' ')),
);

const rescaleFactor = 1 / 255;

/**
 * Parses `preprocessor_config.json`. Known classes (`processorTypes`) have defaults for older files; an unknown class
 * must state everything in supported fields.
 * @throws OnnxLoraError `CONFIG_INVALID`, naming `path` and the field, for wrong types and unsupported values
 */
export function readImagePlan(config: Readonly<Record<string, unknown>>, path: string): ImagePlan {
  const fields = new ImageFields(config, path);
  const className = fields.string('image_processor_type') ?? fields.string('feature_extractor_type');
  const type = className === undefined ? undefined : shortTypeName(className);
  const defaults = type === undefined ? undefined : processorTypes.get(type);
  if (!defaults) refuseUnknown(fields, className, type);

  const resize = (fields.boolean('do_resize') ?? true) ? readResize(fields, defaults) : undefined;
  const convNext =
    defaults?.cropShare === undefined ? undefined : resizeLikeConvNext(resize, fields, defaults.cropShare);
  const crop = convNext ? convNext.crop : readCrop(fields, defaults);
  const pad = readPad(fields, defaults);
  const plannedResize = convNext ? convNext.resize : resize;
  const flips = fields.boolean('do_flip_channel_order') ?? defaults?.flipsChannels ?? false;
  const reduceLabels = fields.boolean('do_reduce_labels') ?? fields.boolean('reduce_labels') ?? false;
  return {
    ...(plannedResize && { resize: plannedResize }),
    ...(crop && { crop }),
    normalization: readNormalization(fields, defaults),
    ...(flips && { channelOrder: 'bgr' as const }),
    ...(pad && { pad }),
    ...(reduceLabels && { reduceLabels }),
  };
}

function refuseUnknown(fields: ImageFields, className: string | undefined, type: string | undefined): void {
  const known = [...processorTypes.keys()].map((name) => `${name}ImageProcessor`).join(', ');
  if (type !== undefined && misleadingTypes.has(type)) {
    throw fields.error(
      `${className} resizes by unsupported rules of its own. Known are ${known}; bring a PreprocessorFactory of your own in a plugin for this one.`,
    );
  }
  const unknownFields = fields.names.filter((name) => !knownFields.has(name) && !name.startsWith('_'));
  if (unknownFields.length > 0) {
    throw fields.error(
      `${className ?? 'a processor without a name'} asks for ${unknownFields.map((name) => `"${name}"`).join(', ')}, unsupported here. Known are ${known}; remove the field if it does not matter, or bring a PreprocessorFactory of your own in a plugin.`,
    );
  }
}

function readResize(fields: ImageFields, defaults: ProcessorDefaults | undefined): ResizeStep {
  const resample = fields.resample('resample') ?? defaults?.resample ?? missing(fields, 'resample');
  const stated = fields.size('size') ?? (defaults ? new Map(Object.entries(defaults.size)) : missing(fields, 'size'));
  return { to: sizeRule(fields, stated, defaults), resample, ...(defaults?.fractional && { fractional: true }) };
}

function sizeRule(
  fields: ImageFields,
  size: number | ReadonlyMap<string, number>,
  defaults: ProcessorDefaults | undefined,
): SizeRule {
  if (typeof size === 'number') {
    const toSquare = fields.boolean('default_to_square');
    const kind = defaults?.numberSize ?? (toSquare === undefined ? undefined : toSquare ? 'square' : 'shortest-edge');
    if (kind === undefined) {
      throw fields.error(
        `"size" is ${size}, which means a square to some processors and the shortest edge to others. Write { "height": ${size}, "width": ${size} } or { "shortest_edge": ${size} }.`,
      );
    }
    if (kind === 'square') return { kind: 'exact', height: size, width: size };
    const longest = fields.edge('max_size') ?? defaults?.maxSize;
    return { kind, edge: size, ...(longest !== undefined && { longest }), ...multipleOf(kind, defaults) };
  }
  const height = size.get('height');
  const width = size.get('width');
  const shortest = size.get('shortest_edge');
  const longest = size.get('longest_edge');
  if (size.size === 2 && height !== undefined && width !== undefined) return { kind: 'exact', height, width };
  const multiple = multipleOf('shortest-edge', defaults);
  if (size.size === 1 && shortest !== undefined) return { kind: 'shortest-edge', edge: shortest, ...multiple };
  if (size.size === 2 && shortest !== undefined && longest !== undefined) {
    return { kind: 'shortest-edge', edge: shortest, longest, ...multiple };
  }
  const maxHeight = size.get('max_height');
  const maxWidth = size.get('max_width');
  if (size.size === 2 && maxHeight !== undefined && maxWidth !== undefined) {
    return { kind: 'within', height: maxHeight, width: maxWidth };
  }
  if (size.size === 1 && longest !== undefined) return { kind: 'longest-edge', edge: longest };
  throw fields.error(
    `"size" has ${[...size.keys()].map((key) => `"${key}"`).join(' and ')}, an unsupported form. Give "height" and "width", "max_height" and "max_width", "shortest_edge" (with "longest_edge" as its bound, if need be), or "longest_edge".`,
  );
}

function multipleOf(kind: SizeRule['kind'], defaults: ProcessorDefaults | undefined): { readonly multiple?: number } {
  return kind === 'shortest-edge' && defaults?.multiple !== undefined ? { multiple: defaults.multiple } : {};
}

function resizeLikeConvNext(
  resize: ResizeStep | undefined,
  fields: ImageFields,
  cropShare: number,
): { resize?: ResizeStep; crop?: NonNullable<ImagePlan['crop']> } {
  if (!resize) return {};
  if (resize.to.kind !== 'shortest-edge') {
    throw fields.error('ConvNextImageProcessor needs "size" as { "shortest_edge": … }. Write it so.');
  }
  const { edge } = resize.to;
  // From 384 pixels on, the image is squeezed into a square without a crop.
  if (edge >= 384) return { resize: { ...resize, to: { kind: 'exact', height: edge, width: edge } } };
  const share = fields.positive('crop_pct') ?? cropShare;
  const enlarged = Math.trunc(edge / share);
  if (enlarged < 1 || enlarged > 65_536) {
    throw fields.error(`"crop_pct" is ${share}, which makes no size of ${edge}. It is usually 0.875.`);
  }
  return {
    resize: { ...resize, to: { kind: 'shortest-edge', edge: enlarged } },
    crop: { height: edge, width: edge },
  };
}

function readCrop(fields: ImageFields, defaults: ProcessorDefaults | undefined): ImagePlan['crop'] {
  if (!(fields.boolean('do_center_crop') ?? defaults?.doesCrop ?? defaults?.crop !== undefined)) return undefined;
  const side = defaults?.crop;
  return (
    fields.heightAndWidth('crop_size') ??
    (side === undefined ? missing(fields, 'crop_size') : { height: side, width: side })
  );
}

function readPad(fields: ImageFields, defaults: ProcessorDefaults | undefined): ImagePlan['pad'] {
  const asked =
    fields.boolean('do_pad') ??
    fields.boolean('pad_and_return_pixel_mask') ??
    defaults?.doesPad ??
    defaults?.pad !== undefined;
  if (!asked) return undefined;
  const side = defaults?.pad;
  return (
    fields.heightAndWidth('pad_size') ??
    (side === undefined ? missing(fields, 'pad_size') : side === 'batch' ? side : { height: side, width: side })
  );
}

function readNormalization(fields: ImageFields, defaults: ProcessorDefaults | undefined): Normalization {
  const factor = (fields.boolean('do_rescale') ?? true) ? (fields.positive('rescale_factor') ?? rescaleFactor) : 1;
  const offset = (fields.boolean('rescale_offset') ?? false) ? -1 : undefined;
  const stdTwice = defaults?.normalizes === 'stdTwice' && (fields.boolean('include_top') ?? true);
  return {
    rescaleFactor: factor,
    ...(offset !== undefined && { offset }),
    ...readMeanAndStd(fields, defaults, stdTwice),
  };
}

function readMeanAndStd(
  fields: ImageFields,
  defaults: ProcessorDefaults | undefined,
  stdTwice: boolean,
): Pick<Normalization, 'mean' | 'std' | 'stdTwice'> {
  const asked =
    defaults?.normalizes !== 'never' && (fields.boolean('do_normalize') ?? defaults?.normalizes !== 'ifAsked');
  const zero = [0, 0, 0] as const;
  if (!asked && !stdTwice) return { mean: zero, std: [1, 1, 1] };
  const mean = fields.channels('image_mean') ?? defaults?.mean ?? missing(fields, 'image_mean');
  const std = fields.channels('image_std') ?? defaults?.std ?? missing(fields, 'image_std');
  if (std.some((each) => each <= 0)) {
    throw fields.error(`"image_std" must be above 0, but is [${std.join(', ')}]. Correct it.`);
  }
  // Without the first normalisation, only the second remains.
  return asked ? { mean, std, ...(stdTwice && { stdTwice }) } : { mean: zero, std };
}

function missing(fields: ImageFields, name: string): never {
  throw fields.error(
    `"${name}" is missing, and the file names no processor whose default is known. Add it, or name the processor in "image_processor_type" (${[...processorTypes.keys()].map((each) => `${each}ImageProcessor`).join(', ')}).`,
  );
}
