/**
 * @file The assignment problem as part of a graph: which query answers for which object, at the least total cost.
 *
 * Shortest augmenting paths (Jonker and Volgenant 1987), for all problems of a batch in lockstep in one Loop.
 */

import { OnnxLoraError, int64 } from '@onnx-lora/sdk';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { dataTypeNumber, valueInfo } from '@onnx-lora/sdk/plugin';

/** Limit of a cost, which a NaN or infinite one becomes. */
const LARGEST = 1e6;

/** Cost of leaving a row without a column, above any sum of true costs that could be saved by it. */
const UNASSIGNED = 1e9;

/**
 * Assigns rows to columns at the least total cost, as scipy's `linear_sum_assignment` for each problem. Without a
 * gradient.
 * @param costs float32 `[problems, rows, columns]`; those that are not finite are avoided where possible
 * @param counts int64 `[problems]`, how many leading rows of a problem count
 * @returns int64 `[problems, columns]`: the row of each column, -1 for none. Where more rows count than there are
 *   columns, as many rows as columns are assigned.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for costs of unknown size, or an opset below 13
 */
export function assign(g: GraphBuilder, costs: Value, counts: Value): Value {
  const [problems, rows, width] = sizesOf(costs);
  if (g.opset < 13) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `Boxes are matched by operators of opset 13, and the model has opset ${g.opset}. Export it with opset 13 or later.`,
    );
  }
  const spare = Math.max(0, rows - width);
  const columns = width + spare;
  const finite = g.Where(g.emit('IsNaN', [costs]), LARGEST, g.Max(g.Min(costs, LARGEST), -LARGEST));
  const known = g.Cast(finite, dataTypeNumber('float64'));
  const table =
    spare === 0 ? known : g.Concat([known, g.Expand(g.scalar(UNASSIGNED, 'float64'), [problems, rows, spare])], 2);
  const problem: Problem = {
    table: g.Reshape(table, [problems * rows, columns]),
    starts: integers(g, range(problems).map((i) => i * rows), [problems, 1]), // prettier-ignore
    limits: g.Reshape(counts, [problems, 1]),
    places: integers(g, range(columns), [1, columns]),
  };
  const none = integers(g, [-1], []);
  const infinity = g.scalar(Infinity, 'float64');
  const wide = [problems, columns];
  const start: State = {
    owner: g.Expand(none, wide),
    price: g.Expand(g.scalar(0, 'float64'), wide),
    distance: g.Expand(infinity, wide),
    via: g.Expand(none, wide),
    reached: g.Cast(g.Expand(integers(g, [0], []), wide), dataTypeNumber('bool')),
    row: g.Expand(integers(g, [0], []), [problems, 1]),
    at: g.Expand(none, [problems, 1]),
    low: g.Expand(g.scalar(0, 'float64'), [problems, 1]),
  };
  // A path for row i visits at most i + 1 columns.
  const most = integers(g, [(rows * (rows + 1)) / 2], []);
  const more = anyOf(g, g.Less(start.row, problem.limits));
  const { owner } = loop(g, { name: `${costs.name}/assign`, most, more, start }, (body, state) => {
    const next = step(body, problem, state);
    return { next, more: anyOf(body, body.Less(next.row, problem.limits)) };
  });
  return spare === 0 ? owner : g.Slice(owner, [0], [width], [1]);
}

/** The batch of problems. */
interface Problem {
  /** All rows' costs: float64 `[problems · rows, columns]`. */
  readonly table: Value;
  /** First row of each problem in the table: `[problems, 1]`. */
  readonly starts: Value;
  /** Rows that count: `[problems, 1]`. */
  readonly limits: Value;
  /** Numbers of the columns: `[1, columns]`. */
  readonly places: Value;
}

/** State of the search, `[problems, columns]` or `[problems, 1]`; rows are assigned one after the other. */
interface State {
  /** Row that has the column, -1 for none. */
  readonly owner: Value;
  /** The column's dual variable. */
  readonly price: Value;
  /** Length of the shortest path to the column from the row to be assigned. */
  readonly distance: Value;
  /** Column before this one on that path, -1 for the first. */
  readonly via: Value;
  /** Whether the path is final. */
  readonly reached: Value;
  /** The row to be assigned. */
  readonly row: Value;
  /** The column reached last, -1 at the start of a search. */
  readonly at: Value;
  /** Its distance. */
  readonly low: Value;
}

