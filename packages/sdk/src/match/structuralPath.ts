/** @file Guesses module paths of layers renamed by an optimizer from the names around them. */

import type { NodeProto } from '../graph/proto.ts';
import type { GraphIndex } from '../graph/walk.ts';
import { pathFromParameter, pathFromValueName, scopeOf } from './modulePath.ts';
import { fusedFrom } from './view.ts';

/** A projection of an attention. */
export type Projection = 'q' | 'k' | 'v';

/** Names of the three projections in torch models, by the name of the output projection. */
const conventions: readonly (readonly [output: RegExp, names: Readonly<Record<Projection, string>>])[] = [
  [/(?:\.output|albert_layers\.\d+\.attention)\.dense$/, { q: 'query', k: 'key', v: 'value' }],
  [/\.out_lin$/, { q: 'q_lin', k: 'k_lin', v: 'v_lin' }],
  [/\.to_out(?:\.0)?$/, { q: 'to_q', k: 'to_k', v: 'to_v' }],
  [/\.(?:o|wo)$/, { q: 'q', k: 'k', v: 'v' }],
  [/\.Wo$/, { q: 'Wq', k: 'Wk', v: 'Wv' }],
  [/\.(?:out_proj|o_proj|c_proj|projection_layer|proj|dense)$/, { q: 'q_proj', k: 'k_proj', v: 'v_proj' }],
];
const unknown = { q: 'query', k: 'key', v: 'value' };
const separate = { q: 'q_proj', k: 'k_proj', v: 'v_proj' };

/** Norms before the attention in layers of ViT and DINOv2, whose projections are in `attention.attention`. */
const firstNorms = ['layernorm_before', 'norm1'];

/** Matches the names of a projection in torch models: its letter or word, with or without an affix for a layer. */
function namesFor(words: string): RegExp {
  return new RegExp(`^(?:(?:to|linear|attn|w)_?)?(?:${words})(?:_(?:proj|projection|lin|linear|attn|layer|net|map))?$`, 'i'); // prettier-ignore
}

const synonyms: Readonly<Record<Projection, RegExp>> = {
  q: namesFor('q|query|queries'),
  k: namesFor('k|keys?'),
  v: namesFor('v|values?'),
};

/** Whether a module's name is that of this projection. */
export function isCalledProjection(name: string, projection: Projection): boolean {
  return synonyms[projection].test(name);
}

/** A projection that an optimizer packed into a fused attention. */
export interface PackedProjection {
  readonly projection: Projection;
  readonly attention: string;
  readonly output: string;
}

/**
 * Identifies a layer unpacked from a fused attention by the names of the attention's output, node and packed weight, or
 * by the output projection; undefined otherwise. A path that the layer has from the node is the attention's.
 * @param weight name of the packed weight
 * @param pathOfReader path of the layer that reads a value, if any
 */
export function packedProjection(
  node: NodeProto,
  weight: string,
  { constants }: Pick<GraphIndex, 'constants'>,
  pathOfReader: (value: string) => string | undefined,
): PackedProjection | undefined {
  const fused = fusedFrom(node);
  const projection = /\/([qkv])$/.exec(node.name ?? '')?.[1] as Projection | undefined;
  if (!projection || !fused?.opType?.endsWith('Attention')) return undefined;
  const output = fused.output?.[0] ?? '';
  const outputPath = pathOfReader(output);
  const packed = pathFromParameter(weight, 'weight');
  const attention =
    pathFromValueName(output) ??
    scopeOf(fused) ??
    (packed === undefined ? attentionBefore(outputPath, constants) : parentOf(packed, outputPath));
  return attention === undefined ? undefined : { projection, attention, output };
}

/** The path of a packed projection, following the model's naming convention. */
export function projectionPath({ projection, attention }: PackedProjection, outputPath: string | undefined): string {
  return `${attention}.${namesBeside(outputPath, unknown)[projection]}`;
}

