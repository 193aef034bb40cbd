/** @file Bare three-dimensional parameters, such as stacked expert weights: Einsum, or one expert per row. */

import { constantWeight } from '../weights/index.ts';
import { einsumLabels } from './linear.ts';
import { attributeOf } from '../../ops/schema.ts';
import { intAttribute } from '../../graph/walk.ts';
import { type Layer, type LayerFinder, operands, soleUse } from './layer.ts';

/** A product with `[experts, d1, d2]` over d1 or d2: PEFT's target parameter, with a low-rank delta per expert. */
export const stackedParameter: LayerFinder = (node, index) => {
  if (node.opType !== 'Einsum' || node.input?.length !== 2) return undefined;
  const at = constantWeight(node.input[1], index) ? { input: 0, weight: 1 } : { input: 1, weight: 0 };
  const found = operands(node, index, at);
  const labels = einsumLabels(node, at);
  if (found?.stored.dims.length !== 3 || labels?.weight.length !== 3) return undefined;
  const { x, weight, y } = labels;
  const [expert, first, second] = weight as unknown as [string, string, string];
  const contracted = [first, second].findIndex((label) => x.includes(label) && !y.includes(label));
  if (contracted < 0 || !y.includes(expert)) return undefined;
  const [summed, kept] = contracted === 0 ? [first, second] : [second, first];
  if (x.includes(kept) || !y.includes(kept)) return undefined;
  const rank = 'RSTUVWXYZ'.split('').find((letter) => !`${x}${weight}${y}`.includes(letter))!;
  const middle = y.replace(kept, rank);
  const [A, B] = [`${expert}${summed}${rank}`, `${expert}${rank}${kept}`];
  const { stored, input } = found;
  const output = node.output![0]!;
  return {
    kind: 'parameter',
    node,
    nodes: [node],
    input,
    product: output,
    output,
    weight: { name: stored.name, layout: 'torch', stored },
    weightShape: stored.dims,
    contracted: contracted === 0 ? 1 : 2,
    equations: [`${x},${A}->${middle}`, `${middle},${B}->${y}`],
  } satisfies Layer;
};

/** A constant `[experts, d1, d2]` gathered per row, as transformers computes routed experts (`batched_mm`). */
export const chosenParameter: LayerFinder = (node, index) => {
  const isTaking =
    (node.opType === 'Gather' && attributeOf(node, 'axis') === 0) ||
    (node.opType === 'GatherND' && intAttribute(node, 'batch_dims', 0) === 0);
  const stored = isTaking ? constantWeight(node.input?.[0], index) : undefined;
  const [, experts] = node.input ?? [];
  const use = stored?.dims.length === 3 ? soleUse(node.output![0]!, index) : undefined;
  const input = use?.node.opType === 'MatMul' ? use.node.input![1 - use.index] : undefined;
  if (!stored || !use || !experts || !input || index.constants.has(experts) || constantWeight(input, index))
    return undefined;
  const isLeft = use.index === 0;
  const output = use.node.output![0]!;
  return {
    kind: 'parameter',
    node,
    nodes: [node, use.node],
    input,
    product: output,
    output,
    weight: { name: stored.name, layout: 'torch', stored },
    weightShape: stored.dims,
    contracted: isLeft ? 2 : 1,
    experts,
    equations: isLeft ? ['nic,nir->nrc', 'nrc,nro->noc'] : ['nci,nir->ncr', 'ncr,nro->nco'],
  } satisfies Layer;
};
