/** @file Compiles a JSON schema to shapes without references. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { isObject } from '@onnx-lora/sdk/data';

/**
 * A JSON schema (draft 7 to 2020-12). It supports `type` (one or several), `properties`, `required`,
 * `additionalProperties: false`, `items`, `minItems`, `maxItems`, `minLength`, `maxLength`, `enum`, `const`, `anyOf`,
 * and `$ref` within the schema; other validation keywords are refused. Objects have only their named properties, even
 * without `additionalProperties`, which may be a schema of all values if none are named.
 */
export type JsonSchema = Readonly<Record<string, unknown>>;

type ShapePart = Fixed | Scalar | Text | Members | Entries | Elements | Union;

/** A kind of values. */
export type JsonShape = ShapePart & {
  readonly id: number;
  /** Minimum nesting depth of objects and lists; infinite if no such value exists. */
  depth: number;
};

/** Certain values, as JSON texts. */
interface Fixed {
  readonly kind: 'fixed';
  readonly texts: readonly string[];
}
interface Scalar {
  readonly kind: 'number' | 'integer';
}
interface Text {
  readonly kind: 'string';
  readonly min: number;
  readonly max: number;
}
/** An object with some of these properties, in any order, each once. */
interface Members {
  readonly kind: 'object';
  readonly properties: readonly { readonly name: string; readonly shape: JsonShape; readonly isRequired: boolean }[];
}
/** An object with arbitrary property names. */
interface Entries {
  readonly kind: 'map';
  readonly values: JsonShape;
}
interface Elements {
  readonly kind: 'array';
  readonly items: JsonShape;
  readonly min: number;
  readonly max: number;
}
interface Union {
  readonly kind: 'union';
  readonly of: readonly JsonShape[];
}

/** Maximum nesting of objects and lists in a generated text. */
export const MOST_DEPTH = 32;
/** Maximum number of a schema's parts, and their nesting, references included. */
const MOST_SHAPES = 10_000;
const MOST_NESTED = 200;

/** Keywords by type; annotations and definitions do not constrain a value. */
const keywords = {
  any: ['title', 'description', 'default', 'examples', 'deprecated', 'readOnly', 'writeOnly', '$comment', '$defs', 'definitions'], // prettier-ignore
  root: ['$schema', '$id'],
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength'],
  number: [],
  integer: [],
  boolean: [],
  null: [],
} as const;
const types = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
type Type = (typeof types)[number];
const known: readonly string[] = [
  'type',
  'enum',
  'const',
  'anyOf',
  '$ref',
  ...types.flatMap((type) => keywords[type]),
  ...keywords.root,
];

/**
 * Compiles a schema.
 * @param what its name in messages, such as the path of its file
 * @throws OnnxLoraError `CONFIG_INVALID` for an unsupported or invalid keyword, and for a schema without values of at
 * most 32 nested objects and lists
 */
export function readShape(schema: JsonSchema, what = 'The JSON schema'): JsonShape {
  const reader = new ShapeReader(schema, what);
  const shape = reader.referred('#', '', MOST_NESTED);
  reader.setDepths();
  if (shape.depth <= MOST_DEPTH) return shape;
  throw reader.invalid('', shape.depth === Infinity ? 'allows no value that comes to an end. Let something in it that refers to itself be left out' : `allows only values with more than ${MOST_DEPTH} objects and lists within one another. Make it flatter`); // prettier-ignore
}

class ShapeReader {
  readonly #root: JsonSchema;
  readonly #what: string;
  readonly #shapes: JsonShape[] = [];
  readonly #referred = new Map<string, JsonShape>();

  constructor(root: JsonSchema, what: string) {
    this.#root = root;
    this.#what = what;
  }

  invalid(at: string, what: string): OnnxLoraError {
    return new OnnxLoraError('CONFIG_INVALID', `${this.#what}${at === '' ? '' : ` at "${at}"`} ${what}.`);
  }

