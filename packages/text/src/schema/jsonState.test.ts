/** @file Texts that a schema allows are those that JSON.parse reads and ajv finds valid, no more and no fewer. */

import { Ajv2020 } from 'ajv/dist/2020.js';
import { Random } from '@onnx-lora/sdk/data';
import { describe, expect, it } from 'vitest';
import { type JsonSchema, readShape } from './jsonShape.ts';
import { JsonAutomaton, type JsonState } from './jsonState.ts';

const ajv = new Ajv2020({ strict: false });
const start = (schema: JsonSchema): JsonState => new JsonAutomaton(readShape(schema)).start;
const behind = (state: JsonState | undefined, text: string | Uint8Array): JsonState | undefined =>
  [...Buffer.from(text as string)].reduce((at, byte) => at?.after(byte), state);
const accepts = (schema: JsonSchema, text: string | Uint8Array): boolean => behind(start(schema), text)?.isWhole === true; // prettier-ignore

/** Whether two names of an object are the same, which JSON.parse passes over. */
function repeats(text: string): boolean {
  const open: string[][] = [];
  for (const [part] of text.matchAll(/[{}]|"(\w+)":/g)) {
    if (part === '{') open.push([]);
    else if (part === '}') open.pop();
    else if (open.at(-1)!.includes(part)) return true;
    else open.at(-1)!.push(part);
  }
  return false;
}

/** All texts of up to so many pieces. */
function* textsOf(pieces: readonly string[], most: number, begun = ''): Generator<string> {
  if (begun !== '') yield begun;
  if (most > 0) for (const piece of pieces) yield* textsOf(pieces, most - 1, begun + piece);
}

const list = { type: 'array', items: { type: 'boolean' }, minItems: 1, maxItems: 3 };
const object = {
  type: 'object',
  properties: { a: { type: 'integer' }, b: { type: ['string', 'null'], maxLength: 1 }, c: { const: 'x' } },
  required: ['b'],
  additionalProperties: false,
};
const tree = {
  $ref: '#/$defs/node',
  $defs: { node: { type: 'object', properties: { k: { type: 'array', items: { $ref: '#/$defs/node' } } } } },
};
const either = { anyOf: [{ type: 'object', properties: { a: { enum: [1, 10] } }, required: ['a'] }, { type: 'object', properties: { a: { const: 1 }, b: { type: 'null' } } }] }; // prettier-ignore
const short: readonly (readonly [name: string, schema: JsonSchema, pieces: readonly string[], most: number])[] = [
  ['a number', { type: 'number' }, ['-', '+', '.', 'e', 'E', '0', '1'], 4],
  ['a whole number', { type: 'integer' }, ['-', '0', '1', '9', '.'], 4],
  ['a string', { type: 'string', minLength: 1, maxLength: 2 }, ['"', '\\', 'n', 'u', '00', 'é', '😀', '\n'], 5],
  ['a list', list, ['[', ']', ',', 'true', 'false', '1'], 5],
  ['a list of lists', { type: 'array', items: { type: 'array', items: { type: 'null' }, maxItems: 1 } }, ['[', ']', ',', 'null'], 7], // prettier-ignore
  ['an object', object, ['{', '}', ',', '"a":', '1', '"b":null', '"b":"x"', '"c":"x"', '"c":1'], 5],
  ['any names', { type: 'object', additionalProperties: { type: 'null' } }, ['{', '}', ',', '"a":', '"b', '":', 'null', '1'], 6], // prettier-ignore
  ['some values', { enum: [1, 12, 'x', null, [1, 2], true] }, ['1', '2', '"', 'x', 'null', 'true', '[', ']', ','], 4],
  ['recursion', tree, ['{"k":[', '{}', ']', '}', ',', '{'], 5],
  ['alternatives', either, ['{', '}', '"a":1', '"b":null', '0', ','], 5],
];

