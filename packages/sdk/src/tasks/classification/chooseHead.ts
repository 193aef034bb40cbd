/** @file The head that answers: the model's own where it knows the labels, or a new one. */

import { OnnxLoraError } from '../../errors.ts';
import type { NewHead } from '../../plugin/preparedTask.ts';
import type { TaskModel } from '../../plugin/taskModel.ts';
import { alikeHint, requireDistinctLooks } from './alikeLabels.ts';
import { checkLabels, knownLabels, labelsOrNumbers, matchLabels } from './modelLabels.ts';

/** An output with a number, or a score, for each label. */
export interface HeadPort {
  /** Name of the output, float32 `[batch, outputs]`. */
  readonly output: string;
  /** How many numbers there are per example. */
  readonly outputs: number;
}

/** Where answers come from. */
export interface TaskHead {
  /** The graph output with one number per label. */
  readonly output: string;
  /** What the numbers stand for, in their order. */
  readonly labels: readonly string[];
  /** The head to make, where it is not the model's own. */
  readonly head?: NewHead;
}

/** How a head is chosen. */
export interface HeadChoice {
  /** What the data is called. */
  readonly root: string;
  /** `auto` keeps the model's own where it knows the labels, `new` always makes one, `keep` never. */
  readonly mode: 'auto' | 'new' | 'keep';
  /** The head on the features of a model without one; absent where none is attached. */
  readonly attach?: ((model: TaskModel, labels: readonly string[]) => TaskHead) | undefined;
}

/**
 * The head for labels of these names.
 *
 * @param own the head that the model has
 * @throws OnnxLoraError `DATA_INVALID` where the model's own head is to answer and does not know the labels, or knows most of
 *   them but not all, and for two names that look the same; `MODEL_UNSUPPORTED` where it has neither a head nor features
 */
export function chooseHead(
  model: TaskModel,
  own: HeadPort | undefined,
  names: readonly string[],
  { root, mode, attach }: HeadChoice,
): TaskHead {
  requireDistinctLooks(names, root);
  if (!own) {
    if (mode === 'keep') throw noHead(model, `It has no head of its own, and head: 'keep' allows no other`);
    if (!attach) throw noHead(model, 'It gives no scores');
    return attach(model, names);
  }
  if (mode !== 'new') {
    const labels = knownLabels(model, names, own.outputs);
    if (labels) return { output: own.output, labels: checkLabels(model, names, labels) };
    // Where most are known, the others may be misspelt.
    if (mode === 'keep' || mayBeMisspelt(model, names, own)) matchLabels(model, names, own.outputs, root);
  }
  return replacedHead(own, names);
}

/** A head for these labels in the place of the model's own. */
export function replacedHead({ output }: HeadPort, labels: readonly string[]): TaskHead {
  return { output, labels, head: { output, labels } };
}

function mayBeMisspelt(model: TaskModel, names: readonly string[], { outputs }: HeadPort): boolean {
  const known = names.filter((name) => knownLabels(model, [name], outputs) !== undefined);
  const labels = labelsOrNumbers(model, outputs);
  const looksKnown = names.some((name) => !known.includes(name) && alikeHint(name, labels) !== '');
  return looksKnown || known.length * 2 > names.length;
}

/** The error for a model that nothing can answer with: `reason` says why, a sentence without its full stop. */
export function noHead(model: TaskModel, reason: string): OnnxLoraError {
  const outputs = Object.entries(model.outputs).map(([name, { dims }]) => `"${name}" [${dims?.join(', ') ?? '?'}]`);
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" cannot answer with labels: ${reason}; its outputs are ${outputs.join(', ')}. Export the model with "logits", or with "last_hidden_state" or "pooler_output".`,
  );
}