/**
 * Paths of the parts of a fused layer, as in a model with separate layers: next to the layer, or inside it if the
 * output projection is inside, as in torch's MultiheadAttention. For an unnamed layer the output projection decides;
 * without one there are no paths.
 * @param layer.path path of the fused layer, if named
 * @param layer.attended the attention's outputs
 * @param layer.outputPath path of the output projection, if any
 * @param layer.constants names of the graph's parameters
 */
export function partPaths({
  path,
  attended,
  outputPath,
  constants,
}: {
  readonly path: string | undefined;
  readonly attended: readonly string[];
  readonly outputPath: string | undefined;
  readonly constants: GraphIndex['constants'];
}): { readonly attention: string; readonly names: Readonly<Record<Projection, string>> } | undefined {
  const attention =
    path === undefined
      ? (pathFromValueName(attended[0] ?? '') ?? attentionBefore(outputPath, constants))
      : parentOf(path, outputPath);
  if (attention === undefined) return undefined;
  return { attention, names: namesBeside(outputPath, separate) };
}

/** Names of the three projections in the convention that calls one of them `name`. */
export function projectionNamesLike(name: string, as: Projection): Readonly<Record<Projection, string>> | undefined {
  return conventions.find(([, names]) => names[as] === name)?.[1];
}

function namesBeside(outputPath = '', otherwise: typeof unknown): Readonly<Record<Projection, string>> {
  return conventions.find(([output]) => output.test(outputPath))?.[1] ?? otherwise;
}

function parentOf(path: string, outputPath: string | undefined): string {
  if (outputPath?.startsWith(`${path}.`)) return path;
  // `layernorm_qkv.1` is one layer of a sequence.
  const parent = path.replace(/\.?[^.]+(?:\.\d+)*$/, '');
  return parent === '' ? path : parent;
}

/**
 * `encoder.layer.0.attention` has its projections in `.self` if the output projection is in `.output.dense`, or in
 * `.attention` if the layer's norms are called as in ViT and its kin. Swin has such norms too, in `blocks`, and `.self`.
 */
function attentionBefore(outputPath: string | undefined, constants: GraphIndex['constants']): string | undefined {
  if (outputPath === undefined) return undefined;
  const layer = /^(.*)\.attention\.output\.dense$/.exec(outputPath)?.[1];
  const isVits = layer !== undefined && !/\.blocks\.\d+$/.test(layer) && firstNorms.some((norm) => constants.has(`${layer}.${norm}.weight`)); // prettier-ignore
  if (outputPath.endsWith('.output.dense')) return outputPath.replace(/output\.dense$/, isVits ? 'attention' : 'self');
  return outputPath.replace(/\.(?:to_out\.0|[^.]+)$/, '');
}

/** The module of the bias that a fused operator adds to a product: `BiasGelu(x·W, dense.bias)`. */
export function pathFromFusedBias(product: string, index: GraphIndex): string | undefined {
  for (const { node, index: at } of index.uses.get(product) ?? []) {
    const bias = biasInput(node, at, index);
    const path = bias && index.constants.has(bias) ? pathFromParameter(bias, 'bias') : undefined;
    if (path !== undefined) return path;
  }
  return undefined;
}

/** Whether a normalization has a module's bias as its own, as where an optimizer keeps equal tensors once. */
export function isNormalized(path: string, index: GraphIndex): boolean {
  const uses = index.uses.get(`${path}.bias`) ?? [];
  return uses.some(({ node: { opType = '' }, index: at }) => at === (opType === 'SkipLayerNormalization' ? 3 : 2) && opType.endsWith('Normalization')); // prettier-ignore
}

function biasInput({ opType = '', input = [] }: NodeProto, at: number, index: GraphIndex): string | undefined {
  if (/^Skip(?:Simplified)?LayerNormalization$/.test(opType)) {
    const bias = input[opType === 'SkipLayerNormalization' ? 4 : 3];
    // The bias is added to the sum of both; where both are products, it was the first one's.
    return at === 0 || (at === 1 && index.producer.get(input[0] ?? '')?.opType !== 'MatMul') ? bias : undefined;
  }
  return at === 0 && /^(?:BiasGelu|FastGelu|BiasSplitGelu|BiasAdd)$/.test(opType) ? input[1] : undefined;
}
