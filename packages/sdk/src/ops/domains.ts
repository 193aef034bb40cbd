/** @file Whose operators are known by their names. */

import type { ModelProto, NodeProto } from '../graph/proto.ts';

/** ONNX Runtime's own operators. */
export const CONTRIB = 'com.microsoft';

const known: ReadonlySet<string> = new Set(['', 'ai.onnx', CONTRIB]);

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

/** The operator sets of a model, ONNX Runtime's own among them. */
export function withContrib({ opsetImport = [] }: ModelProto): NonNullable<ModelProto['opsetImport']> {
  return opsetImport.some(({ domain }) => domain === CONTRIB)
    ? opsetImport
    : [...opsetImport, { domain: CONTRIB, version: 1 }];
}
