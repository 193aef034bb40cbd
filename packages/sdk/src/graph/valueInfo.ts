/** @file Value declarations, and models of a builder's nodes. */

import { dataTypeNumber } from './dataType.ts';
import type { GraphBuilder, Value } from './builder.ts';
import type { ModelProto, ValueInfoProto } from './proto.ts';
import type { Dim, ValueType } from './value.ts';

/** A value's declaration. */
export function valueInfo(name: string, type: ValueType['type'], shape: readonly Dim[] | undefined): ValueInfoProto {
  const dim = shape?.map((size) => (typeof size === 'number' ? { dimValue: size } : {}));
  return {
    name,
    type: { tensorType: { elemType: dataTypeNumber(type ?? 'float32'), ...(dim ? { shape: { dim } } : {}) } },
  };
}

/** A model of a builder's nodes, for probing a runtime. */
export function modelOf({ opset, nodes, initializers }: GraphBuilder, input: Value, output: Value): ModelProto {
  return {
    irVersion: 7,
    opsetImport: [{ domain: '', version: opset }],
    graph: {
      name: 'asked',
      node: nodes,
      initializer: initializers,
      input: [valueInfo(input.name, input.type, input.shape)],
      output: [{ name: output.name }],
    },
  };
}
