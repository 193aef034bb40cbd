/** @file Trained rows of an embedding: what PEFT stores, as a delta, and what is refused. */

import { describe, expect, test } from 'vitest';
import { sited } from '../../../../../test/support/formAdapters.ts';
import { formModel, layerForms } from '../../../../../test/support/layerForms.ts';
import type { Site } from '../../match/sites.ts';
import { float32 } from '../../runtime/tensor.ts';
import { adapterConfig } from './peftConfig.ts';
import { tableRows, tiedTokens } from '../../lora/methods/tokens.ts';
import { tiedTokenTensors, tokenTensors } from './trainableTokens.ts';

const table = Float32Array.from({ length: 28 }, (_, i) => i / 4);
const [site] = sited(formModel(layerForms['Gather']!, () => table)).sites as [Site];
const [linear] = sited(formModel(layerForms['MatMul']!)).sites as [Site];
const rows = float32([1, 2, 3, 4, 5, 6, 7, 8], [2, 4]);
const config = (trainableTokenIndices: Parameters<typeof adapterConfig>[0]['trainableTokenIndices']) =>
  adapterConfig({ r: 2, loraAlpha: 2, trainableTokenIndices: trainableTokenIndices! });

test("A picks the rows, and B is what they are more than the base's", () => {
  const {
    saved,
    tuning: { product, scaling },
    names,
  } = tokenTensors('fc', site, rows, config({ fc: [5, 1] }), 'model');
  const [A, B] = [saved.get('lora_A')!, saved.get('lora_B')!];
  expect({ tokens: product.tokens, r: product.r, scaling }).toEqual({ tokens: [5, 1], r: 2, scaling: 1 });
  expect(names).toEqual(['base_model.model.fc.token_adapter.trainable_tokens_delta']);
  const changed = table.slice();
  for (let k = 0; k < 2; k++)
    for (let token = 0; token < 7; token++)
      for (let i = 0; i < 4; i++)
        changed[token * 4 + i]! += (A.data[k * 7 + token] as number) * (B.data[i * 2 + k] as number);
  const wanted = table.slice();
  wanted.set([1, 2, 3, 4], 20);
  wanted.set([5, 6, 7, 8], 4);
  expect(changed).toEqual(wanted);
  expect(tableRows(site, [5, 1])).toEqual(Float32Array.of(5, 5.25, 5.5, 5.75, 1, 1.25, 1.5, 1.75));
});

test("ids by the end of a module's name, or for the one embedding there is", () => {
  for (const given of [[5, 1], { fc: [5, 1] }, { other: [0], 'deep.fc': [5, 1] }]) {
    expect(tokenTensors('deep.fc', site, rows, config(given), 'model').tuning.product).toMatchObject({ tokens: [5, 1], savedAs: 'deep.fc' }); // prettier-ignore
  }
});

describe('is refused', () => {
  test.each([
    ['a layer that is none', linear, [5, 1], /"fc" is a linear, not an embedding/],
    ['ids that the config does not name', site, null, /does not name their tokens/],
    ['as many rows as there are not ids', site, [5], /has trained rows of shape \[2, 4\] for 1 tokens of 4 numbers/],
    ['an id that the table does not have', site, [5, 7], /trained row for token 7, but "model" knows 7 tokens/],
  ] as const)('%s', (_, of, ids, message) => {
    expect(() => tokenTensors('fc', of, rows, config(ids), 'model')).toThrow(message);
  });
});

test('a layer that shares the table gets the same rows, its factors the other way round', () => {
  const tensors = tokenTensors('fc', site, rows, config({ fc: [5, 1] }), 'model');
  const head = { ...linear, weightShape: [7, 4] };
  const tied = tiedTokenTensors(tensors, head);
  const [A, B] = [tied.saved.get('lora_A')!, tied.saved.get('lora_B')!];
  expect(A.dims).toEqual([2, 4]);
  expect(B.dims).toEqual([7, 2]);
  for (let i = 0; i < 4; i++)
    for (let k = 0; k < 2; k++) expect(A.data[k * 4 + i]).toBe(tensors.saved.get('lora_B')!.data[i * 2 + k]);
  expect(tied.tuning.product).toEqual(tiedTokens(tensors.tuning.product, head));
  const picks = tied.tuning.product.fixed!.lora_B!;
  expect(picks.dims).toEqual([2, 7]);
  expect([...(picks.data as Float32Array)].flatMap((value, i) => (value === 1 ? [i] : []))).toEqual([5, 8]);
});
