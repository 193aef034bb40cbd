/** @file Holds what a task's `collate` gives against the graph that is trained, before one is built for it. */

import { type FeedCheck, type FeedFault, tensorFault } from '../../adapter/serving/feedCheck.ts';
import { didYouMean, OnnxLoraError } from '../../errors.ts';
import type { Feeds } from '../../runtime/tensor.ts';

/**
 * Checks a batch: every input of the model is there and fits, nothing is given that it does not take, targets are tensors.
 *
 * @param model what the model is called, for messages
 * @throws OnnxLoraError `PLUGIN_INVALID` naming the first that is wrong
 */
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
  return `the input "${input}", which "${model}" does not have.${didYouMean(input, names)} It takes ${taken}. What only the loss reads is a target`;
}

function wrong(what: string): OnnxLoraError {
  return new OnnxLoraError('PLUGIN_INVALID', `Task author: collate gives ${what}.`);
}
