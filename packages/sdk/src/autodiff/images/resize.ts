/**
 * @file Gradients of Resize and Upsample. Resampling is a product with a matrix along each axis: the operator's result
 * for an identity matrix, whatever its attributes. The runtime folds this constant.
 */

import { OnnxLoraError } from '../../errors.ts';
import type { Value } from '../../graph/builder.ts';
import { attributeType } from '../../graph/proto.ts';
import { attribute, intsAttribute, stringAttribute } from '../../graph/walk.ts';
import { float32, sizeOf } from '../../runtime/tensor.ts';
import { asRows, castTo, eye, input, staticShape, type Vjp, type VjpSite } from '../vjp.ts';
import { attributeOf, fromFront } from '../../ops/schema.ts';

/** dy times each axis's transposed matrix; a sum for repeated pixels. */
export const resizeBack: Vjp = (site) => {
  const { g, dy } = site;
  const [from, to] = [staticShape(input(site, 0)), staticShape(dy)];
  const factors = repeats(site, from, to);
  if (factors) {
    const window = factors.slice(2);
    const mean = g.emit('AveragePool', [dy], { kernel_shape: window, strides: window });
    return g.Mul(mean, sizeOf(window));
  }
  // The last axis first: an unbatched product that shrinks the others.
  return from.reduceRight((value, size, axis) => {
    if (isUntouched(site, axis, size, to[axis]!)) return value;
    const matrix = castTo(g, axisMatrix(site, axis, size, to[axis]!), dy.type);
    const shape = staticShape(value).toSpliced(axis, 1, size);
    if (axis === from.length - 1)
      return g.Reshape(g.Gemm(asRows(g, value), matrix, undefined, { transB: true }), shape);
    const inner = sizeOf(shape.slice(axis + 1));
    const columns = g.Reshape(value, [sizeOf(shape.slice(0, axis)), to[axis]!, inner]);
    return g.Reshape(g.MatMul(matrix, columns), shape);
  }, dy);
};

function inputsOf({ g, node, x }: VjpSite): { roi?: Value; scales?: Value; sizes?: Value; positions: number[] } {
  const rank = x[0]!.shape!.length;
  const axes = intsAttribute(node, 'axes')?.map((axis) => fromFront(axis, rank));
  const positions = Array.from({ length: rank }, (_, axis) => (axes ? axes.indexOf(axis) : axis));
  const given = (value: Value | undefined): Value | undefined => (value?.shape?.[0] === 0 ? undefined : value);
  const isOld = node.opType === 'Upsample' || g.opset < 11;
  const [roi, scales, sizes] = isOld ? [undefined, x[1], undefined] : [x[1], x[2], x[3]].map(given);
  return { ...(roi && { roi }), ...(scales && { scales }), ...(sizes && { sizes }), positions };
}

function scaleOf(site: VjpSite, axis: number, from: number, to: number): number | undefined {
  const { scales, sizes, positions } = inputsOf(site);
  const at = positions[axis]!;
  if (at < 0) return 1;
  if (sizes) return to / from;
  const known = scales?.ints?.[at] ?? attribute(site.node, 'scales')?.floats?.[at];
  return typeof known === 'number' ? known : undefined;
}

function isUntouched(site: VjpSite, axis: number, from: number, to: number): boolean {
  const isCrop = stringAttribute(site.node, 'coordinate_transformation_mode', '') === 'tf_crop_and_resize';
  const isScaled = inputsOf(site).positions[axis]! >= 0;
  return scaleOf(site, axis, from, to) === 1 && !(isCrop && isScaled);
}

/** Repetitions per axis, if Resize only repeats pixels. */
function repeats(site: VjpSite, from: readonly number[], to: readonly number[]): number[] | undefined {
  const { g, node, dy } = site;
  const isOld = node.opType === 'Upsample' || g.opset < 11;
  const place = isOld ? 'asymmetric' : stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel');
  const rounding = isOld ? 'floor' : stringAttribute(node, 'nearest_mode', 'round_prefer_floor');
  const isPlain =
    (place === 'asymmetric' && rounding === 'floor') || (place === 'half_pixel' && rounding.startsWith('round'));
  const scales = from.map((size, axis) => scaleOf(site, axis, size, to[axis]!));
  const isRepeated =
    attributeOf(node, 'mode') === 'nearest' &&
    isPlain &&
    // AveragePool needs spatial axes behind channels, and a float type that every provider has.
    from.length >= 3 && from.length <= 5 && dy.type !== 'float64' &&
    scales.every((scale, i) => scale !== undefined && Number.isInteger(scale) && (i >= 2 || scale === 1)); // prettier-ignore
  return isRepeated ? (scales as number[]) : undefined;
}

/** The resampling matrix `[from, to]` of an axis: the resized rows of the identity. */
function axisMatrix(site: VjpSite, axis: number, from: number, to: number): Value {
  const { g, node } = site;
  const { roi, scales, sizes, positions } = inputsOf(site);
  const at = positions[axis]!;
  const rows = g.constant(float32(eye(from), [1, 1, from, from]));
  const policy = attributeOf(node, 'keep_aspect_ratio_policy');
  if (sizes && policy !== 'stretch') {
    throw new OnnxLoraError(
      'NO_GRADIENT',
      `Resize "${node.name}" with keep_aspect_ratio_policy "${policy}" has no gradient rule. Export it with the sizes or scales that it leads to.`,
    );
  }
  const one = (list: Value, i: number, fill: number): Value[] => [
    castTo(g, g.constant(float32([fill, fill, fill], [3])), list.type),
    g.Gather(list, g.ints([i]), 0),
  ];
  const factor = sizes ? undefined : scaleOf(site, axis, from, to);
  const known = factor !== undefined && g.constant(float32([1, 1, 1, factor], [4]));
  const scale = scales && (known || g.Concat(one(scales, at, 1), 0));
  // The region's starts precede its ends.
  const half = (roi?.shape?.[0] as number) / 2;
  const region = roi && g.Concat([...one(roi, at, 0), ...one(roi, half + at, 1)], 0);
  const none = (): Value | undefined => (g.opset < 13 ? g.constant(float32([], [0])) : undefined);
  const isOld = node.opType === 'Upsample' || g.opset < 11;
  const inputs = isOld ? [rows, scale] : [rows, region ?? none(), scale ?? none(), sizes && g.ints([1, 1, from, to])];
  const { name } = g.emit(node.opType!, inputs);
  // The constant outside the image has no gradient: without the attribute it is 0.
  const foreign = new Set(['axes', 'scales', 'extrapolation_value']);
  const attributes = (node.attribute ?? []).filter((each) => !foreign.has(each.name ?? ''));
  const old = attribute(node, 'scales')?.floats?.[at];
  if (old !== undefined) attributes.push({ name: 'scales', type: attributeType.floats, floats: [1, 1, 1, old] });
  g.nodes.at(-1)!.attribute = attributes;
  const type = { type: 'float32', shape: [1, 1, from, to] } as const;
  g.types.set(name, type);
  return g.Reshape({ name, ...type }, [from, to]);
}
