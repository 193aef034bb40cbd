/** @file The small model of molecules is read as a published one is, and says of SMILES what torch and transformers say. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { scienceFamilies } from '@onnx-lora/science';
import { openTokenizer } from '@onnx-lora/sequences';
import { int64, openModel } from '@onnx-lora/sdk';
import { defaultTargetPaths } from '@onnx-lora/sdk/plugin';
import { expect, it } from 'vitest';

const folder = fileURLToPath(new URL('fixtures/chemberta-small', import.meta.url));
/** Made with tokenizers 0.23 and transformers 5.24: the sum over tokens of log p(token | the others). */
const goldens = JSON.parse(readFileSync(`${folder}/goldens.json`, 'utf8')) as {
  smiles: string;
  ids: number[];
  pseudoLogLikelihood: number;
}[];

/** log softmax(scores)[at] */
function logProbability(scores: Float32Array, at: number): number {
  const sum = scores.reduce((total, score) => total + Math.exp(score - scores[at]!), 0);
  return -Math.log(sum);
}

it('SMILES are as likely to it as to transformers', async () => {
  const model = await openModel(folder, { families: scienceFamilies });
  expect(model.family!.name).toBe('roberta');
  const paths = model.sites().map(({ path }) => path);
  expect(defaultTargetPaths(model.family!, paths)).toHaveLength(6);
  const tokenizer = await openTokenizer(model);
  const session = await model.session({ threads: 1, provider: 'cpu', worker: false });
  for (const { smiles, ids, pseudoLogLikelihood } of goldens) {
    expect(tokenizer.framed(tokenizer.tokens(smiles).ids).ids, smiles).toEqual(ids);
    const asked = ids.slice(1, -1).map((_, i) => i + 1);
    const rows = asked.map((at) => ids.with(at, tokenizer.maskId!));
    const dims = [rows.length, ids.length];
    const { logits } = await session.run({
      input_ids: int64(rows.flat(), dims),
      attention_mask: int64(rows.flatMap((row) => row.map(() => 1)), dims), // prettier-ignore
    });
    const [, length, size] = logits!.dims as [number, number, number];
    const likelihoods = asked.map((at, row) => {
      const start = (row * length + at) * size;
      return logProbability((logits!.data as Float32Array).subarray(start, start + size), ids[at]!);
    });
    const sum = likelihoods.reduce((total, value) => total + value, 0);
    expect(sum, smiles).toBeCloseTo(pseudoLogLikelihood, 3);
  }
  await session.release();
});
