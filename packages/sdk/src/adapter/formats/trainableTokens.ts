/** @file Trained embedding rows (PEFT's `trainable_token_indices`) as a low-rank delta. */

import { OnnxLoraError } from '../../errors.ts';
import { floats } from '../../graph/tensorData.ts';
import type { PlacedLowRank } from '../../lora/methods/lora.ts';
import { tiedTokens, TokenRows } from '../../lora/methods/tokens.ts';
import type { Site } from '../../match/sites.ts';
import { transposedMatrix } from '../../runtime/layout.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { type AdapterConfig, LORA } from './peftConfig.ts';
import { tensorName } from './tensorNames.ts';

/**
 * The delta to the stored rows `[n, dim]`: A `[n, vocabulary]` is one-hot per id, B `[dim, n]` the change.
 * @throws OnnxLoraError `ADAPTER_INVALID` for ids that the config or the table lacks
 */
export function tokenTensors(
  module: string,
  site: Site,
  rows: Tensor,
  config: AdapterConfig,
  model: string,
): PlacedLowRank {
  const ids = tokenIds(module, config);
  const [vocabulary, dim] = site.weightShape as [number, number];
  const problem =
    site.kind !== 'embedding'
      ? `is a ${site.kind}, not an embedding`
      : !ids
        ? 'has trained rows, but the config does not name their tokens'
        : rows.dims.join() !== [ids.length, dim].join()
          ? `has trained rows of shape [${rows.dims.join(', ')}] for ${ids.length} tokens of ${dim} numbers`
          : ids.some((id) => id >= vocabulary)
            ? `has a trained row for token ${ids.reduce((most, id) => Math.max(most, id), 0)}, but "${model}" knows ${vocabulary} tokens`
            : undefined;
  if (problem !== undefined || !ids) {
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `Module "${site.path}" ${problem}. Use the adapter's own config and base model (trainable_token_indices).`,
    );
  }
  const table = site.weight.stored.read();
  const values = floats(rows);
  const A = new Float32Array(ids.length * vocabulary);
  const B = new Float32Array(dim * ids.length);
  ids.forEach((id, row) => {
    A[row * vocabulary + id] = 1;
    for (let i = 0; i < dim; i++) B[i * ids.length + row] = values[row * dim + i]! - table[id * dim + i]!;
  });
  const savedAs = module === site.path ? {} : { savedAs: module };
  const isAlone = config.peftType !== LORA;
  return {
    tuning: new TokenRows({
      site,
      r: ids.length,
      dora: false,
      bias: false,
      tokens: ids,
      ...savedAs,
      ...(isAlone ? { onlyTokens: true } : {}),
    }),
    saved: new Map([
      ['lora_A', float32(A, [ids.length, vocabulary])],
      ['lora_B', float32(B, [dim, ids.length])],
    ]),
    names: [tensorName(module, isAlone ? 'own_tokens_delta' : 'trainable_tokens_delta')],
  };
}

/** Transposes {@link tokenTensors} of an embedding for a tied layer. */
export function tiedTokenTensors({ tuning, saved, names }: PlacedLowRank, layer: Site): PlacedLowRank {
  const [A, B] = [saved.get('lora_A')!, saved.get('lora_B')!];
  return {
    tuning: new TokenRows(tiedTokens(tuning.product, layer)),
    saved: new Map([
      ['lora_A', transposedMatrix(B)],
      ['lora_B', transposedMatrix(A)],
    ]),
    names,
  };
}

function tokenIds(module: string, { trainableTokenIndices: given }: AdapterConfig): readonly number[] | undefined {
  if (!given) return undefined;
  if (Array.isArray(given)) return given as readonly number[];
  const entry = Object.entries(given).find(([name]) => module === name || module.endsWith(`.${name}`));
  return entry?.[1];
}
