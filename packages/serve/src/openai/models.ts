/** @file What OpenAI's clients call models, and which of their questions a model answers. */

import { HttpError } from '../http/errors.ts';
import type { Service } from '../http/service.ts';

/** A model as OpenAI's clients name it: of adapters the name alone will do. */
export function wantedModel({ name }: Service, model: string): { readonly model?: string; readonly adapter?: string } {
  return model === name || model.startsWith(`${name}:`) ? { model } : { adapter: model };
}

/**
 * Which of these tasks is one of the model's family.
 *
 * @throws HttpError 400 where the model has none
 */
export function taskAmong({ name, base: { family } }: Service, names: readonly string[]): string {
  const found = family?.tasks.find((task) => names.includes(task));
  if (found !== undefined) return found;
  const own = family?.tasks.join(', ') ?? 'none';
  throw new HttpError(
    400,
    'MODEL_UNSUPPORTED',
    `"${name}" does not answer this: its tasks are ${own}. Ask by /predict or /v2.`,
  );
}
