/** @file Checkpoints of sentence-transformers: built, merged and used, against the vectors that sentence-transformers gives. */

import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildModel } from '@onnx-lora/build';
import { merge, type Model, openModel, train } from '@onnx-lora/sdk';
import { openTextEmbedder, textEmbeddingTask, textFamilies, textRetrieval } from '@onnx-lora/text';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** Files of sentence-transformers beside a model, by their paths. */
type Files = Readonly<Record<string, unknown>>;

const fixture = fileURLToPath(new URL('fixtures/sentences/', import.meta.url));
const tokenizer = fileURLToPath(new URL('../docs/examples/models/minilm-tiny/', import.meta.url));
const golden = JSON.parse(readFileSync(path.join(fixture, 'golden.json'), 'utf8')) as {
  readonly texts: readonly string[];
  readonly cases: Readonly<Record<string, { readonly files: Files; readonly vectors: readonly (readonly number[])[] }>>;
};
const { texts } = golden;
const companions = ['1_Pooling/config.json', 'modules.json', 'sentence_bert_config.json'];
let root: string;
/** With `sentence_embedding` of what lies beside the checkpoint, by the names of the cases; and with states alone. */
const built: Record<string, string> = {};
let bare: string;

function write(folder: string, files: Files): void {
  for (const [name, json] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), JSON.stringify(json));
  }
}

async function build(name: string, files: Files): Promise<string> {
  const [checkpoint, out] = [path.join(root, name), path.join(root, `${name}-onnx`)];
  mkdirSync(checkpoint);
  for (const each of ['config.json', 'model.safetensors'])
    cpSync(path.join(fixture, each), path.join(checkpoint, each));
  for (const each of ['tokenizer.json', 'tokenizer_config.json']) cpSync(path.join(tokenizer, each), path.join(checkpoint, each)); // prettier-ignore
  write(checkpoint, files);
  await buildModel(checkpoint, out);
  return out;
}

/** A folder with the graph of states alone, and these files beside it. */
async function states(name: string, files: Files): Promise<Model> {
  const out = path.join(root, `${name}-states`);
  cpSync(bare, out, { recursive: true });
  write(out, files);
  return openModel(out, { families: textFamilies });
}

const opened = (folder: string): Promise<Model> => openModel(folder, { families: textFamilies });

beforeAll(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'sentences-'));
  bare = await build('bare', {});
  for (const [name, { files }] of Object.entries(golden.cases)) built[name] = await build(name, files);
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

describe.each(Object.keys(golden.cases))('pooling: %s', (name) => {
  const { files, vectors } = golden.cases[name]!;
  const kinds = { sentences: () => opened(built[name]!), states: () => states(name, files) };

  it.each(Object.keys(kinds) as (keyof typeof kinds)[])('embeds as sentence-transformers, from %s', async (kind) => {
    const model = await kinds[kind]();
    expect('sentence_embedding' in model.outputs).toBe(kind === 'sentences');
    await using embedder = await openTextEmbedder(model, { threads: 1 });
    near([...(await embedder.embed(texts)).data].map(Number), vectors.flat());
    // Embeddings of single tokens stay the same.
    const raw = await openTextEmbedder(await opened(bare), { threads: 1 });
    near(
      [...(await embedder.embedTokens('clean')).data].map(Number),
      [...(await raw.embedTokens('clean')).data].map(Number),
    );
    await raw.release();

    const file = path.join(root, 'texts.jsonl');
    writeFileSync(file, texts.slice(0, 3).map((text) => JSON.stringify({ text })).join('\n')); // prettier-ignore
    await using predictor = await textEmbeddingTask.predictor(model, { settings: {} });
    const answers: number[] = [];
    for await (const { prediction } of predictor.predict([file])) answers.push(...(prediction['embedding'] as Float32Array)); // prettier-ignore
    near(answers, vectors.slice(0, 3).flat());

    // The first loss of training is that of the golden vectors: the first of each pair looks for the second, and back.
    const pairs = [[0, 1], [2, 0]] as const; // prettier-ignore
    const data = pairs.map(([a, b]) => ({ text: texts[a]!, second: texts[b]!, split: 'train' as const }));
    const task = textRetrieval(data, { loss: 'info-nce', temperature: 0.2, validation: 0 });
    const run = await train(model, { task, steps: 1, batchSize: 2, lr: 1e-9, threads: 1 });
    const losses: number[] = [];
    for await (const event of run) if (event.type === 'step') losses.push(event.loss);
    const scores = pairs.map(([a]) => pairs.map(([, b]) => cosine(vectors[a]!, vectors[b]!) / 0.2));
    const cost = (row: readonly number[], own: number): number => Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0)) - row[own]!; // prettier-ignore
    const columns = scores.map((_, j) => scores.map((row) => row[j]!));
    const all = [...scores.map(cost), ...columns.map(cost)];
    expect(losses[0]).toBeCloseTo(all.reduce((sum, x) => sum + x, 0) / all.length, 4);
  });
});