  /** Resolves a reference, which may be recursive. */
  referred(reference: string, at: string, left: number): JsonShape {
    const found = this.#referred.get(reference);
    if (found) return found;
    const of: JsonShape[] = [];
    const shape = this.#made({ kind: 'union', of });
    this.#referred.set(reference, shape);
    const target = reference.slice(1);
    of.push(this.#read(this.#at(target, at), target, left - 1));
    return shape;
  }

  /** Computes each shape's minimum depth as a fixed point. */
  setDepths(): void {
    for (let isChanged = true; isChanged;) {
      isChanged = false;
      for (const shape of this.#shapes) {
        const depth = depthOf(shape);
        if (depth < shape.depth) [shape.depth, isChanged] = [depth, true];
      }
    }
  }

  #made(part: ShapePart): JsonShape {
    if (this.#shapes.length >= MOST_SHAPES)
      throw this.invalid('', `has more than ${MOST_SHAPES} parts. Leave some out`);
    const shape = { ...part, id: this.#shapes.length, depth: Infinity };
    this.#shapes.push(shape);
    return shape;
  }

  #at(pointer: string, at: string): unknown {
    const steps = pointer.split('/').slice(1).map((step) => decoded(step).replaceAll('~1', '/').replaceAll('~0', '~')); // prettier-ignore
    const found = steps.reduce<unknown>((inner, step) => typeof inner === 'object' && inner !== null && Object.hasOwn(inner, step) ? (inner as JsonSchema)[step] : undefined, this.#root); // prettier-ignore
    if (found !== undefined && (pointer === '' || pointer.startsWith('/'))) return found;
    throw this.invalid(at, `has the "$ref" "#${pointer}", which leads nowhere. Write it as "#/$defs/name", and name what is there`); // prettier-ignore
  }

  #read(schema: unknown, at: string, left: number): JsonShape {
    if (!isObject(schema)) throw this.invalid(at, 'must be an object with keywords');
    if (left <= 0) throw this.invalid('', `has more than ${MOST_NESTED} parts within one another. Make it flatter`);
    const has = (keyword: string): boolean => schema[keyword] !== undefined;
    const { $ref: reference, anyOf } = schema;
    if (reference !== undefined) {
      this.#requireKnown(schema, ['$ref'], at);
      if (typeof reference === 'string' && reference.startsWith('#')) return this.referred(reference, at, left);
      throw this.invalid(at, 'has a "$ref" that is no part of the schema. Put what it refers to into "$defs", and write "#/$defs/name"'); // prettier-ignore
    }
    if (anyOf !== undefined) {
      this.#requireKnown(schema, ['anyOf'], at);
      if (!Array.isArray(anyOf) || anyOf.length === 0) throw this.invalid(at, 'must have a list of schemas as "anyOf"');
      return this.#made({ kind: 'union', of: anyOf.map((each, i) => this.#read(each, `${at}/anyOf/${i}`, left - 1)) });
    }
    const given = has('type') ? [schema['type']].flat() : undefined;
    if (given && !(given.length > 0 && given.every((type) => types.includes(type as Type))))
      throw this.invalid(at, `must have one of ${types.join(', ')} as "type", or a list of them`);
    const own = given as readonly Type[] | undefined;
    if (has('enum') || Object.hasOwn(schema, 'const')) return this.#fixed(schema, own, at);
    if (!own) throw this.invalid(at, 'does not say what it is. Give it a "type", "enum", "const", "anyOf" or "$ref"');
    this.#requireKnown(schema, ['type', ...own.flatMap((type) => keywords[type])], at);
    const shapes = own.map((type) => this.#typed(schema, type, at, left));
    return shapes.length === 1 ? shapes[0]! : this.#made({ kind: 'union', of: shapes });
  }

  #fixed(schema: JsonSchema, own: readonly Type[] | undefined, at: string): JsonShape {
    this.#requireKnown(schema, ['type', 'enum', 'const'], at);
    const { enum: several } = schema;
    if (several !== undefined && !Array.isArray(several))
      throw this.invalid(at, 'must have a list of values as "enum"');
    const one = Object.hasOwn(schema, 'const') ? JSON.stringify(schema['const']) : undefined;
    const values = (several as readonly unknown[] | undefined) ?? [schema['const']];
    const texts = values.flatMap((value) => {
      const text = JSON.stringify(value) as string | undefined;
      const isAllowed =
        text !== undefined && (one ?? text) === text && (own ?? types).some((type) => isOf(type, value));
      return isAllowed ? [text] : [];
    });
    if (texts.length === 0) throw this.invalid(at, `allows no value: none of its "${several ? 'enum' : 'const'}" is what it must be`); // prettier-ignore
    return this.#made({ kind: 'fixed', texts: [...new Set(texts)] });
  }

  #typed(schema: JsonSchema, type: Type, at: string, left: number): JsonShape {
    switch (type) {
      case 'object':
        return this.#object(schema, at, left);
      case 'array':
        if (schema['items'] === undefined) throw this.invalid(at, 'is a list, and must say by "items" what is in it');
        return this.#made({ kind: 'array', items: this.#read(schema['items'], `${at}/items`, left - 1), ...this.#bounds(schema, 'minItems', 'maxItems', at) }); // prettier-ignore
      case 'string':
        return this.#made({ kind: 'string', ...this.#bounds(schema, 'minLength', 'maxLength', at) });
      case 'number':
      case 'integer':
        return this.#made({ kind: type });
      case 'boolean':
        return this.#made({ kind: 'fixed', texts: ['true', 'false'] });
      case 'null':
        return this.#made({ kind: 'fixed', texts: ['null'] });
    }
  }

