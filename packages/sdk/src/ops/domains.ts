/** @file Operator domains. */

import type { ModelProto, NodeProto } from '../graph/proto.ts';

/** Domain of ONNX Runtime's operators. */
export const CONTRIB = 'com.microsoft';

const known: ReadonlySet<string> = new Set(['', 'ai.onnx', CONTRIB]);

/** Whether a domain is ONNX's. */
export function isStandard(domain = ''): boolean {
  return domain === '' || domain === 'ai.onnx';
}

/** Whether an operator is ONNX's or ONNX Runtime's; other domains reuse names with other weight layouts. */
export function isKnownDomain({ domain = '' }: NodeProto): boolean {
  return known.has(domain);
}

/** The opset imports of a model with ONNX Runtime's domain. */
export function withContrib({ opsetImport = [] }: ModelProto): NonNullable<ModelProto['opsetImport']> {
  return opsetImport.some(({ domain }) => domain === CONTRIB)
    ? opsetImport
    : [...opsetImport, { domain: CONTRIB, version: 1 }];
}
