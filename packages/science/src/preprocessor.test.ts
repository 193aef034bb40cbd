/** @file Tests of the batches of sequences. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TaskModel } from '@onnx-lora/sdk';
import { describe, expect, it } from 'vitest';
import { EsmTokenizer } from './tokenizers/esmTokenizer.ts';
import { SequencePreprocessor } from './preprocessor.ts';

const folder = fileURLToPath(new URL('./fixtures/', import.meta.url));
const golden = JSON.parse(readFileSync(`${folder}encodings.json`, 'utf8')) as {
  batch: { texts: string[]; input_ids: number[][]; attention_mask: number[][] };
};
const port = { type: 'int64', dims: ['batch', 'sequence'] } as const;
const model: TaskModel = {
  name: 'esm2',
  folder,
  config: { model_type: 'esm', vocab_size: 33 },
  inputs: { input_ids: port, attention_mask: port },
  outputs: {},
};

describe('SequencePreprocessor', () => {
  it('pads a batch as transformers does', async () => {
    const { texts, input_ids, attention_mask } = golden.batch;
    const feeds = (await SequencePreprocessor.forModel(model)).feeds(texts);
    const dims = [3, input_ids[0]!.length];
    expect(feeds).toEqual({
      input_ids: { type: 'int64', dims, data: BigInt64Array.from(input_ids.flat(), BigInt) },
      attention_mask: { type: 'int64', dims, data: BigInt64Array.from(attention_mask.flat(), BigInt) },
    });
  });

  it('cuts at the maximal length, 1024 unless told', async () => {
    const tokenizer = await EsmTokenizer.read(folder);
    const rows = ['MKT'.repeat(1000), 'MK'];
    expect(new SequencePreprocessor(tokenizer).feeds(rows)['input_ids']!.dims).toEqual([2, 1024]);
    const short = new SequencePreprocessor(tokenizer, { maxLength: 5 }).feeds(rows)['input_ids']!;
    expect([...short.data].map(Number)).toEqual([0, 20, 15, 11, 2, 0, 20, 15, 2, 1]);
  });

  it('feeds no mask to a model without one', async () => {
    const lone = await SequencePreprocessor.forModel({ ...model, inputs: { input_ids: port } });
    expect(Object.keys(lone.feeds(['MKT']))).toEqual(['input_ids']);
  });

  it('refuses what does not fit together', async () => {
    const { folder: _, ...file } = model;
    const image = { ...model, inputs: { pixel_values: { type: 'float32', dims: [1] } as const } };
    const cases: [TaskModel, string, string][] = [
      [image, 'MODEL_UNSUPPORTED', 'its inputs are pixel_values'],
      [file, 'FILE_NOT_FOUND', 'is a file alone'],
      [{ ...model, folder: `${folder}none` }, 'FILE_NOT_FOUND', 'vocab.txt'],
      [
        { ...model, config: { vocab_size: 20 } },
        'CONFIG_INVALID',
        'holds 33 tokens, but config.json says the model knows 20',
      ],
    ];
    for (const [each, code, message] of cases) {
      await expect(SequencePreprocessor.forModel(each)).rejects.toMatchObject({
        code,
        message: expect.stringContaining(message),
      });
    }
    const preprocessor = await SequencePreprocessor.forModel(model);
    expect(() => preprocessor.feeds([])).toThrow(expect.objectContaining({ code: 'INPUT_INVALID' }));
  });
});
