/** @file Damage to JSON: values exchanged, keys renamed and repeated, nesting, and text that is no JSON any more. */

import type { Random } from '@onnx-lora/sdk/data';
import { mutateBytes, pick } from './mutateBytes.ts';

const values = [
  null, true, false, 0, -0, 1, -1, 2, 8, 0.5, 1e21, 1e308, 2 ** 31, 2 ** 53 - 1, 2 ** 53, '', 'x', 'all-linear', '__proto__',
  '.*', '(', '(a+)+$', '^(.*)*$', 'a{1,99999}', '[', '\\', '(?<=x)', 'F32', 'I64', 'BOOL', 'F8_E4M3', 'LORA', 'VERA',
  '../x', '/etc/passwd', 'adapter_model.safetensors', 'x'.repeat(10_000), '\u0000', '\ud800', [], {}, [0], [0, 0], [1, 0],
  [-1], ['query'], [[]], [null], { a: 1 }, { '': 0 }, ['q', 'v', 1],
] as const; // prettier-ignore

const keys = [
  '__proto__', 'constructor', '__metadata__', '', 'weight_map', 'metadata', 'peft_type', 'r', 'lora_alpha', 'target_modules',
  'rank_pattern', 'alpha_pattern', 'modules_to_save', 'layers_pattern', 'layers_to_transform', 'exclude_modules', 'dtype',
  'shape', 'data_offsets', 'base_model.model.x.lora_A.weight', 'x'.repeat(5000), '\ud800', 'hasOwnProperty', '0',
] as const; // prettier-ignore

/** Damages the text of a JSON file once. `others` lend values and bytes. */
export function mutateJson(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  if (random.next() < 0.2) return mutateBytes(random, bytes, others);
  const json = parsed(bytes);
  const places = placesOf(json);
  if (json === undefined || places.length === 0) return mutateBytes(random, bytes, others);
  const { holder, key } = pick(random, places);
  switch (random.index(8)) {
    case 0:
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete holder[key];
      break;
    case 1:
      if (Array.isArray(holder)) for (let i = 0; i < 50; i++) holder.push(holder[Number(key)]);
      else define(holder, pick(random, keys), holder[key]);
      break;
    case 2:
      define(holder, key, pick(random, places).value);
      break;
    case 3: {
      const lent = placesOf(parsed(pick(random, others)));
      if (lent.length > 0) define(holder, key, pick(random, lent).value);
      break;
    }
    case 4:
      return Buffer.from(deepened(random, text(json)));
    case 5:
      return Buffer.from(repeatedKey(text(json), key));
    case 6:
      if (typeof holder[key] === 'number') {
        define(holder, key, holder[key] + pick(random, [1, -1, 4, -4, 0.5, 2 ** 32, 2 ** 53]));
        break;
      }
      define(holder, key, pick(random, values));
      break;
    default:
      define(holder, key, pick(random, values));
  }
  return Buffer.from(text(json));
}

interface Place {
  readonly holder: Record<string, unknown>;
  readonly key: string;
  readonly value: unknown;
}

/** Every member of every object and list. */
function placesOf(json: unknown): Place[] {
  const found: Place[] = [];
  const walk = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null || depth > 12 || found.length > 5000) return;
    for (const [key, inner] of Object.entries(value)) {
      found.push({ holder: value as Record<string, unknown>, key, value: inner });
      walk(inner, depth + 1);
    }
  };
  walk(json, 0);
  return found;
}

/** Sets a member, also one called `__proto__`. */
function define(holder: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(holder, key, { value, writable: true, enumerable: true, configurable: true });
}

/** A value somewhere becomes one inside thousands of lists or objects. */
function deepened(random: Random, json: string): string {
  const at = json.indexOf(':', random.index(json.length)) + 1;
  const depth = pick(random, [10, 100, 1000, 20_000]);
  const [open, close] = random.next() < 0.5 ? ['[', ']'] : ['{"a":', '}'];
  const inner = random.next() < 0.8 ? '0' : '';
  return `${json.slice(0, at)}${open.repeat(depth)}${inner}${close.repeat(random.next() < 0.9 ? depth : 0)}${json.slice(at).replace(/^[^,}]*/, '')}`;
}

function repeatedKey(json: string, key: string): string {
  const member = `${JSON.stringify(key)}:`;
  const at = json.indexOf(member);
  return at < 0 ? json : `${json.slice(0, at)}${member}0,${json.slice(at)}`;
}

function parsed(bytes: Uint8Array): object | undefined {
  try {
    const json = JSON.parse(Buffer.from(bytes).toString()) as unknown;
    return typeof json === 'object' && json !== null ? json : undefined;
  } catch {
    return undefined;
  }
}

/** JSON text; also for values that are too deep for JSON.stringify, or refer to themselves. */
function text(json: object): string {
  try {
    return JSON.stringify(json);
  } catch {
    return '{"a":'.repeat(5000);
  }
}
