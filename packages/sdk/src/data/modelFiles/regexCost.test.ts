/** @file Which expressions of tokenizers are taken, and which are refused. */

import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { backtrackingReason } from './regexCost.ts';
import { checkTokenizerSteps } from './tokenizerFiles.ts';

/** Patterns of popular tokenizers, from their tokenizer.json. */
const used: Readonly<Record<string, string>> = {
  'GPT-2': String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
  CLIP: String.raw`<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`,
  'Llama 3': String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  Qwen: String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  o200k: String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  DeepSeek: String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  Bloom: String.raw` ?[^(\s|[.,!?…。，、।۔،])]+`,
  SMILES: String.raw`(\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\(|\)|\.|=|#|-|\+|\\|\/|:|~|@|\?|>>?|\*|\$|\%[0-9]{2}|[0-9])`,
  'digits in threes': String.raw`\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))`,
  'words with hyphens': String.raw`\p{L}+(?:['-]\p{L}+)*`,
  T5: String.raw` {2,}`,
};

const hostile: readonly string[] = [
  String.raw`(.+)+\n`,
  String.raw`(a*)*b`,
  String.raw`(a|a)*b`,
  String.raw`(a|aa)+$`,
  String.raw`(?:a?b?)*c`,
  String.raw`([a-z]+)*\d`,
  String.raw`(\w|\d)+!`,
  String.raw`(?:\s|\s\s)+x`,
  String.raw`(?:.*,){11}P`,
  String.raw`.*.*.*=`,
  String.raw`(?:.+)(?:.+)x`,
  String.raw`\s*\s*\S\b$`,
  String.raw`\w+(?=.*\d)`,
  `${'a?'.repeat(30)}${'a'.repeat(30)}`,
  '(?:a{0,5}){900}b',
  String.raw`(a)\1`,
  '('.repeat(80) + ')'.repeat(80),
  'a'.repeat(20_000),
];

/** A tokenizer that cuts texts by an expression, as the library reads it. */
function cutBy(Regex: string): { pre_tokenizer: unknown; encode(text: string): unknown } {
  const pattern = { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false };
  const model = { type: 'BPE', vocab: { '<unk>': 0 }, merges: [], unk_token: '<unk>' };
  const pre = { type: 'Sequence', pretokenizers: [pattern, { type: 'ByteLevel', use_regex: true }] };
  return new Tokenizer(
    { added_tokens: [], normalizer: null, model, pre_tokenizer: pre, post_processor: null, decoder: null },
    {},
  ) as never;
}

describe('expressions', () => {
  it.each(Object.entries(used))('of tokenizers in use are taken: %s', (_, source) => {
    const tokenizer = cutBy(source);
    expect(() => checkTokenizerSteps([tokenizer.pre_tokenizer], 'tokenizer.json')).not.toThrow();
    tokenizer.encode('Hello  world, 12345 times\n\n CCO[N+](=O)');
  });

  it.each(hostile)('that can keep a program busy are refused: %.40s', (source) => {
    expect(backtrackingReason(new RegExp(source, 'u'))).toEqual(expect.any(String));
  });

  it('are refused with the file that has them', () => {
    expect(() => checkTokenizerSteps([cutBy(String.raw`(.+)+\n`).pre_tokenizer], 'a/tokenizer.json')).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('"a/tokenizer.json" has the'),
      }),
    );
  });
});

it('replacements that double a text again and again are refused', () => {
  const normalizers = (count: number): unknown[] =>
    Array.from({ length: count }, () => ({ type: 'Replace', pattern: { String: 'a' }, content: 'aa' }));
  const of = (count: number): unknown =>
    (
      new Tokenizer(
        {
          added_tokens: [],
          pre_tokenizer: null,
          post_processor: null,
          decoder: null,
          model: { type: 'BPE', vocab: { a: 0 }, merges: [] },
          normalizer: { type: 'Sequence', normalizers: normalizers(count) },
        },
        {},
      ) as unknown as { normalizer: unknown }
    ).normalizer;
  expect(() => checkTokenizerSteps([of(3)], 'x')).not.toThrow();
  expect(() => checkTokenizerSteps([of(40)], 'x')).toThrow('times as long');
});
