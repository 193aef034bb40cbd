/** @file Embedding rows trained by token id (PEFT's `trainable_token_indices`). */

import { didYouMean, OnnxLoraError } from '../../errors.ts';
import { translatePath } from '../../adapter/naming/nameTable.ts';
import type { LowRankSite } from '../../lora/methods/loraSite.ts';
import { tiedTokens } from '../../lora/methods/tokens.ts';
import type { Site } from '../../match/sites.ts';
import { tiedLayers } from '../../match/tiedWeights.ts';
import type { LoraOptions } from './loraOptions.ts';
import type { Model } from '../loaded/model.ts';

/**
 * The embeddings with trained rows, and the layers tied to them, whose rows PEFT trains too.
 * @param taken modules that are adapted or trained in full
 * @throws OnnxLoraError `TARGET_NOT_FOUND` for a name that matches no embedding, `CONFIG_INVALID` for invalid ids
 */
export function trainedTokens(
  model: Model,
  given: NonNullable<LoraOptions['trainableTokenIndices']>,
  taken: readonly string[],
): LowRankSite[] {
  if (isList(given) && given.length === 0) return [];
  const embeddings = model.sites().filter(({ kind }) => kind === 'embedding');
  const entries: readonly (readonly [readonly Site[], readonly number[]])[] = isList(given)
    ? [[[inputEmbedding(model, embeddings)], given]]
    : Object.entries(given).map(([name, ids]) => [named(name, embeddings, model), ids]);
  return entries.flatMap(([sites, ids]) =>
    sites.flatMap((site): LowRankSite[] => {
      checkIds(site, ids);
      const layers = tiedLayers(site, model.sites());
      const twice = [site, ...layers].find(({ path }) => taken.includes(path));
      if (twice) {
        throw new OnnxLoraError(
          'CONFIG_INVALID',
          `"${twice.path}" is adapted or trained in full, and trainableTokenIndices would train rows of it. Take one of them out.`,
        );
      }
      const rows = { site, r: ids.length, dora: false, bias: false, tokens: ids };
      return [rows, ...layers.map((layer) => tiedTokens(rows, layer))];
    }),
  );
}

function isList(given: NonNullable<LoraOptions['trainableTokenIndices']>): given is readonly number[] {
  return Array.isArray(given);
}

function inputEmbedding(model: Model, embeddings: readonly Site[]): Site {
  const fed = embeddings.filter(({ input }) => Object.hasOwn(model.inputs, input));
  for (const few of [embeddings, fed, fed.filter(({ input }) => input === 'input_ids')])
    if (few.length === 1) return few[0]!;
  const paths = embeddings.map(({ path }) => `"${path}"`);
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    paths.length === 0
      ? `"${model.name}" has no embedding, so trainableTokenIndices has no rows to train.`
      : `"${model.name}" has several embeddings: ${paths.join(', ')}. Say whose rows are trained: trainableTokenIndices: { ${paths[0]}: [1, 2] }.`,
  );
}

/** Embeddings whose path is the name, or ends in it after a dot, in the naming of transformers 4 or 5. */
function named(name: string, embeddings: readonly Site[], model: Model): Site[] {
  const tables = model.family?.generations ?? [];
  const namesOf = (path: string): string[] => [
    path,
    ...tables.flatMap((table) => ([4, 5] as const).flatMap((to) => translatePath(path, table, to) ?? [])),
  ];
  const found = embeddings.filter(({ path }) =>
    namesOf(path).some((each) => each === name || each.endsWith(`.${name}`)),
  );
  if (found.length > 0) return found;
  const paths = embeddings.map(({ path }) => path);
  throw new OnnxLoraError(
    'TARGET_NOT_FOUND',
    `No embedding in "${model.name}" matches "${name}" (trainableTokenIndices).${didYouMean(name, [...paths, ...paths.map((path) => path.slice(path.lastIndexOf('.') + 1))])} Embeddings: ${paths.map((path) => `"${path}"`).join(', ') || 'none'}.`,
  );
}

function checkIds({ path, weightShape: [vocabulary] }: Site, ids: readonly number[]): void {
  const wrong = ids.find((id, i) => !Number.isInteger(id) || id < 0 || id >= vocabulary! || ids.indexOf(id) !== i);
  if (ids.length > 0 && wrong === undefined) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    wrong === undefined
      ? `trainableTokenIndices names no token of "${path}". Give ids such as [1, 2].`
      : `trainableTokenIndices of "${path}" must be whole numbers from 0 to ${vocabulary! - 1}, each once, but ${wrong} is among them.`,
  );
}
