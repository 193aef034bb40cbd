/** @file `negate`: an adapter with the opposite effect. */

import { OnnxLoraError } from '../../errors.ts';
import { type Tensor } from '../../runtime/tensor.ts';
import { Adapter } from '../adapter.ts';
import { parseTensorName } from '../formats/tensorNames.ts';
import { requirePlainLora } from './sources.ts';

/**
 * Negates an adapter's effect: −s·B·A. Keeps config, ranks and types; twice gives the same bits.
 * @see https://arxiv.org/abs/2212.04089 task arithmetic
 * @throws OnnxLoraError `INPUT_INVALID` for DoRA, fully trained parameters, and other parts without an opposite
 */
export function negate(adapter: Adapter): Adapter {
  requirePlainLora(adapter, 'the adapter');
  const tensors = new Map<string, Tensor>();
  for (const [name, tensor] of adapter.tensors) {
    const { role } = parseTensorName(name);
    if (role === 'parameter' || role === 'base_layer.bias') {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `The adapter's tensor "${name}" was trained in full, and its opposite depends on the base's values, which the adapter does not hold. Negate an adapter without modules_to_save and biases.`,
      );
    }
    const turns = role === 'lora_B' || role === 'lora_embedding_B' || role === 'lora_B.bias';
    tensors.set(name, turns ? opposite(tensor) : tensor);
  }
  return new Adapter(adapter.config, tensors, adapter.baseDigest, adapter.notes);
}

function opposite({ type, dims, data }: Tensor): Tensor {
  // Half precision is stored as bits; the highest is the sign.
  if (data instanceof Uint16Array) return { type, dims, data: data.map((bits) => bits ^ 0x8000) };
  if (data instanceof Float32Array) return { type, dims, data: data.map((value) => -value) };
  if (data instanceof Float64Array) return { type, dims, data: data.map((value) => -value) };
  throw new OnnxLoraError(
    'ADAPTER_INVALID',
    `The adapter holds ${type} values, but weights are floats. Save it again.`,
  );
}
