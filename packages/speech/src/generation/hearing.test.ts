/** @file A tiny Whisper keeps to the window that an adapter was trained with: in clips, mixed batches, recordings, measures. */

import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Adapter, evaluate, type InputSize, int64, loadAdapter, merge, type Model, openModel, type RowAdapter } from '@onnx-lora/sdk'; // prettier-ignore
import { wordErrors } from '@onnx-lora/sdk/tasks';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AudioFileReader } from '../audio/audioFileReader.ts';
import { speechFamilies } from '../families/index.ts';
import { shortExtractor } from '../features/audioContext.ts';
import { FeatureExtractorFactory } from '../features/featureExtractorFactory.ts';
import { openExtractor } from '../features/featureExtractor.ts';
import { speechRecognition, speechRecognitionTask } from '../tasks/recognition/speechRecognition.ts';
import { openSpeechTokenizer } from '../text/openSpeechTokenizer.ts';
import { readGenerationConfig, promptOf } from './generationConfig.ts';
import { rulesOf } from './decodingRules.ts';
import { openTranscriber } from './openTranscriber.ts';
import type { Transcriber } from './transcriber.ts';

const folder = path.join(import.meta.dirname, '../../../../test/fixtures/whisperMerged');
const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-hearing-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const rate = 16_000;
/** For a window of one second, which is 100 frames; of these alone, as adapters of old note it. */
const [FRAMES, SECONDS] = [60, 0.6];
/** Frames of {@link SECONDS}. */
const SPREAD = { first: 62, spread: 10, last: 2 };
const load = { provider: 'cpu', threads: 1, worker: false } as const;
const asked = { language: 'en', maxTokens: 12 } as const;

let model: Model;
let whole: Adapter;
let short: Adapter;
let spread: Adapter;
let transcriber: Transcriber;
beforeAll(async () => {
  model = await openModel(folder, { families: speechFamilies });
  whole = await loadAdapter(path.join(folder, 'adapter'));
  short = heardWith(FRAMES);
  spread = heardWith(SPREAD);
  transcriber = await openTranscriber(model, { ...load, adapters: { short, whole, spread } });
});
afterAll(() => transcriber.release());

function heardWith(size: InputSize): Adapter {
  const { config, tensors, baseDigest } = whole;
  return new Adapter(config, tensors, baseDigest, { inputSizes: { input_features: { 2: size } } });
}

const clip = (seconds: number, kind = 1): Float32Array =>
  Float32Array.from({ length: seconds * rate }, (_, i) => 0.3 * Math.sin(i * 0.05 * kind + Math.sin(i / 900) * kind));
const [brief, long] = [clip(0.5), clip(0.9, 3)];

async function tokensOf(sound: Float32Array, adapter: RowAdapter, by: Transcriber = transcriber): Promise<number[]> {
  const [found] = await by.transcribeClips([sound], { ...asked, adapter });
  return [...found!.tokens];
}

/** Output of the joined graph for such frames, token by token, without a cache: neither of the transcriber's files. */
async function writtenByJoined(sound: Float32Array, size: InputSize, hasAdapter: boolean): Promise<number[]> {
  const config = await readGenerationConfig(model, await openSpeechTokenizer(folder));
  const full = await openExtractor(model, [new FeatureExtractorFactory(new AudioFileReader())]);
  const short = shortExtractor(full, SECONDS, typeof size === 'number' ? Infinity : undefined)!;
  const extractor = size === 100 ? full : short;
  const sizes = { input_features: { 2: size } };
  if (size !== 100) expect(short.sizes).toEqual(sizes);
  const features = extractor.batch([extractor.extract(sound)])['input_features']!;
  const session = await model.withInputSizes(sizes).session({ ...load, adapters: { whole } });
  const prompt = promptOf(config, { language: 'en', timestamps: false });
  const rules = rulesOf(config, false);
  const written: number[] = [];
  while (written.length < asked.maxTokens) {
    const ids = [...prompt, ...written];
    const feeds = { input_features: features, decoder_input_ids: int64(ids, [1, ids.length]) };
    const { logits } = await session.run(feeds, { adapter: hasAdapter ? 'whole' : null, fetches: ['logits'] });
    const row = (logits!.data as Float32Array).slice(-logits!.dims[2]!);
    for (const rule of rules) rule(row, written, prompt);
    const best = row.indexOf(Math.max(...row));
    if (config.ends.includes(best)) break;
    written.push(best);
  }
  await session.release();
  return written;
}

