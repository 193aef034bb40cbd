/** @file Tests of tokenizers as they are found in folders. */

import { CtcTokenizer } from '@onnx-lora/sdk/tasks';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSpeechTokenizer } from './openSpeechTokenizer.ts';

const whisper = fileURLToPath(new URL('../fixtures/text/tokenizer/', import.meta.url));
const shared = fileURLToPath(new URL('../../../../../shared/', import.meta.url));
const readJson = <T>(path: string): T => JSON.parse(readFileSync(path, 'utf8')) as T;

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'onnx-lora-tokenizer-'));
});
afterAll(() => rmSync(root, { recursive: true }));

/** A folder with these files. */
function folderOf(files: Readonly<Record<string, unknown>>): string {
  const folder = mkdtempSync(join(root, 'model-'));
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return folder;
}

describe("Whisper's tokenizer", () => {
  const older = ['vocab.json', 'merges.txt', 'added_tokens.json', 'tokenizer_config.json'];

  it.each(['tokenizer.json', 'vocab.json'])('gives the ids of transformers, by %s', async (by) => {
    const folder = folderOf({});
    for (const name of by === 'vocab.json' ? older : [by]) copyFileSync(join(whisper, name), join(folder, name));
    const tokenizer = await openSpeechTokenizer(folder);
    expect(tokenizer.size).toBe(417);
    const samples = readJson<{ text: string; ids: number[]; decoded: string }[]>(join(whisper, 'samples.json'));
    expect(samples).toHaveLength(9);
    for (const { text, ids, decoded } of samples) {
      expect(tokenizer.encode(text)).toEqual(ids);
      // Marks and timestamps are not part of the text.
      expect(tokenizer.decode([357, 365, 366, ...ids, 416, 356])).toBe(decoded);
    }
    expect([tokenizer.idOf('<|startoftranscript|>'), tokenizer.tokenOf(358)]).toEqual([357, '<|en|>']);
    expect(tokenizer.idOf('<|zz|>')).toBeUndefined();
    expect(() => tokenizer.decode([417])).toThrow(/417 is no token of .*json", which has 417/);
  });

  it('has timestamps where its file leaves them out', async () => {
    const json = readJson<{ added_tokens: { content: string }[] }>(join(whisper, 'tokenizer.json'));
    const added = json.added_tokens.filter(({ content }) => !/\d/.test(content));
    const tokenizer = await openSpeechTokenizer(folderOf({ 'tokenizer.json': { ...json, added_tokens: added } }));
    expect(tokenizer.size).toBe(366 + 1501);
    expect(['<|0.00|>', '<|1.00|>', '<|30.00|>'].map((token) => tokenizer.idOf(token))).toEqual([366, 416, 1866]);
    expect(tokenizer.tokenOf(367)).toBe('<|0.02|>');
    const ids = tokenizer.encode('Merci.');
    expect(tokenizer.decode([366, ...ids, 1866])).toBe('Merci.');
  });

  it('says what is wrong with a folder', async () => {
    await expect(openSpeechTokenizer(folderOf({}))).rejects.toThrow(/neither tokenizer.json nor vocab.json/);
    await expect(openSpeechTokenizer(folderOf({ 'tokenizer.json': '{"model":' }))).rejects.toThrow(/not a JSON object/);
    await expect(openSpeechTokenizer(folderOf({ 'tokenizer.json': { model: {} } }))).rejects.toThrow(
      /cannot be read as a tokenizer/,
    );
    const json = readJson<Record<string, unknown>>(join(whisper, 'tokenizer.json'));
    const huge = { ...json, added_tokens: [{ id: 4e9, content: '<|en|>', special: true }] };
    await expect(openSpeechTokenizer(folderOf({ 'tokenizer.json': huge }))).rejects.toThrow(/"<\|en\|>" no id from 0/);
    const slow = {
      ...json,
      pre_tokenizer: { type: 'Split', pattern: { Regex: String.raw`(.+)+\n` }, behavior: 'Isolated' },
    };
    await expect(openSpeechTokenizer(folderOf({ 'tokenizer.json': slow }))).rejects.toThrow(/busy for ever/);
  });

  const real = join(shared, 'models/whisper-tiny.en');
  it.skipIf(!existsSync(real))('reads what the real model wrote', async () => {
    const tokenizer = await openSpeechTokenizer(real);
    expect([tokenizer.size, tokenizer.idOf('<|0.00|>'), tokenizer.tokenOf(51863)]).toEqual([51864, 50363, '<|30.00|>']);
    const golden = readJson<{ clips: Record<'base' | 'tuned', { ids: number[]; text: string }>[] }>(
      join(shared, 'oracle/whisper-real/golden.json'),
    );
    for (const { base, tuned } of golden.clips) {
      for (const { ids, text } of [base, tuned]) expect(tokenizer.decode(ids)).toBe(text);
    }
    const { steps } = readJson<{ steps: { batch: string[]; labels: number[][] }[] }>(
      join(shared, 'oracle/whisper-real/steps.json'),
    );
    const manifest = readFileSync(join(shared, 'data/asterisk-es/manifest.csv'), 'utf8');
    for (const { batch, labels } of steps) {
      for (const [row, path] of batch.entries()) {
        const text = new RegExp(`^${path},("?)(.*)\\1,[\\d.]+,train`, 'm').exec(manifest)![2]!;
        const ids = [50362, ...tokenizer.encode(` ${text}`), 50256];
        expect(labels[row]!.filter((id) => id >= 0)).toEqual(ids);
      }
    }
  });
});

it("reads tokenizers of Moonshine's kind, which write what they do not know as bytes", async () => {
  const folder = join(whisper, '../moonshine');
  const tokenizer = await openSpeechTokenizer(folder);
  const samples = readJson<[text: string, ids: number[], decoded: string][]>(join(folder, 'samples.json'));
  expect(samples).toHaveLength(11);
  for (const [text, ids, decoded] of samples) {
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.decode([1, ...ids, 2])).toBe(decoded);
  }
});

