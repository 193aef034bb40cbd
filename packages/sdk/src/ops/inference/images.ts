/** @file Shape inference of operators on images `[batch, channels, …]` and boxes. */

import type { Dim } from '../../graph/value.ts';
import { attribute, intAttribute, intsAttribute } from '../../graph/walk.ts';
import { divideExactly, multiply } from '../dim.ts';
import { axesOf, firstType, type InferenceSite, input, numbersIn, type Rule, shaped, unknownDim } from './site.ts';
import { attributeOf, fromFront } from '../schema.ts';

/** A size times a scale, rounded down. */
function sized(dim: Dim, scale: number | undefined): Dim | undefined {
  if (scale === undefined) return undefined;
  if (typeof dim === 'number') return Math.floor(dim * scale);
  return Number.isInteger(scale) ? multiply(dim, scale) : undefined;
}

/** By sizes or scales. Before opset 11, input 1 held the scales. */
const resize: Rule = (site) => {
  const { type, shape } = input(site);
  if (!shape) return [{ type, shape: input(site, 3).ints }];
  const sizes = input(site, 3).ints;
  const scales = numbersIn(input(site, site.opset < 11 ? 1 : 2));
  // Other policies use the sizes as bounds.
  const isBound = attributeOf(site.node, 'keep_aspect_ratio_policy') !== 'stretch';
  const result: Dim[] = [...shape];
  axesWithin(site, shape.length).forEach((axis, i) => {
    result[axis] = (isBound ? undefined : (sizes?.[i] ?? sized(shape[axis]!, scales?.[i]))) ?? unknownDim(site, axis);
  });
  return [{ type, shape: result }];
};

const upsample = shaped((shape, site) => {
  const scales = attribute(site.node, 'scales')?.floats ?? numbersIn(input(site, 1));
  return shape.map((dim, i) => sized(dim, scales?.[i]) ?? unknownDim(site, i));
});

const depthToSpace = shaped((shape, site) => {
  const b = attributeOf(site.node, 'blocksize');
  if (shape.length !== 4) return undefined;
  const [n, c, h, w] = shape as [Dim, Dim, Dim, Dim];
  return [n, divideExactly(c, b * b) ?? unknownDim(site, 1), multiply(h, b), multiply(w, b)];
});

const spaceToDepth = shaped((shape, site) => {
  const b = attributeOf(site.node, 'blocksize');
  if (shape.length !== 4) return undefined;
  const [n, c, h, w] = shape as [Dim, Dim, Dim, Dim];
  return [n, multiply(c, b * b), ...[h, w].map((size, i) => divideExactly(size, b) ?? unknownDim(site, i + 2))];
});

/** Samples an image at a grid `[batch, …, axes]`. */
const gridSample = shaped((shape, site) => {
  const grid = input(site, 1).shape;
  return grid && [shape[0]!, shape[1]!, ...grid.slice(1, -1)];
});

/** A grid for images of the size `[batch, channels, …]` in input 1. */
const affineGrid: Rule = (site) => {
  const size = input(site, 1).ints;
  return [{ type: firstType(site), shape: size && [size[0]!, ...size.slice(2), size.length - 2] }];
};

const centerCropPad = shaped((shape, site) => {
  const sizes = input(site, 1).ints;
  const axes = axesWithin(site, shape.length);
  return shape.map((dim, i) => (axes.includes(i) ? (sizes?.[axes.indexOf(i)] ?? unknownDim(site, i)) : dim));
});

/** The attribute `axes`, from the front; default all. */
function axesWithin({ node }: InferenceSite, rank: number): readonly number[] {
  const all = Array.from({ length: rank }, (_, i) => i);
  return intsAttribute(node, 'axes')?.map((axis) => fromFront(axis, rank)) ?? all;
}

const boxes = (sizes: (site: InferenceSite) => readonly Dim[] | undefined): Rule =>
  shaped((shape, site) => {
    const [rois, size] = [input(site, 1).shape, sizes(site)];
    return rois && size && [rois[0]!, shape[1]!, ...size];
  });

/** Inserts a dimension at the axis in input 1. */
const expandDims = shaped((shape, site) => {
  const [axis] = numbersIn(input(site, 1)) ?? axesOf(site, 1) ?? [];
  return axis === undefined ? undefined : shape.toSpliced(fromFront(axis, shape.length + 1), 0, 1);
});

export const imageRules: Readonly<Record<string, Rule>> = {
  Resize: resize,
  Upsample: upsample,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  GridSample: gridSample,
  AffineGrid: affineGrid,
  CenterCropPad: centerCropPad,
  RoiAlign: boxes(({ node }) => [intAttribute(node, 'output_height', 1), intAttribute(node, 'output_width', 1)]),
  MaxRoiPool: boxes(({ node }) => intsAttribute(node, 'pooled_shape')),
  CropAndResize: boxes((site) => input(site, 3).ints),
  NonMaxSuppression: (site) => [{ type: 'int64', shape: [unknownDim(site, 0), 3] }],
  ExpandDims: expandDims,
};
