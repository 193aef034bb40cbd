/**
 * @file Draws small networks: layers in every form that exporters write them in, between norms, activations and sums. A network
 * is data, so that a draw can be shrunk, printed and built again.
 */

import fc from 'fast-check';

/** Forms of a linear layer in a graph; the weight is `[in, out]` or `[out, in]`, and may be behind a Transpose. */
export const linearForms = [
  'MatMul', 'MatMul transposed', 'bias first', 'Gemm', 'Gemm transB', 'Gemm transA', 'Gemm transA transB', 'no bias', 'weight first',
] as const; // prettier-ignore
/** Forms of a convolution. */
export const convForms = ['plain', 'pointwise', 'grouped', 'depthwise', 'dilated', 'strided', 'no bias', 'transposed', 'one axis'] as const; // prettier-ignore
/** Forms of attention: how the projections lie in the graph. */
export const attentionForms = ['apart', 'joined', 'stacked', 'Attention', 'MultiHeadAttention'] as const;
/** Norms of features. */
export const norms = ['none', 'LayerNormalization', 'layer norm in parts', 'root mean square'] as const;
/** Norms of images. */
export const imageNorms = ['none', 'group norm', 'BatchNormalization', 'InstanceNormalization'] as const;
/** Activations. */
export const activations = ['none', 'Relu', 'Tanh', 'gelu in parts', 'Gelu', 'silu', 'Sigmoid', 'LeakyRelu', 'HardSwish'] as const; // prettier-ignore
/** Blocks of features. */
export const featureBlocks = ['linear', 'mlp', 'attention', 'twice', 'shared', 'residual'] as const;
/** Exporters, which differ in where they write the names of modules; `weights` names weights alone. */
export const dialects = ['torchscript', 'dynamo', 'weights'] as const;
/** Levels of ONNX Runtime's optimiser, which rewrites the exported file. */
export const optimisers = ['plain', 'basic', 'extended', 'all'] as const;
/** How weights are stored. */
export const storages = ['float32', 'float16', 'bfloat16'] as const;
/** How the network ends. */
export const heads = ['linear', 'of the first', 'of the mean', 'tied'] as const;

export type LinearForm = (typeof linearForms)[number];
export type ConvForm = (typeof convForms)[number];
export type AttentionForm = (typeof attentionForms)[number];

/** One block of a network: `kind` says which of the forms counts. */
export interface DrawnBlock {
  readonly kind: (typeof featureBlocks)[number];
  readonly linear: LinearForm;
  readonly conv: ConvForm;
  readonly attention: AttentionForm;
  readonly norm: (typeof norms)[number];
  readonly imageNorm: (typeof imageNorms)[number];
  readonly activation: (typeof activations)[number];
}

/** A network; all of it follows from these fields. */
export interface DrawnNetwork {
  readonly start: 'features' | 'tokens' | 'image';
  readonly blocks: readonly DrawnBlock[];
  readonly head: (typeof heads)[number];
  readonly dialect: (typeof dialects)[number];
  readonly optimiser: (typeof optimisers)[number];
  readonly storage: (typeof storages)[number];
  readonly opset: number;
  readonly batch: number;
  readonly length: number;
  readonly width: number;
  /** Whether batch and length are open in the file. */
  readonly dynamic: boolean;
  readonly seed: number;
}

const block: fc.Arbitrary<DrawnBlock> = fc.record({
  kind: fc.constantFrom(...featureBlocks),
  linear: fc.constantFrom(...linearForms),
  conv: fc.constantFrom(...convForms),
  attention: fc.constantFrom(...attentionForms),
  norm: fc.constantFrom(...norms),
  imageNorm: fc.constantFrom(...imageNorms),
  activation: fc.constantFrom(...activations),
});

/** Networks that shrink to one block in its plainest form. */
export const drawnNetworks: fc.Arbitrary<DrawnNetwork> = fc.record({
  start: fc.constantFrom('features', 'tokens', 'image'),
  blocks: fc.array(block, { minLength: 1, maxLength: 4 }),
  head: fc.constantFrom(...heads),
  dialect: fc.constantFrom(...dialects),
  optimiser: fc.constantFrom('plain', 'plain', ...optimisers),
  storage: fc.constantFrom('float32', 'float32', 'float32', 'float32', ...storages),
  opset: fc.constantFrom(17, 18, 20, 13),
  batch: fc.constantFrom(2, 3),
  length: fc.constantFrom(3, 1, 4),
  width: fc.constantFrom(8, 4, 12),
  dynamic: fc.boolean(),
  seed: fc.nat(1000),
});
