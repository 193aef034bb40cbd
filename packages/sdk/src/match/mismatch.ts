/** @file Explains non-matches: which operand of which node differs from a pattern. */

import type { NodeProto } from '../graph/proto.ts';
import type { GraphIndex } from '../graph/walk.ts';

/** A place of the graph that begins like a pattern and then differs from it. */
export interface NonMatch {
  /** The pattern: `Gelu`, `FastGelu` or `fused QKV`. */
  readonly pattern: string;
  /** Name of the ONNX node where the pattern would end, or of the layer that would be split. */
  readonly at: string;
  /** The first difference: `operand 1 of /act/Mul_1 (Mul) is 0.6, not 0.5`. */
  readonly reason: string;
}

/** A graph index whose readers say why they find nothing, where somebody listens. */
export interface ExplainedIndex extends GraphIndex {
  /** Takes the end of a sentence that begins with the node: `transposes its input`. */
  readonly explain?: (reason: string) => void;
}

/** Reports a difference, and stands for the match that is not found. */
export function differs({ explain }: ExplainedIndex, reason: () => string): undefined {
  explain?.(reason());
}

/** `/act/Mul_1 (Mul)`; a node without a name goes by its first output. */
export function nodeLabel({ name, output, opType }: NodeProto): string {
  return `${name || (output?.find(Boolean) ?? '')} (${opType})`;
}
