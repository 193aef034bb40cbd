import { matrix } from '../../linalg/matrix.ts';
import { expect, test } from 'vitest';
import { project } from './embeddingScatter.ts';

test('finds the plane of most variance, centred, with fixed signs', () => {
  // Points of the plane spanned by (3, 4, 0) / 5 and (0, 0, 1), twice as far along the first, beside (7, -1, 2).
  const places = [
    [4, 1],
    [-4, -1],
    [2, -1],
    [-2, 1],
    [0, 0],
  ] as const;
  const rows = places.flatMap(([a, b]) => [7 + (3 / 5) * a, -1 + (4 / 5) * a, 2 + b]);
  const { points, explained } = project(matrix(5, 3, rows));
  expect(explained[0] + explained[1]).toBeCloseTo(1, 9);
  // The covariance of the places is [40 4; 4 4] up to a factor: its eigenvalues are 22 ± √340.
  expect(explained[0]).toBeCloseTo((22 + Math.sqrt(340)) / 44, 6);
  const angle = Math.atan2(Math.sqrt(340) - 18, 4);
  places.forEach(([a, b], i) => {
    expect(points[i]![0]).toBeCloseTo(a * Math.cos(angle) + b * Math.sin(angle), 6);
    expect(Math.abs(points[i]![1])).toBeCloseTo(Math.abs(-a * Math.sin(angle) + b * Math.cos(angle)), 6);
  });
  expect(project(matrix(5, 3, rows))).toEqual({ points, explained });
});

test('rows that are all alike lie on one point', () => {
  const { points, explained } = project(matrix(3, 4, new Array<number>(12).fill(2)));
  expect(points.flat().every((value) => value === 0)).toBe(true);
  expect(explained).toEqual([0, 0]);
});
