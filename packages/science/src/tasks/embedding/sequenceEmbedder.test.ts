/** @file Embeddings against those that onnxruntime gives in Python. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadAdapter, type Model, openModel } from '@onnx-lora/sdk';
import type { Predictor } from '@onnx-lora/sdk/tasks';
import { beforeAll, describe, expect, it } from 'vitest';
import { scienceFamilies } from '../../families/index.ts';
import { embeddingPredictor, isPerToken, type SequenceEmbeddingOptions, sequenceFeature } from '@onnx-lora/sequences';
import { sequenceDomain } from '../../domain.ts';
import { openSequenceEmbedder, sequenceEmbeddingTask } from './sequenceEmbedding.ts';

const fixtures = fileURLToPath(new URL('../../fixtures/', import.meta.url));
const golden = JSON.parse(readFileSync(`${fixtures}embeddings.json`, 'utf8')) as Record<
  string,
  Record<'mean' | 'first' | 'third', number[]>
>;
const sequences = Object.keys(golden);

let model: Model;
beforeAll(async () => {
  model = await openModel(`${fixtures}esmMasked`, { families: scienceFamilies });
});

describe('an embedder', () => {
  it.each(['mean', 'first'] as const)(
    'gives the %s of the states that a head reads, whatever else is in the batch',
    async (pool) => {
      const embedder = await openSequenceEmbedder(model, { pool });
      const { dims, data } = await embedder.embed(sequences);
      expect(dims).toEqual([3, 32]);
      sequences.forEach((sequence, row) => near(data.slice(32 * row, 32 * row + 32), golden[sequence]![pool]));
      await embedder.release();
    },
  );

  it('gives the state of each residue', async () => {
    const embedder = await openSequenceEmbedder(model);
    const { dims, data } = await embedder.embedTokens('MKTAYIAK');
    expect(dims).toEqual([8, 32]);
    near(data.slice(64, 96), golden['MKTAYIAK']!.third);
    await embedder.release();
  });

  it('averages the states that several windows have', async () => {
    const sequence = 'MKTAYIAKQR';
    const embedder = await openSequenceEmbedder(model, { maxLength: 8, tooLong: 'windows', overlap: 2 });
    const all = await embedder.embedTokens(sequence);
    const first = await embedder.embedTokens(sequence.slice(0, 6));
    const second = await embedder.embedTokens(sequence.slice(4));
    const at = ({ data }: typeof all, residue: number): number[] => Array.from(data.slice(32 * residue, 32 * residue + 32), Number); // prettier-ignore
    expect(all.dims).toEqual([10, 32]);
    near(at(all, 3), at(first, 3));
    near(
      at(all, 5),
      at(first, 5).map((value, i) => (value + at(second, 1)[i]!) / 2),
    );
    near(at(all, 9), at(second, 5));
    const mean = Array.from({ length: 32 }, (_, i) => Array.from({ length: 10 }, (__, r) => at(all, r)[i]!).reduce((a, b) => a + b) / 10); // prettier-ignore
    near((await embedder.embed([sequence])).data, mean);
    await embedder.release();
  });

  it('has adapters, and lengths of 1 where asked', async () => {
    const adapter = await loadAdapter(`${fixtures}esmMasked/adapter`);
    const embedder = await openSequenceEmbedder(model, { adapters: { mine: adapter }, normalize: true });
    const base = await embedder.embed(['MKTAYIAK']);
    const adapted = await embedder.embed(['MKTAYIAK'], 'mine');
    expect(Math.hypot(...(base.data as Float32Array))).toBeCloseTo(1, 6);
    const cosine = (base.data as Float32Array).reduce((sum, value, i) => sum + value * Number(adapted.data[i]), 0);
    expect(cosine).toBeLessThan(0.999);
    await expect(embedder.embed([])).rejects.toMatchObject({ code: 'INPUT_INVALID' });
    await embedder.release();
  });
});

describe('the answers of predict', () => {
  const fasta = sequences.map((sequence, i) => `>s${i} a protein\n${sequence}\n`).join('');

  it('have one embedding per sequence, or per residue', async () => {
    const whole = await answersOf(fasta, {});
    expect(whole.map(({ id }) => id)).toEqual(['s0', 's1', 's2']);
    whole.forEach(({ embedding }, i) => near(embedding as Float32Array, golden[sequences[i]!]!.mean));
    const residues = await answersOf(fasta, { pool: 'residues' });
    const names = residues.map(({ id, position, residue }) => [id, position, residue]);
    expect(names.slice(6, 10)).toEqual([['s0', 7, 'A'], ['s0', 8, 'K'], ['s1', 1, 'M'], ['s1', 2, 'K']]); // prettier-ignore
    near(residues[2]!['embedding'] as Float32Array, golden['MKTAYIAK']!.third);
    // Those that are there already are not given again.
    expect(await answersOf(fasta, { pool: 'residues' }, 10)).toEqual(residues.slice(10));
    const unit = await answersOf(fasta, { normalize: true });
    expect(Math.hypot(...(unit[1]!['embedding'] as Float32Array))).toBeCloseTo(1, 6);
  });

  it('are refused to training', async () => {
    const task = sequenceEmbeddingTask.create({ data: 'x.fasta', seed: 0 });
    await expect(task.prepare(model)).rejects.toThrow('sequence-retrieval');
  });
});

it('names what a model lacks', () => {
  const port = (dims: (number | string)[]) => ({ type: 'float32', dims }) as const;
  const { inputs } = model;
  const pooled = {
    name: 'm',
    inputs,
    outputs: { pooler_output: port(['b', 4]), last_hidden_state: port(['b', 't', 4]) },
  };
  expect(sequenceFeature(pooled, 'sequences')).toMatchObject({ output: 'last_hidden_state', inner: [] });
  expect(isPerToken(sequenceFeature(pooled, 'sequences'))).toBe(true);
  expect(sequenceFeature(pooled, 'sequences', 'pooler_output')).toMatchObject({ output: 'pooler_output', inner: [] });
  expect(isPerToken(sequenceFeature(pooled, 'sequences', 'pooler_output'))).toBe(false);
  expect(sequenceFeature(model, 'sequences').inner).toHaveLength(1);
  expect(() => sequenceFeature(pooled, 'sequences', 'poler_output')).toThrow(
    /no output "poler_output".*Did you mean "pooler_output"/,
  );
  expect(() => sequenceFeature({ name: 'm', inputs, outputs: { logits: port(['b', 2]) } }, 'sequences')).toThrow(
    'gives no features',
  );
});

async function answersOf(fasta: string, settings: SequenceEmbeddingOptions, skip = 0) {
  const predictor: Predictor = await embeddingPredictor(sequenceDomain, model, {}, settings);
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(fasta);
  }
  const found = [];
  for await (const { prediction } of predictor.predict([bytes()], { skip })) found.push(prediction);
  await predictor.release();
  return found;
}

function near(found: ArrayLike<number | bigint>, expected: readonly number[]): void {
  expect(found.length).toBe(expected.length);
  const farthest = Math.max(...expected.map((value, i) => Math.abs(value - Number(found[i]))));
  expect(farthest).toBeLessThan(2e-5);
}
