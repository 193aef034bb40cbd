/** @file Module paths of layers whose own names an optimizer has dropped, from the names around them. */

import type { NodeProto } from '../graph/proto.ts';
import type { GraphIndex } from '../graph/walk.ts';
import { pathFromParameter, pathFromValueName, scopeOf } from './modulePath.ts';
import { fusedFrom } from './view.ts';

/** Which of an attention's projections a layer is. */
export type Projection = 'q' | 'k' | 'v';

/** How torch models call the three projections, by what they call the fourth, that of the output. */
const conventions: readonly (readonly [output: RegExp, names: Readonly<Record<Projection, string>>])[] = [
  [/\.output\.dense$/, { q: 'query', k: 'key', v: 'value' }],
  [/\.out_lin$/, { q: 'q_lin', k: 'k_lin', v: 'v_lin' }],
  [/\.to_out(?:\.0)?$/, { q: 'to_q', k: 'to_k', v: 'to_v' }],
  [/\.(?:o|wo)$/, { q: 'q', k: 'k', v: 'v' }],
  [/\.Wo$/, { q: 'Wq', k: 'Wk', v: 'Wv' }],
  [/\.(?:out_proj|o_proj|c_proj|projection_layer|proj|dense)$/, { q: 'q_proj', k: 'k_proj', v: 'v_proj' }],
];
const unknown = { q: 'query', k: 'key', v: 'value' };
/** What parts of a layer that has a name are called where nothing else tells. */
const separate = { q: 'q_proj', k: 'k_proj', v: 'v_proj' };

/** The names that torch models have for a projection: its letter or word, alone or with what says that it is a layer. */
function namesFor(words: string): RegExp {
  return new RegExp(`^(?:(?:to|linear|attn|w)_?)?(?:${words})(?:_(?:proj|projection|lin|linear|attn|layer|net|map))?$`, 'i'); // prettier-ignore
}

/** Every name of the three projections in torch models. */
const synonyms: Readonly<Record<Projection, RegExp>> = {
  q: namesFor('q|query|queries'),
  k: namesFor('k|keys?'),
  v: namesFor('v|values?'),
};

/** Whether a module of this name is such a projection. */
export function isCalledProjection(name: string, projection: Projection): boolean {
  return synonyms[projection].test(name);
}

/** A projection that an optimizer has packed into a fused attention, and the module that the attention was. */
export interface PackedProjection {
  readonly projection: Projection;
  /** Path of the attention module. */
  readonly attention: string;
  /** What the attention yields, which the projection of the output reads. */
  readonly output: string;
}

/**
 * What a layer taken out of a fused attention is; undefined for other layers, and where nothing around tells: neither the
 * names of the attention's output, node and packed weight, nor the projection of its output.
 *
 * @param weight name of the packed weight
 * @param pathOfReader path of the layer that reads a value, where one does
 */
export function packedProjection(
  node: NodeProto,
  weight: string,
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
    (packed === undefined ? attentionBefore(outputPath) : parentOf(packed, outputPath));
  return attention === undefined ? undefined : { projection, attention, output };
}

/** The path of a packed projection, named as the model names what is around it. */
export function projectionPath({ projection, attention }: PackedProjection, outputPath: string | undefined): string {
  return `${attention}.${namesBeside(outputPath, unknown)[projection]}`;
}

/**
 * Paths of the parts of a layer that is joined of projections, as they would be in the model that has a layer for each:
 * beside the layer, or inside it where the output's projection is inside it, as in torch's MultiheadAttention. Of a layer
 * without a name of its own as the output's tells, and none where there is none.
 *
 * @param layer.path of the joined layer, where it has a name
 * @param layer.attended the values that the attention yields
 * @param layer.outputPath path of the projection of the attention's output, where that has one
 */
export function partPaths({
  path,
  attended,
  outputPath,
}: {
  readonly path: string | undefined;
  readonly attended: readonly string[];
  readonly outputPath: string | undefined;
}): { readonly attention: string; readonly names: Readonly<Record<Projection, string>> } | undefined {
  const attention =
    path === undefined
      ? (pathFromValueName(attended[0] ?? '') ?? attentionBefore(outputPath))
      : parentOf(path, outputPath);
  if (attention === undefined) return undefined;
  return { attention, names: namesBeside(outputPath, separate) };
}

/** What the projections are called in a model that calls the output's so. */
function namesBeside(outputPath = '', otherwise: typeof unknown): Readonly<Record<Projection, string>> {
  return conventions.find(([output]) => output.test(outputPath))?.[1] ?? otherwise;
}

function parentOf(path: string, outputPath: string | undefined): string {
  if (outputPath?.startsWith(`${path}.`)) return path;
  // `layernorm_qkv.1` is one layer of a sequence.
  const parent = path.replace(/\.?[^.]+(?:\.\d+)*$/, '');
  return parent === '' ? path : parent;
}

/** `encoder.layer.0.attention` has its projections in `.self` where the output's is in `.output.dense`. */
function attentionBefore(outputPath: string | undefined): string | undefined {
  if (outputPath === undefined) return undefined;
  if (outputPath.endsWith('.output.dense')) return outputPath.replace(/output\.dense$/, 'self');
  return outputPath.replace(/\.(?:to_out\.0|[^.]+)$/, '');
}

/** The module whose bias a fused operator adds to a product: `BiasGelu(x·W, dense.bias)`. */
export function pathFromFusedBias(product: string, index: GraphIndex): string | undefined {
  for (const { node, index: at } of index.uses.get(product) ?? []) {
    const bias = biasInput(node, at);
    const path = bias && index.constants.has(bias) ? pathFromParameter(bias, 'bias') : undefined;
    if (path !== undefined) return path;
  }
  return undefined;
}

/** The bias that an operator adds to its input number `at`. */
function biasInput(node: NodeProto, at: number): string | undefined {
  const { opType = '', input = [] } = node;
  if (at === 0 && /^(?:BiasGelu|FastGelu|BiasSplitGelu)$/.test(opType)) return input[1];
  if (at === 0 && opType === 'SkipLayerNormalization') return input[4];
  if (at === 0 && opType === 'SkipSimplifiedLayerNormalization') return input[3];
  return at === 0 && opType === 'BiasAdd' ? input[1] : undefined;
}
