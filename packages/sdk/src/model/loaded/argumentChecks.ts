/** @file Runtime checks of public functions' arguments for untyped callers, with an example in each error. */

import { Adapter } from '../../adapter/adapter.ts';
import { OnnxLoraError } from '../../errors.ts';
import type { Task } from '../../plugin/preparedTask.ts';
import type { Model } from './model.ts';

const examples = {
  model: "await openModel('models/vit')",
  path: "'photos-model'",
  adapter: "await loadAdapter('photos-adapter')",
} as const;

/** @throws OnnxLoraError `INPUT_INVALID` naming the function, unless `openModel` returned it */
export function requireModel(taker: string, model: unknown): asserts model is Model {
  if (isObject(model) && typeof model['withOutputs'] === 'function') return;
  throw wrong(taker, 'a model', model, examples.model);
}

/** @throws OnnxLoraError `INPUT_INVALID` naming the function, if not a task, such as a name or a factory */
export function requireTask(taker: string, task: unknown): asserts task is Task {
  if (isObject(task) && typeof task['prepare'] === 'function' && typeof task['name'] === 'string') return;
  const name = typeof task === 'function' && task.name !== '' ? task.name : 'imageClassification';
  throw wrong(taker, 'a task', task, `{ task: ${name}('photos') }`);
}

/** @throws OnnxLoraError `INPUT_INVALID` naming the function, if not an adapter or a list of them */
export function requireAdapters(taker: string, given: unknown): void {
  const all = Array.isArray(given) ? (given as unknown[]) : [given];
  for (const each of all) {
    const adapter = isObject(each) && 'adapter' in each ? each['adapter'] : each;
    if (!(adapter instanceof Adapter)) throw wrong(taker, 'an adapter', adapter, examples.adapter);
  }
}

/** @throws OnnxLoraError `INPUT_INVALID` naming the function, if not a path */
export function requirePath(taker: string, place: unknown): asserts place is string {
  if (typeof place !== 'string' || place === '') throw wrong(taker, 'a path', place, examples.path);
}

function wrong(taker: string, wanted: string, given: unknown, example: string): OnnxLoraError {
  return new OnnxLoraError('INPUT_INVALID', `${taker} needs ${wanted}, and got ${shown(given)}. Pass ${example}.`);
}

function shown(given: unknown): string {
  if (typeof given === 'string') return JSON.stringify(given);
  if (typeof given === 'function') return `the function ${given.name}`;
  return isObject(given) ? 'another object' : String(given);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
