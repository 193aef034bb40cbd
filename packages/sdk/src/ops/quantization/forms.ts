/** @file Quantized matrices in a file, and their products in plain ONNX Runtime. */

import { attributeProto } from '../../graph/attributes.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { readBytes } from '../../graph/bytes.ts';
import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { float32 } from '../../runtime/tensor.ts';
import { CONTRIB } from '../domains.ts';
import { inferNode } from '../infer.ts';
import { integerWeight } from '../precision/integerWeight.ts';
import { integerBlocks, normalFloatBlocks, type Rows } from './blocks.ts';
import { attributeOf } from '../schema.ts';

/** Bits per weight: `8` for int8 products, `4` for blockwise integers, `nf4` for QLoRA's NF4. */
export type QuantizedBits = 8 | 4 | 'nf4';

/** All supported bits. */
export const quantizedBits: readonly QuantizedBits[] = [8, 4, 'nf4'];

/** A quantization form and its block size; 8 bits have one scale per output. */
export type QuantizedForm = { readonly bits: 8 } | { readonly bits: 4 | 'nf4'; readonly blockSize: number };

/** The source of a quantized model. */
export type QuantizedFrom = QuantizedForm & {
  /** SHA-256 of the original weights. */
  readonly from: string;
};

/** Display name: `8 bits`, `4 bits`, `NF4`. */
export function formName({ bits }: QuantizedForm): string {
  return bits === 'nf4' ? 'NF4' : `${bits} bits`;
}

/** A quantized matrix. */
export interface QuantizedMatrix {
  /** Operands of the product. */
  readonly tensors: { readonly codes: TensorProto; readonly scales: TensorProto; readonly zeros?: TensorProto };
  /** The dequantized matrix `[out, width]`. */
  readonly restored: Float32Array;
}

/** Quantizes a matrix. Tensor names are suffixes to the weight's name, as in ONNX Runtime's quantizers. */
export function quantizeMatrix(rows: Rows, form: QuantizedForm): QuantizedMatrix {
  const { out, width } = rows;
  if (form.bits === 8) return integerMatrix(rows);
  const { bits, blockSize } = form;
  const { codes, scales, zeros, restored } =
    bits === 4 ? integerBlocks(rows, blockSize) : { zeros: undefined, ...normalFloatBlocks(rows, blockSize) };
  const own = bits === 4 ? '_Q4' : '_Bnb4';
  const blocks = Math.ceil(width / blockSize);
  const bytes = (suffix: string, dims: readonly number[], data: Uint8Array): TensorProto =>
    tensorProto(`${own}${suffix}`, { type: 'uint8', dims, data });
  return {
    tensors: {
      codes: bytes('', bits === 4 ? [out, blocks, blockSize / 2] : [codes.length], codes),
      scales: tensorProto(`${own}_scales`, float32(scales, [scales.length])),
      ...(zeros ? { zeros: bytes('_zero_points', [zeros.length], zeros) } : {}),
    },
    restored,
  };
}

function integerMatrix({ values, out, width }: Rows): QuantizedMatrix {
  // Transposed: rows are outputs here, and products want columns.
  const weight = tensorProto('', float32(values, [out, width]));
  // ONNX Runtime adds pairs of products in 16 bits on x86 without VNNI, and the target machine is unknown.
  const found = integerWeight([weight], true, true);
  const rawData = readBytes(found.values.rawData!);
  const codes = new Int8Array(rawData.buffer, rawData.byteOffset, rawData.length);
  const scales = new Float32Array(readBytes(found.scales.rawData!).slice().buffer);
  const restored = new Float32Array(values.length);
  for (let row = 0; row < out; row++)
    for (let i = 0; i < width; i++) restored[row * width + i] = codes[i * out + row]! * scales[row]!;
  const named = { ...found.values, name: '_quantized', rawData };
  return { tensors: { codes: named, scales: { ...found.scales, name: '_scales' } }, restored };
}

/** Largest code of a table. */
const HIGHEST = 127;

/** Quantizes an embedding table to int8 with one scale, so that standard operators gather before dequantizing. */
export function quantizeTable({ values, out, width }: Rows): QuantizedMatrix {
  const scale = tableStep(values);
  // By a loop: `from` lists all numbers first, and tables are the largest weights of language models.
  const codes = new Int8Array(values.length);
  const restored = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    codes[i] = tableCode(values[i]!, scale);
    restored[i] = codes[i]! * scale;
  }
  return {
    tensors: {
      codes: tensorProto('_quantized', { type: 'int8', dims: [out, width], data: codes }),
      scales: tensorProto('_scale', float32([scale], [])),
    },
    restored,
  };
}

/** Fractions of the largest magnitude tried for the scale: a table has few outliers, which make many rows coarse. */
const SHARES = [1, 0.9, 0.8, 0.7, 0.6, 0.5];

function tableCode(value: number, scale: number): number {
  return Math.max(-HIGHEST, Math.min(HIGHEST, Math.round(value / scale)));
}

/** The scale with the least squared error. */
function tableStep(values: Float32Array): number {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  let [best, least] = [1, Infinity];
  for (const share of largest > 0 ? SHARES : []) {
    const scale = Math.fround((share * largest) / HIGHEST);
    let error = 0;
    for (let i = 0; i < values.length && error < least; i++)
      error += (tableCode(values[i]!, scale) * scale - values[i]!) ** 2;
    if (error < least) [best, least] = [scale, error];
  }
  return best;
}

/** A product or an embedding lookup: its node and operands. */
export interface ProductSite {
  readonly node: NodeProto;
  /** Input name, `[…, width]`. */
  readonly x: string;
  readonly out: number;
  readonly width: number;
  readonly tensors: QuantizedMatrix['tensors'];
}

