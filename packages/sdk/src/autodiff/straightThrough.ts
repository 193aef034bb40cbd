/** @file Straight-through estimators, which lose their `detach` in an export and would cancel out without it. */

import type { NodeProto } from '../graph/proto.ts';
import { indexNodes } from '../graph/walk.ts';

/**
 * The differences `p − s` that nothing reads but a sum with s again. Models write `s + (p − s).detach()` so that they
 * compute with p and learn as if it were s: quantised codes, hard assignments. Gradients must not pass the difference.
 */
export function straightThroughDifferences(nodes: readonly NodeProto[]): string[] {
  const { readers } = indexNodes(nodes);
  return nodes.flatMap(({ opType, input = [], output: [difference] = [] }) => {
    const [reader, another] = opType === 'Sub' ? (readers.get(difference!) ?? []) : [];
    return reader?.opType === 'Add' && !another && reader.input!.includes(input[1]!) ? [difference!] : [];
  });
}
