/** @file Shape inference of operators that move elements. */

import { type Dim, isStatic } from '../../graph/value.ts';
import { intsAttribute } from '../../graph/walk.ts';
import { add, broadcast, divideExactly, multiply, product } from '../dim.ts';
import { axesOf, firstType, input, numbersIn, type Rule, shaped, unknownDim } from './site.ts';
import { attributeOf, axisOf, fromFront, permOf, splitSizes, unsqueezed } from '../schema.ts';

/** Bounds the rank that a file may claim. */
const MAX_RANK = 64;

const reshape: Rule = (site) => {
  const { type, shape, ints } = input(site);
  const target = input(site, 1).ints ?? intsAttribute(site.node, 'shape');
  if (!target) {
    const rank = input(site, 1).shape?.[0];
    const isRank = typeof rank === 'number' && rank <= MAX_RANK;
    return [{ type, shape: isRank ? Array.from({ length: rank }, (_, i) => unknownDim(site, i)) : undefined }];
  }
  const allowZero = attributeOf(site.node, 'allowzero') === 1;
  const dims = target.map((dim, i) => (dim === 0 && !allowZero ? (shape?.[i] ?? unknownDim(site, i)) : dim));
  const free = dims.indexOf(-1);
  if (free >= 0) {
    const rest = product(dims.filter((_, i) => i !== free));
    const size = shape && rest !== 0 ? divideExactly(product(shape), rest) : undefined;
    dims[free] = size ?? unknownDim(site, free);
  }
  return [{ type, shape: dims, ints }];
};

const flatten = shaped((shape, { node }) => {
  const axis = axisOf(node, shape.length);
  return [product(shape.slice(0, axis)), product(shape.slice(axis))];
});

const transpose: Rule = (site) => {
  const { type, shape, ints } = input(site);
  const perm = permOf(site.node, shape?.length ?? 0);
  // Contents of matrices are kept, since exporters transpose paddings.
  const turned = ints && isStatic(shape) && shape.length === 2 && perm[0] === 1;
  const [rows, columns] = (shape ?? []) as number[];
  const contents = turned ? ints.map((_, i) => ints[(i % rows!) * columns! + Math.floor(i / rows!)]!) : undefined;
  return [{ type, shape: shape && perm.map((from) => shape[from]!), ints: contents }];
};

const squeeze: Rule = (site) => {
  const { type, shape, ints } = input(site);
  const axes = axesOf(site, 1);
  if (!shape || (!axes && site.inputs[1])) return [{ type }];
  // A symbolic dimension may be 1.
  if (!axes && !isStatic(shape)) return [{ type }];
  const drop = new Set(
    axes?.map((axis) => fromFront(axis, shape.length)) ?? shape.flatMap((dim, i) => (dim === 1 ? [i] : [])),
  );
  return [{ type, shape: shape.filter((_, i) => !drop.has(i)), ints }];
};

const unsqueeze: Rule = (site) => {
  const { type, shape, ints } = input(site);
  const axes = axesOf(site, 1);
  if (!shape || !axes) return [{ type }];
  return [{ type, shape: unsqueezed(shape, axes, 1), ints }];
};

/** Concatenates inputs along an axis. */
export const concat: Rule = (site) => {
  const shapes = site.inputs.map((each) => each?.shape);
  const [first] = shapes;
  const type = firstType(site);
  if (!first || shapes.some((shape) => !shape)) return [{ type }];
  const axis = axisOf(site.node, first.length);
  const total = shapes.map((shape) => shape![axis]!).reduce(add);
  // Prefers a number to a symbol.
  const shape = first.map((dim, i) =>
    i === axis ? total : (shapes.map((each) => each![i]!).find((d) => typeof d === 'number') ?? dim),
  );
  const ints = site.inputs.every((each) => each?.ints) ? site.inputs.flatMap((each) => each!.ints!) : undefined;
  // Contents are consecutive only along the first axis.
  return [{ type, shape, ints: axis === 0 ? ints : undefined }];
};

const split: Rule = (site) => {
  const { type, shape, ints } = input(site);
  const outputs = site.node.output ?? [];
  if (!shape) return outputs.map(() => ({ type }));
  const axis = axisOf(site.node, shape.length);
  const sizes = splitSizes(site.node, shape[axis]!, input(site, 1).ints);
  let from = 0;
  return outputs.map((_, i) => {
    const size = sizes?.[i];
    const part = typeof size === 'number' && shape.length === 1 ? ints?.slice(from, (from += size)) : undefined;
    return { type, shape: shape.map((dim, k) => (k === axis ? (size ?? unknownDim(site, axis, i)) : dim)), ints: part };
  });
};

const expand: Rule = (site) => {
  const { type, shape, ints } = input(site);
  const target = input(site, 1).ints;
  const result = shape && target ? broadcast(shape, target) : undefined;
  const [count] = result?.length === 1 ? result : [];
  const isSmall = typeof count === 'number' && count <= 64;
  return [
    { type, shape: result, ints: ints?.length === 1 && isSmall ? new Array<Dim>(count).fill(ints[0]!) : undefined },
  ];
};

const tile = shaped((shape, site) => {
  const repeats = input(site, 1).ints;
  return shape.map((dim, i) => (repeats ? multiply(dim, repeats[i]!) : unknownDim(site, i)));
});

const pad = shaped((shape, site) => {
  const pads = intsAttribute(site.node, 'pads') ?? input(site, 1).ints;
  const axes = site.inputs[3] ? numbersIn(input(site, 3)) : shape.map((_, i) => i);
  if (!pads || !axes) return shape.map((_, i) => unknownDim(site, i));
  const result = [...shape];
  axes.forEach((each, i) => {
    const axis = fromFront(each, shape.length);
    result[axis] = add(add(result[axis]!, pads[i]!), pads[i + axes.length]!);
  });
  return result;
});

export const movementRules: Readonly<Record<string, Rule>> = {
  Reshape: reshape,
  Flatten: flatten,
  Transpose: transpose,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Concat: concat,
  Split: split,
  Expand: expand,
  Tile: tile,
  Pad: pad,
};
