/** @file THE table of fused operators: by domain, the rule of each and the attributes that it knows. */

import { float } from '../../graph/attributes.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { biasAdd, biasGelu, biasSplitGelu, fastGelu, gelu, hardSwish, mish, swish } from './activation.ts';
import { attention } from './attention/attention.ts';
import {
  embedLayerNorm,
  groupNorm,
  groupNormalization,
  layerNormalization,
  qEmbedLayerNorm,
  rmsNormalization,
  skipLayerNorm,
  skipRmsNorm,
} from './normalization.ts';
import { gatherBlockQuantized, matMulBnb4, matMulNBits } from './quantized/blockwise.ts';
import { groupQueryAttention } from './attention/groupQueryAttention.ts';
import {
  dynamicQuantizeMatMul,
  linearQuantization,
  matMulIntegerToFloat,
  qAttention,
  qGemm,
  qLinearAveragePool,
  qLinearBinary,
  qLinearConcat,
  qLinearConv,
  qLinearGlobalAveragePool,
  qLinearMatMul,
  qLinearSoftmax,
  qLinearUnary,
  qLinearWhere,
} from './quantized/qLinear.ts';
import { rotaryEmbedding, standardRotaryEmbedding } from './attention/rotary.ts';
import { standardAttention } from './attention/standardAttention.ts';
import { fusedConv, fusedGemm, fusedMatMul, gemmFastGelu, isScaledGemm, nhwcConv, scaledGemm } from './products.ts';
import { decoderMaskedMultiHeadAttention, multiHeadAttention } from './attention/multiHeadAttention.ts';
import { splitHeads } from './attention/scaledDotProduct.ts';
import { rankOf, type Rule, staticDim } from './site.ts';

/**
 * The bias `[1, heads, queries, keys]` gated by each query: `(u·(r·eco_a − 1) + 2) · bias`, where u and r are sigmoids
 * of the sums of both halves of `query · weight + bias`. No packed batches.
 */
const gatedRelativePositionBias: Rule = (site) => {
  const [query, queryBias, bias, weight, gateBias, eco, offset] = site.inputs;
  const heads = site.of('num_heads');
  const width = staticDim(weight, 1);
  if (!query || !queryBias || !bias || !weight || !gateBias || !eco || offset || heads < 1) return undefined;
  if (rankOf(query) !== 3 || width === undefined || width % 2 !== 0) return undefined;
  const { g } = site;
  const q = splitHeads(site, g.Add(query, queryBias), heads);
  const product = g.Add(site.layer(g.MatMul(q, weight), 'gate_ur_linear'), gateBias);
  const [u, r] = g.Split(product, [width / 2, width / 2], 3).map((half) => g.Sigmoid(g.ReduceSum(half, [3], true)));
  const gate = g.Add(g.Mul(u!, g.Sub(g.Mul(r!, eco), site.scalar(1))), site.scalar(2));
  return g.Mul(gate, bias);
};

/** `softmax(data + bias)` over the last axis, the bias of equal rank. */
const biasSoftmax: Rule = (site) => {
  const [x, bias] = site.inputs;
  const rank = rankOf(x);
  const axis = site.int('axis', 1);
  if (!x || !bias || rank === undefined || rankOf(bias) !== rank || ![-1, rank - 1].includes(axis)) return undefined;
  return site.g.Softmax(site.g.Add(x, bias), -1);
};

/** One operator. */
export interface ExpansionRow {
  readonly expand: Rule;
  /** Attributes that the rule reads or may ignore; a node with others is not expanded. */
  readonly attributes: ReadonlySet<string>;
  /** Selects the operator's nodes that have the row; all of them by default. */
  readonly covers?: (node: NodeProto) => boolean;
}

const row = (expand: Rule, ...attributes: string[]): ExpansionRow => ({ expand, attributes: new Set(attributes) });

const transposes = ['alpha', 'transA', 'transB', 'transBatchA', 'transBatchB'];
const activations = ['activation', 'activation_alpha', 'activation_beta', 'activation_gamma'];
const rotation = ['interleaved', 'num_heads', 'rotary_embedding_dim'];
const convolution = ['kernel_shape', 'strides', 'pads', 'dilations', 'group', 'auto_pad'];

