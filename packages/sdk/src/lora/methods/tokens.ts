/** @file Trained embedding rows (PEFT's `trainable_token_indices`): a fixed A picks rows, and B is added. */

import { tensorName } from '../../adapter/formats/tensorNames.ts';
import { floats } from '../../graph/tensorData.ts';
import type { Site } from '../../match/sites.ts';
import { float32 } from '../../runtime/tensor.ts';
import { LowRank } from './lora.ts';
import type { LowRankSite } from './loraSite.ts';
import type { AdapterTensor } from './moduleAdapter.ts';

/** Trained rows of an embedding, or of a layer that shares its table, initialised with their base values. */
export class TokenRows extends LowRank {
  override get lowRank(): undefined {
    return undefined;
  }

  override get noUnmerge(): string {
    return 'replaces rows of the table';
  }

  /** The rows, `[n, dim]`; the graph reads their difference from the base. */
  protected override tensorOf(role: string): AdapterTensor {
    const { site, tokens, savedAs = site.path, tiedTo, onlyTokens } = this.product;
    const rows = tableRows(site, tokens!);
    const dims = [tokens!.length, rows.length / tokens!.length] as const;
    return {
      ...super.tensorOf(role),
      savedAs: tensorName(savedAs, onlyTokens ? 'own_tokens_delta' : 'trainable_tokens_delta'),
      scale: 1,
      base: rows,
      count: tiedTo ? 0 : rows.length,
      first: () => ({ value: rows.slice(), dims }),
      fromSaved: (saved) => {
        // B `[dim, n]` is the difference from the table.
        const more = floats(saved.get('lora_B')!);
        return { value: rows.map((each, i) => each + more[(i % dims[1]) * dims[0] + Math.floor(i / dims[1])]!), dims };
      },
      toSaved: ({ value }) => float32(value.slice(), dims),
    };
  }

  protected override roles(): readonly string[] {
    return this.product.tiedTo ? [] : ['lora_B'];
  }
}

/** The base's rows of these ids, `[n, dim]`, copied. */
export function tableRows(site: Site, ids: readonly number[]): Float32Array {
  const [, dim] = site.weightShape as [number, number];
  const table = site.weight.stored.read();
  return Float32Array.from({ length: ids.length * dim }, (_, i) => table[ids[Math.floor(i / dim)]! * dim + (i % dim)]!);
}

/** The same rows in a layer with a tied weight, such as a language model's output layer: PEFT trains them as one. */
export function tiedTokens(embedding: LowRankSite, layer: Site): LowRankSite {
  const ids = embedding.tokens!;
  const [vocabulary] = layer.weightShape as [number, number];
  const picks = new Float32Array(ids.length * vocabulary);
  ids.forEach((id, row) => (picks[row * vocabulary + id] = 1));
  return {
    site: layer,
    r: ids.length,
    dora: false,
    bias: false,
    tokens: ids,
    tiedTo: embedding,
    fixed: { lora_B: float32(picks, [ids.length, vocabulary]) },
  };
}
