/** @file Declarations of the values that a graph takes and gives. */

import { dataTypeNumber } from './dataType.ts';
import type { ValueInfoProto } from './proto.ts';
import type { Dim, ValueType } from './value.ts';

/** A value's declaration. */
export function valueInfo(name: string, type: ValueType['type'], shape: readonly Dim[] | undefined): ValueInfoProto {
  const dim = shape?.map((size) => (typeof size === 'number' ? { dimValue: size } : {}));
  return {
    name,
    type: { tensorType: { elemType: dataTypeNumber(type ?? 'float32'), ...(dim ? { shape: { dim } } : {}) } },
  };
}