const contrib: Readonly<Record<string, ExpansionRow>> = {
  FusedMatMul: row(fusedMatMul, ...transposes),
  TransposeMatMul: row(fusedMatMul, ...transposes),
  FusedMatMulActivation: row(fusedMatMul, ...transposes, ...activations),
  FusedGemm: row(fusedGemm, 'alpha', 'beta', 'transA', 'transB', ...activations),
  GemmFastGelu: row(gemmFastGelu),
  FusedConv: row(fusedConv, ...convolution, 'activation', 'activation_params'),
  NhwcConv: row(nhwcConv, ...convolution),
  NhwcFusedConv: row(nhwcConv, ...convolution, 'activation', 'activation_params'),
  Gelu: row(gelu),
  BiasGelu: row(biasGelu),
  FastGelu: row(fastGelu),
  QuickGelu: row(swish, 'alpha'),
  BiasAdd: row(biasAdd),
  BiasSplitGelu: row(biasSplitGelu),
  LayerNormalization: row(layerNormalization, 'axis', 'epsilon', 'stash_type'),
  SimplifiedLayerNormalization: row(rmsNormalization, 'axis', 'epsilon', 'stash_type'),
  SkipLayerNormalization: row(skipLayerNorm, 'epsilon'),
  SkipSimplifiedLayerNormalization: row(skipRmsNorm, 'epsilon'),
  GroupNorm: row(groupNorm, 'epsilon', 'groups', 'activation', 'channels_last'),
  SkipGroupNorm: row(groupNorm, 'epsilon', 'groups', 'activation', 'channels_last'),
  BiasSoftmax: row(biasSoftmax, 'axis', 'is_inner_broadcast'),
  GatedRelativePositionBias: row(gatedRelativePositionBias, 'num_heads'),
  Attention: row(
    attention, 'num_heads', 'unidirectional', 'qkv_hidden_sizes', 'scale', 'mask_filter_value', 'do_rotary',
    'past_present_share_buffer',
  ), // prettier-ignore
  MultiHeadAttention: row(multiHeadAttention, 'num_heads', 'unidirectional', 'scale', 'mask_filter_value'),
  DecoderMaskedMultiHeadAttention: row(
    decoderMaskedMultiHeadAttention, 'num_heads', 'scale', 'mask_filter_value', 'output_qk',
  ), // prettier-ignore
  GroupQueryAttention: row(
    groupQueryAttention, 'num_heads', 'kv_num_heads', 'scale', 'softcap', 'do_rotary', 'rotary_interleaved',
    'local_window_size', 'smooth_softmax', 'causal', 'sliding_window_cache', 'qk_output', 'kv_cache_bit_width',
    'qk_norm_epsilon', 'q_norm_epsilon', 'k_norm_epsilon',
  ), // prettier-ignore
  RotaryEmbedding: row(rotaryEmbedding, ...rotation, 'is_packed_batching', 'scale'),
  EmbedLayerNormalization: row(embedLayerNorm, 'epsilon', 'mask_index_type'),
  QEmbedLayerNormalization: row(qEmbedLayerNorm, 'epsilon'),
  GatherBlockQuantized: row(gatherBlockQuantized, 'bits', 'block_size', 'gather_axis', 'quantize_axis'),
  DynamicQuantizeMatMul: row(dynamicQuantizeMatMul),
  MatMulIntegerToFloat: row(matMulIntegerToFloat),
  QAttention: row(
    qAttention, 'num_heads', 'unidirectional', 'scale', 'mask_filter_value', 'do_rotary', 'past_present_share_buffer',
  ), // prettier-ignore
  QGemm: row(qGemm, 'transA', 'transB', 'alpha'),
  QLinearConv: row(qLinearConv, ...convolution, 'channels_last'),
  MatMulBnb4: row(matMulBnb4, 'K', 'N', 'block_size', 'quant_type', 'transB', 'training_mode'),
  MatMulNBits: row(matMulNBits, 'K', 'N', 'bits', 'block_size', 'accuracy_level', 'weight_prepacked'),
};

const pooling = ['kernel_shape', 'strides', 'pads', 'auto_pad', 'ceil_mode', 'count_include_pad', 'channels_last'];

const quantized: Readonly<Record<string, ExpansionRow>> = {
  QLinearAdd: row(qLinearBinary('Add')),
  QLinearMul: row(qLinearBinary('Mul')),
  QLinearSigmoid: row(qLinearUnary('Sigmoid')),
  QLinearLeakyRelu: row(
    qLinearUnary('LeakyRelu', (site) => ({ alpha: float(site.of('alpha')) })),
    'alpha',
  ),
  QLinearSoftmax: row(qLinearSoftmax, 'axis', 'opset'),
  QLinearAveragePool: row(qLinearAveragePool, ...pooling),
  QLinearGlobalAveragePool: row(qLinearGlobalAveragePool, 'channels_last'),
  QLinearConcat: row(qLinearConcat, 'axis'),
  QLinearWhere: row(qLinearWhere),
  QuantizeLinear: row(linearQuantization('QuantizeLinear'), 'axis'),
  DequantizeLinear: row(linearQuantization('DequantizeLinear'), 'axis'),
};

const standard: Readonly<Record<string, ExpansionRow>> = {
  Gelu: row(gelu, 'approximate'),
  Gemm: { ...row(scaledGemm, 'alpha', 'beta', 'transA', 'transB'), covers: isScaledGemm },
  Mish: row(mish),
  Swish: row(swish, 'alpha'),
  HardSwish: row(({ g, inputs: [x] }) => x && hardSwish(g, x)),
  SimplifiedLayerNormalization: row(rmsNormalization, 'axis', 'epsilon', 'stash_type'),
  RMSNormalization: row(rmsNormalization, 'axis', 'epsilon', 'stash_type'),
  GroupNormalization: row(groupNormalization, 'epsilon', 'num_groups', 'stash_type'),
  RotaryEmbedding: row(standardRotaryEmbedding, ...rotation),
  QLinearMatMul: row(qLinearMatMul),
  QLinearConv: row(qLinearConv, ...convolution),
  Attention: row(
    standardAttention, 'is_causal', 'q_num_heads', 'kv_num_heads', 'scale', 'softcap', 'qk_matmul_output_mode',
  ), // prettier-ignore
};

/** Rows by domain, then operator. */
export const expansionRows: Readonly<Record<string, Readonly<Record<string, ExpansionRow>>>> = {
  '': standard,
  'ai.onnx': standard,
  'com.microsoft': { ...contrib, ...quantized },
};

/** The row of a node's operator, if any. */
export function rowOf(node: NodeProto): ExpansionRow | undefined {
  const { opType = '', domain = '' } = node;
  const rows = Object.hasOwn(expansionRows, domain) ? expansionRows[domain]! : {};
  const found = Object.hasOwn(rows, opType) ? rows[opType] : undefined;
  return found?.covers?.(node) === false ? undefined : found;
}
