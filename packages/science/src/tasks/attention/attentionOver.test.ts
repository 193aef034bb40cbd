/** @file Attention over letters, beside what the graph computes. */

import { fileURLToPath } from 'node:url';
import { loadAdapter, type Model, openModel } from '@onnx-lora/sdk';
import type { ReportRequest } from '@onnx-lora/sdk/tasks';
import { EsmTokenizer } from '@onnx-lora/sequences';
import { beforeAll, describe, expect, test } from 'vitest';
import { scienceFamilies } from '../../families/index.ts';
import { attentionOver, attentionSections, attentionValues } from './attentionOver.ts';

const folder = fileURLToPath(new URL('../../fixtures/esmMasked', import.meta.url));
let model: Model;
beforeAll(async () => {
  model = await openModel(folder, { families: scienceFamilies });
});

const sequence = 'MKTAYIAKQRQISFVK';

describe('attention over letters', () => {
  test('is the mean over heads and tokens of the weights of a layer', async () => {
    const values = attentionValues(model);
    expect(values).toHaveLength(2);
    const tokenizer = await EsmTokenizer.read(folder);
    const { ids } = tokenizer.framed(tokenizer.tokens(sequence).ids);
    const session = await model.withOutputs([...values]).session({ threads: 1 });
    const row = (data: readonly number[]) => ({ type: 'int64' as const, dims: [1, data.length], data: BigInt64Array.from(data, BigInt) }); // prettier-ignore
    const outputs = await session.run({ input_ids: row(ids), attention_mask: row(ids.map(() => 1)) });
    await session.release();
    for (const layer of [0, 1]) {
      const { data, dims } = outputs[values[layer]!]!;
      const [, heads, length] = dims as [number, number, number, number];
      expect(length).toBe(ids.length);
      const { shares, special } = await attentionOver(model, sequence, { layer, threads: 1 });
      expect(shares).toHaveLength(sequence.length);
      for (const [letter, share] of shares.entries()) {
        let sum = 0;
        for (let i = 0; i < heads * length; i++) sum += Number(data[i * length + letter + 1]);
        expect(share).toBeCloseTo(sum / (heads * length), 6);
      }
      expect(special + shares.reduce<number>((sum, share) => sum + share!, 0)).toBeCloseTo(1, 5);
    }
    const last = await attentionOver(model, sequence, { threads: 1 });
    expect(last).toEqual(await attentionOver(model, sequence, { layer: 1, threads: 1 }));
  });

  test('changes with the adapter, and is shown by letter', async () => {
    const adapter = await loadAdapter(`${folder}/adapter`);
    const base = await attentionOver(model, sequence, { threads: 1 });
    const adapted = await attentionOver(model, sequence, { adapter, threads: 1 });
    expect(adapted.shares).not.toEqual(base.shares);
    const request = { model, adapter, options: { threads: 1 } } as unknown as ReportRequest;
    const tokenizer = await EsmTokenizer.read(folder);
    const [section] = await attentionSections([{ title: 'one', sequence }], request, { tokenizer });
    expect(section).toMatchObject({ kind: 'letters', rows: [{ text: sequence }] });
    const known = adapted.shares.map((share) => share!);
    const [least, most] = [Math.min(...known), Math.max(...known)];
    const values = section!.kind === 'letters' ? section!.rows[0]!.values! : [];
    for (const [i, value] of values.entries()) expect(value).toBeCloseTo((known[i]! - least) / (most - least), 6);
    expect(await attentionSections([], request, { tokenizer })).toEqual([]);
  });

  test('of a sequence that is too long is that over its beginning', async () => {
    const { shares } = await attentionOver(model, sequence, { maxLength: 10, threads: 1 });
    expect(shares.slice(8)).toEqual(Array.from({ length: 8 }));
    const short = await attentionOver(model, sequence.slice(0, 8), { threads: 1 });
    expect(shares.slice(0, 8)).toEqual(short.shares);
  });

  test('refuses layers that there are not, and graphs that do not show it', async () => {
    for (const layer of [2, -1, 0.5])
      await expect(attentionOver(model, sequence, { layer })).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('layers 0 to 1'),
      });
    const unknown = await openModel(folder, { families: [] });
    await expect(attentionOver(unknown, sequence)).rejects.toMatchObject({ code: 'MODEL_UNSUPPORTED' });
  });
});
