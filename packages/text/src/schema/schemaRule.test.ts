/** @file What is written by a schema is JSON that ajv finds valid, whatever the model would rather say. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openModel } from '@onnx-lora/sdk';
import type { SequenceTokenizer } from '@onnx-lora/sequences';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { openGenerator } from '../generation/openGenerator.ts';
import type { TextGenerator } from '../generation/textGenerator.ts';
import type { JsonSchema } from './jsonShape.ts';
import { SchemaTokens } from './schemaRule.ts';

const ajv = new Ajv2020({ strict: false });
const tiny = fileURLToPath(new URL('../fixtures/tinyDecoder/', import.meta.url));
const models = fileURLToPath(new URL('../../../../../shared/models/', import.meta.url));
const load = { provider: 'cpu', threads: 1, worker: false } as const;
const seeds = process.env['NIGHTLY'] === undefined ? 3 : 20;

const word = { type: 'string', maxLength: 12 };
const schemas: Readonly<Record<string, JsonSchema>> = {
  nested: {
    type: 'object',
    properties: { name: word, at: { type: 'object', properties: { x: { type: 'number' }, y: { type: 'integer' } }, required: ['x', 'y'] } }, // prettier-ignore
    required: ['name', 'at'],
  },
  enum: { type: 'array', items: { enum: ['naïve', '日本', 'a "b"', 7, null] }, minItems: 2, maxItems: 5 },
  optional: { type: 'object', properties: { a: { type: 'boolean' }, b: word, c: { type: ['null', 'integer'] } }, required: ['b'] }, // prettier-ignore
  recursion: {
    $defs: { part: { anyOf: [{ type: 'null' }, { type: 'object', properties: { v: { type: 'boolean' }, rest: { $ref: '#/$defs/part' } }, required: ['v', 'rest'] }] } }, // prettier-ignore
    $ref: '#/$defs/part',
  },
  text: { type: 'string', minLength: 3, maxLength: 6 },
};

/** Texts with several seeds; how many came to their end. */
async function checked(generator: TextGenerator, prompt: string, name: string, maxNewTokens: number): Promise<number> {
  const schema = schemas[name]!;
  const isValid = ajv.compile(schema);
  let ended = 0;
  const rows = Array.from({ length: seeds }, () => prompt);
  for (const { text, finish, tokens } of await generator.complete(rows, { schema, temperature: 1, topK: 0, seed: 1, maxNewTokens })) {
    // A text that was cut is one that could go on.
    if (finish === 'length') expect(tokens).toHaveLength(maxNewTokens);
    else expect([finish, isValid(JSON.parse(text))], text).toEqual(['end', true]);
    if (finish === 'end') ended++;
  } // prettier-ignore
  return ended;
}

describe.each(Object.keys(schemas))('%s', (name) => {
  it('with a token for each byte, and a model that knows nothing', async () => {
    await using generator = await openGenerator(await openModel(tiny), load);
    expect(await checked(generator, 'x', name, 90)).toBeGreaterThan(0);
  });

  it.skipIf(!existsSync(models)).each(['llama-tiny', 'gpt2-tiny'])('%s', async (folder) => {
    await using generator = await openGenerator(await openModel(path.join(models, folder)), load);
    expect(await checked(generator, 'A package is', name, 160)).toBeGreaterThan(0);
  });
});

it('the best token that is allowed is taken, beams keep to it as well, and too few tokens are told', async () => {
  await using generator = await openGenerator(await openModel(tiny), load);
  const schema = schemas['enum']!;
  const isValid = ajv.compile(schema);
  for (const options of [{}, { numBeams: 3 }]) {
    const { text, finish } = await generator.complete('x', { schema, maxNewTokens: 80, ...options });
    expect([finish, isValid(JSON.parse(text))], text).toEqual(['end', true]);
  }
  expect(await generator.complete('x', { schema, maxNewTokens: 2 })).toMatchObject({ finish: 'length' });
  // The same with another token that ends, one that is in no text.
  const other = await generator.complete('x', { schema, maxNewTokens: 80, eosTokenId: 0 });
  expect([other.tokens.at(-1), other.finish, isValid(JSON.parse(other.text))]).toEqual([0, 'end', true]);
});

/** Tokens that are pieces of texts, by their ids; a character stands for a byte. */
function tokenizerOf(tokens: readonly string[]): SequenceTokenizer {
  const ascii = Array.from({ length: 0x5f }, (_, i) => String.fromCharCode(0x20 + i));
  const all = [...tokens, ...ascii];
  return { size: all.length, bytesOf: (id: number) => Buffer.from(all[id]!, 'latin1') } as unknown as SequenceTokenizer;
}

it('of each token, whether it may come next, parts of characters among them', () => {
  const pieces = ['"', '\xc3', '\xa9', '\xe9', '"é', '\xc3\xa9"', 'ab"', 'abc', '\\u', '\xa9\xc3', '<end>'];
  const tokens = new SchemaTokens({ type: 'string', maxLength: 2 }, tokenizerOf(pieces));
  const rule = tokens.rule([10]);
  const allowed = (...written: string[]): string[] => {
    const logits = new Float32Array(pieces.length + 0x5f + 3).fill(1);
    rule(logits, written.map((piece) => pieces.indexOf(piece)), []); // prettier-ignore
    expect(logits.subarray(pieces.length + 0x5f)).toEqual(new Float32Array(3).fill(-Infinity));
    return pieces.filter((_, id) => logits[id] === 1);
  };
  expect(allowed()).toEqual(['"', '"é']);
  expect(allowed('"')).toEqual(['"', '\xc3', '\xe9', '\xc3\xa9"', 'ab"', '\\u']);
  expect(allowed('"', '\xc3')).toEqual(['\xa9', '\xa9\xc3']);
  expect(allowed('"', '\xc3', '\xa9\xc3')).toEqual(['\xa9']);
  expect(allowed('"', '\xc3', '\xa9\xc3', '\xa9')).toEqual(['"']);
  expect(allowed('"', 'ab"')).toEqual(['<end>']);
});

it('says what cannot be', async () => {
  const plain = tokenizerOf([]);
  expect(() => new SchemaTokens({ const: 'é' }, plain)).toThrow('has no token for some of the letters');
  expect(() => new SchemaTokens({ const: 'e' }, { ...plain, bytesOf: undefined } as never)).toThrow('does not say what each of its tokens spells'); // prettier-ignore
  await using generator = await openGenerator(await openModel(tiny), load);
  const schema = { const: 'e' };
  for (const [options, message] of [
    [{ schema: { type: 'string', pattern: 'a' } }, 'has "pattern", which cannot be kept to'],
    [{ schema, eosTokenId: [] }, 'a schema and no token that ends a text'],
    [{ schema, minNewTokens: 20 }, 'forbidden by another option'],
    [{ schema: { const: 'aaaa' }, noRepeatNgramSize: 2 }, 'forbidden by another option'],
  ] as const)
    await expect(generator.complete('x', options), message).rejects.toThrow(message);
});
