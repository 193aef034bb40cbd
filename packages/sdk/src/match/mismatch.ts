/** @file Explains near misses: the operand and node that differ from a pattern. */

import type { NodeProto } from '../graph/proto.ts';
import type { GraphIndex } from '../graph/walk.ts';

/** A part of the graph that begins like a pattern and then differs. */
export interface NonMatch {
  /** The pattern: `Gelu`, `FastGelu` or `fused QKV`. */
  readonly pattern: string;
  /** Name of the node where the pattern would end, or of the layer that would be split. */
  readonly at: string;
  /** The first difference: `operand 1 of /act/Mul_1 (Mul) is 0.6, not 0.5`. */
  readonly reason: string;
}

/** A graph index with an optional listener for the reasons of non-matches. */
export interface ExplainedIndex extends GraphIndex {
  /** Called with a predicate for the node: `transposes its input`. */
  readonly explain?: (reason: string) => void;
}

/** Reports a difference; returns undefined, as the missing match. */
export function differs({ explain }: ExplainedIndex, reason: () => string): undefined {
  explain?.(reason());
}

/** `/act/Mul_1 (Mul)`; unnamed nodes go by their first output. */
export function nodeLabel({ name, output, opType }: NodeProto): string {
  return `${name || (output?.find(Boolean) ?? '')} (${opType})`;
}
