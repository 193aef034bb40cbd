/** @file Attention of a drawn network: projections apart, joined into one layer, or inside of one operator. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { ModelBuilder } from '@onnx-lora/testing';
import type { AttentionForm, LinearForm } from './network.ts';

const HEADS = 2;

/** The parts of a network's builder that attention needs. */
interface LayerBuilder {
  readonly g: ModelBuilder['g'];
  readonly width: number;
  linear(path: string, x: Value, inputs: number, outputs: number, form: LinearForm): Value;
  weight(name: string, dims: readonly number[], range?: number): Value;
  named(path: string, value: Value): Value;
}

/** The attention's result before its output layer, `[batch, length, width]`. */
export function attended(m: LayerBuilder, form: AttentionForm, linear: LinearForm, path: string, x: Value): Value {
  const { g, width } = m;
  const size = width / HEADS;
  const heads = (value: Value): Value => g.Transpose(g.Reshape(value, [0, 0, HEADS, size]), [0, 2, 1, 3]);
  const scale = 1 / Math.sqrt(size);
  if (form === 'Attention') {
    const weights = [m.weight(`${path}.qkv.weight`, [width, 3 * width], 2 / Math.sqrt(width)), m.weight(`${path}.qkv.bias`, [3 * width])]; // prettier-ignore
    return m.named(path, g.emit('Attention', [x, ...weights], { num_heads: HEADS }, 'com.microsoft'));
  }
  let [q, k, v]: Value[] = [];
  if (form === 'joined' || form === 'stacked') {
    const all = m.linear(`${path}.qkv`, x, width, 3 * width, linear);
    if (form === 'joined') [q, k, v] = g.Split(all, [width, width, width], 2).map(heads);
    else {
      const stacked = g.Transpose(g.Reshape(all, [0, 0, 3, HEADS, size]), [2, 0, 3, 1, 4]);
      [q, k, v] = [0, 1, 2].map((i) => g.Gather(stacked, g.scalar(i, 'int64'), 0));
    }
  } else {
    const apart = ['q_proj', 'k_proj', 'v_proj'].map((each) => m.linear(`${path}.${each}`, x, width, width, linear));
    if (form === 'MultiHeadAttention') return g.emit('MultiHeadAttention', apart, { num_heads: HEADS }, 'com.microsoft'); // prettier-ignore
    [q, k, v] = apart.map(heads);
  }
  const weights = g.Softmax(g.Mul(g.MatMul(q!, g.Transpose(k!, [0, 1, 3, 2])), scale), -1);
  return g.Reshape(g.Transpose(g.MatMul(weights, v!), [0, 2, 1, 3]), [0, 0, width]);
}
