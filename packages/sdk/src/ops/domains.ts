/** @file Whose operators are known by their names. */

import type { NodeProto } from '../graph/proto.ts';

const known: ReadonlySet<string> = new Set(['', 'ai.onnx', 'com.microsoft']);

/** Whether a domain is that of ONNX's own operators. */
export function isStandard(domain = ''): boolean {
  return domain === '' || domain === 'ai.onnx';
}

/**
 * Whether the operator's name means what it says: it is ONNX's own, or ONNX Runtime's. Another domain may call something
 * else by the same name, such as a convolution whose weights lie in one processor's order.
 */
export function isKnownDomain({ domain = '' }: NodeProto): boolean {
  return known.has(domain);
}
