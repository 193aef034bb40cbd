/** @file The numeric checks of the gradients of convolutions, pooling and resampling. */

import type { Attributes } from '../../packages/sdk/src/graph/attributes.ts';
import { type Cases, from, single } from './caseForms.ts';
import { sizeOf } from '../../packages/sdk/src/runtime/tensor.ts';
import type { Case } from './gradcheck.ts';

const distinct = (...shape: number[]): Case['inputs'] => [from('distinct', ...shape)];

const resize = (shape: readonly number[], scales: readonly number[], attributes: Attributes, opset?: number): Case => ({
  inputs: [shape, undefined, { scales: scales }],
  attributes,
  ...(opset && { opset }),
});

/** An image read at points inside and outside of it that are away from where the slope jumps. */
function sampled(
  shape: readonly number[],
  out: readonly number[],
  mode: string,
  padding: string,
  aligned: number,
  opset = 16,
): Case {
  const image = shape.slice(2);
  const dims = [shape[0]!, ...out, image.length];
  const floats = Array.from({ length: sizeOf(dims) }, (_, i) => {
    const size = image[image.length - 1 - (i % image.length)]!;
    const position = ((i * 7) % (size + 4)) - 2 + (i % 3 === 0 ? 0.28 : 0.72);
    return aligned ? (size === 1 ? 0 : (2 * position) / (size - 1) - 1) : (2 * position + 1) / size - 1;
  });
  const attributes = { mode, padding_mode: padding, align_corners: aligned };
  return { inputs: [shape, { floats, dims }], attributes, opset };
}

type ImageOp =
  | 'Conv'
  | 'ConvTranspose'
  | 'MaxPool'
  | 'AveragePool'
  | 'LpPool'
  | 'GlobalAveragePool'
  | 'GlobalMaxPool'
  | 'GlobalLpPool'
  | 'Resize'
  | 'GridSample'
  | 'Upsample'
  | 'Col2Im';