describe('clips', () => {
  test('that fit are heard with the window that the adapter notes, others with the whole', async () => {
    const [heard, all] = [await writtenByJoined(brief, FRAMES, true), await writtenByJoined(brief, 100, true)];
    expect(heard).not.toEqual(all);
    expect(await tokensOf(brief, 'short')).toEqual(heard);
    expect(await tokensOf(brief, 'whole')).toEqual(all);
    expect(await tokensOf(long, 'short')).toEqual(await writtenByJoined(long, 100, true));
    // The base was trained with all of it.
    expect(await tokensOf(brief, null)).toEqual(await writtenByJoined(brief, 100, false));
  });

  test('of a batch are each heard as their adapter wants it', async () => {
    const clips = [brief, brief, long, brief, long, brief];
    const adapter = ['whole', 'short', 'short', null, 'whole', { short: 0.5, whole: 0.5 }] as const;
    const together = await transcriber.transcribeClips(clips, { ...asked, adapter });
    const alone = await Promise.all(clips.map(async (sound, i) => tokensOf(sound, adapter[i]!)));
    expect(together.map(({ tokens }) => [...tokens])).toEqual(alone);
    // Both are the same but for the note, and one of a blend wants the whole window.
    expect(alone[5]).toEqual(alone[0]);
    expect(alone[1]).not.toEqual(alone[0]);
    expect(await tokensOf(brief, { short: 1 })).toEqual(alone[1]);
    const languages = await transcriber.detectLanguages!(clips, { adapter });
    expect(languages[1]!.probability).not.toBe(languages[0]!.probability);
    expect(languages[1]).toEqual((await transcriber.detectLanguages!([brief], { adapter: 'short' }))[0]);
  });

  test('are heard as it is set, whatever adapters note', async () => {
    const open = async (contextSeconds: number | 'full'): Promise<Transcriber> =>
      openTranscriber(model, { ...load, adapters: { short, whole }, contextSeconds });
    const [few, full] = [await open(SECONDS), await open('full')];
    expect(await tokensOf(brief, 'short', full)).toEqual(await tokensOf(brief, 'whole'));
    for (const adapter of ['whole', 'short']) expect(await tokensOf(brief, adapter, few)).toEqual(await writtenByJoined(brief, SPREAD, true)); // prettier-ignore
    expect(await tokensOf(brief, null, few)).toEqual(await writtenByJoined(brief, SPREAD, false));
    const [ofFew, ofAll] = await Promise.all([few, full].map(async (each) => (await each.detectLanguages!([brief], { adapter: 'whole' }))[0]!)); // prettier-ignore
    expect(ofFew!.probability).not.toBe(ofAll!.probability);
    expect(await tokensOf(long, 'whole', few)).toEqual(await tokensOf(long, 'whole'));
    await few.release();
    await full.release();
    await expect(openTranscriber(model, { ...load, contextSeconds: -1 })).rejects.toThrow(/contextSeconds is -1/);
  });
});

test('recordings too: in one short window where they fit, in whole ones where they do not', async () => {
  const audio = (samples: Float32Array) => ({ sampleRate: rate, channels: [samples] }) as const;
  const once = { ...asked, temperatures: [0] };
  const heard = await transcriber.transcribe(audio(brief), { ...once, adapter: 'short' });
  expect(heard.tokens).toEqual(await tokensOf(brief, 'short'));
  const longer = audio(clip(2.5, 2));
  expect(await transcriber.transcribe(longer, { ...once, adapter: 'short' })).toEqual(
    await transcriber.transcribe(longer, { ...once, adapter: 'whole' }),
  );
});

test('few positions of the silence, where the adapter notes them, as if all were computed with its weights', async () => {
  const set = await openTranscriber(model, { ...load, adapters: { spread: whole }, contextSeconds: SECONDS });
  const [found, wanted] = await Promise.all([transcriber, set].map((each) => each.detectLanguages!([brief], { adapter: 'spread' }))); // prettier-ignore
  expect(found).toEqual(wanted);
  expect(await tokensOf(brief, 'spread')).toEqual(await writtenByJoined(brief, SPREAD, true));
  await set.release();
});

test('a note of a window that the model does not have changes nothing, and one of hardly any hears no clip', async () => {
  const odd = { none: heardWith(100), larger: heardWith(5000), least: heardWith(1) };
  const opened = await openTranscriber(model, { ...load, adapters: odd });
  for (const name of Object.keys(odd)) expect(await tokensOf(brief, name, opened)).toEqual(await tokensOf(brief, 'whole')); // prettier-ignore
  await opened.release();
});

test('a model of one file is cut for its window, and answers as the published files do', async () => {
  const lone = mkdtempSync(path.join(scratch, 'one-'));
  const joined = await openModel(folder, { families: speechFamilies });
  await merge(joined, new Adapter(whole.config, zeroed(whole)), path.join(lone, 'model.onnx'), { allowBaseMismatch: true }); // prettier-ignore
  for (const name of ['config.json', 'generation_config.json', 'preprocessor_config.json', 'tokenizer.json', 'tokenizer_config.json', 'vocab.json', 'merges.txt', 'added_tokens.json']) {
    if (existsSync(path.join(folder, name))) copyFileSync(path.join(folder, name), path.join(lone, name));
  } // prettier-ignore
  const one = await openModel(lone, { families: speechFamilies });
  expect(one.parts).toEqual([]);
  const opened = await openTranscriber(one, { ...load, adapters: { short, whole, spread }, allowBaseMismatch: true });
  for (const name of ['short', 'whole', 'spread']) expect(await tokensOf(brief, name, opened)).toEqual(await tokensOf(brief, name)); // prettier-ignore
  await opened.release();
});

