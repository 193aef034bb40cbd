/** @file A copy of a square weight for products and convolutions that read it transposed. */

import { open } from 'node:fs/promises';
import path from 'node:path';
import { intAttribute } from '@onnx-lora/sdk/core';
import type { ModelProto, NodeProto, TensorProto } from '@onnx-lora/sdk/plugin';

/** Most bytes of copies, which are in the model's own file: protobuf ends at 2 GiB. */
const MOST_BYTES = 2 ** 30;

/**
 * OpenVINO's CPU plugin packs a square weight once, by its address, and uses the packed form also where it is read transposed:
 * gradients are then multiplied by W in place of Wᵀ. Nodes that read it so get a copy. Beyond {@link MOST_BYTES} weights keep
 * one form, and the comparison with ONNX Runtime refuses the graph.
 * @param folder of the external data
 * @param leastRank 2, or 3 in bfloat16, where products are packed otherwise and only convolutions need it
 */
export async function withOwnConstants(
  model: ModelProto,
  folder: string | undefined,
  leastRank: number,
): Promise<ModelProto> {
  const { initializer = [], node = [] } = model.graph ?? {};
  const squares = new Map<string, TensorProto>();
  for (const tensor of initializer) {
    const { name, dims = [] } = tensor;
    if (name && dims.length >= leastRank && Number(dims[0]) === Number(dims[1])) squares.set(name, tensor);
  }
  const first = new Map<string, boolean>();
  const copies = new Map<string, TensorProto>();
  const nodes = node.map((each) => {
    const input = (each.input ?? []).map((name, i) => {
      const tensor = squares.get(name);
      if (!tensor) return name;
      const isTransposed = reads(each, i);
      const place = placeOf(tensor);
      if (!first.has(place)) first.set(place, isTransposed);
      if (first.get(place) === isTransposed) return name;
      const copy = `${name}/transposed`;
      copies.set(copy, tensor);
      return copy;
    });
    return { ...each, input };
  });
  const bytes = [...copies.values()].reduce((sum, tensor) => sum + lengthOf(tensor), 0);
  if (copies.size === 0 || bytes > MOST_BYTES) return model;
  const added = await Promise.all([...copies].map(([name, tensor]) => copyOf(tensor, name, folder)));
  return { ...model, graph: { ...model.graph, node: nodes, initializer: [...initializer, ...added] } };
}

/** Whether a node reads its input transposed; a transposed convolution swaps the channels. */
function reads(node: NodeProto, i: number): boolean {
  if (node.opType === 'Transpose' || node.opType === 'ConvTranspose') return true;
  return intAttribute(node, i === 0 ? 'transA' : 'transB', 0) === 1;
}

/** Where the bytes are: several initializers may name the same ones. */
function placeOf(tensor: TensorProto): string {
  const location = entryOf(tensor, 'location');
  return location === undefined ? tensor.name! : `${location} ${entryOf(tensor, 'offset') ?? 0}`;
}

function entryOf({ externalData = [] }: TensorProto, key: string): string | undefined {
  return externalData.find((each) => each.key === key)?.value;
}

function lengthOf(tensor: TensorProto): number {
  return tensor.rawData instanceof Uint8Array ? tensor.rawData.length : Number(entryOf(tensor, 'length') ?? 0);
}

/** The tensor by another name, with its bytes in place of a place in a file. */
async function copyOf(tensor: TensorProto, name: string, folder = ''): Promise<TensorProto> {
  const location = entryOf(tensor, 'location');
  if (location === undefined) return { ...tensor, name };
  const { externalData: _, dataLocation: __, ...rest } = tensor;
  const rawData = new Uint8Array(lengthOf(tensor));
  const file = await open(path.join(folder, location), 'r');
  try {
    await file.read(rawData, 0, rawData.length, Number(entryOf(tensor, 'offset') ?? 0));
  } finally {
    await file.close();
  }
  return { ...rest, name, rawData };
}