describe('of all short texts, those are allowed that are valid:', () => {
  it.each(short)('%s', (_, schema, pieces, most) => {
    // In ajv, an object has other properties where nothing says no.
    const closed = JSON.parse(JSON.stringify(schema).replaceAll('"type":"object"', '"type":"object","additionalProperties":false').replaceAll('"additionalProperties":false,"additionalProperties":false', '"additionalProperties":false')) as JsonSchema; // prettier-ignore
    const isValid = ajv.compile(closed);
    const from = start(schema);
    // Whole numbers are written without a point.
    const isSpelled = (text: string): boolean => schema['type'] !== 'integer' || !text.includes('.');
    let valid = 0;
    for (const text of textsOf(pieces, most)) {
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch {
        value = undefined;
      }
      const wanted = value !== undefined && isValid(value) && text === text.trim() && !repeats(text) && isSpelled(text);
      if (wanted) valid++;
      if (wanted !== (behind(from, text)?.isWhole ?? false)) expect.fail(`${text} is ${wanted ? '' : 'in'}valid`);
    }
    expect(valid).toBeGreaterThan(3);
  });
});

it('all characters of a string, and only whole ones', () => {
  const one = { type: 'string', minLength: 1, maxLength: 1 };
  // Each character that there is, as itself, and in the 16 bits of JavaScript as an escape.
  const from = behind(start(one), '"');
  for (let code = 0; code < 0x110000; code += code < 0x180 ? 1 : 251) {
    const isHalf = code >= 0xd800 && code < 0xe000;
    const raw = isHalf ? Buffer.from([0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)]) : Buffer.from(String.fromCodePoint(code)); // prettier-ignore
    const isWhole = !isHalf && code >= 0x20 && code !== 0x22 && code !== 0x5c;
    expect(behind(from, Buffer.concat([raw, Buffer.from('"')]))?.isWhole ?? false, code.toString(16)).toBe(isWhole);
    const escaped = Array.from({ length: isHalf ? 1 : String.fromCodePoint(code).length }, (_, i) => `\\u${(isHalf ? code : String.fromCodePoint(code).charCodeAt(i)).toString(16).padStart(4, '0')}`).join(''); // prettier-ignore
    expect(behind(from, `${escaped}"`)?.isWhole ?? false, escaped).toBe(!isHalf);
  }
  for (const text of ['\\ud83d', '\\ude00', '\\ud83dx', '\\ud83d\\u0041', '\\x', 'é'.repeat(2)]) expect(behind(from, `${text}"`), text).toBeUndefined(); // prettier-ignore
  for (const bytes of [[0xc0, 0xaf], [0xe0, 0x80, 0xaf], [0xf4, 0x90, 0x80, 0x80], [0xff], [0x80]]) expect(behind(from, Uint8Array.from(bytes))).toBeUndefined(); // prettier-ignore
});

const person = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'A person',
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 8, description: 'Of all.' },
    'né "é"': { type: ['number', 'null'] },
    kind: { enum: ['a', 'naïve 😀', 3] },
    tags: { type: 'array', items: { type: 'integer' }, maxItems: 3 },
    next: { anyOf: [{ $ref: '#' }, { type: 'null' }] },
    deep: { type: 'array', items: list, minItems: 2 },
  },
  required: ['name', 'next'],
  additionalProperties: false,
} as const;

/** A value of the schema above. */
function anyone(random: Random, left = 3): unknown {
  const upTo = (count: number): number => Math.floor(random.next() * count);
  const times = (count: number, make: () => unknown): unknown[] => Array.from({ length: count }, make);
  const letters = ['a', '"', '\\', '\n', 'é', '日', '😀', ' ', '\u007f', '\u2028', '/'];
  const all: [string, unknown][] = [
    ['name', times(1 + upTo(8), () => letters[upTo(letters.length)]).join('')],
    ['next', left > 0 && upTo(3) > 0 ? anyone(random, left - 1) : null],
    ['né "é"', [null, 0, -1.5, 1e21, 1e-7, random.next(), -random.next() * 1e9, 5e-99][upTo(8)]],
    ['kind', person.properties.kind.enum[upTo(3)]],
    ['tags', times(upTo(4), () => upTo(2 ** 52) * (random.next() < 0.5 ? 1 : -1) || 0)],
    ['deep', times(2 + upTo(3), () => times(1 + upTo(3), () => random.next() < 0.5))],
  ];
  const some = all.filter((_, i) => i < 2 || random.next() < 0.5);
  return Object.fromEntries(some.map((each) => ({ each, at: random.next() })).sort((a, b) => a.at - b.at).map(({ each }) => each)); // prettier-ignore
}