it('an output, a pool, a length or a normalisation that is named counts alone', async () => {
  const model = await opened(built['cls, normalised']!);
  const plain = await opened(bare);
  const of = async (from: Model, options: Parameters<typeof openTextEmbedder>[1]): Promise<number[]> => {
    await using embedder = await openTextEmbedder(from, { threads: 1, ...options });
    return [...(await embedder.embed(texts)).data].map(Number);
  };
  near(await of(model, { pool: 'mean' }), await of(plain, {}));
  near(await of(model, { output: 'last_hidden_state' }), await of(plain, {}));
  await expect(openTextEmbedder(model, { normalize: false })).rejects.toThrow(/has the length 1, as its modules\.json says/); // prettier-ignore
  const pooled = await states('free', golden.cases['cls, normalised']!.files);
  near(await of(pooled, { normalize: false }), await of(plain, { pool: 'first' }));
  const short = await opened(built['mean, normalised, of 8 tokens']!);
  near(await of(short, { maxLength: 32 }), await of(plain, { normalize: true }));
});

it('what lies beside the model travels with it', async () => {
  const source = built['mean, normalised, of 8 tokens']!;
  for (const name of companions) expect(existsSync(path.join(source, name))).toBe(true);
  const model = await opened(source);
  const task = textRetrieval(texts.slice(0, 2).map((text) => ({ text, second: text, split: 'train' as const })), { loss: 'info-nce', validation: 0 }); // prettier-ignore
  const { adapter } = await (await train(model, { task, steps: 1, batchSize: 2, lr: 0.01, threads: 1 })).done;
  const out = path.join(root, 'merged');
  const { files } = await merge(model, adapter, out);
  expect(files.map((file) => path.relative(out, file))).toEqual(expect.arrayContaining(companions));
  await using embedder = await openTextEmbedder(model, { threads: 1, adapters: { adapter } });
  await using merged = await openTextEmbedder(await opened(out), { threads: 1 });
  near([...(await merged.embed(texts)).data].map(Number), [...(await embedder.embed(texts, 'adapter')).data].map(Number)); // prettier-ignore
});

describe('what is not known is refused by its name', () => {
  const { files } = golden.cases['mean']!;
  const module = (type: string, place: string) => ({ idx: 0, name: '0', path: place, type: `sentence_transformers.models.${type}` }); // prettier-ignore
  const pooling = (more: object) => ({ ...files, '1_Pooling/config.json': { word_embedding_dimension: 16, ...more } });
  it.each<[string, Files, RegExp]>([
    ['modules', { ...files, 'modules.json': [module('Transformer', ''), module('Pooling', '1_Pooling'), module('Dense', '2_Dense')] }, /lists Transformer, Pooling, Dense\./], // prettier-ignore
    ['a folder', { ...files, 'modules.json': [module('Transformer', ''), module('Pooling', '../1_Pooling')] }, /lists a Pooling in the folder "\.\.\/1_Pooling"/], // prettier-ignore
    ['a list', { ...files, 'modules.json': { a: 1 } }, /is not a JSON list of modules/],
    ['a mode', pooling({ pooling_mode: 'weightedmean' }), /asks for the pooling "weightedmean"/],
    ['a flag', pooling({ pooling_mode_lasttoken: true }), /asks for the pooling pooling_mode_lasttoken/],
    ['two', pooling({ pooling_mode: ['cls', 'mean'] }), /asks for the pooling \["cls","mean"\]/],
    ['a prompt', pooling({ pooling_mode: 'mean', include_prompt: false }), /asks for "include_prompt": false/],
    ['no pooling', { 'modules.json': files['modules.json'] }, /names ".*config\.json", and there is no such file/],
    ['a length', { ...files, 'sentence_bert_config.json': { max_seq_length: 'long' } }, /"max_seq_length" must be a whole number/], // prettier-ignore
  ])('%s', async (name, wrong, message) => {
    await expect(openTextEmbedder(await states(`wrong ${name}`, wrong))).rejects.toThrow(message);
  });

  it('capitals that the tokenizer leaves, where they should be small', async () => {
    const model = await states('capitals', { 'sentence_bert_config.json': { do_lower_case: true } });
    await (await openTextEmbedder(model, { threads: 1 })).release();
    const file = path.join(root, 'capitals-states', 'tokenizer.json');
    const json = JSON.parse(readFileSync(file, 'utf8')) as object;
    rmSync(file);
    writeFileSync(file, JSON.stringify({ ...json, normalizer: null }));
    await expect(openTextEmbedder(model)).rejects.toThrow(/"do_lower_case": true, and its tokenizer reads capitals as they are/); // prettier-ignore
  });
});

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, each, i) => sum + each * y[i]!, 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

function near(found: readonly number[], expected: readonly number[]): void {
  expect(found.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) expect(Math.abs(found[i]! - value)).toBeLessThan(2e-5);
}
