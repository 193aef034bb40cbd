/** @file Schemas that cannot be kept to are refused by what is in them. */

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { dataFolder } from '../../../sequences/src/fixtures/dataFolder.ts';
import { readShape } from './jsonShape.ts';
import { readSchema } from './schemaFile.ts';

const nested = (levels: number): object => (levels === 0 ? { type: 'null' } : { type: 'array', items: nested(levels - 1), minItems: 1 }); // prettier-ignore

it.each([
  [{ type: 'string', pattern: '^a' }, 'has "pattern", which cannot be kept to. Leave it out, and check what is written for it; known are type, enum'],
  [{ type: 'object', properties: { a: { type: 'string', format: 'date' } } }, 'at "/properties/a" has "format"'],
  [{ type: 'number', minimum: 1 }, 'has "minimum", which cannot be kept to'],
  [{ oneOf: [{ type: 'null' }] }, 'does not say what it is'],
  [{ type: 'string', items: {} }, 'has "items" beside "type", "minLength", "maxLength"'],
  [{ anyOf: [{ type: 'null' }], type: 'null' }, 'has "type" beside "anyOf"'],
  [{ $ref: '#/$defs/a', maxLength: 1, $defs: { a: { type: 'string' } } }, 'has "maxLength" beside "$ref"'],
  [{ type: 'object', properties: { a: { $id: 'x', type: 'null' } } }, 'has "$id"'],
  [{ type: 'object' }, 'must name its "properties"'],
  [{ type: 'object', properties: {}, additionalProperties: true }, 'has "additionalProperties" that are not false'],
  [{ type: 'object', properties: {}, required: ['a'] }, 'must have names of its "properties" as "required"'],
  [{ type: 'array' }, 'must say by "items" what is in it'],
  [{ type: 'array', items: [{ type: 'null' }] }, 'at "/items" must be an object with keywords'],
  [{ type: 'array', items: { type: 'null' }, minItems: 3, maxItems: 2 }, 'whole numbers as "minItems" and "maxItems"'],
  [{ type: 'string', maxLength: -1 }, 'whole numbers as "minLength" and "maxLength"'],
  [{ type: 'text' }, 'must have one of object, array, string'],
  [{ type: [] }, 'must have one of object, array, string'],
  [{ enum: [] }, 'allows no value'],
  [{ type: 'string', enum: [1, null] }, 'allows no value: none of its "enum"'],
  [{ anyOf: [] }, 'must have a list of schemas as "anyOf"'],
  [{ $ref: '#/$defs/b', $defs: { a: { type: 'null' } } }, 'has the "$ref" "#/$defs/b", which leads nowhere'],
  [{ $ref: 'https://example.org/a.json' }, 'has a "$ref" that is no part of the schema'],
  [{ $ref: '#' }, 'allows no value that comes to an end'],
  [{ type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] }, 'allows no value that comes to an end'],
  [nested(33), 'allows only values with more than 32 objects and lists'],
  [nested(250), 'has more than 200 parts within one another'],
  [{ enum: 'a' }, 'must have a list of values as "enum"'],
  [true, 'must be an object with keywords'],
])('%j', (schema, message) => {
  expect(() => readShape(schema as never)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) as string })); // prettier-ignore
}); // prettier-ignore

it('values of an enum that are of another type, or not the const, are left out', () => {
  expect(readShape({ $comment: 'x', type: ['integer', 'null'], enum: [1, 1.5, 'a', null, 1] })).toMatchObject({ of: [{ texts: ['1', 'null'] }] }); // prettier-ignore
  expect(readShape({ enum: [1, 2], const: 2 })).toMatchObject({ of: [{ texts: ['2'] }] });
  expect(readShape({ const: null })).toMatchObject({ of: [{ texts: ['null'] }] });
});

it('files are read, and refused by their name', () => {
  const written = (text: string): string => join(dataFolder({ 's.json': text }), 's.json');
  expect(readSchema(written('{ "type": "null" }'))).toEqual({ type: 'null' });
  for (const [text, message] of [
    ['{', 's.json" is no JSON'],
    ['[]', 's.json" is no object with keywords'],
    ['{ "pattern": "a", "type": "string" }', 's.json" has "pattern"'],
    [' '.repeat(2 ** 20 + 1), 'has 1048577 bytes'],
  ] as const)
    expect(() => readSchema(written(text))).toThrow(message);
  expect(() => readSchema('none.json')).toThrow(expect.objectContaining({ code: 'FILE_NOT_FOUND' }));
});
