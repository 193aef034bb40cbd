/** @file Damage to safetensors files that mostly keeps the header's length right, so that the header is read. */

import type { Random } from '@onnx-lora/sdk/data';
import { mutateBytes, pick } from './mutateBytes.ts';
import { mutateJson } from './mutateJson.ts';

const LENGTH_BYTES = 8;
const lengths = [0n, 1n, 2n, 7n, 8n, 100_000_000n, 100_000_001n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 64n - 1n];

/** Damages a safetensors file once. `others` lend headers and bytes. */
export function mutateSafetensors(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  const [header, data] = parts(bytes);
  switch (random.index(10)) {
    case 0:
      return mutateBytes(random, bytes, others);
    case 1:
      return joined(pick(random, lengths), header, data);
    case 2:
      return joined(BigInt(header.length + random.index(9) - 4), header, data);
    case 3:
      return joined(BigInt(header.length), header, mutateBytes(random, data, others));
    case 4:
      return joined(BigInt(header.length), parts(pick(random, others))[0], data);
    default: {
      const damaged = mutateJson(random, header, others.map((other) => parts(other)[0])); // prettier-ignore
      return joined(BigInt(damaged.length), damaged, data);
    }
  }
}

function parts(bytes: Uint8Array): [header: Uint8Array, data: Uint8Array] {
  if (bytes.length < LENGTH_BYTES) return [new Uint8Array(0), bytes];
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const end = LENGTH_BYTES + Math.min(length, bytes.length);
  return [bytes.slice(LENGTH_BYTES, end), bytes.slice(end)];
}

function joined(length: bigint, header: Uint8Array, data: Uint8Array): Uint8Array {
  const start = new Uint8Array(LENGTH_BYTES);
  new DataView(start.buffer).setBigUint64(0, BigInt.asUintN(64, length), true);
  return Buffer.concat([start, header, data]);
}
