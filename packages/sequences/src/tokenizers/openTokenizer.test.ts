/** @file Tests of the tokenizers in models' folders against transformers' and the Rust tokenizers' own encodings. */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openTokenizer } from './openTokenizer.ts';
import type { SequenceTokenizer } from './sequenceTokenizer.ts';

interface Encoding {
  readonly text: string;
  readonly ids: number[];
  /** Without those of special tokens. */
  readonly offsets?: [number, number][];
}

interface Golden {
  readonly files: Readonly<Record<string, unknown>>;
  /** The name of another golden, whose encodings these are. */
  readonly encodings: readonly Encoding[] | string;
  readonly pairs: readonly { readonly texts: [string, string]; readonly ids: number[]; readonly type_ids: number[] }[];
  readonly fused?: readonly Encoding[];
}

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));
const goldens = JSON.parse(readFileSync(`${fixtures}tokenizers/goldens.json`, 'utf8')) as Readonly<
  Record<string, Golden>
>;

describe.each(Object.entries(goldens))('%s', (_, { files, encodings, pairs }) => {
  it('encodes as its own tokenizer does', async () => {
    const tokenizer = await openTokenizer(model(folderWith(files)));
    const all = typeof encodings === 'string' ? goldens[encodings]!.encodings : encodings;
    for (const golden of all as readonly Encoding[]) check(tokenizer, golden);
    for (const { texts, ids, type_ids } of pairs) {
      const [first, second] = texts.map((text) => tokenizer.tokens(text).ids) as [number[], number[]];
      const framed = tokenizer.framed(first, second);
      expect([framed.ids, framed.types]).toEqual([ids, type_ids]);
      expect(framed.ids.slice(framed.firstAt, framed.firstAt + first.length)).toEqual(first);
      expect(framed.ids.slice(framed.secondAt!, framed.secondAt! + second.length)).toEqual(second);
      expect(framed.ids).toHaveLength(first.length + second.length + tokenizer.added.pair);
    }
  });
});