/** A row per operator; a part of the whole table, whose type makes it complete. */
export const imageCases: Readonly<Record<ImageOp, Cases>> = {
  Conv: single(
    { inputs: [[2, 3, 6], [4, 3, 3], [4]] },
    { inputs: [[1, 2, 7], [3, 2, 3]], attributes: { strides: [2], pads: [1, 2] } },
    { inputs: [[1, 4, 8], [4, 2, 2], [4]], attributes: { dilations: [2], group: 2, pads: [2, 0] } },
    { inputs: [[2, 2, 5, 5], [3, 2, 3, 3], [3]] },
    { inputs: [[2, 2, 6, 5], [3, 2, 3, 2], [3]], attributes: { strides: [2, 2], pads: [1, 1, 1, 1] } },
    // The last row is reached by no window.
    { inputs: [[1, 2, 6, 6], [2, 2, 3, 3]], attributes: { strides: [2, 2] } },
    { inputs: [[1, 2, 7, 6], [2, 2, 3, 2]], attributes: { dilations: [2, 2], pads: [2, 1, 0, 1] } },
    { inputs: [[1, 4, 6, 6], [4, 2, 3, 3], [4]], attributes: { group: 2, strides: [2, 1], dilations: [1, 2], pads: [0, 2, 1, 0] } },
    // Depthwise, and depthwise with two filters a channel.
    { inputs: [[2, 4, 5, 5], [4, 1, 3, 3], [4]], attributes: { group: 4, pads: [1, 1, 1, 1] } },
    { inputs: [[2, 4, 4, 4], [8, 1, 2, 2]], attributes: { group: 4, strides: [2, 2] } },
    // Patch embedding: kernel = stride.
    { inputs: [[2, 3, 4, 4], [5, 3, 2, 2], [5]], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
    { inputs: [[1, 2, 5, 5], [2, 2, 2, 2]], attributes: { auto_pad: 'VALID', strides: [3, 3] } },
    { inputs: [[1, 2, 5, 6], [2, 2, 4, 3]], attributes: { auto_pad: 'SAME_UPPER', strides: [2, 1] } },
    { inputs: [[1, 2, 6], [2, 2, 4]], attributes: { auto_pad: 'SAME_LOWER' } },
    { inputs: [[1, 3, 1, 1], [2, 3, 1, 1], [2]] },
    // A kernel that is smaller than its padding.
    { inputs: [[1, 2, 3], [2, 2, 1]], attributes: { pads: [2, 1], strides: [3] } },
    // Many channels, each position of the kernel by a product.
    { inputs: [[2, 16, 4, 3], [2, 16, 3, 2]], attributes: { pads: [1, 0, 1, 1] } },
    { inputs: [[1, 16, 6, 4], [2, 16, 2, 3]], attributes: { strides: [2, 1], dilations: [1, 2], pads: [0, 2, 1, 0] } },
    { inputs: [[1, 2, 5, 4], [3, 2, 1, 1]], attributes: { strides: [2, 3], pads: [1, 0, 0, 1] } },
    { inputs: [[2, 2, 4], [3, 2, 1], [3]], opset: 9 },
    { inputs: [[2, 2, 5], [3, 2, 1]], attributes: { strides: [2] }, opset: 9 },
    // Videos.
    { inputs: [[1, 2, 3, 4, 3], [2, 2, 2, 3, 2], [2]] },
    { inputs: [[2, 2, 4, 4, 5], [3, 2, 2, 2, 2]], attributes: { strides: [2, 2, 2] } },
    { inputs: [[1, 4, 4, 3, 5], [4, 2, 2, 3, 2], [4]], attributes: { group: 2, strides: [1, 2, 3], pads: [1, 2, 0, 0, 1, 2], dilations: [2, 1, 1] }, webgpu: 'Its Conv over three axes has no groups.' },
    { inputs: [[1, 2, 3, 3, 3], [2, 1, 1, 1, 1]], attributes: { group: 2 }, webgpu: 'Its Conv over three axes has no groups.' },
    { inputs: [[2, 2, 5, 5], [3, 2, 3, 3], [3]], attributes: { strides: [2, 2] }, opset: 9 },
  ),
  ConvTranspose: single(
    // Many channels, each position of the kernel by a product.
    { inputs: [[2, 1, 3, 2], [1, 16, 2, 2], [16]], attributes: { strides: [2, 1], pads: [1, 0, 0, 1], output_padding: [1, 0] } },
    { inputs: [[2, 3, 5], [3, 2, 3], [2]] },
    { inputs: [[1, 2, 3], [2, 2, 3]], attributes: { strides: [2], pads: [1, 0], output_padding: [1] } },
    { inputs: [[1, 4, 4], [4, 1, 2], [2]], attributes: { group: 2, dilations: [3], strides: [2], pads: [2, 0] } },
    { inputs: [[2, 2, 3, 4], [2, 3, 3, 2], [3]] },
    // Doubling, as between the stages of a decoder.
    { inputs: [[1, 3, 3, 2], [3, 2, 2, 2], [2]], attributes: { strides: [2, 2] } },
    { inputs: [[1, 2, 3, 3], [2, 2, 4, 4]], attributes: { strides: [2, 2], pads: [1, 1, 1, 1] } },
    { inputs: [[1, 2, 3, 3], [2, 2, 3, 3]], attributes: { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] } },
    { inputs: [[2, 4, 2, 3], [4, 2, 3, 2], [4]], attributes: { group: 2, strides: [3, 1], dilations: [1, 2], pads: [0, 1, 2, 0], output_padding: [2, 0] } },
    { inputs: [[1, 4, 3, 3], [4, 1, 3, 3], [4]], attributes: { group: 4, strides: [2, 2] } },
    // A stride that steps over positions which nothing writes.
    { inputs: [[1, 2, 3], [2, 2, 1], [2]], attributes: { strides: [3], output_padding: [2] } },
    { inputs: [[1, 2, 3, 3], [2, 2, 3, 4]], attributes: { auto_pad: 'SAME_UPPER', strides: [2, 1] } },
    { inputs: [[1, 2, 3, 3], [2, 2, 3, 4]], attributes: { auto_pad: 'SAME_LOWER', strides: [2, 1] } },
    { inputs: [[1, 2, 3], [2, 1, 3]], attributes: { auto_pad: 'VALID', strides: [2] } },
    { inputs: [[1, 2, 3, 3], [2, 2, 3, 3]], attributes: { output_shape: [6, 5], strides: [2, 2] } },
    { inputs: [[1, 2, 3, 3], [2, 2, 3, 3]], attributes: { output_shape: [6, 4], strides: [2, 2], auto_pad: 'SAME_UPPER' } },
    { inputs: [[1, 2, 2, 3, 2], [2, 2, 2, 2, 3], [2]], attributes: { strides: [2, 1, 2], pads: [1, 0, 1, 0, 1, 0] }, webgpu: 'It has no ConvTranspose over three axes.' },
    { inputs: [[1, 2, 3, 2], [2, 2, 2, 2], [2]], attributes: { strides: [2, 2] }, opset: 9 },
  ),
  MaxPool: single(
    { inputs: distinct(1, 2, 4, 4), attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
    // Windows that overlap, and one that is all padding but for a corner.
    { inputs: distinct(2, 1, 5, 4), attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } },
    { inputs: distinct(2, 1, 7), attributes: { kernel_shape: [2], dilations: [2], strides: [1] } },
    { inputs: distinct(1, 1, 5, 5), attributes: { kernel_shape: [2, 2], strides: [2, 2], auto_pad: 'SAME_UPPER' } },
    { inputs: distinct(1, 1, 5), attributes: { kernel_shape: [2], strides: [2], ceil_mode: 1 } },
    { inputs: distinct(1, 1, 6, 5), attributes: { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 } },
    { inputs: distinct(1, 1, 7, 5), attributes: { kernel_shape: [1, 2], strides: [3, 1] } },
    { inputs: distinct(1, 1, 3, 4, 3), attributes: { kernel_shape: [2, 2, 3], strides: [1, 2, 1], pads: [0, 1, 1, 0, 0, 1] } },
    { inputs: distinct(1, 2, 5, 4), attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }, opset: 12 },
    { inputs: distinct(1, 2, 5, 4), attributes: { kernel_shape: [2, 3], pads: [0, 1, 0, 1] }, opset: 9 },
  ),
  AveragePool: single(
    { inputs: [[2, 3, 4, 6]], attributes: { kernel_shape: [2, 3], strides: [2, 3] } },
    { inputs: [[1, 2, 5]], attributes: { kernel_shape: [3] } },
    { inputs: [[1, 2, 5, 4]], attributes: { kernel_shape: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1] } },
    { inputs: [[1, 2, 5, 4]], attributes: { kernel_shape: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1], count_include_pad: 1 } },
    { inputs: [[1, 1, 6, 5]], attributes: { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }, opset: 19 },
    { inputs: [[1, 1, 6, 5]], attributes: { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }, opset: 11 },
    { inputs: [[1, 1, 6]], attributes: { kernel_shape: [3], strides: [2], pads: [1, 1], ceil_mode: 1, count_include_pad: 1 }, opset: 19 },
    { inputs: [[1, 1, 6]], attributes: { kernel_shape: [3], strides: [2], pads: [1, 1], ceil_mode: 1, count_include_pad: 1 }, opset: 12 },
    { inputs: [[1, 2, 7, 6]], attributes: { kernel_shape: [2, 3], dilations: [3, 2], pads: [0, 2, 1, 0] }, opset: 19 },
    { inputs: [[1, 1, 5, 5]], attributes: { kernel_shape: [2, 2], strides: [2, 2], auto_pad: 'SAME_UPPER' } },
    { inputs: [[1, 1, 5, 5]], attributes: { kernel_shape: [2, 2], strides: [2, 2], auto_pad: 'SAME_LOWER' } },
    { inputs: [[1, 2, 3, 4, 2]], attributes: { kernel_shape: [2, 2, 2], pads: [1, 0, 0, 0, 0, 0] } },
    { inputs: [[1, 2, 5, 4]], attributes: { kernel_shape: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1] }, opset: 9 },
  ),
  LpPool: single(
    { inputs: [[1, 2, 5, 4]], attributes: { kernel_shape: [2, 3], strides: [2, 1] } },
    { inputs: [[1, 2, 5]], attributes: { kernel_shape: [3], pads: [1, 1], p: 3 } },
    { inputs: [from('nonzero', 1, 2, 5)], attributes: { kernel_shape: [3], strides: [2], p: 1 } },
    { inputs: [[1, 2, 7]], attributes: { kernel_shape: [3], dilations: [2] }, opset: 18 },
    { inputs: [[1, 2, 5]], attributes: { kernel_shape: [3], auto_pad: 'SAME_UPPER', strides: [2] }, opset: 11 },
  ),
  GlobalAveragePool: single({ inputs: [[2, 3, 4]] }, { inputs: [[1, 2, 3, 2]] }),
  GlobalMaxPool: single({ inputs: distinct(2, 3, 4) }, { inputs: distinct(1, 2, 3, 2) }, { inputs: distinct(1, 2, 3, 2), opset: 9 }),
  GlobalLpPool: single(
    { inputs: [[2, 3, 4]] },
    { inputs: [[1, 2, 3, 2]], attributes: { p: 3 } },
    { inputs: [from('nonzero', 1, 2, 3)], attributes: { p: 1 } },
  ),
  Resize: single(
    resize([1, 2, 3, 4], [1, 1, 2, 3], { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }),
    resize([1, 2, 3, 4], [1, 1, 3, 2], { mode: 'nearest' }),
    resize([1, 2, 3], [1, 1, 2], { mode: 'nearest' }),
    resize([1, 1, 2, 3, 2], [1, 1, 2, 1, 3], { mode: 'nearest', nearest_mode: 'round_prefer_ceil' }),
    // Down, by fractions, to sizes, along chosen axes.
    ...['half_pixel', 'asymmetric', 'align_corners', 'pytorch_half_pixel', 'half_pixel_symmetric'].flatMap((mode) => [
      resize([1, 2, 5, 4], [1, 1, 0.6, 1.5], { mode: 'nearest', nearest_mode: 'ceil', coordinate_transformation_mode: mode }, 19),
      resize([1, 2, 5, 4], [1, 1, 0.6, 1.5], { mode: 'linear', coordinate_transformation_mode: mode }, 19),
      resize([1, 1, 5, 4], [1, 1, 0.6, 2.5], { mode: 'cubic', coordinate_transformation_mode: mode }, 19),
    ]),
    { inputs: [[1, 2, 3, 4], undefined, undefined, { ints: [1, 2, 5, 3] }], attributes: { mode: 'linear' } },
    { inputs: [[1, 2, 3, 4], undefined, undefined, { ints: [1, 2, 3, 6] }], attributes: { mode: 'cubic', cubic_coeff_a: -0.5, exclude_outside: 1 } },
    { inputs: [[1, 2, 3, 4], undefined, undefined, { ints: [7, 2] }], attributes: { mode: 'linear', axes: [3, 2] } },
    { inputs: [[1, 2, 8, 6], undefined, undefined, { ints: [1, 2, 3, 4] }], attributes: { mode: 'linear', antialias: 1 }, webgpu: 'Its Resize has no antialias.' },
    { inputs: [[1, 2, 8, 6], undefined, undefined, { ints: [1, 2, 3, 4] }], attributes: { mode: 'cubic', antialias: 1 }, webgpu: 'Its Resize has no antialias.' },
    { inputs: [[2, 3, 2, 3], { scales: [0, 0, 0.25, -0.5, 1, 1, 0.75, 1] }, undefined, { ints: [2, 3, 4, 5] }], attributes: { mode: 'linear', coordinate_transformation_mode: 'tf_crop_and_resize', extrapolation_value: 0.5 } },
    { inputs: [[3, 4], undefined, { scales: [2, 1.5] }], attributes: { mode: 'linear' } },
    { inputs: [[1, 2, 2, 3, 2], undefined, { scales: [1, 1, 1.5, 2, 2] }], attributes: { mode: 'linear' } },
    { inputs: [[1, 2, 3, 4], { scales: [] }, { scales: [1, 1, 2, 1.5] }], attributes: { mode: 'linear' }, opset: 11 },
    { inputs: [[1, 2, 3, 4], { scales: [1, 1, 2, 0.5] }], attributes: { mode: 'linear' }, opset: 10 },
    { inputs: [[1, 2, 3, 4], { scales: [1, 1, 2, 2] }], attributes: { mode: 'nearest' }, opset: 10 },
  ),
  Col2Im: single(
    ...[
      { block: [2, 3], image: [4, 6], count: 4, attributes: { strides: [2, 3] } },
      { block: [2, 2], image: [3, 4], count: 6, attributes: {} },
      { block: [2, 2], image: [4, 3], count: 6, attributes: { strides: [2, 1], pads: [1, 0, 1, 0] } },
      { block: [2, 1], image: [5, 2], count: 6, attributes: { dilations: [2, 1] } },
      { block: [2, 2], image: [5, 4], count: 4, attributes: { strides: [2, 2] } },
    ].map(({ block, image, count, attributes }): Case => ({
      inputs: [[2, 2 * block[0]! * block[1]!, count], { ints: image }, { ints: block }],
      attributes,
      opset: 18,
    })) as [Case, ...Case[]],
  ),
  GridSample: single(
    sampled([1, 1, 2, 3], [2, 2], 'cubic', 'zeros', 0, 20),
    ...['zeros', 'border', 'reflection'].flatMap((padding) =>
      [0, 1].flatMap((aligned) => [
        sampled([2, 2, 3, 4], [3, 2], 'bilinear', padding, aligned),
        sampled([1, 2, 4, 3], [1, 7], 'bicubic', padding, aligned),
        sampled([1, 2, 4, 3], [5, 1], 'nearest', padding, aligned),
        sampled([1, 1, 3, 2, 3], [2, 1, 3], 'linear', padding, aligned, 20),
      ]),
    ),
    sampled([1, 2, 1, 3], [2, 2], 'bilinear', 'reflection', 1),
  ),
  Upsample: single(
    { inputs: [[1, 2, 3, 4], { scales: [1, 1, 2, 3] }], attributes: { mode: 'nearest' }, opset: 9 },
    { inputs: [[1, 2, 3, 2], { scales: [1, 1, 2, 1.5] }], attributes: { mode: 'linear' }, opset: 9 },
    { inputs: [[2, 3], { scales: [2, 1] }], attributes: { mode: 'nearest' }, opset: 9 },
  ),
}; // prettier-ignore
