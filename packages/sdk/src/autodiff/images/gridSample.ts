/** @file Gradients of GridSample by image and grid: a sample is a sum over taps (nearby pixels) times weights. */

import { attributeOf } from '../../ops/schema.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { intAttribute, stringAttribute } from '../../graph/walk.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { castTo, input, staticShape, type Vjp, type VjpSite, widened, zeros } from '../vjp.ts';

/** A pixel along one axis: its index, its weight, and the weight's derivative by the position. */
interface Tap {
  readonly index: Value;
  readonly weight: Value;
  readonly slope: Value;
}

interface Axis {
  readonly taps: readonly Tap[];
  readonly step: Value;
}

/** dy times each tap's weight, scatter-added. */
export const gridImage: Vjp = (site) => {
  const { g } = site;
  const { image, batch, channels, count, points } = sizesOf(site);
  const axes = axesOf(site);
  const taps = combined(g, axes, image);
  const weights = stacked(g, taps.map(({ weights: each }) => product(g, each))); // prettier-ignore
  const dy = widened(g, g.Reshape(site.dy, [batch, channels, 1, points]));
  const shares = g.Reshape(g.Mul(dy, g.Unsqueeze(weights, [1])), [batch, channels, count * points]);
  const start = zeros(g, [batch, channels, sizeOf(image)], shares.type);
  const sum = g.emit('ScatterElements', [start, places(site, taps), shares], { axis: 2, reduction: 'add' });
  return castTo(g, g.Reshape(sum, [batch, channels, ...image]), input(site, 0).type);
};

/** Slope of each weight times the dot product of dy and its pixel; 0 for nearest. */
export const gridPoints: Vjp = (site) => {
  const { g } = site;
  const grid = input(site, 1);
  const shape = staticShape(grid);
  const { image, batch, channels, count, points } = sizesOf(site);
  if (modeOf(site) === 'nearest') return zeros(g, shape, grid.type);
  const axes = axesOf(site);
  const taps = combined(g, axes, image);
  const flat = widened(g, g.Reshape(input(site, 0), [batch, channels, sizeOf(image)]));
  const read = g.Reshape(g.GatherElements(flat, places(site, taps), 2), [batch, channels, count, points]);
  const dy = widened(g, g.Reshape(site.dy, [batch, channels, 1, points]));
  const common = g.ReduceSum(g.Mul(read, dy), [1], false);
  const gradients = axes.map(({ step }, axis) => {
    const slopes = taps.map(({ weights, slopes: each }) => product(g, weights.with(axis, each[axis]!)));
    return g.Mul(g.ReduceSum(g.Mul(common, stacked(g, slopes)), [1], false), step);
  });
  // A point's first coordinate is along the last axis.
  const joined = g.Concat(gradients.toReversed().map((each) => g.Unsqueeze(each, [2])), 2); // prettier-ignore
  return castTo(g, g.Reshape(joined, shape), grid.type);
};

function sizesOf(site: VjpSite): {
  image: readonly number[];
  batch: number;
  channels: number;
  count: number;
  points: number;
} {
  const [batch, channels, ...image] = staticShape(input(site, 0)) as [number, number, ...number[]];
  const each = { nearest: 1, linear: 2, cubic: 4 }[modeOf(site)];
  return { image, batch, channels, count: each ** image.length, points: sizeOf(staticShape(site.dy).slice(2)) };
}

function modeOf({ node }: VjpSite): 'nearest' | 'linear' | 'cubic' {
  // Opset 20 drops the "bi" from the names, since images may have three axes.
  return attributeOf(node, 'mode').replace(/^bi/, '') as 'nearest' | 'linear' | 'cubic';
}

interface PointTap {
  readonly place: Value;
  readonly weights: readonly Value[];
  readonly slopes: readonly Value[];
}

function combined(g: GraphBuilder, axes: readonly Axis[], image: readonly number[]): PointTap[] {
  return axes.reduce<PointTap[]>(
    (all, { taps }, axis) =>
      axis === 0
        ? taps.map(({ index, weight, slope }) => ({ place: index, weights: [weight], slopes: [slope] }))
        : all.flatMap((before) =>
            taps.map(({ index, weight, slope }) => ({
              place: g.Add(g.Mul(before.place, image[axis]!), index),
              weights: [...before.weights, weight],
              slopes: [...before.slopes, slope],
            })),
          ),
    [],
  );
}

function product(g: GraphBuilder, values: readonly Value[]): Value {
  return values.reduce((a, b) => g.Mul(a, b));
}

function stacked(g: GraphBuilder, values: readonly Value[]): Value {
  return g.Concat(
    values.map((each) => g.Unsqueeze(each, [1])),
    1,
  );
}

/** Flat pixel indices of the taps per channel: int64 `[batch, channels, taps · points]`. */
function places(site: VjpSite, taps: readonly PointTap[]): Value {
  const { g } = site;
  const { batch, channels, count, points } = sizesOf(site);
  const numbers = g.Cast(stacked(g, taps.map(({ place }) => place)), dataTypeNumber('int64')); // prettier-ignore
  return g.Expand(g.Reshape(numbers, [batch, 1, count * points]), [batch, channels, count * points]);
}

