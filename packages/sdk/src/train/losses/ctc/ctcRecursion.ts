/** @file CTC's recursion over time as a Scan. */

import { GraphBuilder, type Value } from '../../../graph/builder.ts';
import { valueInfo } from '../../../graph/valueInfo.ts';
import { inferNode } from '../../../ops/infer.ts';
import { int32, numbers, range, shapeOf } from '../operands.ts';

/** Log of an impossibility, finite so that sums and differences stay numbers. */
export const NEVER = -1e30;

/**
 * The log-probability of all ways to be in a state after each frame, having begun in state 0 or 1: before each frame one
 * may stay, move on by one, or by two where `skip` allows.
 *
 * In float64, because logarithms grow with the frames and their differences are what counts; so it runs on the CPU under
 * every provider, where a step of some thousand states takes microseconds.
 * @param emissions log-probability of what each state says: float64 `[frames, rows, states]`
 * @param skip 0 or {@link NEVER}: float64 `[rows, states]`
 * @returns float64 `[frames, rows, states]`
 */
export function ctcRecursion(g: GraphBuilder, emissions: Value, skip: Value): Value {
  const [frames, rows, states] = shapeOf(emissions) as [number, number, number];
  const like: Value = { name: '', type: 'float64' };
  const start = numbers(g, [0, ...new Array<number>(states - 1).fill(NEVER)], [1, states], like);
  const body = new GraphBuilder({ opset: g.opset, infer: inferNode, prefix: `${emissions.name}/step/` });
  const value = (name: string): Value => ({
    name: `${emissions.name}/${name}`,
    type: 'float64',
    shape: [rows, states],
  });
  const [before, frame] = [value('before'), value('frame')];
  // Source state and cost of moving by 0, 1 and 2; sources before the first state are impossible.
  const moves = range(3 * states).map((at) => ({ state: at % states, by: Math.floor(at / states) }));
  const sources = moves.map(({ state, by }) => Math.max(0, state - by));
  const outside = moves.map(({ state, by }) => (state < by ? NEVER : 0));
  const skips = g.Pad(g.Reshape(skip, [rows, 1, states]), [0, 2, 0, 0, 0, 0]);
  const costs = g.Add(skips, numbers(g, outside, [1, 3, states], like));
  const ways = body.Add(body.Gather(before, int32(body, sources, [3, states]), 1), costs);
  const after = body.Add(logSumExp(body, ways), frame);
  const kept = body.Identity(after);
  const [, all] = g.emitMany('Scan', [g.Expand(start, [rows, states]), emissions], 2, {
    num_scan_inputs: 1,
    body: {
      graph: {
        name: `${emissions.name}/step`,
        node: body.nodes,
        initializer: body.initializers,
        input: [before, frame].map((each) => valueInfo(each.name, each.type, each.shape)),
        output: [after, kept].map((each) => valueInfo(each.name, each.type, each.shape)),
      },
    },
  });
  const type = { type: 'float64', shape: [frames, rows, states] } as const;
  g.types.set(all!.name, type);
  return { name: all!.name, ...type };
}

/** `log Σ exp` over the second of three axes. */
function logSumExp(g: GraphBuilder, x: Value): Value {
  const [rows, , states] = shapeOf(x) as [number, number, number];
  const axes = g.opset < 18 ? { axes: [1] } : {};
  const sum = g.emit('ReduceLogSumExp', [x, ...(g.opset < 18 ? [] : [g.ints([1])])], { ...axes, keepdims: 0 });
  return { ...sum, type: 'float64', shape: [rows, states] };
}
