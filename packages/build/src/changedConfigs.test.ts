/** @file Effects of other files beside the weights: whether a graph of speech has a mask, and what is refused. */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { buildGraphs } from './buildGraphs.ts';

const root = mkdtempSync(path.join(tmpdir(), 'onnx-lora-build-'));
afterAll(() => rmSync(root, { recursive: true }));

/** A copy of a checkpoint with other fields in its config.json, and a preprocessor_config.json. */
function changed(name: string, fields: object, preprocessor?: object): string {
  const folder = mkdtempSync(path.join(root, 'checkpoint-'));
  cpSync(`packages/build/fixtures/${name}`, folder, { recursive: true });
  const file = path.join(folder, 'config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...config, ...fields }));
  if (preprocessor) writeFileSync(path.join(folder, 'preprocessor_config.json'), JSON.stringify(preprocessor));
  return folder;
}

test.each<[string, object | undefined, string[]]>([
  ['wav2vec2-seqcls', undefined, ['input_values', 'attention_mask']],
  ['wav2vec2-seqcls', { return_attention_mask: false }, ['input_values']],
  ['wav2vec2-seqcls', { return_attention_mask: true }, ['input_values', 'attention_mask']],
  ['wav2vec2-masked-group', undefined, ['input_values', 'attention_mask']],
  ['wav2vec2-masked-group', { do_normalize: true }, ['input_values']],
  ['hubert-batchnorm', undefined, ['input_values', 'attention_mask']],
  // As feature extractors have it where the field is absent.
  ['hubert-batchnorm', { do_normalize: true }, ['input_values']],
])('%s with %j takes %j', async (name, preprocessor, inputs) => {
  const { graphs } = await buildGraphs(changed(name, {}, preprocessor));
  expect(graphs.get('model')!.graph!.input!.map((each) => each.name)).toEqual(inputs);
});

test.each<[string, object, RegExp]>([
  ['wav2vec2-seqcls', { add_adapter: true }, /"add_adapter": true.*Only false/],
  ['wav2vec2-seqcls', { feat_extract_norm: 'batch' }, /"feat_extract_norm": "batch".*group, layer/],
  ['wav2vec2-seqcls', { conv_kernel: [9] }, /"conv_kernel": \[9\].*2 numbers/],
  ['wavlm-frames', { max_bucket_distance: 3 }, /"max_bucket_distance": 3.*num_buckets ÷ 4/],
  ['deberta-mlm', { pos_att_type: 'p2p' }, /"pos_att_type": "p2p".*c2p, p2c/],
  ['deberta-mlm', { position_buckets: 5 }, /"position_buckets": 5.*even/],
  ['deberta-mlm', { position_buckets: 20 }, /"position_buckets": 20.*less than twice 9/],
  ['deberta-mlm', { legacy: false }, /"legacy": false/],
  ['deberta-seqcls', { conv_kernel_size: 4 }, /"conv_kernel_size": 4.*odd/],
  ['deberta-seqcls', { pooler_hidden_size: 8 }, /"pooler_hidden_size": 8.*Only 16/],
])('%s with %j is refused', async (name, fields, message) => {
  await expect(buildGraphs(changed(name, fields))).rejects.toThrow(message);
});

test('what old configs say of generation changes nothing', async () => {
  const [before, after] = await Promise.all([buildGraphs(changed('albert-mlm', {})), buildGraphs(changed('albert-mlm', { eos_token_ids: 0 }))]); // prettier-ignore
  expect(after.config).toEqual(before.config);
});
