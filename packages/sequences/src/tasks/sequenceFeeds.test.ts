/** @file Tests of where sequences go into a model, how long they may be, and what it is fed. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { describe, expect, test } from 'vitest';
import { letters } from '../fixtures/letters.ts';
import type { SequenceDomain } from '../domain.ts';
import type { SequenceRecord } from '../record.ts';
import { maxTokens } from './maxTokens.ts';
import { openSequenceTask } from './openSequenceTask.ts';
import { openSequenceInput, sequencePorts } from './sequenceInput.ts';

const ids = { type: 'int64', dims: ['batch', 'tokens'] } as const;
const model = (inputs: TaskModel['inputs'], config?: Record<string, unknown>): TaskModel => ({
  name: 'm',
  inputs,
  outputs: {},
  ...(config && { config }),
});
const numbers = (tensor: { readonly data: ArrayLike<number | bigint> } | undefined): number[] =>
  Array.from(tensor!.data, Number);

const names = { noun: 'letters', one: 'letter', remedy: 'Take another.' };

describe('ports', () => {
  test('are found by their names', () => {
    const all = { input_ids: ids, attention_mask: ids, token_type_ids: ids, position_ids: ids };
    expect(sequencePorts(model(all), names)).toEqual({
      ids: 'input_ids',
      mask: 'attention_mask',
      types: 'token_type_ids',
      positions: 'position_ids',
    });
    expect(sequencePorts(model({ tokens: { type: 'int32', dims: [1, 64] } }), names)).toEqual({
      ids: 'tokens',
      length: 64,
    });
  });

  test('of what reads no sequences are refused', () => {
    for (const inputs of [
      { pixel_values: { type: 'float32', dims: [1, 3, 8, 8] } },
      { input_ids: ids, decoder_input_ids: ids },
      { input_ids: { type: 'int64', dims: [1, 2, 3] } },
      { attention_mask: ids },
    ] as TaskModel['inputs'][])
      expect(() => sequencePorts(model(inputs), names)).toThrow(
        expect.objectContaining({ code: 'MODEL_UNSUPPORTED', message: expect.stringContaining('its inputs are') }),
      );
  });
});

describe('the longest row', () => {
  const most = (config: Record<string, unknown>, given?: number, length?: number, maxLength?: number) =>
    maxTokens(
      model({}, config),
      { ...letters, ...(maxLength === undefined ? {} : { maxLength }) },
      { ids: 'input_ids', ...(length === undefined ? {} : { length }) },
      given,
    );

  test('is what config, tokenizer and graph allow', () => {
    expect(most({ model_type: 'bert', max_position_embeddings: 512 })).toBe(512);
    expect(most({ model_type: 'roberta', max_position_embeddings: 514, pad_token_id: 1 })).toBe(512);
    expect(most({ model_type: 'esm', max_position_embeddings: 1026, position_embedding_type: 'rotary' })).toBe(1024);
    expect(most({ model_type: 'bert', max_position_embeddings: 512 }, undefined, 64)).toBe(64);
    expect(most({ model_type: 'bert', max_position_embeddings: 512 }, undefined, undefined, 128)).toBe(128);
    expect(most({})).toBe(Infinity);
  });

  test('is what the user wants, as far as there are positions', () => {
    const rotary = { model_type: 'esm', max_position_embeddings: 1026, position_embedding_type: 'rotary' };
    expect(most(rotary, 2000)).toBe(2000);
    expect(() => most({ model_type: 'bert', max_position_embeddings: 512 }, 513)).toThrow(/positions for 512/);
    expect(() => most(rotary, 100, 64)).toThrow(/positions for 64/);
    expect(() => most(rotary, 4)).toThrow(/at least 5 tokens/);
  });
});

test('a batch is padded as transformers does', async () => {
  const folder = fileURLToPath(new URL('../fixtures/', import.meta.url));
  const golden = JSON.parse(readFileSync(`${folder}encodings.json`, 'utf8')) as {
    batch: { texts: string[]; input_ids: number[][]; attention_mask: number[][] };
  };
  const { texts, input_ids, attention_mask } = golden.batch;
  const { rows, feeds } = await openSequenceInput(
    { ...model({ input_ids: ids, attention_mask: ids }, { model_type: 'esm', vocab_size: 33 }), folder },
    {},
    names,
  );
  const fed = feeds(texts.flatMap((sequence, i) => rows({ id: String(i), where: `text ${i}`, sequence })));
  const dims = [3, input_ids[0]!.length];
  expect(fed).toEqual({
    input_ids: { type: 'int64', dims, data: BigInt64Array.from(input_ids.flat(), BigInt) },
    attention_mask: { type: 'int64', dims, data: BigInt64Array.from(attention_mask.flat(), BigInt) },
  });
});

describe('feeds', () => {
  const input = (inputs: TaskModel['inputs'], config?: Record<string, unknown>) =>
    openSequenceInput(model(inputs, config), { tokenizer: letters }, names);
  const record = (sequence: string, second?: string) => ({ id: 'a', where: 'a', sequence, ...(second && { second }) });

  test('are padded to the longest row', async () => {
    const all = { input_ids: ids, attention_mask: ids, token_type_ids: ids, position_ids: ids };
    const { rows, feeds } = await input(all, { model_type: 'bert' });
    const fed = feeds([...rows(record('AB')), ...rows(record('A', 'B'))]);
    expect(fed['input_ids']!.dims).toEqual([2, 6]);
    expect(numbers(fed['input_ids'])).toEqual([0, 3, 4, 2, 1, 1, 0, 3, 2, 2, 4, 2]);
    expect(numbers(fed['attention_mask'])).toEqual([1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1]);
    expect(numbers(fed['token_type_ids'])).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
    expect(numbers(fed['position_ids'])).toEqual([0, 1, 2, 3, 0, 0, 0, 1, 2, 3, 4, 5]);
  });

  test('number positions of RoBERTa from the one after the padding', async () => {
    const { rows, feeds } = await input(
      { input_ids: ids, position_ids: ids },
      { model_type: 'roberta', pad_token_id: 1 },
    );
    const fed = feeds([...rows(record('AB')), ...rows(record('A'))]);
    expect(numbers(fed['position_ids'])).toEqual([2, 3, 4, 5, 2, 3, 4, 1]);
  });

  test('that are trained on have lengths that return, up to the longest', async () => {
    const lengths = async (inputs: TaskModel['inputs']) => {
      const { rows, feeds } = await input(inputs);
      return [3, 7, 70, 95].map((count) => feeds(rows(record('A'.repeat(count))), 100)['input_ids']!.dims[1]);
    };
    expect(await lengths({ input_ids: ids, attention_mask: ids })).toEqual([6, 10, 80, 100]);
    // A model that is not told what is padding might take it for letters.
    expect(await lengths({ input_ids: ids })).toEqual([5, 9, 72, 97]);
  });

  test('of lengths that differ are warned of where the model is not told what is padding', async () => {
    const warnings = async (inputs: TaskModel['inputs'], sequences: readonly string[]) => {
      const train = sequences.map((sequence) => ({ id: sequence, where: sequence, sequence }));
      const domain = { ...names, read: async () => ({ train, warnings: [] }) } as unknown as SequenceDomain<SequenceRecord, string, object>; // prettier-ignore
      return (await openSequenceTask(domain, model(inputs), 'letters', { tokenizer: letters })).data.warnings.filter(
        (each) => /mask/.test(each),
      );
    };
    const [variants, several] = [['ABC', 'ABD'], ['ABC', 'AB']] as const; // prettier-ignore
    expect(await warnings({ input_ids: ids }, several)).toEqual([expect.stringContaining('--batch-size 1')]);
    expect(await warnings({ input_ids: ids }, variants)).toEqual([]);
    expect(await warnings({ input_ids: ids, attention_mask: ids }, several)).toEqual([]);
  });

  test('are as long as the graph, in its type', async () => {
    const { rows, feeds } = await input({ tokens: { type: 'int32', dims: [1, 6] } });
    expect(feeds(rows(record('ABCDEFG')))).toEqual({
      tokens: { type: 'int32', dims: [1, 6], data: Int32Array.from([0, 3, 4, 5, 6, 2]) },
    });
    const two = [...rows(record('A')), ...rows(record('B'))];
    expect(() => feeds(two)).toThrow(/batches of exactly 1/);
    expect(() => feeds([])).toThrow(/at least one sequence/);
  });
});