  #object(schema: JsonSchema, at: string, left: number): JsonShape {
    const { properties, required = [], additionalProperties: others = false } = schema;
    // With properties as well, a value of a named one could follow this schema instead of its own.
    if (properties === undefined && isObject(others)) {
      this.#requireKnown(schema, ['type', 'additionalProperties'], at);
      return this.#made({ kind: 'map', values: this.#read(others, `${at}/additionalProperties`, left - 1) });
    }
    if (!isObject(properties)) throw this.invalid(at, 'is an object, and must name its "properties"');
    if (others !== false) throw this.invalid(at, 'has "additionalProperties" that are not false. Name all properties; those that may be absent are left out of "required"'); // prettier-ignore
    const isOne = (name: unknown): name is string => typeof name === 'string' && Object.hasOwn(properties, name);
    if (!Array.isArray(required) || !required.every(isOne)) throw this.invalid(at, 'must have names of its "properties" as "required"'); // prettier-ignore
    const read = Object.entries(properties).map(([name, each]) => ({
      name,
      shape: this.#read(each, `${at}/properties/${name}`, left - 1),
      isRequired: required.includes(name),
    }));
    return this.#made({ kind: 'object', properties: read });
  }

  #bounds(schema: JsonSchema, least: string, most: string, at: string): { readonly min: number; readonly max: number } {
    const [min, max] = [schema[least] ?? 0, schema[most] ?? Infinity];
    const isCount = (value: unknown): value is number => value === Infinity || (Number.isSafeInteger(value) && (value as number) >= 0); // prettier-ignore
    if (isCount(min) && isCount(max) && min <= max) return { min, max };
    throw this.invalid(at, `must have whole numbers as "${least}" and "${most}", the first no more than the second`);
  }

  #requireKnown(schema: JsonSchema, allowed: readonly string[], at: string): void {
    const all = [...keywords.any, ...(at === '' ? keywords.root : []), ...allowed];
    const other = Object.keys(schema).find((keyword) => schema[keyword] !== undefined && !all.includes(keyword));
    if (other === undefined) return;
    throw this.invalid(
      at,
      known.includes(other)
        ? `has "${other}" beside ${allowed.map((keyword) => `"${keyword}"`).join(', ')}, where it has no meaning here. Leave one of them out`
        : `has "${other}", which cannot be kept to. Leave it out, and check what is written for it; known are ${known.join(', ')}`,
    );
  }
}

function depthOf(shape: JsonShape): number {
  switch (shape.kind) {
    case 'object':
      return 1 + Math.max(0, ...shape.properties.map(({ isRequired, shape: each }) => (isRequired ? each.depth : 0)));
    case 'map':
      return 1;
    case 'array':
      return 1 + (shape.min > 0 ? shape.items.depth : 0);
    case 'union':
      return Math.min(...shape.of.map(({ depth }) => depth));
    default:
      return 0;
  }
}

function isOf(type: Type, value: unknown): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isObject(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
