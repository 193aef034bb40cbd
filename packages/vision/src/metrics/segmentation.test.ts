import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Mask } from '../augment/sample.ts';
import { boundaryF, meanOver, PixelConfusion } from './maskMetrics.ts';
import '../../../../test/support/seed.ts';

function square(width: number, height: number, x0: number, y0: number, side: number): Mask {
  const data = Uint8Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return x >= x0 && x < x0 + side && y >= y0 && y < y0 + side ? 1 : 0;
  });
  return { width, height, data };
}

/** Middle and half axes. */
type Ellipse = [cx: number, cy: number, a: number, b: number];

function ellipse(width: number, height: number, [cx, cy, a, b]: Ellipse): Mask {
  const inside = (i: number) => (((i % width) - cx) / a) ** 2 + ((Math.floor(i / width) - cy) / b) ** 2 < 1;
  return { width, height, data: Uint8Array.from({ length: width * height }, (_, i) => (inside(i) ? 1 : 0)) };
}

describe('PixelConfusion', () => {
  test('gives the numbers worked out by hand; unknown pixels and classes that do not occur are left out', () => {
    const counts = new PixelConfusion(4);
    // Class 0: 3 true, 3 found, 2 both. Class 1: 3, 2, 2. Class 2: 0 true, 1 found. Class 3: nowhere.
    counts.add(Uint8Array.from([0, 0, 0, 1, 1, 1, 255, 255]), Uint8Array.from([0, 0, 2, 1, 1, 0, 3, 1]));
    const classes = counts.perClass();
    expect(classes.map(({ iou }) => iou)).toEqual([2 / 4, 2 / 3, 0, Number.NaN]);
    expect(classes.map(({ dice }) => dice)).toEqual([4 / 6, 4 / 5, 0, Number.NaN]);
    expect(classes.map(({ pixels }) => pixels)).toEqual([3, 3, 0, 0]);
    expect(meanOver(classes, 'iou')).toBeCloseTo((2 / 4 + 2 / 3) / 3, 12);
    expect(counts.accuracy()).toBe(4 / 6);
  });

  test('IoU and Dice of a class are those of its two sets of pixels', () => {
    const map = fc.uint8Array({ minLength: 60, maxLength: 60, max: 3 });
    fc.assert(
      fc.property(map, map, (truth, found) => {
        const counts = new PixelConfusion(4);
        // In two parts, to be joined.
        counts.add(truth.subarray(0, 25), found.subarray(0, 25));
        const rest = new PixelConfusion(4);
        rest.add(truth.subarray(25), found.subarray(25));
        counts.join(rest);
        counts.perClass().forEach(({ iou, dice }, c) => {
          const [a, b] = [truth, found].map((values) => new Set([...values.keys()].filter((i) => values[i] === c)));
          const both = [...a!].filter((i) => b!.has(i)).length;
          const either = new Set([...a!, ...b!]).size;
          if (either === 0) expect([iou, dice]).toEqual([Number.NaN, Number.NaN]);
          else {
            expect(iou).toBeCloseTo(both / either, 12);
            expect(dice).toBeCloseTo((2 * both) / (a!.size + b!.size), 12);
          }
        });
      }),
    );
  });
});

describe('boundaryF', () => {
  // From DAVIS's db_eval_boundary, whose dilation by a disk is written in numpy.
  test.each<[[number, number], Ellipse, Ellipse, number]>([
    [[120, 90], [50, 40, 30, 20], [53, 42, 31, 19], 0.5356656948493683],
    [[320, 200], [150, 90, 80, 60], [140, 95, 85, 60], 0.33643646613752687],
    [[64, 48], [60, 40, 20, 15], [58, 44, 22, 12], 0.13186813186813184],
  ])('of ellipses in %j is that of DAVIS', ([width, height], found, truth, expected) => {
    expect(boundaryF(ellipse(width, height, found), ellipse(width, height, truth))).toBeCloseTo(expected, 12);
  });

  const truth = square(100, 100, 30, 30, 40);

  test('is 1 for the truth, for outlines within reach, and where there is nothing on either side', () => {
    expect(boundaryF(truth, truth)).toBe(1);
    // 0.8 % of the diagonal of 141 pixels: two pixels.
    expect(boundaryF(square(100, 100, 32, 30, 40), truth)).toBe(1);
    expect(boundaryF(square(50, 50, 0, 0, 0), square(50, 50, 0, 0, 0))).toBe(1);
  });

  test('falls as the outline moves away, though the overlap hardly does', () => {
    const moved = [2, 4, 8].map((by) => boundaryF(square(100, 100, 30 + by, 30 + by, 40), truth));
    expect(moved[1]).toBeLessThan(moved[0]!);
    expect(boundaryF(square(100, 100, 36, 36, 28), truth)).toBe(0);
    expect(boundaryF(square(100, 100, 0, 0, 0), truth)).toBe(0);
  });

  test('half an outline too much halves precision, and leaves recall whole', () => {
    const twice = { ...truth, data: truth.data.map((one, i) => one | square(100, 100, 2, 75, 23).data[i]!) };
    const perimeter = (side: number) => 4 * side + 1;
    const precision = perimeter(40) / (perimeter(40) + perimeter(23));
    expect(boundaryF(twice, truth)).toBeCloseTo((2 * precision) / (precision + 1), 2);
  });
});
