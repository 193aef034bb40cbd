/** @file Chooses the head: the model's own if it knows the labels, or a new one. */

import { OnnxLoraError } from '../../errors.ts';
import type { NewHead } from '../../plugin/preparedTask.ts';
import type { TaskModel } from '../../plugin/taskModel.ts';
import {
  confusableHint,
  checkLabels,
  knownLabels,
  labelsOrNumbers,
  matchLabels,
  refuseConfusableLabels,
} from './modelLabels.ts';

/** An output with one number per label. */
export interface HeadPort {
  /** Name of the output, float32 `[batch, outputs]`. */
  readonly output: string;
  /** Numbers per example. */
  readonly outputs: number;
}

/** The head of a task. */
export interface TaskHead {
  /** Graph output with one number per label. */
  readonly output: string;
  /** Labels of the numbers, in order. */
  readonly labels: readonly string[];
  /** The head to create, unless it is the model's own. */
  readonly head?: NewHead;
}

/** How a head is chosen. */
export interface HeadChoice {
  /** Name of the data in messages. */
  readonly root: string;
  /** `auto` keeps the model's own head if it knows the labels, `new` always makes one, `keep` never does. */
  readonly mode: 'auto' | 'new' | 'keep';
  /** Attaches a head to the features of a model without one; absent if not supported. */
  readonly attach?: ((model: TaskModel, labels: readonly string[]) => TaskHead) | undefined;
}

/**
 * Chooses the head for these labels; `own` is the model's own head.
 * @throws OnnxLoraError `DATA_INVALID` if the model's own head must answer but lacks labels, or has most of them but
 *   not all, and for labels that look the same; `MODEL_UNSUPPORTED` without a head or features
 */
export function chooseHead(
  model: TaskModel,
  own: HeadPort | undefined,
  names: readonly string[],
  { root, mode, attach }: HeadChoice,
): TaskHead {
  refuseConfusableLabels(names, root);
  if (!own) {
    if (mode === 'keep') throw missingHeadError(model, `It has no head of its own, and head: 'keep' allows no other`);
    if (!attach) throw missingHeadError(model, 'It gives no scores');
    return attach(model, names);
  }
  if (mode !== 'new') {
    const labels = knownLabels(model, names, own.outputs);
    if (labels) return { output: own.output, labels: checkLabels(model, names, labels) };
    // If most are known, the others may be misspelt.
    if (mode === 'keep' || mayBeMisspelt(model, names, own)) matchLabels(model, names, own.outputs, root);
  }
  return replacedHead(own, names);
}

/** A new head for these labels in place of the model's own. */
export function replacedHead({ output }: HeadPort, labels: readonly string[]): TaskHead {
  return { output, labels, head: { output, labels } };
}

function mayBeMisspelt(model: TaskModel, names: readonly string[], { outputs }: HeadPort): boolean {
  const known = names.filter((name) => knownLabels(model, [name], outputs) !== undefined);
  const labels = labelsOrNumbers(model, outputs);
  const looksKnown = names.some((name) => !known.includes(name) && confusableHint(name, labels) !== '');
  return looksKnown || known.length * 2 > names.length;
}

/** The error for a model without a usable head; `reason` is a sentence without its full stop. */
export function missingHeadError(model: TaskModel, reason: string): OnnxLoraError {
  const outputs = Object.entries(model.outputs).map(([name, { dims }]) => `"${name}" [${dims?.join(', ') ?? '?'}]`);
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" cannot answer with labels: ${reason}; its outputs are ${outputs.join(', ')}. Export the model with "logits", or with "last_hidden_state" or "pooler_output".`,
  );
}