function axesOf(site: VjpSite): Axis[] {
  const { g } = site;
  const { image, batch, points } = sizesOf(site);
  const grid = widened(g, g.Reshape(input(site, 1), [batch, points, image.length]));
  const coordinates = g.Split(grid, new Array<number>(image.length).fill(1), 2);
  return image.map((size, axis) => axisOf(site, g.Squeeze(coordinates[image.length - 1 - axis]!, [2]), size));
}

function axisOf(site: VjpSite, coordinate: Value, size: number): Axis {
  const { g, node } = site;
  const isAligned = intAttribute(node, 'align_corners', 0) === 1;
  const padding = stringAttribute(node, 'padding_mode', 'zeros');
  const mode = modeOf(site);
  // −1 and 1 are the centres of the outer pixels (aligned) or their outer edges.
  const scale = (isAligned ? size - 1 : size) / 2;
  const at = g.Add(g.Mul(coordinate, scale), (size - 1) / 2);
  const [low, high] = isAligned ? [0, size - 1] : [-0.5, size - 0.5];
  const constant = g.scalar(scale, coordinate.type);

  /** A pixel that may be outside. */
  const tap = (index: Value, weight: Value, slope: Value): Tap => {
    const inside = clamped(g, padding === 'reflection' ? reflected(g, index, low, high).at : index, 0, size - 1);
    if (padding !== 'zeros') return { index: inside, weight, slope };
    const isInside = g.Equal(inside, index);
    return { index: inside, weight: g.Where(isInside, weight, 0), slope: g.Where(isInside, slope, 0) };
  };
  const one = g.scalar(1, at.type);
  if (mode === 'nearest') {
    return { taps: [tap(g.emit('Round', [at]), g.Add(g.Mul(at, 0), one), g.Mul(at, 0))], step: constant };
  }
  if (mode === 'cubic') {
    const first = g.emit('Floor', [at]);
    const t = g.Sub(at, first);
    const taps = [-1, 0, 1, 2].map((offset) => {
      const { weight, slope } = cubic(g, t, offset);
      return tap(g.Add(first, offset), weight, slope);
    });
    return { taps, step: constant };
  }
  const { at: position, slope: direction } =
    padding === 'border' ? bordered(g, at, size) : padding === 'reflection' ? reflected(g, at, low, high) : { at };
  const first = g.emit('Floor', [position]);
  const t = g.Sub(position, first);
  // Slopes need the shape of the points, to multiply with the other axes' weights.
  const rising = g.Add(g.Mul(t, 0), one);
  return {
    taps: [tap(first, g.Sub(one, t), g.Neg(rising)), tap(g.Add(first, one), t, rising)],
    step: direction ? g.Mul(direction, constant) : constant,
  };
}

function clamped(g: GraphBuilder, value: Value, low: number, high: number): Value {
  return g.Min(g.Max(value, low), high);
}

interface Moved {
  readonly at: Value;
  readonly slope?: Value;
}

/** Clamps points to the border, with zero gradient outside. */
function bordered(g: GraphBuilder, at: Value, size: number): Moved {
  const inside = clamped(g, at, 0, size - 1);
  return { at: inside, slope: g.Where(g.Equal(inside, at), g.scalar(1, at.type), 0) };
}

function reflected(g: GraphBuilder, at: Value, low: number, high: number): Moved {
  const range = high - low;
  if (range === 0) return { at: g.Mul(at, 0), slope: g.Mul(at, 0) };
  const from = g.Sub(at, low);
  const round = g.Sub(from, g.Mul(g.emit('Floor', [g.Div(from, 2 * range)]), 2 * range));
  const isBack = g.Greater(round, range);
  const back = g.Sub(g.scalar(2 * range, at.type), round);
  return {
    at: g.Add(g.Where(isBack, back, round), low),
    slope: g.Where(isBack, g.scalar(-1, at.type), g.scalar(1, at.type)),
  };
}

/** The cubic weight (Keys, a = −¾) of the pixel at `offset`, and its derivative by t, the fractional position. */
function cubic(g: GraphBuilder, t: Value, offset: number): { weight: Value; slope: Value } {
  const a = -0.75;
  // The weight is a piecewise polynomial of the distance d: below 1, and up to 2; d rises or falls with t.
  const isNear = offset === 0 || offset === 1;
  const rises = offset <= 0;
  const d = rises ? g.Add(t, -offset) : g.Sub(g.scalar(offset, t.type), t);
  const [c3, c2, c1, c0] = isNear ? [a + 2, -(a + 3), 0, 1] : [a, -5 * a, 8 * a, -4 * a];
  const horner = (coefficients: readonly number[]): Value =>
    coefficients.slice(1).reduce<Value>((sum, each) => g.Add(g.Mul(sum, d), each), g.scalar(coefficients[0]!, t.type));
  const slope = horner([3 * c3!, 2 * c2!, c1!]);
  return { weight: horner([c3!, c2!, c1!, c0!]), slope: rises ? slope : g.Neg(slope) };
}