describe('openTokenizer', () => {
  it('knows what each kind can do', async () => {
    const found = Object.entries(goldens).map(async ([name, { files }]) => {
      const { isPerLetter, maxLength, padId, unknownId, maskId } = await openTokenizer(model(folderWith(files)));
      return [name, isPerLetter, maxLength, padId, unknownId, maskId];
    });
    expect(await Promise.all(found)).toEqual([
      ['esmc', true, undefined, 1, 3, 32],
      ['prott5', true, undefined, 0, 2, undefined],
      ['dnabert2', false, undefined, 3, 0, 4],
      ['unigram', false, undefined, 0, 1, undefined],
      ['molformer', false, undefined, 1, 4, 3],
      ['byte-prefix', false, undefined, 1, 3, 4],
      ['wordpiece', false, undefined, 0, 1, 4],
      ['protbert', true, 512, 0, 1, 4],
      ['dnabert', false, 512, 0, 1, 4],
      ['nt3', false, 1000, 1, 0, 2],
      ['protbert-json', true, 512, 0, 1, 4],
      ['smiles-bpe', false, undefined, 1, 3, 4],
      ['smiles-bpe-old', false, undefined, 1, 3, 4],
    ]);
  });

  it("reads ESM's vocabulary, also beside a tokenizer.json of another make", async () => {
    const { encodings, pair } = JSON.parse(readFileSync(`${fixtures}encodings.json`, 'utf8')) as {
      encodings: Encoding[];
      pair?: { texts: [string, string]; input_ids: number[] };
    };
    const vocabulary = readFileSync(`${fixtures}vocab.txt`, 'utf8');
    const folder = folderWith({
      'vocab.txt': vocabulary,
      'tokenizer.json': goldens['wordpiece']!.files['tokenizer.json'],
    });
    const tokenizer = await openTokenizer(model(folder, { vocab_size: 33 }));
    for (const golden of encodings) check(tokenizer, golden);
    // As in transformers, <unk> is special, though it stands for letters.
    expect(new Set(tokenizer.specialIds)).toEqual(new Set([0, 1, 2, 3, 32]));
    const { texts, input_ids } = pair ?? { texts: ['MKT', 'AYI'], input_ids: [0, 20, 15, 11, 2, 5, 19, 12, 2] };
    expect(tokenizer.framed(tokenizer.tokens(texts[0]).ids, tokenizer.tokens(texts[1]).ids).ids).toEqual(input_ids);
    expect(tokenizer.tokens('MK<mask>J*T')).toEqual({
      ids: [20, 15, 32, 3, 11],
      starts: [0, 1, 2, 8, 10],
      ends: [1, 2, 8, 10, 11],
    });
  });

  it('makes one token of unknown letters in a row where the file says so', async () => {
    const { files, fused } = goldens['dnabert2']!;
    const json = structuredClone(files['tokenizer.json']) as { model: { fuse_unk: boolean } };
    json.model.fuse_unk = true;
    const tokenizer = await openTokenizer(model(folderWith({ 'tokenizer.json': json })));
    expect(fused!.length).toBeGreaterThan(4);
    for (const golden of fused!) check(tokenizer, golden);
  });

  it("reads a BERT's vocab.txt as WordPiece", async () => {
    const { files, encodings, pairs } = goldens['wordpiece']!;
    const { vocab } = (files['tokenizer.json'] as { model: { vocab: Record<string, number> } }).model;
    const tokenizer = await openTokenizer(model(folderWith({ 'vocab.txt': Object.keys(vocab).join('\n') })));
    for (const golden of encodings as readonly Encoding[]) check(tokenizer, golden);
    const { texts, ids } = pairs[0]!;
    expect(tokenizer.framed(tokenizer.tokens(texts[0]).ids, tokenizer.tokens(texts[1]).ids).ids).toEqual(ids);
    const cased = folderWith({
      'vocab.txt': Object.keys(vocab).join('\n'),
      'tokenizer_config.json': { do_lower_case: false },
    });
    expect((await openTokenizer(model(cased))).tokens('MK mk').ids).toEqual([1, 5]);
  });

  it('reads parts of SMILES by vocab.json alone', async () => {
    const { files, encodings } = goldens['molformer']!;
    const { vocab } = (files['tokenizer.json'] as { model: { vocab: Record<string, number> } }).model;
    const tokenizer = await openTokenizer(model(folderWith({ 'vocab.json': vocab })));
    for (const golden of encodings as readonly Encoding[]) {
      if (!golden.text.includes('<')) check(tokenizer, golden);
    }
    expect(tokenizer.maskId).toBe(3);
  });

  it('cuts brackets that are never closed, however many', async () => {
    const { vocab } = (goldens['molformer']!.files['tokenizer.json'] as { model: { vocab: Record<string, number> } })
      .model;
    const tokenizer = await openTokenizer(model(folderWith({ 'vocab.json': vocab })));
    const { ids, ends } = tokenizer.tokens(`${'['.repeat(500_000)}C`);
    expect(ids.map((id) => tokenizer.tokenOf(id))).toEqual(['<unk>', 'C']);
    expect(ends).toEqual([500_000, 500_001]);
  });

  it("reads ProtT5's spiece.model", async () => {
    const pieces = readFileSync(`${fixtures}tokenizers/spiece.model`);
    const tokenizer = await openTokenizer(model(folderWith({ 'spiece.model': pieces })));
    // T5's own: 3 is A, and pieces follow in the order of the file; U is read as X, * is unknown.
    expect(tokenizer.tokens('AMUX*')).toEqual({
      ids: [3, 19, 23, 23, 2],
      starts: [0, 1, 2, 3, 4],
      ends: [1, 2, 3, 4, 5],
    });
    expect(tokenizer.framed([3, 19]).ids).toEqual([3, 19, 1]);
    for (let length = 1; length < pieces.length; length += 7) {
      const cut = openTokenizer(model(folderWith({ 'spiece.model': pieces.subarray(0, length) })));
      // Cut between two pieces it is a shorter list.
      await cut.catch((error: unknown) => expect(error).toMatchObject({ code: 'CONFIG_INVALID' }));
    }
  });

  it('keeps the U of RNA, and tells of letters that there is no token for', async () => {
    const rna = await openTokenizer(model(folderWith({ 'vocab.txt': '[PAD]\n[CLS]\n[SEP]\nA\nC\nG\nU\nX' })));
    expect(rna.framed(rna.tokens('AUX').ids).ids).toEqual([1, 3, 6, 7, 2]);
    expect(() => rna.tokens('AT')).toThrow(expect.objectContaining({ code: 'DATA_INVALID' }));
    expect(() => rna.tokens('AT')).toThrow('"T" is no token of');
    const kmers = await openTokenizer(model(folderWith({ 'vocab.txt': '[PAD]\nAC\nCG\nGT' })));
    expect(kmers.tokens('ACGT').ids).toEqual([1, 2, 3]);
    expect(() => kmers.tokens('ACC')).toThrow('"CC" is no token of');
  });

  it('gives every letter to one token at most, and in order', async () => {
    const made = await Promise.all(Object.values(goldens).map(({ files }) => openTokenizer(model(folderWith(files)))));
    const letters = [...'ACGTMKLNcno()=#[]+-1<> '];
    fc.assert(
      fc.property(fc.constantFrom(...made), fc.array(fc.constantFrom(...letters), { maxLength: 40 }), (each, text) => {
        const { ids, starts, ends } = each.tokens(text.join(''));
        const isOverlapping = each.idOf('ACG') !== undefined && each.maxLength === 512;
        for (let i = 0; i < ids.length; i++) {
          expect(each.tokenOf(ids[i]!)).toBeDefined();
          expect(starts[i]! <= ends[i]! && ends[i]! <= text.length).toBe(true);
          if (i > 0 && !isOverlapping) expect(starts[i]!).toBeGreaterThanOrEqual(ends[i - 1]!);
        }
      }),
    );
  });

  it('names what is wrong', async () => {
    const esm = readFileSync(`${fixtures}vocab.txt`, 'utf8');
    const roberta = goldens['smiles-bpe-old']!.files;
    const words = goldens['wordpiece']!.files['tokenizer.json'] as { model: object };
    const cases: [files: Record<string, unknown>, config: Record<string, unknown>, code: string, message: string][] = [
      [{}, {}, 'FILE_NOT_FOUND', 'neither tokenizer.json nor vocab.txt nor vocab.json'],
      [
        { 'vocab.txt': esm },
        { vocab_size: 20 },
        'CONFIG_INVALID',
        'has 33 tokens, but config.json says the model knows 20',
      ],
      [{ 'tokenizer.json': '{' }, {}, 'CONFIG_INVALID', 'is not a JSON object'],
      [{ 'tokenizer.json': { model: { vocab: { a: -1 } } } }, {}, 'CONFIG_INVALID', 'gives the token "a" no id'],
      [
        {
          'tokenizer.json': {
            ...words,
            pre_tokenizer: { type: 'Split', pattern: { Regex: String.raw`(.+)+\n` }, behavior: 'Isolated' },
          },
        },
        {},
        'CONFIG_INVALID',
        'busy for ever',
      ],
      [{ 'tokenizer.json': { model: { type: 'Magic' } } }, {}, 'CONFIG_INVALID', 'cannot be read as a tokenizer'],
      [
        { 'tokenizer.json': { ...words, post_processor: { type: 'TemplateProcessing' } } },
        {},
        'CONFIG_INVALID',
        'cannot be read as a tokenizer',
      ],
      [
        { 'tokenizer.json': { ...words, post_processor: { type: 'TemplateProcessing', single: [], pair: [] } } },
        {},
        'CONFIG_INVALID',
        'leaves sequences out',
      ],
      [
        { 'tokenizer.json': { ...words, model: { ...words.model, unk_token: 5 } } },
        {},
        'CONFIG_INVALID',
        'its unknown token is no text',
      ],
      [
        { 'tokenizer.json': { ...words, added_tokens: [{ id: 0, content: 5 }] } },
        {},
        'CONFIG_INVALID',
        'gives the token "5" no id',
      ],
      [{ 'vocab.json': roberta['vocab.json'] }, {}, 'FILE_NOT_FOUND', 'no merges.txt beside it'],
      [{ 'vocab.json': { C: 'x' } }, {}, 'CONFIG_INVALID', 'gives the token "C" no id'],
      [{ 'vocab.txt': 'A\nC\nG\n[UNK]' }, {}, 'CONFIG_INVALID', 'fills up short rows'],
      [{ 'spiece.model': Buffer.from([10, 200, 1]) }, {}, 'CONFIG_INVALID', 'SentencePiece model: it ends too early'],
      [{ 'vocab.txt': esm.replace('<mask>', '<m>') }, {}, 'CONFIG_INVALID', 'no token "<mask>"'],
    ];
    for (const [files, config, code, message] of cases) {
      await expect(openTokenizer(model(folderWith(files), config)), message).rejects.toMatchObject({
        code,
        message: expect.stringContaining(message),
      });
    }
    const { folder: _, ...lone } = model('model.onnx');
    await expect(openTokenizer(lone)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND', message: expect.stringContaining('is a file alone') }); // prettier-ignore
  });
});

const oracle = fileURLToPath(new URL('../../../../../shared/oracle/preprocess/science/', import.meta.url));

describe.skipIf(!existsSync(oracle))('oracle', () => {
  it.each(['esm', 'smiles-bpe', 'wordpiece'])('%s', async (name) => {
    const { encodings, pairs, truncated } = JSON.parse(readFileSync(`${oracle}${name}/encodings.json`, 'utf8')) as {
      encodings: Encoding[];
      pairs?: Golden['pairs'];
      truncated?: { text: string; max_length: number; input_ids: number[] };
    };
    const tokenizer = await openTokenizer(model(`${oracle}${name}`));
    for (const { offsets, ...golden } of encodings) {
      check(tokenizer, { ...golden, ...(offsets && { offsets: offsets.slice(1, -1) }) });
    }
    for (const { texts, ids, type_ids } of pairs ?? []) {
      const framed = tokenizer.framed(tokenizer.tokens(texts[0]).ids, tokenizer.tokens(texts[1]).ids);
      expect([framed.ids, framed.types]).toEqual([ids, type_ids]);
    }
    if (truncated) {
      const { ids } = tokenizer.tokens(truncated.text);
      expect(tokenizer.framed(ids.slice(0, truncated.max_length - tokenizer.added.single)).ids).toEqual(
        truncated.input_ids,
      );
    }
  });
});

/** Ids with special tokens; places without blanks, as a token of a blank alone has none. */
function check(tokenizer: SequenceTokenizer, { text, ids, offsets }: Encoding): void {
  const found = tokenizer.tokens(text);
  const framed = tokenizer.framed(found.ids);
  expect(framed.ids, text).toEqual(ids);
  expect(framed.ids).toHaveLength(found.ids.length + tokenizer.added.single);
  if (!offsets || /[^\0-\x7f]/.test(text)) return;
  const isBlank = found.ids.map((id) => /^[▁Ġ]$/.test(tokenizer.tokenOf(id)!));
  const places = (all: readonly (readonly [number, number])[]): (readonly [number, number])[] =>
    all
      .map(([start, end]) => [end - text.slice(start, end).trimStart().length, end] as const)
      .filter((__, i) => !isBlank[i]);
  expect(places(found.starts.map((start, i) => [start, found.ends[i]!])), text).toEqual(places(offsets));
}

function model(folder: string, config: Record<string, unknown> = {}): TaskModel {
  return { name: 'a model', folder, config, inputs: {}, outputs: {} };
}

function folderWith(files: Readonly<Record<string, unknown>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'onnx-lora-tokenizer-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(
      join(folder, name),
      typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content),
    );
  }
  return folder;
}