/** Reaches one more column in each problem; one that no row has ends the search, and the path is turned around. */
function step(g: GraphBuilder, { table, starts, limits, places }: Problem, state: State): State {
  const { owner, price, distance, via, reached, row, at, low } = state;
  const [problems] = sizesOf(row);
  const zero = integers(g, [0], []);
  const isOpen = g.Less(row, limits);
  const isStart = g.Less(at, zero);
  const from = g.Where(isStart, zero, at);
  const own = g.Where(isStart, row, g.GatherElements(owner, from, 1));
  const index = g.Add(starts, g.Where(isOpen, own, zero));
  const costs = g.Gather(table, g.Reshape(index, [problems]), 0);
  // The row has column `from`: their reduced cost is 0.
  const tight = g.Sub(g.GatherElements(costs, from, 1), g.GatherElements(price, from, 1));
  const base = g.Where(isStart, 0, g.Sub(low, tight));
  const reach = g.Add(g.Sub(costs, price), base);
  const isShorter = g.And(g.Less(reach, distance), g.Not(reached));
  const shortest = g.Where(isShorter, reach, distance);
  const before = g.Where(isShorter, at, via);

  const open = g.Where(reached, Infinity, shortest);
  const next = { ...g.emit('ArgMin', [open], { axis: 1, keepdims: 1 }), type: 'int64', shape: [problems, 1] } as const;
  const length = g.GatherElements(open, next, 1);
  const closed = g.emit('Or', [reached, g.Equal(places, next)]);
  const isFound = g.And(isOpen, g.Less(g.GatherElements(owner, next, 1), zero));
  const paid = g.Sub(g.Add(price, shortest), length);
  const turned = augment(g, { owner, row, places, via: before, end: g.Where(isFound, next, integers(g, [-1], [])) });
  return {
    owner: turned,
    price: g.Where(g.And(isFound, closed), paid, price),
    distance: g.Where(isFound, Infinity, shortest),
    via: before,
    reached: g.And(closed, g.Not(isFound)),
    row: g.Add(row, g.Cast(isFound, dataTypeNumber('int64'))),
    at: g.Where(isFound, integers(g, [-1], []), next),
    low: length,
  };
}

/** Gives each column on the path that ends in column `end` (none if -1) the row of the one before. */
function augment(
  g: GraphBuilder,
  {
    owner,
    row,
    places,
    via,
    end,
  }: Pick<State, 'owner' | 'row' | 'via'> & { readonly places: Value; readonly end: Value },
): Value {
  const zero = integers(g, [0], []);
  const [, columns] = sizesOf(owner);
  const more = anyOf(g, g.Not(g.Less(end, zero)));
  const most = integers(g, [columns], []);
  const turned = loop(g, { name: `${end.name}/augment`, most, more, start: { owner, end } }, (body, path) => {
    const isIdle = body.Less(path.end, zero);
    const before = body.GatherElements(via, body.Where(isIdle, zero, path.end), 1);
    const isFirst = body.Less(before, zero);
    const handed = body.Where(isFirst, row, body.GatherElements(path.owner, body.Where(isFirst, zero, before), 1));
    const next = {
      owner: body.Where(body.Equal(places, path.end), handed, path.owner),
      end: body.Where(isIdle, path.end, before),
    };
    return { next, more: anyOf(body, body.Not(body.Less(next.end, zero))) };
  });
  return turned.owner;
}

/** A Loop whose state is a record of values of unchanging shapes. */
function loop<Names extends string>(
  g: GraphBuilder,
  request: {
    readonly name: string;
    readonly most: Value;
    readonly more: Value;
    readonly start: Readonly<Record<Names, Value>>;
  },
  round: (
    body: GraphBuilder,
    state: Readonly<Record<Names, Value>>,
  ) => { readonly next: Readonly<Record<Names, Value>>; readonly more: Value },
): Record<Names, Value> {
  const { name, most, more, start } = request;
  const names = Object.keys(start) as Names[];
  const body = g.inner(name);
  const inside = (each: Names): Value => ({ ...start[each], name: `${name}/${each}`, ints: undefined });
  const state = Object.fromEntries(names.map((each) => [each, inside(each)])) as Record<Names, Value>;
  const { next, more: again } = round(body, state);
  const outputs = [again, ...names.map((each) => next[each])].map((value) => body.Identity(value));
  const inputs: Value[] = [
    { name: `${name}/round`, type: 'int64', shape: [] },
    { name: `${name}/more`, type: 'bool', shape: [] },
    ...names.map((each) => state[each]),
  ];
  const results = g.emitMany('Loop', [most, more, ...names.map((each) => start[each])], names.length, {
    body: {
      graph: {
        name,
        node: body.nodes,
        initializer: body.initializers,
        input: inputs.map((each) => valueInfo(each.name, each.type, each.shape)),
        output: outputs.map((each, i) => valueInfo(each.name, inputs[i + 1]!.type, inputs[i + 1]!.shape)),
      },
    },
  });
  return Object.fromEntries(
    names.map((each, i) => {
      const { type, shape } = start[each];
      g.types.set(results[i]!.name, { type, shape });
      return [each, { name: results[i]!.name, type, shape }];
    }),
  ) as Record<Names, Value>;
}

/** Whether any of these bools holds: a scalar. */
function anyOf(g: GraphBuilder, values: Value): Value {
  const numbers = g.Cast(values, dataTypeNumber('int32'));
  return g.Cast(g.ReduceMax(numbers, [0, 1], false), dataTypeNumber('bool'));
}

function integers(g: GraphBuilder, values: readonly number[], dims: readonly number[]): Value {
  return g.constant(int64(values, dims));
}

function range(size: number): number[] {
  return Array.from({ length: size }, (_, i) => i);
}

function sizesOf({ name, shape }: Value): [number, number, number] {
  if (shape?.every((size) => typeof size === 'number')) return [...shape] as [number, number, number];
  throw new OnnxLoraError('MODEL_UNSUPPORTED', `Boxes are matched by the size of "${name}", which is not known.`);
}
