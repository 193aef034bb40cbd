/** @file Tests of the assignment against every possible one, beyond both ends of its sizes. */

import { float32, int64 } from '@onnx-lora/sdk';
import { GraphBuilder } from '@onnx-lora/sdk/tasks';
import { Random } from '@onnx-lora/sdk/data';
import { inferNode } from '@onnx-lora/sdk/plugin';
import { expect, test } from 'vitest';
import { modelOf, runOnce } from '../../../../../../test/support/graphs.ts';
import { assign } from './assignment.ts';

type Costs = readonly (readonly number[])[];

/** Rows of the columns of each problem, -1 for none. */
async function assigned(problems: readonly Costs[], counts: readonly number[], opset = 17): Promise<number[][]> {
  const dims = [problems.length, problems[0]!.length, problems[0]![0]!.length];
  const g = new GraphBuilder({ opset, infer: inferNode, prefix: '' });
  const inputs = [
    { name: 'costs', type: 'float32', shape: dims },
    { name: 'counts', type: 'int64', shape: [problems.length] },
  ] as const;
  const owner = assign(g, ...inputs);
  const model = modelOf({ opset, inputs, outputs: [owner.name], nodes: g.nodes, initializers: g.initializers });
  const feeds = { costs: float32(problems.flat(2), dims), counts: int64(counts, [problems.length]) };
  const found = Array.from((await runOnce(model, feeds))[owner.name]!.data, Number);
  return problems.map((_, i) => found.slice(i * dims[2]!, (i + 1) * dims[2]!));
}

/** The least cost of as many pairs as there can be, by trying all. */
function least(
  costs: Costs,
  row = 0,
  taken: ReadonlySet<number> = new Set(),
  skips = costs.length - costs[0]!.length,
): number {
  if (row === costs.length) return 0;
  const ways = costs[row]!.flatMap((cost, column) =>
    taken.has(column) ? [] : [cost + least(costs, row + 1, new Set([...taken, column]), skips)],
  );
  if (skips > 0) ways.push(least(costs, row + 1, taken, skips - 1));
  return Math.min(...ways);
}

function costOf(costs: Costs, owner: readonly number[]): number {
  return owner.reduce((sum, row, column) => sum + (row < 0 ? 0 : costs[row]![column]!), 0);
}

test.each([
  [1, 1],
  [1, 5],
  [2, 3],
  [3, 3],
  [4, 6],
  [6, 6],
  [5, 2],
  [7, 3],
] as const)('%i rows and %i columns: the least cost of all assignments', async (rows, columns) => {
  const random = new Random(rows * 10 + columns);
  const problems = Array.from({ length: 24 }, (_, k): Costs =>
    Array.from({ length: rows }, () =>
      // Some with few different costs, so that there are ties; some with negative ones.
      Array.from({ length: columns }, () => (k % 3 === 0 ? Math.floor(3 * random.next()) : 4 * random.next() - 2)),
    ),
  );
  const counts = problems.map((_, k) => k % (rows + 1));
  const found = await assigned(problems, counts);
  problems.forEach((costs, k) => {
    const counted = costs.slice(0, counts[k]);
    const rowsOf = found[k]!.filter((row) => row >= 0);
    expect(new Set(rowsOf).size).toBe(rowsOf.length);
    expect(rowsOf.length).toBe(Math.min(counts[k]!, columns));
    expect(Math.max(-1, ...rowsOf)).toBeLessThan(counts[k]!);
    expect(costOf(counted, found[k]!)).toBeCloseTo(counts[k] === 0 ? 0 : least(counted), 4);
  });
});

/** The least cost of giving each row a column of its own, by all sets of columns. */
function leastBySets(costs: Costs): number {
  const columns = costs[0]!.length;
  let best = new Map([[0, 0]]);
  for (const row of costs) {
    const next = new Map<number, number>();
    for (const [set, sum] of best)
      for (let column = 0; column < columns; column++) {
        const bit = 1 << column;
        if (set & bit) continue;
        next.set(set | bit, Math.min(next.get(set | bit) ?? Infinity, sum + row[column]!));
      }
    best = next;
  }
  return Math.min(...best.values());
}

test.each([
  [10, 10],
  [9, 13],
])('%i rows and %i columns: paths through many rows', async (rows, columns) => {
  const random = new Random(rows);
  // Products make rows compete for the same columns.
  const problems = Array.from({ length: 40 }, (): Costs => {
    const [a, b] = [rows, columns].map((size) => Array.from({ length: size }, () => random.next()));
    return a!.map((x) => b!.map((y) => 3 * x * y + 0.3 * random.next()));
  });
  const found = await assigned(problems, new Array<number>(40).fill(rows));
  problems.forEach((costs, k) => {
    expect(costOf(costs, found[k]!)).toBeCloseTo(leastBySets(costs), 4);
  });
});

test('many rows: no exchange of two columns is cheaper, and prices prove the whole', async () => {
  const random = new Random(5);
  const [rows, columns] = [40, 60];
  const costs = Array.from({ length: rows }, (_, i) =>
    Array.from({ length: columns }, (__, j) => Math.abs(i - j) + random.next()),
  );
  const [owner] = await assigned([costs], [rows]);
  // Costs rise with the distance from the diagonal, so none of the least is far from it.
  expect(owner!.filter((row) => row >= 0).length).toBe(rows);
  const columnOf = Array.from({ length: rows }, (_, row) => owner!.indexOf(row));
  for (let a = 0; a < rows; a++)
    for (let b = 0; b < a; b++)
      expect(costs[a]![columnOf[a]!]! + costs[b]![columnOf[b]!]!).toBeLessThan(
        costs[a]![columnOf[b]!]! + costs[b]![columnOf[a]!]! + 1e-5,
      );
});

test('costs that are not numbers are avoided', async () => {
  const found = await assigned([[[NaN, 3], [1, Infinity]], [[NaN, NaN], [-Infinity, 2]]], [2, 2]); // prettier-ignore
  expect(found).toEqual([[1, 0], [1, 0]]); // prettier-ignore
});

test('an old opset is refused', async () => {
  await expect(assigned([[[1]]], [1], 11)).rejects.toThrow(/opset 13/);
});