function zeroed({ tensors }: Adapter): Adapter['tensors'] {
  return new Map([...tensors].map(([name, each]) => [name, { ...each, data: new Float32Array(each.data.length) }]));
}

test('a model that such an adapter was merged into hears as the adapter does, and unmerged as the base', async () => {
  const merged = path.join(scratch, 'merged');
  mkdirSync(merged);
  await merge(model, short, merged, { allowBaseMismatch: true });
  const opened = await openModel(merged, { families: speechFamilies });
  const by = await openTranscriber(opened, load);
  expect(await tokensOf(brief, null, by)).toEqual(await tokensOf(brief, 'short'));
  expect(await tokensOf(brief, null, by)).not.toEqual(await tokensOf(brief, 'whole'));
  expect(await tokensOf(long, null, by)).toEqual(await tokensOf(long, 'short'));
  await by.release();
  const plain = path.join(scratch, 'plain');
  await merge(model, whole, plain, { allowBaseMismatch: true });
  const configs = [folder, plain, merged].map((each) => readFileSync(path.join(each, 'config.json'), 'utf8'));
  expect(configs[1]).toBe(configs[0]);
  expect(configs[2]).toContain('onnx_lora_input_sizes');
});

test('evaluate and the answers for files hear as the transcriber does', async () => {
  const records = [brief, clip(0.55, 2)].map((samples, i) => ({
    audio: { sampleRate: rate, channels: [samples] },
    text: ['come in', 'call it'][i]!,
    where: `${i}.wav`,
  }));
  const written = async (adapter: RowAdapter, by: Transcriber = transcriber): Promise<string[]> =>
    (await by.transcribeClips(records.map(({ audio }) => audio.channels[0]!), { language: 'en', adapter })).map(({ text }) => text); // prettier-ignore
  const rate1 = async (adapter?: Adapter, contextSeconds?: number | 'full'): Promise<number> => {
    const task = speechRecognition(records, { language: 'en', normalizer: 'none', ...(contextSeconds === undefined ? {} : { contextSeconds }) }); // prettier-ignore
    const options = { ...(adapter ? { adapter } : {}), allowBaseMismatch: true, provider: 'cpu' as const, threads: 1 };
    return (await evaluate(model, { task, ...options })).metrics['cer']!;
  };
  const expected = async (adapter: RowAdapter, by?: Transcriber): Promise<number> =>
    wordErrors(records.map(({ text }) => text), await written(adapter, by)).cer; // prettier-ignore
  expect(await rate1(short)).toBeCloseTo(await expected('short'), 10);
  expect(await rate1(whole)).toBeCloseTo(await expected('whole'), 10);
  expect(await expected('short')).not.toBe(await expected('whole'));
  // Settings override notes; the base alone is always measured with the whole window.
  expect(await rate1(short, 'full')).toBeCloseTo(await expected('whole'), 10);
  const few = await openTranscriber(model, { ...load, adapters: { whole }, contextSeconds: SECONDS });
  expect(await rate1(whole, SECONDS)).toBeCloseTo(await expected('whole', few), 10);
  expect(await rate1(undefined, SECONDS)).toBeCloseTo(await expected(null), 10);

  const wave = path.join(scratch, 'brief.wav');
  const { toWave } = await import('../audio/formats/wav.ts');
  (await import('node:fs')).writeFileSync(wave, toWave(brief, rate));
  const reader = new AudioFileReader();
  const factory = speechRecognitionTask(reader, [new FeatureExtractorFactory(reader)]);
  const answered = async (adapter: Adapter, settings = {}): Promise<unknown> => {
    const predictor = await factory.predictor(model, { adapter, load: { ...load, allowBaseMismatch: true }, settings: { language: 'en', ...settings } }); // prettier-ignore
    const texts: unknown[] = [];
    for await (const { prediction } of predictor.predict([wave])) texts.push(prediction['text']);
    await predictor.release();
    return texts[0];
  };
  expect(await answered(short)).toBe((await written('short'))[0]);
  expect(await answered(whole)).toBe((await written('whole'))[0]);
  expect(await answered(short, { contextSeconds: 'full' })).toBe((await written('whole'))[0]);
  expect(await answered(whole, { contextSeconds: String(SECONDS) })).toBe((await written('whole', few))[0]);
  await few.release();
});
