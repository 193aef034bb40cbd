/** @file The recursion of CTC over time, as one Scan. */

import { GraphBuilder, type Value } from '../../../graph/builder.ts';
import { valueInfo } from '../../../graph/valueInfo.ts';
import { inferNode } from '../../../ops/infer.ts';
import { numbers, shapeOf } from '../operands.ts';

/** The logarithm of an impossibility: finite, so that sums and differences of it are numbers. */
export const NEVER = -1e30;

/**
 * The log-probability of all ways to be in a state after each frame, having begun in state 0 or 1: before each frame one
 * may stay, move on by one, or by two where `skip` allows.
 *
 * In float64, because logarithms grow with the frames and their differences are what counts; so it runs on the CPU under
 * every provider, where a step of some thousand states takes microseconds.
 *
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
  // What moves on by n: shifted to the right, with impossibilities coming in.
  const moved = (n: number): Value => body.Pad(before, [0, n, 0, -n], NEVER);
  const ways = [before, moved(1), body.Add(moved(2), skip)];
  const best = body.emit('Max', ways);
  const sum = body.emit('Sum', ways.map((way) => body.Exp(body.Sub(way, best)))); // prettier-ignore
  const after = body.Add(body.Add(best, body.Log(sum)), frame);
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
