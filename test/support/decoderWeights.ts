/** @file How small decoders are written, how large they are, and their weights: the same for both forms. */

import { Random } from '../../packages/sdk/src/runtime/random.ts';

/** How a decoder of the builder's is written. */
export interface DecoderForm {
  /**
   * GroupQueryAttention with queries, keys and values in one, which turns them and takes the past; or MultiHeadAttention, with
   * RotaryEmbedding before it, and a mask that the graph makes.
   */
  readonly attention: 'grouped' | 'multi-head';
  /** Weights of four bits in blocks of 32, in MatMulNBits; float32 by default. */
  readonly bits?: 4;
  /** Queries, keys and values have a bias, as Qwen2's. */
  readonly biased?: boolean;
}

/** Sizes of the decoders. */
export const sizes = { layers: 2, hidden: 32, heads: 4, width: 16, inner: 64, vocabulary: 24, positions: 16 } as const;

const { layers, hidden, heads, width, inner, vocabulary, positions } = sizes;
/** A matrix `[in, out]`, and its four-bit quantisation. */
interface Matrix {
  readonly values: Float32Array;
  readonly dims: readonly [number, number];
  readonly blocks?: { readonly codes: Uint8Array; readonly scales: Float32Array };
}

/** Weights by module, the same for both forms. */
export class Weights {
  readonly #random = new Random(5);
  readonly norms: Map<string, Float32Array> = new Map();
  readonly matrices: Map<string, Matrix> = new Map();
  readonly biases: Map<string, Float32Array> = new Map();
  readonly embedding: Float32Array;
  /** Cosines and sines `[positions, width/2]`. */
  readonly tables: readonly [cos: Float32Array, sin: Float32Array];

  constructor(groups: number, { bits, biased }: DecoderForm) {
    this.embedding = this.#floats(vocabulary * hidden, 1);
    for (let i = 0; i < layers; i++) {
      const at = `model.layers.${i}`;
      for (const [name, rows, columns] of [
        ['self_attn.q_proj', hidden, heads * width],
        ['self_attn.k_proj', hidden, groups * width],
        ['self_attn.v_proj', hidden, groups * width],
        ['self_attn.o_proj', heads * width, hidden],
        ['mlp.gate_proj', hidden, inner],
        ['mlp.up_proj', hidden, inner],
        ['mlp.down_proj', inner, hidden],
      ] as const) {
        const values = this.#floats(rows * columns, 3 / Math.sqrt(rows));
        this.matrices.set(`${at}.${name}`, bits ? inBlocks(values, [rows, columns]) : { values, dims: [rows, columns] }); // prettier-ignore
        if (biased && /[qkv]_proj/.test(name)) this.biases.set(`${at}.${name}`, this.#floats(columns, 1));
      }
      for (const name of ['input_layernorm', 'post_attention_layernorm'])
        this.norms.set(`${at}.${name}`, this.#floats(hidden, 0.5, 1));
    }
    this.norms.set('model.norm', this.#floats(hidden, 0.5, 1));
    this.matrices.set('lm_head', { values: this.#floats(hidden * vocabulary, 0.7), dims: [hidden, vocabulary] });
    const angle = (i: number): number => Math.floor(i / (width / 2)) * 100 ** (-(i % (width / 2)) / (width / 2));
    const table = (f: (x: number) => number): Float32Array =>
      Float32Array.from({ length: (positions * width) / 2 }, (_, i) => f(angle(i)));
    this.tables = [table(Math.cos), table(Math.sin)];
  }

  #floats(count: number, range: number, offset = 0): Float32Array {
    return new Float32Array(count).map(() => offset + (this.#random.next() - 0.5) * range);
  }
}

/** Four bits in blocks of 32 along the inputs of each output, and the numbers that they stand for. */
function inBlocks(values: Float32Array, dims: readonly [rows: number, columns: number]): Matrix {
  const [rows, columns] = dims;
  const count = rows / 32;
  const codes = new Uint8Array((rows * columns) / 2);
  const scales = new Float32Array(columns * count);
  const rounded = new Float32Array(values.length);
  for (let column = 0; column < columns; column++) {
    for (let block = 0; block < count; block++) {
      const at = Array.from({ length: 32 }, (_, i) => (block * 32 + i) * columns + column);
      const scale = Math.fround(Math.max(...at.map((i) => Math.abs(values[i]!))) / 7);
      scales[column * count + block] = scale;
      for (const [i, from] of at.entries()) {
        const code = Math.round(values[from]! / scale) + 8;
        codes[(column * count + block) * 16 + (i >> 1)]! |= code << (4 * (i & 1));
        rounded[from] = (code - 8) * scale;
      }
    }
  }
  return { values: rounded, dims, blocks: { codes, scales } };
}