it('what is valid is allowed, in any order, as JavaScript and Python write it', () => {
  const isValid = ajv.compile(person);
  const random = new Random(5);
  const from = start(person);
  for (let i = 0; i < 300; i++) {
    const instance = anyone(random);
    expect(isValid(instance), JSON.stringify(instance)).toBe(true);
    const compact = JSON.stringify(instance);
    // A blank behind what is no part of a string.
    const spaced = compact.replace(/"(?:[^"\\]|\\.)*"|[,:]/g, (part) => (part.length > 1 ? part : `${part} `));
    for (const text of [compact, spaced, ` ${compact}`]) if (!behind(from, text)?.isWhole) expect.fail(text);
  }
});

it('whatever is continued with can be ended, and is valid then', () => {
  const random = new Random(7);
  for (const schema of [person, tree, either, object, list]) {
    const isValid = ajv.compile(schema);
    const from = start(schema);
    for (let i = 0; i < 60; i++) {
      let state = from;
      const bytes: number[] = [];
      while (!state.isWhole || random.next() < 0.2) {
        const possible = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => state.after(byte));
        if (possible.length === 0) break;
        // Else strings have no end, and recursion neither.
        const ending = possible.filter((byte) => [0x22, 0x7d, 0x5d, 0x6e].includes(byte));
        const chosen = ending.length > 0 && random.next() < 0.5 ? ending : possible;
        bytes.push(chosen[Math.floor(random.next() * chosen.length)]!);
        state = state.after(bytes.at(-1)!)!;
      }
      const text = new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes));
      expect(state.isWhole && isValid(JSON.parse(text)), text).toBe(true);
    }
  }
});

it('what can end only within more objects and lists than are written is not begun', () => {
  const nested = { type: 'object', properties: { n: { anyOf: [{ $ref: '#' }, { type: 'null' }] } }, required: ['n'] };
  const deep = (levels: number): string => '{"n":'.repeat(levels) + 'null' + '}'.repeat(levels);
  expect([32, 33].map((levels) => accepts(nested, deep(levels)))).toEqual([true, false]);
  expect(behind(start(nested), '{"n":'.repeat(32) + '{')).toBeUndefined();
  expect(behind(start(tree), '{"k":['.repeat(16) + ']')?.after(0x7d)).toBeDefined();
  const lists = (levels: number): JsonSchema => (levels === 0 ? { type: 'null' } : { type: 'array', items: lists(levels - 1) }); // prettier-ignore
  expect([32, 33].map((levels) => behind(start(lists(40)), '['.repeat(levels)) !== undefined)).toEqual([true, false]);
  // At the end of the room there are only properties that are no objects.
  const chain = { type: 'object', properties: { a: { $ref: '#' }, b: { type: 'null' } } };
  const last = '{"a":'.repeat(31) + '{';
  const may = (text: string): boolean => behind(start(chain), last + text) !== undefined;
  expect(['"a', '"b', '}', '"b":null,', '"b":null}'].map(may)).toEqual([false, true, true, false, true]);
});

it('alternatives that are alike stay few, however deep', () => {
  const props = (...names: string[]): object => Object.fromEntries(names.map((name) => [name, { $ref: '#' }]));
  const alike = { anyOf: [{ type: 'object', properties: props('a') }, { type: 'object', properties: props('a', 'b') }, { type: 'object', properties: props('a', 'c') }] }; // prettier-ignore
  expect(accepts(alike, '{"a":'.repeat(31) + '{}' + '}'.repeat(30) + ',"c":{}}')).toBe(true);
  // Each of 40 names twice what the next one is.
  const $defs = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`d${i}`, { anyOf: [1, 2].map(() => ({ $ref: `#/$defs/d${i + 1}` })) }])); // prettier-ignore
  expect(accepts({ $ref: '#/$defs/d0', $defs: { ...$defs, d40: { type: 'null' } } }, 'null')).toBe(true);
});
