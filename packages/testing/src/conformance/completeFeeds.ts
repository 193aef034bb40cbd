/** @file Completes feeds with inputs that a case leaves out. */

import type { Feeds } from '@onnx-lora/sdk';
import { type GraphPort, arrayOf, sizeOf } from '@onnx-lora/sdk/tasks';
import type { Dim } from '@onnx-lora/sdk/plugin';

/** Adds missing feeds: masks of 1 and empty caches. */
export function completeFeeds(ports: Readonly<Record<string, GraphPort>>, given: Feeds): Feeds {
  const sizes = new Map<Dim, number>();
  for (const [name, { dims = [] }] of Object.entries(ports)) {
    given[name]?.dims.forEach((size, i) => sizes.set(dims[i] ?? i, size));
  }
  return Object.fromEntries(
    Object.entries(ports).map(([name, { type, dims: shape = [] }]) => {
      if (given[name]) return [name, given[name]];
      const dims = shape.map((dim) => (typeof dim === 'number' ? dim : (sizes.get(dim) ?? 0)));
      const data = new (arrayOf(type))(sizeOf(dims));
      return [name, { type, dims, data: type === 'int64' ? (data as BigInt64Array).fill(1n) : data }];
    }),
  );
}