/** Emits the products of one graph; an input of several of them is rounded once. */
export class QuantizedProducts {
  readonly #form: QuantizedForm;
  readonly #g: GraphBuilder;
  readonly #rounded = new Map<string, RowIntegers>();

  /** @param prefix of new names, unique in the model */
  constructor(form: QuantizedForm, opset: number, prefix: string) {
    this.#form = form;
    this.#g = new GraphBuilder({ opset, infer: inferNode, prefix });
  }

  /** Constants that the nodes read besides the matrices. */
  get constants(): readonly TensorProto[] {
    return this.#g.initializers;
  }

  /** The nodes that replace a MatMul, Gemm or Gather; the product keeps its name, which identifies its module. */
  nodes(site: ProductSite): NodeProto[] {
    const { node } = site;
    if (node.opType === 'Gather') return rowsOfTable(site);
    const [, , addend] = node.opType === 'Gemm' ? node.input! : [];
    const y = node.output![0]!;
    const product = addend ? `${y}_product` : y;
    const nodes = this.#product(site, product);
    if (!addend) return nodes;
    const { domain: _, attribute: __, ...own } = node;
    return [...nodes, { ...own, name: `${node.name ?? y}_bias`, opType: 'Add', input: [product, addend], output: [y] }];
  }

  #product({ node, x, out, width, tensors: { codes, scales, zeros } }: ProductSite, y: string): NodeProto[] {
    const form = this.#form;
    if (form.bits === 8) return this.#integers(node, x, [codes, scales], y);
    const { bits, blockSize } = form;
    const sizes = { K: width, N: out, block_size: blockSize };
    // Level 4 also quantizes the input blockwise: as exact, and up to twice as fast for a single row.
    const attributes = bits === 4 ? { ...sizes, bits: 4, accuracy_level: 4 } : { ...sizes, quant_type: 1 };
    const opType = bits === 4 ? 'MatMulNBits' : 'MatMulBnb4';
    const input = [x, codes.name!, scales.name!, ...(zeros ? [zeros.name!] : [])];
    const attribute = Object.entries(attributes).map(([key, value]) => attributeProto(key, value));
    return [{ ...node, opType, domain: CONTRIB, input, output: [y], attribute }];
  }

  #integers(node: NodeProto, x: string, [codes, scales]: readonly [TensorProto, TensorProto], y: string): NodeProto[] {
    const g = this.#g;
    const known = this.#rounded.get(x) ?? rowIntegers(g, { name: x, type: 'float32' });
    this.#rounded.set(x, known);
    const value = ({ name, dims }: TensorProto, type: 'int8' | 'float32') => ({ name: name!, type, shape: dims });
    rowProduct(g, known, value(codes, 'int8'), value(scales, 'float32'));
    const nodes = g.nodes.splice(0);
    nodes.at(-1)!.output = [y];
    const product = nodes.at(-2)!;
    product.name = node.name ?? product.name!;
    if (node.metadataProps) product.metadataProps = node.metadataProps;
    return nodes;
  }
}

/** Gathers int8 rows and dequantizes them. */
function rowsOfTable({ node, x, tensors: { codes, scales } }: ProductSite): NodeProto[] {
  const [y] = node.output!;
  const { attribute: _, domain: __, ...own } = node;
  const rows = { ...node, input: [codes.name!, x], output: [`${y}_codes`] };
  const input = [`${y}_codes`, scales.name!];
  return [rows, { ...own, name: `${node.name ?? y}_dequantize`, opType: 'DequantizeLinear', input, output: [y!] }];
}

/** `(integers − ZERO) ÷ STEPS · rows`. */
export interface RowIntegers {
  /** uint8, in the shape of the input. */
  readonly integers: Value;
  /** The largest magnitude of each row, `[…, 1]`. */
  readonly rows: Value;
}

const STEPS = 127;
const ZERO = 128;

/** Quantizes each row of x to uint8 by its largest magnitude. */
export function rowIntegers(g: GraphBuilder, x: Value): RowIntegers {
  const largest = g.Max(g.ReduceMax(x, [-1], true), g.Neg(g.ReduceMin(x, [-1], true)));
  // Avoids division by zero for rows of zeros.
  const rows = g.Max(largest, g.scalar(1e-30));
  return { integers: g.emit('QuantizeLinear', [g.Div(x, rows), ...scaleOf(g)]), rows };
}

/** The product with int8 codes `[in, out]` and a scale per output. Its last nodes are MatMulIntegerToFloat and Mul. */
export function rowProduct(g: GraphBuilder, { integers, rows }: RowIntegers, codes: Value, scales: Value): Value {
  const [scale, zeroPoint] = scaleOf(g);
  return g.Mul(g.emit('MatMulIntegerToFloat', [integers, codes, scale, scales, zeroPoint], {}, CONTRIB), rows);
}

function scaleOf(g: GraphBuilder): [scale: Value, zeroPoint: Value] {
  return [g.scalar(1 / STEPS), g.scalar(ZERO, 'uint8')];
}

/** Whether a value is the row magnitude that {@link rowIntegers} computes of x. */
export function isLargestOfRows(rows: string, x: string, producer: (value: string) => NodeProto | undefined): boolean {
  const made = (name: string | undefined, opType: string): NodeProto | undefined => {
    const node = producer(name ?? '');
    return node?.opType === opType ? node : undefined;
  };
  const [high, low] = made(made(rows, 'Max')?.input?.[0], 'Max')?.input ?? [];
  const ends = [made(high, 'ReduceMax'), made(made(low, 'Neg')?.input?.[0], 'ReduceMin')];
  return ends.every((node) => node?.input?.[0] === x && attributeOf(node, 'keepdims') === 1);
}
