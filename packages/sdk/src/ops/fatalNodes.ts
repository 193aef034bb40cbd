/**
 * @file Nodes that would end the process: the processor traps a division whose result has no place, and ONNX Runtime computes
 * constants while it loads a graph, without a look at them.
 */

import { OnnxLoraError } from '../errors.ts';
import type { GraphProto, NodeProto } from '../graph/proto.ts';
import { readTensor } from '../graph/tensorData.ts';
import type { ValueType } from '../graph/value.ts';
import { allNodes, indexWhole } from '../graph/walk.ts';
import { sizeOf } from '../runtime/tensor.ts';
import { isStandard } from './domains.ts';
import { attributeOf } from './schema.ts';

/** Constants beyond this many numbers are not looked through. */
const LARGEST_READ = 1 << 20;

/** The smallest integer of the types whose division traps; shorter ones are divided as these. */
const smallest: Readonly<Record<string, number>> = { int64: -(2 ** 63), int32: -(2 ** 31) };

/**
 * Refuses a graph with a node that is sure to end the process: a whole number divided by 0, the smallest one by −1, a list
 * cut into parts of no length. Contents are those of constants, and what inference has followed from them.
 *
 * @param types of all values, those of subgraphs too
 * @param file what errors call the model
 * @throws OnnxLoraError `MODEL_INVALID` naming file and node
 */
export function refuseFatalNodes(graph: GraphProto, types: ReadonlyMap<string, ValueType>, file: string): void {
  const suspects = [...allNodes(graph)].filter(maySuspect);
  if (suspects.length === 0) return;
  const { constants } = indexWhole(graph);
  const contents = (name = ''): readonly number[] => {
    const known = types.get(name)?.ints?.filter((value) => typeof value === 'number');
    const tensor = constants.get(name);
    if (!tensor || sizeOf(tensor.dims ?? []) > LARGEST_READ) return known ?? [];
    return Array.from(readTensor(tensor).data as ArrayLike<number | bigint>, Number);
  };
  for (const node of suspects) {
    const [data, other] = node.input ?? [];
    const type = types.get(data ?? '')?.type ?? '';
    const why = node.opType === 'SplitToSequence' ? split(contents(other)) : division(node, type, contents, other);
    if (why === undefined) continue;
    throw new OnnxLoraError(
      'MODEL_INVALID',
      `"${file}": ${node.opType} "${node.name || node.output?.[0]}" ${why}, which would end this process. Export the model again, or take the node out of the file.`,
    );
  }
}

function maySuspect({ domain, opType = '' }: NodeProto): boolean {
  return isStandard(domain) && ['Div', 'Mod', 'SplitToSequence'].includes(opType);
}

function split(parts: readonly number[]): string | undefined {
  return parts.length === 1 && parts[0] === 0 ? 'cuts a list into parts of the length 0' : undefined;
}

function division(
  node: NodeProto,
  type: string,
  contents: (name?: string) => readonly number[],
  divisor: string | undefined,
): string | undefined {
  if (!/^u?int/.test(type)) return undefined;
  const divisors = contents(divisor);
  if (divisors.includes(0)) return 'divides whole numbers by 0';
  // With `fmod` it is computed in floats.
  const least = attributeOf(node, 'fmod') === 1 ? undefined : smallest[type];
  if (least === undefined || !divisors.includes(-1)) return undefined;
  const dividends = contents(node.input?.[0]);
  const isPair = dividends.some((value, i) => value === least && (meets(dividends, divisors, i) ?? true));
  return isPair ? `divides the smallest ${type}, ${BigInt(least)}, by -1` : undefined;
}

/** Whether number `i` of the dividends is divided by −1; undefined where shapes are broadcast, so that it may be. */
function meets(dividends: readonly number[], divisors: readonly number[], i: number): boolean | undefined {
  if (divisors.length === 1) return true;
  return dividends.length === divisors.length ? divisors[i] === -1 : undefined;
}
