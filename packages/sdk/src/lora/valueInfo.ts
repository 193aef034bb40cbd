/** @file Declarations of values that an injection adds to a graph. */

import { dataTypeNumber } from '../graph/dataType.ts';
import type { ValueInfoProto } from '../graph/proto.ts';
import type { Dim, ValueType } from '../graph/value.ts';

/** A value's declaration. */
export function valueInfo(name: string, type: ValueType['type'], shape: readonly Dim[] | undefined): ValueInfoProto {
  const dim = shape?.map((size) => (typeof size === 'number' ? { dimValue: size } : {}));
  return {
    name,
    type: { tensorType: { elemType: dataTypeNumber(type ?? 'float32'), ...(dim ? { shape: { dim } } : {}) } },
  };
}
