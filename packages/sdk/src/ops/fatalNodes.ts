/**
 * @file Rejects nodes that crash the process: processors trap some divisions, and ONNX Runtime folds them unchecked.
 */

import { OnnxLoraError } from '../errors.ts';
import type { GraphProto, NodeProto } from '../graph/proto.ts';
import { readTensor } from '../graph/tensorData.ts';
import type { ValueType } from '../graph/value.ts';
import { allNodes, indexWhole } from '../graph/walk.ts';
import { sizeOf } from '../runtime/tensor.ts';
import { isStandard } from './domains.ts';
import { attributeOf } from './schema.ts';

/** Most elements of a constant that is inspected. */
const LARGEST_READ = 1 << 20;

/** Smallest integers of types whose division traps; narrower types divide as int32. */
const smallest: Readonly<Record<string, number>> = { int64: -(2 ** 63), int32: -(2 ** 31) };

/**
 * Rejects a graph with a node that is sure to crash: an integer division by 0 or of the minimum by −1, or a split into
 * parts of length 0. `types` include those of subgraphs.
 * @throws OnnxLoraError `MODEL_INVALID` naming `file` and node
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
  // With `fmod`, Mod computes in floats.
  const least = attributeOf(node, 'fmod') === 1 ? undefined : smallest[type];
  if (least === undefined || !divisors.includes(-1)) return undefined;
  const dividends = contents(node.input?.[0]);
  const isPair = dividends.some((value, i) => value === least && (meets(dividends, divisors, i) ?? true));
  return isPair ? `divides the smallest ${type}, ${BigInt(least)}, by -1` : undefined;
}

/** Whether dividend `i` is divided by −1; undefined if it may be through broadcasting. */
function meets(dividends: readonly number[], divisors: readonly number[], i: number): boolean | undefined {
  if (divisors.length === 1) return true;
  return dividends.length === divisors.length ? divisors[i] === -1 : undefined;
}