describe('the characters of CTC models', () => {
  interface Golden {
    vocab: Record<string, number>;
    cases: { ids: number[]; text: string; raw: string }[];
    encode: { text: string; ids: number[] }[];
  }
  const golden = readJson<Golden>(join(whisper, '../ctc.json'));
  const config = { tokenizer_class: 'Wav2Vec2CTCTokenizer' };
  const open = async (files: Readonly<Record<string, unknown>>, targetLanguage?: string): Promise<CtcTokenizer> => {
    const tokenizer = await openSpeechTokenizer(
      folderOf(files),
      targetLanguage === undefined ? {} : { targetLanguage },
    );
    expect(tokenizer).toBeInstanceOf(CtcTokenizer);
    return tokenizer as CtcTokenizer;
  };

  it('reads and writes as Wav2Vec2CTCTokenizer', async () => {
    const tokenizer = await open({ 'vocab.json': golden.vocab, 'tokenizer_config.json': config });
    for (const { ids, text, raw } of golden.cases) {
      expect(tokenizer.decodeFrames(ids, { keepSpecial: true })).toBe(text);
      expect(tokenizer.decodeFrames(ids, { keepSpecial: true, collapse: false })).toBe(raw);
      expect(tokenizer.decode(ids)).toBe(raw.replace(/<\/?(?:s|unk)>/g, ''));
    }
    for (const { text, ids } of golden.encode) expect(tokenizer.encode(text)).toEqual(ids);
    expect([tokenizer.blank, tokenizer.unknown, tokenizer.size]).toEqual([0, 3, 32]);
    expect(() => tokenizer.decode([32])).toThrow(/32 is no token/);
  });

  it('follows the case of the vocabulary', async () => {
    const tokenizer = await open({ 'vocab.json': golden.vocab });
    expect(tokenizer.encode("don't go")).toEqual(tokenizer.encode("DON'T GO"));
    const lower = await open({
      'vocab.json': golden.vocab,
      'tokenizer_config.json': { ...config, do_lower_case: true },
    });
    expect(lower.encode('hello')).toEqual([11, 5, 15, 15, 8]);
    expect(lower.decode([11, 5, 15, 15, 8])).toBe('hello');
  });

  it('finds the vocabulary in a tokenizer.json, and tokens that were added', async () => {
    const json = { decoder: { type: 'CTC' }, model: { vocab: { a: 0, b: 1, '|': 2, '[PAD]': 3 } } };
    const tokenizer = await open({
      'tokenizer.json': json,
      'special_tokens_map.json': { pad_token: { content: '[PAD]' } },
      'added_tokens.json': { '<s>': 4, b: 9 },
    });
    expect(tokenizer.labels).toEqual(['a', 'b', '|', '[PAD]', '<s>']);
    expect(tokenizer.decodeFrames([3, 0, 0, 2, 1, 3, 1, 4])).toBe('a bb');
    // No unknown token: what is not known is left out.
    expect(tokenizer.encode('a xb')).toEqual([0, 2, 1]);
  });

  it('takes the language that is asked for', async () => {
    const vocab = { eng: { '<pad>': 0, a: 1 }, spa: { '<pad>': 0, ñ: 1, ll: 2, l: 3 } };
    expect((await open({ 'vocab.json': vocab }, 'spa')).encode('ñlll')).toEqual([1, 2, 3]);
    const named = { ...config, target_lang: 'eng' };
    expect((await open({ 'vocab.json': vocab, 'tokenizer_config.json': named })).encode('a')).toEqual([1]);
    await expect(open({ 'vocab.json': vocab })).rejects.toThrow(
      /2 languages, and none is chosen. Choose one of eng, spa/,
    );
    await expect(open({ 'vocab.json': vocab }, 'constructor')).rejects.toThrow(/none for "constructor"/);
  });

  it('says what is wrong with a vocabulary', async () => {
    await expect(open({ 'vocab.json': { a: 0 } })).rejects.toThrow(/has no token "<pad>".*Set pad_token/);
    await expect(open({ 'vocab.json': { '<pad>': 'x' } })).rejects.toThrow(/gives the token "<pad>" no id/);
    await expect(open({ 'vocab.json': { '<pad>': 1e12 } })).rejects.toThrow(/gives the token "<pad>" no id/);
  });
});
