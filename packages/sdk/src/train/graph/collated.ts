/** @file Checks the result of a task's `collate` against the graph before building one for it. */

import { type FeedCheck, type FeedFault, tensorFault } from '../../adapter/serving/feedCheck.ts';
import { didYouMean, OnnxLoraError } from '../../errors.ts';
import type { GraphProto } from '../../graph/proto.ts';
import { type Dim, formatShape, isStatic, type ValueType } from '../../graph/value.ts';
import { isElementwise } from '../../ops/axes.ts';
import { broadcast } from '../../ops/dim.ts';
import type { Feeds } from '../../runtime/tensor.ts';

/** Checks a batch of `collate`. @throws OnnxLoraError `PLUGIN_INVALID` for the first fault */
export function requireCollated(check: FeedCheck, inputs: Feeds, targets: Feeds, model: string): void {
  const fault = check.fault(inputs);
  if (fault) throw wrong(inputFault(fault, check.names, inputs, model));
  for (const name in targets) {
    const is = tensorFault(targets[name]);
    if (is !== undefined) throw wrong(`the target "${name}" as ${is}`);
  }
  if (!targets) throw wrong('no targets. Give { inputs, targets }; targets may be {}');
}

function inputFault(fault: FeedFault, names: readonly string[], inputs: Feeds, model: string): string {
  const { kind, input } = fault;
  const taken = names.join(', ') || 'none';
  if (kind === 'unlike') return `the input "${input}" as ${fault.is}, but "${model}" takes it as ${fault.takes}`;
  if (kind === 'missing')
    return `no input "${input}". "${model}" takes ${taken}; given were ${Object.keys(inputs ?? {}).join(', ') || 'none'}`;
  return `the input "${input}", which "${model}" does not have.${didYouMean(input, names)} It takes ${taken}. A tensor for the loss alone is a target`;
}

function wrong(what: string): OnnxLoraError {
  return new OnnxLoraError('PLUGIN_INVALID', `Task author: collate gives ${what}.`);
}

/**
 * Checks that input sizes fit together: a model of 512 positions takes no 600 tokens.
 * @param types of all values, for a batch
 * @param others inputs of the graph that the model does not have
 * @throws OnnxLoraError `INPUT_INVALID` for the first operator with operands of mismatched sizes
 */
export function requireFitting(
  graph: GraphProto,
  types: ReadonlyMap<string, ValueType>,
  others: ReadonlySet<string>,
): void {
  const shapeOf = (name: string): readonly Dim[] | undefined => types.get(name)?.shape;
  for (const node of graph.node ?? []) {
    const shapes = (node.input ?? []).map(shapeOf);
    if (!isElementwise(node) || !shapes.every(isStatic)) continue;
    let shape: readonly Dim[] | undefined = [];
    for (const each of shapes) shape = shape && broadcast(shape, each);
    if (shape) continue;
    const fed = (graph.input ?? []).flatMap(({ name = '' }) => (others.has(name) ? [] : `${name} ${formatShape(shapeOf(name))}`)); // prettier-ignore
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The model does not take inputs of these sizes (${fed.join(', ')}): its ${node.opType} "${node.name ?? node.output?.[0]}" gets ${shapes.map(formatShape).join(' and ')}. A model reads up to so many tokens as it has positions, and images of the size that it was made for: crop what is longer, or resize it.`,
    );
  }
}
